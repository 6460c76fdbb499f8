"""What a class looks at together is on the screen together, without scrolling."""

from urllib.parse import urlencode

import pytest
from browser_helpers import at_rest, button, picture, reaches, says, settled_count
from pages_helpers import TINY
from playwright.sync_api import Locator, Page, expect

from flowlab.figures import style
from flowlab.ui.controls.experiments import every, start
from flowlab.ui.controls.links import Lesson
from models import RECIPES

pytestmark = pytest.mark.browser

SIZES = ((1280, 720), (1366, 768), (1366, 641), (1440, 900), (1920, 1080))
TASK = Lesson(title="Watch a flow learn", task="Press Train. Which picture shows what the flow has "
              "learned, and which the truth? What is the dashed line under the loss? When it has "
              "ended, drag Moment of the training back to the start and watch the samples.")
#: So that the training goes on while it is measured, and does not explode.
LONG = {"epochs": "9000", "points": "1000", "learning_rate": "1e-5"}
#: The experiments with the longest texts: their cards are the highest.
EXPERIMENTS = sorted(every(RECIPES).values(), key=lambda p: -len(p.do + p.look + p.why))[:3]
#: The picture's height at least, as a share of the window's; with a strip that is folded, as well.
SHARE = 0.55


def parts(page: Page) -> dict[str, Locator]:
    """What has to be seen together, by name."""
    return {name: button(page, name) for name in ("Train", "Pause", "Step", "Stop")} | {
        "picture": picture(page), "KL": page.get_by_test_id("stMetric").first,
        "epoch": page.locator(".stMarkdownBadge").first,
        "moment": page.get_by_role("slider", name="Moment of the training")}


def cut(named: dict[str, Locator], size: tuple[int, int]) -> dict[str, int]:
    """The percentage that is not on the screen, by name, of all that is not there whole."""
    found = {}
    for name, part in named.items():
        box = part.bounding_box()
        across = min(box["x"] + box["width"], size[0]) - max(box["x"], 0)
        down = min(box["y"] + box["height"], size[1]) - max(box["y"], 0)
        seen = max(across, 0) * max(down, 0)
        if seen < 0.999 * box["width"] * box["height"] or not seen:
            found[name] = round(100 - 100 * seen / max(box["width"] * box["height"], 1))
    return found


def whole_at_all_sizes(page: Page, named: dict[str, Locator], share: float = SHARE) -> None:
    """Fail where any of these is cut, or the picture's share of the window's height is less."""
    for size in SIZES:
        page.set_viewport_size({"width": size[0], "height": size[1]})
        page.wait_for_timeout(300)
        assert cut(named, size) == {}, size
        assert named["picture"].bounding_box()["height"] >= share * size[1], size


def readable_at_all_sizes(page: Page) -> None:
    """Fail where a tick's letters take less than 2 % of the window's height."""
    for size in SIZES:
        page.set_viewport_size({"width": size[0], "height": size[1]})
        page.wait_for_timeout(300)
        box, image = picture(page).bounding_box(), picture(page).evaluate(
            "image => [image.naturalWidth, image.naturalHeight]")
        scale = min(box["width"] / image[0], box["height"] / image[1])
        letters = style.TICK_SIZE / 72 * style.theme("light lecture").dpi * scale
        assert letters >= 0.02 * size[1], size


def train(page: Page, address: str) -> None:
    page.goto(address)
    says(page, "Ready")
    at_rest(page)
    button(page, "Train").click()
    says(page, r"Epoch \d+ of 9000")


@pytest.mark.quick("realnvp")
@pytest.mark.parametrize("name", RECIPES)
def test_a_training_is_seen_whole_and_so_is_the_way_through_the_flow(server, page, name):
    train(page, f"{server}/{name}?{urlencode(LONG)}")
    whole_at_all_sizes(page, parts(page))
    page.get_by_role("radio", name="Through the flow", exact=True).click()
    layers = page.get_by_role("slider", name="Layers passed")
    expect(layers).to_be_visible()
    whole_at_all_sizes(page, parts(page) | {"layers": layers})
    button(page, "Stop").click()
    says(page, "Stopped")


