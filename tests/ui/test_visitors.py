"""Visitors of a shared server: what each lists, opens and may not touch."""

import shlex
import sqlite3
import time

import pytest
import runs_helpers as made
import streamlit as st
from limited import limited
from pages_helpers import APP, go, page, run, state, status, until
from streamlit.testing.v1 import AppTest

from flowlab.live import export
from flowlab.runs import Store, pack, unpack
from flowlab.runs import database as tables
from flowlab.server.admission import NotYours
from flowlab.server.limits import Exceeded
from flowlab.studies.comparison import Comparison, Contest, Entry, archive
from flowlab.studies.comparison.finished import FinishedRun
from flowlab.studies.sweep import Sweep, SweepSettings
from flowlab.ui.app import visitor
from flowlab.ui.app.lab import lab
from flowlab.ui.app.state import KEY
from flowlab.ui.compare.page import command, stop
from flowlab.ui.compare.page import train as compare
from flowlab.ui.elements.escape import plain
from models import RECIPES

pytestmark = pytest.mark.usefixtures("workers_end")

NASTY = "<script>alert(1)</script> ![x](http://a.b/c) **b** $(touch x) ../../etc `id` www.a.b"


@pytest.fixture
def shared(monkeypatch):
    """A shared server; every session of the harness is another browser, without cookies."""
    monkeypatch.setattr(visitor, "_cookie", lambda: None)
    with limited(shared=True):
        yield
        for one in lab().store.runs():
            lab().store.delete(one.id)


def kept(visitor: str = "", name: str = "") -> str:
    store, settings = lab().store, made.settings("nice")
    run_id = store.begin(settings, name=name, visitor=visitor)
    store.record(run_id, made.frames(settings))
    store.end(run_id, "finished")
    return run_id


def test_a_database_from_before_gets_the_column_and_its_runs_are_nobodys(tmp_path):
    old = tables.TABLES.replace(",\n    visitor TEXT NOT NULL DEFAULT ''", "")
    assert "visitor" not in old
    with sqlite3.connect(tmp_path / "runs.sqlite") as db:
        db.executescript(old + "PRAGMA user_version = 1;")
        db.execute("INSERT INTO runs (id, name, origin, family, model, data, settings, versions, "
                   "created, outcome, owner, beat) VALUES ('aa', 'old', 'page', '', 'nice', "
                   "'moons', ?, '{}', 1, 'finished', 'x/1/0', 0)",
                   (made.settings().model_dump_json(),))
    db.close()
    store = Store(tmp_path)
    assert [one.visitor for one in store.runs()] == [""]
    new = store.begin(made.settings(), visitor="ada")
    assert Store(tmp_path).get(new).visitor == "ada"  # opened again: no second upgrade
    assert [one.id for one in store.runs(visitor="ada")] == [new]
    assert store.runs(visitor="bob") == [] and len(store.runs()) == 2


def test_a_run_that_goes_on_stays_whose_it_was(tmp_path):
    store = Store(tmp_path)
    run_id = store.begin(made.settings(), visitor="ada")
    store.begin(made.settings(), run_id=run_id, visitor="bob")
    assert store.get(run_id).visitor == "ada"


def test_a_file_says_nothing_of_its_owner(tmp_path):
    store = Store(tmp_path)
    run_id = made.kept(store)
    with store._db.write() as db:
        db.execute("UPDATE runs SET visitor = 'secret-of-ada'")
    file = pack(store, run_id)
    assert b"secret-of-ada" not in file
    assert store.get(unpack(store, file, "bob")).visitor == "bob"


