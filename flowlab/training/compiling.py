"""The loss and gradient of a training step as compiled code, made beside the training.

PyTorch's compiler turns the layers, and their derivative, into C++ loops. That takes a C++ compiler
and a minute or so, which nobody should wait for: another process does it while the training goes
on, and what it made is kept on disk for the next training of the same shape. The numbers are those
of the uncompiled step up to rounding.

``python -m flowlab.compiling`` is that other process.
"""

import hashlib
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from torch import Tensor
from torch.func import functional_call
from torch.fx.experimental.proxy_tensor import make_fx

from flowlab import files
from flowlab.bijections import BatchNorm
from flowlab.flow import Flow
from flowlab.training import distributed

VARIABLE = "FLOWLAB_COMPILED"
#: Programs that PyTorch's compiler can use, the first that is there.
COMPILERS = (os.environ.get("CXX") or "g++", "clang++")
LOOK_EVERY = 0.5  # seconds
FAILED = "The step could not be compiled; the training went on without."
NICE = 15  # the compiler stands back behind trainings, without starving beside them

#: Compilers under way; they outlive the trainings that started them.
under_way: list[subprocess.Popen] = []


def folder() -> Path:
    """Where compiled steps are kept; the environment variable ``FLOWLAB_COMPILED`` moves it."""
    return files.folder(VARIABLE, "compiled")


def refusal(flow: Flow, objective: str) -> str:
    """One sentence on why the steps of a training are not compiled here; empty where they are."""
    if objective != "forward" or distributed.started():
        return "Only steps of maximum likelihood, in one process, are compiled."
    if flow.device.type != "cpu":
        return "Only steps on a processor are compiled."
    if any(isinstance(layer, BatchNorm) for layer in flow.modules()):
        return "A step with batch normalisation is not compiled."
    if not all(p.requires_grad for p in flow.parameters()):
        return "A step with frozen layers is not compiled."
    if type(flow).__module__ == "__main__":  # the compiling process could not import it
        return "Only steps of a flow that a module defines are compiled; this one is in a script."
    if not any(map(shutil.which, COMPILERS)):
        return "There is no C++ compiler here (g++), so the step is not compiled."
    return ""


def joined(tensors: Iterable[Tensor]) -> Tensor:
    """The numbers of all tensors one after the other, detached: how weights and gradients go."""
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])


def mean_nll(flow: Flow) -> Callable[..., tuple[Tensor, Tensor]]:
    """What is compiled: the mean NLL of points and its gradient.

    Returns
    -------
    callable
        Takes the weights as one tensor, points ``(size, *event_shape)``, the share ``(size,)`` of
        each in the mean, the flow's floating-point buffers, and with classes those of the points;
        returns the loss and the gradient.
    """
    names, shapes = zip(*((name, p.shape) for name, p in flow.named_parameters()), strict=True)
    held = list(_buffers(flow))

    def step(weights: Tensor, x: Tensor, shares: Tensor, *others: Tensor
             ) -> tuple[Tensor, Tensor]:
        weights = weights.detach().requires_grad_()
        pieces = weights.split([shape.numel() for shape in shapes])
        state = {name: piece.view(shape)
                 for name, piece, shape in zip(names, pieces, shapes, strict=True)}
        buffers, context = others[:len(held)], others[len(held):]
        state.update(zip(held, buffers, strict=True))
        log_prob = functional_call(_LogProb(flow), {f"flow.{k}": v for k, v in state.items()},
                                   (x, *context))
        loss = -(shares * log_prob).sum()
        gradient, = torch.autograd.grad(loss, weights)
        return loss.detach(), gradient

    return step


class _LogProb(torch.nn.Module):
    """`Flow.log_prob` as a module's ``forward``."""

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, *points: Tensor) -> Tensor:
        return self.flow.log_prob(*points)


