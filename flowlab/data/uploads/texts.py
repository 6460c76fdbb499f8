"""Splits the text of a table into columns, their names, and comments."""

import csv
import re
from collections import Counter
from dataclasses import dataclass

from flowlab.data.uploads.cells import Column, is_missing, number, short
from flowlab.data.uploads.headings import counts, heading_of

MAX_ROWS = 200_000
MAX_COLUMNS = 64
MAX_CELLS = 5_000_000  # more take too long to read
LOOKED_AT = 200  # lines from which the separator is found

SEPARATORS = (";", "\t", "|", " ", ", ", ",")  # the least ambiguous first
_UNCLEAR = {" ", ", ", ","}  # these may be part of a number
_SEP = re.compile(r'"?sep=(;|,|\t|\\t|\||:| )"?[;,]*', re.IGNORECASE)


@dataclass(frozen=True)
class Text:
    """A table as text: names, cells and the line of each row, unchanged.

    Attributes
    ----------
    names : tuple of str
        One for each column.
    rows : list of list of str
    lines : list of int
        The line of the file that each row came from, from 1.
    separator : str
        What separates the columns.
    counted : bool
        Whether the first column has no name and counts the rows, as in files of pandas and R.
    named : bool
        Whether the text names the columns.
    notes : tuple of str
        Sentences on what was assumed.
    """

    names: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]
    separator: str
    counted: bool
    named: bool
    notes: tuple[str, ...]

    def columns(self) -> tuple[dict[str, list[float]], tuple[str, ...]]:
        """Return the columns of numbers by name, and sentences on what is assumed or left out.

        Raises
        ------
        ValueError
            With one sentence, for a cell that is no number in a column of numbers.
        """
        columns = [Column(name, cells, self.lines, self.separator == ",")
                   for name, cells in zip(self.names, zip(*self.rows, strict=True), strict=True)]
        numbers = [column for column in columns if not column.is_text]
        if not numbers:
            raise ValueError("There is no column of numbers in the file: give x and y as numbers.")
        certain = set().union(*(column.certain for column in numbers))
        read = {column.name: column.numbers(certain) for column in numbers}
        assumed = [column.note for column in numbers if column.note]
        more = f"; and so on in {len(assumed) - 3} more columns" if len(assumed) > 4 else ""
        notes = [f"Read {'; '.join(assumed[:3 if more else 4])}{more}."] if assumed else []
        left_out = [column.name for column in columns if column.is_text]
        if left_out:
            notes.append(f"Without numbers, and left out: {', '.join(left_out)}.")
        return read, tuple(notes)


def parse(content: bytes) -> Text:
    """Split the text of a table.

    Raises
    ------
    ValueError
        With one sentence, when it is not UTF-8, not a table, or too large.
    """
    lines, comments, given = _lines(_decode(content))
    if not lines:
        why = " but for lines that begin with #, which are comments" if comments else ""
        raise ValueError(f"The file is empty{why}: give a row of numbers for each point.")
    if len(lines) > MAX_ROWS + 1:
        check_shape(len(lines), 1)
    texts = [line for _, line in lines]
    for sign in {sign[0] for sign in SEPARATORS}:
        if max(text.count(sign) for text in texts) > 100 * MAX_COLUMNS:
            check_shape(len(lines), MAX_COLUMNS + 1)
    separator = given or _separator(texts)
    if len(lines) + sum(text.count(separator) for text in texts) > MAX_CELLS:
        raise ValueError(f"The file has more than {MAX_CELLS:,} numbers: give a random part of its "
                         "rows, or fewer columns.")
    rows = _without_ends(_split(texts, separator))
    kept = [(number, row) for (number, _), row in zip(lines, rows, strict=True) if any(row)]
    return _named([row for _, row in kept], [number for number, _ in kept], separator,
                  comments, quoted='"' in texts[0] and not any('"' in t for t in texts[1:]))


