"""The list of runs in a real browser: from a training to its entry, and back to its page."""

import json
import re
from pathlib import Path

import pytest
from browser_helpers import ROOT, SECONDS, button, says
from playwright.sync_api import expect

from flowlab import __version__

pytestmark = pytest.mark.browser


def test_a_training_is_listed_opened_renamed_and_deleted(server, page):
    page.goto(f"{server}/nice?epochs=2&points=300&data=circles&hidden=16,16")
    says(page, "Ready")
    button(page, "Train").click()
    says(page, "Finished Epoch 2 of 2")
    page.get_by_role("link", name="Runs").click()
    table = page.get_by_test_id("stDataFrame")
    says(page, r"^1 run$")
    box = table.bounding_box()
    opens = page.locator(".st-key-runs-open").get_by_role("button")
    expect(opens).to_be_disabled(timeout=SECONDS)
    table.click(position={"x": 16, "y": 36 + 29})  # the box at the left of the first row
    expect(opens).to_be_enabled(timeout=SECONDS)
    assert table.bounding_box() == box
    button(page, "Rename").click()
    page.get_by_role("textbox", name="Name").fill("two circles, quickly")
    button(page, "Save").click()
    expect(page.get_by_role("dialog")).to_be_hidden(timeout=SECONDS)
    page.wait_for_timeout(1000)  # a press while the page is drawn anew would ask for a file in vain
    expect(page.locator(".stApp")).to_have_attribute("data-test-script-state", "notRunning")
    with page.expect_download(timeout=SECONDS) as download:
        button(page, "Export").click()
    assert re.fullmatch(r"nice-\w{6}\.flowlab\.zip", download.value.suggested_filename)
    file = download.value.path()
    opens.click()
    says(page, "Finished Epoch 2 of 2")
    assert "run=" in page.url
    expect(button(page, "Continue")).to_be_enabled(timeout=SECONDS)

    page.get_by_role("link", name="Runs").click()
    says(page, r"^1 run$")
    button(page, "Import").click()
    page.locator("input[type=file]").set_input_files(
        {"name": "run.zip", "mimeType": "application/zip", "buffer": file.read_bytes()})
    says(page, "Imported: two circles, quickly")
    says(page, r"^2 runs$")
    table.click(position={"x": 16, "y": 36 + 29})
    expect(button(page, "Delete")).to_be_enabled(timeout=SECONDS)
    button(page, "Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    says(page, r"^1 run$")


@pytest.mark.parametrize("path", ["", "sweeps"])
def test_the_version_is_on_pages_with_and_without_controls(server, page, path):
    page.goto(f"{server}/{path}")
    version = page.get_by_test_id("stSidebar").get_by_role("button", name=f"Flow Lab {__version__}")
    expect(version).to_be_visible(timeout=SECONDS)


def test_the_diagnostics_of_a_server_name_nobody_and_nothing(server, page):
    page.goto(f"{server}/history?title=A%20lesson%20for%205b")
    button(page, f"Flow Lab {__version__}").click()
    with page.expect_download(timeout=SECONDS) as download:
        button(page, "Diagnostics").click()
    assert download.value.suggested_filename == f"flowlab-{__version__}-diagnostics.json"
    text = download.value.path().read_text()
    facts = json.loads(text)
    assert facts["local_only"] and facts["engine"] == "local"
    assert facts["counters"]["sessions"] >= 1
    assert facts["log"][0]["event"] == "lab started"
    for private in ("circles", "quickly", "lesson", "for 5b", "127.0.0.1", str(Path.home()) + "/",
                    str(ROOT)):
        assert private not in text, private
