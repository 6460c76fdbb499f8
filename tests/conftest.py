"""Settings of the whole test run."""

import atexit
import os
import shutil
import sys
import tempfile
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
# Tests keep runs and data apart from a person's, also those of the servers and commands they start.
os.environ["FLOWLAB_RUNS"] = tempfile.mkdtemp(prefix="flowlab-runs-")
os.environ["FLOWLAB_OWN_DATA"] = tempfile.mkdtemp(prefix="flowlab-own-")
# One worker does, where a test asks for no more.
os.environ["FLOWLAB_MAX_WORKERS"] = "1"

import pytest
import torch
from hypothesis import settings

for folder in ("FLOWLAB_RUNS", "FLOWLAB_OWN_DATA"):
    atexit.register(shutil.rmtree, os.environ[folder], ignore_errors=True)
torch.set_num_threads(1)
settings.register_profile("flowlab", deadline=None, derandomize=True, max_examples=25)
settings.load_profile("flowlab")


#: What several processes begin with, longest first; files in one entry go to one process, which
#: starts the server that they share, or the lab, once. All other files come after, one by one.
FIRST = (("test_browser*",), ("test_jobs", "test_jobs_ray"),
         ("test_pages", "test_*_page", "test_*_pages", "test_history", "test_links",
          "test_presets", "test_visitors"),
         ("test_docs",), ("test_load",))


def place(nodeid: str) -> tuple[int, str]:
    """Where in the order a test stands, and the name of what has to stay in one process."""
    file = Path(nodeid.partition("::")[0]).stem
    for number, names in enumerate(FIRST):
        if any(fnmatch(file, name) for name in names):
            return number, names[0]
    return len(FIRST), file


@pytest.hookimpl(tryfirst=True)  # before a marker expression chooses
def pytest_collection_modifyitems(config, items):
    """Put what takes long first, so that all processes end at about the same time.

    Tests that train for minutes run only where they are asked for.
    """
    for item in items:
        quick = item.get_closest_marker("quick")
        if {"site", "ray"} & {*item.fixturenames} or quick and not any(
                f"-{case}-" in f"-{item.callspec.id}-" for case in quick.args):
            item.add_marker("thorough")
        if place(item.nodeid)[0] < len(FIRST):
            item.add_marker("slow")
        if {"server", "workers_end"} & {*item.fixturenames}:
            item.add_marker("server")
    if "nightly" not in config.option.markexpr:
        nightly = [item for item in items if item.get_closest_marker("nightly")]
        config.hook.pytest_deselected(items=nightly)
        items[:] = [item for item in items if item not in nightly]
    items.sort(key=lambda item: place(item.nodeid)[0])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With ``--dist loadfile``, keep that order and those files together."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduler(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return place(nodeid)[1]

    config.option.loadscopereorder = False
    return Scheduler(config, log)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def _one_scan():
    """Streamlit's harness looks through all installed packages for components; once will do."""
    if "streamlit.testing.v1" not in sys.modules:
        yield
        return
    from streamlit.components.v2 import manifest_scanner
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests",
                      cache(manifest_scanner.scan_component_manifests))
        yield


@pytest.fixture
def workers_end():
    """The tests' own process has a lab; it ends with the last in a row of such tests."""


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item, nextitem):
    """End the lab before tests that do without: its workers start once for many files of pages."""
    if "workers_end" in item.fixturenames and "workers_end" not in getattr(
            nextitem, "fixturenames", ()):
        import streamlit as st

        from flowlab.ui.app.lab import lab
        lab().close()
        st.cache_resource.clear()


@pytest.fixture(scope="session")
def server():
    """The address of a running lab, the same for all browser tests."""
    from browser_helpers import serving  # only browser tests need Playwright
    with serving() as url:
        yield url


@pytest.fixture(scope="module")
def browser():
    """A real browser without a window; its event loop must be gone before other modules' tests."""
    from browser_helpers import CHROMIUM, FLAGS
    from playwright.sync_api import sync_playwright
    assert CHROMIUM, "Install Chromium (Debian: apt-get install chromium) to test in a browser."
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser):
    """A tab in which no script may fail."""
    from browser_helpers import SECONDS
    tab = browser.new_page(viewport={"width": 1280, "height": 800})
    tab.set_default_timeout(SECONDS)
    problems = []
    tab.on("pageerror", lambda error: problems.append(str(error)))
    yield tab
    tab.close()
    assert problems == []
