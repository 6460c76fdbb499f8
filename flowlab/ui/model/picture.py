"""Explore a flow: the layers of its picture, its training through time, and its inside."""

import secrets
import time
from collections.abc import Iterator
from itertools import count

import streamlit as st

from flowlab.figures import LAYERS, SHOWN
from flowlab.figures.style import LIVE_SIZE
from flowlab.live import Frame
from flowlab.live.cameras import PlaneCamera, TableCamera, kind
from flowlab.live.drawing import Still, Undrawn
from flowlab.live.thinning import MOST, history, nearest
from flowlab.server.admission import check
from flowlab.server.limits import Exceeded
from flowlab.training.progress import counts
from flowlab.training.recipe import source_of
from flowlab.ui.app.lab import lab, theme
from flowlab.ui.elements import image
from flowlab.ui.elements.escape import plain
from flowlab.ui.model import images, inside
from flowlab.ui.model.inside import Subject

TRAINING, FLOW = "Training", "Through the flow"
TICK = 0.15  # seconds between two pictures while something plays
#: Seconds that a look waits for a picture that is being drawn, or while a training is replayed, and
#: between two looks; clicks are answered in between.
PATIENCE, LONGER, LOOK = 0.3, 2.0, 0.3
WAITING = "The picture is being drawn."
REPLAY = 12.0  # seconds that a training takes to replay at speed 1
LAYER = 1.2  # seconds from one layer to the next at speed 1
CONTROLS = ("view", "layers", "place.", "x1.", "x2.", "img.")
NEWEST = -1  # the moment's slider there follows a training under way; elsewhere it is at a step
SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0)
HELP = {"data": "data points over the samples", "samples": "points drawn from the model",
        "density": "the learned density by colour", "contours": "lines of equal learned density",
        "grid": "a square grid of the latent plane, as the flow bends it",
        "paths": "the ways of single latent points through all layers",
        "error": "learned minus true density, in place of the density"}


def layers(name: str) -> tuple[str, ...]:
    """The layers that the page shows, in the order of `LAYERS`."""
    chosen = st.session_state.get(f"{name}.layers", SHOWN)
    return tuple(layer for layer in LAYERS if layer in chosen)


def playing(name: str) -> bool:
    """Whether something plays, so that the page should be drawn often."""
    return f"{name}.playing" in st.session_state


def keep(name: str) -> None:
    """Tell the browser the controls' values again, once each time the whole page is drawn.

    It forgets values that the page has set where a fragment asks for the page to be drawn anew;
    a slider would fall to its least value.
    """
    for key in list(st.session_state):
        if str(key).startswith(tuple(f"{name}.{control}" for control in CONTROLS)):
            st.session_state[key] = st.session_state[key]


def choices(subject: Subject) -> None:
    """The choice of the view and of the layers that it shows; only the plane has layers."""
    name, shape = subject.name, kind(source_of(subject.settings.source))
    of_images = images.images_of(subject) is not None
    more = images.VIEWS if of_images else (FLOW,) if shape is PlaneCamera else ()
    views = (TRAINING,) if _refusal(subject) else (TRAINING, *more)
    if st.session_state.get(f"{name}.view") not in views:
        _hold(name)
        st.session_state[f"{name}.view"] = TRAINING
    st.session_state.setdefault(f"{name}.layers", list(SHOWN))
    with st.container(horizontal=True, vertical_alignment="center", key=f"{name}-choices"):
        if shape is TableCamera:
            st.caption("Each coordinate against each: data below the diagonal, samples from the "
                       "model above it, and on it both as histograms.")
            return
        st.segmented_control(
            "View", views, key=f"{name}.view", required=True, persist_state="session",
            on_change=_hold, args=(name,), width="content",
            help=images.HELP if of_images else
            "What the training has reached, or the plane on its way from latent space to "
            "data, layer by layer, with one point to follow.")
        if not of_images:
            st.pills(
                "Layers of the picture", list(LAYERS), selection_mode="multi",
                key=f"{name}.layers", format_func=lambda layer: LAYERS[layer].capitalize(),
                persist_state="session", width="content",
                help="; ".join(f"**{LAYERS[k]}**: {v}" for k, v in HELP.items())
                + ". Colours and scale are the same in all frames.")


