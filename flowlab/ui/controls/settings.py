"""Controls made from settings, and settings kept in the URL.

One state: the settings. A control shows one field of them; the URL holds those that differ from
the defaults, so that a link is a run.
"""

from typing import Any, Literal, get_args, get_origin

import streamlit as st
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from flowlab.data import Images, target
from flowlab.data.store import is_own
from flowlab.settings import FlowSettings, RunSettings
from flowlab.ui.controls.validation import NEVER, hidden, read, source

GROUPS = ("Data", "Model", "Images", "Network", "Training")
WIDTHS = (8, 16, 32, 64, 128, 256, 512, 1024)
DECADE = (1.0, 2.0, 3.0, 5.0)
LEAST = 1e-5  # above 0, of a control with equal ratios that begins at 0


def load(run: type[RunSettings], prefix: str, texts: dict[str, str]) -> list[str]:
    """Put settings into the controls' state, before any control is drawn.

    Parameters
    ----------
    run : type of RunSettings
    prefix : str
        The page's name.
    texts : dict of str to str
        The settings that differ from the defaults, as an address has them.

    Returns
    -------
    list of str
        One sentence for every value that could not be used; its default takes its place.
    """
    settings, complaints = read(run, texts)
    put(settings, prefix)
    return complaints


def missing(run: type[RunSettings], prefix: str) -> list[str]:
    """Take the default in place of own data that are no longer kept, and say so."""
    try:
        source(st.session_state[f"{prefix}.data"])
        return []
    except ValueError as error:
        st.session_state[f"{prefix}.data"] = run().source.data
        return [str(error)]


def put(settings: RunSettings, prefix: str) -> None:
    """Make the controls show these settings."""
    for name, value in settings.flat().items():
        if name == "hidden":
            st.session_state[f"{prefix}.depth"] = len(value)
            st.session_state[f"{prefix}.width"] = value[0]
        elif name == "classes":
            st.session_state[f"{prefix}.conditional"] = value > 0
        elif name == "noise" and not is_own(settings.source.data):
            truth = source(settings.source.data)
            if truth.noise is not None:
                st.session_state[noise_key(prefix, truth.name)] = (
                    truth.noise if value is None else value)
        elif name not in (*NEVER, "noise"):
            st.session_state[f"{prefix}.{name}"] = value


def noise_key(prefix: str, data: str) -> str:
    """The noise control's key: every distribution keeps its own noise."""
    return f"{prefix}.noise.{data}"


def settings(run: type[RunSettings], prefix: str) -> RunSettings:
    """What the controls say, also before they are drawn."""
    data = st.session_state[f"{prefix}.data"]
    left_out = (*hidden(run, data), "data")
    names = (n for part in run.parts().values() for n in part.model_fields if n not in left_out)
    return run.from_flat({"data": data} | {name: _state(run, prefix, name) for name in names})


def show(run: type[RunSettings], prefix: str, choose_data: Any, hide: tuple[str, ...] = (),
         lock: tuple[str, ...] = ()) -> None:
    """Draw all controls in their groups.

    Parameters
    ----------
    run : type of RunSettings
    prefix : str
        The page's name; keys of its controls start with it.
    choose_data : callable
        Draws the chooser of distributions, given ``prefix``.
    hide, lock : tuple of str
        Groups, in small letters, that are not drawn, or drawn so that nothing can be changed.
    """
    fields = {n: f for part in run.parts().values() for n, f in part.model_fields.items()}
    data = st.session_state[f"{prefix}.data"]
    left_out = hidden(run, data)
    for group in GROUPS:
        named = [(n, f) for n, f in fields.items() if n not in (*left_out, "data")
                 and f.json_schema_extra["group"] == group]
        if group.lower() in hide or not named and group != "Data":
            continue
        locked = group.lower() in lock
        with st.expander(group, expanded=group in ("Data", "Model", "Images"),
                         key=f"{prefix}.group.{group}"):
            if locked:
                st.caption("Set by the link that opened this page.")
            if group == "Data" and locked:
                chosen = source(data)
                st.markdown(f"**{chosen.title}.** {chosen.description}")
            elif group == "Data":
                choose_data(prefix)
            for name, field in named:
                if name == "hidden":
                    _hidden(prefix, locked)
                elif name == "noise":
                    _noise(prefix, field, data, locked)
                elif name == "classes":
                    _classes(prefix, source(data), locked)
                elif name == "levels":
                    _levels(run, prefix, field, source(data), locked)
                elif name == "objective":
                    _objective(run, prefix, field, locked)
                else:
                    _control(field, f"{prefix}.{name}", locked)


def some(run: type[RunSettings], prefix: str, names: tuple[str, ...]) -> dict[str, Any]:
    """Draw the controls of these settings one under the other; their values by name."""
    fields = {n: f for part in run.parts().values() for n, f in part.model_fields.items()}
    return {name: _hidden(prefix, False) if name == "hidden"
            else _control(fields[name], f"{prefix}.{name}", False) for name in names}


def _state(run: type[RunSettings], prefix: str, name: str) -> Any:
    """The value that a setting's control has, or will have when it is drawn."""
    data = st.session_state[f"{prefix}.data"]
    if name == "hidden":
        return (st.session_state[f"{prefix}.width"],) * st.session_state[f"{prefix}.depth"]
    if name == "classes":
        return source(data).classes if st.session_state[f"{prefix}.conditional"] else 0
    if name == "levels":
        options = _fitting(run.parts()["flow"], source(data))
        return _most(options, st.session_state[f"{prefix}.levels"])
    if name == "objective" and not _known(run, prefix):
        return "forward"
    if name == "noise":
        truth = target(data)
        value = st.session_state.get(noise_key(prefix, data), truth.noise)
        return None if value == truth.noise or truth.noise_range is None else value
    return st.session_state[f"{prefix}.{name}"]


