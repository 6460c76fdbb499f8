"""The jobs' contract, on every engine there is, and what the local engine promises beyond it."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from multiprocessing import Pipe
from pathlib import Path

import jobs_functions as jobs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowlab.jobs import Job, Local, Ray, Status, UnknownRun
from flowlab.jobs.queue import QueuedRun, fair_order
from flowlab.jobs.template import METHOD, TEMPLATE, Forked, Template, can_fork

PATIENCE = 60  # seconds; only ever waited out by a test that fails
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
METHODS = ["fork", "spawn"] if can_fork() else ["spawn"]
#: The quick tests take the first of them.
EITHER = [METHODS[0], *(pytest.param(way, marks=pytest.mark.thorough) for way in METHODS[1:])]
ENGINES = {"local": Local, "ray": Ray}


@pytest.fixture(scope="module")
def ray():
    """Ray, started once for all: it ends with the last engine."""
    if find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install -r requirements-ray.txt")
    with ThreadPoolExecutor(1) as pool:  # as in Streamlit, it has to outlive its thread
        keeper = pool.submit(Ray, workers=2).result()
    with keeper:
        yield


@pytest.fixture(params=EITHER)
def method(request, monkeypatch):
    """How the local engine starts its workers."""
    monkeypatch.setenv(METHOD, request.param)
    return request.param


@pytest.fixture(params=[*EITHER, pytest.param("ray", marks=pytest.mark.thorough)])
def make(request, monkeypatch):
    """The class of an engine; local workers start in each way that there is."""
    if request.param == "ray":
        request.getfixturevalue("ray")
        return Ray
    monkeypatch.setenv(METHOD, request.param)
    return Local


@pytest.fixture
def engine(make):
    with make(workers=2) as engine:
        yield engine


def until(condition):
    """Wait for a condition and return its value."""
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)
    return value


def until_state(engine, run, state):
    until(lambda: engine.status(run).state == state)


def first_event(engine, run):
    return until(lambda: engine.events(run))[0]


def ended(engine, run):
    status = engine.wait(run, PATIENCE)
    assert not status.active
    return status


def stopped(engine, run):
    engine.control(run, "stop")
    return ended(engine, run)


@pytest.fixture
def fresh(monkeypatch):
    """A template that no other test uses."""
    fresh = Template()
    with monkeypatch.context() as patch:
        patch.setattr("flowlab.jobs.process.TEMPLATE", fresh)
        yield fresh
    fresh.close()


@pytest.fixture
def template(fresh):
    """The same, where workers are forked."""
    if not can_fork():
        pytest.skip("Workers are not forked here.")
    return fresh


def test_to_kill_a_worker_that_has_just_ended_is_no_error():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    status, template = Pipe(duplex=False)
    template.send(process.pid)
    worker = Forked(process, status)
    worker.kill()  # before the template tells that it has ended
    template.send(0)
    assert worker.wait(10) == 0
    status.close()
    template.close()


# The contract


def test_events_come_in_order_and_the_result_last(engine):
    run = engine.submit(jobs.count, 200)
    assert ended(engine, run) == Status("finished", events=200)
    assert engine.events(run) == list(range(200))
    assert engine.events(run, since=190) == list(range(190, 200))
    assert engine.events(run, since=200) == engine.events(run, since=10**6) == []
    assert engine.result(run) == 200


def test_released_events_are_gone_and_the_count_stays(engine):
    run = engine.submit(jobs.count, 20)
    assert ended(engine, run).events == 20
    engine.release(run, 5)
    engine.release(run, 12)
    assert engine.events(run) == [None] * 12 + list(range(12, 20))
    assert engine.status(run).events == 20 and engine.result(run) == 20
    engine.release(run, 10**6)
    assert engine.events(run, since=18) == [None, None] and engine.result(run) is None


def test_none_is_no_event(engine):
    run = engine.submit(jobs.quiet, 1000)
    assert ended(engine, run).events == 1
    assert (engine.events(run), engine.result(run)) == (["middle"], "end")


def test_there_is_no_result_before_the_end(engine):
    run = engine.submit(jobs.forever, 0.01)
    first_event(engine, run)
    assert engine.result(run) is None
    assert engine.wait(run, timeout=0).state == "running"


def test_a_paused_run_stands_still_until_it_is_resumed(engine):
    run = engine.submit(jobs.forever, 0.001)
    first_event(engine, run)
    engine.control(run, "pause")
    until_state(engine, run, "paused")
    reached = len(engine.events(run))
    time.sleep(0.1)
    assert engine.status(run) == Status("paused", events=reached)
    engine.control(run, "resume")
    until(lambda: engine.status(run).events > reached)
    until_state(engine, run, "running")
    assert engine.events(run)[: reached + 1] == list(range(reached + 1))


# The engine may be the same for all examples.
@settings(max_examples=8, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.integers(1, 4), max_size=4), started=st.booleans())
def test_each_step_is_one_batch(engine, steps, started):
    run = engine.submit(jobs.forever, 0.001)
    if started:
        first_event(engine, run)
    engine.control(run, "pause")
    until_state(engine, run, "paused")
    reached = engine.status(run).events
    for n in steps:
        for _ in range(n):
            engine.control(run, "step")
        reached += n
        until(lambda reached=reached: engine.status(run).events >= reached)
        assert engine.status(run).state == "paused"
    assert stopped(engine, run) == Status("stopped", events=reached)


@pytest.mark.parametrize(("first", "events"), [("pause", 0), ("step", 1)])
def test_a_run_can_start_paused(engine, first, events):
    run = engine.submit(jobs.forever, 0.001, first=first)
    until_state(engine, run, "paused")
    until(lambda: engine.status(run).events == events)
    engine.control(run, "resume")
    until(lambda: engine.status(run).events > events + 3)
    engine.control(run, "stop")
    with pytest.raises(ValueError, match="'pause' or 'step'"):
        engine.submit(jobs.forever, 0.001, first="run")


def test_a_step_pauses_a_running_run(engine):
    run = engine.submit(jobs.forever, 0.001)
    first_event(engine, run)
    engine.control(run, "step")
    until_state(engine, run, "paused")
    reached = engine.status(run).events
    assert stopped(engine, run).events == reached


def test_what_is_sent_arrives_at_the_next_batches_in_order(engine):
    run = engine.submit(jobs.total, 0)
    engine.control(run, "send", 100)  # before its first yield: must wait for it
    until(lambda: 100 in engine.events(run))
    engine.control(run, "pause")
    until_state(engine, run, "paused")
    reached = engine.status(run).events
    for action, value in [("send", 3), ("step", None), ("send", 4), ("send", 5)]:
        engine.control(run, action, value)
    for _ in range(3):
        engine.control(run, "step")
    until(lambda: engine.status(run).events == reached + 4)
    assert engine.events(run, since=reached) == [103, 107, 112, 112]


def test_stop_lets_the_batch_end_and_takes_no_other(engine, tmp_path):
    run = engine.submit(jobs.gated, tmp_path)
    until((tmp_path / "inside").exists)
    engine.control(run, "stop")
    time.sleep(0.5)  # the command travels while the batch lasts
    assert engine.status(run).state == "running"
    (tmp_path / "gate").touch()
    assert ended(engine, run) == Status("stopped", events=2)
    assert engine.events(run) == ["first", "gated"]


def test_stop_reaches_a_paused_run(engine):
    run = engine.submit(jobs.forever, 0.001)
    engine.control(run, "pause")
    until_state(engine, run, "paused")
    reached = engine.status(run).events
    assert stopped(engine, run) == Status("stopped", events=reached)


def test_what_a_stopped_run_returns_is_its_result(engine):
    run = engine.submit(jobs.keeper, None)
    first_event(engine, run)
    assert stopped(engine, run).state == "stopped"
    assert engine.result(run) == "what was reached"


@pytest.mark.parametrize(
    ("job", "message"), [(jobs.stubborn, "continued"), (jobs.angry, "ValueError: the disk is full")]
)
def test_a_run_that_resists_is_stopped_all_the_same(engine, job, message):
    run = engine.submit(job, None)
    first_event(engine, run)
    status = stopped(engine, run)
    assert status.state == "stopped"
    assert message in status.message
    assert ended(engine, engine.submit(jobs.count, 3)).state == "finished"


def test_commands_after_the_end_do_nothing(engine):
    run = engine.submit(jobs.count, 1)
    status = ended(engine, run)
    for action in ("pause", "resume", "step", "stop"):
        engine.control(run, action)
    assert engine.status(run) == status


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("the rate is negative\nand more"), "ValueError: the rate is negative"),
        (MemoryError(), "Memory ran out: choose a smaller batch, a smaller network or fewer "
         "points, or let fewer run at once."),
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt."),
    ],
)
def test_a_function_that_raises_fails_with_one_line(engine, error, message):
    run = engine.submit(jobs.fail, error)
    status = ended(engine, run)
    assert (status.state, status.message) == ("failed", message)
    assert "jobs_functions.py" in status.traceback
    assert engine.events(run) == ["before"]
    assert engine.result(run) is None


@pytest.mark.parametrize("job", [jobs.fail_at_once, jobs.no_generator])
def test_what_is_no_generator_function_fails(engine, job):
    status = ended(engine, engine.submit(job, None))
    assert status.state == "failed"
    assert "generator" in status.message


@pytest.mark.parametrize("place", ["event", "result"])
@pytest.mark.parametrize("kind", ["lambda", "unloadable"])
def test_what_cannot_travel_back_fails_the_run_only(engine, place, kind):
    run = engine.submit(jobs.report, (place, kind))
    status = ended(engine, run)
    assert status.state == "failed"
    assert "pickled" in status.message and "\n" not in status.message
    assert engine.events(run) == ["before"]
    assert ended(engine, engine.submit(jobs.count, 3)).state == "finished"


@pytest.mark.parametrize(
    ("function", "data", "message"),
    [
        (lambda _: iter(()), None, "top level of a module"),
        (jobs.count, threading.Lock(), "settings cannot be sent"),
        ("count", None, "generator function"),
    ],
)
def test_what_cannot_travel_there_is_refused(engine, function, data, message):
    with pytest.raises(ValueError, match=message) as caught:
        engine.submit(function, data)
    assert "\n" not in str(caught.value)
    assert engine.runs() == []


def test_a_step_with_a_value_has_told_of_it_when_it_is_paused(engine):
    for start in 0, 1000:
        run = engine.submit(jobs.total, start)
        first_event(engine, run)
        engine.control(run, "step", 7)
        until_state(engine, run, "paused")
        assert engine.events(run)[-1] == start + 7
        stopped(engine, run)


def test_wrong_calls_get_a_clear_sentence(engine):
    run = engine.submit(jobs.forever, 0.01)
    for call in (engine.status, engine.result, engine.events, engine.forget):
        with pytest.raises(UnknownRun, match="no run 'x'"):
            call("x")
    with pytest.raises(UnknownRun, match="no run 'x'"):
        engine.control("x", "stop")
    with pytest.raises(ValueError, match="use one of pause, resume"):
        engine.control(run, "jump")
    with pytest.raises(ValueError, match="'send'"):
        engine.control(run, "send")
    with pytest.raises(ValueError, match="'send'"):
        engine.control(run, "pause", 1)
    with pytest.raises(ValueError, match="The value cannot be sent"):
        engine.control(run, "send", threading.Lock())
    with pytest.raises(ValueError, match="from 0"):
        engine.events(run, since=-1)
    with pytest.raises(ValueError, match="still going on"):
        engine.forget(run)


def test_runs_are_listed_by_owner_and_forgotten(engine):
    a = engine.submit(jobs.count, 1, owner="a")
    b = engine.submit(jobs.count, 1, owner="b")
    c = engine.submit(jobs.count, 1, owner="a")
    assert engine.runs() == [a, b, c]
    assert engine.runs("a") == [a, c]
    ended(engine, a)
    engine.forget(a)
    assert engine.runs("a") == [c]
    with pytest.raises(UnknownRun):
        engine.status(a)


def test_many_threads_share_an_engine(engine):
    seen = {}

    def user(name):
        runs = [engine.submit(jobs.count, 20 + i, owner=str(name)) for i in range(5)]
        for i, run in enumerate(runs):
            seen[name, i] = ended(engine, run).events, engine.events(run), engine.result(run)

    threads = [threading.Thread(target=user, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = [(20 + i, list(range(20 + i)), 20 + i) for _ in range(6) for i in range(5)]
    assert [seen[key] for key in sorted(seen)] == expected


def test_large_settings_events_and_results(engine):
    run = engine.submit(jobs.large, 20_000_000)
    assert ended(engine, run).state == "finished"
    assert len(engine.events(run)[0]) == len(engine.result(run)) == 20_000_000
    assert ended(engine, engine.submit(jobs.count, 1)).state == "finished"
    status = ended(engine, engine.submit(jobs.no_generator, bytes(20_000_000)))
    assert status.state == "failed"


def test_noise_disturbs_nothing(engine, capfd):
    run = engine.submit(jobs.noisy, 50)
    assert ended(engine, run) == Status("finished", events=50)
    run = engine.submit(jobs.listen, None)
    ended(engine, run)
    assert engine.events(run) == [""]


def test_a_run_whose_worker_dies_is_lost_and_the_others_go_on(engine):
    other = engine.submit(jobs.forever, 0.01)
    run = engine.submit(jobs.leave, 3)
    status = ended(engine, run)
    assert status == Status("lost", message=status.message, events=1)
    assert "1 events are kept" in status.message
    assert engine.events(run) == ["before"]
    assert ended(engine, engine.submit(jobs.count, 3)).state == "finished"
    assert engine.status(other).state == "running"


def test_close_stops_everything_and_keeps_what_was_reached(engine):
    runs = [engine.submit(jobs.forever, 0.01) for _ in range(4)]
    first_event(engine, runs[0])
    engine.close()
    engine.close()
    assert {engine.status(run).state for run in runs} == {"stopped"}
    assert engine.events(runs[0])[0] == 0
    with pytest.raises(RuntimeError, match="closed"):
        engine.submit(jobs.count, 1)


# The queue


owners = st.sampled_from("abcd")


@given(queued=st.lists(owners, max_size=20), going=st.lists(owners), served=st.lists(owners))
def test_owners_take_turns(queued, going, served):
    runs = [QueuedRun(owner, ()) for owner in queued]
    turns = {owner: turn for turn, owner in enumerate(served)}
    order = fair_order(reversed(runs), Counter(going), turns)
    assert sorted(order, key=lambda run: run.number) == runs
    has = Counter(going)
    for place, run in enumerate(order):
        rest = order[place:]
        # Nobody who waits has less, and among equals nobody has waited longer since the last turn.
        assert has[run.owner] == min(has[other.owner] for other in rest)
        equals = [other for other in rest if has[other.owner] == has[run.owner]]
        if not place:
            last = [turns.get(other.owner, -1) for other in equals]
            assert turns.get(run.owner, -1) == min(last)
        assert all(run.number < other.number for other in rest[1:] if other.owner == run.owner)
        has[run.owner] += 1


def test_positions_follow_the_queue(make, tmp_path):
    with make(workers=1) as engine:
        holder = engine.submit(jobs.forever, 0.01, owner="x")
        first_event(engine, holder)
        labels = [("A", "a"), ("B", "a"), ("C", "a"), ("D", "b"), ("E", "c")]
        runs = {
            label: engine.submit(jobs.stamp, (tmp_path / "log", label), owner=owner)
            for label, owner in labels
        }
        expected = {"A": 1, "D": 2, "E": 3, "B": 4, "C": 5}
        for label, run in runs.items():
            place = expected[label]
            assert engine.status(run) == Status("queued", place, f"Number {place} in the queue.")
        engine.control(runs["B"], "stop")
        assert engine.status(runs["B"]) == Status("stopped", message="Stopped before it started.")
        assert engine.status(runs["C"]).position == 4
        stopped(engine, holder)
        for run in runs.values():
            ended(engine, run)
        assert (tmp_path / "log").read_text() == "ADEC"


def test_what_is_asked_of_a_queued_run_happens_when_it_starts(make):
    with make(workers=1) as engine:
        holder = engine.submit(jobs.forever, 0.01)
        first_event(engine, holder)
        run = engine.submit(jobs.count, 100)
        engine.control(run, "pause")
        engine.control(run, "step")
        assert engine.status(run).state == "queued"
        stopped(engine, holder)
        until(lambda: engine.status(run) == Status("paused", events=1))
        assert stopped(engine, run).events == 1


def test_paused_runs_do_not_hold_up_others(make):
    with make(workers=1, spare=1) as engine:
        paused = []
        for _ in range(2):
            paused.append(engine.submit(jobs.forever, 0.001))
            engine.control(paused[-1], "pause")
            until_state(engine, paused[-1], "paused")
        waiting = engine.submit(jobs.count, 3)
        assert "paused runs hold every worker" in engine.status(waiting).message
        engine.control(paused[0], "stop")
        assert ended(engine, waiting).state == "finished"
        engine.control(paused[1], "resume")
        until_state(engine, paused[1], "running")
        stopped(engine, paused[1])
        until(lambda: engine.ready == 1)  # the spare worker has left
        assert ended(engine, engine.submit(jobs.count, 3)).state == "finished"


# Workers


def test_a_killed_worker_loses_only_its_own_run(method):
    with Local(workers=2) as engine:
        victim, other = (engine.submit(jobs.identify, 0.01) for _ in range(2))
        pids = [first_event(engine, run) for run in (victim, other)]
        waiting = engine.submit(jobs.whoami, None)
        os.kill(pids[0], KILL)
        status = ended(engine, victim)
        assert status.state == "lost"
        assert f"{status.events} events are kept" in status.message
        if os.name != "nt":
            assert "SIGKILL" in status.message
        assert set(engine.events(victim)) == {pids[0]}
        assert ended(engine, waiting).state == "finished"
        assert engine.events(waiting)[0] not in pids
        reached = engine.status(other).events
        until(lambda: engine.status(other).events > reached)
        assert set(engine.events(other)) == {pids[1]}


def test_a_worker_that_leaves_says_its_exit_code(method):
    with Local(workers=1) as engine:
        run = engine.submit(jobs.leave, 3)
        assert "exit code 3" in ended(engine, run).message


def test_a_killed_idle_worker_is_replaced(method):
    with Local(workers=1) as engine:
        run = engine.submit(jobs.whoami, None)
        ended(engine, run)
        (old,) = engine.events(run)
        os.kill(old, KILL)

        def answer():
            run = engine.submit(jobs.whoami, None)
            ended(engine, run)
            return [pid for pid in engine.events(run) if pid != old]

        until(answer)


def test_a_batch_without_end_is_stopped_by_force(make):
    with make(workers=1, grace=0.2) as engine:
        run = engine.submit(jobs.hang, None)
        first_event(engine, run)
        status = stopped(engine, run)
        assert status.state == "stopped"
        assert "by force" in status.message
        assert ended(engine, engine.submit(jobs.count, 3)).state == "finished"


def test_workers_import_and_limit_threads_before_the_first_run(make, caplog):
    with make(workers=1, preload=("torch", "no_such_module"), threads=1) as engine:
        assert engine.ready == 0  # the constructor has not waited
        runs = [engine.submit(jobs.imported, "torch"), engine.submit(jobs.torch_threads, None)]
        for run in runs:
            ended(engine, run)
        assert [engine.events(run) for run in runs] == [[True], [1]]
        until(lambda: "no_such_module" in caplog.text)


def test_workers_that_cannot_start_are_given_up(method, fresh, monkeypatch, tmp_path):
    broken = tmp_path / "worker.py"
    broken.write_text("raise SystemExit(7)")
    monkeypatch.setattr("flowlab.jobs.template.WORKER", broken)
    with Local(workers=1) as engine:
        status = ended(engine, engine.submit(jobs.count, 1))
        assert status.state == "failed"
        assert "exit code 7" in status.message
        monkeypatch.setattr("sys.executable", str(tmp_path / "no_python"))
        status = ended(engine, engine.submit(jobs.count, 1))
        assert status.state == "failed"
        assert "no_python" in status.message
        monkeypatch.undo()
        assert ended(engine, engine.submit(jobs.count, 1)).state == "finished"


def test_workers_have_the_program_s_surroundings_and_their_own_chance(
        method, monkeypatch, tmp_path):
    monkeypatch.setenv("FLOWLAB_TEST", "early")
    with Local(workers=1) as engine:  # by now there is a template, with another variable
        ended(engine, engine.submit(jobs.count, 1))
    monkeypatch.setenv("FLOWLAB_TEST", "late")
    monkeypatch.chdir(tmp_path)
    seen = []
    for _ in range(2):
        with Local(workers=1, preload=("numpy",)) as engine:
            run = engine.submit(jobs.surroundings, "FLOWLAB_TEST")
            ended(engine, run)
            seen += engine.events(run)
    parent = TEMPLATE._process.pid if method == "fork" else os.getpid()
    assert [told[:3] for told in seen] == [("late", str(tmp_path), parent)] * 2
    assert seen[0][3] != seen[1][3]


def test_an_unknown_way_to_start_workers_is_refused(monkeypatch):
    monkeypatch.setenv(METHOD, "thread")
    with pytest.raises(ValueError, match="'thread': set it to 'fork' or 'spawn'"):
        Local(workers=1)


def test_a_killed_template_costs_no_run_and_starts_again(template):
    with Local(workers=2) as engine:
        run, victim = (engine.submit(jobs.identify, 0.01) for _ in range(2))
        pids = [first_event(engine, run), first_event(engine, victim)]
        old = template._process
        old.kill()
        old.wait()
        reached = engine.status(run).events
        until(lambda: engine.status(run).events > reached)
        os.kill(pids[1], KILL)
        status = ended(engine, victim)
        assert status.state == "lost"
        assert "process ended" in status.message  # how, only the template would know
        assert ended(engine, engine.submit(jobs.count, 3)).state == "finished"
        assert template._process is not old
        stopped(engine, run)


def test_a_template_killed_while_it_imports_starts_again(template, tmp_path, monkeypatch):
    (tmp_path / "slow_to_import.py").write_text(
        f"import pathlib, time\npathlib.Path({str(tmp_path)!r}, 'begun').touch()\n"
        f"while not pathlib.Path({str(tmp_path)!r}, 'go').exists():\n    time.sleep(0.01)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with Local(workers=5, preload=("slow_to_import",)) as engine:
        until((tmp_path / "begun").exists)
        (tmp_path / "go").touch()
        template._process.kill()
        until(lambda: engine.ready == 5)


def test_no_worker_is_forked_where_an_import_has_started_threads(template, tmp_path, monkeypatch):
    (tmp_path / "starts_threads.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n")
    monkeypatch.syspath_prepend(tmp_path)
    with Local(workers=5, preload=("starts_threads",)) as engine:
        until(lambda: engine.ready == 5)
        run = engine.submit(jobs.surroundings, "")
        ended(engine, run)
        assert engine.events(run)[0][2] == os.getpid()


@pytest.mark.thorough
def test_what_the_lab_imports_starts_no_threads_and_is_shared(template):
    from flowlab.ui.app.lab import DRAWING, PRELOAD

    with Local(workers=1, preload=(*PRELOAD, *DRAWING)) as engine:
        until(lambda: engine.ready == 1)
        (process,) = engine._pool.processes
        assert Path(f"/proc/{process.popen.pid}/stat").read_text().split()[3] == str(
            template._process.pid)
        rows = Path(f"/proc/{process.popen.pid}/smaps_rollup").read_text()
        private = sum(map(int, re.findall(r"^Private_\w+: +(\d+) kB", rows, re.MULTILINE)))
        assert private < 100_000
        runs = [engine.submit(jobs.imported, "flowlab.live.drawing"),
                engine.submit(jobs.gradient, 3.0)]  # for which PyTorch may have no thread yet
        assert [ended(engine, run).state for run in runs] == ["finished"] * 2
        assert [engine.events(run) for run in runs] == [[True], [6.0]]


@pytest.mark.parametrize("make", ENGINES.values())
@pytest.mark.parametrize("numbers", [{"workers": 0}, {"threads": 0}, {"spare": -1}, {"grace": -1}])
def test_numbers_out_of_range_are_refused(make, numbers):
    with pytest.raises(ValueError, match="at least one"):
        make(**numbers)


# Ray


@pytest.mark.thorough
def test_a_lost_run_goes_on_from_its_last_event(ray, tmp_path):
    with Ray(workers=1) as engine:
        run = engine.submit(jobs.restarted((tmp_path, 0, 3)), first="pause")
        engine.control(run, "send", "early")
        engine.control(run, "resume")
        status = ended(engine, run)
        assert status.state == "finished"
        assert "continued from event 2" in status.message
        assert (engine.events(run), engine.result(run)) == (list(range(8)), "whole")
        # What was sent before the last event is not sent again.
        assert {path.name for path in tmp_path.iterdir()} == {"broken", "early at 0"}


def test_a_paused_run_is_paused_again_and_gets_what_was_sent_late(ray, tmp_path):
    with Ray(workers=1) as engine:
        run = engine.submit(jobs.restarted((tmp_path, 0, 3)), first="pause")
        for _ in range(3):
            engine.control(run, "step")
        until(lambda: engine.status(run).events == 3)
        engine.control(run, "send", "late")
        engine.control(run, "step")  # in which its worker dies
        until(lambda: "continued" in engine.status(run).message)
        until_state(engine, run, "paused")
        assert engine.events(run) == [0, 1, 2]
        engine.control(run, "resume")
        assert ended(engine, run).state == "finished"
        assert engine.events(run) == list(range(8))
        # What the first worker did with it, after its last event, nobody knows: it is sent again.
        names = {path.name for path in tmp_path.iterdir()}
        assert names == {"broken", "late at 2", "late at 3"}


def test_a_run_of_which_nothing_had_come_begins_again(ray, tmp_path):
    with Ray(workers=1) as engine:
        run = engine.submit(jobs.restarted((tmp_path, 0, 0)))
        status = ended(engine, run)
        assert (status.state, engine.events(run)) == ("finished", list(range(8)))
        assert "was restarted" in status.message


def test_a_run_that_is_lost_again_and_again_is_given_up(ray):
    with Ray(workers=1, retries=1) as engine:
        run = engine.submit(Job(jobs.doomed, 0, resume=lambda start, event: event + 1))
        status = ended(engine, run)
        assert status.state == "lost"
        assert "2 events are kept, after 2 attempts" in status.message
        assert engine.events(run) == [0, 1]


def test_ray_is_open_to_this_machine_only_and_quiet(ray, capfd):
    import ray

    assert [node["NodeManagerAddress"] for node in ray.nodes()] == ["127.0.0.1"]
    with Ray(workers=1) as engine:
        assert ended(engine, engine.submit(jobs.leave, 3)).state == "lost"
    assert capfd.readouterr() == ("", "")


# The program around it


@pytest.fixture
def program(tmp_path):
    """Write a script and start it; its standard output ends when it and all its workers have."""
    started = []

    def start(text, *command):
        path = tmp_path / "script.py"
        path.write_text(text)
        folders = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]
        started.append(
            subprocess.Popen(
                [sys.executable, *command, str(path)],
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(folders)},
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


BUSY = """
import sys, time
import jobs_functions as jobs
from flowlab.jobs import Local
if __name__ == "__main__":
    engine = Local(workers=3, grace=1)
    runs = [engine.submit(jobs.hang, None), engine.submit(jobs.forever, 0.001)]
    while not all(engine.events(run) for run in runs) or engine.ready < 3:
        time.sleep(0.01)
    print("busy", flush=True)
    {then}
