"""Pictures on pages."""

import base64
import io
from functools import cache
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import streamlit as st
from PIL import Image

from flowlab.live.thumbnails import FOLDER


def address(content: bytes, kind: str = "png") -> str:
    """A picture's file as a ``data:`` address: it travels with the page, as it is.

    Streamlit would encode a large picture anew, drop all but one frame of an animated one, and
    serve each from an address that is gone when the browser asks for it late.

    Examples
    --------
    >>> address(b"picture")
    'data:image/png;base64,cGljdHVyZQ=='
    """
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


@cache
def blank(size: tuple[int, int]) -> bytes:
    """An empty picture of this width and height, as PNG: it keeps another's place."""
    file = io.BytesIO()
    Image.new("RGBA", size).save(file, "png")
    return file.getvalue()


def draw_png(png: bytes | Path, alt: str,
             width: int | Literal["stretch", "content"] = "stretch") -> None:
    """Show a PNG, or a file of the folder ``static``, with ``alt`` for those who cannot see it."""
    st.image(address(png) if isinstance(png, bytes) else
             f"/app/static/{png.relative_to(FOLDER).as_posix()}", width=width, alt=alt)
    urlsplit.cache_clear()  # type: ignore[attr-defined]  # Streamlit splits the address, and Python caches the last 128 splits
