"""What a page shows of a run is true: its end, its settings, its address and its weights."""

import pytest
from browser_helpers import at_rest, button, says
from playwright.sync_api import expect

from flowlab.ui import experiments
from flowlab.ui.links import Lesson

pytestmark = pytest.mark.browser


def badge(page):
    """The run's state, as the line under the buttons has it."""
    return page.locator(".stMarkdownBadge").first


def link(preset: str) -> str:
    return "&".join(f"{name}={text}" for name, text in experiments.start(preset, Lesson()).items())


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
