"""Flow Lab: see normalizing flows learn. Start it with ``streamlit run app.py``."""

from functools import partial
from pathlib import Path

import streamlit as st

from flowlab.ui.app import menu
from flowlab.ui.app.lab import lab
from flowlab.ui.app.operating import about
from flowlab.ui.app.visitor import welcome
from flowlab.ui.compare.page import draw_compare_page
from flowlab.ui.model.page import draw_model_page
from flowlab.ui.runs import draw_runs_page
from flowlab.ui.sweeps import draw_sweeps_page
from flowlab.ui.teach.page import draw_teach_page
from lesson_plan import STEPS
from models import RECIPES
from presentation import draw_presentation

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
    st.Page(draw_presentation, title="What is a flow?", icon=":material/school:", default=True),
    *(st.Page(partial(draw_model_page, name, RECIPES), title=recipe.title, icon=recipe.icon,
              url_path=name) for name, recipe in RECIPES.items()),
    st.Page(partial(draw_compare_page, RECIPES), title="Compare", icon=":material/compare:",
            url_path="compare"),
    st.Page(partial(draw_sweeps_page, RECIPES), title="Sweeps", icon=":material/tune:",
            url_path="sweeps"),
    st.Page(partial(draw_runs_page, RECIPES), title="Runs", icon=":material/history:",
            url_path="history"),
    st.Page(partial(draw_teach_page, RECIPES, STEPS), title="Teach",
            icon=":material/co_present:", url_path="teach"),
])
about(running.engine, running.store)
