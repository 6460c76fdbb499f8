"""Choosing what is compared: the sidebar of the comparison's page, and its settings in the URL."""

from collections.abc import Mapping
from functools import partial

import streamlit as st
from pydantic import ValidationError

from flowlab.data import target
from flowlab.figures import style
from flowlab.settings import describe
from flowlab.studies.comparison.plan import (
    COMMON,
    LIMITS,
    MAX_ENTRIES,
    MAX_LABEL,
    MIN_PARAMETERS,
    Comparison,
    Entry,
    settings_of,
)
from flowlab.training.metrics import parameter_count
from flowlab.training.recipe import Recipe
from flowlab.ui.app.lab import theme
from flowlab.ui.compare import runs as finished
from flowlab.ui.compare.state import AMOUNTS, ComparePage, Rival
from flowlab.ui.controls import validation
from flowlab.ui.controls.data import choose_some
from flowlab.ui.controls.settings import Controls
from flowlab.ui.controls.validation import Unfit
from flowlab.ui.elements.escape import plain

LONGEST = 10_000  # characters of a setting in the URL
SIZE = 10_000  # parameters, when all are first made equally large
TRAINING = ("learning_rate", "batch_size", "schedule", "objective")  # that a model has of its own

Recipes = Mapping[str, Recipe]


def default(recipes: Recipes) -> Comparison:
    """What is compared at first: every model, on the moons."""
    return Comparison(models=tuple(Entry(model=name) for name in list(recipes)[:MAX_ENTRIES]))


def load(state: ComparePage, recipes: Recipes, texts: dict[str, str]) -> list[str]:
    """Show the comparison of an address, before any control is drawn; what could not be used."""
    comparison, complaints = read(texts, recipes)
    put(state, comparison, recipes)
    return complaints


def read(texts: dict[str, str], recipes: Recipes) -> tuple[Comparison, list[str]]:
    """A comparison from a URL's texts, and a sentence for each that had to be left out."""
    texts, complaints = validation.known(texts, Comparison.model_fields, LONGEST)
    if "models" not in texts:
        texts["models"] = ";".join(recipes)
    while True:
        try:
            comparison = Comparison.model_validate(texts)
            break
        except ValidationError as error:
            name = str(error.errors()[0]["loc"][0])
            complaints.append(describe(error))
            texts.pop(name, None)
            if name == "models":
                texts["models"] = ";".join(recipes)
    fitting: list[Entry] = []
    for entry in comparison.models:
        try:
            validation.check(settings_of(entry, Comparison(), recipes))
            fitting.append(entry)
        except (Unfit, ValueError) as error:
            complaints.append(str(error))
    data = []
    for name in comparison.data:
        try:
            validation.check_plane(name)
            data.append(name)
        except Unfit as error:
            complaints.append(str(error))
    runs, unfit = finished.fitting(comparison.runs)
    complaints += unfit
    if not fitting and (comparison.models or not runs):
        fitting = list(default(recipes).models)
    changes = {"models": tuple(fitting), "runs": tuple(run.id for run in runs),
               "data": tuple(data) or default(recipes).data}
    return comparison.model_copy(update=changes), complaints


def put(state: ComparePage, comparison: Comparison, recipes: Recipes) -> None:
    """Make the page show this comparison."""
    state.rivals = []
    for entry in comparison.models:
        add(state, recipes, entry)
    state.runs, state.data = comparison.runs, comparison.data
    state.budget, state.amount[comparison.budget] = comparison.budget, comparison.amount
    state.sized, state.parameters = comparison.parameters > 0, comparison.parameters or SIZE
    state.seeds, state.points, state.level = comparison.seeds, comparison.points, comparison.level


def add(state: ComparePage, recipes: Recipes, entry: Entry) -> None:
    """Put one more model into the sidebar."""
    state.added += 1
    run = recipes[entry.model].Run
    rival = Rival(entry.model, run.from_texts(entry.settings),
                  Controls(run, f"{state.name}.{state.added}"))
    rival.controls.put(rival.settings)
    rival.controls["label"] = entry.label
    state.rivals.append(rival)


def _remove(state: ComparePage, rival: Rival) -> None:
    state.rivals = [other for other in state.rivals if other is not rival]


def _toggle(state: ComparePage, name: str) -> None:
    """Take a distribution in or out; the last one stays."""
    rest = tuple(other for other in state.data if other != name)
    state.data = (*state.data, name) if rest == state.data else rest or state.data


def draw_controls(state: ComparePage, recipes: Recipes) -> Comparison:
    """Draw all controls and return the comparison that they show."""
    with st.expander("Models", expanded=True, key="compare.group.models"):
        entries = _entries(state, recipes)
    with st.expander("Distributions", expanded=True, key="compare.group.data"):
        choose_some(state.name, state.data, partial(_toggle, state))
        st.caption(", ".join(target(name).title for name in state.data)
                   + ". Click to add or remove one.")
    with st.expander("Budget", expanded=True, key="compare.group.budget"):
        values = _budget(state)
    return Comparison(models=entries, runs=state.runs, data=state.data, **values)


