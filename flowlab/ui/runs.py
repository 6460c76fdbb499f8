"""The list of all stored runs: to find, open, rename, export and delete them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Literal

import streamlit as st

from flowlab.data import kind_of, title_of
from flowlab.figures import first_samples, learned_density
from flowlab.live import export
from flowlab.runs import Run, pack
from flowlab.runs.store import MIN_QUOTA, NAME
from flowlab.server.admission import QUOTA
from flowlab.server.limits import MEGA, limits
from flowlab.studies.comparison.finished import obstacle
from flowlab.studies.comparison.plan import MAX_DISTRIBUTIONS, MAX_ENTRIES, Comparison
from flowlab.studies.groups import take
from flowlab.training.recipe import Recipe
from flowlab.ui.app import addresses
from flowlab.ui.app.lab import lab
from flowlab.ui.app.operating import refused
from flowlab.ui.app.state import Control, Page, page
from flowlab.ui.app.visitor import visitor
from flowlab.ui.controls import validation
from flowlab.ui.controls.upload import largest
from flowlab.ui.elements import image
from flowlab.ui.elements.escape import plain
from flowlab.ui.groups import draw_groups
from flowlab.ui.model.downloads import WEB_PAGE
from flowlab.ui.model.status import BADGES

REFRESH = 3.0  # seconds between two looks while a run is under way
SHOWN = 300  # rows at most
LABELS = {**{name: label for name, (label, _) in BADGES.items()}, "queued": "In the queue"}
ORIGINS = {"page": "A model's page", "command": "Command line", "comparison": "Comparison",
           "sweep": "Sweep", "import": "Imported"}
NOTHING = "Select a run with the box on its left."
SINGLE = "Select a single run."
FILTERS = ("words", "model", "data", "outcome", "origin")


@dataclass
class RunsPage(Page):
    """State of the list of runs."""

    imported: str = ""  #: The name of a run just imported, for the next time the page is drawn.
    turn: int = 0  #: How many files were given: each empties the uploader.
    dialog: Literal["", "rename", "delete"] = ""  #: The dialog that is open.
    chosen: tuple[str, ...] = ()  #: The ids of the dialog's runs.
    budget = Control(0)  #: Of disk, in MB.


def _page() -> RunsPage:
    return page(RunsPage, "runs")


def draw_runs_page(recipes: Mapping[str, Recipe]) -> None:
    """Draw the page, with the models' titles from their recipes."""
    with st.container(key="page-runs"):
        left, used, budget, load = st.columns([2, 1.3, 1.5, 1.2], vertical_alignment="center")
        left.title("Runs", anchor=False)
        left.markdown("Your trainings. Others can open one by its link." if limits().shared
                      else "Trainings from the pages and the command line.")
        _room(used, budget)
        with load.popover("Import", icon=":material/upload:", width="stretch",
                          help="Add a run, a comparison or a sweep that was exported, here or on "
                          "another machine."):
            _import()
        state = _page()
        if state.imported:
            st.success(plain(f"Imported: {state.imported}"))
            state.imported = ""
        for sentence in state.refusal():
            st.error(plain(sentence))
        if notice := lab().store.notice:
            st.warning(plain(notice), icon=":material/warning:")
        active = any(run.active for run in lab().runs(visitor()))
        titles = {name: recipe.title for name, recipe in recipes.items()}
        st.fragment(_list, run_every=REFRESH if active else None)(active, titles)


def _room(used: st.delta_generator.DeltaGenerator, budget: st.delta_generator.DeltaGenerator
          ) -> None:
    """Draw how much of the disk the runs take, and may take."""
    store = lab().store
    taken, limit = store.used(), store.quota
    used.progress(min(taken / limit, 1.0), f"Disk: {taken / MEGA:,.0f} of {limit / MEGA:,.0f} MB")
    with budget.popover("Free up space", icon=":material/hard_drive:", width="stretch",
                        help="How much disk space the runs may take."):
        fixed = QUOTA if limits().shared or limits().max_disk is not None else ""
        st.number_input(
            "Disk space for all runs (MB)", MIN_QUOTA // MEGA, 10**7, limit // MEGA, 100,
            key="runs.budget", on_change=_set_budget, disabled=bool(fixed),
            help=fixed or "When it is full, old runs keep fewer pictures, the oldest first. Their "
            "numbers and their trained flows stay. Runs whose pictures are kept are left out.")
        st.caption(f"In the folder {lab().store.folder.name}.")


