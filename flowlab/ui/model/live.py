"""What follows a run on a model's page: its status, numbers, picture and controls."""

from collections.abc import Callable, Iterator
from itertools import count

import streamlit as st

from flowlab.jobs import Status
from flowlab.live import Frame
from flowlab.live.drawing import DrawingFailed
from flowlab.runs import Run
from flowlab.training import Moment
from flowlab.ui.app.lab import appearance, lab, theme
from flowlab.ui.app.state import session
from flowlab.ui.app.visitor import visitor
from flowlab.ui.controls.state import ModelPage, Shown
from flowlab.ui.elements.spoken import announce
from flowlab.ui.model import differing, metrics, picture, playback
from flowlab.ui.model.inside import Subject
from flowlab.ui.model.lesson import draw_first
from flowlab.ui.model.status import BADGES, draw_status
from flowlab.ui.model.view import View

POLL = 0.25  # seconds between two looks at a running training
WAITING = 1.0  # at one that waits in the queue: a class of thirty would ask for little else
LINE = (27, 73)  # widths of the status and of the numbers
TICK = 0.15  # while something plays
FIRST = 1.0  # seconds to wait in one look for the first frame, which so comes without delay
#: How the names of the controls begin whose values the browser would forget.
KEPT = ("view", "layers", "place.", "x1.", "x2.", "img.")

# It does not wait for ever: a picture may be late, or fail to load.
_JS = """
export default function ({ setTriggerValue }) {
  const begun = performance.now();
  const look = () => {
    const image = document.querySelector("[class*='-picture'] img");
    if (image?.complete && image.naturalWidth || performance.now() - begun > 3000) {
      requestAnimationFrame(() => setTimeout(() => setTriggerValue("seen", true)));
    } else setTimeout(look, 20);
  };
  look();
}
"""


def first_sight(view: View) -> None:
    """Draw the picture alone; once the browser shows it, it asks for the rest of the page."""
    for _ in range(2):  # so that the picture has the place that `follow` draws it at
        st.container()
    st.fragment(_alone)(view)
    _component()(key="arrival", on_seen_change=lambda: None)


def _alone(view: View) -> None:
    with st.container(key=f"{view.page.name}-stage"):
        _stage(view, view.status(), waits=False, alone=True)


@st.cache_resource(show_spinner=False)
def _component() -> Callable:
    return st.components.v2.component("flowlab_arrival", js=_JS)


def follow(view: View) -> None:
    """Draw the view of the run, again by itself while the run may change or something plays."""
    page = view.page
    with st.container(horizontal=True, vertical_alignment="center", key=f"{page.name}-aside"):
        if view.aside is not None:  # else it takes no room, and what follows keeps its place
            st.button("Back to the last run", icon=":material/undo:", key=f"{page.name}.return",
                      on_click=page.controls.put, args=(view.aside.settings,),
                      help="Show its results and its settings.")
            goes_on = ", still training" if lab().status(view.aside).active else ""
            st.markdown(f"It is *{differing.title(view.aside.settings)}*{goes_on}.",
                        width="content")
    page.keep(*KEPT)
    status, plays = view.status(), bool(page.playback.what)
    waits = status.state == "queued" and not plays and lab().engine.ready > 0
    with st.container():
        if waits:
            st.fragment(_queue, run_every=WAITING)(view)
    every = TICK if plays else POLL if status.active and not waits else None
    st.fragment(_live, run_every=every)(view, plays, waits)


def _queue(view: View) -> None:
    """Draw the line of a run that waits: no more changes then, so a class asks for little."""
    status, frames = view.status(), view.frames()
    with st.container(key=f"{view.page.name}-queue"):  # in the place that the stage leaves it
        draw_status(status, frames[-1] if frames else None, view.foreign, view.stale)
    if status.state != view.page.status:
        st.rerun()


def _live(view: View, plays: bool, waits: bool) -> None:
    page, status = view.page, view.status()
    if status.active and view.run is not None:
        _dress(page, view.run)
    with st.container(key=f"{page.name}-stage"):
        subject, index, layer = _stage(view, status, waits)
    picture.explanation(subject, index, layer)
    moved = not plays and not status.active and view.offer() != page.offer
    moved = moved or session().layout != page.lesson.view
    if status.state != page.status or plays != bool(page.playback.what) or moved:
        st.rerun()  # buttons, and how often to look, depend on the state


