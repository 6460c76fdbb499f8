"""Pictures of the plane between the layers of a flow, one by one or of a whole layer."""

import threading
from collections.abc import Generator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from flowlab.analysis import plane
from flowlab.analysis.equations import describe
from flowlab.analysis.grid import grid_points
from flowlab.figures import InsidePicture
from flowlab.flow import Flow
from flowlab.live.cameras import SHOWN, PlaneCamera
from flowlab.live.drawing import Drawing, flow_of
from flowlab.live.watch import borrow, give_back
from flowlab.settings import RunSettings

PARTS = 8  # pictures from one layer to the next, while the layers play
GRID = 160  # cells along a side of a density's picture
RADIUS = 0.25  # of the circle around the latent that becomes the ellipse, in latent units


@lru_cache(12)
def _picture(limits: tuple[float, ...], names: tuple[str, ...], highest: float, known: bool,
             theme: str, back: bool) -> tuple[InsidePicture, threading.Lock]:
    return (InsidePicture(limits, names, highest, known=known, back=back, theme=theme),
            threading.Lock())


def look(flow: Flow, point: tuple[float, float]) -> plane.Probe | str:
    """The point seen through the flow, or the sentence that says why it cannot be."""
    try:
        return plane.probe(flow, point)
    except ValueError as error:
        return str(error)


class LayersCamera:
    """Takes pictures of the plane between the layers of one flow.

    Parameters
    ----------
    flow : Flow
    camera : PlaneCamera
        That of its training.

    Attributes
    ----------
    passage : Passage
        Points, grid and log-determinants between the layers.
    """

    def __init__(self, flow: Flow, camera: PlaneCamera) -> None:
        self.flow, self.source = flow, camera.source
        z = flow.base_sample(SHOWN, torch.Generator().manual_seed(0))
        self.passage = plane.passage(flow, z, camera.data.to(flow.dtype))
        self._scale = camera.picture.field.highest, camera.picture.truth is not None
        self._limits, self._theme = tuple(camera.limits), camera.theme
        self._names = tuple(describe(layer).name for layer in flow.layers)
        self._seen: tuple[tuple[float, float], plane.Probe | str] | None = None
        self._densities: dict[int, np.ndarray] = {}

    def take(self, position: float, point: tuple[float, float], overlays: tuple[str, ...],
             back: bool = False) -> bytes:
        """Draw the plane at a place between the layers as PNG, with a data point to follow.

        The point may walk `back` from the data, where its log-density adds up.
        """
        way, stage = self.passage, int(position)
        density = error = None
        if {"density", "contours", "error"} & set(overlays):
            density = self._density(stage)
        if "error" in overlays and stage == len(self._names) and self.source.log_prob is not None:
            error = density - self.source.log_prob(self._grid(stage)).exp().reshape(
                GRID, GRID).numpy()
        seen = self.look(point)
        followed: dict[str, Any] = {}
        if isinstance(seen, plane.Probe):
            followed = {"probe": seen.path, "probe_log_dets": seen.log_dets,
                        "probe_log_density": seen.log_density, "probe_added": seen.added}
            if stage == position:
                followed["outline"] = plane.ellipse(seen.path[stage], seen.jacobians[stage], RADIUS)
        picture, lock = _picture(self._limits, self._names, *self._scale, self._theme, back)
        with lock:
            if picture.overlays != overlays:
                picture.show_overlays(overlays)
            picture.move(position, samples=way.samples, data=way.data, grid=way.grid,
                         log_dets=way.log_dets, log_density=way.log_density, density=density,
                         error=error, windows=way.windows, **followed)
            return picture.png()

    def look(self, point: tuple[float, float]) -> plane.Probe | str:
        """As `look`; the last point is kept."""
        last = self._seen
        if last is None or last[0] != point:
            last = self._seen = point, look(self.flow, point)
        return last[1]

    def _grid(self, stage: int) -> torch.Tensor:
        return torch.as_tensor(grid_points(self.passage.windows[stage].tolist(), GRID))

    def _density(self, stage: int) -> np.ndarray:
        if stage not in self._densities:
            points = self._grid(stage).to(self.flow.dtype)
            found = plane.density_at(self.flow, points, stage)
            self._densities[stage] = found.reshape(GRID, GRID).numpy()
        return self._densities[stage]


@dataclass(frozen=True)
class LayerDrawing:
    """The pictures of one layer to draw.

    Attributes
    ----------
    drawing : Drawing
        The flow, the theme and the overlays.
    passed : int
        How many layers are passed before it.
    point : tuple of float
        The data point that is followed.
    back : bool
        Whether it walks back from the data.
    """

    drawing: Drawing
    passed: int
    point: tuple[float, float]
    back: bool = False


def draw_layer(asked: LayerDrawing) -> Generator[None, None, tuple[bytes, ...]]:
    """Draw the plane at `PARTS` places on the way through a layer; a job for an `Engine`."""
    yield
    drawing = asked.drawing
    layers = _layers(drawing.model, drawing.settings, drawing.theme,  # type: ignore[arg-type]
                     drawing.weights)
    return tuple(layers.take(asked.passed + part / PARTS, asked.point, drawing.overlays,
                              asked.back)
                 for part in range(PARTS))


@lru_cache(16)
def _layers(model: type[Flow], settings: RunSettings, theme: str, weights: bytes) -> LayersCamera:
    camera = borrow(settings, theme)
    assert isinstance(camera, PlaneCamera)
    layers = LayersCamera(flow_of(model, settings, weights, camera), camera)
    give_back(settings, camera)
    return layers
