"""The two-dimensional targets: samples, densities and entropies agree with each other."""

import math
import pickle
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2
from sklearn.datasets import make_blobs, make_circles, make_moons, make_s_curve, make_swiss_roll

from flowlab.data import Target, target, targets

NAMES = [
    "gaussian",
    "eight_gaussians",
    "grid_gaussians",
    "moons",
    "circles",
    "rings",
    "spiral",
    "two_spirals",
    "pinwheel",
    "swiss_roll",
    "s_curve",
    "checkerboard",
    "banana",
    "funnel",
    "cosine",
    "uniform_square",
]
#: Made for lessons, and not among those to choose from.
LESSONS = ["stripes"]
EVERY = [*NAMES, *LESSONS]
NOISY = [name for name in EVERY if target(name).noise_range is not None]
SHARP = ["checkerboard", "uniform_square"]


def noises(name):
    """Return the default noise, a small one and the largest."""
    t = target(name)
    if t.noise_range is None:
        return [None]
    low, high = t.noise_range
    return [t.noise, 0.5 * (low + t.noise) if t.noise > 0 else 0.05, high]


EVERY_NOISE = [(name, noise) for name in EVERY for noise in noises(name)]


def plane(t):
    """Return grid points over a wide window, float64, and the area each stands for."""
    if t.name == "funnel":  # the neck is narrow and the mouth wide: steps grow with |x|
        s = torch.arange(-12, 12, 0.05, dtype=torch.float64)
        y = torch.arange(-12, 12, 0.1, dtype=torch.float64)
        points = torch.cartesian_prod(0.01 * s.sinh(), y)
        return points, torch.outer(0.01 * s.cosh() * 0.05, torch.full_like(y, 0.1)).reshape(-1)
    xmin, xmax, ymin, ymax = t.limits
    if t.noise == 0:  # midpoints of cells that end at the edges of the squares
        step, grow = 0.0625, 1.0
    else:
        step = 0.35 * t.noise if t.name in ("banana", "cosine") else 0.6 * min(t.noise, 0.5)
        grow = 2 * t.noise + (0 if t.name in NARROW else 4)
    x = torch.arange(xmin - grow, xmax + grow, step, dtype=torch.float64) + step / 2
    if t.name == "banana":
        ymax += 12
    y = torch.arange(ymin - grow, ymax + grow, step, dtype=torch.float64) + step / 2
    return torch.cartesian_prod(x, y), step**2


NARROW = [name for name in NAMES if name not in ("gaussian", "banana", "cosine", "pinwheel")]


def test_the_sixteen_names():
    assert targets() == tuple(NAMES)
    assert all(target(name).name == name for name in EVERY)


@pytest.mark.parametrize("name", EVERY)
def test_what_a_target_says_of_itself(name):
    t = target(name)
    assert isinstance(t, Target)
    assert t.title and t.title[0].isupper()
    assert re.fullmatch(r"[A-Z][^.]+\.", t.description)
    if t.noise_range is None:
        assert t.noise is None
    else:
        low, high = t.noise_range
        assert 0 <= low <= t.noise == t.default_noise < high
    xmin, xmax, ymin, ymax = t.limits
    assert all(type(limit) is float for limit in t.limits)
    assert xmax - xmin == pytest.approx(ymax - ymin)
    assert repr(t).startswith(f"target('{name}'")


@pytest.mark.parametrize("name", EVERY)
def test_samples(name):
    t = target(name)
    x = t.sample(500, seed=3)
    assert x.shape == (500, 2) and x.dtype == torch.float32 and x.isfinite().all()
    assert torch.equal(x, t.sample(500, seed=3))
    assert not torch.equal(x, t.sample(500, seed=4))
    assert torch.equal(t.sample(500), t.sample(500, seed=0))
    assert t.sample(1).shape == (1, 2)


@pytest.mark.parametrize("name", EVERY)
def test_samples_leave_the_global_random_states_alone(name):
    torch.manual_seed(7)
    np.random.seed(7)
    first = target(name).sample(10)
    drawn = torch.rand(3), np.random.rand(3)
    torch.manual_seed(7)
    np.random.seed(7)
    assert torch.equal(drawn[0], torch.rand(3))
    assert np.array_equal(drawn[1], np.random.rand(3))
    assert torch.equal(first, target(name).sample(10)), "the global seed must not matter"


