"""Every way in which something foreign comes into the lab: how inputs are made, and what follows.

An entry returns whether the input was accepted, and raises AssertionError where what it gave is
not as it should be. A ValueError of one clear sentence is a refusal; anything else is a problem.
"""

import io
import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import runs_helpers as made
from hypothesis import strategies as some

from flowlab.data.uploads.albums import read_images
from flowlab.data.uploads.drawing import Drawing, drawn
from flowlab.data.uploads.picture import read_picture
from flowlab.data.uploads.table import is_stack, read_npy, read_text
from flowlab.flow import Flow
from flowlab.runs import Store, pack, unpack
from flowlab.settings import RunSettings
from flowlab.studies.sweep import SweepSettings
from flowlab.studies.sweep.plan import points as points_of
from flowlab.training.checkpoint import Snapshot
from flowlab.ui.compare import controls, runs
from flowlab.ui.controls import links, validation
from fuzz import corpus
from fuzz.mutate import damaged, damaged_json, damaged_text, written
from models import RECIPES


@dataclass(frozen=True)
class Entry:
    """A kind of entry.

    Attributes
    ----------
    inputs : SearchStrategy
    feed : callable
        Puts an input in; whether it was accepted.
    large : callable
        Inputs at the limits of size, which are tried once each.
    """

    inputs: some.SearchStrategy
    feed: Callable[[Any], bool]
    large: Callable[[], list] = list


class Refused(ValueError):
    """Sentences with which an entry left something out and went on."""


def _files(good: list[bytes]) -> some.SearchStrategy[bytes]:
    """The files of a corpus, most of them damaged."""
    return some.sampled_from(good).flatmap(lambda content: damaged(content, tuple(good)))


# Addresses: what is after the question mark

ADDRESS = {"data": "rings", "noise": "0.1", "hidden": "16,16", "couplings": "3", "epochs": "7",
           "seed": "3", "learning_rate": "0.01", "schedule": "cosine", "precision": "float32",
           "activation": "relu", "classes": "10", "levels": "2", "grey_levels": "17",
           "event_shape": "1,8,8", "hide": "data,model", "lock": "training", "title": "A title",
           "task": "Do this.\nThen that.", "preset": "masks", "run": "0123456789abcdef",
           "models": "nice;realnvp:couplings=4:label=small;glow:steps=2", "runs": "abc,def",
           "budget": "seconds", "amount": "3", "parameters": "1000", "seeds": "2", "level": "0.1",
           "points": "500", "image_side": "8", "logit": "True", "device": "cpu", "base": "logistic"}


@some.composite
def addresses(draw: some.DrawFn) -> tuple[str, dict[str, str]]:
    names = draw(some.lists(some.sampled_from([*ADDRESS]), min_size=1, max_size=8, unique=True))
    texts = {name: ADDRESS[name] for name in names}
    for name in names[:draw(some.integers(1, len(names)))]:
        if draw(some.integers(0, 6)) == 6:
            texts[draw(damaged_text(name))] = texts.pop(name)
        else:
            texts[name] = draw(damaged_text(texts[name]))
    if draw(some.integers(0, 9)) == 9:
        texts["data"] = draw(some.sampled_from(
            ("own-0123456789abcdef", "digits", "mnist\0", "../moons")))
    return draw(some.sampled_from((*RECIPES, "compare"))), texts


def addresses_large() -> list[tuple[str, dict[str, str]]]:
    many = {f"a{i}": "1" for i in range(20_000)}
    texts = ["1," * 500_000, "x," * 500_000, ";" * 10**6, "nice;" * 200_000, "9" * 10**6,
             "nice:" * 200_000, "nice:" + ":".join(f"a{i}=1" for i in range(50_000))]
    names = ("hidden", "models", "data", "runs", "seed", "title", "hide", "noise", "amount")
    return [(page, told) for page in ("realnvp", "compare")
            for told in (many, *({name: text} for text in texts for name in names))]


