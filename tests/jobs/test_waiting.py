"""The queue's expected wait, its sentence, and how the page says it."""

import threading
from types import SimpleNamespace

import pytest
from helpers import moment
from hypothesis import given
from hypothesis import strategies as st
from runs_helpers import kept

from flowlab.jobs import Status
from flowlab.jobs.waiting import expected_wait, sentence
from flowlab.runs import Store
from flowlab.ui.app.lab import Lab

SECONDS = st.floats(0, 1e4)


@pytest.mark.parametrize(("position", "left", "usual", "seconds"), [
    (1, [30.0], 10.0, 30), (2, [30.0], 10.0, 40), (1, [30.0, 5.0], None, 5),
    (2, [30.0, 5.0], None, 30), (3, [30.0, 5.0], None, None), (4, [3.0, 4.0], 10.0, 14),
    (1, [None, 40.0], 12.0, 12), (1, [None, 4.0], None, None), (1, [], 10.0, None),
    (1, [-1.0], 10.0, 0)])
def test_the_wait_follows_from_what_is_left_and_what_is_usual(position, left, usual, seconds):
    assert expected_wait(position, left, usual) == seconds


@given(left=st.lists(SECONDS, min_size=1, max_size=8), usual=SECONDS, place=st.integers(1, 40))
def test_a_later_place_never_waits_less(left, usual, place):
    first, then = (expected_wait(p, left, usual) for p in (place, place + 1))
    assert min(left) <= first <= then <= (max(left) + usual * place) * (1 + 1e-9)


@given(left=st.lists(SECONDS, min_size=1, max_size=8), usual=SECONDS, place=st.integers(1, 40))
def test_one_more_worker_never_makes_the_wait_longer(left, usual, place):
    more, fewer = (expected_wait(place, runs, usual) for runs in ([*left, max(left)], left))
    assert more <= fewer * (1 + 1e-9)


@pytest.mark.parametrize(("position", "seconds", "words"), [
    (3, 38.0, "Third in the queue: about 40 s."), (1, 2.0, "First in the queue: a few seconds."),
    (2, 118.0, "Second in the queue: about 2 min."), (11, 700.0, "Number 11 in the queue: about "
                                                      "12 min."),
    (1, None, "First in the queue: it starts when a worker is free.")])
def test_the_sentence(position, seconds, words):
    assert sentence(position, seconds) == words


class Told:
    """An engine and a recorder that say what they are told to."""

    turn = None

    def __init__(self, runs):
        self.owned = {"ann": ["c", "d"]}
        self.states = {job: Status(state) for job, (state, _) in runs.items()}
        self.numbers = {job: numbers for job, (_, numbers) in runs.items() if numbers}

    def statuses(self, owner=None):
        return self.states if owner is None else dict.fromkeys(self.owned.get(owner, []))

    def run(self, job):
        return self.states[job]

    def newest(self):
        return self.numbers


def test_the_lab_reckons_with_what_runs_have_told():
    lab = Lab.__new__(Lab)  # no workers
    lab.engine = lab.recorder = Told({
        "a": ("finished", moment(100, 10.0)),
        "b": ("finished", moment(100, 14.0)),
        "c": ("running", moment(25, 2.0)),  # 6 s left of 8
        "d": ("running", None),  # has told nothing: the usual 10 s
        "e": ("paused", moment(1, 2.0)), "f": ("queued", None)})
    assert [lab.expected_wait(place, "bob") for place in (1, 2, 3)] == [6, 10, 16]
    lab.engine.turn = 4.0  # then the next one has the worker
    assert [lab.expected_wait(place, "bob") for place in (1, 2, 3)] == [4, 4, 8]
    lab.recorder.numbers["d"] = moment(50, 5.0)
    # One's own runs make no room.
    assert [lab.expected_wait(1, owner) for owner in ("bob", "ann")] == [4, 5]


def test_a_run_that_has_left_memory_disturbs_no_page(tmp_path):
    lab = Lab.__new__(Lab)
    lab._lock, lab._seen, lab._opened = threading.RLock(), {}, {}
    lab.store = Store(tmp_path)
    lab.recorder = SimpleNamespace(run=lambda run_id: None)
    kept(lab.store)
    run = lab.find(lab.store.runs()[0].id)
    assert lab.status(run).state == "finished" and len(lab.frames(run)) == 4
    lab.control(run, "stop")  # nothing happens
