r"""Coupling layers: one half passes through unchanged and conditions the map of the other.

With the event split into ``a`` and ``b``, ``x_a = z_a`` and ``x_b = g(z_b; m(z_a))``. Whatever the
network ``m``, the inverse needs only ``m`` itself, and the Jacobian is triangular.
"""

import math
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from flowlab.bijections.bijection import Bijection
from flowlab.bijections.equations import Step
from flowlab.bijections.inner import Affine, InnerMap, Shift
from flowlab.bijections.networks import MLP, SMOOTH, Start, with_class

#: A function that makes a network from its numbers of inputs and outputs.
Network = Callable[[int, int], nn.Module]


class Coupling(Bijection):
    r"""The base of couplings: a split, a network on the half that is kept, and an inner map.

    .. math:: x_a = z_a, \qquad x_b = g(z_b; m(z_a)), \qquad
              \log\left|\det\frac{\partial x}{\partial z}\right|
              = \sum_i \log\left|\frac{\partial x_{b,i}}{\partial z_{b,i}}\right|

    NICE, section 3.2. A subclass defines the halves by `split` and `merge`.

    Parameters
    ----------
    network : torch.nn.Module
        Computes the inner map's parameters.
    inner : InnerMap
        The map of the half that changes, see `flowlab.bijections.inner`.
    classes : int
        Number of classes whose one-hot vector is part of the network's input, on images as
        channels.
    """

    def __init__(self, network: nn.Module, inner: InnerMap, classes: int = 0) -> None:
        super().__init__()
        self.network, self.inner, self.classes = network, inner, classes

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The half that is kept, and the half that changes."""
        raise NotImplementedError

    def merge(self, kept: Tensor, changed: Tensor) -> Tensor:
        """Both halves back in their places."""
        raise NotImplementedError

    def conditions(self, kept: Tensor, context: Tensor | None = None) -> Tensor:
        """The inner map's parameters, from the half that is kept, and the class if there is one."""
        return self.network(with_class(kept, context, self.classes))

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        kept, changed = self.split(z)
        changed, log_slope = self.inner.forward(changed, self.conditions(kept, context))
        return self.merge(kept, changed), log_slope.flatten(1).sum(1)

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        kept, changed = self.split(x)
        changed, log_slope = self.inner.inverse(changed, self.conditions(kept, context))
        return self.merge(kept, changed), log_slope.flatten(1).sum(1)


class HalvesCoupling(Coupling):
    """A coupling whose halves are the first and the last entries, or the channels of an image.

    For learned maps any fixed split works, and two slices are faster than a mask.

    Parameters
    ----------
    features : int
        Length of a vector, or number of channels; at least 2. The first half has
        ``features // 2`` of them.
    flip : bool
        Which half changes: the second, or with ``flip`` the first. Couplings alternate it, since
        the half that one coupling leaves unchanged must be changed by the next.
    network : callable
        Makes the network from its numbers of inputs and outputs.
    inner, classes
        As for `Coupling`.
    """

    def __init__(self, features: int, flip: bool, network: Network, inner: InnerMap,
                 classes: int = 0) -> None:
        cut = features // 2
        kept, changed = (features - cut, cut) if flip else (cut, features - cut)
        super().__init__(network(kept + classes, inner.outputs * changed), inner, classes)
        first, second = slice(0, cut), slice(cut, features)
        self.kept, self.changed = (second, first) if flip else (first, second)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x[:, self.kept], x[:, self.changed]

    def merge(self, kept: Tensor, changed: Tensor) -> Tensor:
        return torch.cat((kept, changed) if self.kept.start == 0 else (changed, kept), 1)


class VectorCoupling(HalvesCoupling):
    """A coupling on vectors, with a multilayer perceptron.

    Parameters
    ----------
    features, flip, inner, classes
        As for `HalvesCoupling`.
    hidden, activation, start
        As for the network, `flowlab.bijections.networks.MLP`.
    """

    def __init__(self, features: int, flip: bool, hidden: Sequence[int], activation: str,
                 inner: InnerMap, classes: int = 0, start: Start = SMOOTH) -> None:
        super().__init__(features, flip,
                         lambda inputs, outputs: MLP(inputs, hidden, outputs, activation, start),
                         inner, classes)

    def in_the_plane(self) -> tuple[int, int, str]:
        """Of two coordinates the one that is kept, the one that changes, and its direction."""
        a, b = self.kept.start + 1, self.changed.start + 1
        return a, b, "↔" if b == 1 else "↕"


class AdditiveCoupling(VectorCoupling):
    r"""NICE's coupling, which shifts but never scales.

    ==========  =====================================  =================
    direction   map                                    log abs det
    ==========  =====================================  =================
    forward     :math:`x_b = z_b + m(z_a)`             0
    inverse     :math:`z_b = x_b - m(x_a)`             0
    ==========  =====================================  =================

    NICE, eqs. 4 and 5 (section 3.2). It starts near the identity rather than at it, where the
    gradient of the shift vanishes for symmetric data such as circles.

    Parameters
    ----------
    features, flip, hidden, activation, classes
        As for `VectorCoupling`.
    """

    def __init__(self, features: int, flip: bool, hidden: Sequence[int] = (64, 64),
                 activation: str = "relu", classes: int = 0) -> None:
        super().__init__(features, flip, hidden, activation, Shift(), classes)
        last = cast(MLP, self.network).layers[-1].matrix
        nn.init.normal_(last, std=0.15 / math.sqrt(last.shape[1]))

    def equations(self) -> Step:
        a, b, arrow = self.in_the_plane()
        return Step(f"additive coupling {arrow}",
                    rf"x_{b} = z_{b} + m(z_{a}), \quad x_{a} = z_{a}",
                    rf"z_{b} = x_{b} - m(x_{a}), \quad z_{a} = x_{a}", "0")


class AffineCoupling(VectorCoupling):
    r"""RealNVP's coupling, which scales and shifts.

    =========  ==============================================  ===========================
    direction  map                                             log abs det
    =========  ==============================================  ===========================
    forward    :math:`x_b = z_b \odot e^{s(z_a)} + t(z_a)`     :math:`\sum_j s(z_a)_j`
    inverse    :math:`z_b = (x_b - t(x_a)) \odot e^{-s(x_a)}`  :math:`-\sum_j s(x_a)_j`
    =========  ==============================================  ===========================

    RealNVP, eqs. 7 and 8 (section 3.3).

    Parameters
    ----------
    features, flip, hidden, activation, classes, start
        As for `VectorCoupling`.
    bound : float
        Bound of the log-scale in nats, see `flowlab.bijections.inner.Affine`.
    """

    def __init__(self, features: int, flip: bool, hidden: Sequence[int] = (64, 64),
                 activation: str = "relu", classes: int = 0, bound: float = 2.0,
                 start: Start = SMOOTH) -> None:
        super().__init__(features, flip, hidden, activation, Affine(bound), classes, start)

    def equations(self) -> Step:
        a, b, arrow = self.in_the_plane()
        return Step(f"affine coupling {arrow}",
                    rf"x_{b} = z_{b}\,e^{{s(z_{a})}} + t(z_{a}), \quad x_{a} = z_{a}",
                    rf"z_{b} = \bigl(x_{b} - t(x_{a})\bigr)\,e^{{-s(x_{a})}}, \quad "
                    rf"z_{a} = x_{a}", rf"s(z_{a})")
