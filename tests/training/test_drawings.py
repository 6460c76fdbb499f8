"""Drawings: their density is exact, their points come from it, and a flow learns their details."""

import io
import pickle

import numpy as np
import pytest
import torch

from flowlab.data import Drawing, store, target
from flowlab.data.uploads.drawing import BOARD, BRUSHES, SIDE, drawn, read_drawing
from flowlab.data.uploads.files import read_file
from realnvp import train_realnvp

EYES = np.array([(-1.1, 1.0), (1.1, 1.0)])
TURN = np.linspace(0, 2 * np.pi, 60)
MOUTH = 1.6 * np.stack([np.cos(TURN), np.sin(TURN)], axis=1)[34:56]
HEAD = 3 * np.stack([np.cos(TURN), np.sin(TURN)], axis=1)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "own"))


def stroke(path, radius=0.2):
    places = np.clip((np.asarray(path) / SIDE + 0.5) * BOARD, 0, BOARD - 1).astype(int)
    return [int(radius / SIDE * BOARD), *places.ravel().tolist()]


def face(radius=0.2):
    return drawn([stroke(path, radius) for path in (HEAD, EYES[:1], EYES[1:], MOUTH)])


DRAWINGS = {
    "a dab": [stroke([(1, -2)], 0.3)],
    "a line": [stroke([(-3, 0), (3, 1)], 0.15)],
    "broad and fine": [stroke([(-3, -3), (3, 3)], 0.8), stroke([(-3, 3), (3, -3)], 0.12)],
    "at the border": [stroke([(-4, 4), (4, 4)], 0.5)],
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_the_density_integrates_to_one_and_gives_the_entropy(name):
    own = Drawing(drawn(DRAWINGS[name]))
    n = 300
    edges = np.linspace(-7, 7, n + 1)
    places = torch.from_numpy((edges[1:] + edges[:-1]) / 2)
    log_p = own.log_prob(torch.cartesian_prod(places, places))
    area = (14 / n) ** 2
    assert log_p.exp().sum().item() * area == pytest.approx(1, abs=1e-6)
    assert -(log_p.exp() * log_p).sum().item() * area == pytest.approx(own.entropy, abs=1e-4)
    assert own.log_prob(torch.tensor([[30.0, 30.0]])).isfinite().all()  # positive everywhere
    x = torch.tensor([[0.3, 0.4], [1.0, -2.0]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(own.log_prob, x)


@pytest.mark.parametrize("name", DRAWINGS)
def test_points_come_from_the_density(name):
    own = Drawing(drawn(DRAWINGS[name]))
    points = own.sample(20_000, seed=3)
    assert torch.equal(points, own.sample(20_000, seed=3))
    log_p = own.log_prob(points).double()
    error = log_p.std().item() / len(points) ** 0.5
    assert -log_p.mean().item() == pytest.approx(own.entropy, abs=5 * error)
    xmin, xmax, ymin, ymax = own.limits
    x, y = points.T
    assert ((x > xmin) & (x < xmax) & (y > ymin) & (y < ymax)).float().mean() > 0.99


def test_lines_of_all_brushes_are_equally_dense_in_their_middle_and_dabs_four_times():
    lines = Drawing(drawn([stroke([(-4, 3), (4, 3)], 0.1), stroke([(-4, 0), (4, 0)], 0.2),
                           stroke([(-4, -2), (4, -2)], 0.1), stroke([(0, -4)], 0.2)]))
    fine, broad, again, dab = lines.log_prob(
        torch.tensor([[0.0, 3.0], [0.0, 0.0], [0.0, -2.0], [0.0, -4.0]])).exp().tolist()
    assert again == pytest.approx(fine) and broad == pytest.approx(fine, rel=0.1)
    assert dab == pytest.approx(4 * fine, rel=0.1)


def test_a_drawing_is_named_by_its_strokes_and_travels():
    corners = face()
    name = store.keep(corners)
    own = target(name)
    assert isinstance(own, Drawing) and own.name == name and own.strokes == 4
    again = pickle.loads(pickle.dumps(own))
    assert torch.equal(again.sample(5), own.sample(5)) and again.name == name
    assert store.keep(face(0.3)) != name


def test_a_copy_of_a_drawing_is_read_as_the_same_drawing(tmp_path):
    np.save(tmp_path / "copy.npy", face())
    copy, notes = read_file(str(tmp_path / "copy.npy"))
    assert store.keep(copy) == store.keep(face()) and not notes


@pytest.mark.parametrize("change", [
    lambda c: c[:0], lambda c: c[None], lambda c: np.concatenate([c[60:], c[:60]]),
    lambda c: np.array([(0, BRUSHES[0] - 1, 1, 1)], c.dtype), lambda c: np.tile(c[:1], 20_001)])
def test_a_file_that_is_no_drawing_gets_a_sentence(change):
    file = io.BytesIO()
    np.save(file, change(face()))
    with pytest.raises(ValueError, match="drawing was damaged"):
        read_drawing(file.getvalue())


@pytest.mark.nightly
def test_the_default_training_finds_eyes_and_mouth():
    settings = train_realnvp.Run.from_flat({"data": store.keep(face())})
    assert settings.training.points == 20_000  # all of them drawn from the density
    *_, last = train_realnvp.train(settings)
    assert last.steps == 2520 and last.kl < 0.2  # measured: 0.115
    own = target(settings.source.data)
    found, truth = last.flow.sample(20_000, generator=torch.Generator().manual_seed(0)), own.sample(
        20_000)
    for place in (*EYES, MOUTH[0], MOUTH[11], MOUTH[-1]):
        near, expected = (((points - torch.as_tensor(place, dtype=torch.float32)).norm(dim=1)
                           < 0.3).sum().item() for points in (found, truth))
        assert near > 0.25 * expected > 50
