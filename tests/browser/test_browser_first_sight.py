"""What a newcomer sees: the picture first, and where it stays."""

import pytest
from browser_helpers import at_rest, button, picture
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

#: Notes where the picture is, in any two frames in a row, from when the page has its style.
FRAMES = """window.seen = [];
let before = "";
const look = () => {
    for (const image of document.querySelectorAll("[class*='-picture'] img")) {
        const {x, y, width, height} = image.getBoundingClientRect();
        const place = {x, y, width, height, controls: !!document.querySelector("[class*='-head']")};
        const now = JSON.stringify(place), styled = getComputedStyle(image).objectFit === "contain";
        if (styled && image.complete && image.naturalWidth && width && now === before)
            window.seen.push(place);
        before = now;
    }
    requestAnimationFrame(look);
};
look();"""


@pytest.mark.quick("realnvp-size0")
@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080)])
@pytest.mark.parametrize("path", ["realnvp", "glow?data=digits&steps=8&classes=10"])
def test_the_picture_comes_first_and_stays_where_it_is(page: Page, server, path, size):
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.add_init_script(FRAMES)
    page.goto(f"{server}/{path}")
    expect(button(page, "Train")).to_be_visible()
    at_rest(page)
    assert "/app/static/" in picture(page).get_attribute("src")
    first, *_, last = page.evaluate("window.seen")
    assert last.pop("controls") and not first.pop("controls")  # it is there before them
    assert last == pytest.approx(first, abs=2)
    for part in ("head", "status", "choices", "sliders"):
        expect(page.locator(f"[class*='-{part}']").first).to_be_visible()


def test_what_is_wrong_with_a_link_stays_on_the_page(page: Page, server):
    page.goto(f"{server}/realnvp?epochs=0")
    expect(button(page, "Train")).to_be_visible()
    at_rest(page)
    expect(page.get_by_role("alert").filter(has_text="epochs")).to_be_visible()


@pytest.mark.thorough
@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_the_way_through_the_flow_begins_at_latent_space_and_plays_once(page: Page, server, motion):
    page.emulate_media(reduced_motion=motion)
    page.goto(f"{server}/realnvp")
    at_rest(page)
    page.get_by_role("radio", name="Through the flow", exact=True).click()
    layers = page.get_by_role("slider", name="Layers passed")
    if motion == "reduce":
        at_rest(page)
        expect(layers).to_have_value("0")
        return
    expect(layers).to_be_disabled()
    page.locator(".st-key-realnvp-layerplay button").first.click()  # Pause: it is long
    expect(layers).to_be_enabled()
    at_rest(page)
    page.get_by_role("radio", name="Training", exact=True).click()
    at_rest(page)
    page.get_by_role("radio", name="Through the flow", exact=True).click()
    at_rest(page)
    expect(layers).to_be_enabled()
