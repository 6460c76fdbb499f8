"""The state of the page that compares models."""

from dataclasses import dataclass, field
from typing import NamedTuple

from flowlab.figures.comparison import VIEWS
from flowlab.settings import RunSettings
from flowlab.studies.comparison import Contest
from flowlab.ui.app.state import Control, Page, Values
from flowlab.ui.controls.settings import Controls

AMOUNTS = {"epochs": 20.0, "steps": 300.0, "seconds": 5.0}  # at first


class Rival(NamedTuple):
    """A model in the sidebar."""

    model: str
    settings: RunSettings  #: As they came; the controls change some of them.
    controls: Controls  #: Of its settings, and of its name in this comparison, ``label``.


@dataclass
class ComparePage(Page):
    """State of the page."""

    contest: Contest | None = None  #: The comparison that is shown.
    moves: bool = False  #: Whether the page is drawn for a comparison that may still change.
    rivals: list[Rival] = field(default_factory=list)
    added: int = 0  #: How many models were ever put into the sidebar.
    runs: tuple[str, ...] = ()  #: The ids of the finished runs that take part.
    layout: str = ""  #: Of the lecture view, or empty.
    turn: int = 0  #: How many runs were chosen: each empties the chooser.
    data: tuple[str, ...] = ()

    view, budget = Control(VIEWS[0]), Control("epochs")
    seeds, points, level = Control(1), Control(0), Control(0.0)
    sized, parameters = Control(False), Control(0)

    def __post_init__(self) -> None:
        self.amount = Values(f"{self.name}.amount")  #: Of each training, by the budget's name.
        self.addrun = Values(f"{self.name}.addrun")  #: The chooser of finished runs, by its turn.
