"""The rational-quadratic spline: exact everywhere, rising, and that of other libraries."""

import math
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from flowlab.bijections.spline import SLOPE_ONE, RationalQuadratic
from spline import Spline

BINS, BOUND = 7, 3.0


def made(seed: int, scale: float, dtype: torch.dtype = torch.float64
         ) -> tuple[RationalQuadratic, Tensor, Tensor]:
    """A spline of any weights; places at knots, at the bound, in bins and far out; parameters."""
    inner = RationalQuadratic(BINS, BOUND)
    generator = torch.Generator().manual_seed(seed)
    parameters = scale * torch.randn(1, inner.outputs, 1, generator=generator, dtype=dtype)
    knots = inner.knots(parameters)[0].flatten()
    drawn = BOUND * (2 * torch.rand(40, generator=generator, dtype=dtype) - 1)
    far = torch.tensor([-1e6, -BOUND - 1e-6, BOUND + 1e-6, 50], dtype=dtype)
    z = torch.cat([knots, drawn, far])
    return inner, z[:, None], parameters[:, :, 0].expand(len(z), -1)


weights = given(seed=st.integers(0, 9999), scale=st.sampled_from([0.0, 0.5, 2.0, 5.0, 100.0]))


@weights
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_round_trip_at_knots_at_the_bound_and_outside(dtype, tolerance, seed, scale):
    inner, z, parameters = made(seed, scale, dtype)
    x, log_slope = inner.forward(z, parameters)
    back, log_back = inner.inverse(x, parameters)
    # By its condition: a rounding of x is a change of z by that over the slope, 1 at the least.
    steep = log_slope.exp().clamp(max=1)
    assert ((back - z).abs() * steep <= tolerance * z.abs().clamp(min=1)).all()
    outside = z.abs() > BOUND
    assert torch.equal(x[outside], z[outside]) and (log_slope[outside] == 0).all()
    if scale <= 2 and dtype is torch.float64:  # as networks have them, without any condition
        torch.testing.assert_close(back, z, atol=tolerance, rtol=tolerance)
        torch.testing.assert_close(log_back, -log_slope, atol=1e-8, rtol=1e-8)


@weights
def test_it_rises_and_its_slope_is_autograds(seed, scale):
    inner, z, parameters = made(seed, scale)
    z = z.sort(0).values.requires_grad_()
    x, log_slope = inner.forward(z, parameters)
    apart = z.diff(dim=0)[:, 0] > 1e-9
    assert (x.diff(dim=0)[:, 0][apart] > 0).all()
    slope, = torch.autograd.grad(x.sum(), z)
    torch.testing.assert_close(log_slope, slope.log(), atol=1e-8, rtol=1e-8)


def test_it_starts_as_the_identity_and_is_smooth_at_the_bound():
    inner, z, parameters = made(0, 0.0)
    x, log_slope = inner.forward(z, parameters)
    torch.testing.assert_close(x, z)
    assert log_slope.abs().max() < 1e-12
    inner, _, parameters = made(1, 1.0)
    near = torch.tensor([[BOUND - 1e-9], [1e-9 - BOUND]], dtype=torch.float64)
    assert inner.forward(near, parameters[:2])[1].abs().max() < 1e-6
    flow, points = Spline(), torch.randn(5, 2)
    torch.testing.assert_close(flow.forward(points)[0], points)


@pytest.mark.parametrize("inverse", [False, True])
def test_it_is_that_of_nflows(inverse):
    theirs = pytest.importorskip("nflows.transforms.splines", reason="nflows is not installed")
    inner, z, parameters = made(2, 1.5)
    widths, heights, slopes = parameters.split([BINS, BINS, BINS - 1], 1)
    expected = theirs.unconstrained_rational_quadratic_spline(
        z[:, 0], widths, heights, slopes + SLOPE_ONE, inverse, tails="linear", tail_bound=BOUND)
    found = (inner.inverse if inverse else inner.forward)(z, parameters)
    for ours, other in zip(found, expected, strict=True):
        torch.testing.assert_close(ours[:, 0], other, atol=1e-5, rtol=1e-5)


def test_it_is_that_of_zuko():
    transforms = pytest.importorskip("zuko.transforms", reason="zuko is not installed")
    inner, z, parameters = made(3, 1.5)
    across, up, slopes = (knots[..., 0] for knots in inner.knots(parameters))
    limit = -math.log(1e-30)  # zuko squashes raw numbers: here by next to nothing, undone

    def raw(values: Tensor, factor: float) -> Tensor:
        return values / (1 - factor * values.abs() / limit)

    spline = transforms.MonotonicRQSTransform(
        raw(across.diff().log(), 2), raw(up.diff().log(), 2), raw(slopes[:, 1:-1].log(), 1), BOUND,
        1e-30)
    inside = z[:, 0].abs() < BOUND - 1e-6
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = spline.call_and_ladj(z[:, 0])
    for ours, other in zip(inner.forward(z, parameters), expected, strict=True):
        torch.testing.assert_close(ours[inside, 0], other[inside], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("inverse", [False, True])
def test_not_a_number_remains_one(inverse):
    inner, z, parameters = made(4, 1.0)
    z[3] = math.nan
    for found in (inner.inverse if inverse else inner.forward)(z, parameters):
        assert torch.equal(found.isnan(), z.isnan())
