"""Squeeze and split: the shapes of an image in a multi-scale flow.

The ``depth`` of a layer is the number of squeezes and splits between the whole image and its input:

- 0: the image itself, ``(c, h, w)``;
- 1: squeezed, ``(4c, h/2, w/2)``, so that a channel is every second pixel of every second row;
- 2: split, the first half of the channels, ``(2c, h/2, w/2)``; the other half is factored out and
  skips the layers here and deeper;
- 3: squeezed again, and so on;
- `FLAT`: all pixels in one vector.

Squeeze and split only permute entries, so their log-determinants are 0, and latents stay one tensor
of the image's shape. A flow moves its points to each layer's depth, see `Place`; vectors are all at
depth 0.
"""

from collections.abc import Iterable
from typing import Self

import torch
from torch import Tensor

from flowlab.bijections.bijection import Bijection

FLAT = -1


def at(depth: int, *layers: Bijection) -> list[Bijection]:
    """Set the ``depth`` of the layers, and return them as a list."""
    for layer in layers:
        layer.depth = depth
    return list(layers)


def squeeze(x: Tensor) -> Tensor:
    """Squeeze ``(batch, c, h, w)`` to ``(batch, 4c, h/2, w/2)`` (RealNVP, section 3.6).

    Of every 2 × 2 pixels, the two on one diagonal come first, so that each half of the channels is
    spread evenly over the image.
    """
    return torch.cat([x[..., ::2, ::2], x[..., 1::2, 1::2],
                      x[..., ::2, 1::2], x[..., 1::2, ::2]], 1)


def unsqueeze(x: Tensor) -> Tensor:
    """Invert `squeeze`."""
    upper_left, lower_right, upper_right, lower_left = x.chunk(4, 1)
    rows = torch.stack([torch.stack([upper_left, upper_right], -1),
                        torch.stack([lower_left, lower_right], -1)], 3)
    return rows.flatten(4, 5).flatten(2, 3)


class Place:
    """A batch of points on its way through the layers; images are squeezed and split to one depth.

    Parameters
    ----------
    x : Tensor, shape ``(batch, *event_shape)``

    Attributes
    ----------
    x : Tensor
        The input of the layers at ``depth``.
    waiting : list of Tensor
        The halves that are factored out so far, of the finest scale first.
    """

    def __init__(self, x: Tensor) -> None:
        self.x, self.depth, self.shape = x, 0, x.shape[1:]
        self.waiting: list[Tensor] = []

    def move(self, depth: int) -> Self:
        """Squeeze and split, or invert both, to reach ``depth``."""
        while self.depth < depth:
            if self.depth == FLAT:
                odd, even = self.x.tensor_split([self.x.shape[1] // 2], 1)
                pairs = torch.stack([even[:, :odd.shape[1]], odd], 2).flatten(1)
                self.x = torch.cat([pairs, even[:, odd.shape[1]:]], 1).unflatten(1, self.shape)
            elif self.depth % 2:
                self.x, other = self.x.chunk(2, 1)
                self.waiting.append(other)
            else:
                self.x = squeeze(self.x)
            self.depth += 1
        while self.depth > depth:
            self.depth -= 1
            if self.depth == FLAT:  # odd pixels, then even ones: the halves of NICE, section 5.1
                pixels = self.x.flatten(1)
                self.x = torch.cat([pixels[:, 1::2], pixels[:, ::2]], 1)
            elif self.depth % 2:
                self.x = torch.cat([self.x, self.waiting.pop()], 1)
            else:
                self.x = unsqueeze(self.x)
        return self

    def whole(self) -> Tensor:
        """The points in their original shape."""
        copy = Place(self.x)
        copy.depth, copy.waiting, copy.shape = self.depth, list(self.waiting), self.shape
        return copy.move(0).x


def scales(layers: Iterable[Bijection], shape: tuple[int, ...]) -> Tensor:
    """The scale at which each entry of a latent image is factored out, 0 for the finest."""
    place = Place(torch.zeros(1, *shape, dtype=torch.long))
    place.move(max(0, *(layer.depth for layer in layers)))
    for scale, half in enumerate(place.waiting):
        half.fill_(scale)
    place.x.fill_(len(place.waiting))
    return place.whole()[0]
