"""Choosing other data, and the settings that change with them unless somebody has set them."""

import streamlit as st

from flowlab.data import Source, kind_of
from flowlab.server.limits import limits
from flowlab.settings import TrainingSettings
from flowlab.training import epochs
from flowlab.ui.controls.settings import values
from flowlab.ui.controls.state import ModelPage
from flowlab.ui.controls.validation import source

#: What `flowlab.training.epochs` looks at.
_COUNTED = ("batch_size", "points", "test_fraction", "epochs")


def to_images(page: ModelPage, data: str) -> None:
    """Make images the page's data; from points, with the settings that suit images."""
    controls = page.controls
    if kind_of(controls["data"]) != "images":
        suited = values(page.recipe.images)
        page.for_points = {name: controls[name] for name in suited}
        controls.update(suited)
        controls["conditional"] = True
    controls["data"] = data


def to_points(page: ModelPage, data: str) -> None:
    """Make points the page's data; from images, with the settings from before them."""
    if kind_of(page.controls["data"]) == "images":
        page.controls.update(page.for_points)
    page.controls["data"] = data
    _fit_epochs(page, data)


def _fit_epochs(page: ModelPage, data: str) -> None:
    """Set the epochs for the points just chosen; a number that somebody else set stays."""
    before, usual = page.fitted_epochs, TrainingSettings().epochs
    page.fitted_epochs = None
    if page.controls["epochs"] not in (before, usual):
        return
    wanted, most = epochs.default(source(data), _training(page)), limits().max_epochs
    page.fitted_epochs = wanted if most is None else min(wanted, max(most, usual))
    page.controls["epochs"] = page.fitted_epochs


def on_epochs(page: ModelPage, chosen: Source) -> None:
    """Draw a sentence on the epochs, where the points chosen make few steps."""
    if page.controls["budget"] == "epochs" and (
            text := epochs.sentence(chosen, _training(page))):
        st.caption(text)


def _training(page: ModelPage) -> TrainingSettings:
    return TrainingSettings(**{name: page.controls[name] for name in _COUNTED})
