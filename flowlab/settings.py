"""Settings: validated once, frozen, one sentence a field.

A field's title, description, bounds, unit and group are all there is to know about it: the page's
controls, the URL, the command line's options and the documentation's tables are made from them.
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
#: What a value should be or have, by pydantic's name of the complaint, where its own words are not
#: those of the field.
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
    """A field with everything a control, a table row or an option needs.

    Parameters
    ----------
    default
        The value when nothing is said.
    title, description : str
        The label, and the sentence shown as its tooltip.
    group : str
        The heading under which the page shows it.
    unit : str
        Unit of the value, empty when it is a plain number or a choice.
    log : bool
        Whether equal ratios, not equal differences, make equal steps of the control.
    step : int
        What one press of the control's plus or minus adds to a whole number.
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
        """Take NumPy's and PyTorch's numbers as Python's."""
        if type(values) is not dict:
            return values
        return {name: as_python(value) for name, value in values.items()}

    #: Settings that do nothing where the data are images.
    _points_only: ClassVar[tuple[str, ...]] = ()


class FlowSettings(Settings):
    """What every flow has; each model adds its own."""

    #: Whether the flow learns vectors only, and no images.
    vectors_only: ClassVar[bool] = False

    event_shape: tuple[int, ...] = setting(
        (2,), "Event shape", "Shape of one point of the data: 2 is a point of the plane; 1,8,8 is "
        "an image of one channel, eight rows and eight columns.", group="Model", fail_fast=True)
    base: Literal["normal", "logistic"] = setting(
        "normal", "Base distribution", "The simple distribution that the flow starts from.",
        group="Model")
    classes: int = setting(
        0, "Classes", "Number of classes the density depends on; 0 means none.",
        group="Model", ge=0, le=1000)
    grey_levels: int = setting(
        0, "Grey levels", "How many whole numbers, from 0 on, a pixel's value can be; 0 means that "
        "pixels are real numbers.", group="Images", ge=0, le=65_536)
    logit: bool = setting(
        False, "Logit", "Whether pixels with grey levels go through a logit first, so that samples "
        "keep to the range of pixels.", group="Images")

    @field_validator("event_shape", mode="before")
    @classmethod
    def _length(cls, shape: Any) -> Any:
        """A length alone is a vector's shape."""
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
        "tanh", "Activation", "The bend between two layers of a coupling's network: tanh and ELU "
        "give smooth densities, ReLU is the fastest and gives creases.", group="Network")

    @field_validator("hidden")
    @classmethod
    def _widths(cls, hidden: tuple[int, ...]) -> tuple[int, ...]:
        if not 1 <= len(hidden) <= 6 or not all(1 <= width <= 1024 for width in hidden):
            raise ValueError("give one to six widths, each from 1 to 1024, such as 64,64")
        return hidden


class MultiScaleSettings(CouplingSettings):
    """Settings of a flow that takes images apart into scales."""

    levels: int = setting(
        2, "Levels", "Scales of an image: each has a quarter of the pixels of the one before it.",
        group="Images", ge=1, le=6)
    hidden_channels: int = setting(
        64, "Hidden channels", "Width of the convolutional networks of an image's couplings.",
        group="Images", unit="channels", ge=1, le=1024)
    conditioning: Literal["everywhere", "top"] = setting(
        "everywhere", "Class enters", "Where an image's class enters: in every coupling and in the "
        "prior of every scale, or in the prior of the deepest scale only.", group="Images")

    _points_only: ClassVar[tuple[str, ...]] = ("hidden", "activation")
    #: Halvings of height and width, beyond ``levels``.
    _more_halvings: ClassVar[int] = 0

    @model_validator(mode="before")
    @classmethod
    def _as_stored(cls, values: Any, info: ValidationInfo) -> Any:
        """In JSON of earlier versions, which does not name it, the class entered at the top."""
        if info.mode == "json" and isinstance(values, dict) and values.get("classes"):
            return {"conditioning": "top"} | values
        return values

    @property
    def coupling_classes(self) -> int:
        """Number of classes that the couplings and the priors of all scales are given."""
        return self.classes if self.conditioning == "everywhere" else 0

    @field_validator("levels")
    @classmethod
    def _halves(cls, levels: int, info: ValidationInfo) -> int:
        sides = info.data.get("event_shape", ())[1:]
        part = 2 ** (levels + cls._more_halvings)
        if any(side % part for side in sides):
            raise ValueError(f"that takes a height and a width that {part} divides, and the images "
                             f"have {sides[0]} × {sides[1]}: choose fewer levels")
        return levels


