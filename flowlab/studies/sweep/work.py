"""Runs a sweep: submits its untrained points, and summarises the trained ones."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from flowlab import figures
from flowlab.files import csv_text
from flowlab.runs import Recorder, Run, Store
from flowlab.settings import RunSettings
from flowlab.studies.submit import check, submit
from flowlab.studies.sweep.plan import Point, SweepSettings, points
from flowlab.training.recipe import Recipe

MEASURES = {"kl": "KL to the truth (nats)", "test_nll": "Test NLL (nats)"}


@dataclass(frozen=True)
class Trained:
    """A point of a sweep, and its run in the store, or None."""

    point: Point
    run: Run | None

    def measure(self, name: str) -> float | None:
        """The run's number of this name, where the run is complete."""
        run = self.run
        return getattr(run.moment, name, None) if run is not None and run.complete else None


class Sweep:
    """A sweep whose runs are in a store.

    Parameters
    ----------
    settings : SweepSettings
    recipe : Recipe
        The model's.
    store : Store
    visitor : str
        Its owner: runs of others are not reused.

    Raises
    ------
    ValueError
        As `flowlab.studies.sweep.plan.points`.
    """

    def __init__(self, settings: SweepSettings, recipe: Recipe, store: Store,
                 visitor: str = "") -> None:
        self.settings, self.recipe, self.store, self.visitor = settings, recipe, store, visitor
        self.group = group_of(settings.name, settings.model, visitor)
        self.points = points(settings, recipe.Run)

    def check(self) -> None:
        """Check that the settings of every point fit each other.

        Raises
        ------
        ValueError
            With one sentence on the first point that cannot be trained.
        """
        for point in self.points:
            check(self._name(point), point.settings)

    def state(self) -> list[Trained]:
        """Every point with its best run in the store: a complete one before an active one."""
        runs: dict[str, Run] = {}
        for run in self.store.runs(group=self.group):
            text = _current(run.text)
            known = runs.get(text)
            if known is None or (run.complete, run.active) > (known.complete, known.active):
                runs[text] = run
        return [Trained(point, runs.get(point.settings.model_dump_json()))
                for point in self.points]

    def left(self) -> list[Trained]:
        """The points that are neither trained nor in training."""
        return [t for t in self.state() if t.run is None or not (t.run.complete or t.run.active)]

    def start(self, recorder: Recorder, owner: str = "sweep") -> list[str]:
        """Submit the points that are left, and return the ids of their runs.

        An interrupted run resumes from its last checkpoint, or starts again where it has none.

        Raises
        ------
        ValueError
            As `check`, before any is submitted.
        """
        self.check()
        self.store.choose(self.group, self.settings.model_dump_json())  # its page opens with them
        return [submit(recorder, self.recipe.train, left.point.settings, left.run, owner,
                       origin="sweep", group=self.group, name=self._name(left.point),
                       visitor=self.visitor) for left in self.left()]

    def table(self) -> str:
        """All points as CSV, with the numbers of the trained ones."""
        names = list(self.settings.sweep)
        numbers = ("epoch", "step", "seconds", "train_nll", "test_nll", "kl", "inverse_error")
        rows: list[list[Any]] = [[
            *names, "seed", "outcome", "epochs", "steps", "seconds", "train_nll_nats",
            "test_nll_nats", "kl_nats", "inverse_error", "run"]]
        for trained in self.state():
            point, run = trained.point, trained.run
            moment = run.moment if run is not None else None
            rows.append([*(text(point.values[name]) for name in names), point.seed,
                         run.outcome if run is not None else "not trained",
                         *(getattr(moment, name, None) for name in numbers),
                         run.id if run is not None else ""])
        return csv_text(rows)

    def axes(self) -> list[list[Any]]:
        """The values of each setting, in order."""
        return [[*dict.fromkeys(point.values[name] for point in self.points)]
                for name in self.settings.sweep]

    def at(self, across: float, down: float) -> Run | None:
        """The run in a cell of the picture, by shares from the upper left corner; None elsewhere.

        With several seeds it is the first.
        """
        if len(axes := self.axes()) != 2 or self.settings.search == "random":
            return None
        place = figures.cell(across, down, *map(len, axes))
        wanted = place and tuple(values[i] for values, i in zip(axes, place, strict=True))
        return next((t.run for t in self.state() if tuple(t.point.values.values()) == wanted), None)

    def figure(self, theme: str = "light") -> Figure | None:
        """Draw a heat map for a grid of two settings, otherwise parallel coordinates.

        It shows means over the seeds; None while nothing is trained.
        """
        scores: dict[tuple, list[float]] = {}
        for trained in self.state():
            score = trained.measure(self.settings.measure)
            if score is not None:
                scores.setdefault(tuple(trained.point.values.values()), []).append(score)
        if not scores:
            return None
        what, names = MEASURES[self.settings.measure], [
            title(self.recipe.Run, name) for name in self.settings.sweep]
        means = {values: float(np.mean(found)) for values, found in scores.items()}
        if len(names) != 2 or self.settings.search == "random":
            return figures.parallel(names, [list(column) for column in zip(*means, strict=True)],
                                    list(means.values()), what, theme=theme)
        rows, columns = self.axes()
        grid = np.full((len(rows), len(columns)), np.nan)
        for (row, column), mean in means.items():
            grid[rows.index(row), columns.index(column)] = mean
        return figures.heat_map(grid, [text(r) for r in rows], [text(c) for c in columns], names,
                                what, theme=theme)

    def _name(self, point: Point) -> str:
        return f"{self.settings.name}: " + ", ".join(
            [*(f"{name} {text(value)}" for name, value in point.values.items()),
             *([f"seed {point.seed}"] if self.settings.seeds > 1 else [])])


