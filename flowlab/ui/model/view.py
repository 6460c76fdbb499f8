"""What a model's page shows: its settings, its run, and the frames of it."""

from dataclasses import dataclass, field

import streamlit as st

from flowlab.data import source_of
from flowlab.jobs import Status
from flowlab.live import Frame, pretrained
from flowlab.live.pretrained import Pretrained
from flowlab.live.thinning import history, nearest
from flowlab.runs import Run
from flowlab.server.admission import owns
from flowlab.settings import FlowSettings, RunSettings
from flowlab.training import Epoch
from flowlab.training.recipe import Recipe, fitted
from flowlab.ui.app.lab import lab, theme
from flowlab.ui.app.visitor import visitor
from flowlab.ui.controls.state import ModelPage
from flowlab.ui.model import differing
from flowlab.ui.model.inside import Subject, fresh_key

IDLE = Status("ready")


@dataclass(frozen=True)
class View:
    """What one page shows: its settings and its run.

    Attributes
    ----------
    page : ModelPage
        The page's state.
    settings : RunSettings
        Those of the controls now.
    run : Run or None
        The run that the page shows.
    aside : Run or None
        The page's last run, where it shows none because its controls have other data.
    differs : list of str
        The settings that the run shown has otherwise than the controls.
    """

    page: ModelPage
    settings: RunSettings
    run: Run | None
    aside: Run | None = None
    differs: list[str] = field(default_factory=list)

    def status(self) -> Status:
        """Where the run stands."""
        return IDLE if self.run is None else lab().status(self.run)

    @property
    def foreign(self) -> bool:
        """Whether the run is another visitor's, to be looked at only."""
        return self.run is not None and not owns(self.run, visitor())

    @property
    def steered(self) -> bool:
        """Whether there is a run under way that the visitor may steer."""
        return self.status().active and not self.foreign

    @property
    def stale(self) -> str:
        """The sentence on how the controls differ from the run; empty where they agree."""
        return differing.sentence(self.run.settings, self.settings, self.differs
                                  ) if self.run is not None and self.differs else ""

    def frame(self) -> Frame | None:
        """The newest frame of the run; before any, the pretrained flow's where it fits."""
        if self.run is not None:
            return lab().last(self.run)
        frames = self.frames()
        return frames[-1] if frames else None

    def frames(self) -> list[Frame]:
        """All frames there are to look at, oldest first; the last is that of `frame`."""
        if self.run is not None:
            lab().find(self.run.id)
            return lab().frames(self.run)
        before = self._pretrained()
        return [] if before is None else before.drawn(theme())

    def _pretrained(self) -> Pretrained | None:
        every = trained_before(self.page.name, self.page.recipe)
        return next((before for before in every if before.fits(self.settings)), None)

    def subject(self, frames: list[Frame]) -> Subject:
        """What there is to explore."""
        model = self.page.recipe.model
        if self.run is not None:
            return Subject(self.page, model, self.run.settings, self.run.id, frames)
        key = f"pretrained.{self.settings.source.data}" if frames else fresh_key(self.settings)
        return Subject(self.page, model, self.settings, f"{self.page.name}.{key}", frames)

    @property
    def fits(self) -> bool:
        """Whether a training with the page's settings could go on from the flow shown."""
        return self.run is None or _shape(self.run.settings) == _shape(self.settings)

    def origin(self) -> tuple[Frame, tuple[Epoch, ...]] | None:
        """The moment shown, or the nearest with weights, and all epochs until then."""
        frames, shown = self.frames(), self.page.shown
        subject = self.subject(frames)
        here = frames and shown.key == subject.key
        place = subject.weighty(nearest(frames, shown.step) if here else len(frames) - 1)
        if place < 0:
            return None
        end = frames[place].moment.epoch
        return frames[place], tuple(e for e in history(frames) if e.epoch <= end)

    def offer(self) -> int | None:
        """The epoch that Continue goes on from; None where it cannot."""
        origin = None if self.steered else self.origin()
        return origin and origin[0].moment.epoch


def view(page: ModelPage, settings: RunSettings) -> View:
    """What a model's page shows, where its controls have these settings."""
    run = lab().find(page.run)
    if run is None:
        return View(page, settings, None)
    if not differing.same_data(run.settings, settings):
        return View(page, settings, None, aside=run)
    return View(page, settings, run,
                differs=differing.differences(run.settings, settings))


def _shape(settings: RunSettings) -> FlowSettings:
    """The settings of the flow, in the shape of the run's data."""
    return fitted(settings.flow, source_of(settings.source))


@st.cache_resource(show_spinner=False)
def trained_before(name: str, _recipe: Recipe) -> list[Pretrained]:
    """The trained flows that come with a model."""
    found = (pretrained.load(_recipe, each) for each in pretrained.names(_recipe))
    return [each for each in found if each is not None]
