"""How long a training is: epochs, steps or seconds, with the schedule over what is used of them."""

import math
from itertools import count
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from flowlab.data import target
from flowlab.live import Request, watch
from flowlab.settings import TrainingSettings, describe
from flowlab.training import SCHEDULES, Snapshot, train, trainer
from flowlab.training.progress import Progress
from models import RECIPES
from nice import NICE

BUDGETS = st.fixed_dictionaries({
    "points": st.integers(20, 60), "batch_size": st.integers(4, 30), "seed": st.integers(0, 99),
    "schedule": st.sampled_from(list(SCHEDULES))})
MOONS = target("moons")


def trained(resume: Snapshot | None = None, **budget: object) -> list[Progress]:
    torch.manual_seed(0)
    return list(train(NICE(couplings=2, hidden=(4,)), MOONS, TrainingSettings(**budget),
                      every="batch", resume=resume))


def numbers(progress: Progress) -> tuple:
    return (progress.epoch, progress.epochs, progress.step, progress.steps, progress.test_nll,
            progress.learning_rate, progress.loss, progress.outcome)


@settings(max_examples=8, deadline=None)
@given(BUDGETS, st.integers(1, 3))
def test_as_many_steps_as_epochs_have_give_the_same_numbers(common, epochs):
    whole = trained(epochs=epochs, **common)
    by_steps = trained(optimiser_steps=whole[-1].steps, **common)
    assert list(map(numbers, by_steps)) == list(map(numbers, whole))


@settings(max_examples=8, deadline=None)
@given(BUDGETS, st.integers(1, 40))
def test_steps_are_counted_exactly_and_the_schedule_ends_with_them(common, steps):
    seen = trained(optimiser_steps=steps, **common)
    assert [p.step for p in seen] == list(range(1, steps + 1))
    peak = TrainingSettings().learning_rate
    assert [p.learning_rate for p in seen] == [
        peak * SCHEDULES[common["schedule"]](i / steps) for i in range(steps)]
    assert {p.steps for p in seen} == {steps} and seen[-1].outcome == "finished"
    assert {p.epochs for p in seen} == {seen[-1].epoch}
    assert list(map(numbers, trained(optimiser_steps=steps, **common))) == list(map(numbers, seen))
    ends = [p for p in seen if p.snapshot is not None]
    assert [p.step for p in ends] == [min(p.epoch * p.epoch_steps, steps) for p in ends]
    again = trained(ends[0].snapshot, optimiser_steps=steps, **common)
    assert list(map(numbers, again)) == [numbers(p) for p in seen if p.step > ends[0].step]


@settings(max_examples=8, deadline=None)
@given(BUDGETS, st.floats(0.1, 30))
def test_seconds_end_the_training_and_its_schedule(common, seconds):
    clock = count()  # a second passes whenever somebody looks
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "time", SimpleNamespace(perf_counter=lambda: float(next(clock))))
        seen = trained(seconds=seconds, **common)
    before = [0.0, *(p.seconds for p in seen[:-1])]
    assert all(passed < seconds for passed in before) and seen[-1].seconds >= seconds
    peak = TrainingSettings().learning_rate
    assert [p.learning_rate for p in seen] == [
        peak * SCHEDULES[common["schedule"]](passed / seconds) for passed in before]
    assert seen[-1].outcome == "finished" and seen[-1].step == seen[-1].steps
    assert all(p.step <= p.steps and p.epoch <= p.epochs for p in seen)


@pytest.mark.parametrize("budget", [{"optimiser_steps": 7}, {"seconds": 0.1}, {"epochs": 2}])
def test_a_training_that_continues_takes_as_long_again(budget):
    recipe = RECIPES["nice"]
    run = recipe.Run.from_flat({"couplings": 2, "hidden": (4,), "points": 50, "batch_size": 10,
                                **budget})
    last = list(recipe.train(run))[-1]
    start = Snapshot.fresh(last.flow, 1e-3, last.epoch, last.step)
    request = Request(recipe.train, run, resume=start, pictures="end", since=last.epoch,
                      before=(last.step, 0.0))
    *_, frame = (frame for frame in watch(request) if frame is not None)
    if "seconds" not in budget:
        assert frame.moment.step == 2 * last.step == frame.moment.steps
    assert frame.moment.outcome == "finished" and frame.moment.epoch > last.epoch
    assert request.whole.training.budget[1] == sum(budget.values()) + {
        "epochs": last.epoch, "steps": last.step, "seconds": 0}[run.training.budget[0]]


def test_several_processes_share_no_seconds(monkeypatch):
    monkeypatch.setattr(trainer.distributed, "several", lambda: True)
    with pytest.raises(ValueError, match="give epochs or optimiser_steps"):
        trained(seconds=1.0)


@pytest.mark.parametrize(("budget", "words"), [
    ({"optimiser_steps": 5, "seconds": 3.0}, "give optimiser_steps or seconds"),
    ({"seconds": 0.01}, "at least 0.1"), ({"seconds": math.inf}, "finite"),
    ({"optimiser_steps": 2.5}, "whole number"), ({"optimiser_steps": -1}, "greater than")])
def test_a_bad_budget_gets_one_sentence(budget, words):
    with pytest.raises(ValidationError) as error:
        TrainingSettings(**budget)
    assert words in describe(error.value) and describe(error.value).endswith(".")
