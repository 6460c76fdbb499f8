"""Some hundred hostile inputs of each kind; ``make fuzz N=100000`` feeds many."""

import csv
import io
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
from hypothesis import given
from hypothesis import strategies as some

from flowlab.data.uploads.albums import read_images
from flowlab.data.uploads.table import UploadedTable, is_stack, read_npy, read_text
from flowlab.flow import Flow
from flowlab.flow_files import FORMAT
from flowlab.runs import Store
from flowlab.settings import RunSettings
from flowlab.studies.sweep import SweepSettings
from flowlab.studies.sweep.plan import points
from flowlab.training.checkpoint import Snapshot
from flowlab.ui.compare import controls
from flowlab.ui.controls import validation
from fuzz import corpus
from models import RECIPES

INPUTS = 280
KINDS = ["address", "settings", "csv", "npy", "picture", "zip", "safetensors", "run"]


@pytest.mark.thorough
def test_hostile_input_is_refused_with_a_sentence_or_is_good():
    file = Path(__file__).with_name("hostile.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rP", "-W", "ignore", "--capture=sys",
         f"{file}::test_input_is_refused_with_a_sentence_or_is_good"],
        env=os.environ | {"N": str(INPUTS)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.findall(r"^(\w+): (\d+) accepted, (\d+) refused", done.stdout, re.MULTILINE)
    assert [kind for kind, *_ in found] == KINDS
    for _, accepted, refused in found:
        assert int(accepted) + int(refused) == INPUTS
        assert int(accepted) > 0 and int(refused) > 0


@given(some.lists(some.lists(some.floats(-1e30, 1e30), min_size=3, max_size=3), min_size=1,
                  max_size=30))
def test_numbers_written_as_csv_are_read_as_they_were(rows):
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    table = read_text(file.getvalue().encode())
    assert np.array_equal(table.values, rows)


def test_columns_of_the_smallest_numbers_are_points_or_constant():
    for unit in (1e-160, 1e-200, 1e-310):
        values = np.stack([np.arange(12.0) * unit, np.arange(12) % 5], axis=1)
        found, _ = UploadedTable(("x", "y"), values, np.arange(12)).points((0, 1))
        assert np.isfinite(found).all() and found[:, 0].std() == pytest.approx(1)
    values[:, 0] = np.arange(12) % 2 * 5e-324
    with pytest.raises(ValueError, match="Column x holds the same number"):
        UploadedTable(("x", "y"), values, np.arange(12)).points((0, 1))


@pytest.mark.parametrize("method", [corpus.zipfile.ZIP_BZIP2, corpus.zipfile.ZIP_LZMA])
def test_a_zip_packed_by_a_method_that_makes_bombs_is_not_unpacked(method):
    with pytest.raises(ValueError, match="compressed with (bzip2|LZMA)"):
        read_images(corpus.packed(corpus.album(), method), "zip", 8)


def test_a_million_files_are_refused_before_they_are_listed():
    entry = b"PK\x01\x02" + bytes(42)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0, 0, 46 * 30_000, 0, 0)
    with pytest.raises(ValueError, match="too many files"):
        read_images(entry * 30_000 + end, "zip", 8)


def test_a_file_of_a_zip_may_have_no_name():
    packed = corpus.packed({"?a.png": b"", **corpus.album()})
    images, notes = read_images(packed.replace(b"?a.png", b"\0a.png"), "zip", 8)
    assert len(images) == len(corpus.album()) and notes[1].startswith("Left out: 1 ")


def test_a_long_header_of_no_python_is_not_parsed(monkeypatch):
    content = corpus.npy_header("{'shape': " + "(" * 8000)
    parsed = []
    with monkeypatch.context() as patched:
        patched.setattr("tokenize.generate_tokens", lambda line: parsed.append(line) or ())
        assert not is_stack(content)
        with pytest.raises(ValueError, match="damaged"):
            read_npy(content)
    assert not parsed


@pytest.mark.parametrize("name", ["N\0ICE", "1" * 9999, "\u202e"])
def test_a_model_that_a_file_names_can_stand_in_a_sentence(tmp_path, name):
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors.torch.save({}, {"format": FORMAT, "model": name}))
    with pytest.raises(ValueError, match="not an imported Flow") as caught:
        Flow.load(path)
    told = str(caught.value).removeprefix(str(path))
    assert told.isprintable() and len(told) < 200


def test_a_flow_is_compared_with_its_file_before_it_takes_memory(tmp_path, monkeypatch):
    path = tmp_path / "x.safetensors"
    path.write_bytes(corpus.huge())
    monkeypatch.setattr("torch.nn.Module.to", lambda *_: pytest.fail("it was built"))
    with pytest.raises(ValueError, match="complete RealNVP"):
        Flow.load(path)


def test_numbers_of_a_checkpoint_are_numbers(tmp_path):
    path = tmp_path / "x.safetensors"
    first = len(corpus.flows()) + 1  # after the flows and a good checkpoint
    for content in corpus.safetensors()[first:first + 4]:
        path.write_bytes(content)
        with pytest.raises(ValueError, match="no complete checkpoint"):
            Snapshot.load(path)


def test_settings_nested_deep_are_no_settings():
    for text in ("[" * 10**5, '{"model":' * 10**5):
        with pytest.raises(ValueError, match="not the settings of a run"):
            RunSettings.read(text)


def test_a_url_of_many_names_gets_one_complaint():
    texts = {f"x{i}\n[a](b)": "1" for i in range(20_000)}
    for _, complaints in (validation.read(RECIPES["nice"].Run, texts | {"hidden": "1," * 10**6}),
                          controls.read(texts | {"models": "nice;" * 10**5}, RECIPES)):
        assert len(complaints) == 2 and all(c.isprintable() for c in complaints)


def test_an_id_that_is_no_text_finds_no_run(tmp_path):
    assert Store(tmp_path).get("\ud800") is None


def test_a_long_name_of_no_target_is_cut():
    _, complaints = controls.read({"data": "rings" * 99}, RECIPES)
    assert len(complaints) == 1 and "ringsrings" in complaints[0] and len(complaints[0]) < 400


def test_a_table_of_too_many_cells_is_refused_before_it_is_split(monkeypatch):
    monkeypatch.setattr("flowlab.data.uploads.texts.Column", lambda *_: pytest.fail("too late"))
    with pytest.raises(ValueError, match="more than 5,000,000 numbers"):
        read_text((b"," * 60 + b"\n") * 90_000)


def test_a_sweep_of_numbers_without_end_gets_one_sentence(tmp_path):
    sweep = SweepSettings(model="nice", sweep={"couplings": {"low": -1e308, "high": 1e308}})
    with pytest.raises(ValueError, match="couplings"):
        points(sweep, RECIPES["nice"].Run)
    (tmp_path / "s.toml").write_text("a = " + "[" * 50_000)
    with pytest.raises(ValueError, match="TOML"):
        SweepSettings.read(tmp_path / "s.toml")
