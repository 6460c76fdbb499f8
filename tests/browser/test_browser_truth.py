"""What a page shows of a run is true: its end, its settings, its address and its weights."""

import re
from urllib.parse import urlencode

import pytest
from browser_helpers import at_rest, button, picture, says
from playwright.sync_api import expect

from flowlab.ui.controls.experiments import every
from models import RECIPES

pytestmark = pytest.mark.browser


def badge(page):
    """The run's state, as the line under the buttons has it."""
    return page.locator(".stMarkdownBadge").first


def link(preset: str) -> str:
    chosen = every(RECIPES)[preset]
    settings = RECIPES[chosen.model].Run.from_flat(chosen.settings)
    return urlencode(settings.texts() | {"preset": preset})


@pytest.mark.thorough
def test_a_run_that_diverges_at_once_says_so_ten_times_of_ten(server, page):
    page.goto(f"{server}/realnvp?{link('exploding')}")
    says(page, "Ready")
    runs = set()
    for _ in range(10):
        at_rest(page)
        button(page, "Train").click()
        page.wait_for_function("runs => !runs.includes(location.search)", arg=list(runs))
        runs.add(page.evaluate("location.search"))
        expect(badge(page)).to_have_text("Diverged")
        at_rest(page)
        expect(badge(page)).to_have_text("Diverged")
        assert page.get_by_test_id("stMetricValue").last.inner_text() == "–"  # no time is left
    page.reload()
    expect(badge(page)).to_have_text("Diverged")
    page.get_by_role("link", name="Runs").click()
    says(page, r"^\d+ runs$")


@pytest.mark.thorough
def test_a_run_that_is_stopped_at_once_says_so(server, page):
    page.goto(f"{server}/nice?epochs=9000")
    says(page, "Ready")
    at_rest(page)
    button(page, "Train").click()
    expect(button(page, "Stop")).to_be_enabled()
    button(page, "Stop").click()
    expect(badge(page)).to_have_text("Stopped")
    at_rest(page)
    expect(badge(page)).to_have_text("Stopped")


@pytest.mark.thorough
def test_one_press_of_back_restores_page_and_settings_after_every_step(server, page):
    lesson = "couplings=2&hide=network&lock=training&title=Lesson+one&task=What+moves"

    def shows(name: str, query: str, titles: int, couplings: str) -> None:
        expect(page.get_by_role("heading", name=name)).to_be_visible()
        page.wait_for_function("query => location.pathname + location.search === query",
                               arg=f"/{name.lower()}{query and '?'}{query}")
        expect(page.get_by_text("Lesson one")).to_have_count(titles)
        at_rest(page)
        expect(page.get_by_role("slider", name="Couplings")).to_have_value(couplings)
        assert page.evaluate("location.pathname").strip("/") == name.lower()

    page.goto(f"{server}/realnvp?{lesson}")
    shows("RealNVP", lesson, 1, "2")
    page.get_by_role("link", name="NICE").click()
    shows("NICE", "", 0, "16")
    page.get_by_role("slider", name="Couplings").press("ArrowLeft")
    shows("NICE", "couplings=15", 0, "15")
    page.get_by_role("link", name="RealNVP").click()
    shows("RealNVP", lesson, 1, "2")
    page.get_by_role("link", name="NICE").click()
    shows("NICE", "couplings=15", 0, "15")
    for name, query, titles, couplings in (
            ("RealNVP", lesson, 1, "2"), ("NICE", "couplings=15", 0, "15"),
            ("NICE", "", 0, "16"), ("RealNVP", lesson, 1, "2")):
        page.evaluate("history.back()")
        shows(name, query, titles, couplings)
    page.evaluate("history.go(3)")
    shows("RealNVP", lesson, 1, "2")
    for wait in (50, 300, 900):  # twice within a second
        page.evaluate("history.back()")
        page.wait_for_timeout(wait)
        page.evaluate("history.back()")
        shows("NICE", "", 0, "16")
        page.evaluate("history.go(2)")
        shows("RealNVP", lesson, 1, "2")


