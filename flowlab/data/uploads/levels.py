"""Decides which numbers of pixels are black and white."""

from dataclasses import dataclass

import numpy as np

DEPTHS = (10, 12, 14, 16)  # bits of a pixel from cameras and scanners, besides 8
DARK = 0.25  # of white: below it, the brightest pixel is taken as white
OVER = 0.1  # of white: how far resizing and sharpening overshoot
FEW = 0.001  # share of the pixels that may be outliers


@dataclass(frozen=True)
class Levels:
    """The range of pixels.

    Attributes
    ----------
    black, white : float
        Ends of the range; pixels beyond them are clipped.
    note : str
        A sentence on what was assumed; empty for bytes from 0 to 255.
    """

    black: float
    white: float
    note: str = ""

    def bytes(self, pixels: np.ndarray) -> np.ndarray:
        """Return pixels as whole numbers from 0 (black) to 255 (white)."""
        if pixels.dtype == np.uint8 and (self.black, self.white) == (0, 255):
            return pixels
        grey = pixels.astype(np.float32) - np.float32(self.black)
        grey *= np.float32(255 / (self.white - self.black))
        return np.rint(grey, out=grey).clip(0, 255, out=grey).astype(np.uint8)


def levels(pixels: np.ndarray) -> Levels:
    """Decide the range of pixels from their type and their values.

    Parameters
    ----------
    pixels : numpy.ndarray
        Booleans, whole or real numbers, at least one.

    Raises
    ------
    ValueError
        With one sentence, for NaN and infinity, and for more than 16 bits.
    """
    if pixels.dtype == bool:
        return Levels(0, 1, "False is taken as black, True as white.")
    low, high = float(pixels.min()), float(pixels.max())
    if not np.isfinite([low, high]).all():
        raise ValueError("Some pixels are NaN or infinite: they should be from 0 to 255, or real "
                         "numbers from 0 to 1.")
    black, white = _range(pixels, low, high)
    if pixels.dtype == np.uint8 and white == 255:
        return Levels(black, white)
    note = f"The pixels are taken as numbers from {_text(black)} (black) to {_text(white)} (white)"
    beyond = np.count_nonzero((pixels < black) | (pixels > white))
    more = f"; {beyond:,} beyond that were clipped" if beyond else ""
    return Levels(black, white, f"{note}{more}.")


def _range(pixels: np.ndarray, low: float, high: float) -> tuple[float, float]:
    real = pixels.dtype.kind == "f" and bool((pixels != np.rint(pixels)).any())
    if real:
        inner_low = np.quantile(pixels, FEW, method="higher")
        inner_high = np.quantile(pixels, 1 - FEW, method="lower")
        if inner_low >= -1 - OVER and inner_high <= 1 + OVER and (
                high <= 1 + OVER or inner_high >= DARK):
            if inner_low < -OVER:
                return -1.0, 1.0
            return 0.0, high if high < DARK else 1.0
    over = 255 * OVER if real else 0
    if low < -over or (low < 0 and high < 128):
        return low, high if high > low else low + 1
    if high < 255 * (DARK if pixels.dtype == np.uint8 else 0.5):
        return 0.0, max(high, 1.0)
    if high <= 255 + over:
        return 0.0, 255.0
    white = next((2.0**bits - 1 for bits in DEPTHS if high < 2**bits), None)
    if white is None:
        raise ValueError(f"The pixels go up to {high:g}: give whole numbers from 0 to 255 or to "
                         "65,535, or real numbers from 0 to 1.")
    return 0.0, white


def _text(number: float) -> str:
    return f"{number:,.0f}" if number == round(number) else f"{number:.4g}"
