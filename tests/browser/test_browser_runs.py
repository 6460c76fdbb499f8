"""The list of runs in a real browser: from a training to its entry, and back to its page."""

import json
import re
from pathlib import Path

import pytest
from browser_helpers import ROOT, at_rest, button, download, resting_box, says
from playwright.sync_api import expect

from flowlab import __version__
from flowlab.figures import style, sweeps

pytestmark = pytest.mark.browser

FIRST = {"x": 16, "y": 36 + 29}  # the box at the left of the table's first row


def listed(page) -> int:
    """How many runs the page lists; there may be those of other tests."""
    words = page.get_by_text(re.compile(r"^\d+ runs?$")).first
    return int(words.inner_text().split()[0])


def test_a_training_is_listed_opened_renamed_and_deleted(server, page):
    page.goto(f"{server}/nice?epochs=2&points=300&data=circles&hidden=16,16")
    says(page, "Ready")
    button(page, "Train").click()
    says(page, "Finished Epoch 2 of 2")
    page.get_by_role("link", name="Runs").click()
    table = page.get_by_test_id("stDataFrame")
    runs = listed(page)
    box = resting_box(table)
    opens = page.locator(".st-key-runs-open").get_by_role("button")
    expect(opens).to_be_disabled()
    at_rest(page)
    table.click(position=FIRST)
    expect(opens).to_be_enabled()
    assert resting_box(table) == box
    at_rest(page)
    button(page, "Rename").click()
    name = page.get_by_role("textbox", name="Name")
    name.fill("two circles, quickly")
    name.press("Enter")
    expect(page.get_by_role("dialog")).to_be_hidden()
    button(page, "More").click()
    name, content = download(page, "Export")
    assert re.fullmatch(r"nice-\w{6}\.flowlab\.zip", name)
    opens.click()
    says(page, "Finished Epoch 2 of 2")
    assert "run=" in page.url
    expect(button(page, "Continue from epoch 2")).to_be_enabled()

    page.get_by_role("link", name="Runs").click()
    assert listed(page) == runs
    at_rest(page)
    button(page, "Import").click()
    page.locator("input[type=file]").set_input_files(
        {"name": "run.zip", "mimeType": "application/zip", "buffer": content})
    says(page, "Imported: two circles, quickly")
    says(page, f"^{runs + 1} runs$")
    at_rest(page)
    table.click(position=FIRST)
    expect(button(page, "Delete")).to_be_enabled()
    at_rest(page)
    button(page, "Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    says(page, rf"^{runs} runs?$")


@pytest.mark.thorough
def test_selected_runs_are_told_apart_and_compared(server, page):
    for count in (1, 2):
        page.goto(f"{server}/nice?epochs=1&points=300&hidden=8,8&couplings={count}")
        says(page, "Ready")
        button(page, "Train").click()
        says(page, "Finished")
    name = "NICE · Two moons · hidden layers 8 × 8, 2 couplings, 1 epoch"
    expect(page).to_have_title(f"{name} · Flow Lab")
    page.get_by_role("link", name="Runs").click()
    table = page.get_by_test_id("stDataFrame")
    resting_box(table)
    selected = button(page, "Compare selected")
    table.click(position=FIRST)
    at_rest(page)
    expect(selected).to_be_disabled()
    table.click(position={"x": FIRST["x"], "y": FIRST["y"] + 58})
    expect(selected).to_be_enabled()
    at_rest(page)
    selected.click()
    page.wait_for_url("**/compare?*models=none*")
    says(page, "2 finished runs")
    lines = page.locator("[class*='st-key-compare-run-']").all_inner_texts()
    assert len(lines) == 2 and all("NICE · hidden" in line for line in lines)


def test_the_list_of_runs_fits_a_projector(server, page):
    page.set_viewport_size({"width": 1280, "height": 720})
    page.goto(f"{server}/history")
    resting_box(page.get_by_test_id("stDataFrame"))
    buttons = page.locator(".st-key-runs-actions").get_by_role("button")
    assert buttons.count() >= 5
    assert len({round(each.bounding_box()["y"]) for each in buttons.all()}) == 1
    assert page.locator(".dvn-scroller").evaluate("box => box.scrollWidth - box.clientWidth") == 0


@pytest.mark.thorough
def test_a_cell_of_a_sweep_opens_its_run(server, page):
    page.goto(f"{server}/sweeps?model=nice&epochs=1&sweep=batch_size:100, 200;points:300")
    at_rest(page)
    button(page, "Start").click()
    says(page, "2 of 2 trained")
    at_rest(page)
    box = resting_box(page.locator(".st-key-sweeps-map img"))
    lower = (sweeps.TOP + 0.75 * sweeps.HEIGHT) / style.SWEEP_SIZE[1]
    left = (sweeps.LEFT + 0.5 * sweeps.WIDTH) / style.SWEEP_SIZE[0]
    page.mouse.click(box["x"] + left * box["width"], box["y"] + lower * box["height"])
    page.wait_for_url("**/nice?*run=*")
    assert "batch_size=200" in page.url
    says(page, "Finished")
    page.get_by_role("link", name="Sweeps").click()
    says(page, "2 of 2 trained")


@pytest.mark.parametrize("path", ["", "sweeps"])
def test_the_version_is_on_pages_with_and_without_controls(server, page, path):
    page.goto(f"{server}/{path}")
    version = page.get_by_test_id("stSidebar").get_by_role("button", name=f"Flow Lab {__version__}")
    expect(version).to_be_visible()


def test_the_diagnostics_of_a_server_name_nobody_and_nothing(server, page):
    page.goto(f"{server}/history?title=A%20lesson%20for%205b")
    button(page, f"Flow Lab {__version__}").click()
    name, content = download(page, "Diagnostics")
    assert name == f"flowlab-{__version__}-diagnostics.json"
    text = content.decode()
    facts = json.loads(text)
    assert facts["local_only"] and facts["engine"] == "local"
    assert facts["counters"]["sessions"] >= 1
    assert facts["log"] and facts["counters"]["events"]["lab started"] == 1
    for private in ("circles", "quickly", "lesson", "for 5b", "127.0.0.1", str(Path.home()) + "/",
                    str(ROOT)):
        assert private not in text, private
