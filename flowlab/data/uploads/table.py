"""Reads points from a user's text or NPY file, with one sentence for everything that is wrong.

Nothing in a file is executed, and every size that it claims is checked.
"""

import io
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from flowlab.data.uploads import texts
from flowlab.data.uploads.caveats import outliers
from flowlab.data.uploads.texts import MAX_COLUMNS, MAX_ROWS, check_shape, numbered

__all__ = ["MAX_BYTES", "MAX_COLUMNS", "MAX_ROWS", "UploadedTable", "dimensions", "is_stack",
           "open_npy", "read_npy", "read_text", "shape_text"]

MAX_BYTES = 10_000_000
MIN_ROWS = 10
LARGEST = 1e30  # float32 ends at 3e38, and numbers are squared
TINIEST = 1e-100
#: Spreads that suit a base distribution of spread 1; columns with others are standardised.
SPREADS = (0.05, 20.0)
FARTHEST = 30.0  # largest centre of a column, in its standard deviations

HEADERS = {(1, 0): np.lib.format.read_array_header_1_0,
           (2, 0): np.lib.format.read_array_header_2_0}
MAX_HEADER = 1000  # bytes; NumPy takes seconds to reject a long one


@dataclass(frozen=True)
class UploadedTable:
    """A file's numbers, in named columns.

    Attributes
    ----------
    names : tuple of str
        One for each column.
    values : numpy.ndarray
        Shape (rows, columns), float64; not-a-number where a value is missing.
    lines : numpy.ndarray
        Shape (rows,), the line (or row) of the file that each row came from, from 1.
    notes : tuple of str
        Sentences on what was left out or assumed.
    index : bool
        Whether the first column has no name and counts the rows.
    named : bool
        Whether the file names the columns.
    """

    names: tuple[str, ...]
    values: np.ndarray
    lines: np.ndarray
    notes: tuple[str, ...] = ()
    index: bool = False
    named: bool = False

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
        # The squares of the smallest floating-point numbers would be 0.
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

    def gaps(self, columns: tuple[int, ...]) -> np.ndarray:
        """Return which rows have no value in one of these columns."""
        return np.isnan(self.values[:, list(columns)]).any(axis=1)

    def outliers(self, columns: tuple[int, ...]) -> tuple[np.ndarray, str]:
        """Return which rows stretch the scale of these columns, and a sentence if any does."""
        found = outliers(self.values[:, list(columns)])
        rows = np.asarray(found.any(axis=1))
        if not rows.any():
            return rows, ""
        row, at = np.argwhere(found)[0]
        column = columns[at]
        rest = self.values[~found[:, at] & np.isfinite(self.values[:, column]), column]
        lines = [f"{line:,}" for line in self.lines[rows][:3]]
        count = int(rows.sum())
        which = f"Line {lines[0]} stretches" if count == 1 else (
            f"{count:,} rows (lines {', '.join(lines)}{', …' if count > 3 else ''}) stretch")
        return rows, (f"{which} the scale: {self.values[row, column]:.6g} in column "
                      f"{self.names[column]}, where the others go from {rest.min():.4g} to "
                      f"{rest.max():.4g}.")

    def without(self, rows: np.ndarray, why: str) -> "UploadedTable":
        """Return the table without these rows; ``why`` follows their number in a sentence."""
        count = int(rows.sum())
        note = f"Left out: {count:,} {'row' if count == 1 else 'rows'} {why}."
        return replace(self, values=self.values[~rows], lines=self.lines[~rows],
                       notes=(*self.notes, note))

    def without_index(self) -> "UploadedTable":
        """Return the table without the first column, which counts the rows."""
        return replace(self, names=self.names[1:], values=self.values[:, 1:], index=False,
                       notes=(*self.notes, "Left out: the first column, which has no name and "
                                           "counts the rows."))

    def _complain(self, wrong: np.ndarray, what: str, remedy: str, names: list[str]) -> None:
        count = int(wrong.any(axis=1).sum())
        if count:
            row, column = np.argwhere(wrong)[0]
            more = f" ({count:,} rows are like this)" if count > 1 else ""
            raise ValueError(f"Line {self.lines[row]:,} has {what} in column {names[column]}"
                             f"{more}: {remedy}.")


