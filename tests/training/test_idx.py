"""Images as MNIST and its relatives are published: IDX files, packed or not, with their labels."""

import gzip

import numpy as np
import pytest

from flowlab import files
from flowlab.commands import train as cli
from flowlab.data import image_set, store
from flowlab.data.images import are_images, parts
from flowlab.data.uploads import idx
from flowlab.data.uploads.albums import MAX_IMAGES, own_side, read_images
from flowlab.data.uploads.files import ending, is_file, keep_file, read_file
from realnvp.train_realnvp import Run, train

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (30, 8, 8), dtype=np.uint8)
LABELS = np.arange(30, dtype=np.uint8) % 3
NAMES = ("train-images-idx3-ubyte", "train-images.idx3-ubyte",
         "emnist-letters-test-images-idx3-ubyte")


def packed(array: np.ndarray) -> bytes:
    """An IDX file of bytes."""
    shape = np.array(array.shape, ">u4").tobytes()
    return bytes((0, 0, 8, array.ndim)) + shape + array.tobytes()


IMAGES, ANSWERS = packed(PIXELS), packed(LABELS)


def sentence(error) -> str:
    text = str(error.value)
    assert text.endswith(".") and "\n" not in text and len(text) < 300, text
    return text


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("end", ["", ".gz", ".GZ"])
@pytest.mark.parametrize("beside", ["", ".gz", None])
def test_a_file_is_read_with_the_labels_beside_it(name, end, beside, tmp_path):
    path = tmp_path / (name + end)
    path.write_bytes(gzip.compress(IMAGES) if end else IMAGES)
    if beside is not None:
        labels = name.replace("images", "labels").replace("idx3", "idx1") + beside
        (tmp_path / labels).write_bytes(gzip.compress(ANSWERS) if beside else ANSWERS)
    assert is_file(str(path)) and ending(str(path)) == idx.KIND
    array, notes = read_file(str(path))
    pixels, labels = parts(array)
    assert are_images(array) and np.array_equal(pixels, PIXELS)
    assert ("There is no file of labels" in notes[-1]) is (beside is None)
    assert labels is None if beside is None else np.array_equal(labels, LABELS)


def test_labelled_images_are_stored_and_split_with_their_classes(tmp_path):
    (tmp_path / "images-idx3-ubyte").write_bytes(IMAGES)
    (tmp_path / "labels-idx1-ubyte").write_bytes(ANSWERS)
    name, _ = keep_file(str(tmp_path / "images-idx3-ubyte"))
    own = image_set(name)
    assert own.classes == 3 and own.event_shape == (1, 8, 8) and own.grey_levels == 256
    together = {image.numpy().tobytes(): int(label) for test in (False, True)
                for image, label in zip(*own.part(test), strict=True)}
    assert together == {image.tobytes(): int(label)
                        for image, label in zip(PIXELS, LABELS, strict=True)}
    assert name != store.name_of(PIXELS)
    assert name != store.name_of(read_images(IMAGES, "idx", 8, packed(LABELS[::-1]))[0])


def test_other_sizes_are_scaled_and_the_usual_one_is_kept():
    wide = packed(RNG.integers(0, 256, (30, 6, 10), dtype=np.uint8))
    assert own_side(IMAGES, "idx") == 8 and own_side(wide, "idx") == 16
    images, notes = read_images(wide, "idx", 16)
    assert images.shape == (30, 16, 16) and "6 × 10" in notes[-1]
    assert read_images(IMAGES, "idx", 4, ANSWERS)[0]["pixels"].shape == (30, 4, 4)


@pytest.mark.parametrize(("content", "labels", "words"), [
    (b"", None, "empty"), (b"\0\0\x08\x03", None, "cut short"),
    (b"1,2\n3,4\n", None, "first bytes"), (bytes((0, 0, 13, 3)) + IMAGES[4:], None, "first bytes"),
    (ANSWERS, None, "labels, where"),
    (packed(PIXELS[0]), None, "2 dimensions"), (IMAGES[:-1], None, "damaged"),
    (IMAGES + b"0", None, "damaged"),
    (gzip.compress(IMAGES, mtime=0)[:-20], None, "gzip file is damaged"),  # names without a time
    (gzip.compress(IMAGES, mtime=0)[:20] + b"junk" * 9, None, "gzip file is damaged"),
    (gzip.compress(bytes(files.MAX_UNPACKED + 1), mtime=0), None, "unpacks to more"),
    (packed(PIXELS[:5]), None, "at least 20"), (packed(PIXELS * 0), None, "same grey"),
    (packed(np.zeros((MAX_IMAGES + 1, 2, 2), np.uint8)), None, "too many"),
    (packed(np.zeros((30, 0, 8), np.uint8)), None, "three dimensions"),
    (b"\0\0\x08\x03" + b"\xff" * 12, None, "damaged"),
    (IMAGES, ANSWERS[:-1], "damaged"), (IMAGES, packed(LABELS[:-1]), "29 labels for 30"),
    (IMAGES, IMAGES, "images, where labels"), (IMAGES, b"", "labels")])
def test_every_way_a_file_can_be_wrong_has_its_sentence(content, labels, words):
    with pytest.raises(ValueError) as caught:
        read_images(content, "idx", 8, labels)
    assert words in sentence(caught)


def test_other_files_may_be_packed_too(tmp_path):
    path = tmp_path / "points.csv.gz"
    path.write_bytes(gzip.compress(b"x,y\n" + b"\n".join(b"%d,%d" % (i, i * i) for i in range(30))))
    assert is_file(str(path)) and read_file(str(path))[0].shape == (30, 2)


def test_the_command_line_trains_on_them_by_class(tmp_path, capsys, monkeypatch):
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(IMAGES))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(ANSWERS)
    monkeypatch.setattr("sys.argv", [
        "train", "--data", str(path), "--classes", "3", "--epochs", "1", "--levels", "1",
        "--blocks", "0", "--hidden-channels", "4"])
    assert not cli.main(Run, train, "realnvp.train_realnvp")
    text = capsys.readouterr().out
    assert "3 classes" in text and "bits per dimension" in text
