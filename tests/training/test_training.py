"""Training: it learns, repeats itself exactly, stops cleanly and says why."""

import math

import pytest
import torch
from pydantic import ValidationError

from flowlab import Flow
from flowlab.data import target
from flowlab.settings import RunSettings, TrainingSettings, describe
from flowlab.training import SCHEDULES, train
from flowlab.training.checkpoint import Snapshot
from flowlab.training.denormals import without_denormals
from glow import Glow, train_glow
from models import MODELS, RECIPES
from nice import NICE, train_nice
from realnvp import RealNVP, train_realnvp

QUICK = {"points": 600, "batch_size": 100, "epochs": 4}


def small(model: str = "realnvp", **settings: object) -> Flow:
    torch.manual_seed(1)
    return MODELS[model](hidden=(16, 16), **settings)


def numbers(progress):
    return (progress.epoch, progress.step, progress.train_nll, progress.test_nll, progress.kl)


@pytest.mark.parametrize(("model", "most"), [("realnvp", 0.1), ("glow", 0.1), ("nice", 0.6)])
@pytest.mark.quick("realnvp")
def test_learns_moons(model, most):
    """The density comes near the truth, on points the flow never saw."""
    run = RECIPES[model].Run.from_flat({"epochs": 12})
    last = list(RECIPES[model].train(run))[-1]
    assert last.outcome == "finished" and last.epoch == 12
    assert -0.02 < last.kl < most
    assert last.test_nll - last.best_nll == pytest.approx(last.kl, abs=0.05)
    assert last.inverse_error < 1e-4


@pytest.mark.parametrize("model", RECIPES)
def test_same_seed_same_numbers_and_global_state_untouched(model):
    run = RECIPES[model].Run.from_flat({**QUICK, "hidden": (8,), "data": "circles", "seed": 7})
    state = torch.get_rng_state()
    first, second = (list(map(numbers, RECIPES[model].train(run))) for _ in range(2))
    assert first == second
    assert torch.equal(state, torch.get_rng_state())
    other = run.model_copy(update={"training": TrainingSettings(**QUICK, seed=8)})
    assert list(map(numbers, RECIPES[model].train(other))) != first


@pytest.mark.parametrize("objective", ["forward", "reverse"])
@pytest.mark.parametrize("normalisation", ["none", "batchnorm"])
def test_resume_has_the_numbers_of_an_unbroken_run(objective, normalisation, tmp_path):
    settings = TrainingSettings(**QUICK, objective=objective, patience=100)
    source = target("eight_gaussians")
    whole = list(train(small(normalisation=normalisation), source, settings))
    whole[1].snapshot.save(tmp_path / "checkpoint.safetensors")
    resumed = train(small(normalisation=normalisation), source, settings,
                    resume=Snapshot.load(tmp_path / "checkpoint.safetensors"))
    assert list(map(numbers, resumed)) == list(map(numbers, whole[2:]))


def test_snapshots_do_not_change_afterwards():
    progresses = list(train(small(), target("moons"), TrainingSettings(**QUICK)))
    first, last = progresses[0].snapshot.weights, progresses[-1].snapshot.weights
    assert any(not torch.equal(first[name], last[name]) for name in first)
    flow = progresses[-1].flow
    assert all(torch.equal(v, last[name]) for name, v in flow.state_dict().items())


def test_every_batch_can_be_seen_and_closing_leaves_the_average():
    settings = TrainingSettings(**QUICK)
    generator = train(small(), target("moons"), settings, every="batch")
    seen = [next(generator) for _ in range(7)]
    assert [p.step for p in seen] == list(range(1, 8))
    assert [p.snapshot is not None for p in seen] == [False] * 4 + [True] + [False] * 2
    own = {k: v.clone() for k, v in seen[-1].flow.state_dict().items()}
    generator.close()
    assert list(generator) == []
    average = seen[-1].flow.state_dict()
    assert any(not torch.equal(own[name], average[name]) for name in own)


@pytest.mark.parametrize("objective", ["forward", "reverse"])
def test_every_batch_gives_the_numbers_of_every_epoch(objective):
    settings = TrainingSettings(**QUICK, objective=objective)
    by_batch = [p for p in train(small(), target("gaussian"), settings, every="batch")
                if p.snapshot is not None]
    by_epoch = train(small(), target("gaussian"), settings)
    assert list(map(numbers, by_batch)) == list(map(numbers, by_epoch))


