"""How soon a newcomer sees something: ``make benchmark-first-sight`` prints it.

A fresh browser with an empty cache opens a model's page; the clock runs from the address to the
model's picture on the screen. In the same run, in turns, so do fresh browsers on a minimal
Streamlit page: a title and the same picture. The lab is then started anew several times, and the
first visit of each is timed from the moment that the server answers.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests")]

from browser_helpers import CHROMIUM, FLAGS, serving, started  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402

ROOT = HERE.parent
MINIMAL = """import streamlit as st
st.title("A minimal page")
st.image("/app/static/picture.webp", alt="picture")
"""
#: The picture is loaded, and has a place on the page that is on the screen.
SEEN = """() => [...document.querySelectorAll("[data-testid=stImage] img")].some(img =>
    img.complete && img.naturalWidth > 600 && img.getBoundingClientRect().width > 300)"""
MODEL = "realnvp"


@contextmanager
def minimal() -> Iterator[str]:
    """The minimal page, served by the same Streamlit with the same options; its address."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "static").mkdir()
        shutil.copy(ROOT / "static" / MODEL / "start-light.webp", folder / "static/picture.webp")
        shutil.copytree(ROOT / ".streamlit", folder / ".streamlit")
        (folder / "app.py").write_text(MINIMAL)
        with started(folder) as url:
            yield url


def visit(url: str) -> tuple[float, Counter]:
    """Seconds until the picture is seen by a fresh browser, and what it took until then."""
    counts: Counter = Counter()
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS])
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.on("request", lambda _: counts.update(requests=1))
        page.on("websocket", lambda socket: socket.on("framereceived", lambda data: counts.update(
            messages=1, bytes=len(data))))
        begun = time.perf_counter()
        page.goto(url, wait_until="commit")
        page.wait_for_function(SEEN, timeout=120_000)
        seconds = time.perf_counter() - begun
        counts["nodes"] = page.evaluate("document.querySelectorAll('*').length")
        browser.close()
    return seconds, counts


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--visits", type=int, default=5, help="fresh browsers on each page")
    parser.add_argument("--starts", type=int, default=3, help="starts of the lab")
    parser.add_argument("--path", default=MODEL, help="the page")
    options = parser.parse_args()
    first = []
    for _ in range(options.starts):
        with serving() as url:
            first.append(visit(f"{url}/{options.path}")[0])
    plain, warm = [], []
    with minimal() as small, serving() as url:
        for address in (small, f"{url}/{options.path}"):
            visit(address)
        for _ in range(options.visits):
            plain.append(visit(small))
            warm.append(visit(f"{url}/{options.path}"))
    base = statistics.median(seconds for seconds, _ in plain)
    for name, times in (("minimal page", [s for s, _ in plain]), ("model's page", [
            s for s, _ in warm]), ("first visit after a start", first)):
        if times:
            middle = statistics.median(times)
            print(f"{name:26} {middle:6.2f} s  {middle / base:5.2f} x  "
                  f"({', '.join(f'{s:.2f}' for s in times)})")
    for name, counts in (("minimal page", plain[-1][1]), ("model's page", warm[-1][1])):
        print(f"{name:26}", ", ".join(f"{n:,} {what}" for what, n in counts.items()))


if __name__ == "__main__":
    main()
