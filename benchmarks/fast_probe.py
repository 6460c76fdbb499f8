"""Steps of a training per second: the fast path against today's default, in short turns.

``python benchmarks/fast_probe.py`` prints the best and the median of many turns, and the ratio of
the best, which other programs on the machine disturb least. With ``--compile`` it measures how long
the first step takes where nothing is compiled yet, and where it is.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import count

import torch

from flowlab.bijections import fast
from flowlab.data import target
from flowlab.training import TrainingSettings, train
from realnvp import RealNVP

SECONDS = 12.0  # for each comparison
STEPS = 10  # of a turn, so that threads are at work when the clock stops
CASES = {
    "8 couplings, 64×64, relu": {"couplings": 8, "hidden": (64, 64), "activation": "relu"},
    "16 couplings, 64×64, tanh": {"couplings": 16, "hidden": (64, 64), "activation": "tanh"},
}


def today(settings: dict, batch: int) -> Callable[[], object]:
    """One step of flowlab's training."""
    torch.manual_seed(0)
    flow = RealNVP(event_shape=(2,), **settings)
    steps = train(flow, target("moons"), TrainingSettings(
        epochs=10_000, batch_size=batch, points=batch * 100), every="batch")
    return lambda: next(steps)


def step(settings: dict, batch: int, threads: int = 1) -> Callable[[], object]:
    """One step on the fast path, with a batch drawn as the training draws it."""
    torch.manual_seed(0)
    flow = RealNVP(event_shape=(2,), **settings)
    x = target("moons").sample(batch * 80, seed=0)
    flow.initialise(x)
    take = fast.Step(flow.layers, 2, "normal")
    batches, steps = torch.randperm(len(x)).split(batch), count()

    def one() -> None:
        torch.set_num_threads(threads)
        i = next(steps)
        take(x[batches[i % 80]], None, clip=5.0, rate=1e-3, decay=0.0, count=i + 1, share=0.005)

    return one


def compare(ways: dict[str, Callable[[], object]]) -> None:
    """Steps per second of each way, in turns."""
    for way in ways.values():
        for _ in range(5):
            way()
    times, end = {name: [] for name in ways}, time.monotonic() + SECONDS
    while time.monotonic() < end:
        for name, way in ways.items():
            start = time.perf_counter()
            for _ in range(STEPS):
                way()
            times[name].append((time.perf_counter() - start) / STEPS)
    first = min(times[next(iter(ways))])
    for name, found in times.items():
        low = statistics.quantiles(found, n=20)[0]
        print(f"  {name:20} best {1 / min(found):6.0f}/s   fastest twentieth {1 / low:6.0f}/s   "
              f"median {1 / statistics.median(found):6.0f}/s   {first / min(found):.2f} times",
              flush=True)


def compiling() -> None:
    """Seconds to the first step in a fresh process, with an empty cache and with a full one."""
    code = ("import time, torch; from flowlab.bijections import fast; from realnvp import RealNVP;"
            "torch.set_num_threads(1); flow = RealNVP(couplings=2); begun = time.perf_counter();"
            "cpu = time.process_time(); fast.Step(flow.layers, 2, 'normal')(torch.randn(256, 2), "
            "None, clip=5., rate=1e-3, decay=0., count=1, share=.1);"
            "print('  first step: %.2f s, %.2f s of the processor' % (time.perf_counter() - begun, "
            "time.process_time() - cpu), flush=True)")
    with tempfile.TemporaryDirectory() as cache:
        for name in ("nothing compiled", "from the cache"):
            print(name)
            subprocess.run([sys.executable, "-c", code], check=True,
                           env=os.environ | {"NUMBA_CACHE_DIR": cache})


if __name__ == "__main__":
    torch.set_num_threads(1)
    if "--compile" in sys.argv:
        compiling()
        sys.exit()
    for name, settings in CASES.items():
        print(f"{name}, batch 256, one thread; load {os.getloadavg()[0]:.1f}")
        compare({"today's training": today(settings, 256), "fast step": step(settings, 256)})
        for batch in (256, 1024):
            print(f"{name}, batch {batch}, threads; load {os.getloadavg()[0]:.1f}")
            compare({"one thread": step(settings, batch), "two threads": step(settings, batch, 2)})
