"""Flow Lab: see normalizing flows learn. Start it with ``streamlit run app.py``."""

from pathlib import Path

import streamlit as st

from flowlab.ui.app import menu
from flowlab.ui.app.lab import lab
from flowlab.ui.app.operating import about
from flowlab.ui.app.visitor import welcome

HERE = Path(__file__).parent

# An icon by name would be fetched from another host; no page asks any but its own.
st.set_page_config("Flow Lab", HERE / "static" / "icon.svg", layout="wide",
                   initial_sidebar_state=340)
st.html(HERE / "flowlab" / "ui" / "style.css")
welcome()
try:
    house = lab()
except ValueError as error:  # a folder of runs that cannot be used
    st.error(str(error), icon=":material/error:")
    st.stop()
menu.run([
    st.Page("presentation.py", title="What is a flow?", icon=":material/school:", default=True),
    st.Page("nice/page.py", title="NICE", icon=":material/swap_horiz:", url_path="nice"),
    st.Page("realnvp/page.py", title="RealNVP", icon=":material/open_with:", url_path="realnvp"),
    st.Page("glow/page.py", title="Glow", icon=":material/flare:", url_path="glow"),
    st.Page("comparison.py", title="Compare", icon=":material/compare:", url_path="compare"),
    st.Page("sweeps.py", title="Sweeps", icon=":material/tune:"),
    st.Page("history.py", title="Runs", icon=":material/history:"),
])
about(house.engine, house.store)