def _entries(state: ComparePage, recipes: Recipes) -> tuple[Entry, ...]:
    """Draw the models, and after them the finished runs; the models' entries."""
    runs, _ = finished.fitting(state.runs)  # one may have been deleted
    state.runs = tuple(run.id for run in runs)
    if not runs and not state.rivals:
        add(state, recipes, default(recipes).models[0])
    rivals, entries = state.rivals, []
    total = len(rivals) + len(runs)
    titles = {name: recipe.title for name, recipe in recipes.items()}
    named = [Entry(model=r.model, label=r.controls["label"]) for r in rivals]
    labels = [plain(label) for label in Comparison(models=tuple(named)).labels(
        titles, [run.name for run in runs])]
    colours = style.theme(theme()).entries
    for rival, label, colour in zip(rivals, labels, colours, strict=False):
        dot, name, gone = st.columns([1, 8, 2], gap="xxsmall", vertical_alignment="center")
        dot.html(f'<span style="color: {colour}">●</span>')
        with name.popover(label, icon=":material/tune:", width="stretch",
                          key=rival.controls.key("open"),
                          help=f"Settings of this {titles[rival.model]}."):
            entries.append(_entry(rival, recipes[rival.model]))
        gone.button("Remove", icon=":material/close:", key=rival.controls.key("remove"),
                    type="tertiary", disabled=total == 1, on_click=_remove, args=(state, rival),
                    help=f"Remove {label} from the comparison.")
    first = len(rivals)
    finished.rows(state, labels[first:], colours[first:], runs, total == 1)
    with st.container(horizontal=True, gap="xsmall", key="compare-add"):
        for model, title in titles.items():
            st.button(title, icon=":material/add:", key=f"compare.add.{model}",
                      disabled=total >= MAX_ENTRIES, on_click=add,
                      args=(state, recipes, Entry(model=model)), help=f"Add a {title}, even beside "
                      f"another with different settings; up to {MAX_ENTRIES} models.")
        finished.choose(state, total >= MAX_ENTRIES, titles)
    return tuple(entries)


def _entry(rival: Rival, recipe: Recipe) -> Entry:
    label = st.text_input("Name in this comparison", max_chars=MAX_LABEL,
                          **rival.controls.tie("label"),
                          placeholder=recipe.title,
                          help="Its name in pictures and table; if empty, the model's name.")
    own = [name for name in type(rival.settings.flow).model_fields
           if name not in (*COMMON, *validation.HIDDEN)]
    values = rival.controls.some((*own, *TRAINING))
    texts = recipe.Run.from_flat(rival.settings.flat() | values).texts()
    return Entry(model=rival.model, label=label.strip(),
                 settings={name: text for name, text in texts.items() if name not in COMMON})


def _budget(state: ComparePage) -> dict[str, object]:
    fields = Comparison.model_fields
    budget = st.segmented_control("Equal for all models", list(AMOUNTS), required=True,
                                  format_func=str.capitalize, help=fields["budget"].description,
                                  **ComparePage.budget.tie(state))
    state.amount.setdefault(budget, AMOUNTS[budget])
    low, high = LIMITS[budget]
    amount = st.number_input(f"{budget.capitalize()} of each training", float(low), float(high),
                             step={"epochs": 10.0, "steps": 100.0, "seconds": 1.0}[budget],
                             format="%g", help=fields["amount"].description,
                             **state.amount.tie(budget))
    seeds = st.slider("Seeds", 1, 10, help=fields["seeds"].description,
                      **ComparePage.seeds.tie(state))
    points = st.number_input("Points", 50, 200_000, step=500, help=fields["points"].description,
                             **ComparePage.points.tie(state))
    level = st.number_input("Time until KL falls to (nats)", 0.001, 10.0, step=0.05,
                            format="%g", help=fields["level"].description,
                            **ComparePage.level.tie(state))
    sized = st.toggle("Equal parameters too", help="Choose the width of each model's networks so "
                      "that all have nearly the same number of parameters.",
                      **ComparePage.sized.tie(state))
    parameters = st.number_input("Parameters", MIN_PARAMETERS, 10_000_000, step=1000,
                                 disabled=not sized, help=fields["parameters"].description,
                                 **ComparePage.parameters.tie(state))
    return {"budget": budget, "amount": amount, "seeds": seeds, "points": points, "level": level,
            "parameters": parameters if sized else 0}


def sizes(comparison: Comparison, recipes: Recipes) -> str:
    """How large the models are, in a sentence; a ValueError where they cannot be made so."""
    numbers = [f"{parameter_count(settings_of(e, comparison, recipes).flow):,}"
               for e in comparison.models]
    return "Parameters: " + ", ".join(numbers) + "." if numbers else ""


def texts(comparison: Comparison, recipes: Recipes) -> dict[str, str]:
    """What differs from the defaults, as an address has it."""
    found = comparison.texts()
    if comparison.models == default(recipes).models:
        del found["models"]
    return found
