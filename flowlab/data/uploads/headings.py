"""Decides whether a table's first row names its columns, and its first column counts its rows."""

import re

from flowlab.data.uploads.cells import is_missing, number, short

_LOOKED_AT = 200  # rows below the first


def heading_of(rows: list[list[str]], quoted: bool) -> tuple[bool, str]:
    """Return whether the first row names the columns, and a sentence where that is assumed."""
    if not rows:
        return False, ""
    first, body = rows[0], rows[1:1 + _LOOKED_AT]
    values = [number(cell) for cell in first]
    if not any(value is not None for value in values):
        return not all(map(is_missing, first)), ""
    body = [row for row in body if len(row) == len(first)]
    if not body:
        return False, ""
    below = [[v for row in body if (v := number(row[j])) is not None] for j in range(len(first))]
    columns = [j for j, value in enumerate(values) if value is not None and below[j]]
    labels = [first[j] for j in columns]
    if not (_like_names(labels) or quoted):
        return False, ""
    named = any(value is None and (not cell or below[j])  # a name or a gap above numbers
                for j, (value, cell) in enumerate(zip(values, first, strict=True)))
    written = ", ".join(map(short, filter(None, first[:4]))) + (", …" if len(first) > 4 else "")
    if named or quoted or any(_stands_out(first[j], [row[j] for row in body], below[j])
                              for j in columns):
        return True, f"The first line ({written}) was taken for names of columns, not for a point."
    return False, f"The first line ({written}) was taken for a point, not for names of columns."


def _like_names(labels: list[str]) -> bool:
    """Whether whole numbers count the columns, as in pandas, or are different years."""
    if not all(re.fullmatch(r"0|[1-9]\d{0,3}", label) for label in labels):
        return False
    numbers = [int(label) for label in labels]
    counted = len(numbers) > 1 and numbers in (list(range(len(numbers))),
                                               list(range(1, len(numbers) + 1)))
    return counted or (len({*numbers}) == len(numbers) > 0
                       and all(1500 <= year <= 2200 for year in numbers))


def _stands_out(label: str, cells: list[str], below: list[float]) -> bool:
    """Whether a whole number is above decimals, or far outside the range of its column."""
    if not any(cell.lstrip("+-").isdigit() for cell in cells):
        return True
    low, high = min(below), max(below)
    return low < high and not low - (high - low) <= int(label) <= high + (high - low)


def counts(rows: list[list[str]]) -> bool:
    """Whether the first cells of all rows are distinct whole numbers, or distinct texts."""
    cells = [row[0] for row in rows]
    return len(set(cells)) == len(cells) and (
        all(map(str.isdecimal, cells)) or not any(number(cell) is not None for cell in cells))