def group_of(name: str, model: str, visitor: str) -> str:
    """The id of a sweep's group."""
    return "sweep:" + hashlib.sha256("\n".join(filter(None, (
        name, model, visitor))).encode()).hexdigest()[:16]


def recovered(store: Store, group: str) -> SweepSettings | None:
    """The settings of a grid whose runs are stored, but not its settings; None where unclear."""
    runs = store.runs(group=group)
    try:
        flat = [run.settings.flat() for run in runs]
        default = type(runs[0].settings).from_flat({}).flat()
    except (ValueError, IndexError):  # of another version, or there are none
        return None
    name = next((name for run in runs if group_of(
        name := run.name.partition(": ")[0], run.model, run.visitor) == group), None)
    values = {setting: tuple(dict.fromkeys(one[setting] for one in reversed(flat)))
              for setting in default}
    seeds = values.pop("seed")
    swept = {setting: found for setting, found in values.items() if len(found) > 1}
    named = runs[0].name.partition(": ")[2].partition(" ")[0]
    if not swept and named in values:  # a single value
        swept[named] = values[named]
    combinations = {tuple(one[setting] for setting in swept) for one in flat}
    random = len(swept) > 1 and any(len(found) == len(combinations) for found in swept.values())
    if name is None or not swept or random:
        return None
    return SweepSettings(
        name=name, model=runs[0].model, seeds=max(seeds) + 1, sweep=swept,
        settings={setting: found[0] for setting, found in values.items()
                  if setting not in swept and found[0] != default[setting]})


@lru_cache(4096)
def _current(text: str) -> str:
    """A run's settings as this version writes them, where an earlier one wrote them."""
    try:
        return RunSettings.read(text).model_dump_json()
    except ValueError:
        return text


def text(value: Any) -> str:
    """A setting's value as text, for people and tables."""
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def counts(state: Sequence[Trained]) -> dict[str, int]:
    """The numbers of points that are complete, running and left."""
    done = sum(t.run is not None and t.run.complete for t in state)
    active = sum(t.run is not None and t.run.outcome == "running" for t in state)
    return {"complete": done, "running": active, "left": len(state) - done - active}


def title(run: type[RunSettings], name: str) -> str:
    """The title of a setting."""
    return run.fields()[name].title or name
