"""The page of a model: its idea, its controls, its training."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import streamlit as st

from flowlab.settings import RunSettings
from flowlab.training.recipe import Recipe
from flowlab.ui import lecture
from flowlab.ui.app import addresses
from flowlab.ui.app.lab import lab
from flowlab.ui.app.operating import refused
from flowlab.ui.app.state import session
from flowlab.ui.controls import experiments, links, validation
from flowlab.ui.controls.data import choose
from flowlab.ui.controls.state import ModelPage, model_page
from flowlab.ui.elements.copy import copyable
from flowlab.ui.elements.escape import plain
from flowlab.ui.model import differing, downloads, live, training
from flowlab.ui.model.lesson import draw_lesson
from flowlab.ui.model.view import view as view_of


def draw_model_page(name: str, recipes: Mapping[str, Recipe]) -> None:
    """Draw the page.

    Parameters
    ----------
    name : str
        The model's.
    recipes : mapping of str to Recipe
        The recipes by the models' names, as ``models.RECIPES``.
    """
    recipe = recipes[name]
    page = model_page(recipe)
    texts = addresses.news(page)
    complaints = [] if texts is None else _open(page, texts, recipes)
    complaints += page.controls.missing() + page.refusal()
    lesson = page.lesson
    experiments.go(page)
    settings, session().layout = page.controls.settings(), lesson.view
    view = view_of(page, settings)
    run = {"run": view.run.id} if view.run is not None and not view.differs else {}
    addresses.write(page, settings.texts() | lesson.texts() | run,
                    followed=None if complaints else texts)
    st.set_page_config(f"{view.run.name if view.run else recipe.title} · Flow Lab")
    status = view.status()
    page.status, page.offer = status.state, view.offer()
    with st.container(key=f"page-{name}"):
        head = st.container(horizontal=True, vertical_alignment="center", gap="xsmall",
                            key=f"{name}-{'lecture-' if lesson.view else ''}head")
        with st.container():  # what follows keeps its place, and a click under way its fragment
            for sentence in complaints:
                st.error(plain(sentence), icon=":material/error:")
                refused("link", sentence)
            draw_lesson(view, recipes)
        # A program that opens the page without a browser says nothing of where it is.
        if st.context.timezone and not (session().arrived or lesson.view or complaints):
            session().arrived = True
            live.first_sight(view)  # before all the rest, which a browser takes long to draw
            st.stop()
        live.follow(view)
    with head:
        st.title(recipe.title, anchor=False, width="content")
        training.buttons(view, status)
        lecture.button(name, lesson.view, partial(_lecture, page))
        with st.popover("About", icon=":material/info:", key=f"{name}.about",
                        help="The idea, the equations, and more."):
            _about(recipe)
        with st.popover("Download", icon=":material/download:", key=f"{name}.download",
                        help="Picture, film, numbers, weights, settings and code."):
            downloads.draw_downloads(view)
        sharing = st.container(width="content")
    with st.sidebar:
        experiments.choose(page, recipes)
        page.controls.draw(partial(choose, page), lesson.hide, lesson.lock)
    with sharing:  # at the end, so that no run is cut off between the link and the rest
        _share(settings, lesson)


def _share(settings: RunSettings, lesson: links.Lesson) -> None:
    """Draw a button that opens the page's link, and leads to where a teacher adds to it."""
    with st.popover("Share", icon=":material/link:", key=f"{settings.model}.link",
                    help="A link to this page as it stands, also for a class."):
        st.markdown("The same settings and seed: a run of the same number of seconds, which gets "
                    "as far as its machine allows." if settings.training.seconds else
                    "The same settings and seed: the same run, on any machine with the same "
                    "versions.")
        copyable(links.address(settings, lesson), "Copy link")
        st.page_link(addresses.destination("teach"), icon=":material/co_present:",
                     label="Make a link for a class: with a task, hidden controls, a QR code",
                     query_params={"model": settings.model} | links.query(settings, lesson))


def _lecture(page: ModelPage, layout: str) -> None:
    page.lesson = replace(page.lesson, view=layout)


def _about(recipe: Recipe) -> None:
    st.markdown(recipe.idea)
    st.latex(recipe.equations.latex())
    st.markdown(recipe.text)


def _open(page: ModelPage, texts: dict[str, str], recipes: Mapping[str, Recipe]) -> list[str]:
    """Follow an address: settings, lesson and run; what of it could not be used."""
    lesson, complaints = links.read(texts, experiments.names(page.recipe, recipes),
                                    links.names(page.recipe.Run))
    settings = {name: text for name, text in texts.items()
                if name not in (*links.PARAMETERS, "run")}
    complaints = page.controls.load(settings) + complaints
    if lesson != page.lesson:
        page.lesson, page.first, page.expected = lesson, None, None
        if lesson.show:
            page.view = links.SHOWS[lesson.show]
        if lesson.overlays is not None:
            page.chosen_overlays = page.flow_overlays = [*lesson.overlays]
    if "run" in texts:
        return complaints + _attach(page, texts["run"], alone=not settings)
    before = lab().find(page.run)
    if before is None or differing.same_data(before.settings, page.controls.settings()):
        page.run = None  # the address shows a fresh flow
    return complaints


def _attach(page: ModelPage, run_id: str, alone: bool) -> list[str]:
    """Follow a run, with its settings in the controls where the address names it `alone`."""
    page.run = None
    try:
        run = lab().find(run_id)
        if run is None or run.settings.model != page.name:
            raise ValueError("The run in this link is no longer on this server: press Train to "
                             "repeat it with the same settings.")
        if run.settings.flow.event_shape != (2,):
            raise ValueError("The run in this link is not about points of the plane, so this page "
                             "cannot show it: export it from the list of runs.")
        validation.check(run.settings)
    except ValueError as error:
        return [str(error)]
    page.run = run_id
    if alone:
        page.controls.put(run.settings)
    return []
