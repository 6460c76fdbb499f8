"""Pages in Streamlit's test harness: open one, look again until it says something."""

import time
from pathlib import Path

from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from flowlab.ui.app.state import KEY, Page

APP = Path(__file__).parents[1] / "app.py"
SMALL = {"epochs": "2", "points": "200", "hidden": "8,8"}
TINY = {"models": "nice:hidden=4:couplings=2;realnvp:hidden=4:couplings=2:label=Small",
        "points": "100", "amount": "2"}


def page(name: str, **query: str) -> AppTest:
    app = AppTest.from_file(APP, default_timeout=120).run()
    for key, text in query.items():
        app.query_params[key] = text
    return go(app, name)


def go(app: AppTest, name: str) -> AppTest:
    """As ``AppTest.switch_page``, which knows only pages that are files."""
    app._page_hash = calc_hash(name)
    return app


def run(app: AppTest) -> AppTest:
    app.run()
    assert not app.exception, app.exception
    return app


def state(app: AppTest, name: str) -> Page:
    """The state of a page that has been opened."""
    return app.session_state[KEY].pages[name]


def until(app: AppTest, words: str, seconds: float = 120) -> str:
    """Look again, as the browser does by itself, until the status line says ``words``."""
    deadline = time.monotonic() + seconds
    while words not in (line := status(app)):
        assert time.monotonic() < deadline, line
        time.sleep(0.1)
        run(app)
    return line


def status(app: AppTest) -> str:
    return next(m.value for m in app.markdown if "-badge[" in m.value)


def opened(way: str, **query: str):
    app = run(page("nice", **query))
    app.button(key="nice.own").click()
    run(app)
    app.segmented_control(key="own.way").set_value(way)
    return run(app)


def upload(app, name: str, content: bytes):
    app.file_uploader(key="own.file").set_value([(name, content, "application/octet-stream")])
    return run(app)


def use(app) -> str:
    app.button(key="own.use").click()
    run(app)
    assert app.query_params["data"] == app.session_state["nice.data"]
    return app.session_state["nice.data"]