def test_only_the_owner_may_change_a_run(shared):
    mine, other, old = kept("ada"), kept("bob"), kept()
    assert [one.id for one in lab().runs("ada")] == [mine]
    assert lab().runs("") == []
    for run_id in (other, old):
        for visitor_name in ("ada", ""):
            with pytest.raises(NotYours, match="another visitor"):
                lab().delete(run_id, visitor_name)
            with pytest.raises(NotYours):
                lab().rename(run_id, "mine now", visitor_name)
            with pytest.raises(NotYours):
                lab().pin(run_id, True, visitor_name)
            with pytest.raises(NotYours):
                lab().control(lab().find(run_id), "stop", visitor=visitor_name)
        assert lab().store.get(run_id).name.startswith("NICE · Two moons")
    with pytest.raises(ValueError, match="operator"):
        lab().set_room(50_000_000)
    lab().rename(mine, "hers", "ada")
    lab().pin(mine, True, "ada")
    assert lab().store.get(mine).pinned and lab().store.get(mine).name == "hers"
    lab().delete(mine, "ada")
    assert lab().store.get(mine) is None


def test_where_nothing_is_shared_everybody_may():
    run_id = kept("ada")
    assert [one.id for one in lab().runs("")] == [run_id]
    lab().rename(run_id, "ours")
    lab().delete(run_id)
    assert lab().store.get(run_id) is None


def test_only_the_owner_steers_a_run_under_way(shared):
    settings = made.settings(epochs=10_000)
    run_id = lab().submit(RECIPES["nice"].train, settings, "light", "ada", "step", visitor="ada")
    training = lab().find(run_id)
    for action, value in (("stop", None), ("resume", None), ("send", {"learning_rate": 0.5})):
        with pytest.raises(NotYours):
            lab().control(training, action, value, "bob")
    lab().wait(training, 60)
    lab().dress(training, "dark", ("grid",), "bob")
    assert not lab().find(run_id).steered
    with pytest.raises(NotYours):
        lab().delete(run_id, "bob")
    assert lab().status(training).active
    lab().control(training, "stop", visitor="ada")
    assert lab().recorder.done(run_id, 120) and not lab().status(training).active


def test_a_visitor_has_so_many_runs_and_no_more():
    long = made.settings(epochs=10_000)

    def train(who: str) -> str:
        return lab().submit(RECIPES["nice"].train, long, "light", who, "step")

    comparison = Comparison(models=(Entry(model="nice"), Entry(model="glow")), points=100)
    with limited(max_runs=2):
        with pytest.raises(Exceeded, match="max_runs"), lab().admission.admitted([long] * 3, "ada"):
            raise AssertionError("let in")
        runs = [train("ada")]
        with pytest.raises(Exceeded, match="2 trainings besides your 1 under way"):
            compare(Contest(lab().recorder, comparison, RECIPES), "ada")
        runs += [train("ada"), train("bob")]
        with pytest.raises(Exceeded, match=r"You have 2 .* 2 runs \(max_runs\)"):
            train("ada")
        lab().recorder.stop(runs)
        runs.append(train("ada"))
        lab().recorder.stop(runs)


def test_comparisons_are_their_owners(shared):
    comparison = Comparison(models=(Entry(model="nice"),), amount=1000)
    contest = Contest(lab().recorder, comparison, RECIPES, visitor="ada")
    compare(contest, "ada", "ada")
    for act in (lambda: stop(contest, "bob"), lambda: compare(contest, "b", "bob")):
        with pytest.raises(NotYours):
            act()
    assert Contest.open(contest.id, lab().recorder, RECIPES).visitor == "ada"
    stop(contest, "ada")
    deadline = time.monotonic() + 120
    while contest.active:
        assert time.monotonic() < deadline
        contest.poll()
        time.sleep(0.05)
    with limited(max_seconds=5), pytest.raises(Exceeded, match="max_seconds"):
        compare(Contest(lab().recorder, Comparison(models=comparison.models, budget="seconds",
                                                   amount=6), RECIPES, visitor="ada"), "ada", "ada")


