"""A checkpoint that does not fit the run: one sentence that names what differs."""

from dataclasses import replace

import pytest
import torch
from helpers import ON_IMAGES, small

from flowlab.commands import train
from flowlab.training.checkpoint import Snapshot
from models import RECIPES


def run(name, **values):
    return RECIPES[name].Run.from_flat({"epochs": 2, "points": 100, **small(name, depth=3),
                                        **values})


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """A checkpoint of each model after its first epoch."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for name, recipe in RECIPES.items():
        next(recipe.train(run(name))).snapshot.save(folder / name)
    return folder


def sentence(error) -> str:
    text = str(error.value)
    assert text.endswith(".") and "\n" not in text and len(text) < 300, text
    return text


def refused(name, settings, snapshot) -> str:
    with pytest.raises(ValueError) as caught:
        next(RECIPES[name].train(settings, resume=snapshot))
    return sentence(caught)


@pytest.mark.parametrize(("name", "values", "words"), [
    *((name, *case) for name in RECIPES for case in (
        ({"hidden": (9,)}, "hidden [8], and the flow of this run has [9]"),
        ({"hidden": (8, 8)}, "hidden"), ({"activation": "relu"}, "activation tanh"),
        ({"base": "other"}, "base "), ({"precision": "float64"}, "float32"))),
    *((name, {"event_shape": (2,), "data": "digits"}, "event_shape [2]") for name in ON_IMAGES),
])
def test_other_settings_are_named(name, values, words, checkpoints):
    if "base" in values:
        own = run(name).flow.base
        values = {"base": "normal" if own == "logistic" else "logistic"}
    assert words in refused(name, run(name, **values), Snapshot.load(checkpoints / name))


@pytest.mark.parametrize("name", RECIPES)
def test_one_of_earlier_versions_is_compared_by_its_tensors(name, checkpoints):
    snapshot = replace(Snapshot.load(checkpoints / name), flow={})
    assert "tensor" in refused(name, run(name, hidden=(8, 8)), snapshot)
    assert "of shape" in refused(name, run(name, hidden=(9,)), snapshot)
    assert "float32" in refused(name, run(name, precision="float64"), snapshot)
    *_, last = RECIPES[name].train(run(name), resume=snapshot)
    assert last.epoch == 2


def test_another_model_is_named(checkpoints):
    for name in RECIPES:
        for other in set(RECIPES) - {name}:
            words = refused(name, run(name), Snapshot.load(checkpoints / other))
            assert RECIPES[name].model.__name__ in words and RECIPES[other].model.__name__ in words


def test_a_damaged_one_gets_one_sentence(checkpoints, tmp_path):
    snapshot = Snapshot.load(checkpoints / "nice")
    for part in ("optimiser", "weights"):
        broken = replace(snapshot, **{part: (
            snapshot.optimiser * torch.nan if part == "optimiser"
            else {n: w * torch.nan if w.is_floating_point() else w
                  for n, w in snapshot.weights.items()})})
        assert "damaged" in refused("nice", run("nice"), broken)
    short = replace(snapshot, optimiser=snapshot.optimiser[:, 1:])
    assert "frozen" in refused("nice", run("nice"), short)
    for flow in ({"settings": "{"}, {"settings": "[]"}, {"settings": "[" * 10**5}):
        replace(snapshot, flow=flow).save(tmp_path / "broken")
        with pytest.raises(ValueError, match="no complete checkpoint"):
            Snapshot.load(tmp_path / "broken")


def test_the_command_line_says_it_in_one_line(checkpoints, capsys):
    recipe = RECIPES["realnvp"]
    options = ["--checkpoint", str(checkpoints / "realnvp"), "--hidden", "8", "--couplings", "5"]
    assert train.main(recipe.Run, recipe.train, "x", options) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ") and "couplings 3" in error and "has 5" in error
