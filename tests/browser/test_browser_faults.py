"""A browser that is closed, cut off or suspended while its run goes on."""

import os
import signal
import time

import pytest
from browser_helpers import SECONDS, button, goes_past, picture, says, step_count
from playwright.sync_api import expect
from wire import wire

pytestmark = pytest.mark.browser


@pytest.mark.thorough
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


def test_a_cut_connection_comes_back_to_the_run(server, page):
    with wire(server) as line:
        page.goto(f"{line.url}/nice?epochs=9000")
        says(page, "Ready")
        button(page, "Train").click()
        says(page, r"Epoch \d+ of 9000")
        line.cut()
        # What it shows when it has noticed: nothing can be pressed, and nothing is gone.
        expect(page.locator(".stApp")).not_to_have_attribute(
            "data-test-connection-state", "CONNECTED")
        picture(page).wait_for()
        before = step_count(page)
        line.mend()
        goes_past(page, before)
        button(page, "Stop").click()
        says(page, "Stopped")


@pytest.mark.thorough
def test_a_suspended_browser_catches_up(server, browser, page):
    page.goto(f"{server}/nice?epochs=9000")
    says(page, "Ready")
    button(page, "Train").click()
    says(page, r"Epoch \d+ of 9000")
    before = step_count(page)
    system = browser.new_browser_cdp_session()
    processes = [each["id"] for each in system.send("SystemInfo.getProcessInfo")["processInfo"]]
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        time.sleep(5)
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)
    goes_past(page, before)
    picture(page).wait_for()
    button(page, "Stop").click()
    says(page, "Stopped")
