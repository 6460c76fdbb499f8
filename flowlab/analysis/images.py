"""Samples, interpolations and likelihoods of a flow on images, as arrays.

Pixels are real numbers in grey levels: whole numbers plus the noise of `dequantise`. No function
changes the flow or tracks gradients; classes are as `Flow` takes them.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from flowlab.bijections.bijection import batches
from flowlab.data import Images, dequantise
from flowlab.flow import Flow
from flowlab.training.metrics import bits_per_dimension

COUNT = 150  # images of each kind whose likelihood is measured
#: The default temperature of samples (Glow, section 6).
TEMPERATURE = 0.7
NEIGHBOURS = 3
LEARNED = 5000  # training images that a sample is compared with, at most


@torch.no_grad()
def samples(flow: Flow, latents: Tensor, temperature: float, context: Tensor | None = None
            ) -> np.ndarray:
    """Map latents times the temperature to images, (n, height, width)."""
    return _shown(flow.forward(temperature * latents, context)[0])


def nearest(images: np.ndarray, pixels: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Find the training image nearest to each image, by the root mean square over pixels.

    Parameters
    ----------
    images : numpy.ndarray, shape (n, height, width)
        Whole grey levels.
    pixels : Tensor, shape (m, 1, height, width)
        The training images.

    Returns
    -------
    found : numpy.ndarray, shape (n, height, width)
    distance : numpy.ndarray, shape (n,)
        In grey levels.
    """
    ours, theirs = (torch.as_tensor(x).flatten(1).float() for x in (images, pixels))
    distance, index = torch.cdist(ours, theirs).min(dim=1)
    return _shown(pixels[index]), (distance / ours.shape[1] ** 0.5).numpy()


def recognised(samples: np.ndarray, classes: Tensor, images: Images) -> int:
    """Count the samples that look most like training images of the requested class.

    The three nearest neighbours in Euclidean distance decide.

    Parameters
    ----------
    samples : numpy.ndarray, shape (n, height, width)
        Pixels in grey levels.
    classes : Tensor, shape (n,)
        The requested class of each sample.
    images : Images
        What the flow learned.
    """
    levels = np.clip(np.floor(np.nan_to_num(samples)), 0, images.grey_levels - 1)
    found = _classifier(images).predict(levels.reshape(len(levels), -1))
    return int((found == classes.cpu().numpy()).sum())


@lru_cache(maxsize=4)
def _classifier(images: Images) -> KNeighborsClassifier:
    pixels, labels = images.part(test=False)
    if labels is None:
        raise ValueError(f"{images.title} have no classes to recognise.")
    return KNeighborsClassifier(NEIGHBOURS).fit(
        pixels[:LEARNED].flatten(1).numpy(), labels[:LEARNED].numpy())


@torch.no_grad()
def between(flow: Flow, ends: Tensor, places: Tensor, classes: Tensor | None = None) -> np.ndarray:
    r"""Interpolate between two images on the straight line between their latents.

    .. math:: x(t) = f\bigl((1 - t)\, f^{-1}(x_0) + t\, f^{-1}(x_1)\bigr)

    (Glow, section 6). With classes, the first image's class applies up to the middle, and then the
    second's.

    Parameters
    ----------
    flow : Flow
    ends : Tensor, shape ``(2, *event_shape)``
    places : Tensor, shape (n,)
        t, from 0 to 1.
    classes : Tensor, shape (2,), optional

    Returns
    -------
    numpy.ndarray
        Shape (n, height, width).
    """
    z, _ = flow.inverse(ends, classes)
    t = places.to(z.dtype)[:, None, None, None]
    context = None if classes is None else classes[(places > 0.5).long()]
    return _shown(flow.forward((1 - t) * z[:1] + t * z[1:], context)[0])


