"""The fast path equals the layers one by one, in values, gradients and training steps."""

import math

import numba
import numpy as np
import pytest
import torch
from helpers import FLOWS, make_flow, shake
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from flowlab.bijections import AffineCoupling
from flowlab.bijections.base import LOG_PROB
from flowlab.bijections.fast import chain, kernels
from flowlab.bijections.networks import ACTIVATIONS
from models import MODELS

BOTH = pytest.mark.parametrize("inverse", [True, False], ids=["inverse", "forward"])
EVERY = pytest.mark.parametrize("name", FLOWS)


def results(flow: nn.Module, outputs: tuple[Tensor, Tensor], x: Tensor) -> list[Tensor]:
    """The outputs, and gradients of an uneven function of them by points and all parameters."""
    y, log_det = outputs
    value = (y * torch.linspace(1, 2, y.numel(), dtype=y.dtype).view_as(y)).sin().sum()
    value = value + (log_det * torch.linspace(-1, 2, len(y), dtype=y.dtype)).sum()
    return [y, log_det, *torch.autograd.grad(value, [x, *flow.parameters()])]


@st.composite
def cases(draw):
    name = draw(st.sampled_from(list(MODELS)))
    own = {"steps" if name == "glow" else "couplings": draw(st.integers(1, 4)),
           "hidden": tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=6))),
           "activation": draw(st.sampled_from(list(ACTIVATIONS))),
           "base": draw(st.sampled_from(list(LOG_PROB))),
           "classes": draw(st.sampled_from([0, 0, 3]))}
    if name != "nice":
        own["normalisation"] = draw(st.sampled_from(["none", "batchnorm"]))
    if name == "glow":
        own["normalisation"] = draw(st.sampled_from(["none", "batchnorm", "actnorm"]))
        own["mixing"] = draw(st.sampled_from(["learned", "fixed"]))
    torch.manual_seed(draw(st.integers(0, 999)))
    features = draw(st.integers(2, 6))
    flow = shake(MODELS[name](event_shape=(features,), **own), 0.2).double()
    # One block and several, and more blocks than chunks.
    count = draw(st.one_of(st.integers(1, 9), st.sampled_from([128, 129, 300, 2500])))
    x = torch.randn(count, features, dtype=torch.float64)
    context = torch.randint(3, (count,)) if own["classes"] else None
    return flow, x, context


@settings(max_examples=150, deadline=None)
@given(case=cases(), inverse=st.booleans())
def test_values_and_gradients_are_those_of_the_layers(case, inverse):
    flow, x, context = case
    flow.eval()
    x.requires_grad_()
    for fast, plain in zip(results(flow, chain.through(flow.layers, x, context, inverse), x),
                           results(flow, chain.one_by_one(flow.layers, x, context, inverse), x),
                           strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-10, atol=1e-10)
    with torch.no_grad():
        again = chain.through(flow.layers, x, context, inverse)[0]
        assert torch.equal(again, chain.through(flow.layers, x, context, inverse)[0])


@BOTH
@EVERY
def test_float32_agrees_to_rounding(name, inverse):
    torch.manual_seed(0)
    flow = shake(make_flow(name, 3)).eval()
    x = torch.randn(200, 3, requires_grad=True)
    fast, single = (results(flow, how(flow.layers, x, None, inverse), x)
                    for how in (chain.through, chain.one_by_one))
    flow.double()
    exact = x.detach().double().requires_grad_()
    double = results(flow, chain.one_by_one(flow.layers, exact, None, inverse), exact)
    for found, usual, expected in zip(fast, single, double, strict=True):
        rounding = (usual - expected).norm() + 1e-6 * expected.norm()
        assert (found - expected).norm() <= 12 * rounding  # tanh is off by 4 to 8 times a rounding


@BOTH
@pytest.mark.parametrize("name", ["nice", "realnvp-logistic", "glow", "glow-batchnorm"])
def test_first_and_second_derivatives_by_differences(name, inverse):
    torch.manual_seed(0)
    depth = {"steps" if name.startswith("glow") else "couplings": 2}
    flow = make_flow(name, 3, hidden=(4, 5), activation="tanh", classes=2, **depth)
    flow = shake(flow).double().eval()
    x = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    context, parameters = torch.tensor([0, 1, 1]), list(flow.parameters())[:4]

    def outputs(x: Tensor, *_: Tensor) -> tuple[Tensor, Tensor]:
        return chain.through(flow.layers, x, context, inverse)

    assert type(outputs(x)[0].grad_fn).__name__ == "_NodeBackward"
    assert torch.autograd.gradcheck(outputs, (x, *parameters))
    assert torch.autograd.gradgradcheck(outputs, (x, *parameters))


# The step of a training

