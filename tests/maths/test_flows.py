"""The invariants of a flow, stated once and checked on every model."""

import copy
import math

import pytest
import torch
from helpers import FLOWS, jacobian_log_det, make_flow, shake
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from safetensors.torch import save_file

from flowlab import Flow
from flowlab.bijections import AffineCoupling
from flowlab.bijections.base import LOG_PROB, SAMPLE
from flowlab.settings import describe
from glow import Glow
from models import MODELS
from nice import NICE
from realnvp import RealNVP

flows = pytest.mark.parametrize("name", FLOWS)


@flows
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("batch", [1, 9])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_round_trip(name, training, batch, dtype, tolerance):
    flow = shake(make_flow(name, 3), 0.05).to(dtype).train(training)
    points = torch.randn(batch, 3, dtype=dtype)
    x, forward_log_det = flow.forward(points)
    z, inverse_log_det = flow.inverse(x)
    torch.testing.assert_close(z, points, atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(inverse_log_det, -forward_log_det, atol=10 * tolerance, rtol=0)


@flows
@pytest.mark.parametrize("model_training", [True, False], ids=["train", "eval"])
def test_log_det_is_autograds(name, model_training):
    flow = shake(make_flow(name, 4, classes=3), 0.05).double().train(model_training)
    points, context = torch.randn(3, 4).double(), torch.tensor([0, 2, 1])
    for direction in (flow.forward, flow.inverse):
        expected = torch.cat([
            jacobian_log_det(lambda v, c=c, d=direction: d(v, context[c:c + 1])[0],
                             points[c:c + 1]) for c in range(3)])
        torch.testing.assert_close(direction(points, context)[1], expected, atol=1e-9, rtol=1e-8)


def on_a_grid(flow):
    """log q on a grid over [-30, 30]², and the area of its cells."""
    axis = torch.linspace(-30, 30, 801, dtype=torch.float64)
    with torch.no_grad():
        return flow.log_prob(torch.cartesian_prod(axis, axis)), (axis[1] - axis[0]) ** 2


@flows
def test_density_integrates_to_one(name):
    flow = shake(make_flow(name, hidden=(8,)), 0.05).double().eval()
    log_q, cell = on_a_grid(flow)
    assert (log_q.exp().sum() * cell).item() == pytest.approx(1, abs=2e-3)


@pytest.mark.quick("nice-normal", "realnvp-logistic", "glow-batchnorm", "spline-fixed")
@flows
def test_samples_follow_the_density(name):
    """The mean of log q over own samples is minus the entropy, by quadrature."""
    flow = shake(make_flow(name, hidden=(8,)), 0.05).double().eval()
    log_q, cell = on_a_grid(flow)
    entropy = -(log_q.exp() * log_q).sum() * cell
    with torch.no_grad():
        drawn = flow.log_prob(flow.sample(20_000))
    standard_error = drawn.std() / math.sqrt(len(drawn))
    assert abs(drawn.mean() + entropy) < 5 * standard_error + 1e-3


@flows
def test_gradients_reach_every_parameter(name):
    flow = shake(make_flow(name, 4)).train()
    flow.log_prob(torch.randn(32, 4)).mean().backward()
    for parameter_name, parameter in flow.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, parameter_name


@flows
def test_fresh_flow_is_tame(name):
    flow = make_flow(name)
    points = 3 * torch.randn(100, 2)
    flow.initialise(points)
    log_q = flow.log_prob(points)
    assert torch.isfinite(log_q).all()
    assert -log_q.mean() < 2 * math.log(3) + math.log(2 * math.pi) + 2


@flows
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_save_and_load(name, dtype, tmp_path):
    flow = shake(make_flow(name, 3, classes=2)).to(dtype)
    context = torch.tensor([0, 1, 1, 0])
    flow.initialise(torch.randn(4, 3, dtype=dtype), context)
    flow.save(tmp_path / "flow.safetensors")
    loaded = Flow.load(tmp_path / "flow.safetensors")
    assert type(loaded) is type(flow) and loaded.settings == flow.settings
    x = torch.randn(4, 3, dtype=dtype)
    assert torch.equal(loaded.log_prob(x, context), flow.eval().log_prob(x, context))
    assert torch.equal(loaded.forward(x, context)[0], flow.forward(x, context)[0])
    before = loaded.log_prob(x, context)
    loaded.initialise(100 + torch.randn(4, 3, dtype=dtype), context)
    assert torch.equal(loaded.log_prob(x, context), before)


def test_a_file_cannot_choose_what_is_built(tmp_path):
    path = tmp_path / "flow.safetensors"
    tensor = {"w": torch.zeros(1)}
    for metadata in ({}, {"format": "flowlab-1", "model": "os.system", "settings": "{}"},
                     {"format": "flowlab-1", "model": "NICE", "settings": '{"couplings": 1e9}'},
                     {"format": "flowlab-1", "model": "NICE", "settings": "{}"},
                     {"format": "flowlab-1", "model": "NICE", "settings": "not json"}):
        save_file(tensor, path, metadata)
        with pytest.raises(ValueError, match="flow.safetensors"):
            Flow.load(path)
    path.write_bytes(b"no safetensors")
    with pytest.raises(ValueError, match="not a safetensors file"):
        Flow.load(path)
    NICE().save(path)
    with pytest.raises(ValueError, match="holds a NICE"):
        Glow.load(path)
    with pytest.raises(FileNotFoundError):
        Flow.load(tmp_path / "nothing.safetensors")


@flows
def test_trace_starts_at_the_latent_and_ends_at_the_data(name):
    flow = shake(make_flow(name)).double()
    z = torch.randn(5, 2).double()
    points = flow.trace(z)
    assert len(points) == len(flow.layers) + 1
    assert torch.equal(points[0], z)
    torch.testing.assert_close(points[-1], flow.forward(z)[0])


def test_sample_temperature_context_and_generator():
    flow = shake(RealNVP(classes=3)).eval()
    one = flow.sample(50, context=1, generator=torch.Generator().manual_seed(3))
    again = flow.sample(50, context=torch.full((50,), 1),
                        generator=torch.Generator().manual_seed(3))
    assert one.shape == (50, 2) and torch.equal(one, again)
    cold = flow.sample(50, context=1, temperature=0.0)
    torch.testing.assert_close(cold, cold[:1].expand(50, 2))
    warm = RealNVP().sample(4000, temperature=0.5)
    assert warm.std().item() == pytest.approx(0.5, rel=0.1)


def test_context_changes_the_density():
    flow = shake(Glow(classes=2)).eval()
    x = torch.randn(5, 2)
    zero, one = (flow.log_prob(x, torch.full((5,), c)) for c in (0, 1))
    assert (zero - one).abs().min() > 0


@flows
def test_distribution_is_torchs(name):
    flow = shake(make_flow(name, 3, classes=2))
    distribution = flow.distribution(context=1)
    assert distribution.event_shape == (3,) and distribution.batch_shape == ()
    x = distribution.rsample((4, 5))
    assert x.shape == (4, 5, 3) and x.requires_grad
    assert not distribution.sample((2,)).requires_grad
    log_q = distribution.log_prob(x)
    assert log_q.shape == (4, 5)
    context = torch.ones(20, dtype=torch.long)
    torch.testing.assert_close(log_q.flatten(), flow.log_prob(x.reshape(20, 3), context))
    assert distribution.sample().shape == (3,)


@pytest.mark.parametrize("call", [
    lambda f: f.forward(torch.zeros(3, 5)), lambda f: f.inverse(torch.zeros(2)),
    lambda f: f.log_prob(torch.zeros(3, 2, dtype=torch.float64)),
    lambda f: f.log_prob(torch.zeros(3, 2), torch.zeros(3, dtype=torch.long)),
    lambda f: f.trace(torch.zeros(3, 3)), lambda f: f.initialise(torch.zeros(4, 4)),
    lambda f: f.distribution(torch.tensor([0, 1])),
])
def test_wrong_shapes_get_one_sentence(call):
    with pytest.raises(ValueError) as caught:
        call(RealNVP())
    assert 10 < len(str(caught.value)) < 160 and "\n" not in str(caught.value)


def test_missing_or_wrong_context_gets_one_sentence():
    flow, x = NICE(classes=3), torch.zeros(2, 2)
    for context in (None, torch.zeros(2), torch.zeros(3, dtype=torch.long), torch.tensor([0, 3]),
                    torch.tensor([-1, 0])):
        with pytest.raises(ValueError, match="class|context"):
            flow.log_prob(x, context)


@pytest.mark.parametrize("settings", [
    {"couplings": 0}, {"couplings": 1000}, {"hidden": ()}, {"hidden": (0,)}, {"base": "cauchy"},
    {"event_shape": (1,)}, {"event_shape": ()}, {"activation": "sin"}, {"wings": 2},
    {"classes": -1},
])
def test_bad_settings_are_told_in_one_sentence(settings):
    with pytest.raises(ValidationError) as caught:
        RealNVP(**settings)
    sentence = describe(caught.value)
    assert next(iter(settings)) in sentence and "\n" not in sentence and len(sentence) < 200


@given(d=st.integers(2, 9), n=st.integers(1, 6), model=st.sampled_from(list(MODELS)),
       seed=st.integers(0, 99))
def test_any_dimension_and_batch_round_trips(d, n, model, seed):
    torch.manual_seed(seed)
    flow = shake(MODELS[model](event_shape=(d,), hidden=(8,)), 0.05).double()
    x = torch.randn(n, d).double()
    z, log_det = flow.inverse(x)
    back, back_log_det = flow.forward(z)
    torch.testing.assert_close(back, x, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(back_log_det, -log_det, atol=1e-9, rtol=0)


@pytest.mark.parametrize("base", LOG_PROB)
def test_base_densities_match_their_samples(base):
    axis = torch.linspace(-30, 30, 60_001, dtype=torch.float64)[:, None]
    density = LOG_PROB[base](axis).exp()
    assert torch.trapezoid(density, axis[:, 0]).item() == pytest.approx(1, abs=1e-9)
    drawn = SAMPLE[base](100_000, 1)
    variance = torch.trapezoid(density * axis[:, 0] ** 2, axis[:, 0])
    assert drawn.var().item() == pytest.approx(variance.item(), rel=0.03)


def test_nice_changes_volume_by_one_constant_and_the_others_do_not():
    for name, constant in (("nice", True), ("realnvp", False), ("glow", False)):
        spread = shake(make_flow(name)).inverse(torch.randn(50, 2))[1].std().item()
        assert (spread < 1e-6) is constant, name


def test_alternating_couplings_move_every_coordinate():
    flow = shake(RealNVP(couplings=2))
    z = torch.randn(10, 2)
    assert (flow.forward(z)[0] - z).abs().min() > 0


def test_a_flow_can_be_copied():
    flow = shake(Glow())
    x = torch.randn(3, 2)
    assert torch.equal(copy.deepcopy(flow).log_prob(x), flow.log_prob(x))


@pytest.mark.parametrize(("model", "depth"), [(RealNVP, "couplings"), (Glow, "steps")])
def test_many_affine_couplings_with_tanh_start_twice_as_steep(model, depth):
    def slope(count, activation):
        torch.manual_seed(0)
        flow = model((2,), **{depth: count}, activation=activation)
        coupling = [layer for layer in flow.layers if isinstance(layer, AffineCoupling)][-1]
        return coupling.network.layers[0].matrix[:, :1].abs().max().item()

    few, many = slope(2, "tanh"), slope(8, "tanh")
    assert many / few == pytest.approx(2, rel=0.1)
    assert slope(8, "relu") / few == pytest.approx(1, rel=0.1)
