"""Glow on digits: ours beside normflows', with the same architecture.

Both have 2 levels of 8 steps, 64 hidden channels, and 1×1 convolutions in PLU form; batches are of
128 images with fresh uniform noise; test bits per dimension are of the same images with the same
noise. normflows trains as in its own example on images, with Adamax at 1e-3; the lab with its own
defaults, but for a weight decay. The two train at the same time, each in a process with one thread
and a core of its own, so that a machine that slows down slows both.

The images are so few that any flow soon knows them by heart, the sooner the faster it trains. So
both sides stop early, in hindsight: every other image that neither trains on is for validation, and
what is told is the value of the rest where the validation's was lowest, beside that at the end.

``make benchmark-images`` takes a quarter of an hour; with ``--minutes 0.5`` it says something in
one minute, and with ``--logit`` RealNVP's logit stands before both flows.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

from run import machine

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

BATCH = 128
MINUTES = (1.0, 3.0, 10.0)
SIDES = ("flowlab", "normflows")
LEAST = 1e-6  # learning rate that the settings allow
DECAY = 1.0
SHOWN = 3.0  # minutes after which samples are kept as a picture
ROWS, COLUMNS = 4, 10  # of that picture


def data():
    """Digits for training, and for validation and testing with their noise, in grey levels."""
    import torch

    from flowlab.data import dequantise, image_set
    digits = image_set("digits")
    rest = dequantise(digits.part(test=True)[0], torch.Generator().manual_seed(12345))
    return digits, digits.part(test=False)[0], rest[::2], rest[1::2]


def ours(minutes: float, seed: int, logit: bool):
    """Yield seconds of training, steps, bits per dimension, and how to sample, after every epoch.

    Bits per dimension are a pair, of validation and test.

    The learning rate follows the lab's default schedule, over the minutes there are. Seconds are
    those of the steps, as in `theirs`.
    """
    from flowlab.settings import TrainingSettings
    from flowlab.training import SCHEDULES
    from flowlab.training.metrics import bits_per_dimension, nll
    *_, validation, test = data()
    highest = TrainingSettings().learning_rate
    run = training(seed, logit, learning_rate=highest / 10)
    progress, seconds, usual = next(run), 0.0, 0.0
    while True:
        rate = max(LEAST, highest * SCHEDULES["one_cycle"](min(0.999, seconds / (60 * minutes))))
        before, progress = progress, run.send(rate)
        if progress.snapshot is None:
            usual = progress.seconds - before.seconds
        seconds += usual  # with an epoch's last step the lab also measures the flow
        if progress.snapshot is not None:
            bits = tuple(bits_per_dimension(nll(progress.flow, x), (1, 8, 8))
                         for x in (validation, test))
            yield seconds, progress.step, bits, progress.flow.sample


def training(seed: int, logit: bool, **settings):
    """The lab's training, batch by batch, with a learning rate that is sent into it."""
    import torch

    from flowlab.settings import TrainingSettings
    from flowlab.training import train
    from glow import Glow
    torch.manual_seed(seed)
    flow = Glow(event_shape=(1, 8, 8), levels=2, steps=8, hidden_channels=64, grey_levels=17,
                logit=logit)
    return train(flow, data()[0], TrainingSettings(
        epochs=10_000, batch_size=BATCH, schedule="constant", seed=seed, weight_decay=DECAY,
        **settings), every="batch")


def theirs(minutes: float, seed: int, logit: bool):
    """As `ours`, of normflows; what stands before its flow is the lab's, with its determinant."""
    import torch

    from flowlab.bijections import Logit
    from flowlab.data import dequantise
    from flowlab.training.metrics import bits_per_dimension
    _, training, validation, test = data()
    torch.manual_seed(seed)
    model = normflows_glow(8)
    adamax = torch.optim.Adamax(model.parameters(), lr=1e-3, weight_decay=1e-5)

    def nats(x):
        if logit:
            z, log_det = Logit(17).inverse(x)
            return model.forward_kld(z) - log_det.mean()
        return model.forward_kld(x / 17 - 0.5) + 64 * math.log(17)

    steps, seconds = 0, 0.0
    while seconds < 60 * minutes:
        for batch in torch.randperm(len(training)).tensor_split(math.ceil(len(training) / BATCH)):
            start = time.perf_counter()
            adamax.zero_grad()
            nats(dequantise(training[batch])).backward()
            adamax.step()
            seconds += time.perf_counter() - start
            steps += 1
        with torch.no_grad():
            bits = tuple(bits_per_dimension(nats(x).item(), (1, 8, 8)) for x in (validation, test))
        yield seconds, steps, bits, lambda n: (model.sample(n)[0] + 0.5) * 17