def _set_budget() -> None:
    _page().attempt(lab().set_room, int(_page().budget) * MEGA)


def _import() -> None:
    state = _page()
    file = st.file_uploader("An exported file (.zip)", type="zip", key=f"runs.file.{state.turn}",
                            max_upload_size=largest())
    if file is not None:
        state.turn += 1  # an empty uploader next time
        try:
            limits().refuse("max_upload", file.size / MEGA, f"This file has {file.size / MEGA:.1f} "
                            "MB", "export the run with fewer pictures")
            state.imported = take(lab().store, file.getvalue(), visitor())
        except ValueError as error:
            state.refused = str(error)
            refused("run's file", str(error))
        st.rerun()


def _list(active: bool, titles: Mapping[str, str]) -> None:
    runs = lab().runs(visitor())
    if any(run.active for run in runs) != active:
        st.rerun()  # how often to look depends on it
    if not runs:
        draw_groups(runs)
        st.info("There is no run yet: open a model's page and press **Train**.",
                icon=":material/info:")
        return
    found = _filtered(runs, titles)
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall",
                      key="runs-actions"):
        actions = st.container(horizontal=True, gap="xsmall")
        count = f"{len(found)} of {len(runs)} runs" if len(found) < len(runs) else (
            f"{len(runs)} run" + "s" * (len(runs) != 1))
        if len(found) > SHOWN:
            count += f", the newest {SHOWN} shown"
        draw_groups(runs)
        st.caption(count, width="content")
    found = found[:SHOWN]
    chosen = [found[i] for i in _table(found, titles)]
    with actions:
        _actions(chosen)


def _filtered(every: Sequence[Run], titles: Mapping[str, str]) -> list[Run]:
    """Draw the filters; the runs that they leave."""
    columns = st.columns(len(FILTERS))
    words = columns[0].text_input("Search", key="runs.words", placeholder="Words in the name",
                                  persist_state="session")
    named = {"model": titles, "data": {run.data: _title(run.data) for run in every},
             "outcome": LABELS, "origin": ORIGINS}
    runs = [run for run in every if all(word in run.name.lower() for word in words.lower().split())]
    for column, name in zip(columns[1:], FILTERS[1:], strict=True):
        options = sorted({getattr(run, name) for run in every})
        chosen = column.multiselect(
            {"data": "Distribution", "origin": "From"}.get(name, name.capitalize()), options,
            key=f"runs.{name}", format_func=partial(_label, named[name]),
            placeholder="All", persist_state="session")
        runs = [run for run in runs if not chosen or getattr(run, name) in chosen]
    return runs


def _label(titles: Mapping[str, str], name: str) -> str:
    return titles.get(name, name)