@torch.no_grad()
def resampled(flow: Flow, x: Tensor, scale: int, draws: int, context: Tensor | None = None,
              seed: int = 0) -> np.ndarray:
    """Draw the latents of one scale of images anew, and keep all others.

    Parameters
    ----------
    flow : Flow
    x : Tensor, shape ``(n, *event_shape)``
    scale : int
        As in `Flow.scales`; scale 0 is factored out first.
    draws : int
        Number of draws.
    context : Tensor, shape (n,), optional
    seed : int
        Seed of the draws.

    Returns
    -------
    numpy.ndarray
        Shape (draws, n, height, width).
    """
    z, _ = flow.inverse(x, context)
    anew = (flow.scales() == scale).to(z.device)
    noise = torch.Generator(z.device).manual_seed(seed)
    return np.stack([_shown(flow.forward(torch.where(
        anew, flow.base_sample(len(x), noise), z), context)[0]) for _ in range(draws)])


@dataclass(frozen=True)
class Likelihoods:
    """Bits per dimension of test images, and of images unlike them.

    Attributes
    ----------
    bits : dict of str to numpy.ndarray
        Bits per dimension of each kind of images, shape (n,); the test images first.
    examples : dict of str to numpy.ndarray
        The first images of each kind, whole grey levels, shape (n, height, width).
    """

    bits: dict[str, np.ndarray]
    examples: dict[str, np.ndarray]

    def likelier(self, kind: str) -> float:
        """In what share of all pairs an image of this kind is more likely than a test image.

        An image without a likelihood is the less likely one.
        """
        test, others = (np.nan_to_num(self.bits[name], nan=np.inf, posinf=np.inf)
                        for name in (next(iter(self.bits)), kind))
        return float((others[:, None] < test).mean())


def likelihoods(flow: Flow, images: Images, seed: int = 0, examples: int = 10,
                other: Images | None = None) -> Likelihoods:
    """Measure the likelihood of test images, and of three kinds of images unlike them.

    Constant images have one grey level each; the pixels of noise images are uniform over all grey
    levels; shuffled images are test images with their pixels in another order, and in their place
    another collection's test images are taken where there is one, of the same shape.
    """
    random = torch.Generator().manual_seed(seed)
    test = images.part(test=True)[0][:COUNT]
    levels, shape = images.grey_levels, (len(test), *images.event_shape)
    grey = torch.arange(len(test)) * levels // len(test)
    order = torch.randperm(test[0].numel(), generator=random)
    kinds = {
        "test images": test,
        **({"shuffled pixels": test.flatten(1)[:, order].reshape(shape)} if other is None else
           {other.title: other.part(test=True)[0][:COUNT]}),
        "constant images": grey.to(torch.uint8)[:, None, None, None].expand(shape),
        "noise": torch.randint(levels, shape, generator=random, dtype=torch.uint8),
    }
    bits, shown = {}, {}
    for name, pixels in kinds.items():
        x = dequantise(pixels, random).to(flow.device, flow.dtype)
        bits[name] = -bits_per_dimension(log_prob(flow, x), flow.event_shape).cpu().numpy()
        shown[name] = _shown(pixels[::-(-len(pixels) // examples)])
    return Likelihoods(bits, shown)


@torch.no_grad()
def log_prob(flow: Flow, x: Tensor) -> Tensor:
    r"""Compute the log-density of images of unknown class, shape (n,), in nats.

    .. math:: \log p(x) = \log \frac1K \sum_{k=1}^K p(x \mid k)

    for K equally frequent classes; without classes it is `Flow.log_prob`.
    """
    classes = flow.settings.classes
    contexts = [None] if classes == 0 else [x.new_full((len(x),), k, dtype=torch.long)
                                            for k in range(classes)]
    found = torch.stack([torch.cat([flow.log_prob(*part) for part in batches(x, c)])
                         for c in contexts])
    return found.logsumexp(0) - np.log(len(contexts))


def _shown(x: Tensor) -> np.ndarray:
    """Return the only channel of images as an array."""
    return x[:, 0].cpu().numpy()
