"""Images on the models' pages, by Streamlit's own test harness."""

import gzip
import io
import zipfile

import numpy as np
import pytest
from helpers import ON_IMAGES, small
from pages_helpers import page, run, state, status, until
from PIL import Image

from flowlab.data import image_set, openml, store
from flowlab.data.images import OPENML
from flowlab.live import export
from flowlab.ui import runs
from flowlab.ui.app.lab import lab
from flowlab.ui.controls import validation
from flowlab.ui.model import images, metrics
from models import RECIPES

TINY = {"data": "digits", "epochs": "2", "batch_size": "512", "classes": "10"}
SMALL = {name: RECIPES[name].Run.from_flat(small(name, image=True)).texts() for name in ON_IMAGES}


pytestmark = pytest.mark.usefixtures("workers_end")


def trained(name, **more):
    app = run(page(name, **TINY, **SMALL[name], **more))
    app.button(key=f"{name}.train").click()
    run(app)
    until(app, "Finished")
    return app


def labels(app):
    return {w.label for kind in (app.slider, app.number_input, app.selectbox, app.select_slider,
                                 app.toggle) for w in kind}


def captions(app):
    return " ".join(c.value for c in app.caption)


@pytest.mark.quick("glow")
@pytest.mark.parametrize("name", ON_IMAGES)
def test_trains_on_digits_and_explores_them(name):
    app = trained(name)
    values = {m.label: m.value for m in app.metric}
    assert values["Test bits/dim"].endswith("bits") and "KL to the truth" not in values
    assert 1 < float(values["Test bits/dim"].split()[0]) < 10 and not app.error
    followed = lab().find(state(app, name).run)
    newest = lab().last(followed)
    assert newest.png[:4] == b"\x89PNG" and newest.has_weights
    assert "Overlays of the picture" not in {p.label for p in app.pills}
    for view, words in ((images.SAMPLES, "memorised"), (images.BETWEEN, "latent space"),
                        (images.SCALES, "scale"), (images.LIKELIHOOD, "does not prove")):
        app.segmented_control(key=f"{name}.view").set_value(view)
        run(app)
        assert words in captions(app)
    assert export.png(followed.settings, newest, [])[:4] == b"\x89PNG"
    assert b"<svg" in export.svg(followed.settings, newest, [])[:2000]
    assert lab().recorder.done(followed.id, 60)
    assert runs._thumbnail(followed.id, 1, "digits").startswith("data:image/jpeg")
    app.segmented_control(key=f"{name}.view").set_value("Training")
    app.button(key=f"{name}.pause").click()  # Continue
    run(app)
    until(app, "Finished")
    again = lab().find(state(app, name).run)
    assert again.id != followed.id and again.continued


def test_the_code_that_loads_a_flow_with_classes_runs(tmp_path, monkeypatch, capsys):
    recipe = RECIPES["glow"]
    settings = recipe.Run.from_texts({**TINY, **SMALL["glow"]})
    validation.check(settings)
    from flowlab.training.recipe import build
    made = build(recipe.model, settings)
    monkeypatch.chdir(tmp_path)
    made.save(export.file_name(settings, "weights.safetensors"))
    exec(compile(export.loading(recipe, settings), "loading", "exec"), {})
    assert "tensor" in capsys.readouterr().out


def test_temperature_class_and_way_change_the_picture():
    app = trained("glow")
    app.segmented_control(key="glow.view").set_value(images.SAMPLES)
    run(app)
    assert {"Temperature", "Class"} <= labels(app)
    assert app.slider(key="glow.img.temperature").value == 0.7
    assert "At temperature 0.70 the three nearest training images agree" in captions(app)
    app.slider(key="glow.img.temperature").set_value(0.5)
    run(app)
    assert "At temperature 0.50 the three" in captions(app)
    app.selectbox(key="glow.img.class").set_value("7")
    app.button(key="glow.newlatents").click()
    run(app)
    assert app.session_state["glow.img.latents"] == 1
    app.segmented_control(key="glow.view").set_value(images.BETWEEN)
    run(app)
    app.number_input(key="glow.img.second").set_value(9)
    app.slider(key="glow.img.way").set_value(0.25)
    run(app)
    app.segmented_control(key="glow.view").set_value(images.SCALES)
    run(app)
    app.segmented_control(key="glow.img.scale").set_value(1)
    app.button(key="glow.drawagain").click()
    run(app)
    assert not app.error and not app.exception


@pytest.mark.parametrize("name", ON_IMAGES)
def test_choosing_images_brings_their_settings_and_points_bring_theirs_back(name):
    app = run(page(name))
    plain, epochs = labels(app), app.number_input(key=f"{name}.epochs").value
    app.button(key=f"{name}.choose.digits").click()
    run(app)
    own = RECIPES[name].images
    assert app.number_input(key=f"{name}.epochs").value == own["epochs"]
    assert {"Learn each class"} <= labels(app) and app.query_params["classes"] == "10"
    gone = {"Noise", "Points", "Objective", "Test share"}
    assert gone <= plain and not gone & labels(app)
    assert ("Width" in labels(app)) == (name == "nice")
    assert ("Levels" in labels(app)) == (name != "nice")
    ready = "digits" in RECIPES[name].pretrained
    assert ("ready-trained" if ready else "before its first step") in status(app)
    app.toggle(key=f"{name}.conditional").set_value(False)
    run(app)
    assert "classes" not in app.query_params
    app.button(key=f"{name}.choose.circles").click()
    run(app)
    assert labels(app) == plain and app.number_input(key=f"{name}.epochs").value == epochs
    assert app.query_params == {"data": "circles"}


