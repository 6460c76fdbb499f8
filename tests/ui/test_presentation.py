"""The landing page, the trained flows and the pictures that come with the lab."""

import io
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import LAYERS, TRAINED
from PIL import Image
from streamlit.testing.v1 import AppTest

from flowlab import Flow
from flowlab.analysis.equations import describe, normalising, sampling, stretch
from flowlab.bijections import Scaling
from flowlab.data import source_of, target
from flowlab.data.images import dequantise
from flowlab.live import pretrained, thumbnails
from flowlab.live.cameras import camera
from flowlab.live.thinning import history
from flowlab.ui.model import metrics
from models import MODELS, RECIPES

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "static"
THEMES = ("light", "dark")
#: Models, and the names of the flows that come with them.
SHIPPED = [(name, each) for name in TRAINED for each in pretrained.names(RECIPES[name])]
#: What each pretrained flow has to reach on the moons, in nats.
LIMITS = {"nice": 0.2}  # of all others 0.05
MOVING = [f"{name}/card-{theme}" for name in TRAINED for theme in THEMES] + [
    f"realnvp/{what}-{theme}" for what in ("transport", "learning") for theme in THEMES]


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """A small app with the page in it; empty pages stand where its links lead."""
    path = tmp_path_factory.mktemp("app") / "app.py"
    path.write_text(
        "import presentation\nimport streamlit as st\nfrom models import MODELS\n"
        "pages = [st.Page(lambda: st.title('A model'), title=name, url_path=name)"
        " for name in MODELS]\n"
        "start = st.Page(presentation.draw_presentation, title='What is a flow?', default=True)\n"
        "st.navigation([start, *pages]).run()\n")
    return path


@pytest.fixture
def page(app):
    return AppTest.from_file(app, default_timeout=60).run()


def images(page) -> list:
    return [element.proto.imgs[0] for element in page.get("image")]


def moving(page) -> list[str]:
    """Addresses of the pictures from the folder of files; all of them lead to one."""
    urls = [url for element in page.get("html")
            for url in re.findall(r'src="(/app/static/[^"]+)"', element.proto.body)]
    assert all((STATIC / url.removeprefix("/app/static/")).is_file() for url in urls)
    return urls


def test_the_page_explains_a_flow(page):
    assert not page.exception
    assert [header.value.split(" · ")[0] for header in page.header] == ["1", "2", "3", "4", "5"]
    formulas = " ".join(latex.value for latex in page.latex)
    for formula in (r"\log p_X(x)", r"- \log\left|\det\frac{\partial x}{\partial z}", r"e^{s(z_a)}",
                    r"\mathrm{KL}(p\,\|\,q)"):
        assert formula in formulas
    words = " ".join(text.value for text in [*page.markdown, *page.caption])
    for paper in ("1410.8516", "1605.08803", "1807.03039"):
        assert f"https://arxiv.org/abs/{paper}" in words


def test_the_page_leads_to_every_model(page):
    assert {link.proto.page for link in page.get("page_link")} == set(MODELS)


def test_every_picture_has_a_description_and_moves_at_once(page):
    words = [image.alt for image in images(page)]
    words += [alt for element in page.get("html")
              for alt in re.findall(r'<img [^>]*alt="([^"]+)"', element.proto.body)]
    assert len(words) == 4 + len(TRAINED)  # each has a card
    assert all(len(alt) > 30 for alt in words)
    assert len(moving(page)) == 2 + len(TRAINED)


def test_pictures_stand_still_when_asked(page):
    before = moving(page)
    page.toggle(key="moving").set_value(False).run()
    assert not page.exception
    assert moving(page) == [url.replace(".webp", "-still.webp") for url in before]


def test_sliders_move_the_pictures(page):
    films, before = moving(page), [image.url for image in images(page)]
    page.slider(key="stretch").set_value(1.5).run()
    page.slider(key="layer").set_value(5.0).run()
    after = [image.url for image in images(page)]
    assert not page.exception
    assert [old == new for old, new in zip(before, after, strict=True)] == [False, False]
    assert moving(page) == films and len(films) == 2 + len(TRAINED)


