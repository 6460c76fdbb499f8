r"""The inner maps of couplings: what happens to each entry of the half that changes.

An inner map acts on each entry alone, by parameters that the coupling's network computes from the
other half. Both directions return the mapped entries and, for each, the logarithm of the
derivative. With parameters that are all 0, an inner map is the identity.
"""

from typing import Protocol

import torch
from torch import Tensor


class InnerMap(Protocol):
    """What a coupling needs of an inner map."""

    @property
    def outputs(self) -> int:
        """Number of parameters for each entry."""
        ...

    def forward(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``(batch, n, ...)`` with parameters ``(batch, outputs · n, ...)`` to x.

        The second value is log ∂x/∂z of every entry, in nats.
        """
        ...

    def inverse(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Map x to z, with log ∂z/∂x of every entry."""
        ...


class Shift:
    r"""NICE's: :math:`x = z + t` and :math:`z = x - t`, with derivative 1 (NICE, eqs. 4 and 5)."""

    outputs = 1

    def forward(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        return z + parameters, torch.zeros_like(parameters)

    def inverse(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        return x - parameters, torch.zeros_like(parameters)


class Affine:
    r"""RealNVP's and Glow's: :math:`x = z\,e^{s} + t` and :math:`z = (x - t)\,e^{-s}`.

    The logarithm of the derivative is :math:`s` (RealNVP, eqs. 7 and 8). The log-scale is bounded,
    :math:`s = c \tanh(\hat s / c)` for the network's output :math:`\hat s`, so no layer can stretch
    by more than :math:`e^{c}`, and training stays finite.

    Parameters
    ----------
    bound : float
        The bound :math:`c`, in nats.
    """

    outputs = 2

    def __init__(self, bound: float) -> None:
        self.bound = bound

    def scale_and_shift(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """The log-scale s and the shift t of every entry."""
        raw, shift = parameters.chunk(2, 1)
        return self.bound * torch.tanh(raw / self.bound), shift

    def forward(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = self.scale_and_shift(parameters)
        return z * log_scale.exp() + shift, log_scale

    def inverse(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = self.scale_and_shift(parameters)
        return (x - shift) * (-log_scale).exp(), -log_scale
