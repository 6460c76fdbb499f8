"""The way to the documentation, which the lab serves itself where it has been built."""

from pathlib import Path

import streamlit as st

from flowlab.ui.app import addresses

#: Where `make docs` puts the site; Streamlit serves the folder ``static``.
SITE = Path(__file__).parents[3] / "static" / "docs"
MISSING = ("The documentation has not been built here: run `make docs` in the lab's folder, and "
           "this leads to it.")


def address(page: str = "index") -> str:
    """The address of a page of the documentation; empty where it is not built."""
    there = (SITE / f"{page}.html").is_file()
    return f"{addresses.here()}/app/static/docs/{page}.html" if there else ""


def link(words: str, page: str) -> str:
    """Words that lead to a page of the documentation (Markdown); just words without it."""
    url = address(page)
    return f"[{words}]({url})" if url else words


def draw_help() -> None:
    """Draw the link to the documentation, or how to get it."""
    if url := address():
        st.link_button("Help", url, icon=":material/help:", type="tertiary")
    else:
        st.popover("Help", icon=":material/help:", type="tertiary", key="help").markdown(MISSING)
