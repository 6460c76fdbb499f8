"""Tables are read as the numbers a person sees; where those are unclear, there is a sentence."""

import csv
import io

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from flowlab.data.uploads.table import read_text

NAN = np.nan


def read(text: str):
    return read_text(text.encode())


def values(text: str) -> list[list[float]]:
    return read(text).values.tolist()


DECIMAL_COMMAS = [[0.1, 1.9], [0.25, 12.345], [-3, 1000.5]]


@pytest.mark.parametrize("separator", [" ", "   ", "\t", ";", " ; ", "|"])
@pytest.mark.parametrize("heading", ["", "x{}y\n", '"x"{}"y"\n'])
def test_decimal_commas_beside_any_other_separator(separator, heading):
    rows = [("0,100", "1,900"), ("0,25", "12,345"), ("-3", "1000,5")]
    table = read(heading.format(separator) + "\n".join(separator.join(row) for row in rows))
    assert table.values.tolist() == DECIMAL_COMMAS
    assert table.names == (("x", "y") if heading else ("1", "2"))
    assert "0,100 as 0.1" in table.notes[0]


@pytest.mark.parametrize("rows", [
    ["0,100 1,900", "0,200 2,345"], ["0,1 1,9"] * 3, ["0,5 3 1,25", "7 0,25 2"], ["1,5 -2,5"] * 2,
    ["x y", "0,100 1,900", "0,200 2,345", "0,300 1,000"],
])
def test_decimal_commas_with_spaces_between_columns(rows):
    numbers = [[float(c.replace(",", ".")) for c in row.split()] for row in rows if row != "x y"]
    assert values("\n".join(rows)) == numbers
    assert values("\n".join(row.replace(" ", "    ") for row in rows)) == numbers


def test_numbers_within_a_text_part_no_columns():
    assert values("phone,x,y\n555 1234,1.5,2\n555 1235,2.5,3\n") == [[1.5, 2], [2.5, 3]]


@pytest.mark.parametrize(("written", "numbers"), [
    (("900", "1,000", "2,091"), [900, 1000, 2091]), (("900", "1.000", "2.091"), [900, 1000, 2091]),
    (("900", "1 000", "2 091"), [900, 1000, 2091]), (("900", "1'000", "2'091"), [900, 1000, 2091]),
    (("900", "1’000", "2’091"), [900, 1000, 2091]), (("900", "1\xa0000", "5"), [900, 1000, 5]),
    (("900", "1\u202f000,5", "5"), [900, 1000.5, 5]),
    (("1,234.5", "6,789", "0"), [1234.5, 6789, 0]), (("1.234,5", "6.789", "0"), [1234.5, 6789, 0]),
    (("1,234,567", "2", "3"), [1234567, 2, 3]), (("12,34,567", "1", "2"), [1234567, 1, 2]),
    (("0,123", "1,234", "2,5"), [0.123, 1.234, 2.5]), (("1e3", "2E-3", "-.5"), [1000, 0.002, -0.5]),
    (("1,5e3", "2E-3", "0,5"), [1500, 0.002, 0.5]), (("−1.5", "–2", "+3"), [-1.5, -2, 3]),
    (("12%", "13.5 %", "-1%"), [12, 13.5, -1]), (("$1,234.50", "-$5", "$ 7"), [1234.5, -5, 7]),
    (("1.234,50 €", "13,00 €", "n/a"), [1234.5, 13, NAN]), (("007", "08", "9"), [7, 8, 9]),
])
@pytest.mark.parametrize("separator", ["\t", ";", ","])
def test_numbers_as_people_write_them(written, numbers, separator):
    if separator == "," and any("," in cell for cell in written):
        written = [f'"{cell}"' for cell in written]
    elif separator == "," and written[1] == "1.000":
        return  # where commas part the columns, a point is a decimal one
    text = "name" + separator + "v\n" + "\n".join(f"{i}{separator}{c}" for i, c in
                                                  enumerate(written))
    assert np.array_equal(read(text).values[:, 1], numbers, equal_nan=True)


