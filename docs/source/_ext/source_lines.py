"""Equations with the lines of source that compute them.

The directive ``equation`` shows an equation, what the paper calls it, and the code: a link to the
line on the page of the highlighted source, which is part of the site. A fragment of code that its
function no longer contains fails the build, so that a link cannot go stale.
"""

import inspect
import re
from importlib import import_module
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

OUTPUT = "_modules/"


class Equation(SphinxDirective):
    r"""An equation and its code.

    ::

        .. equation::
           :name: affine
           :paper: RealNVP, eq. 5
           :code: flowlab.bijections.coupling.Coupling.forward
           :line: changed * log_scale.exp() + shift

           x_b = z_b \odot e^{s(z_a)} + t(z_a)

    Every line of ``line`` is a fragment of one line of the function's source.
    """

    has_content = True
    option_spec = {"name": directives.unchanged, "paper": directives.unchanged,
                   "code": directives.unchanged_required, "line": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        """The equation, then a paragraph about it."""
        box = nodes.container(classes=["equation"])
        label = [f"   :label: {self.options['name']}"] if "name" in self.options else []
        self.state.nested_parse(StringList(
            [".. math::", *label, "", *(f"   {line}" for line in self.content)],
            self.get_source_info()[0]), self.content_offset, box)
        about = nodes.paragraph(classes=["computed-by"])
        if "paper" in self.options:
            text, messages = self.parse_inline(self.options["paper"])
            about += [*text, nodes.Text(". "), *messages]
        about += nodes.Text("Computed by ")
        for i, fragment in enumerate(self.options["line"].splitlines()):
            try:
                link = self._link(self.options["code"], fragment.strip())
            except (LookupError, ModuleNotFoundError) as error:
                raise self.error(str(error)) from error
            about += ([nodes.Text(", ")] if i else []) + [link]
        about += nodes.Text(".")
        box += about
        return [box]

    def _link(self, name: str, fragment: str) -> nodes.reference:
        path, module, number, line = find(name, fragment)
        self.env.note_dependency(str(path))
        page = self.env.app.builder.get_relative_uri(
            self.env.docname, OUTPUT + module.replace(".", "/"))
        link = nodes.reference("", "", internal=True, refuri=f"{page}#line-{number}",
                               reftitle=f"{name}, line {number}")
        link += nodes.literal("", line.strip(), classes=["source-line"])
        return link


def find(name: str, fragment: str) -> tuple[Path, str, int, str]:
    """File, module, number and text of the one line of ``name``'s source with ``fragment``.

    Raises
    ------
    LookupError
        If there is no such line, or more than one.
    """
    module, thing = _import(name)
    lines, first = inspect.getsourcelines(thing)
    first = max(first, 1)
    found = [(first + i, line) for i, line in enumerate(lines) if fragment in line]
    if len(found) != 1:
        raise LookupError(f"{len(found)} lines of {name} contain {fragment!r}, not one.")
    number, line = found[0]
    return Path(module.__file__), module.__name__, number, line


def _import(name: str) -> tuple[Any, Any]:
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            module = import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        thing = module
        for part in parts[cut:]:
            if not hasattr(thing, part):
                raise LookupError(f"{name} does not exist.")
            thing = getattr(thing, part)
        return module, thing
    raise LookupError(f"There is no module for {name}.")


def number_lines(app: Sphinx, page: str, template: str, context: dict[str, Any],
                 doctree: nodes.document | None) -> None:
    """Give every line of a source page an anchor, ``line-1`` and so on."""
    if not page.startswith(OUTPUT) or "<pre>" not in context.get("body", ""):
        return
    head, code = context["body"].split("<pre>\n", 1)
    code, tail = code.split("</pre>", 1)
    # viewcode puts its boxes on lines of their own: back to one line of HTML for one of source.
    code = re.sub(r'(<div class="viewcode-block" id="[^"]*">)\n(<a class="viewcode-back".*</a>)\n',
                  r"\1\2", code)
    code = re.sub(r"((?:</div>\n)+)\n", lambda boxes: boxes[1].replace("\n", "") + "\n", code)
    lines = code.removesuffix("\n").split("\n")
    numbered = (f'<span class="line" id="line-{i}"></span>{line}'
                for i, line in enumerate(lines, 1))
    context["body"] = f"{head}<pre>" + "\n".join(numbered) + f"\n</pre>{tail}"


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive and the anchors."""
    app.add_directive("equation", Equation)
    app.connect("html-page-context", number_lines)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
