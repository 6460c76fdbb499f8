"""Measure Flow Lab beside other libraries: ``make benchmark``, or ``python benchmarks/run.py``.

Every library has a process of its own, and they take turns, so that a machine that slows down for
a while is unfair to none. Writes medians to ``results.json`` and, by ``report.py``, ``RESULTS.md``.
"""

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from statistics import fmean, median
from typing import Any

import report

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent)]

from flowlab.data import targets  # noqa: E402

LIBRARIES = ("flow_lab", "normflows_", "zuko_", "freia", "torchflows_", "nflows_", "flowjax_")
TARGETS = ("moons", "circles", "spiral", "eight_gaussians", "checkerboard", "pinwheel")
RATES = (1e-3, 3e-3, 1e-2)  # of the peers, where no others are given
MODELS = ("nice", "realnvp", "glow", "spline")
#: Model, dimension, batch size.
SIZES = (("realnvp", 2, 256), ("nice", 2, 256), ("glow", 2, 256), ("realnvp", 8, 256),
         ("realnvp", 64, 256), ("realnvp", 2, 4096), ("spline", 2, 256), ("spline", 8, 256))


class Library:
    """A library's process."""

    def __init__(self, module: str, threads: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "worker.py", module, str(threads)], cwd=HERE, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.module = module
        self.about = self.ask("about")

    def ask(self, task: str, **job: Any) -> dict[str, Any]:
        """Do one job and return its answer."""
        print(json.dumps({"task": task, **job}), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.module} ended while it did {task} {job}: run worker.py by "
                               "hand to see why.")
        return json.loads(line)


def main() -> None:
    """Run what the options ask for."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--rounds", type=int, default=5, help="turns of each library (default 5)")
    p.add_argument("--seconds", type=float, default=3, help="length of a turn (default 3)")
    p.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    p.add_argument("--seeds", type=int, default=3, help="of time to quality (default 3)")
    p.add_argument("--budget", type=float, default=20, help="seconds a peer trains (default 20)")
    p.add_argument("--rates", type=float, nargs="+", default=RATES, metavar="RATE",
                   help="learning rates from which each peer gets its best")
    p.add_argument("--only", nargs="+", default=list(PARTS), choices=list(PARTS),
                   help="parts to measure; the others stay as they are in results.json")
    p.add_argument("--models", nargs="+", default=MODELS, choices=MODELS,
                   help="of speed and defaults; rows of the others stay")
    p.add_argument("--libraries", nargs="+", default=LIBRARIES, choices=LIBRARIES)
    p.add_argument("--large", type=int, default=1_000_000, help="points of the large evaluation")
    options = p.parse_args()
    path = HERE / "results.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    if "speed" in options.only:  # whose turns the report names
        results.update(machine=machine(), date=time.strftime("%Y-%m-%d"), options=vars(options))
    for threads in options.threads:
        libraries = [Library(module, threads) for module in options.libraries]
        if threads == 1:
            known = {about["name"]: about for about in results.get("libraries", [])}
            known.update({library.about["name"]: library.about for library in libraries})
            results["libraries"] = list(known.values())
        for part in options.only:
            if part == "speed" or threads == 1:
                rows = PARTS[part](libraries, threads, options)
                old = [r for r in results.get(part, []) if r.get("threads", 1) != threads
                       or r.get("model", options.models[0]) not in options.models]
                results[part] = old + rows
                path.write_text(json.dumps(results, indent=1) + "\n")
        for library in libraries:
            library.process.stdin.close()
            library.process.wait()
    (HERE / "RESULTS.md").write_text(report.markdown(results))


def speed(libraries: list[Library], threads: int, options: Any) -> list[dict[str, Any]]:
    """Training steps a second, several turns of each library."""
    rows = []
    for model, dimension, batch in [size for size in SIZES if size[0] in options.models]:
        able = [library for library in libraries if model in library.about["models"]]
        rounds: dict[str, list[float]] = {library.about["name"]: [] for library in able}
        for _ in range(options.rounds):
            for library in able:
                answer = library.ask("speed", model=model, dimension=dimension, batch=batch,
                                     seconds=options.seconds)
                rounds[library.about["name"]].append(answer["steps_per_second"])
        rows += [{"library": name, "model": model, "dimension": dimension, "batch": batch,
                  "threads": threads, "steps_per_second": median(values)}
                 for name, values in rounds.items()]
        print(threads, model, dimension, batch, rounds, flush=True)
    return rows


def evaluation(libraries: list[Library], threads: int, options: Any) -> list[dict[str, Any]]:
    """Seconds for densities and samples of RealNVP, and the most memory used."""
    rows = []
    for n in (10_000, options.large):
        turns = []
        for _ in range(options.rounds if n == 10_000 else 1):
            for library in libraries:
                answer = library.ask("evaluation", model="realnvp", n=n)
                turns.append({"library": library.about["name"], "points": n, **answer,
                              **library.ask("memory")})
                print(turns[-1], flush=True)
        rows += evaluation_medians(turns)
    return rows


def evaluation_medians(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each library and number of points: median seconds, and the most memory."""
    return [{"library": name, "points": n, "log_prob": median(t["log_prob"] for t in group),
             "sample": median(t["sample"] for t in group),
             "peak_mib": max(t["peak_mib"] for t in group)}
            for (name, n), group in grouped(turns, "library", "points").items()]


