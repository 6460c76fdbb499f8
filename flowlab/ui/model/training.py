"""Train, watch and steer: the buttons, and the view that follows a run."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import streamlit as st

from flowlab.figures import SHOWN
from flowlab.jobs import Status
from flowlab.live import Frame, pretrained
from flowlab.live.pretrained import Shipped
from flowlab.live.thinning import nearest
from flowlab.server.admission import FOREIGN, NotYours, owns
from flowlab.server.limits import Exceeded
from flowlab.settings import FlowSettings, RunSettings
from flowlab.training import Snapshot, recipe
from flowlab.ui.app.lab import lab, owner, theme
from flowlab.ui.app.run import Run
from flowlab.ui.app.visitor import visitor
from flowlab.ui.controls import settings as controls
from flowlab.ui.model import differing, images, metrics, picture
from flowlab.ui.model import status as standing
from flowlab.ui.model.inside import Subject, fresh_key

POLL = 0.25  # seconds between two looks at a running training
WAITING = 1.0  # at one that waits in the queue: a class of thirty would ask for little else
ENDING = 2.0  # to wait until a training has ended in whose place another starts
FIRST = 1.0  # seconds to wait in one look for the first frame, which so comes without delay
IDLE = Status("ready")
History = tuple[tuple[int, float, float, float], ...]  # as `flowlab.live.Request` has it


@dataclass(frozen=True)
class View:
    """What one page shows: its recipe, its settings and its run.

    Attributes
    ----------
    name : str
        The model's name; session keys start with it.
    recipe : module
        The model's recipe, with ``MODEL`` and ``train``.
    settings : RunSettings
        What the controls say now.
    run : Run or None
        The run that the page shows.
    aside : Run or None
        The page's last run, where it shows none since its controls say other data.
    differs : list of str
        The settings that the run shown has otherwise than the controls.
    """

    name: str
    recipe: ModuleType
    settings: RunSettings
    run: Run | None
    aside: Run | None = None
    differs: list[str] = field(default_factory=list)

    def status(self) -> Status:
        return IDLE if self.run is None else lab().status(self.run)

    @property
    def foreign(self) -> bool:
        """Whether the run is another visitor's, to be looked at only."""
        return self.run is not None and not owns(self.run, visitor())

    @property
    def steered(self) -> bool:
        """Whether there is a run under way that the visitor may steer."""
        return self.status().active and not self.foreign

    @property
    def stale(self) -> str:
        """The sentence on what the controls say otherwise; empty where they agree with the run."""
        return differing.sentence(self.run.settings, self.settings, self.differs
                                  ) if self.differs else ""

    def frame(self) -> Frame | None:
        """The newest frame of the run; before any, the shipped flow's where it fits."""
        if self.run is not None:
            return lab().last(self.run)
        before = trained_before(self.name, self.recipe)
        if before is None or not before.fits(self.settings):
            return None
        return _shipped_frame(self.name, self.recipe, theme())

    def frames(self) -> list[Frame]:
        """All frames there are to look at, oldest first; the last is that of `frame`."""
        if self.run is not None:
            lab().find(self.run.id)
            return lab().frames(self.run)
        frame = self.frame()
        return [] if frame is None else [frame]

    def subject(self, frames: list[Frame]) -> Subject:
        """What there is to explore."""
        if self.run is not None:
            return Subject(self.name, self.recipe.MODEL, self.run.settings, self.run.id, frames)
        key = "shipped" if frames else fresh_key(self.settings)
        return Subject(self.name, self.recipe.MODEL, self.settings, f"{self.name}.{key}", frames)

    def shown(self) -> dict[str, Any]:
        """What the page shows now: its moment's step, theme and layers.

        It changes with every look at the run, so whoever holds it can ask when a button is pressed.
        """
        return st.session_state.setdefault(f"{self.name}.shown", {})

    @property
    def fits(self) -> bool:
        """Whether a training with the page's settings could go on from the flow shown."""
        return self.run is None or _shape(self.run.settings) == _shape(self.settings)

    def origin(self) -> tuple[Frame, History] | None:
        """The moment shown, or the nearest with weights, and all epochs until then."""
        frames, shown = self.frames(), self.shown()
        subject = self.subject(frames)
        here = frames and shown.get("key") == subject.key
        place = subject.weighty(nearest(frames, shown["step"]) if here else len(frames) - 1)
        if place < 0:
            return None
        epoch = frames[place].numbers["epoch"]
        rows = [(*row, taken) for frame in frames for row, taken in zip(
            frame.epochs, frame.seconds or (math.nan,) * len(frame.epochs), strict=True)]
        return frames[place], tuple(row for row in rows if row[0] <= epoch)

    def offer(self) -> int | None:
        """The epoch that Continue goes on from; None where it cannot."""
        origin = None if self.steered else self.origin()
        return origin and origin[0].numbers["epoch"]


