"""What an operator reads: log lines, counters, the version and the diagnostics."""

import json
import logging
import re
import sqlite3
import sys
import time

import jobs_functions as jobs
import pytest
import runs_helpers as made
from streamlit.testing.v1 import AppTest

from flowlab import __version__
from flowlab.jobs import Job, Local
from flowlab.runs import Store, Writer
from flowlab.server import log as events
from flowlab.server import status
from flowlab.ui.app import operating

SECRET = "Ada's essay on <b>moons</b>"


@pytest.fixture
def log(tmp_path, monkeypatch):
    """Lines in a file, which are read anew at each call."""
    path = tmp_path / "lab.log"
    monkeypatch.setenv(events.VARIABLE, str(path))
    monkeypatch.delenv(events.LEVEL_VARIABLE, raising=False)
    events.stop()
    events.start()
    events._lines.clear()
    yield lambda: [json.loads(line) for line in path.read_text().splitlines()]
    events.stop()
    logging.getLogger("flowlab").setLevel(logging.NOTSET)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


def test_an_event_is_one_line_of_json_and_is_counted(log):
    before = events.counts().get("run queued", 0)
    logging.getLogger("flowlab.jobs.queue").info("run queued", extra={"facts": {
        "run": "0123456789abcdef", "model": "nice", "waited": None}})
    line, = log()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line.pop("time"))
    assert line == {"level": "info", "event": "run queued", "run": "012345", "model": "nice"}
    assert events.counts()["run queued"] == before + 1


def test_errors_keep_their_trace_in_the_file_and_only_their_kind_in_memory(log):
    try:
        raise ValueError(SECRET)
    except ValueError:
        logging.getLogger("flowlab.runs.writer").exception("Not kept in %s", f"/home/{SECRET}")
    line, = log()
    assert "Traceback" in line["traceback"] and line["module"] == "flowlab.runs.writer"
    kept = json.loads(events.recent()[-1])
    assert (kept["event"], kept["error"]) == ("Not kept in %s", "ValueError")
    assert "Ada" not in json.dumps(kept)


def test_memory_holds_the_newest_lines_only(log):
    for n in range(events.NEWEST + 5):
        events.log.info("lab started", extra={"facts": {"number": n}})
    assert len(events.recent()) == events.NEWEST
    assert json.loads(events.recent()[0])["number"] == 5


def test_a_terminal_hears_warnings_only_unless_asked(capsys, monkeypatch):
    for name in (events.VARIABLE, events.LEVEL_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    for level, heard in (("", ["late"]), ("info", ["early", "late"])):
        if level:
            monkeypatch.setenv(events.LEVEL_VARIABLE, level)
        events.stop()
        events.start()
        events.log.info("early", extra={"facts": {}})
        events.log.warning("late", extra={"facts": {}})
        events.stop()
        assert [json.loads(x)["event"] for x in capsys.readouterr().err.splitlines()] == heard


@pytest.mark.parametrize(("name", "value"), [(events.VARIABLE, "/no/such/folder/lab.log"),
                                             (events.LEVEL_VARIABLE, "loud")])
def test_a_wrong_variable_is_said_in_a_sentence(name, value, monkeypatch):
    events.stop()
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=name) as caught:
        events.start()
    assert "\n" not in str(caught.value)


def test_runs_are_logged_from_queue_to_end_without_words_of_users(log):
    with Local(workers=1) as engine:
        good = engine.submit(Job(jobs.count, 3, "counting"), owner=SECRET)
        bad = engine.submit(jobs.fail, ValueError(SECRET))
        assert engine.wait(good, 60).state == "finished"
        assert engine.wait(bad, 60).state == "failed"
        died = engine.submit(jobs.leave, 3)
        assert engine.wait(died, 60).state == "lost"
        assert engine.states() == {"finished": 1, "failed": 1, "lost": 1}
    lines = log()
    told = {run: [line for line in lines if line.get("run") == run[:6]]
            for run in (good, bad, died)}
    assert [line["event"] for line in told[good]] == ["run queued", "run started", "run finished"]
    assert told[good][-1]["model"] == "counting" and told[good][-1]["seconds"] >= 0
    end = told[bad][-1]
    assert (end["event"], end["level"], end["error"]) == ("run failed", "warning", "ValueError")
    assert re.fullmatch(r"jobs_functions\.py:\d+", end["at"])
    assert told[died][-1]["event"] == "run lost"
    assert [x["how"] for x in lines if x["event"] == "worker died"] == ["ended with exit code 3"]
    assert "Ada" not in json.dumps(lines)


