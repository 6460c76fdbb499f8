"""What the page has to know of a flow: its layers by name, and their numbers."""

import base64
import copy
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flowlab.bijections.coupling import VectorCoupling
from flowlab.bijections.inner import Affine, InnerMap, Shift
from flowlab.bijections.networks import MLP
from flowlab.bijections.spline import RationalQuadratic
from flowlab.flow import Flow

SAMPLES = 4000  # from which the window is found
#: Of the data, seen in the page: this share of the samples along each axis, and a margin.
SEEN, MARGIN = 0.99, 1.25


def check(flow: Flow) -> None:
    """Raise ValueError for a flow that a page cannot show."""
    if flow.event_shape != (2,):
        raise ValueError("A web page shows flows of the plane, with event_shape (2,); this one has "
                         f"{flow.event_shape}.")


@torch.no_grad()
def layers(flow: Flow) -> tuple[list[dict[str, Any]], np.ndarray, np.ndarray]:
    """The layers in generative order.

    Returns
    -------
    layers : list of dict
        What is fixed.
    affine : numpy.ndarray
        Of every layer that is no coupling, x = A z + b: the rows of A, then b.
    networks : numpy.ndarray
        The weights of all couplings' networks, a row for each output, its bias last.
    """
    facts: list[dict[str, Any]] = []
    affine: list[Tensor] = []
    networks: list[Tensor] = []
    for layer in copy.deepcopy(flow).double().cpu().eval().layers:
        step = layer.equations()
        fact: dict[str, Any] = {"name": step.name if step else type(layer).__name__}
        if isinstance(layer, VectorCoupling):
            network = layer.network
            assert isinstance(network, MLP)
            matrices = [dense.matrix for dense in network.layers]
            networks += [matrix.flatten() for matrix in matrices]
            fact |= {"kept": layer.kept.start, "activation": network.activation,
                     "widths": [matrices[0].shape[1] - 1, *(m.shape[0] for m in matrices)],
                     **_inner(layer.inner)}
        else:
            shift, first, second = layer.forward(torch.eye(3, dtype=torch.float64)[:, 1:])[0]
            affine += [torch.stack([first - shift, second - shift], 1).flatten(), shift]
        facts.append(fact)
    return facts, _joined(affine), _joined(networks)


def _inner(inner: InnerMap) -> dict[str, Any]:
    match inner:
        case Shift():
            return {"inner": "shift"}
        case Affine():
            return {"inner": "affine", "bound": inner.bound}
        case RationalQuadratic():
            return {"inner": "rational_quadratic", "bins": inner.bins, "bound": inner.bound}
    raise ValueError(f"A web page does not know the inner map {type(inner).__name__}.")


def _joined(numbers: list[Tensor]) -> np.ndarray:
    return np.concatenate([n.numpy() for n in numbers]) if numbers else np.empty(0)


@torch.no_grad()
def window(flow: Flow) -> tuple[list[float], list[float]]:
    """A square around most of the samples, [left, bottom, side], and a point amid the data."""
    generator = torch.Generator(flow.device).manual_seed(0)
    classes = flow.settings.classes
    context = torch.arange(SAMPLES, device=flow.device) % classes if classes else None
    x = flow.sample(SAMPLES, context, generator=generator).cpu().double().numpy()
    low, high = np.quantile(x, [1 - SEEN, SEEN], axis=0)
    side = max(MARGIN * float((high - low).max()), 1e-9)
    return [*((low + high - side) / 2).tolist(), side], x[0].tolist()


def moment(label: str, numbers: tuple[np.ndarray, np.ndarray], kind: str) -> dict[str, str]:
    """A moment of the training; the networks' numbers are "float32" or "float16"."""
    affine, networks = numbers
    return {"label": label, "type": kind, "affine": _written(affine, "float64"),
            "networks": _written(networks, kind)}


def _written(numbers: np.ndarray, kind: str) -> str:
    little = np.dtype(kind).newbyteorder("<")
    text = base64.b85encode(numbers.astype(little).tobytes(), pad=True).decode("ascii")
    return text.replace("<", ",")  # which begins no tag, and is no digit


def thinned(items: list, most: int) -> Iterable:
    """At most so many of them, evenly spread, with the first."""
    return items[::max(1, -(-len(items) // max(most, 1)))]
