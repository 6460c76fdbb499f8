"""The comparisons and sweeps in the list of runs: to open, name, export and delete."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import streamlit as st

from flowlab.runs import Run
from flowlab.runs.store import NAME
from flowlab.server.admission import must_own
from flowlab.studies import groups
from flowlab.studies.groups import LOST, Group
from flowlab.ui.app import addresses
from flowlab.ui.app.lab import lab
from flowlab.ui.app.state import Page, page
from flowlab.ui.app.visitor import visitor
from flowlab.ui.elements.escape import plain

NOTHING = "Choose a comparison or a sweep."
PAGES = {"comparison": "compare", "sweep": "sweeps"}


@dataclass
class GroupsPage(Page):
    """State of the list of comparisons and sweeps."""

    dialog: Literal["", "rename", "delete"] = ""  #: The dialog that is open.
    chosen: str = ""  #: The id of the dialog's group.


def draw_groups(runs: Sequence[Run]) -> None:
    """Draw the comparisons and sweeps of these runs, where there are any."""
    found = groups.groups(lab().store, runs)
    if not found:
        return
    with st.popover("Groups", icon=":material/folder_open:", key="groups",
                    help="Comparisons and sweeps: open, rename, export or delete one with all its "
                    "runs."):
        by_id = {group.id: group for group in found}
        if st.session_state.get("groups.chosen") in by_id:  # it may have another name by now
            page(GroupsPage, "groups").keep("chosen")
        chosen = st.selectbox("Comparison or sweep, newest first", list(by_id), index=None,
                              format_func=lambda name: _line(by_id[name]),
                              placeholder="Choose one", key="groups.chosen")
        with st.container(horizontal=True):
            _actions(by_id.get(chosen or ""))


def _line(group: Group) -> str:
    """Name, kind, number of runs and date."""
    done = sum(run.complete for run in group.runs)
    return (f"{group.name} ({group.kind}, {done} of {len(group.runs)} trained), "
            f"{datetime.fromtimestamp(group.created):%Y-%m-%d %H:%M}")


def _actions(group: Group | None) -> None:
    state, none = page(GroupsPage, "groups"), "" if group else NOTHING
    lost = none
    if group is not None and group.kind == "sweep" and groups.sweep_settings(
            lab().store, group.id) is None:
        lost = LOST
    if st.button("Open", icon=":material/open_in_new:", disabled=bool(lost), key="groups.open",
                 help=lost or "Open it on its page, and train what is missing.") and group:
        st.switch_page(addresses.destination(PAGES[group.kind]), query_params={"run": group.id})
    if st.button("Rename", icon=":material/edit:", disabled=bool(none), key="groups.rename",
                 help=none or "Give it another name.") and group:
        state.dialog, state.chosen = "rename", group.id
    st.download_button(
        "Export", (lambda: groups.export(lab().store, group)) if group else b"",
        f"{group.kind}-{group.id[-6:]}.zip" if group else "group.zip", "application/zip",
        icon=":material/download:", disabled=bool(none), key="groups.export", on_click="ignore",
        help=none or "One file with its settings and the file of each of its runs.")
    busy = bool(group and group.active)
    if st.button("Delete", icon=":material/delete:", disabled=bool(none) or busy,
                 key="groups.delete", help=none or (
                     "One of its runs is under way: stop it first." if busy else
                     "Delete it with all its runs.")) and group:
        state.dialog, state.chosen = "delete", group.id
    if group is not None and state.dialog and state.chosen == group.id:
        title, content = (("Rename", _rename) if state.dialog == "rename" else
                          ("Delete", _delete))
        st.dialog(title, on_dismiss=_close)(content)(group)


def _close() -> None:
    page(GroupsPage, "groups").dialog = ""


def _rename(group: Group) -> None:
    with st.form("groups.form", border=False):  # Enter saves
        name = st.text_input("Name", group.name, NAME, key="groups.newname")
        saved = st.form_submit_button("Save", type="primary", key="groups.save")
    if saved:
        _do(groups.rename, group, name)


def _delete(group: Group) -> None:
    st.markdown(f"Delete {plain(group.name)} with its {len(group.runs)} runs and all that was "
                "measured? This cannot be undone.")
    if st.button("Delete", type="primary", key="groups.confirm", icon=":material/delete:"):
        _do(groups.delete, group)


def _do(action: Callable[..., None], group: Group, *values: str) -> None:
    """Change a group, and close the dialog; it stays with a sentence where that is refused."""
    try:
        must_own(group, visitor())
        action(lab().store, group, *values)
    except ValueError as error:
        st.error(plain(str(error)))
        return
    _close()
    st.rerun()
