"""Glow on digits: ours beside normflows', with the same architecture.

Both have 2 levels of 8 steps, 64 hidden channels, and 1×1 convolutions in PLU form; batches are of
128 images with fresh uniform noise; test bits per dimension are of the same images with the same
noise. normflows trains as in its own example on images, with Adamax at 1e-3; the lab with its own
defaults. Each runs with and without RealNVP's logit before the flow. They take turns,
each in a process of its own, one at a time.

``make benchmark-images`` takes about an hour; with ``--minutes 0.5`` it says something in three
minutes. The digits are few: both learn them by heart in the end, so the table also has the best
test value on the way, which early stopping would have kept.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

BATCH = 128
MINUTES = (1.0, 3.0, 10.0)
SIDES = ("flowlab", "normflows", "flowlab-logit", "normflows-logit")


def data():
    """Digits for training, and for testing with their noise, in grey levels."""
    import torch

    from flowlab.data import dequantise, image_set
    digits = image_set("digits")
    test = dequantise(digits.part(test=True)[0], torch.Generator().manual_seed(12345))
    return digits, digits.part(test=False)[0], test


def ours(minutes: float, seed: int, logit: bool):
    """Yield seconds of training, steps and test bits per dimension, after every epoch.

    The learning rate follows the lab's default schedule, over the minutes there are.
    """
    import torch

    from flowlab.metrics import bits_per_dimension, nll
    from flowlab.settings import TrainingSettings
    from flowlab.training import SCHEDULES, train
    from glow import Glow
    digits, _, test = data()
    torch.manual_seed(seed)
    flow = Glow(event_shape=(1, 8, 8), levels=2, steps=8, hidden_channels=64, grey_levels=17,
                logit=logit)
    settings = TrainingSettings(epochs=10_000, batch_size=BATCH, schedule="constant", seed=seed)
    highest = settings.learning_rate
    run = train(flow, digits, settings.model_copy(update={"learning_rate": highest / 10}))
    progress = next(run)
    while True:
        bits = bits_per_dimension(nll(progress.flow, test), (1, 8, 8))
        yield progress.seconds, progress.step, bits
        share = min(0.999, progress.seconds / (60 * minutes))
        progress = run.send(highest * SCHEDULES["one_cycle"](share))


def theirs(minutes: float, seed: int, logit: bool):
    """As `ours`, of normflows; what stands before its flow is the lab's, with its determinant."""
    import normflows as nf
    import torch

    from flowlab.data import dequantise
    from flowlab.layers import Logit
    from flowlab.metrics import bits_per_dimension
    _, training, test = data()
    torch.manual_seed(seed)
    priors, flows, merges = [], [], []
    for level in range(2):
        channels = 2 ** (3 - level)
        flows.append([*(nf.flows.GlowBlock(channels, 64) for _ in range(8)), nf.flows.Squeeze()])
        if level:
            merges.append(nf.flows.Merge())
        shape = (8, 2, 2) if level == 0 else (2, 4, 4)
        priors.append(nf.distributions.DiagGaussian(shape))
    model = nf.MultiscaleFlow(priors, flows, merges, class_cond=False)
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
            bits = bits_per_dimension(nats(test).item(), (1, 8, 8))
        yield seconds, steps, bits


def work(side: str, minutes: float, seed: int) -> dict:
    """One run of one side; its last test bits, steps per second and largest memory."""
    import resource
    import warnings

    import torch
    warnings.simplefilter("ignore")
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    library = theirs if side.startswith("normflows") else ours
    best = math.inf
    for at in library(minutes, seed, side.endswith("logit")):
        best = min(best, at[2])
        if at[0] >= 60 * minutes:
            break
    seconds, steps, bits = at
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"side": side, "minutes": minutes, "seed": seed, "seconds": seconds, "steps": steps,
            "steps_per_second": steps / seconds, "test_bits": bits, "best_bits": best,
            "megabytes": memory}


def main() -> None:
    """Run what was asked for, by turns, and print a table."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--minutes", type=float, nargs="+", default=MINUTES)
    p.add_argument("--sides", nargs="+", choices=SIDES, default=SIDES)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--save", type=Path, default=Path(__file__).with_name("images.json"))
    p.add_argument("--work", choices=SIDES, help=argparse.SUPPRESS)
    options = p.parse_args()
    if options.work:
        print(json.dumps(work(options.work, options.minutes[0], options.seed)))
        return
    results = []
    print("side            minutes  steps/s  test bits/dim    best  memory/MB")
    for minutes in options.minutes:
        for side in options.sides:
            done = subprocess.run(
                [sys.executable, __file__, "--work", side, "--minutes", str(minutes), "--seed",
                 str(options.seed)], capture_output=True, text=True,
                env={**os.environ, "OMP_NUM_THREADS": str(options.threads)})
            if done.returncode:
                sys.exit(done.stderr[-3000:])
            result = json.loads(done.stdout.splitlines()[-1]) | {"threads": options.threads}
            results.append(result)
            print(f"{side:15} {minutes:7g} {result['steps_per_second']:8.1f} "
                  f"{result['test_bits']:14.3f} {result['best_bits']:7.3f} "
                  f"{result['megabytes']:10.0f}", flush=True)
            options.save.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
