"""A user's own data: kept by content, drawn from, and a picture's density exact."""

import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from flowlab.data import Picture, Points, store, target
from flowlab.live.cameras import camera
from flowlab.settings import TrainingSettings
from flowlab.training import train
from nice import NICE, train_nice


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "own"))


def cloud(n=200, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 2)).astype(np.float32)


def weights(rows=5, columns=9, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (rows, columns)).astype(np.uint8)


def test_what_is_kept_comes_back_by_its_content():
    points = cloud()
    name = store.keep(points)
    assert store.is_own(name) and store.keep(points.copy()) == name
    assert np.array_equal(store.load(name), points)
    assert store.keep(cloud(seed=1)) != name
    assert [p.name for p in store.folder().iterdir() if p.name == f"{name}.npy"]


@pytest.mark.parametrize("name", ["own-0123456789abcdef", "own-../../../etc/passwd", "own-ABCDEF",
                                  "own-0123456789abcdef\n", "../own-0123456789abcdef"])
def test_data_that_are_not_there_get_one_sentence(name):
    with pytest.raises(ValueError, match="draw or upload them again"):
        store.load(name)


def test_a_changed_or_broken_file_is_not_believed():
    name = store.keep(cloud())
    path = store.folder() / f"{name}.npy"
    np.save(path, cloud(seed=1))
    with pytest.raises(ValueError, match="again"):
        store.load(name)
    path.write_bytes(pickle.dumps({"not": "points"}))
    with pytest.raises(ValueError, match="again"):
        store.load(name)
    np.save(path, np.array([{"an": "object"}]), allow_pickle=True)
    with pytest.raises(ValueError, match="again"):
        store.load(name)


def test_the_store_is_bounded(monkeypatch):
    monkeypatch.setattr(store, "MAX_FILES", 3)
    names = [store.keep(cloud(seed=seed)) for seed in range(5)]
    assert len(list(store.folder().iterdir())) == 3
    assert np.array_equal(store.load(names[-1]), cloud(seed=4))
    store.keep(cloud(seed=9), room=0)
    assert list(store.folder().iterdir()) == []


def test_a_folder_that_cannot_be_written_gets_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "file"))
    with pytest.raises(ValueError, match="cannot be stored"):
        store.keep(cloud())


def test_own_points_are_drawn_without_putting_back():
    name = store.keep(cloud(50))
    own = target(name)
    assert isinstance(own, Points) and own.name == name and own.log_prob is None
    everything = own.sample(1000, seed=3)
    assert everything.shape == (50, 2)
    assert np.array_equal(np.sort(everything.numpy(), axis=0), np.sort(cloud(50), axis=0))
    assert torch.equal(own.sample(20, seed=3), everything[:20])
    assert not torch.equal(own.sample(50, seed=4), everything)
    with pytest.raises(ValueError, match="at least 1"):
        own.sample(0)
    with pytest.raises(ValueError, match="noise"):
        target(name, noise=0.1)


@pytest.mark.parametrize("scale", [(1, 1), (1, 100), (1e-2, 1e-3)])
def test_the_window_shows_nearly_all_points(scale):
    points = (cloud(2000) * scale).astype(np.float32)
    xmin, xmax, ymin, ymax = target(store.keep(points)).limits
    x, y = points.T
    assert np.mean((x > xmin) & (x < xmax) & (y > ymin) & (y < ymax)) > 0.98
    assert xmax - xmin < 12 * scale[0] and ymax - ymin < 12 * max(scale[1], scale[0])


def test_own_points_train_without_a_kl():
    settings = train_nice.Run.from_flat(
        {"data": store.keep(cloud()), "epochs": 2, "hidden": (8,), "couplings": 2})
    *_, last = train_nice.train(settings)
    assert last.outcome == "finished" and last.kl is None and last.best_nll is None
    assert camera(settings, "dark").take(last.flow, [])[:4] == b"\x89PNG"


def test_a_picture_trains_with_a_kl():
    settings = train_nice.Run.from_flat(
        {"data": store.keep(weights()), "epochs": 2, "hidden": (8,), "couplings": 2,
         "points": 500})
    *_, last = train_nice.train(settings)
    assert last.kl == last.test_nll - last.best_nll
    assert last.best_nll == pytest.approx(target(settings.source.data).entropy, abs=0.2)
    assert camera(settings, "light").take(last.flow, [])[:4] == b"\x89PNG"


@pytest.mark.parametrize("own", [Points(cloud(), "own-0"), Picture(weights())])
def test_reverse_kl_needs_a_density_without_zeros(own):
    with pytest.raises(ValueError, match="Reverse KL"):
        next(train(NICE(), own, TrainingSettings(objective="reverse")))


sizes = st.integers(1, 40)


@given(sizes, sizes, st.integers(0, 9))
def test_a_pictures_density_integrates_to_one(rows, columns, seed):
    own = Picture(weights(rows, columns, seed) | 1)
    xmin, xmax, ymin, ymax = own.limits
    steps = 8 * max(int((xmax - xmin) / own._pixel), 8)
    side = own._pixel / 8
    x = torch.arange(steps, dtype=torch.float64)
    grid = torch.cartesian_prod(xmin + (x + 0.5) * side, ymin + (x + 0.5) * side)
    assert own.log_prob(grid).exp().sum().item() * side**2 == pytest.approx(1, abs=1e-9)


@given(sizes, sizes, st.integers(0, 9))
def test_no_sample_lies_where_the_density_is_zero(rows, columns, seed):
    grey = weights(rows, columns, seed)
    grey[np.indices(grey.shape).sum(axis=0) % 2 == 1] = 0
    grey[0, 0] = 255
    own = Picture(grey)
    log_p = own.log_prob(own.sample(4000, seed=seed))
    assert log_p.isfinite().all()
    assert -log_p.double().mean().item() == pytest.approx(own.entropy, abs=0.15)


def test_a_pictures_samples_fall_into_the_pixels_by_their_weight():
    grey = weights()
    own = Picture(grey)
    n = 40_000
    points = own.sample(n).numpy()
    xmin = -9 / 2 * own._pixel
    ymin = -5 / 2 * own._pixel
    column = np.floor((points[:, 0] - xmin) / own._pixel).astype(int)
    row = 4 - np.floor((points[:, 1] - ymin) / own._pixel).astype(int)
    counts = np.zeros(grey.shape)
    np.add.at(counts, (row, column), 1)
    expected = n * (grey / grey.sum())
    chi_square = ((counts - expected) ** 2 / np.maximum(expected, 1e-9)).sum()
    assert chi_square < grey.size + 5 * math.sqrt(2 * grey.size)


def test_a_picture_is_upright_flat_in_a_pixel_and_empty_outside():
    grey = np.zeros((2, 2), np.uint8)
    grey[0, 1] = 200  # upper right
    own = Picture(grey)
    x = torch.tensor([[1.0, 1.0], [3.0, 2.0], [-1.0, 1.0], [1.0, -1.0], [9.0, 9.0], [torch.nan, 0]],
                     requires_grad=True)
    log_p = own.log_prob(x)
    assert log_p[:2].tolist() == pytest.approx([-math.log(16)] * 2)
    assert torch.equal(log_p[2:], torch.full((4,), -torch.inf))
    assert own.entropy == pytest.approx(math.log(16))
    gradient, = torch.autograd.grad(log_p[:2].sum(), x)
    assert torch.equal(gradient[:2], torch.zeros(2, 2))


def test_own_data_travel_to_another_process():
    own = Picture(weights(), "own-0")
    again = pickle.loads(pickle.dumps(own))
    assert torch.equal(again.sample(5), own.sample(5)) and again.name == own.name
