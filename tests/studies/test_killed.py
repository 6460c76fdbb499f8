"""A command that is killed in the midst of its work and started again loses nothing."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import models  # noqa: F401  whose settings runs are read with
from flowlab.runs import Run, Store

ROOT = Path(__file__).parents[2]
EPOCHS, BATCHES = 300, (400, 4)  # one training is over while the other has just begun
SWEEP = f"""
model = "nice"
[settings]
hidden = [4]
couplings = 2
points = 500
epochs = {EPOCHS}
[sweep]
batch_size = [{BATCHES[0]}, {BATCHES[1]}]
"""
COMPARISON = ["--models", ";".join(f"nice:hidden=4:couplings=2:batch_size={batch}"
                                   for batch in BATCHES),
              "--points", "500", "--amount", str(EPOCHS), "--csv", "table.csv"]


def started(store: Store, folder: Path, *command: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", *command, "--workers", "2"], cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "FLOWLAB_RUNS": str(store.folder)})


def by_batch(store: Store) -> dict[int, Run]:
    return {run.settings.training.batch_size: run for run in store.runs()}


@pytest.mark.thorough
@pytest.mark.quick("comparison")
@pytest.mark.parametrize("command", [["flowlab.sweep", "sweep.toml"],
                                     ["flowlab.comparison", *COMPARISON]],
                         ids=["sweep", "comparison"])
def test_a_command_that_is_killed_goes_on(tmp_path, command):
    store, measured = Store(tmp_path / "runs"), command[0] == "flowlab.comparison"
    (tmp_path / "sweep.toml").write_text(SWEEP)
    first = started(store, tmp_path, *command)
    while True:
        assert first.poll() is None, first.stdout.read()
        runs = by_batch(store)
        if len(runs) == 2:
            short, long = (runs[batch] for batch in BATCHES)
            if short.complete and (store.measured(short.id) or not measured) and (
                    store.snapshot(long.id) is not None):
                break
        time.sleep(0.02)
    first.kill()
    first.communicate()
    left = store.get(long.id)
    reached, record = store.snapshot(long.id).epoch, store.measured(short.id)
    assert left.outcome == "interrupted" and 1 <= reached < EPOCHS and bool(record) == measured
    again = started(store, tmp_path, *command)
    said = again.communicate()[0]
    assert again.returncode == 0, said
    assert ("1 of 2 trainings are measured already" if measured
            else "2 runs, 1 of them trained already") in said
    ended = by_batch(store)
    assert len(store.runs()) == 2 and ended[BATCHES[0]].id == short.id
    assert (ended[BATCHES[0]].ended, store.measured(short.id)) == (short.ended, record)
    one = ended[BATCHES[1]]
    assert (one.id, one.created, one.outcome) == (long.id, long.created, "finished")
    assert [e.epoch for e in store.epochs(long.id)] == list(range(1, EPOCHS + 1))
    assert bool(store.measured(long.id)) == measured
    table = tmp_path / ("table.csv" if measured else "sweep.csv")
    assert len(table.read_text().splitlines()) == 3
