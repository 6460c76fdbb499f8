"""The settings of a comparison: models, distributions, an equal budget; and its trainings."""

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, unquote

from pydantic import Field, ValidationError, ValidationInfo, field_validator

from flowlab.data import target
from flowlab.settings import RunSettings, Settings, describe, setting
from flowlab.studies.comparison.sizes import fitted
from flowlab.training import Progress
from flowlab.training.recipe import Recipe

#: Settings that the comparison fixes for all its models.
COMMON = ("data", "noise", "points", "test_fraction", "seed", "epochs", "optimiser_steps",
          "seconds", "event_shape", "classes", "device")
MAX_ENTRIES = 6  # models and runs in one comparison: more cannot be distinguished by colour
NONE = "none"  # the models in a link where only finished runs are compared
MAX_DISTRIBUTIONS = 8
MAX_LABEL = 24  # characters
MAX_EPOCHS = 10_000  # maximum number of epochs of a training
MIN_PARAMETERS = 100  # minimum number of parameters
#: Least and largest amount of each budget.
LIMITS = {"epochs": (1, MAX_EPOCHS), "steps": (1, 100_000), "seconds": (0.1, 600)}


class Entry(Settings):
    """One model in a comparison, with the settings that differ from its defaults."""

    model: str = Field(min_length=1, max_length=32)
    label: str = Field("", max_length=MAX_LABEL)
    settings: dict[str, str] = {}

    @field_validator("label")
    @classmethod
    def _one_line(cls, label: str) -> str:
        return "".join(filter(str.isprintable, label)).strip()

    @field_validator("settings")
    @classmethod
    def _own(cls, settings: dict[str, str]) -> dict[str, str]:
        for name in settings:
            if name in COMMON:
                raise ValueError(f"{name} is the same for all models: leave it out")
        return settings

    def text(self) -> str:
        """The entry as in a link, ``realnvp:couplings=4:label=small``."""
        pairs = {**self.settings, **({"label": self.label} if self.label else {})}
        return ":".join([self.model, *(f"{k}={quote(v, safe=',. ')}" for k, v in pairs.items())])

    @classmethod
    def from_text(cls, text: str) -> "Entry":
        """Read the entry that `text` wrote."""
        model, *pairs = text.split(":")
        settings = {}
        for pair in pairs:
            name, _, value = pair.partition("=")
            settings[name.strip()] = unquote(value)
        return cls(model=model.strip(), label=settings.pop("label", ""), settings=settings)


class Comparison(Settings):
    """The settings of one comparison; written as texts in links and on the command line."""

    models: tuple[Entry, ...] = setting(
        (), "Models", "The models to compare, separated by semicolons, each with its own settings "
        "where they differ from the defaults, such as nice;realnvp:couplings=4:label=small.",
        group="Compare")
    runs: tuple[str, ...] = setting(
        (), "Finished runs", "Ids of finished runs, separated by commas: they are measured beside "
        "the models and not trained again. With models=none only these runs are compared.",
        group="Compare")
    data: tuple[str, ...] = setting(
        ("moons",), "Distributions", "The distributions that all models learn.", group="Compare")
    budget: Literal["epochs", "steps", "seconds"] = setting(
        "epochs", "Equal", "The budget that is equal for all models: passes over the points, "
        "optimiser steps, or seconds of training.", group="Budget")
    amount: float = setting(
        20.0, "Amount", "Size of the budget of each model.", group="Budget", gt=0, le=100_000)
    parameters: int = setting(
        0, "Parameters", "Number of parameters that all models are given, by the width of their "
        "networks; 0 leaves them as they are.", group="Budget", ge=0, le=10_000_000)
    seeds: int = setting(
        1, "Seeds", "Number of trainings of each model, with different points, initial weights "
        "and batches: only then can a difference be distinguished from chance.", group="Budget",
        ge=1, le=10)
    points: int = setting(
        5_000, "Points", "Number of points drawn for each training; a fifth of them is held out.",
        group="Budget", unit="points", ge=50, le=200_000)
    level: float = setting(
        0.1, "Level", "The time until the KL first reaches this level is measured.",
        group="Budget", unit="nats", ge=0.001, le=10)

    @field_validator("models", mode="before")
    @classmethod
    def _read_models(cls, models: object) -> object:
        if isinstance(models, str):
            if models.strip() == NONE:
                return ()
            return tuple(Entry.from_text(part) for part in models.split(";") if part.strip())
        return models

    @field_validator("data", "runs", mode="before")
    @classmethod
    def _read_names(cls, names: object) -> object:
        return tuple(filter(None, names.split(","))) if isinstance(names, str) else names

    @field_validator("models")
    @classmethod
    def _few_models(cls, models: tuple[Entry, ...]) -> tuple[Entry, ...]:
        if len(models) > MAX_ENTRIES:
            raise ValueError(f"compare up to {MAX_ENTRIES} models at a time")
        return models

    @field_validator("runs")
    @classmethod
    def _few_runs(cls, runs: tuple[str, ...]) -> tuple[str, ...]:
        if len(runs) > MAX_ENTRIES or len(set(runs)) < len(runs) or not all(
                run.isascii() and run.isalnum() and len(run) <= 64 for run in runs):
            raise ValueError(f"give the ids of up to {MAX_ENTRIES} different runs")
        return runs

    @field_validator("data")
    @classmethod
    def _few_distributions(cls, data: tuple[str, ...]) -> tuple[str, ...]:
        if not 1 <= len(data) <= MAX_DISTRIBUTIONS or len(set(data)) < len(data):
            raise ValueError(f"choose from one to {MAX_DISTRIBUTIONS} different distributions")
        return data

    @field_validator("amount")
    @classmethod
    def _possible(cls, amount: float, known: ValidationInfo) -> float:
        low, high = LIMITS.get(known.data.get("budget", ""), (0, math.inf))
        if not low <= amount <= high:
            raise ValueError(f"give from {low:g} to {high:,} {known.data['budget']}")
        return amount

    @field_validator("parameters")
    @classmethod
    def _some(cls, parameters: int) -> int:
        if 0 < parameters < MIN_PARAMETERS:
            raise ValueError(f"give at least {MIN_PARAMETERS}, or 0 to leave the models as they "
                             "are")
        return parameters

    def texts(self) -> dict[str, str]:
        """The fields that differ from the defaults, as text that pydantic reads."""
        written = {"models": ";".join(entry.text() for entry in self.models),
                   "data": ",".join(self.data), "amount": f"{self.amount:g}",
                   "runs": ",".join(self.runs)}
        texts = {name: written.get(name, str(getattr(self, name)))
                 for name, field in type(self).model_fields.items()
                 if getattr(self, name) != field.default}
        return texts if self.models or not self.runs else {"models": NONE} | texts

    def labels(self, titles: Mapping[str, str] | None = None, runs: Sequence[str] = ()
               ) -> tuple[str, ...]:
        """A unique name for each entry: its label or the model's name, numbered where needed.

        The names of the finished runs follow, numbered likewise.
        """
        names = [entry.label or (titles or {}).get(entry.model, entry.model)
                 for entry in self.models] + list(runs)
        return tuple(name if names.count(name) == 1 else f"{name} ({names[:i + 1].count(name)})"
                     for i, name in enumerate(names))


