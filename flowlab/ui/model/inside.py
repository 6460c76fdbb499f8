"""The inside of a flow: the plane between its layers, and one point that is followed."""

import math
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
import torch

from flowlab.analysis import couplings, plane
from flowlab.analysis.equations import describe
from flowlab.analysis.grid import grid_points
from flowlab.bijections.equations import LOG_DET, Step
from flowlab.data import Source, source_of
from flowlab.figures import InsidePicture, coupling_curve, png
from flowlab.flow import Flow
from flowlab.live import Frame, cameras, scene
from flowlab.live.cameras import SHOWN, SIGMA, Camera, PlaneCamera
from flowlab.live.drawing import flow_of
from flowlab.live.watch import seen_points
from flowlab.settings import RunSettings
from flowlab.ui.app.lab import appearance, theme
from flowlab.ui.controls.state import ModelPage
from flowlab.ui.elements.clickable import clickable
from flowlab.ui.elements.image import draw_png

GRID = 160  # cells along a side of a density's picture
REACH = 3.2  # standard deviations of the base distribution that the plane shows at least
RADIUS = 0.25  # of the circle around the latent that becomes the ellipse, in latent units
CURVE_WIDTH = 420  # pixels of the picture of a coupling's map
FARTHEST = 1e6  # data units that a point may be away
COLUMNS = {"point": "log|det ∂x/∂z| of the layer at the point, in nats: above 0 it stretches.",
           "sum so far": "Of this layer and those before it, at the point, in nats. The last is "
           "that of the whole flow.",
           "samples": "log|det ∂x/∂z| of the layer, the mean of 1500 samples, in nats."}


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


def window(settings: RunSettings) -> tuple[float, float, float, float]:
    """A square that shows the base distribution and the data: the same for every stage."""
    xmin, xmax, ymin, ymax = plane_camera(settings, appearance()).limits
    reach = REACH * SIGMA[settings.flow.base]
    left, right, low, high = min(xmin, -reach), max(xmax, reach), min(ymin, -reach), max(ymax,
                                                                                       reach)
    half = max(right - left, high - low) / 2
    x, y = (left + right) / 2, (low + high) / 2
    return x - half, x + half, y - half, y + half


@st.cache_resource(show_spinner=False, max_entries=32)
def _passage(key: str, step: int, _flow: Flow, _data: torch.Tensor) -> plane.Passage:
    z = _flow.base_sample(SHOWN, torch.Generator().manual_seed(0))
    return plane.passage(_flow, z, _data.to(_flow.dtype))


def passage(subject: Subject, index: int) -> plane.Passage:
    """Points, grid and log-determinants between the layers, of the moment's flow."""
    index = subject.weighty(index)
    data = camera(subject.settings, appearance())[0].data
    return _passage(subject.key, subject.step(index), flow_at(subject, index), data)


@st.cache_data(show_spinner=False, max_entries=256)
def _density(key: str, step: int, stage: int, _flow: Flow, _limits: tuple) -> np.ndarray:
    points = torch.as_tensor(grid_points(_limits, GRID)).to(_flow.dtype)
    return plane.density_at(_flow, points, stage).reshape(GRID, GRID).numpy()


@st.cache_data(show_spinner=False, max_entries=8)
def _truth(key: str, _camera: PlaneCamera, _limits: tuple) -> np.ndarray | None:
    if _camera.source.log_prob is None:
        return None
    points = torch.as_tensor(grid_points(_limits, GRID))
    return _camera.source.log_prob(points).exp().reshape(GRID, GRID).numpy()


@st.cache_resource(show_spinner=False, max_entries=12)
def _picture(key: str, appearance: str, _subject: Subject
             ) -> tuple[InsidePicture, threading.Lock]:
    picture = plane_camera(_subject.settings, appearance).picture
    names = [step.name for step in steps(_subject)]
    return (InsidePicture(window(_subject.settings), names, picture.field.highest,
                           known=picture.truth is not None, theme=appearance), threading.Lock())


