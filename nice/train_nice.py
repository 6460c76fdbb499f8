"""NICE's recipe: settings in, progress out; also a command line.

``python -m nice.train_nice --data moons --epochs 50 --save run.safetensors``
"""

import sys
from collections.abc import Generator
from typing import Literal

from flowlab.commands import train as cli
from flowlab.settings import RunSettings, TrainingSettings
from flowlab.training import Progress, Snapshot, recipe
from nice.nice import NICE, NICESettings

MODEL = NICE


class Run(RunSettings):
    """One training of NICE, complete and reproducible."""

    model: Literal["nice"] = "nice"
    flow: NICESettings = NICESettings()


def train(settings: Run | TrainingSettings | None = None, *, every: str = "epoch",
          resume: Snapshot | None = None) -> Generator[Progress, float | None, None]:
    """Train a fresh NICE; see `flowlab.training.train` for what is yielded."""
    return recipe.run(NICE, Run, settings, every, resume)


if __name__ == "__main__":
    sys.exit(cli.main(Run, train, "nice.train_nice"))
