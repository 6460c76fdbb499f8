"""Sweeps: what they train, that they go on after a stop, and their table and pictures."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import runs_helpers as made

from flowlab import figures
from flowlab.commands.sweep import main
from flowlab.runs import Store
from flowlab.studies.sweep import Range, Sweep, SweepSettings, points
from flowlab.studies.sweep.work import counts
from models import RECIPES

NICE = RECIPES["nice"]
SMALL = {"hidden": (8,), "points": 200, "epochs": 2}
ROOT = Path(__file__).parents[2]


def sweep(store=None, **values):
    given = {"model": "nice", "settings": SMALL, "sweep": {"couplings": (2, 4)}, **values}
    return Sweep(SweepSettings(**given), RECIPES[given["model"]], store)


def test_a_grid_has_every_combination():
    found = points(SweepSettings(model="nice", seeds=2, settings=SMALL, sweep={
        "couplings": (2, 4, 8), "learning_rate": Range(low=1e-4, high=1e-2, count=3, log=True)}),
        NICE.Run)
    assert len(found) == 18 and len({p.settings.model_dump_json() for p in found}) == 18
    assert {p.values["learning_rate"] for p in found} == {1e-4, 1e-3, 1e-2}
    assert {p.seed for p in found} == {0, 1} == {p.settings.training.seed for p in found}
    assert all(p.settings.flow.couplings == p.values["couplings"] for p in found)
    assert all(p.settings.training.epochs == 2 for p in found)


def test_a_random_search_is_within_bounds_and_repeats():
    settings = SweepSettings(model="realnvp", search="random", trials=40, seed=3, sweep={
        "couplings": Range(low=2, high=16), "hidden": ((8, 8), (16,)), "data": ("moons", "rings"),
        "learning_rate": Range(low=1e-4, high=1e-2, log=True)})
    found, again = (points(settings, RECIPES["realnvp"].Run) for _ in range(2))
    assert found == again and len(found) == 40
    rates = np.array([p.values["learning_rate"] for p in found])
    assert 1e-4 <= rates.min() < 1e-3 < rates.max() <= 1e-2
    assert {p.values["couplings"] for p in found} <= set(range(2, 17))
    assert {p.values["hidden"] for p in found} == {(8, 8), (16,)}
    assert points(settings.model_copy(update={"seed": 4}), RECIPES["realnvp"].Run) != found


def test_whole_numbers_that_fall_together_are_trained_once():
    found = points(SweepSettings(model="nice", sweep={
        "couplings": Range(low=2, high=4, count=9)}), NICE.Run)
    assert [p.values["couplings"] for p in found] == [2, 3, 4]


@pytest.mark.parametrize(("text", "words"), [
    ("[sweep]\ncouplings = [999]", "couplings is 999"),
    ("[sweep]\nwings = [1]", "no setting called wings"),
    ("[sweep]\nseed = [1, 2]", "set seeds"),
    ("[sweep]", "one to eight"),
    ("[sweep]\ncouplings = []", "sweep"),
    ("[sweep]\nlearning_rate = {low = 1, high = 0.1}", "low should be less"),
    ("[sweep]\nlearning_rate = {low = 0.0, high = 0.1, log = true}", "above 0"),
    ("[sweep]\ncouplings = {low = 1, high = 64, count = 64}\n"
     "batch_size = {low = 1, high = 999, count = 99}", "6,336 runs"),
    ("[settings]\nseconds = 5\n[sweep]\nepochs = [1, 2]", "one budget"),
    ("[sweep]\nepochs = [1, 2]\noptimiser_steps = [10, 20]", "one budget"),
    ("seeds = 0\n[sweep]\ncouplings = [1]", "seeds is 0"),
    ("wings = 2\n[sweep]\ncouplings = [1]", "wings"),
    ("model = 'bend'\n[sweep]\ncouplings = [1]", "nice, realnvp, glow"),
    ("[settings]\ndata = 3\n[sweep]\ncouplings = [1]", "data is 3"),
    ("couplings = [", "TOML"),
])
def test_what_is_wrong_in_a_file_gets_one_sentence(text, words, tmp_path, capsys):
    path = tmp_path / "sweep.toml"
    path.write_text(text)
    assert main([str(path)]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1 and "Traceback" not in error
    assert main([str(tmp_path / "none.toml")]) == 2


def test_a_sweep_written_as_toml_is_the_same_sweep(tmp_path):
    settings = SweepSettings(name='a "name"', model="glow", search="random", trials=7, seeds=3,
                             settings={"data": "moons", "hidden": (8, 8)}, sweep={
                                 "steps": (2, 4), "activation": ("relu", "tanh"),
                                 "learning_rate": Range(low=1e-4, high=1, log=True)})
    path = tmp_path / "sweep.toml"
    path.write_text(settings.toml(), "utf-8")
    assert SweepSettings.read(path) == settings


STARTED = """
import sys, time, models
from pathlib import Path
from flowlab.jobs import Local
from flowlab.runs import Recorder, Store
from flowlab.studies.sweep import Sweep, SweepSettings
if __name__ == "__main__":
    engine, store = Local(workers=1, preload=("models", "flowlab.live")), Store()
    work, recorder = Sweep(SweepSettings.read(Path(sys.argv[1])), models.RECIPES["nice"], store), (
        Recorder(engine, store))
    short, long = work.start(recorder)
    while not any(frame.moment.epoch for frame in recorder.frames(long)):
        time.sleep(0.01)
    engine.control(long, "pause")  # in the middle, however quick the machine
    while store.snapshot(long) is None or not store.get(short).complete:
        time.sleep(0.01)
    print("killed here", flush=True)
    time.sleep(3600)
