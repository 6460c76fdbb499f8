r"""Layers for images: couplings by channels and by checkerboard, learned priors, logit.

Their inputs have shape ``(batch, channels, height, width)``. Images are normalised by `ActNorm` and
`BatchNorm` of shape ``(channels, 1, 1)``, with one scale for each channel.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flowlab.bijections.bijection import Bijection
from flowlab.bijections.coupling import Coupling, HalvesCoupling, Network
from flowlab.bijections.inner import Affine
from flowlab.bijections.linear import Linear
from flowlab.bijections.networks import ZeroConv


class ChannelCoupling(HalvesCoupling):
    """RealNVP's affine coupling of the first and the last channels (RealNVP, section 3.4).

    Parameters
    ----------
    channels : int
        At least 2.
    flip, network, classes
        As for `flowlab.bijections.coupling.HalvesCoupling`.
    bound : float
        Bound of the log-scale in nats, see `flowlab.bijections.inner.Affine`.
    """

    def __init__(self, channels: int, flip: bool, network: Network, bound: float = 2.0,
                 classes: int = 0) -> None:
        super().__init__(channels, flip, network, Affine(bound), classes)


class CheckerboardCoupling(Coupling):
    """An affine coupling whose halves are the black and the white fields of a checkerboard.

    RealNVP, section 3.4 and eq. 9: ``b`` is the mask of what is kept. There the inner map's
    parameters are 0, so it is the identity.

    Parameters
    ----------
    shape : sequence of int
        ``(channels, height, width)``.
    flip : bool
        Which fields change: those where row plus column is odd, or with ``flip`` even.
    network, bound, classes
        As for `ChannelCoupling`.
    """

    mask: Tensor

    def __init__(self, shape: Sequence[int], flip: bool, network: Network, bound: float = 2.0,
                 classes: int = 0) -> None:
        channels, height, width = shape
        inner = Affine(bound)
        super().__init__(network(channels + classes, inner.outputs * channels), inner, classes)
        fields = (torch.arange(height)[:, None] + torch.arange(width)) % 2
        self.register_buffer("mask", (fields == int(flip)).float(), persistent=False)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x * self.mask, x

    def merge(self, kept: Tensor, changed: Tensor) -> Tensor:
        return changed

    def conditions(self, kept: Tensor, context: Tensor | None = None) -> Tensor:
        return super().conditions(kept, context) * (1 - self.mask)


class FactorOut(ChannelCoupling):
    r"""The learned prior of the factored-out half, given the other half (Glow, section 3).

    Where the flow has classes, it is given the class as well.

    In Glow's code the factored-out half :math:`b` has the prior
    :math:`\mathcal N(b; \mu(a), e^{2s(a)})`, with :math:`\mu` and :math:`s` from a convolution
    that starts at zero. Written as a coupling, :math:`z_b = (b - \mu(a)) \odot e^{-s(a)}`, it maps
    this half to a standard normal, as the base distribution is.

    Parameters
    ----------
    channels, bound, classes
        As for `ChannelCoupling`.
    """

    def __init__(self, channels: int, bound: float = 2.0, classes: int = 0) -> None:
        super().__init__(channels, False, ZeroConv, bound, classes)


class TopPrior(Bijection):
    r"""The learned prior of the deepest scale, as a bijection: :math:`z = (x - \mu_y) e^{-s_y}`.

    It has a mean and a log-scale for every entry, and where the flow has classes, for every class
    :math:`y` (Glow, section 3; ``prior`` in its code). It starts as the identity.

    Parameters
    ----------
    shape : sequence of int
        ``(channels, height, width)``.
    classes : int
        Number of classes; 0 for a single prior.
    bound : float
        Bound of the log-scale, in nats.
    """

    def __init__(self, shape: Sequence[int], classes: int = 0, bound: float = 2.0) -> None:
        super().__init__()
        channels, height, width = shape
        self.inner = Affine(bound)
        self.table = nn.Parameter(
            torch.zeros(max(1, classes), self.inner.outputs * channels, height, width))

    def rows(self, x: Tensor, context: Tensor | None) -> Tensor:
        """The inner map's parameters for every point."""
        if context is None:
            return self.table.expand(x.shape[0], -1, -1, -1)
        return self.table[context.long()]

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x, log_slope = self.inner.forward(z, self.rows(z, context))
        return x, log_slope.flatten(1).sum(1)

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, log_slope = self.inner.inverse(x, self.rows(x, context))
        return z, log_slope.flatten(1).sum(1)


