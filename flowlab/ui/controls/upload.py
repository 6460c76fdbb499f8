"""The dialog of own data: drawn on a board, read from a file or pasted, and shown before use."""

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import streamlit as st
import torch

from flowlab.analysis.grid import grid_points
from flowlab.data import Drawing, Picture, Points, Target, image_set, store, target
from flowlab.data.images import are_images, parts
from flowlab.data.own import own
from flowlab.data.uploads import idx, leaving
from flowlab.data.uploads.albums import SIDES, own_side, read_images
from flowlab.data.uploads.drawing import CORNER, drawn, read_drawing
from flowlab.data.uploads.files import (
    PICTURES,
    is_album,
    is_drawing,
    is_file,
    opened,
    read_table,
)
from flowlab.data.uploads.picture import SIDE, Dense, read_picture
from flowlab.data.uploads.table import MAX_COLUMNS, MAX_ROWS, UploadedTable, read_text
from flowlab.figures import density_thumbnail, image_thumbnail, png, thumbnail
from flowlab.server.limits import MEGA, limits
from flowlab.settings import shown
from flowlab.ui.app.lab import theme
from flowlab.ui.app.operating import refused
from flowlab.ui.app.state import Page, page
from flowlab.ui.controls import defaults
from flowlab.ui.controls.state import ModelPage
from flowlab.ui.elements import image
from flowlab.ui.elements.escape import plain

WAYS = {"draw": "Draw", "file": "Upload a file", "paste": "Paste coordinates"}
SIDE_STEP = 4  # pixels; flows on images halve their sides
DENSE: dict[Dense, str] = {"automatic": "Automatic", "dark": "Where it is dark",
                           "bright": "Where it is bright"}
GRID = 160
_HERE = Path(__file__).parent

#: What can be left out of a table: what it is, and why.
LEAVE = {"index": "It has no name and only counts the rows.", "gaps": "They have gaps.",
         "outliers": "They stretch the scale, so that the flow sees little detail in the others."}


class Found(NamedTuple):
    """Own data as read: points, a picture or images; notes on them; names of columns; a title."""

    array: np.ndarray
    notes: tuple[str, ...]
    names: tuple[str, ...] = ()
    title: str = ""


@dataclass
class Dialog(Page):
    """State of the dialog of own data."""

    open: str = ""  #: The name of the page whose dialog is open.
    points: str = ""  #: The own data that this session used last.
    images: str = ""
    strokes: list = field(default_factory=list)  #: What is drawn on the board.


def _dialog() -> Dialog:
    return page(Dialog, "own")


def open_dialog(prefix: str) -> None:
    """Have the page open the dialog when it is drawn next."""
    _dialog().open = prefix


def newest() -> str | None:
    """The own data that this session used last, while they are kept."""
    name = _dialog().points
    try:
        return name and target(name).name
    except ValueError:
        return None


def newest_images() -> str | None:
    """The own images that this session used last, while they are kept."""
    name = _dialog().images
    try:
        return name and image_set(name).name
    except ValueError:
        return None


def dialog(state: ModelPage) -> None:
    """Draw the dialog while it is open; what it makes becomes the page's distribution."""
    if _dialog().open == state.name:
        st.dialog("Your own data", width="medium", on_dismiss=_close)(_content)(state)


def _close() -> None:
    _dialog().open = ""


def _content(state: ModelPage) -> None:
    way = st.segmented_control("Where from", list(WAYS), format_func=WAYS.__getitem__,
                               default="draw", key="own.way", required=True,
                               label_visibility="collapsed")
    with st.container(key="own-body"):
        left, right = st.columns([3, 2], gap="medium")
    try:
        with left:
            found = {"draw": _draw, "file": _file, "paste": _paste}[way]()
        if found is not None and are_images(found.array) and state.recipe.vectors_only:
            raise ValueError(f"{state.recipe.title} learns points, not images: give points or one "
                             "picture, or use the images on another model's page.")
        problem = None
    except ValueError as error:
        found, problem = None, str(error)
        refused(f"own data, {way}", problem)
    copied = found is not None and found.array.dtype in (np.float32, CORNER)
    with right:  # buttons first, where they stay whatever is below
        use = st.button("Use these data", type="primary", icon=":material/check:", width="stretch",
                        disabled=found is None, key="own.use",
                        help="Train on them: they become the page's distribution.")
        st.download_button("Keep a copy", _npy(found.array) if found and copied else b"",
                           f"{store.name_of(found.array) if found and copied else 'points'}.npy",
                           on_click="ignore", disabled=not copied, icon=":material/download:",
                           width="stretch", key="own.copy",
                           help="The points or strokes as a NumPy file: uploaded to another Flow "
                           "Lab, they get the same name there, so that links and settings still "
                           "work.")
        _look(found, problem)
    if use and found is not None:
        _use(state, found)


