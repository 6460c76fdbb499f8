"""Controls made from settings, and settings kept in the URL.

One state: the settings. A control shows one field of them; the URL holds those that differ from
the defaults, so that a link is a run.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal, get_args, get_origin

import streamlit as st
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from flowlab.data import target
from flowlab.data.store import is_own
from flowlab.runs.naming import choice
from flowlab.settings import MIN_SECONDS, RunSettings, extra
from flowlab.ui.app.state import Values
from flowlab.ui.controls.validation import NEVER, hidden, read, source
from flowlab.ui.elements.escape import plain

GROUPS = ("Data", "Model", "Images", "Network", "Training")
ORDER = ("Model", "Images", "Training", "Data", "Network")  # on a page: what is changed most first
WIDTHS = (8, 16, 32, 64, 128, 256, 512, 1024)
DECADE = (1.0, 2.0, 3.0, 5.0)
LEAST = 1e-5  # above 0, of a control with equal ratios that begins at 0
#: The settings of a training's length, by their units; and the values that two of them have at
#: first, and at least.
BUDGETS = {"epochs": "epochs", "steps": "optimiser_steps", "seconds": "seconds"}
AMOUNTS = {"optimiser_steps": 2_500, "seconds": 10.0}
FEWEST = {"optimiser_steps": 1, "seconds": MIN_SECONDS}


class Controls(Values):
    """The controls of a run's settings, and their values.

    Parameters
    ----------
    run : type of RunSettings
    prefix : str
        The controls' keys start with it.
    """

    def __init__(self, run: type[RunSettings], prefix: str) -> None:
        super().__init__(prefix)
        self.run, self.noise = run, Values(f"{prefix}.noise")  # each distribution keeps its own
        self.open = "Model"  #: The group that is open; empty for none.

    @property
    def fields(self) -> dict[str, FieldInfo]:
        """The settings by name."""
        return self.run.fields()

    def load(self, texts: dict[str, str]) -> list[str]:
        """Show the settings of an address, before any control is drawn.

        Returns
        -------
        list of str
            One sentence for every value that could not be used; its default takes its place.
        """
        settings, complaints = read(self.run, texts)
        self.put(settings)
        return complaints

    def missing(self) -> list[str]:
        """Replace own data that are no longer stored by the default; a sentence where it does."""
        try:
            source(self["data"])
            return []
        except ValueError as error:
            self["data"] = self.run.from_flat({}).source.data
            return [str(error)]

    def put(self, settings: RunSettings) -> None:
        """Show these settings."""
        self["budget"] = settings.training.budget[0]
        for name, value in values(settings.flat()).items():
            if name in AMOUNTS:
                self[name] = value or self.get(name, AMOUNTS[name])
            elif name == "classes":
                self["conditional"] = value > 0
            elif name == "noise" and not is_own(settings.source.data):
                truth = source(settings.source.data)
                if truth.noise is not None:
                    self.noise[truth.name] = truth.noise if value is None else value
            elif name not in (*NEVER, "noise"):
                self[name] = value

    def settings(self) -> RunSettings:
        """The settings that the controls have, also before they are drawn."""
        left_out = hidden(self.run, self["data"])
        return self.run.from_flat({name: self._value(name) for name in self.fields
                                   if name not in left_out})

    def _value(self, name: str) -> Any:
        """The value that a setting's control has, or will have when it is drawn."""
        if name == "hidden":
            return (self["width"],) * self["depth"]
        if name in BUDGETS.values() and name != BUDGETS[self["budget"]]:
            return self.fields[name].default
        if name == "classes":
            return source(self["data"]).classes if self["conditional"] else 0
        if name == "levels":
            return _most(self._possible_levels(), self["levels"])
        if name == "objective" and not self._known():
            return "forward"
        if name == "noise":
            truth = target(self["data"])
            value = self.noise.get(truth.name, truth.noise)
            return None if value == truth.noise or truth.noise_range is None else value
        return self[name]

    def draw(self, choose_data: Callable[[], None], hide: tuple[str, ...] = (),
             lock: tuple[str, ...] = ()) -> None:
        """Draw all controls in their groups, one of which is open, with dots at what was changed.

        Parameters
        ----------
        choose_data : callable
            Draws the chooser of distributions.
        hide, lock : tuple of str
            Groups, in small letters, and settings that are not drawn, or drawn so that they cannot
            be changed.
        """
        left_out = (*hidden(self.run, self["data"]), "data", *AMOUNTS)
        changed = self.settings().texts().keys()
        self._dots(changed)
        st.button("Reset", icon=":material/restart_alt:", type="tertiary", disabled=not changed,
                  key=f"{self.prefix}.reset", on_click=self._reset, args=((*hide, *lock),),
                  help="Set everything to its default. A dot marks what differs from the default.")
        places = {group: st.container() for group in ORDER}
        for group in GROUPS:  # data first, since choosing some changes other controls
            named = [n for n, f in self.fields.items() if n not in (*left_out, *hide)
                     and extra(f)["group"] == group]
            if group.lower() in hide or not named and group != "Data":
                continue
            locked, key = group.lower() in lock, f"{self.prefix}.group.{group}"
            st.session_state[key] = group == self.open
            label = group if group != "Data" else f"Data: {plain(source(self['data']).title)}"
            with places[group], st.expander(label, key=key, on_change=self._opened,
                                            args=(group, key)):
                if locked:
                    st.caption("Set by the link that opened this page.")
                if group == "Data" and locked:
                    chosen = source(self["data"])
                    st.markdown(f"**{chosen.title}.** {chosen.description}")
                elif group == "Data":
                    choose_data()
                for name in named:
                    self._draw(name, locked or name in lock)

    def _opened(self, group: str, key: str) -> None:
        self.open = group if st.session_state[key] else ""

    def _dots(self, changed: Collection[str]) -> None:
        """Mark the controls and groups of the settings that differ from their defaults."""
        groups = {extra(self.fields[name])["group"] for name in changed}
        marked = [f"group-{group} summary" for group in groups]
        for name in changed:
            marked += [f"{key} label" for key in {
                "hidden": ["depth", "width"], "classes": ["conditional"],
                "noise": [f"noise-{self['data']}"]}.get(name, [name])]
        where = ", ".join(f".st-key-{self.prefix}-{place} p::after" for place in marked)
        st.html("<style>" + (where and where + " { content: ' ●'; color: "
                             "var(--st-primary-color, #0b68a8); }") + "</style>")

    def _reset(self, kept: Collection[str]) -> None:
        """Show the defaults, except of the groups and settings that are `kept`."""
        now, flat = self.settings().flat(), self.run.from_flat({}).flat()
        flat |= {name: now[name] for name, field in self.fields.items()
                 if {extra(field)["group"].lower(), name} & {*kept} and name in now}
        self.put(self.run.from_flat(flat))

    def some(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Draw the controls of these settings one under the other; their values by name."""
        for name in names:
            if name == "hidden":
                self._hidden(False)
            else:
                self._control(name, False)
        return {name: (self["width"],) * self["depth"] if name == "hidden" else self[name]
                for name in names}

    def _draw(self, name: str, disabled: bool) -> None:
        special: dict[str, Callable[[bool], None]] = {
            "hidden": self._hidden, "noise": self._noise, "classes": self._classes,
            "levels": self._levels, "objective": self._objective, "epochs": self._budget}
        if name in special:
            special[name](disabled)
        else:
            self._control(name, disabled)

    def _control(self, name: str, disabled: bool) -> None:
        field = self.fields[name]
        about = extra(field)
        unit = f" ({about['unit']})" if about["unit"] else ""
        common: dict[str, Any] = {
            "label": field.title, "key": self.key(name), "help": f"{field.description}{unit}",
            "persist_state": "session", "disabled": disabled}
        if field.annotation is bool:
            st.toggle(**common)
            return
        if get_origin(field.annotation) is Literal:
            st.selectbox(options=get_args(field.annotation), format_func=choice, **common)
            return
        low, high = (next(getattr(m, b) for m in field.metadata if hasattr(m, b))
                     for b in ("ge", "le"))
        low = FEWEST.get(name, low)
        if field.annotation is int:
            if high <= 64:
                st.slider(min_value=low, max_value=high, **common)
            else:
                st.number_input(min_value=low, max_value=high, step=about["step"], **common)
        elif about["log"]:
            st.select_slider(options=steps(low, high, self[name]),
                             format_func=lambda x: f"{x:g}", **common)
        elif high <= 10:
            st.slider(min_value=float(low), max_value=float(high),
                      step=0.05 if high <= 1 else 0.1, **common)
        else:
            st.number_input(min_value=float(low), max_value=float(high), step=1.0, **common)

    def _hidden(self, disabled: bool) -> None:
        st.slider("Hidden layers", 1, 6, **self.tie("depth"), disabled=disabled,
                  help="Number of hidden layers of each coupling's network.")
        st.select_slider("Width", sorted({*WIDTHS, self["width"]}), **self.tie("width"),
                         disabled=disabled, help="Units in each hidden layer.")

    def _budget(self, disabled: bool) -> None:
        unit = st.segmented_control(
            "Train for", list(BUDGETS), format_func=str.capitalize, required=True,
            **self.tie("budget"), disabled=disabled, help="What ends the training, and its "
            "schedule with it: passes over the training set, optimiser steps, or time.")
        self._control(BUDGETS[unit], disabled)

    def _classes(self, disabled: bool) -> None:
        st.toggle("Learn each class", **self.tie("conditional"), disabled=disabled,
                  help="Give the flow the class of every image, one of "
                  f"{source(self['data']).classes}: then you choose the class of a sample. When "
                  "off, it learns all images together.")

    def _levels(self, disabled: bool) -> None:
        field, options = self.fields["levels"], self._possible_levels()
        self["levels"] = _most(options, self["levels"])
        st.select_slider(field.title or "", options, **self.tie("levels"), help=field.description,
                         disabled=disabled or len(options) < 2)

    def _known(self) -> bool:
        """Whether the data have a known density that is nowhere zero, as reverse KL needs."""
        return target(self["data"], noise=self._value("noise")).full_support

    def _objective(self, disabled: bool) -> None:
        if self._known():
            self._control("objective", disabled)
            return
        field = self.fields["objective"]
        self["objective"] = "forward"
        st.selectbox(field.title or "", get_args(field.annotation), format_func=choice,
                     key=self.key("objective"), disabled=True, help="Reverse KL needs a known "
                     "density that is nowhere zero, which these data do not have.")

    def _possible_levels(self) -> list[int]:
        """The numbers of levels that the images' height and width allow; 1 at least."""
        shape = source(self["data"]).event_shape
        flow: Callable[..., Any] = self.run.sections()["flow"]

        def fits(levels: int) -> bool:
            try:
                return bool(flow(event_shape=shape, levels=levels))
            except ValidationError:
                return False

        return [n for n in range(1, 7) if fits(n)] or [1]

    def _noise(self, disabled: bool) -> None:
        field, truth = self.fields["noise"], target(self["data"])
        if truth.noise_range is None:
            st.slider(field.title or "", 0.0, 1.0, 0.0, disabled=True, key=self.key("nonoise"),
                      help="This distribution has no noise to set.")
            return
        low, high = truth.noise_range
        self.noise.setdefault(truth.name, truth.noise)
        st.slider(field.title or "", low, high, step=0.01, **self.noise.tie(truth.name),
                  help=field.description, disabled=disabled)


def values(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by the names of their controls: hidden layers have two, for depth and width."""
    hidden = {"depth": len(flat["hidden"]), "width": flat["hidden"][0]} if "hidden" in flat else {}
    return {name: value for name, value in flat.items() if name != "hidden"} | hidden


def steps(low: float, high: float, value: float) -> list[float]:
    """1, 2, 3 and 5 of every decade between two bounds, and ``value`` itself; 0 where it is one."""
    decades = (float(f"{d:g}e{e}") for e in range(-9, 9) for d in DECADE)
    zero = {0.0} if low == 0 else set()
    return sorted({value, *zero, *(x for x in decades if (low or LEAST) <= x <= high)})


def _most(options: list[int], asked: int) -> int:
    """The largest of the options that is not more than what is asked for; the first in any case."""
    return max(n for n in options if n <= max(asked, options[0]))
