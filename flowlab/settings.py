"""Settings: validated once, then frozen, with one sentence for each field.

The page's controls, the URL, the command line's options and the documentation's tables are all made
from a field's title, description, bounds, unit and group.
"""

import json
import operator
from typing import Any, ClassVar, Literal, Self, TypedDict, cast, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo

LONGEST_NAME = 64  # characters of a distribution's name
MIN_SECONDS = 0.1  # of a training
#: What a value should be or have, by the type of pydantic's error, where pydantic's own words are
#: not those of the field.
SHOULD = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "be a whole number"),
    "int_parsing_size": "be a smaller whole number",
    **dict.fromkeys(("float_type", "float_parsing"), "be a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "be true or false"),
    "string_type": "be text",
    **dict.fromkeys(("tuple_type", "list_type"), "be a list, such as [2, 4]"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "be a group of settings"),
    "too_long": "have at most {max_length} values",
    "too_short": "have at least {min_length} values",
    "string_too_long": "have at most {max_length} characters",
    "string_too_short": "not be empty",
}


class Extra(TypedDict):
    """What pages and commands need to know of a field."""

    group: str
    unit: str
    log: bool
    step: int


def setting(default: Any, title: str, description: str, *, group: str, unit: str = "",
            log: bool = False, step: int = 1, **bounds: Any) -> Any:
    """Return a field with everything that a control, a table row or an option needs.

    Parameters
    ----------
    default
        The default value.
    title, description : str
        The control's label, and the sentence in its tooltip.
    group : str
        The heading under which the page shows the control.
    unit : str
        Unit of the value; empty for a number without unit and for a choice.
    log : bool
        Whether the control has a logarithmic scale.
    step : int
        Increment of a control for whole numbers.
    **bounds
        ``ge``, ``le`` and the like, passed to pydantic.
    """
    extra: dict[str, Any] = {"group": group, "unit": unit, "log": log, "step": step}
    return Field(default, title=title, description=description, json_schema_extra=extra, **bounds)


def extra(field: FieldInfo) -> Extra:
    """What `setting` says of a field besides what pydantic knows."""
    return cast(Extra, field.json_schema_extra)


class Settings(BaseModel):
    """Base of all settings: frozen, no unknown names, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False,
                              validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _python(cls, values: Any) -> Any:
        """Convert numbers of NumPy and PyTorch to Python's, and leave out former settings."""
        if type(values) is not dict:
            return values
        return {name: as_python(value) for name, value in values.items() if name not in cls.FORMER}

    #: Settings without effect on images.
    _points_only: ClassVar[tuple[str, ...]] = ()
    #: Settings of earlier versions, whose links and files still have them; they have no effect.
    FORMER: ClassVar[tuple[str, ...]] = ()


class FlowSettings(Settings):
    """Settings of every flow; each model adds its own."""

    #: Whether the flow learns vectors only, and no images.
    vectors_only: ClassVar[bool] = False

    event_shape: tuple[int, ...] = setting(
        (2,), "Event shape", "Shape of one data point: 2 for points of the plane; 1,8,8 for images "
        "of one channel, eight rows and eight columns.", group="Model", fail_fast=True)
    base: Literal["normal", "logistic"] = setting(
        "normal", "Base distribution", "The simple distribution that the flow transforms.",
        group="Model")
    classes: int = setting(
        0, "Classes", "Number of classes that the density is conditioned on; 0 means none.",
        group="Model", ge=0, le=1000)
    grey_levels: int = setting(
        0, "Grey levels", "Number of values of a pixel, which are whole numbers starting at 0; 0 "
        "means that pixels are real numbers.", group="Images", ge=0, le=65_536)
    logit: bool = setting(
        False, "Logit", "Whether pixels with grey levels pass through a logit, which keeps samples "
        "within the range of pixel values.", group="Images")

    @field_validator("event_shape", mode="before")
    @classmethod
    def _length(cls, shape: Any) -> Any:
        """Take a single length as the shape of a vector."""
        try:
            return (operator.index(shape),)
        except TypeError:
            return shape

    @field_validator("event_shape")
    @classmethod
    def _vector_or_image(cls, shape: tuple[int, ...]) -> tuple[int, ...]:
        vector = len(shape) == 1 and 2 <= shape[0] <= 4096
        image = (len(shape) == 3 and 1 <= shape[0] <= 16 and all(2 <= n <= 256 for n in shape[1:]))
        if not vector and not image:
            raise ValueError("give one length from 2 to 4096, such as (2,), or an image's 1 to 16 "
                             "channels, and height and width from 2 to 256, such as (1, 8, 8)")
        if image and cls.vectors_only:
            raise ValueError("this model learns points, not images: choose a distribution or a "
                             "table")
        return shape

    @property
    def is_image(self) -> bool:
        """Whether a point is an image: channels, height and width."""
        return len(self.event_shape) == 3


