"""Base distributions of flows."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def normal_log_prob(z: Tensor) -> Tensor:
    r"""Standard normal, :math:`\log p(z) = \sum_i -\tfrac12 z_i^2 - \tfrac12\log 2\pi`."""
    z = z.flatten(1)
    return -0.5 * (z.square() + math.log(2 * math.pi)).sum(1)


def logistic_log_prob(z: Tensor) -> Tensor:
    r"""Standard logistic, :math:`\log p(z) = -\sum_i \log(1+e^{z_i}) + \log(1+e^{-z_i})`.

    NICE, section 3.4. The two soft-pluses differ by ``z``.
    """
    z = z.flatten(1)
    return -(z + 2 * F.softplus(-z)).sum(1)


def logistic_sample(*size: int, **kwargs: Any) -> Tensor:
    """Draw from the standard logistic distribution by its quantile function, the logit."""
    return torch.logit(torch.rand(*size, **kwargs).clamp_(1e-7, 1 - 1e-7))


LOG_PROB = {"normal": normal_log_prob, "logistic": logistic_log_prob}
SAMPLE: dict[str, Callable[..., Tensor]] = {"normal": torch.randn, "logistic": logistic_sample}
