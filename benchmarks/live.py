"""What watching costs: ``make benchmark-live`` writes ``live.json`` and ``LIVE.md``.

In one process, a training with frames and one without take turns. Then, in a real browser against
a running lab: the time from a click on Train to the first picture, and the pictures that the
browser shows in a second of training. Last, on Linux, the workers themselves, forked and spawned.
"""

import argparse
import json
import os
import re
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests")]

import torch  # noqa: E402
from browser_helpers import CHROMIUM, FLAGS, button, picture, says, serving  # noqa: E402
from playwright.sync_api import Page, sync_playwright  # noqa: E402

from flowlab.jobs import Local  # noqa: E402
from flowlab.jobs.template import METHOD, TEMPLATE  # noqa: E402
from flowlab.live import Request, watch  # noqa: E402
from flowlab.ui.app.lab import PRELOAD  # noqa: E402
from realnvp import train_realnvp  # noqa: E402

EPOCHS = 400  # more than are needed: each turn ends by the clock
#: Notes the next click, and when the picture changes from then on.
NOTE = """() => {
    const now = () => document.querySelector("[class*='-picture'] img")?.src;
    let last = now();
    window.changes = [];
    new MutationObserver(() => {
        const shown = now();
        if (shown && shown !== last) { last = shown; window.changes.push(performance.now()); }
    }).observe(document.body, {subtree: true, childList: true, attributeFilter: ["src"]});
    const click = () => { window.clicked = performance.now(); };
    document.addEventListener("click", click, {capture: true, once: true});
}"""


def headless() -> Iterator[Any]:
    """A training without pictures, batch by batch."""
    return train_realnvp.train(_run(), every="batch")


def watched() -> Iterator[Any]:
    """The same with the frames that a viewer would get."""
    return watch(Request(train_realnvp.train, _run()))


def _run() -> train_realnvp.Run:
    return train_realnvp.Run.from_flat({"epochs": EPOCHS})


def steps_per_second(training: Iterator[Any], seconds: float) -> float:
    """Batches a second of one turn, its first one left out."""
    next(training)
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        next(training)
        steps += 1
    return steps / (time.perf_counter() - start)


def share(rounds: int, seconds: float) -> dict[str, Any]:
    """Steps a second with frames and without, in turns."""
    torch.set_num_threads(1)
    kinds = {"headless": headless, "watched": watched}
    running = {name: start() for name, start in kinds.items()}
    speeds: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, training in running.items():
            speeds[name].append(steps_per_second(training, seconds))
    ratios = [w / h for w, h in zip(speeds["watched"], speeds["headless"], strict=True)]
    return {"rounds": speeds, "ratio": statistics.median(ratios)}


def browser(clicks: int, seconds: float) -> dict[str, Any]:
    """Seconds from click to first picture, and pictures a second, in Chromium."""
    first, rates = [], []
    with serving() as url, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = chromium.new_page(viewport={"width": 1280, "height": 800})
        page.goto(f"{url}/realnvp?epochs={EPOCHS}")
        says(page, "Ready")
        time.sleep(15)  # the workers are warm then
        for _ in range(clicks):
            delay, rate = _watch(page, seconds)
            first.append(delay)
            rates.append(rate)
        chromium.close()
    return {"first_picture": first, "pictures_per_second": rates}


def _watch(page: Page, seconds: float) -> tuple[float, float]:
    picture(page).wait_for()
    page.evaluate(NOTE)
    button(page, "Train").click()
    page.wait_for_function("window.changes.length > 1")
    page.wait_for_timeout(1000 * seconds)
    changes, clicked = page.evaluate("[window.changes, window.clicked]")
    button(page, "Stop").click()
    says(page, "Stopped")
    page.wait_for_timeout(1500)
    return (changes[0] - clicked) / 1000, (len(changes) - 1) / (changes[-1] - changes[0]) * 1000


def memory(pid: int, kind: str) -> float:
    r"""MB of a process: ``Private_\w+``, which no other has; ``Pss``, its share of all."""
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(map(int, re.findall(rf"^{kind}: +(\d+) kB", rows, re.M))) / 1000