@pytest.mark.parametrize("direction", ["Forward: sample", "Inverse: density"])
def test_every_layer_has_its_equation(page, direction):
    page.segmented_control(key="direction").set_value(direction)
    seen = set()
    slider = page.slider(key="layer")
    for passed in (0, 1, 2, slider.max - 1, slider.max):
        slider.set_value(passed).run()
        assert not page.exception
        seen.add(next(latex.value for latex in page.latex if "forward" in latex.value))
    assert len(seen) == 3  # couplings of two kinds in turn, and the data's units
    marked = {text.split(r"\textcolor")[1].partition(r"\text{")[2][:7] for text in seen}
    assert marked == {direction[:7].lower()}


def test_the_inverse_starts_at_the_data_and_undoes_the_last_layer_first(page):
    def seen():
        return (page.slider(key="layer").label, next(
            m.value for m in page.markdown if m.value.startswith("Layer **")),
            page.metric[0].value)

    last = int(page.slider(key="layer").max)
    page.slider(key="layer").set_value(0.0).run()
    label, layer, at_latent = seen()
    assert label.startswith("Layers passed: 0 is latent space") and layer.startswith("Layer **1:")
    page.segmented_control(key="direction").set_value("Inverse: density").run()
    label, layer, at_data = seen()
    assert label.startswith("Layers undone: 0 is data space")
    assert layer.startswith(f"Layer **{last}:") and "undone, from *x* to *z*" in layer
    flow, x = Flow.load(ROOT / "realnvp/images/start.safetensors"), target("moons").sample(900, 1)
    with torch.no_grad():
        expected = flow.log_prob(x).mean().item(), -math.log(2 * math.pi) - 1
    for text, value in zip((at_data, at_latent), expected, strict=True):
        shown = float(text.removesuffix(" nats").replace("\N{MINUS SIGN}", "-"))
        assert math.isclose(shown, value, abs_tol=0.1)
    page.slider(key="layer").set_value(float(last)).run()
    assert seen()[1].startswith("Layer **1:")


@pytest.mark.parametrize("name", TRAINED)
def test_shipped_weights_have_learned_the_moons(name):
    flow = Flow.load(ROOT / name / "images/start.safetensors")
    assert type(flow) is MODELS[name]
    moons = target("moons")
    x = moons.sample(20_000, seed=12345)
    with torch.no_grad():
        kl = (moons.log_prob(x) - flow.log_prob(x)).mean().item()
    facts = pretrained.load(RECIPES[name]).moment
    assert kl < LIMITS.get(name, 0.05)
    assert math.isclose(kl, facts.kl, abs_tol=0.02)


def test_the_first_page_says_of_the_shipped_flows_what_their_pages_say(page):
    said = re.findall(r"KL to the truth: \*\*(.+?)\*\*", " ".join(m.value for m in page.markdown))
    for text, name in zip(said, TRAINED, strict=True):
        recipe = RECIPES[name]
        flow = pretrained.load(recipe)
        assert flow.fits(recipe.Run())  # so the model's page opens with it
        assert text == metrics.number(flow.moment.kl, "nats")


@pytest.mark.parametrize(("name", "each"), SHIPPED)
def test_shipped_flows_come_with_moments_that_get_better(name, each):
    shipped = pretrained.load(RECIPES[name], each)
    source, last = source_of(shipped.settings.source), shipped.frames[-1]
    assert len(shipped.frames) >= 4
    steps = [frame.moment.step for frame in shipped.frames]
    assert steps == sorted(set(steps)) and steps[-1] == last.moment.steps
    assert len(history(shipped.frames)) == last.moment.epochs
    if source.kind == "images":
        pixels, context = source.part(test=True)
        x = dequantise(pixels, torch.Generator().manual_seed(0))
    else:
        x, context = source.sample(500, seed=4), None
    with torch.no_grad():
        losses = [-frame.flow().log_prob(x, context).mean().item() for frame in shipped.frames]
    assert losses == sorted(losses, reverse=True)
    assert {parameter.dtype for frame in shipped.frames for parameter in frame.flow().parameters()
            } == {torch.float32}


@pytest.mark.parametrize(("name", "each"), SHIPPED)
@pytest.mark.parametrize("theme", THEMES)
def test_the_shipped_picture_is_that_of_the_flow(name, each, theme):
    shipped = pretrained.load(RECIPES[name], each)
    *_, last = shipped.drawn(theme)
    assert last.theme == theme and last.content.file.is_relative_to(STATIC)
    now = camera(shipped.settings, theme).take(last.flow(), history(shipped.frames), last.moment)
    with Image.open(last.content.file) as kept, Image.open(io.BytesIO(now)) as drawn:
        kept, drawn = (np.asarray(each.convert("RGB"), dtype=float) for each in (kept, drawn))
    assert kept.shape == drawn.shape and np.abs(kept - drawn).mean() < 2


