"""The pages, driven by Streamlit's own test harness: what can be seen without a clock."""

import gc
import time
import weakref

import pytest
from helpers import TRAINED
from pages_helpers import SMALL, go, page, run, state, status, until

from flowlab.settings import RunSettings
from flowlab.ui.app import lab as lab_module
from flowlab.ui.app.lab import lab
from flowlab.ui.app.state import KEY
from flowlab.ui.controls import settings as controls
from flowlab.ui.controls import validation
from flowlab.ui.model.view import View
from models import RECIPES

pytestmark = pytest.mark.usefixtures("workers_end")


@pytest.mark.parametrize("name", RECIPES)
def test_every_page_opens_with_all_controls(name):
    app = run(page(name))
    assert "Ready" in status(app) and not app.error
    shown = {w.label: w.help for kind in (app.slider, app.number_input, app.selectbox,
                                          app.select_slider, app.toggle) for w in kind}
    fields = [f for n, f in RECIPES[name].Run.fields().items()
              if n not in (*validation.HIDDEN, "data", "hidden", *controls.AMOUNTS)]
    for field in fields:
        assert shown[field.title].startswith(field.description[:20]), field.title
    assert {"Hidden layers", "Width", "Learning rate now"} <= set(shown)
    assert {b.label for b in app.button} >= {"Train", "Step", "Stop", "Two moons"}
    assert ("Continue from epoch 40" in {b.label for b in app.button}) == (name in TRAINED)


def test_a_training_is_for_epochs_steps_or_seconds():
    app = run(page("nice", **{**SMALL, "epochs": "1", "points": "500", "batch_size": "100",
                               "optimiser_steps": "7"}))
    assert app.button_group(key="nice.budget").value == "steps"
    assert app.number_input(key="nice.optimiser_steps").value == 7
    app.button(key="nice.train").click()
    run(app)
    until(app, "Finished")
    moment = lab().last(lab().find(state(app, "nice").run)).moment
    assert moment.step == 7
    last = 7 - (moment.epoch - 1) * moment.batches
    assert 0 < last < moment.batches
    assert f"which ended after {last} of {moment.batches} batches" in status(app)
    app.button_group(key="nice.budget").set_value("seconds")
    run(app)
    assert not app.error and app.number_input(key="nice.seconds").value == 10
    assert app.query_params["seconds"] == "10.0" and "optimiser_steps" not in app.query_params
    assert "7 steps" in status(app) and "10 seconds" in status(app)


def test_reset_restores_the_defaults_but_for_what_a_link_locks():
    app = run(page("realnvp", couplings="4", epochs="7", lock="training"))
    dots = " ".join(style.proto.body for style in app.get("html"))
    assert "realnvp-couplings label" in dots and "group-Training summary" in dots
    assert "realnvp-masks label" not in dots
    app.button(key="realnvp.reset").click()
    run(app)
    assert app.query_params == {"epochs": "7", "lock": "training"}
    assert app.slider(key="realnvp.couplings").value == RECIPES["realnvp"].Run().flow.couplings
    dots = " ".join(style.proto.body for style in app.get("html"))
    assert "realnvp-couplings label" not in dots and "realnvp-epochs label" in dots


@pytest.mark.parametrize("name", RECIPES)
def test_trains_to_the_end(name):
    app = run(page(name, **SMALL))
    app.button(key=f"{name}.train").click()
    run(app)
    line = until(app, "Finished")
    assert "Epoch **2** of 2" in line
    values = {m.label: m.value for m in app.metric}
    assert values["KL to the truth"].endswith("nats") and values["Time left"] == "0 s"
    assert app.query_params["run"] == state(app, name).run
    assert not app.button(key=f"{name}.train").disabled


