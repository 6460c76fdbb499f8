"""The counters of a running lab, for its operator: ``python -m flowlab.status``.

A server writes ``server-….json`` into the folder of runs every few seconds, always whole. The file
contains nothing about users or single runs.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from flowlab import files
from flowlab.server import log

EVERY = 5.0  # seconds between two updates
SILENT = 30.0  # seconds without an update after which a server counts as ended
PATTERN = "server-*.json"
MAX_BYTES = 100_000  # bytes of such a file
NAME = f"server-{platform.node() or 'here'}-{os.getpid()}.json"
STARTED = time.time()


def memory() -> int | None:
    """Resident memory of this process in bytes; None where the system does not report it."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def numbers(states: Mapping[str, int], **more: Any) -> dict[str, Any]:
    """The counters of this process.

    Parameters
    ----------
    states : mapping of str to int
        The number of runs in each state, from `flowlab.jobs.Engine.states`.
    **more
        Further counters.
    """
    events = log.counts()
    now = {name: states.get(name, 0) for name in ("queued", "running", "paused")}
    over = {name: events.get(f"run {name}", 0)
            for name in ("finished", "stopped", "failed", "lost")}
    return {"time": round(time.time(), 1), "uptime_seconds": round(time.time() - STARTED),
            "runs": now | over, "workers_busy": now["running"] + now["paused"],
            "memory_bytes": memory(), **more, "events": events}


def write(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write the file of this process, and remove those of servers that ended long ago."""
    files.write(folder / NAME, json.dumps(facts, indent=1).encode())
    for path in folder.glob(PATTERN):
        with suppress(FileNotFoundError):  # that server has just removed it
            if time.time() - path.stat().st_mtime > 24 * 3600:
                path.unlink()


def remove(folder: Path) -> None:
    """Remove the file of this process, when it ends."""
    (folder / NAME).unlink(missing_ok=True)


def read(folder: Path) -> dict[str, dict[str, Any]]:
    """The counters of the servers on a folder of runs, by name; damaged files are left out."""
    found = {}
    for path in sorted(folder.glob(PATTERN)):
        try:
            if path.stat().st_size <= MAX_BYTES:
                facts = json.loads(path.read_bytes())
                if time.time() - float(facts["time"]) <= SILENT:
                    found[path.stem.removeprefix("server-")] = facts
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def text(facts: Mapping[str, Any]) -> str:
    """The counters, one per line."""
    lines = []
    for name, value in facts.items():
        for key, number in (value if isinstance(value, dict) else {"": value}).items():
            label = " ".join(filter(None, (name, key))).replace("_", " ")
            lines.append(f"{label:<32} {'unknown' if number is None else number}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Print the counters; return 0 where a server is running, 1 where none is."""
    from flowlab.runs.database import default_folder
    parser = argparse.ArgumentParser("python -m flowlab.status", description="Counters of the "
                                     "servers that keep their runs in a folder.")
    parser.add_argument("--runs", type=Path, default=default_folder(), metavar="FOLDER",
                        help="the folder of runs (default: FLOWLAB_RUNS, or runs)")
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")
    chosen = parser.parse_args(arguments)
    servers = read(chosen.runs)
    if chosen.json:
        print(json.dumps(servers, indent=1))
    elif not servers:
        print("No server is running on this folder of runs.")
    for name, facts in ({} if chosen.json else servers).items():
        print(f"{name}\n{text(facts)}")
    return 0 if servers else 1


if __name__ == "__main__":
    sys.exit(main())