@dataclass(frozen=True)
class Trial:
    """One training of a comparison.

    Attributes
    ----------
    entry : int
        Index of the model among the comparison's.
    data : str
        The distribution.
    seed : int
    train : callable
        The recipe's ``train``.
    settings : RunSettings
        The settings of the run.
    level : float
        The KL in nats until which the time is measured.
    """

    entry: int
    data: str
    seed: int
    train: Callable[..., Generator[Progress, float | None, None]]
    settings: RunSettings
    level: float = 0.1


def plan(comparison: Comparison, recipes: Mapping[str, Recipe]) -> list[Trial]:
    """The trainings of a comparison, all of the first seed before those of the second.

    Parameters
    ----------
    comparison : Comparison
    recipes : mapping of str to Recipe
        The recipes by names of models, as ``models.RECIPES``.

    Raises
    ------
    ValueError
        With one sentence that says what to change.
    """
    if not comparison.models and not comparison.runs:
        raise ValueError("Nothing to compare: choose at least one model.")
    runs = [settings_of(entry, comparison, recipes) for entry in comparison.models]
    for name in comparison.data:
        if target(name).event_shape != (2,):
            raise ValueError("These own data have more than two columns; a comparison is about "
                             "points of the plane.")
    return [Trial(entry, data, seed, recipes[comparison.models[entry].model].train,
                  type(run).from_flat(run.flat() | {"data": data, "seed": seed}),
                  comparison.level)
            for seed in range(comparison.seeds) for data in comparison.data
            for entry, run in enumerate(runs)]


def settings_of(entry: Entry, comparison: Comparison, recipes: Mapping[str, Recipe]
                ) -> RunSettings:
    """An entry's settings in a comparison, the distribution and the seed at their defaults.

    Raises
    ------
    ValueError
        With one sentence that says what to change.
    """
    if entry.model not in recipes:
        raise ValueError(f"There is no model {entry.model!r}: choose from {', '.join(recipes)}.")
    recipe = recipes[entry.model]
    amount = comparison.amount if comparison.budget == "seconds" else round(comparison.amount)
    budget = {"steps": "optimiser_steps"}.get(comparison.budget, comparison.budget)
    common = {"points": str(comparison.points), budget: str(amount)}
    try:
        run = recipe.Run.from_texts(entry.settings | common)
    except ValidationError as error:
        raise ValueError(f"{recipe.title}: {describe(error)}") from error
    if comparison.parameters:
        flow = dict(run.flow) | {"hidden": fitted(recipe.model, run.flow, comparison.parameters)}
        run = recipe.Run.from_flat(run.flat() | flow)
    return run
