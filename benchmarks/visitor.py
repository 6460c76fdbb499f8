"""A visitor without a browser: a websocket that speaks Streamlit's protocol, as of 1.67.

It keeps what a browser's tab keeps: the elements by their places, the widgets' values, the query of
the URL and the timers of fragments, which ask for the next look. It draws nothing.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qs

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.asyncio.client import connect

LARGEST = 2**28  # bytes of a message that is read
VALUES = {"number_input": "double_value", "checkbox": "bool_value"}  # what such a widget sends


class Slow(TimeoutError):
    """What was waited for has not come."""


@dataclass(slots=True)
class Shown:
    """One element of the page, and which fragment's run has sent it last."""

    kind: str
    content: Any
    fragment: str
    turn: int


@dataclass
class Visitor:
    """One tab.

    Parameters
    ----------
    url : str
        The server's address, ``http://…``.
    on_change : callable, optional
        Called with the visitor after every message that has changed what it sees.

    Attributes
    ----------
    shown : dict of tuple of int to Shown
        The page's elements by their places.
    received : int
        Bytes that have come.
    error : str
        The server's word for a script that failed.
    """

    url: str
    on_change: Callable[["Visitor"], None] | None = None
    shown: dict[tuple[int, ...], Shown] = field(default_factory=dict)
    names: dict[tuple[int, ...], str] = field(default_factory=dict)  # of containers with a key
    states: dict[str, WidgetState] = field(default_factory=dict)
    pages: dict[str, str] = field(default_factory=dict)
    query: str = ""
    page: str = ""
    turn: int = 0
    finished: int = 0
    received: int = 0
    looks: int = 0
    error: str = ""
    timers: dict[str, tuple[float, asyncio.Task]] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        """Connect, and ask for the first page."""
        address = self.url.replace("http", "ws", 1) + "/_stcore/stream"
        # A browser would offer compression; Streamlit leaves it off as it comes.
        self.socket = await connect(address, subprotocols=["streamlit"], max_size=LARGEST,
                                    origin=self.url, compression=None)
        self.changed = asyncio.Condition()
        self.fragment, self.names_changed = "", False
        self.reader = asyncio.create_task(self._read())
        await self.rerun()
        return self

    async def __aexit__(self, *error: object) -> None:
        """Close the tab."""
        self._stop_timers()
        await self.socket.close()
        self.reader.cancel()
        with suppress(asyncio.CancelledError):
            await self.reader

    async def rerun(self, fragment: str = "", pressed: str = "", auto: bool = False) -> None:
        """Ask for a run of the script, or of one of its fragments."""
        message = BackMsg()
        state = message.rerun_script
        state.query_string, state.page_script_hash = self.query, self.page
        state.fragment_id, state.is_auto_rerun = fragment, auto
        state.context_info.url = f"{self.url}/"
        state.context_info.locale = "en-GB"
        state.context_info.color_scheme = "light"
        state.widget_states.widgets.extend(self.states.values())
        if pressed:
            state.widget_states.widgets.add(id=pressed, trigger_value=True)
        await self.socket.send(message.SerializeToString())

    async def open(self, name: str, query: str = "") -> None:
        """Go to the page of this name in the URL."""
        self._stop_timers()
        self.page, self.query, self.states = self.pages[name], query, {}
        self.shown.clear()
        await self.rerun()

    async def press(self, key: str) -> None:
        """Press the button with this key, once it is there."""
        await self.until(lambda: self.has(key, enabled=False))
        button = self.widget(key)
        assert not button.content.disabled, f"{key} cannot be pressed now"
        await self.rerun(button.fragment, button.content.id)

    async def set(self, key: str, value: Any) -> None:
        """Move a slider, or choose from a list, by its key, once it is there."""
        await self.until(lambda: self.has(key, enabled=False))
        widget = self.widget(key)
        widget_id, fragment = widget.content.id, widget.fragment
        if widget.kind == "slider" and widget.content.options:
            kind, content = "string_array_value", [str(value)]
        elif widget.kind == "slider":
            kind, content = "double_array_value", [float(value)]
        elif widget.kind == "selectbox":
            kind, content = "string_value", value
        else:
            kind, content = VALUES[widget.kind], value
        self.states[widget_id] = _state(widget_id, kind, content)
        await self.rerun(fragment)

    def widget(self, key: str) -> Shown:
        """The widget with this key.

        Raises
        ------
        LookupError
            If the page has none.
        """
        for shown in self.shown.values():
            if getattr(shown.content, "id", "").endswith(f"-{key}"):
                return shown
        raise LookupError(f"The page shows no widget {key}.")

    def has(self, key: str, enabled: bool = True) -> bool:
        """Whether the page shows such a widget, which can be used."""
        try:
            widget = self.widget(key)
        except LookupError:
            return False
        return not (enabled and widget.content.disabled)

    def texts(self, kind: str = "markdown") -> list[str]:
        """What is written on the page."""
        return [shown.content.body for shown in self.shown.values() if shown.kind == kind]

    def pictures(self, container: str) -> list[tuple[str, str]]:
        """Address and description of the pictures in the container with this key."""
        inside = [place for place, name in self.names.items() if name.endswith(f"-{container}")]
        return [(image.url, image.alt) for place, shown in self.shown.items()
                if shown.kind == "imgs" and any(place[:len(p)] == p for p in inside)
                for image in shown.content.imgs]

    def asked(self, name: str) -> str:
        """A value in the URL's query."""
        return parse_qs(self.query).get(name, [""])[0]

    async def until(self, condition: Callable[[], Any], seconds: float = 300) -> float:
        """Wait until something shows; how long that took.

        Raises
        ------
        Slow
            If it has not after so many seconds.
        """
        begun = time.perf_counter()
        try:
            async with asyncio.timeout(seconds), self.changed:
                await self.changed.wait_for(lambda: condition() or self.error)
        except TimeoutError:
            raise Slow(f"nothing after {seconds:g} s") from None
        if self.error:
            raise RuntimeError(self.error)
        return time.perf_counter() - begun

    async def _read(self) -> None:
        async for data in self.socket:
            self.received += len(data)
            message = ForwardMsg.FromString(data)
            self._take(message)
            if self.on_change is not None and message.WhichOneof("type") == "delta":
                self.on_change(self)
            async with self.changed:
                self.changed.notify_all()

    def _take(self, message: ForwardMsg) -> None:
        """Do what a browser does with a message."""
        kind = message.WhichOneof("type")
        if kind == "delta":
            self._draw(tuple(message.metadata.delta_path), message.delta)
        elif kind == "new_session":
            self.turn += 1
            self.fragments = set(message.metadata.run.fragment_ids)
            if not self.fragments:
                self._stop_timers()
        elif kind == "navigation":
            self.pages = {page.url_pathname: page.page_script_hash
                          for page in message.navigation.app_pages}
            self.page = self.page or message.navigation.page_script_hash
        elif kind == "page_info_changed":
            self.query = message.page_info_changed.query_string
        elif kind == "auto_rerun":
            self._time(message.auto_rerun.fragment_id, message.auto_rerun.interval)
        elif kind == "stop_auto_rerun":
            for fragment in message.stop_auto_rerun.fragment_ids:
                self._stop(fragment)
        elif kind == "script_finished":
            self._clean(message.script_finished)

    def _draw(self, place: tuple[int, ...], delta: Any) -> None:
        if delta.HasField("add_block"):
            self.names[place] = delta.add_block.id
            self.shown.pop(place, None)
        elif delta.HasField("new_element"):
            kind = delta.new_element.WhichOneof("type")
            content = getattr(delta.new_element, kind)
            for other in [p for p in self.shown if p[:len(place)] == place]:
                del self.shown[other]
            self.shown[place] = Shown(kind, content, delta.fragment_id, self.turn)
            if kind == "exception":
                self.error = f"{content.type}: {content.message}"
            self._register(kind, content, delta.new_element)

    def _register(self, kind: str, content: Any, element: Element) -> None:
        """Remember a new widget's value, which a browser sends with every later question."""
        fresh = getattr(content, "id", "") and (content.id not in self.states
                                                or getattr(content, "set_value", False))
        if not fresh or kind not in ("slider", "number_input", "checkbox"):
            return
        given = content.set_value
        if kind == "slider" and content.options:
            chosen = content.raw_value if given else [
                content.options[int(i)] for i in content.default]
            value = "string_array_value", list(chosen)
        elif kind == "slider":
            value = "double_array_value", list(content.value if given else content.default)
        else:
            value = VALUES[kind], content.value if given else content.default
        self.states[content.id] = _state(content.id, *value)

    def _clean(self, status: int) -> None:
        """Take away what the run that has ended did not draw again."""
        self.finished += 1
        if status == ForwardMsg.FINISHED_SUCCESSFULLY:
            stale = [place for place, shown in self.shown.items() if shown.turn != self.turn]
        elif status == ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY:
            stale = [place for place, shown in self.shown.items() if shown.turn != self.turn
                     and shown.fragment in self.fragments]
        else:
            return
        for place in stale:
            del self.shown[place]
        alive = {getattr(shown.content, "id", "") for shown in self.shown.values()}
        self.states = {key: state for key, state in self.states.items() if key in alive}

    def _time(self, fragment: str, interval: float) -> None:
        """Ask for a look at a fragment again and again; the same timer goes on."""
        if fragment in self.timers and self.timers[fragment][0] == interval:
            return
        self._stop(fragment)
        self.timers[fragment] = interval, asyncio.create_task(self._tick(fragment, interval))

    async def _tick(self, fragment: str, interval: float) -> None:
        due = time.monotonic()
        while True:
            due = max(due + interval, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
            self.looks += 1
            await self.rerun(fragment, auto=True)

    def _stop(self, fragment: str) -> None:
        if fragment in self.timers:
            self.timers.pop(fragment)[1].cancel()

    def _stop_timers(self) -> None:
        for fragment in list(self.timers):
            self._stop(fragment)


def _state(widget_id: str, kind: str, content: Any) -> WidgetState:
    state = WidgetState(id=widget_id)
    if isinstance(content, list):
        getattr(state, kind).data.extend(content)
    else:
        setattr(state, kind, content)
    return state
