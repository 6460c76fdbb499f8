"""Points of more than two columns: their picture, and a training on them."""

import io
import os

import numpy as np
import pytest
import torch
from figures_helpers import whole
from PIL import Image

from flowlab.data import store, target
from flowlab.figures import PairPicture, style
from flowlab.live.cameras import TableCamera, camera
from flowlab.training import Epoch
from flowlab.training.recipe import build
from models import RECIPES

RANDOM = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setitem(os.environ, store.VARIABLE, str(tmp_path))


def points(columns: int) -> np.ndarray:
    return (RANDOM.normal(size=(300, columns)) @ RANDOM.normal(size=(columns, columns))
            ).astype(np.float32)


@pytest.mark.quick("3-light")
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("columns", [3, 4, 7])
def test_every_pair_has_its_panel_and_what_it_shows_is_what_was_given(columns, theme):
    data = points(columns)
    picture = PairPicture(data, theme=theme)
    shown = min(columns, 4)
    assert len(picture.figure.axes) == shown**2 + 2
    before = picture.png()
    assert Image.open(io.BytesIO(before)).size == (1600, 960)
    picture.update(0.1 * data, data, [0], [3.0], [3.1])
    assert picture.png() != before
    x, y = picture.clouds[0, 1].get_data()
    np.testing.assert_allclose(np.stack([x, y], 1), 0.1 * data[:, [1, 0]].astype(float))
    places = picture.outlines[2].get_xdata()
    share = (picture.outlines[2].get_ydata() * (places[1] - places[0])).sum()
    assert share == pytest.approx(1)  # all samples lie in the window


@pytest.mark.parametrize("columns", [3, 7])
def test_a_lecture_cuts_no_word_of_the_pairs(columns):
    data = 1e3 * points(columns)
    picture = PairPicture(data, test=data[:50], theme="light lecture")
    picture.update(data, data, [0, 1], [3.0, 2.0], [3.1, 2.1])
    assert Image.open(io.BytesIO(picture.png())).size == style.LECTURE_SIZE
    assert whole(picture.figure)


def test_samples_that_are_not_finite_are_left_out():
    picture = PairPicture(points(3))
    samples = points(3)
    samples[0, 1] = np.inf
    picture.update(samples, samples, [], [], [])
    assert picture.png()


@pytest.mark.quick("realnvp")
@pytest.mark.parametrize("model", RECIPES)
def test_every_model_trains_on_a_table_in_its_own_shape(model):
    name = store.keep(points(5))
    run = RECIPES[model].Run.from_flat({"data": name, "hidden": (8,), "epochs": 2,
                                        "batch_size": 32})
    *_, end = RECIPES[model].train(run)
    assert end.flow.event_shape == target(name).event_shape == (5,) and end.kl is None
    taking = camera(run, "light")
    assert isinstance(taking, TableCamera)
    fresh = build(RECIPES[model].model, run)
    taking.initialise(fresh)
    first = taking.take(fresh, [])
    assert taking.take(end.flow, [Epoch(1, 10, 1.0, 5.0, 5.1, None)]) != first
    assert torch.equal(taking.data, taking.choose_points())
