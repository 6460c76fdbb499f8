"""The presentation's state, and its animated and drawn pictures, kept between visitors."""

import json
import threading
from dataclasses import dataclass, field
from pathlib import Path

import streamlit as st

from flowlab import Flow
from flowlab.analysis.equations import Journey, normalising, sampling, stretch
from flowlab.data import target
from flowlab.figures import TransportPicture, change_of_variables, png
from flowlab.ui.app.state import Control, Page

POINTS, SEED = 900, 1
STRENGTHS = (0.7, 4.0)  # of the map of the line, weakest and strongest
#: The same ends for every strength, so that only the curves move.
LINE_ENDS = (-5.2, 5.2)
HIGHEST = 0.6


@dataclass
class Presentation(Page):
    """State of the presentation."""

    begun: dict[str, str] = field(default_factory=dict)  #: Ids of trainings, by the models' names.
    moving = Control(True, "moving")  #: Whether pictures are animated.


@st.cache_data(show_spinner=False, max_entries=8)
def numbers(path: str) -> dict:
    """The numbers of a pretrained flow, as the model's page shows them."""
    return json.loads(Path(path).read_text("utf-8"))["numbers"]


@st.cache_data(show_spinner=False, max_entries=512)
def line_map(strength: float, at: float, theme: str) -> bytes:
    """The change of variables on the line, as PNG."""
    z, density, x, slope = stretch(strength)
    return png(change_of_variables(z, density, x, slope, at=at, x_limits=LINE_ENDS,
                                   highest=HIGHEST, theme=theme))


@st.cache_data(show_spinner=False, max_entries=4)
def journey(path: str, generative: bool) -> Journey:
    """The way of latent samples, or of points of the moons, through the flow in a file."""
    flow = Flow.load(path)
    if generative:
        return sampling(flow, POINTS, SEED)
    return normalising(flow, target("moons").sample(POINTS, SEED))


@st.cache_resource(show_spinner=False, max_entries=8)
def _picture(path: str, generative: bool, theme: str) -> tuple[TransportPicture, threading.Lock]:
    way = journey(path, generative)
    names = [step.name for step in way.steps]
    return TransportPicture(way.stages, way.grids, names, inverse=not generative,
                            theme=theme), threading.Lock()


@st.cache_data(show_spinner=False, max_entries=512)
def transport(path: str, generative: bool, position: float, theme: str) -> bytes:
    """The points between two layers of the flow in a file, as PNG; see `TransportPicture`."""
    picture, lock = _picture(path, generative, theme)
    with lock:  # one picture for all visitors: nobody may move it while another draws
        picture.move(position)
        return picture.png()
