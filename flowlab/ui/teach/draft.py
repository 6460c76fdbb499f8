"""A teacher's own link: a form of what it sets, shows, hides and asks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import streamlit as st

from flowlab.data import kind_of
from flowlab.figures import DEFAULT_OVERLAYS, OVERLAYS
from flowlab.settings import RunSettings
from flowlab.training.recipe import Recipe, featured
from flowlab.ui import lecture
from flowlab.ui.app.state import Control, Page, Values
from flowlab.ui.controls import experiments, links, validation
from flowlab.ui.controls.data import choose
from flowlab.ui.controls.state import ModelPage

PLAN, OWN = "A lesson of 45 minutes", "A link of your own"
USUAL = {"": "Training"}
#: The controls of what a link has besides the settings.
TEXTS = ("title", "task", "expect", "hide", "lock", "show", "overlays", "view", "preset")


@dataclass
class TeachPage(Page):
    """State of the page for teachers."""

    part = Control(PLAN)
    model = Control("")
    lab = Control("")  #: The address of the lab that links begin with; empty for the one open.
    #: The controls of each model's settings, as its own page has them.
    drafts: dict[str, ModelPage] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lesson = Values("teach.lesson")

    def draft(self, recipe: Recipe) -> ModelPage:
        """The draft of a link to a model's page; a fresh one shows the defaults."""
        if recipe.name not in self.drafts:
            self.drafts[recipe.name] = ModelPage(f"teach-{recipe.name}", recipe=recipe)
            self.drafts[recipe.name].controls.put(recipe.Run.from_flat({}))
        return self.drafts[recipe.name]


def load(page: TeachPage, texts: dict[str, str], recipes: Mapping[str, Recipe]) -> list[str]:
    """Show the link with this query in the form; what of it could not be used."""
    texts, page.part = dict(texts), OWN
    model = texts.pop("model", "")
    if model not in recipes:
        return ["model: a link can lead to the page of " + ", ".join(recipes) + "."]
    recipe, page.model = recipes[model], model
    given = {name: texts.pop(name) for name in links.PARAMETERS if name in texts}
    lesson, complaints = _read(given, recipe, recipes)
    complaints += page.draft(recipe).controls.load(texts)
    page.lesson.update({
        "title": lesson.title, "task": lesson.task, "expect": "\n".join(lesson.expect),
        "hide": [*lesson.hide], "lock": [*lesson.lock], "show": lesson.show, "view": lesson.view,
        "preset": lesson.preset or None, "overlays": [*(
            DEFAULT_OVERLAYS if lesson.overlays is None else lesson.overlays)]})
    return complaints


def form(page: TeachPage, recipes: Mapping[str, Recipe], lesson_at: Any, settings_at: Any
         ) -> tuple[RunSettings, links.Lesson, list[str]]:
    """Draw the form in two places; the settings, the rest, and what of it could not be used."""
    if page.model not in recipes:
        page.model = featured(recipes).name
    with lesson_at:
        st.segmented_control("Model", list(recipes), required=True, **TeachPage.model.tie(page),
                             format_func=lambda name: recipes[name].title)
    recipe = recipes[page.model]
    draft = page.draft(recipe)
    complaints = draft.controls.missing()
    with settings_at:
        draft.controls.draw(partial(choose, draft))
    with lesson_at:
        given = _texts(page, recipe, recipes, draft.controls["data"])
    lesson, more = _read(given, recipe, recipes)
    return draft.controls.settings(), lesson, complaints + more


def _read(given: dict[str, str], recipe: Recipe, recipes: Mapping[str, Recipe]
          ) -> tuple[links.Lesson, list[str]]:
    return links.read(given, experiments.names(recipe, recipes), links.names(recipe.Run))


def _texts(page: TeachPage, recipe: Recipe, recipes: Mapping[str, Recipe], data: str
           ) -> dict[str, str]:
    """Draw the controls of what is not a setting; their values, as a link has them."""
    values = page.lesson
    for name, usual in zip(TEXTS, ("", "", "", [], [], "", [*DEFAULT_OVERLAYS], "", None),
                           strict=True):
        values.setdefault(name, usual)
    st.text_input("Title", max_chars=links.TITLE, **values.tie("title"),
                  placeholder="Watch a flow learn", help="Plain text, above the picture.")
    st.text_area("Task", max_chars=links.TASK, **values.tie("task"), height=96,
                 placeholder="Press Train. Which picture shows what the flow has learned?",
                 help="Plain text, under the title. It folds when the training begins.")
    st.text_area("What do you expect? One answer per line", **values.tie("expect"), height=96,
                 placeholder="Yes\nNo", help=f"Up to {links.ANSWERS} answers of {links.ANSWER} "
                 "characters, of which a student chooses one before training. Nobody is graded.")
    left, right = st.columns(2)
    names = links.names(recipe.Run)
    for column, name, about in ((left, "hide", "Not shown at all."),
                                (right, "lock", "Shown, but cannot be changed.")):
        values[name] = [chosen for chosen in values[name] if chosen in names]
        column.multiselect(f"{name.capitalize()} controls", _listed(recipe, data), key=values.key(
            name), format_func=partial(_named, recipe), persist_state="session",
            placeholder="None", help=f"{about} Whole groups, or single settings.")
    presets = experiments.every(recipes)
    known = experiments.names(recipe, recipes)
    values["preset"] = values["preset"] if values["preset"] in known else None
    left.selectbox("Experiment", known, **values.tie("preset"), placeholder="None",
                   format_func=lambda name: presets[name].title,
                   help="The page explains what to do, what to look at, and why.")
    right.selectbox("Screen", ["", *lecture.NAMES], **values.tie("view"),
                    format_func=lambda name: f"Lecture: {lecture.NAMES[name]}" if name else
                    "Page with controls", help="In the lecture view the picture fills the screen.")
    of_images = kind_of(data) == "images"
    shows = [key for key in links.SHOWS if (key != "flow") == of_images]
    values["show"] = values["show"] if values["show"] in shows else ""
    left.selectbox("Picture", ["", *shows], **values.tie("show"),
                   format_func=lambda key: links.SHOWS.get(key, "Training"),
                   help="What the picture shows at first.")
    if not of_images:
        right.multiselect("Overlays", list(OVERLAYS), **values.tie("overlays"),
                          format_func=lambda name: OVERLAYS[name].capitalize(),
                          placeholder="None", help="What is drawn over the picture at first.")
    given = {name: values[name] or "" for name in ("title", "task", "view", "preset", "show")}
    given |= {name: ",".join(values[name]) for name in ("hide", "lock")}
    given["expect"] = "|".join(values["expect"].replace("|", "/").splitlines())
    if not of_images and {*values["overlays"]} != {*DEFAULT_OVERLAYS}:
        given["overlays"] = ",".join(values["overlays"]) or links.NO_OVERLAYS
    return given


def _listed(recipe: Recipe, data: str) -> list[str]:
    """The groups, and the settings with a control for such data."""
    gone = {*validation.hidden(recipe.Run, data)} - {*links.NAMES}
    return [name for name in links.names(recipe.Run) if name not in gone]


def _named(recipe: Recipe, name: str) -> str:
    field = recipe.Run.fields().get(name)
    if name in links.NAMES or field is None:
        return f"{name.capitalize()} (all)"
    return field.title or name
