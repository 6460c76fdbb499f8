"""The page of a model: its idea, its controls, its training."""

from types import ModuleType

import streamlit as st

from flowlab.explain import Step
from flowlab.ui import allowed, controls, experiments, exports, images, links, training
from flowlab.ui.chooser import choose
from flowlab.ui.lab import lab
from flowlab.ui.operating import refused
from flowlab.ui.plain import plain


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
    complaints = _attach(name) + controls.load(recipe.Run, name, links.PARAMETERS)
    complaints += links.load(name, experiments.names(name))
    complaints += filter(None, [st.session_state.pop(f"{name}.refused", None)])
    lesson = links.lesson(name)
    with st.sidebar:
        of_images = images.named(st.session_state[f"{name}.data"]) is not None
        if not of_images:  # all experiments are about points of the plane
            experiments.choose(recipe, name)
    settings = controls.settings(recipe.Run, name)
    run = lab().find(st.session_state.get(f"{name}.run"))
    controls.write_url(settings, name, run.id if run else None, lesson.texts())
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
        view = training.View(name, recipe, settings, run)
        training.buttons(view)
        training.live(view)
        away, about = st.tabs(["Take it with you", f"About {title}"])
        with away:
            exports.show(view)
        about.markdown(more)
    with st.sidebar:  # last: the picture is seen first
        controls.show(recipe.Run, name, choose, lesson.hide, lesson.lock)
        links.share(settings, name)


def _attach(name: str) -> list[str]:
    """Follow the run that the URL names, with its settings in the controls."""
    run_id = st.query_params.get("run")
    if run_id is None or run_id == st.session_state.get(f"{name}.run"):
        return []
    try:
        run = lab().find(run_id)
        if run is None or run.settings.model != name:
            raise ValueError("The run in this link is no longer on this server: press Train to "
                             "repeat it with the same settings.")
        if run.settings.flow.event_shape != (2,):
            raise ValueError("The run in this link is not about points of the plane, and this page "
                             "is: take its numbers and weights from the list of runs.")
        allowed.check(run.settings)
    except ValueError as error:
        del st.query_params["run"]
        return [str(error)]
    st.session_state[f"{name}.run"] = run_id
    controls.put(run.settings, name)
    st.session_state[f"{name}.url"] = run.settings.texts()
    return []
