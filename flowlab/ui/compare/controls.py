"""Choosing what is compared: the sidebar of the comparison's page, and its settings in the URL."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType

import streamlit as st
from pydantic import ValidationError

from flowlab.data import target
from flowlab.figures import style
from flowlab.settings import RunSettings, describe
from flowlab.studies.comparison.plan import (
    COMMON,
    LABEL,
    LEAST,
    LIMITS,
    MOST,
    Comparison,
    Entry,
    settings_of,
)
from flowlab.training.metrics import parameter_count
from flowlab.ui.app.lab import theme
from flowlab.ui.compare import runs as finished
from flowlab.ui.controls import settings as controls
from flowlab.ui.controls import validation
from flowlab.ui.controls.data import choose_some
from flowlab.ui.controls.validation import Unfit
from flowlab.ui.elements.escape import plain

NAME = "compare"  # session keys start with it
AMOUNTS = {"epochs": 20.0, "steps": 300.0, "seconds": 5.0}  # at first
LONGEST = 10_000  # characters of a setting in the URL
SIZE = 10_000  # parameters, when all are first made equally large
TRAINING = ("learning_rate", "batch_size", "schedule", "objective")  # that a model has of its own

Recipes = Mapping[str, ModuleType]


@dataclass(frozen=True)
class Rival:
    """A model in the sidebar.

    Attributes
    ----------
    key : str
        Its controls' keys start with it.
    model : str
    settings : RunSettings
        As they came; the controls change some of them.
    """

    key: str
    model: str
    settings: RunSettings


def default(recipes: Recipes) -> Comparison:
    """What is compared at first: every model, on the moons."""
    return Comparison(models=tuple(Entry(model=name) for name in list(recipes)[:MOST]))


def load(recipes: Recipes, texts: dict[str, str]) -> list[str]:
    """Put settings into the controls, before any is drawn; what could not be used."""
    comparison, complaints = read(texts, recipes)
    put(comparison, recipes)
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
            name = error.errors()[0]["loc"][0]
            complaints.append(describe(error))
            texts.pop(name, None)
            if name == "models":
                texts["models"] = ";".join(recipes)
    fitting = []
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
        fitting = default(recipes).models
    changes = {"models": tuple(fitting), "runs": tuple(run.id for run in runs),
               "data": tuple(data) or default(recipes).data}
    return comparison.model_copy(update=changes), complaints


def put(comparison: Comparison, recipes: Recipes) -> None:
    """Make the controls show this comparison."""
    state = st.session_state
    state[f"{NAME}.rivals"] = []
    for entry in comparison.models:
        add(entry, recipes)
    state[f"{NAME}.runs"] = comparison.runs
    state[f"{NAME}.data"] = comparison.data
    state[f"{NAME}.budget"] = comparison.budget
    state[f"{NAME}.amount.{comparison.budget}"] = comparison.amount
    state[f"{NAME}.sized"] = comparison.parameters > 0
    state[f"{NAME}.parameters"] = comparison.parameters or SIZE
    for name in ("seeds", "points", "level"):
        state[f"{NAME}.{name}"] = getattr(comparison, name)


def add(entry: Entry, recipes: Recipes) -> None:
    """Put one more model into the sidebar."""
    state = st.session_state
    number = state[f"{NAME}.added"] = state.get(f"{NAME}.added", 0) + 1
    rival = Rival(f"{NAME}.{number}", entry.model,
                  recipes[entry.model].Run.from_texts(entry.settings))
    controls.put(rival.settings, rival.key)
    state[f"{rival.key}.label"] = entry.label
    state[f"{NAME}.rivals"] = [*state[f"{NAME}.rivals"], rival]


def _remove(rival: Rival) -> None:
    key = f"{NAME}.rivals"
    st.session_state[key] = [other for other in st.session_state[key] if other is not rival]


def show(recipes: Recipes) -> Comparison:
    """Draw all controls and return the comparison that they show."""
    with st.expander("Models", expanded=True, key=f"{NAME}.group.models"):
        entries, runs = _entries(recipes)
    with st.expander("Distributions", expanded=True, key=f"{NAME}.group.data"):
        choose_some(NAME)
        chosen = st.session_state[f"{NAME}.data"]
        st.caption(", ".join(target(name).title for name in chosen)
                   + ". Press to take one in or out.")
    with st.expander("Budget", expanded=True, key=f"{NAME}.group.budget"):
        values = _budget()
    return Comparison(models=entries, runs=runs, data=chosen, **values)


def _entries(recipes: Recipes) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """The models, and the ids of the finished runs."""
    runs, _ = finished.fitting(st.session_state[f"{NAME}.runs"])  # one may have been deleted
    st.session_state[f"{NAME}.runs"] = ids = tuple(run.id for run in runs)
    if not ids and not st.session_state[f"{NAME}.rivals"]:
        add(default(recipes).models[0], recipes)
    rivals, entries = st.session_state[f"{NAME}.rivals"], []
    total = len(rivals) + len(runs)
    titles = {name: recipe.MODEL.__name__ for name, recipe in recipes.items()}
    named = [Entry(model=r.model, label=st.session_state[f"{r.key}.label"]) for r in rivals]
    labels = Comparison(models=tuple(named)).labels(titles, [run.name for run in runs])
    colours = style.theme(theme()).rivals
    labels = list(map(plain, labels))
    for rival, label, colour in zip(rivals, labels, colours, strict=False):
        dot, name, gone = st.columns([1, 8, 2], gap="xxsmall", vertical_alignment="center")
        dot.html(f'<span style="color: {colour}">●</span>')
        with name.popover(label, icon=":material/tune:", width="stretch", key=f"{rival.key}.open",
                          help=f"Settings of this {titles[rival.model]}."):
            entries.append(_entry(rival, recipes[rival.model]))
        gone.button("Remove", icon=":material/close:", key=f"{rival.key}.remove", type="tertiary",
                    disabled=total == 1, on_click=_remove, args=(rival,),
                    help=f"Take {label} out of the comparison.")
    first = len(rivals)
    finished.rows(NAME, labels[first:], colours[first:], runs, total == 1)
    with st.container(horizontal=True, gap="xsmall", key=f"{NAME}-add"):
        for name, title in titles.items():
            st.button(title, icon=":material/add:", key=f"{NAME}.add.{name}",
                      disabled=total >= MOST, on_click=add, args=(Entry(model=name), recipes),
                      help=f"Add a {title}, also beside another with other settings; up to {MOST} "
                      "models.")
        finished.choose(NAME, total >= MOST)
    return tuple(entries), ids


def _entry(rival: Rival, recipe: ModuleType) -> Entry:
    label = st.text_input("Name in this comparison", max_chars=LABEL, key=f"{rival.key}.label",
                          persist_state="session", placeholder=recipe.MODEL.__name__,
                          help="How pictures and table call it; left empty, by the model's name.")
    own = [name for name in type(rival.settings.flow).model_fields
           if name not in (*COMMON, *validation.HIDDEN)]
    values = controls.some(recipe.Run, rival.key, (*own, *TRAINING))
    texts = recipe.Run.from_flat(rival.settings.flat() | values).texts()
    return Entry(model=rival.model, label=label.strip(),
                 settings={name: text for name, text in texts.items() if name not in COMMON})


def _budget() -> dict[str, object]:
    fields, state = Comparison.model_fields, st.session_state
    kept = {"persist_state": "session"}
    budget = st.segmented_control("Equal for all models", list(AMOUNTS), key=f"{NAME}.budget",
                                  format_func=str.capitalize, required=True,
                                  help=fields["budget"].description, **kept)
    key = f"{NAME}.amount.{budget}"
    state.setdefault(key, AMOUNTS[budget])
    amount = st.number_input(f"{budget.capitalize()} of each training", *map(float, LIMITS[budget]),
                             step={"epochs": 10.0, "steps": 100.0, "seconds": 1.0}[budget],
                             format="%g", key=key, help=fields["amount"].description, **kept)
    seeds = st.slider("Seeds", 1, 10, key=f"{NAME}.seeds", help=fields["seeds"].description, **kept)
    points = st.number_input("Points", 50, 200_000, step=500, key=f"{NAME}.points",
                             help=fields["points"].description, **kept)
    level = st.number_input("KL whose reaching is timed (nats)", 0.001, 10.0, step=0.05,
                            format="%g", key=f"{NAME}.level", help=fields["level"].description,
                            **kept)
    sized = st.toggle("Equal parameters too", key=f"{NAME}.sized", **kept,
                      help="Choose the width of each model's networks so that all have nearly the "
                      "same number of parameters.")
    parameters = st.number_input("Parameters", LEAST, 10_000_000, step=1000, disabled=not sized,
                                 key=f"{NAME}.parameters", help=fields["parameters"].description,
                                 **kept)
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
