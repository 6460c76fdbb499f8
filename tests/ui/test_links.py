"""Links: a page's settings and a teacher's additions go through a URL and come back the same."""

import io
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from helpers import copyable
from hypothesis import given
from hypothesis import strategies as some
from pages_helpers import APP, go, page, run
from streamlit.testing.v1 import AppTest

from flowlab.ui.controls import links
from flowlab.ui.controls.links import Lesson
from flowlab.ui.controls.settings import read as read_settings
from flowlab.ui.elements.escape import plain
from models import RECIPES

pytestmark = pytest.mark.usefixtures("workers_end")

ROOT = Path(__file__).parents[2]
EVIL = ["<script>alert(1)</script>", "**bold** [a](javascript:alert(1))", "$\\text{x}$ :red[x]",
        "<img src=x onerror=alert(1)>"]


@given(some.text(max_size=900), some.text(max_size=900))
def test_any_text_becomes_plain_text_of_limited_length(title, task):
    lesson, _ = links.read({"title": title, "task": task})
    assert len(lesson.title) <= links.TITLE and len(lesson.task) <= links.TASK
    assert all(c == "\n" or c.isprintable() or c.isspace() for c in lesson.title + lesson.task)
    again, complaints = links.read(lesson.texts())
    assert again == Lesson(title=lesson.title.strip(), task=lesson.task.strip())
    assert complaints == []


def test_what_turns_text_around_is_removed():
    assert links.printable("a\u202eb\u200fc\x00d\x1b[31m\r\ne\u2066") == "abcd[31m\ne"


@pytest.mark.parametrize(("texts", "word"), [
    ({"hide": "data,wings"}, "hide"), ({"lock": "x"}, "lock"), ({"title": "a" * 81}, "title"),
    ({"task": "a" * 601}, "task"), ({"preset": "x"}, "preset"), ({"view": "x"}, "view")])
def test_what_cannot_be_used_gets_one_sentence(texts, word):
    lesson, complaints = links.read(texts, ("masks",))
    assert len(complaints) == 1 and complaints[0].startswith(word) and "\n" not in complaints[0]
    assert lesson.hide in ((), ("data",)) and len(lesson.title) <= 80 and len(lesson.task) <= 600


def test_no_setting_has_the_name_of_something_else_in_a_link():
    for recipe in RECIPES.values():
        assert not recipe.Run.fields().keys() & {*links.PARAMETERS, "run"}


def test_an_address_holds_settings_and_lesson():
    recipe = RECIPES["realnvp"]
    settings = recipe.Run.from_flat({"hidden": (16, 16), "seed": 7, "data": "rings"})
    lesson = Lesson(("data", "training"), ("model",), "Größe & co", "1 + 1 = ?\nnext", "masks",
                    "lecture")
    query = dict(parse_qsl(urlsplit(links.address(settings, lesson)).query))
    told = {name: query.pop(name) for name in links.PARAMETERS if name in query}
    assert links.read(told, ("masks",)) == (lesson, [])
    assert read_settings(recipe.Run, query) == (settings, [])


def test_hidden_groups_are_gone_and_their_settings_hold():
    app = run(page("realnvp", hide="training,data,network", epochs="7", data="rings", noise="0.3",
                   hidden="16,16,16", couplings="3"))
    labels = {w.label for kind in (app.slider, app.number_input, app.select_slider, app.selectbox)
              for w in kind}
    assert "Couplings" in labels
    assert not labels & {"Epochs", "Seed", "Noise", "Width", "Points"}
    assert not [b for b in app.button if b.label == "Two moons"]
    app.slider(key="realnvp.couplings").set_value(5)
    run(app)
    assert app.query_params == {"hide": "data,network,training", "epochs": "7", "data": "rings",
                                "noise": "0.3", "hidden": "16,16,16", "couplings": "5"}


def test_locked_groups_are_seen_but_cannot_be_changed():
    app = run(page("glow", lock="data,model,network,training", steps="3"))
    for kind in (app.slider, app.number_input, app.select_slider, app.selectbox):
        for widget in kind:
            if widget.label not in ("Experiments", "Learning rate now") and "share" not in (
                    widget.key or "") and widget.key.startswith("glow."):
                names = RECIPES["glow"].Run.fields().keys() | {"depth", "width"}
                if widget.key.split(".")[1] in names:
                    assert widget.disabled, widget.label
    assert app.slider(key="glow.steps").value == 3 and app.slider(key="glow.steps").disabled
    assert not [b for b in app.button if b.label == "Two moons"]
    assert not app.button(key="glow.train").disabled


