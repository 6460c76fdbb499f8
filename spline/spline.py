"""Neural spline flows, arXiv 1906.04032."""

from typing import ClassVar, Literal

from flowlab.bijections import Linear
from flowlab.bijections.bijection import Bijection
from flowlab.bijections.spline import SplineCoupling
from flowlab.flow import Flow
from flowlab.settings import CouplingSettings, setting


class SplineSettings(CouplingSettings):
    """Settings of a spline flow."""

    vectors_only: ClassVar[bool] = True

    couplings: int = setting(
        8, "Couplings", "Number of spline coupling layers; each maps one half of the coordinates "
        "by splines computed from the other half.", group="Model", ge=1, le=64)
    bins: int = setting(
        16, "Bins", "Number of pieces of a spline: more of them give one coupling finer detail.",
        group="Model", ge=2, le=64)
    bound: float = setting(
        2.5, "Bound", "The splines are from minus this number to this number, in standard "
        "deviations of the data; outside, a coupling changes nothing.",
        group="Model", ge=1, le=100)
    hidden: tuple[int, ...] = setting(
        (64, 64, 64), "Hidden layers", "Width of each hidden layer of a coupling's network.",
        group="Network", unit="units", fail_fast=True)
    mixing: Literal["learned", "fixed"] = setting(
        "learned", "Mixing", "How the coordinates are mixed between couplings: by a matrix that "
        "each step learns, as in Glow; or not at all, and the couplings change the two halves in "
        "turn, as in RealNVP.", group="Model")


class Spline(Flow):
    r"""Couplings by monotone rational-quadratic splines (Durkan et al., section 3).

    A coupling of RealNVP maps a number along a straight line; here it follows a curve, which one
    network's output puts through any rising sequence of knots. So a single coupling can turn one
    hill of density into many.

    Between the couplings there is a learned linear map, as in the paper; ``mixing="fixed"``
    alternates the halves instead. Departure from the paper: a slope is offset so that a network's
    output of 0, its start, is the identity.

    Parameters
    ----------
    event_shape : tuple of int
        ``(features,)``, at least 2.
    **settings
        Fields of `SplineSettings`.

    Examples
    --------
    >>> flow = Spline(event_shape=(2,), couplings=4, bins=8)
    >>> flow.sample(10).shape
    torch.Size([10, 2])
    """

    Settings = SplineSettings

    def build(self, settings: SplineSettings) -> list[Bijection]:
        features, = settings.event_shape
        learned = settings.mixing == "learned"
        layers: list[Bijection] = []
        for i in range(settings.couplings):
            layers += [SplineCoupling(features, i % 2 == 1 and not learned, settings.hidden,
                                      settings.activation, settings.classes, settings.bins,
                                      settings.bound),
                       *([Linear(features, rotation=False)] if learned else [])]
        return layers
