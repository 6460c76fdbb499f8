"""A run, and whether a program is writing it to the store."""

import json
import math
import os
import platform
import secrets
import sqlite3
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch

from flowlab import __version__
from flowlab.runs.naming import name_of
from flowlab.settings import RunSettings
from flowlab.training import Moment

#: Outcomes of runs that have nothing left to train.
COMPLETE = ("finished", "early stop", "diverged")
BEAT = 5.0  # seconds between heartbeats of a program that writes runs
SILENT = 30.0  # seconds without a heartbeat after which its runs count as interrupted
NAME = 120  # maximum number of characters of a run's name
OWNER = f"{platform.node()}/{os.getpid()}/{secrets.token_hex(4)}"


@dataclass(frozen=True)
class Run:
    """One run: what it trains, whose it is, and how it stands.

    Attributes
    ----------
    id, name : str
    origin : str
        Where it comes from: ``"page"``, ``"command"``, ``"comparison"``, ``"sweep"`` or
        ``"import"``.
    group : str
        The id of its comparison or sweep; empty for other runs.
    model, data : str
        Names of the model and the distribution.
    text : str
        Its settings as JSON; `settings` reads them.
    versions : dict of str to str
        The versions of Flow Lab, Python, PyTorch and NumPy that trained it.
    created, ended : float
        Seconds since 1970; `ended` is None until the run ends.
    outcome : str
        ``"finished"``, ``"early stop"``, ``"diverged"``, ``"stopped"``, ``"failed"``, ``"lost"``;
        ``"queued"`` or ``"running"`` while a program trains it, and ``"interrupted"`` where that
        program has ended.
    reason : str
        One sentence, or empty.
    moment : Moment or None
        The numbers of its newest `flowlab.live.Frame`; None before the first.
    weights : int or None
        The step of the newest weights on disk.
    pinned : bool
        Whether its pictures stay when others are deleted to keep the quota.
    continued, steered : bool
        Whether it started from a trained flow, or its learning rate was changed by hand: then its
        settings alone do not repeat it.
    pictures, bytes : int
        The number of its pictures, and the size of its files.
    visitor : str
        The owner's name on a shared server, as in `flowlab.ui.app.visitor`; empty for no owner.
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
    moment: Moment | None
    weights: int | None
    pinned: bool
    continued: bool
    steered: bool
    pictures: int
    bytes: int
    visitor: str = ""

    @classmethod
    def new(cls, settings: RunSettings, *, run_id: str | None = None, name: str = "",
            origin: str = "page", group: str = "", continued: bool = False,
            created: float | None = None, of: dict[str, str] | None = None,
            visitor: str = "") -> Self:
        """A run that has not started.

        Parameters
        ----------
        settings : RunSettings
        run_id, name, origin, group, continued, visitor
            As the attributes.
        created : float, optional
            Seconds since 1970, for an imported run.
        of : dict, optional
            The versions of an imported run.
        """
        name = name or name_of(settings)
        return cls(run_id or secrets.token_hex(8), name[:NAME], origin, group, settings.model,
                   settings.source.data, settings.model_dump_json(), of or versions(),
                   created or time.time(), None, "queued", "", None, None, False, continued,
                   False, 0, 0, visitor)

    @cached_property
    def settings(self) -> RunSettings:
        """Its settings, as the class of its model.

        Raises
        ------
        ValueError
            When this version does not know the model or a setting.
        """
        return RunSettings.read(self.text)

    @property
    def numbers(self) -> dict[str, Any]:
        """Its `moment` as a dictionary; empty before the first."""
        return {} if self.moment is None else self.moment.dump()

    @property
    def active(self) -> bool:
        """Whether a program trains it, this one or another."""
        return self.outcome in ("queued", "running")

    @property
    def complete(self) -> bool:
        """Whether there is nothing left to train."""
        return self.outcome in COMPLETE

    @classmethod
    def of(cls, row: sqlite3.Row) -> Self:
        """Make the run from a row of the database."""
        outcome = row["outcome"]
        if outcome in ("queued", "running") and not _alive(row["owner"], row["beat"]):
            outcome = "interrupted"
        return cls(row["id"], row["name"], row["origin"], row["family"], row["model"], row["data"],
                   row["settings"], _parsed(row["versions"]), row["created"], row["ended"],
                   outcome, row["reason"], _moment(_parsed(row["numbers"])), row["weights"],
                   bool(row["pinned"]), bool(row["continued"]), bool(row["steered"]),
                   row["pictures"], row["bytes"] + row["checkpoint"], row["visitor"])


def strict_json(moment: Moment) -> str:
    """Write strict JSON, with null for NaN and infinity."""
    return json.dumps({name: None if isinstance(value, float) and not math.isfinite(value)
                       else value for name, value in moment.dump().items()}, allow_nan=False)


def versions() -> dict[str, str]:
    """The versions of the software on which a run's numbers depend."""
    return {"flow-lab": __version__, "python": sys.version.partition(" ")[0],
            "torch": torch.__version__, "numpy": np.__version__}


def _parsed(text: str) -> dict[str, Any]:
    """Parse JSON of the database; empty where it is damaged."""
    try:
        values = json.loads(text)
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}


def _moment(numbers: dict[str, Any]) -> Moment | None:
    """The moment of these numbers; None where there are none, or some are missing."""
    try:
        return Moment.read(numbers)
    except TypeError:
        return None


def _alive(owner: str, beat: float) -> bool:
    """Whether the program that writes a run is still running."""
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
