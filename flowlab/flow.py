"""The base class of all flows: a base distribution pushed through bijections."""

import math
import operator
from collections.abc import Sequence
from os import PathLike
from typing import Any, ClassVar, Self, cast

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from flowlab import files
from flowlab.bijections import fused, multiscale
from flowlab.bijections.base import LOG_PROB, SAMPLE
from flowlab.bijections.bijection import Bijection
from flowlab.bijections.elementwise import Standardise
from flowlab.bijections.images import Logit
from flowlab.settings import FlowSettings, shown

__all__ = ["Bijection", "Flow", "FlowDistribution"]

FORMAT = "flowlab-1"
SMALL = 10**7  # parameters up to which a flow is built before it is compared with its file
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
        self._compose = fused.compose if len(shape) == 1 else multiscale.compose

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
        z = self._points(z)
        return self._compose(self.layers, z, self._classes(context, z.shape[0]), inverse=False)

    def inverse(self, x: Tensor, context: Tensor | int | None = None) -> tuple[Tensor, Tensor]:
        """Map data to latent points, with log abs det ∂z/∂x; otherwise as `forward`."""
        x = self._points(x)
        classes = self._classes(context, x.shape[0])
        return self._compose(reversed(self.layers), x, classes, inverse=True)

    def log_prob(self, x: Tensor, context: Tensor | int | None = None) -> Tensor:
        """Log-density of ``x`` in nats, shape ``(batch,)``; arguments as in `inverse`.

        It is minus infinity at infinity, where the layers would give infinity minus infinity, and
        NaN where a coordinate is NaN.
        """
        x = self._points(x)
        reach = torch.linalg.vector_norm(x.detach(), math.inf, tuple(range(1, x.ndim)))
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

    def trace(self, z: Tensor, context: Tensor | None = None) -> list[Tensor]:
        """The points after every layer: ``len(layers) + 1`` tensors, latent first, data last."""
        z = self._points(z)
        context = self._classes(context, z.shape[0])
        if len(self.event_shape) > 1:
            return multiscale.trace(self.layers, z, context)
        points = [z]
        for layer in self.layers:
            points.append(layer.forward(points[-1], context)[0])
        return points

    def scales(self) -> Tensor:
        """The scale of every entry of a latent, an integer tensor of shape ``event_shape``.

        Scale 0 is factored out first and holds the finest details; the highest scale goes through
        all layers. Resampling one scale, ``torch.where(flow.scales() == 0, fresh, z)``, shows what
        it encodes. Vectors, and images without factored-out channels, only have scale 0.
        """
        if len(self.event_shape) == 1:
            return torch.zeros(self.event_shape, dtype=torch.long)
        return multiscale.scales(self.layers, self.event_shape)

    def distribution(self, context: Tensor | int | None = None) -> "FlowDistribution":
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
        x = self._points(x)
        context = self._classes(context, x.shape[0])
        stride = -(-len(x) // INITIAL_POINTS)
        x, context = x[::stride], None if context is None else context[::stride]
        if len(self.event_shape) > 1:
            return multiscale.initialise(reversed(self.layers), x, context)
        dependent = [type(layer).initialise is not Bijection.initialise for layer in self.layers]
        if any(dependent):  # layers nearer the base than the first of these need no data
            for layer in reversed(self.layers[dependent.index(True):]):
                x = layer.initialise(x, context)

    def commit(self) -> None:
        """Update the batch statistics of every layer; the training calls it after each step."""
        for layer in self.layers:
            layer.commit()

    def save(self, path: str | PathLike[str]) -> None:
        """Write weights, the model's name and settings as safetensors, whole or not at all."""
        files.write(path, self.packed())

    def packed(self) -> bytes:
        """The content of the file that `save` writes."""
        return save(self._state(), _metadata(type(self), self.settings))

    def _state(self) -> dict[str, Tensor]:
        return {name: value.detach().cpu().clone().contiguous()
                for name, value in self.state_dict().items()}

    @staticmethod
    def pack(settings: FlowSettings, weights: dict[str, Tensor]) -> bytes:
        """The content of the file that `save` writes, for a flow with these settings and state."""
        return save({name: value.contiguous() for name, value in weights.items()},
                    _metadata(Flow.model_of(settings), settings))

    @staticmethod
    def model_of(settings: FlowSettings) -> type["Flow"]:
        """The model whose settings class this is."""
        return next(m for m in Flow._models.values() if m.Settings is type(settings))

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
        metadata, weights = files.read(path, FORMAT)
        model = cls._models.get(metadata.get("model", ""))
        if model is None or not issubclass(model, cls):
            name = shown(metadata.get("model", "flow without a name"))
            raise ValueError(f"{path} holds a {name}, which is not an imported {cls.__name__}: "
                             "import its package, or load another file.")
        try:
            settings = model.Settings.model_validate_json(metadata.get("settings", ""))
            dtype = next(w.dtype for w in weights.values() if w.is_floating_point())
            if _size_bound(settings) > SMALL + 4 * sum(w.numel() for w in weights.values()):
                with torch.device("meta"):  # takes no memory, whatever the settings
                    planned = model(**dict(settings)).state_dict()
                if any(w.shape != planned[n].shape for n, w in weights.items()) or (
                        len(weights) < len(planned)):
                    raise ValueError("other weights")
            flow = model(**dict(settings)).to(dtype)
            flow.load_state_dict(weights)
        except (ValueError, KeyError, RuntimeError, StopIteration) as error:
            raise ValueError(f"{path} does not hold a complete {model.__name__}: "
                             "save it again from the run it came from.") from error
        return flow.to(device).eval()

    def _tensor(self, x: Any) -> Tensor:
        """``x`` as a tensor, which arrays and lists become in the flow's own type."""
        if isinstance(x, Tensor):
            return x
        return _converted(x, "iuf", "points as numbers").to(self.device, self.dtype)

    def _points(self, x: Any) -> Tensor:
        """Check that ``x`` are points of this flow, and convert them to a tensor."""
        x = self._tensor(x)
        if torch.jit.is_tracing():  # comparisons would be traced as part of the flow
            return x
        if x.ndim == 0 or tuple(x.shape[1:]) != self.event_shape:
            shape = ", ".join(map(str, self.event_shape))
            raise ValueError(f"Expected points of shape (batch, {shape}); got {tuple(x.shape)}.")
        if x.dtype != self.dtype:
            raise ValueError(f"The flow is {self.dtype} and the points are {x.dtype}: "
                             "convert one of them with .to(dtype).")
        if x.device != self.device:
            raise ValueError(f"The flow is on {self.device} and the points are on {x.device}: "
                             "move one of them with .to(device).")
        return x

    def _classes(self, context: Any, n: int) -> Tensor | None:
        """Check ``context``, and convert it to the class of each of ``n`` points, or None."""
        classes = self.settings.classes
        if (context is None) != (classes == 0):
            raise ValueError("This flow has no classes: leave context out." if classes == 0 else
                             f"This flow has {classes} classes: give context, integers (batch,).")
        if context is None:
            return None
        if not isinstance(context, Tensor):
            context = _converted(context, "iu", "context as integers")
        kind, shape = context.dtype, context.shape
        if kind.is_floating_point or kind.is_complex or kind == torch.bool:
            raise ValueError(f"Expected context as integers; got {kind}.")
        context = context.to(self.device, torch.long)
        if context.ndim == 0:
            context = context.expand(n)
        if not torch.jit.is_tracing():
            if context.ndim != 1 or context.shape[0] != n:
                raise ValueError(f"Expected context as integers of shape ({n},); got "
                                 f"{kind} of shape {tuple(shape)}.")
            _in_range(context, classes)
        return context


def _converted(values: Any, kinds: str, what: str) -> Tensor:
    """Convert a list, an array or a number to a tensor; its NumPy kind must be in ``kinds``."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError):  # such as rows of unequal length
        array = np.asarray(None)
    if array.size and array.dtype.kind not in kinds:
        raise ValueError(f"Expected {what}; got {type(values).__name__}.")
    return torch.from_numpy(array.astype(np.int64 if "f" not in kinds else np.float64))


def _in_range(context: Tensor, classes: int) -> None:
    """Raise ValueError for a class out of range, as soon as the tensor has values."""
    sentence = f"Context has a class outside 0 to {classes - 1}."
    if fused.transformed():  # by vmap: the wrapped tensor has all values
        while torch._C._functorch.is_functorch_wrapped_tensor(context):
            context = torch._C._functorch.get_unwrapped(context)
    if not fused.concrete(context):
        torch._assert_async(((context >= 0) & (context < classes)).all(), sentence)
    elif context.numel():
        lowest, highest = map(int, context.aminmax())
        if lowest < 0 or highest >= classes:
            raise ValueError(sentence)


def _size_bound(settings: FlowSettings) -> int:
    """An approximate upper bound of the number of parameters of a flow."""
    values = settings.model_dump()
    hidden = values.get("hidden", ())
    wide = max(*settings.event_shape, 3 * values.get("hidden_channels", 0), *hidden)
    deep = max(values.get("couplings", 1), values.get("steps", 1)) * (
        len(hidden) + values.get("levels", 1) * (4 + values.get("blocks", 0)))
    return deep * wide ** 2


def _metadata(model: type[Flow], settings: FlowSettings) -> dict[str, str]:
    return {"format": FORMAT, "model": model.__name__, "settings": settings.model_dump_json()}


class FlowDistribution(Distribution):
    """A flow as a ``torch.distributions.Distribution``; made by `Flow.distribution`."""

    has_rsample = True
    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}

    def __init__(self, flow: Flow, context: Tensor | int | None = None) -> None:
        count = context.numel() if isinstance(context, Tensor) else np.size(np.asarray(context))
        if count != 1:
            raise ValueError("A distribution is for one class: give context as one integer.")
        classes = flow._classes(context, 1)
        self.flow, self.context = flow, None if classes is None else classes[0]
        super().__init__(torch.Size(), torch.Size(flow.event_shape), validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """All real vectors."""
        return constraints.independent(constraints.real, len(self.event_shape))

    def rsample(self, sample_shape: torch.Size | Sequence[int] = ()) -> Tensor:
        """Points of shape ``sample_shape + event_shape``, differentiable in the parameters."""
        try:
            n = torch.Size(sample_shape).numel()
        except TypeError as error:
            raise ValueError("Give the sample's shape as a tuple, such as (1000,).") from error
        x, _ = self.flow.forward(self.flow.base_sample(n), self.context)
        return x.reshape(*sample_shape, *self.event_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density in nats, shape ``value.shape`` without the event's dimensions."""
        value = self.flow._tensor(value)
        lead = max(0, value.ndim - len(self.event_shape))
        shape, event_shape = value.shape[:lead], value.shape[lead:]
        x = value.reshape(shape.numel(), *event_shape)
        return self.flow.log_prob(x, self.context).reshape(shape)
