"""The number of epochs beside a user's own points: set so that enough steps are made, and said."""

import streamlit as st

from flowlab.data import Points
from flowlab.server.limits import limits
from flowlab.settings import TrainingSettings
from flowlab.training import epochs
from flowlab.ui.controls.validation import source

_COUNTED = ("batch_size", "points", "test_fraction")


def fit(prefix: str, data: str) -> None:
    """Set the epochs for the points just chosen; a number that somebody else set stays."""
    state, key = st.session_state, f"{prefix}.epochs"
    before, usual = state.pop(f"{prefix}.epochs.fitted", None), TrainingSettings().epochs
    if state[key] not in (before, usual):
        return
    wanted, most = epochs.default(source(data), _training(prefix)), limits().max_epochs
    state[key] = wanted if most is None else min(wanted, max(most, usual))
    state[f"{prefix}.epochs.fitted"] = state[key]


def say(prefix: str, chosen: object) -> None:
    """A sentence on the epochs, where the points chosen make few steps."""
    if isinstance(chosen, Points) and (text := epochs.sentence(chosen, _training(prefix))):
        st.caption(text)


def _training(prefix: str) -> TrainingSettings:
    names = (*_COUNTED, "epochs")
    return TrainingSettings(**{name: st.session_state[f"{prefix}.{name}"] for name in names})
