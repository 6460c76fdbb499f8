"""The small pictures that data are chosen by; those of the lab's own data come in one file.

The file lies in the folder ``static``, which the server gives out as it is: browsers fetch it once.
"""

import io
from pathlib import Path

from PIL import Image

from flowlab.data import Images, Target, image_set, target, targets
from flowlab.figures import image_thumbnail, png, thumbnail

#: The pictures in the file, top to bottom.
NAMES = (*targets(), "digits")
FOLDER = Path(__file__).parents[2] / "static"


def drawn(truth: Images | Target, theme: str) -> bytes:
    """The picture of a distribution, or of images, as PNG."""
    if isinstance(truth, Images):
        return png(image_thumbnail(truth.pixels[:9, 0].numpy(), truth.grey_levels - 1,
                                   theme=theme))
    return png(thumbnail(truth.sample(800, seed=0)[:, :2].numpy(), truth.limits, theme=theme))


def path(theme: str) -> Path:
    """The file with all pictures in one appearance."""
    return FOLDER / f"tiles-{theme}.webp"


def sheet(theme: str) -> Image.Image:
    """All pictures, drawn anew, one under the other."""
    tiles = [Image.open(io.BytesIO(drawn(image_set(name) if name == "digits" else target(name),
                                         theme))).convert("RGB") for name in NAMES]
    width, height = tiles[0].size
    whole = Image.new("RGB", (width, height * len(tiles)))
    for row, tile in enumerate(tiles):
        whole.paste(tile, (0, row * height))
    return whole


def background(name: str, theme: str) -> str | None:
    """A CSS background that shows one picture of the file; None for data not in it."""
    if name not in NAMES:
        return None
    place = 100 * NAMES.index(name) / (len(NAMES) - 1)
    return f"url(app/static/{path(theme).name}) 0 {place:.4g}% / 100% {100 * len(NAMES)}%"
