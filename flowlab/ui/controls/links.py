"""Links: the settings of a page, and what a teacher adds to them.

A teacher's link hides or locks groups of controls and carries a title and a task. These are plain
text: cleaned here, cut to a length, and drawn so that markup in them is shown as it is.
"""

import unicodedata
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from flowlab.figures.style import LAYOUTS
from flowlab.settings import RunSettings
from flowlab.ui.app.state import Values
from flowlab.ui.controls.settings import GROUPS
from flowlab.ui.elements.copy import copyable

TITLE, TASK = 80, 600  # characters at most
ANSWERS, ANSWER = 4, 40  # answers, and characters of each, at most
NAMES = tuple(group.lower() for group in GROUPS)


@dataclass(frozen=True)
class Lesson:
    """What a link has besides the settings.

    Attributes
    ----------
    hide, lock : tuple of str
        Groups of controls that are not shown, and that are shown but cannot be changed.
    title, task : str
        Plain text above the page.
    preset : str
        The experiment that is explained above the page.
    view : str
        How the page is seen: a layout of the lecture view, of `flowlab.figures.style.LAYOUTS`, or
        empty.
    expect : tuple of str
        Answers to "What do you expect?", plain text.
    """

    hide: tuple[str, ...] = ()
    lock: tuple[str, ...] = ()
    title: str = ""
    task: str = ""
    preset: str = ""
    view: str = ""
    expect: tuple[str, ...] = ()

    def texts(self) -> dict[str, str]:
        """What differs from an empty lesson, as a URL has it."""
        values = {name: getattr(self, name) for name in PARAMETERS}
        return {name: ("|" if name == "expect" else ",").join(value)
                if isinstance(value, tuple) else value for name, value in values.items() if value}


#: The names in a URL that are no settings.
PARAMETERS = tuple(field.name for field in fields(Lesson))


def read(texts: dict[str, str], presets: tuple[str, ...] = ()) -> tuple[Lesson, list[str]]:
    """The lesson in a URL's texts, and one sentence for each that could not be used whole."""
    values: dict[str, Any] = {}
    complaints = []
    for name, limit in (("title", TITLE), ("task", TASK)):
        text = printable(texts.get(name, ""))
        if len(text) > limit:
            complaints.append(f"{name}: the text in this link is cut after {limit} characters.")
        values[name] = text[:limit]
    for name in ("hide", "lock"):
        asked = [part.strip().lower() for part in texts.get(name, "").split(",") if part.strip()]
        values[name] = tuple(group for group in NAMES if group in asked)
        if set(asked) - set(NAMES):
            complaints.append(f"{name}: the groups of controls are {', '.join(NAMES)}; the link "
                              "names another.")
    values["expect"], wrong = _answers(texts.get("expect", ""))
    complaints += wrong
    if preset := texts.get("preset", ""):
        if preset in presets:
            values["preset"] = preset
        else:
            complaints.append("preset: there is no experiment of this name on this page.")
    values["view"], wrong = read_view(texts)
    return Lesson(**values), complaints + wrong


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
    return "", [f"view: a link can ask for {', '.join(LAYOUTS)}; this one asks for another."]


def printable(text: str) -> str:
    """The text without control characters or marks of direction; its lines stay."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    kept = ("".join(c for c in line if not unicodedata.category(c).startswith("C"))
            for line in lines)
    return "\n".join(kept).strip()


def share(settings: RunSettings, lesson: Lesson, controls: Values) -> None:
    """Draw a button that opens the page's link, and what a teacher may add to it."""
    with st.popover("Share", icon=":material/link:", key=f"{controls.prefix}.link",
                    help="A link to this page as it stands, also for a class."):
        st.markdown("The same settings and seed: a run of as many seconds, which gets as far as "
                    "its machine allows." if settings.training.seconds else
                    "The same settings and seed: the same run, on any machine with the same "
                    "versions.")
        link = st.container(gap="xsmall")
        st.markdown("**For a class**")
        groups: dict[str, Any] = {"options": NAMES, "format_func": str.capitalize,
                                  "selection_mode": "multi"}
        hide = st.pills("Hide controls", default=lesson.hide, **groups, **controls.tie("hide"),
                        help="Groups of controls that the link's page does not show.")
        lock = st.pills("Lock controls", default=lesson.lock, **groups, **controls.tie("lock"),
                        help="Groups that are shown, but cannot be changed.")
        title = st.text_input("Title", lesson.title, TITLE, **controls.tie("title"),
                              help="Plain text, shown above the page.")
        task = st.text_area("Task", lesson.task, max_chars=TASK, **controls.tie("task"),
                            help="Plain text, shown under the title.")
        new = Lesson(tuple(hide), tuple(lock), printable(title), printable(task), lesson.preset,
                     lesson.view, lesson.expect)
        with link:
            copyable(address(settings, new), "Copy link")


def address(settings: RunSettings, lesson: Lesson) -> str:
    """The link to the page with these settings."""
    query = urlencode(settings.texts() | lesson.texts(), safe=",")
    url = (st.context.url or "").partition("?")[0]
    return f"{url}?{query}" if query else url
