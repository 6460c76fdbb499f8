"""Flow Lab: see normalizing flows learn. Start it with ``streamlit run app.py``."""

from functools import partial
from pathlib import Path

import streamlit as st

import presentation
from flowlab.ui import runs, sweeps
from flowlab.ui.app import menu
from flowlab.ui.app.lab import lab
from flowlab.ui.app.operating import about
from flowlab.ui.app.visitor import welcome
from flowlab.ui.compare import page as comparison
from flowlab.ui.model import page
from models import RECIPES

HERE = Path(__file__).parent

# An icon by name would be fetched from another host; no page asks any but its own.
st.set_page_config("Flow Lab", HERE / "static" / "icon.svg", layout="wide",
                   initial_sidebar_state=340)
st.html(HERE / "flowlab" / "ui" / "style.css")
welcome()
try:
    running = lab()
except ValueError as error:  # a folder of runs that cannot be used
    st.error(str(error), icon=":material/error:")
    st.stop()
menu.run([
    st.Page(presentation.show, title="What is a flow?", icon=":material/school:", default=True),
    *(st.Page(partial(page.draw, name, RECIPES), title=recipe.title, icon=recipe.icon,
              url_path=name) for name, recipe in RECIPES.items()),
    st.Page(partial(comparison.draw, RECIPES), title="Compare", icon=":material/compare:",
            url_path="compare"),
    st.Page(partial(sweeps.show, RECIPES), title="Sweeps", icon=":material/tune:",
            url_path="sweeps"),
    st.Page(partial(runs.show, RECIPES), title="Runs", icon=":material/history:",
            url_path="history"),
])
about(running.engine, running.store)
