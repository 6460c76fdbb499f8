"""What the version before `Epoch` and `Moment` stored is opened, and goes on."""

import json
import zipfile
from pathlib import Path

import pytest

from flowlab.jobs import Local
from flowlab.runs import Recorder, Store, unpack
from flowlab.studies.comparison import Contest
from models import RECIPES

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def earlier(tmp_path):
    with zipfile.ZipFile(DATA / "earlier-store.zip") as file:
        file.extractall(tmp_path)
    return Store(tmp_path), json.loads((tmp_path / "ids.json").read_text("utf-8"))


def test_runs_open_with_all_their_numbers(earlier):
    store, ids = earlier
    outcomes = [run.outcome for run in store.runs()]
    assert sorted(outcomes) == ["finished"] * 4 + ["stopped"]
    for run in store.runs():
        frames, epochs = store.frames(run.id), store.epochs(run.id)
        assert frames[-1].moment == run.moment and frames[-1].has_weights
        assert [e for frame in frames for e in frame.epochs] == epochs
        assert [e.epoch for e in epochs] == list(range(1, run.moment.epoch + 1))
        assert epochs[-1].kl == pytest.approx(run.moment.kl) == run.numbers["kl"]
        assert store.flow(run.id) is not None and frames[-1].png
    assert len(store.get(ids["live"]).moment.reverse_kl) == 4
    assert store.snapshot(ids["stopped"]).epoch == 2


def test_an_exported_run_opens(tmp_path):
    store = Store(tmp_path)
    run = store.get(unpack(store, (DATA / "earlier-run.zip").read_bytes()))
    assert run.outcome == "finished" and len(run.moment.reverse_kl) == 4
    assert [e.epoch for e in store.epochs(run.id)] == [1, 2, 3]


def test_a_comparison_opens_with_what_it_has_measured_and_trains_what_is_missing(earlier):
    store, ids = earlier
    with Local(1) as engine:
        contest = Contest.open(ids["comparison"], Recorder(engine, store), RECIPES)
        assert contest.missing and len(contest.results()) == 4
        *_, before = ids["table"].splitlines()
        assert contest.table().csv().splitlines()[-1] == before
        contest.train().wait()
        assert not contest.missing and len(contest.results()) == 5
