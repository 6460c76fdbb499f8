"""Imports go down only: the floors are those that the documentation draws."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "docs/source/_ext"))

from floors import FLOORS, Code, floor  # noqa: E402

MODELS = FLOORS.index("models")


@pytest.fixture(scope="module")
def code():
    return Code()


def importers(code: Code, package: str) -> set[str]:
    """The rooms that import a package of another project."""
    return {code.room(name) for name in code.files for imported in code.imports(name)
            if imported.split(".")[0] == package}


def test_every_room_has_a_floor(code):
    listed = {name for names in FLOORS for name in names.split()} - {"models"}
    assert listed == {room for room in code if floor(room) != MODELS}


def test_no_arrow_climbs(code):
    assert [(a, b) for a, b in code.edges if floor(a) < floor(b)] == []


def test_there_is_no_circle(code):
    assert code.circles() == []


@pytest.mark.parametrize(("package", "lowest"), [("streamlit", "ui"), ("matplotlib", "figures")])
def test_pages_and_pictures_have_their_floors(code, package, lowest):
    rooms = importers(code, package)
    assert lowest in rooms and min(map(floor, rooms)) == floor(lowest)


def test_an_arrow_that_climbs_and_a_circle_are_found(tmp_path):
    for path, text in (("flowlab/__init__.py", ""), ("flowlab/ui/page.py", "import flowlab.data"),
                       ("flowlab/data/__init__.py", "def f():\n    from flowlab.ui import page"),
                       ("flowlab/runs/store.py", "from ..live import Frame"),
                       ("flowlab/live/__init__.py", "")):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    code = Code(tmp_path)
    assert set(code.edges) == {("ui", "data"), ("data", "ui"), ("runs", "live")}
    assert [(a, b) for a, b in code.edges if floor(a) < floor(b)] == [("data", "ui")]
    assert code.circles() == [["data", "ui"]]
