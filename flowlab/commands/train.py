"""The command lines of the recipes, with an option for every setting."""

import argparse
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from tqdm import tqdm

from flowlab import runs
from flowlab.commands import outputs
from flowlab.commands.status import fail, with_status
from flowlab.commands.stopping import Stopping
from flowlab.data import source_of
from flowlab.data.uploads import leaving
from flowlab.data.uploads.files import is_file, keep_file
from flowlab.files import read_text
from flowlab.server import admission
from flowlab.server.limits import MEGA, limits
from flowlab.settings import RunSettings, describe, extra
from flowlab.training import Progress, Snapshot, distributed, epochs

LENGTHS = ("epochs", "optimiser_steps", "seconds")  # of which a command takes one


def parser(run: type[RunSettings], name: str) -> argparse.ArgumentParser:
    """Make an argument parser with one option for each setting, grouped as on the page."""
    p = argparse.ArgumentParser(
        prog=f"python -m {name}", description=f"Train {run.model_fields['model'].default} without "
        "a browser. Every option can also come from a run's JSON, with --settings.")
    p.add_argument("--settings", type=Path, metavar="JSON", help="read settings from this file; "
                   "other options override them")
    p.add_argument("--save", type=Path, metavar="FILE", help="write the trained flow here "
                   "(safetensors)")
    p.add_argument("--checkpoint", type=Path, metavar="FILE", help="write a checkpoint here after "
                   "every epoch, and resume from it if it exists")
    p.add_argument("--no-keep", dest="keep", action="store_false", help="do not store the run "
                   "for the app's list of runs")
    add_leave_out(p)
    for former in run.former():
        p.add_argument(f"--{former}", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    groups: dict[str, Any] = {}
    for field_name, field in run.fields().items():
        heading = extra(field)["group"]
        group = groups.setdefault(heading, p.add_argument_group(heading))
        group.add_argument(f"--{field_name.replace('_', '-')}", dest=field_name,
                           default=argparse.SUPPRESS, metavar=metavar(field),
                           help=help_text(field))
    return p


@with_status
def main(run: type[RunSettings],
         train: Callable[..., Generator[Progress, float | None, None]], name: str,
         arguments: Sequence[str] | None = None) -> int:
    """Train from the command line with a progress bar; return the exit status."""
    options = vars(parser(run, name).parse_args(arguments))
    files = {key: options.pop(key) for key in ("settings", "save", "checkpoint")}
    keep, leave_out = options.pop("keep"), options.pop("leave_out")
    data = options.get("data", "")
    outputs.check({"--save": files["save"], "--checkpoint": files["checkpoint"]},
                  [files["settings"], Path(data) if is_file(data) else None])
    _keep_file(options, leave_out)
    settings = _settings(run, options, files["settings"])
    resume = None
    if files["checkpoint"] and files["checkpoint"].is_file():
        resume = Snapshot.load(files["checkpoint"])
    with distributed.group(settings.training.device) as rank:
        progresses = train(settings, every="batch", resume=resume)
        if keep and rank == 0:
            progresses = runs.keep(progresses, settings, store=admission.store(),
                                   continued=resume is not None)
        with Stopping() as stopping:
            return _Command(settings, files, rank, stopping).run(progresses)


def _settings(run: type[RunSettings], options: dict[str, str], file: Path | None) -> RunSettings:
    """The settings from the options, which override those of a file."""
    lengths = [name for name in LENGTHS if name in options]
    if len(lengths) > 1:
        raise ValueError("The training's length is given twice: choose one of --epochs, "
                         "--optimiser-steps and --seconds.")
    settings = run.from_texts(options)
    if file is None:
        return settings if "epochs" in options else _long_enough(settings)
    text = read_text(file)
    if not text.strip():
        raise ValueError(f"{file} is empty: it should hold the JSON of a run's settings.")
    try:
        saved = run.model_validate_json(text)
    except ValidationError as error:
        raise ValueError(f"{file}: {describe(error)}") from error
    given = {key: value for key, value in settings.flat().items()
             if key in options or (lengths and key in LENGTHS[1:])}
    return run.from_flat({**saved.flat(), **given})


def _keep_file(options: dict[str, str], leave_out: str) -> None:
    """Where ``--data`` names a file, store its content, and train on that."""
    if not is_file(options.get("data", "")):
        return
    side = options.get("image_side")
    if side is not None and not side.isdecimal():
        raise ValueError(f"image_side is {side!r}, but it should be a whole number.")
    options["data"] = kept_file(options["data"], leave_out, None if side is None else int(side))


def add_leave_out(p: argparse.ArgumentParser) -> None:
    """Add the option ``--leave-out``, for parts of a table."""
    p.add_argument("--leave-out", default=",".join(leaving.DEFAULT), metavar="KIND[,KIND…]",
                   help="what to leave out of a file with a table: index (a first column without "
                   "a name that counts the rows), gaps (rows without a value), outliers (rows that "
                   "stretch the scale), or nothing. Default: index.")


def kept_file(path: str, leave_out: str, side: int | None = None) -> str:
    """Store the content of a data file, print notes about it, and return its name."""
    name, sentences = keep_file(path, side, leave_out, limits().max_own_data * MEGA)
    for sentence in sentences:
        print(sentence)
    return name


def _long_enough(settings: RunSettings) -> RunSettings:
    """The settings with enough epochs for the user's own points; a change is printed."""
    source = source_of(settings.source)
    wanted = epochs.default(source, settings.training)
    if wanted == settings.training.epochs:
        return settings
    settings = settings.from_flat(settings.flat() | {"epochs": wanted})
    print(epochs.sentence(source, settings.training))
    return settings


class _Command:
    """One training on the command line, whose results are saved however it ends."""

    def __init__(self, settings: RunSettings, files: dict[str, Path | None], rank: int,
                 stopping: Stopping) -> None:
        self.training, self.rank, self.stopping = settings.training, rank, stopping
        # Only the first process prints and writes.
        self.save = files["save"] if rank == 0 else None
        self.checkpoint = files["checkpoint"] if rank == 0 else None
        self.progress: Progress | None = None
        self.unsaved: Snapshot | None = None  # the newest one, if it could not be written

    def run(self, progresses: Generator[Progress]) -> int:
        """Train, and return the exit status."""
        interrupted = False
        try:
            with closing(progresses):  # gives the flow its averaged weights, also within an epoch
                interrupted = self._pull(progresses)
        except KeyboardInterrupt:
            interrupted = True
        except Exception:
            self._keep("Failed")
            raise
        if interrupted:
            self._keep(f"Stopped by {self.stopping.name}")
            return self.stopping.status
        if self.progress is None:
            unit, _ = self.training.budget
            option = "optimiser-steps" if unit == "steps" else unit
            return fail(f"The checkpoint has all {self.training.length} already, or stopped early: "
                        f"ask for more with --{option}, or with --patience.")
        if self.rank == 0:
            _report(self.progress)
        kept = self._keep("")
        return 1 if self.progress.outcome == "diverged" or not kept else 0

    def _pull(self, progresses: Generator[Progress]) -> bool:
        """Train to the end or until a signal; return whether there was one."""
        unit, amount = self.training.budget
        bar = tqdm(total=amount, unit=unit[:-1], dynamic_ncols=True, disable=self.rank > 0)
        with bar:
            for self.progress in progresses:
                if self.progress.snapshot is not None:
                    done = {"epochs": self.progress.epoch, "steps": self.progress.step,
                            "seconds": round(min(self.progress.seconds, amount), 1)}[unit]
                    bar.update(done - bar.n)
                    bar.set_postfix(_numbers(self.progress))
                    self._snapshot(self.progress.snapshot)
                if self.stopping.signal and self.progress.outcome == "running":
                    return True
        return False

    def _snapshot(self, snapshot: Snapshot) -> None:
        """Write the checkpoint; a full disk does not end the training."""
        if self.checkpoint is None:
            return
        try:
            snapshot.save(self.checkpoint)
            self.unsaved = None
        except OSError as error:
            if self.unsaved is None:
                tqdm.write(f"The checkpoint {self.checkpoint} cannot be written "
                           f"({error.strerror}): the training continues.", file=sys.stderr)
            self.unsaved = snapshot

    def _keep(self, how: str) -> bool:
        """Save the results, and print where; return whether all are at their intended paths."""
        progress, kept = self.progress, True
        where = []
        if progress is None:
            where.append("there is nothing to save")
        elif self.save is not None:
            done, kept = outputs.deliver(progress.flow.save, self.save)
            where.append(done)
        if self.unsaved is not None and self.checkpoint is not None:
            done, there = outputs.deliver(self.unsaved.save, self.checkpoint)
            where.append(f"checkpoint {done}")
            kept = kept and there
        if how and progress is not None:
            of = f" of {progress.epochs}" if self.training.budget[0] == "epochs" else ""
            how += f" after {progress.epoch}{of} epochs and {progress.step:,} steps"
        if (how or where) and self.rank == 0:
            print(": ".join(filter(None, (how, "; ".join(where)))))
        return kept


def _report(progress: Progress) -> None:
    print(f"{progress.outcome} after epoch {progress.epoch} and {progress.seconds:.1f} s: "
          f"test NLL {progress.test_nll:.4f} nats"
          + (f", {progress.test_bits:.4f} bits per dimension" if _on_images(progress) else "")
          + ("" if progress.kl is None else f", KL to the truth {progress.kl:.4f} nats"))
    if progress.reason:
        print(progress.reason)


def _numbers(progress: Progress) -> dict[str, str]:
    """The numbers behind the progress bar."""
    if _on_images(progress):
        return {"train": f"{progress.train_bits:.3f}", "test": f"{progress.test_bits:.3f} bits/dim"}
    return {"test_nll": f"{progress.test_nll:.3f} nats",
            "kl": "unknown" if progress.kl is None else f"{progress.kl:.3f} nats"}


def _on_images(progress: Progress) -> bool:
    return progress.flow.settings.is_image


def metavar(field: FieldInfo) -> str:
    """The placeholder of a setting's value in the help of a command."""
    if get_origin(field.annotation) is Literal:
        return "|".join(map(str, get_args(field.annotation)))
    if get_origin(field.annotation) is tuple:
        return "N[,N…]"
    return "N" if field.annotation is int else "NAME" if field.annotation is str else "X"


def help_text(field: FieldInfo) -> str:
    """The help text of a setting's option: description, unit and default."""
    unit = extra(field)["unit"]
    default = field.default
    shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
    text = f"{field.description}{f' In {unit}.' if unit else ''}"
    return (text + ("" if default is None else f" Default: {shown}.")).replace("%", "%%")
