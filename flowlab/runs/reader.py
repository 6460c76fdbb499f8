"""Reads runs from their folder, and never changes anything."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from flowlab import files
from flowlab.flow import Flow
from flowlab.flow_files import FORMAT as FLOW_FORMAT
from flowlab.live import Frame
from flowlab.live.thinning import assign_epochs, order
from flowlab.runs.database import Database, default_folder
from flowlab.runs.run import Run
from flowlab.training import Epoch, Moment, Snapshot

PNG_END = b"IEND\xaeB`\x82"
SELECT = """SELECT runs.*, total(frames.png + frames.weights) + (
    SELECT total(length(content)) FROM measures WHERE run = runs.id) AS bytes, count(
    nullif(frames.png, 0)) AS pictures FROM runs LEFT JOIN frames ON frames.run = runs.id """


class Reader:
    """Read access to a folder of runs.

    Parameters
    ----------
    folder : path, optional
        By default `flowlab.runs.database.default_folder`.

    Raises
    ------
    ValueError
        If the folder cannot be used.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = Path(folder) if folder is not None else default_folder()
        self._db = Database(self.folder / "runs.sqlite")
        #: For each run with a damaged file, a sentence about it.
        self.damaged: dict[str, str] = {}

    @property
    def notice(self) -> str:
        """A sentence on how a damaged list of runs was repaired; otherwise empty."""
        return self._db.notice

    def get(self, run_id: str) -> Run | None:
        """The run with this id, or None."""
        if not run_id.isascii():  # SQLite accepts no lone surrogates
            return None
        found = self._db.read(SELECT + "WHERE runs.id = ? GROUP BY runs.id", run_id)
        return Run.of(found[0]) if found else None

    def runs(self, group: str | None = None, visitor: str | None = None) -> list[Run]:
        """All runs (of a group, of a visitor), newest first.

        The order is that of insertion, since clocks may be wrong.
        """
        asked = {column: value for column, value in (("family", group), ("visitor", visitor))
                 if value is not None}
        where = " AND ".join(f"runs.{column} = ?" for column in asked)
        return [Run.of(row) for row in self._db.read(
            f"{SELECT}{where and 'WHERE '}{where} GROUP BY runs.id ORDER BY runs.rowid DESC",
            *asked.values())]

    def choice(self, name: str) -> str:
        """What was chosen by this name; empty where nothing was."""
        found = self._db.read("SELECT value FROM choices WHERE name = ?", name)
        return found[0][0] if found else ""

    def measured(self, run_id: str) -> bytes:
        """What was measured of the run's flow, as its study wrote it; empty before that."""
        found = self._db.read("SELECT content FROM measures WHERE run = ?", run_id)
        return found[0][0] if found else b""

    def epochs(self, run_id: str) -> list[Epoch]:
        """The numbers of every epoch."""
        return [Epoch(*row) for row in self._db.read(
            "SELECT epoch, step, seconds, train_nll, test_nll, kl FROM epochs WHERE run = ? "
            "ORDER BY epoch", run_id)]

    def frames(self, run_id: str, check: bool = True) -> list[Frame]:
        """The stored frames, oldest first, with the losses of all epochs.

        Frames without a picture are left out, except the newest. Pictures and weights are read on
        first use.

        Parameters
        ----------
        run_id : str
        check : bool
            Whether to read every file once, and leave out frames whose picture is damaged.
        """
        found = []
        for row, moment in zip(*self.moments(run_id), strict=True):
            content = OnDisk(self, run_id, row["step"], row["png"] > 0, row["weights"] > 0)
            if check:
                content = replace(content, has_png=bool(content.png),
                                  kept_weights=bool(content.weights))
            found.append((row, moment, content))
        found = [each for each in found[:-1] if each[-1].has_png] + found[-1:]
        assigned = assign_epochs(self.epochs(run_id), [moment for _, moment, _ in found])
        return [Frame(moment, tuple(epochs), content,
                      row["theme"] if content.has_png else "",  # without, it is drawn again
                      _overlays(row["layers"]))
                for (row, moment, content), epochs in zip(found, assigned, strict=True)]

    def moments(self, run_id: str, least: int = 0) -> tuple[list[sqlite3.Row], list[Moment]]:
        """The rows of a run's frames, in `flowlab.live.thinning.order`, and their moments.

        Frames whose files have fewer than `least` bytes are left out.
        """
        rows = self._db.read("SELECT * FROM frames WHERE run = ? AND png + weights >= ? "
                             "ORDER BY step", run_id, least)
        moments = [Moment.read(json.loads(row["numbers"])) for row in rows]
        places = sorted(range(len(rows)), key=lambda i: order(moments[i]))
        return [rows[i] for i in places], [moments[i] for i in places]

    def picture(self, run_id: str) -> bytes:
        """The newest picture as PNG; empty where there is none."""
        rows, _ = self.moments(run_id, least=1)
        step = next((row["step"] for row in reversed(rows) if row["png"]), None)
        return b"" if step is None else self.png(run_id, step)

    def weights(self, run_id: str) -> bytes:
        """The newest weights, as `Flow.save` writes them; empty where there are none."""
        return self._newest(run_id, Path.read_bytes) or b""

    def flow(self, run_id: str) -> Flow | None:
        """The run's newest flow, in evaluation mode."""
        return self._newest(run_id, Flow.load)

    def _newest(self, run_id: str, use: Callable[[Path], Any]) -> Any:
        """The result of ``use`` on the file of the newest weights, or None."""
        while (run := self.get(run_id)) is not None and run.weights is not None:
            try:
                return use(file_of(self.path(run_id), run.weights, "safetensors"))
            except ValueError as error:
                raise ValueError(self._note(run_id, f"{run.weights:09d}.safetensors")) from error
            except FileNotFoundError:
                if (again := self.get(run_id)) is None or again.weights == run.weights:
                    return None  # another program has deleted it
        return None

    def snapshot(self, run_id: str) -> Snapshot | None:
        """The checkpoint from which an unfinished run can resume, or None."""
        path = self.path(run_id) / "checkpoint.safetensors"
        try:
            return Snapshot.load(path) if path.exists() else None
        except ValueError as error:
            raise ValueError(self._note(run_id, path.name)) from error

    def png(self, run_id: str, step: int) -> bytes:
        """The picture of a frame; empty where it is damaged or has been deleted."""
        path = file_of(self.path(run_id), step, "png")
        with suppress(FileNotFoundError):
            content = path.read_bytes()
            if content.startswith(b"\x89PNG") and content.endswith(PNG_END):
                return content
            self._note(run_id, path.name)
        return b""

    def frame_weights(self, run_id: str, step: int) -> bytes:
        """The weights of a frame, as `Flow.save` writes them; empty as for `png`."""
        path = file_of(self.path(run_id), step, "safetensors")
        try:
            content = path.read_bytes()
            files.unpacked(content, FLOW_FORMAT, path)
            return content
        except FileNotFoundError:
            pass
        except ValueError:
            self._note(run_id, path.name)
        return b""

    def _note(self, run_id: str, name: str) -> str:
        """Note that a file of a run is damaged, and return the sentence about it."""
        self.damaged[run_id] = (f"A file of this run is damaged, {name}: what needs it is left "
                                "out.")
        return self.damaged[run_id]

    def path(self, run_id: str) -> Path:
        """A run's folder; ids come from links and must not lead to another folder."""
        if not (run_id.isascii() and run_id.isalnum() and len(run_id) <= 64):
            raise ValueError("A run's id consists of letters and digits: use the original link.")
        return self.folder / run_id


@dataclass(frozen=True)
class OnDisk:
    """Picture and weights of a frame on disk, as a `flowlab.live.Content`.

    The attributes are their place, and whether there is a picture and whether there were weights.
    """

    reader: Reader
    run_id: str
    step: int
    has_png: bool
    kept_weights: bool
    file = None  # of these pictures the server gives none out

    @property
    def has_weights(self) -> bool:
        """Whether there are weights: another program may have deleted them."""
        return self.kept_weights and file_of(
            self.reader.path(self.run_id), self.step, "safetensors").exists()

    @property
    def empty(self) -> bool:
        """Whether there is neither picture nor weights."""
        return not (self.has_png or self.kept_weights)

    @property
    def png(self) -> bytes:
        return self.reader.png(self.run_id, self.step) if self.has_png else b""

    @property
    def weights(self) -> bytes:
        return self.reader.frame_weights(self.run_id, self.step) if self.kept_weights else b""

    @property
    def bytes(self) -> int:
        return 0  # in memory


@lru_cache(64)
def _overlays(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def file_of(folder: Path, step: int, ending: str) -> Path:
    """The path of a frame's file."""
    return folder / f"{step:09d}.{ending}"
