"""The invariants of bijections and flows on images, stated once and checked on all of them."""

import itertools
import json
import math

import numpy as np
import pytest
import torch
from helpers import jacobian_log_det, shake
from pydantic import ValidationError
from safetensors.torch import save_file

from flowlab import Flow
from flowlab.bijections import (
    ActNorm,
    BatchNorm,
    ChannelCoupling,
    CheckerboardCoupling,
    Convolution1x1,
    FactorOut,
    Logit,
    Standardise,
    TopPrior,
    multiscale,
)
from flowlab.bijections.coupling import Coupling
from flowlab.bijections.networks import ConvNet, ResidualNet
from flowlab.settings import RunSettings, describe
from glow import Glow, train_glow
from nice import NICE
from realnvp import RealNVP, train_realnvp

C, H, W = SHAPE = (3, 2, 4)


def conv(a, b):
    return ConvNet(a, b, 4)


def residual(a, b):
    return ResidualNet(a, b, 4, 1)


LAYERS = {
    "actnorm": lambda: ActNorm((C, 1, 1)),
    "batchnorm": lambda: BatchNorm((C, 1, 1)),
    "standardise": lambda: Standardise((C, 1, 1)),
    "convolution": lambda: Convolution1x1(C),
    "channels": lambda: ChannelCoupling(C, False, conv),
    "channels-flipped": lambda: ChannelCoupling(C, True, residual),
    "checkerboard": lambda: CheckerboardCoupling(SHAPE, False, residual),
    "checkerboard-flipped": lambda: CheckerboardCoupling(SHAPE, True, conv),
    "factor-out": lambda: FactorOut(C),
    "class-channels": lambda: ChannelCoupling(C, True, conv, classes=3),
    "class-checkerboard": lambda: CheckerboardCoupling(SHAPE, True, residual, classes=3),
    "class-factor-out": lambda: FactorOut(C, classes=3),
    "prior": lambda: TopPrior(SHAPE),
    "class-prior": lambda: TopPrior(SHAPE, 3),
    "logit": lambda: Logit(5),
}
FLOWS = {
    "nice": lambda **more: NICE((1, 4, 4), couplings=3, hidden=(8,), **more),
    "realnvp": lambda **more: RealNVP((1, 4, 4), hidden_channels=4, blocks=1, **more),
    "realnvp-actnorm": lambda **more: RealNVP(
        (1, 4, 4), hidden_channels=4, blocks=0, image_normalisation="actnorm", **more),
    "realnvp-one-level": lambda **more: RealNVP(
        (2, 3, 3), hidden_channels=4, blocks=1, levels=1, image_normalisation="none", **more),
    "realnvp-grey": lambda **more: RealNVP(
        (1, 4, 4), hidden_channels=4, blocks=1, grey_levels=5, **more),
    "glow": lambda **more: Glow((1, 4, 4), steps=2, hidden_channels=4, **more),
    "glow-colour": lambda **more: Glow((3, 4, 2), steps=2, levels=1, hidden_channels=4, **more),
    "glow-batchnorm": lambda **more: Glow(
        (1, 4, 4), steps=2, hidden_channels=4, normalisation="batchnorm", **more),
}
layers = pytest.mark.parametrize("name", LAYERS)
flows = pytest.mark.parametrize("name", FLOWS)
modes = pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
precisions = pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])


def classes(layer, batch):
    if getattr(layer, "classes", 0) or isinstance(layer, TopPrior) and len(layer.table) > 1:
        return torch.arange(batch) % 3
    return torch.arange(batch) % 2 if isinstance(layer, Flow) and layer.settings.classes else None


