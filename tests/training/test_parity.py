"""The same weights in Flow Lab and in normflows give the same density."""

import pytest
import torch
from helpers import shake
from torch import Tensor

from flowlab.bijections import Linear
from glow import Glow
from nice import NICE
from realnvp import RealNVP

nf = pytest.importorskip("normflows", reason="normflows is not installed; benchmarks/"
                         "requirements.txt has it")

D = 4


def block(coupling: torch.nn.Module, affine: bool) -> torch.nn.Module:
    """normflows' coupling with our weights: shift and log-scale take turns in its output."""
    network = nf.nets.MLP([D // 2, 16, 16, (1 + affine) * (D // 2)]).double()
    linears = [m for m in network.modules() if isinstance(m, torch.nn.Linear)]
    matrices = [layer.matrix.detach() for layer in coupling.network.layers]
    if affine:
        log_scale, shift = matrices[-1].chunk(2)
        matrices[-1] = torch.stack([shift, log_scale], 1).flatten(0, 1)
    for linear, matrix in zip(linears, matrices, strict=True):
        linear.weight.data, linear.bias.data = matrix[:, :-1].clone(), matrix[:, -1].clone()
    return nf.flows.AffineCouplingBlock(
        network, scale=affine, split_mode="channel" if coupling.kept.start == 0 else "channel_inv")


def theirs(flows: list[torch.nn.Module], x: Tensor) -> Tensor:
    base = nf.distributions.DiagGaussian(D, trainable=False)
    return nf.NormalizingFlow(base, flows).double().log_prob(x)


def unbounded(flow: torch.nn.Module) -> torch.nn.Module:
    """normflows does not bound log-scales; with a bound this far away neither do we."""
    for layer in flow.layers:
        if hasattr(layer, "inner"):
            layer.inner.bound = 1e6
    return shake(flow, 0.03).double()


@torch.no_grad()
def agree(flow: torch.nn.Module, flows: list[torch.nn.Module]) -> None:
    mean, std = flow.layers[-1].mean, flow.layers[-1].std
    x = torch.randn(200, D).double()
    expected = theirs(flows, (x - mean) / std) - std.log().sum()
    torch.testing.assert_close(flow.log_prob(x), expected, rtol=0, atol=1e-5)


def test_nice():
    flow = shake(NICE((D,), hidden=(16, 16), activation="relu", base="normal"), 0.1).double()
    scaling = nf.flows.AffineConstFlow((D,), shift=False)
    scaling.s.data = -flow.layers[0].log_scale.detach()[None]
    agree(flow, [scaling, *(block(c, False) for c in flow.layers[1:-1])])


def test_realnvp():
    flow = unbounded(RealNVP((D,), couplings=6, hidden=(16, 16), activation="relu"))
    agree(flow, [block(c, True) for c in flow.layers[:-1]])


def test_glow_step():
    flow = unbounded(Glow((D,), hidden=(16, 16), activation="relu", steps=1))
    coupling, linear, actnorm, _ = flow.layers
    mixing = nf.flows.InvertibleAffine(D)
    # Theirs multiplies rows from the right.
    weight = linear.inverse(torch.eye(D).double())[0].detach()
    permutation, lower, upper = torch.linalg.lu(weight)
    mixing.P.copy_(permutation)
    mixing.L.data, mixing.U.data = lower, upper.triu(1)
    mixing.sign_S.copy_(upper.diagonal().sign())
    mixing.log_S.data = upper.diagonal().abs().log()
    normalise = nf.flows.ActNorm((D,))
    normalise.s.data = -actnorm.log_scale.detach()[None]
    normalise.t.data = -actnorm.shift.detach()[None]
    normalise.data_dep_init_done.fill_(1)
    agree(flow, [block(coupling, True), mixing.double(), normalise])


def test_glow_step_on_images():
    """Their GlowBlock with our weights; its coupling scales by an exponential, as ours does."""
    channels, flow = 4, unbounded(Glow((1, 8, 8), levels=1, steps=1, hidden_channels=8))
    coupling, convolution, actnorm = flow.layers[1:4]
    block = nf.flows.GlowBlock(channels, 8, scale_map="exp", split_mode="channel_inv").double()
    coupled, mixing, normalise = block.flows
    ours, network = coupling.network, coupled.flows[1].param_map.net
    for theirs_, own in zip((network[0], network[2], network[4]),
                            (ours.first, ours.middle, ours.last), strict=True):
        theirs_.weight.data, theirs_.bias.data = own.weight.detach(), own.bias.detach()
    for value in (network[4].weight, network[4].bias):  # shift and log-scale take turns there
        log_scale, shift = value.data.chunk(2)
        value.data = torch.stack([shift, log_scale], 1).flatten(0, 1)
    weight = Linear.inverse(convolution, torch.eye(channels).double())[0].detach().T
    permutation, lower, upper = torch.linalg.lu(weight)
    mixing.P.copy_(permutation)
    mixing.L.data, mixing.U.data = lower, upper.triu(1)
    mixing.sign_S.copy_(upper.diagonal().sign())
    mixing.log_S.data = upper.diagonal().abs().log()
    normalise.s.data = -actnorm.log_scale.detach()[None]
    normalise.t.data = -actnorm.shift.detach()[None]
    normalise.data_dep_init_done.fill_(1)
    x = torch.randn(20, channels, 4, 4).double()
    z, log_det = x, 0
    for layer in (actnorm, convolution, coupling):
        z, own = layer.inverse(z)
        log_det = log_det + own
    expected, expected_log_det = block.inverse(x)
    torch.testing.assert_close(z, expected, rtol=0, atol=1e-8)
    torch.testing.assert_close(log_det, expected_log_det.expand(20), rtol=0, atol=1e-8)
