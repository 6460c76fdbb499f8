"""The chooser of experiments, and the lesson of the one chosen."""

import json
from dataclasses import replace

import streamlit as st

from flowlab.settings import RunSettings
from flowlab.ui.controls import links
from flowlab.ui.controls.presets import BY_NAME, PRESETS
from flowlab.ui.controls.state import ModelPage

TITLES = {"nice": "NICE", "realnvp": "RealNVP", "glow": "Glow"}


def names(model: str) -> tuple[str, ...]:
    """The experiments of a model's page."""
    return tuple(preset.name for preset in PRESETS if preset.model == model)


def choose(page: ModelPage) -> None:
    """Draw a chooser of all experiments; one of another model opens that model's page."""
    if page.goto is not None:
        (other, query), page.goto = page.goto, None
        st.switch_page(f"{other}/page.py", query_params=query)
    page.experiment = page.lesson.preset or None
    st.selectbox("Experiments", list(BY_NAME), index=None, key=f"{page.name}.experiment",
                 on_change=_chosen, args=(page,),
                 placeholder="Choose one: it sets the controls",
                 format_func=lambda name: f"{TITLES[BY_NAME[name].model]}: {BY_NAME[name].title}",
                 help="Each sets the controls and tells what to do, what to look at and why.")


def _chosen(page: ModelPage) -> None:
    name = page.experiment
    if not name:
        page.lesson = replace(page.lesson, preset="")
    elif (model := BY_NAME[name].model) == page.name:
        st.query_params.from_dict(start(name, page.lesson))
    else:
        page.goto = model, start(name, links.Lesson())


def start(name: str, lesson: links.Lesson) -> dict[str, str]:
    """The URL's texts for an experiment."""
    preset = BY_NAME[name]
    kind = type(RunSettings.read(json.dumps({"model": preset.model})))
    return kind.from_flat(preset.settings).texts() | replace(lesson, preset=name).texts()


def explain(lesson: links.Lesson) -> None:
    """Draw what to do, what to look at, and why."""
    if not lesson.preset:
        return
    preset = BY_NAME[lesson.preset]
    with st.container(key="experiment", border=True, gap="xxsmall"):
        st.markdown(f"**{preset.title}**")
        for column, (head, text) in zip(st.columns(3), (
                ("Do", preset.do), ("Look", preset.look), ("Why", preset.why)), strict=True):
            column.markdown(f"**{head}.** {text}")
