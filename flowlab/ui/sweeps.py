"""A sweep in the app: which settings, how far it is, and its picture."""

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_origin

import streamlit as st
from pydantic.fields import FieldInfo

from flowlab.data import target, targets
from flowlab.figures import png
from flowlab.runs import Run
from flowlab.settings import MIN_SECONDS, shown
from flowlab.studies.groups import sweep_settings
from flowlab.studies.sweep import Sweep, SweepSettings
from flowlab.studies.sweep.work import MEASURES, counts, title
from flowlab.studies.sweep.work import text as written
from flowlab.training.recipe import Recipe, featured
from flowlab.ui.app import addresses
from flowlab.ui.app.lab import lab, owner, theme
from flowlab.ui.app.state import Page, Values, page
from flowlab.ui.app.visitor import visitor
from flowlab.ui.controls.settings import BUDGETS
from flowlab.ui.controls.validation import HIDDEN
from flowlab.ui.elements.clickable import clickable
from flowlab.ui.elements.copy import copyable
from flowlab.ui.elements.escape import plain
from flowlab.ui.runs import address

LOOK = 1.0  # seconds between two looks while a sweep is under way
NONE = "–"
MAX_SEEDS, LONGEST = 50, 1000  # and characters of a setting's values
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
    goto: Run | None = None  #: A run to open when the page is drawn next.
    turn: int = 0  #: How many runs were opened: each empties the choice in the table.


def draw_sweeps_page(recipes: Mapping[str, Recipe]) -> None:
    """Draw the page."""
    with st.container(key="page-sweeps"):
        st.title("Sweeps", anchor=False)
        st.markdown("Which setting matters? A sweep trains one model once for **every "
                    "combination** of the values you give, and draws how the result depends on "
                    "them. Runs that are trained already are reused.")
        state = page(SweepsPage, "sweeps")
        texts = addresses.news(state)
        complaints = _load(texts, recipes) if texts and "run" not in texts else []
        for sentence in complaints:
            st.error(plain(sentence), icon=":material/error:")
        try:
            sweep = _opened(recipes)
            query = {"run": sweep.group} if sweep else {}
            if sweep is None:
                sweep, query = _form(recipes)
        except ValueError as error:
            st.error(plain(str(error)), icon=":material/error:")
            return
        addresses.write(state, query, followed=None if complaints else texts)
        for sentence in state.refusal():
            st.error(plain(sentence), icon=":material/error:")
        state.active = active = bool(lab().recorder.group(sweep.group))
        go, stop, rest = st.columns([1, 1, 4], vertical_alignment="center")
        go.button("Start", type="primary", icon=":material/play_arrow:", width="stretch",
                  disabled=active, on_click=state.attempt, args=(_start, sweep),
                  key="sweeps.start",
                  help="Train the runs that are missing, several at once.")
        stop.button("Stop", icon=":material/stop:", width="stretch", disabled=not active,
                    on_click=lab().recorder.stop_group, args=(sweep.group,), key="sweeps.stop",
                    help="Stop; finished runs stay, and Start continues from there.")
        rest.caption(f"{len(sweep.points)} runs. They take turns with everyone's trainings.")
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


def _load(texts: dict[str, str], recipes: Mapping[str, Recipe]) -> list[str]:
    """Show the sweep of an address in the controls; what of it could not be used."""
    model = texts.get("model", featured(recipes).name)
    length = next((name for name in BUDGETS.values() if name in texts), "epochs")
    known: dict[str, tuple[str, Callable[[str], Any], Collection[Any] | None]] = {
        "model": ("model", str, recipes), "data": ("data", str, targets()),
        "seeds": ("seeds", int, range(1, MAX_SEEDS + 1)), "measure": ("measure", str, MEASURES),
        length: (length, type(AMOUNTS[length][0]), None)}
    put: dict[str, Any] = {"budget": next(u for u, name in BUDGETS.items() if name == length)}
    complaints = [f"There is nothing called {shown(name)} in a sweep's link." for name in texts
                  if name not in {*known, "sweep"}]
    for name, (key, kind, options) in known.items():
        try:
            value = kind(texts[name]) if name in texts else None
            low, high, *_ = AMOUNTS.get(name, (value, value))
            if value is not None and (not low <= value <= high or options and value not in options):
                raise ValueError
        except ValueError:
            complaints.append(f"{name}: a sweep cannot have {shown(texts[name])} there.")
            continue
        if value is not None:
            put[key] = value
    if model in recipes and "sweep" in texts:
        fields, chosen = _fields(recipes[model]), texts["sweep"].split(";")
        for place, part in enumerate([*chosen[:2], NONE][:2]):
            name, _, values = part.partition(":")
            if name not in (*fields, NONE):
                complaints.append(f"sweep: {recipes[model].title} has no setting {shown(name)}.")
                break
            put[f"{model}.{place}"] = name
            if values:
                put[f"{model}.values.{name}"] = values[:LONGEST]
    Values("sweeps").update(put)
    return complaints


def _fields(recipe: Recipe) -> dict[str, FieldInfo]:
    """The settings that can be swept."""
    return {n: f for n, f in recipe.Run.fields().items() if n not in (*HIDDEN, "data", "seed")}


