"""What every source of data has in common: distributions, a user's own points, and images."""

import math
from collections.abc import Callable
from typing import Literal

from torch import Tensor

from flowlab.data.store import is_own

Kind = Literal["distribution", "points", "images"]
Window = tuple[float, float, float, float]  # xmin, xmax, ymin, ymax in data units


class Source:
    """What a flow learns from, and all that the rest of the lab asks about it.

    Attributes
    ----------
    name : str
        The name in links, command lines and saved runs; of a user's own data the store's.
    title, description : str
        The name for people, and one sentence for students.
    kind : "distribution", "points" or "images"
        A distribution has a known density, from which any number of points can be drawn. Points
        are finitely many, and their density is unknown. Images have whole grey levels, and are
        already split into a training set and a test set.
    event_shape : tuple of int
        Shape of one point, ``(d,)``, or of one image, ``(1, height, width)``.
    count : int or None
        How many points or images there are; None where any number can be drawn.
    names : tuple of str
        Names of the d columns; empty where they have none.
    limits : tuple of float or None
        The window that shows the first two columns, in data units; None for images.
    log_prob : callable or None
        The exact log-density in nats, (n, d) to (n,); None where it is unknown.
    entropy : float or None
        Differential entropy in nats, which no model's NLL can be below; None where it is unknown.
    full_support : bool
        Whether the density is known and positive everywhere, as reverse KL requires.
    modes : Tensor or None
        Centres of the modes, shape (k, d), float32; None where the modes are not single points.
    noise, default_noise : float or None
        Noise level in data units, and the one that is used when none is given; None where noise
        has no meaning.
    noise_range : tuple of float or None
        Smallest and largest noise allowed, both included.
    classes : int
        Number of classes; 0 without labels.
    labels : Tensor or None
        The class of every point or image, shape (count,), integers from 0.
    grey_levels : int
        How many values a pixel can have; 0 where values are real numbers.
    """

    name: str
    title: str
    description: str
    kind: Kind
    event_shape: tuple[int, ...]
    count: int | None = None
    limits: Window | None = None
    log_prob: Callable[[Tensor], Tensor] | None = None
    full_support: bool = False
    modes: Tensor | None = None
    noise: float | None = None
    default_noise: float | None = None
    noise_range: tuple[float, float] | None = None
    classes: int = 0
    labels: Tensor | None = None
    grey_levels: int = 0

    @property
    def entropy(self) -> float | None:
        return None

    @property
    def names(self) -> tuple[str, ...]:
        return ()

    @property
    def columns(self) -> int:
        """How many numbers one point or image has."""
        return math.prod(self.event_shape)

    @property
    def own(self) -> bool:
        """Whether a user drew or uploaded these data."""
        return is_own(self.name)
