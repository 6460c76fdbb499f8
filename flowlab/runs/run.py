"""A run as the store tells of it, and who is writing it at present."""

import json
import math
import os
import platform
import secrets
import sqlite3
import sys
import time
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import torch

from flowlab import __version__
from flowlab.live import Frame
from flowlab.settings import RunSettings
from flowlab.training.progress import best_possible

#: Outcomes of runs that have all their epochs, or no use for more.
COMPLETE = ("finished", "early stop", "diverged")
BEAT = 5.0  # seconds between two signs of life of a program that writes runs
SILENT = 30.0  # seconds without one after which its runs count as interrupted
OWNER = f"{platform.node()}/{os.getpid()}/{secrets.token_hex(4)}"


class Epoch(NamedTuple):
    """The numbers of one epoch; NLL and KL in nats a point, None where unknown.

    Attributes
    ----------
    epoch, step : int
        Completed epochs and optimiser steps.
    seconds : float or None
        Time spent training until then.
    train_nll, test_nll, kl : float or None
    """

    epoch: int
    step: int
    seconds: float | None
    train_nll: float | None
    test_nll: float | None
    kl: float | None


@dataclass(frozen=True)
class Kept:
    """One run of the store.

    Attributes
    ----------
    id, name : str
    origin : str
        What it came from: ``"page"``, ``"command"``, ``"comparison"``, ``"sweep"``, ``"import"``.
    group : str
        Ties the runs of one comparison or sweep together; empty for others.
    model, data : str
        Names of the model and the distribution.
    text : str
        Its settings as JSON; `settings` reads them.
    versions : dict of str to str
        Of Flow Lab, Python, PyTorch and NumPy when it was trained.
    created, ended : float
        Seconds since 1970; `ended` is None until then.
    outcome : str
        ``"finished"``, ``"early stop"``, ``"diverged"``, ``"stopped"``, ``"failed"``, ``"lost"``;
        ``"queued"`` or ``"running"`` while another part of the lab is at it, and
        ``"interrupted"`` where the program that was at it has gone.
    reason : str
        One sentence, or nothing.
    numbers : dict
        Those of its newest `flowlab.live.Frame`; empty before the first.
    weights : int or None
        The step whose weights are the newest on disk.
    pinned : bool
        Whether its pictures stay when others go to save room.
    continued, steered : bool
        Whether it went on from a trained flow, or its learning rate was changed by hand: then its
        settings alone do not repeat it.
    pictures, bytes : int
        How many pictures it has, and what its files take.
    visitor : str
        Whose it is on a shared server, as `flowlab.ui.app.visitor` names people; nobody's where
        empty.
    """

    id: str
    name: str
    origin: str
    group: str
    model: str
    data: str
    text: str
    versions: dict[str, str]
    created: float
    ended: float | None
    outcome: str
    reason: str
    numbers: dict[str, Any]
    weights: int | None
    pinned: bool
    continued: bool
    steered: bool
    pictures: int
    bytes: int
    visitor: str = ""

    @property
    def settings(self) -> RunSettings:
        """Its settings, of its model's class.

        Raises
        ------
        ValueError
            When this version of the program does not know the model or a setting.
        """
        return RunSettings.read(self.text)

    @property
    def active(self) -> bool:
        """Whether a program is at it, this one or another."""
        return self.outcome in ("queued", "running")

    @property
    def complete(self) -> bool:
        """Whether there is nothing left to train."""
        return self.outcome in COMPLETE

    @classmethod
    def of(cls, row: sqlite3.Row) -> Self:
        """The run of a row of the database."""
        outcome = row["outcome"]
        if outcome in ("queued", "running") and not _alive(row["owner"], row["beat"]):
            outcome = "interrupted"
        return cls(row["id"], row["name"], row["origin"], row["family"], row["model"], row["data"],
                   row["settings"], _told(row["versions"]), row["created"], row["ended"],
                   outcome, row["reason"], _told(row["numbers"]), row["weights"],
                   *(bool(row[name]) for name in ("pinned", "continued", "steered")),
                   row["pictures"], row["bytes"] + row["checkpoint"], row["visitor"])


def epochs_of(frame: Frame) -> list[Epoch]:
    """The epochs that a frame tells of."""
    numbers = frame.numbers
    batches = numbers["steps"] // numbers["epochs"]
    best = best_possible(numbers)
    seconds = frame.seconds or (None,) * len(frame.epochs)
    return [Epoch(epoch, epoch * batches, taken, train, test,
                  None if best is None else test - best)
            for (epoch, train, test), taken in zip(frame.epochs, seconds, strict=True)]


def strict_json(numbers: dict[str, Any]) -> str:
    """JSON as every program reads it: a number that is infinite or none at all becomes null."""
    return json.dumps({name: None if isinstance(value, float) and not math.isfinite(value)
                       else value for name, value in numbers.items()}, allow_nan=False)


def versions() -> dict[str, str]:
    """Of what makes a run's numbers what they are."""
    return {"flow-lab": __version__, "python": sys.version.partition(" ")[0],
            "torch": torch.__version__, "numpy": np.__version__}


def _told(text: str) -> dict[str, Any]:
    """JSON of the database; nothing where that was damaged."""
    try:
        told = json.loads(text)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _alive(owner: str, beat: float) -> bool:
    """Whether the program that writes a run is still there."""
    if owner == OWNER:
        return True
    if abs(time.time() - beat) > SILENT:
        return False
    machine, pid, _ = owner.split("/")
    here, own, _ = OWNER.split("/")
    if machine != here or os.name == "nt":  # on Windows a signal of 0 would end the process
        return True
    if pid == own:
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
