"""Images as data: what comes with scikit-learn, what OpenML gives, and a user's own."""

import hashlib
import io
import json
import zipfile
from urllib.error import URLError

import numpy as np
import pytest
import torch
from helpers import ON_IMAGES, small
from PIL import Image
from sklearn.datasets import _openml

from flowlab.data import dequantise, image_set, images, kind_of, openml, store, target, targets
from flowlab.data.uploads import albums as album
from flowlab.settings import TrainingSettings
from flowlab.training import train
from flowlab.training.checkpoint import Snapshot
from glow import Glow, train_glow
from models import RECIPES
from nice import train_nice
from realnvp import train_realnvp


@pytest.fixture(autouse=True)
def _folders(tmp_path, monkeypatch):
    monkeypatch.setenv(openml.VARIABLE, str(tmp_path / "images"))
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "own"))
    image_set.cache_clear()
    yield
    image_set.cache_clear()


def sentence(error) -> str:
    text = str(error.value)
    assert text.endswith(".") and "\n" not in text and len(text) < 300, text
    return text


def npy(array) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def png(array) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.asarray(array)).save(file, "PNG")
    return file.getvalue()


def packed(files, **options) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def pictures(n=20, side=9):
    rng = np.random.default_rng(0)
    return {f"{i:02}.png": png(rng.integers(0, 256, (side, side + 4), dtype=np.uint8))
            for i in range(n)}


def test_digits_are_scikit_learns():
    digits = image_set("digits")
    assert images()[0] == "digits" and not set(images()) & set(targets())
    x, labels = digits.part(test=False)
    test_x, test_labels = digits.part(test=True)
    assert len(x) + len(test_x) == len(digits) == 1797 and len(test_x) == 359
    assert x.shape[1:] == digits.event_shape == (1, 8, 8) and x.dtype == torch.uint8
    assert digits.pixels.max() + 1 == digits.grey_levels == 17 and digits.classes == 10
    assert set(labels.tolist()) == set(test_labels.tolist()) == set(range(10))
    assert image_set("digits") is digits and kind_of("digits") == "images" != kind_of("moons")
    with pytest.raises(ValueError, match="digitz"):
        image_set("digitz")