def normflows_glow(side: int):
    """Its flow for grey images of that side: 2 levels of 8 steps, 64 hidden channels."""
    import normflows as nf
    priors, flows, merges = [], [], []
    for level in range(2):
        channels = 2 ** (3 - level)
        flows.append([*(nf.flows.GlowBlock(channels, 64) for _ in range(8)), nf.flows.Squeeze()])
        if level:
            merges.append(nf.flows.Merge())
        shape = (8, side // 4, side // 4) if level == 0 else (2, side // 2, side // 2)
        priors.append(nf.distributions.DiagGaussian(shape))
    return nf.MultiscaleFlow(priors, flows, merges, class_cond=False)


def work(side: str, minutes: float, seed: int, logit: bool) -> dict:
    """One run of one side; its test bits, steps per second and largest memory."""
    import resource
    import warnings

    import torch
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    library = theirs if side == "normflows" else ours
    best = math.inf, math.inf
    for seconds, steps, bits, sample in library(minutes, seed, logit):  # noqa: B007
        if bits[0] < best[0]:
            best, stopped = bits, seconds
            with torch.no_grad():
                images = sample(ROWS * COLUMNS)
        if seconds >= 60 * minutes:
            break
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if minutes == SHOWN and not logit:
        save(images, 16, HERE / f"digits-{side}.png")
    return {"side": side, "minutes": minutes, "seed": seed, "logit": logit, "seconds": seconds,
            "steps": steps, "steps_per_second": steps / seconds, "test_bits": best[1],
            "stopped": stopped, "last_bits": bits[1], "megabytes": memory}


def save(x, highest: int, path: Path) -> None:
    """Keep samples with grey levels up to the highest as a picture."""
    import torch
    from PIL import Image
    grey = (x.nan_to_num().floor().clamp(0, highest) / highest * 255).to(torch.uint8).cpu()
    side = x.shape[-1]
    rows = grey.reshape(ROWS, COLUMNS, side, side).permute(0, 2, 1, 3)
    picture = Image.fromarray(rows.reshape(ROWS * side, COLUMNS * side).numpy())
    picture.resize((COLUMNS * 32, ROWS * 32), Image.Resampling.NEAREST).save(path)


def together(minutes: float, seed: int, logit: bool) -> list[dict]:
    """Both sides at once, each on a core of its own."""
    cores = sorted(os.sched_getaffinity(0))
    started = [subprocess.Popen(
        [sys.executable, __file__, "--work", side, "--minutes", str(minutes), "--seed", str(seed),
         *(["--logit"] if logit else [])], stdout=subprocess.PIPE, text=True,
        preexec_fn=lambda core=core: os.sched_setaffinity(0, {core}),
        env={**os.environ, "OMP_NUM_THREADS": "1"})
        for side, core in zip(SIDES, cores, strict=False)]
    told = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        sys.exit("A side failed.")
    return [json.loads(text.splitlines()[-1]) for text in told]


def markdown(results: dict) -> str:
    """The results as a page."""
    machine = results["machine"]
    lines = [
        "# Images", "",
        f"Glow on digits, 2 levels of 8 steps with 64 hidden channels; {machine['processor']}, one "
        f"thread and one core for each library; {results['date']}.", "",
        "| minutes | | steps/s | test bits/dim, stopped early | stopped after | test bits/dim at "
        "the end | memory |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for run in results["runs"]:
        name = run["side"] + " with logit" * run["logit"]
        lines.append(f"| {run['minutes']:g} | {name} | {run['steps_per_second']:.1f} | "
                     f"{run['test_bits']:.3f} | {run['stopped']:.0f} s | {run['last_bits']:.3f} | "
                     f"{run['megabytes']:,.0f} MB |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run what was asked for, and write the table."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--minutes", type=float, nargs="+", default=MINUTES)
    p.add_argument("--logit", action="store_true")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--dry", action="store_true", help="print only, write no files")
    p.add_argument("--work", choices=SIDES, help=argparse.SUPPRESS)
    options = p.parse_args()
    if options.work:
        print(json.dumps(work(options.work, options.minutes[0], options.seed, options.logit)))
        return
    runs = [run for minutes in options.minutes
            for run in together(minutes, options.seed, options.logit)]
    results = {"date": str(date.today()), "machine": machine(), "runs": runs}
    print(markdown(results))
    if not options.dry:
        HERE.joinpath("images.json").write_text(json.dumps(results, indent=1) + "\n")
        HERE.joinpath("IMAGES.md").write_text(markdown(results))


if __name__ == "__main__":
    main()