def view(name: str, recipe: ModuleType, settings: RunSettings) -> View:
    """What a model's page shows, where its controls say these settings."""
    run = lab().find(st.session_state.get(f"{name}.run"))
    if run is None:
        return View(name, recipe, settings, None)
    if not differing.same_data(run.settings, settings):
        return View(name, recipe, settings, None, aside=run)
    return View(name, recipe, settings, run,
                differs=differing.differences(run.settings, settings))


def buttons(view: View) -> None:
    """Train, pause, step, stop, and the learning rate of a running training."""
    status = view.status()
    st.session_state[f"{view.name}.state"] = status.state  # that these buttons are for
    view.shown()["offer"] = view.offer()
    active = status.active and not view.foreign
    train, pause, step, stop, rate = st.columns([1, 1.9, 1, 1, 1.9],
                                               vertical_alignment="bottom")
    train.button("Train", type="primary", icon=":material/play_arrow:", width="stretch",
                 disabled=active and not view.differs, on_click=_start, args=(view,),
                 key=f"{view.name}.train", help="Train a fresh flow with the settings at the left."
                 " A training under way on this page ends; what it has learned stays in Runs.")
    paused = active and status.state == "paused"
    label, icon, action, help_text = _pause(view, active, paused)
    pause.button(label, width="stretch", icon=f":material/{icon}:", disabled=action is None,
                 on_click=action, args=(view,), key=f"{view.name}.pause", help=help_text)
    step.button("Step", icon=":material/skip_next:", width="stretch", on_click=_step, args=(view,),
                key=f"{view.name}.step",
                help="One batch, that is one optimiser step, and then pause.")
    stop.button("Stop", icon=":material/stop:", width="stretch", disabled=not active,
                on_click=_stop, args=(view,), key=f"{view.name}.stop",
                help=FOREIGN if view.foreign else "End the training; what it has learned stays.")
    with rate:
        _rate(view, active)


def _pause(view: View, active: bool, paused: bool) -> tuple[str, str, Callable | None, str]:
    """What the second button is now: its label, icon, action and tooltip."""
    if paused:
        return "Resume", "resume", _resume, "Let the training go on."
    if active:
        return "Pause", "pause", _step, "Hold the training where it is."
    epoch = view.shown()["offer"]
    if epoch is None:
        return "Pause", "pause", None, "Hold a training where it is, and let it go on."
    moves = view.status().active  # it is another's, and goes on
    label, icon = "Continue" if moves else f"Continue from epoch {epoch}", "fast_forward"
    if not view.fits:
        return label, icon, None, ("The flow shown has other layers than the controls say: train "
                                   "a fresh one.")
    return label, icon, _continue, ("Train on from the flow shown, for as many epochs as set at "
                                    "the left.")


def _rate(view: View, active: bool) -> None:
    key = f"{view.name}.rate"
    st.session_state.setdefault(key, view.settings.training.learning_rate)
    if not active:
        st.session_state[key] = view.settings.training.learning_rate
    st.select_slider("Learning rate now", controls.steps(1e-6, 1.0, st.session_state[key]), key=key,
                     disabled=not active, format_func=lambda x: f"{x:g}",
                     on_change=_send_rate, args=(view, key), persist_state="session",
                     help=FOREIGN if view.foreign else "Change the learning rate of the training "
                     "under way: its schedule goes on from the new highest value.")