@st.cache_data(show_spinner=False, max_entries=256)
def _drawn(key: str, step: int, shown: tuple[str, ...], appearance: str, position: float,
           point: tuple[float, float], _subject: Subject, _index: int) -> bytes:
    flow, way = flow_at(_subject, _index), passage(_subject, _index)
    limits, layers = window(_subject.settings), len(flow.layers)
    density = error = None
    if {"density", "contours", "error"} & set(shown):
        density = _density(key, step, int(position), flow, limits)
    if "error" in shown and position >= layers:
        settings = _subject.settings
        truth = _truth(fresh_key(settings), plane_camera(settings, appearance), limits)
        error = None if truth is None else density - truth
    seen = look(flow, point)
    followed: dict[str, Any] = {}
    if isinstance(seen, plane.Probe):
        stage = int(position)
        followed = {"probe": seen.path, "probe_log_dets": seen.log_dets,
                    "probe_log_density": seen.log_density}
        if stage == position:
            followed["outline"] = plane.ellipse(seen.path[stage], seen.jacobians[stage], RADIUS)
    picture, lock = _picture(fresh_key(_subject.settings), appearance, _subject)
    with lock:
        if picture.overlays != shown:
            picture.show_overlays(shown)
        picture.move(position, samples=way.samples, data=way.data, grid=way.grid,
                     log_dets=way.log_dets, log_density=way.log_density, density=density,
                     error=error, **followed)
        return picture.png()


def look(flow: Flow, point: tuple[float, float]) -> plane.Probe | str:
    """The point seen through the flow, or the sentence that says why it cannot be."""
    try:
        return plane.probe(flow, point)
    except ValueError as error:
        return str(error)


def point(subject: Subject) -> tuple[float, float]:
    """The point that is followed, each distribution's own; at first one of the data."""
    x1, x2 = camera(subject.settings, appearance())[0].data[0].tolist()
    page, data = subject.page, subject.settings.source.data
    return page.x1.setdefault(data, round(x1, 3)), page.x2.setdefault(data, round(x2, 3))


def picture(subject: Subject, index: int, shown: tuple[str, ...], position: float) -> None:
    """Draw the plane at a place between the layers; a click on it chooses the point to follow."""
    flow = flow_at(subject, index)
    limits = window(subject.settings)

    def clicked(across: float, down: float) -> None:
        place = InsidePicture.coordinates(across, down, limits, appearance())
        if place is None:
            return
        y = torch.tensor([place], dtype=flow.dtype)
        x = plane.lift(flow, y, round(position))[0].tolist()
        if all(math.isfinite(value) and abs(value) <= FARTHEST for value in x):
            page, data = subject.page, subject.settings.source.data
            page.x1[data], page.x2[data] = (round(value, 4) for value in x)

    step = subject.step(subject.weighty(index))
    png = _drawn(subject.key, step, shown, appearance(), round(position, 2), point(subject),
                 subject, index)
    names = [s.name for s in steps(subject)]
    clickable(png, f"The plane after {position:.0f} of {len(names)} layers, with the point that is "
              "followed; bars of every layer's log-determinant and the log-density on the way. "
              "Click the plane to follow another point.", f"{subject.page.name}.clickable", clicked)


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
                help="Every layer is written with z for what enters it on the way to the data, and "
                "x for what leaves it; indices are coordinates of the plane.")
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
                 "The coordinate after the layer, drawn over that before it: a line or, of a "
                 "spline, a curve through knots; with the followed point.", CURVE_WIDTH)


def _point(subject: Subject, seen: plane.Probe | str) -> None:
    page, data = subject.page, subject.settings.source.data
    for column, x, label in zip(st.columns(2), (page.x1, page.x2), ("x₁", "x₂"), strict=True):
        column.number_input(
            f"Point to follow, {label}", -FARTHEST, FARTHEST, step=0.05, format="%.3f",
            **x.tie(data), help="In data units; or click the plane in the picture. The dark path "
            "is its way, and the outline what a small circle around its latent becomes: the "
            "Jacobian's ellipse.")
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
