"""The lecture view, for a class that looks from the back row, and the keys of a page.

There is no sidebar, one bar has what is pressed and read, and the picture fills the screen, with
large letters. The address has it as ``view``, so that a link can open it.
"""

from collections.abc import Callable

import streamlit as st

from flowlab.figures.style import LAYOUTS

NAMES = dict(zip(LAYOUTS, ("All panels", "Learned and loss", "True and learned"), strict=True))
KEYS = ("Keys, except while you type: **F** opens and leaves the lecture view, **Space** trains, "
        "pauses and resumes, **S** makes one step, **←** and **→** move the slider.")

_JS = """
export default function ({ data }) {
  const find = (name, what) => document.querySelector(`.st-key-${data.page}-${name} ${what}`);
  const press = (name) => find(name, "button:enabled")?.click();
  document.onkeydown = (event) => {  // one at a time: a page's takes the place of the last page's
    const on = (selector) => event.target.closest?.(selector);
    if (event.ctrlKey || event.metaKey || event.altKey || on(
      "input:not([type=range]), textarea, select, [contenteditable=true], [role=dialog], " +
      "[role=combobox], [role=listbox]")) return;
    const slider = find("sliders", "input[type=range]:enabled");
    const key = event.key.toLowerCase();
    if (key === " " && !on("button, a, summary, [role=radio]")) {
      press(find("stop", "button:enabled") ? "pause" : "train");
    } else if (key === "s") press("step");
    else if (key === "f") press("lecture");
    else if ((key === "arrowleft" || key === "arrowright") && slider
             && !on("input, [role=radio], [role=tab]")) {
      slider.dispatchEvent(new KeyboardEvent("keydown", { key: event.key, bubbles: true }));
    } else return;
    event.preventDefault();
  };
}
"""


def button(page: str, layout: str, choose: Callable[[str], None]) -> None:
    """Draw the button that opens the lecture view or leaves it, and have the page follow keys.

    Parameters
    ----------
    page : str
        Its name, with which the keys of its controls begin.
    layout : str
        That of the page's pictures now, of `LAYOUTS`; empty outside the lecture view.
    choose : callable
        Given the layout that is wanted.
    """
    st.button("Page" if layout else "Lecture", key=f"{page}.lecture",
              icon=":material/close_fullscreen:" if layout else ":material/co_present:",
              on_click=choose, args=("" if layout else LAYOUTS[0],), help=KEYS)
    _component()(key=f"{page}.keys", data={"page": page})


@st.cache_resource(show_spinner=False)
def _component() -> Callable:
    return st.components.v2.component("flowlab_keys", js=_JS)
