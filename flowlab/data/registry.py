"""Distributions, own data and images by name."""

from functools import lru_cache

from flowlab.data.images import SETS, TITLES, Images
from flowlab.data.own import Points, own
from flowlab.data.source import Kind
from flowlab.data.store import is_own
from flowlab.data.targets.boards import Checkerboard, UniformSquare
from flowlab.data.targets.curves import Moons, SCurve, Spiral, SwissRoll, TwoSpirals
from flowlab.data.targets.gaussians import EightGaussians, Gaussian, GridGaussians, Stripes
from flowlab.data.targets.pinwheel import Pinwheel
from flowlab.data.targets.rings import Circles, Rings
from flowlab.data.targets.target import Target
from flowlab.data.targets.warped import Banana, Cosine, Funnel
from flowlab.settings import SourceSettings, shown

_TARGETS: dict[str, type[Target]] = {
    kind.name: kind
    for kind in (
        Gaussian,
        EightGaussians,
        GridGaussians,
        Moons,
        Circles,
        Rings,
        Spiral,
        TwoSpirals,
        Pinwheel,
        SwissRoll,
        SCurve,
        Checkerboard,
        Banana,
        Funnel,
        Cosine,
        UniformSquare,
    )
}
#: Made for lessons: found by name, and not among those to choose from.
_LESSONS: dict[str, type[Target]] = {Stripes.name: Stripes}


def targets() -> tuple[str, ...]:
    """Return the names of all targets to choose from.

    Returns
    -------
    tuple of str
        Names that :func:`target` accepts, simplest first.

    Examples
    --------
    >>> targets()[:3]
    ('gaussian', 'eight_gaussians', 'grid_gaussians')
    """
    return tuple(_TARGETS)


def target(name: str, noise: float | None = None) -> Target | Points:
    """Return the target, or the own data, of that name.

    Parameters
    ----------
    name
        One of :func:`targets`, or the name of own data in :mod:`flowlab.data.store`.
    noise
        Noise level in the data's own units; None means the target's default.

    Returns
    -------
    Target or Points
        The same object each time for the same name and noise, so its entropy is computed once.
        Own points have no density.

    Raises
    ------
    ValueError
        If there is no such target, its own data are not on this machine, or the noise is outside
        the target's range.

    Examples
    --------
    >>> moons = target("moons", noise=0.1)
    >>> points = moons.sample(500, seed=1)
    >>> moons.log_prob(points).shape
    torch.Size([500])
    """
    if is_own(name):
        if noise is not None:
            raise ValueError("Own data have no noise level; leave the noise out.")
        found = own(name)
        if found.kind == "images":
            raise ValueError(f"The own data {name!r} are images: choose them as images.")
        return found
    known = _TARGETS | _LESSONS
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"There is no target {shown(repr(name), 60)}; choose one of: "
                         f"{', '.join(_TARGETS)}.")
    return _build(known[name], known[name].check_noise(noise))


@lru_cache(maxsize=8)
def image_set(name: str) -> Images:
    """Return the images of that name; the same object each time.

    Parameters
    ----------
    name : str
        One of `flowlab.data.images.images`, or the name of own images in `flowlab.data.store`.

    Raises
    ------
    ValueError
        If there are no such images, or they are not on this machine and cannot be fetched.

    Examples
    --------
    >>> digits = image_set("digits")
    >>> digits.event_shape, digits.grey_levels, digits.classes, len(digits)
    ((1, 8, 8), 17, 10, 1797)
    """
    if is_own(name):
        found = own(name)
        if found.kind != "images":
            raise ValueError(f"The own data {name!r} are no images: choose them as points.")
        return found
    if name not in SETS:
        raise ValueError(f"There are no images called {name!r}; choose one of: "
                         f"{', '.join(SETS)}.")
    return SETS[name]()


def kind_of(name: str) -> Kind:
    """Return the kind of the data of that name, without fetching any.

    Raises
    ------
    ValueError
        If there are no such data.
    """
    return "images" if name in SETS else _on_this_machine(name).kind


def title_of(name: str) -> str:
    """Return the name for people of the data of that name, without fetching any.

    Raises
    ------
    ValueError
        If there are no such data.
    """
    return TITLES[name] if name in SETS else _on_this_machine(name).title


def _on_this_machine(name: str) -> Target | Points | Images:
    return own(name) if is_own(name) else target(name)


def source_of(settings: SourceSettings) -> Target | Points | Images:
    """Return the distribution, own data or images that the settings name.

    Raises
    ------
    ValueError
        If there are no such data, or they cannot have that noise.
    """
    if kind_of(settings.data) != "images":
        return target(settings.data, noise=settings.noise)
    if settings.noise is not None:
        raise ValueError("Images have no noise level; leave the noise out.")
    return image_set(settings.data)


@lru_cache(maxsize=256)
def _build(kind: type[Target], noise: float | None) -> Target:
    return kind(noise)
