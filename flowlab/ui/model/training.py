"""Train and steer: the buttons of a model's page, and what they do."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import streamlit as st
import torch

from flowlab.jobs import Status
from flowlab.server.admission import FOREIGN, NotYours, owns
from flowlab.server.limits import Exceeded
from flowlab.settings import RunSettings
from flowlab.training import Epoch, Snapshot
from flowlab.ui.app.lab import appearance, lab, owner
from flowlab.ui.app.visitor import visitor
from flowlab.ui.controls.settings import steps
from flowlab.ui.controls.state import ModelPage
from flowlab.ui.model.view import View

CONTINUE = 200  # pixels: the button's width, whatever its label is now
ENDING = 2.0  # seconds to wait until a training has ended in whose place another starts


def buttons(view: View, status: Status) -> None:
    """Draw the buttons that train, pause, step and stop, and the learning rate's slider.

    The run's `status` is the one that the rest of the page was drawn for.
    """
    name = view.page.name
    active = status.active and not view.foreign
    st.button("Train", type="primary", icon=":material/play_arrow:",
              disabled=active and not view.differs, on_click=_start, args=(view,),
              key=f"{name}.train", help="Train a fresh flow with the settings on the left."
              " A training under way on this page ends; its results stay in Runs.")
    label, icon, action, help_text = _pause(view, status, active)
    st.button(label, icon=f":material/{icon}:", disabled=action is None, width=CONTINUE,
              on_click=action, args=(view,), key=f"{name}.pause", help=help_text)
    st.button("Step", icon=":material/skip_next:", on_click=_step, args=(view,),
              key=f"{name}.step", help="One batch, that is one optimiser step, and then pause.")
    st.button("Stop", icon=":material/stop:", disabled=not active,
              on_click=_stop, args=(view,), key=f"{name}.stop",
              help=FOREIGN if view.foreign else "End the training; its results stay.")
    with st.popover("Learning rate", icon=":material/speed:", key=f"{name}.rates",
                    help="Change the learning rate of the training under way."):
        _rate(view, active)


def _pause(view: View, status: Status, active: bool) -> tuple[str, str, Callable | None, str]:
    """What the second button is now: its label, icon, action and tooltip."""
    if active:
        if status.state == "paused":
            return "Resume", "resume", _resume, "Continue the training."
        return "Pause", "pause", _step, "Pause the training."
    epoch = view.page.offer
    if epoch is None:
        return "Pause", "pause", None, "Pause a training, and resume it."
    label, icon = "Continue" if status.active else f"Continue from epoch {epoch}", "fast_forward"
    if not view.fits:
        return label, icon, None, ("The flow shown has layers that differ from the controls: train "
                                   "a fresh one.")
    return label, icon, _continue, ("Continue training the flow shown, for the length set on the "
                                    "left.")


def _rate(view: View, active: bool) -> None:
    page = view.page
    if not active or not page.rate:
        page.rate = view.settings.training.learning_rate
    st.select_slider("Learning rate now", steps(1e-6, 1.0, page.rate), **ModelPage.rate.tie(page),
                     disabled=not active, format_func=lambda x: f"{x:g}",
                     on_change=_send_rate, args=(view,),
                     help=FOREIGN if view.foreign else "Change the learning rate of the training "
                     "under way: its schedule continues from the new peak value.")


def submit(page: ModelPage, settings: RunSettings, first: str = "",
           resume: Snapshot | None = None, history: tuple[Epoch, ...] = ()) -> str | None:
    """Queue a training of the visitor's; its id, or None where the page then says why not."""
    try:
        return lab().submit(page.recipe.train, settings, appearance(), owner(), first, resume,
                            page.overlays, visitor(), history)
    except Exceeded as error:
        page.refused = str(error)
        return None


def _start(view: View, first: str = "", resume: Snapshot | None = None,
           history: tuple[Epoch, ...] = ()) -> None:
    settings = view.page.controls.settings()  # as they are at this press
    for before in filter(None, (view.run, view.aside)):
        if owns(before, visitor()) and lab().status(before).active:
            lab().control(before, "stop", visitor=visitor())
            lab().recorder.done(before.id, ENDING)
    run_id = submit(view.page, settings, first, resume, history)
    if run_id is not None:
        view.page.run = run_id


def _step(view: View) -> None:
    """One more batch, shown, and then paused."""
    if view.steered:
        _control(view, "step", {"look": True})
    else:
        _start(view, "step")


def _continue(view: View) -> None:
    origin = view.origin()
    if origin is None:  # the button is disabled then
        return
    frame, history = origin
    training = view.settings.training
    flow = frame.flow().to(getattr(torch, training.precision))
    snapshot = Snapshot.fresh(flow, training.learning_rate, frame.moment.epoch, step=(
        0 if training.budget[0] == "epochs" else frame.moment.step))
    before = frame.moment.reverse_kl if training.objective == "reverse" else ()
    _start(view, history=history, resume=replace(
        snapshot, seconds=frame.moment.seconds,
        reverse_kl=tuple((int(epoch), kl) for epoch, kl in before)))


def _resume(view: View) -> None:
    _control(view, "resume")


def _stop(view: View) -> None:
    _control(view, "stop")


def _send_rate(view: View) -> None:
    _control(view, "send", {"learning_rate": view.page.rate})


def _control(view: View, action: str, value: Any = None) -> None:
    if view.run is None:
        return
    try:
        lab().control(view.run, action, value, visitor())
    except NotYours as error:
        view.page.refused = str(error)
