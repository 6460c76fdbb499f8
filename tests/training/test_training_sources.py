"""What a training takes: points of any spread and form, classes, frozen layers; or one sentence."""

import math

import numpy as np
import pytest
import torch
from helpers import ON_IMAGES, having

from flowlab import Flow
from flowlab.bijections import BatchNorm
from flowlab.bijections.elementwise import ActNorm, Standardise
from flowlab.data import image_set
from flowlab.settings import TrainingSettings
from flowlab.training import train
from flowlab.training.distributed import group
from flowlab.training.metrics import nll
from glow import Glow
from models import MODELS
from nice import train_nice
from realnvp import RealNVP

N = torch.randn(600, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
ENTROPY = 0.5 * math.log(2 * math.pi * math.e)  # of each column
ONE = TrainingSettings(epochs=1)


def small(model: str = "realnvp", columns: int = 2, **settings: object) -> Flow:
    torch.manual_seed(1)
    return MODELS[model](event_shape=(columns,), hidden=(8,), **settings)


def last(flow, source, settings=ONE):
    return list(train(flow, source, settings))[-1]


def sentence(flow, source, settings=ONE) -> str:
    with pytest.raises(ValueError) as caught:
        next(train(flow, source, settings))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 250
    return str(caught.value)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("dtype", "shift", "scale"), [
    (torch.float32, 0.0, 1e-7), (torch.float32, 0.0, 1e-20), (torch.float32, 0.0, 1e6),
    (torch.float32, 1000.0, 0.1), (torch.float64, 1000.0, 1e-4), (torch.float64, 0.0, 1e-30),
    (torch.float64, 1.7e9, 1500.0)])
def test_every_spread_that_the_type_resolves_is_standardised(model, dtype, shift, scale):
    x = shift + scale * N[:, :2]
    progress = last(small(model).to(dtype), x.to(dtype), TrainingSettings(epochs=8))
    entropy = 2 * (ENTROPY + math.log(scale))
    assert progress.test_nll == pytest.approx(entropy, abs=0.7) and progress.reason == ""


@pytest.mark.parametrize("layer", [ActNorm, BatchNorm, Standardise])
@pytest.mark.parametrize(("dtype", "shift", "scale"), [
    (torch.float32, 0.0, 1e-7), (torch.float64, 1.7e9, 1500.0), (torch.float64, 1.0, 1e-9)])
def test_layers_set_from_data_give_it_mean_0_and_deviation_1(layer, dtype, shift, scale):
    made = layer((2,)).to(dtype)
    if layer is BatchNorm:
        made.epsilon = 0.0
    z = made.initialise((shift + scale * N[:, :2]).to(dtype)).double()
    assert z.mean(0).abs().max() < 1e-2 and (z.std(0) - 1).abs().max() < 1e-2


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9, -3.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constant_columns_are_shifted_only(value, dtype):
    flow = small(columns=3).to(dtype)
    x = torch.cat([N[:, :2], torch.full((600, 1), value)], 1).to(dtype)
    assert "Column 3" in last(flow, x).reason
    assert flow.layers[-1].std[2] == 1 and flow.layers[-1].mean[2] == pytest.approx(value)


@pytest.mark.parametrize(("dtype", "column", "words"), [
    (torch.float32, 1.7e9 + 1500 * N[:, 0], "subtract an offset"),
    (torch.float32, 1000 + 1e-4 * N[:, 0], "float64"),
    (torch.float64, 1.7e9 + 1e-7 * N[:, 0], "subtract an offset"),
    (torch.float32, 1e-39 * N[:, 0], "change its unit"),
    (torch.float32, 1e39 * N[:, 0], "change its unit")])
def test_a_spread_that_the_type_does_not_resolve_is_said(dtype, column, words):
    told = sentence(small(columns=2).to(dtype), torch.stack([N[:, 1], column], 1))
    assert words in told and "Column 2" in told


def test_the_precision_of_the_settings_is_that_of_the_training():
    flow = small()
    x = 1000 + 1e-4 * N[:, :2]
    progress = last(flow, x, TrainingSettings(epochs=8, precision="float64"))
    assert flow.dtype == torch.float64
    assert progress.test_nll == pytest.approx(2 * (ENTROPY + math.log(1e-4)), abs=0.3)


def test_the_alarm_about_the_inverse_is_relative_to_the_data():
    def reason(scale, log_scale):
        flow = small(couplings=8)
        x = scale * N[:, :2].float()
        next(train(flow, x, ONE))
        with torch.no_grad():
            for layer in flow.layers[:-1]:  # stretches more than float32 can undo
                layer.network.layers[-1].matrix.fill_(log_scale)
        return last(flow, x, TrainingSettings(epochs=1, learning_rate=1e-6)).reason

    for scale in (1e-6, 1.0, 1e6):
        assert "inverse" not in reason(scale, 0.01)
        assert "The inverse is off by" in reason(scale, 100.0)


@pytest.mark.parametrize("form", [
    lambda x: x.numpy(), lambda x: x.numpy()[::-1], lambda x: x.numpy().astype(">f8"),
    lambda x: x.tolist(), lambda x: list(x), lambda x: np.asfortranarray(x.numpy()),
    lambda x: x.T.contiguous().T, lambda x: (10 * x).round().int() + x.float() * 0.1,
    lambda x: x.clone().requires_grad_()])
def test_points_may_be_arrays_and_lists(form):
    assert math.isfinite(last(small(), form(N[:, :2])).test_nll)


