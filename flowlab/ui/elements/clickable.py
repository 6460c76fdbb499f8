"""A picture that can be clicked, and on which something can be dragged."""

from collections.abc import Callable

import streamlit as st

from flowlab.ui.elements.image import address

_HTML = '<img alt="" draggable="false"><span class="picture-note" aria-hidden="true"></span>'

_CSS = """
img { display: block; width: 100%; cursor: crosshair; }
.picture-note { position: absolute; right: 0.5rem; top: 0; font-size: 0.9rem; opacity: 0.8; }
"""

_JS = """
export default function ({ data, parentElement, setTriggerValue }) {
  const image = parentElement.querySelector("img");
  image.alt = data.alt;
  parentElement.querySelector(".picture-note").textContent = data.note;
  if (image.src !== data.src) image.src = data.src;
  const place = (event) => {
    const box = image.getBoundingClientRect();
    // The picture keeps its shape inside the element: there may be bands beside it.
    const scale = Math.min(box.width / image.naturalWidth, box.height / image.naturalHeight);
    const width = image.naturalWidth * scale, height = image.naturalHeight * scale;
    return [(event.clientX - box.left - (box.width - width) / 2) / width,
            (event.clientY - box.top - (box.height - height) / 2) / height];
  };
  const send = image.send = (at) => {
    clearTimeout(image.timer);
    Object.assign(image, { sent: performance.now(), next: null });
    setTriggerValue("at", at);
  };
  // The next place of a drag is sent when the picture of the last has come, or does not come, as
  // where it is the same.
  if (image.next) send(image.next);
  else image.sent = -Infinity;
  image.onclick = (event) => send(place(event));
  image.onpointerdown = (event) => {  // a finger scrolls the page
    if (data.drag && !event.button && event.pointerType !== "touch")
      image.setPointerCapture(event.pointerId);
  };
  image.onpointermove = (event) => {
    if (!image.hasPointerCapture(event.pointerId)) return;
    image.next = place(event);
    clearTimeout(image.timer);
    image.timer = setTimeout(() => image.next && image.send(image.next),
                             image.sent + 500 - performance.now());
  };
}
"""


def clickable(png: bytes, alt: str, key: str, on_click: Callable[[float, float], None],
              note: str = "", drag: bool = False) -> None:
    """Show a picture, and call ``on_click`` with the place of a click on it, or where a drag is.

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
    note : str
        A word over its upper right corner, which takes no room.
    drag : bool
        Whether to call ``on_click`` also while the mouse is dragged.
    """
    def clicked() -> None:
        place = st.session_state[key].get("at")
        if place is not None:
            on_click(*map(float, place))

    _component()(key=key, data={"src": address(png), "alt": alt, "note": note, "drag": drag},
                 on_at_change=clicked)


@st.cache_resource(show_spinner=False)
def _component() -> Callable:
    return st.components.v2.component("flowlab_clickable", html=_HTML, css=_CSS,
                                      js=_JS, isolate_styles=False)
