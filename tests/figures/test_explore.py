"""What is shown of a flow's inside, against the flow itself and against autograd."""

import numpy as np
import pytest
import torch
from helpers import FLOWS, having, make_flow, moment, shake

from flowlab.analysis import plane as explore
from flowlab.analysis.grid import grid_points
from flowlab.figures import OVERLAYS, InsidePicture, LivePicture
from flowlab.figures.overlays import LEVELS, contour_lines
from flowlab.figures.transport import between
from flowlab.live import Frame, InMemory
from flowlab.live.thinning import MIN_FRAMES, history, nearest, thinned
from flowlab.training import Epoch

BOX = (-30.0, 30.0, -30.0, 30.0)  # holds all but a trace of every flow's density


@pytest.fixture(params=FLOWS)
def flow(request):
    torch.manual_seed(3)
    size = having(FLOWS[request.param][0], couplings=3, steps=3)
    return shake(make_flow(request.param, **size).double(), 0.1).eval()


def points(n=40):
    return torch.randn(n, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_log_dets_of_the_layers_add_up_to_the_flows(flow):
    x = points()
    stages, log_dets = explore.pull(flow, x)
    z, log_det = flow.inverse(x)
    assert np.allclose(log_dets.sum(0), -log_det.detach(), rtol=0, atol=1e-10)
    assert np.allclose(stages[0], z.detach(), rtol=0, atol=1e-10) and np.array_equal(stages[-1], x)
    assert np.allclose(explore.paths(flow, z.detach()), stages, rtol=0, atol=1e-8)
    for k in range(len(flow.layers) + 1):
        assert np.allclose(explore.lift(flow, torch.tensor(stages[k]), k), x, rtol=0, atol=1e-8)


@pytest.mark.quick("nice-normal", "realnvp-batchnorm", "glow-none", "spline-fixed")
def test_density_of_every_stage_integrates_to_one_and_ends_as_the_flows(flow):
    n = 300
    grid = torch.tensor(grid_points(BOX, n))
    cell = (60 / n) ** 2
    for k in range(len(flow.layers) + 1):
        total = explore.density_at(flow, grid, k).sum() * cell
        assert total == pytest.approx(1, abs=0.01), k
    x = points()
    assert torch.allclose(explore.density_at(flow, x, len(flow.layers)),
                          flow.log_prob(x).exp(), rtol=1e-10, atol=0)


def test_probe_against_the_flow_and_autograd(flow):
    x = points(5)
    for point in x:
        seen = explore.probe(flow, tuple(point.tolist()))
        z, _ = flow.inverse(point[None])
        jacobian = torch.autograd.functional.jacobian(
            lambda v: flow.forward(v[None])[0][0], z[0].detach())
        assert np.allclose(seen.jacobians[-1], jacobian, rtol=1e-8, atol=1e-10)
        assert np.allclose(np.linalg.slogdet(seen.jacobians[1:])[1], seen.log_dets.cumsum(),
                           rtol=0, atol=1e-9)
        assert seen.log_prob == pytest.approx(flow.log_prob(point[None]).item(), abs=1e-10)
        assert seen.log_prob == pytest.approx(seen.log_base - seen.log_det, abs=1e-12)
        assert np.allclose(seen.path[-1], point) and np.allclose(seen.path[0], z.detach()[0])


def test_ellipse_is_what_a_small_circle_becomes():
    flow = shake(make_flow("realnvp", activation="tanh").double(), 0.2)
    seen = explore.probe(flow, (0.3, -0.2))
    radius = 1e-4
    latent = explore.ellipse(seen.path[0], seen.jacobians[0], radius)
    assert np.allclose(np.linalg.norm(latent - seen.path[0], axis=1), radius)
    carried = flow.forward(torch.tensor(latent))[0].detach().numpy()
    drawn = explore.ellipse(seen.path[-1], seen.jacobians[-1], radius)
    assert np.abs(carried - drawn).max() < 1e-2 * np.abs(drawn - seen.path[-1]).max()


@pytest.mark.parametrize("point", [(np.nan, 0.0), (np.inf, 1.0), (1.0, 2.0, 3.0), (1e25, 1e25),
                                   (1e38, 1e38)])
def test_a_point_that_cannot_be_probed_gets_one_sentence(point):
    flow = shake(make_flow("realnvp"), 0.3)
    with pytest.raises(ValueError, match="point") as error:
        explore.probe(flow, point)
    assert "\n" not in str(error.value)


def test_a_stage_outside_is_refused():
    flow = make_flow("nice")
    for stage in (-1, len(flow.layers) + 1):
        with pytest.raises(ValueError, match="stage"):
            explore.density_at(flow, torch.zeros(1, 2), stage)


def test_latent_grid_starts_square_and_ends_where_the_flow_puts_it():
    flow = shake(make_flow("glow").double())
    grids = explore.latent_grid(flow)
    assert grids.shape == (len(flow.layers) + 1, explore.LINES, explore.LINES, 2)
    assert grids[0, 0, 0].tolist() == [-3, -3] and grids[0, -1, -1].tolist() == [3, 3]
    x, _ = flow.forward(torch.tensor(grids[0].reshape(-1, 2)))
    assert np.allclose(grids[-1].reshape(-1, 2), x.detach(), rtol=1e-10)


def shown(picture, plane):
    return {name for name, artist in plane.artists.items() if artist.get_visible()}


def test_layers_of_the_live_picture_are_shown_and_hidden():
    picture = LivePicture((-2, 2, -2, 2), points().numpy(), np.ones((8, 8)))
    empty = ([], np.full((8, 8), 0.5), [], [], [], [])
    assert shown(picture, picture.points) == {"samples"}
    assert shown(picture, picture.field) == {"density"}
    picture.update(*empty)
    before = picture.png()
    picture.show_overlays(OVERLAYS)
    picture.update(*empty, grid=np.zeros((3, 3, 2)), paths=np.zeros((4, 5, 2)))
    assert shown(picture, picture.points) == {"data", "samples", "contours", "grid", "paths"}
    assert shown(picture, picture.field) == {"error", "contours"}  # it takes the density's place
    assert len(picture.points.artists["grid"].get_segments()) == 6
    assert len(picture.points.artists["paths"].get_segments()) == 5
    assert np.allclose(picture.field.artists["error"].get_array(), -0.5)
    assert picture.png() != before
    picture.show_overlays(("samples", "density"))
    assert picture.png() == before
    with pytest.raises(ValueError, match="no overlay 'wings'"):
        picture.show_overlays(("wings",))


def test_contours_follow_fixed_levels_of_the_density():
    limits = (-2.0, 2.0, -2.0, 2.0)
    x = grid_points(limits, 200)
    density = np.exp(-(x**2).sum(1)).reshape(200, 200)
    lines = contour_lines(density, limits, 1.0)
    assert len(lines) == LEVELS
    for k, line in enumerate(lines, 1):
        radius = np.sqrt(-np.log((k / (LEVELS + 1)) ** 2))
        assert np.allclose(np.linalg.norm(line, axis=1), radius, atol=1e-3)
    assert len(contour_lines(0.5 * density, limits, 1.0)) < LEVELS


def test_passage_tells_the_log_density_of_every_stage(flow):
    z, x = points(), points(30)
    way = explore.passage(flow, z, x)
    assert way.samples.shape[1:] == (40, 2) and way.data.shape[1:] == (30, 2)
    for k in range(len(flow.layers) + 1):
        expected = explore.density_at(flow, torch.tensor(way.samples[k]), k).log().mean().item()
        assert way.log_density[k] == pytest.approx(expected, abs=1e-8)
    assert np.allclose(np.diff(way.log_density), -way.log_dets)


def through(overlays=("samples", "density"), **more):
    picture = InsidePicture((-3, 3, -3, 3), ["scale", "shift"], 0.2)
    picture.show_overlays(overlays)
    z = points().numpy()
    stages = np.stack([z, 2 * z, 2 * z + 1])
    content = {"samples": stages, "log_dets": [0.7, 0.0], "log_density": [-1.8, -2.5, -2.5]}
    return picture, {**content, **more}


def test_through_picture_moves_on_straight_lines_between_stages():
    picture, content = through(("samples", "paths", "grid"), grid=np.ones((3, 4, 4, 2)))
    picture.move(0.5, **content)
    shown = picture.plane.artists["samples"].get_xydata()
    middle = 1.5 * content["samples"][0]
    assert np.allclose(shown, middle[(np.abs(middle) <= 3).all(1)])
    assert len(picture.plane.artists["paths"].get_segments()) == 24 < len(middle)
    assert len(picture.plane.artists["grid"].get_segments()) == 8
    assert picture.title.get_text() == "In layer 1 of 2: scale"
    for place, words in ((-1, "Latent space"), (1, "After layer 1"), (9, "Data space")):
        picture.move(place, **content)
        assert picture.title.get_text().startswith(words)


def test_through_picture_shows_the_point_only_where_there_is_one():
    path = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
    picture, content = through()
    picture.move(2, **content)
    before = picture.png()
    picture.move(1.5, probe=path, outline=path, probe_log_dets=[0.1, 0.2],
                 probe_log_density=[-1, -1.1, -1.3], **content)
    assert np.allclose(picture.point.get_data(), 1.5)
    assert picture.path.get_xdata().tolist() == [0, 1, 1.5]
    assert "0.30" in picture.volume.captions[1].get_text()
    assert "1.30" in picture.density.captions[1].get_text()
    picture.move(2, **content)
    assert picture.png() == before


def test_through_picture_names_the_way_and_the_ellipse():
    path = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
    picture, content = through()
    picture.move(2, probe=path, outline=path, **content)
    way, ellipse = picture.labels
    assert way.get_text().startswith("path") and way.get_position() == (0, 0)
    assert "Jacobian" in ellipse.get_text() and ellipse.get_position() == (2, 2)
    picture.move(0, **content)
    assert not way.get_text() and not ellipse.get_text()


def test_through_picture_keeps_the_colour_of_every_sample():
    picture, content = through()
    content["samples"] = 0.4 * content["samples"]  # all of them in the window
    dots = picture.plane.artists["samples"]
    picture.move(0, **content)
    first = dots.bands
    assert len(first) == len(content["samples"][0]) and len(np.unique(first)) > 10
    stages = content["samples"][[0, 0, 0]] * np.array([1, -1, 0.5])[:, None, None]
    for place in (0, 1, 1.5, 2):
        picture.move(place, **content | {"samples": stages})
        assert np.array_equal(dots.bands, first)


def test_a_point_that_walks_back_adds_up_to_its_log_density(flow):
    x = points(1)
    seen = explore.probe(flow, tuple(x[0].tolist()))
    assert seen.added[-1] == pytest.approx(flow.log_prob(x).item(), rel=0, abs=1e-9)
    total = 0.0
    for k, (_, _, log_det) in enumerate(flow.steps(x, inverse=True)):  # of the inverse: added
        assert seen.added[k] == pytest.approx(total, rel=0, abs=1e-9)
        total += log_det.item()
    assert len(seen.added) == len(flow.layers) + 2
    picture = InsidePicture((-3, 3, -3, 3), [""] * len(flow.layers), 0.2, back=True)
    content = {"samples": np.zeros((len(flow.layers) + 1, 1, 2)), "log_density": [0.0],
               "log_dets": np.zeros(len(flow.layers)), "probe": seen.path,
               "probe_added": seen.added}
    for undone in (0, 0.5, 1, len(flow.layers)):
        picture.move(len(flow.layers) - undone, **content)
        bars = [bar[:, 1] for bar in picture.density.bars.get_segments()]
        heights = np.interp([undone], range(len(seen.added)), seen.added)
        if undone == len(flow.layers):  # and the base distribution
            heights = seen.added[-1:]
            assert f"{heights[0]:+.2f}".replace("-", "−") in (
                picture.density.captions[1].get_text())
        assert sum(np.ptp(bar) * np.sign(bar[1] - bar[0]) for bar in bars) == pytest.approx(
            heights[0], abs=1e-9)
        assert np.allclose(picture.path.get_xydata()[0], x[0])  # from the data


def test_through_picture_follows_the_cloud_and_loses_no_point():
    picture, content = through()
    stages = content["samples"] * np.array([1, 5, 0.01])[:, None, None]
    windows = explore.windows(stages)
    for place in np.linspace(0, 2, 17):
        picture.move(place, **content | {"samples": stages}, windows=windows)
        axes = picture.plane.axes
        assert len(picture.plane.artists["samples"].get_xdata()) == len(stages[0])
        across, up = np.ptp(axes.get_xlim()), np.ptp(axes.get_ylim())
        shown = np.ptp(between(stages, place), axis=0).max()
        assert across == pytest.approx(up) and shown < across < 2 * shown
    assert picture.plane.image("density").get_extent() == pytest.approx(windows[-1])


def test_a_window_leaves_out_only_what_would_make_the_others_a_dot():
    cloud = np.random.default_rng(0).normal(size=(1, 1000, 2))
    wide = explore.windows(np.concatenate([cloud, [[[1e6, 0.0], [np.nan, 0.0]]]], axis=1))
    assert np.abs(cloud).max() < np.abs(wide).max() < 10
    assert np.isfinite(explore.windows(np.full((2, 3, 2), np.nan))).all()


@pytest.mark.parametrize(("overlays", "bars"), [
    (("samples",), set()), (("samples", "density"), {"density"}),
    (("density", "error"), {"error"})])
def test_through_picture_has_a_colour_bar_only_for_what_is_coloured(overlays, bars):
    picture, _ = through(overlays)
    assert {name for name, parts in picture.bars.items() if parts[0].get_visible()} == bars
    assert picture.over.get_visible() == bool(bars)


def test_through_picture_finds_the_point_of_a_click():
    limits = (-2.0, 2.0, -1.0, 3.0)
    left, top, width, height = 52, 84, 836, 836
    for u, v, expected in ((0.25, 0.5, (-1, 1)), (0.75, 0.75, (1, 0)), (0.5, 0.25, (0, 2))):
        place = ((left + u * width) / 1600, (top + v * height) / 960)
        assert InsidePicture.coordinates(*place, limits) == pytest.approx(expected)
    assert InsidePicture.coordinates(0.9, 0.5, limits) is None


def frames(n, size=10):
    return [Frame(moment(5 * i), (Epoch(i, 5 * i, None, i + 0.1, i + 0.2, None),),
                  InMemory(b"x" * size))
            for i in range(n)]


def test_frames_are_thinned_to_a_bound_and_no_epoch_is_lost():
    kept = []
    for frame in frames(1000):
        kept = thinned([*kept, frame], most=40)
        assert len(kept) <= 40
    assert kept[0].moment.step == 0 and kept[-1].moment.step == 4995
    assert len(kept) == 40 and [row[0] for row in history(kept)] == list(range(1000))
    gaps = np.diff([frame.moment.step for frame in kept])
    assert gaps.max() <= 5 * 4 * 1000 / 40  # spread over the whole
    early, late = gaps[:10].mean(), gaps[-10:].mean()
    assert early < late / 3  # the first epochs can be scrubbed
    assert thinned(frames(12), most=40) == frames(12)


def test_large_frames_are_thinned_by_their_size_but_some_stay():
    assert len(thinned(frames(100, size=1000), max_bytes=20_000)) <= 20
    assert len(thinned(frames(100, size=1000), max_bytes=1)) == MIN_FRAMES
    assert nearest(frames(10), 23) == 5
