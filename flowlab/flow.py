"""The base class of all flows: a base distribution pushed through bijections."""

from collections.abc import Sequence
from os import PathLike
from typing import ClassVar, Self

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from flowlab import files
from flowlab.base import LOG_PROB, SAMPLE
from flowlab.bijection import Bijection
from flowlab.layers import fused, reshape
from flowlab.layers.elementwise import Standardise
from flowlab.layers.images import Logit
from flowlab.settings import FlowSettings, shown

__all__ = ["Bijection", "Flow", "FlowDistribution"]

FORMAT = "flowlab-1"
MODEST = 10**7  # numbers of a flow that is built before it is compared with its file
#: Points from which data-dependent layers are set, at most.
INITIAL_POINTS = 4096


class Flow(Bijection):
    r"""A base distribution pushed through bijections, with exact density.

    .. math:: \log p_X(x) = \log p_Z(f^{-1}(x)) + \log\left|\det\frac{\partial f^{-1}}{\partial x}
              \right|

    the change of variables (NICE, eq. 1; RealNVP, eq. 2; Glow, eq. 6), where the log-determinant
    of a composition is the sum of its layers'.

    A model is a subclass with a ``Settings`` class and a ``build`` method that returns its layers.
    Nearest the data a last layer standardises: it is fixed from the training data, so every density
    is in the data's own units; those of pixels are grey levels. Between it and pixels there may be
    a fixed logit.

    Parameters
    ----------
    event_shape : tuple of int
        Shape of one point, such as ``(2,)``, or of an image, such as ``(1, 8, 8)``.
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

    def __init__(self, event_shape: Sequence[int] = (2,), **settings: object) -> None:
        super().__init__()
        self.settings = self.Settings(event_shape=tuple(event_shape), **settings)
        shape = self.settings.event_shape
        logit = self.settings.is_image and self.settings.grey_levels and self.settings.logit
        last = [Logit(self.settings.grey_levels)] if logit else []
        # The pixels of an image have one unit, that of their channel.
        units = Standardise(shape if len(shape) == 1 else (shape[0], 1, 1))
        self.layers = nn.ModuleList([*self.build(self.settings), units, *last])
        self._units = -1 - len(last)
        self._compose = fused.compose if len(shape) == 1 else reshape.compose

    def build(self, settings: FlowSettings) -> list[Bijection]:
        """The model's layers in generative order; every model writes this one method."""
        raise NotImplementedError

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one point."""
        return self.settings.event_shape

    @property
    def device(self) -> torch.device:
        """Where the flow is."""
        return self.layers[self._units].mean.device

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the flow."""
        return self.layers[self._units].mean.dtype

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Latent to data.

        Parameters
        ----------
        z : Tensor, shape ``(batch, *event_shape)``
        context : integer Tensor, shape (batch,), optional
            The classes, for a flow with ``classes`` set.

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
        self._check(z, context)
        return self._compose(self.layers, z, context, inverse=False)

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Data to latent; shapes, context and errors as in `forward`, log abs det ∂z/∂x."""
        self._check(x, context)
        return self._compose(reversed(self.layers), x, context, inverse=True)

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Log-density of ``x`` in nats, shape ``(batch,)``; arguments as in `inverse`."""
        z, log_det = self.inverse(x, context)
        return LOG_PROB[self.settings.base](z) + log_det

    def base_sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """``n`` latent points from the base distribution, shape ``(n, *event_shape)``."""
        return SAMPLE[self.settings.base](
            n, *self.event_shape, dtype=self.dtype, device=self.device, generator=generator)

    @torch.no_grad()
    def sample(self, n: int, context: Tensor | int | None = None, temperature: float = 1.0,
               generator: torch.Generator | None = None) -> Tensor:
        """Draw ``n`` points.

        Parameters
        ----------
        n : int
            How many.
        context : integer Tensor of shape (n,), or int, optional
            The class of every point, or one class for all.
        temperature : float
            Factor on the latent points before they go through the flow; below 1 the samples
            gather where the density is high (Glow, section 6).
        generator : torch.Generator, optional
            Source of randomness; torch's global one when left out.

        Returns
        -------
        Tensor, shape ``(n, *event_shape)``
        """
        if isinstance(context, int):
            context = torch.full((n,), context, device=self.device)
        return self.forward(temperature * self.base_sample(n, generator), context)[0]

    def trace(self, z: Tensor, context: Tensor | None = None) -> list[Tensor]:
        """The points after every layer: ``len(layers) + 1`` tensors, latent first, data last."""
        self._check(z, context)
        if len(self.event_shape) > 1:
            return reshape.trace(self.layers, z, context)
        points = [z]
        for layer in self.layers:
            points.append(layer.forward(points[-1], context)[0])
        return points

    def scales(self) -> Tensor:
        """The scale of every entry of a latent, an integer tensor of shape ``event_shape``.

        Scale 0 is factored out first and holds the finest details; the highest goes through all
        layers. Drawing one scale's entries anew, ``torch.where(flow.scales() == 0, fresh, z)``,
        shows what it holds. On vectors, and where nothing is factored out, there is only scale 0.
        """
        if len(self.event_shape) == 1:
            return torch.zeros(self.event_shape, dtype=torch.long)
        return reshape.scales(self.layers, self.event_shape)

    def distribution(self, context: Tensor | int | None = None) -> "FlowDistribution":
        """The flow as a ``torch.distributions.Distribution``, for one class where it has classes.

        Raises
        ------
        ValueError
            For a context that is not one class.
        """
        return FlowDistribution(self, context)

    @torch.no_grad()
    def initialise(self, x: Tensor, context: Tensor | None = None) -> None:
        """Set standardisation and data-dependent layers from training data, once.

        Some thousand points say enough: of more, every second, third, … is taken.
        """
        self._check(x, context)
        stride = -(-len(x) // INITIAL_POINTS)
        x, context = x[::stride], None if context is None else context[::stride]
        if len(self.event_shape) > 1:
            return reshape.initialise(reversed(self.layers), x, context)
        waits = [type(layer).initialise is not Bijection.initialise for layer in self.layers]
        if any(waits):  # nearer the base than the last of these there is nothing to set
            for layer in reversed(self.layers[waits.index(True):]):
                x = layer.initialise(x, context)

    def commit(self) -> None:
        """Take over batch statistics in every layer; the training calls it after each step."""
        for layer in self.layers:
            layer.commit()

    def save(self, path: str | PathLike[str]) -> None:
        """Write weights as safetensors, with the model's name and settings; whole or not at all."""
        files.write(path, self.packed())

    def packed(self) -> bytes:
        """What `save` would write."""
        return save(self._state(), _metadata(type(self), self.settings))

    def _state(self) -> dict[str, Tensor]:
        return {name: value.detach().cpu().clone().contiguous()
                for name, value in self.state_dict().items()}

    @staticmethod
    def pack(settings: FlowSettings, weights: dict[str, Tensor]) -> bytes:
        """What `save` would write for a flow of these settings whose state is ``weights``."""
        return save({name: value.contiguous() for name, value in weights.items()},
                    _metadata(Flow.model_of(settings), settings))

    @staticmethod
    def model_of(settings: FlowSettings) -> type["Flow"]:
        """The model whose settings these are."""
        return next(m for m in Flow._models.values() if m.Settings is type(settings))

    @classmethod
    def load(cls, path: str | PathLike[str], device: str | torch.device = "cpu") -> Self:
        """Read a flow that `save` wrote.

        The file names its model; only a subclass that the program has imported is ever built, so
        a file cannot choose which code runs.

        Raises
        ------
        ValueError
            When the file is no flow of this lab, names an unknown model, or does not fit it.
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
            if dtype not in (torch.float32, torch.float64):
                raise ValueError(f"flows are not of {dtype}")
            if _at_most(settings) > MODEST + 4 * sum(w.numel() for w in weights.values()):
                with torch.device("meta"):  # which takes no memory, whatever the settings ask for
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

    def _check(self, x: Tensor, context: Tensor | None) -> None:
        if tuple(x.shape[1:]) != self.event_shape or x.ndim == 0:
            shape = ", ".join(map(str, self.event_shape))
            raise ValueError(f"Expected points of shape (batch, {shape}); got {tuple(x.shape)}.")
        if x.dtype != self.dtype:
            raise ValueError(f"The flow is {self.dtype} and the points are {x.dtype}: "
                             "convert one of them with .to(dtype).")
        classes = self.settings.classes
        if (context is None) != (classes == 0):
            raise ValueError("This flow has no classes: leave context out." if classes == 0 else
                             f"This flow has {classes} classes: give context, integers (batch,).")
        if context is not None:
            if context.shape != x.shape[:1] or context.is_floating_point():
                raise ValueError(f"Expected context as integers of shape ({len(x)},); got "
                                 f"{context.dtype} of shape {tuple(context.shape)}.")
            if (len(context) and not fused.recorded()  # which has no values yet
                    and not (0 <= int(context.min()) and int(context.max()) < classes)):
                raise ValueError(f"Context has a class outside 0 to {classes - 1}.")


def _at_most(settings: FlowSettings) -> int:
    """About how many numbers a flow of these settings has, and rather too many."""
    told = settings.model_dump()
    hidden = told.get("hidden", ())
    wide = max(*settings.event_shape, 3 * told.get("hidden_channels", 0), *hidden)
    deep = max(told.get("couplings", 1), told.get("steps", 1)) * (
        len(hidden) + told.get("levels", 1) * (4 + told.get("blocks", 0)))
    return deep * wide ** 2


def _metadata(model: type[Flow], settings: FlowSettings) -> dict[str, str]:
    return {"format": FORMAT, "model": model.__name__, "settings": settings.model_dump_json()}


class FlowDistribution(Distribution):
    """A flow seen as a ``torch.distributions.Distribution``; made by `Flow.distribution`."""

    has_rsample = True
    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}

    def __init__(self, flow: Flow, context: Tensor | int | None = None) -> None:
        if context is not None and torch.as_tensor(context).numel() != 1:
            raise ValueError("A distribution is for one class: give context as one integer.")
        self.flow = flow
        self.context = None if context is None else torch.as_tensor(context).reshape(())
        super().__init__(torch.Size(), torch.Size(flow.event_shape), validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """All real points."""
        return constraints.independent(constraints.real, len(self.event_shape))

    def rsample(self, sample_shape: torch.Size | Sequence[int] = ()) -> Tensor:
        """Points of shape ``sample_shape + event_shape``, differentiable in the parameters."""
        n = torch.Size(sample_shape).numel()
        x, _ = self.flow.forward(self.flow.base_sample(n), self._context(n))
        return x.reshape(*sample_shape, *self.event_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density in nats, shape ``value.shape`` without the event's dimensions."""
        x = value.reshape(-1, *self.event_shape)
        shape = value.shape[:value.ndim - len(self.event_shape)]
        return self.flow.log_prob(x, self._context(len(x))).reshape(shape)

    def _context(self, n: int) -> Tensor | None:
        return None if self.context is None else self.context.to(self.flow.device).expand(n)
