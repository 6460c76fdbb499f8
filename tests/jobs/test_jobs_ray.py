"""Which engine the surroundings ask for, and a Ray cluster that loses a node."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from flowlab.jobs import Local, Ray
from flowlab.jobs.choose import engine

TESTS = Path(__file__).parents[1]


def test_the_environment_chooses(monkeypatch):
    monkeypatch.delenv("FLOWLAB_ENGINE", raising=False)
    with engine(workers=1) as local:
        assert isinstance(local, Local)
    monkeypatch.setenv("FLOWLAB_ENGINE", "slurm")
    with pytest.raises(ValueError, match="set it to 'local' or 'ray'"):
        engine()
    monkeypatch.setenv("FLOWLAB_ENGINE", "ray")
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it were not installed
    with pytest.raises(ImportError, match="pip install -r requirements-ray.txt"):
        engine(workers=1)


@pytest.mark.thorough
def test_nothing_imports_ray_unasked():
    code = "import sys, flowlab.jobs.choose; raise SystemExit('ray' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=TESTS.parent, check=True)


@pytest.mark.skipif(find_spec("ray") is None,
                    reason="Ray is not installed: pip install -r requirements-ray.txt")
@pytest.mark.thorough
class TestCluster:
    """With Ray."""

    def test_addresses_that_cannot_be_used_are_refused(self, monkeypatch):
        monkeypatch.setenv("RAY_ADDRESS", "ray://10.0.0.1:10001")
        with pytest.raises(ValueError, match="on a machine of the cluster"):
            Ray(workers=1)
        for nobody in ("127.0.0.1:1", "127.0.0.1"):
            monkeypatch.setenv("RAY_ADDRESS", nobody)
            with pytest.raises(RuntimeError, match="start one there with `ray start --head`"):
                Ray(workers=1)

    def test_no_point_is_lost_with_a_node(self, tmp_path):
        environment = {
            "PYTHONPATH": os.pathsep.join(map(str, (TESTS.parent, TESTS))),
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # stay on this machine
            "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 2,
            "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0",
        }
        command = [sys.executable, str(TESTS / "two_nodes.py"), str(tmp_path)]
        done = subprocess.run(command, text=True,
                              capture_output=True, timeout=500, env=os.environ | environment)
        assert done.returncode == 0, done.stderr[-4000:]
        told = json.loads(done.stdout.splitlines()[-1])
        said = told["jobs"]
        # Points that were over have kept their results, and all others have come to their end.
        assert said["before"] and all(before == after for before, after in said["before"])
        assert said["states"] == ["finished"] * 8
        assert said["results"] == [[number, 10] for number in range(8)]
        # Of no point an event is missing, or there twice; one at least was on both nodes.
        nodes = []
        for events in said["events"]:
            assert [step for step, _ in events] == list(range(10))
            nodes.append({node for _, node in events})
        moved = [i for i, names in enumerate(nodes) if len(names) == 2]
        assert moved and all("its node died; it continued" in said["messages"][i] for i in moved)
        assert said["dying"] in set.union(*nodes)
        # And a real sweep loses no point, and no result that it had.
        said = told["sweep"]
        assert 1 <= said["before"] < 6 and said["kept"]
        assert said["outcomes"] == ["finished"] * 6
        assert all(kl is not None for kl in said["measures"])
        assert any("died" in message for message in said["messages"])