class Plain:
    """What `Step` does, with the layers, autograd and PyTorch's Adam."""

    def __init__(self, flow: nn.Module) -> None:
        self.flow, self.parameters = flow, list(flow.parameters())
        statistics = [s for layer in flow.layers if hasattr(layer, "variance")
                      for s in (layer.mean, layer.variance)]
        self.values = [*self.parameters, *statistics]
        self.averages = [value.detach().clone() for value in self.values]
        self.first = [torch.zeros_like(p) for p in self.parameters]
        self.second = [torch.zeros_like(p) for p in self.parameters]

    def __call__(self, x: Tensor, context: Tensor | None, *, clip: float, rate: float,
                 decay: float, count: int, share: float) -> float:
        z, log_det = chain.one_by_one(self.flow.layers, x, context, True)
        loss = -(LOG_PROB[self.flow.settings.base](z) + log_det).mean()
        gradient = torch.autograd.grad(loss, self.parameters)
        norm = math.sqrt(sum(g.square().sum().item() for g in gradient))
        if 0 < clip < norm:
            gradient = [g * (clip / norm) for g in gradient]
        steps = [torch.tensor(float(count)) for _ in gradient]
        with torch.no_grad():
            torch._fused_adamw_(
                self.parameters, list(gradient), self.first, self.second, [], steps, lr=rate,
                beta1=0.9, beta2=0.999, weight_decay=decay, eps=1e-8, amsgrad=False, maximize=False)
            self.flow.commit()
            for average, value in zip(self.averages, self.values, strict=True):
                average.lerp_(value, share)
        return loss.item()


@settings(max_examples=60, deadline=None)
@given(case=cases(), clip=st.sampled_from([0.0, 0.5, 1e3]), decay=st.sampled_from([0.0, 0.1]))
def test_steps_are_those_of_the_layers_and_adam(case, clip, decay):
    flow, x, context = case
    flow.train()
    state = {name: value.clone() for name, value in flow.state_dict().items()}
    ends = []
    for make in (lambda: chain.Step(flow.layers, x.shape[1], flow.settings.base),
                 lambda: Plain(flow)):
        flow.load_state_dict(state)
        step = make()
        losses = [step(x, context, clip=clip, rate=1e-3, decay=decay, count=i + 1, share=0.3)
                  for i in range(4)]
        ends.append((torch.tensor(losses, dtype=torch.float64), flow.state_dict(),
                     [p.detach().clone() for p in flow.parameters()], step))
        ends[-1][1].update({name: value.clone() for name, value in ends[-1][1].items()})
    (losses, weights, learned, fast), (expected, plain_weights, _, plain) = ends
    torch.testing.assert_close(losses, expected, rtol=1e-10, atol=1e-10)
    # Adam divides by the size of a gradient, and makes much of the last digits of the smallest.
    torch.testing.assert_close(weights, plain_weights, rtol=1e-6, atol=1e-6)
    assert len(learned)
    averages = torch.cat([a.reshape(-1) for a in plain.averages[:len(plain.parameters)]])
    torch.testing.assert_close(fast.averages[:len(averages)], averages, rtol=1e-6, atol=1e-6)


def test_a_step_moves_the_flow_in_place():
    flow = shake(make_flow("glow"))
    step = chain.Step(flow.layers, 2, "normal")
    before = [p.detach().clone() for p in flow.parameters()]
    pointers = [p.data_ptr() for p in flow.parameters()]
    assert step(torch.randn(50, 2), None, clip=5.0, rate=0.1, decay=0.0, count=1,
                share=0.1) is not None
    assert not any(map(torch.equal, before[:3], flow.parameters()))
    assert pointers == [p.data_ptr() for p in flow.parameters()]
    flow.load_state_dict(make_flow("glow").state_dict())  # fills the same memory
    assert torch.equal(step.numbers[:3].view(-1), next(flow.parameters()).detach().view(-1)[:3])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_no_step_where_anything_is_not_finite(bad):
    flow = make_flow("realnvp-batchnorm")
    step = chain.Step(flow.layers, 2, "normal")
    x = torch.randn(300, 2)
    assert step(x, None, clip=5.0, rate=0.1, decay=0.0, count=1, share=0.1) is not None
    held = [t.clone() for t in (step.numbers, step.averages, step.first, step.second)]
    x[131, 1] = bad
    assert step(x, None, clip=5.0, rate=0.1, decay=0.0, count=2, share=0.1) is None
    assert all(map(torch.equal, held, (step.numbers, step.averages, step.first, step.second)))


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="one processor")
@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
@pytest.mark.parametrize("count", [200, 300, 5000])
def test_numbers_do_not_depend_on_threads(count, double):
    ends = []
    before = torch.get_num_threads()
    try:
        for plan in ([1, 1, 1, 1], [2, 2, 2, 2], [2, 1, 1, 2]):  # also while threads come and go
            torch.manual_seed(0)
            flow = make_flow("glow", 3)
            flow = flow.double() if double else flow
            x = torch.randn(count, 3, dtype=flow.dtype)
            step = chain.Step(flow.layers, 3, "normal")
            losses = []
            for i, threads in enumerate(plan):
                torch.set_num_threads(threads)
                losses.append(step(x, None, clip=5.0, rate=0.01, decay=0.0, count=i + 1, share=0.1))
                assert torch.get_num_threads() == threads
            y, log_det = chain.through(flow.layers, x, None, False)
            gradient = torch.autograd.grad(y.sin().sum() + log_det.sum(), list(flow.parameters()))
            ends.append([torch.tensor(losses), step.numbers, step.averages, step.second, y,
                         *gradient])
    finally:
        torch.set_num_threads(before)
    for other in ends[1:]:
        assert all(map(torch.equal, ends[0], other))


