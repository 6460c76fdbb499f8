"""Samples of a class look like images of that class, to a classifier of three neighbours."""

import pytest
import torch

from flowlab.data import image_set
from flowlab.explore_images import TEMPERATURE, recognised, samples
from flowlab.ui.images import STARTS
from models import RECIPES

DIGITS = image_set("digits")


def rates(flow, count=1000):
    """The shares that are recognised at temperature 1 and at the one of the pictures."""
    classes = torch.arange(count) % 10
    z = flow.base_sample(count, torch.Generator().manual_seed(0))
    return [recognised(samples(flow, z, temperature, classes), classes, DIGITS) / count
            for temperature in (1.0, TEMPERATURE)]


def trained(name, **settings):
    *_, last = RECIPES[name].train(RECIPES[name].Run.from_flat(
        {"data": "digits", "classes": 10, **settings}))
    return last


def test_the_classifier_knows_test_images_and_not_noise():
    pixels, labels = DIGITS.part(test=True)
    assert recognised(pixels[:, 0].numpy(), labels, DIGITS) > 0.95 * len(labels)
    noise = torch.rand(1000, 8, 8, generator=torch.Generator().manual_seed(0)) * 17
    assert recognised(noise.numpy(), torch.arange(1000) % 10, DIGITS) < 200


@pytest.mark.parametrize(("name", "settings"), [
    ("glow", {"steps": 4, "hidden_channels": 32}),
    ("realnvp", {"hidden_channels": 16, "blocks": 1}),
])
def test_a_short_training_already_shows_the_class(name, settings):
    last = trained(name, epochs=14, batch_size=64, **settings)
    at_one, colder = rates(last.flow, 500)
    assert at_one > 0.6 and colder > 0.8


@pytest.mark.nightly
@pytest.mark.parametrize(("name", "bits"), [("glow", 2.066), ("realnvp", 1.988)])
def test_the_defaults_of_the_page_show_the_class(name, bits):
    """``bits`` is the test loss of the same training with the class at the top only."""
    start = {key: value for key, value in STARTS[name].items() if key not in ("depth", "width")}
    last = trained(name, **start)
    at_one, colder = rates(last.flow)
    assert at_one > 0.8 and colder > 0.9
    assert last.test_bits < 1.02 * bits
