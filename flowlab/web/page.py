"""The page as HTML: one file, with the flow, the program and its style inside."""

import html
import json
from collections.abc import Sequence
from importlib.resources import files
from string import Template
from typing import Any

from flowlab.flow import Flow
from flowlab.web import content

#: The most bytes of a page with moments of the training: so many of them are taken.
MOST = 2_900_000
TITLE = "A normalizing flow"


def page(flow: Flow, title: str = "", text: str = "",
         moments: Sequence[tuple[str, Flow]] = ()) -> str:
    """The flow as a web page.

    Parameters
    ----------
    flow : Flow
        A flow of the plane.
    title, text : str
        Shown at the top, as text only.
    moments : sequence of (str, Flow)
        Earlier moments of its training, each with a label, oldest first. As many as the page's size
        allows are taken, evenly spread; their networks are rounded to float16.

    Returns
    -------
    str
        A complete HTML document.

    Raises
    ------
    ValueError
        For a flow that is not of the plane.
    """
    content.check(flow)
    layers, *numbers = content.layers(flow)
    box, probe = content.window(flow)
    now = content.moment("trained", (numbers[0], numbers[1]), "float32")
    one = len(now["affine"]) + len(now["networks"]) // 2 + 100
    before = []
    if moments:
        for label, earlier in content.thinned(list(moments), (MOST - 3 * one) // one):
            content.check(earlier)
            _, affine, networks = content.layers(earlier)
            before.append(content.moment(label, (affine, networks), "float16"))
    settings = flow.settings
    return _document(title or TITLE, text, f"A {type(flow).__name__} with {len(layers)} layers, "
                     "made with Flow Lab.", {
        "base": settings.base, "classes": settings.classes, "layers": layers, "box": box,
        "probe": probe, "moments": [*before, now]})


def _document(title: str, text: str, about: str, content: dict[str, Any]) -> str:
    folder = files("flowlab.web")
    parts = {name: (folder / file).read_text("utf-8") for name, file in (
        ("flow", "flow.js"), ("worker", "worker.js"), ("view", "view.js"), ("style", "style.css"))}
    return Template((folder / "page.html").read_text("utf-8")).substitute(
        parts, title=html.escape(title), text=html.escape(text), about=html.escape(about),
        content=json.dumps(content).replace("<", r"\u003c"))
