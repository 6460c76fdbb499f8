"""The folder of runs: one database, and a folder of files for each run.

``runs.sqlite`` has settings, numbers, outcomes and measures; ``<id>/`` has a PNG and a safetensors
file for each stored frame, named by its step, and a checkpoint. A file is written before its row in
the database and deleted after it; so whenever a program is killed, all files that the database
names exist.
"""

import json
import logging
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from flowlab import files
from flowlab.live import Frame, InMemory
from flowlab.live.thinning import MAX_BYTES, MAX_FRAMES, MIN_FRAMES, to_drop
from flowlab.runs.reader import Reader, file_of
from flowlab.runs.run import COMPLETE, NAME, OWNER, Run, strict_json
from flowlab.settings import RunSettings

DEFAULT_QUOTA = 2_000_000_000  # bytes of all runs
MIN_QUOTA = 10_000_000
ENDINGS = ("png", "safetensors")
STALE = 3600  # seconds after which a temporary file is no longer being written

log = logging.getLogger(__name__)


class Store(Reader):
    """All runs; several programs and threads may use one folder at once.

    Parameters
    ----------
    folder : path, optional
        As in `Reader`.
    limit : int, optional
        The operator's quota in bytes, which then cannot be changed.

    Attributes
    ----------
    pruned : int
        How often pictures of old runs were deleted, so that readers can notice.
    """

    pruned = 0

    def __init__(self, folder: str | Path | None = None, limit: int | None = None) -> None:
        super().__init__(folder)
        self.limit = limit

    def begin(self, settings: RunSettings, **about: Any) -> str:
        """Open a run, or continue one that exists, and return its id; arguments as `Run.new`."""
        return self.add(Run.new(settings, **about))

    def add(self, run: Run) -> str:
        """Open a run, or continue one of this id, and return the id."""
        self.path(run.id)
        with self._db.write() as db:
            db.execute(
                "INSERT INTO runs (id, name, origin, family, model, data, settings, versions, "
                "created, outcome, continued, owner, beat, visitor) "
                "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?) "
                "ON CONFLICT (id) DO UPDATE SET outcome = excluded.outcome, reason = '', "
                "ended = NULL, owner = excluded.owner, beat = excluded.beat",
                (run.id, run.name, run.origin, run.group, run.model, run.data, run.text,
                 json.dumps(run.versions), run.created, "queued", run.continued, OWNER,
                 time.time(), run.visitor))
        return run.id

    def record(self, run_id: str, frames: Sequence[Frame]) -> bool:
        """Store frames, oldest first; return False where the run has been deleted meanwhile."""
        run = self.get(run_id)
        if run is None or not frames:
            return run is not None
        folder, rows = self.path(run_id), []
        folder.mkdir(exist_ok=True)
        snapshot = next((f.snapshot for f in reversed(frames) if f.snapshot is not None), None)
        written: list[Path] = []
        try:
            for frame in frames:
                contents = (frame.png, frame.weights)
                for ending, content in zip(ENDINGS, contents, strict=True):
                    if content:
                        written.append(file_of(folder, frame.moment.step, ending))
                        files.write(written[-1], content)
                rows.append((run_id, frame.moment.step, strict_json(frame.moment), frame.theme,
                             ",".join(frame.overlays), *map(len, contents)))
            if snapshot is not None:
                snapshot.save(folder / "checkpoint.safetensors")
        except BaseException:  # such as a full disk: delete the files without a row
            for path in written:
                path.unlink(missing_ok=True)
            raise
        weights = next((r[1] for r in reversed(rows) if r[-1]), run.weights)
        with self._db.write() as db:
            if not db.execute("SELECT 1 FROM runs WHERE id = ?", (run_id,)).fetchone():
                shutil.rmtree(folder, ignore_errors=True)
                return False
            db.executemany("INSERT OR REPLACE INTO frames VALUES (?,?,?,?,?,?,?)", rows)
            db.executemany("INSERT OR REPLACE INTO epochs VALUES (?,?,?,?,?,?,?)",
                           [(run_id, *epoch) for frame in frames for epoch in frame.epochs])
            db.execute("UPDATE runs SET numbers = ?, weights = ?, beat = ?, outcome = CASE outcome "
                       "WHEN 'queued' THEN 'running' ELSE outcome END WHERE id = ?",
                       (rows[-1][2], weights, time.time(), run_id))
            if snapshot is not None:
                db.execute("UPDATE runs SET checkpoint = ? WHERE id = ?", (
                    (folder / "checkpoint.safetensors").stat().st_size, run_id))
        self.thin(run_id, MAX_FRAMES, MAX_BYTES)
        return True

    def end(self, run_id: str, outcome: str, reason: str = "", steered: bool = False,
            ended: float | None = None) -> None:
        """Note how a run ended; a complete run loses its checkpoint."""
        complete = outcome in COMPLETE
        with self._db.write() as db:
            db.execute("UPDATE runs SET outcome = ?, reason = ?, ended = max(created, ?), "
                       "steered = ?, "
                       "checkpoint = CASE WHEN ? THEN 0 ELSE checkpoint END WHERE id = ?",
                       (outcome, reason, ended or time.time(), steered, complete, run_id))
        if complete:
            (self.path(run_id) / "checkpoint.safetensors").unlink(missing_ok=True)

    def measure(self, run_id: str, content: bytes) -> None:
        """Store what was measured of a run's flow, unless the run has been deleted meanwhile."""
        with self._db.write() as db:
            db.execute("INSERT OR REPLACE INTO measures SELECT id, ? FROM runs WHERE id = ?",
                       (content, run_id))

    def copy(self, run: Run, **about: Any) -> str:
        """Store a run once more, with its newest picture and weights; arguments as `Run.new`."""
        frames, weights = self.frames(run.id, check=False), self.weights(run.id)
        if not (frames and weights):
            raise ValueError(f"The flow of {run.name} is no longer stored: leave the run out.")
        newest = replace(frames[-1], epochs=tuple(self.epochs(run.id)),
                         content=InMemory(self.picture(run.id), weights))
        new = self.begin(run.settings, name=run.name, continued=run.continued, of=run.versions,
                         **about)
        self.record(new, [newest])
        self.end(new, run.outcome, run.reason, run.steered, run.ended)
        return new

    def beat(self, run_ids: Sequence[str]) -> None:
        """Record a heartbeat of this program for these runs."""
        with self._db.write() as db:
            db.executemany("UPDATE runs SET beat = ? WHERE id = ?",
                           [(time.time(), run_id) for run_id in run_ids])

    def rename(self, run_id: str, name: str) -> None:
        """Rename a run.

        Raises
        ------
        ValueError
            For an empty name, or one of more than 120 characters.
        """
        self._set(run_id, "name", checked_name(name))

    def pin(self, run_id: str, pinned: bool = True) -> None:
        """Exempt a run's pictures from the quota, or no longer."""
        self._set(run_id, "pinned", pinned)

    def delete(self, run_id: str) -> None:
        """Delete a run with all its files, if it exists."""
        folder = self.path(run_id)
        with self._db.write() as db:
            db.execute("DELETE FROM runs WHERE id = ?", (run_id,))
        shutil.rmtree(folder, ignore_errors=True)

    def thin(self, run_id: str, most: int, max_bytes: int = MAX_BYTES,
             fewest: int = MIN_FRAMES) -> None:
        """Delete pictures of a run until at most ``most`` of them and ``max_bytes`` are left.

        The first and the newest stay, and so do the newest weights and all numbers.
        """
        rows, _ = self.moments(run_id, least=1)
        run = self.get(run_id)
        if run is None:
            return
        shown = [row for row in rows if row["png"]]
        out = to_drop([row["step"] for row in shown],
                      [row["png"] + row["weights"] for row in shown], most, max_bytes, fewest)
        bare = [row["step"] for row in rows if not row["png"] and row["step"] != run.weights]
        moments = [(step, ENDINGS if step != run.weights else ENDINGS[:1])
                   for step in [*bare, *(shown[i]["step"] for i in out)]]
        if moments:
            self._drop(run_id, moments)

    @property
    def quota(self) -> int:
        """Disk quota of all runs in bytes: the operator's limit, or the value that was set."""
        if self.limit is not None:
            return self.limit
        return int(self.choice("budget") or DEFAULT_QUOTA)

    @quota.setter
    def quota(self, value: int) -> None:
        if self.limit is not None:
            raise ValueError("The disk space for runs is set by the limit of this server, "
                             f"{self.limit // 10**6:,} MB (max_disk): change it there.")
        if value < MIN_QUOTA:
            raise ValueError(f"Runs need {MIN_QUOTA // 10**6} MB at least: choose more.")
        self.choose("budget", str(value))
        self.enforce_quota()

    def choose(self, name: str, value: str) -> None:
        """Note a choice, such as the name of a group of runs; an empty one is dropped."""
        with self._db.write() as db:
            db.execute("INSERT OR REPLACE INTO choices VALUES (?, ?)", (name, value))
            db.execute("DELETE FROM choices WHERE value = ''")

    def used(self) -> int:
        """Size of the files of all runs in bytes."""
        return int(self._db.read(
            "SELECT (SELECT total(png + weights) FROM frames) + "
            "(SELECT total(checkpoint) FROM runs) + "
            "(SELECT total(length(content)) FROM measures)")[0][0])

    def enforce_quota(self) -> None:
        """Delete pictures of old runs until all runs fit into the quota.

        Oldest first, runs that are not pinned keep fewer pictures, then only the first and the
        last. Numbers and the newest weights always stay.
        """
        before = self.used()
        self._prune()
        if (freed := before - self.used()) > 0:
            self.pruned += 1
            log.info("pictures pruned", extra={"facts": {"freed_bytes": freed}})

    def _prune(self) -> None:
        for most in (MIN_FRAMES, 2):
            if self.used() <= self.quota:
                return
            for run in reversed(self.runs()):
                if not run.pinned and not run.active and run.pictures > most:
                    self.thin(run.id, most)
                    if self.used() <= self.quota:
                        return

    def tidy(self) -> None:
        """Delete the temporary files of programs that were killed."""
        for path in self.folder.glob("*/.*.part"):
            with suppress(OSError):  # its program has just finished it
                if abs(time.time() - path.stat().st_mtime) > STALE:
                    path.unlink()

    def _drop(self, run_id: str, moments: Sequence[tuple[int, Sequence[str]]]) -> None:
        """Delete files of frames: first in the database, then on disk."""
        columns = dict(zip(ENDINGS, ("png", "weights"), strict=True))
        with self._db.write() as db:
            for step, endings in moments:
                for ending in endings:
                    db.execute(f"UPDATE frames SET {columns[ending]} = 0 WHERE run = ? AND "
                               "step = ?", (run_id, step))
        for step, endings in moments:
            for ending in endings:
                file_of(self.path(run_id), step, ending).unlink(missing_ok=True)

    def _set(self, run_id: str, column: str, value: object) -> None:
        with self._db.write() as db:
            changed = db.execute(f"UPDATE runs SET {column} = ? WHERE id = ?", (value, run_id))
        if not changed.rowcount:
            raise ValueError("This run is no longer stored: reload the list.")


def checked_name(name: str) -> str:
    """The name of a run or a group, in one line.

    Raises
    ------
    ValueError
        For an empty name, or one of more than 120 characters.
    """
    name = "".join(c for c in " ".join(name.split()) if c.isprintable())
    if not 1 <= len(name) <= NAME:
        raise ValueError(f"A run's name has 1 to {NAME} characters: choose another.")
    return name
