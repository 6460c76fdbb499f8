"""The store of runs: what it keeps, what it gives back, and what it survives."""

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import runs_helpers as made

from flowlab import __version__, runs
from flowlab.commands import train as cli
from flowlab.jobs import Local
from flowlab.live import InMemory, Request, watch
from flowlab.live.thinning import MAX_FRAMES, history
from flowlab.runs import Recorder, Store, Writer, pack, unpack
from flowlab.runs import run as kept_module
from flowlab.training import Snapshot
from models import RECIPES

PATIENCE = 120


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


def kept(store, epochs=4, **changes):
    """A finished run in the store: its id, its settings and its frames."""
    run = made.settings(**changes)
    frames = made.frames(run, epochs)
    run_id = store.begin(run)
    assert store.record(run_id, frames)
    store.end(run_id, "finished")
    return run_id, run, frames


def until(condition):
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return value


def test_what_is_kept_comes_back(store):
    run_id, settings, frames = kept(store)
    again = Store(store.folder)  # as after a restart
    run = again.get(run_id)
    assert run.settings == settings and run.outcome == "finished" and run.complete
    assert (run.model, run.data, run.origin, run.pictures) == ("nice", "moons", "page", 4)
    assert run.versions["flow-lab"] == __version__ and set(run.versions) > {"torch", "python"}
    assert run.numbers["kl"] == frames[-1].moment.kl and run.numbers["loss"] is None
    assert run.ended >= run.created
    back = again.frames(run_id)
    assert [f.png for f in back] == [f.png for f in frames]
    assert [f.epochs for f in back] == [f.epochs for f in frames]
    assert all(made.same_flow(f, g) for f, g in zip(back, frames, strict=True))
    assert made.same(again.flow(run_id).state_dict(), frames[-1].flow().state_dict())
    epochs = again.epochs(run_id)
    assert [(e.epoch, e.step) for e in epochs] == [(1, 10), (2, 20), (3, 30), (4, 40)]
    assert [e.kl for e in epochs] == pytest.approx([0.9, 0.8, 0.7, 0.6])
    assert again.picture(run_id) == frames[-1].png
    assert again.get("0123456789abcdef") is None and again.frames("0123456789abcdef") == []


def test_a_checkpoint_stays_until_a_run_is_complete(store):
    run_id, *_ = kept(store)
    assert store.snapshot(run_id) is None  # finished
    for outcome in ("stopped", "lost", "failed"):
        run = made.settings(epochs=9)
        run_id, frames = store.begin(run), made.frames(run)
        store.record(run_id, frames)
        store.end(run_id, outcome)
        snapshot = store.snapshot(run_id)
        assert (snapshot.epoch, snapshot.step) == (4, 40)
        assert made.same(snapshot.weights, frames[-1].flow().state_dict())


def test_a_run_goes_on_where_it_was(store):
    run = made.settings(epochs=8)
    run_id = store.begin(run, name="mine", group="g")
    store.record(run_id, made.frames(run))
    store.end(run_id, "stopped", "because")
    store.begin(run, run_id=run_id)
    assert store.get(run_id).active and store.get(run_id).reason == ""
    store.record(run_id, made.frames(run, 8)[4:])
    store.end(run_id, "finished")
    found, = store.runs(group="g")
    assert (found.name, found.numbers["epoch"], len(store.epochs(run_id))) == ("mine", 8, 8)


def test_list_rename_pin_delete(store):
    ids = [kept(store, seed=i)[0] for i in range(3)]
    assert [run.id for run in store.runs()] == ids[::-1]
    store.rename(ids[0], "  a\tbetter  name\n ")
    store.pin(ids[0])
    assert (store.get(ids[0]).name, store.get(ids[0]).pinned) == ("a better name", True)
    folder = store.folder / ids[1]
    assert len(list(folder.iterdir())) == 8
    store.delete(ids[1])
    store.delete(ids[1])
    assert not folder.exists() and store.epochs(ids[1]) == []
    assert [run.id for run in store.runs()] == [ids[2], ids[0]]
    for call in (lambda: store.rename(ids[1], "x"), lambda: store.pin(ids[1]),
                 lambda: store.rename(ids[0], " "), lambda: store.rename(ids[0], "x" * 121)):
        with pytest.raises(ValueError, match="reload|another"):
            call()