class SourceSettings(Settings):
    """Which distribution the points come from."""

    data: str = setting(
        "moons", "Distribution", "The distribution the flow is to learn, or images: digits, mnist "
        "or fashion_mnist; on the command line also a file of points (.csv, .npy, .npz), a grey "
        "picture (.png, .jpg) or many (.zip, .npy, .npz).",
        group="Data", min_length=1)
    noise: float | None = setting(
        None, "Noise", "Standard deviation of the Gaussian noise around the shape; left empty, "
        "the distribution's own.", group="Data", unit="data units", ge=0, le=10)
    image_side: int = setting(
        16, "Side", "Height and width that images of your own are given.",
        group="Images", unit="pixels", ge=4, le=64)

    _points_only: ClassVar[tuple[str, ...]] = ("noise",)

    @field_validator("data")
    @classmethod
    def _short(cls, data: str) -> str:
        if len(data) > LONGEST_NAME:
            raise ValueError(f"give a name of up to {LONGEST_NAME} characters, or on the command "
                             "line a file that ends in .csv, .tsv, .txt, .npy, .npz, .png, .jpg or "
                             ".zip")
        return data


class TrainingSettings(Settings):
    """How a flow is trained."""

    epochs: int = setting(
        40, "Epochs", "How many times the training sees every point.",
        group="Training", unit="epochs", log=True, step=10, ge=1, le=10_000)
    batch_size: int = setting(
        256, "Batch size", "Points per optimiser step: small batches are noisy, large ones slow.",
        group="Training", unit="points", log=True, step=32, ge=1, le=65_536)
    learning_rate: float = setting(
        3e-3, "Learning rate", "Length of an Adam step at the schedule's highest point; it can be "
        "changed while the flow trains.", group="Training", log=True, ge=1e-6, le=1.0)
    schedule: Literal["constant", "cosine", "one_cycle"] = setting(
        "one_cycle", "Schedule", "How the learning rate moves: constant, falling along a cosine, "
        "or a short warm-up followed by that fall (one cycle).", group="Training")
    objective: Literal["forward", "reverse"] = setting(
        "forward", "Objective", "Forward KL is maximum likelihood: cover all the data. Reverse KL "
        "fits the flow's own samples to the known density: it may drop modes.", group="Training")
    points: int = setting(
        20_000, "Points", "How many points are drawn, training and test together; images are "
        "all used.",
        group="Data", unit="points", log=True, step=500, ge=10, le=1_000_000)
    test_fraction: float = setting(
        0.2, "Test share", "Share of the points kept aside to measure how well the flow does on "
        "points it never saw.", group="Data", ge=0.01, le=0.9)
    seed: int = setting(
        0, "Seed", "Number that fixes every random choice: the same seed and settings give the "
        "same run.", group="Training", ge=0, le=2**31 - 1)
    clip: float = setting(
        5.0, "Gradient clipping", "Longest gradient that is used as it is; a longer one is "
        "shortened to this norm. 0 means no limit.", group="Training", ge=0, le=1e6)
    weight_decay: float = setting(
        0.0, "Weight decay", "Pull of the weights towards zero (decoupled, as in AdamW).",
        group="Training", log=True, ge=0, le=1.0)
    averaging: int = setting(
        200, "Weight averaging", "The flow that is measured, shown and saved has the average of "
        "the weights over about this many steps, which is steadier than the last ones; 1 means no "
        "averaging.", group="Training", unit="steps", log=True, ge=1, le=100_000)
    patience: int = setting(
        0, "Early stop", "Stop after this many epochs without a better test NLL; 0 means never.",
        group="Training", unit="epochs", step=5, ge=0, le=10_000)
    precision: Literal["float32", "float64"] = setting(
        "float32", "Precision", "Floating-point numbers of the flow.", group="Training")
    device: Literal["cpu", "cuda"] = setting(
        "cpu", "Device", "Where the training runs.", group="Training")
    compiled: bool = setting(
        False, "Compiled", "Have a C++ compiler make the steps up to four times as fast. It takes "
        "a minute or two beside the training, which takes the result over as soon as it is "
        "there, and is kept for the next time. Numbers may differ in their last digits from run "
        "to run.", group="Training")

    _points_only: ClassVar[tuple[str, ...]] = ("objective", "points", "test_fraction")


