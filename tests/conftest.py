"""Settings of the whole test run."""

import atexit
import os
import shutil
import tempfile

os.environ.setdefault("OMP_NUM_THREADS", "1")
# Tests keep runs and data apart from a person's, also those of the servers and commands they start.
os.environ["FLOWLAB_RUNS"] = tempfile.mkdtemp(prefix="flowlab-runs-")
os.environ["FLOWLAB_OWN_DATA"] = tempfile.mkdtemp(prefix="flowlab-own-")

import pytest
import torch
from hypothesis import settings

for folder in ("FLOWLAB_RUNS", "FLOWLAB_OWN_DATA"):
    atexit.register(shutil.rmtree, os.environ[folder], ignore_errors=True)
torch.set_num_threads(1)
settings.register_profile("flowlab", deadline=None, derandomize=True, max_examples=25)
settings.load_profile("flowlab")


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def workers_end():
    """The tests' own process has a lab; it ends with the last in a row of such tests."""


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item, nextitem):
    """End the lab before tests that do without: its workers start once for many files of pages."""
    if "workers_end" in item.fixturenames and "workers_end" not in getattr(
            nextitem, "fixturenames", ()):
        import streamlit as st

        from flowlab.ui.lab import lab
        lab().engine.close()
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