def test_a_full_disk_and_pruned_pictures_are_logged(log, store, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    def locked(*args):
        raise sqlite3.OperationalError("database is locked")

    with Writer(store) as writer:
        for broken in (full, locked):
            monkeypatch.setattr(store, "record", broken)
            writer.put("a", [])
            assert writer.flush(timeout=30)
    assert [x["event"] for x in log() if x["level"] == "error"].count("disk full") == 1
    monkeypatch.undo()
    monkeypatch.setattr("flowlab.runs.store.MIN_FRAMES", 2)
    made.kept(store)
    monkeypatch.setattr(Store, "quota", 1)
    before = store.used()
    store.enforce_quota()
    line = next(x for x in map(json.loads, events.recent()) if x["event"] == "pictures pruned")
    assert line["freed_bytes"] == before - store.used() > 0


def test_the_counters_are_read_by_a_command(log, store, capsys):
    made.kept(store, name=SECRET)
    with Local(workers=1) as engine:
        run = engine.submit(jobs.count, 2)
        engine.wait(run, 60)
        operating.Refresher(engine, store).write()
    arguments = ["--runs", str(store.folder)]
    assert status.main([*arguments, "--json"]) == 0
    facts, = json.loads(capsys.readouterr().out).values()
    assert facts["version"] == __version__ and facts["runs"]["finished"] >= 1
    assert facts["disk_used_bytes"] == store.used() > 0 and facts["uptime_seconds"] >= 0
    assert facts["workers_busy"] == 0 and facts["sessions"] is None
    if sys.platform == "linux":
        assert 10**7 < facts["memory_bytes"] < 10**11
    assert status.main(arguments) == 0
    assert re.search(r"^runs finished +\d", capsys.readouterr().out, re.MULTILINE)
    status.remove(store.folder)
    assert status.main(arguments) == 1
    assert "No server is running" in capsys.readouterr().out


def test_counters_that_cannot_be_written_are_told_once(log, store, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    with Local(workers=1) as engine:
        refresher, works = operating.Refresher(engine, store), status.write
        for write in (full, full, works, full):
            monkeypatch.setattr(status, "write", write)
            refresher.write()
    assert [x["event"] for x in log()].count("The counters could not be written") == 2


def test_servers_that_have_ended_and_damaged_files_are_left_out(tmp_path):
    now = {"time": time.time()}
    for name, content in (("a", json.dumps(now)), ("b", json.dumps({"time": time.time() - 60})),
                          ("c", "{"), ("d", "[]"), ("e", json.dumps(now) + " " * 200_000)):
        (tmp_path / f"server-{name}.json").write_text(content)
    assert list(status.read(tmp_path)) == ["a"]


def test_variables_are_told_only_where_they_can_hold_no_secret():
    told = operating.settings({
        "FLOWLAB_GRACE": "120", "FLOWLAB_ENGINE": "ray", "FLOWLAB_RUNS": "/home/ada/runs",
        "FLOWLAB_LOG": "lab.log", "FLOWLAB_COOKIE_SECRET": "1234", "OTHER": "1"})
    assert told == {"FLOWLAB_COOKIE_SECRET": "(set)", "FLOWLAB_ENGINE": "ray",
                    "FLOWLAB_GRACE": "120", "FLOWLAB_LOG": "(set)", "FLOWLAB_RUNS": "(set)"}


def test_diagnostics_hold_no_data_of_users(log, store, monkeypatch, tmp_path):
    monkeypatch.setenv("FLOWLAB_RUNS", "/home/ada/runs")
    run_id = made.kept(store, name=SECRET)
    store.end(run_id, "failed", f"{SECRET} at 192.168.0.17")
    logging.getLogger("flowlab").warning("A worker could not import %s", SECRET)
    with Local(workers=1) as engine:
        job = engine.submit(jobs.fail, ValueError(SECRET), owner="ada@school.example")
        engine.wait(job, 60)
        text = operating.diagnostics(engine, store)
    facts = json.loads(text)
    assert facts["flow-lab"] == __version__ and facts["packages"]["torch"] and facts["engine"]
    assert {"run queued", "run failed", "A worker could not import %s"} <= {
        line["event"] for line in facts["log"]}
    assert facts["counters"]["events"]["run failed"] >= 1
    for private in ("Ada", "ada", "moons", "/home", str(tmp_path), str(store.folder), run_id, job,
                    "@", "192.168"):
        assert private not in text, private
    assert not re.search(r"\d+\.\d+\.\d+\.\d+", text)


def test_a_session_is_told_on_once_for_the_same_refused_input(log, monkeypatch):
    before = events.counts().get("input refused", 0)
    monkeypatch.setattr(operating.st, "session_state", {})
    for sentence in (SECRET, SECRET, "another", *map(str, range(200))):
        operating.refused("link", sentence)
    assert events.counts()["input refused"] == before + operating.MOST_LOGGED


def test_the_version_is_at_the_end_of_the_sidebar():
    def page():
        from pathlib import Path

        import streamlit as st

        from flowlab.jobs import Local
        from flowlab.runs import Store
        from flowlab.ui.app.operating import about
        st.sidebar.write("controls")
        with Local(workers=1) as engine:
            about(engine, Store(Path(st.session_state["folder"])))

    import tempfile
    with tempfile.TemporaryDirectory() as folder:
        app = AppTest.from_function(page)
        app.session_state["folder"] = folder
        app.run(timeout=60)
        assert not app.exception
        assert f"**Flow Lab {__version__}**" in app.sidebar.markdown[-1].value
