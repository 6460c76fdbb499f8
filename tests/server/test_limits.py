"""What an operator sets: read, refused, and told in one sentence."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import jobs_functions as jobs
import numpy as np
import pytest
import runs_helpers as made
from limited import limited

from flowlab.commands import train
from flowlab.data import store
from flowlab.jobs import Local
from flowlab.runs import Recorder, Store
from flowlab.server import admission
from flowlab.server.limits import PREFIX, VARIABLE, Exceeded, Limits, limits
from flowlab.training.metrics import parameter_count
from models import RECIPES

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def no_workers_limit(monkeypatch):
    monkeypatch.delenv("FLOWLAB_MAX_WORKERS", raising=False)


def read(environment: dict[str, str]) -> Limits:
    with mock.patch.dict(os.environ, environment):
        return Limits.read()


def written(folder: Path, text: str) -> dict[str, str]:
    (folder / "limits.toml").write_text(text, "utf-8")
    return {VARIABLE: str(folder / "limits.toml")}


def test_nothing_said_is_nothing_limited():
    found = read({})
    assert found == Limits() and not found.shared
    assert [getattr(found, n) for n in ("max_runs", "max_workers", "max_seconds", "max_epochs",
                                        "max_parameters", "max_disk")] == [None] * 6


def test_the_environment_goes_before_the_file(tmp_path):
    named = written(tmp_path, "shared = true\nmax_runs = 3\nmax_seconds = 90\n")
    found = read({**named, "FLOWLAB_MAX_RUNS": "5", "FLOWLAB_MAX_EPOCHS": " 7 ",
                         "FLOWLAB_MAX_DISK": "", "FLOWLAB_RUNS": "a/folder"})
    assert found == Limits(shared=True, max_runs=5, max_seconds=90, max_epochs=7)


@pytest.mark.parametrize(("text", "words"), [
    ("max_run = 3", "no limit called max_run"), ("max_runs = 0", "max_runs is 0"),
    ("max_runs = ", "not written as TOML"), ("shared = 'perhaps'", "shared is 'perhaps'"),
    ("max_seconds = inf", "max_seconds is inf"),
])
def test_a_bad_file_gets_one_sentence(tmp_path, text, words):
    with pytest.raises(ValueError, match=words) as error:
        read(written(tmp_path, text))
    assert "limits.toml" in str(error.value) and "\n" not in str(error.value)


def test_a_bad_variable_and_a_missing_file_get_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="FLOWLAB_MAX_EPOCHS is 'many'"):
        read({"FLOWLAB_MAX_EPOCHS": "many"})
    with pytest.raises(ValueError, match=VARIABLE):
        read({VARIABLE: str(tmp_path / "none.toml")})
    (tmp_path / "large.toml").write_text("#" * 200_000)
    with pytest.raises(ValueError, match="too large"):
        read({VARIABLE: str(tmp_path / "large.toml")})


@pytest.mark.thorough
def test_the_command_says_what_holds_or_what_is_wrong():
    def said(value: str) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, "-m", "flowlab.limits"], cwd=ROOT, text=True,
                              capture_output=True, env={**os.environ, "FLOWLAB_MAX_EPOCHS": value})
    good, bad = said("30"), said("no")
    assert good.returncode == 0 and re.search(r"^max_epochs +30 epochs$", good.stdout, re.M)
    assert bad.returncode == 2 and bad.stderr.count("\n") == 1
    assert "FLOWLAB_MAX_EPOCHS" in bad.stderr


def test_the_example_has_every_limit(tmp_path):
    text = (ROOT / "limits.example.toml").read_text("utf-8")
    assert read(written(tmp_path, text)) == Limits()
    named = re.findall(r"^#(\w+) = ", text, re.M)
    assert named == list(Limits.model_fields)
    found = read(written(tmp_path, re.sub(r"^#(?=\w+ = )", "", text, flags=re.M)))
    assert found.shared and all(getattr(found, name) for name in named)


def test_the_docs_have_every_limit_with_its_default():
    page = (ROOT / "docs/source/howto/class.rst").read_text("utf-8")
    for name, field in Limits.model_fields.items():
        row = re.search(rf"^   \* - ``{name}``\n     - (.*)\n", page, re.M)
        default = field.default if field.default is not None else row and row[1]
        assert row and str(default).lower().removesuffix(".0") in row[1].lower(), name
    assert f"``{PREFIX}" in page and f"``{VARIABLE}``" in page


def test_too_many_epochs_and_parameters_are_refused():
    settings = made.settings(epochs=40)
    admission.check(settings)
    size = sum(p.numel() for p in RECIPES["nice"].model(**dict(settings.flow)).parameters())
    assert parameter_count(settings.flow) == size
    with limited(max_epochs=39):
        with pytest.raises(Exceeded, match=r"40 epochs, and the limit .* 39 epochs \(max_epochs\)"):
            admission.check(settings)
        admission.check(settings, epochs=False)
        admission.check(made.settings(optimiser_steps=39, points=100, batch_size=100))
        for more, words in (({"optimiser_steps": 40}, "40 steps, which are 40 epochs"),
                            ({"seconds": 5}, "5 seconds, and the limit .*: ask for epochs")):
            with pytest.raises(Exceeded, match=words):
                admission.check(made.settings(points=100, batch_size=100, **more))
    with limited(max_epochs=1, max_seconds=5):
        admission.check(made.settings(seconds=5))
        with pytest.raises(Exceeded, match=r"6 seconds, and the limit .* 5 seconds"):
            admission.check(made.settings(seconds=6))
    with limited(max_epochs=40, max_parameters=size):
        admission.check(settings)
    with limited(max_parameters=size - 1), pytest.raises(Exceeded, match=f"{size:,} parameters"):
        admission.check(settings)


def test_images_are_counted_in_their_own_shape():
    settings = RECIPES["glow"].Run.from_flat({"data": "digits", "hidden_channels": 8})
    with limited(max_parameters=1), pytest.raises(Exceeded) as error:
        admission.check(settings)
    assert "max_parameters" in str(error.value)


def test_more_runs_than_allowed_are_refused():
    admission.check_count(1000, 1000)
    with limited(max_runs=3):
        admission.check_count(1, 2)
        with pytest.raises(Exceeded, match=r"You have 3 .* 3 runs \(max_runs\): wait, or stop one"):
            admission.check_count(1, 3)
        with pytest.raises(Exceeded, match="4 trainings at once, .*take fewer"):
            admission.check_count(4, 0)
        with pytest.raises(Exceeded, match="2 trainings besides your 2 under way"):
            admission.check_count(2, 2)


def test_a_full_disk_starts_nothing_and_the_limit_is_the_budget(tmp_path):
    kept = Store(tmp_path)
    kept.quota = 50_000_000
    with limited(max_disk=20):
        limited_store = admission.store(tmp_path)
        assert limited_store.quota == 20_000_000
        with pytest.raises(ValueError, match=r"20 MB \(max_disk\)"):
            limited_store.quota = 30_000_000
        admission.check_quota(19_000_000)
        with pytest.raises(Exceeded, match=r"21 MB on disk, .* 20 MB \(max_disk\)"):
            admission.check_quota(21_000_000)
    assert admission.store(tmp_path).quota == kept.quota == 50_000_000


def test_own_data_have_their_room(tmp_path, monkeypatch):
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "own"))
    monkeypatch.setattr(train, "MEGA", 1)
    np.save(tmp_path / "points.npy", np.random.default_rng(0).normal(size=(50, 2)))
    with limited(max_own_data=100):
        train.kept_file(str(tmp_path / "points.npy"), "index")
    assert list((tmp_path / "own").iterdir()) == []


def test_workers_and_seconds_reach_the_engine():
    with limited(max_workers=1, max_seconds=77), admission.engine() as runner:
        assert runner._pool.workers == 1 and runner._pool.queue.seconds == 77
        assert limits().max_workers == 1
    with limited(max_workers=1), admission.engine(workers=2) as runner:
        assert runner._pool.workers == 2 and runner._pool.queue.seconds is None


def test_a_run_that_takes_too_long_is_stopped_with_what_it_has():
    with Local(workers=1, seconds=0.3) as runner:
        long, paused = runner.submit(jobs.forever, 0.01), runner.submit(jobs.forever, 0.01)
        runner.control(paused, "pause")
        deadline = time.monotonic() + 60
        while any(runner.status(run).active for run in (long, paused)):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        for run in (long, paused):
            status = runner.status(run)
            assert status.state == "stopped" and status.late
            assert "0.3 s" in status.message and "max_seconds" in status.message
        assert runner.events(long)
        short = runner.submit(jobs.count, 3)
        while runner.status(short).active:
            time.sleep(0.02)
        assert runner.status(short).state == "finished" and not runner.status(short).late


@pytest.mark.thorough
def test_a_training_that_takes_too_long_keeps_its_weights(tmp_path):
    from flowlab.live import Request, watch
    settings, kept = made.settings(epochs=10_000), Store(tmp_path)
    with Local(workers=1, preload=("models", "flowlab.live"), seconds=1.5) as runner:
        recorder = Recorder(runner, kept)
        run_id = recorder.follow(runner.submit(watch, Request(
            RECIPES["nice"].train, settings)), settings)
        assert recorder.done(run_id, 120)
        recorder.close()
    run = kept.get(run_id)
    assert run.outcome == "stopped" and "max_seconds" in run.reason
    assert kept.flow(run_id) is not None and run.numbers["step"] > 0
