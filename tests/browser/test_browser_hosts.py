"""No page asks another machine for anything: a lab without the internet looks the same."""

from urllib.parse import urlparse

import pytest
from browser_helpers import at_rest, open_data
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

PAGES = ("", "nice", "glow?data=digits", "compare", "sweeps", "history", "teach",
         "teach?model=nice")
MENUS = ("stPopover", "stSelectbox", "stMainMenu")


def open_all(page: Page) -> int:
    """Open what can be opened on a page, one thing after the other; how many there were."""
    shut = page.locator("details:not([open]) > summary").filter(visible=True)
    opened = shut.count()
    while shut.count():
        shut.first.click()
    for name in MENUS:
        places = page.get_by_test_id(name).locator("button, input").filter(visible=True)
        index = 0
        while index < places.count():  # a list that opens late can be chosen from by the next click
            if places.nth(index).is_enabled():
                places.nth(index).click()
                page.wait_for_timeout(200)
                page.keyboard.press("Escape")
                opened += 1
            index += 1
    return opened


@pytest.mark.quick("")
@pytest.mark.parametrize("path", PAGES)
def test_no_page_and_nothing_that_opens_on_it_asks_another_host(server, page, path):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url))
    page.goto(f"{server}/{path}")
    at_rest(page)
    assert open_all(page) > 0
    page.get_by_test_id("stMainMenu").get_by_role("button").click()
    page.get_by_role("menuitemradio", name="Dark").click()
    if path == "nice":
        open_data(page)
        page.locator(".st-key-nice-own").get_by_role("button").click()
        expect(page.get_by_role("dialog")).to_be_visible()
    at_rest(page)
    icons = page.locator("link[rel*=icon]")
    assert all(icon.get_attribute("href").startswith("data:image/svg") for icon in icons.all())
    hosts = {urlparse(url).hostname for url in asked if not url.startswith(("data:", "blob:"))}
    assert hosts == {urlparse(server).hostname}
