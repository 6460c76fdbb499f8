"""Writes ``docs/source/inside/licences.rst`` from the packages' metadata: ``make licences``.

pip asks the package index for the metadata of every locked package and installs nothing, because
the page also lists what other systems, other Pythons and NVIDIA cards need; pip-licenses knows only
what is installed.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs/source/inside/licences.rst"
LONGEST = 120  # characters of a licence's name; what is longer is its text
TITLES = ("What the lab needs to run", "What its documentation and its tests need besides",
          "What PyPI's PyTorch for Linux needs for an NVIDIA card")
HEAD = """\
.. Made by `make licences`; do not change it by hand.

Licences
========

The licences that the packages in ``tools/locks/`` declare. None of them is part of Flow Lab: pip
installs them. Where a package has two versions, one is for older Pythons.
"""


def names(lock: str) -> dict[str, set[str]]:
    """The versions of each package of a lock file; several where they depend on the Python."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9-]+)==([^\s;]+)", lock, re.MULTILINE):
        found.setdefault(name, set()).add(version)
    return found


def licence(metadata: dict) -> str:
    """The licence that a package declares: an expression, a short name, or its classifiers."""
    declared = metadata.get("license_expression") or metadata.get("license") or ""
    if (declared and "\n" not in declared and len(declared) <= LONGEST
            and "copyright" not in declared.lower()):
        return declared
    found = [c.split(" :: ")[-1] for c in metadata.get("classifier", ())
             if c.startswith("License :: ")]
    return "; ".join(found) or "not stated"


def ask(wanted: list[str]) -> dict[str, str]:
    """The licence of each package, by its normalised name."""
    report = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps",
         "--quiet", "--report", "-", *wanted], check=True, capture_output=True, text=True).stdout
    found = [item["metadata"] for item in json.loads(report[report.index("{"):])["install"]]
    return {re.sub("[_.]", "-", m["name"].lower()): licence(m) for m in found}


def table(title: str, versions: dict[str, set[str]], licences: dict[str, str]) -> str:
    """One of the tables."""
    rows = "".join(f"   * - {name}\n     - {', '.join(sorted(versions[name]))}\n"
                   f"     - {licences[name]}\n" for name in sorted(versions))
    return (f"\n{title}\n{'-' * len(title)}\n\n.. list-table::\n   :header-rows: 1\n"
            f"   :widths: 30 20 50\n\n   * - Package\n     - Version\n     - Licence\n{rows}")


def main() -> None:
    """Write the page."""
    app, rest, cuda = (names((HERE / f"{lock}.txt").read_text())
                       for lock in ("app", "all", "torch"))
    app["torch"] = cuda.pop("torch")
    tables = app, {name: rest[name] for name in rest.keys() - app.keys()}, cuda
    every = {n: v for versions in tables for n, v in versions.items()}
    licences = ask([f"{name}=={min(versions)}" for name, versions in sorted(every.items())])
    PAGE.write_text(HEAD + "".join(table(title, versions, licences)
                                   for title, versions in zip(TITLES, tables, strict=True)))


if __name__ == "__main__":
    main()
