"""Pictures on pages."""

import base64
import io
from functools import cache
from urllib.parse import urlsplit

import streamlit as st
from PIL import Image


def address(content: bytes, kind: str = "png") -> str:
    """A picture's file as a ``data:`` address: it travels with the page, as it is.

    Streamlit would encode a large picture anew, make a still of a moving one, and serve each from
    an address that is gone when the browser comes late for it.

    Examples
    --------
    >>> address(b"picture")
    'data:image/png;base64,cGljdHVyZQ=='
    """
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


@cache
def blank(size: tuple[int, int]) -> bytes:
    """A picture of this width and height with nothing on it, as PNG: it keeps another's place."""
    file = io.BytesIO()
    Image.new("RGBA", size).save(file, "png")
    return file.getvalue()


def show(png: bytes, alt: str, width: int | str = "stretch") -> None:
    """Show a PNG, with ``alt`` for those who cannot see it."""
    st.image(address(png), width=width, alt=alt)
    urlsplit.cache_clear()  # Streamlit takes the address apart, and Python keeps the last 128 so
