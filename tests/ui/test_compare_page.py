"""The comparison's page in Streamlit's test harness."""

import csv
import io
import time
from pathlib import Path

import pytest
import runs_helpers as made
from pages_helpers import TINY, go, state
from streamlit.testing.v1 import AppTest

from flowlab.jobs import Status
from flowlab.studies.comparison import Comparison, Contest, Entry
from flowlab.studies.comparison.contest import TrialRun
from flowlab.studies.comparison.plan import plan
from flowlab.ui.app.lab import lab
from flowlab.ui.compare import controls, table
from flowlab.ui.compare.pictures import _caption, _of, drawn, file
from models import RECIPES

APP = Path(__file__).parents[2] / "app.py"


pytestmark = pytest.mark.usefixtures("workers_end")


def page(**query: str) -> AppTest:
    app = AppTest.from_file(APP, default_timeout=120).run()
    for key, text in query.items():
        app.query_params[key] = text
    return run(go(app, "compare"))


def run(app: AppTest) -> AppTest:
    app.run()
    assert not app.exception, app.exception
    return app


def status(app: AppTest) -> str:
    return next(m.value for m in app.markdown if "-badge[" in m.value)


def until(app: AppTest, words: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while words not in (line := status(app)):
        assert time.monotonic() < deadline, line
        time.sleep(0.1)
        run(app)


def stored(name: str) -> Contest:
    return Contest.open(name, lab().recorder, RECIPES)


def board(app: AppTest) -> str:
    return next(h.proto.body for h in app.get("html") if "scoreboard" in h.proto.body)


@pytest.mark.thorough
def test_one_press_compares_all_models_by_default():
    app = page()
    assert "Ready" in status(app) and not app.error and dict(app.query_params) == {}
    assert not app.button(key="compare.start").disabled
    assert app.button(key="compare.stop").disabled
    for title in ("NICE", "RealNVP", "Glow", "Two moons", "KL to the truth"):
        assert title in board(app)


@pytest.mark.thorough
def test_compares_to_the_table_and_a_reload_finds_it():
    app = page(**TINY, seeds="2", data="moons,eight_gaussians")
    app.button(key="compare.start").click()
    run(app)
    until(app, "Finished")
    name = state(app, "compare").contest.id
    assert app.query_params["run"] == name
    shown = board(app)
    assert "Small" in shown and "Eight Gaussians" in shown and "±" in shown
    again = page(run=name)
    assert "Finished" in status(again) and board(again) == shown
    assert again.query_params["models"] == TINY["models"]
    assert again.slider(key="compare.seeds").value == 2
    values = list(csv.DictReader(io.StringIO(stored(name).table().csv())))
    assert [row["model"] for row in values] == ["NICE", "Small"] * 2
    assert all(float(row["kl"]) > 0 for row in values)


@pytest.mark.thorough
def test_of_a_comparison_that_is_over_the_server_holds_the_png_alone():
    app = page(**TINY)
    app.button(key="compare.start").click()
    run(app)
    until(app, "Finished")
    contest = stored(state(app, "compare").contest.id)
    deadline = time.monotonic() + 60
    while not drawn(contest, "density", "light")[1]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    png, _ = drawn(contest, "density", "light")
    assert png and _of(contest, "light").picture is None
    again, fresh = drawn(contest, "samples", "light")  # another view: made anew
    while not fresh:
        assert time.monotonic() < deadline
        again, fresh = drawn(contest, "samples", "light")
        time.sleep(0.05)
    assert again != png and _of(contest, "light").picture is None
    assert file(contest, "svg", "samples", "light").startswith(b"<?xml")


@pytest.mark.thorough
def test_after_a_restart_the_link_opens_it_and_what_is_missing_is_trained():
    app = page(**TINY)
    app.button(key="compare.start").click()
    run(app)
    until(app, "Finished")
    name, shown = state(app, "compare").contest.id, board(app)
    lab().store.measure(f"{name}e1d0s0", b"damaged")
    again = page(run=name)
    assert "Not finished" in status(again) and again.query_params["models"] == TINY["models"]
    (warning,) = again.warning
    assert warning.value.startswith("Small · Two moons") and "damaged" in warning.value
    assert board(again) != shown
    kept = stored(name).results()
    again.button(key="compare.missing").click()
    run(again)
    until(again, "Finished")
    assert "compare.missing" not in [b.key for b in again.button] and not again.warning
    results = stored(name).results()
    assert len(results) == 2 and kept.items() <= results.items()


def test_a_finished_run_is_added_measured_and_taken_out():
    run_id, other = (made.kept(lab().store, data=data) for data in ("rings", "spiral"))
    made.kept(lab().store, "stopped", data="funnel")  # not offered
    app = page(**TINY)
    offered = app.selectbox(key="compare.addrun.0").options
    assert [name.rpartition(",")[0] for name in offered[:2]] == [
        f"NICE · {title} · hidden layers 8 × 8, 4 epochs, 200 points"
        for title in ("Spiral", "Four rings")]
    assert not any("funnel" in name for name in offered)
    app.selectbox(key="compare.addrun.0").select(run_id)
    run(app)
    assert app.query_params["runs"] == run_id and app.query_params["data"] == "moons,rings"
    assert app.selectbox(key="compare.addrun.1").value is None
    left = app.selectbox(key="compare.addrun.1").options
    assert left == [name for name in offered if name != offered[1]]
    assert "NICE · hidden layers 8…" in board(app) and "Trained on Four rings" in board(app)
    for rival in state(app, "compare").rivals:
        app.button(key=f"{rival.controls.prefix}.remove").click()
        run(app)
    assert app.query_params["models"] == "none"
    assert app.button(key=f"compare.{run_id}.remove").disabled  # something must be left
    app.button(key="compare.choose.moons").click()
    run(app)
    app.button(key="compare.start").click()
    run(app)
    until(app, "Finished")
    ((key, result),) = stored(state(app, "compare").contest.id).results().items()
    assert key == (0, "rings", 0) and f"{result.values['nll']:.3f}" in board(app)
    for name in (run_id, other):
        lab().store.delete(name)
    again = page(run=app.query_params["run"])  # the run is gone, what was measured is not
    assert "Finished" in status(again) and board(again) == board(app)
    assert len(state(again, "compare").rivals) == 1


def test_a_link_to_a_run_that_is_gone_gets_one_sentence():
    app = page(**TINY, runs="0123")
    assert len(app.error) == 1 and "0123 is no longer stored" in app.error[0].value
    assert "runs" not in app.query_params and "Ready" in status(app)


def test_stop_keeps_what_was_measured():
    app = page(**{**TINY, "amount": "9000"}, seeds="2")
    app.button(key="compare.start").click()
    run(app)
    until(app, "under way")
    app.button(key="compare.stop").click()
    run(app)
    until(app, "Stopped")
    run(app)  # it may have ended between the buttons and the line below them
    assert not app.button(key="compare.start").disabled


def test_models_are_added_changed_and_removed():
    app = page(**TINY)
    app.button(key="compare.add.glow").click()
    run(app)
    assert app.query_params["models"] == TINY["models"] + ";glow"
    first, second, third = state(app, "compare").rivals
    app.slider(key=f"{second.controls.prefix}.couplings").set_value(5)
    app.text_input(key=f"{second.controls.prefix}.label").set_value("Five: *")
    app.button(key=f"{first.controls.prefix}.remove").click()
    run(app)
    texts = dict(app.query_params)
    (realnvp, glow), complaints = controls.read(texts, RECIPES)[0].models, controls.read(
        texts, RECIPES)[1]
    assert complaints == [] and glow == Entry(model="glow")
    assert realnvp.label == "Five: *" and realnvp.settings == {"couplings": "5", "hidden": "4"}
    assert "Five: *" in board(app)


def test_thumbnails_take_distributions_in_and_out():
    app = page(**TINY)
    app.button(key="compare.choose.spiral").click()
    run(app)
    assert app.query_params["data"] == "moons,spiral"
    app.button(key="compare.choose.moons").click()
    run(app)
    app.button(key="compare.choose.spiral").click()  # the last one stays
    run(app)
    assert app.query_params["data"] == "spiral"


@pytest.mark.parametrize(("query", "words"), [
    ({"models": "bend"}, "bend"), ({"models": "nice:couplings=999;glow"}, "couplings"),
    ({"models": "nice:hidden=8,16"}, "one width"), ({"data": "moonz"}, "moonz"),
    ({"seeds": "0"}, "seeds"), ({"amount": "nan"}, "amount"), ({"wings": "1"}, "wings"),
    ({"budget": "hours"}, "budget"), ({"seeds": "11"}, "seeds"), ({"level": "1e-9"}, "level"),
    ({"budget": "seconds", "amount": "601"}, "amount"), ({"parameters": "7"}, "parameters"),
    ({"amount": "0.5"}, "amount"), ({"run": "0123"}, "no longer on this server"),
    ({"run": "../x"}, "letters and digits"),
])
def test_a_url_out_of_range_gets_one_sentence_and_the_default(query, words):
    app = page(**query)
    assert len(app.error) == 1 and words in app.error[0].value
    assert "Ready" in status(app)


def test_what_cannot_be_compared_cannot_be_started():
    app = page(parameters="100")
    assert app.button(key="compare.start").disabled
    assert any("100 parameters" in m.value for m in app.markdown)


def test_a_label_is_text_and_nothing_else():
    rows = controls.read({"models": "nice:label=%3Cb%3E$x$"}, RECIPES)[0]
    app = page(models=rows.models[0].text())
    assert "&lt;b&gt;$x$" in board(app) and "<b>" not in board(app)


def test_the_note_says_how_to_read_the_marks():
    assert "One seed" in table.note(Comparison())
    assert "Welch" in table.note(Comparison(seeds=3))


@pytest.mark.parametrize(("seeds", "said"), [(1, "KL 0.250"), (3, "seed 0: KL 0.250")])
def test_a_square_says_whose_number_it_shows(seeds, said):
    comparison = Comparison(models=(Entry(model="nice"),), seeds=seeds)
    run = TrialRun(plan(comparison, RECIPES)[0], "", Status("queued"), curve=[(1, 0.1, 0.25)])
    assert _caption(run, True, seeds) == f"{said}  waiting"
    assert ("one of them" in table.note(comparison)) == (seeds > 1)
