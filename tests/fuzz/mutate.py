"""Strategies that damage bytes, texts and JSON in a few places."""

import json
import re
from typing import Any

from hypothesis import strategies as some

#: Replacements of a number in a text.
NUMBERS = ("0", "-1", "1", "nan", "NaN", "inf", "-Infinity", "1e999", "-1e-320", "1e308", "0x10",
           "1_000", "9" * 30, "9" * 400, "1" * 5000, "true", "null", "", " ", "٣", "1,5", "01")
TEXTS = ("", "\0", "\ud800", "\ufeff", "\u202e", "\r", "\n\n", "../x", "/etc/passwd", "C:\\x", "..",
         "<script>", "[a](javascript:x)", "'; DROP TABLE runs", "$x$", "{}", "%", "%00", "%ff",
         "a" * 300, "é" * 90, "\U0001f600", "__class__", "$(id)", "`id`", "=", ":", ";", ",", "&")
BYTES = (b"\0", b"\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b'"', b"'", b",", b"\n", b"\x1a",
         b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\x00\x00\x00\x80", b"\xff" * 8, b"%s%n", b"PK")
VALUES = some.sampled_from((
    None, True, 0, -1, 1, 2**31, 2**63, 10**400, 1e308, 5e-324, 0.5, -0.0, float("nan"),
    float("inf"), "", [], {}, [[]], {"a": {"b": []}}, "moons", [1] * 50, ["x"] * 100,
    *NUMBERS, *TEXTS))
A_BYTE = some.binary(min_size=1, max_size=1)


@some.composite
def damaged(draw: some.DrawFn, content: bytes, others: tuple[bytes, ...] = (b"",)) -> bytes:
    """The bytes with up to four places damaged; pieces of other files may get into them."""
    for _ in range(draw(some.sampled_from((0, 1, 1, 1, 1, 1, 2, 2, 2, 4)))):
        size = len(content)
        # Headers are where the interesting places are.
        start = draw(some.integers(0, min(size, draw(some.sampled_from((16, 128, 1024, size))))))
        end = start + draw(some.sampled_from((0, 1, 1, 2, 4, 8, 64, size)))
        digits = [match.span() for match in re.finditer(rb"\d+", content[:4096])]
        match draw(some.integers(0, 6)):
            case 0:
                put = b""
            case 1:
                put = content[start:end][:4096] * 2
            case 2:
                put = draw(some.sampled_from(BYTES))
            case 3:
                other = draw(some.sampled_from(others))
                cut = draw(some.integers(0, len(other)))
                end, put = size, other[cut:cut + 4096]
            case 4 if digits:
                start, end = draw(some.sampled_from(digits))
                put = draw(some.sampled_from(NUMBERS)).encode("latin-1", "replace")
            case _:
                put = draw(A_BYTE)
        content = content[:start] + put + content[end:]
    return content


@some.composite
def damaged_text(draw: some.DrawFn, value: str) -> str:
    """The text with one place damaged, or another text."""
    spans = [match.span() for match in re.finditer(r"\d+", value)]
    place = draw(some.integers(0, len(value)))
    put = draw(some.sampled_from(TEXTS + NUMBERS) | some.text(max_size=3))
    start, end = draw(some.sampled_from([(place, place), (place, len(value)), *spans]))
    changed = value[:start] + put + value[end:]
    return draw(some.sampled_from((changed, changed, put, value[:place], value * 2, value * 40)))


@some.composite
def damaged_json(draw: some.DrawFn, value: Any) -> Any:
    """A JSON value with one place damaged."""
    if value and isinstance(value, dict | list) and draw(some.integers(0, 4)):
        value = value.copy()
        key = draw(some.sampled_from([*value] if isinstance(value, dict) else range(len(value))))
        match draw(some.integers(0, 7)):
            case 0:
                del value[key]
            case 1 if isinstance(value, dict):
                value[draw(damaged_text(key))] = value.pop(key)
            case 1:
                value += [value[key]] * draw(some.sampled_from((1, 30)))
            case _:
                value[key] = draw(damaged_json(value[key]))
        return value
    if isinstance(value, str) and draw(some.booleans()):
        return draw(damaged_text(value))
    return draw(VALUES)


@some.composite
def written(draw: some.DrawFn, value: Any) -> bytes:
    """The value as JSON, sometimes damaged in ways that only a text can be."""
    content = json.dumps(value).encode("utf-8", "replace")
    match draw(some.integers(0, 11)):
        case 1:
            return draw(damaged(content))
        case 2:  # a name twice
            return content.replace(b"{", b'{"model": "nice", ', 1)
        case 3:
            return b"[" * draw(some.sampled_from((50, 500, 5000))) + content
        case 4:
            return content.decode().encode(draw(some.sampled_from(("utf-16", "utf-32",
                                                                   "utf-8-sig"))))
    return content
