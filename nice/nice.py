"""NICE, arXiv 1410.8516."""

import math
from typing import Literal

from flowlab.bijections import FLAT, AdditiveCoupling, Scaling, at
from flowlab.bijections.bijection import Bijection
from flowlab.flow import Flow
from flowlab.settings import CouplingSettings, setting


class NICESettings(CouplingSettings):
    """Settings of NICE."""

    couplings: int = setting(
        16, "Couplings", "Number of additive coupling layers; each shifts one half of the "
        "coordinates by an amount computed from the other half.", group="Model", ge=1, le=64)
    base: Literal["normal", "logistic"] = setting(
        "logistic", "Base distribution", "The simple distribution that the flow transforms.",
        group="Model")


class NICE(Flow):
    r"""Additive couplings, then a learned diagonal scaling (NICE, sections 3.2 and 3.3).

    In the normalising direction the couplings come first and the scaling last:
    :math:`z = e^{s} \odot (f_K \circ \dots \circ f_1)(x)`. A coupling has determinant 1, and the
    scaling stretches each axis by a factor of its own, so the whole flow has one
    :math:`\log|\det \partial x / \partial z| = -\sum_i s_i` everywhere: it can deform the base
    distribution, but cannot change the values of its density.

    The base is logistic, as in the paper's experiments. The default is sixteen couplings, where the
    paper uses four for images: in the plane they are cheap, and more of them give a finer map.
    Images are flattened; the halves are the odd and the even pixels (section 5.1).

    Parameters
    ----------
    event_shape : tuple of int
        ``(features,)``, at least 2; or ``(channels, height, width)``.
    **settings
        Fields of `NICESettings`.

    Examples
    --------
    >>> import torch
    >>> flow = NICE(event_shape=(2,), couplings=4)
    >>> x, log_det = flow.forward(torch.zeros(3, 2))
    >>> x.shape, log_det.shape
    (torch.Size([3, 2]), torch.Size([3]))
    """

    Settings = NICESettings

    def build(self, settings: NICESettings) -> list[Bijection]:
        features = math.prod(settings.event_shape)
        layers = [Scaling((features,)),
                  *(AdditiveCoupling(features, i % 2 == 1, settings.hidden, settings.activation,
                                     settings.classes) for i in range(settings.couplings))]
        return at(FLAT, *layers) if settings.is_image else layers
