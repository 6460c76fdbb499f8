"""The papers' own data: MNIST, by the models of the lab and by normflows' Glow.

    python benchmarks/papers.py mnist --data FOLDER --minutes 10
    python benchmarks/papers.py nice --data FOLDER --minutes 10
    python benchmarks/papers.py gpu --data FOLDER --minutes 8
    python benchmarks/papers.py pair --data FOLDER --fashion FOLDER --minutes 10

The folder has the four files in which MNIST is published, packed or not. Each training has a
process with one thread and a core of its own, and two go on at the same time. They stop by the
clock of their own steps (on a CPU the processor time that the steps take, so that other programs
do not count), keep a checkpoint in ``build/papers``, and with more minutes go on.

``mnist``: Glow with 2 levels of 8 steps and 64 hidden channels, ours and normflows', and RealNVP;
1×1 convolutions in PLU form, a logit before the flow, batches of 128 images with fresh uniform
noise. normflows trains as in its own example on images, with Adamax at 1e-3; the lab with Adam at
1e-3. ``nice``: four couplings with five hidden layers of 1,000 units and a logistic base, as in the
paper. ``gpu``: Glow with 2 levels of 16 steps and 128 channels, batches of 256, with ``--bf16`` in
mixed precision. ``pair``: the first Glow, trained on Fashion-MNIST, and what it makes of MNIST
(Nalisnick et al. 2019, arXiv 1810.09136). Results go to ``papers.json``, and as a table to
``PAPERS.md`` and the docs.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from images import COLUMNS, ROWS, normflows_glow, save
from run import machine
from torch import Tensor

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from flowlab.analysis.images import Likelihoods  # noqa: E402
from flowlab.bijections import Logit  # noqa: E402
from flowlab.data import dequantise  # noqa: E402
from flowlab.data.images import parts  # noqa: E402
from flowlab.data.uploads.files import read_file  # noqa: E402
from glow import Glow  # noqa: E402
from nice import NICE  # noqa: E402
from realnvp import RealNVP  # noqa: E402

SHAPE, GREY, RATE = (1, 28, 28), 256, 1e-3
PIXELS = math.prod(SHAPE)
TESTS = 1000  # of the test images, the first
MARKS = (0.5, 1, 2, 3, 5, 10, 15, 20, 30, 45, 60)  # minutes at which a training is measured
IMAGES = {"logit": True, "grey_levels": GREY}


def small_glow() -> Glow:
    """Glow as the benchmarks train it on a CPU."""
    return Glow(SHAPE, levels=2, steps=8, hidden_channels=64, **IMAGES)


#: Batch size, and how the flow is made.
SIDES: dict[str, tuple[int, Callable[[], Any]]] = {
    "glow": (128, small_glow), "pair": (128, small_glow),
    "realnvp": (128, lambda: RealNVP(SHAPE, levels=2, blocks=2, hidden_channels=32,
                                     image_normalisation="actnorm", **IMAGES)),
    "normflows": (128, lambda: normflows_glow(28)),
    "nice": (128, lambda: NICE(SHAPE, couplings=4, hidden=(1000,) * 5, activation="relu",
                               grey_levels=GREY)),
    "gpu": (256, lambda: Glow(SHAPE, levels=2, steps=16, hidden_channels=128, **IMAGES))}
PARTS = {"mnist": ("glow", "normflows", "realnvp"), "nice": ("nice",), "gpu": ("gpu",),
         "pair": ("pair",)}


class Training:
    """One training by the clock: its flow, its optimiser, and what was measured.

    Attributes
    ----------
    seconds : float
        Of all steps, without what measuring takes.
    curve : list
        Rows of seconds, steps and bits per dimension of the test images.
    """

    def __init__(self, side: str, train: Tensor, test: Tensor, device: str, bf16: bool) -> None:
        torch.manual_seed(0)
        self.side, self.device, self.bf16 = side, device, bf16
        self.batch, make = SIDES[side]
        self.flow = make().to(device)
        self.train = train.to(device)
        self.test = dequantise(test, torch.Generator().manual_seed(12345)).to(device)
        if self.theirs:
            self.adam: torch.optim.Optimizer = torch.optim.Adamax(
                self.flow.parameters(), lr=RATE, weight_decay=1e-5)
        else:
            self.flow.initialise(dequantise(self.train[:1000]))
            self.adam = torch.optim.Adam(self.flow.parameters(), lr=RATE, fused=True)
        self.seconds, self.steps, self.curve = 0.0, 0, []

    @property
    def theirs(self) -> bool:
        """Whether the flow is normflows'; what stands before it is the lab's."""
        return self.side == "normflows"

    def nats(self, x: Tensor) -> Tensor:
        """Mean of the negative log-density, in the unit of one grey level."""
        if self.theirs:
            z, log_det = Logit(GREY).inverse(x)
            return self.flow.forward_kld(z) - log_det.mean()
        return -self.flow.log_prob(x).mean()

    def step(self) -> None:
        """One optimiser step."""
        chosen = torch.randint(len(self.train), (self.batch,), device=self.device)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.bf16):
            loss = self.nats(dequantise(self.train[chosen]))
        self.adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.flow.parameters(), math.inf if self.theirs else 50.0)
        self.adam.step()
        self.steps += 1

    def measure(self) -> None:
        """Append the bits per dimension of the test images to the curve."""
        with torch.no_grad():
            total = sum(self.nats(x).item() * len(x) for x in self.test.split(250))
        self.curve.append((self.seconds, self.steps, total / len(self.test) / PIXELS / math.log(2)))
        print(self.side, *(f"{number:.4g}" for number in self.curve[-1]), flush=True)

    def against(self, other: Tensor) -> dict[str, float]:
        """Bits per dimension of another collection's images, and how often they are likelier."""
        x = dequantise(other, torch.Generator().manual_seed(12345)).to(self.device)
        with torch.no_grad():
            seen = Likelihoods({name: -torch.cat([self.flow.log_prob(part) for part in
                                                  each.split(250)]).numpy() / PIXELS / math.log(2)
                                for name, each in (("test", self.test), ("other", x))}, {})
        return {"bits": float(seen.bits["other"].mean()), "likelier": seen.likelier("other")}

    def run(self, minutes: float) -> None:
        """Train on until so many minutes are over, and measure at the marks on the way."""
        clock = time.perf_counter if self.device == "cuda" else time.process_time
        marks = sorted({m for m in MARKS if m < minutes} | {minutes})
        for mark in [m for m in marks if 60 * m > self.seconds]:
            while self.seconds < 60 * mark:
                start = clock()
                self.step()
                if self.device == "cuda":
                    torch.cuda.synchronize()
                self.seconds += clock() - start
            self.measure()
            self.save()

    def sample(self, temperature: float) -> Tensor:
        """A sheet's samples, in grey levels."""
        with torch.no_grad():
            if self.theirs:
                return Logit(GREY).forward(self.flow.sample(
                    ROWS * COLUMNS, temperature=temperature)[0])[0]
            return self.flow.sample(ROWS * COLUMNS, temperature=temperature)

    @property
    def checkpoint(self) -> Path:
        """The file from which the training goes on."""
        return HERE.parent / "build/papers" / f"{self.side}.pt"

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        part = self.checkpoint.with_suffix(".part")
        torch.save([self.flow.state_dict(), self.adam.state_dict(), torch.get_rng_state(),
                    self.seconds, self.steps, self.curve], part)
        part.replace(self.checkpoint)

    def load(self) -> None:
        """Go on from the checkpoint, if there is one."""
        if self.checkpoint.exists():
            flow, adam, state, self.seconds, self.steps, self.curve = torch.load(
                self.checkpoint, weights_only=True, map_location=self.device)
            self.flow.load_state_dict(flow)
            self.adam.load_state_dict(adam)
            torch.set_rng_state(state.cpu())


