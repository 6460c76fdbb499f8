"""Files to take away show the picture of the screen, by the pixels that a browser draws."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from figures_helpers import rivals
from helpers import small
from PIL import Image

from flowlab.data import store
from flowlab.figures import DEFAULT_OVERLAYS, OVERLAYS
from flowlab.figures.comparison import VIEWS
from flowlab.live.cameras import camera
from flowlab.live.drawing import flow_of
from flowlab.training import Epoch
from models import RECIPES

pytestmark = pytest.mark.browser

BLOCK = 10  # pixels: letters and edges are drawn a little otherwise, areas are not
#: Every overlay, with those that take each other's place.
SETS = (DEFAULT_OVERLAYS, ("error", "contours", "data"), ("density", "grid", "paths"))


def blocks(image: Image.Image) -> np.ndarray:
    """The mean colour of every block of pixels."""
    pixels = np.asarray(image.convert("RGB"), dtype=float)
    rows, columns = (side // BLOCK for side in pixels.shape[:2])
    cut = pixels[:rows * BLOCK, :columns * BLOCK]
    return cut.reshape(rows, BLOCK, columns, BLOCK, 3).mean(axis=(1, 3))


def same(one: Image.Image, other: Image.Image) -> None:
    """Fail where two pictures differ in more than how letters and edges are smoothed."""
    apart = np.abs(blocks(one) - blocks(other)).max(axis=2)
    assert apart.mean() < 3 and np.quantile(apart, 0.99) < 20


def opened(file: bytes) -> Image.Image:
    return Image.open(io.BytesIO(file))


def rendered(page, svg: bytes, size: tuple[int, int]) -> Image.Image:
    """An SVG as the browser draws it at this size."""
    width, height = size
    page.set_viewport_size({"width": width, "height": height})
    page.set_content("<style>body { margin: 0 }</style>"
                     f'<img style="width: {width}px; height: {height}px; display: block" '
                     f'src="data:image/svg+xml;base64,{base64.b64encode(svg).decode()}">')
    page.wait_for_function("document.querySelector('img').complete")
    return opened(page.screenshot())


def printed(page, pdf: bytes, like: Image.Image, folder: Path) -> Image.Image:
    """A PDF as the browser's viewer draws it, cut out of the viewer and as large as `like`."""
    (folder / "picture.pdf").write_bytes(pdf)
    page.set_viewport_size({"width": 1700, "height": 1100})
    page.goto(f"{(folder / 'picture.pdf').as_uri()}#toolbar=0&navpanes=0&view=Fit")
    ground = np.array(like.convert("RGB").getpixel((0, 0)))
    for _ in range(100):  # the viewer does not say when it has drawn
        page.wait_for_timeout(200)
        shown = opened(page.screenshot()).convert("RGB")
        rows, columns = np.nonzero((np.asarray(shown) == ground).all(axis=2))
        if len(rows) > 100_000:
            box = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            return shown.crop(box).resize(like.size, Image.Resampling.LANCZOS)
    raise AssertionError("The PDF is not shown.")


def taken(name: str, theme: str, overlays: tuple[str, ...], **flat):
    """A picture of a fresh flow, as PNG, and what it is drawn on."""
    recipe = RECIPES[name]
    settings = recipe.Run.from_flat(flat)
    taking = camera(settings, theme, overlays)
    png = taking.take(flow_of(recipe.model, settings, None, taking), [
        Epoch(1, 10, 1.0, 3.0, 3.1, None), Epoch(2, 20, 2.0, 2.0, 2.2, None)])
    return png, taking.picture


@pytest.mark.quick(*(f"realnvp-{'+'.join(overlays)}" for overlays in SETS))
@pytest.mark.parametrize("overlays", SETS, ids="+".join)
@pytest.mark.parametrize("name", RECIPES)
def test_an_svg_shows_the_picture_of_the_plane(page, name, overlays):
    assert set().union(*SETS) == set(OVERLAYS)
    png, picture = taken(name, "dark" if name == "glow" else "light", overlays, **small(name))
    same(rendered(page, picture.file("svg"), (1600, 960)), opened(png))


@pytest.mark.parametrize("data", ["digits", "table"])
def test_an_svg_shows_the_picture_of_images_and_of_a_table(page, data):
    if data == "table":
        data = store.keep(np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32))
    flat = {"data": data, "steps": 1, "hidden_channels": 8, "hidden": (8,)}
    png, picture = taken("glow", "light", DEFAULT_OVERLAYS, **flat)
    same(rendered(page, picture.file("svg"), (1600, 960)), opened(png))


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.thorough
def test_files_of_a_comparison_show_its_picture(page, tmp_path, view):
    picture = rivals("dark" if view == "samples" else "light", data=1)
    picture.set_view(view)
    png = opened(picture.png())
    same(rendered(page, picture.file("svg"), png.size), png)
    same(printed(page, picture.file("pdf"), png, tmp_path), png)