def submit(name: str, recipe: ModuleType, settings: RunSettings, first: str = "",
           resume: Snapshot | None = None, history: History = ()) -> str | None:
    """Queue a training of the visitor's; its id, or None where the model's page says why not."""
    try:
        return lab().submit(recipe.train, settings, theme(), owner(), first, resume,
                            picture.layers(name), visitor(), history)
    except Exceeded as error:
        st.session_state[f"{name}.refused"] = str(error)
        return None


def _start(view: View, first: str = "", resume: Snapshot | None = None,
           history: History = ()) -> None:
    settings = controls.settings(view.recipe.Run, view.name)  # as they are at this press
    for before in filter(None, (view.run, view.aside)):
        if owns(before, visitor()) and lab().status(before).active:
            lab().control(before, "stop", visitor=visitor())
            lab().recorder.done(before.id, ENDING)
    run_id = submit(view.name, view.recipe, settings, first, resume, history)
    if run_id is not None:
        st.session_state[f"{view.name}.run"] = run_id


def _step(view: View) -> None:
    """One more batch, shown, and then paused."""
    if view.steered:
        _control(view, "step", {"look": True})
    else:
        _start(view, "step")


def _continue(view: View) -> None:
    frame, history = view.origin()
    flow = recipe.build(view.recipe.MODEL, view.settings)
    flow.load_state_dict(frame.weights)
    snapshot = Snapshot.fresh(flow, view.settings.training.learning_rate, frame.numbers["epoch"])
    reverse = view.settings.training.objective == "reverse"
    before = frame.numbers.get("reverse_kl") or () if reverse else ()
    _start(view, history=history, resume=replace(
        snapshot, seconds=frame.numbers["seconds"],
        reverse_kl=tuple((int(epoch), kl) for epoch, kl in before)))


def _resume(view: View) -> None:
    _control(view, "resume")


def _stop(view: View) -> None:
    _control(view, "stop")


def _send_rate(view: View, key: str) -> None:
    _control(view, "send", {"learning_rate": st.session_state[key]})


def _control(view: View, action: str, value: Any = None) -> None:
    try:
        lab().control(view.run, action, value, visitor())
    except NotYours as error:
        st.session_state[f"{view.name}.refused"] = str(error)


def _return(view: View) -> None:
    controls.put(view.aside.settings, view.name)


def live(view: View) -> None:
    """The view of the run, redrawn by itself while the run may change or something plays."""
    with st.container(horizontal=True, vertical_alignment="center", key=f"{view.name}-aside"):
        if view.aside is not None:  # else it takes no room, and what follows keeps its place
            st.button("Back to the last run", icon=":material/undo:", on_click=_return,
                      args=(view,), key=f"{view.name}.return",
                      help="Show its results, and its settings at the left.")
            goes_on = ", and goes on" if lab().status(view.aside).active else ""
            st.markdown(f"It is about *{differing.title(view.aside.settings)}*{goes_on}.",
                        width="content")
    picture.keep(view.name)
    status, plays = view.status(), picture.playing(view.name)
    waits = status.state == "queued" and not plays and lab().engine.ready
    if waits:
        st.fragment(_queue, run_every=WAITING)(view)
    every = picture.TICK if plays else POLL if status.active and not waits else None
    st.fragment(_live, run_every=every)(view, plays, waits)


def _queue(view: View) -> None:
    """The line of a run that waits: all that changes while it does, so a class asks for little."""
    status, frames = view.status(), view.frames()
    standing.show(status, frames[-1] if frames else None, view.foreign, view.stale)
    if status.state != st.session_state[f"{view.name}.state"]:
        st.rerun()