def workers(method: str, kills: int, number: int = 2) -> dict[str, list[float]]:
    """MB and seconds of a lab's workers that are started by one method."""
    os.environ[METHOD] = method
    start = time.perf_counter()
    with Local(number, PRELOAD) as engine:
        processes = engine._pool.processes
        while engine.ready < number:
            time.sleep(0.001)
        found: dict[str, list[float]] = {"all_ready": [time.perf_counter() - start],
                                         "first_frame": [], "training": [], "replaced": []}
        time.sleep(1)
        pids = [process.popen.pid for process in processes]
        found["waiting"] = [memory(pid, r"Private_\w+") for pid in pids]
        pids += [TEMPLATE._process.pid] if TEMPLATE._process else []
        found["together"] = [sum(memory(pid, "Pss") for pid in pids)]
        for _ in range(kills):
            start = time.perf_counter()
            run = engine.submit(Request(train_realnvp.train, _run()).job)
            while not engine.events(run):
                time.sleep(0.001)
            found["first_frame"].append(time.perf_counter() - start)
            time.sleep(2)
            busy = next(process for process in processes if process.run)
            found["training"].append(memory(busy.popen.pid, r"Private_\w+"))
            start = time.perf_counter()
            os.kill(busy.popen.pid, signal.SIGKILL)
            while busy in processes or engine.ready < number:
                time.sleep(0.001)
            found["replaced"].append(time.perf_counter() - start)
    return found


def markdown(results: dict[str, Any]) -> str:
    """The report."""
    speeds = {name: statistics.median(values)
              for name, values in results["share"]["rounds"].items()}
    seen = results["browser"]
    fork, spawn = (results["workers"][method] for method in ("fork", "spawn"))

    def both(name: str, form: str) -> str:
        form, unit = form.split()
        return " | ".join(f"{statistics.median(values):{form}} {unit}"
                          for values in (fork[name], spawn[name]))

    return f"""# What watching costs

RealNVP on moons with the app's defaults; {results["cores"]} cores; {results["date"]}. Medians.
Made by `make benchmark-live`; every number is in `live.json`.

| | |
| --- | --- |
| steps a second without frames | {speeds["headless"]:.0f} |
| steps a second with frames | {speeds["watched"]:.0f} |
| with frames, as a share of without | {results["share"]["ratio"]:.2f} |
| from a click on Train to the first picture in the browser | \
{statistics.median(seen["first_picture"]):.2f} s |
| pictures a second in the browser | {statistics.median(seen["pictures_per_second"]):.1f} |

Two workers, forked from one template, or spawned as new Pythons; {results["workers"]["date"]}:

| | forked | spawned |
| --- | --- | --- |
| private memory of a waiting worker | {both("waiting", ".0f MB")} |
| of one that trains | {both("training", ".0f MB")} |
| all waiting workers together, with the template | {both("together", ".0f MB")} |
| from the start to ready workers | {both("all_ready", ".1f s")} |
| a killed worker is replaced after | {both("replaced", ".2f s")} |
| from a request to the first frame of a new worker | {both("first_frame", ".2f s")} |
"""


def main() -> None:
    """Measure and report."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--rounds", type=int, default=5, help="turns with and without frames")
    p.add_argument("--seconds", type=float, default=4, help="length of a turn")
    p.add_argument("--clicks", type=int, default=5, help="trainings started in the browser")
    p.add_argument("--workers", action="store_true", help="measure these only, and keep the rest")
    options = p.parse_args()
    today = time.strftime("%Y-%m-%d")
    if options.workers:
        results = json.loads((HERE / "live.json").read_text())
    else:
        results = {"date": today, "cores": os.cpu_count(),
                   "browser": browser(options.clicks, options.seconds),
                   "share": share(options.rounds, options.seconds)}
    spawned = workers("spawn", options.clicks)  # first, as a template stays
    results["workers"] = {"date": today, "spawn": spawned,
                          "fork": workers("fork", options.clicks)}
    (HERE / "live.json").write_text(json.dumps(results, indent=1) + "\n")
    (HERE / "LIVE.md").write_text(markdown(results))
    print(markdown(results))


if __name__ == "__main__":
    main()
