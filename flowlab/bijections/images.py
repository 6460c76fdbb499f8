r"""Layers for images: couplings by channels and by checkerboard, learned priors, logit.

Their inputs have shape ``(batch, channels, height, width)``. Images are normalised by `ActNorm` and
`BatchNorm` of shape ``(channels, 1, 1)``, with one scale for each channel.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flowlab.bijections.bijection import Bijection
from flowlab.bijections.linear import Linear
from flowlab.bijections.networks import ZeroConv, with_class

#: A function that makes a network from its numbers of input and output channels.
Network = Callable[[int, int], nn.Module]


class ImageCoupling(Bijection):
    r"""RealNVP's affine coupling on images: :math:`x_b = z_b \odot e^{s(z_a)} + t(z_a)`.

    RealNVP, eqs. 7 and 8; the log-scale is bounded as in
    `flowlab.bijections.coupling.AffineCoupling`, and the log-determinant is its sum over channels
    and pixels. Subclasses define the halves ``a`` and ``b``.
    """

    bound: float
    classes = 0  # their one-hot vector is part of the network's input, as channels

    def scale_and_shift(self, out: Tensor) -> tuple[Tensor, Tensor]:
        r"""Log-scale :math:`s = c \tanh(\hat s / c)` and shift, from the network's output."""
        raw, shift = out.chunk(2, 1)
        return self.bound * torch.tanh(raw / self.bound), shift


class ChannelCoupling(ImageCoupling):
    """A coupling whose halves are the first and the last channels (RealNVP, section 3.4).

    Parameters
    ----------
    channels : int
        At least 2.
    flip : bool
        Which half changes: the second, or with ``flip`` the first.
    network : callable
        Makes the conditioner from its numbers of input and output channels.
    bound : float
        Bound of the log-scale, in nats.
    classes : int
        Number of classes whose one-hot vector is part of the network's input, as channels.
    """

    def __init__(self, channels: int, flip: bool, network: Network, bound: float = 2.0,
                 classes: int = 0) -> None:
        super().__init__()
        self.flip, self.cut, self.bound, self.classes = flip, channels // 2, bound, classes
        kept = channels - self.cut if flip else self.cut
        self.network = network(kept + classes, 2 * (channels - kept))

    def halves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The half that is kept, and the half that changes."""
        first, second = x.tensor_split([self.cut], 1)
        return (second, first) if self.flip else (first, second)

    def merge(self, kept: Tensor, changed: Tensor) -> Tensor:
        """Both halves back in their places."""
        return torch.cat([changed, kept] if self.flip else [kept, changed], 1)

    def conditions(self, kept: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Log-scale and shift of the half that changes."""
        return self.scale_and_shift(self.network(with_class(kept, context, self.classes)))

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        kept, changed = self.halves(z)
        log_scale, shift = self.conditions(kept, context)
        return (self.merge(kept, changed * log_scale.exp() + shift),
                log_scale.flatten(1).sum(1))

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        kept, changed = self.halves(x)
        log_scale, shift = self.conditions(kept, context)
        return (self.merge(kept, (changed - shift) * (-log_scale).exp()),
                -log_scale.flatten(1).sum(1))


class CheckerboardCoupling(ImageCoupling):
    """A coupling whose halves are the black and the white fields of a checkerboard.

    RealNVP, section 3.4 and eq. 9: ``b`` is the mask of what is kept.

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
        super().__init__()
        channels, height, width = shape
        fields = (torch.arange(height)[:, None] + torch.arange(width)) % 2
        self.bound, self.classes = bound, classes
        self.register_buffer("mask", (fields == int(flip)).float(), persistent=False)
        self.network = network(channels + classes, 2 * channels)

    def conditions(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Log-scale and shift, both 0 on the fields that are kept."""
        kept = with_class(x * self.mask, context, self.classes)
        log_scale, shift = self.scale_and_shift(self.network(kept))
        return log_scale * (1 - self.mask), shift * (1 - self.mask)

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        log_scale, shift = self.conditions(z, context)
        return z * log_scale.exp() + shift, log_scale.flatten(1).sum(1)

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        log_scale, shift = self.conditions(x, context)
        return (x - shift) * (-log_scale).exp(), -log_scale.flatten(1).sum(1)


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


class TopPrior(ImageCoupling):
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
        self.bound = bound
        self.table = nn.Parameter(torch.zeros(max(1, classes), 2 * channels, height, width))

    def entries(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Log-scale and mean of every point."""
        rows = (self.table.expand(x.shape[0], -1, -1, -1) if context is None
                else self.table[context.long()])
        return self.scale_and_shift(rows)

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        log_scale, mean = self.entries(z, context)
        return z * log_scale.exp() + mean, log_scale.flatten(1).sum(1)

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        log_scale, mean = self.entries(x, context)
        return (x - mean) * (-log_scale).exp(), -log_scale.flatten(1).sum(1)


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
