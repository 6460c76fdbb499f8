"""Chooses the width of a flow's networks for a given number of parameters."""

from typing import Any

from flowlab.flow import Flow
from flowlab.settings import FlowSettings
from flowlab.training.metrics import parameter_count

MAX_WIDTH = 1024  # units in a hidden layer


def fitted(model: type[Flow], settings: Any, parameters: int) -> tuple[int, ...]:
    """Equal widths of the hidden layers with which a flow is nearest to a number of parameters.

    Raises
    ------
    ValueError
        When even the smallest or the largest network is more than a tenth away.
    """
    depth, low, high = len(settings.hidden), 0, 1
    while high < MAX_WIDTH and parameter_count(_sized(settings, high, depth)) < parameters:
        low, high = high, min(2 * high, MAX_WIDTH)
    while high - low > 1:
        middle = (low + high) // 2
        if parameter_count(_sized(settings, middle, depth)) < parameters:
            low = middle
        else:
            high = middle
    sizes = {w: parameter_count(_sized(settings, w, depth)) for w in (low, high) if w > 0}
    width = min(sizes, key=lambda w: abs(sizes[w] - parameters))
    if abs(sizes[width] - parameters) > 0.1 * parameters:
        raise ValueError(
            f"{model.__name__} cannot have about {parameters:,} parameters with these settings; the"
            f" nearest is {sizes[width]:,}. Ask for another number, or change its layers.")
    return (width,) * depth


def _sized(settings: FlowSettings, width: int, depth: int) -> FlowSettings:
    return settings.model_copy(update={"hidden": (width,) * depth})
