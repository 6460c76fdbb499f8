"""Points from a user's text or NPY file: every way it can be wrong has its sentence.

Nothing in a file is executed, and no size that it claims is believed before it is checked.
"""

import csv
import io
import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

MAX_BYTES = 10_000_000
MAX_ROWS = 200_000
MAX_COLUMNS = 64
MAX_CELLS = 5_000_000  # of a text: more take longer than anybody waits
MIN_ROWS = 10
LARGEST = 1e30  # float32 ends at 3e38, and squares are taken
TINIEST = 1e-100
#: Spreads that can be shown beside a base distribution of spread 1; others are standardised.
SPREADS = (0.05, 20.0)
FARTHEST = 30.0  # centre of a column, in its standard deviations

HEADERS = {(1, 0): np.lib.format.read_array_header_1_0,
           (2, 0): np.lib.format.read_array_header_2_0}
MAX_HEADER = 1000  # bytes; NumPy takes seconds for a long one that is no Python
MISSING = {"", "na", "n/a", "nan", "null", "none", "nil", "?", "-", "."}
_WIDE = re.compile(r"[ \t]+")


@dataclass(frozen=True)
class Table:
    """Numbers in named columns, as a file gave them.

    Attributes
    ----------
    names : tuple of str
        One for each column.
    values : numpy.ndarray
        Shape (rows, columns), float64; not-a-number where a value is missing.
    lines : numpy.ndarray
        Shape (rows,), the line (or row) of the file each row came from, from 1.
    notes : tuple of str
        Sentences on what was left out.
    """

    names: tuple[str, ...]
    values: np.ndarray
    lines: np.ndarray
    notes: tuple[str, ...] = ()

    def points(self, columns: tuple[int, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
        """Return the chosen columns as points, and notes on what was done to them.

        Columns far from a spread of 1 or far from 0 are standardised: centred, and divided by
        their standard deviation.

        Returns
        -------
        tuple
            The points, shape (rows, len(columns)), float32; and sentences.

        Raises
        ------
        ValueError
            For missing values, infinities, too few rows, or a column with one value.
        """
        if min(len(columns), len(self.names)) < 2:
            raise ValueError("The table has one column of numbers, but points need two: give x "
                             "and y in two columns.")
        if len(set(columns)) < len(columns):
            raise ValueError("Both axes show the same column: choose two different ones.")
        names = [self.names[c] for c in columns]
        values = self.values[:, list(columns)]
        self._complain(np.isnan(values), "no value", "fill it in or delete the row", names)
        self._complain(np.isinf(values), "an infinite value", "delete the row", names)
        self._complain(np.abs(values) > LARGEST, "a number too large to compute with",
                       "choose another unit", names)
        if len(values) < MIN_ROWS:
            raise ValueError(f"There {_rows(len(values))}, too few to learn from: give at least "
                             f"{MIN_ROWS}.")
        largest = np.abs(values).max(axis=0)
        # Of numbers near the smallest there are, the squares would be nothing.
        unit = np.where(largest < TINIEST, np.maximum(largest, np.nextafter(0, 1)), 1.0)
        centre, spread = values.mean(axis=0), (values / unit).std(axis=0) * unit
        constant = (np.ptp(values, axis=0) <= 1e-12 * largest) | (spread == 0)
        if constant.any():
            name = names[int(np.argmax(constant))]
            raise ValueError(f"Column {name} holds the same number in every row: choose another "
                             "column, for a flow cannot learn a line without width.")
        low, high = SPREADS
        notes = list(self.notes)
        if ((spread < low) | (spread > high) | (np.abs(centre) > FARTHEST * spread)).any():
            values = (values - centre) / spread
            units = ", ".join(f"{s:.4g} ({n})" for n, s in zip(names, spread, strict=True))
            notes.append("The columns were standardised: centred, and divided by their standard "
                         f"deviations {units}.")
        return values.astype(np.float32), tuple(notes)

    def _complain(self, wrong: np.ndarray, what: str, remedy: str, names: list[str]) -> None:
        count = int(wrong.any(axis=1).sum())
        if count:
            row, column = np.argwhere(wrong)[0]
            more = f" ({count:,} rows are like this)" if count > 1 else ""
            raise ValueError(f"Line {self.lines[row]:,} has {what} in column {names[column]}"
                             f"{more}: {remedy}.")


def open_npy(content: bytes, check: Callable[[tuple[int, ...]], None]
             ) -> np.ndarray:
    """Return the numbers in a NumPy file; ``check`` sees the shape before they are read.

    Raises
    ------
    ValueError
        With one sentence, when it is not an array of plain real numbers.
    """
    if not content.startswith(b"\x93NUMPY"):
        raise ValueError("This is not a NumPy file: save the array with numpy.save.")
    file = io.BytesIO(content)
    try:
        shape, by_columns, kind = _header(file)
    except Exception as error:  # NumPy has no one complaint for bytes that make no sense
        raise ValueError("The NumPy file is damaged, or holds no plain numbers: save the array "
                         "again.") from error
    if kind.hasobject:
        raise ValueError("The NumPy file holds Python objects, which are never loaded: save plain "
                         "numbers.")
    if kind.kind not in "fiub" or kind.itemsize > 8:
        raise ValueError("The NumPy file holds other things, not real numbers: save it as float64.")
    shape = tuple(map(int, shape))  # True is a number too, but no length
    check(shape)
    if math.prod(shape) * kind.itemsize != len(content) - file.tell():
        raise ValueError("The NumPy file is not as long as it says: save the array again.")
    values = np.frombuffer(content, kind, offset=file.tell())
    return values.reshape(shape, order="F" if by_columns else "C")


def told(shape: tuple[int, ...]) -> str:
    """A shape as a sentence can tell it, which a file may have made very long."""
    if len(shape) > 6 or any(abs(n) > 10**18 for n in shape):
        return f"of {len(shape)} dimensions"
    return str(shape)


def _header(file: io.BytesIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether column by column, and type, as a NumPy file tells them."""
    return HEADERS[np.lib.format.read_magic(file)](file, MAX_HEADER)


def dimensions(content: bytes) -> int:
    """How many dimensions a NumPy file says that its array has; 0 where it makes no sense."""
    try:
        return len(_header(io.BytesIO(content))[0])
    except Exception:  # what is wrong with it is said when it is read
        return 0


def is_stack(content: bytes) -> bool:
    """Whether a NumPy file says that its array has three or four dimensions, as images have."""
    return dimensions(content) in (3, 4)


def read_npy(content: bytes) -> Table:
    """Read a table from the bytes of a NumPy file.

    Raises
    ------
    ValueError
        With one sentence, when it is not a two-dimensional array of numbers of a bearable size.
    """
    _check_size(content)
    values = open_npy(content, _check_table).astype(np.float64)
    return Table(_numbered(values.shape[1]), values, np.arange(1, len(values) + 1))


def _check_table(shape: tuple[int, ...]) -> None:
    if len(shape) != 2:
        raise ValueError(f"The array has the shape {told(shape)}, but a table of points has two "
                         "dimensions: (rows, columns).")
    _check_shape(*shape)


def read_text(content: bytes) -> Table:
    """Read a table from the bytes of a CSV file, or of pasted coordinates.

    Columns may be parted by commas, semicolons, tabs or spaces; beside semicolons and tabs a comma
    may stand for the decimal point. A first line without numbers names the columns, and lines that
    begin with ``#`` are comments. A column without any number is left out.

    Raises
    ------
    ValueError
        With one sentence, when it cannot be read as such.
    """
    _check_size(content)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError("The file is not text in UTF-8: save it as CSV in UTF-8.") from error
    if "\0" in text:
        raise ValueError("The file is not text, though it should be CSV: save it as CSV in UTF-8.")
    if text.count("\n") + text.count("\r") > 2 * MAX_ROWS + 100:  # before a list is made of them
        _check_shape(MAX_ROWS + 1, 1)
    lines = [(i, line.strip()) for i, line in enumerate(re.split(r"\r\n|\n|\r", text), start=1)
             if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        raise ValueError("The file is empty: give a row of numbers for each point.")
    if len(lines) > MAX_ROWS + 1:
        _check_shape(len(lines), 1)
    rows = _split([line for _, line in lines])
    numbers = [i for i, _ in lines]
    names: tuple[str, ...] = ()
    if not any(_is_number(cell) for cell in rows[0]):
        names, rows, numbers = tuple(_short(c) for c in rows[0]), rows[1:], numbers[1:]
    if not rows:
        raise ValueError("There is a heading but no numbers: give a row for each point.")
    width = len(names or rows[0])
    _check_shape(len(rows), width)
    for number, row in zip(numbers, rows, strict=True):
        if len(row) != width:
            raise ValueError(f"Line {number:,} has {len(row)} columns, but the first has {width}: "
                             "give every row the same number of columns.")
    names = tuple(name or given for name, given in
                  zip(names or _numbered(width), _numbered(width), strict=True))
    return _table(names, rows, np.array(numbers))


def _table(names: tuple[str, ...], rows: list[list[str]], lines: np.ndarray) -> Table:
    columns, kept, left_out = [], [], []
    for name, cells in zip(names, zip(*rows, strict=True), strict=True):
        values = [math.nan if cell.lower() in MISSING else _number(cell) for cell in cells]
        if any(isinstance(v, float) and not math.isnan(v) for v in values):
            wrong = next((i for i, v in enumerate(values) if v is None), None)
            if wrong is not None:
                raise ValueError(f"Line {lines[wrong]:,} has {_short(cells[wrong])!r} in column "
                                 f"{name}, which is not a number: correct it or delete the row.")
            columns.append(values)
            kept.append(name)
        else:
            left_out.append(name)
    if not columns:
        raise ValueError("There is no column of numbers in the file: give x and y as numbers.")
    notes = (f"Without numbers, and left out: {', '.join(left_out)}.",) if left_out else ()
    return Table(tuple(kept), np.array(columns, dtype=np.float64).T, lines, notes)


def _split(lines: list[str]) -> list[list[str]]:
    """Split all lines into cells, at the sign that parts the first ones."""
    head = "\n".join(lines[:10])
    sign = next((s for s in ";\t," if s in head), " ")
    if max(line.count(sign) for line in lines) > 100 * MAX_COLUMNS:
        _check_shape(len(lines), MAX_COLUMNS + 1)
    if len(lines) + sum(line.count(sign) for line in lines) > MAX_CELLS:
        raise ValueError(f"The file has more than {MAX_CELLS:,} numbers: give a random part of its "
                         "rows, or fewer columns.")
    if sign == " ":
        return [_WIDE.split(line) for line in lines]
    try:
        # One line is one row, also where a quotation mark stays open.
        rows = [next(csv.reader([line], delimiter=sign, skipinitialspace=True)) for line in lines]
    except csv.Error as error:
        raise ValueError("The file cannot be read as CSV: part the columns by commas.") from error
    clean = (lambda c: c.strip()) if sign == "," else (lambda c: c.strip().replace(",", "."))
    return [[clean(cell) for cell in row] for row in rows]


def _number(cell: str) -> float | None:
    if "_" in cell:  # Python would read 1_000
        return None
    try:
        return float(cell)
    except ValueError:
        return None


def _is_number(cell: str) -> bool:
    return cell.lower() not in MISSING and _number(cell) is not None


def _short(cell: str) -> str:
    printable = "".join(c for c in cell if c.isprintable())
    return printable if len(printable) <= 24 else printable[:23] + "…"


def _numbered(columns: int) -> tuple[str, ...]:
    return tuple(f"{i}" for i in range(1, columns + 1))


def _rows(count: int) -> str:
    return "is 1 point" if count == 1 else f"are {count} points"


def _check_size(content: bytes) -> None:
    if not content:
        raise ValueError("The file is empty: give a row of numbers for each point.")
    if len(content) > MAX_BYTES:
        raise ValueError(f"The file has {len(content) / 1e6:.0f} MB: give at most "
                         f"{MAX_BYTES // 10**6} MB.")


def _check_shape(rows: int, columns: int) -> None:
    if rows > MAX_ROWS:
        raise ValueError(f"The file has more than {MAX_ROWS:,} rows: give a random part of them.")
    if columns > MAX_COLUMNS:
        raise ValueError(f"The file has more than {MAX_COLUMNS} columns: give at most that many.")
    if rows < 1 or columns < 1:
        raise ValueError("The table has no rows or no columns: give a row for each point.")