@pytest.mark.parametrize("bad", ["moons", [["a", "b"]] * 9, [[1, 2], [3]], 3.0, None, [],
                                 N[:, :2] + 1j, {"x": 1}, (N[:, 0], N[:, 1])])
def test_what_is_no_points_gets_one_sentence(bad):
    sentence(small(), bad)


LABELS = torch.arange(600) % 3


@pytest.mark.parametrize("kind", [
    *(lambda c, t=t: c.to(t) for t in (torch.uint8, torch.int8, torch.int16, torch.int32)),
    lambda c: c.numpy().astype(np.uint16), lambda c: c.tolist(), lambda c: list(c.numpy())])
@pytest.mark.parametrize("pair", [tuple, list])
def test_classes_may_be_integers_of_any_type(kind, pair):
    x = N[:, :2].float()
    expected = last(small(classes=3), (x, LABELS))
    assert last(small(classes=3), pair([x, kind(LABELS)])).test_nll == expected.test_nll


@pytest.mark.parametrize(("classes", "labels", "words"), [
    (600, torch.arange(300), "too few"), (100, torch.arange(300), "from 0 to 299"),
    (3, torch.arange(300) % 3 - 1, "from -1"), (3, (torch.arange(300) % 3).float(), "integers"),
    (3, torch.arange(299) % 3, "shape"), (3, None, "give a pair"), (0, torch.zeros(300).long(),
                                                                    "leave them out")])
@pytest.mark.parametrize("model", ["realnvp", "glow"])
def test_classes_that_do_not_fit_get_one_sentence_before_the_training(
        model, classes, labels, words):
    x = N[:300, :2].float()
    assert words in sentence(small(model, classes=classes), x if labels is None else (x, labels))


def test_images_need_enough_of_each_class_too():
    x, labels = torch.rand(30, 1, 4, 4), (torch.arange(30) % 2).to(torch.uint8)
    flow = Glow(event_shape=(1, 4, 4), levels=1, steps=1, hidden_channels=4, classes=2)
    assert math.isfinite(last(flow, (x, labels)).test_nll)
    assert "classes" in sentence(flow, x)
    assert "9 classes" not in sentence(Glow(event_shape=(1, 8, 8), levels=1, steps=1,
                                            hidden_channels=4, classes=9), image_set("digits"))


@pytest.mark.parametrize(("model", "shape"), [
    (model, shape) for model in MODELS for shape in ((2,), (3,), (1, 4, 4))
    if len(shape) == 1 or model in ON_IMAGES])
@pytest.mark.parametrize("part", ["layer", "parameter"])
def test_frozen_parts_stay_and_the_others_train(model, shape, part):
    torch.manual_seed(1)
    sizes = {"hidden": (8,)} if len(shape) == 1 else {"hidden": (8,), "hidden_channels": 4,
                                                      "levels": 1}
    flow = MODELS[model](event_shape=shape, **having(MODELS[model], **sizes))
    x = torch.randn(60, *shape, generator=torch.Generator().manual_seed(0))
    flow.initialise(x)
    frozen = next(layer for layer in flow.layers if any(True for _ in layer.parameters()))
    if part == "parameter":
        frozen = next(frozen.parameters())
    frozen.requires_grad_(False)
    before = {k: v.clone() for k, v in flow.named_parameters()}
    progress = list(train(flow, x, TrainingSettings(epochs=2)))
    for name, parameter in flow.named_parameters():
        assert parameter.requires_grad or torch.equal(parameter, before[name])
    assert any(not torch.equal(p, before[name]) for name, p in flow.named_parameters())
    again = list(train(flow, x, TrainingSettings(epochs=3), resume=progress[0].snapshot))
    assert again[-1].epoch == 3
    flow.requires_grad_(False)
    assert "frozen" in sentence(flow, x)
    flow.requires_grad_(True)
    with pytest.raises(ValueError, match="frozen"):
        next(train(flow, x, TrainingSettings(epochs=3), resume=progress[0].snapshot))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_training_makes_its_own_gradients(mode):
    x, flow = N[:, :2].float(), small()
    expected = last(small(), x).test_nll
    with mode():
        assert last(flow, x.clone()).test_nll == expected
    assert torch.autograd.grad(flow.log_prob(x).mean(), next(flow.parameters()))[0].abs().sum() > 0
    with torch.inference_mode():
        assert "inference_mode" in sentence(small(), x)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_where_there_is_none_gets_one_sentence():
    settings = TrainingSettings(device="cuda")
    assert "NVIDIA" in sentence(small(), N[:, :2], settings)
    with pytest.raises(ValueError, match="NVIDIA"):
        train_nice.train(settings)
    with pytest.raises(ValueError, match="NVIDIA"), group("cuda"):
        pass


@pytest.mark.parametrize(("x", "words"), [
    (torch.stack([N[:, 0], (2 * N[:, 1]).round()], 1), "Column 2 takes only"),
    (N[:, :1].repeat(1, 2), "linear formula")])
def test_points_whose_density_has_no_maximum_are_said(x, words):
    progress = last(small(), x.float())
    assert words in progress.reason and progress.outcome == "finished"


def test_the_flow_that_is_handed_back_has_the_numbers():
    x = N[:, :2].float()
    progress = last(small(), x)
    assert progress.train_nll == pytest.approx(nll(progress.flow, x), abs=0.2)
    assert isinstance(progress.flow, RealNVP)
