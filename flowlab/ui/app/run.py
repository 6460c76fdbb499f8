"""A run in the lab's memory, as pages know it."""

import time
from dataclasses import dataclass, field

from flowlab.figures import DEFAULT_OVERLAYS
from flowlab.jobs import Status
from flowlab.live import Frame
from flowlab.runs import StoredRun
from flowlab.settings import RunSettings

#: The page's words for the stored state of a run that this process does not train.
STATES = {"running": "elsewhere", "queued": "elsewhere"}
GONE = ("The program that trained it was ended. What it had reached is kept: **Continue** trains "
        "on from there.")


@dataclass
class LabRun:
    """A run in the lab's memory, as pages know it.

    Attributes
    ----------
    id : str
        From the engine or the store; it cannot be guessed.
    settings : RunSettings
    theme : str
        Appearance of its pictures now.
    overlays : tuple of str
        What its pictures show now.
    seen : float
        When a page last looked, on the monotonic clock.
    frames : list of Frame
        Of a run that is opened from disk; `Lab.frames` knows those of every run.
    continued : bool
        Whether it went on from a trained flow, so that its settings alone do not repeat it.
    steered : bool
        Whether its learning rate was changed by hand, with the same effect.
    kept : StoredRun or None
        Its record in the store, where it is opened from there.
    pruned : int
        How often the store had made room when `frames` were read.
    visitor : str
        Whose it is, as in `flowlab.runs.StoredRun`.
    over : Status or None
        How it stood when it left memory. Streamlit never lets go of a `LabRun` that it was once
        given with a button, so from then on it has no frames.
    """

    id: str
    settings: RunSettings
    theme: str
    overlays: tuple[str, ...] = DEFAULT_OVERLAYS
    seen: float = field(default_factory=time.monotonic)
    frames: list[Frame] = field(default_factory=list)
    continued: bool = False
    steered: bool = False
    kept: StoredRun | None = None
    pruned: int = 0
    visitor: str = ""
    over: Status | None = None

    @property
    def followed(self) -> bool:
        """Whether the lab's recorder has its frames."""
        return self.kept is None and self.over is None

    def stored_status(self, damage: str) -> Status:
        """Its status by its record in the store, with a sentence on damaged files."""
        assert self.kept is not None
        reason = GONE if self.kept.outcome == "interrupted" else self.kept.reason
        return Status(STATES.get(self.kept.outcome, self.kept.outcome), events=len(self.frames),
                      message=" ".join(filter(None, (reason, damage))))
