"""A sweep in the app: which settings, how far it is, and its picture."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_origin

import streamlit as st
from pydantic.fields import FieldInfo

from flowlab.data import target, targets
from flowlab.figures import png
from flowlab.settings import MIN_SECONDS
from flowlab.studies.groups import sweep_settings
from flowlab.studies.sweep import Sweep, SweepSettings
from flowlab.studies.sweep.work import MEASURES, counts, title
from flowlab.studies.sweep.work import text as written
from flowlab.training.recipe import Recipe, featured
from flowlab.ui.app import addresses
from flowlab.ui.app.lab import lab, owner, theme
from flowlab.ui.app.state import Page, page
from flowlab.ui.app.visitor import visitor
from flowlab.ui.controls.settings import BUDGETS
from flowlab.ui.controls.validation import HIDDEN
from flowlab.ui.elements import image
from flowlab.ui.elements.copy import copyable
from flowlab.ui.elements.escape import plain

LOOK = 1.0  # seconds between two looks while a sweep is under way
NONE = "–"
COLUMNS = {"seed": "Seed", "outcome": "Outcome", "kl_nats": "KL (nats)",
           "test_nll_nats": "Test NLL (nats)", "seconds": "Seconds"}
#: What is proposed for each setting.
VALUES = {"couplings": "2, 4, 8, 16", "steps": "2, 4, 8", "learning_rate": "0.001, 0.003, 0.01",
          "hidden": "16 16, 64 64", "activation": "relu, tanh", "batch_size": "64, 256, 1024",
          "epochs": "5, 10, 20", "optimiser_steps": "500, 1000, 2000", "seconds": "5, 10, 20"}
#: Least, largest and first amount of each budget, and its step.
AMOUNTS: dict[str, tuple] = {
    "epochs": (1, 10_000, 10, 5), "optimiser_steps": (1, 10_000_000, 1_000, 100),
    "seconds": (MIN_SECONDS, 86_400.0, 10.0, 1.0)}


@dataclass
class SweepsPage(Page):
    """State of the page of sweeps."""

    active: bool = False  #: Whether the buttons are drawn for a sweep under way.


def draw_sweeps_page(recipes: Mapping[str, Recipe]) -> None:
    """Draw the page."""
    with st.container(key="page-sweeps"):
        st.header("Sweeps", anchor=False)
        st.markdown("Which setting matters? A sweep trains one model once for **every "
                    "combination** of the values you give, and draws how the result depends on "
                    "them. What is trained already is not trained again.")
        try:
            sweep = _opened(recipes) or _form(recipes)
        except ValueError as error:
            st.error(plain(str(error)), icon=":material/error:")
            return
        state = page(SweepsPage, "sweeps")
        for sentence in state.refusal():
            st.error(plain(sentence), icon=":material/error:")
        state.active = active = bool(lab().recorder.group(sweep.group))
        go, stop, rest = st.columns([1, 1, 4], vertical_alignment="center")
        go.button("Start", type="primary", icon=":material/play_arrow:", width="stretch",
                  disabled=active, on_click=state.attempt, args=(_start, sweep),
                  key="sweeps.start",
                  help="Train what is not trained yet, several runs at once.")
        stop.button("Stop", icon=":material/stop:", width="stretch", disabled=not active,
                    on_click=lab().recorder.stop_group, args=(sweep.group,), key="sweeps.stop",
                    help="Stop; what is trained stays, and Start goes on from there.")
        rest.caption(f"{len(sweep.points)} runs. They take turns with everybody's trainings.")
        st.fragment(_follow, run_every=LOOK if active else None)(sweep)
        with st.expander("The same from the command line"):
            st.markdown("Save this as `sweep.toml`, then `python -m flowlab.sweep sweep.toml`:")
            copyable(sweep.settings.toml())


def _opened(recipes: Mapping[str, Recipe]) -> Sweep | None:
    """The stored sweep that the address names; None where it names none."""
    group = st.query_params.get("run", "")
    settings = sweep_settings(lab().store, group) if group else None
    if settings is None or settings.model not in recipes:
        return None
    name, new = st.columns([5, 1], vertical_alignment="center")
    name.markdown(f"**{plain(settings.name)}**: {plain(recipes[settings.model].title)}, "
                  f"{plain(', '.join(settings.sweep))}")
    new.button("New sweep", icon=":material/add:", key="sweeps.new", width="stretch",
               on_click=st.query_params.clear, help="Choose another sweep.")
    return Sweep(settings, recipes[settings.model], lab().store, visitor())


def _form(recipes: Mapping[str, Recipe]) -> Sweep:
    """Draw the controls; the sweep that they describe."""
    model, data, units, amounts, seeds, measure = st.columns(6)
    keep: dict[str, Any] = {"persist_state": "session"}
    name = model.selectbox("Model", list(recipes), key="sweeps.model", **keep,
                           index=list(recipes).index(featured(recipes).name),
                           format_func=lambda n: recipes[n].title)
    recipe = recipes[name]
    source = data.selectbox("Distribution", targets(), targets().index("moons"), key="sweeps.data",
                            format_func=lambda n: target(n).title, **keep)
    unit = units.selectbox("Train for", list(BUDGETS), format_func=str.capitalize, **keep,
                           key="sweeps.budget", help="What ends each run.")
    length = BUDGETS[unit]
    low, high, usual, step = AMOUNTS[length]
    amount = amounts.number_input(unit.capitalize(), low, high, usual, step, **keep,
                                  key=f"sweeps.{length}", help="Of each run, unless it is swept.")
    many = seeds.number_input("Seeds", 1, 50, 1, key="sweeps.seeds", **keep, help="Trainings of "
                              "each combination, which differ in chance alone; the picture shows "
                              "their mean.")
    score = measure.selectbox("Measure", list(MEASURES), key="sweeps.measure",
                              format_func=lambda m: MEASURES[m].partition(" (")[0],
                              help="In nats; the less, the better.", **keep)
    fields = {n: f for n, f in recipe.Run.fields().items() if n not in (*HIDDEN, "data", "seed")}
    first = [n for n in VALUES if n in fields]
    swept: dict[str, tuple[Any, ...]] = {}
    for place, (label, options) in enumerate((("First setting", list(fields)),
                                              ("Second setting", [NONE, *fields]))):
        left, right = st.columns(2)
        chosen: str = left.selectbox(
            label, options, options.index(first[place]), key=f"sweeps.{name}.{place}",
            format_func=lambda n: fields[n].title or n if n in fields else NONE, **keep,
            help="What changes from run to run." if place == 0 else
            "With two settings, all pairs are trained and the picture is a map.")
        if chosen == NONE:
            continue
        text = right.text_input(
            "Its values", VALUES.get(chosen, written(fields[chosen].default)),
            key=f"sweeps.{name}.values.{chosen}", help=_allowed(fields[chosen]), **keep)
        swept[chosen] = tuple(_value(fields[chosen], part) for part in text.split(",")
                              if part.strip())
    common: dict[str, Any] = {"data": source}
    if not swept.keys() & AMOUNTS.keys():
        common[length] = amount
    if len(swept) < 1 or not all(swept.values()):
        raise ValueError("Give each setting one value or more, such as 2, 4, 8.")
    settings = SweepSettings(name=f"{name} on {source}", model=name, seeds=int(many),
                             measure=score, settings=common, sweep=swept)
    return Sweep(settings, recipe, lab().store, visitor())


def _follow(sweep: Sweep) -> None:
    """Draw the sweep's progress, picture and table."""
    state = sweep.state()
    done = counts(state)
    st.progress(done["complete"] / len(state),
                f"{done['complete']} of {len(state)} trained, {done['running']} under way")
    failed = [t.run for t in state if t.run is not None and t.run.outcome == "failed"]
    if failed:
        st.error(plain(f"{len(failed)} failed. {failed[0].name}: {failed[0].reason}"),
                 icon=":material/error:")
    picture, table = st.columns([5, 4])
    with picture, st.container(key="sweeps-map"):
        figure = sweep.figure(theme())
        if figure is None:
            st.info("The picture comes with the first run that is trained: press **Start**.",
                    icon=":material/info:")
        else:
            image.draw_png(png(figure), f"{MEASURES[sweep.settings.measure]} for "
                       + " and ".join(sweep.settings.sweep))
    with table:
        text = sweep.table()
        head, *rows = (line.split(",") for line in text.splitlines())
        shown = [*range(len(sweep.settings.sweep) + 2), head.index("kl_nats"),
                 head.index("test_nll_nats"), head.index("seconds")]
        titles = COLUMNS | {n: title(sweep.recipe.Run, n) for n in sweep.settings.sweep}
        st.dataframe({titles[head[i]]: [_number(row[i]) for row in rows] for i in shown},
                     hide_index=True, placeholder=NONE, height=360, alt="The runs of the sweep")
        st.download_button("Table (CSV)", text, _file_name(sweep), "text/csv", on_click="ignore",
                           icon=":material/download:", key="sweeps.csv")
        st.page_link(addresses.destination("history"), label="All runs", icon=":material/history:")
    if bool(lab().recorder.group(sweep.group)) != page(SweepsPage, "sweeps").active:
        st.rerun()  # the buttons, and how often to look, depend on it


