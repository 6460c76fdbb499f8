"""The differences between the controls and the run that a page shows."""

from flowlab.runs.naming import MOST, in_words, written
from flowlab.settings import RunSettings
from flowlab.ui.controls.settings import AMOUNTS
from flowlab.ui.controls.validation import hidden, source


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
    return ", ".join([source(run.source.data).title, *in_words(run, names or ())])


def sentence(run: RunSettings, now: RunSettings, names: list[str]) -> str:
    """Tell that the results shown are those of other settings (Markdown)."""
    values = now.flat()
    unit, values["epochs"] = now.training.budget
    if unit != run.training.budget[0]:
        values["epochs"] = now.training.length
    wanted = ", ".join(written(values[name]) for name in names[:MOST])
    more = "" if len(names) <= MOST else f", and {len(names) - MOST} more differ"
    return (f"These are the results of *{title(run, names)}*; the controls are set to "
            f"*{wanted}*{more}. **Train** to see it.")


def _source(run: RunSettings) -> tuple[str, float | None]:
    """The data and their noise; None where that is the usual, or there is none."""
    noise = run.source.noise
    if noise is not None and noise == source(run.source.data).noise:
        noise = None
    return run.source.data, noise