def _use(state: ModelPage, found: Found) -> None:
    array = found.array
    try:
        title = found.title
        if array.dtype == CORNER and not title:
            title = store.title_of(store.name_of(array)) or store.next_drawing()
        name = store.keep(array, found.names, limits().max_own_data * MEGA, title)
        own.cache_clear()  # it may have a new title
    except ValueError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    if are_images(array):
        _dialog().images = name
        defaults.to_images(state, name)
    else:
        _dialog().points = name
        defaults.to_points(state, name)
    _close()
    st.rerun()


def _draw() -> Found | None:
    state = _dialog()
    board = st.components.v2.component(
        "flow_lab_board", html=_text("board.html"), css=_text("board.css"), js=_text("board.js"))
    result = board(key="own.board", data={"strokes": state.strokes},
                   on_strokes_change=lambda: None)
    if result.strokes is not None:
        state.strokes = result.strokes
    return Found(drawn(state.strokes), ()) if state.strokes else None


def _file() -> Found | None:
    file = st.file_uploader(
        "Points, a picture, or images", key="own.file", max_upload_size=largest(),
        help=f"Points: CSV or NPY with two or more columns of numbers (at most {MAX_ROWS:,} rows "
        f"and {MAX_COLUMNS} columns). A picture: PNG or JPEG, read as a density; larger ones are "
        f"scaled to {SIDE} pixels wide or high. Images: a zip of PNG or JPEG pictures; an NPY "
        "of three dimensions, or of four in colour; or an IDX file, as MNIST is published, with "
        "its labels; all become grey squares of one size. An NPZ may hold one such array, and each "
        "of these may be packed as GZ.")
    if file is None:
        return None
    if not is_file(file.name):
        raise ValueError(f"{shown(file.name)} has a type that is not supported: give a CSV, TSV, "
                         "TXT, NPY, NPZ, PNG, JPEG or ZIP file, or an IDX file under its name, "
                         "which ends in idx3-ubyte.")
    limits().refuse("max_upload", file.size / 1e6, f"This file has {file.size / 1e6:.1f} MB",
                    "give a smaller one")
    content, kind, notes = opened(file.getvalue(), file.name)
    found = _read_file(content, kind)
    return found._replace(notes=(*notes, *found.notes), title=file.name)


def _read_file(content: bytes, kind: str) -> Found:
    """Read a file of that kind, and draw controls where it leaves a choice."""
    if is_album(content, kind):
        side = st.slider("Side of the images (pixels)", *SIDES, own_side(content, kind), SIDE_STEP,
                         key=f"own.side.{kind}", help="Height and width of every image. Small ones "
                         "are learned in minutes, large ones take hours.")
        return Found(*_album(content, kind, side, _labels() if kind == idx.KIND else None))
    if kind in PICTURES:
        dense = st.selectbox("Density is high", list(DENSE), format_func=DENSE.__getitem__,
                             key="own.dense",
                             help="Automatic: dark or bright, whichever covers less.")
        return Found(*read_picture(content, dense))
    if is_drawing(content, kind):
        return Found(read_drawing(content), ())
    return _columns(_read(content, kind))


def _paste() -> Found | None:
    text = st.text_area("Coordinates", height=300, key="own.text", placeholder="0.5, 1.2\n0.7, 1.1",
                        help="One point per line: x and y, separated by a comma, a tab or spaces.")
    return _columns(read_text(text.encode())) if text.strip() else None


def _columns(table: UploadedTable) -> Found:
    """Ask which columns and rows of a table are learned."""
    table = leaving.without_index(table, _leave)
    columns = _chosen(table)
    points, notes = leaving.points(table, columns, _leave)
    return Found(points, notes, tuple(table.names[c] for c in columns) if table.named else ())