@pytest.mark.parametrize("bad", ["..", "../x", "a/b", "a\\b", "", "x" * 65, "é", "a.b", "C:"])
def test_an_id_leads_nowhere_else(store, bad):
    assert store.get(bad) is None
    for call in (store.snapshot, store.delete, lambda i: store.begin(made.settings(), run_id=i)):
        if bad or call is not store.snapshot:
            with pytest.raises(ValueError, match="letters and digits"):
                call(bad or "/")
    assert store.runs() == []


def test_pictures_of_a_run_are_thinned_and_numbers_are_not(store):
    run = made.settings(epochs=160)
    run_id = store.begin(run)
    for frame in made.frames(run, 160):
        store.record(run_id, [frame])
    frames = store.frames(run_id)
    assert len(frames) == MAX_FRAMES and len(store.epochs(run_id)) == 160
    assert [row[0] for f in frames for row in f.epochs] == list(range(1, 161))
    assert frames[0].moment.epoch == 1 and frames[-1].moment.epoch == 160
    gaps = [b.moment.epoch - a.moment.epoch
            for a, b in zip(frames, frames[1:], strict=False)]
    assert max(gaps) <= 4
    files = sorted(p.name for p in (store.folder / run_id).iterdir())
    assert len(files) == 2 * MAX_FRAMES + 1  # and the checkpoint


@pytest.mark.parametrize(("outcome", "epoch"), [("diverged", 0), ("diverged", 4),
                                                ("early stop", 2), ("finished", 5)])
def test_the_end_of_a_run_is_its_last_moment_whatever_weights_it_has(store, outcome, epoch):
    run = made.settings(epochs=9)
    frames = made.frames(run, 5)
    moment = replace(frames[-1].moment, outcome=outcome, epoch=epoch, step=10 * epoch)
    end = replace(frames[-1], moment=moment, epochs=(),
                  content=InMemory(made.picture(5), frames[-1].weights))
    run_id = store.begin(run)
    store.record(run_id, frames)
    store.record(run_id, [end])
    store.end(run_id, outcome)
    for found in (run_id, unpack(store, pack(store, run_id))):
        back = store.frames(found)
        assert back[-1].moment.outcome == outcome and back[-1].png == made.picture(5)
        assert [f.moment.outcome for f in back[:-1]] == ["running"] * (len(back) - 1)
        assert [row[0] for f in back for row in f.epochs] == [1, 2, 3, 4, 5]
        assert store.picture(found) == made.picture(5)
        store.thin(found, 2)
        assert store.frames(found)[-1].png == made.picture(5)


def test_frames_without_a_picture_keep_only_the_newest_weights(store):
    run = made.settings(epochs=6)
    run_id = store.begin(run)
    for frame in made.frames(run, 5, png=b""):
        store.record(run_id, [frame])
    names = {p.name for p in (store.folder / run_id).iterdir()}
    assert names == {"000000050.safetensors", "checkpoint.safetensors"}
    frame, = store.frames(run_id)
    assert frame.png == b"" and frame.theme == "" and len(frame.epochs) == 5
    assert store.flow(run_id) is not None and len(store.epochs(run_id)) == 5


def test_old_pictures_go_first_to_keep_the_budget(store):
    ids = [kept(store, epochs=20, seed=i)[0] for i in range(4)]
    store.pin(ids[0])
    size = store.get(ids[0]).bytes
    real = sum(p.stat().st_size for p in store.folder.glob("*/*.*"))
    assert store.used() == 4 * size == real
    with pytest.raises(ValueError, match="10 MB at least"):
        store.quota = 5
    with store._db.write() as db:  # the smallest allowed would be too large for these
        db.execute("INSERT INTO choices VALUES ('budget', ?)", (str(int(3.2 * size)),))
    store.enforce_quota()
    assert store.used() <= store.quota
    pictures = [store.get(i).pictures for i in ids]
    assert pictures[0] == 20 and 2 <= pictures[1] <= 8 and pictures[3] == 20
    for run_id in ids:
        assert len(store.epochs(run_id)) == 20 and store.flow(run_id) is not None
    with store._db.write() as db:
        db.execute("UPDATE choices SET value = '1'")
    store.enforce_quota()
    assert [store.get(i).pictures for i in ids] == [20, 2, 2, 2]
    assert store.used() == sum(p.stat().st_size for p in store.folder.glob("*/*.*"))


