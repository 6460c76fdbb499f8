"""The table of a comparison: means over seeds, and what is significantly best."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.stats import t as student

from flowlab.data import target
from flowlab.files import csv_text
from flowlab.studies.comparison.plan import Comparison
from flowlab.studies.comparison.trial import DRAWN, Result

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Measure:
    """One column.

    Attributes
    ----------
    name : str
    title : str
        The heading of the column, with its unit.
    help : str
        One sentence for students.
    better : str
        ``"low"`` or ``"high"``; empty where neither is better.
    style : str
        The format specification of values.
    """

    name: str
    title: str
    help: str
    better: str = "low"
    style: str = ".3f"


def measures(level: float = 0.1) -> tuple[Measure, ...]:
    """The columns of a comparison that measures the time until the KL reaches ``level``."""
    return (
        Measure("kl", "KL to the truth (nats)", "How far the learned density is from the true one, "
                "on 10,000 fresh points; 0 is perfect. It is an estimate, so very near 0 it can "
                "come out below."),
        Measure("nll", "Test NLL (nats)", "Negative log-likelihood of the same points: the KL plus "
                "their mean −log p under the true density, which is the entropy of the data up to "
                "the chance of these points."),
        Measure("bits", "Bits/dim", "The same in bits per dimension: divided by D ln 2."),
        Measure("energy", "Energy distance", "How different the samples are from the data: 0 where "
                "they cannot be distinguished. From 2,000 points each; unbiased, so it scatters "
                "around 0.",
                style=".4f"),
        Measure("modes", "Modes found", "Share of the separate clusters that get at least a "
                "fifth of the samples they should; only where the clusters are known.", "high",
                ".0%"),
        Measure("reached", f"Seconds to KL {level:g}", f"Training time until the KL was first at "
                f"{level:g} nats or less after an epoch, on the run's own test points; a dash "
                "where it never was.", style=".2f"),
        Measure("speed", "Steps/s", "Optimiser steps per second of training, under the machine's "
                "load at that time.", "high", ",.0f"),
        Measure("sampling", f"ms for {DRAWN:,} samples", "Median time to draw them.", style=",.0f"),
        Measure("inverse", "Inverse error", "The largest distance between a point and what comes "
                "back from the latent space, in data units: rounding, harmless below 0.001, and "
                "therefore never marked as best.", "", ".0e"),
        Measure("parameters", "Parameters", "Number of learned parameters.", "", ",.0f"),
    )


@dataclass(frozen=True)
class Statistic:
    """A measure over seeds.

    Attributes
    ----------
    values : tuple of float
        One value for each seed that has one.
    of : int
        Number of seeds.
    """

    values: tuple[float, ...]
    of: int

    @property
    def whole(self) -> bool:
        """Whether there are seeds and every seed has a value."""
        return len(self.values) == self.of > 0

    @property
    def mean(self) -> float:
        """Mean over the seeds; NaN without values."""
        return statistics.fmean(self.values) if self.values else math.nan

    @property
    def error(self) -> float:
        """Standard error of the mean; NaN with fewer than two values."""
        if len(self.values) < 2:
            return math.nan
        return statistics.stdev(self.values) / math.sqrt(len(self.values))

    def write(self, style: str) -> str:
        """Mean ± standard error, and the number of seeds with a value where some lack one."""
        if not self.values:
            return "–"
        text = format(self.mean, style)
        if len(set(self.values)) > 1:
            text += f" ± {format(self.error, style)}"
        if not self.whole:
            text += f" ({len(self.values)} of {self.of})"
        return text.replace("-", "\N{MINUS SIGN}")


def surely_less(one: Statistic, other: Statistic) -> bool:
    """Whether the mean of ``one`` is significantly lower than that of ``other``.

    Welch's two-sided test: the difference of the means must exceed its standard error times
    Student's t for `CONFIDENCE`, at the degrees of freedom of Welch and Satterthwaite. With fewer
    than two seeds, no difference is significant.
    """
    if not (one.whole and other.whole) or min(len(one.values), len(other.values)) < 2:
        return False
    difference = other.mean - one.mean
    a, b = one.error ** 2, other.error ** 2
    if a + b == 0:
        return difference > 0
    freedom = (a + b) ** 2 / (a ** 2 / (len(one.values) - 1) + b ** 2 / (len(other.values) - 1))
    return difference > math.sqrt(a + b) * student.ppf((1 + CONFIDENCE) / 2, freedom)


def best(column: Sequence[Statistic], better: str) -> int | None:
    """The index of the one that is significantly better than every other, or None."""
    if better == "high":
        column = [Statistic(tuple(-value for value in s.values), s.of) for s in column]
    for i, one in enumerate(column):
        others = [other for j, other in enumerate(column) if j != i]
        if better and others and all(surely_less(one, other) for other in others):
            return i
    return None


@dataclass(frozen=True)
class Row:
    """A model, or a finished run, on a distribution.

    Attributes
    ----------
    data, label : str
    entry : int
        Index of the model in the comparison.
    statistics : dict of str to Statistic
        The statistics by names of measures.
    best : frozenset of str
        Names of the measures in which it is the best model on this distribution.
    elsewhere : str
        The distribution that a finished run was trained on, where it is another one; then it has no
        measures here.
    """

    data: str
    label: str
    entry: int
    statistics: Mapping[str, Statistic]
    best: frozenset[str]
    elsewhere: str = ""


@dataclass(frozen=True)
class Table:
    """All rows; `columns` are the measures that exist for any of the distributions."""

    columns: tuple[Measure, ...]
    rows: tuple[Row, ...]

    def csv(self) -> str:
        """The table as CSV, unrounded: mean, standard error, number of seeds, whether best."""
        head = [f"{m.name}{part}" for m in self.columns for part in ("", "_se", "_n", "_best")]
        rows: list[list[object]] = [["distribution", "model", *head]]
        for row in self.rows:
            cells = [cell for m in self.columns for cell in (
                _finite(row.statistics[m.name].mean), _finite(row.statistics[m.name].error),
                len(row.statistics[m.name].values), int(m.name in row.best))]
            rows.append([row.data, row.label, *cells])
        return csv_text(rows)

    def latex(self) -> str:
        """The table as a ``tabular`` for the booktabs package, the best values in bold."""
        head = " & ".join(["Distribution", "Model", *(_latex(m.title) for m in self.columns)])
        lines = [rf"\begin{{tabular}}{{ll{'r' * len(self.columns)}}}", r"\toprule", head + r" \\"]
        last = None
        for row in self.rows:
            if row.data != last:
                lines.append(r"\midrule")
            cells = [_latex(row.data) if row.data != last else "", _latex(row.label)]
            last = row.data
            for m in self.columns:
                text = _latex(row.statistics[m.name].write(m.style))
                cells.append(rf"\textbf{{{text}}}" if m.name in row.best else text)
            lines.append(" & ".join(cells) + r" \\")
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])

    def text(self) -> str:
        """The table for a terminal, with stars at the best values."""
        cells = [["distribution", "model", *(m.title for m in self.columns)]]
        cells += [[row.data, row.label, *(
            row.statistics[m.name].write(m.style) + (" *" if m.name in row.best else "")
            for m in self.columns)] for row in self.rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True))
                         .rstrip() for line in cells) + "\n"


def table(comparison: Comparison, results: Mapping[tuple[int, str, int], Result],
          labels: Sequence[str] | None = None, runs: Sequence[str] = ()) -> Table:
    """Make the table of the results so far.

    Parameters
    ----------
    comparison : Comparison
    results : mapping
        From entry, distribution and seed to the result.
    labels : sequence of str, optional
        Display names of models and finished runs.
    runs : sequence of str, optional
        The distribution of each finished run. Since a finished run is a single training with its
        own budget, it is measured, but never marked as best.
    """
    labels = comparison.labels() if labels is None else labels
    every = measures(comparison.level)
    models, rows = len(comparison.models), []
    for data in comparison.data:
        some = []
        for entry in range(len(labels)):
            found = [results[key] for seed in range(comparison.seeds)
                     if (key := (entry, data, seed)) in results]
            some.append({m.name: Statistic(tuple(value for r in found if (
                                                     value := r.values[m.name]) is not None),
                                           len(found))
                         for m in every})
        # No model is best before the results of all seeds are in.
        whole = all(s["nll"].of == comparison.seeds for s in some[:models])
        winners = {m.name: best([s[m.name] for s in some[:models]], m.better)
                   for m in every if whole}
        elsewhere = [""] * models + [own if own != data else "" for own in runs]
        rows += [Row(data, label, entry, some[entry], frozenset(
            name for name, winner in winners.items() if winner == entry), elsewhere[entry])
            for entry, label in enumerate(labels)]
    truths = [target(name) for name in comparison.data]
    absent = set()
    if all(truth.entropy is None for truth in truths):
        absent |= {"kl", "reached"}
    if all(truth.modes is None for truth in truths):
        absent.add("modes")
    return Table(tuple(m for m in every if m.name not in absent), tuple(rows))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _latex(text: str) -> str:
    """Escape the special characters of LaTeX."""
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
               **{c: "\\" + c for c in "&%$#_{}"}, "±": r"$\pm$", "\N{MINUS SIGN}": "$-$",
               "–": "--"}
    return "".join(special.get(c, c) for c in text)
