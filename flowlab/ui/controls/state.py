"""The state of a model's page."""

from dataclasses import dataclass, field
from typing import Any, Literal

from flowlab.figures import LAYERS, SHOWN
from flowlab.training.recipe import Recipe
from flowlab.ui.app.state import Control, Group, Page, page
from flowlab.ui.controls.links import Lesson
from flowlab.ui.controls.settings import Controls

NEWEST = -1  # the moment's slider there follows a training under way; elsewhere it is at a step


@dataclass
class Shown:
    """What a page shows now; downloads take it from here when their button is pressed.

    Attributes
    ----------
    key : str
        Of the training that is explored.
    step : int
        Of the moment; −1 for a fresh flow.
    theme : str
    overlays : tuple of str
    """

    key: str = ""
    step: int = -1
    theme: str = ""
    overlays: tuple[str, ...] = ()


@dataclass
class Playback:
    """Where a page is in a training, and what plays on it.

    Attributes
    ----------
    what : {"", "training", "flow"}
        What plays: the training over time, or the layers of the flow.
    ticked : float
        When it was drawn last, on the monotonic clock.
    share : float
        How much of the training has been replayed, in percent.
    reached : int
        The moment that the replay has reached, as its slider has it.
    way : float
        How many layers have been played.
    layers : int
        How many there are.
    key : str
        The training that the moment belongs to.
    pinned : int or None
        The step that the viewer chose; the nearest frame to it is shown.
    moment : int
        Where the moment's slider was put last.
    version : int
        How often it was: each time it is a new slider, which no browser confuses with the last.
    """

    what: Literal["", "training", "flow"] = ""
    ticked: float = 0.0
    share: float = 0.0
    reached: int = NEWEST
    way: float = 0.0
    layers: int = 0
    key: str = ""
    pinned: int | None = None
    moment: int = NEWEST
    version: int = 0


@dataclass
class ModelPage(Page):
    """State of a model's page.

    Attributes
    ----------
    recipe : Recipe
        The model's.
    controls : Controls
        Those of the settings.
    lesson : Lesson
        What the page's link says besides the settings.
    run : str or None
        The id of the run that the page follows.
    status : str
        The run's state that the buttons are drawn for.
    offer : int or None
        The epoch that the Continue button offers to go on from.
    shown : Shown
    playback : Playback
    dressed : tuple
        The run, theme and overlays that its pictures were asked for last.
    for_points : dict of str to object
        The settings that images have replaced, for when the data are points again.
    fitted_epochs : int or None
        The number of epochs that was set for own data.
    fetching : str
        Images to fetch when the page is drawn next.
    unfetched : str
        The sentence on why images could not be fetched.
    goto : (str, dict) or None
        Another model's page to open next, and its query.
    """

    recipe: Recipe = field(kw_only=True)
    controls: Controls = field(kw_only=True)
    lesson: Lesson = Lesson()
    run: str | None = None
    status: str = ""
    offer: int | None = None
    shown: Shown = field(default_factory=Shown)
    playback: Playback = field(default_factory=Playback)
    dressed: tuple = ()
    for_points: dict[str, Any] = field(default_factory=dict)
    fitted_epochs: int | None = None
    fetching: str = ""
    unfetched: str = ""
    goto: tuple[str, dict[str, str]] | None = None

    experiment: Control[str | None] = Control(None)
    view = Control("Training")
    chosen_overlays = Control(list(SHOWN), "{page}.layers")
    speed = Control(1.0)  # of what plays
    rate = Control(0.0)  # the learning rate of the training under way
    passed = Control(0)  # layers, while they play
    replayed = Control(NEWEST)  # the moment, while the training is replayed
    moment = Group()  # the slider's place by its version
    place = Group()  # layers passed by the number of layers
    x1, x2 = Group(), Group()  # the point that is followed by the data's name
    img = Group()  # the views of images
    share = Group()  # what a link says besides the settings

    @property
    def overlays(self) -> tuple[str, ...]:
        """The overlays that the picture shows, in the order of their chooser."""
        return tuple(name for name in LAYERS if name in self.chosen_overlays)


def model_page(recipe: Recipe) -> ModelPage:
    """The state of a model's page in this session."""
    return page(lambda name: ModelPage(name, recipe=recipe, controls=Controls(recipe.Run, name)),
                recipe.name)