def test_a_run_deleted_under_way_leaves_nothing(store):
    run = made.settings()
    run_id = store.begin(run)
    first, *rest = made.frames(run)
    assert store.record(run_id, [first])
    store.delete(run_id)
    assert not store.record(run_id, rest) and not (store.folder / run_id).exists()
    store.end(run_id, "finished")
    assert store.runs() == []


def test_folders_and_databases_that_cannot_be_used(store, tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(ValueError, match="FLOWLAB_RUNS"):
        Store(file)
    with store._db.write() as db:
        db.execute("PRAGMA user_version = 9")
    with pytest.raises(ValueError, match="newer Flow Lab"):
        Store(store.folder)
    monkeypatch.setenv("FLOWLAB_RUNS", str(tmp_path / "chosen"))
    assert Store().folder == tmp_path / "chosen"


def test_settings_of_another_version_get_one_sentence(store):
    run_id, _, _ = kept(store)
    for text, words in (('{"model": "bend"}', "one of.* nice"), ("[]", "model"),
                        ('{"model": "nice", "flow": {"wings": 2}}', "wings")):
        with store._db.write() as db:
            db.execute("UPDATE runs SET settings = ?", (text,))
        run, = store.runs()  # the list is there all the same
        with pytest.raises(ValueError, match=words):
            _ = run.settings


# Who is at it


def test_who_is_silent_counts_as_gone(store, monkeypatch):
    run_id = store.begin(made.settings())
    assert store.get(run_id).outcome == "queued"
    here, pid, _ = kept_module.OWNER.split("/")

    def seen_as(owner, beat):
        with store._db.write() as db:
            db.execute("UPDATE runs SET owner = ?, beat = ?", (owner, beat))
        return store.get(run_id).outcome

    now = time.time()
    assert seen_as(f"{here}/{os.getppid()}/0", now) == "queued"
    assert seen_as(f"{here}/{os.getppid()}/0", now - 60) == "interrupted"
    assert seen_as(f"another/{pid}/0", now) == "queued"
    assert seen_as(f"another/{pid}/0", now - 60) == "interrupted"
    assert seen_as(f"{here}/{pid}/before", now) == "interrupted"  # the same number, given again
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert seen_as(f"{here}/{gone.pid}/0", now) == "interrupted"
    assert seen_as(kept_module.OWNER, now - 60) == "queued"


@pytest.mark.thorough
def test_threads_and_programs_write_at_once(store):
    script = ("import sys, runs_helpers as made, models\n"
              "from flowlab.runs import Store\n"
              "store, run = Store(sys.argv[1]), made.settings(seed=7)\n"
              "print('ready', flush=True); sys.stdin.read(1)\n"
              "for _ in range(8):\n"
              "    run_id = store.begin(run)\n"
              "    for frame in made.frames(run): store.record(run_id, [frame])\n"
              "    store.end(run_id, 'finished')\n")
    other = program(script, store.folder)
    assert other.stdout.readline() == "ready\n"
    other.stdin.write("x")
    other.stdin.flush()
    threads = [threading.Thread(target=lambda: [kept(store, seed=i) for i in range(6)])
               for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.communicate(timeout=PATIENCE)
    assert other.returncode == 0
    runs = store.runs()
    assert len(runs) == 8 + 3 * 6 and {run.outcome for run in runs} == {"finished"}
    for run in runs:
        assert len(store.epochs(run.id)) == 4 and len(store.frames(run.id)) == 4


def program(script, *arguments):
    folders = os.pathsep.join(map(str, (Path(__file__).parents[1], Path(__file__).parents[2])))
    return subprocess.Popen([sys.executable, "-c", script, *map(str, arguments)], text=True,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            env={**os.environ, "PYTHONPATH": folders, "OMP_NUM_THREADS": "1"})


# Killed


WRITING = """
import sys, runs_helpers as made, models
from flowlab.runs import Store
store, run = Store(sys.argv[1]), made.settings(epochs=10000)
frames = made.frames(run, 400)
while True:
    run_id = store.begin(run)
    for i, frame in enumerate(frames):
        store.record(run_id, [frame])
        if i == 3: print(run_id, flush=True)
"""


@pytest.mark.thorough
def test_killed_while_writing_at_any_moment(store):
    before = [kept(store, seed=i) for i in range(2)]
    killed = []
    for wait in (0.11, 0.73):
        writing = program(WRITING, store.folder)
        killed.append(writing.stdout.readline().strip())
        time.sleep(wait)
        writing.kill()
        writing.communicate()
    store = Store(store.folder)
    check = sqlite3.connect(store.folder / "runs.sqlite")
    assert check.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    check.close()
    for run_id, settings, frames in before:
        assert store.get(run_id).settings == settings
        assert [f.png for f in store.frames(run_id)] == [f.png for f in frames]
    for run_id in killed:
        run = store.get(run_id)
        assert run.outcome == "interrupted"
        assert len(store.epochs(run_id)) == run.numbers["epoch"] >= 4
        frames = store.frames(run_id)
        assert len(frames) == run.pictures and all(f.png and f.weights for f in frames)
        assert frames[-1].moment == run.moment
        assert store.flow(run_id) is not None
        store.delete(run_id)


TRAINING = """
import sys, time, models, runs_helpers as made
from flowlab.jobs import Local
from flowlab.live import Request, watch
from flowlab.runs import Recorder, Store
if __name__ == "__main__":
    engine, store = Local(workers=1, preload=("models", "flowlab.live")), Store(sys.argv[1])
    recorder = Recorder(engine, store)
    train = models.RECIPES["nice"].train
    for epochs in (2, 10000):
        run = made.settings(epochs=epochs)
        job = engine.submit(Request(train, run).job)
        recorder.follow(job, run)
        while not (recorder.done(job, 9) or store.snapshot(job) is not None):
            time.sleep(0.05)
        print(job, flush=True)
    time.sleep(3600)
"""


@pytest.mark.thorough
def test_a_killed_server_leaves_its_runs_and_the_last_goes_on(store):
    script = store.folder / "server.py"
    script.write_text(TRAINING)
    folders = os.pathsep.join(map(str, (Path(__file__).parents[1], Path(__file__).parents[2])))
    server = subprocess.Popen([sys.executable, script, store.folder], stdout=subprocess.PIPE,
                              text=True, env={**os.environ, "PYTHONPATH": folders})
    done, going = (server.stdout.readline().strip() for _ in range(2))
    server.kill()
    server.communicate()
    store = Store(store.folder)
    assert store.get(done).outcome == "finished" and store.frames(done)[-1].moment.epoch == 2
    run = store.get(going)
    assert run.outcome == "interrupted" and store.frames(going)[-1].png
    snapshot = store.snapshot(going)
    assert snapshot.epoch >= 1
    training = RECIPES["nice"].train(run.settings, resume=snapshot)
    assert next(training).epoch == snapshot.epoch + 1
    training.close()


@pytest.fixture(scope="module")
def engine():
    with Local(workers=1, preload=("models", "flowlab.live")) as local:
        yield local


def test_a_killed_worker_leaves_its_run_at_the_last_checkpoint(engine, store):
    recorder = Recorder(engine, store)
    run = made.settings(epochs=10_000)
    job = engine.submit(Request(RECIPES["nice"].train, run).job)
    recorder.follow(job, run, origin="page")
    until(lambda: store.snapshot(job))
    next(p for p in engine._pool.processes if p.run).popen.kill()
    until(lambda: recorder.done(job, 1))
    assert store.get(job).outcome == "lost" and "worker process" in store.get(job).reason
    assert store.snapshot(job).epoch >= 1 and store.flow(job) is not None
    recorder.close()


# Beside a training


#: Runs by how they end: what makes them, what is done to them, and what the store says of them.
WILD = {"couplings": 16, "scale_bound": 10.0, "clip": 0.0, "schedule": "constant", "points": 600}
ENDS = {
    "in its first batch": ({**WILD, "learning_rate": 0.1, "hidden": (64, 64)}, "", "diverged"),
    "in its second epoch": ({**WILD, "learning_rate": 1.0, "hidden": (16, 16)}, "", "diverged"),
    "early": ({"patience": 1, "learning_rate": 0.1, "epochs": 900}, "", "early stop"),
    "finished": ({}, "", "finished"),
    "stopped at once": ({"epochs": 9000}, "stop", "stopped"),
    "killed": ({"epochs": 9000}, "kill", "lost"),
}


@pytest.mark.parametrize("how", ENDS)
def test_a_run_that_is_over_has_its_records_state_and_its_last_frame(engine, store, how):
    changes, action, outcome = ENDS[how]
    recorder, run = Recorder(engine, store), made.settings("realnvp", **changes)
    job = engine.submit(Request(RECIPES["realnvp"].train, run).job)
    recorder.follow(job, run)
    if action == "stop":
        until(lambda: recorder.status(job).state == "running")
        engine.control(job, "stop")
    elif action == "kill":
        until(lambda: recorder.frames(job))
        next(p for p in engine._pool.processes if p.run).popen.kill()
    status = until(lambda: (now := recorder.status(job)).active is False and now)
    assert status.state == outcome  # and from the first look that says so:
    assert not recorder.frames(job) or recorder.frames(job)[-1].moment.outcome == (
        "running" if action else outcome)
    until(lambda: recorder.done(job, 1))
    recorder.close()
    assert recorder.status(job).state == outcome
    kept = store.get(job)
    if kept is None:  # stopped before its first batch
        assert outcome == "stopped" and recorder.frames(job) == []
        return
    assert (kept.outcome, kept.reason) == (outcome, recorder.status(job).message)
    for frames in (recorder.frames(job), store.frames(job)):
        assert frames[-1].moment.step == kept.numbers["step"]
        assert frames[-1].png and frames[-1].has_weights


def test_a_recorder_keeps_what_an_engine_runs(engine, store):
    recorder = Recorder(engine, store)
    train, ids = RECIPES["nice"].train, {}
    for pictures in ("live", "end"):
        run = made.settings(epochs=3)
        job = engine.submit(Request(train, run, pictures=pictures).job)
        ids[pictures] = recorder.follow(job, run, film=pictures == "live", group=pictures,
                                        origin="sweep", run_id=f"{pictures}1")
    for pictures, run_id in ids.items():
        until(lambda run_id=run_id: recorder.done(run_id, 1))
        run, = store.runs(group=pictures)
        assert (run.outcome, run.origin, run.numbers["epoch"]) == ("finished", "sweep", 3)
        assert [e.epoch for e in store.epochs(run_id)] == [1, 2, 3]
        assert all(e.seconds > 0 for e in store.epochs(run_id))
        assert store.frames(run_id)[-1].png[:4] == b"\x89PNG"
        assert recorder.frames(run_id)[-1].moment.epoch == 3
        assert all(f.snapshot is None for f in recorder.frames(run_id))
        recorder.forget(run_id)
        assert recorder.frames(run_id) == [] and recorder.status(run_id) is None
    stopped, queued, wrong = (made.settings(epochs=9000), made.settings(epochs=9001),
                              made.settings(noise=9.0))
    jobs = [engine.submit(Request(train, run).job) for run in (stopped, queued, wrong)]
    for job, run in zip(jobs, (stopped, queued, wrong), strict=True):
        recorder.follow(job, run)
    until(lambda: recorder.frames(jobs[0]))
    recorder.steer(jobs[0])
    engine.control(jobs[1], "stop")
    engine.control(jobs[0], "stop")
    for job in jobs:
        until(lambda job=job: recorder.done(job, 1))
    first = store.get(jobs[0])
    assert first.outcome == "stopped" and first.steered and first.weights is not None
    assert store.get(jobs[1]) is None  # nothing had come of it
    assert store.get(jobs[2]).outcome == "failed" and "noise" in store.get(jobs[2]).reason
    recorder.close()


def test_a_writer_goes_on_after_what_cannot_be_written(store, caplog):
    run = made.settings()
    with Writer(store) as writer:
        writer.begin("one", run)
        (store.folder / "one").write_text("in the way")
        writer.put("one", made.frames(run))
        assert writer.flush("one")
        assert "could not be kept" in caplog.text
        writer.begin("two", run)
        writer.put("two", made.frames(run))
        writer.end("two", "finished")
        assert writer.flush()
    assert store.get("two").outcome == "finished"
    assert json.loads(store.get("two").text)["model"] == "nice"


def test_a_training_of_the_command_line_is_kept(store, monkeypatch, capsys):
    monkeypatch.setenv("FLOWLAB_RUNS", str(store.folder))
    command = ["--epochs", "3", "--points", "200", "--hidden", "8,8"]
    nice = RECIPES["nice"]
    assert cli.main(nice.Run, nice.train, "nice.train_nice", [*command, "--no-keep"]) == 0
    assert store.runs() == []
    assert cli.main(nice.Run, nice.train, "nice.train_nice", command) == 0
    run, = store.runs()
    assert (run.origin, run.outcome, run.settings) == ("command", "finished",
                                                       made.settings(epochs=3))
    assert f"KL to the truth {run.numbers['kl']:.4f} nats" in capsys.readouterr().out
    frame, = store.frames(run.id)
    assert [row[0] for row in frame.epochs] == [1, 2, 3] and frame.png[:4] == b"\x89PNG"
    training = runs.keep(nice.train(made.settings(epochs=50)), made.settings(epochs=50))
    for _ in range(2):
        next(training)
    training.close()
    run = store.runs()[0]
    assert (run.outcome, run.numbers["epoch"]) == ("stopped", 2)
    assert store.snapshot(run.id).epoch == 2
    wide = nice.Run.from_flat({"epochs": 1, "points": 50, "event_shape": (3,)})
    with pytest.raises(ValueError, match="shape"):
        list(runs.keep(nice.train(wide), wide))
    assert len(store.runs()) == 2  # nothing had come of it


@pytest.mark.parametrize("model", RECIPES)
@pytest.mark.parametrize("changes", [{}, {"points": 900, "batch_size": 128}])
def test_a_training_goes_on_from_a_moment_with_its_count_and_its_curve(model, changes):
    recipe, run = RECIPES[model], made.settings(model, epochs=3)
    film = [frame for frame in watch(Request(recipe.train, run)) if frame is not None]
    rows = history(film)
    start = Snapshot.fresh(film[-1].flow(), run.training.learning_rate, 2)
    more = made.settings(model, epochs=4, **changes)
    frames = [frame for frame in watch(Request(recipe.train, more, resume=start, since=2,
                                               history=tuple(rows[:2]))) if frame is not None]
    last = frames[-1].moment
    assert (last.epoch, last.epochs, last.outcome) == (6, 6, "finished")
    assert last.step == last.steps and last.steps % 6 == 0 and last.start_epoch == 2
    assert [row[0] for row in history(frames)] == [1, 2, 3, 4, 5, 6]
    assert history(frames)[:2] == rows[:2]
    rates = [f.moment.learning_rate for f in frames]
    assert rates == sorted(rates, reverse=True)  # no warm-up


def test_a_watched_training_goes_on_from_a_frame_after_its_worker_died(monkeypatch):
    monkeypatch.setattr(sys.modules[watch.__module__], "WEIGHTS_EVERY", 0.0)
    request = Request(RECIPES["nice"].train, made.settings(), pictures="end")
    watching = watch(request)
    frames = [next(watching)]
    while frames[-1].moment.outcome == "running":
        frames.append(watching.send({"look": True}))
    middle = next(f for f in frames if f.snapshot is not None and f.snapshot.epoch == 2)
    *_, last = [frame for frame in watch(request.job.resume(request, middle)) if frame is not None]
    assert made.same_flow(last, frames[-1])
    assert last.moment.test_nll == frames[-1].moment.test_nll
    fresh = replace(frames[0], snapshot=None)
    assert request.job.resume(request, fresh) == request  # nothing to go on from yet