def _stage(view: View, status: Status, waits: bool, alone: bool = False
           ) -> tuple[Subject, int, int]:
    """Draw what is seen together; what it is about, the moment's index, and the layer shown.

    The picture may be drawn `alone`.
    """
    page, frames = view.page, view.frames()
    left, cells = st.columns(LINE, vertical_alignment="center")
    if not (waits or alone):
        line = left.container(key=f"{page.name}-status").empty()
        if status.state == "running" and not frames and view.run is not None:
            with line:
                draw_status(status, None, view.foreign, view.stale)
            lab().wait(view.run, FIRST)
            frames = view.frames()
        with line:
            draw_status(status, frames[-1] if frames else None, view.foreign, view.stale)
    begun = bool(frames) and view.run is not None
    if alone:  # the picture has its own place from the start
        st.empty()
    else:
        st.progress(frames[-1].moment.step / frames[-1].moment.steps if begun else 0.0)
    subject = view.subject(frames)
    index = playback.moment(subject)
    moment = frames[index].moment if frames else None
    page.shown = Shown(subject.key, subject.step(index if frames else -1), theme(), page.overlays)
    picture.settle(subject)
    if alone:
        st.empty()
    else:
        picture.choices(subject)
    with st.container(key=f"{page.name}-{'old-' if view.differs else ''}picture"):
        draw_first(page)
        starting = status.state == "running" and not frames
        picture.picture(subject, index, _alt(status, moment, subject), starting)
    if alone:
        return subject, index, 0
    announce(page.name, _spoken(status, frames), subject.key)
    with cells:  # after the picture, so that it is drawn before a fresh flow is measured
        _numbers(subject, moment, begun, status.active,
                 view.run is not None and view.run.continued)
    return subject, index, picture.controls(subject, index)


def _numbers(subject: Subject, moment: Moment | None, begun: bool, active: bool,
             continued: bool) -> None:
    """Draw the row of numbers; before the first frame a fresh flow's, once they are known."""
    if moment is None and not continued:
        moment, known = _fresh(subject)
        if not known:
            st.fragment(_measured, run_every=picture.LOOK)(subject, count())
            return
    with st.container():  # as a fragment has one
        metrics.draw_metrics(moment, begun, subject.source, active)


def _measured(subject: Subject, looks: Iterator[int]) -> None:
    moment, known = _fresh(subject)
    if next(looks) and known:
        st.rerun()  # which leaves this fragment out, and so ends its looks
    metrics.draw_metrics(moment, False, subject.source, False)


def _fresh(subject: Subject) -> tuple[Moment | None, bool]:
    """The fresh flow's numbers, and whether nothing more will be known of them."""
    try:
        moment = picture.fresh_moment(subject)
    except DrawingFailed:
        return None, True
    return moment, moment is not None


def _dress(page: ModelPage, run: Run) -> None:
    """Have the run's pictures as this viewer wants them, once: another may want them otherwise."""
    wanted = (run.id, appearance(), page.overlays)
    if page.dressed != wanted and lab().last(run) is not None:
        page.dressed = wanted
        lab().dress(run, appearance(), page.overlays, visitor())


def _spoken(status: Status, frames: list[Frame]) -> str:
    """How a training has ended; nothing before."""
    if not frames or status.active or status.state == "ready":
        return ""
    kl = frames[-1].moment.kl
    reached = "" if kl is None else f", KL {metrics.number(kl, 'nats')}"
    return f"{BADGES[status.state][0]}{reached}"


def _alt(status: Status, moment: Moment | None, subject: Subject) -> str:
    if subject.source.kind == "images":
        return ("Samples of the flow at temperature 0.7, test images and what comes back of them, "
                "bits per dimension by epoch, and the latents of test images.")
    if moment is None:
        return "Data, samples of an untrained flow, and both densities."
    kl = metrics.number(moment.kl, "nats")
    return (f"{status.state}, epoch {moment.epoch}: data and model samples, true and learned "
            f"density, latent cloud, and the NLL's curve; KL to the truth {kl}.")
