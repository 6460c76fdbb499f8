"""Exploring on the pages, by Streamlit's own test harness."""

import math
import re
import time

import numpy as np
import pytest
from helpers import TRAINED, small
from limited import limited
from pages_helpers import page, run, state, status, until

from flowlab.bijections.coupling import VectorCoupling
from flowlab.bijections.equations import LOG_DET
from flowlab.ui.app.lab import lab
from flowlab.ui.controls.state import NEWEST
from flowlab.ui.model import inside
from flowlab.ui.model.picture import WAITING
from models import RECIPES

SMALL = {"epochs": "12", "points": "400", "hidden": "8,8", "batch_size": "32"}


pytestmark = pytest.mark.usefixtures("workers_end")


def trained(name="realnvp"):
    texts = RECIPES[name].Run.from_flat(small(name)).texts()
    app = run(page(name, **texts | SMALL))
    app.button(key=f"{name}.train").click()
    run(app)
    until(app, "Finished")
    return app


def values(app):
    return {m.label: m.value for m in app.metric}


def moment(app):
    return next(s for s in app.select_slider if s.label == "Moment of the training")


def epoch(app):
    return next(m.value for m in app.markdown if m.value.startswith("epoch **"))


def test_scrubbing_shows_an_earlier_moment_and_its_numbers():
    app = trained()
    assert epoch(app) == "epoch **12** of 12"
    newest = values(app)
    frames = lab().frames(lab().find(state(app, "realnvp").run))
    assert len(moment(app).options) == len(frames) and moment(app).options[-1] == "newest"
    assert all(re.fullmatch(r"epoch \d+(, batch \d+)?", name) for name in moment(app).options[:-1])
    moment(app).set_value(frames[0].moment.step)
    run(app)
    first = lab().frames(lab().find(state(app, "realnvp").run))[0]
    assert epoch(app) == f"epoch **{first.moment.epoch}** of 12"
    assert values(app)["Test NLL"] == f"{first.moment.test_nll:.3f} nats"
    assert values(app)["Test NLL"] != newest["Test NLL"] and "Finished" in status(app)
    moment(app).set_value(NEWEST)
    run(app)
    assert values(app) == newest


def test_replay_starts_again_and_holds():
    app = trained()
    app.button(key="realnvp.replay").click()
    run(app)
    assert state(app, "realnvp").playback.what == "training"
    assert state(app, "realnvp").playback.share < 50
    app.button(key="realnvp.replay").click()
    run(app)
    assert not state(app, "realnvp").playback.what


@pytest.mark.parametrize(("name", "query"), [
    *((name, {}) for name in TRAINED),
    ("glow", {**RECIPES["glow"].pretrained["digits"], "classes": "10"})])
def test_the_moments_of_a_shipped_flow_are_there_before_any_training(name, query):
    app = run(page(name, **{key: str(value) for key, value in query.items()}))
    assert "ready-trained" in " ".join(m.value for m in app.markdown)
    picture = next(i.proto.imgs[0] for i in app.get("image"))
    assert picture.url.startswith(f"/app/static/{name}/")
    assert not moment(app).disabled and len(moment(app).options) >= 4
    assert not app.button(key=f"{name}.replay").disabled
    moment(app).set_value(30)
    run(app)
    assert any(m.value.startswith("epoch **") for m in app.markdown)
    for _ in range(100):
        picture = next(i.proto.imgs[0] for i in app.get("image"))
        if picture.alt != WAITING:
            break
        time.sleep(0.1)
        run(app)
    assert picture.url.startswith("data:image/png") and picture.alt != WAITING


@pytest.mark.quick("realnvp")
@pytest.mark.parametrize("name", TRAINED)
def test_the_inside_of_a_shipped_flow_with_numbers_that_add_up(name):
    app = run(page(name))
    app.segmented_control(key=f"{name}.view").set_value("Through the flow")
    run(app)
    flow = RECIPES[name].model.load(f"{name}/images/start.safetensors")
    place = app.slider(key=f"{name}.place.{len(flow.layers)}")
    assert place.max == len(flow.layers)
    app.number_input(key=f"{name}.x1.moons").set_value(0.5)
    app.number_input(key=f"{name}.x2.moons").set_value(-0.4)
    place.set_value(1)
    run(app)
    table = app.dataframe[0].value
    seen = inside.look(flow, (0.5, -0.4))
    assert np.allclose(table["point"], seen.log_dets)
    assert table["sum so far"].iloc[-1] == pytest.approx(seen.log_det)
    text = f"{seen.log_prob:+.3f}".replace("-", "\N{MINUS SIGN}")
    layer, sum_up = (latex.value for latex in app.latex[1:])  # below those of the page's head
    assert f"{{{text}}}" in sum_up and "J" not in sum_up
    assert sum_up.count(LOG_DET) == layer.count(LOG_DET) == 1
    assert any(m.value.startswith(f"**Layer 1 of {len(flow.layers)}") for m in app.markdown)
    curves = ["against the one before" in image.proto.imgs[0].alt for image in app.get("image")]
    assert sum(curves) == isinstance(flow.layers[0], VectorCoupling)


