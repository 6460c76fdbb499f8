"""Pictures: their size, what they contain, their colours, and that no input breaks them."""

import io
import subprocess
import sys
import tomllib
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
from figures_helpers import DATA, EPOCHS, GRID, LATENTS, LIMITS, RANDOM, SAMPLES, rivals
from matplotlib.figure import Figure
from PIL import Image

from flowlab.analysis.grid import grid_points, highest_density
from flowlab.figures import (
    ComparisonPicture,
    InsidePicture,
    LivePicture,
    TransportPicture,
    animation,
    change_of_variables,
    density_thumbnail,
    loss_curves,
    png,
    style,
    thumbnail,
)
from flowlab.figures.curves import last_epoch, loss_limits
from flowlab.figures.transport import between

BEST = 1.25
THEMES = sorted(style.THEMES)
TRAIN, TEST = 1.3 + np.exp(-EPOCHS), 1.4 + np.exp(-EPOCHS)


def live(theme="light", **options):
    """Return a live picture with one frame of made-up results."""
    options = {"true_density": GRID, "best": BEST} | options
    picture = LivePicture(LIMITS, DATA, theme=theme, **options)
    picture.update(SAMPLES, 0.5 * GRID, LATENTS, EPOCHS, TRAIN, TEST)
    return picture


def transport(theme="light", **options):
    """Return a picture of three layers that scale, shift and turn."""
    stages = [LATENTS, 2 * LATENTS, 2 * LATENTS + 1, (2 * LATENTS + 1)[:, ::-1]]
    corners = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1, 2]), axis=-1)
    grids = [corners, 2 * corners, 2 * corners + 1, (2 * corners + 1)[..., ::-1]]
    options = {"grids": grids, "names": ["scale", "shift", "turn"]} | options
    return TransportPicture(stages, theme=theme, **options)


#: A flow of one layer, as a picture of its inside takes it.
THROUGH = {"samples": np.stack([LATENTS, SAMPLES]), "log_dets": [0.5], "log_density": [-2, -2.5]}


def through(theme="light"):
    """Return the plane within a flow of one layer."""
    return InsidePicture(LIMITS, ["scale"], GRID.max(), theme=theme)


PLACES = np.linspace(-3, 3, 301)
NORMAL = np.exp(-(PLACES**2) / 2) / np.sqrt(2 * np.pi)


def decode(file):
    """Return the pixels of an image file as integers (rows, columns, 3)."""
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB")).astype(int)


def contrast(one, other):
    """Return the contrast of two colours by WCAG 2.2: 1 for none, 21 for black on white."""
    lights = []
    for colour in (one, other):
        parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        lights.append(linear @ [0.2126, 0.7152, 0.0722])
    return (max(lights) + 0.05) / (min(lights) + 0.05)


FIGURES = {
    "curves": (lambda theme: loss_curves(EPOCHS, TRAIN, TEST, BEST, theme=theme),
               style.CURVES_SIZE),
    "thumbnail": (lambda theme: thumbnail(DATA, LIMITS, theme=theme), style.THUMBNAIL_SIZE),
    "density thumbnail": (lambda theme: density_thumbnail(GRID, LIMITS, theme=theme),
                          style.THUMBNAIL_SIZE),
    "transport": (lambda theme: transport(theme).figure, style.TRANSPORT_SIZE),
    "change of variables": (
        lambda theme: change_of_variables(PLACES, NORMAL, 2 * PLACES, at=0.5, theme=theme),
        style.CHANGE_SIZE,
    ),
    "live": (lambda theme: live(theme).figure, style.LIVE_SIZE),
}


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", FIGURES)
def test_figure_has_its_size_and_its_ground(name, theme):
    make, size = FIGURES[name]
    figure = make(theme)
    assert isinstance(figure, Figure)
    pixels = decode(png(figure))
    assert pixels.shape == (size[1], size[0], 3)
    assert pixels.std() > 3
    ground = style.theme(theme).background
    assert pixels[-1, -1].tolist() == [int(ground[i : i + 2], 16) for i in (1, 3, 5)]


