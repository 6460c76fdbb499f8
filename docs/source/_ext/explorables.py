"""Trained flows to play with, inside the pages of this site.

A flow's own web page stands in a frame. Without scripts a picture stays in its place.
"""

import html
import zlib
from pathlib import Path

import torch
from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from flowlab.data import title_of
from flowlab.web import page
from models import MODELS, RECIPES

ROOT = Path(__file__).parents[3]
FOLDER = "_static/explorables"


class Explorable(SphinxDirective):
    """A model's shipped flow, or with ``settings`` one that is trained for this site.

    ::

        .. explorable:: realnvp
           :settings: couplings=2
              epochs=20

           What is seen without scripts; by default the moving picture of the shipped flow.
    """

    required_arguments = 1
    has_content = True
    option_spec = {"settings": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        """The content, in an element that names the page in its place."""
        name = self.arguments[0]
        if name not in MODELS:
            raise self.error(f"There is no model {name}.")
        texts = tuple(self.options.get("settings", "").split())
        file = f"{name}-{zlib.crc32(' '.join(texts).encode()):x}" if texts else name
        flows = getattr(self.env, "explorables", {})
        self.env.explorables = flows | {file: (name, texts)}
        up = "../" * self.env.docname.count("/")
        still = nodes.container()
        content = self.content or StringList(_picture(name), self.get_source_info()[0])
        self.state.nested_parse(content, self.content_offset, still)
        title = html.escape(f"A {RECIPES[name].title} to play with")
        opening = f'<div class="explorable" data-page="{up}{FOLDER}/{file}.html" title="{title}">'
        return [nodes.raw("", opening, format="html"), *still.children,
                nodes.raw("", "</div>", format="html")]


def _picture(name: str) -> list[str]:
    alt = (f"   :alt: Points of the base distribution pass the layers of a trained "
           f"{RECIPES[name].title}, which bend them into two interleaved half moons.")
    path = f".. image:: /../../static/{name}/card-light"
    return [f"{path}.webp", "   :class: moving", alt, "", f"{path}-still.webp", "   :class: still",
            alt, ""]


def _write(app: Sphinx, error: Exception | None) -> None:
    """Write the pages of all flows that the site's pages have."""
    if error is not None or app.builder.format != "html":
        return
    folder = Path(app.outdir) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for file, (name, texts) in getattr(app.env, "explorables", {}).items():
        recipe = RECIPES[name]
        run = recipe.Run.from_texts(dict(text.split("=", 1) for text in texts))
        if texts:
            torch.manual_seed(0)
            *_, progress = recipe.train(run)
            flow = progress.flow
        else:
            flow = recipe.model.load(ROOT / name / "images" / "start.safetensors")
        title = f"{recipe.title}: {title_of(run.source.data)}"
        text = page(flow, title, recipe.idea.replace("**", ""))
        (folder / f"{file}.html").write_text(text, "utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive, and the script that puts the pages in place."""
    app.add_directive("explorable", Explorable)
    app.add_js_file("explorables.js", loading_method="defer")
    app.connect("build-finished", _write)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
