"""The status of a run in one line: its state as a badge, and a sentence."""

import streamlit as st

from flowlab.jobs import Status
from flowlab.jobs.waiting import STARTING, sentence
from flowlab.live import Frame
from flowlab.server.admission import FOREIGN
from flowlab.ui.app.lab import GONE, lab, owner
from flowlab.ui.elements.escape import plain

BADGES = {"ready": ("Ready", "gray"), "queued": ("In the queue", "orange"),
          "running": ("Training", "blue"), "paused": ("Paused", "orange"),
          "finished": ("Finished", "green"), "stopped": ("Stopped", "gray"),
          "early stop": ("Stopped early", "green"), "diverged": ("Diverged", "red"),
          "failed": ("Failed", "red"), "lost": ("Lost", "red"),
          "interrupted": ("Interrupted", "orange"), "elsewhere": ("Training elsewhere", "blue")}


def draw_status(status: Status, frame: Frame | None, foreign: bool, stale: str = "") -> None:
    """Draw one line: the state as a badge, and a sentence on it.

    A sentence on `stale` results (Markdown) takes its place.
    """
    moment = frame.moment if frame else None
    label, colour = BADGES[status.state]
    text = plain(status.message or (moment.reason if moment else "")).replace(plain(GONE), GONE)
    if stale:
        text = stale
    elif status.state == "queued":
        asker = "" if foreign else owner()
        text = (sentence(status.position, lab().expected_wait(status.position, asker))
                if lab().engine.ready else STARTING)
        if moment:
            text += (f" It then continues after epoch {moment.epoch}; other trainings have their "
                     "turn now.")
    elif moment and status.state == "ready":
        text = (f"A ready-trained flow, after {moment.epoch} epochs. Explore it, **Continue**, "
                "or **Train** a fresh one.")
    elif moment and not text:
        text = f"Epoch **{moment.epoch}** of {moment.epochs}"
        if moment.epoch < moment.epochs:
            text += f", batch {moment.batch} of {moment.batches}"
        elif moment.cut_short:
            text += f", which ended after {moment.cut_short} of {moment.batches} batches"
    elif not text:
        text = "The flow before its first step. Press **Train**, or change anything on the left."
        if status.active:
            text = "Starting: the untrained flow is measured first."
    whose = ":violet-badge[Another visitor's] " if foreign else ""
    st.markdown(f":{colour}-badge[{label}] {whose}{text}",
                help=f"{FOREIGN} **Continue** starts a run of your own from it."
                if foreign else None)
