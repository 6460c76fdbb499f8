"""The inside of a flow: the plane between its layers, and one point that is followed."""

import math
import threading
from dataclasses import dataclass

import numpy as np
import streamlit as st
import torch

from flowlab.analysis import couplings, plane
from flowlab.analysis.equations import describe
from flowlab.bijections.equations import LOG_DET, Step
from flowlab.data import Source, source_of
from flowlab.figures import InsidePicture, coupling_curve, png
from flowlab.figures.transport import between
from flowlab.flow import Flow
from flowlab.live import Frame, cameras, scene
from flowlab.live.cameras import SIGMA, Camera, PlaneCamera
from flowlab.live.drawing import Drawing, DrawingFailed, flow_of
from flowlab.live.layers import PARTS, LayerDrawing, LayersCamera, draw_layer, look
from flowlab.live.watch import seen_points
from flowlab.settings import RunSettings
from flowlab.ui.app.lab import appearance, drawing_owner, lab, theme
from flowlab.ui.controls.state import ModelPage
from flowlab.ui.elements.clickable import clickable
from flowlab.ui.elements.escape import plain
from flowlab.ui.elements.image import draw_png

REACH = 3.2  # standard deviations of the base distribution that a coupling's picture shows
CURVE_WIDTH = 420  # pixels of the picture of a coupling's map
FARTHEST = 1e6  # data units that a point may be away
COLUMNS = {"point": "log|det ∂x/∂z| of the layer at the point, in nats: above 0 it stretches.",
           "sum so far": "Sum over this layer and those before it, at the point, in nats. The last "
           "is that of the whole flow.",
           "samples": "log|det ∂x/∂z| of the layer, averaged over 1500 samples, in nats."}


@dataclass(frozen=True)
class Subject:
    """What is explored: a model, its settings and the frames of its training.

    Attributes
    ----------
    page : ModelPage
        The state of the page on which it is explored.
    model : type of Flow
    settings : RunSettings
        Of the run, where there is one.
    key : str
        Different for different trainings.
    frames : list of Frame
        Oldest first; empty for a fresh flow.
    """

    page: ModelPage
    model: type[Flow]
    settings: RunSettings
    key: str
    frames: list[Frame]

    @property
    def source(self) -> Source:
        """What is learned."""
        return source_of(self.settings.source)

    def weighty(self, index: int) -> int:
        """The nearest moment that has weights, sooner than later; −1 for a fresh flow."""
        last = len(self.frames) - 1
        order = [*range(min(index, last), -1, -1), *range(index + 1, last + 1)]
        return next((i for i in order if self.frames[i].has_weights), -1)

    def weights(self, index: int) -> bytes:
        """Those of a moment that has any; empty for a fresh flow."""
        return self.frames[index].weights if index >= 0 else b""

    def step(self, index: int) -> int:
        """Optimiser steps until then; −1 for a fresh flow."""
        return self.frames[index].moment.step if index >= 0 else -1


@st.cache_resource(show_spinner=False, max_entries=12)
def _camera(key: str, appearance: str, _settings: RunSettings) -> tuple[Camera, threading.Lock]:
    return cameras.camera(_settings, appearance), threading.Lock()


def camera(settings: RunSettings, appearance: str) -> tuple[Camera, threading.Lock]:
    """What takes the pictures of such a run, for one viewer at a time."""
    return _camera(str((scene(settings, appearance), seen_points(settings))), appearance, settings)


def fresh_key(settings: RunSettings) -> str:
    """The same for settings whose untrained flows look the same: epochs, for one, do not matter."""
    return str((scene(settings, ""), seen_points(settings), settings.flow,
                settings.training.precision))


@st.cache_resource(show_spinner=False, max_entries=32)
def _flow(key: str, step: int, _subject: Subject, _index: int) -> Flow:
    return flow_of(_subject.model, _subject.settings, _subject.weights(_index),
                   camera(_subject.settings, appearance())[0])


def flow_at(subject: Subject, index: int) -> Flow:
    """The flow of a moment, or of the nearest one that kept its weights."""
    index = subject.weighty(index)
    return _flow(subject.key, subject.step(index), subject, index)


def count(subject: Subject) -> int:
    """How many layers the flow has."""
    return len(_steps(subject.settings.flow.model_dump_json(), subject))


def plane_camera(settings: RunSettings, appearance: str) -> PlaneCamera:
    """As `camera`, for points of the plane."""
    found, _ = camera(settings, appearance)
    assert isinstance(found, PlaneCamera)
    return found


