"""Flow Lab: see normalizing flows learn. Start it with ``streamlit run app.py``.

Streamlit runs this file for every look at a page. Before, it imports it once for the server, which
answers when the lab is ready. Both import the pages within functions: their caches belong to the
server, which must be there first.
"""

import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import streamlit as st

HERE = Path(__file__).parent
#: What an operator set wrongly: a folder of runs, limits, an engine that is not there.
UNUSABLE = (ValueError, ImportError, OSError, RuntimeError)


def pages() -> list[tuple[Callable[[], None], str, str, str]]:
    """All pages: what draws them, title, icon, and path; of the models, one each."""
    from flowlab.ui.compare.page import draw_compare_page
    from flowlab.ui.model.page import draw_model_page
    from flowlab.ui.runs import draw_runs_page
    from flowlab.ui.sweeps import draw_sweeps_page
    from flowlab.ui.teach.page import draw_teach_page
    from lesson_plan import STEPS
    from models import RECIPES
    from presentation import draw_presentation

    return [
        (draw_presentation, "What is a flow?", ":material/school:", ""),
        *((partial(draw_model_page, name, RECIPES), recipe.title, recipe.icon, name)
          for name, recipe in RECIPES.items()),
        (partial(draw_compare_page, RECIPES), "Compare", ":material/compare:", "compare"),
        (partial(draw_sweeps_page, RECIPES), "Sweeps", ":material/tune:", "sweeps"),
        (partial(draw_runs_page, RECIPES), "Runs", ":material/history:", "history"),
        (partial(draw_teach_page, RECIPES, STEPS), "Teach", ":material/co_present:", "teach"),
    ]


def draw() -> None:
    """Draw the page that the address names."""
    from flowlab.ui.app import menu
    from flowlab.ui.app.lab import lab
    from flowlab.ui.app.operating import about
    from flowlab.ui.app.visitor import welcome

    # An icon by name would be fetched from another host; no page asks any but its own.
    st.set_page_config("Flow Lab", HERE / "static" / "icon.svg", layout="wide",
                       initial_sidebar_state=340)
    st.html(HERE / "flowlab" / "ui" / "style.css")
    welcome()
    try:
        running = lab()
    except UNUSABLE as error:
        st.error(str(error), icon=":material/error:")
        st.stop()
    menu.run([st.Page(page, title=title, icon=icon, url_path=path or None, default=not path)
              for page, title, icon, path in pages()])
    about(running.engine, running.store)


@asynccontextmanager
async def ready(_app: st.App) -> AsyncIterator[None]:
    """Import the pages and start the lab; if it cannot start, the pages say why, too."""
    print("  The address answers in a few seconds, when the lab has started.\n", flush=True)
    from flowlab.ui.app.lab import lab

    pages()
    try:
        lab()
    except UNUSABLE as error:
        print(f"  {error}\n", file=sys.stderr)
    yield
    # The server sends itself the signal that ended it once more, and Python would not clean up.
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    draw()
else:
    app = st.App(__file__, lifespan=ready)
