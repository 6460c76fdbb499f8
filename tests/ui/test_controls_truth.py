"""What pages let one set and take away is true: steps, what is off, names of files, empty cells."""

import numpy as np
import pytest
from pages_helpers import page, run

from flowlab.data import store
from flowlab.live import export
from flowlab.ui.controls import validation
from flowlab.ui.controls.settings import steps
from models import RECIPES

pytestmark = pytest.mark.usefixtures("workers_end")
RUN = RECIPES["realnvp"].Run


def test_steps_of_equal_ratios_may_begin_at_0():
    found = steps(0, 1, 0.0)
    assert found[:3] == [0, 1e-5, 2e-5] and found[-1] == 1 and len(found) == 22
    assert 0 not in steps(1e-6, 1, 3e-3) and 0.007 in steps(0, 1, 0.007)


@pytest.mark.parametrize("data", ["own", "checkerboard", "uniform_square", "moons"])
def test_reverse_kl_is_off_where_no_density_allows_it(data, tmp_path, monkeypatch):
    monkeypatch.setenv(store.VARIABLE, str(tmp_path))
    possible = data == "moons"
    if data == "own":
        data = store.keep(np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32))
    settings, complaints = validation.read(RUN, {"data": data, "objective": "reverse"})
    assert settings.training.objective == ("reverse" if possible else "forward")
    assert possible or "nowhere zero" in complaints[0]
    app = run(page("realnvp", data=data))
    control = app.selectbox(key="realnvp.objective")
    assert control.disabled != possible and control.value == "forward"
    assert possible or "Reverse KL needs" in control.help
    decay = app.select_slider(key="realnvp.weight_decay")
    assert decay.options[:2] == ["0", "1e-05"] and decay.options[-1] == "1"


def test_reverse_kl_goes_off_with_the_data_and_comes_back(tmp_path, monkeypatch):
    app = run(page("realnvp", objective="reverse"))
    assert app.selectbox(key="realnvp.objective").value == "reverse"
    app.button(key="realnvp.choose.checkerboard").click()
    run(app)
    assert not app.exception
    assert app.selectbox(key="realnvp.objective").value == "forward"
    app.button(key="realnvp.choose.moons").click()
    run(app)
    assert not app.selectbox(key="realnvp.objective").disabled


def test_files_of_different_runs_have_different_names():
    first, second = RUN.from_flat({"couplings": 2}), RUN.from_flat({"couplings": 3})
    names = {export.file_name(settings, "run.json", run) for settings in (first, second)
             for run in ("", "0123456789abcdef", "fedcba9876543210")}
    assert len(names) == 4  # with an id the run says which it is
    code = export.loading(RECIPES["realnvp"], first, "0123456789abcdef")
    assert export.file_name(first, "weights.safetensors", "0123456789abcdef") in code


def test_the_square_beside_own_data_opens_their_dialog():
    app = run(page("realnvp"))
    app.button(key="realnvp.add").click()
    run(app)
    assert app.segmented_control(key="own.way").value == "draw"
