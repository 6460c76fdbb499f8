"""Runs from disk on the pages: opened after a restart, listed, named, deleted, and swept."""

import time

import pytest
import runs_helpers as made
import streamlit as st
from helpers import copyable
from pages_helpers import APP, SMALL, go, page, run, state, status, until
from streamlit.testing.v1 import AppTest

from flowlab.runs import pack, unpack
from flowlab.studies.sweep import Sweep, SweepSettings
from flowlab.ui import runs as history
from flowlab.ui.app.lab import lab
from models import RECIPES

pytestmark = pytest.mark.usefixtures("workers_end")


def restart():
    lab().recorder.close()
    lab().close()
    st.cache_resource.clear()


def kept(outcome="finished", model="nice", name="", **changes):
    store, settings = lab().store, made.settings(model, **changes)
    run_id = store.begin(settings, name=name)
    store.record(run_id, made.frames(settings))
    store.end(run_id, outcome, "A reason." if outcome == "stopped" else "")
    return run_id


@pytest.fixture(autouse=True)
def _empty():
    """Tests of other files, with the same lab, may have left runs."""
    for one in lab().store.runs():
        lab().store.delete(one.id)


def listed():
    return go(AppTest.from_file(APP, default_timeout=120).run(), "history")


def test_a_run_is_opened_after_a_restart_and_trained_on():
    app = run(page("nice", **SMALL))
    app.button(key="nice.train").click()
    run(app)
    until(app, "Finished")
    run_id = state(app, "nice").run
    before = {m.label: m.value for m in app.metric}
    restart()
    again = run(page("nice", run=run_id))
    assert "Finished" in status(again) and not again.error
    assert {m.label: m.value for m in again.metric} == before
    assert again.number_input(key="nice.epochs").value == 2
    assert again.query_params["run"] == run_id
    found = lab().find(run_id)
    assert found.outcome == "finished" and lab().frames(found)[-1].has_weights
    again.button(key="nice.pause").click()  # Continue
    run(again)
    until(again, "Finished")
    after = lab().find(state(again, "nice").run)
    assert after.id != run_id and after.continued
    assert lab().recorder.done(after.id, 60) and lab().store.get(after.id).continued


def test_runs_that_were_broken_off_say_so():
    stopped, going = kept("stopped"), kept("queued")
    assert "A reason." in status(run(page("nice", run=stopped)))
    elsewhere = run(page("nice", run=going))
    assert "Training elsewhere" in status(elsewhere)
    with lab().store._db.write() as db:
        db.execute("UPDATE runs SET beat = 0, owner = 'x/1/0' WHERE id = ?", (going,))
    app = run(page("nice", run=going))
    assert "Interrupted" in status(app) and "Continue" in status(app)
    assert not app.button(key="nice.pause").disabled


@pytest.mark.parametrize(("changes", "words"), [
    ({"event_shape": (3,)}, "points of the plane"), ({"hidden": (8, 16)}, "one width"),
    ({"data": "own-0123456789abcdef"}, "not on this server"),
])
def test_runs_that_a_page_cannot_show_get_one_sentence(changes, words):
    app = run(page("nice", run=kept(**changes)))
    assert len(app.error) == 1 and words in app.error[0].value
    assert "Ready" in status(app) and "run" not in app.query_params
    wrong = run(page("glow", run=kept()))
    assert "no longer on this server" in wrong.error[0].value


def test_the_list_filters_names_and_deletes(monkeypatch):
    app = run(listed())
    assert "There is no run yet" in app.info[0].value
    first, second = kept(name="first try"), kept("stopped", "glow", "second", data="circles")
    run(app)
    table = app.dataframe[0].value
    assert list(table["name"]) == ["second", "first try"]
    assert list(table["data"]) == ["Two circles", "Two moons"]
    assert list(table["outcome"]) == ["Stopped", "Finished"] and list(table["kl"]) == [0.6, 0.6]
    assert all(address.startswith("data:image/jpeg;base64,") for address in table["picture"])
    assert all(app.button(key=f"runs.{key}").disabled for key in ("open", "rename", "delete"))
    app.multiselect(key="runs.model").set_value(["glow"])
    assert list(run(app).dataframe[0].value["name"]) == ["second"]
    app.multiselect(key="runs.model").set_value([])
    app.text_input(key="runs.words").set_value("TRY first")
    assert list(run(app).dataframe[0].value["name"]) == ["first try"]
    monkeypatch.setattr(history, "_table", lambda runs, titles: [0][:len(runs)])
    run(app)
    assert not app.button(key="runs.open").disabled
    app.button(key="runs.pin").click()
    run(app)
    assert lab().store.get(first).pinned
    app.button(key="runs.rename").click()
    run(app)
    app.text_input(key="runs.newname").set_value("a first try")
    app.button(key="runs.save").click()
    run(app)
    assert lab().store.get(first).name == "a first try"
    app.button(key="runs.delete").click()
    run(app)
    assert lab().store.get(first) is not None  # not before it is confirmed
    app.button(key="runs.confirm").click()
    run(app)
    assert lab().store.get(first) is None and lab().store.get(second) is not None
    app.number_input(key="runs.budget").set_value(500)
    run(app)
    assert lab().store.quota == 500_000_000