class _Lab:
    """A lab without workers, for what only asks for runs."""

    store: Store


def feed_address(address: tuple[str, dict[str, str]]) -> bool:
    page, texts = address
    runs.lab = _lab
    lesson, complaints = links.read({n: t for n, t in texts.items() if n in links.PARAMETERS},
                                    ("masks",))
    assert len(lesson.title) <= links.TITLE and len(lesson.task) <= links.TASK
    told = {n: t for n, t in texts.items() if n not in ("run", *links.PARAMETERS)}
    if "run" in texts:
        store().get(texts["run"])
    if page == "compare":
        comparison, more = controls.read(told, RECIPES)
        again, none = controls.read(comparison.texts(), RECIPES)
        assert again.model_dump(exclude={"models"}) == comparison.model_dump(exclude={"models"})
    else:
        settings, more = validation.read(RECIPES[page].Run, told)
        again, none = validation.read(RECIPES[page].Run, settings.texts())
        assert again == settings
    assert none == [], none
    if complaints + more:
        raise Refused(*complaints, *more)
    return True


@cache
def store() -> Store:
    return Store(Path(os.environ["FLOWLAB_RUNS"]))


@cache
def _lab() -> _Lab:
    lab = _Lab()
    lab.store = store()
    return lab


# Settings as JSON, and sweeps

SWEEP = {"name": "s", "model": "realnvp", "search": "random", "trials": 3, "seeds": 2,
         "settings": {"data": "rings", "epochs": 5, "hidden": [8, 8]},
         "sweep": {"couplings": [2, 4], "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
                   "batch_size": {"low": 16, "high": 64}}}


STROKES = [[819 + i % 999 for i in range(41)], [6000, 1, 2]]


@some.composite
def settings(draw: some.DrawFn) -> tuple[str, bytes]:
    kind = draw(some.sampled_from(("run", "run", "run", "run", "sweep", "sweep", "drawing")))
    if kind == "run":
        value = made.settings(draw(some.sampled_from([*RECIPES]))).model_dump(mode="json")
    else:
        value = SWEEP if kind == "sweep" else STROKES
    for _ in range(draw(some.integers(0, 2))):
        value = draw(damaged_json(value))
    return kind, draw(written(value))


def settings_large() -> list[tuple[str, bytes]]:
    many = ", ".join('"x"' for _ in range(400_000))
    names = ", ".join(f'"{i}": 1' for i in range(150_000))
    return [("run", text.encode()) for text in (
        "[" * 10**6, '{"model":' * 10**5, '{"model": "nice", "flow": {"hidden": [' + many + "]}}",
        '{"model": "nice", "flow": {"event_shape": [' + many + "]}}",
        '{"model": "nice", "flow": {' + names + "}}", '{"model": "' + "a" * 10**6 + '"}',
        '{"model": ' + "9" * 10**6 + "}", '{"model": "nice", "training": {"seed": ' + "9" * 10**6
        + "}}")]


def feed_settings(told: tuple[str, bytes]) -> bool:
    kind, content = told
    text = content.decode("utf-8", "surrogateescape")
    if kind == "run":
        settings = RunSettings.read(text)
        assert RunSettings.read(settings.model_dump_json()) == settings
        return True
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    if kind == "drawing":
        own = Drawing(drawn(value))
        assert own.log_prob(own.sample(10)).isfinite().all()
        return True
    path = Path("sweep.toml")
    try:
        parts = [f"{k} = {_toml(v)}" for k, v in value.items()] if isinstance(value, dict) else [""]
        path.write_text("\n".join(parts), "utf-8")
    except (UnicodeEncodeError, TypeError):
        return False
    sweep = SweepSettings.read(path)
    if sweep.model in RECIPES:
        found = points_of(sweep, RECIPES[sweep.model].Run)
        assert 1 <= len(found) <= 2000
    return True


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value).replace("Infinity", "inf").replace("NaN", "nan")


# Files

