"""The split of the data into a training set and a held-out test set."""

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from flowlab.bijections.elementwise import RESOLVED
from flowlab.data import Images, Points, Source, Target, dequantise
from flowlab.data.uploads.caveats import caveats
from flowlab.flow import Flow
from flowlab.settings import FlowSettings, TrainingSettings

#: Maximum number of training points on which the NLL is measured.
MAX_MEASURED = 4096
#: Maximum number of pixels, of all images together, on which it is measured: a training on large
#: images would spend most of its time on that.
MAX_PIXELS = 2**20
#: Minimum number of training points on which the NLL is measured.
MIN_MEASURED = 500
#: Indices of the noise for measuring, different from those of epochs and steps.
TEST_NOISE, TRAIN_NOISE, REVERSE_NOISE = 2**40, 2**40 + 1, 2**40 + 2


def generator(seed: int, index: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A separate random generator for every seed and every epoch or step."""
    return torch.Generator(device).manual_seed((seed * 1_000_003 + index) % 2**63)


def split(count: int, settings: TrainingSettings) -> tuple[Tensor, Tensor]:
    """Split ``count`` points; return the indices of the test set and of the training set.

    The split depends on the seed only, so all flows trained with it are tested on the same points.
    """
    order = torch.randperm(count, generator=generator(settings.seed, -1))
    cut = test_count(count, settings)
    return order[:cut], order[cut:]


def test_count(count: int, settings: TrainingSettings) -> int:
    """The size of the test set, of ``count`` points."""
    return min(max(1, round(settings.test_fraction * count)), count - 1)


def check(flow: FlowSettings, source: Source, training: TrainingSettings) -> None:
    """Check that a source fits a flow of these settings.

    Raises
    ------
    ValueError
        With one sentence that says what to change.
    """
    images = source.kind == "images"
    if source.event_shape != flow.event_shape:
        raise ValueError(f"The {'images' if images else 'points'} have the shape "
                         f"{source.event_shape} and the flow {flow.event_shape}: set event_shape "
                         "to that of the data.")
    if flow.classes and not source.classes and not images:
        raise ValueError(f"The points have no classes and the flow {flow.classes}: set classes to "
                         "0.")
    if flow.classes and not 1 <= source.classes <= flow.classes:
        raise ValueError(f"The images have {source.classes} classes and the flow {flow.classes}: "
                         f"set classes to {source.classes}.")
    if training.objective == "reverse" and not source.full_support:
        raise ValueError("Reverse KL needs a known density that is nowhere zero: choose another"
                         " distribution, give it noise, or train with the forward objective.")


class Given(Source):
    """What else `flowlab.training.train` takes: points in memory, or an object that draws points.

    Parameters
    ----------
    given : Tensor, array or lists of points; or a pair, points and their classes; or an object
        Points in memory are all taken. An object has ``sample(n, seed)`` and may have the
        attributes of a `flowlab.data.source.Source`, such as ``log_prob``.
    flow : Flow
        Points and classes in memory are expected to be as the flow takes them.
    """

    kind: Literal["points"] = "points"

    def __init__(self, given: Any, flow: Flow) -> None:
        self.event_shape = flow.event_shape
        if hasattr(given, "sample"):
            vars(self).update({name: getattr(given, name) for name in (
                "sample", "event_shape", "log_prob", "full_support") if hasattr(given, name)})
            return
        self.classes = flow.settings.classes
        points, self.labels = given if _is_pair(given, flow) else (given, None)
        self.sample = lambda n, seed: points


class DataSplit:
    """Training set and test set, on a flow's device and in its type; training images stay bytes.

    Parameters
    ----------
    flow : Flow
    given : Source, Tensor, or pair of Tensors
        As `flowlab.training.train` takes it.
    settings : TrainingSettings

    Attributes
    ----------
    source : Source
    train_x, test_x : Tensor, shape ``(n, *event_shape)``
    train_context, test_context : Tensor, shape (n,), or None
        Their classes.
    pixels : bool
        Whether they are images, to which noise is added at each use.
    concern : str
        One sentence about points whose likelihood is unbounded; otherwise empty.

    Raises
    ------
    ValueError
        When the source does not fit the flow.
    """

    def __init__(self, flow: Flow, given: Any, settings: TrainingSettings) -> None:
        self.seed, self.device, self.dtype = settings.seed, flow.device, flow.dtype
        self.concern = ""
        source: Target | Points | Images | Given = (
            given if isinstance(given, Target | Points | Images) else Given(given, flow))
        self.source, self.pixels = source, source.kind == "images"
        check(flow.settings, source, settings)
        if source.kind == "images":
            self._take_images(flow, source)
        else:
            self._take_points(flow, source, settings)

    def batch(self, index: Tensor, noise: torch.Generator | None) -> Tensor:
        """The training points of a batch; images get fresh noise."""
        x = self.train_x[index]
        return dequantise(x, noise, self.dtype) if self.pixels else x

    def measured_sample(self) -> tuple[Tensor, Tensor | None]:
        """The training points on which the NLL is measured, and their classes."""
        count = min(MAX_MEASURED, max(MIN_MEASURED, len(self.test_x)))
        x, context = self.training_sample()
        return x[:count], None if context is None else context[:count]

    def training_sample(self) -> tuple[Tensor, Tensor | None]:
        """All training points, or the first images with fixed noise; and their classes."""
        if not self.pixels:
            return self.train_x, self.train_context
        noise = generator(self.seed, TRAIN_NOISE, self.device)
        context, count = self.train_context, min(MAX_MEASURED, self._images())
        return (dequantise(self.train_x[:count], noise, self.dtype),
                None if context is None else context[:count])

    def _images(self) -> int:
        """The number of images on which a flow is measured, at most."""
        return MAX_PIXELS // self.train_x[0].numel()

    def _take_points(self, flow: Flow, source: Target | Points | Given,
                     settings: TrainingSettings) -> None:
        x = _numbers(source.sample(settings.points, seed=settings.seed), "points").detach()
        if x.ndim == 0 or len(x) < 2 or tuple(x.shape[1:]) != flow.event_shape:
            raise ValueError(f"Expected at least 2 points of shape {flow.event_shape} to "
                             f"train on; got {tuple(x.shape)}.")
        if not bool(torch.isfinite(x).all()):
            raise ValueError("The points hold NaN or infinity: remove those rows.")
        if source.log_prob is None:
            _check_spread(x, self.dtype)
            if x.ndim == 2:
                names = source.names or tuple(str(i + 1) for i in range(x.shape[1]))
                self.concern = next(iter(caveats(x.cpu().numpy(), names)), "")
        context = _classes(source.labels, len(x), flow.settings.classes)
        test, train = split(len(x), settings)
        x = x.to(self.dtype)
        self.train_x, self.test_x = (x[i.to(x.device)].to(self.device) for i in (train, test))
        self.train_context, self.test_context = (
            None if context is None else context[i].to(self.device) for i in (train, test))

    def _take_images(self, flow: Flow, images: Images) -> None:
        """Take the training and test set of the images; test images always have the same noise.

        Of many large images, some that are drawn once and for all are the test set.
        """
        (x, labels), (test_x, test_labels) = images.part(False), images.part(True)
        if flow.settings.classes:
            _classes(images.labels, len(images), flow.settings.classes)
        self.train_x = x.to(self.device)
        if len(test_x) > self._images():
            chosen = np.random.default_rng(0).permutation(len(test_x))[:self._images()]
            test_x = test_x[chosen]
            test_labels = None if test_labels is None else test_labels[chosen]
        self.test_x = dequantise(test_x.to(self.device),
                                 generator(self.seed, TEST_NOISE, self.device), self.dtype)
        self.train_context, self.test_context = (
            labels.to(self.device) if flow.settings.classes and labels is not None else None
            for labels in (labels, test_labels))


def _is_pair(source: Any, flow: Flow) -> bool:
    """Whether the source is a pair of points and their classes, not two points or images."""
    if not isinstance(source, (tuple, list)) or len(source) != 2:
        return False
    try:
        return np.ndim(source[0]) == 1 + len(flow.event_shape)
    except ValueError:  # rows of unequal length
        return isinstance(source, tuple)


def _numbers(values: Any, what: str) -> Tensor:
    """Convert a tensor, an array, or lists of real numbers to a tensor.

    Raises
    ------
    ValueError
        When the values are anything else.
    """
    try:
        if not isinstance(values, Tensor):
            array = np.asarray(values)
            if array.dtype.kind not in "fiub":
                raise TypeError("no numbers")
            # Unlike tensors, arrays may have negative strides or be read-only.
            values = torch.from_numpy(array.astype(array.dtype.newbyteorder("="), order="C"))
        if values.is_complex():
            raise TypeError("complex numbers")
        # Autograd cannot use tensors that were made in inference mode.
        return values.clone() if values.is_inference() else values
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"Give the {what} as a tensor, an array or rows of real numbers; "
                         f"got {type(values).__name__}.") from error


def _check_spread(x: Tensor, dtype: torch.dtype) -> None:
    """Raise ValueError where a column, or a channel, has no spread that ``dtype`` resolves."""
    limits, name = torch.finfo(dtype), str(dtype).removeprefix("torch.")
    other = "subtract an offset from it" + (
        "" if dtype == torch.float64 else ", or set precision to float64 (and keep the points in "
        "it)") + "; leave it out if it only holds rounding errors."
    for i, column in enumerate(x.double().unbind(1), 1):
        low, high = column.aminmax()
        what = "Column" if x.ndim == 2 else "Channel"
        if max(-low, high) > limits.max:
            raise ValueError(f"{what} {i} has numbers too large for {name}: change its unit.")
        if low == high:
            continue
        mean = column.mean().item()
        spread = (column - mean).square().mean().sqrt().item()
        if spread <= RESOLVED * limits.eps * abs(mean):
            raise ValueError(f"{what} {i} varies by only {spread:.2g} around {mean:.6g}, which "
                             f"{name} cannot resolve: {other}")
        if spread < limits.tiny / limits.eps:
            raise ValueError(f"{what} {i} varies by only {spread:.2g}, which is too small for "
                             f"{name}: change its unit.")


def _classes(labels: Any, count: int, classes: int) -> Tensor | None:
    """Check the classes of ``count`` points and convert them to int64; None for no classes.

    Raises
    ------
    ValueError
        With one sentence, when they do not fit.
    """
    if (labels is None) != (classes == 0):
        raise ValueError("The points have classes and the flow has none: set its classes, or leave "
                         "them out." if classes == 0 else
                         f"The flow has {classes} classes: give a pair, points and their classes, "
                         "or set classes to 0.")
    if labels is None:
        return None
    labels = _numbers(labels, "classes")
    if labels.dtype.is_floating_point or labels.shape != (count,):
        raise ValueError(f"Expected classes as integers of shape ({count},); got {labels.dtype} "
                         f"of shape {tuple(labels.shape)}: convert them, such as with .long().")
    labels = labels.cpu().long()
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise ValueError(f"The points have classes from {low} to {high}, and the flow {classes}, "
                         f"from 0 to {classes - 1}: number them from 0, and set classes to fit.")
    if 2 * classes > count:
        raise ValueError(f"{count} points are too few for {classes} classes: set classes to the "
                         "number there are, with two points for each at least.")
    return labels
