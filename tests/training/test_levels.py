"""Which numbers of pictures and stacks are black and white: by their type and their values."""

import io
import struct
import zipfile
import zlib

import numpy as np
import pytest
from files_helpers import png
from PIL import Image

from flowlab.data.uploads.albums import read_images
from flowlab.data.uploads.levels import levels
from flowlab.data.uploads.picture import read_picture

UNIT = np.random.default_rng(0).random((25, 8, 8))
UNIT[0, 0, :2] = 0, 1


def npy(array) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def png16(array) -> bytes:
    """A PNG of sixteen bits a channel, in colour or with opacity too, which Pillow cannot write."""
    def chunk(name, data):
        return (struct.pack(">I", len(data)) + name + data
                + struct.pack(">I", zlib.crc32(name + data)))
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[1 if array.ndim == 2 else array.shape[2]]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    size = struct.pack(">IIBBBBB", array.shape[1], array.shape[0], 16, kind, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(rows))
            + chunk(b"IEND", b""))


def zipped(pictures) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for i, picture in enumerate(pictures):
            archive.writestr(f"{i:03}.png", picture)
    return file.getvalue()


def whole(top, kind):
    return np.rint(UNIT * top).astype(kind)


def outlier(array, value):
    array = array.copy()
    array[3, 3, 3] = value
    return array


#: Stacks, and what their pixels should be as shares of white.
STACKS = {
    "booleans": (UNIT > 0.5, UNIT > 0.5, "False"),
    "booleans as bytes": ((UNIT > 0.5).astype(np.uint8), UNIT > 0.5, "1 (white)"),
    "booleans as whole numbers": ((UNIT > 0.5).astype(int), UNIT > 0.5, "1 (white)"),
    "booleans as reals": ((UNIT > 0.5).astype(float), UNIT > 0.5, "1 (white)"),
    "signs": (np.where(UNIT > 0.5, 1, -1), UNIT > 0.5, "-1 (black)"),
    "digits": (whole(16, float), whole(16, float) / 16, "16 (white)"),
    "digits as bytes": (whole(16, np.uint8), whole(16, float) / 16, "16 (white)"),
    "four bits": (whole(15, np.int16), whole(15, float) / 15, "15 (white)"),
    "per cent": (whole(100, np.int64), whole(100, float) / 100, "100 (white)"),
    "bytes": (whole(255, np.uint8), UNIT, ""),
    "dark bytes": (whole(90, np.uint8), UNIT * 90 / 255, ""),
    "bytes as reals": (UNIT * 255, UNIT, "255 (white)"),
    "sharpened bytes as reals": (outlier(UNIT * 255, 262.5), outlier(UNIT, 1), "1 beyond"),
    "10 bits": (whole(1023, np.uint16), UNIT, "1,023 (white)"),
    "12 bits": (whole(4095, np.uint16), UNIT, "4,095 (white)"),
    "14 bits": (whole(16383, np.int32), UNIT, "16,383 (white)"),
    "16 bits": (whole(65535, np.uint16), UNIT, "65,535 (white)"),
    "16 bits as reals": (whole(65535, np.float32), UNIT, "65,535 (white)"),
    "unit": (UNIT, UNIT, "1 (white)"),
    "unit in half precision": (UNIT.astype(np.float16), UNIT, "1 (white)"),
    "unit and a rounding": (outlier(UNIT, 1.000001), outlier(UNIT, 1), "1 beyond"),
    "unit and an outlier": (outlier(UNIT, 7.5), outlier(UNIT, 1), "1 beyond"),
    "unit, resized": (UNIT * 1.1 - 0.05, (UNIT * 1.1 - 0.05).clip(0, 1), "beyond"),
    "dark unit": (UNIT / 100, UNIT, "0.01 (white)"),
    "signed unit": (UNIT * 2 - 1, UNIT, "-1 (black)"),
    "standardised": (UNIT * 4 - 1.5, UNIT, "-1.5 (black) to 2.5"),
    "signed whole": (whole(4000, np.int16) - 1000, UNIT, "-1,000 (black) to 3,000"),
}


@pytest.mark.parametrize("name", STACKS)
def test_the_range_of_a_stack_is_decided_by_type_and_values(name):
    stack, share, words = STACKS[name]
    pixels, notes = read_images(npy(stack), "npy", 8)
    assert np.abs(pixels.astype(float) - 255 * share).max() <= 1
    assert words in " ".join(notes) and bool(notes) == bool(words)


