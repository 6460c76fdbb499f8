"""What a screen reader says of a page, where Streamlit's elements leave it out."""

from collections.abc import Callable, Collection

import streamlit as st

# The place stays, whatever is drawn anew, and its words change: that alone is read out.
_SAY = """
export default function ({ data }) {
  let place = document.getElementById("flowlab-spoken");
  if (!place) {
    place = document.createElement("div");
    place.id = "flowlab-spoken";
    place.setAttribute("role", "status");
    document.body.append(place);
  }
  if (place.textContent !== data.text || place.dataset.of !== data.of) {
    place.textContent = data.text;
    place.dataset.of = data.of;
  }
}
"""

# Tiles appear when their group is opened, which may be after this has run.
_PRESS = """
export default function ({ data }) {
  const tell = () => {
    for (const tile of document.querySelectorAll(`[class*="st-key-${data.prefix}-choose-"]`)) {
      const name = [...tile.classList].find((part) => part.includes("-choose-"));
      tile.querySelector("button")?.setAttribute(
        "aria-pressed", data.chosen.includes(name.split("-choose-")[1]));
    }
  };
  tell();
  const timer = setInterval(tell, 500);
  return () => clearInterval(timer);
}
"""


def announce(page: str, text: str, of: str) -> None:
    """Have a screen reader say a text once of each thing that it is `of`; an empty one never."""
    _say()(key=f"{page}.spoken", data={"text": text, "of": of})


def pressed(page: str, chosen: Collection[str]) -> None:
    """Tell which of a page's tiles are chosen."""
    _press()(key=f"{page}.pressed", data={"prefix": page, "chosen": list(chosen)})


@st.cache_resource(show_spinner=False)
def _say() -> Callable:
    return st.components.v2.component("flowlab_spoken", js=_SAY)


@st.cache_resource(show_spinner=False)
def _press() -> Callable:
    return st.components.v2.component("flowlab_pressed", js=_PRESS)
