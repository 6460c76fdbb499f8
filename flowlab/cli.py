"""Command lines of the recipes: every setting is an option, made from the settings themselves."""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from tqdm import tqdm

from flowlab import parallel, runs
from flowlab.data import leaving
from flowlab.data.files import DEFAULT_SIDE, is_file, keep_file
from flowlab.settings import RunSettings, describe
from flowlab.training import Progress, Snapshot


def parser(run: type[RunSettings], name: str) -> argparse.ArgumentParser:
    """An argument parser with one option for each setting of ``run``, grouped as on the page."""
    p = argparse.ArgumentParser(
        prog=f"python -m {name}", description=f"Train {run.model_fields['model'].default} without "
        "a browser. Every option can also come from a run's JSON, by --settings.")
    p.add_argument("--settings", type=Path, metavar="JSON", help="read settings from this file; "
                   "options given beside it go first")
    p.add_argument("--save", type=Path, metavar="FILE", help="write the trained flow here "
                   "(safetensors)")
    p.add_argument("--checkpoint", type=Path, metavar="FILE", help="write a checkpoint here after "
                   "every epoch, and resume from it when it is there")
    p.add_argument("--no-keep", dest="keep", action="store_false", help="do not keep the run "
                   "among the others, where the app's list of runs shows it")
    add_leave_out(p)
    groups: dict[str, Any] = {}
    for part in run.parts().values():
        for field_name, field in part.model_fields.items():
            heading = field.json_schema_extra["group"]
            group = groups.setdefault(heading, p.add_argument_group(heading))
            group.add_argument(f"--{field_name.replace('_', '-')}", dest=field_name,
                               default=argparse.SUPPRESS, metavar=metavar(field),
                               help=help_text(field))
    return p


def main(run: type[RunSettings], train: Callable[..., Iterator[Progress]], name: str,
         arguments: Sequence[str] | None = None) -> int:
    """Train from the command line with a progress bar; returns the exit status."""
    options = vars(parser(run, name).parse_args(arguments))
    files = {key: options.pop(key) for key in ("settings", "save", "checkpoint")}
    keep, leave_out = options.pop("keep"), options.pop("leave_out")
    try:
        _keep_file(options, leave_out)
        settings = run.from_texts(options)
        if files["settings"]:
            saved = run.model_validate_json(files["settings"].read_text("utf-8"))
            given = {key: value for key, value in settings.flat().items() if key in options}
            settings = run.from_flat({**saved.flat(), **given})
        resume = None
        if files["checkpoint"] and files["checkpoint"].exists():
            resume = Snapshot.load(files["checkpoint"])
        with parallel.group(settings.training.device) as rank:
            progresses = train(settings, resume=resume)
            if keep and rank == 0:
                progresses = runs.keep(progresses, settings, continued=resume is not None)
            with closing(progresses):
                return _train(progresses, settings, files, rank)
    except ValidationError as error:
        return _fail(describe(error))
    except (ValueError, OSError) as error:
        return _fail(str(error))


def _keep_file(options: dict[str, str], leave_out: str) -> None:
    """Where ``--data`` names a file, keep what it holds, and train on that."""
    if not is_file(options.get("data", "")):
        return
    path, side = options["data"], options.get("image_side", str(DEFAULT_SIDE))
    if not side.isdecimal():
        raise ValueError(f"image_side is {side!r}, but it should be a whole number.")
    options["data"] = kept_file(path, leave_out, int(side))


def add_leave_out(p: argparse.ArgumentParser) -> None:
    """Add the option that says what to leave out of a table."""
    p.add_argument("--leave-out", default=",".join(leaving.DEFAULT), metavar="KIND[,KIND…]",
                   help="what to leave out of a file with a table: index (a first column without "
                   "a name that counts the rows), gaps (rows without a value), outliers (rows that "
                   "stretch the scale), or nothing. Default: index.")


def kept_file(path: str, leave_out: str, side: int = DEFAULT_SIDE) -> str:
    """Keep what a file holds, print what there is to say about it, and return its name."""
    name, sentences = keep_file(path, side, leave_out)
    for sentence in sentences:
        print(sentence)
    return name


def _train(progresses: Iterator[Progress], settings: RunSettings, files: dict[str, Any],
           rank: int) -> int:
    epochs = settings.training.epochs
    bar = tqdm(total=epochs, unit="epoch", dynamic_ncols=True, disable=rank > 0)
    progress = None
    with bar:
        for progress in progresses:
            bar.update(progress.epoch - bar.n)
            bar.set_postfix(_numbers(progress))
            if files["checkpoint"] and rank == 0:
                progress.snapshot.save(files["checkpoint"])
    if progress is None:
        return _fail(f"The checkpoint has all {epochs} epochs already, or stopped early: ask for "
                     "more with --epochs, or with --patience.")
    status = 1 if progress.outcome == "diverged" else 0
    if rank > 0:  # the first process speaks and writes for all
        return status
    print(f"{progress.outcome} after epoch {progress.epoch} and {progress.seconds:.1f} s: "
          f"test NLL {progress.test_nll:.4f} nats"
          + (f", {progress.test_bits:.4f} bits per dimension" if _on_images(progress) else "")
          + ("" if progress.kl is None else f", KL to the truth {progress.kl:.4f} nats"))
    if progress.reason:
        print(progress.reason)
    if files["save"]:
        progress.flow.save(files["save"])
        print(f"saved to {files['save']}")
    return status


def _numbers(progress: Progress) -> dict[str, str]:
    """What stands behind the progress bar."""
    if _on_images(progress):
        return {"train": f"{progress.train_bits:.3f}", "test": f"{progress.test_bits:.3f} bits/dim"}
    return {"test_nll": f"{progress.test_nll:.3f} nats",
            "kl": "unknown" if progress.kl is None else f"{progress.kl:.3f} nats"}


def _on_images(progress: Progress) -> bool:
    return progress.flow.settings.is_image


def _fail(sentence: str) -> int:
    print(f"error: {sentence}", file=sys.stderr)
    return 2


def metavar(field: FieldInfo) -> str:
    """What stands for a setting's value in the help of a command."""
    if get_origin(field.annotation) is Literal:
        return "|".join(map(str, get_args(field.annotation)))
    if get_origin(field.annotation) is tuple:
        return "N[,N…]"
    return {int: "N", str: "NAME"}.get(field.annotation, "X")


def help_text(field: FieldInfo) -> str:
    """A setting's description, unit and default for the help of a command."""
    unit = field.json_schema_extra["unit"]
    default = field.default
    shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
    text = field.description + (f" In {unit}." if unit else "")
    return (text + ("" if default is None else f" Default: {shown}.")).replace("%", "%%")
