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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, expect

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
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}"]
    with (tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as runs,
          subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           env={**os.environ, "OMP_NUM_THREADS": "1", "FLOWLAB_RUNS": runs,
                                **environment}
                           ) as process):
        url = f"http://localhost:{port}"
        deadline = time.monotonic() + 90
        while True:
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=5).close()
                break
            except OSError:
                assert time.monotonic() < deadline and process.poll() is None
                time.sleep(0.2)
        yield url
        process.terminate()
        process.wait(30)


def button(page: Page, name: str):
    return page.get_by_role("button", name=name, exact=True)


def says(page: Page, words: str) -> None:
    expect(page.get_by_text(re.compile(words)).first).to_be_visible()


def picture(page: Page):
    return page.locator("[class*='-picture'] img")


def step_count(page: Page) -> int:
    """Batches so far, from the line under the buttons."""
    line = page.get_by_text(re.compile(r"Epoch \d+ of")).first.inner_text()
    epoch, batch, batches = map(int, re.search(r"Epoch (\d+) of \d+, batch (\d+) of (\d+)",
                                               line).groups())
    return epoch * batches + batch


def settled_count(page: Page) -> int:
    """Batches so far, once they have been the same for five seconds: a picture may come late."""
    while True:
        before = step_count(page)
        page.wait_for_timeout(5000)
        if step_count(page) == before:
            return before
