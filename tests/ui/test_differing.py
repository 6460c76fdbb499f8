"""What a page says of a run whose settings are not those of its controls."""

import pytest

from flowlab.ui.model import differing
from models import RECIPES


def settings(model, **changes):
    return RECIPES[model].Run.from_flat(changes)


@pytest.mark.parametrize(("model", "then", "now", "words"), [
    ("realnvp", {"couplings": 16}, {"couplings": 12}, "*Two moons, 16 couplings*; the controls "
     "say *12*."),
    ("nice", {"epochs": 30}, {"epochs": 3}, "*Two moons, 30 epochs*; the controls say *3*."),
    ("glow", {"data": "rings", "steps": 4}, {"data": "rings", "steps": 5}, "*Four rings, 4 steps*"),
    ("realnvp", {"learning_rate": 0.01}, {"learning_rate": 0.003}, "learning rate 0.01*; the "
     "controls say *0.003*"),
    ("realnvp", {"activation": "relu"}, {"activation": "tanh"}, "activation ReLU*; the controls "
     "say *tanh*"),
    ("nice", {"hidden": (16, 16)}, {"hidden": (64,)}, "hidden layers 16 × 16*; the controls say "
     "*64*"),
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
