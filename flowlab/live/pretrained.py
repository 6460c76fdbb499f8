"""The pretrained flows that come with a model: its page opens with the first of them.

``make pictures`` trains each, and stores it beside the model: the flow at the end, the flow at a
few moments before (in half precision), and the numbers of them all. Pictures of the end are in the
folder ``static``, which the server serves unchanged.
"""

import json
from copy import deepcopy
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from flowlab.flow import Flow
from flowlab.live.cameras import camera
from flowlab.live.thumbnails import FOLDER
from flowlab.live.watch import Frame
from flowlab.settings import RunSettings
from flowlab.training import Epoch, Moment
from flowlab.training.recipe import Recipe

#: Optimiser steps of the moments that are stored: the flow changes most early.
MOMENTS = (5, 30, 120, 600)
THEMES = ("light", "dark")
START = "start"  # the name of the one with default settings
QUALITY = 85  # of a picture's WebP


@dataclass(frozen=True)
class Stored:
    """A `flowlab.live.watch.Content` in a model's folder.

    Attributes
    ----------
    model : type of Flow
    path : Path
        The file with the weights.
    file : Path or None
        That with the picture.
    """

    model: type[Flow]
    path: Path
    file: Path | None = None
    png = b""
    has_weights = True
    empty = False

    @property
    def weights(self) -> bytes:
        return self.model.load(self.path).float().to_bytes()

    @property
    def bytes(self) -> int:
        return 0  # in memory


@dataclass(frozen=True)
class Pretrained:
    """A pretrained flow and some moments of its training.

    Attributes
    ----------
    settings : RunSettings
    frames : tuple of Frame
        Oldest first; only the last has pictures.
    pictures : dict of str to Path
        The pictures of the last, by theme.
    """

    settings: RunSettings
    frames: tuple[Frame, ...]
    pictures: dict[str, Path]

    @property
    def moment(self) -> Moment:
        """The end of the training."""
        return self.frames[-1].moment

    def fits(self, settings: RunSettings) -> bool:
        """Whether the flow has these settings and was trained on their data."""
        return self.settings.flow == settings.flow and self.settings.source == settings.source

    def drawn(self, theme: str) -> list[Frame]:
        """The frames, with the last one's picture in this theme."""
        *before, last = self.frames
        assert isinstance(last.content, Stored)
        content = replace(last.content, file=self.pictures.get(theme))
        return [*before, replace(last, theme=theme, content=content)]


def names(recipe: Recipe) -> dict[str, dict[str, Any]]:
    """The names of a model's pretrained flows, with their settings."""
    return {START: {}} | {name: dict(flat) for name, flat in recipe.pretrained.items()}


def make(recipe: Recipe, name: str) -> None:
    """Train a flow, and write its files into the model's folder and its pictures to `FOLDER`."""
    settings, folder = recipe.Run.from_flat(names(recipe)[name]), recipe.folder / "images"
    rows, history = [], []
    for progress in recipe.train(settings, every="batch"):
        ended, step = progress.outcome != "running", progress.step
        if progress.snapshot is not None:
            history.append(progress.completed)
        if ended or step in MOMENTS:
            flow = progress.flow if ended else deepcopy(progress.flow).half()
            flow.save(_weights(folder, name, None if ended else step))
            rows.append((progress.moment, len(history)))
    (folder / f"{name}.json").write_text(json.dumps({
        "settings": settings.model_dump(mode="json"), "numbers": rows[-1][0].dump(),
        "moments": [[moment.dump(), epochs] for moment, epochs in rows[:-1]],
        "history": [[e.epoch, *(nll and round(nll, 4) for nll in (e.train_nll, e.test_nll))]
                    for e in history]}) + "\n", "utf-8")
    for theme in THEMES:
        png = camera(settings, theme).take(recipe.model.load(_weights(folder, name)), history,
                                           rows[-1][0])
        with Image.open(BytesIO(png)) as picture:
            picture.convert("RGB").save(_picture(recipe, name, theme), quality=QUALITY, method=6)


def load(recipe: Recipe, name: str = START) -> Pretrained | None:
    """Read what `make` wrote; return None where this version cannot use it."""
    folder = recipe.folder / "images"
    try:
        stored = json.loads((folder / f"{name}.json").read_text("utf-8"))
        settings = recipe.Run.model_validate(stored["settings"])
        end = Moment.read(stored["numbers"])
        best, history = end.best_possible, stored["history"]
        epochs = [Epoch(n, n * end.batches, None, train, test, None if best is None else
                        test - best) for n, train, test in history]
        moments = [(Moment.read(numbers), count) for numbers, count in stored.get("moments", [])]
        recipe.model.load(_weights(folder, name))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    frames, seen = [], 0
    for moment, count in [*moments, (end, len(epochs))]:
        path = _weights(folder, name, None if moment is end else moment.step)
        frames.append(Frame(moment, tuple(epochs[seen:count]), Stored(recipe.model, path)))
        seen = count
    pictures = {theme: path for theme in THEMES if (path := _picture(recipe, name, theme)).exists()}
    return Pretrained(settings, tuple(frames), pictures)


def _weights(folder: Path, name: str, step: int | None = None) -> Path:
    """The file of a flow's weights: at the end, or after so many steps."""
    return folder / (f"{name}.safetensors" if step is None else f"{name}-{step}.safetensors")


def _picture(recipe: Recipe, name: str, theme: str) -> Path:
    return FOLDER / recipe.name / f"{name}-{theme}.webp"
