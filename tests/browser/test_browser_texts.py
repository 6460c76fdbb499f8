"""What the pages explain, in a real browser: equations that are seen whole."""

import re

import pytest
from browser_helpers import at_rest, button, picture, says
from playwright.sync_api import expect

from models import RECIPES

pytestmark = pytest.mark.browser

WIDTHS = (1024, 1152, 1280, 1366, 1920)
#: Equations whose ink leaves a box that cuts it, or is below the end of their own element, where
#: the next one begins; and tables that have to be scrolled.
CUT = """() => {
    const found = [];
    for (const equation of document.querySelectorAll(".katex-display")) {
        const ink = [...equation.querySelectorAll(".katex-html .base")].map(
            part => part.getBoundingClientRect());
        const right = Math.max(...ink.map(box => box.right));
        const bottom = Math.max(...ink.map(box => box.bottom));
        const element = equation.closest("[data-testid=stElementContainer]");
        const box = element.getBoundingClientRect();
        if (right > box.right + 1 || bottom > box.bottom + 1) found.push(equation.textContent);
        for (let outer = equation; outer !== element; outer = outer.parentElement)
            if (getComputedStyle(outer).overflowY !== "visible"
                && outer.scrollHeight > outer.clientHeight + 1) found.push(equation.textContent);
    }
    for (const table of document.querySelectorAll("[data-testid=stDataFrame] .dvn-scroller"))
        if (table.scrollHeight > table.clientHeight + 1
            || table.scrollWidth > table.clientWidth + 1) found.push("a table");
    return found;
}"""


def whole_at_all_widths(page):
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 720})
        page.wait_for_timeout(500)
        at_rest(page)
        assert page.evaluate(CUT) == [], width


@pytest.mark.thorough
def test_equations_of_the_first_page_are_whole(server, page):
    page.goto(server)
    says(page, "Flows to play with")
    expect(page.locator(".katex-display")).to_have_count(6)
    whole_at_all_widths(page)


@pytest.mark.thorough
@pytest.mark.parametrize("name", RECIPES)
def test_equations_and_the_table_of_layers_are_whole(server, page, name):
    page.goto(f"{server}/{name}")
    says(page, "Ready")
    page.get_by_role("radio", name="Through the flow", exact=True).click()
    says(page, r"Layer (\d+) of \1")
    expect(page.locator(".katex-display")).to_have_count(2)
    expect(page.locator("[data-testid=stDataFrame] .dvn-scroller")).to_have_count(1)
    whole_at_all_widths(page)
    for width in (*WIDTHS, 512):  # the last is 1024 at 200 %
        page.set_viewport_size({"width": width, "height": 720})
        button(page, "About").click()
        expect(page.locator(".katex-display")).to_have_count(3)
        assert page.evaluate(CUT) == [], width
        page.keyboard.press("Escape")
        expect(page.locator(".katex-display")).to_have_count(2)


@pytest.mark.thorough
def test_the_first_page_says_the_kl_that_the_models_pages_say(server, page):
    page.goto(server)
    cards = page.get_by_text(re.compile("^KL to the truth: "))
    expect(cards).to_have_count(len(RECIPES))
    said = [text.removeprefix("KL to the truth: ") for text in cards.all_inner_texts()]
    for name, text in zip(RECIPES, said, strict=True):
        page.goto(f"{server}/{name}")
        metric = page.get_by_test_id("stMetric").filter(has_text="KL to the truth")
        expect(metric).to_contain_text(text)


@pytest.mark.thorough
def test_train_trains_and_its_link_alone_does_not(server, page, browser):
    page.goto(server)
    button(page, "Train NICE").click()
    page.wait_for_url(re.compile(r"/nice\?run="))
    says(page, "Epoch [1-9]\\d* of 40")
    button(page, "Stop").click()
    says(page, "Stopped")
    expect(button(page, "Train")).to_be_enabled()
    at_rest(page)
    shown = picture(page).get_attribute("src")
    with browser.new_context() as other:  # who opens the address sees the run, and starts none
        tab = other.new_page()
        tab.goto(page.url)
        says(tab, "Stopped")
        expect(picture(tab)).to_be_visible()
        assert tab.url == page.url
    at_rest(page)
    assert picture(page).get_attribute("src") == shown


def test_the_inverse_turns_the_way_round(server, page):
    def slider(label):
        return page.get_by_role("slider", name=re.compile(f"^{label}"))

    page.goto(f"{server}#directions")
    way = page.get_by_alt_text(re.compile("with 3 of .* layers passed"))
    back = page.get_by_alt_text(re.compile("^Data points with 3 of .* layers undone"))
    expect(way).to_be_visible()
    expect(slider("Layers passed: 0 is latent")).to_be_visible()
    before = way.get_attribute("src")
    page.get_by_role("radio", name="Inverse: density", exact=True).click()
    expect(back).to_be_visible()
    expect(way).to_have_count(0)
    assert back.get_attribute("src") != before
    expect(slider("Layers undone: 0 is data")).to_be_visible()
    says(page, "undone, from")
