"""The lab as a person uses it: a real server, real workers and a real browser."""

import re

import pytest
from browser_helpers import (
    at_rest,
    button,
    open_data,
    picture,
    reaches,
    resting_box,
    says,
    settled_count,
    step_count,
)
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def test_train_pause_leave_return_reload_stop(server, page):
    page.goto(f"{server}/realnvp?epochs=2000")
    says(page, "Ready")
    box = resting_box(picture(page))
    fresh = picture(page).get_attribute("src")
    button(page, "Train").click()
    says(page, r"Epoch \d+ of 2000")
    expect(picture(page)).not_to_have_attribute("src", fresh)
    for _ in range(5):
        page.wait_for_timeout(300)
        assert picture(page).bounding_box() == box  # no frame moves or resizes the picture
    button(page, "Pause").click()
    says(page, "Paused")
    held = settled_count(page)
    button(page, "Step").click()
    expect(page.get_by_text(re.compile("Paused Epoch")).first).to_be_visible()
    reaches(page, held + 1)
    assert settled_count(page) == held + 1

    page.get_by_role("link", name="NICE").click()
    expect(page.get_by_role("heading", name="NICE")).to_be_visible()
    says(page, "Ready")
    page.get_by_role("link", name="RealNVP").click()
    expect(page.get_by_role("heading", name="RealNVP")).to_be_visible()
    says(page, "Paused")
    reaches(page, held + 1)

    page.reload()
    says(page, "Paused")
    reaches(page, held + 1)
    button(page, "Resume").click()
    says(page, "Training")
    button(page, "Stop").click()
    says(page, "Stopped")
    expect(button(page, "Train")).to_be_enabled()
    assert step_count(page) > held


@pytest.mark.quick("Glow")
@pytest.mark.parametrize("name", ["NICE", "Glow"])
def test_the_other_models_train_to_the_end(server, page, name):
    page.goto(f"{server}/{name.lower()}?epochs=3&points=1000&data=circles")
    says(page, "Ready")
    button(page, "Train").click()
    says(page, "Finished Epoch 3 of 3")
    says(page, r"\d\.\d{3} nats")


@pytest.mark.thorough
def test_a_thumbnail_is_chosen_by_mouse_and_by_keyboard(server, page):
    page.goto(f"{server}/nice")
    says(page, "Two moons")
    expect(page.get_by_role("slider", name="Couplings")).to_be_visible()
    open_data(page)
    expect(page.get_by_role("slider", name="Couplings")).to_be_hidden()  # one group at a time
    button(page, "Spiral").click()
    page.wait_for_url("**data=spiral*")
    says(page, "Spiral\\.")
    at_rest(page)
    button(page, "Checkerboard").press("Enter")
    page.wait_for_url("**data=checkerboard*")


def test_the_first_page_leads_to_the_models(server, page):
    page.goto(server)
    for name in ("NICE", "RealNVP", "Glow"):
        expect(page.get_by_role("link", name=name).first).to_be_visible()
    assert "Traceback" not in page.inner_text("body")
