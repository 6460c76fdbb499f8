"""Glow's recipe: settings in, progress out; also a command line.

``python -m glow.train_glow --data moons --epochs 50 --save run.safetensors``
"""

import sys
from collections.abc import Generator
from typing import Literal

from flowlab.commands import train as cli
from flowlab.settings import RunSettings, TrainingSettings
from flowlab.training import Progress, Snapshot, recipe
from glow.glow import Glow, GlowSettings

MODEL = Glow


class Run(RunSettings):
    """One training of Glow, complete and reproducible."""

    model: Literal["glow"] = "glow"
    flow: GlowSettings = GlowSettings()


def train(settings: Run | TrainingSettings | None = None, *, every: str = "epoch",
          resume: Snapshot | None = None) -> Generator[Progress, float | None, None]:
    """Train a fresh Glow; see `flowlab.training.train` for what is yielded."""
    return recipe.run(Glow, Run, settings, every, resume)


if __name__ == "__main__":
    sys.exit(cli.main(Run, train, "glow.train_glow"))
