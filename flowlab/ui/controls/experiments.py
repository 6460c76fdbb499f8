"""The chooser of experiments, and the lesson of the one chosen."""

from collections.abc import Mapping
from dataclasses import replace

import streamlit as st

from flowlab.data import kind_of
from flowlab.training.lessons import Preset
from flowlab.training.recipe import Recipe
from flowlab.ui.app import addresses
from flowlab.ui.controls import links
from flowlab.ui.controls.state import ModelPage
from flowlab.ui.elements.escape import plain

Recipes = Mapping[str, Recipe]


def every(recipes: Recipes) -> dict[str, Preset]:
    """The experiments of all models, by name."""
    return {preset.name: preset for recipe in recipes.values() for preset in recipe.presets}


def names(recipe: Recipe) -> tuple[str, ...]:
    """The experiments of a model's page."""
    return tuple(preset.name for preset in recipe.lessons)


def title(preset: Preset, recipes: Recipes) -> str:
    """An experiment's title, after that of its model."""
    return f"{recipes[preset.model].title}: {preset.title}"


def choose(page: ModelPage, recipes: Recipes) -> None:
    """Draw a chooser of all experiments; one of another model opens that model's page."""
    if page.goto is not None:
        (other, query), page.goto = page.goto, None
        st.switch_page(addresses.destination(other), query_params=query)
    page.experiment, presets = page.lesson.preset or None, every(recipes)
    st.selectbox("Experiments", list(presets), index=None, key=f"{page.name}.experiment",
                 on_change=_chosen, args=(page, recipes),
                 placeholder="Choose one: it sets the controls",
                 format_func=lambda name: title(presets[name], recipes),
                 help="Each sets the controls and tells what to do, what to look at and why.")


def _chosen(page: ModelPage, recipes: Recipes) -> None:
    if not page.experiment:
        page.lesson = replace(page.lesson, preset="")
        return
    preset = every(recipes)[page.experiment]
    if preset.model == page.name:
        st.query_params.from_dict(start(preset, page.lesson, recipes))
    else:
        page.goto = preset.model, start(preset, links.Lesson(), recipes)


def start(preset: Preset, lesson: links.Lesson, recipes: Recipes) -> dict[str, str]:
    """The URL's texts for an experiment."""
    settings = recipes[preset.model].Run.from_flat(preset.settings)
    return settings.texts() | replace(lesson, preset=preset.name).texts()


def explain(page: ModelPage, folded: bool) -> None:
    """Draw the teacher's task, and what to do in an experiment, what to look at, and why.

    It is a strip that folds: the picture takes its place once there is something to see.
    """
    lesson = page.lesson
    of_points = kind_of(page.controls["data"]) != "images"  # as all experiments are
    preset = next((p for p in page.recipe.presets if of_points and p.name == lesson.preset), None)
    if not (lesson.title or lesson.task or preset):
        return
    label = plain(lesson.title) or (preset.title if preset else "Task")
    key = f"{page.name}-lesson-{folded}"  # a new strip, or it would stay as the viewer has left it
    with st.expander(label, expanded=not folded, key=key):
        if lesson.task:
            st.text(lesson.task)
        if preset is None:
            return
        for column, (head, text) in zip(st.columns(3), (
                ("Do", preset.do), ("Look", preset.look), ("Why", preset.why)), strict=True):
            column.markdown(f"**{head}.** {text}")
