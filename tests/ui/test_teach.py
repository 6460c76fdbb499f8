"""The page for teachers: its lesson plan, and the links that it makes."""

from urllib.parse import parse_qsl, urlsplit

import pytest
from helpers import copyable
from pages_helpers import page, run

import lesson_plan
from flowlab.ui.app import documentation
from flowlab.ui.controls import experiments, links, validation
from flowlab.ui.teach import plan, qr
from models import RECIPES

pytestmark = pytest.mark.usefixtures("workers_end")

LINKS = [link for step in lesson_plan.STEPS for link in step.links]


def made(app) -> tuple[str, dict[str, str]]:
    """The page and the query of the link that the form has made."""
    url, = [text for text in copyable(app) if "://" in text or text.startswith("/")]
    parts = urlsplit(url)
    return parts.path.rpartition("/")[2], dict(parse_qsl(parts.query))


def test_the_steps_fill_the_lesson_without_a_gap():
    minutes = [step.minutes for step in lesson_plan.STEPS]
    assert [last for _, last in minutes[:-1]] == [first for first, _ in minutes[1:]]
    assert (minutes[0][0], minutes[-1][1]) == (0, 45)
    assert all(step.ask and step.text for step in lesson_plan.STEPS)


def test_the_page_has_every_step_and_what_to_ask():
    app = run(page("teach"))
    heads = [header.value for header in app.header]
    for step in lesson_plan.STEPS:
        assert "{} to {}: {}".format(*step.minutes, step.title) in heads
        for question, answer in step.ask:
            assert f"**Ask.** {question}" in [strip.label for strip in app.expander]
            filled = plan.filled(answer, RECIPES, documentation.link)
            assert filled in [m.value for m in app.markdown]
    kl = RECIPES["nice"].measured["volume"]["nice"]["numbers"]["kl"]
    assert any(f"A KL of {kl:.2f} nats with NICE" in m.value for m in app.markdown)


@pytest.mark.parametrize("link", LINKS, ids=lambda link: link.label)
def test_a_steps_link_is_changed_in_the_form_and_stays_the_same_until_then(link):
    app = run(page("teach"))
    if link.page not in RECIPES:
        assert f"teach.change.{link.label}" not in [button.key for button in app.button]
        return
    app.button(key=f"teach.change.{link.label}").click()
    run(app)
    assert made(app) == (link.page, plan.texts(link, RECIPES))


def test_the_form_makes_a_link_that_its_page_reads_without_a_complaint():
    app = run(page("teach", model="nice"))
    assert made(app) == ("nice", {})
    app.text_input(key="teach.lesson.title").set_value("Größe & **co**")
    app.text_area(key="teach.lesson.task").set_value("Try 2 couplings.\nWhy?")
    app.text_area(key="teach.lesson.expect").set_value("Yes | no\nNo\n\n")
    app.multiselect(key="teach.lesson.hide").set_value(["data", "seed"])
    app.multiselect(key="teach.lesson.lock").set_value(["couplings", "network"])
    app.selectbox(key="teach.lesson.show").set_value("flow")
    app.multiselect(key="teach.lesson.overlays").set_value([])
    app.selectbox(key="teach.lesson.view").set_value("loss")
    app.slider(key="teach-nice.couplings").set_value(3)
    run(app)
    name, query = made(app)
    assert query == {
        "couplings": "3", "hide": "data,seed", "lock": "network,couplings",
        "title": "Größe & **co**", "task": "Try 2 couplings.\nWhy?", "view": "loss",
        "expect": "Yes / no|No", "show": "flow", "overlays": "none"}
    assert app.query_params == {"model": "nice", **query}  # a draft outlives the browser's reload
    told = {n: query.pop(n) for n in links.PARAMETERS if n in query}
    lesson, complaints = links.read(told, experiments.names(RECIPES[name], RECIPES),
                                    links.names(RECIPES[name].Run))
    settings, more = validation.read(RECIPES[name].Run, query)
    assert (lesson.texts(), settings.texts(), complaints + more) == (told, query, [])


def test_single_settings_are_hidden_and_locked():
    app = run(page("nice", hide="seed", lock="couplings", show="flow", overlays="grid,data"))
    labels = {w.label: w for kind in (app.slider, app.number_input, app.selectbox) for w in kind}
    assert labels["Couplings"].disabled and "Seed" not in labels
    assert not labels["Points"].disabled
    assert app.segmented_control(key="nice.view").value == "Through the flow"
    assert app.session_state["nice.layers"] == ["grid", "data"]


@pytest.mark.parametrize(("texts", "word"), [
    ({"hide": "wings"}, "hide"), ({"show": "x"}, "show"), ({"overlays": "x"}, "overlays")])
def test_what_a_picture_cannot_show_gets_one_sentence(texts, word):
    _, complaints = links.read(texts, names=links.names(RECIPES["nice"].Run))
    assert len(complaints) == 1 and complaints[0].startswith(word)


def test_a_draft_of_what_there_is_not_gets_a_sentence():
    app = run(page("teach", model="wings"))
    assert len(app.error) == 1 and app.error[0].value.startswith("model")


def test_share_leads_to_the_form_with_the_pages_settings():
    app = run(page("nice", couplings="3", task="Look."))
    link, = [m for m in app.get("page_link") if "class" in m.proto.label]
    assert dict(parse_qsl(link.proto.query_string)) == {
        "model": "nice", "couplings": "3", "task": "Look."}


def test_a_code_holds_its_link_and_says_when_it_cannot():
    link = "http://192.168.1.20:8501/nice?task=" + "Look+at+it." * 30
    code = qr.code(link)
    assert not code.is_micro
    assert qr.png(link).startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="too long"):
        qr.code("http://lab/" + "a" * 3000)


def test_help_says_how_to_build_what_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(documentation, "SITE", tmp_path)
    assert documentation.address("lesson") == ""
    assert documentation.link("the plan", "lesson") == "the plan"
    assert documentation.MISSING in [m.value for m in run(page("teach")).markdown]
    (tmp_path / "lesson.html").write_text("there")
    assert documentation.link("the plan", "lesson") == "[the plan](/app/static/docs/lesson.html)"