def _live(view: View, plays: bool, waits: bool) -> None:
    status = view.status()
    line = None if waits else st.empty()
    if status.active:
        _dress(view.run, picture.layers(view.name))
    frames = view.frames()
    if line is not None:
        if status.state == "running" and not frames:
            with line:
                standing.show(status, None, view.foreign, view.stale)
            lab().wait(view.run, FIRST)
            frames = view.frames()
        with line:
            standing.show(status, frames[-1] if frames else None, view.foreign, view.stale)
    begun = bool(frames) and view.run is not None
    st.progress(frames[-1].numbers["step"] / frames[-1].numbers["steps"] if begun else 0.0)
    subject = view.subject(frames)
    index = picture.moment(subject)
    numbers = frames[index].numbers if frames else None
    view.shown().update(key=subject.key, step=subject.step(index if frames else -1), theme=theme(),
                        layers=picture.layers(view.name))
    cells = st.container()
    picture.choices(subject)
    with st.container(key=f"{view.name}-{'old-' if view.differs else ''}picture"):
        starting = status.state == "running" and not frames
        picture.picture(subject, index, _alt(status, numbers, subject), starting)
    with cells:  # after the picture, so that it is drawn before a fresh flow is measured
        _numbers(subject, numbers, begun, status.active,
                 view.run is not None and view.run.continued)
    picture.controls(subject, index)
    state = st.session_state[f"{view.name}.state"]
    moved = not plays and not status.active and view.offer() != view.shown()["offer"]
    if status.state != state or plays != picture.playing(view.name) or moved:
        st.rerun()  # buttons, and how often to look, depend on the state


def _numbers(subject: Subject, numbers: dict | None, begun: bool, active: bool,
             continued: bool) -> None:
    """The row of numbers; before the first frame those of the fresh flow, once they are known."""
    if numbers is None and not continued:
        numbers = picture.fresh_numbers(subject)
        if numbers is None:
            st.fragment(_measured, run_every=picture.LOOK)(subject, count())
            return
    with st.container():  # as a fragment has one
        metrics.show(numbers or None, begun, images.images_of(subject), active)


def _measured(subject: Subject, looks: Iterator[int]) -> None:
    numbers = picture.fresh_numbers(subject)
    if next(looks) and numbers is not None:
        st.rerun()  # which leaves this fragment out, and so ends its looks
    metrics.show(numbers or None, False, images.images_of(subject), False)


def _dress(run: Run, layers: tuple[str, ...]) -> None:
    """Have the run's pictures as this viewer wants them, once: another may want them otherwise."""
    wanted = (run.id, theme(), layers)
    if st.session_state.get("dressed") != wanted:
        st.session_state["dressed"] = wanted
        lab().dress(run, theme(), layers, visitor())


def _shape(settings: RunSettings) -> FlowSettings:
    """The settings of the flow, in the shape of the run's data."""
    return recipe.fitted(settings.flow, recipe.source_of(settings.source))


@st.cache_resource(show_spinner=False)
def trained_before(name: str, _recipe: ModuleType) -> Shipped | None:
    """The flow that is shipped with a model."""
    return pretrained.load(_recipe, Path(_recipe.__file__).parent / "images")


@st.cache_resource(show_spinner=False, max_entries=16)  # no copies: nobody changes a frame
def _shipped_frame(name: str, _recipe: ModuleType, appearance: str) -> Frame:
    return trained_before(name, _recipe).frame(appearance, SHOWN)


def _alt(status: Status, numbers: dict | None, subject: Subject) -> str:
    if images.images_of(subject) is not None:
        return ("Samples of the flow at temperature 0.7, test images and what comes back of them, "
                "bits per dimension by epoch, and the latents of test images.")
    if numbers is None:
        return "Data, an untrained flow's samples, and both densities."
    kl = metrics.number(numbers["kl"], "nats")
    return (f"{status.state}, epoch {numbers['epoch']}: data and model samples, true and learned "
            f"density, latent cloud, and the NLL's curve; KL to the truth {kl}.")
