"""Turns: a long run makes room where somebody else's waits, and goes on as if nothing had been."""

import pickle
import time

import jobs_functions as jobs
import pytest
import runs_helpers as made
from helpers import small
from test_jobs import ended, until, until_state

from flowlab.figures import DEFAULT_OVERLAYS
from flowlab.jobs import Local, Preempted
from flowlab.jobs.queue import Queue, QueuedRun
from flowlab.live import Request, watch
from flowlab.live.thinning import history
from models import RECIPES

TURN = 0.1


@pytest.fixture
def engine():
    with Local(workers=1, preload=("flowlab.jobs",), turn=TURN) as engine:
        yield engine


def test_runs_of_two_owners_take_turns_and_miss_nothing(engine):
    first, second = (engine.submit(jobs.in_turns(), owner=owner) for owner in "xy")
    until(lambda: engine.events(second))
    status = engine.status(first)
    assert status.state == "queued" and status.position == 1 and status.events % 10 == 0
    until_state(engine, first, "running")
    assert engine.status(second).state == "queued"
    for run in first, second:
        assert ended(engine, run).state == "finished"
        assert engine.events(run) == list(range(100)) and engine.result(run) == "end"


def test_a_run_leaves_its_worker_to_nobody_but_another_owner(engine):
    first, second = (engine.submit(jobs.in_turns(), owner="x") for _ in range(2))
    while engine.status(first).active:
        assert not engine.events(second)
        time.sleep(0.01)
    assert engine.events(first) == list(range(100))


def test_a_function_that_cannot_leave_keeps_its_worker(engine):
    first, second = engine.submit(jobs.quiet, 100), engine.submit(jobs.in_turns(), owner="y")
    assert ended(engine, first).state == "finished"
    assert ended(engine, second).state == "finished"


def test_what_is_asked_between_two_turns_holds(engine):
    first, second = (engine.submit(jobs.in_turns(), owner=owner) for owner in "xy")
    until(lambda: engine.events(second))
    engine.control(first, "pause")
    until_state(engine, first, "paused")
    reached = engine.status(first).events
    assert ended(engine, second).state == "finished"
    assert engine.status(first).events == reached
    engine.control(first, "resume")
    assert ended(engine, first).state == "finished"
    assert engine.events(first) == list(range(100))


def test_a_stop_between_two_turns_keeps_what_was_reached(engine):
    first, second = (engine.submit(jobs.in_turns(), owner=owner) for owner in "xy")
    until(lambda: engine.events(second))
    engine.control(first, "stop")
    status = ended(engine, first)
    assert status.state == "stopped" and not status.message and status.events >= 10
    assert ended(engine, second).state == "finished"


def test_only_the_time_at_work_counts():
    with Local(workers=1, preload=("flowlab.jobs",), turn=TURN, seconds=0.6) as engine:
        runs = [engine.submit(jobs.in_turns(), owner=owner) for owner in "xyz"]
        for run in runs:
            assert ended(engine, run).late
            assert engine.status(run).events > 20


def play(request, preempt_after=None):
    """Frames of a training, and what the generator returns."""
    generator, frames = watch(request), []
    try:
        for batch in range(10**6):
            frame = generator.send({"preempt": True} if batch and batch == preempt_after else
                                   None if not batch else {})
            frames += [frame] * (frame is not None)
    except StopIteration as end:
        return frames, end.value


def test_nobody_makes_room_for_one_who_has_as_many_at_work():
    queue, now = Queue(), time.monotonic()
    def run(owner, state="running", **more):
        made = QueuedRun(owner, (), state=state, preempt="leave", begun=now - 5, **more)
        queue.runs[made.id] = made
        if state == "queued":
            queue.waiting.append(made)
        return made

    one, other = run("a"), run("b")
    run("b", "queued")
    assert queue.to_preempt(1) == []
    run("c", "queued")
    assert queue.to_preempt(1) == [one] and queue.to_preempt(10) == []
    run("d", "queued")
    assert queue.to_preempt(1) == [one, other]
    one.preempting = True  # for c
    queue.waiting.sort(key=lambda run: run.owner == "b")
    assert queue.to_preempt(1) == [other]


def test_a_run_stopped_early_in_turns_has_the_best_weights():
    settings = RECIPES["realnvp"].Run.from_flat({
        "couplings": 2, "hidden": (16,), "points": 100, "batch_size": 50, "epochs": 300,
        "learning_rate": 3e-2, "patience": 6})
    recipe = RECIPES["realnvp"]
    _, last = play(Request(recipe.train, settings, pictures="end"))
    assert last.moment.outcome == "early stop"
    request, turns = Request(recipe.train, settings, pictures="end"), 0
    while isinstance(value := play(request, preempt_after=1)[1], Preempted):
        request, turns = value.settings, turns + 1
    assert turns >= 2 and value.moment.reason == last.moment.reason
    assert made.same_flow(value, last)


def test_somebody_without_a_name_has_turns_too(engine):
    first, second = engine.submit(jobs.in_turns(), owner="x"), engine.submit(jobs.in_turns())
    until(lambda: engine.events(second))
    assert engine.status(first).active
    assert ended(engine, first).state == ended(engine, second).state == "finished"


@pytest.mark.parametrize("name", RECIPES)
def test_a_training_in_turns_has_the_numbers_of_one_without(name):
    recipe = RECIPES[name]
    settings = recipe.Run.from_flat({**small(name), "points": 500, "batch_size": 100, "epochs": 5,
                                     "learning_rate": 1e-2})
    overlays = (*DEFAULT_OVERLAYS, "grid")
    whole, last = play(Request(recipe.train, settings, "dark", overlays))
    request, frames, turns = Request(recipe.train, settings, "dark", overlays), [], 0
    while True:
        new, value = play(request, preempt_after=7)
        frames += new
        if not isinstance(value, Preempted):
            break
        request, turns = pickle.loads(pickle.dumps(value)).settings, turns + 1
    assert turns >= 2
    for name in ("epoch", "step", "train_nll", "test_nll", "kl", "learning_rate", "outcome"):
        assert getattr(value.moment, name) == getattr(last.moment, name)
    assert made.same_flow(value, last)
    assert [e._replace(seconds=0) for e in history(frames)] == [
        e._replace(seconds=0) for e in history(whole)]
    assert len([e.seconds for e in history(frames)]) == 5
    assert value.moment.seconds > frames[0].moment.seconds
    assert value.png == last.png
    assert (value.theme, value.overlays) == (last.theme, last.overlays)
