"""Limits that hold within a test."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from flowlab.server.limits import PREFIX, limits


@contextmanager
def limited(**values: object) -> Iterator[None]:
    """Have these limits, as the environment sets them; threads of the lab see them too."""
    names = {PREFIX + name.upper(): str(value) for name, value in values.items()}
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    limits.cache_clear()
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
        limits.cache_clear()