def images(folder: Path, name: str) -> Tensor:
    """The images of a file of MNIST, shape (n, 1, 28, 28), uint8."""
    found = sorted(folder.glob(f"{name}-images?idx3-ubyte*"))
    if not found:
        raise SystemExit(f"{folder} has no file {name}-images-idx3-ubyte: give the folder of the "
                         "four files of MNIST.")
    return torch.from_numpy(np.ascontiguousarray(parts(read_file(str(found[0]))[0])[0]))[:, None]


def work(side: str, options: argparse.Namespace) -> dict[str, Any]:
    """One training; what it reached."""
    torch.set_num_threads(1)
    folder, bf16 = options.fashion if side == "pair" else options.data, options.bf16
    device = "cuda" if side == "gpu" and torch.cuda.is_available() else "cpu"
    training = Training(side, images(folder, "train"), images(folder, "t10k")[:TESTS], device, bf16)
    training.load()
    training.run(options.minutes)
    pair = {}
    if side == "pair":
        pair = {"mnist": training.against(images(options.data, "t10k")[:TESTS])}
    else:
        for temperature in (0.7, 1.0):
            save(training.sample(temperature), GREY - 1, HERE / f"mnist-{side}-{temperature:g}.png")
    parameters = sum(p.numel() for p in training.flow.parameters())
    name = torch.cuda.get_device_name() if device == "cuda" else "one core"
    return {"side": side, "device": name, "batch": training.batch, "parameters": parameters,
            "bf16": bf16, "steps_per_second": training.steps / training.seconds,
            "curve": training.curve, **pair}


