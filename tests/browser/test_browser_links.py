"""Links, experiments and files in a real browser."""

import csv
import io
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from urllib.parse import parse_qsl

import pytest
from browser_helpers import ROOT, at_rest, button, download, open_downloads, picture, says
from PIL import Image
from playwright.sync_api import expect

from flowlab import Flow
from models import RECIPES

pytestmark = pytest.mark.browser

SETTINGS = "epochs=3&points=300&hidden=8,8&data=circles&seed=4"


@pytest.mark.thorough
def test_a_run_is_taken_away_and_each_file_is_what_it_says(server, page, tmp_path):
    page.goto(f"{server}/realnvp?{SETTINGS}")
    says(page, "Ready")
    open_downloads(page)
    expect(button(page, "PNG")).to_be_disabled()
    button(page, "Train").click()
    says(page, "Finished")
    open_downloads(page)
    expect(button(page, "GIF")).to_be_enabled()

    name, content = download(page, "PNG")
    assert re.fullmatch(r"realnvp-circles-[0-9a-z]+-seed4-picture\.png", name)
    assert Image.open(io.BytesIO(content)).size == (1600, 960)
    name, content = download(page, "SVG")
    assert name.endswith(".svg") and ElementTree.fromstring(content).tag.endswith("}svg")
    name, content = download(page, "GIF")
    film = Image.open(io.BytesIO(content))
    assert name.endswith("-training.gif") and film.format == "GIF" and film.n_frames >= 2
    name, content = download(page, "CSV")
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    assert name.endswith("-metrics.csv") and [row["epoch"] for row in rows] == ["1", "2", "3"]
    name, content = download(page, "Weights")
    weights = tmp_path / name
    weights.write_bytes(content)
    taken = Flow.load(weights)
    assert type(taken) is RECIPES["realnvp"].model and taken.settings.hidden == (8, 8)
    name, content = download(page, "HTML")
    (tmp_path / name).write_bytes(content)
    flow_page = page.context.browser.new_page()
    flow_page.goto((tmp_path / name).as_uri())
    expect(flow_page.get_by_role("slider", name="Training")).to_be_visible()
    expect(flow_page.get_by_text("Trained for 3 epochs, with seed 4.")).to_be_visible()
    flow_page.close()
    name, content = download(page, "JSON")
    run = RECIPES["realnvp"].Run.model_validate(json.loads(content))
    assert run.texts() == dict(parse_qsl(SETTINGS))

    script = page.locator("pre", has_text="from_flat").inner_text()
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, text=True,
                          capture_output=True, env={"PYTHONPATH": str(ROOT), "PATH": ""})
    told = re.findall(r"train (\S+) nats, test (\S+) nats", done.stdout)
    for row, (train, test) in zip(rows, told, strict=True):
        assert float(row["train_nll_nats"]) == pytest.approx(float(train), rel=1e-5)
        assert float(row["test_nll_nats"]) == pytest.approx(float(test), rel=1e-5)
    saved, = set(tmp_path.glob("*.safetensors")) - {weights}
    again = Flow.load(saved)
    for key, value in again.state_dict().items():
        assert value.equal(taken.state_dict()[key])


@pytest.mark.thorough
def test_an_experiment_of_another_model_opens_its_page(server, page):
    page.goto(f"{server}/nice")
    says(page, "ready-trained")
    at_rest(page)
    page.get_by_role("combobox", name="Experiments").click()
    page.get_by_role("option", name="RealNVP: Why masks alternate").click()
    expect(page.get_by_role("heading", name="RealNVP")).to_be_visible()
    page.wait_for_url("**/realnvp?*preset=masks*")
    says(page, "all 8 couplings change the same half")
    says(page, "before its first step")


def test_a_page_opens_with_a_trained_flow_and_goes_on_from_it(server, page):
    page.goto(f"{server}/realnvp?epochs=1&points=300")
    says(page, "ready-trained")
    expect(picture(page)).to_be_visible()
    shown = page.get_by_test_id("stMetricValue").first.inner_text()
    assert float(shown.split()[0]) < 0.1
    at_rest(page)
    button(page, "Continue from epoch 40").click()
    says(page, "Finished Epoch 41 of 41")
    assert float(page.get_by_test_id("stMetricValue").first.inner_text().split()[0]) < 0.5
    open_downloads(page)
    says(page, "continued a trained flow")
