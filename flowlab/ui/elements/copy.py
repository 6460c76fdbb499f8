"""A text to copy: code, a command, a link.

Streamlit's own element for code makes the browser load and start a highlighter for all languages
first, which takes a good part of the time until a page is seen.
"""

from collections.abc import Callable

import streamlit as st

_HTML = '<pre tabindex="0"></pre><button type="button"></button>'

_CSS = """
pre { margin: 0 0 0.4rem; padding: 0.7rem 0.9rem; white-space: pre-wrap; overflow-wrap: anywhere;
  font-size: 0.85rem; line-height: 1.5; font-family: var(--st-code-font, monospace);
  background: var(--st-secondary-background-color); border-radius: var(--st-base-radius, 0.5rem); }
button { font: inherit; padding: 0.35rem 0.9rem; border-radius: var(--st-button-radius, 0.5rem);
  cursor: pointer; color: inherit; background: transparent;
  border: 1px solid var(--st-border-color, #8884); }
button:hover, button:focus-visible { border-color: var(--st-primary-color);
  color: var(--st-primary-color); }
"""

# Browsers offer their clipboard to pages from https or localhost only; a class server may be
# neither, so a selection is copied where there is none.
_JS = """
export default function ({ data, parentElement }) {
  const button = parentElement.querySelector("button");
  parentElement.querySelector("pre").textContent = data.text;
  button.textContent = data.label;
  button.onclick = async () => {
    let copied = true;
    if (navigator.clipboard) {
      copied = await navigator.clipboard.writeText(data.text).then(() => true, () => false);
    } else {
      const area = document.createElement("textarea");
      area.value = data.text;
      button.after(area);
      area.select();
      copied = document.execCommand("copy");
      area.remove();
    }
    button.textContent = copied ? "Copied" : "Select the text and copy it";
    setTimeout(() => { button.textContent = data.label; }, 2000);
  };
}
"""


def copyable(text: str, label: str = "Copy") -> None:
    """Show a text, and a button that puts it on the viewer's clipboard and says so.

    It has no key: Streamlit would read its state again with that of every control.
    """
    _component()(data={"label": label, "text": text})


@st.cache_resource(show_spinner=False)
def _component() -> Callable:
    return st.components.v2.component("flowlab_copy", html=_HTML, css=_CSS, js=_JS)