@pytest.mark.parametrize("name", RECIPES)
def test_the_equations_of_a_page_are_named_and_of_one_sign(name):
    head = run(page(name)).latex[0].value
    assert head.count(r"\text{forward}") == head.count(r"\text{inverse}") == 1
    assert head.index("forward") < head.index("inverse") < head.index(LOG_DET)


@pytest.mark.parametrize(("value", "text"), [
    (-0.841, "{−0.841}"), (0.25, "{+0.250}"), (-12345.6, r"{−1.23 \cdot 10^{4}}"),
    (math.inf, "{+inf}")])
def test_a_number_in_an_equation_is_no_sum(value, text):
    assert inside._number(value) == text


def test_a_point_walks_back_from_the_data_and_play_turns_round():
    app = run(page("realnvp", data="spiral", couplings="2", hidden="8"))
    app.segmented_control(key="realnvp.view").set_value("Through the flow")
    run(app)
    app.button(key="realnvp.layerback").click()
    run(app)
    playback = state(app, "realnvp").playback
    assert playback.what == "flow" and playback.back and playback.way == 3
    for _ in range(300):
        if playback.way < 3:
            break
        time.sleep(0.1)
        run(app)
    way = playback.way
    assert 0 < way < 3
    app.button(key="realnvp.layerplay").click()
    run(app)
    assert playback.what == "flow" and not playback.back and playback.way <= way


def test_a_fresh_flow_and_a_point_too_far_out():
    app = run(page("realnvp", data="spiral", couplings="2"))
    app.segmented_control(key="realnvp.view").set_value("Through the flow")
    run(app)
    assert moment(app).disabled and app.button(key="realnvp.replay").disabled
    assert any("untrained" in m.value for m in app.markdown)
    app.number_input(key="realnvp.x1.spiral").set_value(9e5)
    run(app)


def test_a_fresh_flow_that_is_larger_than_allowed_is_not_built(monkeypatch):
    app = run(page("realnvp", hidden="8", couplings="2"))
    app.segmented_control(key="realnvp.view").set_value("Through the flow")
    run(app)
    app.button(key="realnvp.layerplay").click()
    run(app)
    assert state(app, "realnvp").playback.what == "flow" and not app.error
    app.slider(key="realnvp.couplings").set_value(3)
    monkeypatch.setattr(inside, "flow_of", None)
    with limited(max_parameters=100):
        run(app)
        assert "parameters, and the limit of this server is 100" in app.error[0].value
        assert app.segmented_control(key="realnvp.view").options == ["Training"]
        assert not state(app, "realnvp").playback.what
    app.slider(key="realnvp.couplings").set_value(2)
    run(app)
    assert not app.error


def test_layers_and_an_early_moment_of_a_training_under_way():
    app = run(page("nice", epochs="9000", points="400", hidden="8,8", couplings="2"))
    app.button(key="nice.train").click()
    run(app)
    until(app, "Epoch")
    app.pills(key="nice.layers").set_value(["samples", "error", "grid"])
    run(app)
    followed = lab().find(state(app, "nice").run)
    until(app, "Training")
    for _ in range(200):
        run(app)
        if lab().last(followed).overlays == ("error", "grid", "samples"):
            break
    run(app)  # that frame may have come after the page was drawn
    assert lab().last(followed).overlays == ("error", "grid", "samples")
    assert moment(app).value == NEWEST  # though there are more moments by now
    first = lab().frames(followed)[0].moment.step
    moment(app).set_value(first)
    for _ in range(3):
        run(app)
        assert moment(app).value == state(app, "nice").shown.step == first
    app.button(key="nice.stop").click()
    run(app)
    until(app, "Stopped")
