"""Reads the cells of a table as the numbers that a person sees, or says why they are unclear."""

import math
import re
from collections.abc import Sequence

MISSING = {"", "na", "n/a", "nan", "null", "none", "nil", "?", "-", ".", "–", "—", "<na>", "\\n"}
#: What a spreadsheet shows in place of a value: #N/A, #DIV/0!, #REF!, #NV, ####.
_ERROR = re.compile(r"#(?:N/?[ADV]\w*|#+|GETTING_DATA|¡?[^\W\d_][\w/]*[!?])", re.IGNORECASE)
#: Other characters for a minus, the space between thousands, and an apostrophe.
_SIGNS = str.maketrans(dict.fromkeys("−‐‑–﹣－", "-") | dict.fromkeys("\xa0\u2007\u2009\u202f", " ")
                       | {"’": "'"})
_UNITS = "%‰°€$£¥"


def _grammar(point: str, comma: str, after: str) -> re.Pattern[str]:
    thousands = (rf"[1-9]\d{{0,2}}(?P<comma>[{comma} '])(?:\d\d(?P=comma))*\d{{3}}"  # 1,23,456 too
                 r"(?:(?P=comma)\d{3})*")
    return re.compile(rf"[+-]?(?:(?:(?:{thousands}|\d+)(?:{point}{after})?|{point}\d+)"
                      r"(?:e[+-]?\d+)?|inf|infinity)", re.IGNORECASE)


#: Both notations of numbers by their decimal sign: 1,234.5 and 1.234,5.
STYLES = {".": _grammar(r"\.", ",", r"\d*"), ",": _grammar(",", ".", r"\d+")}
_BETWEEN = {".": ",", ",": "."}  # the separator of thousands by the decimal sign


def is_missing(cell: str) -> bool:
    """Whether a cell means that there is no value."""
    return cell.lower() in MISSING or (cell[:1] == "#" and _ERROR.fullmatch(cell) is not None)


def fits(cell: str, sign: str) -> bool:
    """Whether a cell is a number with this decimal sign."""
    return STYLES[sign].fullmatch(cell) is not None


def number(cell: str) -> float | None:
    """Read a single cell with any decimal sign and unit; None where it is no number."""
    cell = re.sub(rf"[{_UNITS}]\s*", "", cell.translate(_SIGNS)).strip()
    sign = next((sign for sign in STYLES if fits(cell, sign)), None)
    return None if sign is None else _value(cell, sign)


def short(cell: str) -> str:
    """Shorten a cell for a sentence."""
    printable = "".join(c for c in cell if c.isprintable())
    return printable if len(printable) <= 24 else printable[:23] + "…"


