"""The three command lines, as a person runs them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flowlab import Flow
from glow import train_glow
from nice import train_nice
from realnvp import train_realnvp

MODULES = {"nice.train_nice": train_nice, "realnvp.train_realnvp": train_realnvp,
           "glow.train_glow": train_glow}
ROOT = Path(__file__).parent.parent


def command(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True,
                          check=False, cwd=ROOT, timeout=120)


@pytest.mark.parametrize("name", MODULES)
def test_trains_and_saves(name, tmp_path):
    path = tmp_path / "run.safetensors"
    done = command(name, "--data", "circles", "--epochs", "2", "--points", "300", "--hidden", "8,8",
                   "--save", str(path))
    assert done.returncode == 0, done.stderr
    assert "finished after epoch 2" in done.stdout and "2/2" in done.stderr
    assert Flow.load(path).settings.hidden == (8, 8)


def test_help_explains_every_setting(capsys):
    from flowlab.cli import main
    with pytest.raises(SystemExit) as left:
        main(train_glow.Run, train_glow.train, "glow.train_glow", ["--help"])
    assert left.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for part in train_glow.Run.parts().values():
        for name, field in part.model_fields.items():
            assert f"--{name.replace('_', '-')}" in text
            assert " ".join(field.description.split())[:30] in text.replace("- ", "-"), name


@pytest.mark.parametrize(("arguments", "words"), [
    (["--epochs", "0"], "epochs"), (["--data", "moonz"], "moonz"),
    (["--hidden", "a,b"], "hidden"), (["--settings", "missing.json"], "missing.json"),
    (["--noise", "-1"], "noise"),
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


def train_nice_main(arguments: list[str]) -> int:
    from flowlab.cli import main
    return main(train_nice.Run, train_nice.train, "nice.train_nice", arguments)
