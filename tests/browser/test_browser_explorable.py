"""Web pages of flows, opened from disk in a real browser without a network."""

import time

import pytest
import torch
from browser_helpers import SECONDS
from helpers import make_flow, shake
from playwright.sync_api import expect

from flowlab.web import page as page_of
from models import MODELS

pytestmark = pytest.mark.browser

ACTIVATIONS = ("relu", "leaky_relu", "elu", "tanh")
COMPUTE = """([points, classes]) => {
    const columns = [0, 1].map((k) => Float64Array.from(points, (p) => p[k]));
    const rows = ([a, b]) => Array.from(a, (value, j) => [value, b[j]]);
    const forward = flow.forward(columns, classes), inverse = flow.inverse(columns, classes);
    return [rows(forward.points), [...forward.logDet], rows(inverse.points), [...inverse.logDet],
            [...flow.logProb(columns, classes)]];
}"""


def until(page, condition: str) -> None:
    """Wait for a condition; Playwright's own wait evaluates strings, which the page forbids."""
    deadline = time.monotonic() + SECONDS / 1000
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(20)


@pytest.fixture
def opened(page, tmp_path):
    """Opens a flow's page from disk, with the network off; notes what the page asks for."""
    page.context.set_offline(True)
    asked = []
    page.on("request", lambda request: asked.append(request.url))

    def open_page(flow, **texts):
        path = tmp_path / "flow.html"
        path.write_text(page_of(flow, **texts), "utf-8")
        page.goto(path.as_uri())
        return page

    yield open_page
    assert all(url.startswith(("file:", "blob:", "data:")) for url in asked)


@pytest.mark.quick("realnvp", "spline")
@pytest.mark.parametrize("name", MODELS)
def test_the_page_computes_what_python_does(opened, name):
    for index, activation in enumerate(ACTIVATIONS):
        classes = 3 * (index == 2)
        flow = make_flow(name, activation=activation, classes=classes,
                         base=("normal", "logistic")[index % 2])
        points = 2 * torch.randn(1000, 2)
        context = 1 if classes else None
        flow.initialise(points, torch.arange(1000) % classes if classes else None)
        shake(flow).eval()
        found = opened(flow).evaluate(COMPUTE, [points.tolist(), context])
        points = points.double()
        with torch.no_grad():
            flow = flow.double()
            expected = (*flow.forward(points, context), *flow.inverse(points, context),
                        flow.log_prob(points, context))
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(torch.tensor(ours, dtype=torch.float64), theirs,
                                       rtol=1e-4, atol=1e-4)


def test_a_person_plays_probes_and_goes_back_in_training(opened):
    early, flow = make_flow("realnvp"), shake(make_flow("realnvp"), 0.3).eval()
    page = opened(flow, title="<b>Mine</b>", text="<i>ours</i>", moments=[("epoch 0", early)])
    expect(page.get_by_role("heading", level=1)).to_have_text("<b>Mine</b>")
    until(page, "Boolean(journey && picture)")

    page.get_by_role("button", name="Play").click()
    until(page, "state.stage > 0 && state.stage < depth")
    page.get_by_role("button", name="Pause").click()
    page.locator("h1").click()
    page.evaluate("document.activeElement.blur()")
    stage = page.evaluate("Math.round(state.stage)")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("state.stage") == stage + 1
    expect(page.locator("#layer")).to_contain_text(f"Layer {stage + 1} of {len(flow.layers)}")

    before = page.locator("#point").inner_text()
    page.locator("#density").hover(position={"x": 60, "y": 40})
    expect(page.locator("#point")).not_to_have_text(before)
    probe = page.evaluate("state.probe")
    with torch.no_grad():
        log_p = flow.log_prob(torch.tensor([probe])).item()
    expect(page.locator("#point")).to_contain_text(f"log p = {log_p:.3f}".replace("-", "−"))
    page.get_by_text("The point, layer by layer").click()
    assert page.locator("#layers tr").count() == len(flow.layers) + 1

    page.get_by_role("slider", name="Training").fill("0")
    expect(page.locator("#when")).to_have_text("epoch 0")
    shown = torch.tensor(page.evaluate(COMPUTE, [[[0.3, -0.2]], None])[2])
    with torch.no_grad():  # its networks are rounded to float16
        torch.testing.assert_close(shown, early.inverse(torch.tensor([[0.3, -0.2]]))[0],
                                   rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("size", [(1280, 720), (390, 844)])
@pytest.mark.thorough
def test_nothing_is_cut_and_less_motion_is_obeyed(opened, page, size):
    page.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
    page.emulate_media(reduced_motion="reduce", color_scheme="dark")
    opened(make_flow("nice"), title="A very long title " * 8)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Play").click()
    seen = page.evaluate("""async () => {
        const seen = new Set();
        const end = performance.now() + 2500;
        while (performance.now() < end) {
            seen.add(state.stage);
            await new Promise(requestAnimationFrame);
        }
        return [...seen];
    }""")
    assert len(seen) > 1 and all(stage == int(stage) for stage in seen)
