"""A comparison in a real browser."""

import re
import xml.etree.ElementTree as ElementTree

import pytest
from browser_helpers import at_rest, button, download, resting_box, says
from pages_helpers import TINY
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def test_compare_in_a_browser_to_the_table_reload_and_take(server, page):
    page.goto(f"{server}/compare?" + "&".join(f"{k}={v}" for k, v in TINY.items()) + "&seeds=2")
    says(page, "Ready")
    panels = page.locator(".st-key-compare-picture img")
    box, before = resting_box(panels), panels.get_attribute("src")
    button(page, "Compare").click()
    says(page, "Finished")
    expect(panels).not_to_have_attribute("src", before)
    assert resting_box(panels) == box  # nothing has moved
    table = page.locator(".scoreboard")
    expect(table).to_contain_text("±")
    at_rest(page)
    said = table.inner_text()
    page.wait_for_url("**run=*")
    page.reload()
    says(page, "Finished")
    expect(table).to_contain_text("±")
    at_rest(page)
    assert table.inner_text() == said
    for label, check in {
        "CSV": lambda c: "distribution,model,kl" in c.decode(),
        "LaTeX": lambda c: "tabular" in c.decode(),
        "SVG": lambda c: ElementTree.fromstring(c).tag.endswith("}svg"),
        "PDF": lambda c: c.startswith(b"%PDF"),
    }.items():
        assert check(download(page, label)[1]), label
    at_rest(page)
    page.get_by_text("Samples", exact=True).click()
    at_rest(page)
    page.get_by_role("link", name="NICE").click()
    says(page, "Ready")
    page.get_by_role("link", name="Compare").click()
    says(page, "Finished")
    page.wait_for_url(re.compile(r"run=[0-9a-f]{16}"))
