"""The differences between the controls and the run that a page shows."""

from typing import Any

from pydantic.fields import FieldInfo

from flowlab.settings import RunSettings
from flowlab.ui.controls.settings import AMOUNTS, words
from flowlab.ui.controls.validation import hidden, source

MOST = 3  # settings that a sentence names


def same_data(run: RunSettings, now: RunSettings) -> bool:
    """Whether both are about the same distribution with the same noise, or the same images."""
    return _source(run) == _source(now)


def differences(run: RunSettings, now: RunSettings) -> list[str]:
    """The names of the settings with a control that differ; both are about the same data."""
    before, after = (settings.flat() | {"epochs": settings.training.budget}
                     for settings in (run, now))
    left_out = *hidden(type(now), now.source.data), *AMOUNTS, "data", "noise"
    return [name for name, value in after.items()
            if name not in left_out and before.get(name) != value]


def title(run: RunSettings, names: list[str] | None = None) -> str:
    """The data of a run, and some of its settings, in words."""
    fields, values = run.fields(), run.flat()
    found = [run.training.length if name == "epochs" else _named(fields[name], values[name])
             for name in (names or ())[:MOST]]
    return ", ".join([source(run.source.data).title, *found])


def sentence(run: RunSettings, now: RunSettings, names: list[str]) -> str:
    """Tell that the results shown are those of other settings (Markdown)."""
    values = now.flat()
    unit, values["epochs"] = now.training.budget
    if unit != run.training.budget[0]:
        values["epochs"] = now.training.length
    wanted = ", ".join(_value(values[name]) for name in names[:MOST])
    more = "" if len(names) <= MOST else f", and {len(names) - MOST} more differ"
    return (f"These are the results of *{title(run, names)}*; the controls say *{wanted}*{more}. "
            "**Train** to see it.")


def _source(run: RunSettings) -> tuple[str, float | None]:
    """The data and their noise; None where that is the usual, or there is none."""
    noise = run.source.noise
    if noise is not None and noise == source(run.source.data).noise:
        noise = None
    return run.source.data, noise


def _named(field: FieldInfo, value: Any) -> str:
    """A setting in words: 16 couplings, learning rate 0.003."""
    name = field.title or ""
    name = name[:1].lower() + name[1:] if name[1:2].islower() else name
    if type(value) is int and name.endswith("s"):
        return f"{value} {name}"
    return f"{name} {_value(value)}"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return " × ".join(map(str, value))
    if isinstance(value, str):
        return words(value)
    return f"{value:g}" if isinstance(value, float) else str(value)
