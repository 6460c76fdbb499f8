"""The results as Markdown tables: ``python report.py`` writes them anew from ``results.json``."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
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
        *(_quality(results["quality"]) if "quality" in results else ()),
        *(_defaults(results["defaults"]) if "defaults" in results else ())]
    remarks = HERE / "REMARKS.md"
    return "\n".join(parts) + ("\n" + remarks.read_text() if remarks.exists() else "")


def _speed(rows: list[dict[str, Any]]) -> list[str]:
    columns = list(dict.fromkeys((r["threads"], r["model"], r["dimension"], r["batch"])
                                 for r in rows))
    value = {(r["library"], r["threads"], r["model"], r["dimension"], r["batch"]):
             r["steps_per_second"] for r in rows}
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
    found = {(r["library"], r["points"]): r for r in rows}
    heads = [f"{what}, {n:,} points, ms" for n in sizes for what in ("density", "sampling")]
    return ["## Densities and samples\n", "RealNVP in the plane, 1 thread.\n", _table(
        ("Library", *heads, "peak memory, MiB"),
        ([name, *(f"{1000 * found[name, n][what]:.1f}" for n in sizes
                  for what in ("log_prob", "sample")),
          f"{found[name, sizes[-1]]['peak_mib']:.0f}"] for name in _names(rows)))]


def _quality(rows: list[dict[str, Any]]) -> list[str]:
    """Each peer at its best learning rate, target by target."""
    targets, names = list(dict.fromkeys(r["target"] for r in rows)), _names(rows)
    found = {(r["library"], r["target"]): r for r in rows}
    parts = ["## KL to the truth after training\n",
             "Nats. Peers after their whole time, at their best learning rate of 0.001, 0.003 and "
             "0.01; ours after its default training.\n",
             _table(("Library", *targets), ([n, *(f"{found[n, t]['kl']:.3f}" for t in targets)]
                                            for n in names))]
    ours = [name for name in names if name.startswith(OURS)]
    peers = [name for name in names if name not in ours]
    if not ours or not peers:
        return parts
    table, times = [], {name: [] for name in ours}
    for t in targets:
        best = min(peers, key=lambda p: found[p, t]["kl"])
        row = [t, f"{found[best, t]['kl']:.3f} ({best}, {found[best, t]['seconds']:.0f} s)"]
        for name in ours:
            reached = found[name, t]["seconds_to_peer"]
            times[name].append(reached)
            row += ["never" if math.isinf(reached) else f"{reached:.1f}",
                    f"{found[name, t]['seconds']:.1f}"]
        error = max(found[name, t]["inverse_error"] for name in ours)
        table.append((*row, f"{error:.1e}"))
    heads = [f"{name}: {what}" for name in ours for what in ("seconds", "whole training, s")]
    means = [f"{name} {_geometric_mean(values):.1f} s" for name, values in times.items()]
    return [*parts, "Seconds until ours, at its defaults, is below what the best peer reached:\n",
            _table(("Target", "best peer's KL", *heads, "inverse error, float32"), table),
            f"Geometric means: {', '.join(means)}.\n"]


def _defaults(rows: list[dict[str, Any]]) -> list[str]:
    """Ours at their defaults, on every distribution."""
    models = list(dict.fromkeys(r["model"] for r in rows))
    found = {(r["target"], r["model"]): r for r in rows}
    seconds = ", ".join(
        f"{model} {_geometric_mean([r['seconds'] for r in rows if r['model'] == model]):.1f} s"
        for model in models)
    return ["## KL at the defaults\n",
            f"Nats, mean of the seeds. A training's seconds of one core, in the mean: {seconds}.\n",
            _table(("Distribution", *models), (
                (target, *(f"{found[target, model]['kl']:.3f}" for model in models))
                for target in dict.fromkeys(r["target"] for r in rows)))]


def _geometric_mean(values: list[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def _names(rows: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(r["library"] for r in rows))


def _table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *([str(c) for c in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


if __name__ == "__main__":
    (HERE / "RESULTS.md").write_text(markdown(json.loads((HERE / "results.json").read_text())))
