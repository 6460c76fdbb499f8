"""Jobs for test_jobs.py: generator functions that a worker can import."""

import os
import sys
import time
from pathlib import Path


def count(n):
    yield from range(n)
    return n


def forever(pause):
    """Batch after batch, each an event."""
    i = 0
    while True:
        yield i
        i += 1
        time.sleep(pause)


def quiet(n):
    """One event in the middle of many batches without."""
    for _ in range(n):
        yield None
    yield "middle"
    for _ in range(n):
        yield None
    return "end"


def total(start):
    """Add up what is sent, one yield a batch."""
    while True:
        sent = yield start
        start += sent or 0
        time.sleep(0.002)


def far(start):
    """Count to 99, each an event; when asked, return at the end of a ten."""
    from flowlab.jobs import Preempted  # and with it much else, which others here do without
    preempted = False
    for i in range(start, 100):
        preempted = (yield i) == "leave" or preempted
        if preempted and i % 10 == 9:
            return Preempted(i + 1)
        time.sleep(0.01)
    return "end"


def in_turns(start=0):
    """Work that leaves its worker to others."""
    from flowlab.jobs import Job
    return Job(far, start, preempt="leave")


def gated(folder):
    """A batch that lasts until the file `gate` appears, then batches without end."""
    yield "first"
    (Path(folder) / "inside").touch()
    while not (Path(folder) / "gate").exists():
        time.sleep(0.02)
    yield "gated"
    for i in range(10**9):
        time.sleep(0.2)
        yield i


def keeper(_):
    try:
        while True:
            yield "going"
            time.sleep(0.005)
    except GeneratorExit:
        return "what was reached"


def stubborn(_):
    while True:
        try:
            yield "still here"
        except GeneratorExit:
            pass


def angry(_):
    try:
        while True:
            yield "going"
            time.sleep(0.005)
    finally:
        raise ValueError("the disk is full")


def hang(pid):
    yield os.getpid()
    time.sleep(3600)


def identify(pause):
    while True:
        yield os.getpid()
        time.sleep(pause)


def whoami(_):
    yield os.getpid()


def leave(code):
    yield "before"
    time.sleep(0.5)  # Ray sends what a task yields in the background
    os._exit(code)


def fail(error):
    yield "before"
    raise error


def fail_at_once(_):
    raise ValueError("not a generator")


def no_generator(x):
    return [x]


class Unloadable:
    """Pickles, but cannot be read back."""

    def __reduce__(self):
        return int, ("x",)


def report(what):
    """Events and results that cannot travel."""
    bad = {"lambda": lambda: 0, "unloadable": Unloadable()}
    place, kind = what
    yield "before"
    if place == "event":
        yield bad[kind]
        yield "after"
    return bad[kind]


def noisy(n):
    for _ in range(n):
        print("noise" * 1000)
        print("noise", file=sys.stderr)
        os.write(1, b"\x00\x80\xff" * 1000)
        yield "event"


def listen(_):
    yield sys.stdin.read()


def large(n):
    yield bytes(n)
    return bytes(n)


def stamp(request):
    path, label = request
    with open(path, "a") as file:
        file.write(label)
    yield label


def surroundings(name):
    """What a worker has from the program: a variable, its folder, its parent; and its own chance.
    """  # noqa: D200
    import numpy as np

    yield os.environ.get(name), os.getcwd(), os.getppid(), np.random.random()


def imported(name):
    yield name in sys.modules


def torch_threads(_):
    import torch

    yield torch.get_num_threads()


def gradient(x):
    """The derivative of a square, by PyTorch."""
    import torch

    x = torch.tensor(x, requires_grad=True)
    (x ** 2).backward()
    yield x.grad.item()


def fragile(request):
    """Events from `start` on; its worker dies at event `break_at`, but only the first time."""
    folder, start, break_at = request
    for i in range(start, 8):
        if i == break_at:
            time.sleep(0.3)  # let the events before it arrive
            try:
                (Path(folder) / "broken").touch(exist_ok=False)
            except FileExistsError:
                pass
            else:
                os._exit(3)
        sent = yield i
        if sent is not None:
            (Path(folder) / f"{sent} at {i}").touch()
    return "whole"


def restarted(request):
    """Work that continues on another worker where its own died."""
    from flowlab.jobs import Job
    return Job(fragile, request,
               resume=lambda request, event: (request[0], event + 1, request[2]))


def doomed(start):
    yield start
    time.sleep(0.3)
    os._exit(3)


def point(request):
    """A point of a sweep: `steps` events, each of them a checkpoint, that name the node."""
    import ray

    number, start, steps, pause = request
    for i in range(start, steps):
        time.sleep(pause)
        yield i, ray.get_runtime_context().get_node_id()
    return number, steps
