"""A run as one file: there and back, a file of this version, and files that are refused."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import runs_helpers as made
import torch
from safetensors.torch import save, save_file

from flowlab.flow import Flow
from flowlab.runs import Store, pack, unpack
from flowlab.runs.database import FORMAT, VERSION
from nice import NICE

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


@pytest.fixture
def bundle(store):
    """A run's file, as its members."""
    settings = made.settings()
    run_id = store.begin(settings, name="to travel", origin="command")
    store.record(run_id, made.frames(settings))
    store.end(run_id, "finished", steered=True)
    return members(pack(store, run_id))


def members(content):
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return {name: file.read(name) for name in file.namelist()}


def zipped(parts):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as bundle:
        for name, content in parts.items():
            bundle.writestr(name, content)
    return file.getvalue()


def test_there_and_back(store, bundle, tmp_path):
    assert sorted(bundle)[:4] == [f"frames/0000000{n}0.png" for n in (1, 2, 3, 4)]
    assert set(bundle) >= {"run.json", "metrics.csv", "weights.safetensors"}
    other = Store(tmp_path / "other")
    run_id = unpack(other, zipped(bundle))
    old, new = store.runs()[0], other.get(run_id)
    for name in ("name", "text", "versions", "created", "ended", "outcome", "numbers", "steered",
                 "continued", "pictures"):
        assert getattr(new, name) == getattr(old, name), name
    assert new.origin == "import" and new.id != old.id
    assert other.epochs(run_id) == store.epochs(old.id)
    there, here = other.frames(run_id), store.frames(old.id)
    assert [f.png for f in there] == [f.png for f in here]
    assert made.same_flow(there[-1], here[-1])
    again = members(pack(other, run_id))
    assert again.keys() == bundle.keys()
    assert all(again[name] == bundle[name] for name in bundle if name != "weights.safetensors")


def test_a_file_of_every_version_is_here():
    found = {path.name for path in DATA.glob("flowlab-run-*.zip")}
    assert found == {f"flowlab-run-{n}.zip" for n in range(1, int(FORMAT.rpartition("-")[2]) + 1)}
    # Those of the database that this version makes need no file.
    assert {f"runs-{n}.sqlite" for n in range(1, VERSION)} <= {p.name for p in DATA.iterdir()}


@pytest.mark.parametrize("path", sorted(DATA.glob("flowlab-run-*.zip")), ids=lambda p: p.stem)
def test_a_file_of_every_version_is_read(store, path):
    run = store.get(unpack(store, path.read_bytes()))
    version = path.stem.rpartition("-")[2]
    assert (run.name, run.outcome, run.model, run.data) == (f"a file of version {version}",
                                                            "finished", "nice", "moons")
    assert run.settings.flow.hidden == (8, 8) and run.numbers["kl"] == pytest.approx(0.6)
    assert [e.epoch for e in store.epochs(run.id)] == [1, 2, 3, 4]
    assert store.flow(run.id).sample(3).shape == (3, 2) and run.pictures == 4


@pytest.mark.parametrize("path", sorted(DATA.glob("runs-*.sqlite")), ids=lambda p: p.stem)
def test_a_database_of_every_version_is_read_and_goes_on(tmp_path, path):
    shutil.copy(path, tmp_path / "runs.sqlite")
    store = Store(tmp_path)
    run, = store.runs()
    assert (run.name, run.outcome, run.pinned) == ("kept long ago", "finished", True)
    assert run.settings.flow.hidden == (8, 8) and run.numbers["kl"] == pytest.approx(0.6)
    assert [e.epoch for e in store.epochs(run.id)] == [1, 2, 3, 4]
    new = made.kept(store)
    assert {r.id for r in Store(tmp_path).runs()} == {run.id, new}


#: What the exported scripts printed last in the version that exported them.
EXPORTED = {"1-nice": 2.418589, "1-realnvp": 2.002151, "1-glow": 1.939460}


@pytest.mark.thorough
@pytest.mark.parametrize("name", EXPORTED)
def test_an_exported_script_of_every_version_repeats_its_run(tmp_path, name):
    done = subprocess.run([sys.executable, DATA / "exported" / f"{name}.py"], text=True,
                          capture_output=True, cwd=tmp_path,
                          env={**os.environ, "PYTHONPATH": str(DATA.parents[1])})
    assert done.returncode == 0, done.stderr
    last = float(re.search(r"epoch 2: .* test ([\d.]+) nats", done.stdout)[1])
    assert last == pytest.approx(EXPORTED[name], abs=1e-4)
    file, = tmp_path.glob("*-weights.safetensors")
    assert Flow.load(file).sample(3).shape == (3, 2)


