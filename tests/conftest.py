"""Settings of the whole test run."""

import atexit
import os
import shutil
import tempfile

os.environ.setdefault("OMP_NUM_THREADS", "1")
# Tests keep their runs apart from a person's, also those of the servers and commands they start.
os.environ["FLOWLAB_RUNS"] = tempfile.mkdtemp(prefix="flowlab-runs-")

import pytest
import torch
from hypothesis import settings

atexit.register(shutil.rmtree, os.environ["FLOWLAB_RUNS"], ignore_errors=True)
torch.set_num_threads(1)
settings.register_profile("flowlab", deadline=None, derandomize=True, max_examples=25)
settings.load_profile("flowlab")


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def workers_end():
    """The lab of the tests' own process ends with the module."""
    yield
    import streamlit as st

    from flowlab.ui.lab import lab
    lab().engine.close()
    st.cache_resource.clear()


@pytest.fixture(scope="module")
def own_folder(tmp_path_factory):
    """Own data are kept in a folder of the module's."""
    from flowlab.data import store
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(store.VARIABLE, str(tmp_path_factory.mktemp("own")))
        yield


@pytest.fixture(scope="module")
def server():
    """The address of a running lab."""
    from browser_helpers import serving  # only browser tests need Playwright
    with serving() as url:
        yield url


@pytest.fixture(scope="module")
def browser():
    """A real browser without a window."""
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
