"""The command line of web pages: ``python -m flowlab.explorable moons.safetensors -o moons.html``.

The models are those of the program's ``models`` module.
"""

import argparse
import importlib
from collections.abc import Sequence
from pathlib import Path

from flowlab.commands import outputs
from flowlab.commands.status import with_status
from flowlab.files import write
from flowlab.flow import Flow
from flowlab.web import page


def parser() -> argparse.ArgumentParser:
    """The options."""
    p = argparse.ArgumentParser(
        prog="python -m flowlab.explorable", description="Turn a trained flow of the plane into "
        "one web page, which opens in any browser without a server or a network.")
    p.add_argument("flow", type=Path, metavar="SAFETENSORS", help="the flow, as --save writes it")
    p.add_argument("-o", "--output", type=Path, metavar="HTML", help="write the page here; by "
                   "default beside the flow, with the ending .html")
    p.add_argument("--title", default="", help="the heading of the page")
    p.add_argument("--text", default="", help="a sentence below it")
    return p


@with_status
def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page; return 0, or 2 for what cannot be read or shown."""
    options = parser().parse_args(arguments)
    output = options.output or options.flow.with_suffix(".html")
    outputs.check({"--output": output}, [options.flow])
    importlib.import_module("models")
    text = page(Flow.load(options.flow), options.title or options.flow.stem, options.text)
    write(output, text.encode("utf-8"))
    print(f"saved to {output} ({len(text) / 1000:.0f} kB)")
    return 0
