"""A link as a QR code, made on this machine: no request leaves it."""

import io

import segno
import streamlit as st
from segno.encoder import DataOverflowError

from flowlab.ui.elements import image
from flowlab.ui.elements.escape import plain

SCALE = 8  # pixels for a module
DENSE = 85  # modules across, with which a telephone has to come near


def code(link: str) -> segno.QRCode:
    """The QR code of a link, with as much correction of errors as fits its size.

    Raises
    ------
    ValueError
        For a link that no code can hold.
    """
    try:
        return segno.make_qr(link, error="l")
    except DataOverflowError as error:
        raise ValueError("This link is too long for a QR code: shorten the task.") from error


@st.cache_data(show_spinner=False, max_entries=64)
def png(link: str) -> bytes:
    """The code as PNG, dark on light with its margin, which cameras need in a dark theme too."""
    file = io.BytesIO()
    code(link).save(file, kind="png", scale=SCALE)
    return file.getvalue()


def large(link: str, title: str) -> None:
    """Draw a button that shows the code of a link as large as the screen allows."""
    if st.button("QR code", icon=":material/qr_code_2:", key=f"teach.qr.{title}",
                 help="Show it large, so that the class can scan it."):
        st.dialog(plain(title), width="large")(_large)(link)


def _large(link: str) -> None:
    try:
        across = code(link).symbol_size(border=0)[0]
        with st.container(key="teach-qr", horizontal_alignment="center"):
            image.draw_png(png(link), f"QR code of {link}")
    except ValueError as error:
        st.error(str(error), icon=":material/error:")
        return
    st.caption(link if across <= DENSE else "The code is dense because the link is long: a shorter "
               "task makes it easier to read from the back row.", text_alignment="center")