@pytest.mark.parametrize(("text", "words"), [
    ("1,234;5\n2,345;6\n", "'1,234' in column 1, which may be 1.234 or 1234"),
    ("1,5;2\n1.5;3\n", "same decimal sign"), ("x\ty\n1,234\t1\n1500\t2\n", "may be"),
    ("1 234,5 678\n1 235,6 789\n", "not clear"), ("0,5, 1,2\n0,7, 1,3\n", "not clear"),
    ("0,512 103,9\n0,612 104,25\n", "not clear"),
    ("0,05\n0,50\n1,25\n", "'05' after a comma"), ("1 000 2 000\n1 100 2 100\n", "after a space"),
    ("12%;1\n13;2\n", "not a number"), ("1,2\n3,4,5\n", "3 columns"), ("1_0,1\n2,2\n", "number"),
    ("#1,2,3\n#2,3,4\n", "begin with #"), ("oops,5\n1,2\n3,4\n", "'oops'"),
])
def test_what_can_be_read_in_two_ways_gets_one_sentence(text, words):
    with pytest.raises(ValueError) as error:
        read(text)
    assert words in str(error.value) and str(error.value).endswith(".")
    assert "\n" not in str(error.value)


def test_a_heading_tells_which_commas_part_the_columns():
    assert values("x, y\n0,5, 1,2\n0,7, 1,3\n") == [[0.5, 1.2], [0.7, 1.3]]
    assert values("zip,x\n00501,2\n00502,3\n") == [[501, 2], [502, 3]]
    assert read("x (m; roughly),y\n1,2\n3,4\n").names == ("x (m; roughly)", "y")


def test_points_that_may_be_thousands_are_said():
    table = read("1.234;2.345\n3.456;4.567\n")
    assert table.values.tolist() == [[1.234, 2.345], [3.456, 4.567]]
    assert "1.234 as 1.234" in table.notes[0]
    assert read("1.234,2.345\n3.456,4.567\n").notes == ()


DECIMALS = "\n".join(f"{i / 7:.3f},{i * i % 11 + 0.01}" for i in range(20))
WHOLE = "\n".join(f"{i},{i * 3 % 7}" for i in range(20))


@pytest.mark.parametrize(("first", "body", "names"), [
    ("0,1", DECIMALS, ("0", "1")), ("2019,2020", DECIMALS, ("2019", "2020")),
    ("2019,2020", WHOLE, ("2019", "2020")), ("2020,2019", WHOLE, ("2020", "2019")),
    ("1,2", DECIMALS, ("1", "2")), ("0,1", WHOLE, None), ('"5","7"', WHOLE, ("5", "7")),
    ("3,8", DECIMALS, None), ("2019,2019", DECIMALS, None), ("0.5,1", DECIMALS, None),
])
def test_a_heading_of_numbers_is_no_point(first, body, names):
    table = read(f"{first}\n{body}")
    assert len(table.values) == 20 + (names is None)
    assert table.names == (names or ("1", "2"))
    if names or first == "0,1":
        assert "The first line" in table.notes[0]


def test_a_heading_of_years_beside_a_name():
    table = read("country,2019,2020\nFrance,1.2,3.4\nSpain,2.2,4.1\n")
    assert table.names == ("2019", "2020") and table.values.tolist() == [[1.2, 3.4], [2.2, 4.1]]


@pytest.mark.parametrize("error", ["#N/A", "#DIV/0!", "#REF!", "#VALUE!", "#NUM!", "#NAME?", "#NV",
                                   "#BEZUG!", "####", "#NULL!", "#¡DIV/0!"])
@pytest.mark.parametrize("separator", [",", ";", "\t", " "])
def test_an_error_of_a_spreadsheet_is_a_gap_and_no_comment(error, separator):
    table = read(f"x,y\n1,2\n{error},3\n4,{error}\n# a remark\n5,6".replace(",", separator))
    assert np.array_equal(table.values, [[1, 2], [NAN, 3], [4, NAN], [5, 6]], equal_nan=True)
    assert any("#" in note for note in table.notes)


