"""The two parts of what a training sees: points to train on, and points kept aside to test on."""

from typing import Any

import torch
from torch import Tensor

from flowlab.data.images import Images, dequantise
from flowlab.flow import Flow
from flowlab.settings import TrainingSettings

#: Training points that say enough where not all are needed.
SOME = 4096
#: Training points on which the NLL is measured, at least.
LEAST = 500
#: Indices of the noise of images that are measured, away from those of epochs and steps.
TEST_NOISE, TRAIN_NOISE = 2**40, 2**40 + 1


def generator(seed: int, index: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Randomness of its own for every seed and every epoch or step."""
    return torch.Generator(device).manual_seed((seed * 1_000_003 + index) % 2**63)


def split(count: int, settings: TrainingSettings) -> tuple[Tensor, Tensor]:
    """Which of ``count`` points are kept aside to test on, and which are trained on: two indices.

    The seed decides, so all flows that are trained with it are tested on the same points.
    """
    order = torch.randperm(count, generator=generator(settings.seed, -1))
    cut = min(max(1, round(settings.test_fraction * count)), count - 1)
    return order[:cut], order[cut:]


class Parts:
    """Both parts, on a flow's device and in its type; images to train on stay bytes.

    Parameters
    ----------
    flow : Flow
    source : Target, Images, Tensor, or pair of Tensors
        As `flowlab.training.train` takes it.
    settings : TrainingSettings

    Attributes
    ----------
    train_x, test_x : Tensor, shape ``(n, *event_shape)``
    train_context, test_context : Tensor, shape (n,), or None
        Their classes.
    pixels : bool
        Whether they are images, which get noise whenever they are used.

    Raises
    ------
    ValueError
        When the source does not fit the flow.
    """

    def __init__(self, flow: Flow, source: Any, settings: TrainingSettings) -> None:
        self.seed, self.device, self.dtype = settings.seed, flow.device, flow.dtype
        self.pixels = isinstance(source, Images)
        if self.pixels:
            self._take_images(flow, source)
        else:
            self._take_points(flow, source, settings)

    def batch(self, index: Tensor, noise: torch.Generator | None) -> Tensor:
        """The training points of a batch; images with fresh noise."""
        x = self.train_x[index]
        return dequantise(x, noise, self.dtype) if self.pixels else x

    def measured(self) -> tuple[Tensor, Tensor | None]:
        """The part of the training points on which the NLL is measured; and their classes."""
        count = min(SOME, max(LEAST, len(self.test_x)))
        x, context = self.some()
        return x[:count], None if context is None else context[:count]

    def some(self) -> tuple[Tensor, Tensor | None]:
        """All training points, or of images the first ones with their noise; and their classes."""
        if not self.pixels:
            return self.train_x, self.train_context
        noise = generator(self.seed, TRAIN_NOISE, self.device)
        context = self.train_context
        return (dequantise(self.train_x[:SOME], noise, self.dtype),
                None if context is None else context[:SOME])

    def _take_points(self, flow: Flow, source: Any, settings: TrainingSettings) -> None:
        context = None
        if hasattr(source, "sample"):
            x = source.sample(settings.points, seed=settings.seed)
        elif isinstance(source, tuple):
            x, context = source
        else:
            x = source
        if len(x) < 2 or tuple(x.shape[1:]) != flow.event_shape:
            raise ValueError(f"Expected at least 2 points of shape {flow.event_shape} to "
                             f"train on; got {tuple(x.shape)}.")
        if not bool(torch.isfinite(x).all()):
            raise ValueError("The points hold NaN or infinity: remove those rows.")
        test, train = split(len(x), settings)
        x = x.to(self.dtype)
        self.train_x, self.test_x = (x[i].to(self.device) for i in (train, test))
        self.train_context, self.test_context = (
            None if context is None else context[i].to(self.device) for i in (train, test))

    def _take_images(self, flow: Flow, images: Images) -> None:
        """The images' own two parts; those to test on always have the same noise."""
        (x, labels), (test_x, test_labels) = images.part(False), images.part(True)
        if images.event_shape != flow.event_shape:
            raise ValueError(f"The images have the shape {images.event_shape} and the flow "
                             f"{flow.event_shape}: set event_shape to the images' own.")
        if flow.settings.classes and not 1 <= images.classes <= flow.settings.classes:
            raise ValueError(f"The images have {images.classes} classes and the flow "
                             f"{flow.settings.classes}: set classes to {images.classes}.")
        self.train_x = x.to(self.device)
        self.test_x = dequantise(test_x.to(self.device),
                                 generator(self.seed, TEST_NOISE, self.device), self.dtype)
        self.train_context, self.test_context = (
            labels.to(self.device) if flow.settings.classes else None
            for labels in (labels, test_labels))
