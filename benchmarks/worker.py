"""One library in one process: reads jobs from standard input, one JSON object a line, answers each.

Started by ``run.py``; ``python worker.py LIBRARY THREADS``.
"""

import importlib
import json
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

THREADS = int(sys.argv[2])
# Both before the libraries are imported: they read the environment and count the cores only once.
os.environ.update(OMP_NUM_THREADS=str(THREADS), XLA_FLAGS=(
    f"--xla_cpu_multi_thread_eigen={'true' if THREADS > 1 else 'false'}"
    f" intra_op_parallelism_threads={THREADS}"))
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
sys.path[:0] = [str(Path(__file__).parents[1])]

import numpy as np  # noqa: E402
import torch  # noqa: E402

from flowlab.data import target  # noqa: E402

torch.set_num_threads(THREADS)
adapter = importlib.import_module(f"adapters.{sys.argv[1]}")
POINTS = 8192
running: dict[tuple[str, int, int], Iterator[int]] = {}


def points(dimension: int, n: int) -> np.ndarray:
    """Standard points to time with: moons, as many side by side as the dimension takes."""
    pairs = [target("moons").sample(n, seed=i) for i in range((dimension + 1) // 2)]
    x = torch.cat(pairs, 1)[:, :dimension]
    return ((x - x.mean(0)) / x.std(0)).numpy()


def speed(model: str, dimension: int, batch: int, seconds: float) -> dict[str, float]:
    """Training steps a second, over at least ``seconds``, after a warm-up."""
    key = model, dimension, batch
    if key not in running:
        running[key] = adapter.Adapter(model, dimension, 0).fit(
            points(dimension, max(POINTS, 4 * batch)), 1e-3, batch)
        _steps(running[key], 20)
    return {"steps_per_second": _steps(running[key], 10, seconds)}


def _steps(fit: Iterator[int], least: int, seconds: float = 0) -> float:
    start, steps = time.perf_counter(), 0
    while steps < least or time.perf_counter() - start < seconds:
        steps += next(fit)
    return steps / (time.perf_counter() - start)


def evaluation(model: str, n: int) -> dict[str, float]:
    """Seconds for the log-density of ``n`` points and for drawing ``n``, medians."""
    flow, x = adapter.Adapter(model, 2, 0), points(2, n)
    _steps(flow.fit(x[:POINTS], 1e-3, 256), 100)
    return {"log_prob": _median(lambda: flow.log_prob(x)),
            "sample": _median(lambda: flow.sample(n))}


def _median(call: Callable[[], Any]) -> float:
    call()
    times: list[float] = []
    while len(times) < 3 or (sum(times) < 2 and len(times) < 50):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def quality(model: str, name: str, learning_rate: float | None, seed: int, seconds: float,
            points: int) -> dict[str, Any]:
    """KL to the truth against training time; time spent measuring it does not count.

    All see the same standardised points; KL is estimated on 20,000 others.
    """
    truth = target(name)
    x, test = truth.sample(points, seed=seed), truth.sample(20_000, seed=seed + 1000)
    mean, std = x.mean(0), x.std(0)
    x, standard = ((x - mean) / std).numpy(), ((test - mean) / std).numpy()
    log_p = (truth.log_prob(test) + std.log().sum()).mean().item()
    flow = getattr(adapter, "Defaults", adapter.Adapter)(model, 2, seed)
    curve, clock, mark, steps = [], 0.0, 0.0, 0
    fit = flow.fit(x, learning_rate, 256)
    while clock < seconds:
        start = time.perf_counter()
        done = next(fit, None)
        clock += time.perf_counter() - start
        steps += done or 0
        if done is None or clock >= mark + 0.5 or clock >= seconds:
            mark = clock
            kl = log_p - float(flow.log_prob(standard).mean())
            curve.append([round(clock, 2), steps, round(kl, 4)])
        if done is None:
            break
    error = float(np.abs(flow.round_trip(standard) - standard).max())
    return {"curve": curve, "inverse_error": error}


def defaults(model: str, name: str, seed: int) -> dict[str, Any]:
    """KL after the default training, of Flow Lab only."""
    return adapter.defaults(model, name, seed)


def about() -> dict[str, Any]:
    """The library's name, versions and models."""
    return {"name": adapter.NAME, "models": adapter.MODELS, "python": platform.python_version(),
            "versions": {package: version(package) for package in adapter.PACKAGES},
            "parameters": adapter.Adapter("realnvp", 2, 0).parameters()}


def memory() -> dict[str, float]:
    """The most memory this process ever had, in MiB."""
    return {"peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


TASKS = {task.__name__: task for task in (about, speed, evaluation, quality, defaults, memory)}

if __name__ == "__main__":
    answers, sys.stdout = sys.stdout, sys.stderr  # what a library prints is no answer
    for line in sys.stdin:
        job = json.loads(line)
        print(json.dumps(TASKS[job.pop("task")](**job)), file=answers, flush=True)
