"""The chooser of distributions and images: a picture for each, all in sight.

A thumbnail is a button with a picture behind its words, which are not seen: mouse, keyboard and
screen reader reach it, and the browser draws it faster than a picture with a button over it.
"""

from collections.abc import Callable, Container, Iterable

import streamlit as st

from flowlab.data import Images, image_set, images, store, target, targets
from flowlab.data.images import TITLES, at_hand, is_image_set
from flowlab.figures import name_tile, png
from flowlab.live import thumbnails
from flowlab.ui.app.lab import theme
from flowlab.ui.controls import epochs, upload
from flowlab.ui.controls.validation import source
from flowlab.ui.elements import image
from flowlab.ui.model.images import leave, start

COLUMNS = 4


@st.cache_data(show_spinner=False, max_entries=64)
def _picture(name: str, appearance: str) -> bytes:
    return thumbnails.drawn(source(name), appearance)


@st.cache_data(show_spinner=False, max_entries=8)
def _name(title: str, appearance: str) -> bytes:
    return png(name_tile(title.replace("-", "-\n"), theme=appearance))


def choose(prefix: str) -> None:
    """Thumbnails of all distributions; a press chooses one."""
    _fetch(prefix)
    chosen = source(st.session_state[f"{prefix}.data"])
    own = upload.newest()
    if store.is_own(chosen.name) and not isinstance(chosen, Images):
        own = chosen.name
    album = chosen.name if _is_album(chosen) else upload.newest_images()
    mine = [name for name in (own, album) if name]
    points = [*targets()]
    if chosen.name not in {*points, *images(), *mine}:  # a lesson's, for as long as it is chosen
        points.append(chosen.name)
    _pictures(prefix, [*points, *images(), *mine], {chosen.name})
    with st.grid(COLUMNS, min_column_width=40, gap="xxsmall", wrap=False):
        for name in points:
            _tile(prefix, name)
    left, right = st.columns([1, 3], gap="xxsmall", vertical_alignment="center")
    with left:
        if own:
            _tile(prefix, own)
        else:
            _empty_tile(prefix)
    st.caption("Images", help="Pictures of grey pixels instead of points: the flow learns to make "
               "such images. Samples are then images, and the loss is told in bits for a pixel.")
    with st.grid(COLUMNS, min_column_width=40, gap="xxsmall", wrap=False):
        for name in (*images(), *([album] if album else [])):
            _tile(prefix, name)
    if sentence := st.session_state.get(f"{prefix}.unfetched"):
        st.warning(sentence, icon=":material/cloud_off:")
    right.button("Own data: draw, upload", icon=":material/draw:", width="stretch",
                 key=f"{prefix}.own", on_click=upload.open_dialog, args=(prefix,),
                 help="Draw points, upload a CSV, NPY or picture file, paste coordinates, or give "
                 "images: a zip of pictures, or an NPY of many.")
    upload.dialog(prefix)
    st.caption(f"**{chosen.title}.** {chosen.description}")
    epochs.say(prefix, chosen)


def _is_album(chosen: object) -> bool:
    """Whether this is a user's own images."""
    return isinstance(chosen, Images) and store.is_own(chosen.name)


def _take(prefix: str, name: str) -> None:
    """Make this the page's data; images that are not at hand are fetched when the page is drawn."""
    st.session_state.pop(f"{prefix}.unfetched", None)
    if not is_image_set(name):
        leave(prefix, name)
    elif at_hand(name):
        start(prefix, name)
    else:
        st.session_state[f"{prefix}.wanted"] = name


def _fetch(prefix: str) -> None:
    """Fetch images that a press asked for; a sentence where they cannot be had."""
    name = st.session_state.pop(f"{prefix}.wanted", None)
    if name is None:
        return
    try:
        with st.spinner(f"Fetching {TITLES[name]} from OpenML"):
            image_set(name)
    except ValueError as error:
        st.session_state[f"{prefix}.unfetched"] = str(error)
        return
    start(prefix, name)
    st.rerun()


def choose_some(prefix: str) -> None:
    """Thumbnails of all distributions; a press takes one in or out, one stays in any case.

    The newest own data are among them, where they are points of the plane.
    """
    key = f"{prefix}.data"
    chosen = st.session_state[key]
    own = [name for name in {*chosen, upload.newest()} if name and store.is_own(name)
           and not is_image_set(name) and target(name).columns == 2]
    names = [*targets(), *sorted(own)]
    _pictures(prefix, names, chosen)
    with st.grid(COLUMNS, min_column_width=40, gap="xxsmall", wrap=False):
        for name in names:
            _tile(prefix, name, _toggle, (key, name))


def _toggle(key: str, name: str) -> None:
    chosen = st.session_state[key]
    rest = tuple(other for other in chosen if other != name)
    st.session_state[key] = (*chosen, name) if rest == chosen else rest or chosen


def _tile(prefix: str, name: str, on_click: Callable | None = None, args: tuple = ()) -> None:
    title = _title(name)
    st.button(title, key=f"{prefix}.choose.{name}", help=title, width="stretch",
              on_click=on_click or _take, args=args or (prefix, name))


def _title(name: str) -> str:
    return TITLES.get(name) or source(name).title


def _pictures(prefix: str, names: Iterable[str], chosen: Container[str]) -> None:
    """Put the pictures behind the tiles' words, and a frame around the chosen ones."""
    rules = []
    for name in names:
        frame = "border-color: #2b87d1;" if name in chosen else ""
        rules.append(f".st-key-{prefix}-choose-{name} button "
                     f"{{ background: {_background(name, theme())}; {frame} }}")
    st.html(f"<style>{''.join(rules)}</style>")


def _background(name: str, appearance: str) -> str:
    at_once = thumbnails.background(name, appearance)
    if at_once:
        return at_once
    content = _picture(name, appearance) if at_hand(name) else _name(_title(name), appearance)
    return f"center / cover url({image.address(content)})"


def _empty_tile(prefix: str) -> None:
    """As large as a tile, so that nothing moves when own data come; it opens their dialog."""
    with st.container(key=f"thumb-none-{prefix}", gap=None):
        st.button("Add own data", key=f"{prefix}.add", icon=":material/add:", width="stretch",
                  on_click=upload.open_dialog, args=(prefix,), help="Draw or upload own data.")
