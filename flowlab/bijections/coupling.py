r"""Coupling layers: one half passes through unchanged and conditions the map of the other.

With the event split into ``a`` and ``b``, ``x_a = z_a`` and ``x_b = g(z_b; m(z_a))``. Whatever the
network ``m``, the inverse needs only ``m`` itself, and the Jacobian is triangular.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from flowlab.bijections.bijection import Bijection
from flowlab.bijections.equations import Step
from flowlab.bijections.networks import MLP, with_class


class Coupling(Bijection):
    """The base of couplings: the split into halves, and the network on the unchanged half.

    Parameters
    ----------
    features : int
        Length of a vector, at least 2. The halves are its first ``features // 2`` entries and the
        rest: for learned maps any fixed split works, and two slices are faster than a mask.
    flip : bool
        Which half changes: the second, or with ``flip`` the first. Couplings alternate it, since
        the half that one coupling leaves unchanged must be changed by the next.
    hidden, activation
        As for the network, `flowlab.bijections.networks.MLP`.
    classes : int
        Number of classes whose one-hot vector is part of the network's input.
    """

    outputs = 1  # number of outputs of the network for each entry of the changed half

    def __init__(self, features: int, flip: bool, hidden: Sequence[int] = (64, 64),
                 activation: str = "relu", classes: int = 0) -> None:
        super().__init__()
        half = features // 2
        first, second = slice(0, half), slice(half, features)
        self.kept, self.changed = (second, first) if flip else (first, second)
        kept, changed = (features - half, half) if flip else (half, features - half)
        self.classes = classes
        self.network = MLP(kept + classes, hidden, self.outputs * changed, activation)
        #: Couplings of the same kind differ only in weights and in the half that they keep.
        self.kind: tuple = (type(self), kept, changed, classes, tuple(hidden), activation)

    def condition(self, kept: Tensor, context: Tensor | None) -> Tensor:
        """The network's input: the kept half, and the class where there is one."""
        return with_class(kept, context, self.classes)

    def merge(self, kept: Tensor, changed: Tensor) -> Tensor:
        """Both halves back in their places."""
        parts = (kept, changed) if self.kept.start == 0 else (changed, kept)
        return torch.cat(parts, 1)

    def in_the_plane(self) -> tuple[int, int, str]:
        """Of two coordinates the one that is kept, the one that changes, and its direction."""
        a, b = self.kept.start + 1, self.changed.start + 1
        return a, b, "↔" if b == 1 else "↕"

    def scale_and_shift(self, kept: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Log-scale and shift of the changed half, each ``(batch, changed)``."""
        raise NotImplementedError

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        kept, changed = z[:, self.kept], z[:, self.changed]
        log_scale, shift = self.scale_and_shift(kept, context)
        return self.merge(kept, changed * log_scale.exp() + shift), log_scale.sum(1)

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        kept, changed = x[:, self.kept], x[:, self.changed]
        log_scale, shift = self.scale_and_shift(kept, context)
        return self.merge(kept, (changed - shift) * (-log_scale).exp()), -log_scale.sum(1)


class AdditiveCoupling(Coupling):
    r"""NICE's coupling, which shifts but never scales.

    ==========  =====================================  =================
    direction   map                                    log abs det
    ==========  =====================================  =================
    forward     :math:`x_b = z_b + m(z_a)`             0
    inverse     :math:`z_b = x_b - m(x_a)`             0
    ==========  =====================================  =================

    NICE, eqs. 4 and 5 (section 3.2). It starts near the identity rather than at it, where the
    gradient of the shift vanishes for symmetric data such as circles.
    """

    outputs = 1

    def __init__(self, features: int, flip: bool, hidden: Sequence[int] = (64, 64),
                 activation: str = "relu", classes: int = 0) -> None:
        super().__init__(features, flip, hidden, activation, classes)
        last = self.network.layers[-1].matrix
        nn.init.normal_(last, std=0.15 / math.sqrt(last.shape[1]))

    def scale_and_shift(self, kept: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        shift = self.network(self.condition(kept, context))
        return torch.zeros_like(shift), shift

    def equations(self) -> Step:
        a, b, arrow = self.in_the_plane()
        return Step(f"additive coupling {arrow}",
                    rf"x_{b} = z_{b} + m(z_{a}), \quad x_{a} = z_{a}",
                    rf"z_{b} = x_{b} - m(x_{a}), \quad z_{a} = x_{a}", "0")


class AffineCoupling(Coupling):
    r"""RealNVP's coupling, which scales and shifts.

    =========  ==============================================  ===========================
    direction  map                                             log abs det
    =========  ==============================================  ===========================
    forward    :math:`x_b = z_b \odot e^{s(z_a)} + t(z_a)`     :math:`\sum_j s(z_a)_j`
    inverse    :math:`z_b = (x_b - t(x_a)) \odot e^{-s(x_a)}`  :math:`-\sum_j s(x_a)_j`
    =========  ==============================================  ===========================

    RealNVP, eqs. 7 and 8 (section 3.3). The log-scale is bounded,
    :math:`s = c \tanh(\hat s / c)` for the network's output :math:`\hat s`, so no layer can
    stretch by more than :math:`e^{c}`, and training stays finite.

    Parameters
    ----------
    bound : float
        The bound :math:`c`, in nats; other parameters as for `Coupling`.
    """

    outputs = 2

    def __init__(self, features: int, flip: bool, hidden: Sequence[int] = (64, 64),
                 activation: str = "relu", classes: int = 0, bound: float = 2.0) -> None:
        super().__init__(features, flip, hidden, activation, classes)
        self.bound = bound
        self.kind = (*self.kind, bound)

    def scale_and_shift(self, kept: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        raw, shift = self.network(self.condition(kept, context)).chunk(2, 1)
        return self.bound * torch.tanh(raw / self.bound), shift

    def equations(self) -> Step:
        a, b, arrow = self.in_the_plane()
        return Step(f"affine coupling {arrow}",
                    rf"x_{b} = z_{b}\,e^{{s(z_{a})}} + t(z_{a}), \quad x_{a} = z_{a}",
                    rf"z_{b} = \bigl(x_{b} - t(x_{a})\bigr)\,e^{{-s(x_{a})}}, \quad "
                    rf"z_{a} = x_{a}", rf"s(z_{a})")
