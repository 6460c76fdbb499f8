"""Comparisons: equal budgets, honest measures, and a best that is better than chance."""

import csv
import io
import math
import time

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.stats import ttest_ind

from flowlab.commands.compare import main
from flowlab.data import store, target
from flowlab.jobs import Local
from flowlab.runs import Recorder, Store
from flowlab.studies.comparison import Comparison, Contest, Entry, measures, plan, table
from flowlab.studies.comparison.plan import settings_of
from flowlab.studies.comparison.table import Statistic, best, surely_less
from flowlab.studies.comparison.trial import TEST, Result, finish, fresh_points
from flowlab.training.metrics import energy_distance, mode_coverage, parameter_count
from models import RECIPES

TINY = "nice:hidden=4:couplings=2;realnvp:hidden=4:couplings=2"


def comparison(models=TINY, **values) -> Comparison:
    return Comparison.model_validate({"models": models, "points": 100, "amount": 2, **values})


# What is compared


def test_a_comparison_and_its_texts_are_one():
    one = comparison("realnvp:couplings=4:hidden=8,8:label=a;glow", data="moons,rings",
                     budget="steps", seeds=3, parameters=900)
    assert one.models[0] == Entry(model="realnvp", label="a",
                                  settings={"couplings": "4", "hidden": "8,8"})
    assert Comparison.model_validate(one.texts()) == one
    odd = Comparison(models=(Entry(model="nice", label="50 % ;=: ü"),))
    assert Comparison.model_validate(odd.texts()) == odd
    assert Comparison().texts() == {}


def test_entries_of_one_name_are_numbered():
    assert comparison("nice;nice;glow").labels({"nice": "NICE"}) == ("NICE (1)", "NICE (2)", "glow")


@pytest.mark.parametrize("values", [
    {"data": ""}, {"data": "moons,moons"}, {"seeds": "0"}, {"amount": "-1"}, {"amount": "nan"},
    {"models": ";".join(["nice"] * 7)}, {"models": "nice:seed=3"}, {"budget": "hours"},
    {"amount": "20000"}, {"budget": "seconds", "amount": "700"}, {"parameters": "99"},
])
def test_what_is_no_comparison_is_refused(values):
    with pytest.raises(ValidationError):
        Comparison.model_validate(values)


@pytest.mark.parametrize(("models", "values", "words"), [
    ("", {}, "at least one"), ("bend", {}, "bend"), ("nice:couplings=99", {}, "couplings"),
    ("nice:wings=1", {}, "wings"), ("nice", {"data": "moonz"}, "moonz"),
    ("glow", {"parameters": 100}, "100 parameters"),
])
def test_what_cannot_be_compared_gets_one_sentence(models, values, words):
    with pytest.raises(ValueError, match=words) as error:
        plan(comparison(models, **values), RECIPES)
    assert "\n" not in str(error.value)


def test_every_model_meets_every_distribution_with_every_seed():
    trials = plan(comparison(data="moons,rings", seeds=3), RECIPES)
    assert {(t.entry, t.data, t.seed) for t in trials} == {
        (e, d, s) for e in range(2) for d in ("moons", "rings") for s in range(3)}
    assert [t.seed for t in trials] == sorted(t.seed for t in trials)
    assert all(t.settings.training.seed == t.seed and t.settings.source.data == t.data
               for t in trials)


# Equal budgets


@pytest.mark.parametrize(("budget", "amount", "steps"), [("epochs", 3, 12), ("steps", 7, 7)])
def test_all_models_take_the_same_steps(budget, amount, steps):
    models = "nice:batch_size=20:couplings=2;glow:batch_size=20:steps=2"
    trials = plan(comparison(models, budget=budget, amount=amount), RECIPES)
    assert [finish(t)[-1].step for t in trials] == [steps, steps]


def test_a_budget_of_seconds_ends_with_the_first_batch_after_it():
    trial = plan(comparison(budget="seconds", amount=0.2), RECIPES)[0]
    looks, result = finish(trial)
    curve = looks[-1].curve
    assert looks[-1].spent == 1.0
    assert result.seconds >= 0.2 and result.outcome == "finished" and result.step > 1
    assert all(seconds < 0.2 for _, seconds, _ in curve[:-1])