def test_an_imported_run_opens_on_its_page():
    run_id = unpack(lab().store, pack(lab().store, kept()))
    app = run(page("nice", run=run_id))
    assert "Finished" in status(app) and not app.error
    assert lab().store.get(run_id).origin == "import"


def test_a_run_under_way_is_not_deleted():
    run_id = kept("queued")
    with pytest.raises(ValueError, match="stop it"):
        lab().delete(run_id)


def test_a_sweep_is_renamed_opened_and_deleted_with_its_runs():
    other = kept()
    settings = SweepSettings(name="depth", model="nice", settings={"points": 200},
                             sweep={"couplings": (2, 4)})
    work = Sweep(settings, RECIPES["nice"], lab().store)
    for point in work.points:
        lab().store.end(lab().store.begin(point.settings, origin="sweep", group=work.group,
                                          name="depth: one"), "stopped")
    lab().store.choose(work.group, settings.model_dump_json())
    app = run(listed())
    assert app.button(key="groups.open").disabled
    app.selectbox(key="groups.chosen").select(work.group)
    run(app)
    app.button(key="groups.rename").click()
    run(app)
    app.text_input(key="groups.newname").set_value("how deep")
    app.button(key="groups.save").click()
    run(app)
    assert any("how deep (sweep, 0 of 2 trained)" in option
               for option in app.selectbox(key="groups.chosen").options)
    app.button(key="groups.open").click()
    run(app)
    assert app.query_params["run"] == work.group and not app.error
    assert list(app.dataframe[0].value["Outcome"]) == ["stopped"] * 2
    app = run(listed())
    app.selectbox(key="groups.chosen").select(work.group)
    run(app)
    app.button(key="groups.delete").click()
    run(app)
    app.button(key="groups.confirm").click()
    run(app)
    assert [one.id for one in lab().store.runs()] == [other]


def test_a_sweep_in_the_app():
    app = run(go(AppTest.from_file(APP, default_timeout=120).run(), "sweeps"))
    app.selectbox(key="sweeps.model").set_value("nice")
    app.number_input(key="sweeps.epochs").set_value(1)
    run(app)
    app.selectbox(key="sweeps.nice.0").set_value("batch_size")
    app.selectbox(key="sweeps.nice.1").set_value("points")
    run(app)
    app.text_input(key="sweeps.nice.values.batch_size").set_value("50, 0")
    app.text_input(key="sweeps.nice.values.points").set_value("100")
    run(app)
    assert "batch_size is 0" in app.error[0].value
    app.text_input(key="sweeps.nice.values.batch_size").set_value("50, 100")
    run(app)
    assert not app.error and "points = [100]" in copyable(app)[0]
    app.button(key="sweeps.start").click()
    run(app)
    until_trained(app)
    runs = lab().store.runs()
    assert len(runs) == 2 and {one.origin for one in runs} == {"sweep"}
    assert list(app.dataframe[0].value["Outcome"]) == ["finished"] * 2
    app.button(key="sweeps.start").click()
    run(app)
    assert lab().store.runs() == runs  # nothing is left to train
    for unit, line in (("steps", "optimiser_steps = 1000"), ("seconds", "seconds = 10.0")):
        app.selectbox(key="sweeps.budget").set_value(unit)
        run(app)
        assert not app.error and line in copyable(app)[0] and "epochs" not in copyable(app)[0]


def test_a_sweeps_link_has_its_settings():
    query = {"model": "nice", "data": "rings", "seconds": "3", "seeds": "2",
             "measure": "test_nll", "sweep": "activation:relu, tanh;couplings:2, 4"}
    app = run(page("sweeps", **query))
    assert not app.error and app.query_params == query
    text = copyable(app)[0]
    for part in ('"rings"', "seconds = 3.0", "seeds = 2", "test_nll", "couplings = [2, 4]",
                 'activation = ["relu", "tanh"]'):
        assert part in text, text
    app.number_input(key="sweeps.seeds").set_value(1)
    run(app)
    assert app.query_params == {n: t for n, t in query.items() if n != "seeds"}


@pytest.mark.parametrize(("query", "word"), [
    ({"model": "wings"}, "model"), ({"seeds": "0"}, "seeds"), ({"epochs": "x"}, "epochs"),
    ({"data": "x"}, "data"), ({"sweep": "wings:1"}, "wings"), ({"wings": "1"}, "wings")])
def test_what_a_sweeps_link_cannot_have_gets_one_sentence(query, word):
    app = run(page("sweeps", **query))
    sentence, = [error.value for error in app.error]
    assert word in sentence
    assert app.query_params == {}


def test_runs_that_cannot_be_compared_say_why():
    one, other = (lab().store.get(kept(couplings=n)) for n in (1, 2))
    assert history._incomparable([one, other]) == ""
    stopped = lab().store.get(kept("stopped"))
    assert "not finished" in history._incomparable([one, stopped])
    assert "Select the runs" in history._incomparable([one])
    assert "up to" in history._incomparable([one] * 50)


def until_trained(app):
    deadline = time.monotonic() + 120
    while app.button(key="sweeps.start").disabled:
        assert time.monotonic() < deadline
        time.sleep(0.1)
        run(app)
