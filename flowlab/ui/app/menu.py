"""The menu: a link to every page, as it was left.

Streamlit's own menu leads to bare addresses. A page would then write its full address at once, and
the browser's Back would lead to the bare one, which the page would write again.
"""

from collections.abc import Sequence

import streamlit as st
from streamlit.navigation.page import Page

from flowlab.ui.app import addresses


def run(pages: Sequence[Page]) -> None:
    """Draw the menu, and the one of these pages that the address names."""
    here = st.navigation(pages, position="hidden")
    with st.sidebar.container(gap=None, key="menu"):
        places = {page.url_path: st.empty() for page in pages}
    for page in pages:
        _link(places, page)
    try:
        here.run()
    finally:
        _link(places, here)  # its address is known only now


def _link(places: dict, page: Page) -> None:
    places[page.url_path].page_link(page, width="stretch",
                                    query_params=addresses.of(page.url_path))
