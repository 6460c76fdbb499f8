"""Single pictures and the process that draws them."""

import time

import numpy as np
import pytest

from flowlab.data import source_of, store
from flowlab.figures import DEFAULT_OVERLAYS
from flowlab.jobs import Local
from flowlab.live import cameras
from flowlab.live.cameras import camera
from flowlab.live.drawing import RETRY, Drawing, DrawingFailed, PictureCache, draw, flow_of, measure
from flowlab.live.layers import PARTS, LayerDrawing, LayersCamera, draw_layer
from flowlab.training.recipe import build
from flowlab.training.split import DataSplit
from realnvp import RealNVP, train_realnvp


def asked_for(seed=0, weights=b"", **flat):
    settings = train_realnvp.Run.from_flat(
        {"couplings": 2, "hidden": (8,), "normalisation": "batchnorm", "seed": seed, **flat})
    return Drawing(RealNVP, settings, "light", DEFAULT_OVERLAYS, weights, [])


def drawn(asked):
    """The picture without an engine, of a camera that nothing else has used."""
    fresh = camera(asked.settings, asked.theme, asked.overlays)
    return fresh.take(flow_of(asked.model, asked.settings, asked.weights, fresh), asked.history)


def played(asked, job=draw):
    generator = job(asked)
    assert next(generator) is None
    with pytest.raises(StopIteration) as end:
        next(generator)
    return end.value.value


@pytest.mark.quick("moons")
@pytest.mark.parametrize("data", ["moons", "checkerboard", "own", "table"])
def test_a_used_camera_takes_the_same_picture_as_a_new_one_for_every_seed(data):
    rng = np.random.default_rng(0)
    if data in ("own", "table"):
        data = store.keep(rng.normal(size=(2000, 2 if data == "own" else 3)).astype(np.float32))
    pictures = [drawn(asked_for(seed, data=data)) for seed in (3, 4)]
    assert pictures[0] != pictures[1]
    for _ in range(2):
        for seed, picture in zip((3, 4), pictures, strict=True):
            assert played(asked_for(seed, data=data)) == picture


def test_pictures_are_drawn_kept_dropped_and_tried_again(monkeypatch):
    with Local(1, ("flowlab.live.drawing",), nice=0) as engine:
        cache = PictureCache(engine)
        made = []

        def ask(key, owner, patience=0.0, **more):
            return cache.picture(key, lambda: made.append(key) or asked_for(**more), owner,
                                 patience)

        # The worker is still starting: all of these wait.
        assert ask("first", "ann", seed=1) is None
        assert ask("first", "bob", seed=1) is None
        assert ask("second", "ann", seed=2) is None
        assert ask("third", "ann", seed=3) is None
        assert made == ["first", "second", "third"]
        picture = ask("third", "ann", 60, seed=3)
        assert picture == drawn(asked_for(3))
        assert ask("first", "cay", 60, seed=1) == drawn(asked_for(1))  # bob wanted it on
        assert ask("third", "dot") == picture and made == ["first", "second", "third"]
        assert ask("second", "ann", 60, seed=2) == drawn(asked_for(2))  # it had been left out
        assert made.count("second") == 2
        assert engine.runs() == []

        weights = build(RealNVP, asked_for(5).settings).to_bytes()
        assert ask("weights", "ann", 60, weights=weights) == drawn(asked_for(weights=weights))
        with pytest.raises(DrawingFailed, match="cannot be drawn"):
            ask("bad", "ann", 60, weights=b"wrong")
        with pytest.raises(DrawingFailed):  # not tried again at once
            ask("bad", "ann")
        monkeypatch.setattr(time, "monotonic", lambda now=time.monotonic: now() + RETRY)
        assert ask("bad", "ann", 60) == drawn(asked_for())


@pytest.mark.thorough
def test_pictures_of_the_layers_are_drawn_ahead_and_kept_as_long_as_they_fit(monkeypatch):
    first, second = (LayerDrawing(asked_for(), passed, (0.5, 0.1)) for passed in (0, 1))
    fresh = camera(first.drawing.settings, "light")
    taken = LayersCamera(flow_of(RealNVP, fresh.settings, b"", fresh), fresh)
    pictures = {layer.passed: tuple(taken.take(layer.passed + part / PARTS, layer.point,
                                               DEFAULT_OVERLAYS) for part in range(PARTS))
                for layer in (first, second)}
    assert len(set(pictures[0] + pictures[1])) == 2 * PARTS
    with Local(1, ("flowlab.live.layers",), nice=0) as engine:
        cache = PictureCache(engine)

        def ask(layer, ahead=False):
            return cache.layer(layer.passed, lambda: layer, "ann", draw_layer, ahead)

        deadline = time.monotonic() + 60
        while not (ask(first) and ask(second, ahead=True)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert ask(first) == pictures[0] and ask(second) == pictures[1]  # at once
        monkeypatch.setattr("flowlab.live.drawing.KEPT", sum(map(len, pictures[1])))
        assert ask(first) is None and ask(second) == pictures[1]  # seen last


@pytest.mark.quick("flat0", "flat1")
@pytest.mark.parametrize("flat", [{"data": "moons"}, {"data": "table", "precision": "float64"},
                                  {"data": "digits", "classes": 10},
                                  {"data": "eight_gaussians", "objective": "reverse"}])
def test_a_fresh_flow_is_measured_as_its_training_begins(flat):
    if flat["data"] == "table":
        rng = np.random.default_rng(0)
        flat = flat | {"data": store.keep(rng.normal(size=(500, 3)).astype(np.float32))}
    asked = asked_for(3, **flat)
    numbers = played(asked, measure)
    first = next(train_realnvp.train(asked.settings, every="batch"))
    assert numbers.step == numbers.epoch == 0 and numbers.steps == first.steps
    for name in ("train_nll", "test_nll"):
        assert getattr(numbers, name) == getattr(first, f"start_{name}")
    assert (numbers.kl is None) == (first.kl is None)


def test_a_lost_drawing_process_is_replaced(monkeypatch):
    monkeypatch.setattr("flowlab.live.drawing.RETRY", 0.0)
    with Local(1, ("flowlab.live.drawing",)) as engine:
        cache = PictureCache(engine)
        assert cache.picture("a", asked_for, "ann", 60)
        engine._pool.processes[0].popen.kill()
        deadline = time.monotonic() + 60
        picture = None
        while picture is None and time.monotonic() < deadline:
            try:
                picture = cache.picture("b", lambda: asked_for(1), "ann", 1)
            except DrawingFailed:
                continue
        assert picture == drawn(asked_for(1))


@pytest.mark.parametrize("data", ["moons", "own", "table"])
@pytest.mark.parametrize("points", [100, 5000])
def test_few_points_are_shown_as_the_training_has_them(data, points):
    if data != "moons":
        columns = 2 if data == "own" else 3
        rng = np.random.default_rng(0)
        data = store.keep(rng.normal(size=(points, columns)).astype(np.float32))
    asked = asked_for(3, data=data, points=points, test_fraction=0.3)
    taking = camera(asked.settings, "light", DEFAULT_OVERLAYS)
    shown, rings = taking.dots_and_rings()
    assert len(shown) + len(rings) == min(points, cameras.SHOWN)
    if points == 100:
        flow = build(RealNVP, asked.settings)
        split = DataSplit(flow, source_of(asked.settings.source), asked.settings.training)
        assert np.array_equal(shown, split.train_x.numpy())
        assert np.array_equal(rings, split.test_x.numpy())
    else:
        assert len(rings) == 0
