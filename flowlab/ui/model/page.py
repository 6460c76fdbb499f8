"""The page of a model: its idea, its controls, its training."""

from types import ModuleType

import streamlit as st

from flowlab.analysis.equations import Step
from flowlab.ui.app import addresses
from flowlab.ui.app.lab import lab
from flowlab.ui.app.operating import refused
from flowlab.ui.app.state import Page, page
from flowlab.ui.controls import experiments, links, validation
from flowlab.ui.controls import settings as controls
from flowlab.ui.controls.data import choose
from flowlab.ui.elements.escape import plain
from flowlab.ui.model import differing, downloads, images, training


def show(recipe: ModuleType, title: str, idea: str, layer: Step, more: str) -> None:
    """Draw the page.

    Parameters
    ----------
    recipe : module
        The model's recipe: ``MODEL``, ``Run`` and ``train``.
    title : str
        The model's name and year.
    idea : str
        What it does, in a sentence or two (Markdown).
    layer : Step
        The equations of its layer.
    more : str
        What to know besides, with the paper's link (Markdown).
    """
    name = recipe.Run.model_fields["model"].default
    state = page(Page, name)
    texts = addresses.news(state)
    complaints = [] if texts is None else _open(recipe, name, texts)
    complaints += controls.missing(recipe.Run, name)
    complaints += filter(None, [st.session_state.pop(f"{name}.refused", None)])
    lesson = links.lesson(name)
    with st.sidebar:
        of_images = images.named(st.session_state[f"{name}.data"]) is not None
        if not of_images:  # all experiments are about points of the plane
            experiments.choose(recipe, name)
    settings = controls.settings(recipe.Run, name)
    view = training.view(name, recipe, settings)
    told = {"run": view.run.id} if view.run is not None and not view.differs else {}
    addresses.write(state, settings.texts() | lesson.texts() | told,
                    followed=None if complaints else texts)
    with st.container(key=f"page-{name}"):
        links.banner(lesson)
        with st.container(key="equations-head"):
            left, right = st.columns([11, 9], vertical_alignment="center")
        left.header(title, anchor=False)
        left.markdown(idea)
        right.latex(layer.latex())
        for sentence in complaints:
            st.error(plain(sentence), icon=":material/error:")
            refused("link", sentence)
        if not of_images:
            experiments.explain(lesson)
        training.buttons(view)
        training.live(view)
        away, about = st.tabs(["Take it with you", f"About {title}"])
        with away:
            downloads.show(view)
        about.markdown(more)
    with st.sidebar:  # last: the picture is seen first
        controls.show(recipe.Run, name, choose, lesson.hide, lesson.lock)
        links.share(settings, name)


def _open(recipe: ModuleType, name: str, texts: dict[str, str]) -> list[str]:
    """Become what an address says: settings, lesson and run; what of it could not be used."""
    told = {key: text for key, text in texts.items() if key in links.PARAMETERS}
    settings = {key: text for key, text in texts.items() if key not in (*told, "run")}
    complaints = controls.load(recipe.Run, name, settings)
    complaints += links.load(name, experiments.names(name), told)
    if "run" in texts:
        return complaints + _attach(name, texts["run"], alone=not settings)
    before = lab().find(st.session_state.get(f"{name}.run"))
    if before is None or differing.same_data(before.settings, controls.settings(recipe.Run, name)):
        st.session_state.pop(f"{name}.run", None)  # the address shows a fresh flow
    return complaints


def _attach(name: str, run_id: str, alone: bool) -> list[str]:
    """Follow a run, with its settings in the controls where an address says it `alone`."""
    st.session_state.pop(f"{name}.run", None)
    try:
        run = lab().find(run_id)
        if run is None or run.settings.model != name:
            raise ValueError("The run in this link is no longer on this server: press Train to "
                             "repeat it with the same settings.")
        if run.settings.flow.event_shape != (2,):
            raise ValueError("The run in this link is not about points of the plane, and this page "
                             "is: take its numbers and weights from the list of runs.")
        validation.check(run.settings)
    except ValueError as error:
        return [str(error)]
    st.session_state[f"{name}.run"] = run_id
    if alone:
        controls.put(run.settings, name)
    return []
