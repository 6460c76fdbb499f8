"""What earlier versions had elsewhere is found by its former name."""

import subprocess
import sys
from importlib import import_module

import pytest

from flowlab.former import MOVES


@pytest.mark.parametrize("former, now", MOVES.items())
def test_a_former_name_is_the_module_itself(former, now):
    assert import_module(former) is import_module(now)


@pytest.mark.parametrize("former, now", [
    ("flowlab.figures.LAYERS", "OVERLAYS"),
    ("flowlab.figures.SHOWN", "DEFAULT_OVERLAYS"),
    ("flowlab.figures.RivalsPicture", "ComparisonPicture"),
    ("flowlab.figures.ThroughPicture", "InsidePicture"),
    ("flowlab.figures.name_tile", "name_thumbnail"),
    ("flowlab.jobs.GoOn", "Preempted"),
    ("flowlab.live.Held", "InMemory"),
    ("flowlab.runs.Kept", "StoredRun"),
])
def test_a_former_name_in_a_package_is_what_has_a_new_one(former, now):
    package, _, name = former.rpartition(".")
    module = import_module(package)
    assert getattr(module, name) is getattr(module, now)


@pytest.mark.thorough
def test_scripts_of_earlier_versions_import_what_they_did():
    script = ("from flowlab.layers.coupling import AffineCoupling\n"
              "from flowlab.layers import ActNorm, at\n"
              "from flowlab.bijection import Bijection\n"
              "from flowlab.comparison import Comparison, finish, plan, table\n"
              "from flowlab.sweep import Point, Range, Sweep, SweepSettings, points\n"
              "from flowlab.limits import Limits\n"
              "from flowlab.training import Progress, Snapshot, TrainingSettings, train\n"
              "from flowlab.live import watch\n"
              "from flowlab.jobs.ray import Ray\n"
              "from flowlab.bijections import coupling\n"
              "assert coupling.AffineCoupling is AffineCoupling\n")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.thorough
@pytest.mark.parametrize("command", ["sweep", "comparison", "status"])
def test_commands_keep_their_names(command):
    done = subprocess.run([sys.executable, "-m", f"flowlab.{command}", "--help"],
                          capture_output=True, text=True)
    assert done.returncode == 0 and f"flowlab.{command}" in done.stdout, done.stderr
