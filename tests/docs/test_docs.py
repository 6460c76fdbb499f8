"""The documentation: it builds without a warning, leads nowhere wrong, and what it says works."""

import ast
import doctest
import importlib
import json
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from sphinx.util.inventory import InventoryFile

import app
from flowlab.ui.compare import controls
from flowlab.ui.controls import experiments, links, validation
from flowlab.ui.teach import plan
from models import RECIPES

ROOT = Path(__file__).parents[2]
PACKAGES = ("flowlab", *RECIPES)
MODULES = sorted(
    module.name for package in PACKAGES
    for module in pkgutil.walk_packages([str(ROOT / package)], f"{package}."))
SKIPPED = ("__pycache__", "generated", "build", ".*")


def copy_of_the_lab(folder: Path) -> Path:
    for path in (*PACKAGES, "benchmarks", "docs", "static", "tests"):
        shutil.copytree(ROOT / path, folder / path, ignore=shutil.ignore_patterns(*SKIPPED))
    for path in ROOT.glob("*.py"):
        shutil.copy(path, folder)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def run(folder: Path, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=folder, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", **environment})
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


# The site


class Page(HTMLParser):
    """The links, the anchors and the images of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links, self.anchors, self.images = [], set(), []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        attribute = dict(attributes)
        self.anchors |= {attribute.get("id"), attribute.get("name")}
        if tag == "img":
            self.images.append(attribute)
        for name in ("href", "src"):
            if attribute.get(name):
                self.links.append(attribute[name])


def made_from():
    sys.path.append(str(ROOT / "docs/source/_ext"))
    return importlib.import_module("made_from")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site that `make docs` has built, tutorials and all, if nothing has changed since.

    Otherwise it is built from a copy, without running the tutorials.
    """
    if made_from().fresh(ROOT / "docs/build/html"):
        return ROOT / "docs/build/html"
    folder = copy_of_the_lab(tmp_path_factory.mktemp("lab"))
    run(folder, "sphinx", "-W", "--keep-going", "-q", "-b", "html", "docs/source", "site",
        FLOWLAB_TUTORIALS="0")
    return folder / "site"


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path) for path in site.rglob("*.html")}


def test_a_site_made_from_something_else_is_made_again(tmp_path, monkeypatch):
    notes = made_from()
    monkeypatch.setattr(notes, "ROOT", tmp_path)
    source = tmp_path / "nice/nice.py"
    source.parent.mkdir()
    source.write_text("a")
    assert not notes.fresh(tmp_path)
    (tmp_path / notes.NOTE).write_text(notes.digest())
    assert notes.fresh(tmp_path)
    for path, text in ((source, "b"), (source.with_name("c.py"), ""), (tmp_path / "models.py", "")):
        path.write_text(text)
        assert not notes.fresh(tmp_path)
        (tmp_path / notes.NOTE).write_text(notes.digest())


def test_every_link_within_the_site_arrives(site, pages):
    broken = []
    for path, page in pages.items():
        for link in page.links:
            if re.match(r"(https?|mailto|data):", link):
                continue
            where, _, anchor = link.partition("#")
            there = (path.parent / unescape(where.partition("?")[0])).resolve() if where else path
            there = there / "index.html" if there.is_dir() else there
            if not there.exists() or (anchor and there in pages
                                      and anchor not in pages[there].anchors):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert not broken, "\n".join(broken)
    assert sum(len(page.links) for page in pages.values()) > 1000


def test_pages_need_nothing_from_the_network(pages):
    for path in pages:
        text = path.read_text("utf-8")
        assert not re.findall(r'<(?:script|img|iframe)[^>]*src="https?:', text), path
        assert not re.findall(r'<link[^>]*rel="stylesheet"[^>]*href="https?:', text), path


def test_flows_to_play_with_are_there_and_a_picture_or_words_without_scripts(pages):
    places = [(path, *found) for path in pages for found in re.findall(
        r'<div class="explorable" data-page="([^"]+)" title="[^"]+">(.*?)</div>',
        path.read_text("utf-8"), re.S)]
    assert len(places) >= 5
    for path, page, instead in places:
        assert "Content-Security-Policy" in (path.parent / page).read_text("utf-8"), path
        assert "<img" in instead or "<p>" in instead, path


