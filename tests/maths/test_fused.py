"""The fast path equals the plain layers: values, gradients, and how autograd may be used."""

import copy
import pickle
from typing import get_args

import pytest
import torch
from helpers import having, shake, small
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from flowlab.bijections import AffineCoupling, fast
from flowlab.bijections.networks import ACTIVATIONS
from models import MODELS


def plain(flow: torch.nn.Module, x: Tensor, context: Tensor | None,
          inverse: bool) -> tuple[Tensor, Tensor]:
    """The flow, layer by layer, by the layers' own methods."""
    log_det = x.new_zeros(len(x))
    for layer in reversed(flow.layers) if inverse else flow.layers:
        x, layer_log_det = (layer.inverse if inverse else layer.forward)(x, context)
        log_det = log_det + layer_log_det
    return x, log_det


def gradients(flow: torch.nn.Module, outputs: tuple[Tensor, Tensor], x: Tensor) -> list[Tensor]:
    """Of an uneven function of both outputs, with respect to the points and all parameters."""
    y, log_det = outputs
    value = (y * torch.linspace(1, 2, y.numel(), dtype=y.dtype).view_as(y)).sin().sum()
    value = value + (log_det * torch.linspace(-1, 2, len(y), dtype=y.dtype)).sum()
    return list(torch.autograd.grad(value, [x, *flow.parameters()]))


@st.composite
def cases(draw):
    name = draw(st.sampled_from(list(MODELS)))
    depth = draw(st.integers(1, 4))
    own = {**having(MODELS[name], steps=depth, couplings=depth),
           "event_shape": (draw(st.integers(2, 6)),),
           "hidden": tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=3))),
           "activation": draw(st.sampled_from(list(ACTIVATIONS))),
           "classes": draw(st.sampled_from([0, 0, 3]))}
    if normalisation := MODELS[name].Settings.model_fields.get("normalisation"):
        own["normalisation"] = draw(st.sampled_from(get_args(normalisation.annotation)))
    torch.manual_seed(draw(st.integers(0, 999)))
    flow = shake(MODELS[name](**own), 0.2).double()
    x = torch.randn(draw(st.integers(1, 9)), own["event_shape"][0], dtype=torch.float64)
    context = torch.randint(3, (len(x),)) if own["classes"] else None
    return flow, x.requires_grad_(), context


