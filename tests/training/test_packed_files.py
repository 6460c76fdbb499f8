"""Files in files: NPZ with one array of the right kind, and zips packed in unusual ways."""

import io
import zipfile

import numpy as np
import pytest
import runs_helpers as made
from files_helpers import png

from flowlab.data.uploads.albums import read_images
from flowlab.data.uploads.files import is_file, opened, read_file
from flowlab.runs import Store, pack, unpack
from models import RECIPES

POINTS = np.random.default_rng(0).normal(size=(30, 2))
STACK = np.random.default_rng(0).integers(0, 256, (25, 8, 8), dtype=np.uint8)
PICTURES = {f"{i:02}.png": png(image) for i, image in enumerate(STACK)}


def npz(**arrays) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def packed(files, method=zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def locked(content: bytes) -> bytes:
    """A zip whose every file says that it is encrypted."""
    content = bytearray(content)
    for sign, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = content.find(sign)
        while start >= 0:
            content[start + place] |= 1
            start = content.find(sign, start + 4)
    return bytes(content)


def sentence(error) -> str:
    text = str(error.value)
    assert text.endswith(".") and "\n" not in text and len(text) < 300, text
    return text


@pytest.mark.parametrize(("arrays", "expected", "words"), [
    ({"a": POINTS}, POINTS, "array a."), ({"X": POINTS, "y": np.zeros(30)}, POINTS, "left out y."),
    ({"x": STACK, "y": np.arange(25)}, STACK, "left out y."),
    ({"x": STACK[..., None]}, STACK, "array x.")])
def test_an_npz_with_one_array_of_the_right_kind_is_read(arrays, expected, words, tmp_path):
    path = tmp_path / "data.npz"
    path.write_bytes(npz(**arrays))
    array, notes = read_file(str(path), 8)
    assert is_file(str(path)) and np.array_equal(array, expected.astype(array.dtype))
    assert words in notes[0]


@pytest.mark.parametrize(("content", "words"), [
    (npz(train=POINTS, test=POINTS), "several (train, test)"), (npz(), "none"),
    (npz(a=np.zeros(9), b=np.zeros(9)), "none"), (npz(a=np.zeros(9)), "two dimensions"),
    (npz(a=np.array([{}] * 20)), "Python objects"), (b"", "damaged"), (npz(a=POINTS)[:-30], "dam"),
    (packed({"readme.txt": b"x"}), "not a NumPy file"), (locked(npz(a=POINTS)), "password"),
    (npz(**{f"a{i}": POINTS for i in range(200)}), "too many")])
def test_another_npz_gets_one_sentence(content, words, tmp_path):
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        read_file(str(path))
    assert words in sentence(caught)


def test_other_files_are_opened_as_they_are():
    assert opened(b"1,2", "a.CSV") == (b"1,2", "csv", ())


@pytest.mark.parametrize(("method", "name"), [
    (zipfile.ZIP_LZMA, "LZMA"), (zipfile.ZIP_BZIP2, "bzip2")])
def test_a_zip_packed_otherwise_gets_a_sentence_that_says_so(method, name, tmp_path):
    with pytest.raises(ValueError) as caught:
        read_images(packed(PICTURES, method), "zip", 8)
    assert name in sentence(caught) and "Deflate" in sentence(caught)
    with pytest.raises(ValueError) as caught:
        unpack(Store(tmp_path), packed(bundle(tmp_path), method))
    assert name in sentence(caught)


def test_a_locked_zip_and_a_zip_of_zips_get_their_sentences(tmp_path):
    with pytest.raises(ValueError, match="password"):
        read_images(locked(packed(PICTURES)), "zip", 8)
    with pytest.raises(ValueError, match="password"):
        unpack(Store(tmp_path), locked(packed(bundle(tmp_path))))
    with pytest.raises(ValueError, match="other zips"):
        read_images(packed({"inner.zip": packed(PICTURES)}), "zip", 8)


def test_a_zip_in_the_large_form_is_read():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in PICTURES.items():
            with archive.open(name, "w", force_zip64=True) as entry:
                entry.write(content)
    assert np.array_equal(read_images(file.getvalue(), "zip", 8)[0], STACK)


def bundle(folder) -> dict[str, bytes]:
    store = Store(folder / "packed")
    settings = RECIPES["nice"].Run.from_flat({"epochs": 2, "points": 100, "hidden": (8,)})
    run_id = store.begin(settings, origin="command")
    store.record(run_id, made.frames(settings, 2))
    store.end(run_id, "finished")
    with zipfile.ZipFile(io.BytesIO(pack(store, run_id))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
