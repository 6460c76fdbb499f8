"""The command line: ``python -m flowlab.comparison --models "nice;realnvp" --data moons``."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from tqdm import tqdm

from flowlab.commands import outputs, train
from flowlab.commands.status import with_status
from flowlab.commands.stopping import Stopping
from flowlab.data.uploads.files import is_file
from flowlab.files import write
from flowlab.runs import Recorder
from flowlab.server import admission
from flowlab.studies.comparison.contest import Contest
from flowlab.studies.comparison.plan import Comparison

PRELOAD = ("models", "flowlab.live", "flowlab.studies.comparison.trial")


def parser() -> argparse.ArgumentParser:
    """One option for each setting of a comparison."""
    p = argparse.ArgumentParser(
        prog="python -m flowlab.comparison", description="Compare models without a browser: the "
        "same settings and seeds give the same numbers as the page, apart from timings.")
    p.add_argument("link", nargs="?", default="", help="the address of a comparison's page, "
                   "whose settings are used; options override them")
    p.add_argument("--csv", type=Path, metavar="FILE", help="write the table here")
    p.add_argument("--latex", type=Path, metavar="FILE", help="write the table here, for LaTeX")
    p.add_argument("--workers", type=int, metavar="N", help="trainings at a time; as many as cores "
                   "by default")
    p.add_argument("--recipes", default="models", metavar="MODULE", help="where the models are: a "
                   "module with RECIPES. Default: models.")
    train.add_leave_out(p)
    for name, field in Comparison.model_fields.items():
        p.add_argument(f"--{name}", default=argparse.SUPPRESS, metavar=train.metavar(field),
                       help=train.help_text(field))
    return p


@with_status
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison with a progress bar and print its table; return the exit status."""
    options = vars(parser().parse_args(arguments))
    link, csv, latex, workers, recipes = (
        options.pop(name) for name in ("link", "csv", "latex", "workers", "recipes"))
    leave_out = options.pop("leave_out")
    linked = dict(parse_qsl(urlsplit(link).query)) if "?" in link else {}
    linked.pop("run", None)
    recipes = import_module(recipes).RECIPES
    options = {"models": ";".join(recipes), **linked, **options}
    names = [name.strip() for name in options.get("data", "moons").split(",")]
    outputs.check({"--csv": csv, "--latex": latex}, [Path(n) for n in names if is_file(n)])
    options["data"] = ",".join(train.kept_file(name, leave_out) if is_file(name) else name
                               for name in names)
    comparison = Comparison.model_validate(options)
    store = admission.store()
    with (admission.engine(PRELOAD, workers) as runner, Recorder(runner, store) as recorder,
          Stopping() as stopping):
        contest = Contest.unfinished(recorder, comparison, recipes) or Contest(
            recorder, comparison, recipes)
        if contest.results():
            print(f"{len(contest.results())} of {len(contest.trial_runs)} trainings are measured "
                  "already.", file=sys.stderr)
        contest.train()
        with tqdm(total=len(contest.trial_runs), unit="training") as bar:
            contest.wait(on_poll=lambda c: _follow(c, bar, stopping))
        return report(contest, csv, latex, stopping)


def _follow(contest: Contest, bar: tqdm, stopping: Stopping) -> None:
    """Update the progress bar, and stop all trainings after a signal."""
    if stopping.signal:
        contest.stop()
    bar.update(contest.done - bar.n)


def report(contest: Contest, csv: Path | None, latex: Path | None, stopping: Stopping) -> int:
    """Print the table of the results and write the files; return the exit status."""
    results, kept = contest.table(), True
    print(f"Stored: the page Compare opens it with ?run={contest.id}", file=sys.stderr)
    if stopping.signal:
        print(f"Stopped by {stopping.name}: this is what was measured before; the same command, "
              "and the page Compare, train what is missing.", file=sys.stderr)
    print(results.text(), end="")
    for sentence in contest.problems():
        print(sentence)
    for path, text in ((csv, results.csv), (latex, results.latex)):
        if path:
            content = text().encode()
            done, there = outputs.deliver(partial(write, content=content), path)
            print(f"table {done}")
            kept = kept and there
    if stopping.signal:
        return stopping.status
    return 0 if kept and len(contest.results()) == len(contest.trial_runs) else 1


if __name__ == "__main__":
    sys.exit(main())