@pytest.mark.parametrize("path", MOVING)
def test_moving_pictures_are_whole(path):
    with (Image.open(STATIC / f"{path}.webp") as film,
          Image.open(STATIC / f"{path}-still.webp") as still):
        assert film.format == still.format == "WEBP"
        assert film.size == still.size
        assert film.n_frames > 10 and still.n_frames == 1
        first = np.asarray(film.convert("L"), dtype=float)
        film.seek(film.n_frames // 2)
        half = np.asarray(film.convert("L"), dtype=float)
    assert np.abs(first - half).max() > 50
    assert (first.mean() > 128) == path.endswith("light")


def test_shipped_files_are_small():
    sizes = [file.stat().st_size for file in STATIC.rglob("*.*")
             if STATIC / "docs" not in file.parents]  # a site that was built here
    weights = [file.stat().st_size for name in TRAINED
               for file in (RECIPES[name].folder / "images").iterdir()]
    assert max(weights) < 1.1e6 and sum(weights) < 1.5e6 * len(SHIPPED)
    assert max(sizes) < 1.5e6
    assert sum(sizes) < 2e6 * len(SHIPPED)


@pytest.mark.parametrize("theme", THEMES)
def test_the_file_of_small_pictures_is_that_of_the_script(theme):
    with Image.open(thumbnails.path(theme)) as file:
        kept, now = (np.asarray(each.convert("RGB"), dtype=float)
                     for each in (file, thumbnails.sheet(theme)))
    assert kept.shape == now.shape
    # other versions of libraries may draw a point's edge otherwise, but no tile looks like another
    for old, new in zip(*(np.split(each, len(thumbnails.NAMES)) for each in (kept, now)),
                        strict=True):
        assert np.abs(old - new).mean() < 2


@pytest.mark.parametrize("strength", [0.3, 0.7, 1.0, 4.0])
def test_the_map_of_the_line_keeps_probability(strength):
    z, density, x, slope = stretch(strength, size=4001)
    np.testing.assert_allclose(np.gradient(x, z)[1:-1], slope[1:-1], atol=1e-4)
    before, after = np.trapezoid(density, z), np.trapezoid(density / slope, x)
    assert math.isclose(before, after, abs_tol=1e-5)
    assert math.isclose(slope[2000], strength)


def test_the_map_of_the_line_must_not_fold():
    with pytest.raises(ValueError, match="must be positive"):
        stretch(0.0)


@pytest.mark.parametrize("name", TRAINED)
def test_a_journey_ends_with_the_density_of_the_flow(name):
    flow = Flow.load(ROOT / name / "images/start.safetensors")
    x = target("moons").sample(300, seed=5)
    with torch.no_grad():
        z, _ = flow.inverse(x)
        expected = flow.log_prob(x).mean().item()
    back = normalising(flow, x)
    np.testing.assert_allclose(back.stages[0], z.numpy(), atol=1e-4)
    np.testing.assert_array_equal(back.stages[-1], x.numpy())
    assert math.isclose(back.log_density[-1], expected, abs_tol=1e-4)
    there = sampling(flow, 300, seed=5)
    with torch.no_grad():
        expected = flow.log_prob(torch.from_numpy(there.stages[-1])).mean().item()
    assert math.isclose(there.log_density[-1], expected, abs_tol=1e-2)
    assert len(there.stages) == len(there.grids) == len(there.steps) + 1 == len(flow.layers) + 1
    for way, start in ((there, 0), (back, -1)):  # the grid is square where the points start
        square, other = way.grids[start], way.grids[-1 - start]
        assert np.ptp(np.diff(square, axis=1)[..., 1]) < 1e-4 < np.ptp(np.diff(other, axis=1))
        assert np.ptp(np.diff(square, axis=0)[..., 0]) < 1e-4


def test_every_layer_of_the_lab_has_equations():
    for make in LAYERS.values():
        step = describe(make(2))
        assert step.name and step.forward.startswith("x") and step.inverse.startswith("z")


def test_a_layer_without_equations_is_named():
    class Unknown(Scaling):
        pass

    with pytest.raises(ValueError, match="no equations for Unknown"):
        describe(Unknown((2,)))
