"""The connection of this process to Ray, shared by its engines."""

import logging
import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from flowlab.jobs.ray.worker import Mailbox, play, prepare
from flowlab.jobs.worker import sentence

ROOT = str(Path(__file__).parents[3])
STORE = 256 * 2**20  # bytes of shared memory for events that have not been fetched yet
#: No usage statistics are sent; tasks that request no GPU still see those of their machine; workers
#: have the niceness of ordinary programs, where Ray's default is the lowest priority.
ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
               "RAY_worker_niceness": "0"}
#: Despite its name, this variable decides whether a Ray that starts here is open to other machines.
LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"

NOBODY = ("No Ray cluster answers at RAY_ADDRESS={}: start one there with `ray start --head`, or "
          "unset RAY_ADDRESS to use this machine.")

log = logging.getLogger(__name__)


class Cluster:
    """The connection to Ray that engines share; `connect` returns it.

    Attributes
    ----------
    ray : module
    mailbox : ray.actor.ActorHandle
        A `Mailbox` on the node of this process, which lives as long as this process.
    play, prepare : ray.remote_function.RemoteFunction
    """

    def __init__(self, workers: int) -> None:
        address = os.environ.get("RAY_ADDRESS", "")
        self._over = threading.Event()
        self.ray = load(here=not address)
        self.started_here = not self.ray.is_initialized()
        if self.started_here:
            self._start(address, workers)
        strategy = import_module("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy
        here = strategy(self.ray.get_runtime_context().get_node_id(), soft=False)
        actor = self.ray.remote(num_cpus=0, max_concurrency=10_000, scheduling_strategy=here)
        self.mailbox = actor(Mailbox).remote()
        # The engine retries, not Ray: it restarts from the last checkpoint, Ray from the start.
        task = self.ray.remote(num_cpus=1, max_retries=0, scheduling_strategy="SPREAD")
        self.play, self.prepare = task(play).options(num_returns="streaming"), task(prepare)

    def _start(self, address: str, workers: int) -> None:
        if "://" in address:
            raise ValueError(
                f"RAY_ADDRESS={address} is one of Ray Client, which cannot stream: start the lab "
                "on a machine of the cluster, with RAY_ADDRESS=auto or host:port."
            )
        if address not in ("", "auto"):
            check_reachable(address)
        options: dict[str, Any] = {"address": address}
        if not address:
            options = {"address": "local", "num_cpus": workers, "include_dashboard": False,
                       "object_store_memory": STORE}
        job = import_module("ray.job_config").JobConfig(_py_driver_sys_path=[ROOT])
        begin = partial(self.ray.init, **options, job_config=job, log_to_driver=False,
                        configure_logging=False)
        try:
            in_lasting_thread(begin, self._over)
        except (ConnectionError, ValueError) as error:
            raise RuntimeError(NOBODY.format(address)) from error
        # Ray prints pages of reports of its daemons for a dead node; the status has one line.
        printer: Any = import_module("ray._private.worker")
        if hasattr(printer, "print_to_stdstream"):
            printer.print_to_stdstream = lambda data, **_: log.debug("\n".join(data["lines"]))

    def cores(self) -> int:
        """The number of cores of all live nodes."""
        return int(self.ray.cluster_resources().get("CPU", 0))

    def cause(self, error: Exception) -> tuple[str, bool]:
        """Why a task was lost, and whether a retry may succeed."""
        errors = self.ray.exceptions
        known = {
            errors.NodeDiedError: "its node died",
            errors.WorkerCrashedError: "its process died",
            errors.OutOfMemoryError: "memory ran out",
            errors.ObjectLostError: "its node died with what it last reported",
        }
        for kind, words in known.items():
            if isinstance(error, kind):
                return words, True
        return sentence(error), False

    def close(self) -> None:
        """Disconnect from Ray, and end it if it was started here."""
        if self.ray.is_initialized():
            if self.started_here:
                self.ray.shutdown()
            else:
                self.ray.kill(self.mailbox)
        self._over.set()


def check_reachable(address: str) -> None:
    """Raise a RuntimeError where nothing listens; Ray would wait for minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except (OSError, ValueError) as error:
        raise RuntimeError(NOBODY.format(address)) from error


def in_lasting_thread(function: Callable[[], object], over: threading.Event) -> None:
    """Call a function in a thread that lasts until `over` is set.

    The processes that Ray starts end with their parent, which on Linux is the thread that started
    them; a thread of Streamlit would end with its script.
    """
    done: Future = Future()

    def body() -> None:
        try:
            done.set_result(function())
        except BaseException as error:
            done.set_exception(error)
        else:
            over.wait()

    threading.Thread(target=body, name="flowlab-ray-start", daemon=True).start()
    done.result()


def load(here: bool) -> Any:
    """Import ``ray`` with little output; if it starts here, it is closed to other machines."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    before = os.environ.get(LOOPBACK)
    if here and before is None:
        os.environ[LOOPBACK] = "0"
    try:
        ray = import_module("ray")
    except ImportError as error:
        raise ImportError("Install Ray: pip install -r requirements-ray.txt") from error
    finally:
        if before is None:
            os.environ.pop(LOOPBACK, None)
    logging.getLogger("ray").setLevel(logging.ERROR)
    return ray


_lock = threading.Lock()
_cluster: Cluster | None = None
_users = 0


def connect(workers: int) -> Cluster:
    """Return the cluster of this process for another engine; the first engine starts Ray.

    Parameters
    ----------
    workers : int
        Number of cores that Ray may use if it starts on this machine.

    Raises
    ------
    ImportError
        If Ray is not installed.
    ValueError, RuntimeError
        If ``RAY_ADDRESS`` cannot be used, or no cluster answers there.
    """
    global _cluster, _users
    with _lock:
        if _cluster is None or not _cluster.ray.is_initialized():
            _cluster, _users = Cluster(workers), 0
        _users += 1
        return _cluster


def disconnect(cluster: Cluster) -> None:
    """Release the cluster of an engine; the last engine closes it."""
    global _cluster, _users
    with _lock:
        if cluster is _cluster:
            _users -= 1
            if not _users:
                _cluster = None
                cluster.close()