"""


@pytest.mark.thorough
def test_killed_and_started_again_it_trains_only_what_is_left(tmp_path, monkeypatch, capsys):
    path, script, store = tmp_path / "e.toml", tmp_path / "start.py", Store(tmp_path / "runs")
    monkeypatch.setenv("FLOWLAB_RUNS", str(store.folder))
    path.write_text('model = "nice"\nname = "lengths"\n[settings]\nhidden = [8]\npoints = 200\n'
                    'batch_size = 20\ncouplings = 2\n[sweep]\nepochs = [2, 150]\n')
    script.write_text(STARTED)
    first = subprocess.Popen([sys.executable, str(script), str(path)], stdout=subprocess.PIPE,
                             text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert first.stdout.readline() == "killed here\n"
    first.kill()
    first.communicate()
    work = Sweep(SweepSettings.read(path), NICE, store)
    short, long = (t.run for t in work.state())
    assert short.complete and long.outcome == "interrupted"
    assert 1 <= store.snapshot(long.id).epoch < 150
    assert main([str(path), "--workers", "1"]) == 0
    said = capsys.readouterr().out
    assert "2 runs, 1 of them trained already" in said and "best kl" in said
    again, ended = (t.run for t in work.state())
    assert (again.id, again.ended) == (short.id, short.ended)
    assert (ended.id, ended.created, ended.outcome) == (long.id, long.created, "finished")
    assert [e.epoch for e in store.epochs(long.id)] == list(range(1, 151))
    *_, unbroken = NICE.train(long.settings)
    assert ended.numbers["kl"] == pytest.approx(unbroken.kl, abs=1e-3)
    rows = list(csv.DictReader((tmp_path / "e.csv").read_text().splitlines()))
    assert [row["epochs"] for row in rows] == ["2", "150"]
    assert float(rows[1]["kl_nats"]) == pytest.approx(ended.numbers["kl"])
    assert (tmp_path / "e.png").read_bytes()[:4] == b"\x89PNG"
    assert main([str(path), "--dry"]) == 0 and len(store.runs()) == 2


def test_of_two_runs_of_a_point_the_complete_one_counts(tmp_path):
    store = Store(tmp_path)
    work = sweep(store, seeds=2)
    point = work.points[0]
    assert counts(work.state()) == {"complete": 0, "running": 0, "left": 4}
    assert work.figure() is None and work.table().count("not trained") == 4
    for outcome, epochs in (("finished", 2), ("stopped", 1)):
        run_id = store.begin(point.settings, origin="sweep", group=work.group)
        store.record(run_id, made.frames(point.settings, epochs))
        store.end(run_id, outcome)
    state = work.state()
    assert state[0].run.outcome == "finished" and counts(state)["complete"] == 1
    assert state[0].measure("kl") == pytest.approx(0.8) and state[1].measure("kl") is None
    assert sweep(store, name="another").state()[0].run is None


def test_a_run_that_an_earlier_version_stored_is_not_trained_again(tmp_path):
    store = Store(tmp_path)
    work = sweep(store)
    run = work.points[0].settings
    run_id = store.begin(run, origin="sweep", group=work.group)
    store.end(run_id, "finished")
    text = run.model_dump(mode="json")
    for name in ("optimiser_steps", "seconds"):
        del text["training"][name]
    with store._db.write() as db:
        db.execute("UPDATE runs SET settings = ?", (json.dumps(text),))
    assert counts(work.state()) == {"complete": 1, "running": 0, "left": 1}


def test_pictures_of_sweeps(tmp_path):
    rows, columns = ["2", "4"], ["0.001", "0.01", "0.1"]
    values = [[0.5, 0.2, np.nan], [0.3, 0.1, 9.0]]
    for theme in ("light", "dark"):
        figure = figures.heat_map(values, rows, columns, ["Couplings", "Rate"], "KL (nats)",
                                  theme=theme)
        texts = [t.get_text() for t in figure.axes[0].texts]
        assert texts == ["0.5", "0.2", "–", "0.3", "0.1", "9"]
        frame = figure.axes[0].lines[0].get_xydata()
        assert frame.mean(axis=0)[0] == pytest.approx(1, abs=0.2)  # around the least value
        figure = figures.parallel(
            ["Couplings", "Rate", "Widths"],
            [[2, 4, 8], np.geomspace(1e-4, 1e-1, 3), [(8, 8), (16,), (8, 8)]],
            [0.5, 0.1, 0.3], "KL (nats)", theme=theme)
        best = max(figure.axes[0].lines, key=lambda line: line.get_linewidth())
        assert best.get_ydata()[0] == 0.5 and best.get_ydata()[-1] == 0.0
        assert "8×8" in {t.get_text() for t in figure.axes[0].texts}
    with pytest.raises(ValueError, match="shape"):
        figures.heat_map(values, columns, rows, ["a", "b"], "c")
    with pytest.raises(ValueError, match="every|Every"):
        figures.parallel(["a"], [[1, 2]], [0.1], "c")