class CouplingSettings(FlowSettings):
    """Settings of a flow whose couplings are conditioned by a multilayer perceptron."""

    hidden: tuple[int, ...] = setting(
        (64, 64), "Hidden layers", "Width of each hidden layer of a coupling's network.",
        group="Network", unit="units", fail_fast=True)
    activation: Literal["relu", "leaky_relu", "elu", "tanh"] = setting(
        "tanh", "Activation", "Non-linearity between the layers of a coupling's network: tanh and "
        "ELU give smooth densities; ReLU is the fastest and gives creases.", group="Network")

    @field_validator("hidden")
    @classmethod
    def _widths(cls, hidden: tuple[int, ...]) -> tuple[int, ...]:
        if not 1 <= len(hidden) <= 6 or not all(1 <= width <= 1024 for width in hidden):
            raise ValueError("give one to six widths, each from 1 to 1024, such as 64,64")
        return hidden


class MultiScaleSettings(CouplingSettings):
    """Settings of a flow with a multi-scale architecture for images."""

    levels: int = setting(
        2, "Levels", "Number of scales of an image; each has a quarter of the pixels of the one "
        "before it.", group="Images", ge=1, le=6)
    hidden_channels: int = setting(
        64, "Hidden channels", "Width of the convolutional networks in an image's couplings.",
        group="Images", unit="channels", ge=1, le=1024)
    conditioning: Literal["everywhere", "top"] = setting(
        "everywhere", "Class enters", "Where the class of an image enters: every coupling and the "
        "prior of every scale, or only the prior of the deepest scale.", group="Images")

    _points_only: ClassVar[tuple[str, ...]] = ("hidden", "activation")
    #: How often height and width are halved, beyond ``levels``.
    _more_halvings: ClassVar[int] = 0

    @model_validator(mode="before")
    @classmethod
    def _as_stored(cls, values: Any, info: ValidationInfo) -> Any:
        """Read JSON of earlier versions, where classes always entered at the top."""
        if info.mode == "json" and isinstance(values, dict) and values.get("classes"):
            return {"conditioning": "top"} | values
        return values

    @property
    def coupling_classes(self) -> int:
        """Number of classes that condition the couplings and the priors of all scales."""
        return self.classes if self.conditioning == "everywhere" else 0

    @field_validator("levels")
    @classmethod
    def _halves(cls, levels: int, info: ValidationInfo) -> int:
        sides = info.data.get("event_shape", ())[1:]
        divisor = 2 ** (levels + cls._more_halvings)
        if any(side % divisor for side in sides):
            raise ValueError(f"that takes a height and a width divisible by {divisor}, and the "
                             f"images have {sides[0]} × {sides[1]}: choose fewer levels")
        return levels


