"""The results as Markdown tables: ``python report.py`` writes them anew from ``results.json``."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
OURS = "Flow Lab"


def markdown(results: dict[str, Any]) -> str:
    """The whole report; the remarks at its end come from ``REMARKS.md``."""
    machine, options = results["machine"], results["options"]
    parts = [
        "# Flow Lab beside other libraries\n",
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}; {results['date']}."
        f" One process a library, taking turns; medians of {options['rounds']} turns of"
        f" {options['seconds']:g} s. Eight couplings, MLPs with two hidden layers of 64 ReLU units."
        " Made by `make benchmark`; every number is in `results.json`.\n",
        _table(("Library", "Versions", "Parameters"), (
            (a["name"], ", ".join(f"{k} {v}" for k, v in a["versions"].items()), a["parameters"])
            for a in results["libraries"])),
        *(_speed(results["speed"]) if "speed" in results else ()),
        *(_evaluation(results["evaluation"]) if "evaluation" in results else ()),
        *(_quality(results["quality"]) if "quality" in results else ())]
    remarks = HERE / "REMARKS.md"
    return "\n".join(parts) + ("\n" + remarks.read_text() if remarks.exists() else "")


def _speed(rows: list[dict[str, Any]]) -> list[str]:
    columns = list(dict.fromkeys((r["threads"], r["model"], r["dimension"], r["batch"])
                                 for r in rows))
    value = {(r["library"], r["threads"], r["model"], r["dimension"], r["batch"]):
             median(r["rounds"]) for r in rows}
    parts = ["## Training steps a second\n"]
    for threads in sorted({c[0] for c in columns}):
        own = [c for c in columns if c[0] == threads]
        heads = [f"{model}, dimension {d}, batch {b}" for _, model, d, b in own]
        parts += [f"{threads} thread{'s' * (threads > 1)}:\n", _table(
            ("Library", *heads),
            ([name, *(f"{value[name, *c]:.0f}" if (name, *c) in value else "–" for c in own)]
             for name in _names(rows)))]
    return parts


def _evaluation(rows: list[dict[str, Any]]) -> list[str]:
    sizes = sorted({r["points"] for r in rows})

    def cell(name: str, n: int, what: str) -> str:
        values = [r[what] for r in rows if r["library"] == name and r["points"] == n]
        return f"{1000 * median(values):.1f}" if what != "peak_mib" else f"{max(values):.0f}"

    heads = [f"{what}, {n:,} points, ms" for n in sizes for what in ("density", "sampling")]
    return ["## Densities and samples\n", "RealNVP in the plane, 1 thread.\n", _table(
        ("Library", *heads, "peak memory, MiB"),
        ([name, *(cell(name, n, what) for n in sizes for what in ("log_prob", "sample")),
          cell(name, sizes[-1], "peak_mib")] for name in _names(rows)))]


def _quality(rows: list[dict[str, Any]]) -> list[str]:
    """Each peer at its best learning rate, target by target."""
    targets, peers = list(dict.fromkeys(r["target"] for r in rows)), _names(rows)
    final = {(p, t): min(_kl(g) for g in _by_rate(rows, p, t)) for p in peers for t in targets}
    parts = ["## KL to the truth after training\n",
             "Nats. Peers after their whole time, at their best learning rate of 0.001, 0.003 and "
             "0.01; ours after its default training.\n",
             _table(("Library", *targets), ([p, *(f"{final[p, t]:.3f}" for t in targets)]
                                            for p in peers))]
    others = [p for p in peers if p != OURS]
    if OURS not in peers or not others:
        return parts
    table, ratios = [], []
    for t in targets:
        level = min(final[p, t] for p in others)
        own = [r for r in rows if (r["library"], r["target"]) == (OURS, t)]
        reached = median(_time_to(r["curve"], level) for r in own)
        ratios.append(reached)
        best = min(others, key=lambda p: final[p, t])
        budget = max(r["curve"][-1][0] for r in rows if r["library"] == best)
        error = max(r["inverse_error"] for r in own)
        length = median(r["curve"][-1][0] for r in own)
        table.append((t, f"{level:.3f} ({best}, {budget:.0f} s)",
                      "never" if math.isinf(reached) else f"{reached:.1f}", f"{length:.1f}",
                      f"{error:.1e}"))
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else math.inf
    return [*parts, "Seconds until ours, at its defaults, is below what the best peer reached:\n",
            _table(("Target", "best peer's KL", "ours, seconds", "whole training, s",
                    "inverse error, float32"), table),
            f"Geometric mean: {mean:.1f} s.\n"]


def _by_rate(rows: list[dict[str, Any]], name: str, target: str) -> list[list[dict[str, Any]]]:
    own = [r for r in rows if r["library"] == name and r["target"] == target]
    return [[r for r in own if r["learning_rate"] == rate]
            for rate in {r["learning_rate"] for r in own}]


def _kl(rows: list[dict[str, Any]]) -> float:
    """Median over seeds of the last KL; a training that went wrong counts as infinite."""
    values = [r["curve"][-1][2] for r in rows]
    return median(v if math.isfinite(v) else math.inf for v in values)


def _time_to(curve: list[list[float]], level: float) -> float:
    return next((seconds for seconds, _, kl in curve if kl <= level), math.inf)


def _names(rows: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(r["library"] for r in rows))


def _table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *([str(c) for c in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


if __name__ == "__main__":
    (HERE / "RESULTS.md").write_text(markdown(json.loads((HERE / "results.json").read_text())))
