"""The contract that every engine keeps: what a job is, and how it is watched and steered."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Self

ACTIONS = ("pause", "resume", "step", "stop", "send")
ACTIVE = ("queued", "running", "paused")


class UnknownRun(ValueError):
    """No run has this id: it was never submitted here, or it has been forgotten."""


@dataclass(frozen=True)
class Status:
    """Where a run stands.

    Attributes
    ----------
    state : str
        ``"queued"``, ``"running"`` or ``"paused"``; then, for good, ``"finished"``, ``"stopped"``,
        ``"failed"`` (the function raised) or ``"lost"`` (its worker process died).
    position : int
        Place in the queue, 1 for the next to start; 0 once the run has started.
    message : str
        One sentence for people, or nothing where the state says it all.
    events : int
        How many events there are so far.
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
class GoOn:
    """What a generator returns to leave its worker to others: the settings to go on with later."""

    settings: Any


class Engine(ABC):
    """Runs generator functions somewhere else.

    A job is a top-level generator function of one argument.  Each ``yield`` is one batch: ``None``
    means that there is nothing to report, anything else is an event, kept in order.  The value that
    the generator returns is the run's result.  Function, settings, events and result are pickled.

    Settings may have an attribute ``label``, a fixed word for the log.

    A function may have an attribute ``leave``: a value that, sent in, has it return `GoOn` before
    long, so that others get its worker.  Its run then waits for its next turn.

    The log says nothing of runs of a function with an attribute ``quiet`` that is true.

    A function may have an attribute ``resume``, a function of the settings and the last event that
    returns the settings to go on with.  An engine that can take up a run whose worker died does so
    with it; see `flowlab.jobs.ray.Ray`.

    All methods may be called from any thread, and return at once unless they say otherwise.

    Examples
    --------
    ::

        with Local(workers=2, preload=("models",)) as engine:
            run = engine.submit(train, settings)
            engine.control(run, "pause")
            engine.events(run)
    """

    #: Seconds after which a run leaves its worker where others wait; None for never.
    turn: float | None = None

    @abstractmethod
    def submit(self, function: Callable[[Any], Generator[Any, Any, Any]], settings: Any,
               owner: str = "", first: str = "") -> str:
        """Queue ``function(settings)``.

        Parameters
        ----------
        function : callable
            Generator function that can be imported by its name.
        settings : object
            Its one argument.
        owner : str
            Who asks.  Owners take turns, so that one with many runs holds up nobody.
        first : str
            ``"pause"`` or ``"step"``: what holds for its first batch already.

        Returns
        -------
        str
            The run's id, which cannot be guessed.

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
        """Events from index `since` on; event ``i`` of the whole list has index ``i``.

        The objects are shared by all who ask: read them, do not change them.
        """

    @abstractmethod
    def release(self, run_id: str, before: int) -> None:
        """Free the memory of the events of a lower index than `before`; they read None then.

        Of a run that is over, so does its result where no event is left.
        """

    @abstractmethod
    def control(self, run_id: str, action: str, value: Any = None) -> None:
        """Steer a run; each action takes effect before its next batch.

        Parameters
        ----------
        run_id : str
            From `submit`.  Where the run is over, nothing happens.
        action : str
            - ``"pause"``: take no further batch; the generator waits where it is.
            - ``"resume"``: go on.
            - ``"step"``: exactly one more batch, then (stay) paused.  A value, if there is one, is
              sent with it: the run is not paused before it has gone in.
            - ``"stop"``: close the generator.  What it returns from its `GeneratorExit`, if
              anything, is the run's result.
            - ``"send"``: hand `value` to the generator at its next batch (``x = yield``); several
              values are handed over one a batch, in order.

            What is asked of a queued run happens when it starts, but a stop ends it at once.
        value : object
            What to send.

        Raises
        ------
        ValueError
            If the action is unknown, if there is no value to send, one that does not belong there,
            or one that cannot be pickled.
        """

    @abstractmethod
    def result(self, run_id: str) -> Any:
        """What the generator returned; None until then."""

    @abstractmethod
    def status(self, run_id: str) -> Status:
        """Where the run stands now."""

    @abstractmethod
    def runs(self, owner: str | None = None) -> list[str]:
        """Ids of all runs (of one owner, if given), oldest first."""

    @abstractmethod
    def states(self) -> dict[str, int]:
        """How many runs there are in each state, of those that were not forgotten."""

    @abstractmethod
    def forget(self, run_id: str) -> None:
        """Drop a run that is over, with its events and its result.

        Raises
        ------
        ValueError
            If the run is still going on.
        """

    @property
    @abstractmethod
    def ready(self) -> int:
        """How many workers have done their imports."""

    @abstractmethod
    def close(self) -> None:
        """Stop all runs and end all workers.  Closing twice is fine; what was reached stays."""

    def wait(self, run_id: str, timeout: float | None = None) -> Status:
        """Wait until the run is over, or for `timeout` seconds, and return its status."""
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