def test_every_image_has_words(pages):
    images = [(path, image) for path, page in pages.items() for image in page.images]
    assert len(images) >= 2
    for path, image in images:  # a tutorial's title stands under its thumbnail
        assert image.get("alt") or image["src"].endswith("_thumb.png"), (path, image)


def test_source_pages_show_every_line_under_its_number(site):
    for module in ("flowlab.bijections.coupling", "flowlab.flow", "flowlab.training.trainer",
                   "nice.nice"):
        text = (site / "_modules" / (module.replace(".", "/") + ".html")).read_text("utf-8")
        block = text.split("<pre>", 1)[1].split("</pre>", 1)[0]
        block = re.sub(r'<a class="viewcode-back".*?</a>', "", block)
        parts = re.split(r'<span class="line" id="line-(\d+)"></span>', block)[1:]
        shown = {int(n): unescape(re.sub(r"<[^>]*>", "", line)).rstrip("\n")
                 for n, line in zip(parts[::2], parts[1::2], strict=True)}
        source = Path(importlib.import_module(module).__file__).read_text("utf-8").splitlines()
        assert [shown[n].strip() for n in range(1, len(source) + 1)] == [s.strip() for s in source]


def test_equations_lead_to_the_lines_that_compute_them(site):
    found = 0
    for path in (site / "theory").glob("*.html"):
        text = path.read_text("utf-8")
        links = re.findall(r'href="([^"#]*)#line-(\d+)"[^>]*>(<code.*?</code>)', text, re.S)
        for page, number, code in links:
            module = (path.parent / page).resolve().relative_to(site / "_modules")
            source = (ROOT / module).with_suffix(".py").read_text("utf-8").splitlines()
            shown = unescape(re.sub(r"<[^>]*>", "", code))
            assert shown.split() == source[int(number) - 1].split(), (path, page)
            found += 1
    assert found > 30


