"""What a training measures, promises, hands back and goes on from."""

import copy
import json
import math
import pickle

import pytest
import torch
from safetensors.torch import save_file

from flowlab import Flow
from flowlab.bijections import BatchNorm
from flowlab.data import target
from flowlab.jobs.engine import Preempted
from flowlab.live import Request, watch
from flowlab.live.watch import PREEMPT
from flowlab.settings import TrainingSettings
from flowlab.training import Epoch, Moment, train
from flowlab.training.checkpoint import Snapshot
from flowlab.training.metrics import nll
from flowlab.training.split import DataSplit
from models import MODELS
from realnvp import RealNVP, train_realnvp

QUICK = {"points": 600, "batch_size": 100, "epochs": 4}
#: A training of few points, whose test NLL rises and falls.
FEW = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
UNSTEADY = {"test_fraction": 0.3, "batch_size": 8, "epochs": 10, "learning_rate": 2e-2,
            "schedule": "constant"}


def small(model: str = "realnvp", **settings: object) -> Flow:
    torch.manual_seed(1)
    return MODELS[model](hidden=(16, 16), **settings)


def numbers(progress):
    return (progress.epoch, progress.step, progress.train_nll, progress.test_nll, progress.kl,
            progress.learning_rate, progress.outcome, progress.reason)


def same(state, other):
    return state.keys() == other.keys() and all(torch.equal(v, other[k]) for k, v in state.items())


def test_averaged_weights_have_their_own_batch_statistics():
    """With the statistics of the last weights the KL was 2.18, and 0.24 without averaging."""
    settings = {"points": 3000, "epochs": 12, "batch_size": 128, "schedule": "constant"}
    kl = {}
    for averaging in (1, 200):
        torch.manual_seed(1)
        flow = RealNVP(couplings=8, hidden=(32, 32), normalisation="batchnorm")
        progress = list(train(flow, target("moons"),
                              TrainingSettings(**settings, averaging=averaging)))[-1]
        kl[averaging] = progress.kl
        assert "overfitting" not in progress.reason
    assert kl[200] < kl[1] < 0.5


@pytest.mark.parametrize(("shape", "objective"), [((2,), "forward"), ((2,), "reverse"),
                                                  ((1, 4, 4), "forward")])
def test_statistics_are_averaged_at_the_rate_of_the_weights_also_when_resumed(
        shape, objective, tmp_path):
    settings = TrainingSettings(**QUICK, objective=objective)
    source = target("gaussian") if shape == (2,) else torch.randn(
        120, *shape, generator=torch.Generator().manual_seed(0))

    def made():
        torch.manual_seed(1)
        sizes = {"hidden": (8,)} if shape == (2,) else {"hidden_channels": 4, "blocks": 1}
        return RealNVP(event_shape=shape, normalisation="batchnorm", couplings=2, **sizes)

    whole = list(train(made(), source, settings))
    last = whole[-1]
    assert nll(last.flow, *_held_out(last.flow, source, settings)) == last.test_nll
    snapshot = whole[1].snapshot
    layers = [layer for layer in last.flow.modules() if isinstance(layer, BatchNorm)]
    averaged = torch.cat([v.reshape(-1) for la in layers for v in (la.mean, la.variance)])
    # Reverse KL goes forward only, and leaves the statistics alone.
    assert torch.equal(last.snapshot.statistics, averaged) == (objective == "reverse")
    snapshot.save(tmp_path / "c")
    resumed = list(train(made(), source, settings, resume=Snapshot.load(tmp_path / "c")))
    assert list(map(numbers, resumed)) == list(map(numbers, whole[2:]))
    assert same(resumed[-1].snapshot.weights, last.snapshot.weights)
    assert torch.equal(resumed[-1].snapshot.statistics, last.snapshot.statistics)


def _held_out(flow, source, settings):
    split = DataSplit(flow, source, settings)
    return split.test_x, split.test_context


@pytest.mark.parametrize("model", MODELS)
def test_the_gap_between_the_loss_and_its_line_is_the_kl(model):
    for progress in train(small(model), target("banana"), TrainingSettings(**QUICK)):
        assert progress.test_nll - progress.best_nll == progress.kl
        assert progress.best_possible == pytest.approx(progress.best_nll, abs=1e-12)


def test_training_and_test_nll_are_of_the_same_averaged_flow():
    settings = TrainingSettings(**QUICK)
    progress = list(train(small(), target("moons"), settings))[-1]
    split = DataSplit(progress.flow, target("moons"), settings)
    assert progress.train_nll == nll(progress.flow, *split.measured_sample())


