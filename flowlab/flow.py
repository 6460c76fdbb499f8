"""The base class of all flows: a base distribution pushed through bijections."""

import math
import operator
from collections.abc import Iterator, Sequence
from os import PathLike
from typing import Any, ClassVar, Self, cast

import torch
from torch import Tensor, nn

from flowlab import flow_files, flow_input
from flowlab.bijections import fast, multiscale
from flowlab.bijections.base import LOG_PROB, SAMPLE
from flowlab.bijections.bijection import Bijection
from flowlab.bijections.elementwise import Standardise
from flowlab.bijections.images import Logit
from flowlab.bijections.multiscale import Place
from flowlab.distribution import FlowDistribution
from flowlab.settings import FlowSettings

__all__ = ["Bijection", "Flow", "FlowDistribution"]

#: Maximum number of points from which data-dependent layers are initialised.
INITIAL_POINTS = 4096


class Flow(Bijection):
    r"""A base distribution pushed through bijections, with exact density.

    .. math:: \log p_X(x) = \log p_Z(f^{-1}(x)) + \log\left|\det\frac{\partial f^{-1}}{\partial x}
              \right|

    the change of variables (NICE, eq. 1; RealNVP, eq. 2; Glow, eq. 6), where the log-determinant
    of a composition is the sum of its layers'.

    A model is a subclass with a ``Settings`` class and a ``build`` method that returns its layers.
    A last layer standardises the training data, so every density is in the data's own units, which
    for pixels are grey levels. Between it and pixels there may be a fixed logit.

    Parameters
    ----------
    event_shape : tuple of int, or int
        Shape of one point, such as ``(2,)`` or 2, or of an image, such as ``(1, 8, 8)``.
    **settings
        Fields of the model's ``Settings``.

    Raises
    ------
    pydantic.ValidationError
        A ValueError: for a setting that is unknown or out of bounds.

    Attributes
    ----------
    settings : FlowSettings
        The validated settings; they travel in a saved file.
    layers : torch.nn.ModuleList
        The bijections in generative order, latent first.
    """

    Settings: ClassVar[type[FlowSettings]] = FlowSettings
    _models: ClassVar[dict[str, type["Flow"]]] = {}

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        Flow._models[cls.__name__] = cls

    def __init__(self, event_shape: Sequence[int] | int = (2,), **settings: object) -> None:
        super().__init__()
        self.settings = self.Settings(event_shape=event_shape, **settings)
        shape = self.settings.event_shape
        logit = self.settings.is_image and self.settings.grey_levels and self.settings.logit
        last = [Logit(self.settings.grey_levels)] if logit else []
        # All pixels of a channel have one unit.
        units = Standardise(shape if len(shape) == 1 else (shape[0], 1, 1))
        self.layers = cast(Sequence[Bijection],
                           nn.ModuleList([*self.build(self.settings), units, *last]))
        self._units = -1 - len(last)

    def build(self, settings: Any) -> list[Bijection]:
        """The model's layers in generative order; every model implements this method."""
        raise NotImplementedError

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one point."""
        return self.settings.event_shape

    @property
    def device(self) -> torch.device:
        """Device of the flow."""
        return self._standardise.mean.device

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the flow."""
        return self._standardise.mean.dtype

    @property
    def _standardise(self) -> Standardise:
        return cast(Standardise, self.layers[self._units])

    def _input(self, x: Any, context: Any) -> tuple[Tensor, Tensor | None]:
        x = flow_input.points(x, self)
        return x, flow_input.classes(context, x.shape[0], self)

    def _fast(self, x: Tensor, context: Tensor | None, inverse: bool
              ) -> tuple[Tensor, Tensor] | None:
        """The loops over the layers below, by a faster way; None where there is none."""
        way = fast.through if x.ndim == 2 else fast.through_images
        return way(self.layers, x, context, inverse)

    def forward(self, z: Tensor, context: Tensor | int | None = None) -> tuple[Tensor, Tensor]:
        """Map latent points to data.

        Parameters
        ----------
        z : Tensor, shape ``(batch, *event_shape)``
            A NumPy array or a list is converted to the flow's own type.
        context : integer Tensor, shape (batch,), or int, optional
            The classes, for a flow with ``classes`` set: one for every point, or one for all. Any
            type of integers, also as an array or a list.

        Returns
        -------
        x : Tensor, shape ``(batch, *event_shape)``
        log_det : Tensor, shape (batch,)
            log abs det ∂x/∂z, in nats.

        Raises
        ------
        ValueError
            For a wrong shape or type, or a context that does not fit.
        """
        z, context = self._input(z, context)
        if (found := self._fast(z, context, inverse=False)) is not None:
            return found
        place, log_det = Place(z), z.new_zeros(z.shape[0])
        for layer in self.layers:
            place.x, layer_log_det = layer.forward(place.move(layer.depth).x, context)
            log_det = log_det + layer_log_det
        return place.move(0).x, log_det

    def inverse(self, x: Tensor, context: Tensor | int | None = None) -> tuple[Tensor, Tensor]:
        """Map data to latent points, with log abs det ∂z/∂x; otherwise as `forward`."""
        x, context = self._input(x, context)
        if (found := self._fast(x, context, inverse=True)) is not None:
            return found
        place, log_det = Place(x), x.new_zeros(x.shape[0])
        for layer in reversed(self.layers):
            place.x, layer_log_det = layer.inverse(place.move(layer.depth).x, context)
            log_det = log_det + layer_log_det
        return place.move(0).x, log_det

    def log_prob(self, x: Tensor, context: Tensor | int | None = None) -> Tensor:
        """Log-density of ``x`` in nats, shape ``(batch,)``; arguments as in `inverse`.

        It is minus infinity at infinity, where the layers would give infinity minus infinity, and
        NaN where a coordinate is NaN.
        """
        x = flow_input.points(x, self)
        reach = x.detach().abs().flatten(1).amax(1)
        finite = reach < math.inf  # neither infinite nor NaN
        x = torch.where(finite.view(-1, *[1] * (x.ndim - 1)), x, 0)
        z, log_det = self.inverse(x, context)
        log_prob = LOG_PROB[self.settings.base](z) + log_det
        return torch.where(finite, log_prob, -reach)

    def base_sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """``n`` latent points from the base distribution, shape ``(n, *event_shape)``."""
        try:
            n = operator.index(n)
        except TypeError:
            n = -1
        if n < 0:
            raise ValueError("Say how many points to draw as a whole number, 0 or more.")
        return SAMPLE[self.settings.base](
            n, *self.event_shape, dtype=self.dtype, device=self.device, generator=generator)

    @torch.no_grad()
    def sample(self, n: int, context: Tensor | int | None = None, temperature: float = 1.0,
               generator: torch.Generator | None = None) -> Tensor:
        """Draw ``n`` points.

        Parameters
        ----------
        n : int
            Number of points.
        context : integer Tensor of shape (n,), or int, optional
            The class of every point, or one class for all.
        temperature : float
            Factor on the latent points; below 1 the samples concentrate where the density is high
            (Glow, section 6).
        generator : torch.Generator, optional
            Source of randomness; by default torch's global one.

        Returns
        -------
        Tensor, shape ``(n, *event_shape)``
        """
        return self.forward(temperature * self.base_sample(n, generator), context)[0]

    def steps(self, points: Tensor, context: Tensor | int | None = None, *, inverse: bool = False,
              stage: int | None = None) -> Iterator[tuple[Bijection, Tensor, Tensor]]:
        """Go through the layers one by one, from latent to data.

        Parameters
        ----------
        points : Tensor, shape ``(batch, *event_shape)``
            Points of the stage where the walk starts.
        context : integer Tensor, shape (batch,), or int, optional
            As for `forward`.
        inverse : bool
            Whether to go from data to latent.
        stage : int, optional
            The number of layers between latent space and the points; by default the walk goes
            through all layers.

        Yields
        ------
        layer : Bijection
        points : Tensor, shape ``(batch, *event_shape)``
            The points after it.
        log_det : Tensor, shape (batch,)
            The layer's log abs det in the direction of the walk, in nats.

        Raises
        ------
        ValueError
            For a stage that does not exist, and as in `forward`.
        """
        points, context = self._input(points, context)
        count = len(self.layers)
        if stage is not None and not 0 <= stage <= count:
            raise ValueError(f"The stage must be from 0 to {count}; got {stage}.")
        place = Place(points)
        for layer in reversed(self.layers[:stage]) if inverse else self.layers[stage or 0:]:
            apply = layer.inverse if inverse else layer.forward
            place.x, log_det = apply(place.move(layer.depth).x, context)
            yield layer, place.whole(), log_det

    def trace(self, z: Tensor, context: Tensor | int | None = None) -> list[Tensor]:
        """The points after every layer: ``len(layers) + 1`` tensors, latent first, data last."""
        return [flow_input.points(z, self), *(x for _, x, _ in self.steps(z, context))]

    def scales(self) -> Tensor:
        """The scale of every entry of a latent, an integer tensor of shape ``event_shape``.

        Scale 0 is factored out first and holds the finest details; the highest scale goes through
        all layers. Resampling one scale, ``torch.where(flow.scales() == 0, fresh, z)``, shows what
        it encodes. Vectors, and images without factored-out channels, only have scale 0.
        """
        return multiscale.scales(self.layers, self.event_shape)

    def distribution(self, context: Tensor | int | None = None) -> FlowDistribution:
        """The flow as a ``torch.distributions.Distribution``, for one class where it has classes.

        Raises
        ------
        ValueError
            For a context that is not one class.
        """
        return FlowDistribution(self, context)

    @torch.no_grad()
    def initialise(  # type: ignore[override]  # its points are nobody's input
            self, x: Tensor, context: Tensor | None = None) -> None:
        """Initialise standardisation and data-dependent layers from training data, once.

        Uses at most `INITIAL_POINTS` points, evenly strided.
        """
        x, context = self._input(x, context)
        stride = -(-len(x) // INITIAL_POINTS)
        place, context = Place(x[::stride]), None if context is None else context[::stride]
        dependent = [type(layer).initialise is not Bijection.initialise for layer in self.layers]
        # Layers nearer the base than the first of these need no data.
        for layer in reversed(self.layers[dependent.index(True):]):
            place.x = layer.initialise(place.move(layer.depth).x, context)

    def commit(self) -> None:
        """Update the batch statistics of every layer; the training calls it after each step."""
        for layer in self.layers:
            layer.commit()

    def save(self, path: str | PathLike[str]) -> None:
        """Write weights, the model's name and settings as safetensors, whole or not at all."""
        flow_files.save(self, path)

    def to_bytes(self) -> bytes:
        """The content of the file that `save` writes."""
        return flow_files.to_bytes(self)

    @classmethod
    def load(cls, path: str | PathLike[str], device: str | torch.device = "cpu") -> Self:
        """Read a flow that `save` wrote.

        The file names its model, and only subclasses that the program has imported are built, so a
        file cannot choose which code runs.

        Raises
        ------
        ValueError
            When the file is not a flow of this lab, or names an unknown model or does not fit it.
        FileNotFoundError
            When there is no such file.
        """
        return flow_files.load(path, cls._known(), cls.__name__, device)

    @classmethod
    def from_bytes(cls, content: bytes, device: str | torch.device = "cpu") -> Self:
        """Build the flow in the content of a file; otherwise as `load`."""
        return flow_files.from_bytes(content, cls._known(), cls.__name__, device)

    @classmethod
    def _known(cls) -> dict[str, type[Self]]:
        return {name: m for name, m in Flow._models.items() if issubclass(m, cls)}

    @staticmethod
    def model_of(settings: FlowSettings) -> type["Flow"]:
        """The model whose settings class this is."""
        return next(m for m in Flow._models.values() if m.Settings is type(settings))
