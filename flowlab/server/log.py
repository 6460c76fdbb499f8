"""What happens in the lab, one line of JSON for each event: for its operator.

``FLOWLAB_LOG`` names the file, or ``-`` for the terminal; ``FLOWLAB_LOG_LEVEL`` is ``debug``,
``info``, ``warning`` or ``error``. Without the first, only warnings are seen, on the terminal.
Events carry numbers and fixed words, never a text, a name or a path that came from a user, and of
a run's id, which opens the run, its first characters only.
"""

import json
import logging
import os
import threading
from collections import Counter, deque
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

VARIABLE = "FLOWLAB_LOG"
LEVEL_VARIABLE = "FLOWLAB_LOG_LEVEL"
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING,
          "error": logging.ERROR}
LARGEST = 10_000_000  # bytes of a log file, of which two older ones stay
NEWEST = 200  # lines that stay in memory
SHORT = 6  # characters of a run's id that may be told

#: All that belongs to the lab; modules use the logger of their own name, which is below it.
log = logging.getLogger("flowlab")
_lock = threading.Lock()
_counts: Counter[str] = Counter()
_lines: deque[str] = deque(maxlen=NEWEST)
_handlers: list[logging.Handler] = []


def event(name: str, level: int = logging.INFO, **facts: str | float | None) -> None:
    """Count an event, and log it with its facts; those that are None are left out.

    Parameters
    ----------
    name : str
        A few fixed words, such as ``"run queued"``.
    level : int
        Of `logging`.
    **facts
        Numbers and fixed words; a run's id as ``run``.
    """
    if "run" in facts:
        facts["run"] = str(facts["run"])[:SHORT]
    with _lock:
        _counts[name] += 1
    log.log(level, name, extra={"facts": {k: v for k, v in facts.items() if v is not None}})


def counts() -> dict[str, int]:
    """How often each event has happened in this process."""
    with _lock:
        return dict(sorted(_counts.items()))


def recent() -> list[str]:
    """The newest lines, oldest first, without anything that a user gave."""
    return list(_lines)


def start() -> None:
    """Begin to log as the environment says; once is enough, again changes nothing.

    Raises
    ------
    ValueError
        If the file cannot be written, or the level is none.
    """
    if _handlers:
        return
    place = os.environ.get(VARIABLE, "")
    level = os.environ.get(LEVEL_VARIABLE, "info" if place else "warning").lower()
    if level not in LEVELS:
        raise ValueError(f"{LEVEL_VARIABLE} is {level!r}: set it to {', '.join(LEVELS)}.")
    try:
        output = logging.StreamHandler() if place in ("", "-") else RotatingFileHandler(
            Path(place).expanduser(), maxBytes=LARGEST, backupCount=2, encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{VARIABLE} names a file that cannot be written ({error.strerror}): "
                         "name another.") from error
    output.setLevel(LEVELS[level])
    output.setFormatter(Lines())
    _handlers[:] = output, Ring()
    for handler in _handlers:
        log.addHandler(handler)
    log.setLevel(min(logging.INFO, LEVELS[level]))


def stop() -> None:
    """Log no more."""
    for handler in _handlers:
        log.removeHandler(handler)
        handler.close()
    _handlers.clear()


class Lines(logging.Formatter):
    """A record as a line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        line = _line(record, record.getMessage())
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class Ring(logging.Handler):
    """Keeps the newest lines in memory, for those who may see no user's data.

    Messages stay as they are in the code, without what was put in; errors are told by their kind.
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)

    def emit(self, record: logging.LogRecord) -> None:
        _lines.append(json.dumps(_line(record, str(record.msg)), default=str))


def _line(record: logging.LogRecord, message: str) -> dict[str, object]:
    time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    line = {"time": time, "level": record.levelname.lower(), "event": message}
    if record.name != log.name:
        line["module"] = record.name
    line |= getattr(record, "facts", {})
    if record.exc_info and record.exc_info[0]:
        line["error"] = record.exc_info[0].__name__
    return line
