"""What plays on a model's page: its training over time, or the layers of its flow."""

import time
from collections.abc import Callable
from functools import partial
from typing import Literal

import streamlit as st

from flowlab.live import Frame
from flowlab.live.thinning import MAX_FRAMES, nearest
from flowlab.ui.controls.links import SHOWS
from flowlab.ui.controls.state import NEWEST, ModelPage
from flowlab.ui.model import inside
from flowlab.ui.model.inside import Subject

REPLAY = 12.0  # seconds that a training takes to replay at speed 1
LAYER = 1.2  # seconds from one layer to the next at speed 1
BUTTON, WORDLESS, WHEN = 100, 44, 130  # pixels: widths that do not change with the words
# Who has asked for less motion presses Play.
_JS = """
export default function ({ setTriggerValue }) {
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) setTriggerValue("play", true);
}
"""
SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0)


def moment(subject: Subject) -> int:
    """Index of the frame to show: the newest, or the one that the page has scrubbed or played to.

    Without frames it is 0, and without meaning.
    """
    page, frames, playback = subject.page, subject.frames, subject.page.playback
    if playback.key != subject.key:  # another training: its newest
        playback.key = subject.key
        if playback.what == "training":
            hold(page)
        _put(page, NEWEST)
    last = max(len(frames) - 1, 0)
    if playback.what == "training":
        share = playback.share + 100 * _elapsed(page) / REPLAY
        playback.share = min(share, 100.0)
        index = round(playback.share / 100 * last)
        playback.reached = _moments(frames)[index]
        if share < 100:
            return index
        hold(page)
    step = _chosen(page)
    if step == NEWEST or not frames:
        return last
    if playback.pinned is None:
        playback.pinned = step
    index = nearest(frames, playback.pinned)
    if _moments(frames)[index] != step:  # that frame is kept no longer
        _put(page, _moments(frames)[index], playback.pinned)
    return index


def _moments(frames: list[Frame]) -> list[int]:
    """The steps of the frames, and for the last one `NEWEST`."""
    return [*(frame.moment.step for frame in frames[:-1]), NEWEST]


def position(subject: Subject) -> float:
    """Where between the layers the picture is; it moves on while they play."""
    page, count = subject.page, inside.count(subject)
    place = page.place.setdefault(count, 0)
    if page.playback.what != "flow":
        return place
    passed = _elapsed(page) / LAYER
    if page.playback.drawn:  # else it waits for the picture
        way = page.playback.way - passed if page.playback.back else page.playback.way + passed
        page.playback.way = min(max(way, 0.0), count)
    if page.playback.way == (0 if page.playback.back else count):
        hold(page)
    return page.playback.way


def _elapsed(page: ModelPage) -> float:
    """Seconds since the last look, times the speed; never a leap."""
    before, page.playback.ticked = page.playback.ticked, time.monotonic()
    return min(page.playback.ticked - before, 1.0) * page.speed


def time_slider(subject: Subject, index: int) -> None:
    """Draw the button that replays the training, and the slider through it."""
    page, frames = subject.page, subject.frames
    on = page.playback.what == "training"
    last = len(frames) - 1
    st.button("Pause" if on else "Replay", key=f"{page.name}.replay",
              width=WORDLESS if page.view == SHOWS["flow"] else BUTTON,
              icon=":material/pause_circle:" if on else ":material/replay:",
              disabled=last < 1, on_click=_toggle_training,
              args=(page, 0.0 if index >= last else 100 * index / last),
              help="Replay the training from the slider's position, or from the start where it is "
              "at its end.")
    key, value = page.moment.key(page.playback.version), page.playback.moment
    if on:  # what the browser last heard of it must not count as the viewer's wish
        key, value = f"{page.name}.replayed", NEWEST
        page.replayed = page.playback.reached
    names = {NEWEST: "newest"} | {frame.moment.step: _name(frame) for frame in frames[:-1]}
    st.select_slider("Moment of the training", list(dict.fromkeys(_moments(frames))), value,
                     names.get, key=key, disabled=on or last < 1, on_change=_scrub,
                     args=(page,), help="At its right end, the slider follows a training under "
                     f"way. Up to {MAX_FRAMES} moments are kept, most of them early, when the flow "
                     "changes most.")
    st.markdown(_when(frames, index), width=WHEN)
    st.selectbox("Speed", SPEEDS, SPEEDS.index(1.0), key=f"{page.name}.speed", width=BUTTON,
                 persist_state="session", format_func=lambda x: f"× {x:g}",
                 help="For replaying the training and for playing the layers.")