class SourceSettings(Settings):
    """The source of the data."""

    data: str = setting(
        "moons", "Distribution", "The distribution that the flow learns, or a set of images: "
        "digits, mnist or fashion_mnist. On the command line also a file of points (.csv, .npy, "
        ".npz), a greyscale image (.png, .jpg) or a stack of images (.zip, .npy, .npz, "
        ".idx3-ubyte, also packed as .gz).",
        group="Data", min_length=1)
    noise: float | None = setting(
        None, "Noise", "Standard deviation of the Gaussian noise around the shape; leave it empty "
        "for the distribution's default.", group="Data", unit="data units", ge=0, le=10)
    image_side: int = setting(
        16, "Side", "Height and width to which your own images are scaled; those of an IDX file "
        "keep their own where none is given.",
        group="Images", unit="pixels", ge=4, le=64)

    _points_only: ClassVar[tuple[str, ...]] = ("noise",)

    @field_validator("data")
    @classmethod
    def _short(cls, data: str) -> str:
        if len(data) > LONGEST_NAME:
            raise ValueError(f"give a name of up to {LONGEST_NAME} characters, or on the command "
                             "line a file that ends in .csv, .tsv, .txt, .npy, .npz, .png, .jpg, "
                             ".zip or .idx3-ubyte")
        return data


class TrainingSettings(Settings):
    """How a flow is trained."""

    epochs: int = setting(
        40, "Epochs", "Number of passes over the training set.",
        group="Training", unit="epochs", log=True, step=10, ge=1, le=10_000)
    optimiser_steps: int = setting(
        0, "Optimiser steps", "Number of optimiser steps, instead of epochs: the last epoch may "
        "be shorter. 0 means that the epochs count.",
        group="Training", unit="steps", log=True, step=100, ge=0, le=10_000_000)
    seconds: float = setting(
        0.0, "Seconds", "Training time, instead of epochs: how far it gets, and so its "
        "numbers, depend on the machine. 0 means that the epochs count.",
        group="Training", unit="seconds", ge=0, le=86_400)
    batch_size: int = setting(
        256, "Batch size", "Points per optimiser step: small batches give noisy gradients, large "
        "ones slow steps.",
        group="Training", unit="points", log=True, step=32, ge=1, le=65_536)
    learning_rate: float = setting(
        3e-3, "Learning rate", "Peak learning rate of the schedule; it can be changed while the "
        "flow trains.", group="Training", log=True, ge=1e-6, le=1.0)
    schedule: Literal["constant", "cosine", "one_cycle"] = setting(
        "one_cycle", "Schedule", "How the learning rate changes: constant, a cosine decay, or a "
        "short warm-up followed by that decay (one cycle).", group="Training")
    objective: Literal["forward", "reverse"] = setting(
        "forward", "Objective", "Forward KL is maximum likelihood: the flow covers all the data. "
        "Reverse KL fits the flow's own samples to the known density: it may drop modes.",
        group="Training")
    points: int = setting(
        20_000, "Points", "Number of points drawn, training and test set together; of images, all "
        "are used.",
        group="Data", unit="points", log=True, step=500, ge=10, le=1_000_000)
    test_fraction: float = setting(
        0.2, "Test share", "Share of the points held out to measure how well the flow does on "
        "points it has not seen.", group="Data", ge=0.01, le=0.9)
    seed: int = setting(
        0, "Seed", "Number that fixes all random choices: the same seed and settings give the same "
        "run.", group="Training", ge=0, le=2**31 - 1)
    clip: float = setting(
        5.0, "Gradient clipping", "Maximum norm of the gradient: a longer gradient is scaled down "
        "to it. 0 means no limit.", group="Training", ge=0, le=1e6)
    weight_decay: float = setting(
        0.0, "Weight decay", "Rate at which the weights decay towards zero (decoupled, as in "
        "AdamW).", group="Training", log=True, ge=0, le=1.0)
    averaging: int = setting(
        200, "Weight averaging", "The flow that is measured, shown and saved has the average of "
        "the weights over about this many steps, which is steadier than the latest weights; 1 "
        "means no averaging.", group="Training", unit="steps", log=True, ge=1, le=100_000)
    patience: int = setting(
        0, "Early stop", "Stop after this many epochs without a better test NLL; 0 means never.",
        group="Training", unit="epochs", step=5, ge=0, le=10_000)
    precision: Literal["float32", "float64"] = setting(
        "float32", "Precision", "Floating-point type of the flow.", group="Training")
    device: Literal["cpu", "cuda"] = setting(
        "cpu", "Device", "Where the training runs: on the processor or on a GPU.",
        group="Training")

    FORMER: ClassVar[tuple[str, ...]] = ("compiled",)
    _points_only: ClassVar[tuple[str, ...]] = ("objective", "points", "test_fraction")

    @field_validator("seconds")
    @classmethod
    def _one_budget(cls, seconds: float, info: ValidationInfo) -> float:
        if seconds and info.data.get("optimiser_steps"):
            raise ValueError("give optimiser_steps or seconds, and 0 for the other")
        if 0 < seconds < MIN_SECONDS:
            raise ValueError(f"give at least {MIN_SECONDS}, or 0 to train for epochs")
        return seconds

    @property
    def budget(self) -> tuple[Literal["epochs", "steps", "seconds"], float]:
        """The unit in which the training's length is given, and how many of it."""
        if self.optimiser_steps:
            return "steps", self.optimiser_steps
        return ("seconds", self.seconds) if self.seconds else ("epochs", self.epochs)

    @property
    def length(self) -> str:
        """The budget in words, such as 40 epochs."""
        unit, amount = self.budget
        return f"{amount:,.10g} {unit.removesuffix('s') if amount == 1 else unit}"

    def share(self, epoch: int, step: int, seconds: float, batch: int = 0, batches: int = 1
              ) -> float:
        """The share of the budget that is used, 1 at the training's end.

        Parameters
        ----------
        epoch, step : int
            Completed epochs and optimiser steps.
        seconds : float
            Time spent training.
        batch, batches : int
            Completed batches of the next epoch, and batches per epoch.
        """
        unit, amount = self.budget
        if unit == "epochs":
            return (epoch * batches + batch) / (batches * self.epochs)
        return (step if unit == "steps" else seconds) / amount

    def after(self, epochs: int, steps: int, seconds: float) -> Self:
        """The settings of a training that continues after so much, which its budget includes."""
        more: dict[str, float] = {"epochs": self.epochs + epochs}
        if self.optimiser_steps:
            more["optimiser_steps"] = self.optimiser_steps + steps
        if self.seconds:
            more["seconds"] = self.seconds + seconds
        return self.model_copy(update=more)


