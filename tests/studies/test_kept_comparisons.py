"""Comparisons on disk: opened again with all that was measured, damaged files included."""

import io
import json
import math
import time
from types import SimpleNamespace

import numpy as np
import pytest
import runs_helpers as made

from flowlab.commands.compare import main
from flowlab.jobs import Local
from flowlab.runs import Recorder, Store, pack, unpack
from flowlab.studies.comparison import Comparison, Contest
from flowlab.studies.comparison.archive import FORMER, Header, Record, adopt, members, read
from flowlab.studies.comparison.contest import MISSING
from flowlab.studies.comparison.finished import FinishedRun
from flowlab.studies.comparison.table import measures
from flowlab.studies.comparison.trial import GRID, SHOWN, Look, Result
from models import RECIPES

RUN = "a1e0d0s0"


def comparison(**values) -> Comparison:
    return Comparison.model_validate({
        "models": "nice:hidden=4:couplings=2;realnvp:hidden=4:couplings=2:label=Small",
        "points": 100, "amount": 2, **values})


HEADER = Header(comparison=comparison(), labels=("NICE", "Small"))


def record(value=0.5, pictures=True) -> Record:
    values = {m.name: value for m in measures()} | {"modes": None}
    arrays = (np.full((GRID, GRID), value, np.float32), np.full((SHOWN, 2), value, np.float32))
    curve = ((1, 0.1, 2 / 3), (2, 0.2, 0.5))
    return Record(Result("finished", "", 2, 1 / 3, values),
                  Look(1.0, curve, *arrays if pictures else (None, None)))


@pytest.fixture
def store(tmp_path) -> Store:
    """With a comparison, both of whose runs are finished."""
    kept = Store(tmp_path)
    kept.choose("a1", HEADER.model_dump_json())
    for run_id, trial in members("a1", HEADER, RECIPES).items():
        kept.begin(trial.settings, run_id=run_id, origin="comparison", group="a1")
        kept.end(run_id, "finished")
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


def stored(store):
    """What opens a comparison from disk, and trains nothing."""
    return SimpleNamespace(store=store, group=lambda name: {}, trouble=lambda run_id: "")


@pytest.mark.parametrize("pictures", [True, False])
def test_what_is_kept_is_read_again_to_the_last_digit(store, pictures):
    before = record(pictures=pictures)
    used = store.used()
    store.measure(RUN, before.pack())
    after = Record.unpack(store.measured(RUN))
    assert after.result == before.result and after.look.curve == before.look.curve
    for part in ("density", "samples"):
        one, other = getattr(before.look, part), getattr(after.look, part)
        assert (one is None and other is None) or np.array_equal(one, other)
    assert read(store, "a1") == HEADER
    assert store.measured("a1e1d0s0") == b"" and read(store, "a2") is None
    assert store.used() - used == len(before.pack()) == store.get(RUN).bytes


def test_what_was_measured_goes_with_its_run(store):
    store.measure(RUN, record().pack())
    again = unpack(store, pack(store, RUN))
    assert store.measured(again) == store.measured(RUN)
    for run_id in (RUN, again):
        store.delete(run_id)
        assert store.measured(run_id) == b""
    store.measure(RUN, b"of a run that is deleted")
    assert store.measured(RUN) == b"" and store.used() == 0


@pytest.mark.parametrize("name", ["..", "", "a/b", "a" * 65])
def test_an_id_leads_nowhere_else(store, name):
    with pytest.raises(ValueError, match="letters and digits"):
        read(store, name)


def saved(**arrays) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def other_shape() -> bytes:
    told = json.dumps({"result": {"outcome": "finished", "reason": "", "step": 1, "seconds": 1.0,
                                  "values": {}}, "spent": 1.0})
    return saved(told=np.frombuffer(told.encode(), np.uint8), curve=np.zeros((2, 3)),
                 density=np.zeros((2, 2)))


@pytest.mark.parametrize("damaged", [
    record().pack()[:-40], b"what is this?",
    saved(told=np.zeros(3, np.uint8), curve=np.zeros((2, 3))), saved(curve=np.zeros((2, 3))),
    saved(told=np.array([{}], dtype=object)), other_shape(),
], ids=["cut", "text", "no JSON", "nothing told", "pickled", "other shape"])
def test_a_damaged_training_is_refused_and_the_rest_stays(store, damaged):
    store.measure(RUN, damaged)
    store.measure("a1e1d0s0", record(0.25).pack())
    with pytest.raises(ValueError, match="damaged"):
        Record.unpack(damaged)
    contest = Contest.open("a1", stored(store), RECIPES)
    assert set(contest.results()) == {(1, "moons", 0)} and contest.missing
    (sentence,) = contest.problems()
    assert sentence.startswith("NICE · Two moons · seed 0") and "damaged" in sentence
    assert contest.table().rows[1].statistics["kl"].mean == 0.25


@pytest.mark.parametrize("content", ["?", "{", '{"format": "flowlab-comparison-9"}'])
def test_a_damaged_plan_gets_one_sentence(store, content):
    store.choose("a1", content)
    folder = store.folder / FORMER / "b2"  # of an earlier version
    folder.mkdir(parents=True)
    (folder / "comparison.json").write_text(content)
    for name in ("a1", "b2"):
        with pytest.raises(ValueError, match="press Compare") as error:
            Contest.open(name, stored(store), RECIPES)
        assert "\n" not in str(error.value)
    adopt(store)
    assert folder.exists()  # what cannot be read stays where it is


def test_a_comparison_of_an_earlier_version_is_taken_over_once(store):
    for run in store.runs():
        store.delete(run.id)
    header = Header(comparison=comparison(runs="0123", seeds=2), labels=("NICE", "Small", "Mine"),
                    runs=(FinishedRun(id="0123", name="Mine", data="moons"),), visitor="ada")
    folder = store.folder / FORMER / "b2"
    folder.mkdir(parents=True)
    (folder / "comparison.json").write_text(header.model_dump_json())
    for entry in (0, 2):  # the finished run has been deleted since
        (folder / f"{entry}-moons-0.npz").write_bytes(record(entry).pack())
    (folder / "1-moons-0.npz").write_bytes(b"damaged")
    adopt(store)
    assert not folder.exists() and read(store, "b2") == header
    contest = Contest.open("b2", stored(store), RECIPES)
    assert contest.results() == {(entry, "moons", 0): record(entry).result for entry in (0, 2)}
    assert contest.missing and contest.visitor == "ada" and contest.trial_runs[0].look.curve
    runs = store.runs()
    assert {run.group for run in runs} == {"b2"} and {run.visitor for run in runs} == {"ada"}
    adopt(store)
    assert store.runs() == runs


def test_a_comparison_goes_on_where_it_was(recorder):
    first = Contest(recorder, comparison(seeds=2, amount=600), RECIPES).train()
    while not first.results():
        time.sleep(0.02)
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
    assert "no longer stored" in capsys.readouterr().err
