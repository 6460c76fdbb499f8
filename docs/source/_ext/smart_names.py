"""Names in single backquotes: a link where they name something of the lab, code elsewhere.

A name is looked up as Python would, from the module and class whose documentation it stands in, so
``Flow``, ``flowlab.Flow`` and ``flowlab.flow.Flow`` are one thing. A dotted name that starts like
one of the lab's and leads nowhere stays a broken reference, which fails the build.
"""

import inspect
import sys
from functools import reduce
from importlib import import_module
from types import ModuleType
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.domains.python import PyXRefRole
from sphinx.environment import BuildEnvironment

from models import NAMES

PACKAGES = ("flowlab", *NAMES, "models")


class SmartRole(PyXRefRole):
    """``:py:obj:``, but with leave to be no name at all."""

    def process_link(self, env: BuildEnvironment, refnode: nodes.Element,
                     has_explicit_title: bool, title: str, target: str) -> tuple[str, str]:
        refnode.attributes.update(reftype="obj", refdomain="py", smart=True)
        return super().process_link(env, refnode, has_explicit_title, title, target)


def resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref,
            contnode: nodes.Element) -> nodes.Element | None:
    """The link for a name of the lab; code for a smart name that is none; else nothing."""
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"].removesuffix("()")
    name = canonical(target, node.get("py:module"), node.get("py:class"))
    if name is not None:
        link = env.domains.python_domain.resolve_xref(
            env, node["refdoc"], app.builder, "obj", name, node, contnode)
        if link is not None:
            return link
    if node.get("smart") and not ("." in target and target.split(".")[0] in PACKAGES):
        return contnode
    return None


def canonical(target: str, module: str | None, owner: str | None) -> str | None:
    """Where what ``target`` names from inside ``module`` and ``owner`` is defined."""
    home = sys.modules.get(module or "")
    parts = target.split(".")
    starts: list[Any] = [home]
    if home is not None and owner:
        starts.insert(0, _follow(home, owner.split(".")))
    for start in starts:
        thing = None if start is None else _follow(start, parts)
        if thing is not None:
            return _name(thing, parts[-1])
    if parts[0] in PACKAGES:
        for cut in range(len(parts), 0, -1):
            try:
                thing = _follow(import_module(".".join(parts[:cut])), parts[cut:])
            except ModuleNotFoundError:
                continue
            return None if thing is None else _name(thing, parts[-1])
    return None


def _follow(start: Any, parts: list[str]) -> Any:
    return reduce(lambda thing, part: getattr(thing, part, None), parts, start)


def _name(thing: Any, called: str) -> str | None:
    if isinstance(thing, ModuleType):
        return thing.__name__
    name, home = getattr(thing, "__qualname__", None), getattr(thing, "__module__", None)
    if name and home:
        return f"{home}.{name}"
    # A constant does not know where it lives: ask the lab's modules.
    homes = [m for m in sys.modules if m.split(".")[0] in PACKAGES
             and vars(sys.modules[m]).get(called) is thing
             and not hasattr(sys.modules[m], "__path__")]
    defined = [m for m in homes if f"\n{called}" in inspect.getsource(sys.modules[m])]
    return f"{defined[0]}.{called}" if defined else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the role ``smart``, and the look-up for every reference that Sphinx does not find."""
    app.add_role("smart", SmartRole())
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
