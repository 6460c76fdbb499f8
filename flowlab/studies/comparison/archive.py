"""What is stored of a comparison: a header for its group of runs, and measures with every run."""

import io
import json
import logging
import shutil
import zipfile
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError

from flowlab.runs import Run, Store
from flowlab.runs.naming import name_in_comparison
from flowlab.settings import FlowSettings, RunSettings, Settings, SourceSettings
from flowlab.studies.comparison.finished import Evaluation, FinishedRun, evaluations
from flowlab.studies.comparison.plan import MAX_ENTRIES, Comparison, Trial, plan
from flowlab.studies.comparison.table import measures
from flowlab.studies.comparison.trial import GRID, SHOWN, Look, Result, Trained, evaluate
from flowlab.training.recipe import Recipe, imported

FORMER = "kept.comparisons"  # where earlier versions had header and measures
MAX_BYTES = 20_000_000  # of a record, unpacked
DAMAGED = ("This comparison is damaged, or cannot be read by this version: press "
           "Compare to begin a new one.")

log = logging.getLogger(__name__)
_RESULT = TypeAdapter(Result)


class Header(Settings):
    """What is compared; the record of a comparison's group."""

    format: Literal["flowlab-comparison-1"] = "flowlab-comparison-1"
    comparison: Comparison
    labels: Annotated[tuple[Annotated[str, Field(max_length=100)], ...],
                      Field(min_length=1, max_length=MAX_ENTRIES)]
    runs: tuple[FinishedRun, ...] = ()
    visitor: str = ""


class Record(NamedTuple):
    """What was measured of a trained flow; see `flowlab.studies.comparison.trial`."""

    result: Result
    look: Look

    def pack(self) -> bytes:
        """The record as it is stored with its run."""
        look, text = self.look, json.dumps({"result": asdict(self.result), "spent": 1.0},
                                           allow_nan=False)
        arrays = {"told": np.frombuffer(text.encode(), np.uint8),
                  "curve": np.array(look.curve, float).reshape(-1, 3),
                  **{part: array for part in ("density", "samples")
                     if (array := getattr(look, part)) is not None}}
        file = io.BytesIO()
        np.savez_compressed(file, **arrays)
        return file.getvalue()

    @classmethod
    def unpack(cls, content: bytes) -> "Record":
        """Read what `pack` wrote.

        Raises
        ------
        ValueError
            With one sentence, when it is damaged.
        """
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as parts:
                if sum(part.file_size for part in parts.infolist()) > MAX_BYTES:
                    raise ValueError("too large")
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                result = _RESULT.validate_python(json.loads(arrays["told"].tobytes())["result"])
                curve = arrays["curve"]
                density, samples = (arrays[part] if part in arrays else None
                                    for part in ("density", "samples"))
            for array, shape in ((curve, (len(curve), 3)), (density, (GRID, GRID)),
                                 (samples, (SHOWN, 2))):
                if array is not None and (array.shape != shape or array.dtype.kind != "f"):
                    raise ValueError("not the arrays that are expected")
        except Exception as error:  # zipfile and NumPy raise many kinds for invalid bytes
            raise ValueError("Its stored result is damaged; train what is missing.") from error
        # Trainings of earlier versions lack the measures that were added later.
        values = {m.name: result.values.get(m.name) for m in measures()}
        return cls(replace(result, values=values), Look(
            1.0, tuple((int(step), *rest) for step, *rest in curve.tolist()), density, samples))


def record(trained: Trained) -> Generator[None, None, bytes]:
    """Measure a trained flow, and return the packed record; a job."""
    yield
    look, result = evaluate(trained)
    return Record(result, look).pack()


def members(name: str, header: Header, recipes: Mapping[str, Recipe]
            ) -> dict[str, Trial | Evaluation]:
    """The finished runs and the trainings of a comparison, by the ids of its runs."""
    comparison = header.comparison
    every: Sequence[Trial | Evaluation] = [*evaluations(comparison, header.runs),
                                           *plan(comparison, recipes)]
    return {f"{name}e{one.entry}d{comparison.data.index(one.data)}s{one.seed}": one
            for one in every}


def read(store: Store, name: str) -> Header | None:
    """The header of the comparison with this id; None where there is none.

    Raises
    ------
    ValueError
        With one sentence, when it is damaged or of another version, or the id is invalid.
    """
    store.path(name)  # ids come from links
    if (former := store.folder / FORMER / name).exists():
        _adopt(store, former)
    text = store.choice(name)
    return _header(text) if text else None


def adopt(store: Store) -> None:
    """Take over the comparisons of earlier versions, once; one that cannot be read stays there."""
    for folder in (store.folder / FORMER).glob("*"):
        try:
            _adopt(store, folder)
        except (ValueError, OSError):
            log.exception("The comparison %s could not be taken over", folder.name)


def _adopt(store: Store, folder: Path) -> None:
    try:
        header = _header((folder / "comparison.json").read_text("utf-8"))
    except OSError as error:
        raise ValueError(DAMAGED) from error
    for run_id, one in members(folder.name, header, imported()).items():
        path = folder / f"{one.entry}-{one.data}-{one.seed}.npz"
        try:
            content = path.read_bytes()
            result = Record.unpack(content).result
        except (ValueError, OSError):  # not measured, or damaged: it is trained again
            continue
        if store.get(run_id) is None:
            name = name_in_comparison(header.labels[one.entry], one.data)
            store.begin(_settings(store, one), run_id=run_id, name=name, origin="comparison",
                        group=folder.name, visitor=header.visitor, created=path.stat().st_mtime)
            store.end(run_id, result.outcome, result.reason, ended=path.stat().st_mtime)
        store.measure(run_id, content)
    store.choose(folder.name, header.model_dump_json())
    shutil.rmtree(folder)


def _settings(store: Store, one: Trial | Evaluation) -> RunSettings:
    """The settings of a training; those of a finished run are unknown once it is deleted."""
    if isinstance(one, Trial):
        return one.settings
    run: Run | None = store.get(one.run)
    return run.settings if run is not None else RunSettings(
        model="unknown", flow=FlowSettings(), source=SourceSettings(data=one.data))


def _header(text: str) -> Header:
    try:
        return Header.model_validate_json(text)
    except ValidationError as error:
        raise ValueError(DAMAGED) from error

