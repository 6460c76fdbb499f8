"""The three command lines, as a person runs them."""

import errno
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flowlab import Flow
from flowlab.training.checkpoint import Snapshot
from glow import train_glow
from nice import train_nice
from realnvp import train_realnvp

MODULES = {"nice.train_nice": train_nice, "realnvp.train_realnvp": train_realnvp,
           "glow.train_glow": train_glow}
ROOT = Path(__file__).parents[2]


def command(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True,
                          check=False, cwd=ROOT, timeout=120)


@pytest.mark.quick("realnvp.train_realnvp")
@pytest.mark.parametrize("name", MODULES)
def test_trains_and_saves(name, tmp_path):
    path = tmp_path / "run.safetensors"
    done = command(name, "--data", "circles", "--epochs", "2", "--points", "300", "--hidden", "8,8",
                   "--save", str(path))
    assert done.returncode == 0, done.stderr
    assert "finished after epoch 2" in done.stdout and "2/2" in done.stderr
    assert Flow.load(path).settings.hidden == (8, 8)


def test_a_checkpoint_counts_the_steps_asked_for(tmp_path, capsys):
    file = tmp_path / "run.json"
    file.write_text(json.dumps(train_nice.Run.from_flat(
        {"points": 100, "batch_size": 20, "hidden": (4,), "seconds": 500}).model_dump()))
    arguments = ["--settings", str(file), "--optimiser-steps", "6", "--no-keep",
                 "--checkpoint", str(tmp_path / "c")]
    assert train_nice_main(arguments) == 0
    assert "finished after epoch 2" in capsys.readouterr().out
    assert Snapshot.load(tmp_path / "c").step == 6
    assert train_nice_main(arguments) == 2
    assert "all 6 steps already" in (error := capsys.readouterr().err) and (
        "--optimiser-steps" in error)


def test_help_explains_every_setting(capsys):
    from flowlab.commands.train import main
    with pytest.raises(SystemExit) as left:
        main(train_glow.Run, train_glow.train, "glow.train_glow", ["--help"])
    assert left.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for name, field in train_glow.Run.fields().items():
        assert f"--{name.replace('_', '-')}" in text
        assert " ".join(field.description.split())[:30] in text.replace("- ", "-"), name


@pytest.mark.parametrize(("arguments", "words"), [
    (["--epochs", "0"], "epochs"), (["--data", "moonz"], "moonz"),
    (["--hidden", "a,b"], "hidden"), (["--settings", "missing.json"], "missing.json"),
    (["--noise", "-1"], "noise"), (["--seconds", "0.01"], "at least 0.1"),
    (["--seconds", "5", "--optimiser-steps", "9"], "given twice"),
    (["--seconds", "5", "--epochs", "9"], "given twice"),
])
def test_bad_options_get_one_sentence(arguments, words, capsys):
    status = train_nice_main(arguments)
    error = capsys.readouterr().err
    assert status == 2 and words in error and error.count("\n") == 1


def test_settings_file_checkpoint_and_resume(tmp_path, capsys):
    run = train_nice.Run.from_flat({"epochs": 2, "points": 300, "hidden": (8,), "data": "spiral"})
    file, checkpoint = tmp_path / "run.json", tmp_path / "run.checkpoint"
    file.write_text(run.model_dump_json())
    options = ["--settings", str(file), "--checkpoint", str(checkpoint)]
    assert train_nice_main(options) == 0 and checkpoint.exists()
    assert train_nice_main(options) == 2
    assert "has all 2 epochs already" in capsys.readouterr().err
    assert train_nice_main([*options, "--epochs", "3"]) == 0
    assert "finished after epoch 3" in capsys.readouterr().out
    checkpoint.write_bytes(b"broken")
    assert train_nice_main(options) == 2
    assert "run.checkpoint" in capsys.readouterr().err
    file.write_text(json.dumps({"model": "glow"}))
    assert train_nice_main(options) == 2


