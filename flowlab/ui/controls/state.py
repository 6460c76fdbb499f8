"""The state of a model's page."""

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from flowlab.figures import DEFAULT_OVERLAYS, OVERLAYS
from flowlab.training.recipe import Recipe
from flowlab.ui.app.state import Control, Page, Values, page
from flowlab.ui.controls.links import Lesson
from flowlab.ui.controls.settings import Controls

NEWEST = -1  # the moment's slider there follows a training under way; elsewhere it is at a step


class Shown(NamedTuple):
    """What a page shows now; downloads take it from here when their button is pressed."""

    key: str = ""  #: Of the training that is explored.
    step: int = -1  #: Of the moment; −1 for a fresh flow.
    theme: str = ""
    overlays: tuple[str, ...] = ()


@dataclass
class Playback:
    """Where a page is in a training, and what plays on it."""

    what: Literal["", "training", "flow"] = ""  #: The training over time, or the flow's layers.
    ticked: float = 0.0  #: When what plays was drawn last, on the monotonic clock.
    share: float = 0.0  #: How much of the training is replayed, in percent.
    reached: int = NEWEST  #: The moment that the replay has reached, as its slider has it.
    way: float = 0.0  #: How many layers are played.
    layers: int = 0  #: How many layers there are.
    back: bool = False  #: Whether the followed point walks back, from data to latent space.
    drawn: bool = False  #: Whether the picture of that place is there; until then the play waits.
    png: bytes = b""  #: The picture of the plane shown last.
    key: str = ""  #: The training that the moment belongs to.
    moment: int = NEWEST  #: Where the moment's slider was put last.
    #: How often it was put: each time it is a new slider, which no browser takes for the last.
    version: int = 0
    pinned: int | None = None  #: The step that the viewer chose; the nearest frame is shown.


class First(NamedTuple):
    """The first picture of a lesson, which stays beside those of its second half."""

    picture: bytes  #: A JPEG.
    caption: str  #: Markdown.


@dataclass
class ModelPage(Page):
    """State of a model's page."""

    recipe: Recipe = field(kw_only=True)  #: The model's.
    lesson: Lesson = Lesson()  #: What the page's link has besides the settings.
    first: First | None = None
    run: str | None = None  #: The id of the run that the page follows.
    status: str = ""  #: The run's state that the buttons are drawn for.
    offer: int | None = None  #: The epoch that the Continue button offers to go on from.
    shown: Shown = Shown()
    playback: Playback = field(default_factory=Playback)
    dressed: tuple = ()  #: The run, theme and overlays that pictures were asked for last.
    #: The settings that images have replaced, for when the data are points again.
    for_points: dict[str, Any] = field(default_factory=dict)
    fitted_epochs: int | None = None  #: The number of epochs that was set for own data.
    fetching: str = ""  #: Images to fetch when the page is drawn next.
    unfetched: str = ""  #: The sentence on why images could not be fetched.
    goto: tuple[str, dict[str, str]] | None = None  #: A model's page to open next, and its query.

    experiment: Control[str | None] = Control(None)
    expected: Control[str | None] = Control(None)  #: What the viewer expects of the lesson.
    view = Control("Training")
    chosen_overlays = Control(list(DEFAULT_OVERLAYS), "{page}.layers")
    #: The same of the way through the flow, where the density would hide the points' colours.
    flow_overlays = Control(["samples"], "{page}.layers.flow")
    speed = Control(1.0)  #: Of what plays.
    rate = Control(0.0)  #: The learning rate of the training under way.
    opened: bool = False  #: Whether the layers have played by themselves, as they do once.
    passed = Control(0)  #: Layers, while they play.
    replayed = Control(NEWEST)  #: The moment, while the training is replayed.

    def __post_init__(self) -> None:
        self.controls = Controls(self.recipe.Run, self.name)  #: Those of the settings.
        self.moment = Values(f"{self.name}.moment")  #: The slider's place, by its version.
        self.place = Values(f"{self.name}.place")  #: Layers passed, by the number of layers.
        self.x1 = Values(f"{self.name}.x1")  #: The point that is followed, by the data's name.
        self.x2 = Values(f"{self.name}.x2")
        self.img = Values(f"{self.name}.img")  #: The views of images.

    @property
    def overlays(self) -> tuple[str, ...]:
        """The overlays that the picture shows, in the order of their chooser."""
        return tuple(name for name in OVERLAYS if name in self.chosen_overlays)

    @property
    def overlays_inside(self) -> tuple[str, ...]:
        """Those of the picture of the way through the flow."""
        return tuple(name for name in OVERLAYS if name in self.flow_overlays)


def model_page(recipe: Recipe) -> ModelPage:
    """The state of a model's page in this session."""
    return page(lambda name: ModelPage(name, recipe=recipe), recipe.name)
