"""Images in a real browser: chosen as data, trained on, and explored."""

import re

import pytest
from browser_helpers import at_rest, button, picture, resting_box, says
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

TINY = "data=digits&classes=10&epochs=2&steps=1&hidden_channels=8&batch_size=512"


def changes(page, before):
    expect(picture(page)).not_to_have_attribute("src", before)


@pytest.mark.thorough
def test_glow_learns_digits_and_a_slider_makes_them_colder(server, page):
    page.goto(f"{server}/glow?{TINY}")
    says(page, "Ready")
    box = resting_box(picture(page))
    before = picture(page).get_attribute("src")
    button(page, "Train").click()
    changes(page, before)
    says(page, "Finished Epoch 2 of 2")
    expect(page.get_by_text("Test bits/dim", exact=True)).to_be_visible()
    assert resting_box(picture(page))["width"] == box["width"]

    at_rest(page)
    learned = picture(page).get_attribute("src")
    page.get_by_role("radio", name="Samples", exact=True).click()
    says(page, "memorised")
    changes(page, learned)
    at_rest(page)
    warm = picture(page).get_attribute("src")
    slider = page.get_by_role("slider", name=re.compile("Temperature"))
    expect(slider).to_have_value("0.7")
    slider.focus()
    page.keyboard.press("Home")
    changes(page, warm)
    expect(slider).to_have_value("0")
    assert resting_box(picture(page))["width"] == box["width"]