def _leave(kind: str, what: str) -> bool:
    """Ask whether to leave something out of a table."""
    return st.checkbox(f"Leave {what} out", value=kind in leaving.DEFAULT, key=f"own.leave.{kind}",
                       help=LEAVE[kind])


def _chosen(table: UploadedTable) -> tuple[int, ...]:
    """Ask which columns are learned, where there are more than two."""
    count = len(table.names)
    if count <= 2:
        return tuple(range(count))
    every = st.segmented_control(
        "Columns", ("Two of them", "All"), default="Two of them", key="own.columns", required=True,
        help="With two columns the data are points of the plane, and every picture is available. "
        "With all columns, pictures show each pair of the first four.")
    if every == "All":
        return tuple(range(count))
    across, up = st.columns(2)
    common: dict[str, Any] = {"options": range(count), "format_func": lambda i: table.names[i]}
    return (across.selectbox("Column for x", index=0, key=f"own.x.{count}", **common),
            up.selectbox("Column for y", index=1, key=f"own.y.{count}", **common))


@st.cache_data(show_spinner="Reading the file", max_entries=4)
def _read(content: bytes, kind: str) -> UploadedTable:
    return read_table(content, kind)


@st.cache_data(show_spinner="Reading the images", max_entries=2)
def _album(content: bytes, kind: str, side: int, labels: bytes | None
           ) -> tuple[np.ndarray, tuple[str, ...]]:
    return read_images(content, kind, side, labels)


def _labels() -> bytes | None:
    """Ask for the labels that belong to the images of an IDX file."""
    file = st.file_uploader(
        "Labels of the images (optional)", key="own.labels", max_upload_size=largest(),
        help="The IDX file with a class for each image, such as train-labels-idx1-ubyte: then the "
        "flow can learn the classes, and you choose one for its samples.")
    return None if file is None else file.getvalue()


def _look(found: Found | None, problem: str | None) -> None:
    """Draw the data as they will be learned, or what is wrong with them."""
    if problem is not None:
        st.error(plain(problem), icon=":material/error:")
    elif found is None:
        st.info("Nothing yet: your data are shown here before they are used.",
                icon=":material/visibility:")
    else:
        picture, facts = _seen(found.array, theme(), found.names)
        image.draw_png(picture, facts, 240)
        st.caption(plain(facts))
        for note in found.notes:
            st.caption(plain(note))


def _seen(array: np.ndarray, appearance: str, names: tuple[str, ...]) -> tuple[bytes, str]:
    if are_images(array):
        pixels = parts(array)[0]
        return (png(image_thumbnail(pixels, 255, theme=appearance)),
                f"{len(pixels):,} images of {pixels.shape[1]} × {pixels.shape[2]} pixels; the "
                "first nine.")
    if array.dtype == CORNER:
        drawing = Drawing(array)
        count = f"{drawing.strokes:,} {'stroke' if drawing.strokes == 1 else 'strokes'}"
        return _density(drawing, appearance), (
            f"A drawing of {count}, as a density, from which points are drawn.")
    if array.dtype == np.uint8:
        density = Picture(array)
        rows, columns = array.shape
        return _density(density, appearance), (
            f"A density of {columns} × {rows} pixels; entropy {density.entropy:.3f} nats.")
    truth = Points(array, "")
    low, high = array.min(axis=0), array.max(axis=0)
    x, y = (names or ("x", "y"))[:2]
    more = "" if truth.columns == 2 else f" of {truth.columns} numbers, of which two are shown"
    return (png(thumbnail(truth.sample(1500)[:, :2].numpy(), truth.limits, theme=appearance)),
            f"{len(array):,} points{more}; {x} from {low[0]:.3g} to {high[0]:.3g}, "
            f"{y} from {low[1]:.3g} to {high[1]:.3g}.")


def _density(truth: Target, appearance: str) -> bytes:
    grid = torch.as_tensor(grid_points(truth.limits, GRID))
    density = truth.log_prob(grid).exp().reshape(GRID, GRID).numpy()
    return png(density_thumbnail(density, truth.limits, theme=appearance))


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def largest() -> int:
    """The most megabytes of an upload that both the limits and Streamlit allow."""
    return min(limits().max_upload, st.get_option("server.maxUploadSize"))


@st.cache_data(show_spinner=False, max_entries=8)
def _text(name: str) -> str:
    return (_HERE / name).read_text("utf-8")
