"""Experiments: each can be chosen, sets the controls, and some of what they say is proved here."""

import pytest
import torch
from pages_helpers import page, run, state, until

from flowlab.data import target
from flowlab.training.recipe import build
from flowlab.ui.controls import experiments
from models import RECIPES

pytestmark = pytest.mark.usefixtures("workers_end")


BY_NAME = experiments.every(RECIPES)


def settings(name: str, **changed: object):
    preset = BY_NAME[name]
    return RECIPES[preset.model].Run.from_flat({**preset.settings, **changed})


def test_there_are_at_least_twelve_with_names_of_their_own():
    every = [preset for recipe in RECIPES.values() for preset in recipe.presets]
    assert len({preset.name for preset in every}) == len(every) >= 12
    assert "digits" in [preset.settings.get("data") for preset in every]
    assert len({preset.title for preset in every}) == len(every)


@pytest.mark.quick("volume", "masks", "classes", "four-models")
@pytest.mark.parametrize("name", BY_NAME)
def test_choosing_sets_the_controls_shows_the_lesson_and_is_in_the_url(name):
    preset = BY_NAME[name]
    start = "glow" if preset.model != "glow" else "nice"  # from another model's page
    app = run(page(start))
    app.selectbox(key=f"{start}.experiment").set_value(name)
    run(app)
    text = " ".join(m.value for m in app.markdown)
    assert preset.title in [strip.label for strip in app.expander]
    assert preset.do in text and preset.look not in text and preset.why not in text
    ask = app.pills(key=f"{preset.model}.expected")
    assert preset.expect in ask.label and ask.options == [*preset.answers]
    assert not app.error
    assert app.query_params == settings(name).texts() | {"preset": name}


def test_no_experiment_any_more():
    app = run(page("realnvp", preset="masks", masks="fixed"))
    assert "Why masks alternate" in [strip.label for strip in app.expander]
    assert "all 8 couplings change" in " ".join(m.value for m in app.markdown)
    app.selectbox(key="realnvp.experiment").set_value(None)
    run(app)
    assert "all 8 couplings change" not in " ".join(m.value for m in app.markdown)
    assert app.query_params == {"masks": "fixed"}


def test_fixed_masks_leave_one_half_as_it_was_and_alternating_ones_do_not():
    z = torch.randn(50, 2)
    for masks, same in (("fixed", True), ("alternating", False)):
        flow = build(RECIPES["realnvp"].model, settings("masks", masks=masks))
        for parameter in flow.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
        assert torch.equal(flow.forward(z)[0][:, 0], z[:, 0]) is same


def test_log_scales_explode_only_without_a_small_bound():
    def outcome(bound: float) -> str:
        run_settings = settings("exploding", scale_bound=bound, epochs=1)
        return list(RECIPES["realnvp"].train(run_settings))[-1].outcome
    assert outcome(10.0) == "diverged" and outcome(1.0) == "finished"


def test_reverse_kl_seeks_few_modes():
    *_, end = RECIPES["realnvp"].train(settings("reverse", epochs=6))
    modes = target("eight_gaussians").modes
    points = end.flow.eval().sample(2000, generator=torch.Generator().manual_seed(0))
    visited = torch.cdist(points, modes).argmin(1).bincount(minlength=8)
    assert (visited > 20).sum() <= 4 and end.test_nll > 10


def test_a_lesson_explains_after_a_training_and_keeps_its_picture_beside_the_second_half():
    lesson = BY_NAME["volume"]
    app = run(page("nice", **settings("volume", epochs=1, points=200).texts(), preset="volume"))
    app.pills(key="nice.expected").set_value(lesson.answers[1])
    run(app)
    app.button(key="nice.train").click()
    run(app)
    until(app, "Finished")
    text = " ".join(m.value for m in app.markdown)
    assert lesson.look in text and lesson.why in text and f"**{lesson.answers[1]}**" in text
    app.button(key="nice.then.realnvp").click()
    run(app)
    other = state(app, "realnvp")
    assert other.first.picture[:2] == b"\xff\xd8" and "Before: NICE" in other.first.caption
    assert app.query_params == {"data": "uniform_square", "preset": "volume"}
    assert app.button(key="realnvp.closefirst") and not app.error
    app.button(key="realnvp.closefirst").click()
    run(app)
    assert other.first is None
