"""Links: the settings of a page, and what a teacher adds to them.

A teacher's link hides or locks controls, chooses what the picture shows, and carries a title and a
task. These are plain text: cleaned here, cut to a length, and drawn so that markup in them is shown
as it is.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlencode

from flowlab.figures import OVERLAYS
from flowlab.figures.style import LAYOUTS
from flowlab.settings import RunSettings
from flowlab.ui.app import addresses
from flowlab.ui.controls.settings import GROUPS

TITLE, TASK = 80, 600  # characters at most
ANSWERS, ANSWER = 4, 40  # answers, and characters of each, at most
NAMES = tuple(group.lower() for group in GROUPS)
#: What a link can ask the picture to show first, and the view's name on the page.
SHOWS = {"flow": "Through the flow", "samples": "Samples", "between": "Between two",
         "scales": "Scales", "likelihood": "Likelihood"}
NO_OVERLAYS = "none"


@dataclass(frozen=True)
class Lesson:
    """What a link has besides the settings.

    Attributes
    ----------
    hide, lock : tuple of str
        Groups of controls, or single settings, that are not shown, and that are shown but cannot
        be changed.
    title, task : str
        Plain text above the page.
    preset : str
        The experiment that is explained above the page.
    view : str
        How the page is seen: a layout of the lecture view, of `flowlab.figures.style.LAYOUTS`, or
        empty.
    expect : tuple of str
        Answers to "What do you expect?", plain text.
    show : str
        What the picture shows first, of `SHOWS`; empty for the training.
    overlays : tuple of str or None
        The overlays that the picture has first; None for the usual ones.
    """

    hide: tuple[str, ...] = ()
    lock: tuple[str, ...] = ()
    title: str = ""
    task: str = ""
    preset: str = ""
    view: str = ""
    expect: tuple[str, ...] = ()
    show: str = ""
    overlays: tuple[str, ...] | None = None

    def texts(self) -> dict[str, str]:
        """What differs from an empty lesson, as a URL has it."""
        values = {name: getattr(self, name) for name in PARAMETERS}
        if self.overlays == ():
            values["overlays"] = NO_OVERLAYS
        return {name: ("|" if name == "expect" else ",").join(value)
                if isinstance(value, tuple) else value for name, value in values.items() if value}


#: The names in a URL that are no settings.
PARAMETERS = tuple(field.name for field in fields(Lesson))


def names(run: type[RunSettings]) -> tuple[str, ...]:
    """The groups of a model's controls and its single settings, which a link can hide or lock."""
    return *NAMES, *(name for name in run.fields() if name not in NAMES)


def read(texts: dict[str, str], presets: tuple[str, ...] = (), names: Sequence[str] = NAMES
         ) -> tuple[Lesson, list[str]]:
    """The lesson in a URL's texts, and one sentence for each that could not be used whole."""
    values: dict[str, Any] = {}
    complaints = []
    for name, limit in (("title", TITLE), ("task", TASK)):
        text = printable(texts.get(name, ""))
        if len(text) > limit:
            complaints.append(f"{name}: the text in this link is cut after {limit} characters.")
        values[name] = text[:limit]
    for name in ("hide", "lock"):
        asked = _parts(texts.get(name, ""))
        values[name] = tuple(group for group in names if group in asked)
        if set(asked) - set(names):
            complaints.append(f"{name}: the groups of controls are {', '.join(NAMES)}; the link "
                              "names another, or a setting that this page does not have.")
    values["expect"], wrong = _answers(texts.get("expect", ""))
    complaints += wrong
    if preset := texts.get("preset", ""):
        if preset in presets:
            values["preset"] = preset
        else:
            complaints.append("preset: there is no experiment of this name on this page.")
    values["view"], wrong = read_view(texts)
    complaints += wrong
    if (show := texts.get("show", "")) in ("", *SHOWS):
        values["show"] = show
    else:
        complaints.append(f"show: a link can ask for {', '.join(SHOWS)}; this one asks for "
                          "something else.")
    if asked := _parts(texts.get("overlays", "")):
        values["overlays"] = tuple(name for name in OVERLAYS if name in asked)
        if set(asked) - {*OVERLAYS, NO_OVERLAYS}:
            complaints.append(f"overlays: there are {', '.join(OVERLAYS)}, or {NO_OVERLAYS}; the "
                              "link names another.")
    return Lesson(**values), complaints


def _parts(text: str) -> list[str]:
    return [part.strip().lower() for part in text.split(",") if part.strip()]


def _answers(text: str) -> tuple[tuple[str, ...], list[str]]:
    """The answers to choose from, separated by bars, and a sentence if they are cut."""
    parts = [part.strip() for part in printable(text).replace("\n", " ").split("|")]
    given = list(dict.fromkeys(filter(None, parts)))
    kept = tuple(part[:ANSWER] for part in given[:ANSWERS])
    return kept, [] if kept == tuple(given) else [
        f"expect: a link can offer {ANSWERS} answers of {ANSWER} characters; this one is cut."]


def read_view(texts: dict[str, str]) -> tuple[str, list[str]]:
    """The view that a URL's texts ask for, and a sentence where there is no such view."""
    if (view := texts.get("view", "")) in ("", *LAYOUTS):
        return view, []
    return "", [f"view: a link can ask for {', '.join(LAYOUTS)}; this one asks for something else."]


def printable(text: str) -> str:
    """The text without control characters or marks of direction; its lines stay."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    kept = ("".join(c for c in line if not unicodedata.category(c).startswith("C"))
            for line in lines)
    return "\n".join(kept).strip()


def query(settings: RunSettings, lesson: Lesson) -> dict[str, str]:
    """The query of a link: only what differs from the defaults, so it is as short as it can be."""
    return settings.texts() | lesson.texts()


def address(settings: RunSettings, lesson: Lesson, lab: str = "") -> str:
    """The link to a model's page with these settings.

    Parameters
    ----------
    settings : RunSettings
    lesson : Lesson
    lab : str, optional
        The address of the lab, with which the link begins; by default the one that is open.
    """
    text = urlencode(query(settings, lesson), safe=",|")
    return f"{lab or addresses.here()}/{settings.model}" + (f"?{text}" if text else "")
