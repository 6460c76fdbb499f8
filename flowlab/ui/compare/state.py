"""The state of the page that compares models."""

from dataclasses import dataclass, field

from flowlab.figures.comparison import VIEWS
from flowlab.settings import RunSettings
from flowlab.ui.app.state import Control, Group, Page
from flowlab.ui.controls.settings import Controls

AMOUNTS = {"epochs": 20.0, "steps": 300.0, "seconds": 5.0}  # at first


@dataclass(frozen=True)
class Rival:
    """A model in the sidebar.

    Attributes
    ----------
    model : str
    settings : RunSettings
        As they came; the controls change some of them.
    controls : Controls
        Of its settings, and of its name in this comparison, ``label``.
    """

    model: str
    settings: RunSettings
    controls: Controls


@dataclass
class ComparePage(Page):
    """State of the page.

    Attributes
    ----------
    run : str or None
        The id of the comparison that is shown.
    moves : bool
        Whether the page is drawn for a comparison that may still change.
    rivals : list of Rival
    added : int
        How many models were ever put into the sidebar.
    runs : tuple of str
        The ids of the finished runs that take part.
    turn : int
        How many runs were chosen: each empties the chooser.
    data : tuple of str
    """

    run: str | None = None
    moves: bool = False
    rivals: list[Rival] = field(default_factory=list)
    added: int = 0
    runs: tuple[str, ...] = ()
    turn: int = 0
    data: tuple[str, ...] = ()

    view = Control(VIEWS[0])
    budget = Control("epochs")
    addrun = Group()  # the chooser of finished runs, by its turn
    amount = Group()  # of each training, by the budget's name
    seeds, points, level = Control(1), Control(0), Control(0.0)
    sized, parameters = Control(False), Control(0)
