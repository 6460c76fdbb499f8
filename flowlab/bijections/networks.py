"""Conditioner networks, which compute the shift and scale of a coupling."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def _tanh(h: Tensor) -> Tensor:
    r"""The tanh as :math:`2\sigma(2h) - 1`, which PyTorch computes twice as fast."""
    return torch.sigmoid(2 * h) * 2 - 1


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu, "leaky_relu": F.leaky_relu, "elu": F.elu, "tanh": _tanh}


class Start(NamedTuple):
    r"""Where the units of an `MLP` start to bend, and how sharply.

    The data have a standard deviation of about 1.

    Attributes
    ----------
    reach, hidden_reach : float
        Maximum distance from the origin to the hyperplanes :math:`w \cdot h + b = 0` of the units,
        in the first layer and in the others.
    steepness : float
        Factor on He's standard deviation of the first layer's weights.
    """

    reach: float
    hidden_reach: float
    steepness: float


SMOOTH, STEEP = Start(2.5, 0.1, 1.0), Start(2.0, 0.5, 2.0)
MANY = 8  # couplings


def start_of(activation: str, couplings: int) -> Start:
    """The start with which affine couplings learn best: steep for `MANY` of them with tanh.

    Neither tanh nor an affine map has edges of its own. A few couplings do not need them: they have
    to bend what is smooth first.
    """
    return STEEP if activation == "tanh" and couplings >= MANY else SMOOTH


class Dense(nn.Module):
    r"""An affine map :math:`h \mapsto W h + b`, stored as one matrix ``(W b)``.

    One matrix needs one product, one gradient and one Adam update; ``matrix`` has shape
    ``(out_features, in_features + 1)``, with the bias as its last column. The weights are
    initialised uniformly, with He's standard deviation for rectified units times ``steepness``.

    Parameters
    ----------
    in_features, out_features : int
    reach : float or None
        The hyperplane of each unit starts at a distance from the origin drawn uniformly up to
        ``reach``. (With zero biases, the activations of a network with one input would all change
        at 0.) None initialises weights and biases to zero.
    steepness : float
    """

    def __init__(self, in_features: int, out_features: int, reach: float | None,
                 steepness: float = 1.0) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.zeros(out_features, in_features + 1))
        if reach is not None:
            with torch.no_grad():
                bound = steepness * math.sqrt(6 / in_features)
                weight = self.matrix[:, :-1].uniform_(-bound, bound)
                self.matrix[:, -1].uniform_(-reach, reach).mul_(weight.norm(dim=1))

    def forward(self, h: Tensor) -> Tensor:
        """``(batch, in_features)`` to ``(batch, out_features)``."""
        return F.linear(h, self.matrix[:, :-1], self.matrix[:, -1])


class MLP(nn.Module):
    """A multilayer perceptron whose last layer starts at zero.

    The coupling it conditions therefore starts as the identity (Glow, section 3.3).

    Parameters
    ----------
    in_features, out_features : int
    hidden : sequence of int
        Widths of the hidden layers.
    activation : str
        A name in ``ACTIVATIONS``.
    start : Start
    """

    def __init__(self, in_features: int, hidden: Sequence[int], out_features: int,
                 activation: str = "relu", start: Start = SMOOTH) -> None:
        super().__init__()
        self.layers = cast(Sequence[Dense], nn.ModuleList((
            Dense(in_features, hidden[0], start.reach, start.steepness),
            *(Dense(a, b, start.hidden_reach) for a, b in pairwise(hidden)),
            Dense(hidden[-1], out_features, None))))
        self.activation = activation

    def forward(self, h: Tensor) -> Tensor:
        """``(batch, in_features)`` to ``(batch, out_features)``."""
        *hidden, last = self.layers
        for layer in hidden:
            h = ACTIVATIONS[self.activation](layer(h))
        return last(h)


def with_class(h: Tensor, context: Tensor | None, classes: int) -> Tensor:
    """Append the one-hot vector of each point's class to a network's input as further features.

    For images these are channels, constant over pixels. With ``classes`` 0, return ``h``.
    """
    if not classes:
        return h
    assert context is not None
    one_hot = torch.eye(classes, dtype=h.dtype, device=h.device)[context.long()]
    one_hot = one_hot.reshape(*one_hot.shape, *(1 for _ in h.shape[2:]))
    return torch.cat([h, one_hot.expand(-1, -1, *h.shape[2:])], 1)


class ConvNet(nn.Module):
    """Glow's conditioner: 3×3, 1×1 and 3×3 convolutions with ReLU between (Glow, section 4).

    The last convolution starts at zero, so the coupling starts as the identity (Glow, section 3.3).

    Parameters
    ----------
    in_channels, out_channels : int
    hidden_channels : int
    """

    def __init__(self, in_channels: int, out_channels: int, hidden_channels: int = 64) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, hidden_channels, 3, padding=1)
        self.middle = nn.Conv2d(hidden_channels, hidden_channels, 1)
        self.last = ZeroConv(hidden_channels, out_channels)

    def forward(self, h: Tensor) -> Tensor:
        """``(batch, in_channels, height, width)`` to ``(batch, out_channels, height, width)``."""
        return self.last(torch.relu(self.middle(torch.relu(self.first(h)))))


class ZeroConv(nn.Conv2d):
    """A 3×3 convolution that starts at zero.

    Parameters
    ----------
    in_channels, out_channels : int
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1)
        assert self.bias is not None
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)


