"""A compiled step gives what the plain one gives, and where there is none the training goes on."""

import shutil
import subprocess
import sys

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from flowlab.training import TrainingSettings, compiling, train
from flowlab.training.compiling import Compiler, joined, mean_nll
from glow import Glow
from nice import NICE
from realnvp import RealNVP

SMALL = {"couplings": 2, "hidden": (4,)}
IMAGE = (1, 2, 2)  # NICE on it is quick to compile


@pytest.fixture(autouse=True)
def kept(tmp_path, monkeypatch):
    monkeypatch.setenv(compiling.VARIABLE, str(tmp_path / "compiled"))
    yield tmp_path / "compiled"
    while compiling.compilers:
        process = compiling.compilers.pop()
        process.kill()
        process.wait()


def images(count):
    return torch.randn(count, *IMAGE, generator=torch.Generator().manual_seed(3))


def repr_of(flow):
    return f"{type(flow).__name__}{flow.event_shape}{flow.settings.classes}"


def reference(flow, x, context=None):
    loss = -flow.log_prob(x, context).mean()
    return loss, joined(torch.autograd.grad(loss, list(flow.parameters())))


@pytest.mark.parametrize("flow", [
    NICE((3,), couplings=3, hidden=(5,)), NICE((2,), couplings=2, hidden=(5,), base="normal"),
    RealNVP((3,), couplings=3, hidden=(5, 4)), RealNVP((2,), activation="relu", **SMALL),
    RealNVP((2,), classes=3, **SMALL), Glow((3,), steps=3, hidden=(5,)),
    Glow((1, 4, 4), levels=1, steps=2, hidden_channels=3, classes=3),
    RealNVP((1, 4, 4), levels=1, hidden_channels=2, blocks=1, image_normalisation="actnorm"),
    NICE((1, 2, 2), couplings=2, hidden=(4,))], ids=repr_of)
def test_what_is_compiled_is_the_mean_nll_and_its_gradient(flow):
    flow = flow.double().train()
    x = torch.randn(40, *flow.event_shape).double() * 3 + 1
    flow.initialise(x, torch.arange(40) % 3 if flow.settings.classes else None)
    with torch.no_grad():
        for p in flow.parameters():
            p += 0.1 * torch.randn_like(p)
    buffers = [b for b in flow.buffers() if b.is_floating_point()]
    shares = torch.full((40,), 1 / 40, dtype=torch.float64)
    context = [torch.arange(40) % 3] if flow.settings.classes else []
    inputs = (joined(flow.parameters()), x, shares, *buffers, *context)
    loss, gradient = make_fx(mean_nll(flow))(*inputs)(*inputs)
    true_loss, true_gradient = reference(flow, x, *context)
    torch.testing.assert_close(loss, true_loss.detach(), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(gradient, true_gradient, rtol=1e-8, atol=1e-10)


@pytest.mark.skipif(not any(map(shutil.which, compiling.COMPILERS)), reason="no C++ compiler")
def test_a_training_takes_the_compiled_step_over(kept, monkeypatch):
    monkeypatch.setattr(compiling, "CHECK_EVERY", 0)
    settings = TrainingSettings(epochs=10_000, points=200, batch_size=63, compiled=True,
                                schedule="constant")
    flow = NICE(IMAGE, **SMALL)
    progresses = train(flow, images(200), settings, every="batch")
    assert not next(progresses).compiled  # nobody waits for the compiler
    compiler = Compiler(flow, 54, "forward")  # 160 training points make batches of 54 and 53
    assert not compiler.ready()  # that of the training has the lock
    process, = compiling.compilers
    process.wait(300)
    assert next(progresses).compiled
    assert [path.suffix for path in kept.iterdir() if path.name != "lock"] == [".pt2"]
    assert compiler.ready()
    flow.train()
    for count in (54, 53, 1):
        x = images(count)
        loss, gradient = compiler.loss_and_gradient(joined(flow.parameters()), x, None)
        true_loss, true_gradient = reference(flow, x)
        torch.testing.assert_close(loss, true_loss.detach(), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(gradient, true_gradient, rtol=1e-3, atol=1e-5)
    at_once = next(train(NICE(IMAGE, **SMALL), images(200), settings, every="batch"))
    assert at_once.compiled  # the next training finds the step on disk


@pytest.mark.parametrize(("flow", "objective", "words"), [
    (RealNVP((2,), **SMALL), "reverse", "maximum likelihood"),
    (RealNVP((1, 4, 4), hidden_channels=2), "forward", "batch normalisation"),
    (RealNVP((2,), normalisation="batchnorm", **SMALL), "forward", "batch normalisation"),
    (type("Own", (RealNVP,), {"__module__": "__main__"})((2,), **SMALL), "forward", "a script")])
def test_what_is_not_compiled_is_said(flow, objective, words, monkeypatch):
    monkeypatch.setattr(compiling, "COMPILERS", (sys.executable,))
    compiler = Compiler(flow, 10, objective)
    assert words in compiler.trouble
    assert not compiler.ready() and not compiling.compilers


def numbers(**settings):
    settings = TrainingSettings(epochs=2, points=100, batch_size=40, **settings)
    torch.manual_seed(0)
    return list(train(NICE(IMAGE, **SMALL), images(100), settings))


def test_without_a_compiler_a_training_is_as_it_was(monkeypatch):
    monkeypatch.setattr(compiling, "COMPILERS", ())
    plain, asked = numbers(), numbers(compiled=True)
    assert [p.test_nll for p in asked] == [p.test_nll for p in plain]
    assert "no C++ compiler" in asked[-1].reason and not plain[-1].reason


def test_for_vectors_the_setting_has_no_effect():
    settings = TrainingSettings(epochs=1, points=100, compiled=True)
    last, = train(RealNVP((2,), **SMALL), torch.randn(100, 2), settings)
    assert not (last.compiled or last.reason or compiling.compilers)


def test_a_compiler_that_fails_or_a_damaged_step_costs_nothing(kept, monkeypatch):
    monkeypatch.setattr(compiling, "COMPILERS", (sys.executable,))
    dead = subprocess.Popen([sys.executable, "-c", "raise SystemExit(1)"])
    dead.wait()
    monkeypatch.setattr(compiling, "CHECK_EVERY", 0)
    monkeypatch.setattr(Compiler, "_start", lambda *_: dead)
    plain, asked = numbers(), numbers(compiled=True)
    assert [p.test_nll for p in asked] == [p.test_nll for p in plain]
    assert "could not be compiled" in asked[-1].reason

    flow = NICE(IMAGE, **SMALL)
    compiler = Compiler(flow, 40, "forward")
    compiler.path.write_bytes(b"no package")
    assert not compiler.ready() and "could not be compiled" in compiler.trouble
    assert not compiler.path.exists()
