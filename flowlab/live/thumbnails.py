"""The thumbnails of the chooser of data; those of the lab's own data are in one file.

The file is in the folder ``static``, which the server serves unchanged: browsers fetch it once.
"""

import io
from pathlib import Path

from PIL import Image

from flowlab.data import Images, Points, Target, source_of, targets
from flowlab.figures import image_thumbnail, png, thumbnail
from flowlab.settings import SourceSettings

#: The thumbnails in the file, top to bottom.
NAMES = (*targets(), "digits")
FOLDER = Path(__file__).parents[2] / "static"


def drawn(source: Target | Points | Images, theme: str) -> bytes:
    """Draw the thumbnail of a distribution of points or of images, as PNG."""
    if source.kind == "images":
        return png(image_thumbnail(source.pixels[:9, 0].numpy(), source.grey_levels - 1,
                                   theme=theme))
    return png(thumbnail(source.sample(800, seed=0)[:, :2].numpy(), source.limits, theme=theme))


def path(theme: str) -> Path:
    """The file with all thumbnails in one theme."""
    return FOLDER / f"tiles-{theme}.webp"


def sheet(theme: str) -> Image.Image:
    """Draw all thumbnails, one below the other."""
    tiles = [Image.open(io.BytesIO(drawn(source_of(SourceSettings(data=name)), theme)))
             .convert("RGB") for name in NAMES]
    width, height = tiles[0].size
    whole = Image.new("RGB", (width, height * len(tiles)))
    for row, tile in enumerate(tiles):
        whole.paste(tile, (0, row * height))
    return whole


def background(name: str, theme: str) -> str | None:
    """The CSS background that shows one thumbnail of the file; None for data not in it."""
    if name not in NAMES:
        return None
    place = 100 * NAMES.index(name) / (len(NAMES) - 1)
    return f"url(app/static/{path(theme).name}) 0 {place:.4g}% / 100% {100 * len(NAMES)}%"