def test_trains_on_a_file(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("FLOWLAB_OWN_DATA", str(tmp_path / "own"))
    options = ["--epochs", "2", "--hidden", "8,8", "--data"]
    points, wide, empty = (tmp_path / name for name in ("a.csv", "b.csv", "c.csv"))
    points.write_text("x,y\n" + "\n".join(f"{i % 7},{i % 5}" for i in range(40)))
    assert train_nice_main([*options, str(points)]) == 0
    printed = capsys.readouterr().out
    assert "KL" not in printed
    name = next(word for word in printed.replace(",", " ").split() if word.startswith("own-"))
    assert train_nice_main([*options, name]) == 0
    wide.write_text("\n".join(f"{i % 7},{i % 5},{i % 3}" for i in range(40)))
    save = tmp_path / "wide.safetensors"
    assert train_nice_main([*options, str(wide), "--save", str(save)]) == 0
    assert Flow.load(save).event_shape == (3,)
    empty.touch()
    for bad, words in ((empty, "empty"), (tmp_path / "d.csv", "d.csv"), (tmp_path, "no target")):
        capsys.readouterr()
        assert train_nice_main([*options, str(bad)]) == 2
        error = capsys.readouterr().err
        assert words in error and error.count("\n") == 1
    assert train_nice_main([*options, "own-0123456789abcdef"]) == 2
    assert "again" in capsys.readouterr().err


@pytest.mark.parametrize(("options", "rows", "epochs", "words"), [
    ([], 1354, 500, "40 epochs would be 200 steps: set to 500."), ([], 30_000, 40, ""),
    (["--epochs", "40"], 1354, 40, ""), (["--batch-size", "32"], 1354, 74, "set to 74."),
])
def test_few_own_points_get_epochs_enough_unless_they_are_given(options, rows, epochs, words,
                                                                tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("FLOWLAB_OWN_DATA", str(tmp_path / "own"))
    file, seen = tmp_path / "a.csv", []
    file.write_text("x,y\n" + "\n".join(f"{i % 17},{i % 13}" for i in range(rows)))

    def train(settings, **_):
        seen.append(settings.training.epochs)
        yield from ()

    from flowlab.commands.train import main
    main(train_nice.Run, train, "nice.train_nice", ["--no-keep", "--data", str(file), *options])
    assert seen == [epochs]
    printed = capsys.readouterr().out
    assert words in printed and (bool(words) == ("steps" in printed))


def train_nice_main(arguments: list[str]) -> int:
    from flowlab.commands.train import main
    return main(train_nice.Run, train_nice.train, "nice.train_nice", arguments)


COMMANDS = {
    "train": ["--save", "--checkpoint"], "sweep": ["--table", "--picture"],
    "compare": ["--csv", "--latex"]}


def start(kind: str, folder: Path, *options: str) -> int:
    """One of the commands with small settings."""
    from flowlab.commands.compare import main as compare
    from flowlab.commands.sweep import main as sweep
    if kind == "train":
        return train_nice_main(["--epochs", "1", "--points", "100", "--hidden", "4", *options])
    if kind == "sweep":
        file = folder / "sweep.toml"
        file.write_text('model = "nice"\n[settings]\nepochs = 1\npoints = 100\nhidden = [4]\n'
                        "[sweep]\ncouplings = [2]\n")
        return sweep([str(file), "--workers", "1", *options])
    return compare(["--models", "nice:hidden=4", "--amount", "1", "--points", "100", "--workers",
                    "1", *options])


@pytest.mark.parametrize(("kind", "option"), [(k, o) for k, os in COMMANDS.items() for o in os])
def test_an_output_that_cannot_be_written_is_found_before_any_training(
        kind, option, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("flowlab.training.trainer._Trainer.__init__", None)
    monkeypatch.setattr("flowlab.jobs.local.Local.submit", None)
    (tmp_path / "file").touch()
    for bad in (tmp_path, tmp_path / "none" / "a", tmp_path / "file" / "a", Path("/proc/a"),
                tmp_path / ("a" * 250)):
        assert start(kind, tmp_path, option, str(bad)) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: {option} is ") and error.count("\n") == 1, error
    one, other = COMMANDS[kind]
    assert start(kind, tmp_path, one, str(tmp_path / "a"), other, str(tmp_path / "a")) == 2
    assert "name another file" in capsys.readouterr().err
    assert {p.name for p in tmp_path.iterdir()} <= {"file", "sweep.toml"}


@pytest.mark.quick("train")
@pytest.mark.parametrize(("kind", "option"), [(k, o) for k, os in COMMANDS.items() for o in os])
def test_what_cannot_be_written_at_the_end_is_kept_elsewhere(
        kind, option, tmp_path, capsys, monkeypatch):
    full = Path("/dev/full")
    if not full.is_char_device():
        pytest.skip("There is no device here that is always full.")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    assert start(kind, tmp_path, option, str(full)) == 1
    printed = capsys.readouterr().out
    kept, = (tmp_path / "home").glob("full-*")
    assert str(kept) in printed and "/dev/full" in printed and kept.stat().st_size > 50
    assert full.is_char_device()


@pytest.mark.quick("2")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_what_there_is_and_says_so_in_a_line(number, tmp_path):
    path = tmp_path / "run.safetensors"
    process = subprocess.Popen(
        [sys.executable, "-m", "nice.train_nice", "--epochs", "10000", "--hidden", "4",
         "--points", "1000", "--no-keep", "--save", str(path),
         "--checkpoint", str(tmp_path / "checkpoint")],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    while not (tmp_path / "checkpoint").exists():
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(number)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert printed.count("\n") == 1 and f"saved to {path}" in printed and "of 10000" in printed
    assert Flow.load(path).settings.hidden == (4,)


def test_a_flow_that_cannot_be_trained_on_is_saved(tmp_path, capsys):
    def fails(*arguments, **options):
        steps = train_nice.train(*arguments, **options)
        yield from (next(steps) for _ in range(3))
        raise ValueError("The disk went away.")

    from flowlab.commands.train import main
    path = tmp_path / "run.safetensors"
    assert main(train_nice.Run, fails, "x", ["--hidden", "4", "--save", str(path)]) == 2
    printed = capsys.readouterr()
    assert "The disk went away." in printed.err and f"saved to {path}" in printed.out
    assert Flow.load(path).settings.hidden == (4,)


def test_a_checkpoint_on_a_full_disk_does_not_end_the_training(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(Snapshot, "save", only_in(tmp_path, Snapshot.save))
    file = tmp_path / "there" / "checkpoint"
    file.parent.mkdir()
    assert train_nice_main(["--epochs", "3", "--points", "100", "--hidden", "4", "--checkpoint",
                            str(file)]) == 1
    printed = capsys.readouterr()
    assert "the training continues" in printed.err and "finished after epoch 3" in printed.out
    kept, = tmp_path.glob("checkpoint-*")
    assert Snapshot.load(kept).epoch == 3 and str(kept) in printed.out


def only_in(folder: Path, save):
    """A way to save that finds the disk of all other folders full."""
    def saved(snapshot, path):
        if Path(path).parent != folder:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        save(snapshot, path)
    return saved


def test_links_and_devices_stay_what_they_are(tmp_path):
    link, file = tmp_path / "link", tmp_path / "deep" / "file"
    file.parent.mkdir()
    link.symlink_to(file)
    Flow.load(ROOT / "nice" / "images" / "start.safetensors").save(link)
    assert link.is_symlink() and Flow.load(file).event_shape == (2,)
    Flow.load(file).save("/dev/null")
    assert Path("/dev/null").is_char_device()