def check_shape(rows: int, columns: int) -> None:
    """Refuse a table that is too large or empty.

    Raises
    ------
    ValueError
        With one sentence.
    """
    if rows > MAX_ROWS:
        raise ValueError(f"The file has more than {MAX_ROWS:,} rows: give a random part of them.")
    if columns > MAX_COLUMNS:
        raise ValueError(f"The file has more than {MAX_COLUMNS} columns: give at most that many.")
    if rows < 1 or columns < 1:
        raise ValueError("The table has no rows or no columns: give a row for each point.")


def numbered(columns: int) -> tuple[str, ...]:
    """Return numbers as names for columns without any."""
    return tuple(f"{i}" for i in range(1, columns + 1))


def _decode(content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError("The file is not text in UTF-8: save it as CSV in UTF-8.") from error
    if "\0" in text:
        raise ValueError("The file is not text, though it should be CSV: save it as CSV in UTF-8.")
    if text.count("\n") + text.count("\r") > 2 * MAX_ROWS + 100:  # before a list is made of them
        check_shape(MAX_ROWS + 1, 1)
    return text


Lines = list[tuple[int, str]]


def _lines(text: str) -> tuple[Lines, Lines, str]:
    """Return numbered lines, comments, and the separator that a first line ``sep=`` names."""
    lines: Lines = []
    comments: Lines = []
    given = ""
    for i, line in enumerate(re.split(r"\r\n|\n|\r", text), start=1):
        if not line.strip():
            continue
        if not lines and not given and (found := _SEP.fullmatch(line)):
            given = found[1].replace("\\t", "\t")
        elif line.lstrip()[0] == "#" and not is_missing(re.split(r"[;,|\s]", line.lstrip())[0]):
            comments.append((i, line.strip("# \t")))
        else:
            lines.append((i, line))
    return lines, comments, given


def _separator(lines: list[str]) -> str:
    """Return the separator with which most lines have the same number of cells with numbers.

    Raises
    ------
    ValueError
        If two separators do, and give different numbers.
    """
    body = lines[1:LOOKED_AT] or lines
    scores = {sign: _score(body, sign) for sign in SEPARATORS}
    best = max(scores.values())
    if best == 0:  # without numbers; the error names the columns
        return next((sign for sign in ";\t|," if any(sign in line for line in lines[:10])), " ")
    possible = [sign for sign in SEPARATORS if scores[sign] == best]
    if possible[0] in _UNCLEAR and len(possible) > 1:
        widths = {sign: [len(row) for row in _split(lines[:2], sign)] for sign in possible}
        like = [sign for sign in possible if widths[sign][0] == widths[sign][-1]]
        possible = like if len(like) == 1 and not _all_numbers(lines[0], like[0]) else possible
    if possible[0] in _UNCLEAR and len(possible) > 1:
        raise ValueError(f"It is not clear which commas or spaces separate the columns in "
                         f"{short(body[0].strip())!r}: separate them with semicolons.")
    return possible[0]


def _score(lines: list[str], sign: str) -> int:
    """Count the lines with the most common number of cells and two or more numbers in them."""
    if not any(sign in line.strip() for line in lines):
        return 0
    rows = _split(lines, sign)
    cells = [cell for row in rows for cell in row]
    if sign == ", " and not any("," in cell for cell in cells):
        return 0  # then commas alone are the separator
    if sign == " " and any(cell[:1] == "," or cell[-1:] == "," for cell in cells):
        return 0  # then the spaces belong to the commas
    width = Counter(map(len, rows)).most_common(1)[0][0]
    return sum(len(row) == width and sum(map(_is_number, row)) >= 2
               and not any(map(_are_numbers, row)) for row in rows)


def _are_numbers(cell: str) -> bool:
    """Whether a cell holds several numbers with spaces between them."""
    parts = cell.split()
    return len(parts) > 1 and number(cell) is None and all(number(p) is not None for p in parts)


def _is_number(cell: str) -> bool:
    return not re.match(r"[+-]?0\d", cell) and number(cell) is not None


def _all_numbers(line: str, sign: str) -> bool:
    return all(number(cell) is not None for cell in _split([line], sign)[0])


def _split(lines: list[str], sign: str) -> list[list[str]]:
    """Split lines into cells; one line is one row, even where a quotation mark is not closed."""
    if sign == ", ":
        return [[cell.strip() for cell in re.split(r",\s+", line.strip())] for line in lines]
    if sign == " ":
        lines = [line.strip().replace("\t", " ") for line in lines]
    try:
        rows = [next(csv.reader([line], delimiter=sign, skipinitialspace=True)) for line in lines]
    except csv.Error as error:
        raise ValueError("The file cannot be read as CSV: separate the columns with commas."
                         ) from error
    return [list(map(str.strip, row)) for row in rows]


def _without_ends(rows: list[list[str]]) -> list[list[str]]:
    """Remove last columns that are empty and have no name."""
    longest = used = max(map(len, rows))
    while used > 1 and not any(row[used - 1] for row in rows if len(row) >= used):
        used -= 1
    return rows if used == longest else [row[:used] for row in rows]


def _named(rows: list[list[str]], lines: list[int], separator: str, comments: Lines,
           quoted: bool) -> Text:
    """Name the columns by the first row, or by the comment above it."""
    notes = []
    heading, note = heading_of(rows, quoted)
    first = lines[0] if lines else 0
    names = rows[0] if heading else []
    if note:
        notes.append(note)
    if heading:
        rows, lines = rows[1:], lines[1:]
    if not rows:
        raise ValueError("There is a heading but no numbers: give a row for each point.")
    width = len(rows[0])
    check_shape(len(rows), max(width, len(names)))
    if names and len(names) == width - 1 and counts(rows):  # as R writes it
        names = ["", *names]
    width = len(names) or width
    for line, row in zip(lines, rows, strict=True):
        if len(row) != width:
            raise ValueError(f"Line {line:,} has {len(row)} columns, but the first has {width}: "
                             "give every row the same number of columns.")
    above = [text for line, text in comments if line < first]
    if not names and above:
        cells = _split(above[-1:], separator)[0] if above[-1] else []
        if len(cells) == width and all(number(c) is None for c in cells):
            names = cells
            notes.append("The names of the columns are those of the comment above them.")
    if not names:
        _check_zeros(rows, lines, separator)
    within = len(comments) - len(above)
    if within:
        notes.append("1 line that begins with # was taken for a comment." if within == 1 else
                     f"{within:,} lines that begin with # were taken for comments.")
    counted = bool(names) and names[0] in ("", "Unnamed: 0") and counts(rows)
    if counted:
        names = ["index", *names[1:]]
    return Text(_unique(names or [""] * width), rows, lines, separator, counted,
                bool(names), tuple(notes))


def _check_zeros(rows: list[list[str]], lines: list[int], separator: str) -> None:
    """Refuse cells that may be digits after a decimal comma or a separator of thousands."""
    if separator not in _UNCLEAR or not all(cell.isdecimal() for row in rows for cell in row):
        return
    for line, row in zip(lines, rows, strict=True):
        cell = next((cell for cell in row[1:] if cell[0] == "0" != cell), None)
        if cell:
            what = "comma" if separator == "," else "space"
            raise ValueError(f"Line {line:,} has {short(cell)!r} after a {what}, which may be a "
                             "column or a part of a number: separate the columns with semicolons, "
                             "or name them in the first line.")


def _unique(names: list[str]) -> tuple[str, ...]:
    """Make names short and distinct; a column without a name gets its number."""
    found: list[str] = []
    for name, given in zip(names, numbered(len(names)), strict=True):
        name = again = short(name) or given
        count = 1
        while again in found:
            count += 1
            again = f"{name} ({count})"
        found.append(again)
    return tuple(found)