class Compiler:
    """Has the step of a flow compiled by another process, and hands it over once it is there.

    That process goes on when this object is dropped, so that the next training of the same shape
    finds the step at once. Only one compiles at a time, whoever started it.

    Parameters
    ----------
    flow : Flow
    size : int
        Points of a batch; a smaller batch is filled up with points that do not count.
    objective : "forward" or "reverse"

    Attributes
    ----------
    working : bool
        Whether there is a compiled step.
    trouble : str
        One sentence where there will be none.
    """

    def __init__(self, flow: Flow, size: int, objective: str) -> None:
        self.flow, self.size = flow, size
        self.trouble = refusal(flow, objective)
        self._step: Callable | None = None
        self._shares: dict[int, Tensor] = {}  # by the number of points in a batch
        self._process: subprocess.Popen | None = None
        self._next_look = 0.0
        if not self.trouble:
            self.path = folder() / f"{_key(flow, size)}.pt2"

    @property
    def working(self) -> bool:
        return self._step is not None

    def ready(self) -> bool:
        """Whether there is a compiled step by now; takes microseconds while there is none."""
        if not self.working and not self.trouble and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + LOOK_EVERY
            self._look()
        return self.working

    def loss_and_gradient(self, weights: Tensor, x: Tensor, context: Tensor | None
                          ) -> tuple[Tensor, Tensor]:
        """The mean NLL of a batch, and its gradient in the order of the weights."""
        count = len(x)
        if count not in self._shares:
            self._shares[count] = x.new_tensor([1 / count] * count + [0.0] * (self.size - count))
        points = [x] if context is None else [x, context]
        if count < self.size:
            index = torch.arange(self.size).clamp_(max=count - 1)
            points = [values[index] for values in points]
        x, *context = points
        loss, gradient = self._step([weights, x, self._shares[count], *self._held, *context])
        return loss, gradient

    def _look(self) -> None:
        """Load the step if it is there, or have it compiled if nobody does."""
        over = self._process is not None and self._process.poll() is not None
        try:
            if self.path.exists():
                # What torch._inductor.aoti_load_package wraps, without seconds of imports.
                self._step = torch._C._aoti.AOTIModelPackageLoader(
                    str(self.path), "model", False, 1, -1).boxed_run
                self._held = list(_buffers(self.flow).values())
            elif self._process is None:
                with _alone(self.path.parent) as lock:
                    if lock is not None:
                        self._process = self._start(lock)
                        under_way[:] = [self._process, *(p for p in under_way if p.poll() is None)]
            elif over:
                self.trouble = FAILED
        except (RuntimeError, OSError):
            with suppress(OSError):
                self.path.unlink(missing_ok=True)  # a damaged one is made anew the next time
            self.trouble = FAILED

    def _start(self, lock: int) -> subprocess.Popen:
        model = type(self.flow)
        job = {"path": str(self.path), "module": model.__module__, "model": model.__name__,
               "settings": self.flow.settings.model_dump_json(), "size": self.size,
               "double": self.flow.dtype == torch.float64, "threads": torch.get_num_threads()}
        return subprocess.Popen(
            [sys.executable, "-m", "flowlab.compiling", json.dumps(job)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True, pass_fds=(lock,) if os.name == "posix" else (),
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                              "TORCHINDUCTOR_COMPILE_THREADS": "1"})


@contextmanager
def _alone(place: Path) -> Iterator[int | None]:
    """A lock as a file handle, held as long as a process has it open; None where another has it.

    Where files cannot be locked, everybody gets it.
    """
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(place / "lock", "w") as lock:
        try:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:
            pass
        except BlockingIOError:
            yield None
            return
        yield lock.fileno()


def _buffers(flow: Flow) -> dict[str, Tensor]:
    """The buffers that the mathematics reads."""
    return {name: value for name, value in flow.named_buffers() if value.is_floating_point()}


def _key(flow: Flow, size: int) -> str:
    """A name for all that a compiled step depends on."""
    package = Path(__file__).parents[1]
    sources = [*package.glob("*.py"), *package.glob("bijections/*.py"),
               *package.glob("training/*.py"), Path(sys.modules[type(flow).__module__].__file__)]
    facts = (torch.__version__, torch.backends.cpu.get_cpu_capability(), torch.get_num_threads(),
             type(flow).__qualname__, flow.settings.model_dump_json(), flow.dtype, size,
             *(path.read_text("utf-8") for path in sorted(sources)))
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:32]


def compile_step(flow: Flow, size: int, path: Path) -> None:
    """Write the compiled step of a flow, for batches of this size, to a file."""
    like = {"dtype": flow.dtype}
    inputs = (joined(flow.parameters()),
              torch.randn(size, *flow.event_shape, **like), torch.full((size,), 1 / size, **like),
              *_buffers(flow).values(),
              *([torch.zeros(size, dtype=torch.long)] if flow.settings.classes else []))
    program = torch.export.export(make_fx(mean_nll(flow))(*inputs), inputs)
    with tempfile.TemporaryDirectory(dir=path.parent) as place:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = place
        made = torch._inductor.aoti_compile_and_package(
            program, package_path=str(Path(place) / path.name))
        os.replace(made, path)


def main() -> None:
    """Do the job that is told as JSON."""
    job = json.loads(sys.argv[1])
    if hasattr(os, "nice"):
        os.nice(NICE)
    torch.set_num_threads(job["threads"])
    model = getattr(importlib.import_module(job["module"]), job["model"])
    settings = model.Settings.model_validate_json(job["settings"])
    flow = model(**dict(settings)).to(torch.float64 if job["double"] else torch.float32)
    compile_step(flow, job["size"], Path(job["path"]))


if __name__ == "__main__":
    main()
