"""Glow, arXiv 1807.03039."""

from functools import partial
from typing import ClassVar, Literal

from flowlab.bijections import (
    ActNorm,
    AffineCoupling,
    BatchNorm,
    ChannelCoupling,
    Convolution1x1,
    FactorOut,
    Linear,
    TopPrior,
    at,
)
from flowlab.bijections.bijection import Bijection
from flowlab.bijections.networks import ConvNet, start_of
from flowlab.flow import Flow
from flowlab.settings import MultiScaleSettings, setting

NORMALISATIONS: dict[str, list[type[Bijection]]] = {
    "actnorm": [ActNorm], "batchnorm": [BatchNorm], "none": []}
#: So many linear maps on vectors, those nearest to the data, start as random rotations.
ROTATIONS = 8


class GlowSettings(MultiScaleSettings):
    """Settings of Glow."""

    steps: int = setting(
        16, "Steps", "Number of flow steps, for images on each level; each normalises, mixes the "
        "coordinates by a learned linear map, and applies an affine coupling.",
        group="Model", ge=1, le=64)
    normalisation: Literal["actnorm", "batchnorm", "none"] = setting(
        "actnorm", "Normalisation", "First layer of a step: ActNorm is initialised from the data "
        "and then learned; batch normalisation uses moving averages.", group="Model")
    mixing: Literal["learned", "fixed"] = setting(
        "learned", "Mixing", "How the coordinates are mixed between couplings: by a matrix that "
        "each step learns; or not at all, and the couplings change the two halves in turn, as in "
        "RealNVP.", group="Model")
    scale_bound: float = setting(
        2.0, "Log-scale bound", "Natural logarithm of the largest factor by which one coupling can "
        "stretch or shrink.", group="Model", unit="nats", ge=0.1, le=10)
    logit: bool = setting(
        True, "Logit", "Whether pixels with grey levels pass through a logit, which keeps samples "
        "within the range of pixel values.", group="Images")

    _points_only: ClassVar[tuple[str, ...]] = (*MultiScaleSettings._points_only, "mixing")


class Glow(Flow):
    r"""Steps of normalisation, invertible linear map and affine coupling (Glow, section 3).

    In the normalising direction a step is ActNorm, then the 1×1 convolution in its PLU form, then
    the coupling. The linear map replaces RealNVP's fixed alternation of halves: every step learns
    which directions to mix (``mixing="fixed"`` restores the alternation). A departure from the
    paper: on vectors only the `ROTATIONS` maps nearest to the data start as random rotations; the
    others alternate the halves at first, which fits edges along the axes better. For images see
    `multi_scale`.

    Parameters
    ----------
    event_shape : tuple of int
        ``(features,)``, at least 2; or ``(channels, height, width)``.
    **settings
        Fields of `GlowSettings`.

    Examples
    --------
    >>> flow = Glow(event_shape=(2,), steps=4)
    >>> flow.sample(10).shape
    torch.Size([10, 2])
    """

    Settings = GlowSettings

    def build(self, settings: GlowSettings) -> list[Bijection]:
        if settings.is_image:
            return multi_scale(settings)
        features, = settings.event_shape
        learned = settings.mixing == "learned"
        start = start_of(settings.activation, settings.steps)
        layers: list[Bijection] = []
        for i in range(settings.steps):
            layers += [AffineCoupling(features, i % 2 == 1 and not learned, settings.hidden,
                                      settings.activation, settings.classes, settings.scale_bound,
                                      start),
                       *([Linear(features, settings.steps - i <= ROTATIONS)] if learned else []),
                       *(norm(settings.event_shape)
                         for norm in NORMALISATIONS[settings.normalisation])]
        return layers


def multi_scale(settings: GlowSettings) -> list[Bijection]:
    """The layers in generative order (Glow, section 3 and figure 2).

    From data to latent, each level squeezes, takes K steps of normalisation, invertible 1×1
    convolution and affine coupling, and (but for the last) splits off half of the channels, whose
    learned prior is `FactorOut`. The deepest level has a learned prior, one for each class. The
    class also joins the input of every coupling's network and of every prior, which makes samples
    show it; with ``conditioning="top"`` it does not, as in Glow's code.

    Departures from the paper: the scale of a coupling is the exponential of a bounded number, as
    in RealNVP, where Glow's code takes a sigmoid; and pixels go through RealNVP's logit first,
    which learns faster where many of them are black (``logit=False`` leaves it out).

    Parameters
    ----------
    settings : GlowSettings

    Returns
    -------
    list of Bijection
    """
    network = partial(ConvNet, hidden_channels=settings.hidden_channels)
    normalisation = NORMALISATIONS[settings.normalisation]
    bound, classes = settings.scale_bound, settings.coupling_classes
    c, h, w = settings.event_shape
    layers: list[Bijection] = []  # in normalising order
    for level in range(settings.levels):
        depth = 2 * level + 1
        c, h, w = 4 * c, h // 2, w // 2
        for _ in range(settings.steps):
            layers += at(depth, *(norm((c, 1, 1)) for norm in normalisation), Convolution1x1(c),
                         ChannelCoupling(c, True, network, bound, classes))
        if level < settings.levels - 1:
            layers += at(depth, FactorOut(c, classes=classes))
            c //= 2
    layers += at(2 * settings.levels - 1, TopPrior((c, h, w), settings.classes))
    return layers[::-1]