@pytest.mark.thorough
def test_other_data_show_their_fresh_flow_and_the_last_run_is_one_click_away(server, page):
    page.goto(f"{server}/nice?epochs=9000&couplings=4&points=500")
    says(page, "Ready")
    at_rest(page)
    button(page, "Train").click()
    says(page, r"Epoch \d+ of 9000")
    page.wait_for_url("**run=*")
    under_way = page.url
    page.locator("[class*='-group-Data'] summary").click()
    button(page, "Spiral").click()  # while it goes on
    expect(badge(page)).to_have_text("Ready")
    page.wait_for_url("**data=spiral*")
    assert "run=" not in page.url
    at_rest(page)
    expect(picture(page)).to_have_attribute("alt", re.compile("untrained flow"))
    expect(page.get_by_test_id("stMetricValue").nth(1)).to_have_text(re.compile("nats"))
    says(page, "Two moons, still training")
    button(page, "Back to the last run").click()
    page.wait_for_url(under_way)
    says(page, r"Epoch \d+ of 9000")
    button(page, "Spiral").click()
    expect(badge(page)).to_have_text("Ready")
    button(page, "Train").click()  # in place of the other
    says(page, r"Epoch \d+ of 9000")
    page.wait_for_url("**data=spiral*run=*")
    button(page, "Stop").click()
    expect(badge(page)).to_have_text("Stopped")
    page.goto(under_way)
    expect(badge(page)).to_have_text("Stopped")


@pytest.mark.thorough
def test_other_settings_leave_the_picture_pale_and_say_whose_it_is(server, page):
    page.goto(f"{server}/realnvp?epochs=2&couplings=4&points=500")
    says(page, "Ready")
    at_rest(page)
    button(page, "Train").click()
    expect(badge(page)).to_have_text("Finished")
    page.wait_for_url("**run=*")
    at_rest(page)
    done, shown = page.url, picture(page).get_attribute("src")
    page.get_by_role("slider", name="Couplings").press("ArrowLeft")
    says(page, "These are the results of Two moons, 4 couplings; the controls are set to 3. "
         "Train to see")
    page.wait_for_url("**couplings=3*")
    assert "run=" not in page.url
    expect(picture(page)).to_have_css("opacity", "0.45")
    assert picture(page).get_attribute("src") == shown
    page.evaluate("history.back()")
    page.wait_for_url(done)
    expect(badge(page)).to_have_text("Finished")
    expect(picture(page)).to_have_css("opacity", "1")


@pytest.mark.thorough
def test_continue_goes_on_from_the_moment_shown(server, page):
    page.goto(f"{server}/realnvp?epochs=6&points=4000")
    says(page, "Ready")
    at_rest(page)
    button(page, "Train").click()
    expect(badge(page)).to_have_text("Finished")
    at_rest(page)
    best = float(page.get_by_test_id("stMetricValue").first.inner_text().split()[0])
    expect(button(page, "Continue from epoch 6")).to_be_enabled()
    page.get_by_role("slider", name="Moment of the training").press("Home")
    expect(button(page, "Continue from epoch 6")).to_be_hidden()
    at_rest(page)
    early = page.get_by_role("button", name=re.compile("Continue from epoch"))
    epoch = int(early.inner_text().split()[-1])
    worse = float(page.get_by_test_id("stMetricValue").first.inner_text().split()[0])
    assert epoch < 6 and worse > best
    early.click()
    says(page, f"Finished Epoch {epoch + 6} of {epoch + 6}")
    at_rest(page)
    page.get_by_role("slider", name="Moment of the training").press("Home")
    at_rest(page)  # its first moments are as bad as what was shown
    assert float(page.get_by_test_id("stMetricValue").first.inner_text().split()[0]) > best
