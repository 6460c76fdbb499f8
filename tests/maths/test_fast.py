"""The fast path equals the layers one by one, in values, gradients and training steps."""

import copy
import hashlib
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from helpers import FLOWS, having, make_flow, shake
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from flowlab.bijections import AffineCoupling, fast
from flowlab.bijections.base import LOG_PROB
from flowlab.bijections.bijection import compose
from flowlab.bijections.fast import chain, kernels, networks, rows, table, threads
from flowlab.bijections.networks import ACTIVATIONS
from flowlab.data import target
from flowlab.training import Progress, TrainingSettings, train
from flowlab.training.optimiser import Optimiser, joined
from models import MODELS
from realnvp import RealNVP

BOTH = pytest.mark.parametrize("inverse", [True, False], ids=["inverse", "forward"])
EVERY = pytest.mark.parametrize("name", FLOWS)


def how(*points: object) -> tuple[Tensor, Tensor]:
    """As a flow does it: the loops where they serve, and else the layers."""
    return fast.through(*points) or one_by_one(*points)


def one_by_one(layers: Sequence[nn.Module], x: Tensor, context: Tensor | None,
               inverse: bool) -> tuple[Tensor, Tensor]:
    """By the layers' own methods."""
    return compose(reversed(layers) if inverse else layers, x, context, inverse)


def results(flow: nn.Module, outputs: tuple[Tensor, Tensor], x: Tensor) -> list[Tensor]:
    """The outputs, and gradients of an uneven function of them by points and all parameters."""
    y, log_det = outputs
    value = (y * torch.linspace(1, 2, y.numel(), dtype=y.dtype).view_as(y)).sin().sum()
    value = value + (log_det * torch.linspace(-1, 2, len(y), dtype=y.dtype)).sum()
    return [y, log_det, *torch.autograd.grad(value, [x, *flow.parameters()])]


@st.composite
def cases(draw):
    name = draw(st.sampled_from(list(MODELS)))
    depth, fields = draw(st.integers(1, 4)), MODELS[name].Settings.model_fields
    own = {"steps": depth, "couplings": depth, "bins": draw(st.integers(2, 9)),
           "bound": draw(st.sampled_from([1.0, 4.0])),
           "hidden": tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=6))),
           "activation": draw(st.sampled_from(list(ACTIVATIONS))),
           "base": draw(st.sampled_from(list(LOG_PROB))),
           "classes": draw(st.sampled_from([0, 0, 3]))}
    own |= {choice: draw(st.sampled_from(get_args(fields[choice].annotation)))
            for choice in ("normalisation", "mixing") if choice in fields}
    torch.manual_seed(draw(st.integers(0, 999)))
    features = draw(st.integers(2, 6))
    flow = shake(MODELS[name](event_shape=(features,), **having(MODELS[name], **own)), 0.2).double()
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
    for found, plain in zip(results(flow, how(flow.layers, x, context, inverse), x),
                           results(flow, one_by_one(flow.layers, x, context, inverse), x),
                           strict=True):
        torch.testing.assert_close(found, plain, rtol=1e-10, atol=1e-10)
    recorded = how(flow.layers, x, context, inverse)
    with torch.no_grad():
        assert all(map(torch.equal, recorded, how(flow.layers, x, context, inverse)))


@BOTH
@EVERY
def test_float32_agrees_to_rounding(name, inverse):
    torch.manual_seed(0)
    flow = shake(make_flow(name, 3)).eval()
    x = torch.randn(200, 3, requires_grad=True)
    quick, single = (results(flow, way(flow.layers, x, None, inverse), x)
                    for way in (how, one_by_one))
    flow.double()
    exact = x.detach().double().requires_grad_()
    double = results(flow, one_by_one(flow.layers, exact, None, inverse), exact)
    for found, usual, expected in zip(quick, single, double, strict=True):
        rounding = (usual - expected).norm() + 1e-6 * expected.norm()
        assert (found - expected).norm() <= 12 * rounding  # tanh is off by 4 to 8 times a rounding


@pytest.mark.quick("realnvp-logistic", "spline")
@BOTH
@pytest.mark.parametrize("name", ["nice", "realnvp-logistic", "glow", "glow-batchnorm",
                                  "spline"])
