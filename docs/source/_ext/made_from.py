"""What a site was made from, so that a test can tell whether it is what the sources say now."""

import hashlib
import sys
from pathlib import Path

import sphinx
from sphinx.application import Sphinx

from models import NAMES

ROOT = Path(__file__).parents[3]
PARTS = ("flowlab", *NAMES, "benchmarks", "docs")
NOTE = "made-from.txt"


def digest() -> str:
    """One number for all files that a site is made from, and for the program that makes it."""
    found = hashlib.sha256(f"{sys.version} {sphinx.__display_version__}".encode())
    paths = [path for part in PARTS for path in (ROOT / part).rglob("*") if path.is_file()]
    for path in sorted([*paths, *ROOT.glob("*.py"), *ROOT.glob("requirements*.txt")]):
        name = path.relative_to(ROOT)
        if not {"__pycache__", "generated", "build"} & set(name.parts):
            content = path.read_bytes()
            found.update(f"{name.as_posix()} {len(content)} ".encode() + content)
    return found.hexdigest()


def fresh(site: Path) -> bool:
    """Whether a site was made as a whole, without a warning, from what the files are now."""
    note = site / NOTE
    return note.is_file() and note.read_text("utf-8") == digest()


def _begin(app: Sphinx, config: object) -> None:
    note = app.outdir / NOTE
    note.unlink(missing_ok=True)
    if app.outdir.joinpath("index.html").exists() or (app.srcdir / "generated").exists():
        return  # parts of an earlier site may stay
    made_from = digest()

    def end(app: Sphinx, error: Exception | None) -> None:
        if error is None and app._warncount == 0:
            note.write_text(made_from, "utf-8")

    app.connect("build-finished", end)


def setup(app: Sphinx) -> dict[str, bool]:
    """Note it at the end of a build that begins with nothing."""
    app.connect("config-inited", _begin, priority=0)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