def test_pause_step_resume_rate_and_stop():
    app = run(page("realnvp", **{**SMALL, "epochs": "9000"}))
    app.button(key="realnvp.train").click()
    run(app)
    until(app, "Epoch")
    app.button(key="realnvp.pause").click()
    run(app)
    until(app, "Paused")
    assert app.button(key="realnvp.pause").label == "Resume"
    followed = lab().find(state(app, "realnvp").run)
    before = len(lab().frames(followed))
    app.button(key="realnvp.step").click()
    run(app)
    until(app, "Paused")
    app.select_slider(key="realnvp.rate").set_value(1e-4)
    run(app)
    app.button(key="realnvp.pause").click()
    run(app)
    until(app, "Training")
    deadline = time.monotonic() + 60
    while (lab().last(followed).moment.learning_rate > 1e-4
           or len(lab().frames(followed)) == before):
        assert time.monotonic() < deadline
        time.sleep(0.1)
        run(app)
    app.button(key="realnvp.stop").click()
    run(app)
    until(app, "Stopped")
    assert lab().last(followed).has_weights


def trained(monkeypatch):
    """A page whose run has left the lab's memory since it was shown, its view, and a frame."""
    app = run(page("nice", **SMALL))
    app.button(key="nice.train").click()
    run(app)
    until(app, "Finished")
    followed = lab().find(state(app, "nice").run)
    view = View(state(app, "nice"), followed.settings, followed)
    frame = weakref.ref(view.frames()[0])
    assert lab().recorder.done(followed.id, 60)
    monkeypatch.setattr(lab_module, "KEPT", 1)
    for _ in range(2):
        other = lab().submit(RECIPES["nice"].train, followed.settings, "light", "another")
        assert lab().recorder.done(other, 60)
    assert not lab().recorder.frames(followed.id)
    return app, view, frame


def test_a_run_that_has_left_memory_is_still_what_its_page_shows(monkeypatch):
    _, view, _ = trained(monkeypatch)
    assert view.status().state == "finished" and not view.steered
    assert view.frames()[-1].moment.epoch == 2 and view.origin()
    lab().control(view.run, "stop")  # it is over: nothing happens


def test_frames_that_have_left_memory_are_held_by_no_page(monkeypatch):
    _, _, frame = trained(monkeypatch)
    gc.collect()
    assert frame() is None


@pytest.mark.quick("realnvp")
@pytest.mark.parametrize("name", TRAINED)
def test_a_flow_trained_before_is_shown_and_trained_on(name):
    app = run(page(name))
    shown = {m.label: m.value for m in app.metric}
    assert "ready-trained" in status(app) and shown["KL to the truth"].endswith("nats")
    assert app.session_state[KEY].picture[0] == name
    assert not app.session_state[KEY].drawing  # the picture is there: nothing has to be drawn
    for query in ({"data": "circles"}, {"hidden": "8"}, {"activation": "elu"}):
        other = run(page(name, **query))
        assert "before its first step" in status(other)
        assert other.button(key=f"{name}.pause").disabled
    app.number_input(key=f"{name}.epochs").set_value(1)
    app.number_input(key=f"{name}.points").set_value(200)
    run(app)
    app.button(key=f"{name}.pause").click()
    run(app)
    until(app, "Finished")
    first = lab().find(state(app, name).run)
    assert first.continued
    assert lab().frames(first)[0].moment.kl < 0.5  # a fresh flow's is above 0.8
    app.button(key=f"{name}.pause").click()
    run(app)
    until(app, "Finished")
    second = lab().find(state(app, name).run)
    assert second.id != first.id and second.continued


def test_an_untrained_flow_has_the_numbers_that_its_training_begins_with():
    app = run(page("nice", **SMALL | {"data": "circles"}))
    for _ in range(600):
        shown = {m.label: m.value for m in app.metric}
        if shown["Test NLL"] != "–":
            break
        time.sleep(0.1)
        run(app)
    assert shown["Speed"] == shown["Time left"] == "–"
    app.button(key="nice.train").click()
    run(app)
    until(app, "Finished")
    begun = lab().frames(lab().find(state(app, "nice").run))[0].moment
    assert shown["Test NLL"] == f"{begun.start_test_nll:.3f} nats"
    assert shown["Train NLL"] == f"{begun.start_train_nll:.3f} nats"


