"""The page for teachers: a lesson plan with its links, and a form for a link of one's own."""

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

import streamlit as st

from flowlab.training.recipe import Recipe
from flowlab.ui.app import addresses, documentation
from flowlab.ui.app.state import page
from flowlab.ui.controls import links
from flowlab.ui.elements.copy import copyable
from flowlab.ui.elements.escape import plain
from flowlab.ui.teach import draft, plan, qr
from flowlab.ui.teach.draft import OWN, PLAN, TeachPage

ADDRESS = 400  # pixels
ALONE = ("localhost", "127.0.0.1", "[::1]", "::1")


def draw_teach_page(recipes: Mapping[str, Recipe], steps: Sequence[plan.Step]) -> None:
    """Draw the page.

    Parameters
    ----------
    recipes : mapping of str to Recipe
        The recipes by the models' names.
    steps : sequence of Step
        Those of the lesson plan.
    """
    state = page(TeachPage, "teach")
    query = addresses.news(state)
    complaints = draft.load(state, query, recipes) if query else []
    with st.container(key="page-teach"):
        with st.container(horizontal=True, vertical_alignment="center", key="teach-bar"):
            st.title("Teach", anchor=False, width="content")
            st.segmented_control("Part", (PLAN, OWN), required=True, width="content",
                                 label_visibility="collapsed", **TeachPage.part.tie(state))
            lab = _lab(state)
        if state.part == PLAN:
            addresses.write(state, {}, followed=query)
            _plan(state, recipes, steps, lab)
        else:
            _own(state, recipes, lab, complaints, query)


def _lab(state: TeachPage) -> str:
    """The address with which links begin; where nobody else can open it, draw a field for it."""
    if (urlsplit(addresses.here()).hostname or "localhost") not in ALONE:
        return addresses.here()
    st.text_input("Address of the lab", **TeachPage.lab.tie(state), width=ADDRESS,
                  label_visibility="collapsed", placeholder="http://192.168.1.20:8501")
    how = documentation.link("how to start a lab for a class", "howto/class")
    st.caption(f"{plain(addresses.here())} leads to the lab on this computer only. Enter the "
               f"address that your students open; see {how}.")
    return state.lab.strip().rstrip("/") or addresses.here()


def _plan(state: TeachPage, recipes: Mapping[str, Recipe], steps: Sequence[plan.Step], lab: str
          ) -> None:
    st.markdown("For a class that knows what a density is. Each step has a link that opens the app "
                "as the step needs it: open it on the projector, or show its QR code. "
                f"The documentation has {documentation.link('the whole plan', 'lesson')}.")
    for step in steps:
        first, last = step.minutes
        with st.container(border=True, gap="xsmall", key=f"teach-step-{first}"):
            st.header(f"{first} to {last}: {step.title}", anchor=False)
            do, ask = st.columns([4, 5])
            with do:
                st.markdown(plan.filled(step.text, recipes, documentation.link))
                for link in step.links:
                    _link(state, link, recipes, lab)
            with ask:
                for question, answer in step.ask:
                    with st.expander(f"**Ask.** {question}"):
                        st.markdown(plan.filled(answer, recipes, documentation.link))


def _link(state: TeachPage, link: plan.Link, recipes: Mapping[str, Recipe], lab: str) -> None:
    url = plan.address(link, recipes, lab)
    with st.container(horizontal=True, gap="xsmall", vertical_alignment="center"):
        st.link_button(link.label, url, icon=":material/open_in_new:")
        qr.large(url, link.label)
        if link.page in recipes:
            st.button("Change", icon=":material/edit:", key=f"teach.change.{link.label}",
                      on_click=_change, args=(state, link, recipes),
                      help="Make a link of your own from it.")


def _change(state: TeachPage, link: plan.Link, recipes: Mapping[str, Recipe]) -> None:
    draft.load(state, {"model": link.page} | plan.texts(link, recipes), recipes)


def _own(state: TeachPage, recipes: Mapping[str, Recipe], lab: str, complaints: list[str],
         query: dict[str, str] | None) -> None:
    st.markdown("Set what your students see, and hand out the link: everyone who opens it has "
                "the same settings and the same seed, and so the same run.")
    result = st.container(border=True, gap="xsmall")
    lesson_at, settings_at = st.columns([5, 4], gap="medium")
    settings, lesson, more = draft.form(state, recipes, lesson_at.container(), settings_at)
    complaints = complaints + more
    addresses.write(state, {"model": settings.model} | links.query(settings, lesson),
                    followed=None if complaints else query)
    with result:
        for sentence in complaints:
            st.error(plain(sentence), icon=":material/error:")
        url = links.address(settings, lesson, lab)
        copyable(url, "Copy link")
        with st.container(horizontal=True, gap="xsmall", vertical_alignment="center"):
            st.link_button("See it as a student", url, icon=":material/open_in_new:",
                           help="Opens the link in a new tab.")
            qr.large(url, lesson.title or "Your link")
            st.caption(f"{len(url):,} characters, as short as possible: defaults are left "
                       "out.", width="stretch")