# What is left to the layers

@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # torch's own jvp
@pytest.mark.parametrize("name", MODELS)
def test_transforms_of_torch_func_agree(name):
    torch.manual_seed(0)
    flow = shake(make_flow(name, 3, activation="tanh")).double().eval()
    x = torch.randn(4, 3, dtype=torch.float64)

    def total(x: Tensor, how=chain.through) -> Tensor:
        y, log_det = how(flow.layers, x[None], None, True)
        return y.square().sum() + log_det.sum()

    def plain(x: Tensor) -> Tensor:
        return total(x, chain.one_by_one)

    for transform in (torch.func.grad, torch.func.hessian, torch.func.jacfwd):
        fast = torch.func.vmap(transform(total))(x)
        torch.testing.assert_close(fast, torch.func.vmap(transform(plain))(x))


def test_what_the_loops_do_not_know_is_left_to_the_layers():
    class Own(AffineCoupling):
        """A variant of a coupling."""

        def scale_and_shift(self, kept: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
            return torch.ones_like(kept), kept

    x = torch.randn(5, 2)
    layers = [AffineCoupling(2, False), Own(2, True)]
    y, log_det = chain.through(layers, x, None, False)
    assert torch.equal(log_det, torch.ones(5))
    torch.testing.assert_close(y[:, 0], x[:, 0] * math.e + y[:, 1])
    flow = make_flow("realnvp")
    assert chain.serves(flow.layers, x, True)
    assert not chain.serves(flow.layers, x[:0], True)
    assert not chain.serves(flow.layers, x.to("meta"), True)
    assert not chain.serves(flow.layers, x.half(), True)
    assert chain.through(flow.layers, x[:0], None, True)[0].shape == (0, 2)
    half = flow.bfloat16()
    assert chain.through(half.layers, x.bfloat16(), None, True)[0].dtype == torch.bfloat16


def test_batch_normalisation_in_training_takes_note_of_a_batch():
    flow = make_flow("realnvp-batchnorm").train()
    mean = flow.layers[0].mean.clone()
    chain.through(flow.layers, torch.randn(9, 2) + 1, None, True)
    flow.commit()
    assert not torch.equal(mean, flow.layers[0].mean)


def test_frozen_layers_and_points_without_gradient():
    flow = shake(make_flow("glow")).eval()
    first, *others = flow.parameters()
    first.requires_grad_(False)
    x = torch.randn(2, 9).T  # not contiguous
    y, log_det = chain.through(flow.layers, x, None, True)
    (y.sum() + log_det.sum()).backward()
    assert first.grad is None and all(p.grad is not None for p in others)
    for p in others:
        p.requires_grad_(False)
    assert not chain.through(flow.layers, x, None, True)[0].requires_grad


def test_two_passes_before_one_backward_and_a_change_between():
    flow = shake(make_flow("realnvp"))
    x = torch.randn(6, 2)
    loss = sum(chain.through(flow.layers, x + i, None, True)[1].sum() for i in range(2))
    fast = torch.autograd.grad(loss, list(flow.parameters()), retain_graph=True)
    plain = sum(chain.one_by_one(flow.layers, x + i, None, True)[1].sum() for i in range(2))
    for a, b in zip(fast, torch.autograd.grad(plain, list(flow.parameters())), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        next(flow.parameters()).add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_not_a_number_stays_in_its_own_point():
    flow = shake(make_flow("glow", 3, classes=2)).eval()
    x = torch.randn(300, 3)
    x[7, 1] = math.nan
    with torch.no_grad():
        y, log_det = chain.through(flow.layers, x, torch.ones(300, dtype=torch.int32).long(), True)
    assert y[7].isnan().any() and log_det[7].isnan()
    others = torch.arange(300) != 7
    assert y[others].isfinite().all() and log_det[others].isfinite().all()


def test_the_tanh_of_float32():
    x = np.concatenate([np.linspace(-20, 20, 100_001), np.logspace(-30, 0, 1000),
                        [math.inf, -math.inf]]).astype(np.float32)
    y = x.copy()
    kernels.activate(kernels.TANH, y)
    assert np.abs(y - np.tanh(x.astype(np.float64))).max() < 4e-7
