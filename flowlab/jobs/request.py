"""What goes to a worker: a function and its settings, checked before they wait in a queue."""

import os
import pickle
import sys
from typing import Any


def pickled(what: str, value: Any, advice: str) -> bytes:
    """`value` as bytes, or a ValueError of one sentence."""
    try:
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{what} cannot be sent to a worker ({reason}): {advice}.") from error


def main_script(*parts: bytes) -> str:
    """Path of the program's main script where the pickled parts need it, else nothing."""
    if not any(b"__main__" in part for part in parts):
        return ""
    main = sys.modules["__main__"]
    # Streamlit puts a bare module in the place of __main__; to run that script is to run the app.
    file = getattr(main, "__file__", None)
    if getattr(main, "__loader__", None) is None or file is None:
        raise ValueError(
            "A worker cannot import this page or prompt: move the function and the class of its "
            "settings to a module."
        )
    return os.path.abspath(file)


def make_request(function: Any, settings: Any) -> tuple[list[str], str, bytes, bytes]:
    """What a worker needs to start ``function(settings)``.

    Returns
    -------
    tuple
        Where to look for modules, the main script's path if it is needed, and the two pickles.

    Raises
    ------
    ValueError
        If either cannot be pickled, or could not be found again by a worker.
    """
    name = getattr(function, "__qualname__", repr(function))
    if not callable(function):
        raise ValueError(f"A job must be a generator function; got {name}.")
    job = pickled(f"The function {name}", function, "define it at the top level of a module")
    data = pickled("The settings", settings, "keep to plain data")
    return list(sys.path), main_script(job, data), job, data
