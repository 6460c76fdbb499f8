"""The base class of every invertible map.

``forward`` is the generative direction, latent to data; ``inverse`` the normalising one, data to
latent.
"""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from flowlab.bijections.equations import Step

#: Images that go through layers at once: of many more, what is computed leaves the cache.
TOGETHER = 128


def batches(x: Tensor, context: Tensor | None) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Images in batches of `TOGETHER`, or all vectors in one, with their classes."""
    size = max(1, len(x)) if x.ndim == 2 else TOGETHER
    parts = x.split(size)
    yield from zip(parts, [None] * len(parts) if context is None else context.split(size),
                   strict=True)


class Bijection(nn.Module):
    r"""An invertible map with a tractable Jacobian determinant.

    With ``x, log_det = forward(z)`` and ``z, log_det = inverse(x)``, every subclass satisfies:

    - ``z`` and ``x`` have shape ``(batch, *event_shape)``, ``log_det`` has shape ``(batch,)``;
    - ``inverse(forward(z)[0])[0] == z`` up to rounding, in train and in eval mode;
    - ``forward`` returns :math:`\log|\det \partial x/\partial z|` for every sample, and
      ``inverse`` returns :math:`\log|\det \partial z/\partial x|`, its negative at that point;
    - neither modifies the module or its arguments.

    ``context`` is an integer tensor ``(batch,)`` of classes, or None; most layers ignore it.
    """

    #: Place in a multi-scale architecture, see `flowlab.bijections.multiscale`.
    depth: int = 0

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map latent to data; return ``x`` and log abs det ∂x/∂z, shape ``(batch,)``."""
        raise NotImplementedError

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map data to latent; return ``z`` and log abs det ∂z/∂x, shape ``(batch,)``."""
        raise NotImplementedError

    def initialise(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Initialise data-dependent parameters from ``x``, once, and return ``inverse(x)[0]``.

        Layers without such parameters inherit this. It runs in the normalising direction, on
        training data, and has no effect on a flow that was trained or loaded.
        """
        return torch.cat([self.inverse(part, c)[0] for part, c in batches(x, context)])

    def equations(self) -> Step:
        """The layer's name and its equations, as pages show them; a layer for vectors has them."""
        raise NotImplementedError

    def commit(self) -> None:
        """Update moving averages, if any, with the last batch seen in train mode."""


def compose(layers: Iterable[Bijection], x: Tensor, context: Tensor | None,
            inverse: bool) -> tuple[Tensor, Tensor]:
    """Apply ``layers`` in order and in one direction; return ``x`` and the log-determinant."""
    log_det = x.new_zeros(x.shape[0])
    for layer in layers:
        x, layer_log_det = (layer.inverse if inverse else layer.forward)(x, context)
        log_det = log_det + layer_log_det
    return x, log_det
