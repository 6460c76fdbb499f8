"""Two processes give the gradients and the weights of one with the whole batch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from glow import Glow

HERE = Path(__file__).parents[1]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parent)}
TORCHRUN = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone",
            "--nproc-per-node=2"]


def run(*command: str) -> str:
    done = subprocess.run(command, env=ENVIRONMENT, cwd=HERE.parent, capture_output=True, text=True,
                          timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.thorough
def test_gradients_and_weights_are_those_of_one_process(tmp_path):
    script, one, two = str(HERE / "parallel_run.py"), tmp_path / "one", tmp_path / "two"
    run(sys.executable, script, str(one))
    run(*TORCHRUN, script, str(two))
    one, two = load_file(one), load_file(two)
    assert one.keys() == two.keys() and one["gradient"].abs().max() > 1e-3
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, atol=1e-9, rtol=1e-9, msg=name)


@pytest.mark.thorough
def test_the_command_line_runs_under_torchrun(tmp_path):
    file = tmp_path / "run.safetensors"
    said = run(*TORCHRUN, "-m", "glow.train_glow", "--data", "digits", "--epochs", "1", "--steps",
               "1", "--hidden-channels", "4", "--batch-size", "700", "--save", str(file))
    assert said.count("bits per dimension") == 1
    assert Glow.load(file).event_shape == (1, 8, 8)
