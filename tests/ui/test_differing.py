"""What a page says of a run whose settings are not those of its controls."""

import numpy as np
import pytest

from flowlab.data import store
from flowlab.data.own import own
from flowlab.runs import Run
from flowlab.runs.naming import name_of, without_data
from flowlab.ui.model import differing
from models import RECIPES


def settings(model, **changes):
    return RECIPES[model].Run.from_flat(changes)


@pytest.mark.parametrize(("model", "then", "now", "words"), [
    ("realnvp", {"couplings": 16}, {"couplings": 12}, "*Two moons, 16 couplings*; the controls "
     "are set to *12*."),
    ("nice", {"epochs": 30}, {"epochs": 3}, "*Two moons, 30 epochs*; the controls are set to *3*."),
    ("glow", {"data": "rings", "steps": 4}, {"data": "rings", "steps": 5}, "*Four rings, 4 steps*"),
    ("realnvp", {"learning_rate": 0.01}, {"learning_rate": 0.003}, "learning rate 0.01*; the "
     "controls are set to *0.003*"),
    ("realnvp", {"activation": "relu"}, {"activation": "tanh"}, "ReLU activation*; the controls "
     "are set to *tanh*"),
    ("nice", {"hidden": (16, 16)}, {"hidden": (64,)}, "hidden layers 16 × 16*; the controls are "
     "set to *64*"),
    ("glow", {"steps": 1, "epochs": 2, "seed": 3, "points": 100}, {}, "and 1 more differ"),
])
def test_one_sentence_says_what_is_shown_and_what_the_controls_say(model, then, now, words):
    run, said = settings(model, **then), settings(model, **now)
    assert differing.same_data(run, said)
    sentence = differing.sentence(run, said, differing.differences(run, said))
    assert words in sentence and sentence.endswith("**Train** to see it.") and "\n" not in sentence


@pytest.mark.parametrize(("then", "now", "same"), [
    ({"data": "moons"}, {"data": "spiral"}, False), ({"data": "digits"}, {}, False),
    ({"noise": 0.2}, {"noise": 0.1}, False), ({"noise": 0.05}, {}, True),
    ({"couplings": 3}, {}, True), ({"data": "funnel"}, {"data": "funnel", "epochs": 3}, True),
])
def test_other_data_are_other_points_or_other_noise(then, now, same):
    assert differing.same_data(settings("nice", **then), settings("nice", **now)) == same


@pytest.mark.parametrize("model", RECIPES)
def test_settings_without_a_control_make_no_difference(model):
    default = settings(model)
    assert differing.differences(default, default) == []
    assert differing.differences(settings(model, precision="float64"), default) == []


@pytest.mark.parametrize(("model", "changes", "name"), [
    ("realnvp", {}, "RealNVP · Two moons"),
    ("realnvp", {"couplings": 1, "masks": "fixed"},
     "RealNVP · Two moons · 1 coupling, fixed masks"),
    ("nice", {"data": "rings", "couplings": 4, "epochs": 1}, "NICE · Four rings · 4 couplings, "
     "1 epoch"),
    ("glow", {"normalisation": "none", "activation": "relu", "steps": 1, "epochs": 2, "seed": 3},
     "Glow · Two moons · ReLU activation, 1 step, no normalisation, seed 3"),
    ("spline", {"hidden": (16, 16), "optimiser_steps": 1}, "Spline · Two moons · hidden layers "
     "16 × 16, 1 step"),
])
def test_a_run_is_named_by_what_differs(model, changes, name):
    assert name_of(settings(model, **changes)) == Run.new(settings(model, **changes)).name == name


@pytest.mark.parametrize("model", RECIPES)
def test_a_name_begins_with_the_models_title(model):
    assert name_of(settings(model)).startswith(f"{RECIPES[model].title} · ")


def test_a_drawing_and_a_file_are_called_by_name(monkeypatch, tmp_path):
    monkeypatch.setenv(store.VARIABLE, str(tmp_path))
    points = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    own.cache_clear()
    name = store.keep(points, title="**flowers** $x$ [2](a).csv")
    run = Run.new(settings("nice", data=name, couplings=1))
    assert run.name == "NICE · flowers x 2 a .csv · 1 coupling"
    assert without_data(run.name, name) == "NICE · 1 coupling"
    assert store.keep(points) == name and store.title_of(name) == "flowers x 2 a .csv"
    assert store.next_drawing() == "Drawing 1"
    store.keep(points[:20], title="Drawing 7")
    assert store.next_drawing() == "Drawing 8"
    (tmp_path / f"{name}.json").write_text("[1")
    assert store.title_of(name) == "" and store.columns_of(name) == ()
