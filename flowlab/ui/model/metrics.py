"""The row of numbers above a run's picture, each with its meaning."""

import math

import streamlit as st

from flowlab.data import Source
from flowlab.training import Moment
from flowlab.training.metrics import bits_per_dimension

MINUTE = 60
WIDTHS = (10, 8.6, 8.8, 9.6, 9.4, 9)  # of the columns


def draw_metrics(moment: Moment | None, begun: bool, source: Source, active: bool) -> None:
    """Draw the row.

    Parameters
    ----------
    moment : Moment or None
        Of a frame; None before the first.
    begun : bool
        Whether they are of a run, and not of the flow that the page opens with.
    source : Source
        What the flow learns.
    active : bool
        Whether the run may still change.
    """
    rate = left = None  # as where it diverged in its first epoch
    if moment and begun and moment.seconds and moment.step:
        rate = moment.step / moment.seconds
        left = (moment.steps - moment.step) / rate
    if left and not active:  # it ended before its last epoch
        left = None

    kl, test, train, error = (
        getattr(moment, name, None) for name in ("kl", "test_nll", "train_nll", "inverse_error"))
    shown = _bits(test, train, source) if source.kind == "images" else [
        ("KL to the truth", number(kl, "nats"), "How far the learned density is from "
         "the true one: the mean of log p − log q over test points. 0 nats would be perfect."),
        ("Test NLL", number(test, "nats"), "Negative log-likelihood of "
         "points the flow was not trained on, averaged, in nats. It can be negative, since "
         "densities can exceed 1; divided by D ln 2 it is in bits per dimension. The best possible "
         "value is the dashed line in the plot, the same points' NLL under their true density."),
        ("Train NLL", number(train, "nats"), "The same for "
         "a fixed part of the points that the flow was trained on."),
    ]
    shown += [
        ("Inverse error", "–" if error is None else f"{error:.0e}", "The largest "
         "distance between a test point and what comes back after going to the latent space and "
         "back, in data units. Exact arithmetic would give 0."),
        ("Speed", "–" if rate is None else f"{rate:,.0f} steps/s", "Optimiser steps per second, "
         "without the time spent on pictures."),
        ("Time left", "–" if left is None else _duration(left), "Until the end of the training, "
         "at this speed."),
    ]
    for column, (label, value, help_text) in zip(st.columns(WIDTHS), shown, strict=True):
        column.metric(label, value, help=help_text)


def _bits(test: float | None, train: float | None, images: Source) -> list[tuple[str, str, str]]:
    """The first metrics of a flow on images."""
    def bits(nats: float | None) -> str:
        return number(nats and bits_per_dimension(nats, images.event_shape), "bits")

    return [
        ("Test bits/dim", bits(test), "Bits per dimension on images the flow was not "
         "trained on: the cost of encoding one pixel with this model. It is an upper bound on the "
         f"bits of the model of whole grey levels; lower is better. An image without any pattern "
         f"takes {math.log2(images.grey_levels):.2f}."),
        ("Train bits/dim", bits(train), "The same on a fixed part of the images that the "
         "flow was trained on. Where it is far below the test value, the flow memorises."),
        ("Test NLL", number(test, "nats"), "Negative log-"
         "likelihood of a whole test image, averaged, in nats; divided by the number of pixels "
         "times ln 2 it is in bits per dimension."),
    ]


def number(value: float | None, unit: str) -> str:
    """The value with its unit, or a dash; large ones, of images, have no room for decimals."""
    return "–" if value is None else f"{value:{',.0f' if abs(value) >= 1000 else '.3f'}} {unit}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), MINUTE)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
