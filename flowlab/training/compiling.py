"""Compiles the loss and gradient of a training step while the training runs.

PyTorch's compiler turns the layers and their derivative into C++ loops. This needs a C++ compiler
and takes about a minute, so another process does it while the training runs, and the result is kept
on disk for later trainings of the same shape. Its numbers equal those of the uncompiled step up to
rounding.

``python -m flowlab.training.compiling`` is that other process.
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
#: Programs that PyTorch's compiler can use; the first one found is taken.
COMPILERS = (os.environ.get("CXX") or "g++", "clang++")
CHECK_EVERY = 0.5  # seconds
FAILED = "The step could not be compiled; the training went on without."
NICENESS = 15  # of the compiler, which yields to trainings without starving

#: Running compilers; they outlive the trainings that started them.
compilers: list[subprocess.Popen] = []


def folder() -> Path:
    """The folder of compiled steps; the environment variable ``FLOWLAB_COMPILED`` sets it."""
    return files.folder(VARIABLE, "compiled")


def refusal(flow: Flow, objective: str) -> str:
    """One sentence on why the steps of a training cannot be compiled; empty where they can."""
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
    """Concatenate all tensors, detached, to one flat tensor, as for weights and gradients."""
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])


def mean_nll(flow: Flow) -> Callable[..., tuple[Tensor, Tensor]]:
    """The function that is compiled: the mean NLL of points and its gradient.

    Returns
    -------
    callable
        Takes the weights as one tensor, points ``(size, *event_shape)``, the weight ``(size,)`` of
        each point in the mean, the flow's floating-point buffers, and where the flow has classes
        those of the points; returns the loss and the gradient.
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
    """Has another process compile the step of a flow, and loads it when it is ready.

    That process continues when this object is dropped, so that the next training of the same shape
    finds the step at once. Only one process compiles at a time.

    Parameters
    ----------
    flow : Flow
    size : int
        Points of a batch; smaller batches are padded with points of weight 0.
    objective : "forward" or "reverse"

    Attributes
    ----------
    working : bool
        Whether the compiled step is loaded.
    trouble : str
        One sentence where there will be none.
    """

    def __init__(self, flow: Flow, size: int, objective: str) -> None:
        self.flow, self.size = flow, size
        self.trouble = refusal(flow, objective)
        self._step: Callable | None = None
        self._shares: dict[int, Tensor] = {}  # by the number of points in a batch
        self._process: subprocess.Popen | None = None
        self._next_check = 0.0
        if not self.trouble:
            self.path = folder() / f"{_key(flow, size)}.pt2"

    @property
    def working(self) -> bool:
        return self._step is not None

    def ready(self) -> bool:
        """Whether the compiled step is loaded; takes microseconds while it is not."""
        if not self.working and not self.trouble and time.monotonic() >= self._next_check:
            self._next_check = time.monotonic() + CHECK_EVERY
            self._check()
        return self.working

    def loss_and_gradient(self, weights: Tensor, x: Tensor, context: Tensor | None
                          ) -> tuple[Tensor, Tensor]:
        """The mean NLL of a batch, and its gradient as a flat tensor in the weights' order."""
        count = len(x)
        if count not in self._shares:
            self._shares[count] = x.new_tensor([1 / count] * count + [0.0] * (self.size - count))
        points = [x] if context is None else [x, context]
        if count < self.size:
            index = torch.arange(self.size).clamp_(max=count - 1)
            points = [values[index] for values in points]
        assert self._step is not None
        x, *classes = points
        loss, gradient = self._step([weights, x, self._shares[count], *self._held, *classes])
        return loss, gradient

    def _check(self) -> None:
        """Load the step if it exists, or start to compile it unless another process does."""
        over = self._process is not None and self._process.poll() is not None
        try:
            if self.path.exists():
                # As torch._inductor.aoti_load_package does, without seconds of imports.
                self._step = torch._C._aoti.AOTIModelPackageLoader(
                    str(self.path), "model", False, 1, -1).boxed_run
                self._held = list(_buffers(self.flow).values())
            elif self._process is None:
                with _locked(self.path.parent) as lock:
                    if lock is not None:
                        self._process = self._start(lock)
                        compilers[:] = [self._process, *(p for p in compilers if p.poll() is None)]
            elif over:
                self.trouble = FAILED
        except (RuntimeError, OSError):
            with suppress(OSError):
                self.path.unlink(missing_ok=True)  # a damaged one is compiled again next time
            self.trouble = FAILED

    def _start(self, lock: int) -> subprocess.Popen:
        model = type(self.flow)
        job = {"path": str(self.path), "module": model.__module__, "model": model.__name__,
               "settings": self.flow.settings.model_dump_json(), "size": self.size,
               "double": self.flow.dtype == torch.float64, "threads": torch.get_num_threads()}
        return subprocess.Popen(
            [sys.executable, "-m", "flowlab.training.compiling", json.dumps(job)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True, pass_fds=(lock,) if os.name == "posix" else (),
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                              "TORCHINDUCTOR_COMPILE_THREADS": "1"})


@contextmanager
def _locked(place: Path) -> Iterator[int | None]:
    """A lock as a file handle, held while a process has it open; None where another holds it.

    Where files cannot be locked, every process gets it.
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
    """The floating-point buffers, which the log-density depends on."""
    return {name: value for name, value in flow.named_buffers() if value.is_floating_point()}


def _key(flow: Flow, size: int) -> str:
    """A hash of all that a compiled step depends on."""
    package = Path(__file__).parents[1]
    model = sys.modules[type(flow).__module__].__file__ or ""
    sources = [*package.glob("*.py"), *package.glob("bijections/*.py"),
               *package.glob("training/*.py"), Path(model)]
    facts = (torch.__version__, torch.backends.cpu.get_cpu_capability(), torch.get_num_threads(),
             type(flow).__qualname__, flow.settings.model_dump_json(), flow.dtype, size,
             *(path.read_text("utf-8") for path in sorted(sources)))
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:32]


def compile_step(flow: Flow, size: int, path: Path) -> None:
    """Compile the step of a flow for batches of this size, and write it to a file."""
    inputs = (joined(flow.parameters()),
              torch.randn(size, *flow.event_shape, dtype=flow.dtype),
              torch.full((size,), 1 / size, dtype=flow.dtype),
              *_buffers(flow).values(),
              *([torch.zeros(size, dtype=torch.long)] if flow.settings.classes else []))
    program = torch.export.export(make_fx(mean_nll(flow))(*inputs), inputs)
    with tempfile.TemporaryDirectory(dir=path.parent) as place:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = place
        made = torch._inductor.aoti_compile_and_package(
            program, package_path=str(Path(place) / path.name))
        os.replace(made, path)


def main() -> None:
    """Compile the step that the argument, in JSON, describes."""
    job = json.loads(sys.argv[1])
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    torch.set_num_threads(job["threads"])
    model = getattr(importlib.import_module(job["module"]), job["model"])
    settings = model.Settings.model_validate_json(job["settings"])
    flow = model(**dict(settings)).to(torch.float64 if job["double"] else torch.float32)
    compile_step(flow, job["size"], Path(job["path"]))


if __name__ == "__main__":
    main()