class Convolution1x1(Linear):
    r"""Glow's invertible 1×1 convolution: `Linear` on the channels of every pixel.

    .. math:: z_{:,i,j} = W x_{:,i,j}, \qquad
              \log\left|\det\frac{\partial x}{\partial z}\right| = -h \, w \sum_i \log|s_i|

    Glow, section 3.2, with the same :math:`W = P L (U + \operatorname{diag}(s))`.
    """

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x, log_det = super().forward(_pixels(z))
        return _images(x, z), self._per_image(log_det, z)

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, log_det = super().inverse(_pixels(x))
        return _images(z, x), self._per_image(log_det, x)

    @staticmethod
    def _per_image(log_det: Tensor, x: Tensor) -> Tensor:
        return log_det[:1].expand(x.shape[0]) * (x.shape[2] * x.shape[3])


def _pixels(x: Tensor) -> Tensor:
    """``(batch, c, h, w)`` as ``(pixels, c)``."""
    return x.movedim(1, 3).flatten(0, 2)


def _images(pixels: Tensor, like: Tensor) -> Tensor:
    batch, _, height, width = like.shape
    return pixels.unflatten(0, (batch, height, width)).movedim(3, 1)


class Logit(Bijection):
    r"""RealNVP's preprocessing of pixels that have the values 0 to :math:`n - 1`, and noise in
    [0, 1) added.

    .. math:: y = \alpha + (1 - 2\alpha)\frac{x}{n}, \qquad z = \log\frac{y}{1 - y}, \qquad
              \log\left|\frac{\partial x}{\partial z}\right|
              = \log y + \log(1 - y) - \log\frac{1 - 2\alpha}{n}

    (RealNVP, section 4.1.) It maps the interval to the whole line, so the flow's samples are in
    the range of pixels. Outside [0, n] the map continues along its tangent, so it is a bijection
    of all real numbers, and never gives NaN.

    Parameters
    ----------
    levels : int
        The number n of values of a pixel.
    alpha : float
        Distance of the ends of the interval from 0 and 1.
    """  # noqa: D205

    def __init__(self, levels: int, alpha: float = 0.05) -> None:
        super().__init__()
        self.levels, self.alpha = levels, alpha
        end = torch.tensor(1 - alpha, dtype=torch.float64, device="cpu")
        #: The end of the curve in z, and its slope dz/dy there.
        self.end, self.slope = float(end.logit()), float(1 / (end * (1 - end)))

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        inner = z.clamp(-self.end, self.end)
        beyond = z - inner
        y = inner.sigmoid() + beyond / self.slope
        log_slope = torch.where(beyond == 0, F.logsigmoid(inner) + F.logsigmoid(-inner),
                                -math.log(self.slope))
        x = (y - self.alpha) * (self.levels / (1 - 2 * self.alpha))
        return x, (log_slope - self._log_factor).flatten(1).sum(1)

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        y = self.alpha + x * ((1 - 2 * self.alpha) / self.levels)
        inner = y.clamp(self.alpha, 1 - self.alpha)
        z = inner.logit() + (y - inner) * self.slope
        log_slope = -inner.log() - torch.log1p(-inner)
        return z, (log_slope + self._log_factor).flatten(1).sum(1)

    @property
    def _log_factor(self) -> float:
        return math.log((1 - 2 * self.alpha) / self.levels)
