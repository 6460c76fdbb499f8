"""The chooser of distributions and images: a thumbnail of each, all visible at once.

A thumbnail is a button with a picture behind its words, which are hidden: mouse, keyboard and
screen reader reach it, and the browser draws it faster than a picture with a button over it.
"""

from collections.abc import Callable, Collection, Iterable
from functools import partial

import streamlit as st

from flowlab.data import image_set, images, kind_of, targets, title_of
from flowlab.data.images import at_hand
from flowlab.figures import name_thumbnail, png
from flowlab.live import thumbnails
from flowlab.ui.app.lab import theme
from flowlab.ui.controls import defaults, upload
from flowlab.ui.controls.state import ModelPage
from flowlab.ui.controls.validation import source
from flowlab.ui.elements import image, spoken

COLUMNS = 4


@st.cache_data(show_spinner=False, max_entries=64)
def _picture(name: str, appearance: str) -> bytes:
    return thumbnails.drawn(source(name), appearance)


@st.cache_data(show_spinner=False, max_entries=8)
def _name(title: str, appearance: str) -> bytes:
    return png(name_thumbnail(title.replace("-", "-\n"), theme=appearance))


def choose(page: ModelPage) -> None:
    """Draw thumbnails of all distributions; a press chooses one."""
    _fetch(page)
    prefix, take, chosen = page.name, partial(_take, page), source(page.controls["data"])
    own = upload.newest()
    album = upload.newest_images()
    if chosen.own and chosen.kind == "images":
        album = chosen.name
    elif chosen.own:
        own = chosen.name
    points = [*targets()]
    if chosen.name not in {*points, *images(), own, album}:  # a lesson's, as long as it is chosen
        points.append(chosen.name)
    sets = [] if page.recipe.vectors_only else [*images(), *filter(None, [album])]
    _pictures(prefix, [*points, *sets, *filter(None, [own])], {chosen.name})
    with st.grid(COLUMNS, min_column_width=40, gap="xxsmall", wrap=False):
        for name in points:
            _tile(prefix, name, take)
    left, right = st.columns([1, 3], gap="xxsmall", vertical_alignment="center")
    with left:
        if own:
            _tile(prefix, own, take)
        else:
            _empty_tile(prefix)
    if sets:
        st.caption("Images", help="Grey-scale pictures instead of points: the flow learns to "
                   "generate such images, and the loss is in bits per pixel.")
        with st.grid(COLUMNS, min_column_width=40, gap="xxsmall", wrap=False):
            for name in sets:
                _tile(prefix, name, take)
    if page.unfetched:
        st.warning(page.unfetched, icon=":material/cloud_off:")
    right.button("Own data: draw, upload", icon=":material/draw:", width="stretch",
                 key=f"{prefix}.own", on_click=upload.open_dialog, args=(prefix,),
                 help="Draw points, upload a CSV, NPY or picture file, paste coordinates, or "
                 "upload images: a zip of pictures, or an NPY of many.")
    upload.dialog(page)
    st.caption(f"**{chosen.title}.** {chosen.description}")
    defaults.on_epochs(page, chosen)


def _take(page: ModelPage, name: str) -> None:
    """Make this the page's data; images that are not at hand are fetched when the page is drawn."""
    page.unfetched = ""
    if kind_of(name) != "images":
        defaults.to_points(page, name)
    elif at_hand(name):
        defaults.to_images(page, name)
    else:
        page.fetching = name


def _fetch(page: ModelPage) -> None:
    """Fetch images that a press asked for, or note why they cannot be had."""
    name, page.fetching = page.fetching, ""
    if not name:
        return
    try:
        with st.spinner(f"Fetching {title_of(name)} from OpenML"):
            image_set(name)
    except ValueError as error:
        page.unfetched = str(error)
        return
    defaults.to_images(page, name)
    st.rerun()


def choose_some(prefix: str, chosen: Collection[str], on_click: Callable[[str], None]) -> None:
    """Draw thumbnails of all distributions, several of them chosen; a press calls back.

    The newest own data are among them, where they are points of the plane.
    """
    own = [name for name in {*chosen, upload.newest()} if name
           and (data := source(name)).own and data.event_shape == (2,)]
    names = [*targets(), *sorted(own)]
    _pictures(prefix, names, chosen)
    with st.grid(COLUMNS, min_column_width=40, gap="xxsmall", wrap=False):
        for name in names:
            _tile(prefix, name, on_click)


def _tile(prefix: str, name: str, on_click: Callable[[str], None]) -> None:
    title = title_of(name)
    st.button(title, key=f"{prefix}.choose.{name}", help=title, width="stretch",
              on_click=on_click, args=(name,))


def _pictures(prefix: str, names: Iterable[str], chosen: Collection[str]) -> None:
    """Put the pictures behind the tiles' words, and a frame around the chosen ones."""
    rules = []
    for name in names:
        frame = "border-color: #2b87d1;" if name in chosen else ""
        rules.append(f".st-key-{prefix}-choose-{name} button "
                     f"{{ background: {_background(name, theme())}; {frame} }}")
    st.html(f"<style>{''.join(rules)}</style>")
    spoken.pressed(prefix, chosen)


def _background(name: str, appearance: str) -> str:
    at_once = thumbnails.background(name, appearance)
    if at_once:
        return at_once
    content = _picture(name, appearance) if at_hand(name) else _name(title_of(name), appearance)
    return f"center / cover url({image.address(content)})"


def _empty_tile(prefix: str) -> None:
    """Draw a button of a tile's size, which own data later replace; it opens their dialog."""
    with st.container(key=f"thumb-none-{prefix}", gap=None):
        st.button("Add own data", key=f"{prefix}.add", icon=":material/add:", width="stretch",
                  on_click=upload.open_dialog, args=(prefix,), help="Draw or upload own data.")