@pytest.mark.parametrize("name", EVERY)
def test_a_few_samples_are_as_spread_as_many(name):
    """scikit-learn's grids start at fixed points; a single sample must not be one of those."""
    t = target(name)
    singles = torch.cat([t.sample(1, seed=seed) for seed in range(300)])
    scores = t.log_prob(singles)
    many = t.sample(20_000, seed=1)
    error = (many.std(0) * 4 / math.sqrt(300)).clamp(min=0.01)
    assert ((singles.mean(0) - many.mean(0)).abs() < error).all()
    spread = max(t.log_prob(many).std().item(), 0.01)
    assert abs(scores.mean() + t.entropy) < 4 * spread / math.sqrt(300)


@pytest.mark.parametrize(("name", "noise"), EVERY_NOISE)
def test_density_integrates_to_one_and_gives_the_entropy(name, noise):
    t = target(name, noise)
    points, area = plane(t)
    log_p = t.log_prob(points)
    p = log_p.exp()
    assert float((area * p).sum()) == pytest.approx(1, abs=2e-5)
    entropy = -float((area * torch.where(p > 0, p * log_p, 0.0)).sum())
    assert t.entropy == pytest.approx(entropy, abs=5e-4)


@pytest.mark.parametrize(("name", "noise"), EVERY_NOISE)
def test_mean_log_prob_of_samples_is_minus_the_entropy(name, noise):
    t = target(name, noise)
    log_p = t.log_prob(t.sample(20_000, seed=11))
    error = float(log_p.std()) / math.sqrt(len(log_p))
    assert float(log_p.mean()) == pytest.approx(-t.entropy, abs=4 * error + 1e-5)


def chi_square_p_value(t, points, grid_points, area, cells=20):
    """Compare the counts of points in square cells with the mass of the density there."""
    xmin, xmax, ymin, ymax = t.limits
    low = torch.tensor([xmin, ymin], dtype=torch.float64)
    width = torch.tensor([xmax - xmin, ymax - ymin], dtype=torch.float64) / cells

    def histogram(x, weights):
        cell = ((x.double() - low) / width).floor().long()
        inside = ((cell >= 0) & (cell < cells)).all(1)
        cell, weights = cell[inside], weights[inside]
        return torch.bincount(cell[:, 0] * cells + cell[:, 1], weights, minlength=cells**2)

    mass = histogram(grid_points, area * t.log_prob(grid_points).exp())
    expected = len(points) * torch.cat((mass, 1 - mass.sum(0, keepdim=True)))
    count = histogram(points, torch.ones(len(points), dtype=torch.float64))
    count = torch.cat((count, len(points) - count.sum(0, keepdim=True)))
    few = expected < 5  # pooled into one cell, as the test asks
    expected = torch.cat((expected[~few], expected[few].sum(0, keepdim=True)))
    count = torch.cat((count[~few], count[few].sum(0, keepdim=True)))
    keep = expected > 0
    if count[~keep].sum() > 0:
        return 0.0
    statistic = ((count - expected).square() / expected)[keep].sum()
    return chi2.sf(float(statistic), int(keep.sum()) - 1)


@pytest.mark.parametrize("name", EVERY)
def test_samples_fill_the_cells_as_the_density_says(name):
    t = target(name)
    cells = 18 if name == "checkerboard" else 20
    xmin, xmax, ymin, _ = t.limits
    fine = (xmax - xmin) / cells / 12  # 12 by 12 midpoints in a cell
    steps = fine * (torch.arange(12 * cells, dtype=torch.float64) + 0.5)
    grid_points = torch.cartesian_prod(xmin + steps, ymin + steps)
    points = t.sample(10_000, seed=5)
    assert chi_square_p_value(t, points, grid_points, fine**2, cells) > 1e-3
    moved = points + 0.1 * points.std(0)
    assert chi_square_p_value(t, moved, grid_points, fine**2, cells) < 1e-6, "too weak a test"