def open_npy(content: bytes, check: Callable[[tuple[int, ...]], object],
             wanted: np.dtype | None = None) -> np.ndarray:
    """Return the numbers in a NumPy file.

    Parameters
    ----------
    content : bytes
    check : callable
        Is called with the shape before the numbers are read, and raises ValueError where it is
        wrong.
    wanted : numpy.dtype, optional
        The type that the numbers must have; by default any real numbers.

    Raises
    ------
    ValueError
        With one sentence, when the file is no array of such numbers.
    """
    if not content.startswith(b"\x93NUMPY"):
        raise ValueError("This is not a NumPy file: save the array with numpy.save.")
    file = io.BytesIO(content)
    try:
        shape, by_columns, kind = _header(file)
    except Exception as error:  # NumPy raises exceptions of many types
        raise ValueError("The NumPy file is damaged, or holds no plain numbers: save the array "
                         "again.") from error
    if kind.hasobject:
        raise ValueError("The NumPy file holds Python objects, which are never loaded: save plain "
                         "numbers.")
    real = kind.kind in "fiub" and kind.itemsize <= 8
    if not (real if wanted is None else kind == wanted):
        raise ValueError("The NumPy file holds other things, not real numbers: save it as float64.")
    shape = tuple(map(int, shape))  # a header may have True as a length
    check(shape)
    if math.prod(shape) * kind.itemsize != len(content) - file.tell():
        raise ValueError("The NumPy file is not as long as it says: save the array again.")
    values = np.frombuffer(content, kind, offset=file.tell())
    return values.reshape(shape, order="F" if by_columns else "C")


def shape_text(shape: tuple[int, ...]) -> str:
    """Return a shape for a sentence, shortened where a file has made it very long."""
    if len(shape) > 6 or any(abs(n) > 10**18 for n in shape):
        return f"of {len(shape)} dimensions"
    return str(shape)


def _header(file: io.BytesIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Return the shape, whether it is in column-major order, and the type of a NumPy file."""
    return HEADERS[np.lib.format.read_magic(file)](file, MAX_HEADER)


def dimensions(content: bytes) -> int:
    """Return the number of dimensions in the header of a NumPy file; 0 where it is damaged."""
    try:
        return len(_header(io.BytesIO(content))[0])
    except Exception:  # reading it raises the error
        return 0


def is_stack(content: bytes) -> bool:
    """Whether the header of a NumPy file has three or four dimensions, as images have."""
    return dimensions(content) in (3, 4)


def is_of(content: bytes, kind: np.dtype) -> bool:
    """Whether the header of a NumPy file has this type."""
    try:
        return _header(io.BytesIO(content))[2] == kind
    except Exception:  # reading it raises the error
        return False


def read_npy(content: bytes) -> UploadedTable:
    """Read a table from the bytes of a NumPy file.

    Raises
    ------
    ValueError
        With one sentence, when it is no two-dimensional array of numbers, or too large.
    """
    _check_size(content)
    values = open_npy(content, _check_table).astype(np.float64)
    return UploadedTable(numbered(values.shape[1]), values, np.arange(1, len(values) + 1))


def _check_table(shape: tuple[int, ...]) -> None:
    if len(shape) != 2:
        raise ValueError(f"The array has the shape {shape_text(shape)}, but a table of points has "
                         "two dimensions: (rows, columns).")
    check_shape(*shape)


def read_text(content: bytes) -> UploadedTable:
    """Read a table from the bytes of a CSV file, or of pasted coordinates.

    Commas, semicolons, tabs, bars or spaces separate the columns; where commas do not, a comma may
    be the decimal sign or separate thousands. A first line that is no point names the columns, and
    lines that begin with ``#`` are comments, except errors of spreadsheets such as ``#N/A``. A
    column without any number is left out.

    Raises
    ------
    ValueError
        With one sentence, when the text is no table, or its numbers are ambiguous.
    """
    _check_size(content)
    text = texts.parse(content)
    columns, notes = text.columns()
    return UploadedTable(tuple(columns), np.array(list(columns.values()), dtype=np.float64).T,
                 np.array(text.lines), text.notes + notes,
                 index=text.counted and text.names[0] in columns and len(columns) > 2,
                 named=text.named)


def _rows(count: int) -> str:
    return "is 1 point" if count == 1 else f"are {count} points"


def _check_size(content: bytes) -> None:
    if not content:
        raise ValueError("The file is empty: give a row of numbers for each point.")
    if len(content) > MAX_BYTES:
        raise ValueError(f"The file has {len(content) / 1e6:.0f} MB: give at most "
                         f"{MAX_BYTES // 10**6} MB.")
