"""The state of a session: one typed object for each page, all under one key.

Programs read and write attributes; only this module looks anything up by name. A control's value is
an attribute too, but stays where Streamlit puts it, under the control's own key: Streamlit runs the
callbacks of one press in an order of its own, so a copy could be out of date when **Train** reads
it.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, NamedTuple, Self, TypeVar, cast, overload

import streamlit as st

KEY = "flowlab"  # of the session's state


class Address(NamedTuple):
    """An address of a page."""

    query: dict[str, str]  #: As the browser has it.
    means: dict[str, str]  #: As the page writes it: without defaults, every value in one form.


@dataclass
class Page:
    """State of one page; each kind of page adds its own attributes."""

    name: str  #: Keys of the page's controls start with it.
    address: Address | None = None  #: None until the page has written one.
    #: The browser's queries that the page has replaced, until the browser has the last one.
    former: list[dict[str, str]] = field(default_factory=list)
    refused: str = ""  #: The sentence on what was refused, for the next time the page is drawn.

    def refusal(self) -> list[str]:
        """The sentence on what was refused, if there is one; it is given once."""
        sentence, self.refused = self.refused, ""
        return [sentence] if sentence else []

    def attempt(self, action: Callable[..., object], *values: object) -> None:
        """Do something; where a ValueError refuses it, its sentence is shown."""
        try:
            action(*values)
        except ValueError as error:
            self.refused = str(error)

    def keep(self, *names: str) -> None:
        """Tell the browser the values of the controls whose names begin so again.

        It forgets values that the page has set where a fragment asks for the page to be drawn
        anew; a slider would fall to its least value.
        """
        starts = tuple(f"{self.name}.{name}" for name in names)
        for key in list(st.session_state):
            if str(key).startswith(starts):
                st.session_state[key] = st.session_state[key]


@dataclass
class Session:
    """State of a session beside that of its pages."""

    #: Names the session in the queue, where visitors have no names.
    owner: str = field(default_factory=lambda: secrets.token_hex(8))
    token: str = ""  #: The browser's, on a shared server; empty until it is needed.
    drawing: str = ""  #: Names the session to who draws pictures; empty until one is asked for.
    #: A model's name and its picture shown last: a visitor holds no more than one.
    arrived: bool = False  #: Whether a model's page has been seen.
    picture: tuple[str, bytes | Path] = ("", b"")
    layout: str = ""  #: Of the pictures on the page shown, one of `flowlab.figures.style.LAYOUTS`.
    refused: set[tuple[str, str]] = field(default_factory=set)  #: Kinds and sentences in the log.
    pages: dict[str, Page] = field(default_factory=dict)


def session() -> Session:
    """The state of this session."""
    if KEY not in st.session_state:
        st.session_state[KEY] = Session()
    return st.session_state[KEY]


P = TypeVar("P", bound=Page)


def page(kind: Callable[[str], P], name: str) -> P:
    """The state of a page in this session; made by its kind where there is none."""
    pages = session().pages
    if name not in pages:
        pages[name] = kind(name)
    return cast(P, pages[name])


T = TypeVar("T")


class Control(Generic[T]):
    """An attribute of a page: the value of its control of the same name.

    Parameters
    ----------
    default
        The value before there is a control.
    key : str, optional
        The control's key, where it is not made of the names of page and attribute.
    """

    def __init__(self, default: T, key: str = "") -> None:
        self._default, self._key = default, key

    def __set_name__(self, owner: type, name: str) -> None:
        self._key = self._key or "{page}." + name

    @overload
    def __get__(self, page: None, owner: type) -> Self: ...

    @overload
    def __get__(self, page: Page, owner: type) -> T: ...

    def __get__(self, page: Page | None, owner: type) -> Self | T:
        return self if page is None else st.session_state.get(self.key(page), self._default)

    def __set__(self, page: Page, value: T) -> None:
        st.session_state[self.key(page)] = value

    def key(self, page: Page) -> str:
        """The control's key."""
        return self._key.format(page=page.name)

    def tie(self, page: Page) -> dict[str, Any]:
        """Arguments of the control that make it show the attribute, and keep what is chosen."""
        st.session_state.setdefault(self.key(page), self._default)
        return {"key": self.key(page), "persist_state": "session"}


class Values:
    """The values of controls that are named by data: all whose keys start alike.

    Parameters
    ----------
    prefix : str
        A control's key is this, a point, and the control's name here.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def key(self, name: Any) -> str:
        """The key of a control."""
        return f"{self.prefix}.{name}"

    def tie(self, name: Any) -> dict[str, Any]:
        """Arguments of a control that make it show its value here, and keep what is chosen."""
        return {"key": self.key(name), "persist_state": "session"}

    def __getitem__(self, name: Any) -> Any:
        return st.session_state[self.key(name)]

    def __setitem__(self, name: Any, value: Any) -> None:
        st.session_state[self.key(name)] = value

    def get(self, name: Any, default: Any = None) -> Any:
        """The value of a control; the default where it has none."""
        return st.session_state.get(self.key(name), default)

    def setdefault(self, name: Any, value: Any) -> Any:
        """The value of a control; the given one, from now on, where it has none."""
        return st.session_state.setdefault(self.key(name), value)

    def update(self, values: Mapping[Any, Any]) -> None:
        """Set the values of several controls."""
        for name, value in values.items():
            self[name] = value

    def forget(self, *names: Any) -> None:
        """Have these controls begin anew."""
        for name in names:
            st.session_state.pop(self.key(name), None)
