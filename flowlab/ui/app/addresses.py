"""The addresses of the pages: what a page reads from the browser's, and what it writes there.

The session keeps the address of every page. So links within the lab lead to a page as it was left,
and a page takes nothing from an address that another page wrote: the browser may have gone on, with
its Back or by the menu, before that reached it.
"""

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from flowlab.ui.app.state import Address, Page, session


def of(name: str) -> dict[str, str]:
    """The query that leads to a page as it was left; empty where it has not been opened."""
    page = session().pages.get(name)
    return page.address.query if page and page.address else {}


def news(page: Page) -> dict[str, str] | None:
    """What the address tells the page to become; None where the page stays as it is.

    A bare address is no news to a page that was opened before, unless the viewer went back to it.
    """
    query, own = st.query_params.to_dict(), page.address
    others = [other.address.query for other in session().pages.values()
              if other is not page and other.address]
    if query and query in others and (own is None or query != own.query):
        return None if own else {}
    if own is not None and (query == own.query or not query and not _history()):
        return None
    return query


def write(page: Page, wanted: dict[str, str], followed: dict[str, str] | None = None) -> None:
    """Have the browser's address say what the page shows.

    Parameters
    ----------
    page : Page
    wanted : dict of str to str
    followed : dict of str to str, optional
        The address whose every word the page has just become. It stays, in whatever form, if it
        says all that is wanted: to write it anew would make one more step for the browser's Back,
        which leads nowhere.
    """
    query, own = st.query_params.to_dict(), page.address
    if followed == query:
        stays = wanted.keys() <= query.keys() and ("run" in query) == ("run" in wanted)
    else:
        stays = own == Address(query, wanted)
    if not stays and query != wanted:
        st.query_params.from_dict(wanted)
    page.address = Address(query if stays else wanted, wanted)


def _history() -> bool:
    """Whether the viewer came by the browser's Back or Forward."""
    context = get_script_run_ctx()
    return context is not None and context.is_history_navigation
