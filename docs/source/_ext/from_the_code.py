"""Modules, tables of settings and help of commands, made from the code itself."""

import argparse
import pkgutil
import re
from functools import partial
from importlib import import_module
from inspect import ismethod
from typing import Literal, get_args, get_origin

from docutils import nodes
from docutils.statemachine import StringList
from numpy.typing import ArrayLike
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import nested_parse_with_titles
from sphinx.util.typing import stringify_annotation

from flowlab.commands import train
from flowlab.settings import Settings
from models import RECIPES

ARRAY_LIKE = stringify_annotation(ArrayLike, "smart")

WIDTH = 88  # columns of a command's help


def names(argument: str) -> list[str]:
    """Names written with commas."""
    return [name.strip() for name in argument.split(",")]


class Modules(SphinxDirective):
    """A section for each module of a package, so that a new module is documented by itself.

    ::

        .. modules:: flowlab.data
           :first: registry, target

    ``only`` limits it to some modules, ``without`` leaves some out.
    """

    required_arguments = 1
    option_spec = {"first": names, "only": names, "without": names}

    def run(self) -> list[nodes.Node]:
        """The package's own text, then the sections."""
        package = import_module(self.arguments[0])
        found = [m.name for m in pkgutil.iter_modules(package.__path__)
                 if not m.ispkg and not m.name.startswith("_")]
        first = self.options.get("first", self.options.get("only", []))
        chosen = self.options.get("only", [*first, *(n for n in found if n not in first)])
        lines = []
        for name in chosen:
            if name in self.options.get("without", []):
                continue
            full = f"{package.__name__}.{name}"
            lines += [full, "-" * len(full), "", f".. automodule:: {full}", ""]
        return sections(self, lines)


def sections(directive: SphinxDirective, lines: list[str]) -> list[nodes.Node]:
    """What these lines are, titles among them."""
    section = nodes.section()
    section.document = directive.state.document
    source = StringList(lines, directive.get_source_info()[0])
    nested_parse_with_titles(directive.state, source, section)
    return section.children


class SettingsTable(SphinxDirective):
    """A row for each field of a settings class, ``.. settings-table:: flowlab.settings.X``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The table."""
        module, name = self.arguments[0].rsplit(".", 1)
        home = import_module(module)
        self.env.note_dependency(home.__file__)
        text = table(getattr(home, name))
        box = nodes.container()
        self.state.nested_parse(StringList(text, self.get_source_info()[0]), 0, box)
        return box.children


def table(settings: type[Settings]) -> list[str]:
    """The lines of a table in reStructuredText."""
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: 20 14 22 44",
             "   :class: settings", "", "   * - Setting", "     - Default", "     - Allowed",
             "     - Meaning"]
    for name, field in settings.model_fields.items():
        unit = field.json_schema_extra["unit"]
        lines += [f"   * - ``{name}``", f"     - ``{default(field)}``", f"     - {allowed(field)}",
                  f"     - **{field.title}.** {field.description}"
                  + (f" In {unit}." if unit else "")]
    return lines


def default(field: FieldInfo) -> str:
    """The default as it is written on a command line, ``none`` for None."""
    value = field.default
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def allowed(field: FieldInfo) -> str:
    """What values a field takes, in words."""
    kind = field.annotation
    if get_origin(kind) is Literal:
        return ", ".join(f"``{choice}``" for choice in get_args(kind))
    bounds = {b: getattr(m, b) for m in field.metadata for b in ("gt", "ge", "le")
              if hasattr(m, b)}
    words = {int: "a whole number", str: "a name"}.get(kind, "a number")
    if get_origin(kind) is tuple:
        words = "whole numbers" if get_args(kind)[0] is int else "names"
    return words + "".join(
        f" {word} {f'{bounds[b]:,}' if isinstance(bounds[b], int) else f'{bounds[b]:g}'}"
        for b, word in (("gt", "above"), ("ge", "from"), ("le", "to")) if b in bounds)


class EachModel(SphinxDirective):
    """Its content once for each model, with ``{recipe.title}`` and the like in their places."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """The sections."""
        lines = [line.format(recipe=recipe) for recipe in RECIPES.values()
                 for line in (*self.content, "")]
        return sections(self, lines)


class CommandHelp(SphinxDirective):
    """What a command answers to ``--help``, ``.. command-help:: nice.train_nice``.

    The module has a ``parser`` of its own, or is a recipe.
    """

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The help as the terminal shows it."""
        name = self.arguments[0]
        recipe = import_module(name)
        self.env.note_dependency(recipe.__file__)
        self.env.note_dependency(train.__file__)
        parser = recipe.parser() if hasattr(recipe, "parser") else train.parser(recipe.Run, name)
        parser.formatter_class = partial(argparse.HelpFormatter, width=WIDTH)
        text = parser.format_help()
        return [nodes.literal_block(text, text, language="text")]


BOUNDED = r"Annotated\[(.+?), FieldInfo\((?:[^()]|\([^()]*\))*\)\]"


def short_signature(app: Sphinx, what: str, name: str, thing: object, options: object,
                    signature: str | None, returns: str | None
                    ) -> tuple[str | None, str | None]:
    """Signatures that can be read, and that Sphinx can parse.

    Settings take their fields by name: the tables tell them better. A default without a literal,
    such as a dataclass's ``<factory>``, is shown as dots, NumPy's union of all that can become an
    array by its name, and a number without the bounds that pydantic checks.
    """
    if isinstance(thing, type) and issubclass(thing, Settings | BaseSettings):
        return "(**settings)", None
    if signature:
        signature = signature.replace(ARRAY_LIKE, "~numpy.typing.ArrayLike")
        signature = re.sub(BOUNDED, r"\1", re.sub(r"<[^<>]*>", "...", signature))
    return signature, returns


def plain_stars(app: Sphinx, what: str, name: str, thing: object, options: object,
                lines: list[str]) -> None:
    """A star in a shape, such as that of (n, *event_shape), begins no emphasis."""
    lines[:] = [re.sub(r"(shape \([^)`]*)\*(?=\w)", r"\1\\*", line) for line in lines]


def skip_bound(app: Sphinx, what: str, name: str, obj: object, *_: object) -> bool | None:
    """Skip ``train = RECIPE.train`` in a module: it is described with its class."""
    return True if what == "module" and ismethod(obj) else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directives."""
    app.connect("autodoc-skip-member", skip_bound)
    app.connect("autodoc-process-signature", short_signature)
    app.connect("autodoc-process-docstring", plain_stars)
    app.add_directive("modules", Modules)
    app.add_directive("each-model", EachModel)
    app.add_directive("settings-table", SettingsTable)
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
