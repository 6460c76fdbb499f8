"""Finished runs in a comparison's sidebar: those that take part, and the chooser of others."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import streamlit as st

from flowlab.data import target
from flowlab.runs import Run
from flowlab.studies.comparison.finished import FinishedRun, finished_runs, obstacle
from flowlab.ui.app.lab import lab
from flowlab.ui.app.visitor import visitor
from flowlab.ui.compare.state import ComparePage

SHOWN = 300  # runs in the chooser, the newest


def fitting(ids: Sequence[str]) -> tuple[tuple[FinishedRun, ...], list[str]]:
    """The runs of these ids that can be compared, and a sentence for each of the others."""
    found: list[FinishedRun] = []
    complaints = []
    for name in ids:
        try:
            found += finished_runs([name], lab().store)
        except ValueError as error:
            complaints.append(str(error))
    return tuple(found), complaints


def rows(state: ComparePage, labels: Sequence[str], colours: Sequence[str],
         runs: Sequence[FinishedRun], alone: bool) -> None:
    """Draw one line for each run, with a button that takes it out unless it is `alone`."""
    for run, label, colour in zip(runs, labels, colours, strict=False):
        dot, name, gone = st.columns([1, 8, 2], gap="xxsmall", vertical_alignment="center")
        dot.html(f'<span style="color: {colour}">●</span>')
        name.button(label, icon=":material/history:", width="stretch", disabled=True,
                    key=f"compare.run.{run.id}", help="A finished run, measured as it is; it was "
                    f"trained on {target(run.data).title}.")
        gone.button("Remove", icon=":material/close:", key=f"compare.{run.id}.remove",
                    type="tertiary", disabled=alone, on_click=_remove, args=(state, run.id),
                    help=f"Remove {label} from the comparison.")


def choose(state: ComparePage, full: bool, titles: Mapping[str, str]) -> None:
    """Draw the chooser of finished runs; what is chosen takes part from then on."""
    with st.popover("Finished run", icon=":material/add:", key="compare.finished",
                    disabled=full, help="Add a stored run: it is measured and drawn beside "
                    "the models, on the distribution it was trained on, and is not trained again."):
        runs = {run.id: run for run in lab().runs(visitor())[:SHOWN]
                if run.id not in state.runs and not obstacle(run)}
        if not runs:
            st.caption("There is no other finished run on points of the plane: train one on a "
                       "model's page.")
            return
        st.selectbox("Finished runs, newest first", list(runs), index=None,
                     format_func=lambda name: _line(runs[name], titles), placeholder="Choose one",
                     key=state.addrun.key(state.turn), on_change=_add, args=(state,))


def _line(run: Run, titles: Mapping[str, str]) -> str:
    """The name and the date, and model and distribution where the name does not say them."""
    date = f"{datetime.fromtimestamp(run.created):%Y-%m-%d %H:%M}"
    model, data = titles.get(run.model, run.model), target(run.data).title
    if run.name.startswith(f"{model} · {data}"):
        return f"{run.name}, {date}"
    return f"{run.name} ({model} on {data}), {date}"


def _add(state: ComparePage) -> None:
    name = state.addrun[state.turn]
    state.turn += 1  # an empty chooser next time
    if name is None or name in state.runs:
        return
    found, _ = fitting([name])
    for run in found:
        state.runs = (*state.runs, run.id)
        if run.data not in state.data:
            state.data = (*state.data, run.data)


def _remove(state: ComparePage, name: str) -> None:
    state.runs = tuple(other for other in state.runs if other != name)
