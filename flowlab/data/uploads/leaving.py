"""Leaves an index, rows with gaps, and outliers out of a table before it is learned."""

from collections.abc import Callable

import numpy as np

from flowlab.data.uploads.caveats import caveats
from flowlab.data.uploads.table import UploadedTable

KINDS = ("index", "gaps", "outliers")
DEFAULT = ("index",)
#: Decides from a kind, and a phrase that can follow "leave", whether to leave something out.
Leave = Callable[[str, str], bool]


def without_index(table: UploadedTable, leave: Leave) -> UploadedTable:
    """Return the table without the column that counts its rows, if it has one."""
    if table.index and leave("index", "the first column"):
        return table.without_index()
    return table


def points(table: UploadedTable, columns: tuple[int, ...], leave: Leave
           ) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the chosen columns of a table as points, and all sentences about them.

    Raises
    ------
    ValueError
        As `UploadedTable.points` does.
    """
    gaps = table.gaps(columns)
    if gaps.any() and leave("gaps", _these(gaps, "row")):
        table = table.without(gaps, "with gaps")
    outliers, sentence = table.outliers(columns)
    if outliers.any() and leave("outliers", _these(outliers, "outlier")):
        table, sentence = table.without(outliers, "far from all others"), ""
    found, notes = table.points(columns)
    more = (sentence,) if sentence else ()
    return found, (*notes, *more, *caveats(found, tuple(table.names[c] for c in columns)))


def _these(rows: np.ndarray, what: str) -> str:
    count = int(rows.sum())
    return f"this {what}" if count == 1 else f"these {count:,} {what}s"


class Listed:
    """Leaves out the kinds on a list, and remembers what else could be left out.

    Parameters
    ----------
    kinds : sequence of str
        Some of `KINDS`.
    """

    def __init__(self, kinds: tuple[str, ...]) -> None:
        self.kinds = kinds
        self.others: dict[str, str] = {}

    def __call__(self, kind: str, what: str) -> bool:
        if kind not in self.kinds:
            self.others[kind] = what
        return kind in self.kinds

    def option(self, kind: str) -> str:
        """The command line's option that also leaves this kind out."""
        return f"--leave-out {','.join((*self.kinds, kind))}"

    def offers(self) -> tuple[str, ...]:
        """Sentences on what else could be left out."""
        return tuple(f"{self.option(kind)} leaves {what} out."
                     for kind, what in self.others.items())


def listed(text: str) -> Listed:
    """Read which kinds to leave out: names separated by commas, or ``nothing``.

    Raises
    ------
    ValueError
        With one sentence, for another word.
    """
    words = [word.strip() for word in text.split(",") if word.strip() and word.strip() != "nothing"]
    unknown = next((word for word in words if word not in KINDS), None)
    if unknown is not None:
        raise ValueError(f"leave_out is {unknown!r}, but it should be nothing, or some of "
                         f"{', '.join(KINDS)}.")
    return Listed(tuple(words))