@st.cache_resource(show_spinner=False, max_entries=32)
def _steps(key: str, _subject: Subject) -> list[Step]:
    return [describe(layer) for layer in flow_at(_subject, len(_subject.frames) - 1).layers]


def steps(subject: Subject) -> list[Step]:
    """Names and equations of the flow's layers, latent first."""
    return _steps(subject.settings.flow.model_dump_json(), subject)


@st.cache_resource(show_spinner=False, max_entries=12)
def _layers(key: str, step: int, appearance: str, _subject: Subject, _index: int) -> LayersCamera:
    return LayersCamera(flow_at(_subject, _index), plane_camera(_subject.settings, appearance))


def layers_camera(subject: Subject, index: int) -> LayersCamera:
    """What takes the pictures between the layers of the moment's flow."""
    index = subject.weighty(index)
    return _layers(subject.key, subject.step(index), appearance(), subject, index)


def passage(subject: Subject, index: int) -> plane.Passage:
    """Points, grid and log-determinants between the layers, of the moment's flow."""
    return layers_camera(subject, index).passage


@st.cache_data(show_spinner=False, max_entries=256)
def _drawn(key: str, step: int, shown: tuple[str, ...], appearance: str, position: float,
           point: tuple[float, float], back: bool, _camera: LayersCamera) -> bytes:
    return _camera.take(position, point, shown, back)


def point(subject: Subject) -> tuple[float, float]:
    """The point that is followed, each distribution's own; at first one of the data."""
    x1, x2 = camera(subject.settings, appearance())[0].data[0].tolist()
    page, data = subject.page, subject.settings.source.data
    return page.x1.setdefault(data, round(x1, 3)), page.x2.setdefault(data, round(x2, 3))


def picture(subject: Subject, index: int, shown: tuple[str, ...], position: float) -> None:
    """Draw the plane at a place between the layers; a click on it chooses the point to follow."""
    flow, playback = flow_at(subject, index), subject.page.playback
    plays = playback.what == "flow"
    try:
        png = _played(subject, index, shown, position) if plays else None
    except DrawingFailed as error:
        st.error(plain(str(error)), icon=":material/error:")
        plays, png, playback.what = False, None, ""
    playback.drawn = png is not None
    if png is None and not (plays and playback.png):
        step = subject.step(subject.weighty(index))
        png = _drawn(subject.key, step, shown, appearance(), position, point(subject),
                     playback.back, layers_camera(subject, index))
    playback.png = png or playback.png
    limits = between(passage(subject, index).windows, position).tolist()

    def clicked(across: float, down: float) -> None:
        place = InsidePicture.coordinates(across, down, limits, appearance())
        if place is None:
            return
        y = torch.tensor([place], dtype=flow.dtype)
        x = plane.lift(flow, y, round(position))[0].tolist()
        if all(math.isfinite(value) and abs(value) <= FARTHEST for value in x):
            page, data = subject.page, subject.settings.source.data
            page.x1[data], page.x2[data] = (round(value, 4) for value in x)

    clickable(playback.png, f"The plane after {position:.0f} of {len(flow.layers)} layers, with "
              "the point that is followed; bars of every layer's log-determinant and the "
              "log-density on the way. Click the plane to follow another point, or drag it.",
              f"{subject.page.name}.clickable", clicked,
              "drawing …" if plays and not playback.drawn else "", drag=True)


def _played(subject: Subject, index: int, shown: tuple[str, ...], position: float) -> bytes | None:
    """The picture nearest to a place while the layers play; None until it is drawn.

    The pictures of a layer are drawn together, while those of the layer before it are shown.
    """
    index, count, followed = subject.weighty(index), len(steps(subject)), point(subject)
    back = subject.page.playback.back
    passed, part = divmod(min(round(position * PARTS), count * PARTS - 1), PARTS)

    def drawn(passed: int, ahead: bool) -> tuple[bytes, ...] | None:
        key = (subject.key, subject.step(index), shown, appearance(), passed, followed, back)
        return lab().picture_cache.layer(key, lambda: LayerDrawing(
            Drawing(subject.model, subject.settings, appearance(), shown, subject.weights(index),
                    []), passed, followed, back), drawing_owner(), draw_layer, ahead)

    pngs = drawn(passed, False)
    following = passed - 1 if back else passed + 1
    if 0 <= following < count:
        drawn(following, True)
    return None if pngs is None else pngs[part]


