"""Steps per second of the layers' own path and of the fast path, in turns within one process."""

import os
import statistics
import sys
import time

import torch

from flowlab.bijections import fast
from flowlab.data import target
from flowlab.training import TrainingSettings, train
from realnvp import RealNVP

SECONDS = 1.0  # of each turn
CASES = {
    "8 couplings, 64×64, relu": {"couplings": 8, "hidden": (64, 64), "activation": "relu"},
    "16 couplings, 64×64, tanh": {"couplings": 16, "hidden": (64, 64), "activation": "tanh"},
}


def today(settings, batch):
    """A function that takes so many steps as flowlab's training does by default."""
    torch.manual_seed(0)
    flow = RealNVP(event_shape=(2,), **settings)
    steps = train(flow, target("moons"), TrainingSettings(
        epochs=10_000, batch_size=batch, points=batch * 50), every="batch")
    next(steps)

    def run(count):
        for _ in range(count):
            next(steps)

    return run


def fast_steps(settings, batch):
    """A function that takes so many steps on the fast path, on batches drawn alike."""
    torch.manual_seed(0)
    flow = RealNVP(event_shape=(2,), **settings)
    x = target("moons").sample(batch * 40, seed=0)
    flow.initialise(x)
    step = fast.Step(flow.layers, 2, "normal")
    batches = torch.randperm(len(x)).split(batch)

    def run(count):
        for i in range(count):
            step(x[batches[i % 40]], None, clip=5.0, rate=1e-3, decay=0.0, count=i + 1, share=0.005)

    return run


def rates(runs, turns=7):
    """Steps per second of each, the median of turns, and of the ratios to the first."""
    counts = []
    for run in runs.values():
        start = time.perf_counter()
        run(20)
        start, _ = time.perf_counter(), run(20)
        counts.append(max(20, int(20 * SECONDS / (time.perf_counter() - start))))
    found = {name: [] for name in runs}
    for _ in range(turns):
        for (name, run), count in zip(runs.items(), counts, strict=True):
            start = time.process_time() if len(sys.argv) > 1 else time.perf_counter()
            run(count)
            end = time.process_time() if len(sys.argv) > 1 else time.perf_counter()
            found[name].append(count / (end - start))
    first = next(iter(found.values()))
    for name, values in found.items():
        ratios = [v / f for v, f in zip(values, first, strict=True)]
        print(f"  {name:28} {statistics.median(values):7.0f}/s   {statistics.median(ratios):.2f} "
              f"({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name, settings in CASES.items():
        print(name, "batch 256, one thread, load", os.getloadavg()[0])
        rates({"today's training": today(settings, 256), "fast step": fast_steps(settings, 256)})