def test_samples_are_scikit_learns_own():
    n, seed = 2000, 42
    moons, _ = make_moons(n, noise=0.05, random_state=seed)
    circles, _ = make_circles(n, noise=0.05, factor=0.5, random_state=seed)
    roll, _ = make_swiss_roll(n, noise=0.4, random_state=seed)
    s_curve, _ = make_s_curve(n, noise=0.1, random_state=seed)
    centres = target("grid_gaussians").modes.double().numpy()
    blobs, _ = make_blobs(n, centers=centres, cluster_std=0.15, random_state=seed)
    for name, points in {
        "moons": moons,
        "circles": circles,
        "swiss_roll": roll[:, [0, 2]] / 4,
        "s_curve": s_curve[:, [0, 2]],
        "grid_gaussians": blobs,
    }.items():
        ours = target(name).sample(n, seed)
        torch.testing.assert_close(ours, torch.from_numpy(points).float(), msg=name)


@pytest.mark.parametrize("name", ["moons", "circles", "swiss_roll", "s_curve"])
@pytest.mark.parametrize("noise", [0.05, 0.2])
def test_density_is_that_of_scikit_learns_generator(name, noise):
    """Average Gaussians over scikit-learn's own points without noise."""
    n = 60_000
    curve = {
        "moons": lambda: make_moons(n)[0],
        "circles": lambda: make_circles(n, factor=0.5)[0],
        "swiss_roll": lambda: make_swiss_roll(n, random_state=0)[0][:, [0, 2]] / 4,
        "s_curve": lambda: make_s_curve(n, random_state=0)[0][:, [0, 2]],
    }[name]()
    t = target(name, noise)
    x = t.sample(50, seed=2).double()
    squared = torch.cdist(x, torch.from_numpy(curve)).square()
    gaussians = torch.exp(-squared / (2 * noise**2)) / (2 * math.pi * noise**2)
    density = gaussians.mean(1)
    # The first two lay their points evenly, the others draw them.
    error = 1e-3 * density if name in ("moons", "circles") else 5 * gaussians.std(1) / n**0.5
    assert ((t.log_prob(x).exp() - density).abs() < error).all()


@pytest.mark.parametrize("name", ["moons", "spiral", "two_spirals", "swiss_roll", "s_curve"])
def test_quadrature_on_curves_has_converged(name):
    """At the least noise allowed, and away from the curve, against a far finer rule."""
    t = target(name, target(name).noise_range[0])
    u = (np.arange(40_000) + 0.5) / 40_000
    curve = torch.from_numpy(np.concatenate([branch(u) for branch in t._branches]))
    x = t.sample(40, seed=1).double()
    x = torch.cat((x, x + 4 * t.noise, x - 3 * t.noise))
    exponents = -torch.cdist(x, curve).square() / (2 * t.noise**2)
    log_p = exponents.logsumexp(1) - math.log(len(curve) * 2 * math.pi * t.noise**2)
    torch.testing.assert_close(t.log_prob(x), log_p, rtol=1e-5, atol=1e-4)


def test_rings_and_spirals_are_evenly_covered():
    radii = torch.tensor([0.75, 1.5, 2.25, 3.0])
    rings = target("rings").log_prob(torch.stack((radii, 0 * radii), dim=1))
    assert rings.max() - rings.min() < 0.02
    angle = torch.linspace(2, 9, 50)
    arm = torch.stack((angle * angle.cos(), angle * angle.sin()), dim=1)
    for along in (target("spiral").log_prob(arm / 4), target("two_spirals").log_prob(-arm / 3)):
        assert along.max() - along.min() < 0.15


def test_entropies_known_in_closed_form():
    one = math.log(2 * math.pi * math.e)
    assert target("gaussian", 0.5).entropy == pytest.approx(one + math.log(1.5 * 0.5))
    blobs = math.log(8) + one + 2 * math.log(0.05)
    assert target("eight_gaussians", 0.05).entropy == pytest.approx(blobs, abs=1e-5)
    assert target("checkerboard").entropy == pytest.approx(math.log(32))
    assert target("uniform_square").entropy == pytest.approx(math.log(16))
    assert target("funnel").entropy == pytest.approx(one + math.log(1.5))
    assert target("moons", 0.05).entropy == pytest.approx(0.289, abs=2e-3)


def test_the_entropy_is_computed_once(monkeypatch):
    t = target("rings", 0.123)
    expected = t.entropy
    monkeypatch.setattr(type(t), "_entropy", lambda self: pytest.fail("computed again"))
    assert target("rings", 0.123).entropy == expected
    assert target("moons") is target("moons", target("moons").noise)