def test_learning_rate_can_be_changed_while_it_trains():
    settings = TrainingSettings(**QUICK, schedule="constant", learning_rate=1e-3)
    generator = train(small(), target("moons"), settings)
    assert next(generator).learning_rate == 1e-3
    assert generator.send(1e-4).learning_rate == 1e-4
    assert next(generator).learning_rate == 1e-4
    with pytest.raises(ValidationError):
        generator.send(-1.0)


def test_reverse_kl_learns_and_can_drop_modes():
    settings = TrainingSettings(epochs=20, points=2000, objective="reverse", learning_rate=3e-3)
    progresses = list(train(small(), target("gaussian"), settings))
    assert abs(progresses[-1].loss) < 0.05
    assert progresses[-1].kl < 0.05


def test_reverse_kl_needs_a_density_that_is_nowhere_zero():
    settings = TrainingSettings(objective="reverse")
    for source in (torch.randn(100, 2), target("checkerboard", noise=0.0)):
        with pytest.raises(ValueError, match="Reverse KL"):
            next(train(small(), source, settings))


@pytest.mark.parametrize("bad", [torch.randn(1, 2), torch.randn(50, 3), torch.randn(50),
                                 torch.full((50, 2), math.nan),
                                 torch.tensor([[0.0, math.inf]] * 50)])
def test_points_that_cannot_be_learned_get_one_sentence(bad):
    with pytest.raises(ValueError) as caught:
        next(train(small(), bad, TrainingSettings()))
    assert "\n" not in str(caught.value)


def test_tensors_and_classes_as_source():
    labels = torch.arange(400) % 2
    x = torch.randn(400, 2) + 6.0 * labels[:, None]
    flow = small(classes=2)
    last = list(train(flow, (x, labels), TrainingSettings(epochs=8, batch_size=50)))[-1]
    assert last.kl is None and last.best_nll is None
    zero, one = (flow.sample(200, context=c).mean().item() for c in (0, 1))
    assert abs(zero) < 1.5 and abs(one - 6) < 1.5


def test_constant_column_trains():
    x = torch.stack([torch.randn(300), torch.ones(300)], 1)
    last = list(train(small(), x, TrainingSettings(**QUICK)))[-1]
    assert math.isfinite(last.test_nll)


def test_divergence_ends_with_the_last_finite_weights_and_a_reason():
    class Poisoned:
        """A Gaussian whose density is NaN once training has begun in earnest."""

        full_support, entropy, calls = True, None, 0

        def sample(self, n, seed):
            return torch.randn(n, 2, generator=torch.Generator().manual_seed(seed))

        def log_prob(self, x):
            self.calls += 1
            return -x.square().sum(1) * (math.nan if self.calls > 9 else 1.0)

    settings = TrainingSettings(**QUICK, objective="reverse")
    progresses = list(train(small(), Poisoned(), settings))
    last = progresses[-1]
    assert last.outcome == "diverged" and "\n" not in last.reason and "Lower" in last.reason
    assert last.epoch == 1 and last.step == 5
    assert all(torch.isfinite(v).all() for v in last.flow.state_dict().values())
    good = progresses[0].snapshot.weights
    assert all(torch.equal(v, good[name]) for name, v in last.flow.state_dict().items())


def test_a_huge_learning_rate_never_leaves_infinite_weights():
    settings = TrainingSettings(**QUICK, learning_rate=1.0, clip=0, schedule="constant")
    last = list(train(RealNVP(couplings=32), target("moons"), settings))[-1]
    assert last.outcome in ("finished", "diverged")
    assert all(torch.isfinite(v).all() for v in last.flow.state_dict().values())


def test_early_stop_keeps_the_best_weights():
    settings = TrainingSettings(epochs=300, points=60, test_fraction=0.5, batch_size=30, patience=5,
                                learning_rate=1e-2, schedule="constant")
    progresses = list(train(small(), target("moons"), settings))
    last = progresses[-1]
    assert last.outcome == "early stop" and "has not fallen for 5 epochs" in last.reason
    best = min(p.test_nll for p in progresses)
    assert last.test_nll == pytest.approx(best) and last.epoch < len(progresses)


