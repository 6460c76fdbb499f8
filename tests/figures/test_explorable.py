"""Flows as web pages: their size, what they contain, and the command that writes them."""

import json
import re

import pytest
import torch
from helpers import FLOWS, make_flow, shake

from flowlab.commands.explorable import main
from flowlab.flow import Flow
from flowlab.web import page
from models import MODELS

CONTENT = re.compile(r'<script id="content" type="application/json">(.*?)</script>', re.S)
HOSTILE = '</title></script><script>alert(1)</script><img src="x" onerror="alert(2)"> $flow & more'


def content_of(text: str) -> dict:
    return json.loads(CONTENT.search(text)[1])


@pytest.mark.quick("spline")
@pytest.mark.parametrize("name", MODELS)
def test_a_default_flow_takes_at_most_half_a_megabyte_and_its_training_three(name):
    flow = MODELS[name](event_shape=(2,))
    assert len(page(flow).encode()) <= 500_000
    moments = [(f"epoch {n}", flow) for n in range(100)]
    text = page(flow, moments=moments)
    assert len(text.encode()) < 3_000_000
    found = content_of(text)["moments"]
    assert len(found) > 5 and found[0]["label"] == "epoch 0" and found[-1]["label"] == "trained"


@pytest.mark.parametrize("name", FLOWS)
def test_every_layer_of_the_plane_is_written(name):
    flow = shake(make_flow(name))
    content = content_of(page(flow))
    assert len(content["layers"]) == len(flow.layers)
    left, bottom, side = content["box"]
    x = flow.eval().sample(2000)
    inside = (x > torch.tensor([left, bottom])) & (x < torch.tensor([left + side, bottom + side]))
    assert inside.all(1).float().mean() > 0.9


def test_a_page_is_for_flows_of_the_plane():
    flow = MODELS["realnvp"](event_shape=(3,), couplings=2)
    with pytest.raises(ValueError, match=r"flows of the plane, .* this one has \(3,\)"):
        page(flow)
    with pytest.raises(ValueError, match="flows of the plane"):
        page(MODELS["realnvp"](), moments=[("epoch 1", flow)])


def test_titles_are_text_and_nothing_is_loaded():
    text = page(make_flow("nice"), title=HOSTILE, text=HOSTILE)
    assert "<script>alert" not in text and "<img" not in text
    assert "default-src 'none'" in text
    assert not re.search(r"https?://|@import|url\(", text)


def test_the_command_writes_the_page(tmp_path, capsys):
    path = tmp_path / "moons.safetensors"
    make_flow("glow").save(path)
    assert main([str(path), "--title", "Moons"]) == 0
    assert "<h1>Moons</h1>" in (tmp_path / "moons.html").read_text()
    assert "moons.html" in capsys.readouterr().out
    assert main([str(path), "-o", str(path)]) == 2  # the flow is not overwritten
    assert isinstance(Flow.load(path), Flow)
    path.write_bytes(b"no flow")
    assert main([str(path), "-o", str(tmp_path / "other.html")]) == 2
    assert not (tmp_path / "other.html").exists()


