"""The invariants of a bijection, stated once and checked on every layer."""

import pytest
import torch
from helpers import LAYERS, jacobian_log_det, shake
from hypothesis import given
from hypothesis import strategies as st

from flowlab.bijections import ActNorm, AffineCoupling, BatchNorm, Linear, Standardise

names = pytest.mark.parametrize("name", LAYERS)
modes = pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])


def make(name: str, features: int = 3, dtype: torch.dtype = torch.float64) -> torch.nn.Module:
    return shake(LAYERS[name](features)).to(dtype)


@names
@modes
@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_round_trip_both_ways(name, training, batch, dtype, tolerance):
    layer = make(name, dtype=dtype).train(training)
    points = torch.randn(batch, 3, dtype=dtype)
    x, forward_log_det = layer.forward(points)
    z, inverse_log_det = layer.inverse(x)
    torch.testing.assert_close(z, points, atol=tolerance, rtol=0)
    torch.testing.assert_close(inverse_log_det, -forward_log_det, atol=10 * tolerance, rtol=0)
    x_again, _ = layer.forward(layer.inverse(points)[0])
    torch.testing.assert_close(x_again, points, atol=tolerance, rtol=0)
    assert forward_log_det.shape == inverse_log_det.shape == (batch,)


@names
@modes
@pytest.mark.parametrize("direction", ["forward", "inverse"])
@pytest.mark.parametrize("features", [2, 5])
def test_log_det_is_autograds(name, training, direction, features):
    layer = make(name, features).train(training)
    function = getattr(layer, direction)
    points = torch.randn(4, features, dtype=torch.float64)
    expected = jacobian_log_det(lambda v: function(v)[0], points)
    torch.testing.assert_close(function(points)[1], expected, atol=1e-10, rtol=1e-8)


@names
def test_a_sample_does_not_depend_on_its_batch(name):
    layer = make(name)
    points = torch.randn(6, 3, dtype=torch.float64)
    together, log_det = layer.inverse(points)
    alone = [layer.inverse(points[i:i + 1]) for i in range(6)]
    torch.testing.assert_close(together, torch.cat([z for z, _ in alone]))
    torch.testing.assert_close(log_det, torch.cat([ld for _, ld in alone]))


@names
def test_arguments_and_state_stay_as_they_were(name):
    layer = make(name).train()
    state = {k: v.clone() for k, v in layer.state_dict().items()}
    points = torch.randn(4, 3, dtype=torch.float64)
    kept = points.clone()
    layer.inverse(points)
    layer.forward(points)
    assert torch.equal(points, kept)
    assert all(torch.equal(v, state[k]) for k, v in layer.state_dict().items())


@pytest.mark.parametrize("name", [n for n in LAYERS if n not in ("standardise", "batchnorm")])
def test_gradients_reach_every_parameter(name):
    layer = make(name)
    z, log_det = layer.inverse(torch.randn(8, 3, dtype=torch.float64))
    (z.square().sum() - log_det.sum()).backward()
    for parameter_name, parameter in layer.named_parameters():
        assert parameter.grad.abs().max() > 0, parameter_name


@names
def test_works_under_func_transforms(name):
    layer = make(name)
    points = torch.randn(4, 3, dtype=torch.float64)
    jacobians = torch.func.vmap(torch.func.jacrev(lambda v: layer.inverse(v[None])[0][0]))(points)
    torch.testing.assert_close(torch.linalg.slogdet(jacobians)[1], layer.inverse(points)[1])


@pytest.mark.parametrize("layer", [ActNorm((2,)), Standardise((2,)), BatchNorm((2,))],
                         ids=["actnorm", "standardise", "batchnorm"])