def _points(table: Any) -> bool:
    for columns in {(0, 1), tuple(range(len(table.names)))}:
        points, notes = table.points(columns)
        assert np.isfinite(points).all() and points.dtype == np.float32 and len(points) >= 10
        assert all(sentence.endswith(".") for sentence in notes)
    return True


def feed_csv(content: bytes) -> bool:
    return _points(read_text(content))


def feed_npy(content: bytes) -> bool:
    if is_stack(content):
        images, _ = read_images(content, "npy", 8)
        assert images.dtype == np.uint8 and images.shape[1:] == (8, 8)
        return True
    return _points(read_npy(content))


def feed_picture(content: bytes) -> bool:
    weights, _ = read_picture(content)
    assert weights.dtype == np.uint8 and weights.max() > 0 and max(weights.shape) <= 256
    return True


PICTURES, ZIPS = corpus.pictures(), corpus.zips()
METHODS = some.sampled_from((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))


@some.composite
def zips(draw: some.DrawFn) -> bytes:
    if draw(some.booleans()):
        return draw(_files(ZIPS))
    files = dict(corpus.album())
    for _ in range(draw(some.integers(1, 3))):
        name = draw(some.sampled_from([*files]))
        content = files.pop(name)
        if draw(some.booleans()):
            name = draw(damaged_text(name))
        if draw(some.booleans()):
            content = draw(_files([content, *PICTURES]))
        files[name.encode("utf-8", "replace").decode()[:200] or "a"] = content
    return corpus.packed(files, draw(METHODS))


def feed_zip(content: bytes) -> bool:
    images, _ = read_images(content, "zip", 8)
    assert images.dtype == np.uint8 and images.shape[1:] == (8, 8) and len(images) >= 20
    return True


TENSORS = corpus.safetensors()


@some.composite
def tensors(draw: some.DrawFn) -> bytes:
    """Damage in the bytes, or in the header, whose length is then right."""
    if draw(some.booleans()):
        return draw(_files(TENSORS))
    content = draw(some.sampled_from(TENSORS[:4]))
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8:8 + size])
    told = header["__metadata__"]
    name = next((name for name in ("settings", "numbers") if name in told), "")
    if name and draw(some.booleans()):
        told[name] = draw(written(draw(damaged_json(json.loads(told[name]))))).decode(
            "utf-8", "replace")
    else:
        header = draw(damaged_json(header))
    text = draw(some.sampled_from((json.dumps(header).encode(), draw(written(header)))))
    return len(text).to_bytes(8, "little") + text + content[8 + size:]


def feed_tensors(content: bytes) -> bool:
    path = Path("file.safetensors")
    path.write_bytes(content)
    for kind in (Flow, Snapshot):
        try:
            loaded = kind.load(path)
        except ValueError as error:
            if kind is Snapshot or "hold what is expected" not in str(error):
                raise
            continue
        if kind is Flow:
            assert loaded.dtype.is_floating_point
            assert loaded.float().sample(2, 0 if loaded.settings.classes else None).shape[0] == 2
        else:
            assert isinstance(loaded.step, int) and isinstance(loaded.seconds, float)
        return True
    return False


# Runs from elsewhere

@cache
def _bundle() -> dict[str, bytes]:
    inner = Store(Path("made"))
    run = made.settings("realnvp", couplings=2, hidden=(4,))
    run_id = inner.begin(run, name="to travel")
    inner.record(run_id, made.frames(run))
    inner.end(run_id, "finished")
    with zipfile.ZipFile(io.BytesIO(pack(inner, run_id))) as file:
        return {name: file.read(name) for name in file.namelist()}


