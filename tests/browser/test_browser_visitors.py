"""Two browsers on a shared server."""

import pytest
from browser_helpers import SECONDS, button, resting_box, says, serving
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


@pytest.mark.thorough
def test_two_browsers_on_a_shared_server(browser):
    with serving(FLOWLAB_SHARED="1", FLOWLAB_MAX_WORKERS="1") as url:
        first, second = (browser.new_context(viewport={"width": 1280, "height": 800})
                         for _ in range(2))
        page, other = first.new_page(), second.new_page()
        for tab in (page, other):
            tab.set_default_timeout(SECONDS)
        page.goto(f"{url}/nice?epochs=2&points=300&data=circles&hidden=16,16")
        says(page, "Ready")
        top = resting_box(page.get_by_role("heading", name="NICE"))["y"]
        button(page, "Train").click()
        says(page, "Finished Epoch 2 of 2")
        link = page.url
        assert "run=" in link
        page.reload()  # now the browser has its cookie
        says(page, "Finished Epoch 2 of 2")
        assert resting_box(page.get_by_role("heading", name="NICE"))["y"] == top
        cookie, = (c for c in first.cookies() if c["name"] == "flowlab_visitor")
        assert len(cookie["value"]) == 43 and cookie["sameSite"] == "Lax" and cookie["expires"] > 0

        other.goto(link)
        says(other, "Another visitor's")
        expect(button(other, "Stop")).to_be_disabled(timeout=SECONDS)
        other.get_by_role("link", name="Runs").click()
        says(other, "There is no run yet")
        page.close()
        again = first.new_page()
        again.set_default_timeout(SECONDS)
        again.goto(f"{url}/history")
        says(again, r"^1 run$")
        first.close()
        second.close()