def steps(low: float, high: float, value: float) -> list[float]:
    """1, 2, 3 and 5 of every decade between two bounds, and ``value`` itself; 0 where it is one."""
    decades = (float(f"{d:g}e{e}") for e in range(-9, 9) for d in DECADE)
    zero = {0.0} if low == 0 else set()
    return sorted({value, *zero, *(x for x in decades if (low or LEAST) <= x <= high)})


def _control(field: FieldInfo, key: str, disabled: bool) -> Any:
    extra = field.json_schema_extra
    unit = f" ({extra['unit']})" if extra["unit"] else ""
    common = {"label": field.title, "key": key, "help": field.description + unit,
              "persist_state": "session", "disabled": disabled}
    if field.annotation is bool:
        return st.toggle(**common)
    if get_origin(field.annotation) is Literal:
        return st.selectbox(options=get_args(field.annotation), format_func=words, **common)
    low, high = (next(getattr(m, b) for m in field.metadata if hasattr(m, b)) for b in ("ge", "le"))
    if field.annotation is int:
        if high <= 64:
            return st.slider(min_value=low, max_value=high, **common)
        return st.number_input(min_value=low, max_value=high, step=extra["step"], **common)
    if extra["log"]:
        options = steps(low, high, st.session_state[key])
        return st.select_slider(options=options, format_func=lambda x: f"{x:g}", **common)
    step = 0.05 if high <= 1 else 0.1
    if high <= 10:
        return st.slider(min_value=float(low), max_value=float(high), step=step, **common)
    return st.number_input(min_value=float(low), max_value=float(high), step=1.0, **common)


def _hidden(prefix: str, disabled: bool) -> tuple[int, ...]:
    depth = st.slider("Hidden layers", 1, 6, key=f"{prefix}.depth", persist_state="session",
                      disabled=disabled,
                      help="Number of hidden layers of each coupling's network.")
    options = sorted({*WIDTHS, st.session_state[f"{prefix}.width"]})
    width = st.select_slider("Width", options, key=f"{prefix}.width", persist_state="session",
                             disabled=disabled, help="Units in each hidden layer.")
    return (width,) * depth


def _classes(prefix: str, images: Images, disabled: bool) -> None:
    st.toggle("Learn each class", key=f"{prefix}.conditional", persist_state="session",
              disabled=disabled,
              help=f"Give the flow the class of every image, one of {images.classes}: then you "
              "choose the class of a sample. Off, it learns all images as one.")


def _levels(run: type[RunSettings], prefix: str, field: FieldInfo, images: Images,
            disabled: bool) -> None:
    key, options = f"{prefix}.levels", _fitting(run.parts()["flow"], images)
    st.session_state[key] = _most(options, st.session_state[key])
    st.select_slider(field.title, options, key=key, help=field.description,
                     persist_state="session", disabled=disabled or len(options) < 2)


def _known(run: type[RunSettings], prefix: str) -> bool:
    """Whether the data have a known density that is nowhere zero, as reverse KL needs."""
    return target(st.session_state[f"{prefix}.data"],
                  noise=_state(run, prefix, "noise")).full_support


def _objective(run: type[RunSettings], prefix: str, field: FieldInfo, disabled: bool) -> None:
    key = f"{prefix}.objective"
    if _known(run, prefix):
        _control(field, key, disabled)
        return
    st.session_state[key] = "forward"
    st.selectbox(field.title, get_args(field.annotation), format_func=words, key=key, disabled=True,
                 help="Reverse KL needs a known density that is nowhere zero, which these data do "
                 "not have.")


def _most(options: list[int], asked: int) -> int:
    """The largest of the options that is not more than what is asked for; the first in any case."""
    return max(n for n in options if n <= max(asked, options[0]))


def _fitting(flow: type[FlowSettings], images: Images) -> list[int]:
    """The numbers of levels that the images' height and width allow; 1 at least."""
    def fits(levels: int) -> bool:
        try:
            return bool(flow(event_shape=images.event_shape, levels=levels))
        except ValidationError:
            return False

    return [n for n in range(1, 7) if fits(n)] or [1]


def _noise(prefix: str, field: FieldInfo, data: str, disabled: bool) -> None:
    truth = target(data)
    if truth.noise_range is None:
        st.slider(field.title, 0.0, 1.0, 0.0, disabled=True, key=f"{prefix}.nonoise",
                  help="This distribution has no noise to set.")
        return
    low, high = truth.noise_range
    key = noise_key(prefix, data)
    st.session_state.setdefault(key, truth.noise)
    st.slider(field.title, low, high, step=0.01, key=key, help=field.description,
              persist_state="session", disabled=disabled)


def words(name: str) -> str:
    """A choice as people read it."""
    special = {"relu": "ReLU", "leaky_relu": "Leaky ReLU", "elu": "ELU", "tanh": "tanh",
               "actnorm": "ActNorm", "batchnorm": "Batch norm", "forward": "Forward KL",
               "reverse": "Reverse KL"}
    return special.get(name, name.replace("_", " ").capitalize())