def quality(libraries: list[Library], threads: int, options: Any) -> list[dict[str, Any]]:
    """KL against seconds: every peer at its best learning rate, ours at its defaults.

    Which rate is a peer's best on a distribution, its first seed says.
    """
    runs, best = [], {}
    for seed in range(options.seeds):
        for name in TARGETS:
            for library in libraries:
                ours = library.module == "flow_lab"
                found = {}
                for rate in (None,) if ours else best.get(
                        (library.module, name), options.rates):
                    answer = library.ask(
                        "quality", model="realnvp", name=name, learning_rate=rate, seed=seed,
                        seconds=600 if ours else options.budget, points=20_000)
                    last = answer["curve"][-1][-1]
                    found[rate] = last if math.isfinite(last) else math.inf
                    runs.append({"library": library.about["name"], "target": name, "seed": seed,
                                 "learning_rate": rate, **answer})
                    print({**runs[-1], "curve": answer["curve"][-1]}, flush=True)
                if seed == 0:
                    best[library.module, name] = (min(found, key=found.get),)
    return quality_medians(runs)


def quality_medians(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each library and target: medians over the seeds at the best learning rate.

    Ours have besides the seconds until the KL is below that of the best peer.
    """
    best = {key: at_best_rate(group)
            for key, group in grouped(runs, "library", "target").items()}
    rows = []
    for (name, target), group in best.items():
        row = {"library": name, "target": target, "learning_rate": group[0]["learning_rate"],
               "kl": last_kl(group), "seconds": median(r["curve"][-1][0] for r in group),
               "inverse_error": max(r["inverse_error"] for r in group)}
        peers = [last_kl(other) for (peer, where), other in best.items()
                 if where == target and not peer.startswith(report.OURS)]
        if name.startswith(report.OURS) and peers:
            row["seconds_to_peer"] = median(time_to(r["curve"], min(peers)) for r in group)
        rows.append(row)
    return rows


def defaults(libraries: list[Library], threads: int, options: Any) -> list[dict[str, Any]]:
    """The KL of each model at its defaults on every distribution, mean of the seeds."""
    ours = next(library for library in libraries if library.module == "flow_lab")
    rows = []
    for name in targets():
        for model in options.models:
            runs = [ours.ask("defaults", model=model, name=name, seed=seed)
                    for seed in range(options.seeds)]
            rows.append({"target": name, "model": model, "kl": fmean(run["kl"] for run in runs),
                         "seconds": fmean(run["seconds"] for run in runs)})
            print(rows[-1], flush=True)
    return rows


def grouped(rows: list[dict[str, Any]], *names: str) -> dict[tuple, list[dict[str, Any]]]:
    """The rows by their values of these names, in the order of their first appearance."""
    groups: dict[tuple, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    return groups


def at_best_rate(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The runs at the learning rate that was taken for all seeds, the best of the first."""
    return min(grouped(runs, "learning_rate").values(),
               key=lambda group: (-len(group), last_kl(group)))


def last_kl(runs: list[dict[str, Any]]) -> float:
    """Median over seeds of the last KL; a training that went wrong counts as infinite."""
    values = [r["curve"][-1][2] for r in runs]
    return median(v if math.isfinite(v) else math.inf for v in values)


def time_to(curve: list[list[float]], level: float) -> float:
    """Seconds until the KL is at most `level`; infinite where it never is."""
    return next((seconds for seconds, _, kl in curve if kl <= level), math.inf)


PARTS = {"speed": speed, "evaluation": evaluation, "quality": quality, "defaults": defaults}


def machine() -> dict[str, Any]:
    """What the measuring is done on."""
    processor = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if "model name" in line]
        processor = lines[0].split(":")[1].strip() if lines else processor
    return {"processor": processor, "cores": os.cpu_count(), "system": platform.platform()}


if __name__ == "__main__":
    main()
