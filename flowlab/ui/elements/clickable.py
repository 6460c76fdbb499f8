"""A picture that can be clicked."""

from collections.abc import Callable

import streamlit as st

from flowlab.ui.elements.image import address

_HTML = '<img alt="">'

_CSS = "img { display: block; width: 100%; cursor: crosshair; }"

_JS = """
export default function ({ data, parentElement, setTriggerValue }) {
  const image = parentElement.querySelector("img");
  image.alt = data.alt;
  if (image.src !== data.src) image.src = data.src;
  image.onclick = (event) => {
    const box = image.getBoundingClientRect();
    // The picture keeps its shape inside the element: there may be bands beside it.
    const scale = Math.min(box.width / image.naturalWidth, box.height / image.naturalHeight);
    const width = image.naturalWidth * scale, height = image.naturalHeight * scale;
    const across = (event.clientX - box.left - (box.width - width) / 2) / width;
    const down = (event.clientY - box.top - (box.height - height) / 2) / height;
    setTriggerValue("at", [across, down]);
  };
}
"""


def clickable(png: bytes, alt: str, key: str, on_click: Callable[[float, float], None]) -> None:
    """Show a picture, and call ``on_click`` with the place of a click on it.

    Parameters
    ----------
    png : bytes
        The picture.
    alt : str
        What it shows, for those who cannot see it.
    key : str
        The element's key.
    on_click : callable
        Given the place from the upper left corner, as shares of the width and the height.
    """
    def clicked() -> None:
        place = st.session_state[key].get("at")
        if place is not None:
            on_click(*map(float, place))

    _component()(key=key, data={"src": address(png), "alt": alt}, on_at_change=clicked)


@st.cache_resource(show_spinner=False)
def _component() -> Callable:
    return st.components.v2.component("flowlab_clickable", html=_HTML, css=_CSS,
                                      js=_JS, isolate_styles=False)
