"""The fast path of Glow on images equals the layers one by one, in values and gradients."""

import pytest
import torch
from helpers import shake

from flowlab.bijections import fast
from flowlab.bijections.fast import images, threads
from flowlab.flow import Flow
from glow import Glow
from realnvp import RealNVP

#: Maps of 4 × 4 and 2 × 2 pixels, of 6 × 4 and 3 × 2, of 14 × 10 and 7 × 5.
SHAPES = [(1, 8, 8), (2, 12, 8), (1, 28, 20)]


def made(shape=(1, 8, 8), classes=0, conditioning="everywhere", **more) -> Flow:
    return shake(Glow(shape, levels=2, steps=3, hidden_channels=8, classes=classes,
                      conditioning=conditioning, **more), 0.05)


def points(flow: Flow, n: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    x = torch.randn(n, *flow.event_shape, dtype=flow.dtype, requires_grad=True)
    classes = flow.settings.classes
    return x, torch.arange(n) % classes if classes else None


def values(flow: Flow, x: torch.Tensor, context: torch.Tensor | None) -> list[torch.Tensor]:
    """The log-density and its gradients, weighted unevenly."""
    log_prob = flow.log_prob(x, context)
    weights = torch.linspace(1, 2, len(x), dtype=x.dtype)
    return [log_prob, *torch.autograd.grad((weights * log_prob).sum(), [x, *flow.parameters()])]


def close(ours, theirs, scale):
    for one, other in zip(ours, theirs, strict=True):
        largest = max(1, other.abs().max().item()) if other.numel() else 1
        torch.testing.assert_close(one, other, atol=scale * largest, rtol=0)


@pytest.fixture
def plain(monkeypatch):
    """Compute with the layers one by one."""
    def compute(function, *args):
        with monkeypatch.context() as patch:
            patch.setattr(fast, "through_images", lambda *a: None)
            return function(*args)
    return compute


@pytest.fixture
def calls(monkeypatch):
    """The levels that go through the fast path."""
    found, through = [], images._through
    monkeypatch.setattr(images, "_through", lambda *a: found.append(a) or through(*a))
    return found


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("classes", "conditioning"), [(0, "everywhere"), (3, "everywhere"),
                                                       (3, "top")])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_values_and_gradients_are_those_of_the_layers(shape, classes, conditioning, dtype, calls,
                                                      plain):
    flow = made(shape, classes, conditioning).to(dtype)
    x, context = points(flow, 5)
    fast = values(flow, x, context)
    assert len(calls) == 2  # two levels
    close(fast, plain(values, flow, x, context), 1e-10 if dtype == torch.float64 else 2e-4)
    with torch.no_grad():
        torch.testing.assert_close(flow.log_prob(x, context), fast[0])
    assert len(calls) == 4


@pytest.mark.parametrize("n", [0, 1, 7])
@pytest.mark.parametrize("shape", SHAPES)
def test_any_number_of_images_in_any_blocks(n, shape, plain, monkeypatch):
    flow = made(shape, classes=3).double()
    x, context = points(flow, n)
    expected = plain(values, flow, x, context)
    for fewest, most in ((1, 1), (2, 2), (3, 5), (100, 100)):
        monkeypatch.setattr(images, "FEWEST", fewest)
        monkeypatch.setattr(images, "MOST", most)
        close(values(flow, x, context), expected, 1e-10)


@pytest.mark.skipif(threads.MOST < 2, reason="one processor")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("classes", [0, 3])
def test_threads_change_no_number(shape, classes):
    flow = made(shape, classes)
    x, context = points(flow, 150)
    one, cores = values(flow, x, context), threads.FreeCores(2)
    cores.threads = 2
    with cores.turn():
        two = values(flow, x, context)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_a_second_way_back_has_the_same_gradients():
    flow = made(classes=3)
    x, context = points(flow, 40)
    log_prob = flow.log_prob(x, context).sum()
    first = torch.autograd.grad(log_prob, [x, *flow.parameters()], retain_graph=True)
    values(flow, *points(flow, 40))  # takes the memory that the first one no longer needs
    second = torch.autograd.grad(log_prob, [x, *flow.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("kind", [images.ActNorm, images.ChannelCoupling, images.Convolution1x1])
@pytest.mark.parametrize("only", [True, False], ids=["alone", "frozen"])
def test_what_is_frozen_gets_no_gradient(kind, only, plain, calls):
    flow = made(classes=3).double()
    for layer in flow.layers:
        layer.requires_grad_((type(layer) is kind) == only)
    x, context = points(flow, 7)
    x = x.detach().permute(0, 1, 3, 2).contiguous().permute(0, 1, 3, 2)  # not in one piece

    def gradients():
        flow.zero_grad()
        flow.log_prob(x, context).square().sum().backward()
        return [torch.zeros(()) if p.grad is None else p.grad for p in flow.parameters()]
    found = gradients()
    assert calls
    assert any(g.ndim for g in found)
    close(found, plain(gradients), 1e-10)


@pytest.mark.parametrize("shape", SHAPES[:2])
def test_second_derivatives_are_those_of_the_layers(shape, plain):
    flow = made(shape, classes=3).double()
    x, context = points(flow, 3)

    def second():
        gradient, = torch.autograd.grad(flow.log_prob(x, context).sum(), x, create_graph=True)
        return torch.autograd.grad(gradient.square().sum(), [x, *flow.parameters()],
                                   allow_unused=True, materialize_grads=True)
    close(second(), plain(second), 1e-9)


@pytest.mark.parametrize("flow", [
    made(normalisation="batchnorm"), made(normalisation="none"),
    shake(RealNVP((1, 8, 8), hidden_channels=4, image_normalisation="actnorm"), 0.05)],
    ids=["batch norm", "no normalisation", "RealNVP"])
def test_other_steps_are_left_to_their_layers(flow, calls, plain):
    flow = flow.double()
    x, context = points(flow, 4)
    close(values(flow, x, context), plain(values, flow, x, context), 1e-12)
    assert not calls


def test_sampling_is_left_to_the_layers(calls):
    made().sample(3)
    assert not calls


def test_a_variant_of_a_layer_is_left_to_its_own_methods(calls, plain):
    flow = made().double()
    coupling = next(layer for layer in flow.layers if hasattr(layer, "network"))

    class Variant(type(coupling)):
        def conditions(self, kept, context=None):
            return super().conditions(kept, context) / 2
    coupling.__class__ = Variant
    x, context = points(flow, 4)
    close(values(flow, x, context), plain(values, flow, x, context), 1e-10)
