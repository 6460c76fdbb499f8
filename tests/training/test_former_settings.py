"""What links, files, scripts and commands of earlier versions set, and has no effect any more."""

import json

import pytest
from helpers import ON_IMAGES

from flowlab.commands.train import parser
from flowlab.settings import RunSettings, TrainingSettings
from flowlab.ui.controls.validation import read
from models import RECIPES

models = pytest.mark.parametrize("name", RECIPES)


@models
def test_a_link_with_compiled_steps_opens_without_a_complaint(name):
    run = RECIPES[name].Run
    for data in ("moons", "digits")[:1 + (name in ON_IMAGES)]:
        settings, complaints = read(run, {"compiled": "True", "epochs": "7", "data": data})
        assert (settings.training.epochs, settings.source.data, complaints) == (7, data, [])
        assert "compiled" not in settings.texts()


@models
def test_a_file_with_compiled_steps_opens(name):
    run = RECIPES[name].Run
    stored = run().model_dump(mode="json")
    stored["training"]["compiled"] = True
    assert RunSettings.read(json.dumps(stored)) == run()


@models
def test_a_command_with_compiled_steps_runs_and_its_help_is_silent_about_it(name):
    run = RECIPES[name].Run
    options = parser(run, name)
    given = vars(options.parse_args(["--compiled", "true"]))
    assert run.from_texts({"compiled": given["compiled"]}) == run()
    assert "compiled" not in options.format_help()


def test_a_script_with_compiled_steps_runs():
    assert TrainingSettings(compiled=True, epochs=3) == TrainingSettings(epochs=3)