def test_overfitting_is_said():
    settings = TrainingSettings(epochs=300, points=40, test_fraction=0.5, batch_size=20,
                                learning_rate=1e-2, schedule="constant")
    reasons = {p.reason for p in train(small(), target("moons"), settings)}
    assert any("overfitting" in reason for reason in reasons)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_stay_between_nothing_and_the_highest(name):
    shares = [SCHEDULES[name](t / 100) for t in range(100)]
    assert 0 < min(shares) and max(shares) <= 1 and max(shares) > 0.99


def test_constant_schedule_and_clipping_bound_the_step():
    settings = TrainingSettings(**QUICK, clip=1e-9, learning_rate=1e-6, schedule="constant")
    flow = small()
    before = flow.state_dict()["layers.0.network.layers.0.matrix"].clone()
    list(train(flow, target("moons"), settings))
    after = flow.state_dict()["layers.0.network.layers.0.matrix"]
    assert (after - before).abs().max() <= 1e-6 * 24 * 1.01


@pytest.mark.parametrize("model", RECIPES)
def test_a_run_is_one_json(model):
    run = RECIPES[model].Run.from_flat({"data": "spiral", "noise": 0.2, "seed": 3, "hidden": (8,)})
    again = RECIPES[model].Run.model_validate_json(run.model_dump_json())
    assert again == run and again.model == model
    assert RECIPES[model].Run.from_flat(run.flat()) == run
    with pytest.raises(ValidationError):
        run.training.epochs = 5


@pytest.mark.parametrize("model", RECIPES)
def test_names_of_settings_are_unique_across_sections(model):
    sections = RECIPES[model].Run.sections().values()
    names = [name for section in sections for name in section.model_fields]
    assert len(names) == len(set(names))
    for section in sections:
        for field in section.model_fields.values():
            assert field.title and field.description.endswith(".")
            assert field.json_schema_extra["group"]


@pytest.mark.parametrize(("values", "words"), [
    ({"epochs": 0}, "epochs"), ({"learning_rate": "fast"}, "learning_rate"),
    ({"learning_rate": math.nan}, "learning_rate"), ({"epoch": 3}, "no setting called epoch"),
    ({"seed": -1}, "seed"), ({"noise": -0.1}, "noise"), ({"schedule": "sine"}, "schedule"),
])
def test_settings_out_of_range_get_one_sentence(values, words):
    with pytest.raises(ValidationError) as caught:
        train_realnvp.Run.from_flat(values)
    sentence = describe(caught.value)
    assert words in sentence and "\n" not in sentence and sentence.endswith(".")


def test_recipes_take_a_training_alone():
    last = list(train_nice.train(TrainingSettings(**QUICK)))[-1]
    assert last.epoch == QUICK["epochs"] and isinstance(last.flow, NICE)


def test_recipe_rejects_what_does_not_fit():
    with pytest.raises(ValueError, match="moonz"):
        train_glow.train(train_glow.Run.from_flat({"data": "moonz"}))
    with pytest.raises(ValueError, match=r"\(3,\)"):
        next(train_glow.train(train_glow.Run.from_flat({"event_shape": (3,)})))
    assert isinstance(train_glow.Run(), RunSettings) and Glow.__name__ == "Glow"


def test_denormals_are_left_out_in_steps_only():
    if not torch.set_flush_denormal(False):
        pytest.skip("This processor cannot leave them out.")
    tiny = torch.tensor([1e-40])
    torch.manual_seed(0)
    steps = train(RealNVP((2,), couplings=2, hidden=(4,)), target("moons"),
                  TrainingSettings(epochs=1, points=100, batch_size=50), every="batch")
    for _ in steps:
        assert (tiny * 1.0).item() > 0  # whoever pulls computes as before
    with without_denormals():
        assert (tiny * 1.0).item() == 0
        with without_denormals():
            pass
        assert (tiny * 1.0).item() == 0
    assert (tiny * 1.0).item() > 0


@pytest.mark.parametrize(("data", "rate"), [("banana", 0.02), ("gaussian", 0.01)])
def test_a_training_that_goes_on_from_weights_loses_little_of_what_was_learned(data, rate):
    run = train_realnvp.Run.from_flat({
        "data": data, "learning_rate": rate, "epochs": 12, "points": 4000, "hidden": (32, 32),
        "couplings": 2 if data == "banana" else 4})
    *_, end = train_realnvp.train(run)
    more = train_realnvp.Run.from_flat({**run.flat(), "epochs": 24})
    resume = Snapshot.fresh(end.flow, rate, 12)
    assert next(train_realnvp.train(more, resume=resume)).kl < 1.15 * end.kl