def test_first_and_second_derivatives_by_differences(name, inverse):
    torch.manual_seed(0)
    depth = {"steps" if name.startswith("glow") else "couplings": 2}
    flow = make_flow(name, 3, hidden=(4, 5), activation="tanh", classes=2, **depth)
    flow = shake(flow).double().eval()
    x = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    context, parameters = torch.tensor([0, 1, 1]), list(flow.parameters())[:4]

    def outputs(x: Tensor, *_: Tensor) -> tuple[Tensor, Tensor]:
        return how(flow.layers, x, context, inverse)

    assert type(outputs(x)[0].grad_fn).__name__ == "_NodeBackward"
    assert torch.autograd.gradcheck(outputs, (x, *parameters))
    assert torch.autograd.gradgradcheck(outputs, (x, *parameters))


# The likelihood, and the training that uses it

def numbers_of(flow: nn.Module) -> Tensor:
    return joined([*flow.parameters(), *(b for b in flow.buffers() if b.is_floating_point())])


@settings(max_examples=60, deadline=None)
@given(case=cases())
def test_the_likelihood_and_its_gradient_are_those_of_the_layers(case):
    flow, x, context = case
    flow.train()
    reference = copy.deepcopy(flow)
    loss, gradient = fast.likelihood(flow.layers, flow.settings.base, x)(
        numbers_of(flow), x, context)
    z, log_det = one_by_one(reference.layers, x, context, True)
    expected = -(LOG_PROB[flow.settings.base](z) + log_det).mean()
    torch.testing.assert_close(loss, expected.item(), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(gradient, joined(torch.autograd.grad(
        expected, list(reference.parameters()))), rtol=1e-10, atol=1e-10)
    flow.commit()  # batch normalisation has taken note of the batch
    reference.commit()
    torch.testing.assert_close(flow.state_dict(), reference.state_dict(), rtol=1e-10, atol=1e-10)


def trained(name: str, **settings: object) -> list[Progress]:
    torch.manual_seed(0)
    data = target("moons").sample(120, seed=0)
    source = (data, torch.arange(120) % 2) if settings.pop("classes", 0) else data
    classes = {"classes": 2} if isinstance(source, tuple) else {}
    return list(train(make_flow(name, hidden=(8,), **classes), source, TrainingSettings(
        epochs=2, batch_size=40, precision="float64", clip=1.0, weight_decay=0.1, **settings)))


@pytest.mark.parametrize("classes", [0, 2])
@EVERY
def test_a_training_is_that_with_the_layers(name, classes, monkeypatch):
    steps = []
    likelihood = chain.Likelihood.__call__
    monkeypatch.setattr(chain.Likelihood, "__call__",
                        lambda *args: steps.append(1) or likelihood(*args))
    quick = trained(name, classes=classes)
    served = bool(steps)
    assert served == (fast.likelihood(quick[0].flow.layers, "normal", torch.zeros(1, 2).double())
                      is not None)
    monkeypatch.setattr(fast, "likelihood", lambda *_: None)
    for one, other in zip(quick, trained(name, classes=classes), strict=True):
        assert one.loss == pytest.approx(other.loss, abs=1e-8)
        assert one.test_nll == pytest.approx(other.test_nll, abs=1e-8)
    torch.testing.assert_close(one.flow.state_dict(), other.flow.state_dict(), rtol=1e-7, atol=1e-7)


def test_what_has_a_density_of_its_own_or_frozen_layers_is_trained_by_the_layers(monkeypatch):
    class Own(RealNVP):
        """A flow whose density is another."""

        def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
            return super().log_prob(x, context) - 1

    monkeypatch.setattr(chain.Likelihood, "__call__", None)  # fails where it is called
    settings = TrainingSettings(epochs=1, points=50)
    last, = train(Own((2,), couplings=2, hidden=(4,)), target("moons"), settings)
    assert last.loss == pytest.approx(1 - last.flow.log_prob(target("moons").sample(
        50, seed=0)).mean().item() - 1, abs=2)
    frozen = make_flow("realnvp", couplings=2)
    next(frozen.parameters()).requires_grad_(False)
    assert len(list(train(frozen, target("moons"), settings))) == 1


@pytest.mark.parametrize("name", ["realnvp", "spline"])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_is_noticed(bad, name):
    flow = make_flow(name)
    x = torch.randn(300, 2)
    x[131, 1] = bad
    loss, gradient = fast.likelihood(flow.layers, "normal", x)(numbers_of(flow), x, None)
    assert not (math.isfinite(loss) and gradient.isfinite().all())


@pytest.mark.skipif(threads.MOST < 2, reason="one processor")
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
            likelihood, losses = fast.likelihood(flow.layers, "normal", x), []
            optimiser = Optimiser(flow, 1.0, 0.0)
            for i, taken in enumerate(plan):
                torch.set_num_threads(taken)
                likelihood.cores.threads = taken
                loss, gradient = likelihood(optimiser.current, x, None)
                assert optimiser.clipped(gradient)
                optimiser.step(gradient, x, 0.01, i + 1, 0.1)
                losses.append(loss)
                assert torch.get_num_threads() == taken
            y, log_det = how(flow.layers, x, None, False)
            gradient = torch.autograd.grad(y.sin().sum() + log_det.sum(), list(flow.parameters()))
            ends.append([torch.tensor(losses), optimiser.current, optimiser.swapped_out,
                         optimiser.second, y, *gradient])
    finally:
        torch.set_num_threads(before)
    for other in ends[1:]:
        assert all(map(torch.equal, ends[0], other))


def test_further_threads_are_taken_while_they_are_faster(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(threads.time, "perf_counter", lambda: clock[0])
    cores = threads.FreeCores(2)

    def share_of_two(seconds_of_two: float) -> float:
        """The share of twenty seconds in which there are two threads; one takes 1 ms."""
        begun, spent = clock[0], 0.0
        while clock[0] < begun + 20:
            taken = seconds_of_two if cores.threads == 2 else 0.001
            spent += taken * (cores.threads == 2)
            clock[0] += taken
            cores.note(taken)
        return spent / (clock[0] - begun)

    assert share_of_two(0.010) < 0.01
    assert share_of_two(0.0006) > 0.4  # after a while it is tried again, and kept
    assert share_of_two(0.0006) == pytest.approx(1)
    assert share_of_two(0.010) < 0.01
    alone = threads.FreeCores(1)
    for _ in range(1000):
        clock[0] += 0.001
        alone.note(0.001)
        assert alone.threads == 1


# What is left to the layers

def test_what_the_loops_do_not_know_is_left_to_the_layers():
    class Own(AffineCoupling):
        """A variant of a coupling."""

        def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
            kept, changed = self.split(z)
            return self.merge(kept, changed * math.e + kept), torch.ones(len(z))

    x = torch.randn(5, 2)
    layers = [AffineCoupling(2, False), Own(2, True)]
    y, log_det = how(layers, x, None, False)
    assert torch.equal(log_det, torch.ones(5))
    torch.testing.assert_close(y[:, 0], x[:, 0] * math.e + y[:, 1])
    flow = make_flow("realnvp")
    assert chain.serves(flow.layers, x, True)
    assert not chain.serves(flow.layers, x[:0], True)
    assert not chain.serves(flow.layers, x.to("meta"), True)
    assert not chain.serves(flow.layers, x.half(), True)
    assert how(flow.layers, x[:0], None, True)[0].shape == (0, 2)
    half = flow.bfloat16()
    assert how(half.layers, x.bfloat16(), None, True)[0].dtype == torch.bfloat16


def test_batch_normalisation_in_training_takes_note_of_a_batch():
    flow = make_flow("realnvp-batchnorm").train()
    mean = flow.layers[0].mean.clone()
    how(flow.layers, torch.randn(9, 2) + 1, None, True)
    flow.commit()
    assert not torch.equal(mean, flow.layers[0].mean)


def test_frozen_layers_and_points_without_gradient():
    flow = shake(make_flow("glow")).eval()
    first, *others = flow.parameters()
    first.requires_grad_(False)
    x = torch.randn(2, 9).T  # not contiguous
    y, log_det = how(flow.layers, x, None, True)
    (y.sum() + log_det.sum()).backward()
    assert first.grad is None and all(p.grad is not None for p in others)
    for p in others:
        p.requires_grad_(False)
    assert not how(flow.layers, x, None, True)[0].requires_grad


def test_two_passes_before_one_backward_and_a_change_between():
    flow = shake(make_flow("realnvp"))
    x = torch.randn(6, 2)
    loss = sum(how(flow.layers, x + i, None, True)[1].sum() for i in range(2))
    fast = torch.autograd.grad(loss, list(flow.parameters()), retain_graph=True)
    plain = sum(one_by_one(flow.layers, x + i, None, True)[1].sum() for i in range(2))
    for a, b in zip(fast, torch.autograd.grad(plain, list(flow.parameters())), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        next(flow.parameters()).add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("name", ["glow", "spline"])
def test_not_a_number_stays_in_its_own_point(name):
    flow = shake(make_flow(name, 3, classes=2)).eval()
    x = torch.randn(300, 3)
    x[7, 1] = math.nan
    with torch.no_grad():
        y, log_det = how(flow.layers, x, torch.ones(300, dtype=torch.int32).long(), True)
    assert y[7].isnan().any() and log_det[7].isnan()
    others = torch.arange(300) != 7
    assert y[others].isfinite().all() and log_det[others].isfinite().all()


def test_the_tanh_of_float32():
    x = np.concatenate([np.linspace(-20, 20, 100_001), np.logspace(-30, 0, 1000),
                        [math.inf, -math.inf]]).astype(np.float32)
    assert np.abs(tangents(x) - np.tanh(x.astype(np.float64))).max() < 4e-7


def test_the_exponential_of_float32():
    x = np.concatenate([np.linspace(-80, 80, 100_001), [0, -math.inf]]).astype(np.float32)
    exact = np.exp(x.astype(np.float64))
    assert (np.abs(exponentials(x) - exact) <= 3e-7 * exact + 1e-37).all()


@rows.entry
def tangents(x):
    """The hyperbolic tangent of every number."""
    y = x.copy()
    networks.activate(table.TANH, y)
    return y


@rows.entry
def exponentials(x):
    """The exponential of every number."""
    y = np.empty_like(x)
    for i in range(x.size):
        y[i] = rows.exp(x[i])
    return y


def test_what_numba_keeps_is_of_the_present_files():
    files = sorted(Path(fast.__file__).parent.glob("*.py"))
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
    kernels.addresses(np.float32)
    for function in (kernels.run.py_func, rows.add.py_func, *sum(kernels.MAPS, ())):
        assert function.__qualname__.endswith(digest)


@pytest.mark.thorough
@pytest.mark.parametrize(("change", "variables"), [
    ('sys.modules["numba"] = None', {}), ("", {"NUMBA_CACHE_LOCATOR_CLASSES": "ZipCacheLocator"})],
    ids=["no numba", "no folder for what is compiled"])
def test_without_numba_the_layers_serve(change, variables):
    script = """
import torch
from flowlab.data import target
from flowlab.training import TrainingSettings, train
from glow import Glow
from realnvp import RealNVP
torch.manual_seed(0)
flow = RealNVP(couplings=2, hidden=(4,))
*_, last = train(flow, target("moons"), TrainingSettings(epochs=2, points=100))
assert flow.sample(3).shape == (3, 2)
images = Glow((1, 4, 4), levels=1, steps=2, hidden_channels=4)
*_, seen = train(images, torch.rand(50, 1, 4, 4), TrainingSettings(epochs=1))
print(last.test_nll, seen.test_nll)
"""
    runs = [subprocess.run([sys.executable, "-c", f"import sys; {first}{script}"],
                           capture_output=True, text=True, cwd=Path(__file__).parents[2],
                           timeout=120, env=os.environ | more)
            for first, more in ((change, variables), ("", {}))]
    assert all(run.returncode == 0 for run in runs), runs[0].stderr
    plain, quick = runs
    assert "numba" in plain.stderr and len(plain.stderr.splitlines()) == 1 and not quick.stderr
    points, pixels = (pytest.approx(float(number), abs=limit) for number, limit in zip(
        quick.stdout.split(), (1e-4, 1e-2), strict=True))  # Adam's first steps enlarge roundings
    assert [float(number) for number in plain.stdout.split()] == [points, pixels]
