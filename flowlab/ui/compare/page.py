"""The page on which models are compared: one press, then the view that follows all trainings."""

import shlex
import time
from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from flowlab.figures.comparison import VIEWS
from flowlab.jobs.waiting import STARTING
from flowlab.server.admission import FOREIGN, must_own, owns
from flowlab.server.limits import limits
from flowlab.studies.comparison import Comparison, Contest, Table, plan, table
from flowlab.studies.comparison.contest import MISSING
from flowlab.studies.comparison.finished import FinishedRun, evaluations, finished_runs
from flowlab.studies.comparison.plan import Trial
from flowlab.ui import lecture
from flowlab.ui.app import addresses
from flowlab.ui.app.lab import appearance, lab, owner, theme
from flowlab.ui.app.state import page, session
from flowlab.ui.app.visitor import visitor
from flowlab.ui.compare import controls, pictures
from flowlab.ui.compare import table as scoreboard
from flowlab.ui.compare.controls import Recipes
from flowlab.ui.compare.state import ComparePage
from flowlab.ui.controls.links import read_view
from flowlab.ui.elements import image
from flowlab.ui.elements.copy import copyable
from flowlab.ui.elements.escape import plain

POLL = 1.0  # seconds between two looks at a comparison under way


def draw_compare_page(recipes: Recipes) -> None:
    """Draw the page.

    Parameters
    ----------
    recipes : mapping of str to Recipe
        The recipes by the models' names, as ``models.RECIPES``.
    """
    state = _page()
    texts = addresses.news(state)
    complaints = [] if texts is None else _open(state, recipes, texts)
    complaints += state.refusal()
    session().layout = state.layout
    with st.sidebar:
        comparison = controls.draw_controls(state, recipes)
    runs = finished_runs(comparison.runs, lab().store)
    contest = state.contest
    if contest is not None:
        contest.poll()
    addresses.write(state, controls.texts(comparison, recipes)
                    | ({"run": contest.id} if contest else {})
                    | ({"view": state.layout} if state.layout else {}),
                    followed=None if complaints else texts)
    with st.container(key="page-compare"):
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall",
                          key=f"compare-{'lecture-' if state.layout else ''}head"):
            st.title("Compare", anchor=False, width="content")
            about = _buttons(comparison, runs, contest, recipes)
            lecture.button("compare", state.layout, partial(setattr, state, "layout"))
            with st.popover("Download", icon=":material/download:", key="compare.download",
                            help="The table, the picture, and the command."):
                _take(comparison if contest is None else contest.comparison, contest)
        st.markdown(about)
        for sentence in complaints:
            st.error(plain(sentence), icon=":material/error:")
        st.fragment(_look, run_every=POLL if state.moves else None)(contest, comparison, runs,
                                                                    recipes)


def _page() -> ComparePage:
    return page(ComparePage, "compare")


def _open(state: ComparePage, recipes: Recipes, texts: dict[str, str]) -> list[str]:
    """Follow an address: a comparison with its settings; what of it could not be used."""
    state.layout, complaints = read_view(texts)
    state.contest = None
    if run := texts.get("run"):
        try:
            state.contest = Contest.open(run, lab().recorder, recipes)
            if state.contest is None:
                complaints.append("The comparison in this link is no longer on this server: press "
                                  "Compare to repeat it with the same settings.")
        except ValueError as error:
            complaints.append(str(error))
    if state.contest is not None:
        controls.put(state, state.contest.comparison, recipes)
        return complaints
    return complaints + controls.load(state, recipes,
                                      {n: t for n, t in texts.items() if n not in ("run", "view")})


def _buttons(comparison: Comparison, runs: Sequence[FinishedRun], contest: Contest | None,
             recipes: Recipes) -> str:
    """Draw the buttons; a sentence on what they would do."""
    foreign = contest is not None and not owns(contest, visitor())
    active = contest is not None and contest.active and not foreign
    unfit, attempt = "", _page().attempt
    try:
        trainings = f"{len(plan(comparison, recipes))} trainings"
        if measured := len(evaluations(comparison, runs)):
            trainings += f", {measured} finished run{'s' * (measured > 1)}"
        about = trainings + ". " + controls.sizes(comparison, recipes)
    except ValueError as error:
        about = unfit = str(error)
    st.button("Compare", type="primary", icon=":material/play_arrow:", key="compare.start",
              disabled=active or bool(unfit), on_click=attempt, args=(_start, comparison, recipes),
              help="Train all models with the settings on the left, on every distribution and "
              "with every seed.")
    st.button("Stop", icon=":material/stop:", key="compare.stop", disabled=not active,
              on_click=attempt, args=(stop, contest, visitor()),
              help=FOREIGN if foreign else "Stop all trainings; what was measured stays.")
    st.segmented_control("Pictures", list(VIEWS), format_func=str.capitalize,
                         default=VIEWS[0], required=True, key="compare.view", width="content",
                         label_visibility="collapsed", persist_state="session",
                         help="What the squares show: the learned density, or samples.")
    if contest is not None and contest.missing and not foreign:
        st.button("Train what is missing", icon=":material/resume:", key="compare.missing",
                  on_click=attempt, args=(train, contest, owner(), visitor()), help="Train what "
                  "has no result yet in the comparison that is shown; what is measured stays.")
    return f":red-badge[Not possible] {plain(unfit)}" if unfit else f":small[{about}]"


def _start(comparison: Comparison, recipes: Recipes) -> None:
    contest = Contest(lab().recorder, comparison, recipes, visitor=visitor())
    train(contest, owner(), visitor())
    _page().contest = contest


