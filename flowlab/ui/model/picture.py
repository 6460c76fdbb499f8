"""The picture of a model's page: the view chosen, its overlays, and the controls below it."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import streamlit as st

from flowlab.figures import OVERLAYS
from flowlab.figures.style import LIVE_SIZE
from flowlab.jobs.waiting import STARTING
from flowlab.live.drawing import Drawing, DrawingFailed
from flowlab.live.thinning import history
from flowlab.server.admission import check
from flowlab.server.limits import Exceeded
from flowlab.training import Moment
from flowlab.ui import lecture
from flowlab.ui.app.lab import appearance, drawing_owner, lab
from flowlab.ui.app.state import session
from flowlab.ui.controls.links import SHOWS
from flowlab.ui.controls.state import ModelPage
from flowlab.ui.elements import image
from flowlab.ui.elements.escape import plain
from flowlab.ui.model import images, inside, playback
from flowlab.ui.model.inside import Subject

TRAINING, FLOW = "Training", SHOWS["flow"]
#: Seconds that a look waits for a picture that is being drawn, or while a training is replayed, and
#: between two looks; clicks are answered in between.
PATIENCE, LONGER, LOOK = 0.3, 2.0, 0.3
WAITING = "The picture is being drawn."
HELP = {"data": "data points over the samples",
        "samples": "points drawn from the model; each has the colour of its latent's angle, "
        "unless data points are shown too",
        "density": "the learned density by colour", "contours": "lines of equal learned density",
        "grid": "a square grid of the latent plane, as the flow bends it",
        "paths": "the paths of single latent points through all layers",
        "error": "learned minus true density, in place of the density"}


def _views(subject: Subject) -> tuple[str, ...]:
    """The views that there are beside the training's."""
    if _refusal(subject):
        return ()
    if subject.source.kind == "images":
        return images.VIEWS
    return (FLOW,) if subject.source.event_shape == (2,) else ()


def settle(subject: Subject) -> None:
    """Show the training where there is no such view as was chosen."""
    if subject.page.view not in (TRAINING, *_views(subject)):
        playback.hold(subject.page)
        subject.page.view = TRAINING


def choices(subject: Subject) -> None:
    """Draw the choices of the view and of its overlays; only the plane has overlays."""
    page, source = subject.page, subject.source
    of_images = source.kind == "images"
    with st.container(horizontal=True, vertical_alignment="center", key=f"{page.name}-choices"):
        if not of_images and source.event_shape != (2,):
            st.caption("Each pair of coordinates: data below the diagonal, samples from the "
                       "model above it, and on it both as histograms.")
            return
        if session().layout and source.event_shape == (2,) and page.view == TRAINING:
            st.segmented_control(
                "Panels", lecture.NAMES, default=page.lesson.view, required=True, width="content",
                format_func=lecture.NAMES.__getitem__, key=f"{page.name}.panels",
                on_change=_lay_out, args=(page,), help="All panels, or two large ones.")
        st.segmented_control(
            "View", (TRAINING, *_views(subject)), **ModelPage.view.tie(page), required=True,
            width="content", on_change=playback.hold, args=(page,),
            help=images.HELP if of_images else
            "What the training has reached, or the plane on its way from latent space to "
            "data, layer by layer, with one point to follow.")
        if not of_images:
            st.pills(
                "Overlays of the picture", list(OVERLAYS), selection_mode="multi",
                **(ModelPage.flow_overlays if page.view == FLOW else
                   ModelPage.chosen_overlays).tie(page), width="content",
                format_func=lambda name: OVERLAYS[name].capitalize(),
                help="; ".join(f"**{OVERLAYS[k]}**: {v}" for k, v in HELP.items())
                + ". Colours and scale are the same in all frames.")


def _lay_out(page: ModelPage) -> None:
    page.lesson = replace(page.lesson, view=st.session_state[f"{page.name}.panels"])


def _refusal(subject: Subject) -> str:
    """Why a fresh flow is not shown: it is larger than the operator allows."""
    try:
        if subject.weighty(0) < 0:
            check(subject.settings, epochs=False)
    except Exceeded as error:
        return str(error)
    return ""


def picture(subject: Subject, index: int, alt: str, starting: bool = False) -> None:
    """Draw the picture of the view chosen, always of one size.

    A training that is `starting` gives its first one in a moment; until then the last one stays.
    """
    page = subject.page
    if page.view in images.VIEWS:
        images.picture(subject, index)
    elif page.view == FLOW:
        inside.picture(subject, index, page.overlays_inside, playback.position(subject))
    else:
        _training(subject, index, alt, starting)