@pytest.mark.parametrize("name", EVERY)
def test_float32_agrees_with_float64(name):
    for noise in noises(name):
        t = target(name, noise)
        x = t.sample(1000, seed=9)
        single, double = t.log_prob(x), t.log_prob(x.double())
        assert single.dtype == torch.float32 and double.dtype == torch.float64
        torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("name", EVERY)
def test_shapes_and_types(name):
    t = target(name)
    x = t.sample(24)
    log_p = t.log_prob(x)
    assert log_p.shape == (24,)
    torch.testing.assert_close(t.log_prob(x.reshape(2, 3, 4, 2)), log_p.reshape(2, 3, 4))
    torch.testing.assert_close(t.log_prob(x[3]), log_p[3])
    torch.testing.assert_close(t.log_prob(x.T.contiguous().T), log_p)
    half = t.log_prob(x.bfloat16())
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half, t.log_prob(x.bfloat16().float()).bfloat16())
    assert t.log_prob(x[:0]).shape == (0,)


@pytest.mark.parametrize("name", EVERY)
def test_constants_follow_the_points_to_their_device(name):
    """The meta device, there on every machine, refuses to mix with tensors of another."""
    for noise in noises(name):
        x = torch.empty(5, 2, device="meta")
        assert target(name, noise).log_prob(x).device == x.device


@pytest.mark.parametrize("name", EVERY)
def test_gradient_against_differences(name):
    t = target(name, 0.2 if name in SHARP else None)
    x = t.sample(20, seed=6).double()
    x = torch.cat((x, x + 0.5)).requires_grad_()
    assert torch.autograd.gradcheck(t.log_prob, x, eps=1e-6, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "noise"), EVERY_NOISE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_finite_far_from_the_data_where_the_support_is_full(name, noise, dtype):
    t = target(name, noise)
    assert t.full_support == (t.noise != 0)
    far = torch.tensor([0.0, 1.0, 5.0, 30.0, 1000.0], dtype=dtype)
    x = torch.cartesian_prod(torch.cat((-far, far)), torch.cat((-far, far))).requires_grad_()
    log_p = t.log_prob(x)
    (gradient,) = torch.autograd.grad(log_p.sum(), x)
    assert gradient.isfinite().all()
    assert (gradient[x.detach().norm(dim=1) > 999].norm(dim=1) > 0).all() == t.full_support
    assert not log_p.isnan().any()
    if t.full_support:
        assert log_p.isfinite().all()
        rays = x.detach()[x.detach().norm(dim=1) > 999]
        assert (t.log_prob(rays) < t.log_prob(0.03 * rays)).all()
    else:
        assert (log_p[x.detach().abs().amax(1) > 4] == -torch.inf).all()


@given(x=st.floats(-6, 6), y=st.floats(-6, 6), noise=st.floats(1e-5, 1e-3))
@settings(max_examples=200, deadline=None)
def test_little_noise_hardly_changes_the_squares(x, y, noise):
    point = torch.tensor([[x, y]], dtype=torch.float64)
    for name in SHARP:
        sharp, blurred = target(name).log_prob(point), target(name, noise).log_prob(point)
        assert blurred.isfinite()
        lines = torch.tensor([-4.0, -2.0, 0.0, 2.0, 4.0], dtype=torch.float64)
        if (point.reshape(2, 1) - lines).abs().min() > 6 * noise:
            torch.testing.assert_close(blurred.exp(), sharp.exp(), rtol=0, atol=1e-9)


def test_squares_have_no_density_outside():
    inside, outside = torch.tensor([[-3.0, -3.0]]), torch.tensor([[-1.0, -3.0]])
    board = target("checkerboard")
    assert board.log_prob(inside).item() == pytest.approx(-math.log(32))
    assert board.log_prob(outside).item() == -torch.inf
    assert target("uniform_square").log_prob(2.1 * torch.ones(1, 2)).item() == -torch.inf


@pytest.mark.parametrize("name", SHARP)
def test_every_sample_of_the_squares_has_density(name):
    assert target(name).log_prob(target(name).sample(200_000, seed=1)).isfinite().all()
    assert target(name).log_prob(torch.full((1, 2), 2.0)).isfinite()


