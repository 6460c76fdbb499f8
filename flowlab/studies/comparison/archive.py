"""Comparisons on disk: the settings of each, and what was measured of every trained flow.

Each comparison has a folder beside those of the runs, with ``comparison.json``, and with
``<entry>-<distribution>-<seed>.npz`` for measures, curve, and the last density and samples. A file
is written whole or not at all, so nothing is lost where a program is killed. The trainings are
runs of the store, whose group is the comparison's id; those of earlier versions are not there.
"""

import io
import json
import shutil
import zipfile
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field, TypeAdapter

from flowlab import files
from flowlab.settings import Settings
from flowlab.studies.comparison.finished import FinishedRun
from flowlab.studies.comparison.plan import MAX_ENTRIES, Comparison
from flowlab.studies.comparison.table import measures
from flowlab.studies.comparison.trial import GRID, SHOWN, Curve, Look, Result

FOLDER = "kept.comparisons"  # no run's id, since these have no dot
MAX_COMPARISONS = 200  # comparisons; beyond that the oldest are deleted
MAX_BYTES = 20_000_000  # of a file, packed and unpacked

Key = tuple[int, str, int]
_RESULT = TypeAdapter(Result)


class Header(Settings):
    """The content of ``comparison.json``."""

    format: Literal["flowlab-comparison-1"] = "flowlab-comparison-1"
    comparison: Comparison
    labels: Annotated[tuple[str, ...], Field(min_length=1, max_length=MAX_ENTRIES)]
    runs: tuple[FinishedRun, ...] = ()
    visitor: str = ""


class Record(NamedTuple):
    """What was measured of a trained flow; see `flowlab.studies.comparison.trial`."""

    result: Result
    curve: Curve
    look: Look


class Archive:
    """All stored comparisons; several programs and threads may use one folder at once.

    Parameters
    ----------
    runs : pathlib.Path
        The folder of the runs.
    """

    def __init__(self, runs: Path) -> None:
        self.folder = runs / FOLDER

    def begin(self, name: str, header: Header) -> None:
        """Store the header of a comparison under a new id.

        Raises
        ------
        OSError
            When the folder cannot be written.
        """
        folder = self._path(name)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.write(folder / "comparison.json", header.model_dump_json().encode())
        kept = sorted(self.folder.iterdir(), key=lambda path: path.stat().st_mtime)
        for old in kept[:-MAX_COMPARISONS]:
            shutil.rmtree(old, ignore_errors=True)

    def read(self, name: str) -> Header | None:
        """The header of the comparison with this id; None where there is none.

        Raises
        ------
        ValueError
            With one sentence, when the file is damaged or of another version, or the id is invalid.
        """
        path = self._path(name) / "comparison.json"
        try:
            return Header.model_validate_json(_content(path))
        except FileNotFoundError:
            return None
        except (ValueError, OSError) as error:
            raise ValueError("What is kept of this comparison cannot be read by this version, or "
                             "is damaged: press Compare to begin a new one.") from error

    def keep(self, name: str, key: Key, record: Record) -> None:
        """Store what was measured; ``key`` is its entry, distribution and seed.

        Raises
        ------
        OSError
            When it cannot be written.
        """
        text = json.dumps({"result": asdict(record.result), "spent": 1.0}, allow_nan=False)
        arrays = {"told": np.frombuffer(text.encode(), np.uint8),
                  "curve": np.array(record.curve, float).reshape(-1, 3),
                  **{part: array for part in ("density", "samples")
                     if (array := getattr(record.look, part)) is not None}}
        file = io.BytesIO()
        np.savez_compressed(file, **arrays)
        files.write(self._file(name, key), file.getvalue())

    def load(self, name: str, key: Key) -> Record | None:
        """Read what `keep` stored; None where there is nothing.

        Raises
        ------
        ValueError
            With one sentence, when the file is damaged.
        """
        try:
            return _record(_content(self._file(name, key)))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError, OSError, EOFError, NotImplementedError,
                zipfile.BadZipFile, zlib.error) as error:
            raise ValueError("What was kept of it is damaged; train what is missing.") from error

    def _path(self, name: str) -> Path:
        """A comparison's folder; ids come from links and must not lead to another folder."""
        if not (name.isascii() and name.isalnum() and len(name) <= 64):
            raise ValueError("A comparison's id is made of letters and digits: use the link as it "
                             "was.")
        return self.folder / name

    def _file(self, name: str, key: Key) -> Path:
        entry, data, seed = key
        return self._path(name) / f"{entry}-{data}-{seed}.npz"


def _content(path: Path) -> bytes:
    if path.stat().st_size > MAX_BYTES:
        raise ValueError("too large")
    return path.read_bytes()


def _record(content: bytes) -> Record:
    """Read a record from a file's bytes; raises various errors where they are invalid."""
    with zipfile.ZipFile(io.BytesIO(content)) as members:
        if sum(member.file_size for member in members.infolist()) > MAX_BYTES:
            raise ValueError("too large")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        stored = json.loads(arrays["told"].tobytes())
        curve = arrays["curve"]
        density, samples = (arrays[part] if part in arrays else None
                            for part in ("density", "samples"))
    result = _RESULT.validate_python(stored["result"])
    # Trainings of earlier versions lack the measures that were added later.
    result = Result(result.outcome, result.reason, result.step, result.seconds,
                    {m.name: result.values.get(m.name) for m in measures()})
    for array, shape in ((curve, (len(curve), 3)), (density, (GRID, GRID)), (samples, (SHOWN, 2))):
        if array is not None and (array.shape != shape or array.dtype.kind != "f"):
            raise ValueError("not the arrays that are expected")
    return Record(result, tuple((int(step), *rest) for step, *rest in curve.tolist()),
                  Look(density, samples))