@pytest.mark.parametrize(("query", "words"), [
    ({"classes": "3"}, "Digits have 10"), ({"levels": "6"}, "fewer levels"),
    ({"points": "50"}, "points"), ({"noise": "0.1"}, "noise"),
    ({"grey_levels": "4"}, "grey_levels"),
])
def test_a_url_that_does_not_fit_images_gets_one_sentence(query, words):
    app = run(page("glow", data="digits", **query))
    assert len(app.error) == 1 and words in app.error[0].value
    assert app.session_state["glow.data"] == "digits"


def test_images_that_cannot_be_had_are_told_of_and_change_nothing(monkeypatch, tmp_path):
    def refuse(name, title):
        raise ValueError(f"{title} is not on this machine.")

    monkeypatch.setenv(openml.VARIABLE, str(tmp_path))
    monkeypatch.setattr(openml, "fetch", refuse)
    app = run(page("nice"))
    app.button(key="nice.choose.mnist").click()
    run(app)
    assert "MNIST is not on this machine." in app.warning[0].value
    assert app.session_state["nice.data"] == "moons"
    app.button(key="nice.choose.circles").click()
    run(app)
    assert not app.warning


def test_own_images_are_read_looked_at_and_trained_on():
    file, random = io.BytesIO(), np.random.default_rng(0)
    with zipfile.ZipFile(file, "w") as archive:
        for i in range(25):
            picture = io.BytesIO()
            Image.fromarray(random.integers(0, 255, (20, 20), np.uint8)).save(picture, "png")
            archive.writestr(f"{i}.png", picture.getvalue())
    app = run(page("glow", epochs="1", **SMALL["glow"]))
    app.button(key="glow.own").click()
    run(app)
    app.segmented_control(key="own.way").set_value("file")
    run(app)
    app.file_uploader(key="own.file").set_value([("a.zip", file.getvalue(), "application/zip")])
    run(app)
    app.slider(key="own.side.zip").set_value(8)
    run(app)
    assert "25 images of 8 × 8 pixels" in captions(app) and "25 pictures" in captions(app)
    app.button(key="own.use").click()
    run(app)
    name = app.session_state["glow.data"]
    assert app.query_params["data"] == name and store.load(name).shape == (25, 8, 8)
    assert "Learn each class" not in labels(app) and not app.error
    app.slider(key="glow.steps").set_value(1)
    app.number_input(key="glow.epochs").set_value(1)
    run(app)
    app.button(key="glow.train").click()
    run(app)
    until(app, "Finished")
    app.segmented_control(key="glow.view").set_value(images.BETWEEN)
    run(app)
    assert app.number_input(key="glow.img.second").max == 4
    assert runs._title(name) == "a.zip" and runs._title("mnist") == "MNIST"


def test_idx_files_with_labels_are_learned_by_class():
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (30, 8, 8), np.uint8)
    head = bytes((0, 0, 8, 3, 0, 0, 0, 30, 0, 0, 0, 8, 0, 0, 0, 8))
    labels_file = bytes((0, 0, 8, 1, 0, 0, 0, 30)) + bytes(i % 3 for i in range(30))
    app = run(page("glow", epochs="1", **SMALL["glow"]))
    app.button(key="glow.own").click()
    run(app)
    app.segmented_control(key="own.way").set_value("file")
    run(app)
    app.file_uploader(key="own.file").set_value(
        [("train-images-idx3-ubyte.gz", gzip.compress(head + pixels.tobytes()), "")])
    run(app)
    assert app.slider(key="own.side.idx").value == 8
    app.file_uploader(key="own.labels").set_value([("labels", labels_file[:-1], "")])
    run(app)
    assert "damaged" in app.error[0].value
    app.file_uploader(key="own.labels").set_value(
        [("train-labels-idx1-ubyte.gz", gzip.compress(labels_file), "")])
    run(app)
    assert "3 classes" in captions(app) and not app.error
    app.button(key="own.use").click()
    run(app)
    assert "Learn each class" in labels(app) and app.query_params["classes"] == "3"


def test_a_file_of_another_kind_gets_one_sentence():
    app = run(page("glow"))
    app.button(key="glow.own").click()
    run(app)
    app.segmented_control(key="own.way").set_value("file")
    run(app)
    app.file_uploader(key="own.file").set_value([("a.docx", b"PK", "")])
    run(app)
    assert "a.docx has a type that is not supported" in app.error[0].value


def test_what_a_flow_thinks_of_fashion_beside_digits(tmp_path, monkeypatch):
    monkeypatch.setenv(openml.VARIABLE, str(tmp_path))
    random = np.random.default_rng(0)
    for name in OPENML.values():
        np.savez(tmp_path / name, pixels=random.integers(0, 256, (70, 28, 28), np.uint8),
                 labels=np.arange(70) % 10)
    image_set.cache_clear()
    app = run(page("glow", data="mnist", epochs="1", **SMALL["glow"]))
    app.segmented_control(key="glow.view").set_value(images.LIKELIHOOD)
    run(app)
    assert "Fashion-MNIST" not in captions(app)
    app.selectbox(key="glow.img.other").set_value("fashion_mnist")
    run(app)
    assert "an image of Fashion-MNIST in **" in captions(app) and not app.exception
    image_set.cache_clear()


def test_large_numbers_have_no_decimals_and_fit_their_column():
    assert metrics.number(3275.94, "nats") == "3,276 nats" == metrics.number(3276.4, "nats")
    assert metrics.number(-12.3456, "nats") == "-12.346 nats"
    assert metrics.number(None, "bits") == "–"
