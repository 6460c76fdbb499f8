"""Files to take away: each is made from a short run, opened again, and compared with the run."""

import csv
import io
import re
import stat
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import runs_helpers as made
from PIL import Image, ImageChops

from flowlab import Flow
from flowlab.live import InMemory, Request, export, watch
from models import RECIPES

ROOT = Path(__file__).parents[2]
SMALL = {"epochs": 3, "points": 300, "hidden": (8, 8), "seed": 4, "data": "circles"}


@pytest.fixture(scope="module", params=RECIPES)
def watched(request):
    """A recipe, its settings, all frames of a short run, and its epochs."""
    recipe = RECIPES[request.param]
    settings = recipe.Run.from_flat(SMALL)
    frames = [frame for frame in watch(Request(recipe.train, settings)) if frame is not None]
    return recipe, settings, frames, [epoch for frame in frames for epoch in frame.epochs]


@pytest.mark.quick("realnvp")
def test_svg_is_drawn_again_with_all_its_panels(watched):
    recipe, settings, frames, epochs = watched
    tree = ElementTree.fromstring(export.svg(settings, frames[-1], epochs))
    assert tree.tag.endswith("}svg")
    assert len([g for g in tree.iter() if g.get("id", "").startswith("axes_")]) == 7
    assert len([g for g in tree.iter() if g.tag.endswith("}image")]) >= 2  # both densities
    assert not [g for g in tree.iter() if g.tag.endswith("}script")]


def test_png_is_the_frame_of_the_training(watched):
    recipe, settings, frames, epochs = watched
    made = Image.open(io.BytesIO(export.png(settings, frames[-1], epochs)))
    assert made.format == "PNG" and made.size == (1600, 960)
    seen = Image.open(io.BytesIO(frames[-1].png)).convert("RGB")
    assert ImageChops.difference(made.convert("RGB"), seen).getbbox() is None


def test_the_web_page_has_the_moments_of_the_training(watched):
    recipe, settings, frames, _ = watched
    text = export.web_page(settings, frames, "My circles").decode()
    assert "<h1>My circles</h1>" in text and "Trained for 3 epochs, with seed 4." in text
    moments = sum(frame.has_weights for frame in frames)
    assert moments > 1 and text.count('"label": "epoch') == moments - 1


@pytest.mark.quick("realnvp")
def test_gif_shows_the_training_and_waits_at_its_end(watched):
    frames = watched[2]
    pictures = [frames[0].png, *[frame.png for frame in frames] * 40]
    film = Image.open(io.BytesIO(export.gif(pictures)))
    assert film.format == "GIF" and film.size == export.FILM_SIZE
    assert 2 <= film.n_frames <= export.FILM_FRAMES
    times = []
    for index in range(film.n_frames):
        film.seek(index)
        times.append(film.info["duration"])
    assert times[-1] >= 1000 * export.HOLD


@pytest.mark.parametrize("count", [1, 2, 17, 60, 100])
def test_a_film_is_slow_enough_to_talk_over(count):
    pictures = [_square(i) for i in range(count)]
    film = Image.open(io.BytesIO(export.gif(pictures)))
    times = []
    for index in range(film.n_frames):
        film.seek(index)
        times.append(film.info["duration"])
    assert sum(times) >= 1000 * (export.MIN_SECONDS + export.HOLD) - 100
    assert times[-1] >= 1000 * export.HOLD


def _square(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (shade, 2 * shade, 100)).save(file, "png")
    return file.getvalue()


@pytest.mark.quick("realnvp")
def test_every_frame_of_a_gif_shows_its_picture(watched):
    """Also what is in the middle only: colours are not those of the last picture alone."""
    pictures = [frame.png for frame in watched[2] if frame.png][:4]
    green = Image.new("RGB", (1600, 960), "#00c060")
    file = io.BytesIO()
    green.save(file, "png")
    pictures.insert(1, file.getvalue())
    film = Image.open(io.BytesIO(export.gif(pictures)))
    seen, at = [], 0
    for picture in pictures:
        if seen and picture == seen[-1]:  # the same picture stays on
            continue
        seen.append(picture)
        film.seek(at)
        at += 1
        made = np.asarray(film.convert("RGB"), dtype=int)
        whole = Image.open(io.BytesIO(picture)).convert("RGB")
        small = np.asarray(whole.resize(export.FILM_SIZE, Image.Resampling.LANCZOS), dtype=int)
        assert np.abs(made - small).mean() < 2


@pytest.mark.quick("realnvp")
def test_a_film_has_one_theme_and_the_overlays_that_are_shown(watched):
    recipe, settings, frames, epochs = watched
    shown = "dark", ("error", "contours")
    pictures = export.film(settings, frames, *shown)
    for index, (frame, picture) in enumerate(zip(frames, pictures, strict=True)):
        same = replace(frame, theme=shown[0], overlays=shown[1])
        told = [epoch for f in frames[:index + 1] for epoch in f.epochs]
        assert picture == export.png(settings, same, told)
    as_taken = export.film(settings, frames, frames[0].theme, frames[0].overlays)
    assert as_taken == [frame.png for frame in frames]