def _name(frame: Frame) -> str:
    epoch, batch = frame.moment.epoch, frame.moment.batch
    return f"epoch {epoch}, batch {batch}" if batch else f"epoch {epoch}"


def _when(frames: list[Frame], index: int) -> str:
    if not frames:
        return "untrained"
    moment = frames[index].moment
    return f"epoch **{moment.epoch}** of {frames[-1].moment.epochs}"


def flow_slider(subject: Subject) -> int:
    """Draw the button that plays the layers, and the slider through them.

    Returns
    -------
    int
        The layer passed last, or under way.
    """
    page, count = subject.page, inside.count(subject)
    on = page.playback.what == "flow"
    if not page.opened and page.status not in ("queued", "running", "paused"):
        _component()(key=f"{page.name}.motion-keys", on_play_change=partial(_open, page, count))
    for back, word, icon, key, text in (
        (False, "Play", ":material/animation:", "layerplay",
         "Move from latent space to data, layer by layer."),
        (True, "Walk back", ":material/undo:", "layerback",
         "The point that is followed walks back from data to latent space, and its log-density "
         "adds up beside it, layer by layer. Click the picture to choose the point.")):
        plays = on and page.playback.back == back
        st.button("Pause" if plays else word, key=f"{page.name}.{key}", help=text,
                  width=WORDLESS if back else BUTTON,
                  icon=":material/pause_circle:" if plays else icon,
                  on_click=_toggle_flow, args=(page, count, back))
    if on:
        page.passed = min(int(page.playback.way), count)
    place = st.slider(
        "Layers passed", 0, count,
        key=f"{page.name}.passed" if on else page.place.key(count), disabled=on,
        persist_state="session",
        help="The plane after this many layers: 0 is latent space, the last is data space.")
    return min(int(page.playback.way) + 1, count) if on else max(place, 1)


def _toggle_training(page: ModelPage, share: float) -> None:
    if page.playback.what == "training":
        hold(page)
        return
    _start(page, "training")
    page.playback.share, page.playback.reached = share, _chosen(page)


def _toggle_flow(page: ModelPage, count: int, back: bool = False) -> None:
    if page.playback.what == "flow":
        hold(page)
        if page.playback.back == back:
            return
    _start(page, "flow")
    start, end = (count, 0) if back else (0, count)
    place = page.place[count]
    page.playback.way = float(start if place == end else place)
    page.playback.layers, page.playback.back = count, back


def _open(page: ModelPage, count: int) -> None:
    """Play the layers by themselves, once."""
    if not (page.opened or page.playback.what):
        _toggle_flow(page, count)
    page.opened = True


@st.cache_resource(show_spinner=False)
def _component() -> Callable:
    return st.components.v2.component("flowlab_motion", js=_JS)


def _start(page: ModelPage, what: Literal["training", "flow"]) -> None:
    page.playback.what, page.playback.ticked = what, time.monotonic()
    page.playback.drawn = False


def hold(page: ModelPage) -> None:
    """Stop what plays, and leave its slider where it got to."""
    playback = page.playback
    what, playback.what = playback.what, ""
    if what == "training":
        _put(page, playback.reached)
    elif what == "flow":
        page.place[playback.layers] = int(playback.way)


def _put(page: ModelPage, moment: int, pinned: int | None = None) -> None:
    """Give the moment's slider a new place: as the default of a new slider, kept by any browser."""
    playback = page.playback
    playback.moment, playback.pinned, playback.version = moment, pinned, playback.version + 1


def _chosen(page: ModelPage) -> int:
    """Where the moment's slider is."""
    return page.moment.get(page.playback.version, page.playback.moment)


def _scrub(page: ModelPage) -> None:
    page.playback.pinned = None
