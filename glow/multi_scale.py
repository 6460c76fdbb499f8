"""Glow for images: its multi-scale architecture."""

from functools import partial
from typing import TYPE_CHECKING

from flowlab.bijections import (
    ActNorm,
    BatchNorm,
    ChannelCoupling,
    Convolution1x1,
    FactorOut,
    TopPrior,
    at,
)
from flowlab.bijections.bijection import Bijection
from flowlab.bijections.networks import ConvNet

if TYPE_CHECKING:
    from glow.glow import GlowSettings


def multi_scale(settings: "GlowSettings") -> list[Bijection]:
    """The layers in generative order (Glow, section 3 and figure 2).

    From data to latent, each level squeezes, takes K steps of normalisation, invertible 1×1
    convolution and affine coupling, and (but for the last) splits off half of the channels, whose
    learned prior is `FactorOut`. The deepest level has a learned prior, one for each class. The
    class also joins the input of every coupling's network and of every prior, which makes samples
    show it; with ``conditioning="top"`` it does not, as in Glow's code.

    Departures from the paper: the scale of a coupling is the exponential of a bounded number, as
    in RealNVP, where Glow's code takes a sigmoid; and pixels go through RealNVP's logit first,
    which learns faster where many of them are black (``logit=False`` leaves it out).

    Parameters
    ----------
    settings : GlowSettings

    Returns
    -------
    list of Bijection
    """
    network = partial(ConvNet, hidden_channels=settings.hidden_channels)
    norms = {"actnorm": [ActNorm], "batchnorm": [BatchNorm], "none": []}
    normalisation = norms[settings.normalisation]
    bound, classes = settings.scale_bound, settings.coupling_classes
    c, h, w = settings.event_shape
    layers: list[Bijection] = []  # in normalising order
    for level in range(settings.levels):
        depth = 2 * level + 1
        c, h, w = 4 * c, h // 2, w // 2
        for _ in range(settings.steps):
            layers += at(depth, *(norm((c, 1, 1)) for norm in normalisation), Convolution1x1(c),
                         ChannelCoupling(c, True, network, bound, classes))
        if level < settings.levels - 1:
            layers += at(depth, FactorOut(c, classes=classes))
            c //= 2
    layers += at(2 * settings.levels - 1, TopPrior((c, h, w), settings.classes))
    return layers[::-1]
