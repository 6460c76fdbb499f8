"""Finished runs in a comparison: measured as they are, on what they were trained on."""

import pytest
import runs_helpers as made

from flowlab.data import target
from flowlab.runs import Store
from flowlab.studies.comparison import Comparison, measures
from flowlab.studies.comparison.finished import (
    FinishedRun,
    comparable,
    evaluations,
    finished_runs,
    trained,
)
from flowlab.studies.comparison.trial import GRID, SHOWN, curve_of, evaluate, fresh_points
from flowlab.training.metrics import nll


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path)


def comparison(runs=(), **values) -> Comparison:
    return Comparison.model_validate({"models": "nice:hidden=4:couplings=2", "points": 100,
                                      "amount": 1, "runs": ",".join(runs), **values})


def test_runs_in_a_comparisons_texts():
    one = comparison(["a1", "b2"])
    assert Comparison.model_validate(one.texts()) == one and one.texts()["runs"] == "a1,b2"
    alone = comparison(["a1"], models="none")
    assert alone.models == () and Comparison.model_validate(alone.texts()) == alone
    assert one.labels(None, ["nice", "b"]) == ("nice (1)", "nice (2)", "b")
    for wrong in ("a1,a1", "../a", ",".join("abcdefg")):
        with pytest.raises(ValueError, match="ids"):
            Comparison.model_validate({"runs": wrong})


def test_a_finished_run_is_measured_like_a_training(store):
    run_id = made.kept(store, data="eight_gaussians")
    (one,) = evaluations(comparison([run_id], data="moons,eight_gaussians", level=0.75),
                     finished_runs([run_id], store))
    assert (one.entry, one.data, one.seed) == (1, "eight_gaussians", 0)
    look, result = evaluate(trained(comparable(one.run, store), store, one.level, one.seed))
    assert look.density.shape == (GRID, GRID) and look.samples.shape == (SHOWN, 2)
    assert look.curve == curve_of(store.epochs(run_id), one.data) == tuple(
        (10 * n, n / 2, pytest.approx(1 - n / 10)) for n in range(1, 5))
    values, flow = result.values, store.flow(run_id)
    assert set(values) == {m.name for m in measures()}
    points = fresh_points(made.settings().training, target("eight_gaussians"), 0)
    assert values["nll"] == pytest.approx(nll(flow, points))
    assert values["parameters"] == sum(p.numel() for p in flow.parameters())
    assert values["reached"] == 1.5  # the first epoch with a KL of 0.75 or less is the third
    assert values["speed"] == pytest.approx(40 / 2)


def test_what_cannot_be_compared_is_told(store):
    stopped, noisy = made.kept(store, "stopped"), made.kept(store, noise=0.2)
    for run_id, words in ((stopped, "not finished"), (noisy, "noise"), ("0123", "no longer")):
        with pytest.raises(ValueError, match=words) as error:
            finished_runs([run_id], store)
        assert "\n" not in str(error.value)
    rings = made.kept(store, data="rings", name="A name that is longer than a label may be")
    runs = finished_runs([rings], store)
    assert len(runs[0].name) == 24 and runs[0].name.endswith("…")
    with pytest.raises(ValueError, match="was trained on Four rings"):
        evaluations(comparison([rings]), runs)
    with pytest.raises(ValueError, match="up to 6"):
        evaluations(comparison(),
                    [FinishedRun(id=str(n), name="a", data="moons") for n in range(6)])