@some.composite
def exported_runs(draw: some.DrawFn) -> bytes:
    parts = dict(_bundle())
    match draw(some.integers(0, 7)):
        case 0:
            return draw(damaged(corpus.packed(parts), (b"PK\1\2", corpus.packed(parts))))
        case 1 | 2 | 3:
            told = json.loads(parts["run.json"])
            for _ in range(draw(some.integers(0, 2))):
                told = draw(damaged_json(told))
            parts["run.json"] = draw(written(told))
        case 4:
            parts["metrics.csv"] = draw(damaged(parts["metrics.csv"], (b",,,,,", b"\n1\n")))
        case 5:
            parts["weights.safetensors"] = draw(tensors())
        case 6:
            name = draw(some.sampled_from([n for n in parts if n.startswith("frames")]))
            parts[name] = draw(_files([parts[name], *PICTURES]))
        case _:
            name = draw(some.sampled_from([*parts]))
            changed = draw(damaged_text(name)).encode("utf-8", "replace").decode()[:99]
            parts[changed or "a"] = parts.pop(name)
    return corpus.packed(parts, draw(METHODS))


def runs_large() -> list[bytes]:
    good = _bundle()
    told = json.loads(good["run.json"])
    bomb = corpus.packed({**good, "metrics.csv": bytes(300_000_000)}, zipfile.ZIP_DEFLATED)
    packed = corpus.packed({**good, "metrics.csv": bytes(300_000_000)}, zipfile.ZIP_BZIP2)
    rows = good["metrics.csv"].split(b"\n")[0] + b"\n" + b"".join(
        b"%d,1,,,,\n" % i for i in range(1, 250_000))
    big = corpus.png(4000, 4000, rows=(b"\0" + bytes(4000)) * 4000)
    moment = told["moments"][0]
    moments = [moment | {"numbers": moment["numbers"] | {"step": i}} for i in range(200)]
    frames = {f"frames/{i:09d}.png": big for i in range(200)}
    rest = {n: c for n, c in good.items() if not n.startswith("frames")}
    many = ", ".join('"x"' for _ in range(250_000)).encode()

    def header(text: bytes) -> bytes:
        return corpus.packed(good | {"run.json": text})
    return [bomb, corpus.lying(bomb, b"metrics.csv", 100),
            corpus.lying(packed, b"metrics.csv", 100),
            corpus.packed(good | {"metrics.csv": rows}), corpus.packed(
                {f"{i}": b"" for i in range(300_000)}),
            corpus.packed(rest | frames | {"run.json": json.dumps(told | {"moments": moments})
                                           .encode()}),
            header(b"[" * 1_900_000), header(b'{"versions": [' + many + b"]}"),
            header(b'{"moments": [' + many + b"]}"), header(b'{"moments": [{"layers": [' + many
                                                            + b"]}]}"),
            corpus.packed(good | {"weights.safetensors": TENSORS[10]})]


def feed_run(content: bytes) -> bool:
    kept = store()
    before = sorted(kept.folder.iterdir())
    try:
        run_id = unpack(kept, content)
    except ValueError:
        assert sorted(kept.folder.iterdir()) == before and not kept.runs()
        raise
    run = kept.get(run_id)
    frames = kept.frames(run_id)
    assert run.settings is not None and kept.runs()[0].id == run_id
    assert all(frame.moment.steps >= 1 for frame in frames)
    kept.epochs(run_id)
    if (flow := kept.flow(run_id)) is not None:
        assert all(w.isfinite().all() for w in flow.state_dict().values())
    assert {p.name for p in kept.folder.iterdir()} <= {p.name for p in before} | {run_id}
    pack(kept, run_id)
    kept.delete(run_id)
    return True


ENTRIES = {
    "address": Entry(addresses(), feed_address, addresses_large),
    "settings": Entry(settings(), feed_settings, settings_large),
    "csv": Entry(_files(corpus.csv()), feed_csv, corpus.csv_large),
    "npy": Entry(_files(corpus.npy()), feed_npy),
    "picture": Entry(_files(PICTURES), feed_picture, corpus.pictures_large),
    "zip": Entry(zips(), feed_zip, corpus.zips_large),
    "safetensors": Entry(tensors(), feed_tensors),
    "run": Entry(exported_runs(), feed_run, runs_large),
}