def _table(runs: Sequence[Run], titles: Mapping[str, str]) -> list[int]:
    """Draw the table, which sorts by a press on a column's head; the rows that are chosen."""
    moments = [run.moment for run in runs]
    steps = [-1 if moment is None else moment.step for moment in moments]
    rows: dict[str, Any] = {
        "picture": [_thumbnail(run.id, step, run.data)
                    for run, step in zip(runs, steps, strict=True)],
        "name": [run.name for run in runs],
        "outcome": [LABELS.get(run.outcome, run.outcome) for run in runs],
        "kl": [getattr(moment, "kl", None) for moment in moments],
        "nll": [getattr(moment, "test_nll", None) for moment in moments],
        "model": [titles.get(run.model, run.model) for run in runs],
        "data": [_title(run.data) for run in runs],
        "date": [datetime.fromtimestamp(run.created) for run in runs],
        "epochs": [getattr(moment, "epoch", 0) for moment in moments],
        "seconds": [getattr(moment, "seconds", None) for moment in moments],
        "from": [ORIGINS.get(run.origin, run.origin) for run in runs],
        "room": [run.bytes / MEGA for run in runs],
        "kept": [run.pinned for run in runs],
    }
    text, number = st.column_config.TextColumn, st.column_config.NumberColumn
    columns: dict[str, Any] = {  # wide enough together for a projector
        "picture": st.column_config.ImageColumn("Learned", width=66, help="The "
                                                "learned density at the end, or some samples."),
        "name": text("Name", width=204), "outcome": text("Outcome", width=100),
        "kl": number("KL", width=66, format="%.4f", help="To the truth, in nats; 0 would be "
                     "perfect. Empty where the true density is unknown."),
        "nll": number("Test NLL", width=76, format="%.4f", help="In nats, on points the flow was "
                      "not trained on."),
        "model": text("Model", width=76), "data": text("Distribution", width=100),
        "date": st.column_config.DatetimeColumn("Date", width=130, format="YYYY-MM-DD HH:mm"),
        "epochs": number("Epochs"),
        "seconds": number("Seconds", format="%.1f", help="Time spent training, without pauses."),
        "from": text("From"), "room": number("MB", format="%.1f", help="Size of its files."),
        "kept": st.column_config.CheckboxColumn(
            "Pictures kept", help="Its pictures stay when the disk space is used up."),
    }
    for name in ("epochs", "seconds", "from", "room", "kept"):
        columns[name]["hidden"] = True  # until the table's own menu shows it
    # Other rows are another table: what was chosen is chosen by its place.
    key = f"runs.table.{hash(tuple(run.id for run in runs))}"
    return st.dataframe(rows, column_config=columns, hide_index=True, on_select="rerun",
                        selection_mode="multi-row", row_height=58, key=key, placeholder="–",
                        height=min(620, 38 + 58 * max(len(runs), 1)),
                        alt="All stored runs").selection.rows


def address(run: Run) -> dict[str, str]:
    """The query of a run's page, with its settings where they are all that page's to set."""
    texts = run.settings.texts()
    _, complaints = validation.read(type(run.settings), texts)
    return ({} if complaints else texts) | {"run": run.id}


def _actions(chosen: Sequence[Run]) -> None:
    """Draw the buttons for the chosen runs."""
    one = chosen[0] if len(chosen) == 1 else None
    none = "" if one else SINGLE if chosen else NOTHING
    where = none if one is None else _closed(one)
    if st.button("Open", icon=":material/open_in_new:", disabled=bool(where), key="runs.open",
                 type="primary", help=where or "Open it on its model's page, and continue its "
                                               "training."
                 ) and one is not None:
        st.switch_page(addresses.destination(one.model), query_params=address(one))
    alone = _incomparable(chosen)
    if st.button("Compare selected", icon=":material/compare:", disabled=bool(alone),
                 key="runs.compare", help=alone or "Measure and draw these runs side by side; "
                 "nothing is trained."):
        comparison = Comparison(models=(), runs=tuple(run.id for run in chosen),
                                data=tuple(dict.fromkeys(run.data for run in chosen)))
        st.switch_page(addresses.destination("compare"), query_params=comparison.texts())
    if st.button("Rename", icon=":material/edit:", disabled=bool(none), key="runs.rename",
                 help=none or "Give it another name."):
        _open("rename", chosen)
    busy = any(run.active for run in chosen)
    if st.button("Delete", icon=":material/delete:", disabled=not chosen or busy,
                 key="runs.delete", help=NOTHING if not chosen else
                 "One of them is under way: stop it first." if busy else
                 "Delete them with all their files."):
        _open("delete", chosen)
    with st.popover("More", icon=":material/more_horiz:", key="runs.more"):
        _more(one, none, where)
    _dialog()


