"""Glow, arXiv 1807.03039."""

from typing import ClassVar, Literal

from flowlab.bijections import ActNorm, AffineCoupling, BatchNorm, Linear
from flowlab.bijections.bijection import Bijection
from flowlab.flow import Flow
from flowlab.settings import MultiScaleSettings, setting
from glow.multi_scale import multi_scale


class GlowSettings(MultiScaleSettings):
    """Settings of Glow."""

    steps: int = setting(
        16, "Steps", "Number of flow steps; each normalises, mixes the coordinates by a learned "
        "linear map, and applies an affine coupling. With images, on each level.",
        group="Model", ge=1, le=64)
    normalisation: Literal["actnorm", "batchnorm", "none"] = setting(
        "actnorm", "Normalisation", "First layer of a step: ActNorm starts from the data and is "
        "then learned; batch normalisation follows moving averages.", group="Model")
    mixing: Literal["learned", "fixed"] = setting(
        "learned", "Mixing", "What lets every coordinate be changed: a matrix that each step "
        "learns; or none, and the couplings change the two halves in turn, as in RealNVP.",
        group="Model")
    scale_bound: float = setting(
        2.0, "Log-scale bound", "The most that one coupling can stretch or shrink, as a natural "
        "logarithm.", group="Model", unit="nats", ge=0.1, le=10)
    logit: bool = setting(
        True, "Logit", "Whether pixels with grey levels go through a logit first, so that samples "
        "keep to the range of pixels.", group="Images")

    _points_only: ClassVar[tuple[str, ...]] = (*MultiScaleSettings._points_only, "mixing")


class Glow(Flow):
    r"""Steps of normalisation, invertible linear map and affine coupling (Glow, section 3).

    In the normalising direction a step is ActNorm, then the 1×1 convolution in its PLU form, then
    the coupling. The linear map replaces RealNVP's fixed alternation of halves: every step learns
    which directions to mix (``mixing="fixed"`` puts the alternation back). For images see
    `glow.multi_scale.multi_scale`.

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
        norm = {"actnorm": [ActNorm], "batchnorm": [BatchNorm], "none": []}[settings.normalisation]
        learned = settings.mixing == "learned"
        layers: list[Bijection] = []
        for i in range(settings.steps):
            layers += [AffineCoupling(features, i % 2 == 1 and not learned, settings.hidden,
                                      settings.activation, settings.classes, settings.scale_bound),
                       *([Linear(features)] if learned else []),
                       *(layer(settings.event_shape) for layer in norm)]
        return layers
