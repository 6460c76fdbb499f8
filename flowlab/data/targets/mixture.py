"""Many equal round Gaussians at once: the density of points and of curves with noise."""

import math
from typing import Any

import torch
from torch import Tensor

_CHUNK = 1 << 17  # point-centre pairs at a time: what fits a processor's cache
_NEGLIGIBLE = -60.0  # exp(-60) is lost in a sum with 1; below lie denormals, which are slow


class RoundMixture(torch.autograd.Function):
    """Log-density of ``p(x) = sum_i w_i N(x; c_i, sigma^2 I)``, with its gradient.

    The gradient is known in closed form, so it is computed on the way and nothing of the
    ``(n, m)`` table of distances is kept for autograd:

        ``grad log p(x) = (sum_i r_i(x) c_i - x) / sigma^2``,
        ``r_i(x) = w_i N(x; c_i, sigma^2 I) / p(x)``

    (the responsibilities of expectation maximisation; Bishop, *Pattern Recognition and Machine
    Learning*, section 9.2).
    """

    @staticmethod
    def forward(x: Tensor, centres: Tensor, weights: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """Return the log-density and its gradient.

        Parameters
        ----------
        x
            Points, shape ``(n, 2)``.
        centres
            Centres, shape ``(m, 2)``, of the type of ``x``.
        weights
            Weights, shape ``(m,)``, with sum 1.
        sigma
            Standard deviation of every Gaussian.

        Returns
        -------
        log_p : Tensor
            Shape ``(n,)``.
        score : Tensor
            Gradient of ``log_p`` with respect to ``x``, shape ``(n, 2)``.
        """
        log_p, score = torch.empty_like(x[:, 0]), torch.empty_like(x)
        moments = torch.column_stack((weights, weights[:, None] * centres))
        rows = max(1, _CHUNK // len(centres))
        for start in range(0, len(x), rows):
            part = slice(start, start + rows)
            # Differences first: |x|² - 2xc + |c|² would lose float32's digits.
            table = (x[part, :1] - centres[:, 0]).square_()
            second = x[part, 1:] - centres[:, 1]
            table.addcmul_(second, second).mul_(-0.5 / sigma**2)
            peak = table.amax(dim=1, keepdim=True).clamp_(min=torch.finfo(x.dtype).min)
            table.sub_(peak).clamp_(min=_NEGLIGIBLE).exp_()
            total, mean = (table @ moments).split((1, 2), dim=1)
            log_p[part] = (peak + total.log()).squeeze(1)
            score[part] = (mean / total - x[part]) / sigma**2
        return log_p - math.log(2 * math.pi * sigma**2), score

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Keep the gradient for :meth:`backward`."""
        score = output[1]
        ctx.mark_non_differentiable(score)
        ctx.save_for_backward(score)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor, None, None, None]:
        """Return the gradient with respect to ``x``."""
        (score,) = ctx.saved_tensors
        return grad[:, None] * score, None, None, None


def log_mixture(x: Tensor, centres: Tensor, weights: Tensor, sigma: float) -> Tensor:
    """Return the log-density of ``sum_i w_i N(x; c_i, sigma^2 I)``.

    Parameters
    ----------
    x
        Points, shape ``(n, 2)``.
    centres
        Centres, shape ``(m, 2)``; brought to the type and device of ``x``.
    weights
        Weights, shape ``(m,)``, with sum 1.
    sigma
        Standard deviation of every Gaussian.

    Returns
    -------
    Tensor
        Shape ``(n,)``, nats; differentiable once with respect to ``x``.
    """
    return RoundMixture.apply(x, centres.to(x), weights.to(x), sigma)[0]
