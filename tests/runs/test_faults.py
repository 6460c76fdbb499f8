"""Faults: what is kept, what goes on, and what is said; also see test_jobs.py and test_runs.py."""

import errno
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import runs_helpers as made
import torch
from streamlit.testing.v1 import AppTest
from test_runs import PATIENCE, program, until

from flowlab.jobs import Local, Status
from flowlab.live import Request, watch
from flowlab.live.thinning import history
from flowlab.runs import Recorder, Store, Writer, unpack
from flowlab.runs import database as database_module
from flowlab.runs import recorder as recorder_module
from flowlab.runs import store as store_module
from flowlab.runs import writer as writer_module
from flowlab.runs.bundle import pack
from flowlab.runs.reader import PNG_END, OnDisk
from flowlab.server.limits import limits
from flowlab.training import TrainingSettings, train
from flowlab.ui.app import lab as lab_module
from flowlab.ui.app.lab import Lab
from models import RECIPES
from realnvp import RealNVP

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


def sentence(text):
    assert text.isprintable() and text.endswith(".") and "/" not in text and "Error" not in text
    return text


# Killed, server and worker together, during a save

BOTH = """
import sys, time, models, runs_helpers as made
from flowlab.jobs import Local
from flowlab.server.limits import limits
from flowlab.live import Request, watch
from flowlab.runs import Recorder, Store
if __name__ == "__main__":
    engine, store = Local(workers=1, preload=("models", "flowlab.live")), Store(sys.argv[1])
    recorder = Recorder(engine, store)
    run = made.settings(epochs=10000)
    job = engine.submit(watch, Request(models.RECIPES["nice"].train, run))
    recorder.follow(job, run)
    while store.snapshot(job) is None:
        time.sleep(0.05)
    print(job, next(p for p in engine._pool.processes if p.run).popen.pid, flush=True)
    while True:  # saves without a pause, so that the kill comes in the midst of one
        store.record(job, made.frames(run, 3))
"""


@pytest.mark.thorough
def test_server_and_worker_killed_during_a_save_leave_whole_files(store, tmp_path):
    script = tmp_path / "server.py"
    script.write_text(BOTH)
    folders = os.pathsep.join(map(str, (ROOT / "tests", ROOT)))
    server = subprocess.Popen([sys.executable, script, store.folder], stdout=subprocess.PIPE,
                              text=True, env={**os.environ, "PYTHONPATH": folders})
    job, worker = server.stdout.readline().split()
    time.sleep(0.2)
    os.kill(int(worker), signal.SIGKILL)
    server.kill()
    server.communicate()
    store = Store(store.folder)
    assert store.notice == "" and store.get(job).outcome == "interrupted"
    frames = store.frames(job)
    assert frames and store.damaged == {} and store.snapshot(job) is not None
    assert store.flow(job) is not None
    left = store.folder / job / ".x.png.0000.part"  # as a program leaves that is killed
    left.write_bytes(b"half")
    store.tidy()
    assert left.exists()  # somebody may be writing it
    os.utime(left, (0, 0))
    store.tidy()
    assert not left.exists()


# A full disk

@pytest.fixture
def full(monkeypatch):
    """A disk that is full after so many bytes, for files as for the database."""
    state = {"room": None}
    write = Path.write_bytes

    def write_bytes(path, content):
        if state["room"] is not None and len(content) > state["room"]:
            write(path, content[:state["room"]])
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        if state["room"] is not None:
            state["room"] -= len(content)
        return write(path, content)
    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    monkeypatch.setattr(writer_module, "BEAT", 0.1)
    return state


@pytest.mark.parametrize("room", [0, 100, 20_000])
def test_on_a_full_disk_numbers_wait_and_finished_files_stay_whole(store, full, room):
    run = made.settings()
    before = made.kept(store)
    frames = made.frames(run)
    with Writer(store) as writer:
        writer.begin("one", run)
        full["room"] = room
        for frame in frames[:3]:
            writer.put("one", [frame])
        assert writer.flush("one")
        until(lambda: writer.troubles.get("one"))
        assert "disk is full" in sentence(writer.troubles["one"])
        names = {p.name for p in (store.folder / "one").iterdir()}
        assert not any(name.endswith(".part") for name in names)
        told = store._db.read("SELECT step FROM frames WHERE run = 'one' AND png > 0")
        assert {n for n in names if n.endswith(".png")} == {f"{s:09d}.png" for s, in told}
        full["room"] = None
        until(lambda: len(store.epochs("one")) == 3)
        writer.put("one", frames[3:])
        writer.end("one", "finished")
    found = store.get("one")
    assert found.outcome == "finished" and len(store.epochs("one")) == 4
    assert store.frames("one")[-1].png and store.flow("one") is not None
    assert len(store.frames(before)) == 4 and store.damaged == {}


