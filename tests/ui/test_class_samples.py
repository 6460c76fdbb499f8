"""Samples of a class look like images of that class, to a classifier of three neighbours."""

import pytest
import torch

from flowlab.analysis.images import TEMPERATURE, recognised, samples
from flowlab.data import image_set, target
from flowlab.settings import TrainingSettings
from flowlab.training import train
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


@pytest.mark.thorough
def test_a_short_training_already_shows_the_class():
    last = trained("glow", epochs=14, batch_size=64, steps=4, hidden_channels=32)
    at_one, colder = rates(last.flow, 500)
    assert at_one > 0.6 and colder > 0.8


@pytest.mark.nightly
@pytest.mark.parametrize(("name", "bits"), [("nice", 3.383), ("realnvp", 1.988), ("glow", 2.066)])
def test_the_defaults_of_the_page_show_the_class(name, bits):
    """``bits`` is the test loss before the class entered all layers, or NICE was trained longer."""
    last = trained(name, **RECIPES[name].images)
    at_one, colder = rates(last.flow)
    assert at_one > 0.8 and colder > 0.9
    assert last.test_bits < 1.02 * bits


@pytest.mark.parametrize("name", RECIPES)
def test_samples_in_the_plane_show_their_class(name):
    truth = target("eight_gaussians")
    x = truth.sample(4000)
    classes = torch.cdist(x, truth.modes).argmin(1)
    model = RECIPES[name].model
    layers = "steps" if "steps" in model.Settings.model_fields else "couplings"
    flow = model((2,), classes=8, hidden=(32, 32), **{layers: 4})
    *_, last = train(flow, (x, classes), TrainingSettings(epochs=60, learning_rate=1e-2))
    asked = torch.arange(800) % 8
    drawn = last.flow.sample(800, asked, generator=torch.Generator().manual_seed(0))
    found = torch.cdist(drawn, truth.modes).argmin(1)
    assert (found == asked).float().mean() > 0.9
