"""A lesson plan: steps with links into the app, what to ask, and the numbers reached there.

The page and the documentation both show it from here. Texts are Markdown; a link in them leads to a
page of the documentation, by its name there, and ``{preset.training.kl:.2f}`` is a number that
``make lessons`` has measured. What a page would complain about is an error here, so that a link
cannot go stale.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from urllib.parse import urlencode

from flowlab.training.recipe import Recipe
from flowlab.ui.compare import controls
from flowlab.ui.controls import experiments, links, validation

_LINK = re.compile(r"\[([^]]+)\]\(([^)]+)\)")


@dataclass(frozen=True)
class Link:
    """A link to a page of the app.

    Attributes
    ----------
    label : str
    page : str
        A model's name, ``compare``, or nothing for the first page.
    settings : dict of str
        As `RunSettings.from_texts` or `Comparison` reads them; with a `preset`, what differs from
        it.
    preset : str
        The experiment that the link opens.
    lesson : dict of str
        What a teacher adds, as `flowlab.ui.controls.links.read` reads it.
    """

    label: str
    page: str = ""
    settings: dict[str, str] = field(default_factory=dict, hash=False)
    preset: str = ""
    lesson: dict[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Step:
    """Some minutes of the lesson.

    Attributes
    ----------
    minutes : tuple of int
        When it begins and ends.
    title : str
    text : str
        What to do.
    links : tuple of Link
    ask : tuple of pairs of str
        Each question, and its answer.
    """

    minutes: tuple[int, int]
    title: str
    text: str
    links: tuple[Link, ...]
    ask: tuple[tuple[str, str], ...]


def texts(link: Link, recipes: Mapping[str, Recipe]) -> dict[str, str]:
    """The query of a link.

    Raises
    ------
    ValueError
        With the page's complaints.
    """
    if not link.page:
        return {}
    if link.page == "compare":
        comparison, complaints = controls.read(link.settings, recipes)
        found = comparison.texts()
        complaints += [f"The page Compare has no setting {name}." for name in link.lesson]
    else:
        run, begun, told = recipes[link.page].Run, {}, dict(link.lesson)
        if link.preset:
            preset = experiments.every(recipes)[link.preset]
            begun = experiments.start(preset, links.Lesson(), recipes)
            told["preset"] = begun.pop("preset")
        settings, complaints = validation.read(run, {**begun, **link.settings})
        lesson, more = links.read(told, experiments.names(recipes[link.page]), links.names(run))
        found, complaints = links.query(settings, lesson), complaints + more
    if complaints:
        raise ValueError(" ".join(complaints))
    return found


def address(link: Link, recipes: Mapping[str, Recipe], lab: str) -> str:
    """A link's address, in a lab at the address given."""
    text = urlencode(texts(link, recipes), safe=",:;=|")
    return f"{lab}/{link.page}" + (f"?{text}" if text else "")


def filled(text: str, recipes: Mapping[str, Recipe], to_docs: Callable[[str, str], str]) -> str:
    """A text with its numbers, and with links to the documentation.

    Parameters
    ----------
    text : str
    recipes : mapping of str to Recipe
    to_docs : callable
        Given the words of a link and the page of the documentation; what stands for it.
    """
    numbers = {preset: SimpleNamespace(**{name: SimpleNamespace(**training["numbers"])
                                          for name, training in trainings.items()})
               for recipe in recipes.values() for preset, trainings in recipe.measured.items()}
    return _LINK.sub(lambda found: to_docs(*found.groups()), text.format(**numbers))