def _more(one: Run | None, none: str, where: str) -> None:
    """Draw the buttons that are used less often."""
    st.download_button(
        "Export", (lambda: pack(lab().store, one.id)) if one else b"",
        f"{one.model}-{one.id[:6]}.flowlab.zip" if one else "run.zip", "application/zip",
        icon=":material/download:", disabled=bool(none), key="runs.export", on_click="ignore",
        help=none or "One file with its settings, numbers, pictures and trained flow.")
    travels = one is not None and not where and one.weights is not None
    st.download_button(
        "Web page", (lambda: export.web_page(one.settings, lab().store.frames(one.id), one.name))
        if one else b"", f"{one.model}-{one.id[:6]}.html" if one else "run.html", "text/html",
        icon=":material/public:", disabled=not travels, key="runs.page", on_click="ignore",
        help=where or WEB_PAGE)
    pinned = bool(one and one.pinned)
    if st.button("Release pictures" if pinned else "Keep pictures", icon=":material/keep:",
                 disabled=bool(none), key="runs.pin",
                 help=none or "Whether its pictures stay when the disk space is used up."
                 ) and one is not None:
        lab().pin(one.id, not pinned, visitor())
        st.rerun()


def _incomparable(chosen: Sequence[Run]) -> str:
    """Why these runs cannot be compared; nothing where they can."""
    if len(chosen) < 2:
        return "Select the runs to compare with the boxes on their left."
    if len(chosen) > MAX_ENTRIES:
        return f"Choose up to {MAX_ENTRIES} runs to compare."
    if len({run.data for run in chosen}) > MAX_DISTRIBUTIONS:
        return f"Choose runs on up to {MAX_DISTRIBUTIONS} distributions to compare."
    return next((f"{plain(run.name)} cannot be compared: {why}." for run in chosen
                 if (why := obstacle(run))), "")


def _closed(run: Run) -> str:
    """Why a run cannot be shown on its model's page; nothing where it can."""
    try:
        if run.settings.flow.event_shape != (2,):
            return "Pages show points of the plane, which this run does not have."
    except ValueError as error:
        return str(error)
    return "" if run.moment else "It has no results yet."


def _open(dialog: Literal["rename", "delete"], runs: Sequence[Run]) -> None:
    _page().dialog, _page().chosen = dialog, tuple(run.id for run in runs)


def _dialog() -> None:
    """Show the dialog that is open, if one is."""
    runs = [run for run in map(lab().store.get, _page().chosen) if run is not None]
    if _page().dialog and runs:
        title, content = (("Rename a run", _rename) if _page().dialog == "rename"
                          else ("Delete runs", _delete))
        st.dialog(title, on_dismiss=_close)(content)(runs)


def _close() -> None:
    _page().dialog, _page().chosen = "", ()


def _rename(runs: Sequence[Run]) -> None:
    run, = runs
    with st.form("runs.form", border=False):  # Enter saves
        name = st.text_input("Name", run.name, NAME, key="runs.newname")
        saved = st.form_submit_button("Save", type="primary", key="runs.save")
    if saved:
        try:
            lab().rename(run.id, name, visitor())
        except ValueError as error:
            st.error(plain(str(error)))
            return
        _close()
        st.rerun()


def _delete(runs: Sequence[Run]) -> None:
    count = "this run" if len(runs) == 1 else f"these {len(runs)} runs"
    st.markdown(f"Delete {count}, with pictures and trained flow? This cannot be undone.")
    st.text("\n".join(run.name for run in runs[:8]) + ("\n…" if len(runs) > 8 else ""))
    if st.button("Delete", type="primary", key="runs.confirm", icon=":material/delete:"):
        for run in runs:
            try:
                lab().delete(run.id, visitor())
            except ValueError as error:
                _page().refused = str(error)
        _close()
        st.rerun()


def _title(data: str) -> str:
    try:
        return title_of(data)
    except ValueError:  # own data that are no longer here
        return data


@st.cache_data(show_spinner=False, max_entries=2000)
def _thumbnail(run_id: str, step: int, data: str) -> str | None:
    """The newest picture's learned density, or its first samples, as a ``data:`` address."""
    png = lab().store.picture(run_id)
    if not png:
        return None
    try:
        part = first_samples if kind_of(data) == "images" else learned_density
    except ValueError:  # own data that are no longer here
        part = learned_density
    try:
        return image.address(part(png), "jpeg")
    except Exception:  # a damaged file has no picture, and the list goes on
        return None