def test_weights_of_a_newer_version_are_named(tmp_path):
    path = tmp_path / "flow.safetensors"
    save_file({"a": torch.zeros(1)}, path, {"format": "flowlab-2"})
    with pytest.raises(ValueError, match="newer Flow Lab"):
        Flow.load(path)
    save_file({"a": torch.zeros(1)}, path, {"format": "other-2"})
    with pytest.raises(ValueError, match="does not hold what is expected"):
        Flow.load(path)


def header(**changes):
    return lambda parts: parts | {"run.json": json.dumps(
        json.loads(parts["run.json"]) | changes).encode()}


def part(name, content):
    return lambda parts: parts | {name: content}


def moment(**changes):
    def change(parts):
        told = json.loads(parts["run.json"])
        told["moments"][-1]["numbers"].update(changes)
        return parts | {"run.json": json.dumps(told).encode()}
    return change


def without(name):
    return lambda parts: {k: v for k, v in parts.items() if k != name}


def of_type(dtype):
    return lambda parts: parts | {
        "weights.safetensors": NICE(**dict(made.settings().flow)).to(dtype).to_bytes()}


@pytest.mark.parametrize(("change", "words"), [
    (part("../evil.png", b"x"), "nothing else"),
    (part("/etc/evil", b"x"), "nothing else"),
    (part("frames/../../000000010.png", b"x"), "nothing else"),
    (part("frames\\000000010.png", b"x"), "nothing else"),
    (part("frames/000000010.svg", b"<svg/>"), "nothing else"),
    (part("run.pkl", b"x"), "nothing else"),
    (part("frames/000000099.png", made.picture()), "does not mention"),
    (part("frames/000000040.png", b"no picture"), "picture"),
    (part("frames/000000040.png", made.picture(4001)), "larger than 4000 pixels"),
    (part("frames/000000040.png", bytes(5_000_001)), "too large"),
    (without("run.json"), "one run.json"),
    (without("metrics.csv"), "one run.json"),
    (part("run.json", b"[1"), "run.json"),
    (part("run.json", b'{"x": ' * 9999), "run.json"),
    (header(format="flowlab-run-2"), "newer Flow Lab: update"),
    (header(format="flowlab-run-999", moments={"of": "another shape"}), "newer Flow Lab: update"),
    (header(format="flowlab-run-0"), "format"),
    (header(format=2), "format"),
    (header(name=""), "name"),
    (header(surprise=1), "surprise"),
    (header(settings={"model": "bend"}), "nice"),
    (header(settings={"model": "nice", "training": {"epochs": 0}}), "epochs is 0"),
    (header(settings={"model": "glow"}), "another flow"),
    (header(outcome="won"), "outcome"),
    (header(created=-1), "created"),
    (moment(epochs=0), "epochs is 0"),
    (moment(step="1; DROP TABLE runs"), "step"),
    (moment(reason="x" * 2000), "reason"),
    (part("metrics.csv", b"a,b\n1,2\n"), "heading"),
    (part("metrics.csv", b"epoch,step,seconds,train_nll_nats,test_nll_nats,kl_nats\n1,x,,,,\n"),
     "metrics.csv"),
    (part("metrics.csv", b"\xff\xfe"), "metrics.csv"),
    (part("weights.safetensors", b"\x80\x04pickle"), "weights"),
    (part("weights.safetensors", save({})), "weights"),
    (of_type(torch.float8_e4m3fn), "weights in this file cannot be read"),
])
def test_what_is_not_as_it_should_be_is_refused(store, bundle, change, words):
    before = len(store.runs()), sorted(store.folder.rglob("*/*"))
    with pytest.raises(ValueError, match=words) as caught:
        unpack(store, zipped(change(bundle)))
    assert str(caught.value).count("\n") == 0
    assert (len(store.runs()), sorted(store.folder.rglob("*/*"))) == before


def test_other_files_are_refused(store, bundle):
    for content in (b"", b"PK", b"\x80\x04.", zipped(bundle)[:-30], bytes(1000)):
        with pytest.raises(ValueError, match="not a run that Flow Lab exported"):
            unpack(store, content)
    damaged = bytearray(zipped(bundle))
    damaged[200] ^= 255
    with pytest.raises(ValueError):
        unpack(store, bytes(damaged))


def test_markup_in_names_and_reasons_is_taken_out(store, bundle):
    evil = "![x](https://example.org) <b>$x$</b> `"
    run = store.get(unpack(store, zipped(header(name=evil, reason=evil)(bundle))))
    assert not set("[]<>$`!") & set(run.name + run.reason)