class RunSettings(Settings):
    """The settings of one run; as JSON, all that another machine needs to repeat it.

    A model's recipe narrows ``model`` and ``flow``. Field names differ across the three sections,
    so that one flat list of names serves the URL and the command line.
    """

    model: str
    flow: FlowSettings
    source: SourceSettings = SourceSettings()
    training: TrainingSettings = TrainingSettings()

    @classmethod
    def read(cls, text: str) -> "RunSettings":
        """Read a run's settings from JSON, as the class of the model that it names.

        Only models that the program has imported are known.

        Raises
        ------
        ValueError
            With one sentence, when the text is no run's settings, or those of an unknown model.
        """
        kinds = {field.default: kind for kind in cls.__subclasses__()
                 if not (field := kind.model_fields["model"]).is_required()}
        try:
            model = json.loads(text)["model"]
            return kinds[model].model_validate_json(text)
        except json.JSONDecodeError as error:
            raise ValueError("These settings are not valid JSON, or cut short: "
                             f"{shown(str(error), 100)}.") from error
        except ValidationError as error:
            raise ValueError(f"These settings do not fit this version: {describe(error)}"
                             ) from error
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise ValueError("These are not the settings of a run: their model should be one of "
                             f"{', '.join(kinds)}.") from error

    @classmethod
    def sections(cls) -> dict[str, type[Settings]]:
        """The classes of the three sections: ``flow``, ``source`` and ``training``."""
        return {name: cast(type[Settings], cls.model_fields[name].annotation)
                for name in ("flow", "source", "training")}

    @classmethod
    def fields(cls) -> dict[str, FieldInfo]:
        """The fields of all sections, by the names that `flat` uses."""
        return {name: field for section in cls.sections().values()
                for name, field in section.model_fields.items()}

    def flat(self) -> dict[str, Any]:
        """All settings except the model's name, in one dictionary."""
        return {name: value for section in self.sections()
                for name, value in getattr(self, section)}

    @classmethod
    def former(cls) -> tuple[str, ...]:
        """Names of settings of earlier versions, which are read and have no effect."""
        return tuple(name for section in cls.sections().values() for name in section.FORMER)

    @classmethod
    def points_only(cls) -> tuple[str, ...]:
        """Names of the settings without effect on images."""
        return tuple(name for section in cls.sections().values() for name in section._points_only)

    @classmethod
    def from_texts(cls, texts: dict[str, str]) -> Self:
        """Read values written as text, as in a URL or on a command line; see `from_flat`.

        Widths of layers are written ``64,64``, everything else as pydantic reads it.
        """
        fields = cls.fields()
        return cls.from_flat({
            name: tuple(text.split(",")) if name in fields
            and get_origin(fields[name].annotation) is tuple else text
            for name, text in texts.items()})

    def texts(self) -> dict[str, str]:
        """The settings that differ from the defaults, as text that `from_texts` reads."""
        default = self.from_flat({}).flat()
        return {name: ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
                for name, value in self.flat().items() if value != default[name]}

    @classmethod
    def from_flat(cls, values: dict[str, Any]) -> Self:
        """Return the defaults with ``values`` (named as by `flat`) in their place.

        Raises
        ------
        pydantic.ValidationError
            For an unknown name or a value out of bounds; `describe` turns it into a sentence.
        """
        nested: dict[str, dict[str, Any]] = {section: {} for section in cls.sections()}
        for name, value in values.items():
            section = next((s for s, c in cls.sections().items() if name in c.model_fields),
                           "training")
            nested[section][name] = value
        return cls.model_validate(nested)