def test_the_schedule_ends_with_a_budget_of_steps():
    """With as many steps as the epochs have, the training is the one that epochs give."""
    by_epochs = plan(comparison(amount=4), RECIPES)[1]
    by_steps = plan(comparison(budget="steps", amount=4), RECIPES)[1]
    rates = [p.learning_rate for p in by_steps.train(by_steps.settings, every="batch")]
    *_, one = finish(by_epochs)
    *_, other = finish(by_steps)
    expected = by_epochs.settings.training
    assert rates == pytest.approx([p.learning_rate for p in by_epochs.train(
        by_epochs.settings, every="batch")])
    assert rates[0] < expected.learning_rate
    assert other.values["nll"] == pytest.approx(one.values["nll"], rel=1e-6)


@pytest.mark.parametrize("parameters", [2_000, 30_000])
def test_equal_parameters_are_equal_within_a_few_per_cent(parameters):
    models = "nice;realnvp:couplings=4;glow:hidden=8,8,8:steps=6"
    wanted = comparison(models, parameters=parameters)
    sizes = [parameter_count(settings_of(e, wanted, RECIPES).flow)
             for e in wanted.models]
    assert sizes == pytest.approx([parameters] * 3, rel=0.06)
    depths = [len(settings_of(e, wanted, RECIPES).flow.hidden) for e in wanted.models]
    assert depths == [2, 2, 3]


# Measures


def test_a_trial_reports_what_it_measures():
    trial = plan(comparison("realnvp:hidden=4:couplings=2", data="eight_gaussians", amount=3,
                            level=10), RECIPES)[0]
    (look,), result = finish(trial)
    curve = look.curve
    assert set(result.values) == {m.name for m in measures()}
    assert [step for step, _, _ in curve] == [1, 2, 3]
    assert look.density.shape == (80, 80) and look.samples.shape == (500, 2)
    values, truth = result.values, target("eight_gaussians")
    fresh = fresh_points(trial.settings.training, truth, 0)
    entropy = -truth.log_prob(fresh).double().mean().item()
    assert len(fresh) == TEST and values["kl"] == pytest.approx(values["nll"] - entropy)
    assert values["bits"] == pytest.approx(values["nll"] / (2 * math.log(2)))
    assert 0 <= values["modes"] <= 1 and values["inverse"] < 1e-3
    assert values["reached"] == curve[0][1]  # a level of 10 nats is reached at once


def test_test_points_are_new_and_the_same_for_all_models():
    trials = plan(comparison(), RECIPES)
    one, other = (fresh_points(t.settings.training, target("moons"), t.seed) for t in trials)
    assert torch.equal(one, other)
    trained = target("moons").sample(100, seed=0)
    assert not (one[:, None] == trained[None]).all(-1).any()


def test_own_points_are_measured_where_nobody_knows_their_density():
    name = store.keep(np.random.default_rng(0).normal(size=(80, 2)).astype(np.float32))
    trial = plan(comparison(data=name), RECIPES)[0]
    *_, result = finish(trial)
    assert result.values["kl"] is None and result.values["reached"] is None
    assert math.isfinite(result.values["nll"])
    assert len(fresh_points(trial.settings.training, target(name), 0)) == 16
    columns = {m.name for m in table(comparison(data=name), {}).columns}
    assert "nll" in columns and not {"kl", "reached", "modes"} & columns


def test_energy_distance_of_known_cases():
    x = torch.tensor([[0.0], [1.0]])
    # 2 E|X−Y| − E|X−X'| − E|Y−Y'| by hand: 2·10 − 1 − 1 for a shift by ten.
    assert energy_distance(x, x + 10) == pytest.approx(2 * 10 - 1 - 1)
    # N(0, 1) by its quantiles. With N(μ, 1): 2 E|D| − 2 E|N|, D ~ N(μ, 2) and N ~ N(0, 2).
    a = torch.distributions.Normal(0, 1).icdf((torch.arange(1000) + 0.5) / 1000)[:, None]
    shift = 1.5
    mean = 2 / math.sqrt(math.pi) * math.exp(-shift ** 2 / 4) + shift * math.erf(shift / 2)
    assert energy_distance(a, a + shift) == pytest.approx(2 * mean - 4 / math.sqrt(math.pi),
                                                          abs=0.01)
    assert energy_distance(a, a) == pytest.approx(0, abs=0.01)
    with pytest.raises(ValueError, match="two points"):
        energy_distance(a[:1], a)