def _refusal(subject: Subject) -> str:
    """Why a fresh flow is not shown: it is larger than the operator allows."""
    try:
        if subject.weighty(0) < 0:
            check(subject.settings, epochs=False)
    except Exceeded as error:
        return str(error)
    return ""


def moment(subject: Subject) -> int:
    """Index of the frame to show: the newest, or the one that the page has scrubbed or played to.

    Without frames it is 0, and without meaning.
    """
    name, frames = subject.name, subject.frames
    if st.session_state.get(f"{name}.scrubbed") != subject.key:  # another training: its newest
        st.session_state[f"{name}.scrubbed"] = subject.key
        if st.session_state.get(f"{name}.playing") == "training":
            _hold(name)
        _put(name, "moment", NEWEST)
        st.session_state.pop(f"{name}.pin", None)
    last = max(len(frames) - 1, 0)
    if st.session_state.get(f"{name}.playing") == "training":
        share = st.session_state[f"{name}.played"] + 100 * _elapsed(name) / REPLAY
        st.session_state[f"{name}.played"] = min(share, 100.0)
        index = round(share / 100 * last)
        st.session_state[f"{name}.reached"] = _moments(frames)[index]
        if share < 100:
            return index
        _hold(name)
    step = _got(name, "moment")
    if step == NEWEST or not frames:
        return last
    index = nearest(frames, st.session_state.setdefault(f"{name}.pin", step))
    if _moments(frames)[index] != step:  # that frame is kept no longer
        _put(name, "moment", _moments(frames)[index])
    return index


def _moments(frames: list[Frame]) -> list[int]:
    """The steps of the frames, and for the last one `NEWEST`."""
    return [*(frame.numbers["step"] for frame in frames[:-1]), NEWEST]


def picture(subject: Subject, index: int, alt: str, starting: bool = False) -> None:
    """The picture of the view chosen, always of one size.

    A training that is `starting` gives its first one in a moment; until then the last one stays.
    """
    view = st.session_state[f"{subject.name}.view"]
    if view in images.VIEWS:
        images.picture(subject, index)
    elif view == FLOW:
        inside.picture(subject, index, layers(subject.name), _position(subject))
    else:
        _training(subject, index, alt, starting)


def _training(subject: Subject, index: int, alt: str, starting: bool) -> None:
    """The training's picture; the last one stays until it is there."""
    there = starting and _last(subject) is not None
    if not there:
        there = _take(subject, index, LONGER if playing(subject.name) else PATIENCE)
    if there:
        with st.container():  # as a fragment has one: the picture keeps its place in the page
            image.show(_last(subject), alt)
    else:
        st.fragment(_awaited, run_every=LOOK)(subject, index, alt, count())


def _awaited(subject: Subject, index: int, alt: str, looks: Iterator[int]) -> None:
    """The last picture, until the one that is being drawn is there."""
    there = _take(subject, index, 0)
    if next(looks) and there:
        st.rerun()  # which leaves this fragment out, and so ends its looks
    image.show(_last(subject) or image.blank(LIVE_SIZE),
               alt if there else WAITING)  # which the style sheet makes pale


def _take(subject: Subject, index: int, patience: float) -> bool:
    """Make the moment's picture the last one; whether there is nothing to wait for."""
    try:
        png = training_picture(subject, index, patience)
    except Undrawn as error:
        st.error(plain(str(error)), icon=":material/error:")
        png = image.blank(LIVE_SIZE)
    if png is not None:
        st.session_state["picture"] = subject.name, png
    return png is not None


def _last(subject: Subject) -> bytes | None:
    """The picture shown last, where it was this model's; a visitor holds no more than one."""
    name, png = st.session_state.get("picture", ("", None))
    return png if name == subject.name else None


