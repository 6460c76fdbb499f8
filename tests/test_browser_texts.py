"""What the pages explain, in a real browser: equations that are seen whole."""

import pytest
from browser_helpers import at_rest, says
from playwright.sync_api import expect

from models import RECIPES

pytestmark = pytest.mark.browser

WIDTHS = (1024, 1152, 1280, 1366, 1920)
#: Equations whose ink leaves a box that cuts it, or is below the end of their own element, where
#: the next one begins; and tables that have to be scrolled.
CUT = """() => {
    const main = document.querySelector("[data-testid=stMain]"), found = [];
    for (const equation of main.querySelectorAll(".katex-display")) {
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
    for (const table of main.querySelectorAll("[data-testid=stDataFrame] .dvn-scroller"))
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


def test_equations_of_the_first_page_are_whole(server, page):
    page.goto(server)
    says(page, "Three flows to play with")
    expect(page.locator(".katex-display")).to_have_count(6)
    whole_at_all_widths(page)


@pytest.mark.parametrize("name", RECIPES)
def test_equations_and_the_table_of_layers_are_whole(server, page, name):
    page.goto(f"{server}/{name}")
    says(page, "Ready")
    page.get_by_role("radio", name="Through the flow", exact=True).click()
    says(page, r"Layer (\d+) of \1")
    expect(page.locator(".katex-display")).to_have_count(3)
    expect(page.locator("[data-testid=stDataFrame] .dvn-scroller")).to_have_count(1)
    whole_at_all_widths(page)
