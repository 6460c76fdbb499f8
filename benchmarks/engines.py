"""What the engines of ``flowlab.jobs`` cost: ``python benchmarks/engines.py [--rounds 5]``.

Prints a table of overheads of `Local` and `Ray`, which take turns, then the throughput of short
trainings with one worker and with two.  Needs Ray: ``pip install -r requirements-ray.txt``.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

from flowlab.jobs import Engine, Local, Ray

EVENTS = 1000
JOBS = 40
EVERY = 0.1
FRAME = 60_000  # bytes of a picture
PRELOAD = ("models",)


def nothing(_: None) -> Iterator[None]:
    """A job of one batch."""
    yield 0


def events(request: tuple[int, int]) -> Iterator[bytes]:
    """So many events, of so many bytes each."""
    count, size = request
    for _ in range(count):
        yield bytes(size)


def batches(count: int) -> Iterator[float | None]:
    """So many batches without an event, then the seconds they took."""
    begun = time.perf_counter()
    for _ in range(count):
        yield None
    yield time.perf_counter() - begun


def forever(pause: float) -> Iterator[int]:
    """Batch after batch."""
    while True:
        time.sleep(pause)
        yield 0


def training(request: tuple[int, int]) -> Iterator[float]:
    """A short training, one event an epoch: the KL to the truth, in nats."""
    from flowlab.data import target
    from flowlab.training import TrainingSettings, train
    from realnvp import RealNVP

    seed, epochs = request
    flow = RealNVP(event_shape=(2,), couplings=4, hidden=(32, 32))
    for progress in train(flow, target("moons"), TrainingSettings(epochs=epochs, seed=seed)):
        yield progress.kl


def waiting(request: tuple[int, float]) -> Iterator[int]:
    """A training that leaves the processor alone: so many events, so many seconds apart."""
    count, pause = request
    for i in range(count):
        time.sleep(pause)
        yield i


def until(condition: Callable[[], object]) -> None:
    """Wait for something."""
    while not condition():
        time.sleep(0.0005)


def timed(action: Callable[[], object]) -> float:
    """Seconds that something takes."""
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def whole(engine: Engine, job: Callable, settings: object) -> object:
    """Submit a job, wait for its end, and return its last event."""
    run = engine.submit(job, settings)
    until(lambda: not engine.status(run).active)
    status, found = engine.status(run), engine.events(run)
    if status.state != "finished":
        raise RuntimeError(status.message)
    engine.forget(run)
    return found[-1]


def first_event(engine: Engine) -> None:
    """Submit a job and wait for its first event."""
    run = engine.submit(nothing, None)
    until(lambda: engine.events(run))


def pause(engine: Engine) -> float:
    """Seconds from the click on pause until a run with batches of 1 ms stands."""
    run = engine.submit(forever, 0.001)
    until(lambda: engine.events(run))
    time.sleep(0.05)
    engine.control(run, "pause")
    seconds = timed(lambda: until(lambda: engine.status(run).state == "paused"))
    engine.control(run, "stop")
    until(lambda: not engine.status(run).active)
    return seconds


def many(engine: Engine, jobs: int, job: Callable, settings: Callable[[int], object]) -> float:
    """Seconds for so many jobs, submitted at once."""
    begun = time.perf_counter()
    runs = [engine.submit(job, settings(i)) for i in range(jobs)]
    until(lambda: not any(engine.status(run).active for run in runs))
    return time.perf_counter() - begun


def busy(engine: Engine) -> float:
    """Seconds of this process's own processor time for a job of two events, of many."""
    begun = time.process_time()
    runs = [engine.submit(events, (2, 100)) for _ in range(JOBS)]
    while any(engine.status(run).active for run in runs):
        time.sleep(0.01)
    return (time.process_time() - begun) / JOBS


#: What is measured: a name, a unit, and a function of an engine of two workers.
MEASURES = {
    "submit to first event, warm worker": ("ms", lambda e: 1e3 * timed(lambda: first_event(e))),
    "whole job of one batch": ("ms", lambda e: 1e3 * timed(lambda: whole(e, nothing, None))),
    "one of 40 such jobs, submitted at once": (
        "ms", lambda e: 1e3 / JOBS * many(e, JOBS, nothing, lambda _: None)),
    "engine's processor time a job": ("ms", lambda e: 1e3 * busy(e)),
    "an event of 100 bytes": (
        "µs", lambda e: 1e6 / EVENTS * timed(lambda: whole(e, events, (EVENTS, 100)))),
    "an event of 60 kB (a frame)": (
        "µs", lambda e: 1e6 / EVENTS * timed(lambda: whole(e, events, (EVENTS, FRAME)))),
    "a batch without an event": ("µs", lambda e: 1e6 / 20000 * whole(e, batches, 20000)),
    "pause to standing still": ("ms", lambda e: 1e3 * pause(e)),
}


def start(kind: type[Engine], workers: int) -> tuple[Engine, float]:
    """An engine with warm workers, and the seconds that took."""
    begun = time.perf_counter()
    engine = kind(workers, PRELOAD)
    until(lambda: engine.ready >= workers)
    return engine, time.perf_counter() - begun


def main() -> None:
    """Measure, and print the tables."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--rounds", type=int, default=5, help="turns of each engine (default 5)")
    p.add_argument("--trainings", type=int, default=6, help="of each throughput (default 6)")
    p.add_argument("--epochs", type=int, default=3, help="of a training (default 3)")
    options = p.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    keep, ray_starts = start(Ray, 2)  # Ray stays up until the end
    local, local_starts = start(Local, 2)
    engines = {"Local": local, "Ray": keep}
    for engine in engines.values():
        many(engine, 4, training, lambda i: (i, 1))  # the first one in a process takes longer
    found = {name: {engine: [] for engine in engines} for name in MEASURES}
    for _ in range(options.rounds):
        for name, (_, measure) in MEASURES.items():
            for label, engine in engines.items():
                found[name][label].append(measure(engine))
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; medians"
          f" of {options.rounds}")
    print(f"\n{'':42}{'Local':>10}{'Ray':>10}{'ratio':>8}")
    print(f"{'start, imports included (s)':42}{local_starts:10.1f}{ray_starts:10.1f}"
          f"{ray_starts / local_starts:8.1f}")
    for name, (unit, _) in MEASURES.items():
        ours, rays = (median(found[name][label]) for label in engines)
        print(f"{name + f' ({unit})':42}{ours:10.1f}{rays:10.1f}{rays / ours:8.1f}")
    local.close()
    print("\nJobs a minute, all submitted at once")
    print(f"{'':42}{'Local':>10}{'Ray':>10}{'ratio':>8}")
    loads = {
        f"12 of 10 events, {EVERY} s apart": (12, waiting, lambda _: (10, EVERY)),
        f"{options.trainings} trainings of {options.epochs} epochs": (
            options.trainings, training, lambda i: (i, options.epochs)),
    }
    for workers in (1, 2):
        rates = {load: {engine: [] for engine in engines} for load in loads}
        for _ in range(options.rounds):
            for label, kind in (("Local", Local), ("Ray", Ray)):
                engine, _ = start(kind, workers)
                with engine:
                    many(engine, workers, training, lambda i: (i, 1))
                    for load, (jobs, job, settings) in loads.items():
                        rates[load][label].append(60 * jobs / many(engine, jobs, job, settings))
        for load, found in rates.items():
            ours, rays = (median(rate) for rate in found.values())
            print(f"{f'{workers} worker(s), {load}':42}{ours:10.1f}{rays:10.1f}{rays / ours:8.2f}")
    keep.close()


if __name__ == "__main__":
    main()