def test_data_dependent_start_happens_once_and_survives_loading(layer):
    x = torch.randn(500, 2) * torch.tensor([3.0, 0.1]) + torch.tensor([5.0, -1.0])
    z = layer.initialise(x)
    torch.testing.assert_close(z.mean(0), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(z.std(0, correction=0), torch.ones(2), atol=1e-2, rtol=0)
    state = {k: v.clone() for k, v in layer.state_dict().items()}
    layer.initialise(10 * x + 1)
    assert all(torch.equal(v, state[k]) for k, v in layer.state_dict().items())
    other = type(layer)((2,))
    other.load_state_dict(state)
    other.initialise(10 * x + 1)
    torch.testing.assert_close(other.inverse(x)[0], layer.inverse(x)[0])


def test_nothing_is_initialised_by_what_arrives_first():
    layer = ActNorm((2,))
    layer.forward(5 + torch.randn(10, 2))
    layer.inverse(5 + torch.randn(10, 2))
    assert not layer.initialised
    torch.testing.assert_close(layer.inverse(torch.ones(1, 2))[0], torch.ones(1, 2))


@pytest.mark.parametrize("layer", [ActNorm((2,)), Standardise((2,)), BatchNorm((2,))],
                         ids=["actnorm", "standardise", "batchnorm"])
def test_a_constant_feature_is_only_shifted(layer):
    x = torch.stack([torch.full((50,), 7.0), torch.randn(50)], 1)
    z = layer.initialise(x)
    torch.testing.assert_close(z[:, 0], torch.zeros(50), atol=1e-4, rtol=0)
    assert torch.isfinite(layer.inverse(x)[1]).all()
    torch.testing.assert_close(layer.forward(z)[0], x, atol=1e-4, rtol=0)


def test_batch_statistics_are_taken_over_only_by_commit():
    layer = BatchNorm((2,)).train()
    x = 3 + 2 * torch.randn(100, 2)
    before = layer.inverse(x)[0]
    torch.testing.assert_close(layer.inverse(x)[0], before)
    for _ in range(200):
        layer.inverse(x)
        layer.commit()
    z = layer.eval().inverse(x)[0]
    torch.testing.assert_close(z.mean(0), torch.zeros(2), atol=1e-2, rtol=0)
    torch.testing.assert_close(z.std(0), torch.ones(2), atol=2e-2, rtol=0)
    mean = layer.mean.clone()
    layer.commit()
    assert torch.equal(layer.mean, mean)


def test_linear_weight_is_plu_and_never_singular():
    layer = shake(Linear(4).double(), 1.0)
    lower, upper = layer.factors()
    assert torch.equal(lower, lower.tril()) and torch.equal(lower.diagonal(), torch.ones(4))
    assert torch.equal(upper, upper.triu())
    weight = layer.inverse(torch.eye(4).double())[0].T
    torch.testing.assert_close(torch.linalg.slogdet(weight)[1], layer.log_s.sum())


def test_linear_starts_as_a_rotation():
    weight = Linear(6).double().inverse(torch.eye(6).double())[0]
    torch.testing.assert_close(weight @ weight.T, torch.eye(6).double(), atol=1e-5, rtol=0)


@given(scale=st.floats(1, 1e6), bound=st.floats(0.1, 5))
def test_log_scale_keeps_its_bound(scale, bound):
    layer = AffineCoupling(4, False, (8,), bound=bound)
    shake(layer, scale)
    _, log_det = layer.inverse(scale * torch.randn(20, 4))
    assert log_det.abs().max() <= 2 * bound * (1 + 1e-6)


@pytest.mark.parametrize("name", [n for n in LAYERS if n.startswith(("add", "aff"))])
def test_a_coupling_keeps_one_half_and_starts_near_the_identity(name):
    layer = LAYERS[name](5)
    points = torch.randn(6, 5)
    near = 0.3 if name.startswith("additive") else 1e-6
    assert (layer.forward(points)[0] - points).abs().mean() < near
    shake(layer)
    x, _ = layer.forward(points)
    assert torch.equal(x[:, layer.kept], points[:, layer.kept])
    assert (x[:, layer.changed] - points[:, layer.changed]).abs().min() > 0
