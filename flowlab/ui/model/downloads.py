"""Take a run away: its files, and the code that loads or repeats it."""

from collections.abc import Callable
from dataclasses import replace

import streamlit as st

from flowlab.live import Frame, export
from flowlab.live.thinning import history, nearest
from flowlab.runs.naming import name_of
from flowlab.ui.app.lab import lab
from flowlab.ui.controls.state import Shown
from flowlab.ui.elements.copy import copyable
from flowlab.ui.model.view import View

NOT_YET = "Available once a training has begun."
WEB_PAGE = ("A flow of the plane and moments of its training as one file, which opens in any "
            "browser without the lab or a network.")


def draw_downloads(view: View) -> None:
    """Draw the buttons and the code; a file is made when its button is pressed, not before."""
    settings = view.run.settings if view.run else view.settings
    page, here, run_id = view.page, lab(), view.run.id if view.run else ""
    before = view.frames() if view.run is None else []

    def frames() -> list[Frame]:  # a run's as they are when a button is pressed: none is held here
        return here.frames(view.run) if view.run else before

    ready = bool(frames()) or view.status().state in ("running", "paused")
    begun = ready and view.run is not None

    def moment(make: Callable) -> Callable[[], bytes]:
        return lambda: make(settings, *_moment(frames(), page.shown))

    def web_page() -> bytes:
        stored = here.store.get(run_id)
        return export.web_page(settings, frames(),
                               stored.name if stored else name_of(settings))

    def film(make: Callable) -> Callable[[], bytes]:
        return lambda: make(export.film(settings, frames(), page.shown.theme, page.shown.overlays))

    files = [
        ("PNG", "Picture", "picture.png", "image/png", moment(export.png), ready,
         "The picture of the moment shown, 1600 by 960 pixels."),
        ("SVG", "Picture", "picture.svg", "image/svg+xml", moment(export.svg), ready,
         "The same as vector graphics, to enlarge or edit."),
        ("GIF", "Training", "training.gif", "image/gif", film(export.gif), begun,
         f"How the flow learned, in up to {export.FILM_FRAMES} frames."),
        ("CSV", "Numbers", "metrics.csv", "text/csv",
         lambda: export.csv((taken := frames())[-1], history(taken)), ready,
         "NLL and KL of every epoch, in nats."),
        ("Weights", "safetensors", "weights.safetensors", "application/octet-stream",
         lambda: _moment(frames(), page.shown)[0].weights, ready,
         "The flow of the moment shown; the code below loads it."),
        ("JSON", "Settings", "run.json", "application/json", lambda: export.json(settings), True,
         "All settings of the run; the command line reads it with --settings."),
    ]
    if export.encoder():
        files.insert(3, ("MP4", "Training", "training.mp4", "video/mp4", film(export.mp4), begun,
                         "The same as a film, in full size."))
    if settings.flow.event_shape == (2,):
        files.append(("HTML", "Web page", "flow.html", "text/html", web_page, ready, WEB_PAGE))
    for column, (label, about, what, mime, make, can, text) in zip(
            st.columns(len(files)), files, strict=True):
        column.download_button(
            label, make, export.file_name(settings, what, run_id), mime,
            key=f"{page.name}.take.{what}", on_click="ignore", disabled=not can, width="stretch",
            help=text if can else NOT_YET)
        column.caption(about, text_alignment="center")
    load, repeat = st.columns(2)
    with load:
        st.markdown("**Load the weights**")
        copyable(export.loading(view.page.recipe, settings, run_id))
    with repeat:
        st.markdown("**Repeat the run**, in the project's folder")
        copyable(export.python(view.page.recipe, settings))
    if view.run is not None and (view.run.continued or view.run.steered):
        st.caption("This run continued a trained flow, or its learning rate was changed by "
                   "hand: the settings alone do not repeat it.")


def _moment(frames: list[Frame], shown: Shown) -> tuple[Frame, list]:
    """The frame shown, or the nearest that has weights, and the epochs until then."""
    index = nearest(frames, shown.step)
    order = [*range(index, -1, -1), *range(index + 1, len(frames))]  # an imported run: only its end
    index = next(i for i in order if frames[i].has_weights)
    frame = replace(frames[index], theme=shown.theme, overlays=shown.overlays)
    return frame, history(frames[:index + 1])
