"""Feeds every kind of entry with many inputs, and writes a table.

Usage: ``python tests/fuzz/run.py --inputs 100000``; ``--kind csv --only 123`` repeats one input.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

KINDS = ("address", "settings", "csv", "npy", "picture", "zip", "safetensors", "run")
PIECE = 2500  # inputs of one process
TESTS = Path(__file__).parents[1]


def child(kind: str, first: int, count: int) -> list[dict]:
    """Run a process of inputs of a kind, or of all; what killed it is a problem too."""
    with tempfile.TemporaryDirectory(prefix="flowlab-fuzz-") as folder:
        (Path(folder) / "tmp").mkdir()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (TESTS, TESTS.parent))),
                       "OMP_NUM_THREADS": "1", "TMPDIR": f"{folder}/tmp", "HOME": folder,
                       "FLOWLAB_RUNS": f"{folder}/runs", "FLOWLAB_OWN_DATA": f"{folder}/own",
                       "FLOWLAB_IMAGES": f"{folder}/images", "PYTHONDONTWRITEBYTECODE": "1",
                       "PYTHONWARNINGS": "ignore", "PYTHONHASHSEED": "0"}
        done = subprocess.run([sys.executable, "-m", "fuzz.child", kind, str(first), str(count),
                               folder], env=environment, capture_output=True, text=True)
        found = Path(folder) / "found.json"
        if done.returncode == 0 and found.exists():
            left = sorted(p.name for p in (Path(folder) / "tmp").iterdir()
                          if not p.name.startswith("torchinductor"))  # PyTorch's own
            told = json.loads(found.read_text())
            if left:
                told[0]["problems"].append({"index": first, "wrong": f"left in TMPDIR: {left}"})
            return told
        index = Path(folder) / "index"
        at = int(index.read_text()) if index.exists() and index.read_text().strip() else first
        return [{"kind": kind, "inputs": 0, "accepted": 0, "refused": 0, "slowest": 0.0, "slow": -1,
                "memory": 0, "problems": [{"index": at, "wrong": f"died with {done.returncode}: "
                              f"{done.stderr[-1500:]}"}]}]


def together(results: list[dict]) -> dict:
    """The numbers of several processes as one."""
    total = {name: sum(r[name] for r in results) for name in ("inputs", "accepted", "refused")}
    slowest = max(results, key=lambda r: r["slowest"])
    return {"kind": results[0]["kind"], **total, "slowest": slowest["slowest"],
            "slow": slowest["slow"], "memory": max(r["memory"] for r in results),
            "problems": [p for r in results for p in r["problems"]]}


def fuzz(kinds: tuple[str, ...], inputs: int, workers: int, first: int, seconds: float
         ) -> Iterator[dict]:
    """Feed all kinds; yields the numbers of each, which are fewer where the time is over."""
    def in_time(piece: tuple[str, int, int]) -> list[dict]:
        return child(*piece) if time.monotonic() < deadline else []
    with ThreadPoolExecutor(workers) as pool:
        for kind in kinds:
            pieces = [(kind, i, min(PIECE, first + inputs - i))
                      for i in range(first, first + inputs, PIECE)]
            if first == 0:
                pieces.insert(0, (kind, -1, 0))
            deadline = time.monotonic() + seconds
            found = pool.map(in_time, pieces)
            yield together([result for results in found for result in results])


def table(results: list[dict]) -> str:
    """The numbers as lines of text."""
    lines = [f"{'kind':<12}{'inputs':>9}{'accepted':>10}{'refused':>9}{'slowest s':>11}"
             f"{'memory MB':>11}{'problems':>10}"]
    lines += [f"{r['kind']:<12}{r['inputs']:>9,}{r['accepted']:>10,}{r['refused']:>9,}"
              f"{r['slowest']:>11.2f}{r['memory'] / 1e6:>11.0f}{len(r['problems']):>10}"
              for r in results]
    return "\n".join(lines)


def main() -> int:
    """Run from the command line; 1 where a problem was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1000, help="of each kind")
    parser.add_argument("--kind", action="append", choices=KINDS, help="one kind, or several")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes at once")
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--seconds", type=float, default=float("inf"),
                        help="for each kind, after which no more are begun")
    parser.add_argument("--only", type=int, help="number of one input; -1 - n: a large one")
    chosen = parser.parse_args()
    kinds = tuple(chosen.kind or KINDS)
    if chosen.only is not None:
        results = child(kinds[0], chosen.only, 1)
    else:
        results = list(fuzz(kinds, chosen.inputs, chosen.workers, chosen.first, chosen.seconds))
    for result in results:
        for problem in result["problems"]:
            print(f"{result['kind']} {problem['index']}: {problem['wrong']}\n")
    print(table(results))
    return any(result["problems"] for result in results)


if __name__ == "__main__":
    sys.exit(main())
