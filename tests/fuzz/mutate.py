"""Small wrongs done to bytes, texts and JSON; all from one `random.Random`, so they repeat."""

import json
from random import Random
from typing import Any

#: What stands in for a number in a text.
NUMBERS = ("0", "-1", "1", "nan", "NaN", "inf", "-Infinity", "1e999", "-1e-320", "1e308", "0x10",
           "1_000", "9" * 30, "9" * 400, "1" * 5000, "true", "null", "", " ", "٣", "1,5", "01")
TEXTS = ("", "\0", "\ud800", "\ufeff", "\u202e", "\r", "\n\n", "../x", "/etc/passwd", "C:\\x", "..",
         "<script>", "[a](javascript:x)", "'; DROP TABLE runs", "$x$", "{}", "%", "%00", "%ff",
         "a" * 300, "é" * 90, "\U0001f600", "__class__", "$(id)", "`id`", "=", ":", ";", ",", "&")
BYTES = (b"\0", b"\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b'"', b"'", b",", b"\n", b"\x1a",
         b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\x00\x00\x00\x80", b"\xff" * 8, b"%s%n", b"PK")


def number(rng: Random, text: str) -> str:
    """The text with one of its runs of digits replaced."""
    places = [i for i, c in enumerate(text) if c.isdigit()]
    if not places:
        return text
    start = end = rng.choice(places)
    while end < len(text) and text[end].isdigit():
        end += 1
    return text[:start] + rng.choice(NUMBERS) + text[end:]


def data(rng: Random, content: bytes, others: tuple[bytes, ...] = ()) -> bytes:
    """The bytes with one to four wrongs."""
    content = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        size = len(content)
        # Headers are where the interesting places are.
        place = rng.randrange(min(size, rng.choice((16, 128, 1024, size or 1)))) if size else 0
        span = rng.choice((1, 1, 2, 4, 8, 64, size))
        match rng.randrange(9):
            case 0 if size:
                content[place] ^= 1 << rng.randrange(8)
            case 1 if size:
                content[place] = rng.randrange(256)
            case 2:
                del content[place:place + span]
            case 3:
                content[place:place] = content[place:place + span][:4096]
            case 4:
                wrong = rng.choice(BYTES)
                content[place:place + len(wrong)] = wrong
            case 5:
                content[place:place] = rng.choice(BYTES)
            case 6:
                del content[size - min(span, size):]
            case 7 if others:
                other = rng.choice(others)
                cut = rng.randrange(len(other) + 1)
                content[place:] = other[cut:cut + 4096]
            case 8:
                text = number(rng, content[:4096].decode("latin-1"))
                content[:4096] = text.encode("latin-1", "replace")
    return bytes(content)


def text(rng: Random, value: str) -> str:
    """The text with a wrong."""
    place = rng.randrange(len(value) + 1)
    match rng.randrange(6):
        case 0:
            return rng.choice(TEXTS)
        case 1:
            return value[:place] + rng.choice(TEXTS) + value[place:]
        case 2:
            return number(rng, value)
        case 3:
            return value[:place]
        case 4:
            return value * rng.choice((2, 3, 40))
        case _:
            return rng.choice(NUMBERS)


def tree(rng: Random, value: Any) -> Any:
    """A JSON value with a wrong somewhere in it."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        name = rng.choice(list(value))
        match rng.randrange(8):
            case 0:
                return {k: v for k, v in value.items() if k != name}
            case 1:
                return value | {text(rng, name): value[name]}
            case _:
                return value | {name: tree(rng, value[name])}
    if isinstance(value, list) and value and rng.random() < 0.8:
        place = rng.randrange(len(value))
        match rng.randrange(5):
            case 0:
                return value[:place] + value[place + 1:]
            case 1:
                return value + value[place:] * rng.choice((1, 30))
            case _:
                return [*value[:place], tree(rng, value[place]), *value[place + 1:]]
    if isinstance(value, str) and rng.random() < 0.5:
        return text(rng, value)
    return rng.choice((None, True, 0, -1, 1, 2**31, 2**63, 10**400, 1e308, 5e-324, 0.5, -0.0,
                       float("nan"), float("inf"), "", [], {}, [[]], {"a": {"b": []}}, "moons",
                       [1] * 50, rng.choice(TEXTS), rng.choice(NUMBERS), ["x"] * 100))


def written(rng: Random, value: Any) -> bytes:
    """The value as JSON, sometimes with wrongs that only a text can have."""
    content = json.dumps(value).encode("utf-8", "replace")
    match rng.randrange(12):
        case 0:
            return data(rng, content)
        case 1:  # a name twice
            return content.replace(b"{", b'{"model": "nice", ', 1)
        case 2:
            return b"[" * rng.choice((50, 500, 5000)) + content
        case 3:
            return content.decode().encode(rng.choice(("utf-16", "utf-32", "utf-8-sig")))
    return content
