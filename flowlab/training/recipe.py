"""What the lab knows of a model, and the way from a run's settings to its training."""

import inspect
import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import ValidationError

from flowlab.bijections.equations import Step
from flowlab.data import Source, source_of
from flowlab.flow import Flow
from flowlab.settings import FlowSettings, RunSettings, TrainingSettings, describe
from flowlab.training import split
from flowlab.training.distributed import check_device
from flowlab.training.lessons import FILE, Preset, filled
from flowlab.training.trainer import Progress, Snapshot, train


@dataclass(frozen=True, eq=False, kw_only=True)
class Recipe:
    """All that the lab knows of a model; pages, commands, documentation and tests are made of it.

    It stands as ``RECIPE`` in the module of `Run`, ``train_`` and the model's name.

    Attributes
    ----------
    model : type of Flow
    Run : type of RunSettings
        The settings of one training: the model's name, and the settings of its flow.
    title : str
        The model's name as people read it.
    icon : str
        Of its page, ``:material/...:``.
    idea : str
        What it does, in a sentence or two (Markdown).
    equations : Step
        Of its layer.
    text : str
        What to know besides, with a link to the paper (Markdown).
    summary, strength, limit, paper : str
        Of its card on the first page: what a layer does, what the model is good at, what it cannot
        do, and who published it where (Markdown).
    images : mapping
        What the page's controls are set to when images are chosen.
    pretrained : mapping
        The settings of the pretrained flows that come with it besides the one with default
        settings, by their names.
    lessons : tuple of Preset
        The experiments of its page; `presets` are the same with the numbers in their texts.
    featured : bool
        Whether the first page is about it, and a sweep where no model is named.
    """

    model: type[Flow]
    Run: type[RunSettings]
    title: str
    icon: str
    idea: str
    equations: Step
    text: str
    summary: str = ""
    strength: str = ""
    limit: str = ""
    paper: str = ""
    images: Mapping[str, Any] = field(default_factory=dict)
    pretrained: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    lessons: tuple[Preset, ...] = ()
    featured: bool = False

    def train(self, settings: RunSettings | TrainingSettings | None = None, *,
              every: Literal["epoch", "batch"] = "epoch", resume: Snapshot | None = None
              ) -> Generator[Progress, float | None, None]:
        """Train a fresh flow on the run's distribution or images; as `flowlab.training.train`.

        ``settings`` may be a whole run, or its training alone; what is left out is at its default.
        A flow for the plane takes the shape of the run's images, see `fitted`.

        Raises
        ------
        ValueError
            When the settings do not fit each other: the distribution's dimension, or its noise.
        """
        if not isinstance(settings, RunSettings):
            settings = self.Run.model_validate({"training": settings or TrainingSettings()})
        source = source_of(settings.source)
        return train(build(self.model, settings), source, settings.training, every=every,
                     resume=resume)

    @property
    def name(self) -> str:
        """The model's name in addresses, files and commands; also that of its folder."""
        return self.Run.model_fields["model"].default

    @property
    def vectors_only(self) -> bool:
        """Whether the model learns vectors only, and no images."""
        return self.model.Settings.vectors_only

    @property
    def folder(self) -> Path:
        """Where the model's files are."""
        return Path(inspect.getfile(self.model)).parent

    @cached_property
    def measured(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Settings and numbers of every lesson's trainings, as ``make lessons`` wrote them."""
        return json.loads((self.folder / FILE).read_text("utf-8")) if self.lessons else {}

    @cached_property
    def presets(self) -> tuple[Preset, ...]:
        """The lessons with the measured numbers in their texts."""
        return tuple(filled(lesson, self.measured[lesson.name]) for lesson in self.lessons)

    def __reduce__(self) -> tuple:
        """A worker takes the recipe from the model's module, where it stands."""
        return _recipe_in, (self.Run.__module__,)


def featured(recipes: Mapping[str, Recipe]) -> Recipe:
    """The recipe that says so, or the first."""
    return next((recipe for recipe in recipes.values() if recipe.featured), [*recipes.values()][0])


def imported() -> dict[str, Recipe]:
    """The recipes of all models that the program has imported, by their names."""
    recipes = [getattr(import_module(kind.__module__), "RECIPE", None)
               for kind in RunSettings.__subclasses__()]
    return {recipe.name: recipe for recipe in recipes if recipe}  # settings of one's own have none


def _recipe_in(module: str) -> Recipe:
    return import_module(module).RECIPE


def check(settings: RunSettings) -> None:
    """See that a training can take these settings, before anything is built or drawn.

    Raises
    ------
    ValueError
        With one sentence that says what to change.
    """
    source = source_of(settings.source)
    try:
        flow = fitted(settings.flow, source)
    except ValidationError as error:
        raise ValueError(describe(error)) from error
    split.check(flow, source, settings.training)


def build(model: type[Flow], settings: RunSettings) -> Flow:
    """A fresh flow whose random start is fixed by the run's seed, in the shape of its source.

    torch's global random state is left as it was; for the shape see `fitted`.

    Raises
    ------
    ValueError
        When the run is to be on a GPU and there is none, or its source cannot be had.
    """
    check_device(settings.training.device)
    fitting = fitted(settings.flow, source_of(settings.source))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.training.seed)
        flow = model(**dict(fitting))
    return flow.to(settings.training.device, getattr(torch, settings.training.precision))


def fitted(settings: FlowSettings, source: Source) -> FlowSettings:
    """The settings of a flow in the shape of its source, and with the source's grey levels.

    A shape or a number of grey levels that is not at its default stays as it is.
    """
    default = type(settings)()
    change = {name: getattr(source, name) for name in ("event_shape", "grey_levels")
              if getattr(settings, name) == getattr(default, name)}
    return type(settings)(**{**dict(settings), **change})
