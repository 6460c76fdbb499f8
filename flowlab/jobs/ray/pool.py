"""Runs as tasks of Ray: starts them in fair order, controls them, and restarts lost ones."""

import logging
import pickle
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from flowlab.jobs.process import encode, reported
from flowlab.jobs.queue import Queue, QueuedRun
from flowlab.jobs.ray.cluster import Cluster
from flowlab.jobs.request import make_request

TICK = 0.1  # seconds between checks of deadlines
COUNT = 2.0  # seconds between counts of the cluster's cores

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Task:
    """A run with a task of Ray, and what is needed to restart it.

    Attributes
    ----------
    address : str
        The address of this attempt in the mailbox.
    commands : list
        All commands so far, as ``(action, value)``.
    before : int
        How many of them were part of the request.
    attempts : int
        Number of tasks started for the run.
    checkpoint : object
        The last event; None before the first.
    handed, earlier : int
        Number of values sent to the generators until that event, and before this attempt.
    reported : bool
        Whether this attempt has reported anything yet.
    generator : ray.ObjectRefGenerator
    thread : threading.Thread
        Reads the task's reports.
    """

    run: QueuedRun
    commands: list[tuple[str, Any]]
    before: int = 0
    attempts: int = 0
    checkpoint: Any = None
    handed: int = 0
    earlier: int = 0
    reported: bool = False
    address: str = ""
    generator: Any = None
    thread: threading.Thread | None = None


