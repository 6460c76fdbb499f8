"""Comparisons and sweeps as groups of runs: listed, named, given away and deleted."""

import io
import json
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import runs_helpers as made

from flowlab.runs import Store, pack
from flowlab.studies import groups
from flowlab.studies.comparison import Contest
from flowlab.studies.comparison.archive import adopt
from flowlab.studies.sweep import Sweep, SweepSettings
from flowlab.studies.sweep.work import counts, group_of
from models import RECIPES

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def store(tmp_path):
    with zipfile.ZipFile(DATA / "earlier-store.zip") as file:
        file.extractall(tmp_path)
    store = Store(tmp_path)
    adopt(store)
    return store


def listed(store: Store) -> dict[str, groups.Group]:
    return {group.kind: group for group in groups.groups(store, store.runs())}


def test_comparisons_and_sweeps_of_an_earlier_version_are_listed_and_exported(store):
    ids = json.loads((store.folder / "ids.json").read_text("utf-8"))
    found = listed(store)
    assert found["comparison"].id == ids["comparison"] and len(found["comparison"].runs) == 4
    assert found["comparison"].name == "NICE and real and nice on moons on moons"
    assert (found["sweep"].name, len(found["sweep"].runs)) == ("kept", 2)
    names = {kind: zipfile.ZipFile(io.BytesIO(groups.export(store, group))).namelist()
             for kind, group in found.items()}
    assert {part[0] for part in names.values()} == {"group.json"}
    assert len(names["comparison"]) == 5 and len(names["sweep"]) == 3
    assert all("nice-moons" in name for name in names["sweep"][1:])
    settings = groups.sweep_settings(store, found["sweep"].id)
    work = Sweep(settings, RECIPES["nice"], store)
    assert work.group == found["sweep"].id and counts(work.state())["complete"] == 2
    assert settings.sweep == {"couplings": (2, 4)} and len(work.points) == 2


@pytest.mark.parametrize("kind", ["comparison", "sweep"])
def test_an_exported_group_is_imported_as_a_whole(store, tmp_path, kind):
    groups.rename(store, listed(store)[kind], "mine")
    group = listed(store)[kind]
    other = Store(tmp_path / "other")
    assert groups.take(other, groups.export(store, group), "ada") == "mine"
    found, = groups.groups(other, other.runs())
    assert (found.kind, found.name, found.visitor) == (kind, "mine", "ada")
    assert [one.settings for one in found.runs] == [one.settings for one in group.runs]
    assert {one.visitor for one in found.runs} == {"ada"}
    if kind == "sweep":
        settings = groups.sweep_settings(other, found.id)
        work = Sweep(settings, RECIPES["nice"], other, "ada")
        assert work.group == found.id and counts(work.state())["left"] == 0
        return
    there, here = (Contest.open(one.id, seen(kept), RECIPES)
                   for kept, one in ((other, found), (store, group)))
    assert there.table() == here.table() and there.visitor == "ada" and there.id != here.id
    assert [run.curve for run in there.trial_runs] == [run.curve for run in here.trial_runs]


def seen(store: Store) -> SimpleNamespace:
    return SimpleNamespace(store=store, group=lambda name: {}, trouble=lambda run_id: "")


@pytest.mark.parametrize(("change", "words"), [
    ({"group.json": b"{}"}, "group.json"), ({"runs/other.txt": b"?"}, "damaged"),
    ({"group.json": b'{"format": "flowlab-group-9", "name": "a"}'}, "flowlab-group-1"),
    ({"runs/nice-moons-a.flowlab.zip": b"PK"}, "not a run that Flow Lab exported"),
])
def test_of_a_damaged_group_nothing_is_stored(store, tmp_path, change, words):
    with zipfile.ZipFile(io.BytesIO(groups.export(store, listed(store)["sweep"]))) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    changed = io.BytesIO()
    with zipfile.ZipFile(changed, "w") as file:
        for name, content in (parts | change).items():
            file.writestr(name, content)
    other = Store(tmp_path / "other")
    with pytest.raises(ValueError, match=words) as error:
        groups.take(other, changed.getvalue())
    assert "\n" not in str(error.value) and not other.runs()
    assert not list(other.folder.glob("*/*"))


def test_a_single_run_is_imported_by_the_same(store):
    run = store.runs()[0]
    assert groups.take(store, pack(store, run.id)) == run.name


def test_a_random_search_whose_settings_are_not_stored_is_not_guessed(store):
    for seed, rate in enumerate((0.001, 0.002, 0.003)):
        run = made.settings(couplings=2 + seed, learning_rate=rate)
        store.end(store.begin(run, origin="sweep", name="search: couplings",
                              group=group_of("search", "nice", "")), "finished")
    assert groups.sweep_settings(store, group_of("search", "nice", "")) is None


def test_a_group_is_renamed_and_deleted_with_its_runs(store):
    sweep = listed(store)["sweep"]
    groups.rename(store, sweep, " depth \n and rate ")
    assert listed(store)["sweep"].name == "depth and rate"
    with pytest.raises(ValueError, match="1 to 120"):
        groups.rename(store, sweep, " ")
    before = len(store.runs())
    store.begin(sweep.runs[0].settings, run_id=sweep.runs[0].id)
    with pytest.raises(ValueError, match="under way"):
        groups.delete(store, sweep)
    store.end(sweep.runs[0].id, "stopped")
    for group in listed(store).values():
        groups.delete(store, group)
    assert not listed(store) and len(store.runs()) == before - 6
    assert not store.choice(f"name:{sweep.id}")


def test_a_sweep_opens_with_its_settings(store):
    settings = SweepSettings(name="new", model="nice", sweep={"couplings": (2, 4)})
    work = Sweep(settings, RECIPES["nice"], store)
    store.choose(work.group, settings.model_dump_json())
    assert groups.sweep_settings(store, work.group) == settings