def public_names(module):
    """Classes and functions that a module defines, and the methods with docstrings of their own."""
    for node in ast.parse(Path(module.__file__).read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            yield f"{module.__name__}.{node.name}"
            for inner in getattr(node, "body", []):
                if (isinstance(node, ast.ClassDef) and isinstance(inner, ast.FunctionDef)
                        and not inner.name.startswith("_") and ast.get_docstring(inner)):
                    yield f"{module.__name__}.{node.name}.{inner.name}"


def test_every_public_name_is_in_the_reference(site):
    with (site / "objects.inv").open("rb") as file:
        inventory = InventoryFile.load(file, "", lambda base, path: path)
    known = {name for kind in inventory.values() for name in kind}
    modules = [importlib.import_module(name) for name in MODULES]
    missing = {name for module in modules for name in public_names(module)} - known
    assert not missing, f"Add their module to docs/source/api: {sorted(missing)}"


OWN = """
import importlib
import torch
from flowlab import Flow
from flowlab.settings import RunSettings

class Own(Flow):
    def __init__(self, needed):
        raise AssertionError("a flow of one's own is built without being asked for")

class Named(RunSettings):
    model: str = "own"

class Nameless(RunSettings):
    pass

for name in {modules}:
    importlib.import_module(name)

from flowlab.live.warm_up import warm_up
from flowlab.training.recipe import imported
warm_up()
print(*sorted(imported()))
try:
    RunSettings.read('{{"model": "unknown"}}')
except ValueError as error:
    print(error)
"""


@pytest.mark.thorough
def test_modules_are_imported_beside_models_of_one_s_own(tmp_path):
    """As in the documentation, whose tutorials define flows before the reference is read."""
    (tmp_path / "own_models.py").write_text(OWN.format(modules=MODULES), "utf-8")
    lines = run(tmp_path, "own_models", PYTHONPATH=str(ROOT)).splitlines()
    assert lines[0].split() == sorted(RECIPES)
    assert "nice" in lines[1] and "own" in lines[1]


def test_every_setting_and_option_is_in_the_reference(site):
    tables = (site / "api/settings.html").read_text("utf-8")
    commands = unescape((site / "api/commands.html").read_text("utf-8"))
    for recipe in RECIPES.values():
        for name, field in recipe.Run.fields().items():
            assert f">{name}</span>" in tables, name
            assert field.title in unescape(tables), name
            assert f"--{name.replace('_', '-')} " in commands, name


def test_links_of_the_lesson_open_the_app_as_they_say(site, pages):
    links_of_it = pages[site / "lesson.html"].links
    urls = [urlsplit(link) for link in links_of_it if link.startswith("http://localhost:8501/")]
    urls = [url for url in urls if url.query]
    known = {path for *_, path in app.pages()}
    for url in urls:
        texts, name = dict(parse_qsl(url.query)), url.path.strip("/")
        assert name in known
        if name == "compare":
            comparison, complaints = controls.read(texts, RECIPES)
            assert (comparison.texts(), complaints) == (texts, [])
            continue
        told = {n: texts.pop(n) for n in links.PARAMETERS if n in texts}
        lesson, complaints = links.read(told, experiments.names(RECIPES[name]),
                                        links.names(RECIPES[name].Run))
        settings, more = validation.read(RECIPES[name].Run, texts)
        assert (lesson.texts(), settings.texts(), complaints + more) == (told, texts, [])
    named = {dict(parse_qsl(url.query)).get("preset") for url in urls}
    presets = experiments.every(RECIPES)
    assert {*presets} <= named
    assert len(urls) >= len(presets) + 5


@pytest.mark.parametrize(("page", "settings", "told", "word"), [
    ("realnvp", {"couplings": "0"}, {}, "couplings"), ("nice", {"wings": "2"}, {}, "wings"),
    ("nice", {}, {"hide": "wings"}, "hide"), ("glow", {}, {"preset": "masks"}, "preset"),
    ("nice", {}, {"task": 601 * "a"}, "task"), ("compare", {"models": "nice:wings=2"}, {}, "wings"),
    ("compare", {}, {"title": "A"}, "title")])
def test_a_link_that_its_page_would_complain_about_fails_the_build(page, settings, told, word):
    with pytest.raises(ValueError, match=word):
        plan.texts(plan.Link("", page, settings, lesson=told), RECIPES)


def test_benchmark_tables_have_the_measured_numbers(site):
    text = (site / "api/benchmarks.html").read_text("utf-8")
    rows = [[unescape(re.sub(r"<[^>]*>", "", cell)).strip()
             for cell in re.findall(r"<t[dh].*?</t[dh]>", row, re.S)]
            for row in re.findall(r"<tr.*?</tr>", text, re.S)]
    results = json.loads((ROOT / "benchmarks/results.json").read_text("utf-8"))
    assert results["date"] in text and results["machine"]["processor"] in text
    for library in results["libraries"]:
        versions = ", ".join(f"{name} {version}" for name, version in library["versions"].items())
        assert [library["name"], versions, str(library["parameters"])] in rows
        for threads in {row["threads"] for row in results["speed"]}:  # a table each
            speeds = {f"{row['steps_per_second']:.0f}" for row in results["speed"]
                      if (row["library"], row["threads"]) == (library["name"], threads)}
            assert speeds and any(row[0] == library["name"] and speeds <= {*row} for row in rows)


TUTORIALS = sorted((ROOT / "docs/source/tutorials").glob("[0-9]*.py"))


def test_tutorials_are_numbered_one_by_one():
    numbers = [path.name.split("_")[0] for path in TUTORIALS]
    assert numbers == [str(i + 1) for i in range(len(TUTORIALS))] and len(TUTORIALS) >= 9


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_shows_its_figures(path):
    # The build finds the figures that are variables, and no others.
    named = [node.func.value for node in ast.walk(ast.parse(path.read_text("utf-8")))
             if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "set_label"]
    assert named and all(isinstance(figure, ast.Name) for figure in named)


# What it says


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples_in_docstrings():
    finder = doctest.DocTestFinder()
    examples = [e for name in MODULES for test in finder.find(importlib.import_module(name))
                for e in test.examples]
    assert len(examples) >= 20


def code_blocks(page: str) -> list[tuple[str, str, str]]:
    """Language, caption and text of the blocks of a page that have a caption."""
    text = (ROOT / "docs/source" / page).read_text("utf-8")
    found = re.findall(r"\.\. code-block:: (\w+)\n +:caption: (.+)\n\n((?: {3}.*\n|\n)+)", text)
    return [(language, caption, re.sub(r"^ {3}", "", block, flags=re.M).rstrip("\n") + "\n")
            for language, caption, block in found]


def follow(page: str, lab: Path) -> None:
    """Do what a how-to page says, write its files and change others; their style is checked."""
    for language, caption, block in code_blocks(page):
        path = lab / caption
        if language == "python":
            path.parent.mkdir(exist_ok=True)
            path.write_text(block, "utf-8")
            continue
        lines = block.splitlines()
        before = "".join(f"{line[1:]}\n" for line in lines if line[0] != "+")
        after = "".join(f"{line[1:]}\n" for line in lines if line[0] != "-")
        text = path.read_text("utf-8")
        assert text.count(before) == 1, f"{page}: {caption} has no single place like\n{before}"
        path.write_text(text.replace(before, after), "utf-8")
    run(lab, "ruff", "check", *(caption for _, caption, _ in code_blocks(page)))


@pytest.mark.thorough
def test_adding_a_distribution_as_the_page_says(tmp_path):
    lab = copy_of_the_lab(tmp_path)
    follow("howto/add-a-distribution.rst", lab)
    said = run(lab, "pytest", "-q", "tests/maths/test_targets.py", "-k", "cross")
    assert int(re.search(r"(\d+) passed", said)[1]) > 15


#: What a model for vectors alone answers where it is given images.
ON_IMAGES = '''
import io

import numpy as np
from pages_helpers import page, run

from flowlab.commands import compare, sweep


def test_page():
    app = run(page("bend", data="digits", classes="10"))
    assert len(app.error) == 2 and "points, not images" in app.error[1].value
    assert app.session_state["bend.data"] == "moons"
    keys = {button.key for button in app.button}
    assert {"bend.choose.moons", "bend.train"} <= keys and "bend.choose.digits" not in keys
    file = io.BytesIO()
    np.save(file, np.arange(1280).reshape(20, 8, 8).astype(np.uint8))
    app.button(key="bend.own").click()
    run(app).segmented_control(key="own.way").set_value("file")
    run(app).file_uploader(key="own.file").set_value([("a.npy", file.getvalue(), "")])
    assert "points, not images" in run(app).error[0].value
    assert app.button(key="own.use").disabled


def test_commands(tmp_path, capsys):
    path = tmp_path / "sweep.toml"
    path.write_text('model = "bend"\\n[settings]\\ndata = "digits"\\n[sweep]\\ncouplings = [2]\\n')
    assert sweep.main([str(path)]) == 2
    error = capsys.readouterr().err
    assert "points, not images" in error and len(error.splitlines()) == 1
    assert compare.main(["--models", "bend", "--data", "digits"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
'''


@pytest.mark.thorough
def test_adding_a_model_as_the_page_says(tmp_path):
    lab = copy_of_the_lab(tmp_path)
    follow("howto/add-a-model.rst", lab)
    (lab / "tests/ui/test_bend.py").write_text(ON_IMAGES, "utf-8")
    said = run(lab, "pytest", "-q", "tests/maths/test_layers.py", "tests/maths/test_flows.py",
               "tests/ui/test_pages.py", "tests/ui/test_bend.py", "-k", "bend")
    assert int(re.search(r"(\d+) passed", said)[1]) > 30
    said = run(lab, "bend.train_bend", "--data", "moons", "--epochs", "6")
    kl = float(re.search(r"KL to the truth ([\d.]+) nats", said)[1])
    assert kl < 0.6, said
    with pytest.raises(AssertionError, match="error: .* points, not images"):
        run(lab, "bend.train_bend", "--data", "digits")


def first_python(page: str) -> str:
    """The first block of Python on a page."""
    text = (ROOT / "docs/source" / page).read_text("utf-8")
    block = re.search(r"\.\. code-block:: python\n\n((?: {3}.*\n|\n)+)", text)[1]
    return re.sub(r"^ {3}", "", block, flags=re.M)


def test_the_first_run_in_python():
    block = first_python("index.rst").replace("epochs=20", "epochs=1, points=300")
    lines = [line for line in block.splitlines() if "flow.save" not in line]
    scope: dict = {}
    exec("\n".join(lines), scope)
    assert scope["z"].shape == scope["x"].shape == (5, 2)


def test_a_link_is_repeated_in_python_as_the_page_says():
    block = first_python("howto/shared-link.rst")
    scope: dict = {}
    exec(block.replace("seed=7", "seed=7&epochs=1&points=300&task=Train&run=0123"), scope)
    assert scope["settings"].texts() == {"couplings": "4", "data": "spiral", "epochs": "1",
                                         "points": "300", "seed": "7"}
    assert scope["progress"].outcome == "finished"
