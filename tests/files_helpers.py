"""Small files as a person might upload them."""

import io

import numpy as np
from PIL import Image

ROWS = "\n".join(f"{i},{i * i % 7}" for i in range(20))


def npy(array, **options) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def image(array, kind="PNG", **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.asarray(array)).save(file, kind, **options)
    return file.getvalue()


def ramp(rows=8, columns=12):
    return np.arange(rows * columns).reshape(rows, columns).astype(np.uint8)


def png(array, kind="PNG", mode=None, **options) -> bytes:
    file = io.BytesIO()
    picture = Image.fromarray(np.asarray(array))
    (picture.convert(mode) if mode else picture).save(file, kind, **options)
    return file.getvalue()