def test_a_database_on_a_full_disk_says_so_and_goes_on(store):
    ids = [made.kept(store, seed=i) for i in range(2)]
    pages = store._db.read("PRAGMA page_count")[0][0]
    store._db.read(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(ValueError, match="disk is full"):
        for i in range(500):
            store.begin(made.settings(seed=i), name="x" * 100)
    assert store.frames(ids[0]) and store.get(ids[1]).complete
    content = pack(store, ids[0])
    with pytest.raises(ValueError, match="disk is full"):
        for _ in range(50):
            unpack(store, content)
    store._db.read("PRAGMA max_page_count = 100000")
    assert store.get(unpack(store, content)).complete


LIMITED = """
import resource, sys, runs_helpers as made, models
from flowlab.runs import Store, Writer
store, run = Store(sys.argv[1]), made.settings()
frames = made.frames(run)
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
with Writer(store) as writer:
    writer.begin("one", run)
    writer.put("one", frames)
    writer.flush()
print(writer.troubles["one"])
"""


@pytest.mark.thorough
@pytest.mark.skipif(os.name == "nt", reason="has no such limit")
def test_a_disk_that_is_really_full_ends_nothing(store):
    other = made.kept(store)
    limited = program(LIMITED, store.folder)
    said, _ = limited.communicate(timeout=PATIENCE)
    assert limited.returncode == 0 and ("disk is full" in said or "see the log" in said)
    store = Store(store.folder)
    assert store.notice == "" and store.damaged == {} and len(store.frames(other)) == 4


# Clocks that jump

def test_clocks_that_jump_change_neither_order_nor_length(store, monkeypatch):
    ids = []
    for now in (2e9, 1e9, 3e9, 0.5e9):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        ids.append(made.kept(store, seed=len(ids)))
        assert all(run.ended >= run.created for run in store.runs())
    assert [run.id for run in store.runs()] == ids[::-1]
    monkeypatch.setattr(time, "time", lambda: 4e9)
    going = store.begin(made.settings())
    for now in (1e9, 5e9):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        assert store.get(going).outcome == "queued"  # it is this program's own
    store.end(going, "stopped")
    assert store.get(going).ended >= store.get(going).created


def test_a_training_measures_its_seconds_by_no_clock_that_jumps(monkeypatch):
    jumps = iter(range(10**9, 0, -10**5))
    monkeypatch.setattr(time, "time", lambda: float(next(jumps)))
    request = Request(RECIPES["nice"].train, made.settings(epochs=3), pictures="end")
    frames = [frame for frame in watch(request) if frame is not None]
    seconds = [epoch.seconds for frame in frames for epoch in frame.epochs]
    assert len(seconds) == 3 and 0 < seconds[0] < seconds[-1] < 1000


# What is damaged

def test_a_database_of_garbage_is_set_aside_and_named(store):
    made.kept(store)
    folder = store.folder
    store._db._connection.close()
    for ending in ("", "-wal", "-shm"):
        (folder / f"runs.sqlite{ending}").unlink(missing_ok=True)
    (folder / "runs.sqlite").write_bytes(b"no database" * 999)
    store = Store(folder)
    assert store.runs() == [] and "damaged" in sentence(store.notice)
    aside, = folder.glob("runs.sqlite.damaged-*")
    assert aside.name in store.notice and aside.read_bytes() == b"no database" * 999
    assert store.get(made.kept(store)).complete
    assert Store(folder).notice == ""


def test_of_a_half_damaged_database_the_rest_is_read(store):
    ids = [made.kept(store, seed=i) for i in range(2)]
    for i in range(60):
        store.begin(made.settings(seed=i), name=f"run {i}")
    ids.append(made.kept(store, seed=9))
    store._db.read("PRAGMA wal_checkpoint(TRUNCATE)")
    store._db._connection.close()
    path = store.folder / "runs.sqlite"
    content = bytearray(path.read_bytes())
    place = content.index(b"run 30")
    page = place - place % 4096
    content[page:page + 2048] = b"\xa5" * 2048
    path.write_bytes(content)
    store = Store(store.folder)
    found = store.runs()
    assert 3 <= len(found) < 63 and f"{len(found)} of its runs" in sentence(store.notice)
    whole = [run for run in found if run.id in ids and store.frames(run.id)]
    assert whole and store.flow(whole[0].id) is not None
    assert sqlite3.connect(path).execute("PRAGMA quick_check").fetchone() == ("ok",)


def test_a_database_damaged_while_it_is_used_gets_one_sentence(store):
    made.kept(store)
    store._db.read("PRAGMA wal_checkpoint(TRUNCATE)")
    path = store.folder / "runs.sqlite"
    path.write_bytes(b"\xa5" * path.stat().st_size)
    store._db.read("PRAGMA cache_size = 0")
    other = database_module.Database.__new__(database_module.Database)
    other._lock, other._connection = store._db._lock, sqlite3.connect(path, isolation_level=None)
    for call in (lambda: other.read("SELECT * FROM runs"), lambda: other.write().__enter__()):
        with pytest.raises(ValueError, match="damaged") as error:
            call()
        sentence(str(error.value))
    other._connection.close()


@pytest.mark.parametrize(("name", "content"), [
    ("000000040.safetensors", b"\0" * 100), ("000000020.safetensors", b""),
    ("000000030.png", b"\x89PNG half"), ("000000040.png", b""), ("checkpoint.safetensors", b"x")])
def test_a_damaged_file_of_a_run_is_named_and_the_rest_is_shown(store, name, content):
    run = made.settings(epochs=9)
    other, run_id = made.kept(store), store.begin(run)
    store.record(run_id, made.frames(run))
    store.end(run_id, "stopped")
    (store.folder / run_id / name).write_bytes(content)
    frames = store.frames(run_id)
    assert [row[0] for f in frames for row in f.epochs] == [1, 2, 3, 4]
    assert frames[-1].moment.epoch == 4 and store.damaged.keys() <= {run_id}
    for read in (store.flow, store.snapshot):
        try:
            assert read(run_id) is not None
        except ValueError as error:
            assert name in sentence(str(error))
    assert name in sentence(store.damaged[run_id])
    assert len(store.frames(other)) == 4 and store.flow(other) is not None


def test_a_row_that_is_damaged_leaves_the_list(store):
    made.kept(store)
    with store._db.write() as db:
        db.execute("UPDATE runs SET numbers = '{', versions = '7'")
    run, = store.runs()
    assert run.numbers == run.versions == {}


# Two programs, ports, memory, numbers

def test_two_servers_on_one_folder_see_and_respect_each_others_runs(store, monkeypatch):
    other = Store(store.folder)
    monkeypatch.setattr(store_module, "OWNER", "another machine/7/0")
    run_id = other.begin(made.settings())
    other.record(run_id, made.frames(made.settings(), 2))
    monkeypatch.undo()
    assert store.get(run_id).outcome == "running"
    mine = made.kept(store)
    other.record(run_id, made.frames(made.settings()))
    other.end(run_id, "finished")
    assert store.get(run_id).outcome == "finished" and len(store.frames(run_id)) == 4
    assert {run.id for run in store.runs()} == {run.id for run in other.runs()} == {mine, run_id}


def test_a_port_in_use_is_said_and_ends_the_start():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        started = subprocess.run([sys.executable, "-m", "streamlit", "run", "app.py",
                                  "--server.port", str(port)], cwd=ROOT, capture_output=True,
                                 text=True, timeout=PATIENCE)
    assert started.returncode != 0
    assert f"Port {port} is" in started.stdout + started.stderr


def hungry(kind):
    yield "before"
    if kind == "torch":
        torch.empty(2**60, dtype=torch.uint8)
    raise MemoryError if kind == "python" else RuntimeError("CUDA out of memory. Tried to")


def test_without_memory_a_run_fails_with_a_sentence_and_the_worker_goes_on():
    with Local(workers=1) as engine:
        for kind in ("torch", "python", "gpu"):
            run = engine.submit(hungry, kind)
            status = engine.wait(run, PATIENCE)
            assert status.state == "failed" and status.message.startswith("Memory ran out")
            sentence(status.message)
            assert engine.events(run) == ["before"]
        pids = {process.popen.pid for process in engine._pool.processes}
        assert len(pids) == 1


def test_a_nan_from_the_optimiser_ends_with_the_last_good_weights(monkeypatch):
    step, steps = torch._fused_adamw_, []

    def poisoned(weights, *args, **options):
        step(weights, *args, **options)
        steps.append(1)
        if len(steps) == 7:
            weights[0][3] = float("nan")
    monkeypatch.setattr(torch, "_fused_adamw_", poisoned)
    settings = TrainingSettings(epochs=9, points=500, batch_size=100)
    points = torch.randn(500, 2)
    *_, last = train(RealNVP(couplings=2, hidden=(8,)), points, settings)
    assert last.outcome == "diverged" and last.epoch == 1 and "Lower" in sentence(last.reason)
    assert all(value.isfinite().all() for value in last.flow.state_dict().values())


def noise(size):
    """Bytes that pass for a picture of this size."""
    return b"\x89PNG" + bytes(size - 12) + PNG_END


class Reported:
    """An engine whose one run has reported these frames, and has ended if nothing else is said."""

    def __init__(self, frames, state="finished"):
        self.frames, self.state = frames, state

    def status(self, job):
        return Status(self.state, events=len(self.frames))

    def events(self, job, since=0):
        return self.frames[since:]

    def result(self, job):
        return None

    def release(self, job, before):
        pass


def test_a_recorder_tells_that_the_disk_is_full_and_the_run_goes_on(store, full):
    full["room"] = 0
    run = made.settings()
    recorder = Recorder(Reported(made.frames(run)), store)
    recorder.follow("job", run)
    until(lambda: recorder.done("job", 1))
    assert "disk is full" in sentence(recorder.trouble("job"))
    assert recorder.frames("job")[-1].png and recorder.trouble("another") == ""
    recorder.close()
    assert store.get("job").outcome == "finished" and len(store.epochs("job")) == 4


def test_what_a_full_disk_does_not_take_waits_in_memory_as_far_as_there_is_room(store, full,
                                                                               monkeypatch):
    monkeypatch.setattr(recorder_module, "UNWRITTEN", 150_000)
    run = made.settings(epochs=40)
    engine = Reported(made.frames(run, 20, noise(2_000)), "running")
    recorder = Recorder(engine, store)
    recorder.follow("job", run)
    until(lambda: len(recorder.frames("job")) == 20 and recorder._writer.flush("job"))
    full["room"] = 0
    engine.frames, engine.state = made.frames(run, 40, noise(2_000)), "finished"
    until(lambda: recorder.done("job", 1))
    frames = recorder.frames("job")
    assert {type(f.content) for f in frames[:20]} == {OnDisk} and frames[-1].png
    assert 0 < sum(f.content.bytes for f in frames) <= 150_000
    assert [row[0] for row in history(frames)] == list(range(1, 41))
    recorder.close()


def test_frames_that_are_on_disk_take_no_memory(store):
    run = made.settings(epochs=40)
    frames = made.frames(run, 40, noise(100_000))
    recorder = Recorder(Reported(frames), store)
    recorder.follow("job", run)
    until(lambda: recorder.done("job", 1))
    told = recorder.frames("job")
    assert sum(frame.content.bytes for frame in told) == 0
    assert [f.png for f in told] == [f.png for f in frames] and history(told) == history(frames)
    assert made.same_flow(told[7], frames[7])
    store.thin("job", 8)
    store.pruned += 1  # as `fit` counts, which leaves a run alone while there is room
    until(lambda: len(recorder.frames("job")) == 8)
    assert all(frame.png for frame in recorder.frames("job"))
    recorder.close()


# Pages

def test_a_run_that_nobody_watches_is_stopped_and_others_go_on(monkeypatch):
    lab = Lab.__new__(Lab)
    stopped, rounds, now = [], iter([None]), time.monotonic()
    lab._seen = {"left": now - limits().grace - 60, "watched": now - 1}
    lab.watched = {"comparison": now - limits().grace - 60, "new": now - 1}
    lab._refresher = SimpleNamespace(write=lambda: None)
    lab.recorder = SimpleNamespace(run=lambda name: name,
                                   control=lambda *what: stopped.append(what),
                                   stop_group=lambda name: stopped.append((name, "group")))
    monkeypatch.setattr(lab_module.time, "sleep", lambda seconds: next(rounds))
    with pytest.raises(StopIteration):
        lab._stop_unwatched()
    assert stopped == [("left", "stop"), ("comparison", "group")]


def test_a_folder_of_runs_that_cannot_be_used_gets_one_sentence_on_every_page(
        monkeypatch, tmp_path):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("FLOWLAB_RUNS", str(tmp_path / "file"))
    lab_module.lab.clear()
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=PATIENCE).run()
    error, = app.error
    assert "FLOWLAB_RUNS" in error.value and not app.exception and not app.button