class RunSettings(Settings):
    """Everything that makes one run; as JSON, all that another machine needs to repeat it.

    A model's recipe narrows ``model`` and ``flow``. Field names differ across the three parts, so
    that one flat list of names serves the URL and the command line.
    """

    model: str
    flow: FlowSettings
    source: SourceSettings = SourceSettings()
    training: TrainingSettings = TrainingSettings()

    @classmethod
    def read(cls, text: str) -> "RunSettings":
        """A run from its JSON, as the class of the model that it names.

        Only models that the program has imported are known.

        Raises
        ------
        ValueError
            With one sentence, when it is no run, or one of another model.
        """
        kinds = {kind.model_fields["model"].default: kind for kind in cls.__subclasses__()}
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
            raise ValueError("These are no settings of a run: their model should be one of "
                             f"{', '.join(kinds)}.") from error

    @classmethod
    def parts(cls) -> dict[str, type[Settings]]:
        """The classes of the three parts: ``flow``, ``source`` and ``training``."""
        return {name: cls.model_fields[name].annotation for name in ("flow", "source", "training")}

    def flat(self) -> dict[str, Any]:
        """All settings but the model's name, in one dictionary."""
        return {name: value for part in self.parts() for name, value in getattr(self, part)}

    @classmethod
    def points_only(cls) -> tuple[str, ...]:
        """Settings that do nothing where the data are images."""
        return tuple(name for part in cls.parts().values() for name in part._points_only)

    @classmethod
    def from_texts(cls, texts: dict[str, str]) -> Self:
        """As `from_flat`, from values written as text: a URL's or a command line's.

        Widths of layers are written ``64,64``; everything else as pydantic reads it.
        """
        fields = {n: f for part in cls.parts().values() for n, f in part.model_fields.items()}
        return cls.from_flat({
            name: tuple(text.split(",")) if name in fields
            and get_origin(fields[name].annotation) is tuple else text
            for name, text in texts.items()})

    def texts(self) -> dict[str, str]:
        """The settings that differ from the defaults, as text; `from_texts` reads them."""
        default = type(self)().flat()
        return {name: ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
                for name, value in self.flat().items() if value != default[name]}

    @classmethod
    def from_flat(cls, values: dict[str, Any]) -> Self:
        """The run whose settings differ from the defaults by ``values`` (as `flat` names them).

        Raises
        ------
        pydantic.ValidationError
            For an unknown name or a value out of bounds; `describe` turns it into a sentence.
        """
        parts: dict[str, dict[str, Any]] = {part: {} for part in cls.parts()}
        for name, value in values.items():
            part = next((p for p, c in cls.parts().items() if name in c.model_fields), "training")
            parts[part][name] = value
        return cls.model_validate(parts)


def describe(error: ValidationError) -> str:
    """One sentence that says what to change.

    Parameters
    ----------
    error : pydantic.ValidationError
        What validation raised; its first complaint is told.

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
    # What is no name says which of several forms a value was taken for.
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
    """A value with Python's own numbers in place of NumPy's and PyTorch's."""
    if isinstance(value, tuple | list):
        return type(value)(map(as_python, value)) if type(value) in (tuple, list) else value
    return value.tolist() if hasattr(value, "tolist") else value


def shown(text: str, longest: int = 40) -> str:
    """Text that came from elsewhere, as it can stand in a sentence: printable, and not long."""
    text = "".join(c if c.isprintable() else "?" for c in text[:longest + 1])
    return text if len(text) <= longest else text[:longest - 3] + "..."


def _written(value: Any) -> str:
    """As ``repr`` writes it, which fails for a whole number of more than 4300 digits."""
    try:
        return repr(value)
    except (ValueError, RecursionError):
        return "something very large"
