"""The request to a worker: a function and its settings, checked before they are queued."""

import os
import pickle
import sys
from typing import Any


def pickled(what: str, value: Any, advice: str) -> bytes:
    """Pickle `value`, or raise a ValueError of one sentence."""
    try:
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{what} cannot be sent to a worker ({reason}): {advice}.") from error


def main_script(*parts: bytes) -> str:
    """The path of the program's main script where the pickles need it; otherwise empty."""
    if not any(b"__main__" in part for part in parts):
        return ""
    main = sys.modules["__main__"]
    # Streamlit replaces __main__ by a bare module; running its script would run the app.
    file = getattr(main, "__file__", None)
    if getattr(main, "__loader__", None) is None or file is None:
        raise ValueError(
            "A worker cannot import this page or prompt: move the function and the class of its "
            "settings to a module."
        )
    return os.path.abspath(file)


def make_request(function: Any, settings: Any) -> tuple[list[str], str, bytes, bytes]:
    """Make the request with which a worker starts ``function(settings)``.

    Returns
    -------
    tuple
        The search path of modules, the path of the main script if needed, and the two pickles.

    Raises
    ------
    ValueError
        If either cannot be pickled, or cannot be imported by a worker.
    """
    name = getattr(function, "__qualname__", repr(function))
    if not callable(function):
        raise ValueError(f"A job must be a generator function; got {name}.")
    job = pickled(f"The function {name}", function, "define it at the top level of a module")
    data = pickled("The settings", settings, "keep to plain data")
    return list(sys.path), main_script(job, data), job, data