def training_picture(subject: Subject, index: int, patience: float) -> bytes | None:
    """The six panels of one moment in the page's theme and layers, as PNG; None until it is drawn.

    Raises
    ------
    Undrawn
        If it cannot be drawn.
    """
    shown, appearance, place = layers(subject.name), theme(), -1
    if subject.frames:
        frame = subject.frames[index]
        fits = (frame.theme, frame.layers) == (appearance, shown)
        if fits and (png := frame.png):
            return png
        if frame.weights is None:
            return frame.png or image.blank(LIVE_SIZE)
        place = index
    if why := _refusal(subject):
        raise Undrawn(why)

    def still() -> Still:
        return Still(subject.model, subject.settings, appearance, shown,
                     subject.weights(place), history(subject.frames[:place + 1]),
                     subject.frames[place].numbers if place >= 0 else None)

    # A run that waits looks like the fresh flow that the page has shown before it.
    about = subject.key if subject.frames else (subject.name, inside.fresh_key(subject.settings))
    key = about, subject.step(place), shown, appearance
    return lab().studio.picture(key, still, _studio(), patience)


def fresh_numbers(subject: Subject) -> dict | None:
    """Those of the fresh flow, as its training would begin with them.

    None until they are known; empty where they cannot be.
    """
    if _refusal(subject):
        return {}
    key = subject.name, inside.fresh_key(subject.settings)
    try:
        return lab().studio.numbers(
            key, lambda: Still(subject.model, subject.settings, theme(), (), None, []), _studio())
    except Undrawn:
        return {}


def _studio() -> str:
    """Who asks for pictures: a visitor has many pages."""
    return st.session_state.setdefault("studio", secrets.token_hex(8))


def _time_slider(subject: Subject, index: int) -> None:
    """Replay the training, and the slider through it."""
    name, frames = subject.name, subject.frames
    on = st.session_state.get(f"{name}.playing") == "training"
    play, slide, where, speed = st.columns([1.6, 4.6, 1.6, 1.6], vertical_alignment="bottom")
    last = len(frames) - 1
    play.button("Hold" if on else "Replay", key=f"{name}.replay", width="stretch",
                icon=":material/pause_circle:" if on else ":material/replay:",
                disabled=last < 1, on_click=_toggle,
                args=(name, "training", 0.0 if index >= last else 100 * index / last),
                help="Show the training again from where the slider is; at its end, from the "
                "start.")
    key, value = _key(name, "moment"), _default(name, "moment")
    if on:  # what the browser last heard of it must not count as the viewer's wish
        key, value = f"{name}.replayed", NEWEST
        st.session_state[key] = st.session_state[f"{name}.reached"]
    names = {NEWEST: "newest"} | {frame.numbers["step"]: _name(frame) for frame in frames[:-1]}
    slide.select_slider("Moment of the training", list(dict.fromkeys(_moments(frames))), value,
                        names.get, key=key, disabled=on or last < 1, on_change=_scrub,
                        args=(name,), help="At its right end it follows a training under way. Up "
                        f"to {MOST} moments are kept, most of them early, when the flow changes "
                        "most.")
    speed.selectbox("Speed", SPEEDS, SPEEDS.index(1.0), key=f"{name}.speed",
                    persist_state="session", format_func=lambda x: f"× {x:g}",
                    help="Of replaying the training, and of playing the layers.")
    where.markdown(_when(frames, index))


def _name(frame: Frame) -> str:
    epoch, batch, _ = counts(frame.numbers)
    return f"epoch {epoch}, batch {batch}" if batch else f"epoch {epoch}"


def _when(frames: list[Frame], index: int) -> str:
    if not frames:
        return "untrained"
    numbers = frames[index].numbers
    return f"epoch **{numbers['epoch']}** of {numbers['epochs']}"


def controls(subject: Subject, index: int) -> None:
    """The sliders of the view chosen, and in the flow's what a layer does and the point."""
    view = st.session_state[f"{subject.name}.view"]
    if view in images.VIEWS:
        images.controls(subject, index)
    through = view == FLOW
    layer = _flow_slider(subject) if through else 0
    _time_slider(subject, index)
    if through:
        inside.explanation(subject, index, layer)