@settings(max_examples=150)
@given(case=cases(), inverse=st.booleans())
def test_fast_equals_plain(case, inverse):
    flow, x, context = case
    expected = plain(flow, x, context, inverse)
    direction = flow.inverse if inverse else flow.forward
    actual = direction(x, context)
    with torch.no_grad():
        unrecorded = direction(x, context)
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(unrecorded, actual, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(gradients(flow, actual, x), gradients(flow, expected, x),
                               rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("inverse", [True, False], ids=["inverse", "forward"])
@pytest.mark.parametrize("name", MODELS)
def test_float32_agrees_to_rounding(name, inverse):
    flow = shake(MODELS[name](), 0.05)
    x = torch.randn(5000, 2)
    actual = (flow.inverse if inverse else flow.forward)(x)
    assert actual[0].dtype == torch.float32
    torch.testing.assert_close(actual, plain(flow, x, None, inverse), rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("inverse", [True, False], ids=["inverse", "forward"])
@pytest.mark.parametrize("name", MODELS)
def test_first_and_second_derivatives_by_differences(name, inverse):
    settings = small(name, depth=3) | {"hidden": (4, 3), "activation": "tanh"}
    flow = shake(MODELS[name](**settings), 0.3).double()
    direction = flow.inverse if inverse else flow.forward
    x = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(direction, x)
    assert torch.autograd.gradgradcheck(direction, x)


@pytest.mark.parametrize("name", ["nice", "realnvp", "glow"])
def test_every_default_flow_takes_the_fast_path(name):
    flow, x = MODELS[name](), torch.randn(3, 2)
    for inverse in (True, False):
        assert fast.through(flow.layers, x, None, inverse) is not None
    assert fast.likelihood(flow.layers, flow.settings.base, x) is not None


def test_a_variant_of_a_coupling_is_left_to_its_own_methods():
    class Halved(AffineCoupling):
        def conditions(self, kept, context=None):
            return super().conditions(kept, context) / 2

    flow = MODELS["realnvp"](couplings=3, hidden=(4,))
    flow.layers[1] = Halved(2, True, (4,))
    flow.layers[2].network = torch.nn.Linear(1, 2)
    x = torch.randn(7, 2)
    shake(flow)
    for inverse in (True, False):
        actual = (flow.inverse if inverse else flow.forward)(x)
        torch.testing.assert_close(actual, plain(flow, x, None, inverse))


def test_two_densities_before_one_backward():
    flow = shake(MODELS["glow"](hidden=(8, 8))).double()
    a, b = torch.randn(2, 20, 2, dtype=torch.float64)
    apart = []
    for points in (a, b):
        flow.zero_grad()
        flow.log_prob(points).mean().backward()
        apart.append([p.grad.clone() for p in flow.parameters()])
    flow.zero_grad()
    first, second = flow.log_prob(a).mean(), flow.log_prob(b).mean()
    (first + second).backward()
    for p, *parts in zip(flow.parameters(), *apart, strict=True):
        torch.testing.assert_close(p.grad, sum(parts))


def test_backward_twice_with_a_retained_graph():
    flow = shake(MODELS["realnvp"](hidden=(8, 8)))
    loss = -flow.log_prob(torch.randn(20, 2)).mean()
    once, again = (torch.autograd.grad(loss, list(flow.parameters()), retain_graph=True)
                   for _ in range(2))
    torch.testing.assert_close(once, again, rtol=0, atol=0)


def test_a_loop_of_ones_own_learns():
    flow, x = MODELS["realnvp"](hidden=(16, 16)), torch.randn(256, 2) ** 2
    adam = torch.optim.Adam(flow.parameters(), 1e-2)
    losses = []
    for _ in range(50):
        adam.zero_grad()
        loss = -flow.log_prob(x).mean()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.5


@pytest.mark.parametrize("name", MODELS)
def test_copies_pickles_and_functional_calls(name):
    flow, x = shake(MODELS[name](activation="elu")), torch.randn(4, 2)
    expected = flow.log_prob(x)
    torch.testing.assert_close(copy.deepcopy(flow).log_prob(x), expected, rtol=0, atol=0)
    torch.testing.assert_close(pickle.loads(pickle.dumps(flow)).log_prob(x), expected,
                               rtol=0, atol=0)
    zeros = {k: torch.zeros_like(p) for k, p in flow.named_parameters()}
    other = torch.func.functional_call(flow, zeros, (x,))[0]
    assert not torch.allclose(other, flow.forward(x)[0])
    torch.testing.assert_close(flow.log_prob(x), expected, rtol=0, atol=0)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # torch's own jvp
@pytest.mark.parametrize("name", MODELS)
def test_transforms_of_torch_func_agree(name):
    flow = shake(MODELS[name](hidden=(6,))).double()
    x = torch.randn(4, 2, dtype=torch.float64)
    score, = torch.autograd.grad(flow.log_prob(x.requires_grad_()).sum(), x)
    by_func = torch.func.vmap(torch.func.grad(lambda v: flow.log_prob(v[None])[0]))(x.detach())
    torch.testing.assert_close(by_func, score)
    _, tangent = torch.func.jvp(flow.log_prob, (x.detach(),), (torch.ones_like(x.detach()),))
    torch.testing.assert_close(tangent, score.sum(1))
    whole = torch.autograd.functional.jacobian(flow.log_prob, x.detach())
    torch.testing.assert_close(whole.diagonal(dim1=0, dim2=1).T, score)
    hessian = torch.autograd.functional.hessian(lambda v: flow.log_prob(v[None])[0], x[0].detach())
    by_func = torch.func.hessian(lambda v: flow.log_prob(v[None])[0])(x[0].detach())
    torch.testing.assert_close(by_func, hessian)


def test_an_empty_batch_stays_empty():
    for model in MODELS.values():
        assert model().log_prob(torch.zeros(0, 2)).shape == (0,)
