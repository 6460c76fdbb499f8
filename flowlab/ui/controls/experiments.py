"""The chooser of experiments."""

from collections.abc import Mapping
from dataclasses import replace

import streamlit as st

from flowlab.training.lessons import Preset
from flowlab.training.recipe import Recipe
from flowlab.ui.app import addresses
from flowlab.ui.controls import links
from flowlab.ui.controls.state import ModelPage

Recipes = Mapping[str, Recipe]


def every(recipes: Recipes) -> dict[str, Preset]:
    """The experiments of all models, by name."""
    return {preset.name: preset for recipe in recipes.values() for preset in recipe.presets}


def names(recipe: Recipe, recipes: Recipes | None = None) -> tuple[str, ...]:
    """The experiments that a model's page begins, or with all `recipes` those it takes part in."""
    presets = recipe.lessons if recipes is None else every(recipes).values()
    return tuple(preset.name for preset in presets if preset.concerns(recipe.name))


def title(preset: Preset, recipes: Recipes) -> str:
    """An experiment's title, after that of its model."""
    return f"{recipes[preset.model].title}: {preset.title}"


def go(page: ModelPage) -> None:
    """Open the page of the model whose experiment was chosen here, where it is another's."""
    if page.goto is not None:
        (other, query), page.goto = page.goto, None
        st.switch_page(addresses.destination(other), query_params=query)


def choose(page: ModelPage, recipes: Recipes) -> None:
    """Draw a chooser of all experiments; one of another model opens that model's page."""
    page.experiment, presets = page.lesson.preset or None, every(recipes)
    st.selectbox("Experiments", list(presets), index=None, key=f"{page.name}.experiment",
                 on_change=_chosen, args=(page, recipes),
                 placeholder="Choose one: it sets the controls",
                 format_func=lambda name: title(presets[name], recipes),
                 help="Each sets the controls, asks what you expect, and explains what happens.")


def _chosen(page: ModelPage, recipes: Recipes) -> None:
    if not page.experiment:
        page.lesson = replace(page.lesson, preset="")
        return
    preset, page.first, page.expected = every(recipes)[page.experiment], None, None
    if preset.model == page.name:
        st.query_params.from_dict(start(preset, page.lesson, recipes))
    else:
        page.goto = preset.model, start(preset, links.Lesson(), recipes)


def start(preset: Preset, lesson: links.Lesson, recipes: Recipes) -> dict[str, str]:
    """The URL's texts for an experiment."""
    settings = recipes[preset.model].Run.from_flat(preset.settings)
    return settings.texts() | replace(lesson, preset=preset.name).texts()
