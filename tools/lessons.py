"""Trains every lesson, and writes the numbers that their texts say: ``make lessons``.

Everything the texts say of a training is in the file that this writes, with the settings it was
measured with. It takes some minutes on one core; ``python tools/lessons.py mixing base`` trains
these lessons alone and leaves the others' numbers as they are.
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.append(str(Path(__file__).parents[1]))

from flowlab.data import source_of
from flowlab.flow import Flow
from flowlab.training.lessons import FILE, Preset
from flowlab.training.metrics import bits_per_dimension
from flowlab.training.recipe import Recipe
from models import RECIPES

SAMPLES, SEED = 20_000, 0
NEAR = 4.0  # standard deviations from a mode that still belong to it
VISITED = 0.01  # share of the samples that a mode must have to count as visited


def measure(lesson: Preset, training: str) -> dict[str, Any]:
    """Settings and numbers of one of a lesson's trainings."""
    model, settings = lesson.training(training)
    run = RECIPES[model].Run.from_flat(settings)
    test_nll = []
    for progress in RECIPES[model].train(run):
        test_nll.append(progress.test_nll)
    numbers = {"outcome": progress.outcome, "steps": progress.step, "kl": progress.kl,
               "train_nll": progress.train_nll, "test_nll": progress.test_nll,
               "turn": 1 + min(range(len(test_nll)), key=lambda i: _or_infinite(test_nll[i]))}
    source = source_of(run.source)
    if source.kind == "images":
        numbers["bits"] = bits_per_dimension(progress.test_nll, source.event_shape)
    modes = source.modes
    if modes is not None and len(modes) > 1 and progress.outcome == "finished":
        numbers |= islands(progress.flow, modes, source.noise)
    return {"model": model, "settings": run.texts(),
            "numbers": {name: _rounded(value) for name, value in numbers.items()}}


@torch.no_grad()
def islands(flow: Flow, modes: Tensor, sigma: float) -> dict[str, Any]:
    """How many modes the samples visit, and what share of them is far from every mode."""
    samples = flow.eval().sample(SAMPLES, generator=torch.Generator().manual_seed(SEED)).cpu()
    distance, nearest = torch.cdist(samples, modes).min(1)
    near = distance < NEAR * sigma
    shares = nearest[near].bincount(minlength=len(modes)) / SAMPLES
    return {"visited": int((shares >= VISITED).sum()), "between": 1 - near.float().mean().item()}


def _or_infinite(value: float) -> float:
    return value if math.isfinite(value) else math.inf


def _rounded(value: Any) -> Any:
    """Five digits; what is not finite is no JSON."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.5g}") if math.isfinite(value) else None


def main(names: list[str]) -> None:
    """Train the lessons of these names, or all, and write the models' files."""
    torch.set_num_threads(1)
    for recipe, lesson in [(r, lesson) for r in RECIPES.values() for lesson in r.lessons]:
        if names and lesson.name not in names:
            continue
        numbers = {}
        for training in lesson.trainings:
            numbers[training] = measure(lesson, training)
            print(lesson.name, training, numbers[training]["numbers"], flush=True)
        write(recipe, lesson.name, numbers)


def write(recipe: Recipe, name: str, numbers: dict[str, Any]) -> None:
    """Put a lesson's numbers into the file of its model, in the order of the lessons."""
    file = recipe.folder / FILE
    found = json.loads(file.read_text("utf-8")) if file.exists() else {}
    found[name] = numbers
    ordered = {lesson.name: found[lesson.name] for lesson in recipe.lessons if lesson.name in found}
    file.write_text(json.dumps(ordered, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