def test_energy_distance_is_unbiased():
    generator = torch.Generator().manual_seed(1)
    pairs = torch.randn(400, 2, 10, 2, generator=generator)
    values = torch.tensor([energy_distance(x, y) for x, y in pairs])
    error = values.std() / len(values) ** 0.5
    assert abs(values.mean()) < 3 * error and (values < 0).any()


def test_mode_coverage_counts_what_is_found():
    truth = target("eight_gaussians")
    points, modes = truth.sample(8000, seed=1), truth.modes
    assert mode_coverage(points, points, modes) == 1.0
    nearest = torch.cdist(points, modes).argmin(dim=1)
    assert mode_coverage(points[nearest < 3], points, modes) == 3 / 8
    between = torch.zeros(1000, 2)  # far from all: found by nobody
    assert mode_coverage(between, points, modes) == 0.0
    rare = torch.cat([points[nearest < 7], points[nearest == 7][:100]])  # a tenth of its share
    assert mode_coverage(rare, points, modes) == 7 / 8
    assert mode_coverage(rare, points, modes, share=0.05) == 1.0


# Who is best


def test_mean_and_standard_error():
    s = Statistic((1.0, 2.0, 6.0), 3)
    assert s.mean == 3.0 and s.error == pytest.approx(np.std([1, 2, 6], ddof=1) / 3 ** 0.5)
    assert s.write(".2f") == "3.00 ± 1.53" and Statistic((), 3).write(".2f") == "–"
    assert Statistic((2.0,), 1).write(".1f") == "2.0" and math.isnan(Statistic((2.0,), 1).error)
    assert Statistic((-1.0, 2.0), 3).write(".1f") == "0.5 ± 1.5 (2 of 3)"


@pytest.mark.parametrize("shift", [0.2, 0.5, 1.0, 1.5, 2.0, 3.0])
def test_surely_less_is_welchs_test(shift):
    a, b = (0.1, 0.9, 0.4, 0.6), (0.3 + shift, 0.5 + shift, 1.4 + shift)
    said = surely_less(Statistic(a, 4), Statistic(b, 3))
    assert said == (ttest_ind(a, b, equal_var=False).pvalue < 0.05)
    assert not surely_less(Statistic(b, 3), Statistic(a, 4))


def test_the_best_is_marked_only_beyond_chance():
    def column(*rows):
        return [Statistic(row, len(row)) for row in rows]

    clear = column((1.0, 1.1, 0.9), (2.0, 2.1, 1.9), (3.0, 3.1, 2.9))
    assert best(clear, "low") == 0 and best(clear, "high") == 2 and best(clear, "") is None
    assert best(column((1.0, 1.1, 0.9), (1.0, 1.2, 0.9), (3.0, 3.1, 2.9)), "low") is None
    assert best(column((1.0,), (9.0,)), "low") is None  # one seed says nothing
    assert best(column((1.0, 1.1)), "low") is None  # of one alone there is no best
    missing = [Statistic((1.0, 1.1), 3), *column((2.0, 2.1, 1.9))]
    assert best(missing, "low") is None  # it did not always get there


def results(one: Comparison, values: dict) -> dict:
    names = [m.name for m in measures()]
    return {key: Result("finished", "", 1, 1.0, dict.fromkeys(names, value))
            for key, value in values.items()}


def test_the_table_as_csv_and_as_latex():
    one = comparison("nice:label=A_1 & b;glow", data="eight_gaussians", seeds=2)
    filled = table(one, results(one, {
        (0, "eight_gaussians", 0): 1.0, (0, "eight_gaussians", 1): 1.1,
        (1, "eight_gaussians", 0): 5.0, (1, "eight_gaussians", 1): 5.1}))
    rows = list(csv.DictReader(io.StringIO(filled.csv())))
    assert [row["model"] for row in rows] == ["A_1 & b", "glow"]
    assert float(rows[0]["kl"]) == pytest.approx(1.05)
    assert float(rows[0]["kl_se"]) == pytest.approx(0.05)
    assert [row["kl_best"] for row in rows] == ["1", "0"]
    assert [row["speed_best"] for row in rows] == ["0", "1"]
    text = filled.latex()
    assert r"A\_1 \& b" in text and r"\textbf{1.050 $\pm$ 0.050}" in text
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {line.replace(r"\&", "").count("&") for line in body} == {1 + len(filled.columns)}
    assert "*" in filled.text()
    early = table(one, results(one, {(0, "eight_gaussians", 0): 1.0}))
    assert not any(row.best for row in early.rows)  # nobody is best before all seeds are in