def train(contest: Contest, owner: str, visitor: str = "") -> None:
    """Queue what has no result yet, where it is the visitor's and the limits admit it."""
    must_own(contest, visitor)
    comparison = contest.comparison
    if comparison.budget == "seconds":
        limits().refuse("max_seconds", comparison.amount, f"Each training would take "
                        f"{comparison.amount:g} s", "choose a shorter time")
    left = [h.trial for h in contest.trial_runs if h.result is None and not h.status.active]
    trials = [trial for trial in left if isinstance(trial, Trial)]
    # An owner of its own: a single training of the same person need not wait for all of these.
    with lab().admission.admitted([trial.settings for trial in trials], owner,
                                  len(left) - len(trials), comparison.budget == "epochs"):
        contest.train(f"{owner}.compare")


def stop(contest: Contest, visitor: str = "") -> None:
    """Stop a comparison, where it is the visitor's."""
    must_own(contest, visitor)
    contest.stop()


def _look(contest: Contest | None, comparison: Comparison, runs: Sequence[FinishedRun],
          recipes: Recipes) -> None:
    """Draw status, pictures and table, again by themselves while a training may change."""
    with st.container(key="compare-stage"):
        fresh, numbers, comparison = _stage(contest, comparison, runs, recipes)
    scoreboard.draw_table(numbers, comparison)
    if contest is not None:
        for sentence in contest.problems():
            st.warning(plain(sentence), icon=":material/warning:")
    moves = not fresh or contest is not None and contest.active
    if moves != _page().moves:
        _page().moves = moves
        st.rerun()  # buttons, and how often to look, depend on it


def _stage(contest: Contest | None, comparison: Comparison, runs: Sequence[FinishedRun],
           recipes: Recipes) -> tuple[bool, Table, Comparison]:
    """Draw status and picture; whether it shows how things are now, and what the table shows."""
    fresh = True
    if contest is None:
        labels = comparison.labels({n: r.title for n, r in recipes.items()},
                                   [run.name for run in runs])
        st.markdown(":gray-badge[Ready] Press **Compare**, or change anything on the left.")
        st.progress(0.0)
        png, numbers = (pictures.preview(comparison, labels, appearance()),
                        table(comparison, {}, labels, [run.data for run in runs]))
    else:
        lab().watched[contest.id] = time.monotonic()
        contest.poll()
        _progress(contest)
        (png, fresh), numbers = pictures.drawn(contest, _page().view, appearance()), contest.table()
        comparison, labels = contest.comparison, contest.labels
    with st.container(key="compare-picture"):
        image.draw_png(png, _alt(contest, labels))
    return fresh, numbers, comparison


def _progress(contest: Contest) -> None:
    """Draw the progress of all trainings: one line and a bar."""
    what = "trainings and finished runs" if contest.runs else "trainings"
    total = len(contest.trial_runs)
    running = sum(run.status.state == "running" for run in contest.trial_runs)
    spent = sum(run.spent for run in contest.trial_runs) / total
    if contest.active:
        text = f"**{contest.done}** of {total} {what} done, {running} under way."
        if not lab().engine.ready:
            text = STARTING
        st.markdown(f":blue-badge[Comparing] {text}")
    elif len(contest.results()) == total:
        st.markdown(f":green-badge[Finished] All **{total}** {what} are done.")
    else:
        state = ("Not finished" if any(h.status.state == MISSING for h in contest.trial_runs)
                 else "Stopped")
        st.markdown(f":gray-badge[{state}] **{len(contest.results())}** of {total} {what} "
                    "are measured.")
    st.progress(min(spent, 1.0))


def _alt(contest: Contest | None, labels: Sequence[str]) -> str:
    done = "before any training" if contest is None else f"{contest.done} trainings done"
    return (f"True densities beside those that {', '.join(labels)} have learned, and their KL "
            f"against steps and against seconds; {done}.")


def _take(comparison: Comparison, contest: Contest | None) -> None:
    """Draw the files of the comparison, and the command that repeats it."""
    st.markdown("The same points, the same budget, the same test for every model: what remains "
                "is the difference between the models, and chance. **Several seeds** tell the "
                "two apart.")
    view, looks = _page().view, theme()
    ready = contest is not None
    which = contest.id[:6] if contest is not None else "none"

    def made(make: Callable[[Contest], bytes]) -> Callable[[], bytes]:
        return lambda: b"" if contest is None else make(contest)

    files = [
        ("CSV", "csv", "text/csv", made(lambda c: c.table().csv().encode()),
         "The table in full precision: mean, standard error and number of seeds."),
        ("LaTeX", "tex", "text/plain", made(lambda c: c.table().latex().encode()),
         "The table for a paper; it needs the package booktabs."),
        ("SVG", "svg", "image/svg+xml",
         made(lambda c: pictures.file(c, "svg", view, looks)),
         "The picture as vector graphics, to enlarge or edit."),
        ("PDF", "pdf", "application/pdf",
         made(lambda c: pictures.file(c, "pdf", view, looks)), "The picture for a paper."),
    ]
    with st.container(horizontal=True, gap="small"):
        for label, ending, mime, make, text in files:
            st.download_button(label, make, f"comparison-{which}.{ending}", mime,
                               key=f"compare.take.{label}", on_click="ignore", disabled=not ready,
                               help=text if ready else "Available once a "
                               "comparison has begun.")
    with st.expander("What the columns mean, and the same comparison without a browser",
                     key="compare.more"):
        numbers = table(comparison, {}, comparison.labels())
        st.markdown("\n".join(f"- **{m.title}.** {m.help}" for m in numbers.columns))
        st.markdown("In the project's folder, with the same numbers, apart from timings:")
        copyable(command(comparison))


def command(comparison: Comparison) -> str:
    """The command of the same comparison, quoted for a shell."""
    options = (f"--{name}={text}" for name, text in comparison.texts().items())
    return shlex.join(["python", "-m", "flowlab.comparison", *options])