def test_sweeps_of_two_visitors_do_not_meet(tmp_path):
    settings = SweepSettings(model="nice", settings={"epochs": 1}, sweep={"couplings": [2, 4]})
    sweeps = [Sweep(settings, RECIPES["nice"], Store(tmp_path), who) for who in ("ada", "bob", "")]
    assert len({sweep.group for sweep in sweeps}) == 3
    sweeps[0].store.begin(sweeps[0].points[0].settings, group=sweeps[0].group, visitor="ada")
    assert [len(sweep.left()) for sweep in sweeps] == [1, 2, 2]


def test_two_visitors_in_the_app(shared):
    app = run(page("nice", epochs="2", points="200", hidden="8,8"))
    assert any(c.proto.id for c in app.get("bidi_component"))
    app.button(key="nice.train").click()
    run(app)
    until(app, "Finished")
    run_id = state(app, "nice").run
    assert lab().recorder.done(run_id, 60)
    owner = lab().store.get(run_id).visitor
    assert len(owner) == 32 and app.session_state[KEY].token not in owner
    assert len(run(go(app, "history")).dataframe[0].value) == 1

    other = run(go(AppTest.from_file(APP, default_timeout=120).run(), "history"))
    assert not other.dataframe and "There is no run yet" in other.info[0].value
    assert other.number_input(key="runs.budget").disabled
    seen = run(page("nice", run=run_id))
    assert "Another visitor's" in status(seen) and "Finished" in status(seen)
    assert not seen.error and seen.query_params["run"] == run_id
    seen.button(key="nice.pause").click()  # Continue
    run(seen)
    until(seen, "Finished")
    new = state(seen, "nice").run
    assert new != run_id and "Another" not in status(seen)
    assert lab().recorder.done(new, 60) and lab().store.get(new).visitor not in ("", owner)


def test_anothers_run_under_way_has_no_buttons_that_steer(shared):
    settings = made.settings(epochs=10_000)
    run_id = lab().submit(RECIPES["nice"].train, settings, "light", "ada", visitor="ada")
    lab().wait(lab().find(run_id), 60)
    app = run(page("nice", run=run_id))
    assert "Another visitor's" in status(app)
    stop = app.button(key="nice.stop")
    assert stop.disabled and "another visitor" in stop.help
    assert app.select_slider(key="nice.rate").disabled
    assert app.button(key="nice.pause").label == "Continue"
    assert not app.button(key="nice.train").disabled
    assert lab().status(lab().find(run_id)).active
    lab().recorder.stop([run_id])


def test_two_sessions_are_two_owners_also_where_nothing_is_shared():
    ids = []
    for name in "nice", "realnvp":
        app = run(page(name, epochs="9000"))
        app.button(key=f"{name}.train").click()
        run(app)
        ids.append(state(app, name).run)
    mine, other = (next(owner for owner in owners() if run_id in lab().engine.runs(owner))
                   for run_id in ids)
    assert mine != other
    for run_id in ids:
        lab().engine.control(run_id, "stop")
        lab().engine.wait(run_id, 60)


def owners() -> set[str]:
    """Whose runs the lab's engine has."""
    return {run.owner for run in lab().engine._pool.queue.runs.values()}


def test_what_is_refused_is_said_on_the_page():
    with limited(max_epochs=5):
        app = run(page("nice", epochs="6", points="200"))
        app.button(key="nice.train").click()
        run(app)
        assert "max_epochs" in app.error[0].value and "run" not in app.query_params
        assert not run(app).error


def test_limits_that_cannot_be_read_are_said_at_once():
    with limited(max_epochs="many"):
        app = AppTest.from_file(APP, default_timeout=120).run()
    assert "FLOWLAB_MAX_EPOCHS" in app.error[0].value and not app.exception and not app.title


