"""A user's files: every way they can be wrong has its own sentence, and nothing else comes out."""

import pickle
import struct
import zlib

import numpy as np
import pytest
from files_helpers import ROWS, image, npy, ramp
from hypothesis import given
from hypothesis import strategies as st

from flowlab.data import store, target
from flowlab.data.uploads.files import is_file, read_file
from flowlab.data.uploads.picture import MAX_PIXELS, read_picture
from flowlab.data.uploads.table import MAX_BYTES, MAX_ROWS, UploadedTable, read_npy, read_text


def npy_header(shape: str, kind: str = "'<f8'", data: bytes = b"") -> bytes:
    header = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds nothing."""
    def chunk(name, data):
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
    size = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size)
            + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b""))


def sentence(error) -> str:
    text = str(error.value)
    assert text.endswith(".") and "\n" not in text and text[0].isupper() and len(text) < 300, text
    return text


@pytest.mark.parametrize("text", [
    ROWS, "x,y\n" + ROWS, "x;y\r\n" + ROWS.replace(",", ";").replace("\n", "\r\n"),
    ROWS.replace(",", "\t"), ROWS.replace(",", "   "), "# a comment\n\n" + ROWS + "\n\n",
    "﻿x,y\n" + ROWS, ROWS.replace(",", " , "), '"x","y"\n' + ROWS,
])
def test_points_are_read_whatever_parts_the_columns(text):
    table = read_text(text.encode())
    points, notes = table.points((0, 1))
    assert points.dtype == np.float32 and notes == ()
    assert np.array_equal(points, [[i, i * i % 7] for i in range(20)])
    assert table.names == (("x", "y") if "x" in text else ("1", "2"))


def test_decimal_commas_beside_semicolons():
    text = "\n".join(f"{i},5;{i * i % 7},25" for i in range(20))
    points, _ = read_text(text.encode()).points((0, 1))
    assert np.array_equal(points, [[i + 0.5, i * i % 7 + 0.25] for i in range(20)])


def test_of_more_columns_two_are_chosen_and_text_is_left_out():
    text = "name,a,b,c\n" + "\n".join(f"n{i},{i},{-i},{i % 3}" for i in range(20))
    table = read_text(text.encode())
    assert table.names == ("a", "b", "c") and "name" in table.notes[0]
    points, notes = table.points((2, 0))
    assert np.array_equal(points[:, 1], np.arange(20)) and notes == table.notes
    assert table.points((0, 1, 2))[0].shape == (20, 3)


def test_columns_far_from_one_are_standardised_and_it_is_said():
    x = np.random.default_rng(0).normal([1e6, 0], [10, 1e-4], (100, 2))
    points, notes = UploadedTable(("a", "b"), x, np.arange(100)).points((0, 1))
    assert points.mean(axis=0) == pytest.approx([0, 0], abs=1e-4)
    assert points.std(axis=0) == pytest.approx([1, 1], abs=1e-3)
    assert "standardised" in notes[0]


@pytest.mark.parametrize(("text", "words"), [
    ("", "empty"), ("\n\n  \n# only this\n", "empty"), ("x,y\n", "no numbers"),
    ("1,2\n" * 3, "3 points"), ("1,2\n", "1 point,"), (ROWS + "\n7,\n", "Line 21 has no value"),
    (ROWS + "\n7,NA\n8,?\n", "2 rows"), (ROWS + "\ninf,2", "infinite"), (ROWS + "\n1,1e999", "inf"),
    (ROWS + "\n1,1e35", "too large"), (ROWS + "\n1,two", "'two' in column 2"),
    (ROWS + "\n1,2,3", "Line 21 has 3 columns"), (ROWS + "\n1_0,2", "not a number"),
    ("\n".join(f"{i}" for i in range(20)), "one column"),
    ("\n".join(f"{i},5" for i in range(20)), "Column 2 holds the same"),
    ("\n".join("a,b" for _ in range(20)), "no column of numbers"),
    ("1,2\n" * (MAX_ROWS + 2), "rows"), ("1\n" * (3 * MAX_ROWS), "rows"),
    (",".join("1" * 65) + "\n", "64 columns"), ("," * 1_000_000, "64 columns"),
    ('"' + "a" * 200_000 + '",1\n', "cannot be read"), ("1,2\0\n" * 20, "not text"),
])
def test_a_wrong_table_gets_its_sentence(text, words):
    with pytest.raises(ValueError) as error:
        read_text(text.encode()).points((0, 1))
    assert words in sentence(error)


@pytest.mark.parametrize(("content", "words"), [
    ("x,y\nä,ö".encode("utf-16"), "UTF-8"), ("é,1\n".encode("latin-1"), "UTF-8"),
    (image(ramp()), "UTF-8"), (b"1" * (MAX_BYTES + 1), "10 MB"),
])
def test_wrong_bytes_for_text_get_their_sentence(content, words):
    with pytest.raises(ValueError) as error:
        read_text(content)
    assert words in sentence(error)


@pytest.mark.parametrize("array", [
    np.arange(40.0).reshape(20, 2), np.arange(40, dtype=np.int16).reshape(20, 2),
    np.asfortranarray(np.arange(40.0).reshape(20, 2)), np.arange(40, dtype=">f4").reshape(20, 2),
])
def test_numpy_files_are_read(array):
    points, _ = read_npy(npy(array)).points((0, 1))
    assert np.array_equal(points, array)


@pytest.mark.parametrize(("content", "words"), [
    (b"", "empty"), (b"hello", "not a NumPy file"), (b"\x93NUMPY", "damaged"),
    (npy(np.zeros((20, 2)))[:-1], "as long"), (npy(np.zeros((20, 2))) + b"x", "as long"),
    (npy_header("(10**9, 2)"), "damaged"), (npy_header("(1000000000000, 2)"), "rows"),
    (npy_header("(-5, -2)", data=bytes(80)), "no rows"), (npy_header("(0, 2)"), "no rows"),
    (npy_header("(20, 2)", "'|O'", bytes(320)), "Python objects"),
    (npy(np.array([{"a": 1}]), allow_pickle=True), "Python objects"),
    (npy(np.zeros(20)), "two dimensions"), (npy(np.zeros((2, 2, 2))), "two dimensions"),
    (npy(np.zeros((20, 2), complex)), "real numbers"), (npy(np.full((20, 2), "a")), "real numbers"),
    (npy(np.zeros((2, 65))), "64 columns"), (npy(np.zeros((5, 2))), "5 points"),
    (npy(np.zeros((20, 2))), "same number"), (npy(np.full((20, 2), np.nan)), "20 rows"),
    (npy_header("__import__('os').system('false')"), "damaged"),
    (pickle.dumps(np.zeros((20, 2))), "not a NumPy file"),
])
def test_a_wrong_numpy_file_gets_its_sentence(content, words):
    with pytest.raises(ValueError) as error:
        read_npy(content).points((0, 1))
    assert words in sentence(error)


def test_the_same_column_twice_is_no_plane():
    with pytest.raises(ValueError, match="same column"):
        read_text(ROWS.encode()).points((1, 1))


@given(st.one_of(st.binary(max_size=300), st.text(alphabet="0123456789.,;\t \n\r\"'-enaif#_",
                                                  max_size=300).map(str.encode)))
def test_any_bytes_give_points_or_one_sentence(content):
    for read in (read_text, read_npy):
        try:
            points, _ = read(content).points((0, 1))
        except ValueError as error:
            assert "\n" not in str(error) and str(error).endswith(".")
        else:
            assert np.isfinite(points).all() and points.shape[1] == 2


@given(st.integers(0, 147), st.integers(0, 255))
def test_a_numpy_file_with_one_wrong_byte(place, value):
    content = bytearray(npy(np.arange(40.0).reshape(20, 2)))
    content[place] = value
    try:
        points, _ = read_npy(bytes(content)).points((0, 1))
    except ValueError as error:
        assert "\n" not in str(error) and str(error).endswith(".")
    else:
        assert np.isfinite(points).all()


def test_a_pictures_weights():
    weights, notes = read_picture(image(ramp()), "bright")
    assert np.array_equal(weights, ramp()) and notes == ()
    assert np.array_equal(read_picture(image(ramp()), "dark")[0], 255 - ramp())
    ink = np.full((20, 20), 255, np.uint8)
    ink[5:9, 5:9] = 0
    assert read_picture(image(ink))[0].sum() == 16 * 255
    assert read_picture(image(255 - ink))[0].sum() == 16 * 255


def test_colour_alpha_sixteen_bits_and_jpeg():
    alpha = np.zeros((8, 8, 4), np.uint8)
    alpha[2:4, 2:4, 3] = 255
    assert read_picture(image(alpha), "dark")[0].sum() == 4 * 255
    deep = (ramp().astype(np.uint16)) * 257
    assert np.array_equal(read_picture(image(deep), "bright")[0], ramp())
    colour = np.zeros((16, 16, 3), np.uint8)
    colour[:8] = (255, 0, 0)
    grey = read_picture(image(colour, "JPEG"), "bright")[0]
    assert 60 < grey[:8].mean() < 90 and grey[8:].mean() < 10


def test_a_large_picture_is_made_smaller_and_it_is_said():
    weights, notes = read_picture(image(np.kron(ramp(), np.ones((50, 50), np.uint8))), "bright")
    assert weights.shape == (171, 256) and "256 × 171" in notes[0]


@pytest.mark.parametrize(("content", "words"), [
    (b"", "empty"), (b"GIF89a" + bytes(50), "not a PNG"), (ROWS.encode(), "not a PNG"),
    (image(ramp())[:-30], "damaged"), (png_header(10, 10), "damaged"),
    (png_header(5000, 5000), "too many pixels"), (png_header(10_000, 10_000), "too many pixels"),
    (png_header(60_000, 60_000), "too many pixels"),
    (image(np.zeros((9, 9), np.uint8)), "same grey"),
    (image(ramp(2, 9)), "9 × 2"), (bytes(MAX_BYTES + 1), "10 MB"),
    (image(ramp().repeat(8, 0), "GIF"), "not a PNG"),
])
def test_a_wrong_picture_gets_its_sentence(content, words):
    assert MAX_PIXELS < 5000 * 5000
    with pytest.raises(ValueError) as error:
        read_picture(content)
    assert words in sentence(error)


@given(st.integers(8, 200), st.binary(min_size=1, max_size=8))
def test_a_picture_with_wrong_bytes_gives_weights_or_one_sentence(place, wrong):
    for good in (image(ramp()), image(ramp(), "JPEG")):
        content = good[:place] + wrong + good[place + len(wrong):]
        try:
            weights, _ = read_picture(content)
        except ValueError as error:
            assert "\n" not in str(error) and str(error).endswith(".")
        else:
            assert weights.dtype == np.uint8 and weights.any()


def test_files_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "own"))
    (tmp_path / "a.csv").write_text(ROWS)
    (tmp_path / "a.npy").write_bytes(npy(np.arange(60.0).reshape(20, 3)))
    (tmp_path / "a.PNG").write_bytes(image(ramp()))
    (tmp_path / "b.csv").write_text("1")
    assert target(store.keep(read_file(str(tmp_path / "a.csv"))[0])).columns == 2
    assert target(store.keep(read_file(str(tmp_path / "a.npy"))[0])).columns == 3
    assert target(store.keep(read_file(str(tmp_path / "a.PNG"))[0])).entropy > 0
    with pytest.raises(ValueError, match="b.csv: "):
        read_file(str(tmp_path / "b.csv"))
    assert is_file("x/y.NPY") and is_file("c.jpeg") and not is_file("moons")
