"""What the browser tests share: starting the lab, and finding things on its pages."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

ROOT = Path(__file__).parent.parent
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
                None)
SECONDS = 180_000  # a slow machine may take its time; milliseconds
expect.set_options(timeout=SECONDS)


@contextmanager
def serving(**environment: str) -> Iterator[str]:
    """The lab on a free port, in a process of its own, with no runs yet; its address."""
    with (tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as runs,
          started(ROOT, FLOWLAB_RUNS=runs, **environment) as url):
        yield url


@contextmanager
def started(folder: Path, **environment: str) -> Iterator[str]:
    """The app in a folder on a free port; its address, once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          env={**os.environ, "OMP_NUM_THREADS": "1", **environment}) as process:
        url = f"http://localhost:{port}"
        deadline = time.monotonic() + 90
        try:
            while True:
                try:
                    urllib.request.urlopen(f"{url}/_stcore/health", timeout=5).close()
                    break
                except OSError:
                    assert time.monotonic() < deadline and process.poll() is None
                    time.sleep(0.2)
            yield url
        finally:
            process.terminate()
            process.wait(30)


def button(page: Page, name: str):
    return page.get_by_role("button", name=name, exact=True)


def open_data(page: Page) -> None:
    """Open the group of controls that has the distributions, where it is closed."""
    at_rest(page)
    if not page.locator("[class*='-choose-']").first.is_visible():
        page.locator("[class*='-group-Data'] summary").click()
        at_rest(page)


def says(page: Page, words: str) -> None:
    expect(page.get_by_text(re.compile(words)).first).to_be_visible()


def at_rest(page: Page) -> None:
    """Wait until no script has run for a second: what is on the page now stays.

    Where a training goes on or something plays, scripts run again and again.
    """
    page.evaluate("delete window.restingSince")
    page.wait_for_function("""() => {
        const state = document.querySelector(".stApp")?.dataset.testScriptState;
        if (state !== "notRunning") window.restingSince = null;
        else window.restingSince ??= performance.now();
        return window.restingSince !== null && performance.now() - window.restingSince > 1000;
    }""", polling=50)


def resting_box(place: Locator) -> dict:
    """Where it is on the page, once that has been the same for a while."""
    place.wait_for()
    before, since = place.bounding_box(), time.monotonic()
    while before is None or time.monotonic() < since + 1.5:
        place.page.wait_for_timeout(100)
        now = place.bounding_box()
        if now != before:
            before, since = now, time.monotonic()
    return before


def open_downloads(page: Page) -> None:
    """Open what holds the buttons of the files, where it is closed."""
    at_rest(page)
    if page.get_by_test_id("stDownloadButton").count() == 0:
        button(page, "Download").click()


def download(page: Page, name: str) -> tuple[str, bytes]:
    """What a button gives: the file's name and content.

    The page must be at rest: a press while it is drawn anew asks for a file that is gone.
    """
    open_downloads(page)
    with page.expect_download() as waiting:
        button(page, name).click()
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()


def picture(page: Page):
    return page.locator("[class*='-picture'] img")


def step_count(page: Page) -> int:
    """Batches so far, from the line under the buttons."""
    line = page.get_by_text(re.compile(r"Epoch \d+ of")).first.inner_text()
    epoch, batch, batches = map(int, re.search(r"Epoch (\d+) of \d+, batch (\d+) of (\d+)",
                                               line).groups())
    return epoch * batches + batch


def reaches(page: Page, count: int) -> None:
    """Wait until so many batches are shown."""
    _until(page, lambda shown: shown == count)


def goes_past(page: Page, count: int) -> None:
    """Wait until more batches are shown."""
    _until(page, lambda shown: shown > count)


def _until(page: Page, holds: Callable[[int], bool]) -> None:
    deadline = time.monotonic() + SECONDS / 1000
    while not holds(shown := step_count(page)):
        assert time.monotonic() < deadline, shown
        page.wait_for_timeout(100)


def settled_count(page: Page) -> int:
    """Batches so far, once they have been the same for three seconds: a picture may come late."""
    while True:
        before = step_count(page)
        page.wait_for_timeout(3000)
        if step_count(page) == before:
            return before