def _file_name(sweep: Sweep) -> str:
    """A name that only the table of a sweep of these settings has."""
    which = hashlib.sha256(sweep.settings.toml().encode()).hexdigest()
    data = sweep.settings.settings.get("data", "data")
    return f"sweep-{sweep.settings.model}-{data}-{which[:6]}.csv"


def _start(sweep: Sweep) -> None:
    with lab().admission.admitted([left.point.settings for left in sweep.left()], owner()):
        sweep.start(lab().recorder, f"{owner()}.sweep")


def _value(field: FieldInfo, text: str) -> Any:
    """A value as it was typed; the settings check it."""
    text = text.strip()
    if get_origin(field.annotation) is tuple:
        parts = text.replace("x", " ").split()
        return tuple(int(part) if part.isdigit() else part for part in parts)
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text or None


def _allowed(field: FieldInfo) -> str:
    """What a setting's values may be."""
    if get_origin(field.annotation) is tuple:
        how = "Widths of the layers with spaces, such as 16 16, 64 64."
    elif options := [a for a in get_args(field.annotation) if isinstance(a, str)]:
        how = f"Some of {', '.join(options)}."
    else:
        bounds = {name: getattr(m, name) for m in field.metadata for name in ("ge", "le")
                  if hasattr(m, name)}
        how = (f"Numbers from {bounds['ge']:g} to {bounds['le']:g}, with commas."
               if len(bounds) == 2 else "With commas.")
    return f"{field.description} {how}"
