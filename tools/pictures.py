"""Makes the pretrained flows and the animations of the lab: ``make pictures``.

Each model is trained with the settings that its page opens with. Into its folder ``images`` go the
weights and the numbers of that training; its pictures in both appearances, and the small ones that
data are chosen by, go into ``static``, which the server gives out as it is. It takes some minutes,
and the same machine makes the same files.
"""

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

sys.path.append(str(Path(__file__).parents[1]))

from flowlab.analysis.equations import Journey, sampling
from flowlab.figures import TransportPicture
from flowlab.figures.style import THEMES
from flowlab.live import pretrained, thumbnails
from flowlab.live.cameras import PlaneCamera
from flowlab.live.pretrained import Pretrained
from flowlab.settings import RunSettings, TrainingSettings
from flowlab.training import Epoch
from flowlab.training.recipe import Recipe, featured
from models import RECIPES

ROOT = Path(__file__).parents[1]
POINTS, SEED = 900, 1
FRAMES = 73  # from latent to data; back it goes thrice as fast
PER_SECOND = 14
HOLD = 1200  # milliseconds at either end
FILM = np.unique(np.geomspace(1, TrainingSettings().epochs, 28).round())  # epochs that are shown
FILM_TIME = 260  # milliseconds of each
QUALITY = 35

WIDE = (1160, 478)  # pixels: the whole transport picture
PLANE = (560, 56, 1041, 537)  # its middle panel: left, top, right, bottom
CARD = (340, 340)
LOWER = (0, 470, 1600, 960)  # of a live picture: both densities, and the loss
LEARNING = (1200, 368)


def main() -> None:
    """Train all models and write all files."""
    torch.set_num_threads(1)
    for theme in THEMES:
        thumbnails.sheet(theme).save(thumbnails.path(theme), lossless=True)
    for name, recipe in RECIPES.items():
        weights, folder = recipe.folder / "images", ROOT / "static" / name
        weights.mkdir(exist_ok=True)
        folder.mkdir(exist_ok=True)
        for each in pretrained.names(recipe):
            pretrained.make(recipe, each)
        draw(recipe, pretrained.load(recipe), folder)
        for path in sorted([*weights.iterdir(), *folder.iterdir()]):
            print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


Frames = list[tuple[Image.Image, int]]  # images, and milliseconds that each is shown


def draw(recipe: Recipe, flow: Pretrained, folder: Path) -> None:
    """Write the animations of a model's pretrained flow."""
    print(f"{recipe.title}: KL to the truth {flow.moment.kl:.4f} nats")
    journey = sampling(flow.frames[-1].flow(), POINTS, SEED)
    films = learning(recipe, flow.settings) if recipe is featured(RECIPES) else {}
    for theme in THEMES:
        frames = list(travel(journey, theme))
        write(folder / f"card-{theme}.webp", frames[:FRAMES], FRAMES, CARD, PLANE)
        if theme in films:
            write(folder / f"transport-{theme}.webp", frames, FRAMES, WIDE)
            write(folder / f"learning-{theme}.webp", films[theme], len(FILM), LEARNING, LOWER)


def learning(recipe: Recipe, settings: RunSettings) -> dict[str, Frames]:
    """Train the pretrained flow again, as a film in both themes."""
    cameras = {theme: PlaneCamera(settings, theme) for theme in THEMES}
    films: dict[str, Frames] = {theme: [] for theme in THEMES}
    history: list[Epoch] = []
    for progress in recipe.train(settings):
        history.append(progress.completed)
        if progress.epoch in FILM:
            for theme, camera in cameras.items():
                picture = camera.take(progress.flow, history, progress)
                films[theme].append((image(picture), FILM_TIME))
    for film in films.values():
        film[-1] = film[-1][0], 3 * HOLD
    return films


def travel(journey: Journey, theme: str) -> Iterator[tuple[Image.Image, int]]:
    """Frames of the points going from latent to data, waiting, and coming back."""
    names = [step.name for step in journey.steps]
    there, back = (TransportPicture(journey.stages, journey.grids, names, inverse=inverse,
                                    theme=theme) for inverse in (False, True))
    places = np.linspace(0, len(names), FRAMES)
    for picture, positions in ((there, places), (back, places[3:-1:3])):
        for position in positions:
            picture.move(position)
            yield image(picture.png()), HOLD if position in (0, len(names)) else 1000 // PER_SECOND


def image(png: bytes) -> Image.Image:
    """The picture in a PNG file."""
    return Image.open(io.BytesIO(png)).convert("RGB")


def write(path: Path, frames: Frames, arrival: int, size: tuple[int, int],
          box: tuple[int, int, int, int] | None = None) -> None:
    """Write `frames` as an animated WebP that repeats, and a still image of it.

    Parameters
    ----------
    path : Path
        The animated file; the still image has ``-still`` in its name.
    frames : Frames
    arrival : int
        How many frames there are up to the still image.
    size : tuple of int
        Width and height in pixels.
    box : tuple of int, optional
        The part of every frame that is shown: left, top, right, bottom.
    """
    images, times = zip(*frames, strict=True)
    images = [each.resize(size, Image.Resampling.LANCZOS, box) for each in images]
    images[0].save(path, "webp", save_all=True, append_images=images[1:], duration=list(times),
                   loop=0, quality=QUALITY, method=4)
    images[arrival - 1].save(path.with_stem(f"{path.stem}-still"), "webp", quality=QUALITY)


if __name__ == "__main__":
    main()
