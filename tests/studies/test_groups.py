"""Comparisons and sweeps as groups of runs: listed, named, exported and deleted."""

import io
import json
import zipfile
from pathlib import Path

import pytest

from flowlab.runs import Store
from flowlab.studies import groups
from flowlab.studies.sweep import Sweep, SweepSettings
from models import RECIPES

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def store(tmp_path):
    with zipfile.ZipFile(DATA / "earlier-store.zip") as file:
        file.extractall(tmp_path)
    return Store(tmp_path)


def listed(store: Store) -> dict[str, groups.Group]:
    return {group.kind: group for group in groups.groups(store, store.runs())}


def test_comparisons_and_sweeps_of_an_earlier_version_are_listed_and_exported(store):
    ids = json.loads((store.folder / "ids.json").read_text("utf-8"))
    found = listed(store)
    assert found["comparison"].id == ids["comparison"] and not found["comparison"].runs
    assert found["comparison"].name == "NICE and real and nice on moons on moons"
    assert (found["sweep"].name, len(found["sweep"].runs)) == ("kept", 2)
    names = {kind: zipfile.ZipFile(io.BytesIO(groups.export(store, group))).namelist()
             for kind, group in found.items()}
    assert "comparison/comparison.json" in names["comparison"]
    assert len([name for name in names["comparison"] if name.endswith(".npz")]) == 4
    assert len(names["sweep"]) == 2 and all("nice-moons" in name for name in names["sweep"])
    assert groups.sweep_settings(store, found["sweep"].id) is None


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
    assert not listed(store) and len(store.runs()) == before - 2
    assert not store.choice(f"name:{sweep.id}")


def test_a_sweep_opens_with_its_settings(store):
    settings = SweepSettings(name="new", model="nice", sweep={"couplings": (2, 4)})
    work = Sweep(settings, RECIPES["nice"], store)
    store.choose(work.group, settings.model_dump_json())
    assert groups.sweep_settings(store, work.group) == settings
