"""RealNVP's recipe: settings in, progress out; also a command line.

``python -m realnvp.train_realnvp --data moons --epochs 50 --save run.safetensors``
"""

import sys
from collections.abc import Generator
from typing import Literal

from flowlab.commands import train as cli
from flowlab.settings import RunSettings, TrainingSettings
from flowlab.training import Progress, Snapshot, recipe
from realnvp.real_nvp import RealNVP, RealNVPSettings

MODEL = RealNVP


class Run(RunSettings):
    """One training of RealNVP, complete and reproducible."""

    model: Literal["realnvp"] = "realnvp"
    flow: RealNVPSettings = RealNVPSettings()


def train(settings: Run | TrainingSettings | None = None, *, every: str = "epoch",
          resume: Snapshot | None = None) -> Generator[Progress, float | None, None]:
    """Train a fresh RealNVP; see `flowlab.training.train` for what is yielded."""
    return recipe.run(RealNVP, Run, settings, every, resume)


if __name__ == "__main__":
    sys.exit(cli.main(Run, train, "realnvp.train_realnvp"))
