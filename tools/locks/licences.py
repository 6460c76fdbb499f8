"""Writes ``docs/source/inside/licences.rst`` from the packages' metadata: ``make licences``.

The metadata of every locked package is asked from the package index, also of those that another
system or an NVIDIA card needs; nothing is installed.
"""

import json
import subprocess
import sys

from lock import HERE, entries, names

PAGE = HERE.parents[1] / "docs/source/inside/licences.rst"
LONGEST = 120  # characters of a licence's name; what is longer is its text
TITLES = ("What the lab needs to run", "What its documentation and its tests need besides",
          "What PyPI's PyTorch for Linux needs for an NVIDIA card")
HEAD = """\
.. Made by `make licences`; do not change it by hand.

Licences
========

What the packages in ``tools/locks/`` say of their licences. None of them is part of Flow Lab: pip
installs them. Where a package has two versions, one is for older Pythons.
"""


def licence(metadata: dict) -> str:
    """What a package says of its licence: an expression, a short name, or its classifiers."""
    said = metadata.get("license_expression") or metadata.get("license") or ""
    if said and "\n" not in said and len(said) <= LONGEST and "copyright" not in said.lower():
        return said
    found = [c.split(" :: ")[-1] for c in metadata.get("classifier", ())
             if c.startswith("License :: ")]
    return "; ".join(found) or "not stated"


def ask(wanted: list[str]) -> dict[str, str]:
    """The licence of each package, by its normalised name."""
    report = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps",
         "--quiet", "--report", "-", *wanted], check=True, capture_output=True, text=True).stdout
    told = [item["metadata"] for item in json.loads(report[report.index("{"):])["install"]]
    return {m["name"].lower().replace("_", "-").replace(".", "-"): licence(m) for m in told}


def table(title: str, versions: dict[str, set[str]], licences: dict[str, str]) -> str:
    """One of the tables."""
    rows = "".join(f"   * - {name}\n     - {', '.join(sorted(versions[name]))}\n"
                   f"     - {licences[name]}\n" for name in sorted(versions))
    return (f"\n{title}\n{'-' * len(title)}\n\n.. list-table::\n   :header-rows: 1\n"
            f"   :widths: 30 20 50\n\n   * - Package\n     - Version\n     - Licence\n{rows}")


def main() -> None:
    """Write the page."""
    app, rest, cuda = ((HERE / name).read_text() for name in ("app.txt", "all.txt", "torch.txt"))
    torch = [entry for entry in entries(cuda) if entry.startswith("torch==")]
    tables = (names(app + "".join(torch)),
              {name: found for name, found in names(rest).items() if name not in names(app)},
              {name: found for name, found in names(cuda).items() if name != "torch"})
    every = {n: v for versions in tables for n, v in versions.items()}
    licences = ask([f"{name}=={min(versions)}" for name, versions in sorted(every.items())])
    PAGE.write_text(HEAD + "".join(table(title, versions, licences)
                                   for title, versions in zip(TITLES, tables, strict=True)))


if __name__ == "__main__":
    main()