def _form(recipes: Mapping[str, Recipe]) -> tuple[Sweep, dict[str, str]]:
    """Draw the controls; the sweep that they describe, and its link's query."""
    model, data, units, amounts, seeds, measure = st.columns(6)
    values = Values("sweeps")

    def tie(key: str, usual: Any) -> dict[str, Any]:
        values.setdefault(key, usual)
        return values.tie(key)

    name = model.selectbox("Model", list(recipes), **tie("model", featured(recipes).name),
                           format_func=lambda n: recipes[n].title)
    recipe = recipes[name]
    source = data.selectbox("Distribution", targets(), **tie("data", "moons"),
                            format_func=lambda n: target(n).title)
    unit = units.selectbox("Train for", list(BUDGETS), format_func=str.capitalize,
                           **tie("budget", "epochs"), help="What ends each run.")
    length = BUDGETS[unit]
    low, high, usual, step = AMOUNTS[length]
    amount = amounts.number_input(unit.capitalize(), low, high, step=step, **tie(length, usual),
                                  help="Of each run, unless it is swept.")
    many = seeds.number_input("Seeds", 1, MAX_SEEDS, **tie("seeds", 1), help="Trainings of each "
                              "combination, which differ only by chance; the picture shows their "
                              "mean.")
    score = measure.selectbox("Measure", list(MEASURES), **tie("measure", next(iter(MEASURES))),
                              format_func=lambda m: MEASURES[m].partition(" (")[0],
                              help="In nats; lower is better.")
    fields = _fields(recipe)
    first = [n for n in VALUES if n in fields]
    swept: dict[str, tuple[Any, ...]] = {}
    texts: dict[str, str] = {}
    for place, (label, options) in enumerate((("First setting", list(fields)),
                                              ("Second setting", [NONE, *fields]))):
        left, right = st.columns(2)
        chosen: str = left.selectbox(
            label, options, **tie(f"{name}.{place}", first[place]),
            format_func=lambda n: fields[n].title or n if n in fields else NONE,
            help="What changes from run to run." if place == 0 else
            "With two settings, all pairs are trained and the picture is a map.")
        if chosen == NONE:
            continue
        text = right.text_input(
            "Its values", help=_allowed(fields[chosen]), **tie(
                f"{name}.values.{chosen}", VALUES.get(chosen, written(fields[chosen].default))))
        texts[chosen] = text
        swept[chosen] = tuple(_value(fields[chosen], part) for part in text.split(",")
                              if part.strip())
    common: dict[str, Any] = {"data": source}
    if not swept.keys() & AMOUNTS.keys():
        common[length] = amount
    if len(swept) < 1 or not all(swept.values()):
        raise ValueError("Give each setting one value or more, such as 2, 4, 8.")
    settings = SweepSettings(name=f"{name} on {source}", model=name, seeds=int(many),
                             measure=score, settings=common, sweep=swept)
    proposed = ";".join(f"{n}:{VALUES.get(n, written(fields[n].default))}" for n in first[:2])
    query = {"model": name, "data": source, length: f"{amount:g}", "seeds": str(many),
             "measure": score, "sweep": ";".join(f"{n}:{t}" for n, t in texts.items())}
    left_out = {"model": featured(recipes).name, "data": "moons", "seeds": "1", "sweep": proposed,
                "epochs": str(AMOUNTS["epochs"][2]), "measure": next(iter(MEASURES))}
    return (Sweep(settings, recipe, lab().store, visitor()),
            {n: t for n, t in query.items() if left_out.get(n) != t})


def _follow(sweep: Sweep) -> None:
    """Draw the sweep's progress, picture and table."""
    here, state = page(SweepsPage, "sweeps"), sweep.state()
    if here.goto is not None:
        run, here.goto, here.turn = here.goto, None, here.turn + 1
        st.switch_page(addresses.destination(run.model), query_params=address(run))
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
            st.info("The picture appears with the first trained run: press **Start**.",
                    icon=":material/info:")
        else:
            clickable(png(figure), f"{MEASURES[sweep.settings.measure]} for "
                      + " and ".join(sweep.settings.sweep), "sweeps.cells",
                      lambda across, down: _choose(sweep.at(across, down)))
    with table:
        text = sweep.table()
        head, *rows = (line.split(",") for line in text.splitlines())
        columns = [*range(len(sweep.settings.sweep) + 2), head.index("kl_nats"),
                 head.index("test_nll_nats"), head.index("seconds")]
        titles = COLUMNS | {n: title(sweep.recipe.Run, n) for n in sweep.settings.sweep}
        key = f"sweeps.table.{here.turn}"
        st.dataframe({titles[head[i]]: [_number(row[i]) for row in rows] for i in columns},
                     hide_index=True, placeholder=NONE, height=360, alt="The runs of the sweep",
                     key=key, selection_mode="single-row",
                     on_select=lambda: _choose(*(state[i].run for i in
                                                 st.session_state[key].selection.rows)))
        st.caption("Click a cell of the picture, or the box on the left of a row, to open its run.")
        st.download_button("Table (CSV)", text, _file_name(sweep), "text/csv", on_click="ignore",
                           icon=":material/download:", key="sweeps.csv")
        st.page_link(addresses.destination("history"), label="All runs", icon=":material/history:")
    if bool(lab().recorder.group(sweep.group)) != here.active:
        st.rerun()  # the buttons, and how often to look, depend on it


def _choose(run: Run | None = None) -> None:
    """Open a run on its model's page, where it has something to show."""
    if run is not None and run.moment is not None:
        page(SweepsPage, "sweeps").goto = run


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
        how = "Widths of the layers, separated by spaces, such as 16 16, 64 64."
    elif options := [a for a in get_args(field.annotation) if isinstance(a, str)]:
        how = f"Some of {', '.join(options)}."
    else:
        bounds = {name: getattr(m, name) for m in field.metadata for name in ("ge", "le")
                  if hasattr(m, name)}
        how = (f"Numbers from {bounds['ge']:g} to {bounds['le']:g}, separated by commas."
               if len(bounds) == 2 else "Separated by commas.")
    return f"{field.description} {how}"
