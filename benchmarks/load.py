"""A class on one server: ``make load-test`` writes ``load.json`` and ``LOAD.md``.

It starts the lab and sends it a class of visitors over websockets: they open pages, change
settings, train, watch, pause, leave, come back and compare, with a few seconds of thought between
two actions.
"""

import argparse
import asyncio
import hashlib
import json
import os
import random
import re
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE)]

from visitor import Visitor  # noqa: E402

MODELS = ("nice", "realnvp", "glow")
TARGETS = ("moons", "circles", "pinwheel", "checkerboard", "two_spirals", "eight_gaussians")
WELL = ("finished", "early stop", "diverged")  # a run that came to its own end
EPOCHS = 40  # where a page says nothing else
MEGA = 1_000_000


@dataclass
class Class:
    """What all students share: the clock, and what they have met."""

    deadline: float
    rest: float  # seconds after the deadline in which the last runs may end
    think: tuple[float, float]
    epochs: int  # of the first student's runs; the next one's are one more, and so on
    delays: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    runs: dict[str, int] = field(default_factory=dict)  # run: the student whose it is
    stopped: set[str] = field(default_factory=set)  # runs that their owner has stopped
    left: list[str] = field(default_factory=list)  # runs under way when the visitors had to go
    drawn: list[float] = field(default_factory=list)  # from a click to its new picture
    pauses: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    seen: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))  # pictures
    foreign: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)


