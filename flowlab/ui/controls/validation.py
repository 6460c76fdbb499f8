"""What a model's page can show: which settings have a control there, and which runs fit it."""

from collections.abc import Collection

from pydantic import ValidationError

from flowlab.data import Images, Points, Source, Target, kind_of, source_of, target
from flowlab.settings import RunSettings, SourceSettings, describe, shown
from flowlab.training.recipe import fitted

LONGEST = 1000  # characters of a setting in a URL
#: Settings that no page has a control for.
NEVER = ("event_shape", "device", "precision", "grey_levels", "image_side")
#: Settings without a control where the data are points.
HIDDEN = (*NEVER, "classes", "conditioning", "levels", "hidden_channels", "blocks",
          "image_normalisation", "logit")


def _without_control(run: type[RunSettings], data: str) -> tuple[str, ...]:
    """The settings that have no control with such data; unknown data count as points."""
    try:
        return hidden(run, data)
    except ValueError:
        return HIDDEN


def hidden(run: type[RunSettings], data: str) -> tuple[str, ...]:
    """The settings that have no control with such data.

    Raises
    ------
    ValueError
        For own data that are not kept (any more), or images that cannot be had.
    """
    if kind_of(data) != "images" or getattr(run.sections()["flow"], "vectors_only", False):
        return HIDDEN
    classes = () if source(data).classes else ("classes", "conditioning")
    return (*NEVER, *classes, *run.points_only())


def source(name: str) -> Target | Points | Images:
    """The distribution, own data or images of this name, with the default noise.

    Raises
    ------
    ValueError
        If there is no such distribution and there are no such images, or they cannot be had.
    """
    return source_of(SourceSettings(data=name))


def read(run: type[RunSettings], texts: dict[str, str]) -> tuple[RunSettings, list[str]]:
    """Settings from a URL's texts, and a sentence for each that had to be left out."""
    texts, complaints = known(texts, {*run.fields(), *run.former()})
    for name in _without_control(run, texts.get("data", "")):
        if texts.pop(name, None) is not None:
            complaints.append(f"{name} cannot be set on this page: use the command line.")
    while True:
        try:
            settings = run.from_texts(texts)
            check(settings)
            return settings, complaints
        except ValidationError as error:
            names = [part for part in error.errors()[0]["loc"] if part in texts]
            complaints.append(describe(error))
        except Unfit as error:
            names = [error.name]
            complaints.append(str(error))
        for name in names or list(texts):
            texts.pop(name, None)


def known(texts: dict[str, str], names: Collection[str], longest: int = LONGEST
          ) -> tuple[dict[str, str], list[str]]:
    """A URL's texts that have one of these names and a bearable length, and what is wrong else.

    What follows may look at each again and again, so a URL of a million names ends here.
    """
    strange = [name for name in texts if name not in names]
    complaints = [f"There is no setting called {shown(strange[0])}: leave it out or check its "
                  "spelling."] if strange else []
    long = [name for name in names if len(texts.get(name, "")) > longest]
    complaints += [f"{name} is too long a text: give at most {longest:,} characters."
                   for name in long]
    return {n: t for n, t in texts.items() if n in names and n not in long}, complaints


class Unfit(ValueError):
    """A setting that is valid alone, but not on this page or beside the others."""

    def __init__(self, name: str, sentence: str) -> None:
        super().__init__(sentence)
        self.name = name


def check(settings: RunSettings) -> None:
    """Raise `Unfit` for what the page cannot show or the distribution does not allow."""
    if len(set(getattr(settings.flow, "hidden", ()))) > 1:
        raise Unfit("hidden", "hidden: on this page all layers have one width, such as 64,64.")
    try:
        truth = source(settings.source.data)
    except ValueError as error:
        raise Unfit("data", str(error)) from error
    if truth.kind == "images":
        _check_images(settings, truth)
        return
    try:
        truth = target(truth.name, noise=settings.source.noise)
    except ValueError as error:
        raise Unfit("noise", str(error)) from error
    if settings.training.objective == "reverse" and not truth.full_support:
        raise Unfit("objective", "objective: reverse KL needs a known density that is nowhere "
                    "zero, which these data do not have.")


def _check_images(settings: RunSettings, images: Source) -> None:
    if settings.flow.classes not in (0, images.classes):
        raise Unfit("classes", f"classes: {images.title} have {images.classes}; give that, or 0."
                    if images.classes else "classes: these images have none; leave it out.")
    try:
        fitted(settings.flow, images)
    except ValidationError as error:
        name = error.errors()[0]["loc"][-1]
        raise Unfit("data" if name == "event_shape" else str(name), describe(error)) from error


def check_plane(name: str) -> None:
    """Raise `Unfit` where there is no distribution of this name, or it is not of the plane."""
    try:
        truth = target(name)
    except ValueError as error:
        raise Unfit("data", str(error)) from error
    if truth.event_shape != (2,):
        raise Unfit("data", "data: these own data have more than two columns, and this page is "
                    "about points of the plane.")
