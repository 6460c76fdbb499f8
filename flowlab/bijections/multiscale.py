"""Squeeze and split: the places in an image where a multi-scale flow's layers work.

Every layer says by its ``depth`` where it works, counted in moves from the whole image:

- 0: the image itself, ``(c, h, w)``;
- 1: squeezed, ``(4c, h/2, w/2)``, so that a channel is every second pixel of every second row;
- 2: of that the first half of the channels, ``(2c, h/2, w/2)``; the other half is factored out,
  and waits until the layers here and deeper are done;
- 3: squeezed again, and so on;
- `FLAT`: all pixels in one vector.

All moves only sort numbers, so their log-determinants are 0, and latents stay one tensor of the
image's own shape. `compose` and `trace` make the moves between layers.
"""

from collections.abc import Iterable
from typing import Self

import torch
from torch import Tensor

from flowlab.bijections import fused_images
from flowlab.bijections.bijection import Bijection

FLAT = -1


def at(depth: int, *layers: Bijection) -> list[Bijection]:
    """The layers, told to work at ``depth``."""
    for layer in layers:
        layer.depth = depth
    return list(layers)


def squeeze(x: Tensor) -> Tensor:
    """``(batch, c, h, w)`` to ``(batch, 4c, h/2, w/2)`` (RealNVP, section 3.6).

    Of every 2 × 2 pixels the two on one diagonal come first, so that each half of the channels is
    spread evenly over the image.
    """
    return torch.cat([x[..., ::2, ::2], x[..., 1::2, 1::2],
                      x[..., ::2, 1::2], x[..., 1::2, ::2]], 1)


def unsqueeze(x: Tensor) -> Tensor:
    """The way back from `squeeze`."""
    upper_left, lower_right, upper_right, lower_left = x.chunk(4, 1)
    rows = torch.stack([torch.stack([upper_left, upper_right], -1),
                        torch.stack([lower_left, lower_right], -1)], 3)
    return rows.flatten(4, 5).flatten(2, 3)


class Place:
    """A batch of images, taken apart as far as the layers at one depth need it.

    Parameters
    ----------
    x : Tensor, shape ``(batch, c, h, w)``

    Attributes
    ----------
    x : Tensor
        What the layers at ``depth`` work on.
    waiting : list of Tensor
        The halves factored out on the way, the finest scale's first.
    """

    def __init__(self, x: Tensor) -> None:
        self.x, self.depth, self.shape = x, 0, x.shape[1:]
        self.waiting: list[Tensor] = []

    def move(self, depth: int) -> Self:
        """Squeeze and split, or undo it, until ``depth`` is reached."""
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
        """The images put together again, in the shape they came in."""
        copy = Place(self.x)
        copy.depth, copy.waiting, copy.shape = self.depth, list(self.waiting), self.shape
        return copy.move(0).x


def compose(layers: Iterable[Bijection], x: Tensor, context: Tensor | None,
            inverse: bool) -> tuple[Tensor, Tensor]:
    """``x`` through ``layers``, in their order and one direction, and the log-determinant."""
    place, log_det = Place(x), x.new_zeros(x.shape[0])
    for group in _neighbours(layers):
        place.x, group_log_det = fused_images.compose(
            group, place.move(group[0].depth).x, context, inverse)
        log_det = log_det + group_log_det
    return place.move(0).x, log_det


def _neighbours(layers: Iterable[Bijection]) -> list[list[Bijection]]:
    """The layers, those in one list that follow each other at one depth."""
    groups: list[list[Bijection]] = []
    for layer in layers:
        if not groups or groups[-1][0].depth != layer.depth:
            groups.append([])
        groups[-1].append(layer)
    return groups


def trace(layers: Iterable[Bijection], z: Tensor, context: Tensor | None) -> list[Tensor]:
    """``z`` and the images after every layer, each whole."""
    place, points = Place(z), [z]
    for layer in layers:
        place.x = layer.forward(place.move(layer.depth).x, context)[0]
        points.append(place.whole())
    return points


def initialise(layers: Iterable[Bijection], x: Tensor, context: Tensor | None) -> None:
    """Let every layer set itself from data, in normalising order."""
    place = Place(x)
    for layer in layers:
        place.x = layer.initialise(place.move(layer.depth).x, context)


def scales(layers: Iterable[Bijection], shape: tuple[int, ...]) -> Tensor:
    """The scale at which each entry of a latent image leaves the flow, 0 the finest."""
    place = Place(torch.zeros(1, *shape, dtype=torch.long))
    place.move(max(0, *(layer.depth for layer in layers)))
    for scale, half in enumerate(place.waiting):
        half.fill_(scale)
    place.x.fill_(len(place.waiting))
    return place.whole()[0]
