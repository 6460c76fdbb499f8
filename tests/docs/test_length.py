"""The documentation says how much code of the mathematics there is to read."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "benchmarks"))

import length  # noqa: E402


def test_the_documentation_counts_the_lines_of_the_mathematics():
    text = (ROOT / "docs/source/inside/architecture.rst").read_text("utf-8")
    ours, zuko = map(int, re.search(r"through (\d+) lines.*?are (\d+) lines", text, re.S).groups())
    assert ours == length.total(ROOT, length.OURS) < zuko