def _training(subject: Subject, index: int, alt: str, starting: bool) -> None:
    """Draw the training's picture; the last one stays until it is there."""
    there = starting and _last(subject) is not None
    if not there:
        there = _take(subject, index, LONGER if subject.page.playback.what else PATIENCE)
    if there:
        with st.container():  # as a fragment has one: the picture keeps its place in the page
            image.draw_png(_last(subject) or image.blank(LIVE_SIZE), alt)
    else:
        st.fragment(_awaited, run_every=LOOK)(subject, index, alt, count())


def _awaited(subject: Subject, index: int, alt: str, looks: Iterator[int]) -> None:
    """Draw the last picture, until the one that is being drawn is there."""
    there, look = _take(subject, index, 0), next(looks)
    if look and there:
        st.rerun()  # which leaves this fragment out, and so ends its looks
    last = _last(subject)
    image.draw_png(last or image.blank(LIVE_SIZE),
                   alt if there else WAITING)  # which the style sheet makes pale
    if last is None and look > 1:  # nothing waits long without a word
        with st.container(key=f"{subject.page.name}-words"):
            st.markdown(WAITING if lab().picture_cache.engine.ready else STARTING)


def _take(subject: Subject, index: int, patience: float) -> bool:
    """Make the moment's picture the last one; whether there is nothing to wait for."""
    try:
        png = training_picture(subject, index, patience)
    except DrawingFailed as error:
        st.error(plain(str(error)), icon=":material/error:")
        png = image.blank(LIVE_SIZE)
    if png is not None:
        session().picture = subject.page.name, png
    return png is not None


def _last(subject: Subject) -> bytes | Path | None:
    """The picture shown last, where it was this model's; a visitor holds no more than one."""
    name, png = session().picture
    return png if name == subject.page.name else None


def training_picture(subject: Subject, index: int, patience: float) -> bytes | Path | None:
    """The six panels of one moment in the page's theme and overlays; None until drawn.

    It is a PNG, or the file of a picture.

    Raises
    ------
    DrawingFailed
        If it cannot be drawn.
    """
    shown, looks, place = subject.page.overlays, appearance(), -1
    if subject.frames:
        frame = subject.frames[index]
        fits = (frame.theme, frame.overlays) == (looks, shown)
        if fits and (png := frame.content.file or frame.png):
            return png
        if not frame.has_weights:
            return frame.png or image.blank(LIVE_SIZE)
        place = index
    if why := _refusal(subject):
        raise DrawingFailed(why)

    def drawing() -> Drawing:
        return Drawing(subject.model, subject.settings, looks, shown,
                     subject.weights(place), history(subject.frames[:place + 1]),
                     subject.frames[place].moment if place >= 0 else None)

    # A run that waits looks like the fresh flow that the page has shown before it.
    about = subject.key if subject.frames else _fresh_key(subject)
    key = about, subject.step(place), shown, looks
    return lab().picture_cache.picture(key, drawing, drawing_owner(), patience)


def fresh_moment(subject: Subject) -> Moment | None:
    """The fresh flow's numbers, as its training would begin with them; None until they are known.

    Raises
    ------
    DrawingFailed
        If they cannot be measured.
    """
    if why := _refusal(subject):
        raise DrawingFailed(why)
    return lab().picture_cache.numbers(_fresh_key(subject), lambda: Drawing(
        subject.model, subject.settings, appearance(), (), b"", []), drawing_owner())


def _fresh_key(subject: Subject) -> tuple[str, str]:
    return subject.page.name, inside.fresh_key(subject.settings)


def controls(subject: Subject, index: int) -> int:
    """Draw the sliders of the view chosen; the layer that the flow's is about, else 0."""
    if subject.page.view in images.VIEWS:
        images.controls(subject, index)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small",
                      key=f"{subject.page.name}-sliders"):
        layer = playback.flow_slider(subject) if subject.page.view == FLOW else 0
        playback.time_slider(subject, index)
    return layer


def explanation(subject: Subject, index: int, layer: int) -> None:
    """Draw what a layer of the flow does, and the point that is followed."""
    if subject.page.view == FLOW:
        inside.explanation(subject, index, layer)
