"""A training by reverse KL: what it minimises is measured, kept and drawn under its name."""

import json
import math
from dataclasses import replace

import pytest
import torch
from pydantic import TypeAdapter

from flowlab.data import target
from flowlab.figures import DEFAULT_OVERLAYS
from flowlab.figures.curves import REVERSE_TITLE, TITLE
from flowlab.live import Request, watch
from flowlab.live.cameras import camera
from flowlab.training import Moment
from flowlab.training.checkpoint import Snapshot
from models import RECIPES

SMALL = {"data": "eight_gaussians", "objective": "reverse", "epochs": 4, "points": 400,
         "hidden": (16,), "batch_size": 64}


@pytest.mark.parametrize("name", RECIPES)
def test_the_objective_is_measured_at_every_epoch_from_the_untrained_flow_on(name, tmp_path):
    recipe = RECIPES[name]
    settings = recipe.Run.from_flat(SMALL)
    steps = list(recipe.train(settings))
    curve = steps[-1].reverse_kl
    assert [epoch for epoch, _ in curve] == list(range(5))
    assert all(p.reverse_kl == curve[:p.epoch + 1] for p in steps)
    assert curve[-1][1] < curve[0][1]
    # It is the KL from the flow to the target, as fresh samples have it.
    flow, truth = steps[-1].flow.eval(), target("eight_gaussians")
    with torch.no_grad():
        x = flow.sample(20_000, generator=torch.Generator().manual_seed(1))
        fresh = (flow.log_prob(x) - truth.log_prob(x)).mean().item()
    assert curve[-1][1] == pytest.approx(fresh, abs=0.1 + 0.1 * abs(fresh))
    path = tmp_path / "half.safetensors"
    middle = next(p for p in recipe.train(settings) if p.epoch == 2)
    middle.snapshot.save(path)
    *_, resumed = recipe.train(settings, resume=Snapshot.load(path))
    assert resumed.reverse_kl == curve


def test_forward_training_measures_no_reverse_kl():
    recipe = RECIPES["nice"]
    last = list(recipe.train(recipe.Run.from_flat({**SMALL, "objective": "forward"})))[-1]
    assert last.reverse_kl == ()


def test_the_curve_is_the_objective_under_its_name_with_0_as_the_best():
    recipe = RECIPES["realnvp"]
    settings = recipe.Run.from_flat(SMALL)
    *_, frame = (f for f in watch(Request(recipe.train, settings)) if f is not None)
    stored = json.loads(json.dumps(frame.moment.dump()))
    assert TypeAdapter(Moment).validate_python(stored) == Moment.read(stored) == frame.moment
    taking = camera(settings, "light", DEFAULT_OVERLAYS)
    taking.take(frame.flow(), frame.epochs, frame.moment)
    curves = taking.picture.curves
    assert curves.axes.get_title() == REVERSE_TITLE and curves.best == 0.0
    epochs, values = curves.train.get_data()
    assert list(zip(epochs, values, strict=True)) == list(frame.moment.reverse_kl)
    assert curves.captions[1].get_text() == f"━ KL(q‖p) {values[-1]:.3f}"
    assert not curves.test.get_visible() and math.isfinite(values[-1])
    # The same camera then takes a forward training as if nothing had been.
    taking.take(frame.flow(), frame.epochs, replace(frame.moment, reverse_kl=()))
    assert curves.axes.get_title() == TITLE and curves.test.get_visible()