def test_pyplot_is_never_imported():
    code = "import sys, flowlab.figures; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_page_has_the_colours_of_the_figures():
    file = Path(__file__).parents[2] / ".streamlit" / "config.toml"
    config = tomllib.loads(file.read_text())
    for name, theme in style.THEMES.items():
        page = config["theme"][name]
        assert page["primaryColor"] == theme.primary
        assert page["backgroundColor"] == theme.background
        assert page["secondaryBackgroundColor"] == theme.surface
        assert page["textColor"] == theme.text
        assert page["borderColor"] == theme.line
        assert page["chartCategoricalColors"] == [theme.data, theme.model, theme.test]
        assert contrast(page["linkColor"], theme.background) >= 4.5
    assert config["server"]["address"] == "127.0.0.1"
    assert config["browser"]["gatherUsageStats"] is False
    assert config["client"]["showErrorDetails"] == "none"


@pytest.mark.parametrize("theme", style.THEMES.values(), ids=list(style.THEMES))
def test_colours_can_be_read_and_told_apart(theme):
    for ground in (theme.background, theme.surface):
        assert contrast(theme.text, ground) >= 7
        assert contrast(theme.muted, ground) >= 4.5
        for colour in (theme.data, theme.model, theme.training, theme.test, *theme.wheel):
            assert contrast(colour, ground) >= 2.0
    assert contrast(theme.primary, "#ffffff") >= 3.5
    # Without red and green (the common colour blindness) what is left is blue against yellow.
    left = [np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) for c in (theme.data, theme.model)]
    blueness = [part[2] - part[:2].mean() for part in left]
    assert blueness[0] - blueness[1] > 100


