"""RealNVP for images: its multi-scale architecture."""

from functools import partial
from typing import TYPE_CHECKING

from flowlab.bijections import (
    ActNorm,
    BatchNorm,
    ChannelCoupling,
    CheckerboardCoupling,
    FactorOut,
    TopPrior,
    at,
)
from flowlab.bijections.bijection import Bijection
from flowlab.bijections.networks import ResidualNet

if TYPE_CHECKING:
    from realnvp.real_nvp import RealNVPSettings


def multi_scale(settings: "RealNVPSettings") -> list[Bijection]:
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
    norms = {"batchnorm": [BatchNorm], "actnorm": [ActNorm], "none": []}
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
