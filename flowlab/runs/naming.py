"""Names of runs, from their model, their data and what differs from the defaults."""

from collections.abc import Sequence
from typing import Any

from pydantic.fields import FieldInfo

from flowlab.data import title_of
from flowlab.settings import RunSettings

MOST = 3  # settings in a name
#: Settings that say nothing of a run beside its data and the length of its training.
LEFT_OUT = ("event_shape", "classes", "grey_levels", "image_side", "device", "precision", "data",
            "seed", "optimiser_steps", "seconds")
SPECIAL = {"relu": "ReLU", "leaky_relu": "Leaky ReLU", "elu": "ELU", "tanh": "tanh",
           "actnorm": "ActNorm", "batchnorm": "Batch norm", "forward": "Forward KL",
           "reverse": "Reverse KL"}


def name_of(settings: RunSettings) -> str:
    """The name of a run that nobody has named.

    Examples
    --------
    >>> from realnvp.train_realnvp import Run
    >>> name_of(Run.from_flat({"couplings": 1, "masks": "fixed"}))
    'RealNVP · Two moons · 1 coupling, fixed masks'
    """
    default = settings.from_flat({})
    flat = settings.flat() | {"epochs": settings.training.budget}
    usual = default.flat() | {"epochs": default.training.budget}
    words = in_words(settings, [name for name, value in flat.items()
                                if name not in LEFT_OUT and value != usual[name]])
    if flat["seed"] != usual["seed"]:
        words.append(f"seed {flat['seed']}")
    model = type(settings.flow).__name__.removesuffix("Settings")
    return " · ".join(filter(None, (model, _title(settings.source.data), ", ".join(words))))


def name_in_comparison(label: str, data: str, seed: int | None = None) -> str:
    """The name of a run whose model has this label in its comparison.

    Examples
    --------
    >>> name_in_comparison("Spline", "moons", 0)
    'Spline · Two moons · seed 0'
    """
    return " · ".join([label, _title(data)] + ([] if seed is None else [f"seed {seed}"]))


def without_data(name: str, data: str) -> str:
    """A run's name where its data are named beside it."""
    return name.replace(f" · {_title(data)}", "", 1)


def in_words(settings: RunSettings, names: Sequence[str]) -> list[str]:
    """The first of these settings in words, see `described`; the epochs stand for any budget."""
    fields, flat = settings.fields(), settings.flat()
    return [settings.training.length if name == "epochs" else described(fields[name], flat[name])
            for name in names[:MOST]]


def described(field: FieldInfo, value: Any) -> str:
    """A setting in words: 16 couplings, fixed masks, learning rate 0.003."""
    title = in_sentence(field.title or "")
    if type(value) is int and title.endswith("s"):
        return f"{value} {title[:-1] if value == 1 else title}"
    if isinstance(value, str) and not title.endswith("enters"):
        return f"{'no' if value == 'none' else in_sentence(choice(value))} {title}"
    return f"{title} {written(value)}"


def written(value: Any) -> str:
    """A setting's value as people read it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return " × ".join(map(str, value))
    if isinstance(value, str):
        return choice(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def choice(name: str) -> str:
    """A choice as people read it."""
    return SPECIAL.get(name, name.replace("_", " ").capitalize())


def in_sentence(text: str) -> str:
    """Words as they stand within a sentence; names such as ReLU stay."""
    return text[:1].lower() + text[1:] if text[1:2].islower() and text[1:].islower() else text


def _title(data: str) -> str:
    try:
        return title_of(data)
    except ValueError:  # own data that are no longer here
        return "Own data"
