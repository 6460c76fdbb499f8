"""The worker processes of the local engine: started, heard, replaced, and given what waits."""

import logging
import pickle
import threading
import time
from collections import Counter
from multiprocessing.connection import wait

from flowlab.jobs.engine import GoOn
from flowlab.jobs.process import Process, encode, reported
from flowlab.jobs.queue import Queue, Run
from flowlab.jobs.request import pickled

TICK = 0.1  # seconds between looks at deadlines and at processes that died without a word
STILLBORN = 3  # workers in a row that die while they start, before giving up

log = logging.getLogger(__name__)


class Pool:
    """Workers, the runs they have, and the queue of those that wait.

    One thread hears all workers.  Everything is changed under `lock`; methods without an underscore
    expect the caller to hold it, but for `close`.

    Parameters
    ----------
    workers : int
        How many runs go on at once, paused ones aside.
    spare : int
        How many workers more may start while paused runs hold theirs.
    grace : float
        Seconds a generator gets to end after a stop.
    setup : tuple
        Further arguments of `Process`.
    seconds : float or None
        As in `flowlab.jobs.queue.Queue`.
    turn : float or None
        Seconds after which a run leaves its worker where another owner's waits.
    """

    def __init__(self, workers: int, spare: int, grace: float, setup: tuple,
                 seconds: float | None = None, turn: float | None = None) -> None:
        self.workers, self.spare, self.grace, self.turn = workers, spare, grace, turn
        self.lock = threading.RLock()
        self.queue = Queue(seconds)
        self.processes: list[Process] = []
        self.closed = False
        self._setup = setup
        self._stillborn = 0
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

    def add(self, run: Run) -> None:
        """Queue a run."""
        self.queue.add(run)
        self._stillborn = 0
        self._schedule()

    def command(self, run: Run, action: str, value: object = None) -> None:
        """Pass a command on to the run's worker, or keep it until it has one (again)."""
        message = encode((action, run.id, value))
        process = next((process for process in self.processes if process.run is run), None)
        if process is not None:
            process.send_encoded(message)
            if action == "stop" and run.stop_by is None:
                run.stop_by = time.monotonic() + self.grace
            if run.leaving:  # it may be gone already, and then hears it at its next turn
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
            # The end of its pipe tells a worker to stop its generator and to leave.
            process.connection.close()
        for process in self.processes:
            # One without a run has nothing to lose, and its own way out takes Python seconds.
            process.reap(deadline - time.monotonic() if process.run else 0)
        self.processes.clear()

    def _schedule(self) -> None:
        """Give idle workers what waits, and start or end workers to fit."""
        if self.closed:
            return
        going = Counter(process.run.owner for process in self.processes if process.run)
        idle = [process for process in self.processes if process.idle]
        self.queue.order(going)
        while self.queue.waiting and idle:
            self._start(idle.pop(), self.queue.start())
        staff = [process for process in self.processes if not process.leaving]
        held = sum(process.run is not None and process.run.state == "paused" for process in staff)
        coming = sum(not process.ready for process in staff)
        # One stays warm for the next click where paused runs hold all.
        needed = max(len(self.queue.waiting), held == len(staff))
        while self._stillborn < STILLBORN and (
            len(staff) < self.workers
            or needed > coming
            and len(staff) < self.workers + min(held, self.spare)
        ):
            try:
                staff.append(Process(*self._setup))
            except OSError as error:
                self._stillborn, self._obstacle = STILLBORN, str(error)
                break
            self.processes.append(staff[-1])
            coming += 1
        if self._stillborn >= STILLBORN and not staff:
            for run in self.queue.waiting:
                run.end("failed", f"No worker can start: {self._obstacle}; see the log.")
            self.queue.waiting.clear()
        for process in idle[: max(len(staff) - held - self.workers, 0)]:
            process.leaving = True
            process.send("exit")
        self.queue.number(held >= self.workers + self.spare)

    def _start(self, process: Process, run: Run) -> None:
        process.run = run
        # In one message: what was asked before must hold for the first batch already.
        process.send("run", run.id, run.commands, *run.request)
        run.commands = []

    def _read(self) -> None:
        """Hear all workers; the body of the reader thread."""
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
                    self._bury(process)
                else:
                    self._hear(process, kind, rest)
            if time.monotonic() - checked >= TICK:
                self._check()
                checked = time.monotonic()

    def _hear(self, process: Process, kind: str, rest: list) -> None:
        """Note what a worker reports."""
        value, fault = reported(kind, rest)
        with self.lock:
            run = process.run
            if run is not None and run.leaving and kind != "end":  # what was said before is heard
                paused = kind == "paused" or (kind == "event" and run.state == "paused")
                run.commands = [encode(("pause", run.id, None))] if paused else []
            if kind == "ready":
                process.ready, self._stillborn = True, 0
                if rest[0]:
                    log.warning("A worker could not import %s", rest[0])
            elif self.closed or run is None:
                return  # the last words of a worker that leaves
            elif kind == "event":
                if run.fault:
                    return  # one is missing: what follows would stand at wrong indices
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

    def _end(self, run: Run, state: str, message: str, traceback: str, value: object,
             fault: str) -> None:
        """Let a run be over, or wait for its next turn."""
        if not isinstance(value, GoOn) or fault:
            run.end("failed" if fault else state, fault or message, traceback, value)
        elif run.stop_by is not None:  # a stop that it did not hear any more
            run.end("stopped")
        else:
            settings = pickled("The settings", value.settings, "keep to plain data")
            self.queue.back(run, (*run.request[:3], settings))

    def _check(self) -> None:
        """End turns, and workers that did not stop in time or died and left the pipe open."""
        with self.lock:
            for run in self.queue.overdue():
                self.command(run, "stop")
            for run in self.queue.over(self.turn) if self.turn is not None else ():
                self.command(run, "send", run.leave)
                run.leaving = True
            processes = list(self.processes)
            for process in processes:
                busy = process.run
                if busy and busy.stop_by is not None and time.monotonic() > busy.stop_by:
                    process.popen.kill()
                    process.run, process.leaving = None, True
                    busy.end("stopped", f"Stopped by force: a batch took over {self.grace:g} s.")
        for process in processes:
            if process.popen.poll() is not None and not process.connection.poll():
                self._bury(process)

    def _bury(self, process: Process) -> None:
        """Take leave of a dead worker: its run is lost, another takes its place."""
        how = process.reap(1)
        with self.lock:
            process.connection.close()
            self.processes.remove(process)
            if not process.leaving and not self.closed:
                log.warning("worker died", extra={"facts": {"how": how}})
            if process.run and not self.closed:
                kept = len(process.run.events)
                process.run.end("lost", f"The worker process {how}; {kept} events are kept.")
            if not process.ready and not process.leaving:
                self._stillborn, self._obstacle = self._stillborn + 1, f"its process {how}"
            self._schedule()