def together(sides: tuple[str, ...], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Trainings side by side, as many at once as there are cores."""
    cores = sorted(os.sched_getaffinity(0))
    found = []
    for first in range(0, len(sides), len(cores)):
        started = [subprocess.Popen(
            [sys.executable, __file__, options.part, "--work", side, "--data", str(options.data),
             "--minutes", str(options.minutes), *(["--bf16"] if options.bf16 else []),
             *(["--fashion", str(options.fashion)] if options.fashion else [])],
            stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
            preexec_fn=lambda core=core: os.sched_setaffinity(0, {core}))
            for side, core in zip(sides[first:], cores, strict=False)]
        texts = [process.communicate()[0] for process in started]
        if any(process.returncode for process in started):
            sys.exit("A training failed.")
        found += [json.loads(text.splitlines()[-1]) for text in texts]
    return found


def markdown(results: dict[str, Any]) -> str:
    """The results as a page."""
    lines = [
        "# The papers' data", "",
        "MNIST, 60,000 images of 28 × 28 pixels with 256 grey levels; bits per dimension of "
        f"{TESTS:,} test images. A core is one of {results['machine']['processor']}, with one "
        "thread for each training. Nats are the log-likelihood of pixels in [0, 1], "
        "784 · ln 2 · (8 − bits/dim).", "",
        "| | on | parameters | minutes | steps | steps/s | test bits/dim | nats |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |"]
    for run in results["runs"].values():
        lines += [f"| {run['side']} | {run['device']}, {run['date']} | {run['parameters']:,} | "
                  f"{seconds / 60:.1f} | {steps:,} | {run['steps_per_second']:.2f} | {bits:.3f} | "
                  f"{PIXELS * math.log(2) * (8 - bits):.0f} |"
                  for seconds, steps, bits in run["curve"]]
    for run in results["runs"].values():
        if "mnist" in run:
            seconds, _, bits = run["curve"][-1]
            lines += ["", f"The row *{run['side']}* is of Fashion-MNIST. After {seconds / 60:.0f} "
                      f"minutes the flow gives its test images {bits:.3f} bits/dim and {TESTS:,} "
                      f"of MNIST {run['mnist']['bits']:.3f}: the image of MNIST is the likelier "
                      f"one in {run['mnist']['likelier']:.1%} of all pairs of both."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run what was asked for, and write the table."""
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("part", choices=PARTS)
    p.add_argument("--data", type=Path, required=True, help="folder of MNIST's four files")
    p.add_argument("--fashion", type=Path, help="folder of Fashion-MNIST's four files, for pair")
    p.add_argument("--minutes", type=float, default=10, help="of training (default 10)")
    p.add_argument("--sides", nargs="+", choices=SIDES, help="default: all of the part")
    p.add_argument("--bf16", action="store_true", help="mixed precision, on a GPU")
    p.add_argument("--dry", action="store_true", help="print only, write no table")
    p.add_argument("--work", choices=SIDES, help=argparse.SUPPRESS)
    options = p.parse_args()
    if options.work:
        print(json.dumps(work(options.work, options)))
        return
    if options.part == "pair" and options.fashion is None:
        p.error("pair needs --fashion, the folder of Fashion-MNIST's four files.")
    path = HERE / "papers.json"
    results = json.loads(path.read_text()) if path.exists() else {"runs": {}}
    for run in together(tuple(options.sides or PARTS[options.part]), options):
        results["runs"][run["side"]] = run | {"date": str(date.today())}
    results["machine"] = machine()
    print(markdown(results))
    if not options.dry:
        path.write_text(json.dumps(results, indent=1) + "\n")
        HERE.joinpath("PAPERS.md").write_text(markdown(results))


if __name__ == "__main__":
    main()