# All together


@pytest.fixture(scope="module")
def engine():
    with Local(workers=1, preload=("models", "flowlab.studies.comparison.trial")) as local:
        yield local


@pytest.fixture
def recorder(engine, tmp_path):
    recorder = Recorder(engine, Store(tmp_path / "runs"))
    yield recorder
    recorder.close()


def numbers(text: str) -> list[dict[str, str]]:
    timings = ("speed", "sampling", "reached")
    return [{k: v for k, v in row.items() if not k.startswith(timings)}
            for row in csv.DictReader(io.StringIO(text))]


@pytest.mark.thorough
def test_a_contest_runs_to_its_table_and_the_command_line_has_its_numbers(
        engine, recorder, tmp_path, capsys):
    asked = comparison(data="moons,circles", seeds=2)
    contest = Contest(recorder, asked, RECIPES).train()
    contest.wait()
    assert contest.done == len(contest.trial_runs) == 8 and not contest.problems()
    assert all(run.spent == 1.0 and len(run.curve) == 2 for run in contest.trial_runs)
    filled = contest.table()
    assert [row.label for row in filled.rows] == ["NICE", "RealNVP"] * 2
    assert engine.runs() == []  # nothing is left behind in the engine
    texts = asked.texts()
    link = f"http://localhost:8501/compare?data={texts['data']}&seeds=9&run=abc"
    options = [part for name in ("models", "points", "amount", "seeds")
               for part in (f"--{name}", texts[name])]
    assert main([link, *options, "--workers", "1", "--csv", str(tmp_path / "a.csv"),
                 "--latex", str(tmp_path / "a.tex")]) == 0
    assert numbers((tmp_path / "a.csv").read_text()) == numbers(filled.csv())
    assert "tabular" in (tmp_path / "a.tex").read_text()
    assert "KL to the truth" in capsys.readouterr().out


def test_a_contest_can_be_stopped(recorder):
    contest = Contest(recorder, comparison(amount=9000, seeds=3), RECIPES).train()
    while not any(run.look for run in contest.trial_runs):
        time.sleep(0.02)
        contest.poll()
    contest.stop()
    contest.wait()
    assert contest.done == 6 and {run.status.state for run in contest.trial_runs} == {"stopped"}
    assert not contest.results() and contest.table().rows


def test_a_training_that_fails_is_told(recorder, monkeypatch):
    monkeypatch.setattr("flowlab.training.recipe.check", lambda settings: None)
    asked = comparison("nice:objective=reverse", data="uniform_square")
    contest = Contest(recorder, asked, RECIPES).train()
    contest.wait()
    (sentence,) = contest.problems()
    assert sentence.startswith("NICE · Uniform square · seed 0") and "Reverse KL" in sentence


@pytest.mark.parametrize(("entry", "data"), [
    ("nice:objective=reverse", "uniform_square"), ("glow:objective=reverse", "moons,checkerboard")])
def test_what_no_training_can_take_is_refused_before_the_first(
        entry, data, engine, recorder, capsys):
    contest = Contest(recorder, comparison(f"realnvp;{entry}", data=data), RECIPES)
    with pytest.raises(ValueError, match="Reverse KL"):
        contest.train()
    assert engine.runs() == [] and not contest.active
    assert main(["--models", f"realnvp;{entry}", "--data", data]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: No training can take") and "Reverse KL" in error


def test_the_command_line_says_what_is_wrong(capsys):
    assert main(["--models", "bend"]) == 2
    assert "bend" in capsys.readouterr().err
    assert main(["--seeds", "0"]) == 2
    assert "seeds" in capsys.readouterr().err
