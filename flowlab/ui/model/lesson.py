"""The lesson of a model's page: what one expects, what there is to see, and why."""

from collections.abc import Mapping

import streamlit as st

from flowlab.figures import first_samples, learned_density
from flowlab.settings import RunSettings
from flowlab.training.lessons import Preset
from flowlab.training.metrics import bits_per_dimension
from flowlab.training.recipe import Recipe
from flowlab.ui.app.lab import appearance
from flowlab.ui.app.state import session
from flowlab.ui.controls import experiments
from flowlab.ui.controls.state import First, ModelPage, model_page
from flowlab.ui.elements import image
from flowlab.ui.elements.escape import plain
from flowlab.ui.model import differing, metrics
from flowlab.ui.model.view import View

SIDE = 480  # pixels of the first picture


def draw_lesson(view: View, recipes: Mapping[str, Recipe]) -> None:
    """Draw the teacher's task and the experiment: first the questions, after a training the rest.

    It is a strip that folds: the picture takes its place once there is something to see.
    """
    page, lesson = view.page, view.page.lesson
    preset = experiments.every(recipes).get(lesson.preset)
    if not (lesson.title or lesson.task or preset):
        return
    begun = view.run is not None or page.first is not None
    folded = begun or bool(lesson.view)
    label = plain(lesson.title) or (preset.title if preset else "Task")
    if preset and begun:
        label += " · Look, and why"
    key = f"{page.name}-lesson-{folded}"  # a new strip, or it would stay as the viewer has left it
    with st.expander(label, expanded=not folded, key=key):
        if lesson.task:
            st.text(lesson.task)
        if preset and begun:
            _look(view, preset, recipes)
        elif preset:
            do, ask = st.columns(2)
            do.markdown(f"**Do.** {preset.do}")
            with ask:
                _ask(page, preset.expect, lesson.expect or preset.answers)
        elif lesson.expect and not begun:
            _ask(page, "", lesson.expect)
        elif page.expected:
            _expected(page)


def _ask(page: ModelPage, question: str, answers: tuple[str, ...]) -> None:
    st.pills(f"**What do you expect?** {question}", answers,
             format_func=plain, **ModelPage.expected.tie(page))


def _expected(page: ModelPage) -> None:
    st.markdown(f"You expected: **{plain(page.expected or '')}**.")


def _look(view: View, preset: Preset, recipes: Mapping[str, Recipe]) -> None:
    """Draw what there is to see, why on a click, and what to compare it with."""
    look, more = st.columns([3, 2])
    with look:
        if view.page.expected:
            _expected(view.page)
        st.markdown(f"**Look.** {preset.look}")
    with more, st.container(horizontal=True, gap="xsmall"):
        with st.popover("Why?", icon=":material/lightbulb:", width="content"):
            st.markdown(preset.why)
        for training, label in preset.then.items():
            st.button(label, icon=":material/compare:", key=f"{view.page.name}.then.{training}",
                      on_click=_load, args=(view, preset, training, recipes),
                      disabled=view.steered,
                      help="Set the controls to this, and keep the picture beside the next one.")


def _load(view: View, preset: Preset, training: str, recipes: Mapping[str, Recipe]) -> None:
    """Set the controls for another training of the lesson, on its model's page."""
    model, flat = preset.training(training)
    settings = recipes[model].Run.from_flat(flat)
    page = model_page(recipes[model])
    page.first = _first(view, settings)
    if page is not view.page:
        page.lesson, page.expected = view.page.lesson, view.page.expected
        view.page.goto = model, settings.texts() | page.lesson.texts()
    page.run = None
    page.controls.put(settings)


def _first(view: View, after: RunSettings) -> First | None:
    """The part of the picture shown that matters most, and what it is of."""
    (name, png), run, frame = session().picture, view.run, view.frame()
    if run is None or frame is None or name != view.page.name:
        return None
    before, source = run.settings, view.subject([frame]).source
    of_images = source.kind == "images"
    names = differing.differences(before, after) if type(before) is type(after) else []
    if of_images:
        nll = frame.moment.test_nll
        bits = nll and bits_per_dimension(nll, source.event_shape)
        part, reached = first_samples, metrics.number(bits, "bits/dim")
    else:
        part, reached = learned_density, f"KL {metrics.number(frame.moment.kl, 'nats')}"
    picture = png if isinstance(png, bytes) else png.read_bytes()
    return First(part(picture, SIDE, appearance()), f"Before: {view.page.recipe.title}, "
                 f"{differing.title(before, names)}. {reached}")


def draw_first(page: ModelPage) -> None:
    """Draw the picture from before, where there is one, beside the place of the next."""
    if page.first is None:
        return
    with st.container(key=f"{page.name}-first"):
        st.image(image.address(page.first.picture, "jpeg"), width="stretch",
                 alt=page.first.caption)
        st.caption(plain(page.first.caption))
        st.button("Close", icon=":material/close:", type="tertiary", key=f"{page.name}.closefirst",
                  on_click=_close, args=(page,),
                  help="Show the picture at full width again.")


def _close(page: ModelPage) -> None:
    page.first = None