class RayPool:
    """The tasks of one engine, and the queue of waiting runs.

    A thread for each task reads its reports. Everything is changed under `lock`; callers of methods
    without an underscore must hold it, except for `close`.

    Parameters
    ----------
    cluster : Cluster
    workers : int or None
        How many runs go on at once, not counting paused ones; None for the number of cores of the
        cluster.
    spare : int
        How many further runs may start while paused runs hold their places.
    retries : int
        How often a run is restarted after its worker or node has died.
    grace : float
        Seconds that a generator gets to end after a stop.
    threads : int
        PyTorch threads of each worker.
    preload : tuple of str
        Modules that workers import before their first run; what stands behind a colon is called.
    seconds : float or None
        As in `flowlab.jobs.queue.Queue`.
    """

    def __init__(self, cluster: Cluster, workers: int | None, spare: int, retries: int,
                 grace: float, threads: int, preload: tuple[str, ...],
                 seconds: float | None = None) -> None:
        self.cluster, self.workers, self.spare = cluster, workers, spare
        self.retries, self.grace, self.setup = retries, grace, (threads, preload)
        self.lock = threading.RLock()
        self.queue = Queue(seconds)
        self.tasks: dict[str, Task] = {}
        self.ready = 0
        self.closed = False
        self._capacity = self._count()
        self._preparing = [cluster.prepare.remote(list(sys.path), *self.setup)
                         for _ in range(self._capacity)]
        self._end = threading.Event()
        self._clock = threading.Thread(target=self._tick, name="flowlab-ray", daemon=True)
        self._clock.start()

    def add(self, run: QueuedRun) -> None:
        """Queue a run."""
        self.queue.add(run)
        self._schedule()

    def command(self, run: QueuedRun, action: str, value: object = None) -> None:
        """Pass a command to the run's task, or keep it until there is one."""
        task = self.tasks.get(run.id)
        if task is None and action == "stop":
            self.queue.drop(run)
            self._schedule()
        elif task is None:
            run.commands.append(encode((action, run.id, value)))
        else:
            number = len(task.commands) - task.before
            task.commands.append((action, value))
            self.cluster.mailbox.put.remote(task.address, number, encode((action, run.id, value)))
            if action == "stop" and run.stop_by is None:
                run.stop_by = time.monotonic() + self.grace

    def close(self) -> None:
        """Stop every run: its generator first, and after `grace` seconds its worker process."""
        with self.lock:
            if self.closed:
                return
            self.closed = True
            self.queue.close()
            tasks = list(self.tasks.values())
            for task in tasks:
                self.command(task.run, "stop")
        self._end.set()
        self._clock.join()
        deadline = time.monotonic() + self.grace
        threads = [(task, task.thread) for task in tasks if task.thread is not None]
        for _, thread in threads:
            thread.join(max(deadline - time.monotonic(), 0))
        for task, thread in threads:
            if thread.is_alive():
                self._cancel(task)
        for _, thread in threads:
            thread.join(self.grace)

    def _count(self) -> int:
        cores = self.cluster.cores()
        return cores if self.workers is None else min(self.workers, max(cores, 1))

    def _schedule(self) -> None:
        """Start as many waiting runs as there is capacity for."""
        if self.closed:
            return
        self.queue.order(Counter(task.run.owner for task in self.tasks.values()))
        paused = sum(task.run.state == "paused" for task in self.tasks.values())
        while self.queue.waiting and len(self.tasks) < self._capacity + min(paused, self.spare):
            run = self.queue.start()
            asked = [pickle.loads(command) for command in run.commands]
            task = Task(run, [(action, value) for action, _, value in asked])
            self.tasks[run.id] = task
            self._start(task, task.commands)
        self.queue.number(paused >= self._capacity + self.spare)

    def _start(self, task: Task, commands: list[tuple[str, Any]]) -> None:
        """Start a task for a run; the commands take effect before its first batch."""
        run = task.run
        task.attempts += 1
        task.before, task.reported = len(task.commands), False
        task.address = f"{run.id}/{task.attempts}"
        path, *job = run.request
        encoded = [encode((action, run.id, value)) for action, value in commands]
        task.generator = self.cluster.play.remote(
            self.cluster.mailbox, task.address, path, *self.setup, run.id, encoded, *job)
        task.thread = threading.Thread(target=self._follow, args=(task, task.generator),
                                       name=f"flowlab-ray-{run.id}", daemon=True)
        task.thread.start()

    def _follow(self, task: Task, generator: Any) -> None:
        """Read the reports of one task to its end; the body of its thread."""
        why, died = "it ended without a message", True
        try:
            for reference in generator:
                kind, *rest = self.cluster.ray.get(reference)
                self._handle(task, kind, rest)
                if kind == "end":
                    return
        except Exception as error:
            why, died = self.cluster.cause(error)
        with self.lock:
            self._lose(task, why, died)

    def _handle(self, task: Task, kind: str, rest: list) -> None:
        """Process a task's report."""
        value, fault = reported(kind, rest)
        with self.lock:
            run = task.run
            task.reported = True
            if self.tasks.get(run.id) is not task or self.closed:
                return  # the last report of a task that was given up
            if kind == "event":
                if not run.fault and not fault:
                    run.events.append(value)
                    task.handed, task.checkpoint = task.earlier + rest[0], value
                elif fault:
                    run.fault = fault
                    self.command(run, "stop")
                return
            if kind == "end":
                state, message, traceback, _ = rest
                fault = run.fault or fault
                message = fault or message or run.message
                self._forget(task)
                run.end("failed" if fault else state, message, traceback, value)
            else:
                run.state = kind
            self._schedule()

    def _lose(self, task: Task, why: str, died: bool) -> None:
        """Restart a run whose task was lost, or end it as lost."""
        run = task.run
        if self.tasks.get(run.id) is not task or self.closed:
            return
        self.cluster.mailbox.drop.remote(task.address)
        obstacle = self._restart(task, f"Its worker was lost: {why}") if died else ""
        if obstacle or not died:
            self._forget(task)
            state = "lost" if run.stop_by is None else "stopped"
            kept = f"{len(run.events)} events are kept"
            run.end(state, f"Its worker was lost: {why.rstrip('.')}; {kept}{obstacle}.")
        self._schedule()

    def _restart(self, task: Task, why: str) -> str:
        """Start another task for a run; return what prevents it, if anything."""
        run = task.run
        if run.stop_by is not None:
            return ", and it had been asked to stop"
        if task.attempts > self.retries:
            return f", after {task.attempts} attempts"
        if not run.events:
            run.message = f"{why}; it was restarted."
            self._start(task, task.commands)
            return ""
        path, _, job, data = run.request
        function = pickle.loads(job)
        if run.resume is None:
            return f", and {function.__qualname__} cannot be resumed"
        try:
            settings = run.resume(pickle.loads(data), task.checkpoint)
            run.request = path, *make_request(function, settings)[1:]
        except Exception as error:
            return f", and resuming it failed ({type(error).__name__}: {error})"
        run.message = f"{why}; it continued from event {len(run.events) - 1}."
        modes = [action for action, _ in task.commands if action != "send"]
        values = [("send", value) for _, value in task.commands if value is not None]
        paused = [("pause", None)] if modes and modes[-1] in ("pause", "step") else []
        task.earlier = task.handed
        self._start(task, paused + values[task.handed:])
        return ""

    def _forget(self, task: Task) -> None:
        del self.tasks[task.run.id]
        self.cluster.mailbox.drop.remote(task.address)

    def _cancel(self, task: Task) -> None:
        """End a task's process."""
        self.cluster.ray.cancel(task.generator, force=True)

    def _tick(self) -> None:
        """Watch deadlines, the cluster's size and the workers that import modules."""
        counted = time.monotonic()
        while not self._end.wait(TICK):
            now = time.monotonic()
            with self.lock:
                for run in self.queue.overdue():
                    self.command(run, "stop")
                for task in list(self.tasks.values()):
                    run = task.run
                    if run.stop_by is not None and now > run.stop_by:
                        self._forget(task)
                        self._cancel(task)
                        run.end("stopped", f"Stopped by force: a batch took over {self.grace:g} s."
                                if task.reported else "Stopped before it started.")
                        self._schedule()
            self._check_prepared()
            if now - counted >= COUNT:
                counted, room = now, self._count()
                with self.lock:
                    if room != self._capacity:
                        self._capacity = room
                        self._schedule()

    def _check_prepared(self) -> None:
        if not self._preparing:
            return
        done, self._preparing = self.cluster.ray.wait(
            self._preparing, num_returns=len(self._preparing), timeout=0)
        for reference in done:
            try:
                problems = self.cluster.ray.get(reference)
            except Exception as error:
                problems, _ = self.cluster.cause(error)
            self.ready += 1
            if problems:
                log.warning("A worker could not import %s", problems)