def test_dequantised_pixels_fall_into_their_own_level():
    pixels = torch.randint(0, 17, (50, 1, 8, 8), dtype=torch.uint8)
    one, other = (dequantise(pixels, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, other) and torch.equal(one.floor().to(torch.uint8), pixels)
    assert 0.45 < (one - pixels).mean() < 0.55
    assert dequantise(pixels, dtype=torch.float64).dtype == torch.float64


def openml_files(pixels, labels, columns=None) -> dict[str, bytes]:
    """What OpenML has of a set of this size."""
    columns = columns or pixels.shape[1]
    names = [f"pixel{i + 1}" for i in range(columns)]
    rows = "\n".join(",".join(map(str, [*p[:columns], y]))
                     for p, y in zip(pixels, labels, strict=True))
    arff = ("@RELATION mnist_784\n" + "".join(f"@ATTRIBUTE {n} real\n" for n in names)
            + "@ATTRIBUTE class {0,1,2,3,4,5,6,7,8,9}\n@DATA\n" + rows + "\n").encode()
    features = [{"index": str(i), "name": n, "data_type": "numeric", "is_target": "false",
                 "is_ignore": "false", "is_row_identifier": "false",
                 "number_of_missing_values": "0"} for i, n in enumerate(names)]
    features.append({**features[0], "index": str(columns), "name": "class",
                     "data_type": "nominal", "is_target": "true"})
    url = "https://api.openml.org/data/v1/download/1/mnist.arff"
    answers = {
        _openml._SEARCH_NAME.format("mnist_784") + "/data_version/1":
            {"data": {"dataset": [{"did": 554, "version": 1, "status": "active"}]}},
        _openml._DATA_INFO.format(554): {"data_set_description": {
            "id": "554", "name": "mnist_784", "version": "1", "format": "ARFF", "url": url,
            "status": "active", "description": "", "md5_checksum": hashlib.md5(arff).hexdigest()}},
        _openml._DATA_FEATURES.format(554): {"data_features": {"feature": features}},
        _openml._DATA_QUALITIES.format(554): {"data_qualities": {"quality": [
            {"name": "NumberOfInstances", "value": str(len(pixels))}]}},
    }
    contents = {**{k: json.dumps(v).encode() for k, v in answers.items()}, url: arff}
    return {_openml._openml_path_from_url(url): content for url, content in contents.items()}


class Answer(io.BytesIO):
    """What urlopen gives."""

    def info(self) -> dict[str, str]:
        return {}


def serve(monkeypatch, *arguments) -> None:
    """Answer as OpenML would, without a network."""
    contents = openml_files(*arguments)
    monkeypatch.setattr(_openml, "urlopen", lambda request, *_, **__: Answer(
        contents[_openml._openml_path_from_url(request.full_url)]))


def no_network(*arguments, **options):
    raise URLError("no network in tests")


def test_openmls_form_is_read_once_and_then_kept(monkeypatch):
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(0, 256, (21, 784)), np.arange(21) % 10
    serve(monkeypatch, pixels, labels)
    mnist = image_set("mnist")
    assert torch.equal(mnist.pixels.flatten(1), torch.from_numpy(pixels.astype(np.uint8)))
    assert mnist.labels.tolist() == labels.tolist() and mnist.event_shape == (1, 28, 28)
    assert len(mnist.part(test=True)[0]) == 3 and mnist.grey_levels == 256
    monkeypatch.setattr(openml, "fetch_openml", None)
    image_set.cache_clear()
    assert torch.equal(image_set("mnist").pixels, mnist.pixels)


def test_without_network_there_is_one_sentence(monkeypatch):
    monkeypatch.setattr(_openml, "urlopen", no_network)
    for name in ("mnist", "fashion_mnist"):
        with pytest.raises(ValueError) as caught:
            image_set(name)
        assert "digits" in sentence(caught) and "network" in sentence(caught)


@pytest.mark.parametrize(("pixels", "columns", "words"), [
    (np.full((21, 784), 300), None, "0 to 255"), (np.zeros((21, 784), int), 5, "28 × 28")])
def test_other_answers_of_openml_get_one_sentence(pixels, columns, words, monkeypatch):
    serve(monkeypatch, pixels, np.zeros(21, int), columns)
    with pytest.raises(ValueError) as caught:
        image_set("mnist")
    assert words in sentence(caught)


@pytest.mark.parametrize("array", [
    np.random.default_rng(0).integers(0, 256, (25, 8, 8)),
    np.random.default_rng(0).random((25, 8, 8, 1)),
    np.random.default_rng(0).integers(0, 256, (25, 1, 6, 10), dtype=np.uint8)])
def test_own_arrays(array):
    pixels, _ = album.read_images(npy(array), "npy", 8)
    assert pixels.shape == (25, 8, 8) and pixels.dtype == np.uint8 and pixels.max() > 200
    name = store.keep(pixels)
    own = image_set(name)
    assert own.event_shape == (1, 8, 8) and own.classes == 0 and kind_of(name) == "images"
    assert len(own.part(test=True)[0]) == 5
    with pytest.raises(ValueError, match="are images"):
        target(name)


def test_own_zip():
    files = {**pictures(), "a/b.JPG": pictures(1)["00.png"], "notes.txt": b"x",
             "__MACOSX/00.png": b"junk", ".hidden.png": b"junk"}
    pixels, notes = album.read_images(packed(files), "zip", 8)
    assert pixels.shape == (21, 8, 8) and "1 files" in notes[1]


def zip_that_lies() -> bytes:
    """A zip whose first picture claims to be a thousand times larger than it is."""
    content = bytearray(packed({"a.png": b"\0" * 10, **pictures()}))
    start = content.index(b"PK\x01\x02")
    content[start + 24:start + 28] = (250_000_000).to_bytes(4, "little")
    return bytes(content)


BAD = {
    "empty": (b"", "zip", "empty"),
    "no zip": (b"PK no zip at all", "zip", "damaged"),
    "cut off": (packed(pictures())[:-60], "zip", "damaged"),
    "broken inside": (packed(pictures()).replace(b"IDAT", b"JDAT"), "zip", "."),
    "nothing to see": (packed({"a.txt": b"x"}), "zip", "no PNG"),
    "no picture": (packed({**pictures(), "zz.png": b"GIF89a"}), "zip", "zz.png"),
    "few": (packed(pictures(3)), "zip", "at least"),
    "bomb": (packed({f"{i}.png": b"\0" * 5_000_000 for i in range(4)},
                    compression=zipfile.ZIP_DEFLATED), "zip", "unpack"),
    "lie": (zip_that_lies(), "zip", "unpack"),
    "many": (packed({f"{i}.png": b"" for i in range(20_001)}), "zip", "20,001"),
    "same grey": (npy(np.zeros((30, 8, 8), np.uint8)), "npy", "same grey"),
    "two dimensions": (npy(np.zeros((30, 8))), "npy", "three dimensions"),
    "range": (npy(np.full((30, 8, 8), 256)), "npy", "255"),
    "not finite": (npy(np.full((30, 8, 8), np.nan)), "npy", "255"),
    "objects": (npy(np.array([[[{}]]], dtype=object)), "npy", "Python objects"),
    "no array": (b"nothing", "npy", "NumPy"),
    "short": (npy(np.zeros((30, 8, 8)))[:-8], "npy", "long"),
    "too many": (npy(np.tile(np.arange(64, dtype=np.uint8).reshape(1, 8, 8), (13000, 1, 1))),
                 "npy", "too many"),
}


@pytest.mark.parametrize("name", BAD)
def test_every_way_a_file_can_be_wrong_has_its_sentence(name):
    content, kind, words = BAD[name]
    with pytest.raises(ValueError) as caught:
        album.read_images(content, kind, 64 if name == "too many" else 8)
    assert words in sentence(caught)


def run(name, **more):
    return RECIPES[name].Run.from_flat({"data": "digits", "epochs": 2, "batch_size": 500,
                                        "averaging": 1, **small(name, image=True), **more})


def numbers(progress):
    return progress.step, progress.train_nll, progress.test_nll, progress.inverse_error


@pytest.mark.quick("realnvp")
@pytest.mark.parametrize("name", ON_IMAGES)
def test_a_run_on_digits_repeats_and_resumes_with_the_same_numbers(name, tmp_path):
    classes = 0 if name == "realnvp" else 10
    settings = run(name, classes=classes)
    first = list(RECIPES[name].train(settings))
    assert first[-1].kl is None and first[-1].flow.settings.grey_levels == 17
    assert first[-1].test_bits == pytest.approx(first[-1].test_nll / (64 * np.log(2)))
    assert first[-1].train_bits < first[0].train_bits < 12
    first[0].snapshot.save(tmp_path / "checkpoint")
    resumed = RECIPES[name].train(settings, resume=Snapshot.load(tmp_path / "checkpoint"))
    assert list(map(numbers, resumed)) == list(map(numbers, first[1:]))


def test_noise_is_fresh_in_training_and_fixed_in_tests():
    flow = Glow((1, 8, 8), steps=1, hidden_channels=4)
    settings = TrainingSettings(epochs=2, batch_size=2000, learning_rate=1e-6, seed=3)
    seen = []
    log_prob = flow.log_prob
    flow.log_prob = lambda x, context=None: seen.append((flow.training, x)) or log_prob(x, context)
    list(train(flow, image_set("digits"), settings))
    measured = torch.cat([x for training, x in seen if not training]).split(359 + 500)
    batches = [x for training, x in seen if training]
    assert len(measured) >= 3 and all(torch.equal(x, measured[0]) for x in measured)
    assert len(batches) == 2 and all(len(x) == 1438 for x in batches)
    assert not any(torch.equal(a.sort(0)[0], b.sort(0)[0]) for a, b in zip(
        batches, batches[1:], strict=False))


@pytest.mark.parametrize(("values", "words"), [
    ({"classes": 3}, "10 classes"), ({"event_shape": (1, 4, 4)}, r"\(1, 8, 8\)"),
    ({"noise": 0.1}, "noise"), ({"objective": "reverse"}, "Reverse KL"),
])
def test_what_does_not_fit_gets_one_sentence(values, words):
    with pytest.raises(ValueError, match=words):
        next(train_glow.train(run("glow", **values)))


def test_command_lines_train_on_images(tmp_path, capsys):
    from flowlab.commands.train import main
    options = ["--epochs", "1", "--batch-size", "1000"]
    small = {train_nice: ["--hidden", "8"], train_realnvp: ["--hidden-channels", "2"],
             train_glow: ["--hidden-channels", "2", "--steps", "1", "--classes", "10"]}
    for recipe, more in small.items():
        assert main(recipe.Run, recipe.train, "x", ["--data", "digits", *options, *more]) == 0
        assert "bits per dimension" in capsys.readouterr().out
    path = tmp_path / "own.zip"
    path.write_bytes(packed(pictures()))
    more = ["--data", str(path), "--image-side", "8", *options, *small[train_nice]]
    assert main(train_nice.Run, train_nice.train, "x", more) == 0
    path.write_bytes(b"no zip")
    assert main(train_nice.Run, train_nice.train, "x", more) == 2
    assert "own.zip" in capsys.readouterr().err
    if not torch.cuda.is_available():
        more = ["--data", "digits", "--device", "cuda"]
        assert main(train_nice.Run, train_nice.train, "x", more) == 2
        assert "GPU" in capsys.readouterr().err
