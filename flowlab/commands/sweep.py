"""The command line of sweeps: ``python -m flowlab.sweep sweep.toml``.

Trained points are taken from the store of runs, so a sweep that was stopped continues where it was.
The models are those of the program's ``models`` module.
"""

import argparse
import importlib
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from flowlab.commands import outputs
from flowlab.commands import train as cli
from flowlab.commands.status import with_status
from flowlab.commands.stopping import Stopping
from flowlab.data.uploads.files import is_file
from flowlab.figures import png
from flowlab.files import write
from flowlab.runs import Recorder
from flowlab.server import admission
from flowlab.studies.sweep.plan import SweepSettings
from flowlab.studies.sweep.work import Sweep, counts
from flowlab.training.recipe import featured

POLL = 0.3  # seconds between two polls
PRELOAD = ("models", "flowlab.live")


def parser() -> argparse.ArgumentParser:
    """The options."""
    p = argparse.ArgumentParser(
        prog="python -m flowlab.sweep", description="Train a model with many settings from a TOML "
        "file. Trained points are not trained again; stop it with Ctrl-C.")
    p.add_argument("sweep", type=Path, metavar="TOML", help="the sweep: model, settings and sweep")
    p.add_argument("--table", type=Path, metavar="CSV", help="write the table here; by default "
                   "beside the sweep, with the ending .csv")
    p.add_argument("--picture", type=Path, metavar="PNG", help="write the picture here; by default "
                   "beside the sweep, with the ending .png")
    p.add_argument("--workers", type=int, metavar="N", help="how many runs are trained at once; by "
                   "default as many as there are cores")
    cli.add_leave_out(p)
    p.add_argument("--dry", action="store_true", help="only print what is left to train")
    return p


@with_status
def main(arguments: Sequence[str] | None = None) -> int:
    """Run a sweep; return 0, or 1 where a point failed or is left, or 2 for a wrong option."""
    options = parser().parse_args(arguments)
    recipes = importlib.import_module("models").RECIPES
    table = options.table or options.sweep.with_suffix(".csv")
    picture = options.picture or options.sweep.with_suffix(".png")
    settings = SweepSettings.read(options.sweep)
    if not settings.model:
        settings = settings.model_copy(update={"model": featured(recipes).name})
    outputs.check({"--table": table, "--picture": picture},
                  [options.sweep, *map(Path, _files(settings))])
    settings = _with_files(settings, options.leave_out)
    if settings.model not in recipes:
        raise ValueError(f"There is no model {settings.model!r}: choose one of "
                         f"{', '.join(recipes)}.")
    sweep = Sweep(settings, recipes[settings.model], admission.store())
    sweep.check()
    done = counts(sweep.state())["complete"]
    print(f"{len(sweep.points)} runs, {done} of them trained already.")
    with Stopping() as stopping:
        if not options.dry:
            train(sweep, options.workers, stopping)
        status = report(sweep, table, picture)
        return stopping.status if stopping.signal else status


def _files(settings: SweepSettings) -> list[str]:
    """The data files that the sweep names."""
    swept = settings.sweep.get("data", ())
    named = [settings.settings.get("data"), *(swept if isinstance(swept, tuple) else ())]
    return [name for name in named if isinstance(name, str) and is_file(name)]


def _with_files(settings: SweepSettings, leave_out: str) -> SweepSettings:
    """Store the sweep's data files, and replace them by the names of the stored data."""
    side = settings.settings.get("image_side")
    side = side if type(side) is int else None
    names: dict[Any, str] = {path: cli.kept_file(path, leave_out, side)
                             for path in dict.fromkeys(_files(settings))}
    common, swept = dict(settings.settings), dict(settings.sweep)
    if "data" in common:
        common["data"] = names.get(common["data"], common["data"])
    if isinstance(swept.get("data"), tuple):
        swept["data"] = tuple(names.get(name, name) for name in swept["data"])
    return settings.model_copy(update={"settings": common, "sweep": swept})


def train(sweep: Sweep, workers: int | None, stopping: Stopping) -> None:
    """Train the points that are left, with a progress bar, to the end or until a signal."""
    with admission.engine(PRELOAD, workers) as runner, Recorder(runner, sweep.store) as recorder:
        with tqdm(total=len(sweep.start(recorder)), unit="run", dynamic_ncols=True) as bar:
            while (left := [*recorder.group(sweep.group)]) and not stopping.signal:
                bar.update(bar.total - len(left) - bar.n)
                time.sleep(POLL)
            bar.update(bar.total - len(left) - bar.n)
        if left:
            print("Stopping: finished runs stay, and the same command continues from here.")
            recorder.stop(left)


def report(sweep: Sweep, table: Path, picture: Path) -> int:
    """Write the table and the picture, and print where they are; return the exit status."""
    content = sweep.table().encode()
    done, kept = outputs.deliver(partial(write, content=content), table)
    where = [f"table {done}"]
    figure = sweep.figure()
    if figure is not None:
        done, there = outputs.deliver(partial(write, content=png(figure)), picture)
        where.append(f"picture {done}")
        kept = kept and there
    state = sweep.state()
    complete = counts(state)["complete"]
    print(f"{complete} of {len(state)} runs are trained: {', '.join(where)}")
    for trained in state:
        if trained.run is not None and trained.run.outcome == "failed":
            print(f"{trained.run.name}: {trained.run.reason}")
    measure = sweep.settings.measure
    known = [(score, t.run) for t in state
             if t.run is not None and (score := t.measure(measure)) is not None]
    if known:
        score, run = min(known, key=lambda pair: pair[0])
        print(f"best {measure}: {score:.4f} nats, {run.name} (run {run.id})")
    return 0 if complete == len(state) and kept else 1


if __name__ == "__main__":
    sys.exit(main())