@pytest.mark.parametrize(("name", "noise"), EVERY_NOISE)
def test_limits_show_the_data(name, noise):
    t = target(name, noise)
    xmin, xmax, ymin, ymax = t.limits
    x, y = t.sample(20_000, seed=8).unbind(1)
    assert ((x > xmin) & (x < xmax) & (y > ymin) & (y < ymax)).float().mean() > 0.99
    spread = torch.stack((x, y)).quantile(0.995, dim=1) - torch.stack((x, y)).quantile(0.005, dim=1)
    assert spread.max() > 0.4 * (xmax - xmin), "the window is far too large"


@pytest.mark.parametrize("name", [name for name in NAMES if target(name).modes is not None])
def test_modes_are_where_the_density_peaks(name):
    t = target(name)
    assert len(t.modes) == {"gaussian": 1, "eight_gaussians": 8, "grid_gaussians": 25}.get(name, 5)
    modes = t.modes.double()
    at = t.log_prob(modes)
    for step in ([0.05, 0.0], [-0.05, 0.0], [0.0, 0.05], [0.0, -0.05]):
        assert (at > t.log_prob(modes + torch.tensor(step, dtype=torch.float64))).all()


@pytest.mark.parametrize("name", ["two_spirals", "rings"])
def test_many_points_do_not_need_much_memory(name, monkeypatch):
    """A table of all distances at once would hold 60 million numbers for the spirals."""
    largest = 0
    whole = torch.Tensor.square_

    def square_(self):
        nonlocal largest
        largest = max(largest, self.numel())
        return whole(self)

    monkeypatch.setattr(torch.Tensor, "square_", square_)
    t = target(name)
    x = t.sample(100_000, seed=1)
    log_p = t.log_prob(x)
    assert largest < 1_000_000
    torch.testing.assert_close(log_p[-100:], t.log_prob(x[-100:]))


@pytest.mark.parametrize("name", EVERY)
def test_a_target_can_travel_to_another_process(name):
    t = target(name)
    copy = pickle.loads(pickle.dumps(t))
    x = t.sample(50)
    assert torch.equal(copy.sample(50), x)
    assert torch.equal(copy.log_prob(x), t.log_prob(x))


def test_an_unknown_name_is_answered_with_the_list():
    for name in ("moon", "", None, 3, ["moons"]):
        with pytest.raises(ValueError, match=r"^There is no target .*: gaussian, .*square\.$"):
            target(name)


@given(name=st.sampled_from(NOISY), excess=st.floats(1e-6, 1e6), above=st.booleans())
@settings(max_examples=50, deadline=None)
def test_noise_outside_its_range(name, excess, above):
    low, high = target(name).noise_range
    with pytest.raises(
        ValueError, match=rf"^The noise of '{name}' must be a number from .* not\.$"
    ):
        target(name, high + excess if above else low - excess)


@pytest.mark.parametrize("noise", [math.nan, math.inf, "0.5", True, [0.5]])
def test_noise_that_is_no_number(noise):
    with pytest.raises(ValueError, match="^The noise of 'gaussian' must be a number from"):
        target("gaussian", noise)


def test_noise_where_it_has_no_meaning():
    with pytest.raises(ValueError, match=r"^The target 'funnel' has no noise level; .*\.$"):
        target("funnel", 0.1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.sample(0), "number of points must be an integer of at least 1"),
        (lambda t: t.sample(2.5), "number of points must be an integer of at least 1"),
        (lambda t: t.sample(True), "number of points must be an integer of at least 1"),
        (lambda t: t.sample(5, seed=-1), "seed must be an integer from 0"),
        (lambda t: t.sample(5, seed=2**32), "seed must be an integer from 0"),
        (lambda t: t.sample(5, seed=0.5), "seed must be an integer from 0"),
        (lambda t: t.log_prob(torch.zeros(5, 3)), r"points of shape \(n, 2\); got \(5, 3\)"),
        (lambda t: t.log_prob(torch.tensor(1.0)), r"points of shape \(n, 2\); got \(\)"),
        (lambda t: t.log_prob(torch.zeros(5, 2).long()), "needs a floating-point tensor"),
        (lambda t: t.log_prob(np.zeros((5, 2))), "needs a floating-point tensor"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call(target("moons"))