@pytest.mark.thorough
@pytest.mark.parametrize("preset", EXPERIMENTS, ids=lambda preset: preset.name)
def test_a_task_and_a_card_leave_the_training_whole(server, page, preset):
    page.goto(f"{server}/{preset.model}?{urlencode(start(preset, TASK, RECIPES) | LONG)}")
    says(page, "Ready")
    says(page, TASK.task[:20])
    at_rest(page)
    before = parts(page)
    before["Pause"] = page.get_by_role("button", name="Pause").or_(
        page.get_by_role("button", name="Continue"))
    whole_at_all_sizes(page, before, 0.25)  # with the strip open
    button(page, "Train").click()
    says(page, r"Epoch \d+ of 9000")
    expect(page.get_by_text(TASK.task)).to_be_hidden()
    expect(page.get_by_text(TASK.title)).to_be_visible()
    whole_at_all_sizes(page, parts(page))
    button(page, "Stop").click()
    says(page, "Stopped")


@pytest.mark.thorough
def test_a_comparison_is_seen_whole(server, page):
    page.goto(f"{server}/compare?{urlencode(TINY)}")
    says(page, "Ready")
    at_rest(page)
    button(page, "Compare").click()
    says(page, "Finished")
    at_rest(page)
    whole_at_all_sizes(page, {name: button(page, name) for name in ("Compare", "Stop")} | {
        "picture": picture(page), "state": page.locator(".stMarkdownBadge").first})


@pytest.mark.thorough
def test_a_lecture_fills_the_screen_and_follows_keys(server, page):
    page.goto(f"{server}/nice?{urlencode(LONG)}&view=lecture")
    says(page, "Ready")
    sidebar = page.get_by_test_id("stSidebar")
    expect(sidebar).to_be_hidden()
    at_rest(page)
    page.keyboard.press("Space")
    says(page, r"Epoch \d+ of 9000")
    whole_at_all_sizes(page, parts(page), 0.7)
    readable_at_all_sizes(page)
    page.get_by_role("radio", name="Learned and loss", exact=True).click()
    page.wait_for_url("**view=loss*")
    readable_at_all_sizes(page)
    page.keyboard.press("Escape")
    page.locator("h1").click()  # no key is for the choice
    page.keyboard.press("Space")
    expect(button(page, "Resume")).to_be_visible()
    held = settled_count(page)
    page.keyboard.press("s")
    reaches(page, held + 1)
    button(page, "Stop").click()
    says(page, "Stopped")
    at_rest(page)
    moment = page.get_by_role("slider", name="Moment of the training")
    last = moment.input_value()
    page.keyboard.press("ArrowLeft")
    expect(moment).not_to_have_value(last)
    at_rest(page)
    assert int(moment.input_value()) == int(last) - 1
    page.get_by_role("radio", name="Through the flow", exact=True).click()
    expect(page.get_by_role("slider", name="Layers passed")).to_be_visible()
    at_rest(page)
    readable_at_all_sizes(page)
    page.locator("h1").click()
    page.keyboard.press("f")
    expect(sidebar).to_be_visible()
    page.wait_for_function("!location.search.includes('view=')")
    at_rest(page)
    page.get_by_role("spinbutton").first.focus()
    page.keyboard.press("f")
    page.keyboard.press("s")
    at_rest(page)
    expect(sidebar).to_be_visible()
    says(page, "Stopped")


@pytest.mark.thorough
@pytest.mark.parametrize("address", ["glow?data=digits&view=lecture", "compare?view=lecture",
                                     "glow?data=digits&view=lecture&show=likelihood"])
def test_images_and_comparisons_have_a_lecture_view(server, page, address):
    page.goto(f"{server}/{address}")
    says(page, "Ready")
    expect(page.get_by_test_id("stSidebar")).to_be_hidden()
    expect(picture(page)).not_to_have_attribute("alt", "The picture is being drawn.")
    at_rest(page)
    readable_at_all_sizes(page)
    page.keyboard.press("f")
    expect(page.get_by_test_id("stSidebar")).to_be_visible()
