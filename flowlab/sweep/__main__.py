"""The command line of sweeps: ``python -m flowlab.sweep sweep.toml``.

What is trained already is taken from the store of runs, so a sweep that was stopped goes on where
it was. Models are those of the program's own ``models`` module.
"""

import argparse
import importlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from flowlab import cli
from flowlab.data.files import DEFAULT_SIDE, is_file
from flowlab.figures import png
from flowlab.files import write
from flowlab.jobs.choose import engine
from flowlab.runs import Recorder, Store
from flowlab.sweep.plan import SweepSettings
from flowlab.sweep.work import Sweep, counts

LOOK = 0.3  # seconds between two looks
PRELOAD = ("models", "flowlab.live")


def parser() -> argparse.ArgumentParser:
    """The options."""
    p = argparse.ArgumentParser(
        prog="python -m flowlab.sweep", description="Train a model with many settings, as a TOML "
        "file says. Points that are trained already are not trained again; stop it with Ctrl-C.")
    p.add_argument("sweep", type=Path, metavar="TOML", help="the sweep: model, settings and sweep")
    p.add_argument("--table", type=Path, metavar="CSV", help="write the table here; by default "
                   "beside the sweep, with the ending .csv")
    p.add_argument("--picture", type=Path, metavar="PNG", help="write the picture here; by default "
                   "beside the sweep, with the ending .png")
    p.add_argument("--workers", type=int, metavar="N", help="how many runs go on at once; by "
                   "default as many as there are cores")
    cli.add_leave_out(p)
    p.add_argument("--dry", action="store_true", help="only say what there is to train")
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Do a sweep; returns 0, or 1 where a point failed or is left, or 2 for a wrong option."""
    options = parser().parse_args(arguments)
    recipes = importlib.import_module("models").RECIPES
    try:
        settings = _with_files(SweepSettings.read(options.sweep), options.leave_out)
        if settings.model not in recipes:
            raise ValueError(f"There is no model {settings.model!r}: choose one of "
                             f"{', '.join(recipes)}.")
        sweep = Sweep(settings, recipes[settings.model], Store())
        done = counts(sweep.state())["complete"]
        print(f"{len(sweep.points)} runs, {done} of them trained already.")
        if not options.dry:
            train(sweep, options.workers)
        return report(sweep, options.table or options.sweep.with_suffix(".csv"),
                      options.picture or options.sweep.with_suffix(".png"))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _with_files(settings: SweepSettings, leave_out: str) -> SweepSettings:
    """The sweep with the names of kept data in place of files."""
    side = settings.settings.get("image_side", DEFAULT_SIDE)
    names = {}

    def kept(data: object) -> object:
        if not isinstance(data, str) or not is_file(data):
            return data
        if data not in names:
            names[data] = cli.kept_file(data, leave_out, side if type(side) is int else
                                        DEFAULT_SIDE)
        return names[data]

    common, swept = dict(settings.settings), dict(settings.sweep)
    if "data" in common:
        common["data"] = kept(common["data"])
    if isinstance(swept.get("data"), tuple):
        swept["data"] = tuple(map(kept, swept["data"]))
    return settings.model_copy(update={"settings": common, "sweep": swept})


def train(sweep: Sweep, workers: int | None = None) -> None:
    """Train what is left, with a progress bar, until the end or until it is interrupted."""
    with engine(PRELOAD, workers) as runner:
        recorder = Recorder(runner, sweep.store)
        ids = sweep.start(recorder)
        try:
            with tqdm(total=len(ids), unit="run", dynamic_ncols=True) as bar:
                left = list(ids)
                while left:
                    time.sleep(LOOK)
                    over = [run_id for run_id in left if recorder.done(run_id)]
                    for run_id in over:
                        recorder.forget(run_id)
                        left.remove(run_id)
                    bar.update(len(over))
        except KeyboardInterrupt:
            print("Stopping: what is trained stays, and the same command goes on from here.")
            recorder.stop(left)
        finally:
            recorder.close()


def report(sweep: Sweep, table: Path, picture: Path) -> int:
    """Write the table and the picture, and say where they are; the exit status."""
    write(table, sweep.table().encode())
    figure = sweep.figure()
    if figure is not None:
        write(picture, png(figure))
    state = sweep.state()
    told = counts(state)
    print(f"{told['complete']} of {len(state)} runs are trained: {table}"
          + (f", {picture}" if figure is not None else ""))
    for trained in state:
        if trained.run is not None and trained.run.outcome == "failed":
            print(f"{trained.run.name}: {trained.run.reason}")
    measure = sweep.settings.measure
    known = [(t.measure(measure), t.run) for t in state if t.measure(measure) is not None]
    if known:
        score, run = min(known, key=lambda pair: pair[0])
        print(f"best {measure}: {score:.4f} nats, {run.name} (run {run.id})")
    return 0 if told["complete"] == len(state) else 1


if __name__ == "__main__":
    sys.exit(main())
