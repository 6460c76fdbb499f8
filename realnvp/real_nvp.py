"""RealNVP, arXiv 1605.08803."""

from functools import partial
from typing import ClassVar, Literal

from flowlab.bijections import (
    ActNorm,
    AffineCoupling,
    BatchNorm,
    ChannelCoupling,
    CheckerboardCoupling,
    FactorOut,
    TopPrior,
    at,
)
from flowlab.bijections.bijection import Bijection
from flowlab.bijections.networks import ResidualNet, start_of
from flowlab.flow import Flow
from flowlab.settings import MultiScaleSettings, setting


class RealNVPSettings(MultiScaleSettings):
    """Settings of RealNVP."""

    couplings: int = setting(
        16, "Couplings", "Number of affine coupling layers; each scales and shifts one half of "
        "the coordinates by amounts computed from the other half.", group="Model", ge=1, le=64)
    masks: Literal["alternating", "fixed"] = setting(
        "alternating", "Masks", "Which half a coupling changes: the two halves in turn, as it "
        "should be; or always the same half, to show why that fails.", group="Model")
    normalisation: Literal["none", "batchnorm"] = setting(
        "none", "Normalisation", "Batch normalisation after every coupling, as a bijection with "
        "moving averages.", group="Model")
    scale_bound: float = setting(
        1.0, "Log-scale bound", "Natural logarithm of the largest factor by which one coupling can "
        "stretch or shrink.", group="Model", unit="nats", ge=0.1, le=10)
    blocks: int = setting(
        2, "Residual blocks", "Number of residual blocks in the network of an image's coupling.",
        group="Images", ge=0, le=32)
    image_normalisation: Literal["batchnorm", "actnorm", "none"] = setting(
        "batchnorm", "Normalisation of images", "The layer after every coupling on images: batch "
        "normalisation as in the paper, ActNorm as in Glow, or none.", group="Images")
    logit: bool = setting(
        True, "Logit", "Whether pixels with grey levels pass through a logit, which keeps samples "
        "within the range of pixel values.", group="Images")

    _points_only: ClassVar[tuple[str, ...]] = (
        *MultiScaleSettings._points_only, "couplings", "masks", "normalisation")
    _more_halvings: ClassVar[int] = -1  # the last scale is not squeezed


class RealNVP(Flow):
    """Affine couplings with alternating halves (RealNVP, sections 3.2 to 3.7).

    Unlike NICE it changes volume, differently at every point. Departures from the paper: batch
    normalisation is off by default for vectors, since standardised data and couplings that start
    at the identity do not need it, and training is faster without it; the log-scale's bound is a
    constant, where the paper learns the factor of its tanh. For images see
    `multi_scale`.

    Parameters
    ----------
    event_shape : tuple of int
        ``(features,)``, at least 2; or ``(channels, height, width)``.
    **settings
        Fields of `RealNVPSettings`.

    Examples
    --------
    >>> import torch
    >>> flow = RealNVP(event_shape=(2,), couplings=8, hidden=(64, 64))
    >>> flow.log_prob(torch.zeros(5, 2)).shape
    torch.Size([5])
    """

    Settings = RealNVPSettings

    def build(self, settings: RealNVPSettings) -> list[Bijection]:
        if settings.is_image:
            return multi_scale(settings)
        features, = settings.event_shape
        start = start_of(settings.activation, settings.couplings)
        layers: list[Bijection] = []
        for i in range(settings.couplings):
            if settings.normalisation == "batchnorm":
                layers.append(BatchNorm(settings.event_shape))
            flip = i % 2 == 1 and settings.masks == "alternating"
            layers.append(AffineCoupling(features, flip, settings.hidden, settings.activation,
                                         settings.classes, settings.scale_bound, start))
        return layers


def multi_scale(settings: RealNVPSettings) -> list[Bijection]:
    """The layers in generative order (RealNVP, section 3.6).

    From data to latent, each scale has three couplings with checkerboard masks, a squeeze, three
    couplings with channel-wise masks, and a split that factors out half of the channels; the last
    scale has four checkerboard couplings and no squeeze.

    Departures from the paper: what is factored out has a learned prior, `FactorOut`, as in Glow
    (it starts as the paper's, a standard normal); and with classes the deepest scale has a prior
    for each, and the class joins the input of every coupling's network and of every prior (not
    with ``conditioning="top"``).

    Parameters
    ----------
    settings : RealNVPSettings

    Returns
    -------
    list of Bijection
    """
    network = partial(ResidualNet, hidden_channels=settings.hidden_channels,
                      blocks=settings.blocks)
    norms: dict[str, list[type[BatchNorm | ActNorm]]] = {
        "batchnorm": [BatchNorm], "actnorm": [ActNorm], "none": []}
    normalisation = norms[settings.image_normalisation]
    bound, classes = settings.scale_bound, settings.coupling_classes
    c, h, w = settings.event_shape
    layers: list[Bijection] = []  # in normalising order
    for level in range(settings.levels):
        last = level == settings.levels - 1
        for i in range(4 if last else 3):
            layers += at(2 * level,
                         CheckerboardCoupling((c, h, w), i % 2 == 1, network, bound, classes),
                         *(norm((c, 1, 1)) for norm in normalisation))
        if not last:
            for i in range(3):
                layers += at(2 * level + 1,
                             ChannelCoupling(4 * c, i % 2 == 1, network, bound, classes),
                             *(norm((4 * c, 1, 1)) for norm in normalisation))
            layers += at(2 * level + 1, FactorOut(4 * c, classes=classes))
            c, h, w = 2 * c, h // 2, w // 2
    if settings.classes:
        layers += at(2 * (settings.levels - 1), TopPrior((c, h, w), settings.classes))
    return layers[::-1]
