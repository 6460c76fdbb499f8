"""Experiments to choose from: the lessons, with the numbers that their trainings reached.

``make lessons`` measures them, on one CPU thread, and writes `flowlab.ui.controls.lessons.FILE`.
"""

import json
import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from flowlab.ui.controls.lessons import FILE, TEMPLATES, Preset


def measured() -> dict[str, dict[str, dict[str, Any]]]:
    """The settings and the numbers of every training of every lesson."""
    return json.loads(FILE.read_text("utf-8"))


def filled(preset: Preset, trainings: dict[str, dict[str, Any]]) -> Preset:
    """The lesson with its numbers in its texts."""
    numbers = {name: SimpleNamespace(**training["numbers"]) for name, training in trainings.items()}
    texts = {part: getattr(preset, part).format(**numbers) for part in ("do", "look", "why")}
    return replace(preset, **{part: re.sub(r"(?<!\w)-(?=\d)", "\N{MINUS SIGN}", text)
                              for part, text in texts.items()})


PRESETS = tuple(filled(preset, measured()[preset.name]) for preset in TEMPLATES)
BY_NAME = {preset.name: preset for preset in PRESETS}