class Student:
    """One visitor with a will of their own, and epochs and a seed that no other's runs have."""

    def __init__(self, number: int, tab: Visitor, room: Class) -> None:
        self.number, self.tab, self.room = number, tab, room
        self.random = random.Random(number)
        self.epochs = room.epochs + number
        self.model, self.last, self.run = MODELS[number % len(MODELS)], "", ""
        tab.on_change = self.look

    def look(self, tab: Visitor) -> None:
        """Note what is shown: it must be of this student's own run."""
        run = tab.asked("run")
        if not run or self.room.runs.get(run) != self.number:
            if run in self.room.runs:
                self.room.foreign.append(f"student {self.number} was given run {run}")
            return
        for told in re.findall(r"Epoch \*\*\d+\*\* of (\d+)", " ".join(tab.texts())):
            if int(told) != self.epochs:
                self.room.foreign.append(f"student {self.number} saw a run of {told} epochs")
        for url, _ in tab.pictures("picture"):
            if url != self.last:
                self.last = url
                self.room.seen[_digest(url.encode())].add(self.number)

    def says(self, *badges: str) -> Callable[[], bool]:
        """Whether the page's badge is one of these."""
        return lambda: any(f"-badge[{badge}]" in text for text in self.tab.texts()
                           for badge in badges)

    async def timed(self, kind: str, action: Any, shows: Callable[[], Any]) -> None:
        """Do something, and note how long it takes until its effect shows."""
        begun = time.perf_counter()
        await action
        await self.tab.until(shows)
        self.room.delays[kind].append(time.perf_counter() - begun)

    async def redrawn(self, kind: str, action: Any, shows: Callable[[], Any]) -> None:
        """As `timed`; note as well how long it takes until another picture shows."""
        before, begun = self.picture(), time.perf_counter()
        await self.timed(kind, action, shows)
        await self.tab.until(lambda: self.picture() not in ("", before))
        self.room.drawn.append(time.perf_counter() - begun)

    def picture(self) -> str:
        """The address of the picture shown; empty while one is drawn."""
        return next((url for url, alt in self.tab.pictures("picture")
                     if alt != "The picture is being drawn."), "")

    def data(self) -> str:
        """The distribution that the page has."""
        return self.tab.asked("data") or "moons"

    def seed(self) -> int:
        """The seed that the page has."""
        return int(self.tab.asked("seed") or 0)

    async def think(self) -> None:
        await asyncio.sleep(self.random.uniform(*self.room.think))

    @property
    def late(self) -> bool:
        return time.monotonic() > self.room.deadline

    async def attend(self) -> None:
        """Come to the lesson and do one thing after another until it ends."""
        try:
            async with asyncio.timeout(self.room.deadline + self.room.rest - time.monotonic()):
                await self.think()
                while not self.late:
                    await self.lesson()
        except (RuntimeError, LookupError, AssertionError, OSError) as error:
            if type(error) is TimeoutError:  # and not `Slow`, which is one too
                self.room.left.append(self.run)
                return
            self.room.troubles.append(f"student {self.number}: {type(error).__name__}: {error} at "
                                      f"{self.model}?{self.tab.query}")

    async def go(self, page: str, kind: str = "open a page", query: str = "") -> None:
        """Go to a model's page, and wait for its picture."""
        await self.timed(kind, self.tab.open(page, query),
                         lambda: self.picture() and self.tab.has(f"{page}.train", False))

    async def lesson(self) -> None:
        """One training, from the choice of the model to its end."""
        tab, name = self.tab, self.model
        await self.go(name)
        await self.think()
        target = self.random.choice(TARGETS)
        fresh = not tab.asked("run")  # a run keeps its picture
        note = self.redrawn if fresh and self.data() != target else self.timed
        await note("choose data", tab.press(f"{name}.choose.{target}"),
                   lambda: self.data() == target)
        await self.think()
        await self.timed("change a setting", tab.set(f"{name}.epochs", self.epochs),
                         lambda: int(tab.asked("epochs") or EPOCHS) == self.epochs)
        shipped = target == "moons"  # with the flow trained before, whose seed does not matter
        changes = fresh and not shipped and self.seed() != self.number
        note = self.redrawn if changes else self.timed
        await note("change a setting", tab.set(f"{name}.seed", self.number),
                   lambda: self.seed() == self.number)
        await self.think()
        if self.late:
            return
        before = tab.asked("run")
        await self.timed("train", tab.press(f"{name}.train"),
                         lambda: tab.asked("run") not in ("", before)
                         and self.says("In the queue", "Training", "Finished")())
        run = self.run = tab.asked("run")
        self.room.runs[run] = self.number
        await self.think()
        if self.random.random() < 0.5:
            await self.wander(name, run)
        await self.watch(name, run)
        await self.think()
        self.model = self.random.choice(MODELS)

    async def wander(self, name: str, run: str) -> None:
        """Look at another page while the run goes on, and come back to it."""
        if self.random.random() < 0.2:
            await self.compare()
        else:
            other = self.random.choice([model for model in MODELS if model != name])
            await self.go(other)
        await self.think()
        await self.go(name, "come back")
        if self.tab.asked("run") != run:
            self.room.foreign.append(f"student {self.number} came back to {self.tab.asked('run')}")

    async def compare(self) -> None:
        """Start a comparison and stop it."""
        tab = self.tab
        await self.timed("open a page", tab.open("compare"),
                         lambda: tab.has("compare.start", False))
        await self.think()
        if not tab.has("compare.start"):
            return
        await self.timed("compare", tab.press("compare.start"), self.says("Comparing"))
        await self.think()
        await self.timed("stop", tab.press("compare.stop"), self.says("Stopped", "Not finished"))

    async def watch(self, name: str, run: str) -> None:
        """Watch the run to its end, or pause it once, or stop it after all."""
        tab, over = self.tab, self.says("Finished", "Stopped", "Stopped early", "Diverged",
                                        "Failed", "Lost", "Interrupted")
        wish = self.random.choice(("watch", "pause", "stop"))
        await tab.until(lambda: over() or self.says("Training")(), 3600)
        await self.think()
        await tab.until(lambda: over() or tab.has(f"{name}.stop"))  # the badge comes before it
        if wish == "pause" and self.says("Training")():
            self.room.pauses[run].append(time.time())
            await self.timed("pause", tab.press(f"{name}.pause"), lambda: over() or self.says(
                "Paused")())
            await self.think()
            if self.says("Paused")():
                await tab.until(lambda: tab.widget(f"{name}.pause").content.label == "Resume")
                await self.timed("resume", tab.press(f"{name}.pause"), lambda: not self.says(
                    "Paused")())
            self.room.pauses[run].append(time.time())
        elif wish == "stop" and self.says("Training")() and self.random.random() < 0.5:
            self.room.stopped.add(run)
            await self.timed("stop", tab.press(f"{name}.stop"), over)
        await tab.until(over, 3600)


