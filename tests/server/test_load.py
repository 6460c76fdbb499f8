"""The load test's own parts, and a small class that keeps it alive."""

import re
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
import load

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="It reads /proc.")


def test_a_share_counts_only_the_time_in_which_a_worker_was_wanted():
    lives = {"a": (0.0, 10.0, "a"), "b": (0.0, 10.0, "b"), "c": (0.0, 5.0, "c")}
    # One worker: a third of it for 5 s and half of it for 5 s more.
    assert load.share("a", lives, {}, 5 / 3 + 5 / 2, workers=1) == pytest.approx(1)
    assert load.share("a", lives, {"a": [5.0, 10.0]}, 5 / 3, workers=1) == pytest.approx(1)
    # Two runs of one owner have one share between them and the others.
    lives["d"] = 0.0, 10.0, "b"
    assert load.share("a", lives, {}, 25 / 6, workers=1) == pytest.approx(1)
    assert load.share("a", lives, {}, 10.0, workers=8) == pytest.approx(1)


def test_what_lies_below_a_quantile():
    assert load.quantile([3.0, 1.0, 2.0], 0.5) == 2
    assert load.quantile(list(range(100)), 0.95) == 95
    assert load.quantile([7.0], 0.95) == 7


@pytest.mark.thorough
@needs_proc
def test_a_small_class_loses_nothing_and_sees_only_its_own(monkeypatch):
    monkeypatch.delenv("FLOWLAB_MAX_WORKERS")  # as many as there are cores
    results = load.measure(3, 0.2, think=(0.1, 0.5), rest=600, epochs=1)
    assert results["troubles"] == []
    assert results["lost"] == results["left"] == results["foreign"] == 0
    assert results["started"] >= 3
    assert sum(results["outcomes"].values()) == results["started"]
    assert {"open a page", "change a setting", "train"} <= set(results["delays"])
    report = load.markdown(results)
    assert re.search(r"\| runs lost \| 0 \|", report)
    assert "nan" not in report
