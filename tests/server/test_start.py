"""The server's start and its end."""

import asyncio
import os
import signal
import sys
import time

import pytest
import streamlit as st
from browser_helpers import ROOT, started
from streamlit.testing.v1 import AppTest

import app


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to catch")
def test_the_lab_is_ready_when_the_server_answers_and_tidies_when_it_is_ended(tmp_path):
    with started(ROOT, FLOWLAB_RUNS=str(tmp_path)):
        deadline = time.monotonic() + 30
        while not (states := list(tmp_path.glob("server-*.json"))):  # though nobody opens a page
            assert time.monotonic() < deadline
            time.sleep(0.1)
        state, = states
        os.kill(int(state.stem.rpartition("-")[2]), signal.SIGTERM)
    assert not state.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to unblock")
@pytest.mark.parametrize(("variable", "value"), [
    ("FLOWLAB_ENGINE", "abacus"), ("FLOWLAB_RUNS", str(ROOT / "app.py" / "runs"))])
def test_what_an_operator_set_wrongly_is_on_the_terminal_and_on_the_pages(
        variable, value, monkeypatch, capsys):
    monkeypatch.setenv(variable, value)
    st.cache_resource.clear()

    async def start() -> None:
        async with app.ready(app.app):
            pass

    try:
        asyncio.run(start())
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    told = capsys.readouterr().err
    page = AppTest.from_file(str(ROOT / "app.py"), default_timeout=300).run()
    assert value in told and "Traceback" not in told
    assert not page.exception and page.error[0].value in told
