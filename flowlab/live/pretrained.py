"""The pretrained flow that a model's page opens with.

``make pictures`` trains it with the model's default settings, and stores it in two small files
beside the model: the flow, and the numbers of its training.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from flowlab.flow import Flow
from flowlab.live.cameras import camera
from flowlab.live.watch import Frame, InMemory, Request, watch
from flowlab.settings import RunSettings
from flowlab.training import Epoch, Moment
from flowlab.training.recipe import Recipe


@dataclass(frozen=True)
class Pretrained:
    """A pretrained flow and the numbers of its training.

    Attributes
    ----------
    settings : RunSettings
    flow : Flow
        The trained flow, in evaluation mode.
    moment : Moment
        The end of its training.
    history : tuple of Epoch
    """

    settings: RunSettings
    flow: Flow
    moment: Moment
    history: tuple[Epoch, ...]

    def fits(self, settings: RunSettings) -> bool:
        """Whether the flow has these settings and was trained on their distribution."""
        return self.settings.flow == settings.flow and self.settings.source == settings.source

    def frame(self, theme: str, overlays: tuple[str, ...]) -> Frame:
        """The last frame of the training."""
        png = camera(self.settings, theme, overlays).take(
            self.flow, self.history, self.moment)
        picture = InMemory(png, self.flow.to_bytes())
        return Frame(self.moment, self.history, picture, theme, overlays)


def make(recipe: Recipe, folder: Path) -> None:
    """Train a model with its default settings and write both files into ``folder``."""
    settings = recipe.Run.from_flat({})
    frames = [frame for frame in watch(Request(recipe.train, settings)) if frame is not None]
    (folder / "start.safetensors").write_bytes(frames[-1].weights)
    (folder / "start.json").write_text(json.dumps({
        "settings": settings.model_dump(mode="json"), "numbers": frames[-1].moment.dump(),
        "history": [[n, *(nll and round(nll, 4) for nll in (train, test))] for frame in frames
                    for n, _, _, train, test, _ in frame.epochs]}) + "\n", "utf-8")


def load(recipe: Recipe, folder: Path) -> Pretrained | None:
    """Read what `make` wrote; return None where this version cannot use it."""
    try:
        stored = json.loads((folder / "start.json").read_text("utf-8"))
        settings = recipe.Run.model_validate(stored["settings"])
        flow = recipe.model.load(folder / "start.safetensors")
        moment = Moment.read(stored["numbers"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    best = moment.best_possible
    history = tuple(Epoch(n, n * moment.batches, None, train, test,
                          None if best is None else test - best)
                    for n, train, test in stored["history"])
    return Pretrained(settings, flow, moment, history)