class WeightNormed(nn.Module):
    r"""A convolution whose weights are a direction times a learned length, :math:`g \, v / \|v\|`.

    RealNVP uses weight normalisation (Salimans and Kingma, 2016) in all its networks. PyTorch's
    implementation creates classes at run time, which cannot be pickled; the names of the parameters
    are the same.

    Parameters
    ----------
    in_channels, out_channels : int
    size : int
        Height and width of the kernel, an odd number.
    """

    def __init__(self, in_channels: int, out_channels: int, size: int) -> None:
        super().__init__()
        start = nn.Conv2d(in_channels, out_channels, size)
        length = start.weight.detach().flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        self.bias = start.bias
        self.parametrizations = nn.ModuleDict({"weight": nn.ParameterDict({
            "original0": nn.Parameter(length), "original1": start.weight})})

    def forward(self, h: Tensor) -> Tensor:
        """``(batch, in_channels, height, width)`` to ``(batch, out_channels, height, width)``."""
        length, direction = cast(nn.ParameterDict, self.parametrizations["weight"]).values()
        norm = direction.flatten(1).norm(dim=1).view_as(length)
        return F.conv2d(h, direction * (length / norm), self.bias, padding="same")


class ResidualBlock(nn.Module):
    """Two weight-normed 3×3 convolutions beside a skip connection.

    Parameters
    ----------
    channels : int
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = WeightNormed(channels, channels, 3)
        self.second = WeightNormed(channels, channels, 3)

    def forward(self, h: Tensor) -> Tensor:
        """``(batch, channels, height, width)`` to the same shape."""
        return h + self.second(torch.relu(self.first(torch.relu(h))))


class ResidualNet(nn.Module):
    """RealNVP's conditioner: a residual network with weight normalisation (RealNVP, section 3.7).

    As in the paper, every block has a skip connection to the output. The paper's batch
    normalisation inside the network is left out: with it, a sample's density would depend on the
    other samples of its batch.

    Parameters
    ----------
    in_channels, out_channels : int
    hidden_channels : int
    blocks : int
    """

    def __init__(self, in_channels: int, out_channels: int, hidden_channels: int = 32,
                 blocks: int = 2) -> None:
        super().__init__()
        self.first = WeightNormed(in_channels, hidden_channels, 3)
        self.blocks = nn.ModuleList(ResidualBlock(hidden_channels) for _ in range(blocks))
        self.skips = nn.ModuleList(WeightNormed(hidden_channels, hidden_channels, 1)
                                   for _ in range(blocks + 1))
        self.last = ZeroConv(hidden_channels, out_channels)

    def forward(self, h: Tensor) -> Tensor:
        """``(batch, in_channels, height, width)`` to ``(batch, out_channels, height, width)``."""
        h = self.first(h)
        out = self.skips[0](h)
        for block, skip in zip(self.blocks, self.skips[1:], strict=True):
            h = block(h)
            out = out + skip(h)
        return self.last(torch.relu(out))