class Column:
    """The cells of a column, and the decimal signs under which all of them are numbers.

    Parameters
    ----------
    name : str
    cells : sequence of str
    lines : sequence of int
        The line of the file of each cell.
    commas_part : bool
        Whether commas separate the columns, so that the decimal sign is a point.

    Raises
    ------
    ValueError
        Where some of the cells are numbers, and others are not.
    """

    def __init__(self, name: str, cells: Sequence[str], lines: Sequence[int],
                 commas_part: bool) -> None:
        self.name, self.cells, self.given, self.lines = name, cells, cells, lines
        self.unit = ""
        #: What was assumed; it follows "Read" in a sentence.
        self.note = ""
        self.signs: set[str] = set()
        text = "\n".join(cells)
        self.values = _floats(cells, text)
        if self.values is not None:  # the common case is fast
            both = "." in text and not commas_part and self._fits(",")
            self.signs = {".", ","} if both else {"."}
        elif re.search(r"\d", text):
            if not text.isascii():
                self.cells = [cell.translate(_SIGNS) for cell in cells]
            self._take_unit_off()
            self.signs = set(filter(self._fits, STYLES))
            if not self.signs:
                self._complain()
        self.is_text = not self.signs or all(map(is_missing, self.cells))
        #: The decimal sign that follows from this column alone, if one does.
        self.certain = self.signs if len(self.signs) == 1 and re.search("[.,]", text) else set()
        #: The first cell that is a different number under each decimal sign, commas first.
        self.unclear = (self._differing(",") or self._differing(".")
                        if len(self.signs) > 1 else None)

    def _differing(self, c: str) -> str | None:
        return next((cell for cell in self.cells if c in cell and not is_missing(cell)
                     and _value(cell, ".") != _value(cell, ",")), None)

    def _fits(self, sign: str) -> bool:
        return all(fits(cell, sign) or is_missing(cell) for cell in self.cells)

    def _take_unit_off(self) -> None:
        """Remove a per cent or currency sign that every cell has."""
        given = [cell for cell in self.cells if not is_missing(cell)]
        for unit in _UNITS:
            if given and all(cell.endswith(unit) or cell.lstrip("+-").startswith(unit)
                             for cell in given):
                self.unit = unit
                self.cells = [re.sub(rf"\s*{re.escape(unit)}\s*", "", cell, count=1)
                              for cell in self.cells]
                return

    def _complain(self) -> None:
        """Raise ValueError for a cell that is no number; a column without numbers is text."""
        found = {sign: [fits(cell, sign) for cell in self.cells] for sign in STYLES}
        sign, other = sorted(found, key=lambda s: -sum(found[s]))
        if not any(found[sign]):
            return
        wrong = next(i for i, cell in enumerate(self.cells)
                     if not found[sign][i] and not is_missing(cell))
        start = f"Line {self.lines[wrong]:,} has {short(self.cells[wrong])!r} in column {self.name}"
        if found[other][wrong]:
            right = short(self.cells[found[sign].index(True)])
            raise ValueError(f"{start}, and another line {right!r}: write all numbers with the "
                             "same decimal sign, and none between thousands.")
        raise ValueError(f"{start}, which is not a number: correct it or delete the row.")

    def _likely(self, unclear: str) -> set[str]:
        """Return the decimal sign where numbers look like thousands: 900 beside 1,000."""
        between = "," if "," in unclear else "."
        given = [cell.lstrip("+-") for cell in self.cells if not is_missing(cell)]
        rest = [cell for cell in given if between not in cell]
        padded = any(cell.endswith("0") for cell in given if between in cell)
        short_ones = bool(rest) and all(len(cell) <= 3 for cell in rest)
        if short_ones and (padded or any(len(cell) == 3 for cell in rest)):
            return {_BETWEEN[between]}
        return set()

    def numbers(self, certain: set[str]) -> list[float]:
        """Return the numbers of the column.

        Parameters
        ----------
        certain : set of str
            The decimal signs that follow from single columns of the table.

        Raises
        ------
        ValueError
            If a comma may be the decimal sign or separate thousands.
        """
        sign, shown = "." if "." in self.signs else ",", None
        if self.unclear is not None:
            shown = self.unclear
            found = certain if len(certain) == 1 else self._likely(shown)
            if found:
                sign, = found
            elif "," in shown:
                line = self.lines[self.cells.index(shown)]
                low, high = sorted((_value(shown, "."), _value(shown, ",")))
                raise ValueError(f"Line {line:,} has {short(shown)!r} in column {self.name}, which "
                                 f"may be {low:.15g} or {high:.15g}: write it with a decimal "
                                 "point, or without the comma.")
        values = self.values
        if values is None or sign == ",":
            text = _as_python("\n".join(self.cells), sign)
            values = [math.nan if is_missing(cell) else float(cell) for cell in text.split("\n")]
            shown = shown or next((cell for cell in self.cells if not is_missing(cell)
                                   and (self.unit or any(c in cell for c in ", '"))), None)
        if shown:
            given = self.given[self.cells.index(shown)]
            self.note = f"{short(given)} as {_value(shown, sign):.15g} in column {self.name}"
        return values


def _floats(cells: Sequence[str], text: str) -> list[float] | None:
    """Read the cells as Python reads numbers; None where it cannot."""
    if "_" in text:  # Python would accept 1_000
        return None
    try:
        return list(map(float, cells))
    except ValueError:
        pass
    try:
        return [math.nan if is_missing(cell) else float(cell) for cell in cells]
    except ValueError:
        return None


def _value(cell: str, sign: str) -> float:
    """Read a cell that fits a decimal sign."""
    return float(_as_python(cell, sign))


def _as_python(text: str, sign: str) -> str:
    """Rewrite numbers that fit a decimal sign as Python writes them."""
    for between in (_BETWEEN[sign], " ", "'"):
        text = text.replace(between, "")
    return text.replace(",", ".")
