"""Pages for those who listen, who want less motion, or who have a telephone."""

import re

import pytest
from browser_helpers import at_rest, button, open_data, picture, says
from playwright.sync_api import expect

from models import RECIPES

pytestmark = pytest.mark.browser

PAGES = {"": "What is a normalizing flow?", **{n: r.title for n, r in RECIPES.items()},
         "compare": "Compare", "sweeps": "Sweeps", "history": "Runs", "teach": "Teach"}


@pytest.mark.quick("realnvp")
@pytest.mark.parametrize("path", PAGES)
def test_headings_begin_at_the_first_level(server, page, path):
    page.goto(f"{server}/{path}")
    expect(page.get_by_role("heading", level=1)).to_have_text([PAGES[path]])
    at_rest(page)
    levels = page.get_by_role("heading").evaluate_all(
        "all => all.map(heading => Number(heading.tagName[1]))")
    assert levels[0] == 1


def test_the_chosen_tile_and_the_end_of_a_training_are_announced(server, page):
    page.goto(f"{server}/nice?epochs=1&points=300&hidden=8,8&data=rings")
    says(page, "Ready")
    open_data(page)
    tile = page.get_by_role("button", name="Four rings", exact=True)
    expect(tile).to_have_attribute("aria-pressed", "true")
    other = page.get_by_role("button", name="Two moons", exact=True)
    expect(other).to_have_attribute("aria-pressed", "false")
    other.click()
    expect(other).to_have_attribute("aria-pressed", "true")
    expect(tile).to_have_attribute("aria-pressed", "false")
    status = page.get_by_role("status")
    expect(status).to_have_text("")
    at_rest(page)
    button(page, "Train").click()
    expect(status).to_have_text(re.compile(r"^Finished, KL \d+\.\d+ nats$"))
    at_rest(page)
    status.evaluate("""place => { window.said = 0; new MutationObserver(
        () => { window.said += place.textContent !== "" }).observe(place, { childList: true }) }""")
    button(page, "Train").click()  # the next end has the same words, and is said as well
    page.wait_for_function("window.said > 0")
    at_rest(page)
    assert page.evaluate("window.said") == 1


def test_who_wants_less_motion_sees_still_pictures(server, browser):
    with browser.new_context(reduced_motion="reduce") as context:
        page = context.new_page()
        page.goto(server)
        film = page.get_by_alt_text(re.compile("^Points of a normal distribution"))
        expect(film).to_be_visible()
        assert film.evaluate("image => image.currentSrc").endswith("-still.webp")
        assert film.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
        durations = page.evaluate("""() => [...document.querySelectorAll("button")].map(
            part => getComputedStyle(part).transitionProperty)""")
        assert set(durations) == {"none"}


@pytest.mark.quick("realnvp")
@pytest.mark.parametrize(("path", "count"), [("", 6), ("realnvp", 0)])
def test_a_page_fits_a_telephone(server, page, path, count):
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{server}/{path}")
    at_rest(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    formulas = page.locator(".katex-display").filter(visible=True)
    expect(formulas).to_have_count(count)
    for cut in formulas.evaluate_all("all => all.map(one => one.scrollWidth - one.clientWidth)"):
        assert cut <= 2
    if path:
        box = picture(page).bounding_box()
        assert box["y"] + box["height"] <= 844 and box["width"] > 340
        numbers = page.get_by_test_id("stMetric").first.bounding_box()
        assert numbers["y"] >= box["y"] + box["height"]
        expect(page.get_by_test_id("stSidebar")).not_to_be_in_viewport()
        button(page, "Stop").hover()