@pytest.mark.parametrize("theme", style.THEMES.values(), ids=list(style.THEMES))
def test_density_colours_start_at_the_ground_and_their_lightness_only_grows(theme):
    colours = theme.densities()(np.linspace(0, 1, 64))[:, :3]
    ground = [int(theme.surface[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    assert np.allclose(colours[0], ground, atol=1 / 255)
    lightness = colours @ [0.2126, 0.7152, 0.0722]
    steps = np.diff(lightness) * np.sign(lightness[-1] - lightness[0])
    assert abs(lightness[-1] - lightness[0]) > 0.8
    assert (steps > -0.003).all()


@pytest.mark.parametrize("theme", style.THEMES.values(), ids=list(style.THEMES))
def test_colours_of_rivals_can_be_told_apart_and_are_not_the_datas(theme):
    colours = [theme.data, theme.over, *theme.entries]
    values = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in colours])
    apart = np.linalg.norm(values[:, None] - values[None], axis=-1) + 999 * np.eye(len(colours))
    assert apart.min() > 50
    assert all(contrast(colour, theme.surface) >= 2.0 for colour in theme.entries)


@pytest.mark.parametrize(("data", "models"), [(1, 1), (1, 2), (1, 6), (4, 3), (8, 6)])
def test_rivals_have_room_whatever_their_number(data, models):
    picture = rivals(data=data, models=models)
    width, height = picture.figure.get_size_inches() * style.DPI
    assert width == 1600 and 300 < height < 1900
    boxes = [axes.get_window_extent() for axes in picture.figure.axes]
    assert len(boxes) == data * (1 + models + 2)
    for i, one in enumerate(boxes):
        assert one.x0 >= 0 and one.x1 <= width and one.y0 >= 0 and one.y1 <= height
        assert not any(one.overlaps(other) for other in boxes[:i])
    assert decode(picture.png()).shape == (height, width, 3)


def test_rivals_share_scales_and_axes():
    picture = rivals()
    for row in picture.cells:
        assert {image.get_clim() for image, _, _ in row} == {(0, GRID.max())}
    steps, seconds = zip(*picture.curves, strict=True)
    assert len({axes.get_ylim() for axes in (*steps, *seconds)}) == 1
    assert len({axes.get_xlim() for axes in steps}) == len({axes.get_xlim() for axes in seconds})
    assert steps[0].get_xlim()[1] >= 50 and seconds[0].get_xlim()[1] >= 2.5
    assert steps[0].get_yscale() == "log"
    assert steps[0].get_title() == "KL by steps (nats)"
    assert seconds[0].get_title() == "KL by seconds (nats)"


def test_rivals_show_densities_or_samples_and_files():
    picture = rivals()
    image, dots, caption = picture.cells[0][2]
    assert image.get_visible() and not dots.get_visible() and caption.get_text() == "KL 1"
    before = decode(picture.png())
    picture.set_view("samples")
    assert dots.get_visible() and not image.get_visible()
    assert (decode(picture.png()) != before).any()
    assert picture.file("svg").startswith(b"<?xml") and picture.file("pdf").startswith(b"%PDF")
    with pytest.raises(ValueError, match="density, samples"):
        picture.set_view("both")
    with pytest.raises(ValueError, match="from one to 6"):
        rivals(models=7)


def test_rivals_without_a_known_density_have_plain_axes():
    picture = ComparisonPicture(["Own"], [LIMITS], [None], [DATA], ["A"])
    picture.update(0, 0, samples=SAMPLES, curves=[[[1, 0.1, -2.2], [2, 0.2, -3.1]]])
    picture.fit_axes()
    axes = picture.curves[0][0]
    assert axes.get_yscale() == "linear" and axes.get_ylim() == (-3.5, -2.0)
    assert axes.get_title() == "NLL by steps (nats)" and picture.cells[0][0][1].get_visible()


def test_unknown_theme_is_refused():
    with pytest.raises(ValueError, match="'light' or 'dark'"):
        thumbnail(DATA, LIMITS, theme="pink")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_live_picture_colours_samples_and_latents_by_the_angle_of_their_latents(theme):
    picture = live(theme=theme)
    latents = 1.5 * np.array([[1, 0.1], [-0.1, 1], [-1, 0.1], [0.1, -1]])  # a quarter turn each
    clouds = picture.samples, picture.latents

    def drawn():
        image = np.asarray(Image.open(io.BytesIO(picture.png())).convert("RGB"), dtype=float) / 255
        for dots in clouds:
            x, y = dots.axes.transData.transform(latents).astype(int).T
            yield image[len(image) - 1 - y, x]

    picture.update(latents[::-1], None, latents, [], [], [], sample_latents=latents)
    samples, cloud = drawn()
    wheel = picture.theme.angle_colours()[[0, 3, 5, 9], :3]
    assert np.abs(cloud - wheel).max() < 0.2  # on the surface, and of the picture's palette
    assert np.abs(samples[::-1] - wheel).max() < 0.2
    assert np.abs(wheel[[0, 1, 2, 0, 1]] - wheel[[1, 2, 3, 2, 3]]).max(1).min() > 0.2
    picture.show_overlays(("data", "samples"))  # which are told apart
    picture.update(latents, None, latents, [], [], [], sample_latents=latents)
    samples, _ = drawn()
    assert np.abs(samples - samples[0]).max() < 0.2


def test_live_picture_shows_all_it_was_given():
    picture = live()
    inside = (np.abs(DATA) <= 3).all(1)
    assert np.allclose(np.column_stack(picture.data.get_data()), DATA[inside])
    inside = (np.abs(SAMPLES) <= 3).all(1)
    assert np.allclose(np.column_stack(picture.samples.get_data()), SAMPLES[inside])
    assert picture.data.get_color() != picture.samples.get_color()
    assert np.allclose(picture.true_density.get_array(), GRID)
    assert np.allclose(picture.density.get_array(), 0.5 * GRID)
    assert len(picture.latents.get_xdata()) == (np.abs(LATENTS) <= 4.1).all(1).sum()
    assert np.allclose(picture.curves.train.get_data(), (EPOCHS, TRAIN))
    assert np.allclose(picture.curves.test.get_data(), (EPOCHS, TEST))
    titles = {axes.get_title() for axes in picture.figure.axes}
    assert {"Data", "Samples from the model", "True density", "Learned density"} <= titles


@pytest.mark.parametrize("name", ["live", "curves"])
def test_best_possible_loss_is_a_labelled_line_at_its_value(name):
    figure = FIGURES[name][0]("light")
    axes = next(axes for axes in figure.axes if "Loss" in axes.get_title())
    (line,) = [line for line in axes.lines if line.get_label() == "best"]
    assert set(line.get_ydata()) == {BEST}
    low, high = axes.get_ylim()
    assert low < BEST < high
    assert "best possible 1.250" in {text.get_text() for text in axes.texts}


def test_both_densities_keep_one_colour_scale():
    picture = live()
    scale = picture.density.get_clim()
    assert scale == picture.true_density.get_clim() == (0, GRID.max())
    picture.update(SAMPLES, 100 * GRID, LATENTS, EPOCHS, TRAIN, TEST)
    assert picture.density.get_clim() == scale


@pytest.mark.parametrize("theme", THEMES)
def test_a_density_above_the_truths_highest_has_a_colour_of_its_own_and_the_bar_an_arrow(theme):
    over = [int(style.theme(theme).over[i : i + 2], 16) for i in (1, 3, 5)]
    pictures = {
        "live": live(theme),
        "rivals": rivals(theme, data=1, models=2),
        "through": through(theme),
    }
    for name, picture in pictures.items():
        seen = {}
        for factor in (1.0, 1.3):
            if name == "live":
                picture.update(SAMPLES, factor * GRID, LATENTS, EPOCHS, TRAIN, TEST)
            elif name == "rivals":
                picture.update(0, 0, density=factor * GRID)
            else:
                picture.move(1, density=factor * GRID, **THROUGH)
            seen[factor] = (decode(picture.png()) == over).all(axis=2).sum()
        assert seen[1.3] > seen[1.0] + 500, name  # of the arrow and its label there are some anyway
        words = {text.get_text()[2:] for text in picture.figure.texts}
        assert "denser than the truth anywhere" in words, name
    bar = pictures["live"].bars["density"][0]
    assert [patch.get_facecolor()[:3] for patch in bar.patches] == [
        tuple(value / 255 for value in over)]


@pytest.mark.parametrize("theme", THEMES)
def test_small_errors_of_a_density_are_seen(theme):
    """Of some per cent of the highest density, as at a KL of 0.01."""
    picture = live(theme)
    picture.show_overlays(("error", "samples"))
    picture.update(SAMPLES, GRID, LATENTS, EPOCHS, TRAIN, TEST)
    none = decode(picture.png())
    picture.update(SAMPLES, GRID + 0.03 * GRID.max(), LATENTS, EPOCHS, TRAIN, TEST)
    box = picture.density.axes.get_window_extent()
    middle = int(style.LIVE_SIZE[1] - (box.y0 + box.y1) / 2), int((box.x0 + box.x1) / 2)
    assert np.abs(decode(picture.png())[middle] - none[middle]).sum() > 30
    image = picture.field.artists["error"]
    assert image.norm(0.01 * GRID.max()) == pytest.approx(0.55)
    assert image.norm(-0.25 * GRID.max()) == pytest.approx(0.25)


def test_few_points_are_those_trained_on_and_rings_are_the_test_set():
    picture = live(test=DATA[:50] / 2)
    assert len(picture.test.get_xdata()) == 50 and picture.test.get_markerfacecolor() == "none"
    assert len(picture.data.get_xdata()) == len(picture.points.artists["data"].get_xdata())
    title = picture.data.axes.get_title()
    assert "● training" in title and "○ test" in title
    picture.show_data(DATA)
    assert len(picture.test.get_xdata()) == 0 and picture.data.axes.get_title() == "Data"


def test_latent_circles_follow_the_base_distribution():
    (narrow, wide) = (live(sigma=sigma).latents.axes for sigma in (1.0, 2.0))
    assert [patch.radius for patch in narrow.patches] == [1, 2, 3]
    assert [patch.radius for patch in wide.patches] == [2, 4, 6]
    box = narrow.get_window_extent()
    across, down = np.diff(narrow.get_xlim()), np.diff(narrow.get_ylim())
    assert across / down == pytest.approx(box.width / box.height)


def test_frame_equals_the_whole_figure():
    picture = live()
    frame, whole = decode(picture.png()), decode(png(picture.figure))
    assert frame.shape == whole.shape
    assert np.abs(frame - whole).mean() < 1.0


def test_frames_differ_only_where_something_moved():
    picture = live()
    first = decode(picture.png())
    picture.update(SAMPLES + 0.3, 0.5 * GRID, LATENTS, EPOCHS, TRAIN, TEST)
    second = decode(picture.png())
    rows, columns = np.nonzero(np.abs(first - second).sum(2))
    box = picture.samples.axes.get_window_extent()
    assert len(rows) > 100
    assert columns.min() >= box.x0 - 1 and columns.max() <= box.x1 + 1
    height = style.LIVE_SIZE[1]
    assert rows.min() >= height - box.y1 - 1 and rows.max() <= height - box.y0 + 1
    picture.update(SAMPLES, 0.5 * GRID, LATENTS, EPOCHS, TRAIN, TEST)
    assert np.array_equal(decode(picture.png()), first)


def test_axes_of_a_loss_whose_length_nobody_knows_grow_and_are_redrawn():
    picture = live()
    before = decode(picture.png())
    epochs = np.arange(30)
    losses = 2 - epochs / 60
    picture.update(SAMPLES, 0.5 * GRID, LATENTS, epochs, losses, losses)
    assert picture.curves.axes.get_xlim() == (0, 50)
    fresh = live()
    fresh.update(SAMPLES, 0.5 * GRID, LATENTS, epochs, losses, losses)
    assert np.array_equal(decode(picture.png()), decode(fresh.png()))
    assert not np.array_equal(decode(picture.png()), before)


def test_loss_axis_only_grows_and_rarely():
    losses = 0.5 + 3 * np.exp(-np.arange(300) / 40) + 0.05 * RANDOM.normal(size=300)
    ends = [loss_limits(losses[:count], losses[:count], 0.4) for count in range(1, 301)]
    assert (np.diff([low for low, _ in ends]) <= 0).all()
    assert (np.diff([high for _, high in ends]) >= 0).all()
    assert len(set(ends)) <= 8
    assert ends[-1][0] < losses.min() and losses.max() < ends[-1][1]


@pytest.mark.parametrize("best", [0.4, -3.0])
def test_axes_of_the_loss_stand_still_from_the_untrained_flow_on(best):
    picture = live(best=best)
    picture.curves.plan(37)
    losses = best + 2.5 * np.exp(-np.arange(38) / 9)
    losses[20] += 40.0
    seen = set()
    for count in range(1, 39):
        picture.update(SAMPLES, GRID, LATENTS, np.arange(count), losses[:count], losses[:count])
        axes = picture.curves.axes
        seen.add((*axes.get_xlim(), *axes.get_ylim()))
    assert len(seen) == 1
    left, right, low, high = seen.pop()
    assert (left, right) == (0, 37) and low < best and best + 2.5 < high < best + 4


@pytest.mark.parametrize(("train", "test", "said"), [
    ([3, 2, 1.5], [3, 9, 24.81], ["", "test 24.8 ↑"]),
    ([3, 2, -7.25], [3, 2, 2], ["training −7.25 ↓", ""]),
    ([3, 50, 2], [3, 60, 2], ["training 50 ↑", "test 60 ↑"]),
    ([3, 2, 1.5], [3, 2, np.inf], ["", ""]),
])
def test_a_curve_that_leaves_its_axis_says_its_value_at_the_edge(train, test, said):
    picture = live()
    picture.curves.plan(10)
    picture.update(SAMPLES, GRID, LATENTS, range(3), train, test)
    edges = picture.curves.edges
    assert [edge.get_text() for edge in edges] == said
    assert picture.png()
    for edge in filter(lambda edge: edge.get_text(), edges):
        box, inside = edge.get_window_extent(), picture.curves.axes.get_window_extent()
        assert inside.contains(box.x0, box.y0) and inside.contains(box.x1, box.y1)
        words = [text for text in picture.curves.captions if text.get_text()]
        assert not any(box.overlaps(text.get_window_extent()) for text in words)


def test_one_spike_does_not_flatten_the_loss():
    low, high = loss_limits([3.0, 2.0, 1e6, 1.5], [3.1, 2.1, np.nan, 1.6], 1.0)
    assert low < 1.0
    assert 3.1 < high < 10


@pytest.mark.parametrize(("last", "end"), [(0, 5), (5, 5), (6, 10), (11, 20), (21, 50), (999, 1e3)])
def test_epoch_axis_ends_at_round_numbers(last, end):
    assert last_epoch(np.arange(last + 1.0)) == end


def test_without_true_density_a_panel_shows_samples_over_data_which_give_the_scale():
    picture = live(true_density=None)
    over = picture.over.artists
    for name, shown in (("data", picture.data), ("samples", picture.samples)):
        assert np.array_equal(over[name].get_data(), shown.get_data())
    assert over["data"].get_zorder() <= over["samples"].get_zorder()
    assert [word.get_text() for word in picture.over.legend] == ["● data", "● samples"]
    picture.update(SAMPLES[:9], GRID, LATENTS, EPOCHS, TRAIN, TEST)
    assert np.array_equal(over["samples"].get_data(), picture.samples.get_data())
    picture.show_data(DATA[:5])
    assert np.array_equal(over["data"].get_data(), picture.data.get_data())
    points = RANDOM.normal(size=(20000, 2))
    assert highest_density(None, points, LIMITS) == pytest.approx(1 / (2 * np.pi), rel=0.25)
    assert LivePicture(LIMITS, DATA, highest=7.0).density.get_clim() == (0, 7)


def test_grid_points_are_cell_centres_in_the_order_of_images():
    points = grid_points((0, 2, 10, 14), 2)
    assert points.tolist() == [[0.5, 11], [1.5, 11], [0.5, 13], [1.5, 13]]


HOSTILE = {
    "empty": np.empty((0, 2)),
    "one point": np.zeros((1, 2)),
    "not a number": np.full((3, 2), np.nan),
    "infinite": np.array([[np.inf, 0], [0, -np.inf], [1, 1]]),
    "far away": np.full((3, 2), 1e300),
}


@pytest.mark.parametrize(("points", "theme"), [*zip(HOSTILE.values(), cycle(THEMES))], ids=HOSTILE)
def test_strange_points_do_not_break_a_picture(points, theme):
    picture = LivePicture(LIMITS, points, theme=theme)
    picture.update(points, GRID, points, [], [], [])
    assert decode(picture.png()).shape[:2] == style.LIVE_SIZE[::-1]
    assert decode(png(thumbnail(points, LIMITS, theme=theme))).shape == (240, 240, 3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, 1e300])