def test_who_a_visitor_is(monkeypatch):
    told, cookies = {}, {}

    class Context:
        def __init__(self) -> None:
            self.cookies = cookies

    monkeypatch.setattr(st, "user", told)
    monkeypatch.setattr(st, "context", Context())
    state: dict = {}
    monkeypatch.setattr(st, "session_state", state)
    assert visitor.visitor() == "" and not state
    with limited(shared=True):
        guest = visitor.visitor()
        assert visitor.visitor() == guest and len(state[KEY].token) == 43
        cookies[visitor.COOKIE] = state.pop(KEY).token
        assert visitor.visitor() == guest  # the page was loaded again
        told.update(is_logged_in=True, iss="https://school", sub="7")
        person = visitor.visitor()
        state.clear()
        cookies.clear()
        assert visitor.visitor() == person != guest  # on another machine
        told["iss"] = "https://elsewhere"
        assert visitor.visitor() not in (person, guest)
        told.clear()
        cookies[visitor.COOKIE] = "<x>; a=b"
        assert visitor.visitor() and "<" not in state[KEY].token


def test_nobody_comes_in_without_the_login_that_the_operator_wants(monkeypatch):
    def opened(**secrets):
        app = AppTest.from_file(APP, default_timeout=120)
        for name, value in secrets.items():
            app.secrets[name] = value
        return app.run()

    with limited(login=True):
        app = opened()
        assert "none is set up" in app.error[0].value and not app.button and not app.exception
        app = opened(auth={"client_id": "a"})  # but Authlib is not there
        assert "streamlit[auth]" in app.error[0].value
        monkeypatch.setattr(visitor.importlib.util, "find_spec", lambda name: True)
        app = opened(auth={"client_id": "a"})
        assert [button.label for button in app.button] == ["Log in"] and not app.error
        assert app.title[0].value == "Flow Lab" and not app.sidebar.children
        monkeypatch.setattr(st, "user", {"is_logged_in": False, "sub": "7"})
        assert [button.label for button in opened(auth={}).button] == ["Log in"]
        monkeypatch.setattr(st, "user", {"is_logged_in": True, "sub": "7"})
        app = opened(auth={"client_id": "a"})
        assert app.title[0].value != "Flow Lab" and not app.exception
        assert "Log out" in [button.label for button in app.sidebar.button]
    monkeypatch.setattr(st, "user", {})
    assert "Log out" not in [button.label for button in opened().sidebar.button]


def test_words_of_people_are_neither_markup_nor_commands(tmp_path):
    shown = plain(NASTY)
    for part in ("<", "[", "*", "$", "`", "!", ":", "www."):
        assert part not in shown.replace("\\" + part, "").replace("www\\.", "")
    assert plain("batch_size is 0, _not_ 1") == r"batch_size is 0, \_not\_ 1"
    comparison = Comparison(models=(Entry(model="nice", label=NASTY[:20]),), data=("moons", "o'b"))
    parts = shlex.split(command(comparison))
    assert parts[:3] == ["python", "-m", "flowlab.comparison"]
    read = dict(part.removeprefix("--").split("=", 1) for part in parts[3:])
    assert Comparison.model_validate(read) == comparison
    settings = made.settings("nice", data="../../x y;$(id)<b>")
    name = export.file_name(settings, "run.json")
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.") and ".." not in name
    compile(export.python(RECIPES["nice"], settings), "script", "exec")
    with pytest.raises(ValueError, match="letters and digits"):
        archive.read(Store(tmp_path), "../other")
    with pytest.raises(ValueError):
        Contest(lab().recorder, Comparison(models=(Entry(model="nice"),), data=("../x",)), RECIPES,
                [FinishedRun(id="a", name=NASTY, data="moons")])


def test_a_runs_name_is_shown_as_it_is():
    run_id = kept(name="plain")
    lab().rename(run_id, NASTY)
    file = pack(lab().store, run_id)
    app = run(go(AppTest.from_file(APP, default_timeout=120).run(), "history"))
    assert app.dataframe[0].value["name"][0] == NASTY
    state(app, "runs").imported = NASTY
    run(app)
    assert app.success[0].value == plain(f"Imported: {NASTY}")
    again = lab().store.get(unpack(lab().store, file)).name
    assert not set(again) & set("<>[]*`$!")
    for one in lab().store.runs():
        lab().store.delete(one.id)