def test_the_untrained_flow_is_measured_before_the_first_step():
    flow, settings = small(), TrainingSettings(**QUICK)
    progress = list(train(flow, target("moons"), settings, every="batch"))
    first, last = progress[0], progress[-1]
    assert first.start_epoch == 0 and first.epoch == 0
    assert (first.start_train_nll, first.start_test_nll) == (first.train_nll, first.test_nll)
    assert last.start_test_nll == first.start_test_nll > last.test_nll
    history = [Epoch(1, 10, 1.0, 2.0, 2.1, None)]
    assert last.curve(history) == [
        (0, last.start_train_nll, last.start_test_nll), (1, 2.0, 2.1)]
    resumed = next(train(small(), target("moons"), settings, resume=next(
        train(small(), target("moons"), settings)).snapshot))
    assert (resumed.start_epoch, resumed.start_test_nll) == (0, first.start_test_nll)
    earlier = Moment.read({name: number for name, number in last.moment.dump().items()
                           if not name.startswith("start")})  # as an earlier version wrote it
    assert earlier.curve(history) == [(1, 2.0, 2.1)]


@pytest.mark.parametrize("patience", [3, 100])
def test_the_best_weights_are_handed_back_however_the_training_ends(patience, tmp_path):
    settings = TrainingSettings(**UNSTEADY, patience=patience)
    whole = list(train(small(couplings=8), FEW, settings))
    last, best = whole[-1], min(whole[:-1], key=lambda p: p.test_nll)
    assert last.outcome == ("early stop" if patience == 3 else "finished")
    assert last.test_nll == best.test_nll < whole[-2].test_nll
    assert f"the weights of epoch {best.epoch}." in last.reason
    assert same(last.flow.state_dict(), best.snapshot.weights)
    for at in (0, best.epoch, len(whole) - 3):
        whole[at].snapshot.save(tmp_path / "c")
        resumed = list(train(small(couplings=8), FEW, settings,
                             resume=Snapshot.load(tmp_path / "c")))
        assert list(map(numbers, resumed)) == list(map(numbers, whole[at + 1:]))
        assert same(resumed[-1].flow.state_dict(), last.flow.state_dict())
    again, = train(small(couplings=8), FEW, settings, resume=last.snapshot)
    assert numbers(again) == numbers(last)


def test_closing_and_divergence_hand_back_the_best_weights():
    settings = TrainingSettings(**UNSTEADY, patience=100)
    generator = train(small(couplings=8), FEW, settings, every="batch")
    seen = []
    for progress in generator:
        seen += [progress] if progress.recent else []
        if len(seen) == 5:
            break
    next(generator)
    generator.close()
    best = min(seen, key=lambda p: p.test_nll)
    assert best.epoch < 5 and same(progress.flow.state_dict(), best.snapshot.weights)

    flow = small(couplings=8)
    diverging = train(flow, FEW, settings)
    seen = [next(diverging) for _ in range(5)]
    with torch.no_grad():
        next(flow.parameters()).fill_(math.nan)
    last = list(diverging)[-1]
    best = min(seen, key=lambda p: p.test_nll)
    assert last.outcome == "diverged" and last.test_nll == best.test_nll
    assert best.epoch < 5 and f"the weights of epoch {best.epoch}." in last.reason


def test_changed_settings_count_on_resume_and_a_rate_sent_by_hand_stays():
    settings = TrainingSettings(**QUICK, schedule="constant", learning_rate=1e-3)
    generator = train(small(), target("moons"), settings)
    plain = next(generator).snapshot
    steered = generator.send(2e-4).snapshot

    def go_on(snapshot, **changed):
        return list(train(small(), target("moons"), settings.model_copy(update=changed),
                          resume=snapshot))

    assert go_on(plain)[0].learning_rate == 1e-3
    assert go_on(steered)[0].learning_rate == 2e-4
    assert go_on(plain, learning_rate=5e-4)[0].learning_rate == 5e-4
    assert go_on(steered, learning_rate=5e-4)[0].learning_rate == 5e-4
    assert go_on(plain, schedule="cosine")[-1].learning_rate < 2e-4
    assert go_on(plain, epochs=6)[-1].epoch == 6
    other = go_on(plain, batch_size=50, schedule="cosine")
    assert other[-1].learning_rate < 1e-4 and other[-1].step == 5 + 3 * 10 == other[-1].steps
    assert go_on(plain, weight_decay=0.9)[-1].test_nll != go_on(plain)[-1].test_nll


@pytest.mark.parametrize("patience", [0, 2])
def test_a_checkpoint_of_the_version_before_still_resumes(patience, tmp_path):
    settings = TrainingSettings(**QUICK, patience=patience, schedule="constant")
    whole = list(train(small(), target("moons"), settings))
    snapshot = whole[0].snapshot
    numbers_before = {"epoch": 1, "step": 5, "stale": 0, "best": snapshot.best, "seconds": 0.5,
                      "learning_rate": 3e-3, "train_nll": 2.0}
    save_file({"optimiser": snapshot.optimiser,
               **{f"weights.{k}": v for k, v in snapshot.weights.items()}}, tmp_path / "c",
              {"format": "flowlab-checkpoint-2", "numbers": json.dumps(numbers_before)})
    resumed = list(train(small(), target("moons"), settings, resume=Snapshot.load(tmp_path / "c")))
    assert list(map(numbers, resumed)) == list(map(numbers, whole[1:]))