def test_mp4_gives_an_encoder_every_frame(tmp_path, monkeypatch):
    """A stand-in for ffmpeg counts the PNG files it is given, and writes that as its film."""
    ffmpeg = tmp_path / "ffmpeg"
    ffmpeg.write_text(f"#!{sys.executable}\nimport sys\nfrom pathlib import Path\n"
                      "count = sys.stdin.buffer.read().count(bytes([137]) + b'PNG')\n"
                      "Path(sys.argv[-1]).write_text(str(count))\n")
    ffmpeg.chmod(ffmpeg.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", str(tmp_path))
    png = b"\x89PNG\r\n"
    assert export.mp4([png] * 7) == str(7 + round(export.HOLD * export.rate(7))).encode()
    ffmpeg.write_text(f"#!{sys.executable}\nraise SystemExit(1)\n")
    with pytest.raises(ValueError, match="could not"):
        export.mp4([png])
    ffmpeg.unlink()
    assert export.encoder() is None
    with pytest.raises(ValueError, match="install it"):
        export.mp4([png])


def test_csv_has_every_epoch_with_its_numbers(watched):
    recipe, settings, frames, epochs = watched
    text = export.csv(frames[-1], epochs).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0]) == ["epoch", "train_nll_nats", "test_nll_nats", "kl_nats",
                             "best_nll_nats"]
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3]
    for row, progress in zip(rows, recipe.train(settings), strict=True):
        assert float(row["train_nll_nats"]) == pytest.approx(progress.train_nll, rel=1e-5)
        assert float(row["test_nll_nats"]) == pytest.approx(progress.test_nll, rel=1e-5)
        assert float(row["kl_nats"]) == pytest.approx(progress.kl, rel=1e-4, abs=1e-5)
        assert float(row["best_nll_nats"]) == pytest.approx(progress.best_nll, rel=1e-5)


def test_csv_leaves_out_what_nobody_knows(watched):
    recipe, settings, frames, epochs = watched
    unknown = replace(frames[-1], moment=replace(frames[-1].moment, kl=None, best_nll=None))
    last = export.csv(unknown, epochs).decode().splitlines()[-1]
    assert last.endswith(",,")


@pytest.mark.quick("glow")
def test_weights_are_a_flow_that_loads_with_the_code_shown(watched, tmp_path):
    recipe, settings, frames, epochs = watched
    path = tmp_path / export.file_name(settings, "weights.safetensors")
    path.write_bytes(frames[-1].weights)
    flow = Flow.load(path)
    assert type(flow) is recipe.model and flow.settings == settings.flow
    assert made.same(flow.state_dict(), frames[-1].flow().state_dict())
    code = export.loading(recipe, settings)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, text=True,
                          capture_output=True, env={"PYTHONPATH": str(ROOT), "PATH": ""})
    assert re.fullmatch(r"tensor\(.*\)\n", done.stdout)


def test_json_is_the_run(watched):
    recipe, settings, *_ = watched
    assert recipe.Run.model_validate_json(export.json(settings)) == settings


@pytest.mark.quick("realnvp")
def test_the_script_repeats_the_run_in_another_process_bit_for_bit(watched, tmp_path):
    recipe, settings, frames, epochs = watched
    script = export.python(recipe, settings)
    assert len(script.splitlines()) <= 20
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, text=True,
                          capture_output=True, env={"PYTHONPATH": str(ROOT), "PATH": ""})
    assert done.stdout.splitlines() == [
        f"epoch {n}: train {train:.6f} nats, test {test:.6f} nats"
            for n, _, _, train, test, _ in epochs]
    flow = Flow.load(tmp_path / export.file_name(settings, "weights.safetensors"))
    assert made.same(flow.state_dict(), frames[-1].flow().state_dict())


def test_a_script_of_default_settings_has_no_empty_lines_of_settings():
    for recipe in RECIPES.values():
        script = export.python(recipe, recipe.Run())
        compile(script, "script", "exec")
        assert "from_flat({})" in script


@pytest.mark.parametrize("data", ["moons", "own-0123456789abcdef", "../../etc/passwd", 'a"b\nc'])
def test_file_names_are_safe(data):
    settings = RECIPES["nice"].Run.from_flat({"data": data})
    assert re.fullmatch(r"nice-[A-Za-z0-9_-]+-seed0-picture\.png",
                        export.file_name(settings, "picture.png"))


def test_a_moment_without_weights_says_so(watched):
    recipe, settings, frames, epochs = watched
    with pytest.raises(ValueError, match="without its weights"):
        replace(frames[-1], content=InMemory(frames[-1].png)).flow()