def test_the_comment_above_names_the_columns():
    file = io.StringIO()
    np.savetxt(file, np.arange(6.0).reshape(3, 2), delimiter=",", header="made here\na,b")
    table = read(file.getvalue())
    assert table.names == ("a", "b") and table.values.tolist() == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize("given", ["sep=;", "SEP=;", '"sep=;"', "\ufeffsep=;", "sep=;;;"])
def test_the_line_with_which_excel_gives_the_separator(given):
    table = read(f"{given}\nx;y\n1,5;2\n2,5;3\n")
    assert table.names == ("x", "y") and table.values.tolist() == [[1.5, 2], [2.5, 3]]
    assert table.lines.tolist() == [3, 4]


INDEXED = {
    "pandas": ",x,y\n0,0.5,1.5\n1,0.7,2.5\n", "R": '"","x","y"\n"1",0.5,1.5\n"2",0.7,2.5\n',
    "R, spaces": '"x" "y"\n"1" 0.5 1.5\n"2" 0.7 2.5\n',
    "tabs": "\tx\ty\n0\t0.5\t1.5\n1\t0.7\t2.5\n",
    "printed": "     x    y\n0  0.5  1.5\n1  0.7  2.5\n",
    "again": "Unnamed: 0,x,y\n3,0.5,1.5\n7,0.7,2.5\n",
}


@pytest.mark.parametrize("kind", INDEXED)
def test_an_index_is_known_as_one(kind):
    table = read(INDEXED[kind])
    assert table.index and table.names == ("index", "x", "y")
    assert table.values[:, 1:].tolist() == [[0.5, 1.5], [0.7, 2.5]]
    rest = table.without_index()
    assert rest.names == ("x", "y") and not rest.index and "first column" in rest.notes[-1]


@pytest.mark.parametrize("text", ["x,y,z\n0,1,2\n1,3,4\n", ",x,y\n5,1,2\n5,3,4\n", "0,1,2\n1,3,4\n",
                                  ",x,y\n0.5,1,2\n1.5,3,4\n"])
def test_other_first_columns_are_none(text):
    assert not read(text).index


@pytest.mark.parametrize("text", [
    "x,y,\n1,2,\n3,4,\n", "x,y\n1,2,\n3,4,\n", "x,y,,\n1,2\n3,4\n", "x,y\n\n1,2\n,\n3,4\n,,\n",
    "x\ty\t\n1\t2\t\n3\t4\t\n", "x;y\r\n1;2\r\n3;4\r\n;\r\n",
])
def test_empty_last_columns_and_rows_are_nothing(text):
    table = read(text)
    assert table.names == ("x", "y") and table.values.tolist() == [[1, 2], [3, 4]]


def test_a_table_with_an_empty_first_cell():
    assert np.array_equal(values("x\ty\n\t2\n1\t3\n"), [[NAN, 2], [1, 3]], equal_nan=True)


def test_names_that_come_twice_are_told_apart():
    assert read("x,x,,x\n1,2,3,4\n").names == ("x", "x (2)", "3", "x (3)")


@given(st.lists(st.lists(st.floats(-1e6, 1e6).map(lambda x: round(x, 2)), min_size=2, max_size=2),
                min_size=2, max_size=20), st.sampled_from(";\t|"), st.sampled_from(".,"))
def test_numbers_written_in_any_way_are_read_as_they_were_or_not_at_all(rows, separator, sign):
    """No number is ever read as a thousand times itself."""
    assume(all(abs(x) > 1e-4 or x == 0 for row in rows for x in row))
    file = io.StringIO()
    csv.writer(file, delimiter=separator).writerows(
        [f"{x:,.2f}".translate(str.maketrans(".,", ",." if sign == "," else ".,")) for x in row]
        for row in rows)
    assert values("a" + separator + "b\n" + file.getvalue()) == rows