"""


def test_no_worker_survives_a_killed_parent(method, program):
    process = program(BUSY.format(then="time.sleep(3600)"))
    assert process.stdout.readline() == "busy\n"
    process.kill()
    assert process.communicate(timeout=PATIENCE)[0] == ""


def test_no_worker_survives_a_parent_that_just_ends(method, program):
    process = program(BUSY.format(then=""))
    assert process.communicate(timeout=PATIENCE)[0] == "busy\n"
    assert process.returncode == 0


SCRIPT = """
from flowlab.jobs import Local

class Pair(tuple):
    pass

def job(n):
    yield Pair((n, n))
    return "done"

def main():
    with Local(workers=1) as engine:
        run = engine.submit(job, Pair((1, 2)))
        print(engine.wait(run).message, engine.events(run), engine.result(run))

{start}
"""


@pytest.mark.thorough
def test_a_script_may_run_its_own_functions(method, program):
    process = program(SCRIPT.format(start='if __name__ == "__main__": main()'))
    output, _ = process.communicate(timeout=PATIENCE)
    assert output.split() == "[((1, 2), (1, 2))] done".split()


@pytest.mark.thorough
def test_a_script_without_a_guard_is_told(method, program):
    process = program(SCRIPT.format(start="main()"))
    assert "A worker starts no engine" in process.communicate(timeout=PATIENCE)[0]


APP = """
import sys
import streamlit as st
import jobs_functions as jobs
from flowlab.jobs import Local

