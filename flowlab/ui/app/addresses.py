"""The addresses of the pages: what a page reads from the browser's, and what it writes there.

A page's state has its address. So links within the lab lead to a page as it was left, and a page
ignores an address that another page wrote: the browser may have moved on, by its Back or by the
menu, before that address reached it.
"""

from urllib.parse import urlsplit

import streamlit as st
from streamlit.navigation import page as navigation
from streamlit.runtime.scriptrunner import get_script_run_ctx

from flowlab.ui.app.state import Address, Page, session


def destination(name: str) -> navigation.Page:
    """The page with this address, to link and to switch to: Streamlit knows a page by it alone."""
    return st.Page(lambda: None, title=name, url_path=name)


def here() -> str:
    """The address of the lab, as the viewer's browser has it; empty outside a server."""
    url = urlsplit(st.context.url or "")
    return f"{url.scheme}://{url.netloc}{url.path.rpartition('/')[0]}" if url.netloc else ""


def of(name: str) -> dict[str, str]:
    """The query that leads to a page as it was left; empty where it has not been opened."""
    page = session().pages.get(name)
    return page.address.query if page and page.address else {}


def news(page: Page) -> dict[str, str] | None:
    """The query that the page should follow; None where the page stays as it is.

    A page that was opened before does not follow a bare address, unless the viewer went back to it.
    Nor does it follow one that it has just replaced: two quick changes reach the server before the
    browser has the address of the first, and would be undone by the one from before them.
    """
    query, own = st.query_params.to_dict(), page.address
    if own is not None and query == own.query:
        page.former = []
    if query in page.former and not _history():
        return None
    others = [other.address.query for other in session().pages.values()
              if other is not page and other.address]
    if query and query in others and (own is None or query != own.query):
        return None if own else {}
    if own is not None and (query == own.query or not query and not _history()):
        return None
    return query


def write(page: Page, wanted: dict[str, str], followed: dict[str, str] | None = None) -> None:
    """Write the address of what the page shows, where the browser has another.

    Parameters
    ----------
    page : Page
    wanted : dict of str to str
        The query, derived from the page's state.
    followed : dict of str to str, optional
        The query that the page has just followed in full. It stays, in whatever form, if it has all
        that is wanted: writing it again would add a step to the browser's history that leads
        nowhere.
    """
    query, own = st.query_params.to_dict(), page.address
    if followed == query:
        stays = wanted.keys() <= query.keys() and ("run" in query) == ("run" in wanted)
    else:
        stays = own == Address(query, wanted)
    if not stays and query != wanted:
        page.former += [query] if own is None else [query, own.query]
        st.query_params.from_dict(wanted)
    page.address = Address(query if stays else wanted, wanted)


def _history() -> bool:
    """Whether the viewer came by the browser's Back or Forward."""
    context = get_script_run_ctx()
    return context is not None and context.is_history_navigation