@pytest.mark.parametrize("patience", [0, 2])
def test_a_pickled_snapshot_is_the_same_one(patience):
    settings = TrainingSettings(**{**QUICK, "epochs": 2}, patience=patience)
    flow = small()
    first = next(train(flow, FEW, settings)).snapshot
    for snapshot in (first, Snapshot.fresh(flow, 1e-3, epoch=1)):
        content = pickle.dumps(snapshot)
        assert len(content) < len(snapshot.to_bytes()) + 200  # one block
        again = pickle.loads(content)
        assert again.best == snapshot.best and same(again.weights, snapshot.weights)
        one, other = (list(train(small(), FEW, settings, resume=s)) for s in (again, snapshot))
        assert list(map(numbers, one)) == list(map(numbers, other))


def test_a_training_goes_on_from_a_moment_without_a_warm_up():
    settings = TrainingSettings(**QUICK)
    flow = list(train(small(), target("moons"), settings))[-1].flow
    rates = []
    for progress in train(small(), target("moons"), settings.model_copy(update={"epochs": 8}),
                          every="batch", resume=Snapshot.fresh(flow, 3e-3, epoch=2, step=12)):
        rates.append(progress.learning_rate)
        assert progress.start_epoch == 2
    assert progress.epoch == 8 and progress.step == 12 + 6 * 5
    assert rates == sorted(rates, reverse=True)
    rates = [p.learning_rate for p in train(small(), target("moons"), settings, every="batch",
                                            resume=Snapshot.fresh(flow, 1e-3))]
    assert rates[0] == 1e-3 and rates == sorted(rates, reverse=True)


def test_the_newest_snapshots_are_in_memory_and_no_more(monkeypatch):
    settings = TrainingSettings(**{**QUICK, "epochs": 12})
    monkeypatch.setattr("flowlab.training.progress.MAX_RECENT_BYTES", 3 * 70_000)
    progresses = list(train(small(), target("moons"), settings))
    held = progresses[-1].recent._snapshots
    assert 1 <= len(held) <= 3 and progresses[-1].snapshot.epoch == 12
    with pytest.raises(ValueError, match="snapshot of epoch 1 is no longer"):
        progresses[0].snapshot  # noqa: B018


@pytest.mark.parametrize("shape", [(2,), (3,), (1, 4, 4)])
def test_no_batch_stays_inside_a_flow_with_batch_norm(shape):
    sizes = {"hidden_channels": 4, "blocks": 1} if len(shape) > 1 else {"hidden": (8,)}
    flow = RealNVP(event_shape=shape, couplings=2, normalisation="batchnorm", **sizes).train()
    size = len(pickle.dumps(flow)) if len(shape) == 1 else 0
    x = torch.randn(3000, *shape)
    flow.log_prob(x).mean().backward()
    flow.zero_grad()
    torch.func.vmap(torch.func.grad(lambda x: flow.log_prob(x[None]).sum()))(x[:5])
    again = copy.deepcopy(flow)
    assert torch.equal(again.log_prob(x[:5]), flow.log_prob(x[:5]))
    if size:
        assert len(pickle.dumps(flow)) < size + 10_000
    before = [layer.mean.clone() for layer in flow.modules() if hasattr(layer, "variance")]
    flow.commit()
    after = [layer.mean for layer in flow.modules() if hasattr(layer, "variance")]
    assert any(not torch.equal(a, b) for a, b in zip(after, before, strict=True))


def test_a_turn_may_end_at_any_epoch_though_the_best_weights_are_promised():
    settings = train_realnvp.Run.from_flat({
        **UNSTEADY, "points": 60, "data": "moons", "hidden": (16, 16), "couplings": 8,
        "patience": 100})
    whole = list(watch(Request(train_realnvp.train, settings, pictures="end")))[-1]
    request, epochs = Request(train_realnvp.train, settings, pictures="end"), 0
    last = None
    while request is not None:
        generator = watch(request)
        try:
            last = next(generator) or last
            last = generator.send(PREEMPT) or last
            while True:
                last = next(generator) or last
        except StopIteration as end:
            request = end.value.settings if isinstance(end.value, Preempted) else None
            epochs += request is not None
    assert epochs > 3
    assert last.moment.test_nll == whole.moment.test_nll
    assert last.moment.start_test_nll == whole.moment.start_test_nll


def test_a_stopped_training_shows_the_numbers_of_the_weights_it_hands_back():
    settings = train_realnvp.Run.from_flat({
        **UNSTEADY, "points": 60, "data": "moons", "hidden": (16, 16), "couplings": 8,
        "patience": 100})
    generator = watch(Request(train_realnvp.train, settings, pictures="end"))
    for _ in range(45):  # 6 batches an epoch: in the midst of the eighth
        next(generator)
    with pytest.raises(StopIteration) as end:
        generator.throw(GeneratorExit)
    last = end.value.value
    epochs = {p.epoch: p.test_nll for p in train_realnvp.train(settings) if p.epoch <= 7}
    best = min(epochs, key=epochs.get)
    assert last.moment.test_nll == epochs[best] < epochs[7]
    assert last.moment.kl == last.moment.test_nll - last.moment.best_nll
    assert f"the weights of epoch {best}," in last.moment.reason