def _digest(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


@contextmanager
def server(folder: Path) -> Iterator[tuple[str, subprocess.Popen]]:
    """A lab of its own on a free port, with empty folders for runs and for its log."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}"]
    with (folder / "stderr").open("w") as errors:
        process = subprocess.Popen(
            command, cwd=HERE.parent, stdout=subprocess.DEVNULL, stderr=errors,
            env={**os.environ, "OMP_NUM_THREADS": "1", "FLOWLAB_RUNS": str(folder / "runs"),
                 "FLOWLAB_LOG": str(folder / "log")})
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(450):
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.2)
        yield url, process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def resident(pid: int) -> float:
    """MB of memory that a process holds now; Linux only."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text).group(1)) * 1024 / MEGA


def cpu(pid: int) -> float:
    """Seconds of a core that a process has used."""
    values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")


async def gauge(pid: int, into: list[tuple[float, float]]) -> None:
    """Note the web process's memory again and again."""
    begun = time.monotonic()
    while True:
        into.append((time.monotonic() - begun, resident(pid)))
        await asyncio.sleep(2)


async def attend(url: str, pid: int, sessions: int, minutes: float, think: tuple[float, float],
                 rest: float, epochs: int) -> tuple[Class, dict[str, Any]]:
    """The whole lesson."""
    async with Visitor(url) as first:  # the workers start with the first visitor
        await first.until(lambda: first.finished and first.pages)
        for page in MODELS:
            await first.open(page)
            await first.until(lambda: first.pictures("picture"))
        await first.set(f"{page}.epochs", 1)
        await first.until(lambda: first.asked("epochs"))
        await first.press(f"{page}.train")
        await first.until(lambda: any("-badge[Finished]" in t for t in first.texts()))
    room = Class(time.monotonic() + 60 * minutes, rest, think, epochs)
    memory: list[tuple[float, float]] = []
    tabs = [Visitor(url) for _ in range(sessions)]

    async def one(number: int) -> None:
        async with tabs[number] as tab:
            await tab.until(lambda: tab.finished and tab.pages)
            await Student(number, tab, room).attend()

    before, own, begun = cpu(pid), time.process_time(), time.monotonic()
    meter = asyncio.create_task(gauge(pid, memory))
    await asyncio.gather(*map(one, range(sessions)))
    meter.cancel()
    spent = time.monotonic() - begun
    return room, {
        "seconds": spent, "memory": [(round(t), round(mb, 1)) for t, mb in memory],
        "server_cores": (cpu(pid) - before) / spent,
        "clients_cores": (time.process_time() - own) / spent,
        "looks": sum(tab.looks for tab in tabs), "bytes": sum(tab.received for tab in tabs)}


def kept(folder: Path, room: Class) -> dict[str, Any]:
    """What the store says of the class's runs: how they ended, and their shares of the workers."""
    at_work = worked(folder / "log")
    folder = folder / "runs"
    with closing(sqlite3.connect(folder / "runs.sqlite")) as db:
        rows = db.execute("SELECT id, outcome, created, ended, family FROM runs").fetchall()
    found = {row[0]: row for row in rows}
    outcomes = {run: found[run][1] if run in found else "stopped" for run in room.runs}
    lost = [run for run, outcome in outcomes.items() if outcome not in WELL
            and not (outcome == "stopped" and run in {*room.stopped, *room.left})]
    for png in folder.glob("*/*.png"):
        owner = room.runs.get(png.parent.name)
        address = _address(png.read_bytes())
        room.foreign += [f"student {s} saw a picture of student {owner}'s run"
                         for s in room.seen.get(_digest(address), ())
                         if owner is not None and s != owner]
    lives = {row[0]: (row[2], row[3] or time.time(), row[4] or row[0]) for row in rows}
    shares = []
    for run in {*room.runs} & {*found} - {*room.left}:
        held = room.pauses[run]
        paused = sum(b - a for a, b in zip(held[::2], held[1::2], strict=False))
        worked_for = max(at_work.get(run[:6], 0.0) - paused, 0.0)
        shares.append(share(run, lives, room.pauses, worked_for))
    left = len(set(room.left) & set(room.runs))
    return {"started": len(room.runs), "left": left, "outcomes": dict(Counter(outcomes.values())),
            "lost": len(lost), "least_share": min(shares, default=float("nan")),
            "middle_share": median(shares or [float("nan")])}


def worked(log: Path) -> dict[str, float]:
    """Seconds that runs had a worker, by what the log tells of their ids."""
    lines = map(json.loads, log.read_text().splitlines())
    return {line["run"]: line["seconds"] for line in lines
            if line["event"].startswith("run ") and "seconds" in line}


def _address(png: bytes) -> bytes:
    from flowlab.ui.elements.image import address
    return address(png).encode()


def share(run: str, lives: dict[str, tuple[float, float, str]],
          pauses: dict[str, list[float]], got: float, workers: int | None = None) -> float:
    """What a run got of the workers, as a part of an equal share among those who wanted one.

    Parameters
    ----------
    run : str
    lives : dict
        For each run when it was asked for and when it was over, in seconds, and whose it is.
    pauses : dict
        Times at which its owner paused and resumed a run, in turns.
    got : float
        Seconds that it had a worker.
    workers : int, optional
        As many as cores where it is left out.
    """
    workers = workers or len(os.sched_getaffinity(0))
    begun, ended, _ = lives[run]
    held = list(zip(pauses.get(run, [])[::2], pauses.get(run, [])[1::2], strict=False))
    times = sorted({begun, ended, *(t for life in lives.values() for t in life[:2]
                                    if begun < t < ended), *(t for pair in held for t in pair)})
    due = 0.0
    for start, end in zip(times, times[1:], strict=False):
        middle = (start + end) / 2
        if not begun <= middle <= ended or any(a <= middle <= b for a, b in held):
            continue
        owners = {life[2] for life in lives.values() if life[0] <= middle <= life[1]}
        due += (end - start) * min(1.0, workers / len(owners))
    return got / due if due else 1.0


def quantile(values: list[float], part: float) -> float:
    """The value below which this part of them lies."""
    return sorted(values)[min(int(part * len(values)), len(values) - 1)]


def measure(sessions: int, minutes: float, think: tuple[float, float] = (2.0, 6.0),
            rest: float = 900, epochs: int = 20) -> dict[str, Any]:
    """Hold a lesson and say how it went."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        with server(Path(folder)) as (url, process):
            room, results = asyncio.run(attend(url, process.pid, sessions, minutes, think,
                                               rest, epochs))
        results |= kept(Path(folder), room)
        said = (Path(folder) / "stderr").read_text()
        if said and (room.troubles or room.foreign or results["lost"]):
            print("What the server said:", said, sep="\n", file=sys.stderr)

    def spread(delays: list[float]) -> dict[str, float]:
        return {"times": len(delays), "p50": median(delays), "p95": quantile(delays, 0.95),
                "max": max(delays)}

    everything = [delay for delays in room.delays.values() for delay in delays]
    memory = results["memory"]
    warm = [mb for t, mb in memory if t >= results["seconds"] / 3]
    tail = len(warm) // 4 or 1
    return results | {
        "date": time.strftime("%Y-%m-%d"), "cores": len(os.sched_getaffinity(0)),
        "sessions": sessions, "minutes": minutes,
        "delays": {kind: spread(d)
                   for kind, d in [("all", everything), *sorted(room.delays.items())] if d},
        "drawn": spread(room.drawn) if room.drawn else {}, "memory": memory[-1][1],
        "growth": (median(warm[-tail:]) - median(warm[:tail])) / sessions,
        "foreign": len(room.foreign), "troubles": room.troubles + room.foreign[:20]}


def markdown(results: dict[str, Any]) -> str:
    """The report."""
    rows = "\n".join(f"| {kind} | {d['times']} | {d['p50']:.2f} s | {d['p95']:.2f} s | "
                     f"{d['max']:.2f} s |" for kind, d in results["delays"].items())
    outcomes = ", ".join(f"{n} {name}" for name, n in sorted(results["outcomes"].items()))
    drawn = results["drawn"]
    told = (f"""
A setting or distribution that changes the untrained flow also changes its picture, which another \
process draws; from the click to that picture ({drawn["times"]} times): half within \
{drawn["p50"]:.2f} s, 95 % within {drawn["p95"]:.2f} s, longest {drawn["max"]:.2f} s.
""" if drawn else "")
    sent = results["bytes"] / results["seconds"] / results["sessions"] / 1000
    return f"""# A class on one server

{results["sessions"]} visitors for {results["minutes"]:g} minutes on {results["cores"]} cores, \
which also ran the visitors; {results["date"]}. Made by `make load-test`; every number is in \
`load.json`.

From a click to the first message that shows its effect:

| action | times | half within | 95 % within | longest |
| --- | --- | --- | --- | --- |
{rows}
{told}
What came of it:

| | |
| --- | --- |
| runs started | {results["started"]} ({outcomes}) |
| of these under way when the visitors left | {results["left"]} |
| runs lost | {results["lost"]} |
| pictures of another's run | {results["foreign"]} |
| least share that a run got of the workers, 1 being an equal one | {results["least_share"]:.2f} |
| the middle one of these shares | {results["middle_share"]:.2f} |
| memory of the web process at the end | {results["memory"]:.0f} MB |
| its growth after the first third, for each visitor | {results["growth"]:.2f} MB |
| cores that the web process used | {results["server_cores"]:.2f} |
| cores that the visitors used | {results["clients_cores"]:.2f} |
| sent to a visitor in a second | {sent:.0f} kB |
| visitors with trouble | {len(results["troubles"])} |
"""


def main() -> None:
    """Measure and report."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--sessions", type=int, default=30, help="visitors at once")
    p.add_argument("--minutes", type=float, default=10, help="how long they stay")
    p.add_argument("--dry", action="store_true", help="print, and write no files")
    p.add_argument("--rest", type=float, default=900,
                   help="seconds in which the last runs may end")
    p.add_argument("--epochs", type=int, default=20,
                   help="of the first visitor's runs; the next one's are one more, and so on")
    options = p.parse_args()
    sys.path.append(str(HERE.parent))
    results = measure(options.sessions, options.minutes, rest=options.rest,
                      epochs=options.epochs)
    if not options.dry:
        (HERE / "load.json").write_text(json.dumps(results, indent=1) + "\n")
        (HERE / "LOAD.md").write_text(markdown(results))
    print(markdown(results), *results["troubles"], sep="\n")


if __name__ == "__main__":
    main()