def test_step_on_a_fresh_page_trains_one_batch():
    app = run(page("nice", **SMALL))
    app.button(key="nice.step").click()
    run(app)
    line = until(app, "Paused")
    assert "Epoch **1** of 2, batch 0 of 1" in line
    app.button(key="nice.stop").click()
    run(app)
    until(app, "Stopped")


def test_another_page_and_back_and_a_reload_find_the_run():
    app = run(page("glow", **{**SMALL, "epochs": "9000"}))
    app.button(key="glow.train").click()
    run(app)
    until(app, "Epoch")
    run_id = state(app, "glow").run
    run(go(app, "nice"))
    assert "Ready" in status(app)
    run(go(app, "glow"))
    assert "Ready" not in status(app) and state(app, "glow").run == run_id
    assert app.number_input(key="glow.epochs").value == 9000
    reloaded = run(page("glow", run=run_id))
    assert "Ready" not in status(reloaded)
    assert reloaded.number_input(key="glow.epochs").value == 9000
    reloaded.button(key="glow.stop").click()
    run(reloaded)
    until(reloaded, "Stopped")


def test_a_run_that_is_gone_gets_one_sentence():
    app = run(page("nice", run="0123456789abcdef", data="circles"))
    assert "no longer on this server" in app.error[0].value
    assert app.session_state["nice.data"] == "circles"


@pytest.mark.parametrize(("query", "words"), [
    ({"epochs": "0"}, "epochs"), ({"epochs": "many"}, "epochs"), ({"couplings": "999"}, "coupl"),
    ({"data": "moonz"}, "moonz"), ({"noise": "9"}, "noise"), ({"learning_rate": "nan"}, "learning"),
    ({"hidden": "64,32"}, "one width"), ({"hidden": "a"}, "hidden"), ({"wings": "2"}, "wings"),
    ({"classes": "3"}, "classes"), ({"data": "<script>alert(1)</script>"}, "script"),
])
def test_a_url_out_of_range_gets_one_sentence_and_the_default(query, words):
    app = run(page("realnvp", **query, seed="5"))
    assert len(app.error) == 1 and words in app.error[0].value
    assert "\n" not in app.error[0].value
    default = RECIPES["realnvp"].Run()
    assert app.number_input(key="realnvp.epochs").value == default.training.epochs
    assert app.number_input(key="realnvp.seed").value == 5


def test_changing_a_control_changes_the_url_and_the_url_the_control():
    app = run(page("realnvp"))
    assert dict(app.query_params) == {}
    app.slider(key="realnvp.couplings").set_value(3)
    app.button(key="realnvp.choose.spiral").click()
    run(app)
    assert app.query_params == {"couplings": "3", "data": "spiral"}
    again = run(page("realnvp", couplings="3", data="spiral", hidden="128,128,128", noise="0.2"))
    assert again.slider(key="realnvp.couplings").value == 3
    assert again.slider(key="realnvp.depth").value == 3
    assert again.slider(key="realnvp.noise.spiral").value == pytest.approx(0.2)


def test_noise_that_the_distribution_has_not_is_disabled():
    app = run(page("nice", data="funnel"))
    assert app.slider(key="nice.nonoise").disabled and not app.error


@pytest.mark.parametrize("name", RECIPES)
def test_settings_and_their_texts_are_one(name):
    recipe = RECIPES[name]
    settings: RunSettings = recipe.Run.from_flat(
        {"data": "rings", "noise": 0.25, "hidden": (16, 16), "learning_rate": 2e-4, "seed": 11})
    again, complaints = validation.read(recipe.Run, settings.texts())
    assert again == settings and complaints == []


def test_steps_hold_the_value_itself():
    assert 0.0042 in controls.steps(1e-6, 1.0, 0.0042)
    assert controls.steps(0.1, 10, 1.0) == [0.1, 0.2, 0.3, 0.5, 1, 2, 3, 5, 10]