def test_strange_densities_and_losses_do_not_break_a_picture(value):
    grid = np.full((4, 4), value)
    grid[0, 0] = 1.0
    picture = LivePicture(LIMITS, DATA, grid, best=value)
    losses = [value, 2.0, value]
    picture.update(DATA, grid, DATA, [0, 1, 2], losses, losses)
    assert decode(picture.png()).shape[:2] == style.LIVE_SIZE[::-1]
    assert png(density_thumbnail(grid, LIMITS))
    assert png(loss_curves([0, 1, 2], losses, losses, value))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: thumbnail(np.zeros((5, 3)), LIMITS), r"shape \(n, 2\); got \(5, 3\)"),
        (lambda: thumbnail(DATA, (1, 0, 0, 1)), "xmin < xmax"),
        (lambda: thumbnail(DATA, (0, np.inf, 0, 1)), "four finite numbers"),
        (lambda: density_thumbnail(np.zeros(4), LIMITS), r"\(rows, columns\); got \(4,\)"),
        (lambda: loss_curves([0, 1], [1], [1]), "same length"),
        (lambda: TransportPicture([DATA]), "at least two arrays"),
        (lambda: TransportPicture([DATA, DATA[:3]]), "of one shape"),
        (lambda: transport(names=["one"]), "3 names and 4 grids; got 1 names"),
        (lambda: change_of_variables(PLACES, NORMAL, -PLACES), "strictly increasing"),
        (lambda: change_of_variables(PLACES, NORMAL[1:], PLACES), r"one shape \(n,\)"),
        (lambda: change_of_variables(PLACES, -NORMAL, PLACES), "nowhere negative"),
        (lambda: change_of_variables(PLACES, NORMAL, PLACES, 0 * PLACES), "positive numbers"),
        (lambda: animation([]), "at least one frame"),
        (lambda: animation([png(thumbnail(DATA, LIMITS))], kind="avi"), "'gif' or 'webp'"),
        (lambda: animation([png(thumbnail(DATA, LIMITS))], fps=0), "more than 0 frames"),
    ],
)
def test_wrong_input_is_refused_in_one_sentence(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


def test_transport_shows_the_points_and_the_grid_at_each_layer():
    picture = transport()
    assert np.allclose(picture.points.get_offsets(), LATENTS)
    picture.move(1)
    assert np.allclose(picture.points.get_offsets(), 2 * LATENTS)
    assert picture.title.get_text() == "Layer 1 of 3: scale"
    picture.move(1.5)
    assert np.allclose(picture.points.get_offsets(), 2 * LATENTS + 0.5)
    segments = picture.lines.get_segments()
    assert len(segments) == 4 + 3
    assert np.allclose(segments[0], [[-1.5, -1.5], [0.5, -1.5], [2.5, -1.5]])
    picture.move(99)
    assert np.allclose(picture.points.get_offsets(), (2 * LATENTS + 1)[:, ::-1])
    assert picture.title.get_text() == "Layer 3 of 3: turn"


def test_transport_of_the_inverse_is_turned_round():
    forward, inverse = transport(), transport(inverse=True)
    for passed in (0, 0.5, 2, 3):
        forward.move(passed)
        inverse.move(3 - passed)
        for there, back in ((forward.points.get_offsets(), inverse.points.get_offsets()),
                            (forward.knob.get_xdata(), inverse.knob.get_xdata())):
            assert np.allclose(there, back)
    assert inverse.title.get_text() == "Before a layer is undone"
    inverse.move(1)
    assert inverse.title.get_text() == "Layer 3 of 3 undone: turn"
    inverse.move(2.5)
    assert inverse.title.get_text() == "Layer 1 of 3 undone: scale"
    for picture, arrows in ((forward, ["→", "→"]), (inverse, ["←", "←"])):
        assert [text.get_text() for text in picture.figure.texts][:2] == arrows


def test_transport_keeps_its_window_and_the_colour_of_each_point():
    picture = transport()
    axes, colours = picture.points.axes, picture.points.get_facecolors().copy()
    before = axes.get_xlim(), axes.get_ylim()
    first = decode(picture.png())
    picture.move(2.5)
    assert (axes.get_xlim(), axes.get_ylim()) == before
    assert np.array_equal(picture.points.get_facecolors(), colours)
    angles = np.arctan2(*LATENTS.T[::-1])
    assert np.allclose(colours[:, :3], picture.theme.angles()(angles / (2 * np.pi) % 1)[:, :3])
    second = decode(picture.png())
    side = np.abs(first - second)[60:530]
    assert side[:, :540].sum() == side[:, 1080:].sum() == 0
    assert side[:, 560:1040].sum() > 0


def test_transport_survives_what_is_not_finite():
    stages = np.stack([LATENTS] * 3)
    stages[1, :5], stages[2, 5], stages[1, 6] = np.nan, np.inf, 1e300
    picture = TransportPicture(stages, theme="dark")
    for position in (0, 0.5, 1.5, 2):
        picture.move(position)
        assert decode(picture.png()).shape[:2] == style.TRANSPORT_SIZE[::-1]
    assert TransportPicture(np.full((2, 1, 2), np.nan)).png()


def test_between_two_stages_is_a_straight_line():
    stages = np.array([[0.0], [1.0], [5.0]])
    assert [between(stages, t)[0] for t in (0, 0.25, 1, 1.5, 2)] == [0, 0.25, 1, 3, 5]


def test_change_of_variables_divides_the_density_by_the_slope():
    picture = change_of_variables(PLACES, NORMAL, PLACES + 0.3 * PLACES**3, at=1.0)
    axes, below, side = picture.axes
    carried, x = side.lines[0].get_data()
    assert np.trapezoid(carried, x) == pytest.approx(np.trapezoid(NORMAL, PLACES), rel=1e-3)
    expected = NORMAL[200] / (1 + 0.9)
    assert np.interp(1.3, x, carried) == pytest.approx(expected, rel=1e-2)
    assert side.lines[1].get_xdata()[1] == pytest.approx(expected, rel=1e-2)
    assert below.get_ylim() == side.get_xlim()[::-1]
    words = " ".join(text.get_text() for text in picture.texts)
    assert "stretches" in words and "x = 1.30" in words


def test_strips_under_both_densities_have_equal_area():
    picture = change_of_variables(PLACES, NORMAL, 2 * PLACES, strips=5)
    _, below, side = picture.axes
    for axes, across in ((below, 0), (side, 1)):
        areas = []
        for strip in axes.collections:
            corners = strip.get_paths()[0].vertices
            x, y = corners[:, across], corners[:, 1 - across]
            areas.append(abs(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2)
        assert np.allclose(areas, NORMAL.sum() * 0.02 / 5, rtol=0.02)
        assert len(areas) == 5


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_animation_has_all_frames_at_their_size(kind):
    figures = [thumbnail(DATA + step, LIMITS) for step in (0, 0.5, 1)]
    file = animation([figures[0], png(figures[1]), figures[2]], fps=10, kind=kind)
    with Image.open(io.BytesIO(file)) as image:
        assert image.format.lower() == kind
        assert image.n_frames == 3
        assert image.size == style.THUMBNAIL_SIZE
        assert image.info["loop"] == 0
        for index, figure in enumerate(figures):
            image.seek(index)
            shown = np.asarray(image.convert("RGB")).astype(int)
            assert np.abs(shown - decode(png(figure))).mean() < 3


def test_frames_of_different_sizes_are_refused():
    frames = [thumbnail(DATA, LIMITS), loss_curves([], [], [])]
    with pytest.raises(ValueError, match="same size"):
        animation(frames)