@pytest.mark.parametrize("evil", EVIL)
def test_title_and_task_are_shown_as_they_are_and_never_as_markup(evil):
    app = run(page("nice", title=evil, task=f"line 1\n{evil}"))
    assert f"line 1\n{evil}" in [element.value for element in app.text]
    assert plain(evil) in [strip.label for strip in app.expander]
    assert not [m.value for m in app.markdown if evil in m.value]
    assert not [m for m in app.get("html") if evil in str(m)]


def test_a_lesson_outlives_another_page_and_a_new_link_replaces_it():
    app = run(page("nice", task="Look.", lock="model", data="rings"))
    app.query_params.clear()  # as the browser does on its way to another page
    run(go(app, "glow"))
    assert "Look." not in [element.value for element in app.text]
    app.query_params.clear()
    run(go(app, "nice"))
    assert "Look." in [element.value for element in app.text]
    assert app.query_params["lock"] == "model"
    app.query_params.clear()
    app.query_params["data"] = "spiral"  # somebody else's link
    run(app)
    assert "Look." not in [element.value for element in app.text]
    assert app.query_params == {"data": "spiral"}


def test_a_teacher_makes_the_link():
    app = run(page("teach", model="nice", couplings="3"))
    app.text_area(key="teach.lesson.task").set_value("Try 2 couplings.\nWhy?")
    app.multiselect(key="teach.lesson.lock").set_value(["data"])
    run(app)
    link = next(text for text in copyable(app) if "couplings=3" in text)
    query = dict(parse_qsl(urlsplit(link).query))
    assert query == {"couplings": "3", "lock": "data", "task": "Try 2 couplings.\nWhy?"}


def test_quick_changes_stay_where_the_browsers_address_comes_late():
    app = run(page("nice", couplings="3"))
    before = dict(app.query_params)
    app.slider(key="nice.couplings").set_value(5)
    run(app)
    between = dict(app.query_params)
    for late, change in ((before, ("depth", 3)), (between, ("depth", 1))):
        app.query_params.clear()
        app.query_params.update(late)
        app.slider(key=f"nice.{change[0]}").set_value(change[1])
        run(app)
        assert app.slider(key="nice.couplings").value == 5
        assert app.slider(key=f"nice.{change[0]}").value == change[1]
        assert app.query_params["couplings"] == "5"


@pytest.mark.thorough
def test_the_same_link_gives_the_same_run_in_two_processes():
    code = f'''
import sys; sys.path.insert(0, {str(ROOT)!r})
import torch; torch.set_num_threads(1)
from models import RECIPES
from flowlab.ui.controls.settings import read
settings, complaints = read(RECIPES["glow"].Run, {{"data": "spiral", "steps": "2", "seed": "9",
    "hidden": "8,8", "epochs": "3", "points": "300"}})
assert not complaints
for p in RECIPES["glow"].train(settings):
    print(p.train_nll.hex(), p.test_nll.hex(), p.kl.hex(), p.inverse_error.hex())
print(sum(w.double().sum().item() for w in p.flow.state_dict().values()).hex())
'''
    there = subprocess.run([sys.executable, "-c", code], check=True, text=True,
                           capture_output=True).stdout
    with redirect_stdout(io.StringIO()) as here:
        exec(code, {})
    assert len(there.splitlines()) == 4 and there == here.getvalue()


@pytest.mark.parametrize(("first", "second"), [
    ("nice", "realnvp"), ("realnvp", "nice"), ("glow", "compare"), ("compare", "glow")])
def test_a_page_takes_nothing_from_an_address_that_another_wrote(first, second):
    app = run(AppTest.from_file(APP, default_timeout=120))
    told = ({"models": "nice", "points": "900"} if first == "compare"
            else {"points": "900", "title": "For others", "lock": "model"})
    app.query_params.update(told)
    run(go(app, first))
    for _ in range(2):  # the browser has gone on before that address reached it
        run(go(app, second))
        assert not app.error and app.query_params == {}
        assert not [strip for strip in app.expander if "For others" in strip.label]
        app.query_params.update(told)
    app.query_params.clear()
    run(go(app, first))
    assert app.query_params == told
