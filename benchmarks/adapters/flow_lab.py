"""Flow Lab itself, with its defaults and its own training."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from adapters.common import BINS, BOUND, HIDDEN, LAYERS, Torch
from flowlab.training import TrainingSettings, train
from glow import Glow
from models import RECIPES
from nice import NICE
from realnvp import RealNVP
from spline import Spline

NAME, PACKAGES = "Flow Lab", ("torch", "numba")
MODELS = ("nice", "realnvp", "glow", "spline")


class Adapter(Torch):
    """See the package: the library behind the common interface."""

    def __init__(self, model: str, dimension: int, seed: int) -> None:
        torch.manual_seed(seed)
        self.seed = seed
        kind, depth = {"nice": (NICE, "couplings"), "realnvp": (RealNVP, "couplings"),
                       "glow": (Glow, "steps"), "spline": (Spline, "couplings")}[model]
        own = {"bins": BINS, "bound": BOUND} if model == "spline" else {}
        self.flow = kind((dimension,), hidden=(HIDDEN, HIDDEN), activation="relu",
                         **{depth: LAYERS}, **own)

    def fit(self, x: np.ndarray, learning_rate: float | None, batch_size: int) -> Iterator[int]:
        """``flowlab.training.train``, epoch by epoch; its defaults where the rate is None."""
        given = {} if learning_rate is None else {
            "learning_rate": learning_rate, "schedule": "constant", "epochs": 10_000,
            "test_fraction": 0.01}  # the peers measure no test NLL
        settings = TrainingSettings(batch_size=batch_size, seed=self.seed, **given)
        done = 0
        for progress in train(self.flow, torch.from_numpy(x), settings):
            yield progress.step - done
            done = progress.step

    def _log_prob(self, x: torch.Tensor) -> torch.Tensor:
        return self.flow.log_prob(x)

    def _sample(self, n: int) -> torch.Tensor:
        return self.flow.sample(n)

    def _round_trip(self, x: torch.Tensor) -> torch.Tensor:
        return self.flow.forward(self.flow.inverse(x)[0])[0]


class Defaults(Adapter):
    """RealNVP as the app has it before anyone changes a setting."""

    def __init__(self, model: str, dimension: int, seed: int) -> None:
        super().__init__(model, dimension, seed)
        self.flow = RealNVP((dimension,))


def defaults(model: str, name: str, seed: int) -> dict[str, Any]:
    """KL to the truth, on the run's own test points, and a core's seconds of the whole training."""
    recipe, start = RECIPES[model], time.process_time()
    *_, last = recipe.train(recipe.Run.from_flat({"data": name, "seed": seed}))
    return {"kl": last.kl, "seconds": time.process_time() - start}