print("the app runs", flush=True)
engine = st.cache_resource(lambda: Local(workers=2))()

def job(_):
    yield

run = engine.submit(jobs.count, 3)
print(engine.wait(run).state, engine.events(run), flush=True)
try:
    engine.submit(job, None)
except ValueError as error:
    print(error, flush=True)
print("end", flush=True)
"""


@pytest.mark.thorough
def test_workers_of_a_streamlit_server_do_not_run_the_app(method, program):
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from websockets.sync.client import connect

    options = ["--server.headless=true", "--server.address=127.0.0.1", "--server.port=0"]
    server = program(APP, "-m", "streamlit", "run", "--browser.gatherUsageStats=false", *options)
    lines = []
    while "URL:" not in "".join(lines[-1:]):
        lines.append(server.stdout.readline())
        assert lines[-1], lines
    address = lines[-1].split("//")[1].strip()
    start = BackMsg()
    start.rerun_script.query_string = ""

    def session():
        return connect(f"ws://{address}/_stcore/stream", subprotocols=["streamlit"])

    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            browser = session()
            break
        except OSError:  # printed before it listens
            assert time.monotonic() < deadline
            time.sleep(0.1)
    with browser:
        browser.send(start.SerializeToString())
        heard = [line for line in iter(server.stdout.readline, "end\n") if line.strip()]
    server.kill()
    rest, _ = server.communicate(timeout=PATIENCE)
    output = "".join(heard)
    assert (output + rest).count("the app runs") == 1
    assert "finished [0, 1, 2]" in output
    assert "move the function" in output
