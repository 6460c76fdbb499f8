"""Comparisons on disk: opened again with all that was measured, damaged files included."""

import json
import math
import os
from types import SimpleNamespace

import numpy as np
import pytest
import runs_helpers as made

from flowlab.commands.compare import main
from flowlab.jobs import Local
from flowlab.runs import Recorder, Store
from flowlab.studies.comparison import Comparison, Contest
from flowlab.studies.comparison.archive import FOLDER, MAX_COMPARISONS, Archive, Header, Record
from flowlab.studies.comparison.contest import MISSING
from flowlab.studies.comparison.table import measures
from flowlab.studies.comparison.trial import GRID, SHOWN, Look, Result
from models import RECIPES

KEY = (0, "moons", 0)


def comparison(**values) -> Comparison:
    return Comparison.model_validate({
        "models": "nice:hidden=4:couplings=2;realnvp:hidden=4:couplings=2:label=Small",
        "points": 100, "amount": 2, **values})


def record(value=0.5, pictures=True) -> Record:
    values = {m.name: value for m in measures()} | {"modes": None}
    arrays = (np.full((GRID, GRID), value, np.float32), np.full((SHOWN, 2), value, np.float32))
    return Record(Result("finished", "", 2, 1 / 3, values), ((1, 0.1, 2 / 3), (2, 0.2, 0.5)),
                  Look(*arrays if pictures else (None, None)))


@pytest.fixture
def archive(tmp_path) -> Archive:
    kept = Archive(tmp_path)
    kept.begin("a1", Header(comparison=comparison(), labels=("NICE", "Small")))
    return kept


@pytest.fixture(scope="module")
def engine():
    with Local(workers=1, preload=("models", "flowlab.studies.comparison.trial")) as local:
        yield local


@pytest.fixture
def recorder(engine, tmp_path):
    recorder = Recorder(engine, Store(tmp_path))
    yield recorder
    recorder.close()


def stored(folder):
    """What opens a comparison from disk, and trains nothing."""
    return SimpleNamespace(store=Store(folder))


@pytest.mark.parametrize("pictures", [True, False])
def test_what_is_kept_is_read_again_to_the_last_digit(archive, pictures):
    before = record(pictures=pictures)
    archive.keep("a1", KEY, before)
    after = archive.load("a1", KEY)
    assert after.result == before.result and after.curve == before.curve
    for part in ("density", "samples"):
        one, other = getattr(before.look, part), getattr(after.look, part)
        assert (one is None and other is None) or np.array_equal(one, other)
    assert archive.read("a1") == Header(comparison=comparison(), labels=("NICE", "Small"))
    assert archive.load("a1", (1, "moons", 0)) is None and archive.read("a2") is None


@pytest.mark.parametrize("name", ["..", "", "a/b", "a" * 65])
def test_an_id_leads_nowhere_else(archive, name):
    with pytest.raises(ValueError, match="letters and digits"):
        archive.read(name)


def pickled(path):
    np.savez(path, told=np.array([{}], dtype=object))


def other_shape(path):
    told = json.dumps({"result": {"outcome": "finished", "reason": "", "step": 1, "seconds": 1.0,
                                  "values": {}}, "spent": 1.0})
    np.savez(path, told=np.frombuffer(told.encode(), np.uint8), curve=np.zeros((2, 3)),
             density=np.zeros((2, 2)))


@pytest.mark.parametrize("damage", [
    lambda path: path.write_bytes(path.read_bytes()[:-40]),
    lambda path: path.write_bytes(b""), lambda path: path.write_bytes(b"what is this?"),
    lambda path: np.savez(path, told=np.zeros(3, np.uint8), curve=np.zeros((2, 3))),
    lambda path: np.savez(path, curve=np.zeros((2, 3))), pickled, other_shape,
], ids=["cut", "empty", "text", "no JSON", "nothing told", "pickled", "other shape"])
def test_a_damaged_training_is_refused_and_the_rest_stays(archive, tmp_path, damage):
    archive.keep("a1", KEY, record())
    archive.keep("a1", (1, "moons", 0), record(0.25))
    damage(tmp_path / FOLDER / "a1" / "0-moons-0.npz")
    with pytest.raises(ValueError, match="damaged"):
        archive.load("a1", KEY)
    contest = Contest.open("a1", stored(tmp_path), RECIPES)
    assert set(contest.results()) == {(1, "moons", 0)} and contest.missing
    (sentence,) = contest.problems()
    assert sentence.startswith("NICE on moons, seed 0") and "damaged" in sentence
    assert contest.table().rows[1].statistics["kl"].mean == 0.25


@pytest.mark.parametrize("content", [b"", b"{", b'{"format": "flowlab-comparison-9"}'])
def test_a_damaged_plan_gets_one_sentence(archive, tmp_path, content):
    (tmp_path / FOLDER / "a1" / "comparison.json").write_bytes(content)
    with pytest.raises(ValueError, match="press Compare") as error:
        Contest.open("a1", stored(tmp_path), RECIPES)
    assert "\n" not in str(error.value)


def test_the_oldest_comparisons_go(archive, tmp_path):
    header = archive.read("a1")
    os.utime(tmp_path / FOLDER / "a1", (0, 0))
    for number in range(MAX_COMPARISONS):
        archive.begin(f"b{number}", header)
    assert archive.read("a1") is None and archive.read(f"b{MAX_COMPARISONS - 1}") == header


def test_a_comparison_goes_on_where_it_was(recorder):
    first = Contest(recorder, comparison(seeds=2), RECIPES).train()
    while not first.results():
        first.poll()
    first.stop()
    first.wait()
    # Another program: nothing but what is on disk.
    second = Contest.open(first.id, recorder, RECIPES)
    done = second.results()
    assert done == first.results() and second.missing and 1 <= len(done) < 4
    assert {h.status.state for h in second.trial_runs if h.result is None} == {MISSING}
    trained = [run.key for run in second.train().trial_runs if run.status.active]
    assert set(trained) == {run.key for run in second.trial_runs} - set(done)
    second.wait()
    assert not second.missing and done.items() <= second.results().items()
    third = Contest.open(first.id, recorder, RECIPES)
    assert third.table() == second.table() and third.labels == ("NICE", "Small")
    assert [h.curve for h in third.trial_runs] == [h.curve for h in second.trial_runs]
    assert np.array_equal(third.trial_runs[0].look.density, second.trial_runs[0].look.density)
    assert all(math.isfinite(h.result.values["kl"]) for h in third.trial_runs)


def test_a_finished_run_beside_models_is_kept_too(recorder, capsys):
    store = recorder.store
    run_id = made.kept(store, name="Mine")
    asked = comparison(models="nice:hidden=4:couplings=2", runs=run_id, data="moons,circles")
    first = Contest(recorder, asked, RECIPES).train()
    first.wait()
    assert not first.problems() and not first.missing and len(first.trial_runs) == 3
    rows = {(row.data, row.label): row for row in first.table().rows}
    assert rows["moons", "Mine"].statistics["nll"].of == 1
    assert rows["circles", "Mine"].elsewhere == "moons"
    assert not rows["circles", "Mine"].statistics["nll"].values
    assert not rows["moons", "Mine"].best and "Mine" in first.table().csv()
    store.delete(run_id)
    second = Contest.open(first.id, recorder, RECIPES)
    assert second.table() == first.table() and not second.missing
    assert main(["--models", "none", "--runs", run_id]) == 2
    assert "not kept" in capsys.readouterr().err