def both_ways(bijection, points, tolerance):
    context = classes(bijection, len(points))
    x, forward_log_det = bijection.forward(points, context)
    z, inverse_log_det = bijection.inverse(x, context)
    torch.testing.assert_close(z, points, atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(inverse_log_det, -forward_log_det, atol=10 * tolerance,
                               rtol=tolerance)
    z, _ = bijection.inverse(points, context)
    torch.testing.assert_close(bijection.forward(z, context)[0], points, atol=tolerance,
                               rtol=tolerance)
    assert forward_log_det.shape == inverse_log_det.shape == (len(points),)


def log_dets_are_autograds(bijection, points):
    context = classes(bijection, len(points))
    contexts = [None] * len(points) if context is None else context.split(1)
    for direction in (bijection.forward, bijection.inverse):
        expected = torch.cat([jacobian_log_det(
            lambda v, c=c, d=direction: d(v.reshape(1, *points.shape[1:]), c)[0].flatten(1),
            point.flatten(1)) for point, c in zip(points.split(1), contexts, strict=True)])
        torch.testing.assert_close(direction(points, context)[1], expected, atol=1e-9, rtol=1e-8)


@layers
@modes
@pytest.mark.parametrize("batch", [1, 5])
@precisions
def test_layers_round_trip(name, training, batch, dtype, tolerance):
    layer = shake(LAYERS[name]()).to(dtype).train(training)
    both_ways(layer, torch.randn(batch, *SHAPE, dtype=dtype), tolerance)


@layers
def test_log_det_of_layers_is_autograds(name):
    log_dets_are_autograds(shake(LAYERS[name]()).double(), 3 * torch.randn(3, *SHAPE).double())


@layers
def test_a_sample_does_not_depend_on_its_batch(name):
    layer, points = shake(LAYERS[name]()).double(), torch.randn(4, *SHAPE).double()
    context = classes(layer, 4)
    z, log_det = layer.inverse(points, context)
    for i in range(4):
        alone, own = layer.inverse(points[i:i + 1], None if context is None else context[i:i + 1])
        torch.testing.assert_close(alone[0], z[i])
        torch.testing.assert_close(own[0], log_det[i])


@pytest.mark.parametrize("kind", [ActNorm, BatchNorm, Standardise])
def test_normalisations_start_from_channels_once(kind):
    layer = kind((2, 1, 1))
    x = torch.randn(200, 2, 3, 3) * torch.tensor([3.0, 0.1])[:, None, None] + 4
    z = layer.initialise(x)
    torch.testing.assert_close(z.mean((0, 2, 3)), torch.zeros(2), atol=1e-3, rtol=0)
    torch.testing.assert_close(z.std((0, 2, 3)), torch.ones(2), atol=1e-2, rtol=0)
    layer.initialise(5 * x)
    torch.testing.assert_close(layer.inverse(x)[0], z)


def test_running_statistics_of_channels_are_taken_over_by_commit():
    layer = BatchNorm((2, 1, 1)).train()
    x = 3 + 2 * torch.randn(50, 2, 3, 3)
    for _ in range(200):
        layer.inverse(x)
        layer.commit()
    z = layer.eval().inverse(x)[0]
    torch.testing.assert_close(z.mean((0, 2, 3)), torch.zeros(2), atol=1e-2, rtol=0)
    torch.testing.assert_close(z.std((0, 2, 3)), torch.ones(2), atol=2e-2, rtol=0)


def test_squeeze_sorts_and_undoes_itself():
    x = torch.arange(2 * 3 * 4 * 6).reshape(2, 3, 4, 6)
    y = multiscale.squeeze(x)
    assert y.shape == (2, 12, 2, 3) and torch.equal(multiscale.unsqueeze(y), x)
    assert set(y[0, ::3, 0, 0].tolist()) == {0, 1, 6, 7}  # the four pixels of the upper left
    for depth in range(-1, 4):
        place = multiscale.Place(torch.randn(2, 1, 4, 8))
        whole = place.x
        assert torch.equal(place.move(depth).whole(), whole)
        assert torch.equal(place.move(0).x, whole)


def test_couplings_keep_what_they_should():
    x = torch.randn(2, *SHAPE)
    for layer, kept in ((shake(LAYERS["channels"]()), (slice(None), slice(0, 1))),
                        (shake(LAYERS["channels-flipped"]()), (slice(None), slice(1, 3)))):
        assert torch.equal(layer.forward(x)[0][kept], x[kept])
    fields = (torch.arange(H)[:, None] + torch.arange(W)) % 2 == 1
    moved = shake(LAYERS["checkerboard-flipped"]()).forward(x)[0] != x
    assert torch.equal(moved, (~fields).expand_as(x)) or torch.equal(moved, fields.expand_as(x))
    other = shake(LAYERS["checkerboard"]()).forward(x)[0] != x
    assert not (moved & other).any() and (moved | other).all()


@flows
@modes
@pytest.mark.parametrize("batch", [1, 6])
@precisions
def test_flows_round_trip(name, training, batch, dtype, tolerance):
    flow = shake(FLOWS[name](), 0.05).to(dtype).train(training)
    both_ways(flow, torch.randn(batch, *flow.event_shape, dtype=dtype), tolerance)


@flows
def test_log_det_of_whole_flows_is_autograds(name):
    flow = shake(FLOWS[name](classes=2), 0.05).double()
    log_dets_are_autograds(flow, torch.randn(2, *flow.event_shape).double())


@flows
def test_save_load_trace_scales_and_gradients(name, tmp_path):
    flow = FLOWS[name](classes=2)
    x, context = torch.rand(30, *flow.event_shape) * 3, torch.arange(30) % 2
    flow.initialise(x, context)
    shake(flow, 0.05).save(tmp_path / "flow.safetensors")
    loaded = Flow.load(tmp_path / "flow.safetensors")
    assert torch.equal(loaded.log_prob(x, context), flow.eval().log_prob(x, context))
    z, _ = flow.inverse(x, context)
    points = flow.trace(z, context)
    assert len(points) == len(flow.layers) + 1 and torch.equal(points[0], z)
    assert all(p.shape == x.shape for p in points)
    torch.testing.assert_close(points[-1], flow.forward(z, context)[0])
    scales = flow.scales()
    assert scales.shape == flow.event_shape and set(scales.unique().tolist()) == set(
        range(int(scales.max()) + 1))
    flow.log_prob(x, context).mean().backward()
    for parameter_name, parameter in flow.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, parameter_name


def test_what_is_factored_out_does_not_change_the_deeper_scales():
    flow = shake(Glow((1, 8, 8), steps=1, hidden_channels=4, levels=3)).double()
    scales = flow.scales()
    assert [int((scales == s).sum()) for s in range(3)] == [32, 16, 16]
    z = torch.randn(2, 1, 8, 8).double()
    x, _ = flow.forward(torch.where(scales == 0, torch.randn_like(z), z))
    again, _ = flow.inverse(x)
    torch.testing.assert_close(again[:, scales > 0], z[:, scales > 0])
    # What reaches the deepest scale is a function of all pixels, but latents of scale 0 are not.
    assert (flow.inverse(x)[0] - z).abs()[:, scales == 0].max() > 0.1


@pytest.mark.parametrize("model", [Glow, RealNVP])
def test_the_class_reaches_every_coupling_and_every_scale(model):
    flow = shake(model((1, 8, 8), classes=3, hidden_channels=4), 0.05).double()
    x = torch.randn(2, 1, 8, 8).double()
    z, other = (flow.inverse(x, torch.full((2,), k))[0] for k in (0, 1))
    for scale in range(int(flow.scales().max()) + 1):
        assert (z - other).abs()[:, flow.scales() == scale].max() > 1e-3
    layers = [layer for layer in flow.layers if isinstance(layer, Coupling)]
    assert all(layer.classes == 3 for layer in layers)


@pytest.mark.parametrize("model", [Glow, RealNVP])
def test_a_flow_stored_before_the_class_reached_all_layers_keeps_its_architecture(model, tmp_path):
    old = shake(model((1, 8, 8), classes=3, hidden_channels=4, conditioning="top"), 0.05)
    settings = old.settings.model_dump(mode="json", exclude={"conditioning"})
    save_file(old.state_dict(), tmp_path / "old.safetensors", {
        "format": "flowlab-1", "model": model.__name__, "settings": json.dumps(settings)})
    opened = Flow.load(tmp_path / "old.safetensors")
    assert opened.settings == old.settings
    x, context = torch.randn(3, 1, 8, 8), torch.arange(3)
    torch.testing.assert_close(opened.log_prob(x, context), old.eval().log_prob(x, context))
    run = {"glow": train_glow, "realnvp": train_realnvp}[model.__name__.lower()].Run
    stored = run.from_flat({"data": "digits", "classes": 10}).model_dump(mode="json")
    del stored["flow"]["conditioning"]
    assert RunSettings.read(json.dumps(stored)).texts()["conditioning"] == "top"
    stored["flow"]["classes"] = 0  # where nothing depends on it, nothing is said
    assert "conditioning" not in RunSettings.read(json.dumps(stored)).texts()
    assert run.from_texts({"classes": "10"}).flow.conditioning == "everywhere"  # a link trains anew


@pytest.mark.parametrize("make", [
    lambda: Logit(3, alpha=1e-3), lambda: RealNVP((1, 2, 2), levels=1, hidden_channels=3, blocks=0,
                                                  grey_levels=3, image_normalisation="none")])
def test_probabilities_of_all_small_images_sum_to_one(make):
    """On 2 × 2 pixels of 3 levels, by Gauss's quadrature in every cell.

    A bare logit keeps alpha's share of the range outside: 1 - 2 alpha is inside, for each pixel.
    """
    bijection = make().double()
    if isinstance(bijection, Flow):
        bijection.layers[-1] = Logit(3, alpha=1e-3)
        shake(bijection, 0.05)
    nodes, weights = np.polynomial.legendre.leggauss(5)
    nodes, weights = torch.from_numpy(nodes / 2 + 0.5), torch.from_numpy(weights / 2)
    noise = torch.cartesian_prod(*[nodes] * 4)
    weight = torch.cartesian_prod(*[weights] * 4).prod(1)
    total = 0.0
    for pixels in itertools.product(range(3), repeat=4):
        x = (torch.tensor(pixels) + noise).reshape(-1, 1, 2, 2)
        with torch.no_grad():
            z, log_det = bijection.inverse(x)
            log_p = log_det - 0.5 * z.square().flatten(1).sum(1) - 2 * math.log(2 * math.pi)
        probability = (weight * log_p.exp()).sum().item()
        assert probability > 0
        total += probability
    assert total == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(("settings", "words"), [
    ({"event_shape": (1, 7, 8)}, "7 × 8"), ({"event_shape": (1, 8)}, "event_shape"),
    ({"event_shape": (0, 8, 8)}, "event_shape"),
    ({"event_shape": (1, 4, 4), "levels": 3}, "levels"),
    ({"event_shape": (1, 8, 8), "grey_levels": -1}, "grey_levels"),
])
def test_bad_settings_are_told_in_one_sentence(settings, words):
    with pytest.raises(ValidationError) as caught:
        Glow(**settings)
    sentence = describe(caught.value)
    assert words in sentence and "\n" not in sentence and len(sentence) < 230


def test_wrong_images_get_one_sentence():
    with pytest.raises(ValueError, match=r"\(batch, 1, 8, 8\); got \(3, 64\)"):
        NICE((1, 8, 8)).log_prob(torch.zeros(3, 64))
