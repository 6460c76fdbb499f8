"""How autograd and its transforms may be used on flows of vectors, which take the fast path."""

import copy
import pickle

import pytest
import torch
from helpers import shake
from torch import Tensor

from flowlab.bijections import AffineCoupling, fast
from models import MODELS


def plain(flow: torch.nn.Module, x: Tensor, context: Tensor | None,
          inverse: bool) -> tuple[Tensor, Tensor]:
    """The flow, layer by layer, by the layers' own methods."""
    log_det = x.new_zeros(len(x))
    for layer in reversed(flow.layers) if inverse else flow.layers:
        x, layer_log_det = (layer.inverse if inverse else layer.forward)(x, context)
        log_det = log_det + layer_log_det
    return x, log_det


@pytest.mark.parametrize("name", MODELS)
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
