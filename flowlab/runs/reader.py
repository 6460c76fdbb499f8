"""Reads runs from their folder; nothing here changes anything."""

import json
import math
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from flowlab import files
from flowlab.flow import FORMAT as FLOW_FORMAT
from flowlab.flow import Flow
from flowlab.live import Frame
from flowlab.live.thinning import order, shared
from flowlab.runs.database import Database, default_folder
from flowlab.runs.run import Epoch, Kept
from flowlab.training import Snapshot

PNG_END = b"IEND\xaeB`\x82"
SELECT = """SELECT runs.*, total(frames.png + frames.weights) AS bytes,
    count(nullif(frames.png, 0)) AS pictures FROM runs LEFT JOIN frames ON frames.run = runs.id """


class Reader:
    """What there is in a folder of runs.

    Parameters
    ----------
    folder : path, optional
        As `flowlab.runs.database.default_folder` says where it is left out.

    Raises
    ------
    ValueError
        If the folder cannot be used.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = Path(folder) if folder is not None else default_folder()
        self._db = Database(self.folder / "runs.sqlite")
        #: A sentence for each run of which a file was found damaged.
        self.damaged: dict[str, str] = {}

    @property
    def notice(self) -> str:
        """What was done about a damaged list of runs, or nothing."""
        return self._db.notice

    def get(self, run_id: str) -> Kept | None:
        """The run of this id, or None."""
        if not run_id.isascii():  # not all of these can be asked for
            return None
        found = self._db.read(SELECT + "WHERE runs.id = ? GROUP BY runs.id", run_id)
        return Kept.of(found[0]) if found else None

    def runs(self, group: str | None = None, visitor: str | None = None) -> list[Kept]:
        """All runs (of a group, of a visitor), newest first.

        Newest by when they came here: a clock may be wrong.
        """
        asked = {column: value for column, value in (("family", group), ("visitor", visitor))
                 if value is not None}
        where = " AND ".join(f"runs.{column} = ?" for column in asked)
        return [Kept.of(row) for row in self._db.read(
            f"{SELECT}{where and 'WHERE '}{where} GROUP BY runs.id ORDER BY runs.rowid DESC",
            *asked.values())]

    def epochs(self, run_id: str) -> list[Epoch]:
        """The numbers of every epoch."""
        return [Epoch(*row) for row in self._db.read(
            "SELECT epoch, step, seconds, train_nll, test_nll, kl FROM epochs WHERE run = ? "
            "ORDER BY epoch", run_id)]

    def frames(self, run_id: str, check: bool = True) -> list[Frame]:
        """The moments that are kept, oldest first, with all epochs' losses.

        Those without a picture are left out, unless they are the newest. Pictures and weights are
        read when they are asked for.

        Parameters
        ----------
        run_id : str
        check : bool
            Whether to look at every file once, and to leave out the moments whose picture is
            damaged.
        """
        found = []
        for row, numbers in zip(*self.moments(run_id), strict=True):
            content = Filed(self, run_id, row["step"], row["png"] > 0, row["weights"] > 0)
            png = content.drawn
            if check:
                png, _ = content.png, content.packed
            found.append((row, numbers, content, png))
        found = [each for each in found[:-1] if each[-1]] + found[-1:]
        dealt = shared(self.epochs(run_id), [numbers for _, numbers, *_ in found])
        frames, nan = [], math.nan
        for (row, numbers, content, png), told in zip(found, dealt, strict=True):
            frames.append(Frame(
                numbers, tuple((e.epoch, *(nan if x is None else x for x in (
                    e.train_nll, e.test_nll))) for e in told), content,
                row["theme"] if png else "",  # so that it is drawn anew from the weights
                _layers(row["layers"]),
                tuple(nan if e.seconds is None else e.seconds for e in told)))
        return frames

    def moments(self, run_id: str, least: int = 0
                ) -> tuple[list[sqlite3.Row], list[dict[str, Any]]]:
        """The rows of a run's moments, in `flowlab.live.thinning.order`, and their numbers.

        Those whose files have fewer than `least` bytes are left out.
        """
        rows = self._db.read("SELECT * FROM frames WHERE run = ? AND png + weights >= ? "
                             "ORDER BY step", run_id, least)
        # At once, for then all frames share the names of the numbers.
        numbers = json.loads(f"[{','.join(row['numbers'] for row in rows)}]")
        places = sorted(range(len(rows)), key=lambda i: order(numbers[i]))
        return [rows[i] for i in places], [numbers[i] for i in places]

    def picture(self, run_id: str) -> bytes:
        """The newest picture; empty where there is none."""
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
        """What is made of the file of the newest weights, or None."""
        while (run := self.get(run_id)) is not None and run.weights is not None:
            try:
                return use(file_of(self.path(run_id), run.weights, "safetensors"))
            except ValueError as error:
                raise ValueError(self._note(run_id, f"{run.weights:09d}.safetensors")) from error
            except FileNotFoundError:
                if (again := self.get(run_id)) is None or again.weights == run.weights:
                    return None  # somebody else has deleted it
        return None

    def snapshot(self, run_id: str) -> Snapshot | None:
        """Where a run that did not come to its end can go on; None where it cannot."""
        path = self.path(run_id) / "checkpoint.safetensors"
        try:
            return Snapshot.load(path) if path.exists() else None
        except ValueError as error:
            raise ValueError(self._note(run_id, path.name)) from error

    def png(self, run_id: str, step: int) -> bytes:
        """The picture of a moment; empty where it is damaged or has been dropped."""
        path = file_of(self.path(run_id), step, "png")
        with suppress(FileNotFoundError):
            content = path.read_bytes()
            if content.startswith(b"\x89PNG") and content.endswith(PNG_END):
                return content
            self._note(run_id, path.name)
        return b""

    def packed(self, run_id: str, step: int) -> bytes:
        """The weights of a moment, as `Flow.save` writes them; empty as for `png`."""
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
        """Remember that a file of a run is damaged; the sentence."""
        self.damaged[run_id] = (f"A file of this run is damaged, {name}: what needs it is left "
                                "out.")
        return self.damaged[run_id]

    def path(self, run_id: str) -> Path:
        """A run's folder; ids come from links, and must not lead anywhere else."""
        if not (run_id.isascii() and run_id.isalnum() and len(run_id) <= 64):
            raise ValueError("A run's id is made of letters and digits: use the link as it was.")
        return self.folder / run_id


@dataclass(frozen=True)
class Filed:
    """Picture and weights of a moment on disk, as a `flowlab.live.Content`.

    Its attributes are where they are, and whether there is a picture and whether there are weights.
    """

    reader: Reader
    run_id: str
    step: int
    drawn: bool
    weighed: bool
    bytes: ClassVar[int] = 0  # in memory

    @property
    def bare(self) -> bool:
        """Whether there is neither."""
        return not (self.drawn or self.weighed)

    @property
    def png(self) -> bytes:
        return self.reader.png(self.run_id, self.step) if self.drawn else b""

    @property
    def packed(self) -> bytes:
        return self.reader.packed(self.run_id, self.step) if self.weighed else b""


@lru_cache(64)
def _layers(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def file_of(folder: Path, step: int, ending: str) -> Path:
    """The file of a moment."""
    return folder / f"{step:09d}.{ending}"