def explanation(subject: Subject, index: int, layer: int) -> None:
    """Draw the layer's equations with the followed point's numbers, and the sum of its density."""
    flow, way = flow_at(subject, index), passage(subject, index)
    seen = look(flow, point(subject))
    with st.container(key="equations-layer"):
        left, right = st.columns(2, gap="medium")
    with left:
        _layer(subject, way, seen, layer)
        if isinstance(seen, plane.Probe):
            _curve(subject, flow, seen, layer)
    with right:
        _point(subject, seen)
    if isinstance(seen, plane.Probe):
        _table(subject, way, seen)


def _layer(subject: Subject, way: plane.Passage, seen: plane.Probe | str, layer: int) -> None:
    all_steps = steps(subject)
    step = all_steps[layer - 1]
    st.markdown(f"**Layer {layer} of {len(all_steps)}: {step.name}**, from *z* to *x* and back",
                help="In every layer, z is what enters it on the way to the data, and x what "
                "leaves it; indices are coordinates of the plane.")
    more = [("mean of samples", rf"= {_number(way.log_dets[layer - 1])}\ \text{{nats}}")]
    if isinstance(seen, plane.Probe):
        more += [("at the point", rf"= {_number(seen.log_dets[layer - 1])}\ \text{{nats}}"),
                 ("", rf"{_pair(seen.path[layer - 1])} \mapsto {_pair(seen.path[layer])}")]
    st.latex(step.latex(more=more))


def _curve(subject: Subject, flow: Flow, seen: plane.Probe, layer: int) -> None:
    """Draw the map of a coupling, with the half that is kept as it is at the point."""
    curve = couplings.curve(flow.layers[layer - 1], seen.path[layer - 1], seen.path[layer],
                            REACH * SIGMA[flow.settings.base])
    if curve is not None:
        draw_png(png(coupling_curve(curve, theme=theme())),
                 "The coordinate after the layer against the one before it: a straight line or, "
                 "for a spline, a curve through knots; with the followed point.", CURVE_WIDTH)


def _point(subject: Subject, seen: plane.Probe | str) -> None:
    page, data = subject.page, subject.settings.source.data
    for column, x, label in zip(st.columns(2), (page.x1, page.x2), ("x₁", "x₂"), strict=True):
        column.number_input(
            f"Point to follow, {label}", -FARTHEST, FARTHEST, step=0.05, format="%.3f",
            **x.tie(data), help="In data units; you can also click the plane in the picture, or "
            "drag the point. The dark line is its path, and the outline is what a small circle "
            "around its latent becomes: the Jacobian's ellipse.")
    if isinstance(seen, str):
        st.warning(seen, icon=":material/error:")
        return
    st.latex(rf"""\begin{{aligned}}
        z &= f^{{-1}}(x) = {_pair(seen.path[0])} \\[2pt]
        \log p_X(x) &= \log p_Z(z) - {LOG_DET} \\[2pt]
         &= {_number(seen.log_base)} - ({_number(seen.log_det)}) \\[2pt]
         &= {_number(seen.log_prob)}\ \text{{nats}}
        \end{{aligned}}""")


def _table(subject: Subject, way: plane.Passage, seen: plane.Probe) -> None:
    """Draw every layer's log-determinant, all rows at once."""
    names = [f"{k}: {step.name}" for k, step in enumerate(steps(subject), 1)]
    table = {"log|det ∂x/∂z| of layer": names, "point": seen.log_dets,
             "sum so far": seen.log_dets.cumsum(), "samples": way.log_dets}
    st.dataframe(table, height="content", hide_index=True, key=f"{subject.page.name}.table",
                 column_config={name: st.column_config.NumberColumn(format="%+.3f", help=text)
                                for name, text in COLUMNS.items()})


def _number(value: float) -> str:
    """A signed number in LaTeX; in braces its sign is not set as an operator."""
    text = f"{value:+.3f}"
    if math.isfinite(value) and abs(value) >= 1e4:
        digits, _, power = f"{value:+.2e}".partition("e")
        text = rf"{digits} \cdot 10^{{{int(power)}}}"
    return "{" + text.replace("-", "\N{MINUS SIGN}") + "}"


def _pair(values: np.ndarray) -> str:
    first, second = (f"{{{value:.2f}}}".replace("-", "\N{MINUS SIGN}") for value in values)
    return rf"({first},\ {second})"
