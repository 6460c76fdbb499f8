"""The operator's log: handlers of the logger ``flowlab`` that write one line of JSON per record.

``FLOWLAB_LOG`` names the file, or ``-`` for the terminal; ``FLOWLAB_LOG_LEVEL`` is ``debug``,
``info``, ``warning`` or ``error``. Without the first, only warnings are written, to the terminal.
An event of the lab is a record with ``extra={"facts": {...}}``: its message is a few fixed words,
such as ``"run queued"``, and its facts are numbers and fixed words, never a text, a name or a path
from a user. Facts that are None are left out, and only the first characters of a run's id, which
opens the run, are written.
"""

import json
import logging
import os
import threading
from collections import Counter, deque
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

VARIABLE = "FLOWLAB_LOG"
LEVEL_VARIABLE = "FLOWLAB_LOG_LEVEL"
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING,
          "error": logging.ERROR}
MAX_BYTES = 10_000_000  # bytes of a log file, of which two older ones stay
NEWEST = 200  # lines that stay in memory
SHORT = 6  # characters of a run's id that may be written

#: The parent of the loggers of all modules.
log = logging.getLogger("flowlab")
_lock = threading.Lock()
_counts: Counter[str] = Counter()
_lines: deque[str] = deque(maxlen=NEWEST)
_handlers: list[logging.Handler] = []


def counts() -> dict[str, int]:
    """The number of times that each event has happened in this process."""
    with _lock:
        return dict(sorted(_counts.items()))


def recent() -> list[str]:
    """The newest lines, oldest first, without any data of users."""
    return list(_lines)


def start() -> None:
    """Start to log as the environment says; further calls change nothing.

    Raises
    ------
    ValueError
        If the file cannot be written, or the level is unknown.
    """
    if _handlers:
        return
    place = os.environ.get(VARIABLE, "")
    level = os.environ.get(LEVEL_VARIABLE, "info" if place else "warning").lower()
    if level not in LEVELS:
        raise ValueError(f"{LEVEL_VARIABLE} is {level!r}: set it to {', '.join(LEVELS)}.")
    try:
        output = logging.StreamHandler() if place in ("", "-") else RotatingFileHandler(
            Path(place).expanduser(), maxBytes=MAX_BYTES, backupCount=2, encoding="utf-8")
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
    """Stop logging."""
    for handler in _handlers:
        log.removeHandler(handler)
        handler.close()
    _handlers.clear()


class Lines(logging.Formatter):
    """Formats a record as a line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        line = _line(record, record.getMessage())
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class Ring(logging.Handler):
    """Counts events, and keeps the newest lines in memory, without any data of users.

    Lines have the messages as in the code, without their arguments, and only the types of errors.
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)

    def emit(self, record: logging.LogRecord) -> None:
        if hasattr(record, "facts"):
            with _lock:
                _counts[record.getMessage()] += 1
        _lines.append(json.dumps(_line(record, str(record.msg)), default=str))


def _line(record: logging.LogRecord, message: str) -> dict[str, Any]:
    time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    line: dict[str, Any] = {"time": time, "level": record.levelname.lower(), "event": message}
    facts = getattr(record, "facts", None)
    if facts is None and record.name != log.name:
        line["module"] = record.name
    for name, value in (facts or {}).items():
        if value is not None:
            line[name] = value[:SHORT] if name == "run" else value
    if record.exc_info and record.exc_info[0]:
        line["error"] = record.exc_info[0].__name__
    return line