def _flow_slider(subject: Subject) -> int:
    """Play the layers, and the slider through them; the layer passed last, or under way."""
    name, key = subject.name, place_key(subject)
    count = inside.count(subject)
    on = st.session_state.get(f"{name}.playing") == "flow"
    play, slide = st.columns([1.6, 7.8], vertical_alignment="bottom")
    play.button("Hold" if on else "Play", key=f"{name}.layerplay", width="stretch",
                icon=":material/pause_circle:" if on else ":material/animation:",
                on_click=_toggle, args=(name, "flow", 0.0, key, count),
                help="Move from latent space to data, layer by layer.")
    if on:
        key = f"{name}.passed"
        st.session_state[key] = min(int(st.session_state[f"{name}.way"]), count)
    place = slide.slider(
        "Layers passed: 0 is latent space, the last is data space", 0, count, key=key,
        disabled=on, persist_state="session", help="The plane after so many layers.")
    return min(int(st.session_state[f"{name}.way"]) + 1, count) if on else max(place, 1)


def place_key(subject: Subject) -> str:
    """The flow slider's key; flows of different length have different ones."""
    return f"{subject.name}.place.{inside.count(subject)}"


def _position(subject: Subject) -> float:
    """Where between the layers the picture is; moves on while it plays."""
    name, key, count = subject.name, place_key(subject), inside.count(subject)
    st.session_state.setdefault(key, count)
    if st.session_state.get(f"{name}.playing") != "flow":
        return st.session_state[key]
    position = min(st.session_state[f"{name}.way"] + _elapsed(name) / LAYER, count)
    st.session_state[f"{name}.way"] = position
    if position >= count:
        _hold(name)
    return position


def _elapsed(name: str) -> float:
    """Seconds since the last look, times the speed; never a leap."""
    now = time.monotonic()
    before = st.session_state.get(f"{name}.ticked", now)
    st.session_state[f"{name}.ticked"] = now
    return min(now - before, 1.0) * st.session_state.get(f"{name}.speed", 1.0)


def _toggle(name: str, what: str, share: float = 0.0, key: str = "", count: int = 0) -> None:
    if st.session_state.get(f"{name}.playing") == what:
        _hold(name)
        return
    st.session_state[f"{name}.playing"] = what
    st.session_state[f"{name}.ticked"] = time.monotonic()
    if what == "training":
        st.session_state[f"{name}.played"] = share
        st.session_state[f"{name}.reached"] = _got(name, "moment")
    else:
        place = st.session_state[key]
        st.session_state[f"{name}.way"] = 0.0 if place >= count else float(place)
        st.session_state[f"{name}.rests"] = key


def _scrub(name: str) -> None:
    st.session_state.pop(f"{name}.pin", None)


def _hold(name: str) -> None:
    """Stop what plays, and leave its slider where it got to."""
    what = st.session_state.pop(f"{name}.playing", None)
    if what == "training":
        _put(name, "moment", st.session_state[f"{name}.reached"])
        st.session_state.pop(f"{name}.pin", None)
    elif what == "flow":
        st.session_state[st.session_state[f"{name}.rests"]] = int(st.session_state[f"{name}.way"])


def _put(name: str, control: str, value: float) -> None:
    """Give a slider a new place: as the default of a new widget, which no browser forgets."""
    version, _ = st.session_state.get(f"{name}.put.{control}", (0, None))
    st.session_state[f"{name}.put.{control}"] = (version + 1, value)


def _key(name: str, control: str) -> str:
    return f"{name}.{control}.{st.session_state[f'{name}.put.{control}'][0]}"


def _default(name: str, control: str) -> float:
    return st.session_state[f"{name}.put.{control}"][1]


def _got(name: str, control: str) -> float:
    return st.session_state.get(_key(name, control), _default(name, control))
