"""Lessons of the models: each asks what one expects, sets the controls, and explains what happens.

What a text says of a training stands in it by name, and is measured, on one CPU thread: ``make
lessons`` trains every lesson and writes the numbers into the file `FILE` of the model's folder.
"""

import re
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

#: The file with the measured numbers.
FILE = "lessons.json"
#: The texts that have such numbers.
PARTS = ("do", "expect", "look", "why")


@dataclass(frozen=True)
class Preset:
    """One experiment.

    Attributes
    ----------
    name : str
        Its name in a URL.
    model : str
        The model whose page it belongs to.
    title : str
    settings : dict
        What differs from the model's defaults.
    do, look, why : str
        The lesson (Markdown). ``{first.kl:.2f}`` is the KL that the training ``first`` reached.
    expect : str
        The question that is asked before the training.
    answers : tuple of str
        Two or three answers to choose from; nobody is graded.
    then : dict
        The trainings to compare the first with, by name, each with the words on its button.
    trainings : dict
        The trainings that the lesson is about, by name: each what differs from `settings`, or from
        the defaults of another model where it names one. The first is that of `settings`.
    """

    name: str
    model: str
    title: str
    settings: dict[str, Any] = field(hash=False)
    do: str
    expect: str
    answers: tuple[str, ...]
    look: str
    why: str
    then: dict[str, str] = field(hash=False)
    trainings: dict[str, dict[str, Any]] = field(hash=False)

    def concerns(self, model: str) -> bool:
        """Whether the lesson has a training of this model."""
        return model == self.model or any(model == self.training(name)[0] for name in self.then)

    def training(self, name: str) -> tuple[str, dict[str, Any]]:
        """The model of one of the lesson's trainings, and its settings."""
        change = dict(self.trainings[name])
        if "model" in change:
            return change.pop("model"), change
        return self.model, {**self.settings, **change}


def filled(preset: Preset, trainings: dict[str, dict[str, Any]]) -> Preset:
    """The lesson with its numbers in its texts."""
    numbers = {name: SimpleNamespace(**training["numbers"]) for name, training in trainings.items()}
    texts: dict[str, Any] = {part: getattr(preset, part).format(**numbers)
                             for part in PARTS}
    for part, text in texts.items():
        texts[part] = re.sub(r"(?<!\w)-(?=\d)", "\N{MINUS SIGN}", text)
    return replace(preset, **texts)
