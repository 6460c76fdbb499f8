"""The settings of a sweep, and its trainings: a grid or random search, with several seeds."""

import itertools
import json
import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from flowlab.files import read_text
from flowlab.settings import RunSettings, Settings, as_python, describe, setting, shown

MAX_RUNS = 2000  # runs of a sweep
MAX_BYTES = 100_000  # bytes of a sweep's file


def setting_value(value: Any) -> Any:
    """Check and convert a value: a number, a text, a truth value or a list of whole numbers."""
    value = as_python(value)
    if isinstance(value, list | tuple):
        if value and all(type(part) is int for part in value):
            return tuple(value)
    elif isinstance(value, bool | int | str) or (
            isinstance(value, float) and math.isfinite(value)):
        return value
    raise ValueError("give a finite number, a text, true or false, or a list of whole numbers such "
                     "as [64, 64]")


#: A value of a setting.
Value = Annotated[Any, AfterValidator(setting_value)]


class Range(Settings):
    """A range of numbers."""

    low: float = Field(description="The lowest number.")
    high: float = Field(description="The highest number.")
    count: int = Field(5, ge=2, le=100, description="Number of values in a grid.")
    log: bool = Field(False, description="Whether the values are evenly spaced on a logarithmic "
                                         "scale.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError("low should be less than high, and above 0 where log is true")
        return self

    def at(self, share: float) -> float:
        """The number at this share of the range, from 0 to 1, rounded to six digits."""
        if self.log:
            value = self.low * (self.high / self.low) ** share
        else:
            value = self.low + (self.high - self.low) * share
        return float(f"{value:.6g}")

    def grid(self) -> tuple[float, ...]:
        """The values in a grid."""
        return tuple(self.at(i / (self.count - 1)) for i in range(self.count))


# The values of a setting: a list or a `Range`, told apart by type for clear errors.
Axis = Annotated[
    Annotated[Range, Tag("[range]")]
    | Annotated[tuple[Value, ...], Field(min_length=1, max_length=100), Tag("[list]")],
    Discriminator(lambda axis: "[range]" if isinstance(axis, dict | Range) else "[list]")]


class SweepSettings(Settings):
    """The settings of a sweep, as in a ``sweep.toml``."""

    name: str = setting("sweep", "Name", "Name of the sweep: another sweep of the same name reuses "
                        "its runs.", group="Sweep", min_length=1, max_length=80)
    model: str = setting("", "Model", "The model to train; without a name, that of the lab's first "
                         "page.", group="Sweep")
    search: Literal["grid", "random"] = setting(
        "grid", "Search", "Every combination of the values, or some drawn at random.",
        group="Sweep")
    trials: int = setting(20, "Trials", "Number of combinations that a random search draws.",
                          group="Sweep", ge=1, le=MAX_RUNS)
    seed: int = setting(0, "Seed", "Seed of the random search.", group="Sweep", ge=0,
                        le=2**31 - 1)
    seeds: int = setting(1, "Seeds", "Number of trainings of each combination, with the seeds 0, "
                         "1, 2, …", group="Sweep", ge=1, le=50)
    measure: Literal["kl", "test_nll"] = setting(
        "kl", "Measure", "The measure that the picture shows, in nats: less is better.",
        group="Sweep")
    settings: dict[str, Value] = Field(
        default={}, description="Settings that all runs have in common, where they are not the "
        "defaults.")
    sweep: dict[str, Axis] = Field(
        default={}, description="The values of each setting that is swept.")

    @field_validator("sweep")
    @classmethod
    def _some(cls, sweep: dict) -> dict:
        if not 1 <= len(sweep) <= 8 or "seed" in sweep:
            raise ValueError("sweep one to eight settings; for several seeds, set seeds")
        return sweep

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a sweep from a TOML file.

        Raises
        ------
        ValueError
            With one sentence, when it is not a sweep.
        OSError
            When it cannot be read.
        """
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"{path} is too large for a sweep: choose another file.")
        text = read_text(path)
        try:
            return cls.model_validate(_read(text))
        except ValidationError as error:
            raise ValueError(f"{path}: {describe(error)}") from error
        except ValueError as error:
            raise ValueError(f"{path} is not written as TOML: {shown(str(error), 200)}."
                             ) from error

    def toml(self) -> str:
        """The text of the sweep's TOML file."""
        values = {"model": self.model} | self.model_dump(mode="json", exclude_defaults=True)
        tables = {name: values.pop(name, {}) for name in ("settings", "sweep")}
        lines = [f"{key} = {_toml(value)}" for key, value in values.items()]
        for name, table in tables.items():
            if table:
                lines += ["", f"[{name}]", *(f"{k} = {_toml(v)}" for k, v in table.items())]
        return "\n".join([*lines, ""])


@dataclass(frozen=True)
class Point:
    """One training of a sweep.

    Attributes
    ----------
    values : dict
        Its values of the swept settings.
    seed : int
    settings : RunSettings
        All its settings.
    """

    values: dict[str, Any]
    seed: int
    settings: RunSettings


def points(sweep: SweepSettings, run: type[RunSettings]) -> list[Point]:
    """The points of a sweep; ``run`` is the settings class of the model's runs.

    Raises
    ------
    ValueError
        With one sentence, for a setting that is unknown or out of bounds, or for too many runs.
    """
    fields = run.fields()
    budgets = [name for name in ("epochs", "optimiser_steps", "seconds")
               if sweep.settings.get(name) or name in sweep.sweep]
    if len(budgets) > 1:
        raise ValueError(f"{' and '.join(budgets)} are given, and a training has one budget: leave "
                         "the others out.")
    axes = {name: axis if isinstance(axis, Range) else tuple(axis)
            for name, axis in sweep.sweep.items()}
    size = sweep.seeds * (sweep.trials if sweep.search == "random" else math.prod(
        axis.count if isinstance(axis, Range) else len(axis) for axis in axes.values()))
    if size > MAX_RUNS:
        raise ValueError(f"This sweep has {size:,} runs, and {MAX_RUNS:,} are allowed: give fewer "
                         "values or seeds, or search at random.")

    def fitting(name: str, value: Any) -> Any:
        whole = (name in fields and fields[name].annotation is int and isinstance(value, float)
                 and math.isfinite(value))
        return round(value) if whole else value

    if sweep.search == "grid":
        grids = [axis.grid() if isinstance(axis, Range) else axis for axis in axes.values()]
        combinations = list(itertools.product(*grids))
    else:
        rng = np.random.default_rng(sweep.seed)
        combinations = [
            tuple(axis.at(rng.random()) if isinstance(axis, Range)
                  else axis[rng.integers(len(axis))] for axis in axes.values())
            for _ in range(sweep.trials)]
    found: dict[str, Point] = {}  # without duplicates, which rounding can cause
    for combination in combinations:
        values = {name: fitting(name, value)
                  for name, value in zip(axes, combination, strict=True)}
        for seed in range(sweep.seeds):
            try:
                settings = run.from_flat({**sweep.settings, **values, "seed": seed})
            except ValidationError as error:
                raise ValueError(describe(error)) from error
            own = {name: settings.flat()[name] for name in values}
            found.setdefault(settings.model_dump_json(), Point(own, seed, settings))
    return list(found.values())


def _read(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("its brackets are too deep") from error


def _toml(value: Any) -> str:
    """Write a value as TOML; texts, numbers and lists of JSON are valid TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)
