"""The chooser of distributions: a picture for each, all in sight."""

from collections.abc import Callable

import streamlit as st

from flowlab.data import store, target, targets
from flowlab.figures import png, thumbnail
from flowlab.ui import image, own_data
from flowlab.ui.lab import theme

COLUMNS = 4


@st.cache_data(show_spinner=False, max_entries=64)
def picture(name: str, appearance: str) -> bytes:
    """The thumbnail of a distribution, as PNG."""
    truth = target(name)
    return png(thumbnail(truth.sample(800, seed=0)[:, :2].numpy(), truth.limits, theme=appearance))


def choose(prefix: str) -> None:
    """Thumbnails of all distributions; a press chooses one.

    A thumbnail is a picture with a button laid over it, so that mouse, keyboard and screen reader
    all reach it.
    """
    key = f"{prefix}.data"
    chosen = target(st.session_state[key])
    with st.grid(COLUMNS, min_column_width=40, gap="xxsmall", wrap=False):
        for name in targets():
            _tile(prefix, name, name == chosen.name)
    own = chosen.name if store.is_own(chosen.name) else own_data.newest()
    left, right = st.columns([1, 3], gap="xxsmall", vertical_alignment="center")
    with left:
        if own:
            _tile(prefix, own, own == chosen.name)
        else:
            _empty_tile(prefix)
    right.button("Own data: draw, upload", icon=":material/draw:", width="stretch",
                 key=f"{prefix}.own", on_click=own_data.open_dialog, args=(prefix,),
                 help="Draw points, upload a CSV, NPY or picture file, or paste coordinates.")
    own_data.dialog(prefix)
    st.caption(f"**{chosen.title}.** {chosen.description}")


def choose_some(prefix: str) -> None:
    """Thumbnails of all distributions; a press takes one in or out, one stays in any case.

    The newest own data are among them, where they are points of the plane.
    """
    key = f"{prefix}.data"
    chosen = st.session_state[key]
    own = [name for name in {*chosen, own_data.newest()} if name and store.is_own(name)
           and target(name).columns == 2]
    with st.grid(COLUMNS, min_column_width=40, gap="xxsmall", wrap=False):
        for name in [*targets(), *sorted(own)]:
            _tile(prefix, name, name in chosen, _toggle, (key, name))


def _toggle(key: str, name: str) -> None:
    chosen = st.session_state[key]
    rest = tuple(other for other in chosen if other != name)
    st.session_state[key] = (*chosen, name) if rest == chosen else rest or chosen


def _tile(prefix: str, name: str, chosen: bool, on_click: Callable | None = None,
          args: tuple = ()) -> None:
    state = "chosen" if chosen else "free"
    with st.container(key=f"thumb-{state}-{prefix}-{name}", gap=None):
        title = target(name).title
        image.show(picture(name, theme()), f"Points of {title}")
        st.button(title, key=f"{prefix}.choose.{name}", help=title, width="stretch",
                  on_click=on_click or st.session_state.__setitem__,
                  args=args or (f"{prefix}.data", name))


def _empty_tile(prefix: str) -> None:
    """As large as a tile, so that nothing moves when own data come."""
    with st.container(key=f"thumb-none-{prefix}", gap=None, border=True):
        st.space("stretch")
