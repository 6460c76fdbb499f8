"""A browser that is closed while its run goes on."""

import pytest
from browser_helpers import SECONDS, button, goes_past, picture, says, step_count

pytestmark = pytest.mark.browser


def test_a_closed_tab_finds_its_run_again_and_it_went_on(server, browser):
    tab = browser.new_page()
    tab.set_default_timeout(SECONDS)
    tab.goto(f"{server}/nice?epochs=9000")
    says(tab, "Ready")
    button(tab, "Train").click()
    says(tab, r"Epoch \d+ of 9000")
    link, before = tab.url, step_count(tab)
    assert "run=" in link
    tab.close()
    again = browser.new_page()
    again.set_default_timeout(SECONDS)
    again.goto(link)
    says(again, r"Epoch \d+ of 9000")
    picture(again).wait_for()
    goes_past(again, before)
    button(again, "Stop").click()
    says(again, "Stopped")
    again.close()
