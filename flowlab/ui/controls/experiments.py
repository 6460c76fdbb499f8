"""The chooser of experiments, and the lesson of the one chosen."""

import json
from dataclasses import replace
from types import ModuleType

import streamlit as st

from flowlab.settings import RunSettings
from flowlab.ui.controls import links
from flowlab.ui.controls.presets import BY_NAME, PRESETS

TITLES = {"nice": "NICE", "realnvp": "RealNVP", "glow": "Glow"}
GOTO = "experiment.goto"


def names(model: str) -> tuple[str, ...]:
    """The experiments of a model's page."""
    return tuple(preset.name for preset in PRESETS if preset.model == model)


def choose(recipe: ModuleType, model: str) -> None:
    """A chooser of all experiments; one of another model opens that model's page."""
    if GOTO in st.session_state:
        other, query = st.session_state.pop(GOTO)
        st.switch_page(f"{other}/page.py", query_params=query)
    key = f"{model}.experiment"
    st.session_state[key] = links.lesson(model).preset or None
    st.selectbox("Experiments", list(BY_NAME), index=None, key=key,
                 on_change=_chosen, args=(model, key),
                 placeholder="Choose one: it sets the controls",
                 format_func=lambda name: f"{TITLES[BY_NAME[name].model]}: {BY_NAME[name].title}",
                 help="Each sets the controls and tells what to do, what to look at and why.")


def _chosen(model: str, key: str) -> None:
    name = st.session_state[key]
    told = links.lesson(model)
    if not name:
        links.teach(model, replace(told, preset=""))
        return
    preset = BY_NAME[name]
    query = start(preset.name, told if preset.model == model else links.Lesson())
    if preset.model == model:
        st.query_params.from_dict(query)
    else:
        st.session_state[GOTO] = preset.model, query


def start(name: str, told: links.Lesson) -> dict[str, str]:
    """The URL's texts for an experiment."""
    preset = BY_NAME[name]
    kind = type(RunSettings.read(json.dumps({"model": preset.model})))
    return kind.from_flat(preset.settings).texts() | replace(told, preset=name).texts()


def explain(told: links.Lesson) -> None:
    """What to do, what to look at, and why."""
    if not told.preset:
        return
    preset = BY_NAME[told.preset]
    with st.container(key="experiment", border=True, gap="xxsmall"):
        st.markdown(f"**{preset.title}**")
        for column, (head, text) in zip(st.columns(3), (
                ("Do", preset.do), ("Look", preset.look), ("Why", preset.why)), strict=True):
            column.markdown(f"**{head}.** {text}")