@pytest.mark.parametrize(("stack", "words"), [
    (outlier(UNIT, np.nan), "NaN"), (outlier(UNIT, np.inf), "infinite"),
    (whole(70_000, np.int64), "65,535"), (whole(1e6, float), "65,535"),
    (UNIT.reshape(5, 5, 8, 8)[:, :2].repeat(9, 0), "1, 3 or 4 channels"),
    (np.zeros((30, 40, 3)) + np.arange(3), "in colour"), (UNIT[None, None], "three dimensions")])
def test_what_is_no_stack_gets_one_sentence(stack, words):
    with pytest.raises(ValueError) as caught:
        read_images(npy(stack), "npy", 8)
    assert words in str(caught.value) and str(caught.value).endswith(".")


@pytest.mark.parametrize("top", [1, 255, 4095])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("axis", [1, 3])
def test_a_stack_in_colour_becomes_grey(top, channels, axis):
    rgb = np.random.default_rng(1).random((25, 8, 8, channels))
    rgb[0, 0, :2] = [[0], [1]]
    if channels == 4:
        rgb[..., 3] = rgb[..., 3] > 0.5
    stack = np.moveaxis(rgb, 3, axis) * top
    stack = stack if top == 1 else np.rint(stack).astype(np.uint16)
    share = rgb[..., 0] if channels == 1 else rgb[..., :3] @ (0.299, 0.587, 0.114)
    if channels == 4:
        share = np.where(rgb[..., 3], share, 1)
    pixels, notes = read_images(npy(stack), "npy", 8)
    assert np.abs(pixels.astype(float) - 255 * share).max() <= 2
    assert ("colours" in " ".join(notes)) == (channels > 1)


@pytest.mark.parametrize("top", [1023, 4095, 65535])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_picture_of_sixteen_bits_keeps_its_greys(top, channels):
    grey = np.rint(np.linspace(0, top, 16 * 16)).reshape(16, 16)
    array = grey if channels == 1 else np.stack([grey] * channels, axis=2)
    if channels in (2, 4):
        array[..., -1] = 65535
        array[0, :, -1] = 0
    expected = 255 * grey / top
    expected[0] = 255 if channels in (2, 4) else expected[0]
    content = png16(array)
    weights, notes = read_picture(content, "bright")
    assert np.abs(weights - expected).max() <= 1 and f"{top:,}" in notes[0]
    pixels, notes = read_images(zipped([content] * 20), "zip", 16)
    assert np.abs(pixels - expected).max() <= 1 and f"{top:,}" in " ".join(notes)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK", "YCbCr"])
def test_every_mode_of_png_and_jpeg_is_read(mode):
    half = np.zeros((16, 16), np.uint8)
    half[:, 8:] = 255
    kind = "JPEG" if mode in ("CMYK", "YCbCr") else "PNG"
    deep = half.astype(np.uint16) * 257
    content = png(deep) if mode == "I;16" else png(half, kind, mode)
    weights, _ = read_picture(content, "bright")
    assert np.abs(weights.astype(float) - half).max() < 3
    pixels, _ = read_images(zipped([content] * 20), "zip", 8)
    assert np.abs(pixels.astype(float) - half[::2, ::2]).max() < 3


def test_transparent_places_of_sixteen_bits_are_white_in_the_range_of_the_rest():
    array = np.rint(np.linspace(0, 4095, 256)).reshape(16, 16)
    keyed = io.BytesIO()
    Image.fromarray(array.astype(np.uint16)).save(keyed, "PNG", transparency=0)
    weights, _ = read_picture(keyed.getvalue(), "bright")
    assert weights[0, 0] == 255 and weights[0, 1] < 3


def test_a_mask_of_zeros_and_ones_is_no_dark_picture():
    mask = np.zeros((16, 16), np.uint8)
    mask[4:8] = 1
    weights, notes = read_picture(png(mask), "dark")
    assert set(np.unique(weights)) == {0, 255} and "1 (white)" in notes[0]


def test_one_dark_picture_among_bright_ones_stays_dark():
    bright, dark = (np.random.default_rng(2).integers(0, top, (8, 8)).astype(np.uint8)
                    for top in (256, 30))
    pixels, notes = read_images(zipped([png(bright)] * 19 + [png(dark)]), "zip", 8)
    assert pixels[-1].max() < 30 and len(notes) == 1
    pixels, notes = read_images(zipped([png(dark)] * 20), "zip", 8)
    assert pixels.max() == 255 and "(white)" in notes[1]


def test_plain_bytes_stay_as_they_are():
    pixels = np.arange(256, dtype=np.uint8)
    assert np.array_equal(levels(pixels).bytes(pixels), pixels) and not levels(pixels).note
