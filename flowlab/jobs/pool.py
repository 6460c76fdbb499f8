"""The worker processes of the local engine: starts and replaces them, and gives them runs."""

import logging
import pickle
import threading
import time
from collections import Counter
from multiprocessing.connection import wait

from flowlab.jobs.engine import Preempted
from flowlab.jobs.process import Process, encode, reported
from flowlab.jobs.queue import Queue, QueuedRun
from flowlab.jobs.request import pickled

TICK = 0.1  # seconds between checks of deadlines and of processes that died silently
MAX_FAILED_STARTS = 3  # workers in a row that die while they start, before giving up

log = logging.getLogger(__name__)


class Pool:
    """The workers, their runs, and the queue of waiting runs.

    One thread reads from all workers. Everything is changed under `lock`; callers of methods
    without an underscore must hold it, except for `close`.

    Parameters
    ----------
    workers : int
        How many runs go on at once, not counting paused ones.
    spare : int
        How many further workers may start while paused runs hold theirs.
    grace : float
        Seconds that a generator gets to end after a stop.
    setup : tuple
        Further arguments of `Process`.
    seconds : float or None
        As in `flowlab.jobs.queue.Queue`.
    turn : float or None
        Seconds after which a run is preempted where one of another owner waits.
    """

    def __init__(self, workers: int, spare: int, grace: float, setup: tuple,
                 seconds: float | None = None, turn: float | None = None) -> None:
        self.workers, self.spare, self.grace, self.turn = workers, spare, grace, turn
        self.lock = threading.RLock()
        self.queue = Queue(seconds)
        self.processes: list[Process] = []
        self.closed = False
        self._setup = setup
        self._failed_starts = 0
        self._obstacle = ""
        with self.lock:
            self._schedule()
        self._reader = threading.Thread(target=self._read, name="flowlab-jobs", daemon=True)
        self._reader.start()

    @property
    def ready(self) -> int:
        """How many workers have done their imports."""
        with self.lock:
            return sum(process.ready for process in self.processes)

    def add(self, run: QueuedRun) -> None:
        """Queue a run."""
        self.queue.add(run)
        self._failed_starts = 0
        self._schedule()

    def command(self, run: QueuedRun, action: str, value: object = None) -> None:
        """Pass a command to the run's worker, or keep it until the run has one (again)."""
        message = encode((action, run.id, value))
        process = next((process for process in self.processes if process.run is run), None)
        if process is not None:
            process.send_encoded(message)
            if action == "stop" and run.stop_by is None:
                run.stop_by = time.monotonic() + self.grace
            if run.preempting:  # it may have returned already, and then gets it at its next turn
                run.commands.append(message)
        elif action == "stop":
            self.queue.drop(run)
            self._schedule()
        else:
            run.commands.append(message)

    def close(self) -> None:
        """Stop every run and end every worker."""
        with self.lock:
            if self.closed:
                return
            self.closed = True
            self.queue.close()
        self._reader.join()
        deadline = time.monotonic() + self.grace
        for process in self.processes:
            # At the end of its pipe a worker stops its generator and exits.
            process.connection.close()
        for process in self.processes:
            # One without a run has nothing to lose, and exiting by itself takes Python seconds.
            process.reap(deadline - time.monotonic() if process.run else 0)
        self.processes.clear()

    def _schedule(self) -> None:
        """Give waiting runs to idle workers, and start or end workers as needed."""
        if self.closed:
            return
        going = Counter(process.run.owner for process in self.processes if process.run)
        idle = [process for process in self.processes if process.idle]
        self.queue.order(going)
        while self.queue.waiting and idle:
            self._start(idle.pop(), self.queue.start())
        workers = [process for process in self.processes if not process.exiting]
        paused = sum(process.run is not None and process.run.state == "paused"
                     for process in workers)
        starting = sum(not process.ready for process in workers)
        # Where paused runs hold all workers, one more is ready for the next run.
        needed = max(len(self.queue.waiting), paused == len(workers))
        while self._failed_starts < MAX_FAILED_STARTS and (
            len(workers) < self.workers
            or needed > starting
            and len(workers) < self.workers + min(paused, self.spare)
        ):
            try:
                workers.append(Process(*self._setup))
            except OSError as error:
                self._failed_starts, self._obstacle = MAX_FAILED_STARTS, str(error)
                break
            self.processes.append(workers[-1])
            starting += 1
        if self._failed_starts >= MAX_FAILED_STARTS and not workers:
            for run in self.queue.waiting:
                run.end("failed", f"No worker can start: {self._obstacle}; see the log.")
            self.queue.waiting.clear()
        for process in idle[: max(len(workers) - paused - self.workers, 0)]:
            process.exiting = True
            process.send("exit")
        self.queue.number(paused >= self.workers + self.spare)

    def _start(self, process: Process, run: QueuedRun) -> None:
        process.run = run
        # In one message: earlier commands must take effect before the first batch.
        process.send("run", run.id, run.commands, *run.request)
        run.commands = []

    def _read(self) -> None:
        """Read the reports of all workers; the body of the reader thread."""
        checked = time.monotonic()
        while not self.closed:
            with self.lock:
                processes = list(self.processes)
            if not processes:
                time.sleep(TICK)
            ready = wait([process.connection for process in processes], TICK)
            for process in processes:
                if process.connection not in ready:
                    continue
                try:
                    kind, *rest = pickle.loads(process.connection.recv_bytes())
                except (EOFError, OSError):
                    self._remove(process)
                else:
                    self._handle(process, kind, rest)
            if time.monotonic() - checked >= TICK:
                self._check()
                checked = time.monotonic()

    def _handle(self, process: Process, kind: str, rest: list) -> None:
        """Process a worker's report."""
        value, fault = reported(kind, rest)
        with self.lock:
            run = process.run
            if run is not None and run.preempting and kind != "end":  # it has earlier commands
                paused = kind == "paused" or (kind == "event" and run.state == "paused")
                run.commands = [encode(("pause", run.id, None))] if paused else []
            if kind == "ready":
                process.ready, self._failed_starts = True, 0
                if rest[0]:
                    log.warning("A worker could not import %s", rest[0])
            elif self.closed or run is None:
                return  # the last report of a worker that exits
            elif kind == "event":
                if run.fault:
                    return  # an event is missing: later ones would have wrong indices
                if not fault:
                    run.events.append(value)
                    return
                run.fault = fault
                self.command(run, "stop")
            elif kind == "end":
                process.run = None
                state, message, traceback = rest[:3]
                self._end(run, state, message, traceback, value, run.fault or fault)
            else:
                run.state = kind
            self._schedule()

    def _end(self, run: QueuedRun, state: str, message: str, traceback: str, value: object,
             fault: str) -> None:
        """End a run, or queue it for its next turn."""
        if not isinstance(value, Preempted) or fault:
            run.end("failed" if fault else state, fault or message, traceback, value)
        elif run.stop_by is not None:  # stopped after it was preempted
            run.end("stopped")
        else:
            settings = pickled("The settings", value.settings, "keep to plain data")
            self.queue.requeue(run, (*run.request[:3], settings))

    def _check(self) -> None:
        """Preempt runs, and remove workers that did not stop in time or died with an open pipe."""
        with self.lock:
            for run in self.queue.overdue():
                self.command(run, "stop")
            for run in self.queue.to_preempt(self.turn) if self.turn is not None else ():
                self.command(run, "send", run.preempt)
                run.preempting = True
            processes = list(self.processes)
            for process in processes:
                busy = process.run
                if busy and busy.stop_by is not None and time.monotonic() > busy.stop_by:
                    process.popen.kill()
                    process.run, process.exiting = None, True
                    busy.end("stopped", f"Stopped by force: a batch took over {self.grace:g} s.")
        for process in processes:
            if process.popen.poll() is not None and not process.connection.poll():
                self._remove(process)

    def _remove(self, process: Process) -> None:
        """Remove a dead worker: its run is lost, and another worker takes its place."""
        how = process.reap(1)
        with self.lock:
            process.connection.close()
            self.processes.remove(process)
            if not process.exiting and not self.closed:
                log.warning("worker died", extra={"facts": {"how": how}})
            if process.run and not self.closed:
                count = len(process.run.events)
                process.run.end("lost", f"The worker process {how}; {count} events are kept.")
            if not process.ready and not process.exiting:
                self._failed_starts, self._obstacle = self._failed_starts + 1, f"its process {how}"
            self._schedule()
