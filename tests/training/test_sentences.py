"""Whatever is wrong with settings is said in one whole sentence, in the field's words."""

import re

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from flowlab.commands import train
from flowlab.server.limits import Limits
from flowlab.settings import RunSettings, TrainingSettings, describe
from flowlab.studies.comparison import Comparison
from flowlab.studies.sweep import SweepSettings
from models import RECIPES

RUN = RECIPES["realnvp"].Run
#: What only Python's or pydantic's own sentences have.
FOREIGN = re.compile(r"\{|should be (Invalid|Field|String|Tuple|List|Input|Extra)|valid (tuple|bool"
                     r"|integer|number|dict)|unable to parse|tuple\[|Errno|Traceback|pydantic")
VALUES = [None, True, 1, 0, -1, 2.5, 1e40, float("nan"), float("inf"), 10**5000, "", "x", "1",
          "x" * 2000, b"x", [], [1], (8, "x"), ["x"] * 200, {}, {"x": 1}, {1: 2}, [[1]], object()]


def whole(sentence: str) -> None:
    assert sentence.endswith(".") and "\n" not in sentence and len(sentence) < 400, sentence
    assert not FOREIGN.search(re.sub(r" is .*(, but|: |, which)", " is", sentence)), sentence


def tried(model, values) -> str:
    """The sentence for these values, or nothing where they are fine."""
    try:
        model.model_validate(values)
    except ValidationError as error:
        whole(describe(error))
        return describe(error)
    return ""


@pytest.mark.parametrize("name", [f"{part}.{name}" for part, kind in RUN.sections().items()
                                  for name in kind.model_fields])
def test_every_wrong_value_of_every_setting_gets_a_whole_sentence(name):
    part, name = name.split(".")
    sentences = [tried(RUN, {part: {name: value}}) for value in VALUES]
    assert sum(map(bool, sentences)) >= 10
    assert all(name in sentence for sentence in sentences if sentence)


@pytest.mark.parametrize("model", [RUN, Comparison, SweepSettings, Limits])
def test_wrong_values_elsewhere_get_a_whole_sentence(model):
    for value in VALUES:
        if model is Limits and value == {1: 2}:
            continue  # no file and no environment has such a name
        tried(model, value)
        for name in [*model.model_fields, "no_setting", "no setting"]:
            tried(model, {name: value})


@pytest.mark.parametrize(("values", "words"), [
    ({"sweep": {"couplings": 4}}, "couplings is 4, but it should be a list"),
    ({"sweep": {"couplings": [float("nan")]}}, "couplings is nan: give a finite number"),
    ({"sweep": {"hidden": [[8, "x"]]}}, "hidden is [8, 'x']: give"),
    ({"sweep": {"couplings": {"low": 1}}}, "no high"),
    ({"sweep": {"couplings": {"low": 3, "high": 2}}}, "low should be less"),
    ({"sweep": {"couplings": {"low": "x", "high": 2}}}, "low is 'x', but it should be a number"),
    ({"sweep": {"couplings": [1] * 101}}, "couplings is"),
    ({"settings": {"epochs": float("inf")}}, "epochs is inf: give a finite number"),
    ({"settings": {"epochs": {}}}, "epochs is {}: give"), ({"settings": 4}, "group of settings")])
def test_sweeps_name_the_setting_that_is_wrong(values, words):
    assert words in tried(SweepSettings, {"sweep": {"couplings": [2]}, **values})


GOOD = '{"model": "realnvp", "training": {"epochs": 1, "points": 100}, "flow": {"hidden": [4]}}'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_settings_of_every_editor_are_read(encoding, tmp_path, capsys):
    file = tmp_path / "run.json"
    file.write_text(GOOD, encoding)
    recipe = RECIPES["realnvp"]
    assert train.main(RUN, recipe.train, "x", ["--settings", str(file), "--no-keep"]) == 0
    sweep = tmp_path / "sweep.toml"
    sweep.write_text("[sweep]\ncouplings = [2]\n", encoding)
    assert SweepSettings.read(sweep).sweep == {"couplings": (2,)}


@pytest.mark.parametrize(("content", "words"), [
    (b"", "is empty"), (b"\xef\xbb\xbf", "is empty"), (GOOD[:40].encode(), "cut short"),
    (b"[]", "run.json"), (b"nonsense", "not valid JSON"), (b"\xff\xff\xff", "not text in UTF-8"),
    (b'{"model": "glow"}', "model is 'glow'"), (b'{"training": {"epochs": "x"}}', "whole number"),
    (b'{"training": {"epoch": 1}}', "no setting called epoch"), (b"[" * 10**5, "not valid JSON")])
def test_settings_that_cannot_be_read_get_one_sentence(content, words, tmp_path, capsys):
    file = tmp_path / "run.json"
    file.write_bytes(content)
    assert train.main(RUN, RECIPES["realnvp"].train, "x", ["--settings", str(file)]) == 2
    error = capsys.readouterr().err.removeprefix("error: ").rstrip("\n")
    whole(error)
    assert words in error


def test_settings_of_a_run_that_cannot_be_read_get_one_sentence():
    for text in (GOOD[:40], "", "[]", "{}", '{"model": "realnvp", "x": 1}', "[" * 10**5):
        with pytest.raises(ValueError) as caught:
            RunSettings.read(text)
        whole(str(caught.value))


@pytest.mark.parametrize("data", ["a/" * 40 + "points.dat", "x" * 65])
def test_a_long_path_gets_a_sentence_that_names_the_endings(data, capsys):
    assert train.main(RUN, RECIPES["realnvp"].train, "x", ["--data", data]) == 2
    error = capsys.readouterr().err
    assert ".csv" in error and "64 characters" in error and error.count("\n") == 1


@pytest.mark.parametrize("number", [np.int64, np.int8, np.float64, np.uint16, torch.tensor,
                                    np.array])
def test_numbers_of_numpy_and_torch_are_settings(number):
    training = TrainingSettings(epochs=number(3), clip=number(2))
    assert (training.epochs, training.clip) == (3, 2) and type(training.epochs) is int
    run = RUN.from_flat({"hidden": (number(8), number(4)), "noise": number(1)})
    assert run.flow.hidden == (8, 4) and RUN.model_validate_json(run.model_dump_json()) == run
    assert RUN.from_flat({"hidden": np.array([8, 4])}).flow.hidden == (8, 4)
    flow = RECIPES["realnvp"].model((number(2),), couplings=number(2), hidden=[number(4)])
    assert flow.settings.couplings == 2
    sweep = SweepSettings(sweep={"couplings": np.array([2, 4])}, settings={"epochs": number(3)})
    assert sweep.sweep["couplings"] == (2, 4) and sweep.settings["epochs"] == 3
    assert "couplings = [2, 4]" in sweep.toml()


def test_numbers_of_numpy_that_do_not_fit_get_one_sentence():
    assert "epochs is 0" in tried(TrainingSettings, {"epochs": np.int64(0)})
    assert "whole number" in tried(TrainingSettings, {"epochs": np.float64(2.5)})
    assert "epochs is [2, 3]" in tried(TrainingSettings, {"epochs": np.array([2, 3])})
