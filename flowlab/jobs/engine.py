"""The contract of every engine: what a job is, and how it is watched and controlled."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Self

ACTIONS = ("pause", "resume", "step", "stop", "send")
ACTIVE = ("queued", "running", "paused")


class UnknownRun(ValueError):
    """No run has this id: it was never submitted here, or was forgotten."""


@dataclass(frozen=True)
class Status:
    """Where a run stands.

    Attributes
    ----------
    state : str
        ``"queued"``, ``"running"`` or ``"paused"``; then, for good, ``"finished"``, ``"stopped"``,
        ``"failed"`` (the function raised) or ``"lost"`` (its worker process died).
    position : int
        Place in the queue, 1 for the next run to start; 0 once the run has started.
    message : str
        One sentence for people; empty where the state says enough.
    events : int
        Number of events so far.
    traceback : str
        The full traceback where the function raised, for a log or a details box.
    late : bool
        Whether it was stopped because it took too long.
    """

    state: str
    position: int = 0
    message: str = ""
    events: int = 0
    traceback: str = ""
    late: bool = False

    @property
    def active(self) -> bool:
        """Whether the run may still change."""
        return self.state in ACTIVE


@dataclass(frozen=True)
class Preempted:
    """What a preempted generator returns: the settings with which the run is continued later."""

    settings: Any


@dataclass(frozen=True)
class Job:
    """Work for an engine: a generator function, its settings, and how an engine may treat it.

    Attributes
    ----------
    function : callable
        Generator function of one argument that can be imported by its name.
    settings : object
        Its argument.
    label : str
        A fixed word for the log.
    quiet : bool
        Whether it is left out of the log.
    preempt : object
        A value that, when sent in, makes the generator return `Preempted` soon, so that other runs
        get its worker; the run then waits for its next turn. None where it cannot be preempted.
    resume : callable, optional
        A function of the settings and the last event that returns the settings to continue with.
        An engine that can restart a run whose worker died uses it; see `flowlab.jobs.ray.Ray`.
    """

    function: Callable[[Any], Generator[Any, Any, Any]]
    settings: Any = None
    label: str = ""
    quiet: bool = False
    preempt: Any = None
    resume: Callable[[Any, Any], Any] | None = None


class Engine(ABC):
    """Runs generator functions in other processes.

    Each ``yield`` of the generator ends one batch: ``None`` means that there is nothing to report,
    and anything else is an event, kept in order. The value that the generator returns is the run's
    result. Function, settings, events and result are pickled.

    All methods may be called from any thread, and return at once unless stated otherwise.

    Examples
    --------
    ::

        with Local(workers=2, preload=("models",)) as engine:
            run = engine.submit(train, settings)
            engine.control(run, "pause")
            engine.events(run)
    """

    #: Seconds after which a run is preempted where others wait; None for never.
    turn: float | None = None

    @abstractmethod
    def submit(self, function: Callable[[Any], Generator[Any, Any, Any]] | Job,
               settings: Any = None, owner: str = "", first: str = "") -> str:
        """Queue ``function(settings)``.

        Parameters
        ----------
        function : callable or Job
            Generator function that can be imported by its name; or a job, which has its settings.
        settings : object
            The function's one argument.
        owner : str
            Whose run it is. Owners take turns, so that many runs of one do not delay the others.
        first : str
            ``"pause"`` or ``"step"``: a command that takes effect before the first batch.

        Returns
        -------
        str
            The run's unguessable id.

        Raises
        ------
        ValueError
            If the function or its settings cannot be sent to another process, or `first` is
            something else.
        RuntimeError
            If the engine is closed.
        """

    @abstractmethod
    def events(self, run_id: str, since: int = 0) -> list:
        """The events from index `since` on; the first event of the run has index 0.

        The objects are shared by all callers and must not be modified.
        """

    @abstractmethod
    def release(self, run_id: str, before: int) -> None:
        """Free the memory of the events with an index below `before`, which become None.

        Once all events of a run that has ended are released, its result becomes None as well.
        """

    @abstractmethod
    def control(self, run_id: str, action: str, value: Any = None) -> None:
        """Control a run; each action takes effect before its next batch.

        Parameters
        ----------
        run_id : str
            From `submit`. Where the run has ended, nothing happens.
        action : str
            - ``"pause"``: take no further batch; the generator waits where it is.
            - ``"resume"``: continue.
            - ``"step"``: take exactly one more batch, then pause or stay paused. A value, if given,
              is sent with that batch.
            - ``"stop"``: close the generator. What it returns on its `GeneratorExit`, if anything,
              is the run's result.
            - ``"send"``: send `value` to the generator at its next batch (``x = yield``); several
              values are sent one per batch, in order.

            Commands to a queued run take effect when it starts, but a stop ends it at once.
        value : object
            The value to send.

        Raises
        ------
        ValueError
            If the action is unknown, if a value is missing, not expected, or cannot be pickled.
        """

    @abstractmethod
    def result(self, run_id: str) -> Any:
        """The value that the generator returned; None until then."""

    @abstractmethod
    def status(self, run_id: str) -> Status:
        """The status of the run now."""

    @abstractmethod
    def runs(self, owner: str | None = None) -> list[str]:
        """Ids of all runs (of one owner, if given), oldest first."""

    @abstractmethod
    def statuses(self, owner: str | None = None) -> dict[str, Status]:
        """The status of each run (of one owner, if given) by its id, oldest first."""

    @abstractmethod
    def states(self) -> dict[str, int]:
        """The number of runs in each state, without forgotten ones."""

    @abstractmethod
    def forget(self, run_id: str) -> None:
        """Drop a run that has ended, with its events and its result.

        Raises
        ------
        ValueError
            If the run is still active.
        """

    @property
    @abstractmethod
    def ready(self) -> int:
        """How many workers have done their imports."""

    @abstractmethod
    def close(self) -> None:
        """Stop all runs and end all workers. Results so far remain; closing again does nothing."""

    def wait(self, run_id: str, timeout: float | None = None) -> Status:
        """Wait until the run has ended, or for `timeout` seconds, and return its status."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (status := self.status(run_id)).active:
            if deadline is not None and time.monotonic() >= deadline:
                break
            time.sleep(0.01)
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