def describe(error: ValidationError) -> str:
    """Return one sentence that says what to change.

    Parameters
    ----------
    error : pydantic.ValidationError
        The error that validation raised; the sentence is about the first invalid value.

    Examples
    --------
    >>> try:
    ...     TrainingSettings(epochs=0)
    ... except ValidationError as error:
    ...     print(describe(error))
    epochs is 0, but it should be greater than or equal to 1.
    """
    first = error.errors()[0]
    place, kind, message = first["loc"], first["type"], first["msg"]
    # A part of the location that is no identifier names the alternative of a union.
    name = shown(next((part for part in reversed(place)
                       if isinstance(part, str) and part.isidentifier()), "settings"))
    if kind == "json_invalid":
        return ("The settings are not valid JSON, or cut short: "
                f"{shown(first['ctx']['error'], 100)}.")
    if kind == "extra_forbidden":
        return (f"There is no setting called {shown(str(place[-1]))}: leave it out or check its "
                "spelling.")
    if kind == "missing":
        return f"There is no {name}: add it."
    given = shown(_written(first["input"]), 60)
    if kind == "value_error":
        return f"{name} is {given}: {message.removeprefix('Value error, ')}."
    should = (SHOULD[kind].format(**first.get("ctx", {})) if kind in SHOULD
              else message.partition(" should ")[2])
    if not should:
        return f"{name} is {given}, which is not possible here: {message}."
    return f"{name} is {given}, but it should {should}."


def as_python(value: Any) -> Any:
    """Convert numbers of NumPy and PyTorch, also within tuples and lists, to Python's."""
    if isinstance(value, tuple | list):
        return type(value)(map(as_python, value)) if type(value) in (tuple, list) else value
    return value.tolist() if hasattr(value, "tolist") else value


def shown(text: str, longest: int = 40) -> str:
    """Make foreign text fit to stand in a sentence: printable, and at most ``longest`` characters.
    """  # noqa: D200
    text = "".join(c if c.isprintable() else "?" for c in text[:longest + 1])
    return text if len(text) <= longest else text[:longest - 3] + "..."


def _written(value: Any) -> str:
    """The ``repr`` of a value, also where Python refuses it: of integers over 4300 digits."""
    try:
        return repr(value)
    except (ValueError, RecursionError):
        return "something very large"
