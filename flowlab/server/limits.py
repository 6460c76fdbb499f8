"""The limits that the operator of a server sets, in a file or in the environment.

The environment variable ``FLOWLAB_LIMITS`` names a file in TOML, such as ``limits.example.toml``;
a variable such as ``FLOWLAB_MAX_EPOCHS`` sets one value and goes before the file. Defaults impose
no limit that a single local user would notice.

``python -m flowlab.limits`` prints the limits that hold, or what is wrong.
"""

import os
import sys
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from flowlab.files import read_text
from flowlab.settings import describe, extra, setting

#: Environment variable with the name of the file.
VARIABLE = "FLOWLAB_LIMITS"
#: Prefix of the other variables; the rest is a field's name in capitals.
PREFIX = "FLOWLAB_"
MAX_BYTES = 100_000  # bytes of the file
MEGA = 1_000_000  # bytes
FORMER = ("comparisons",)  # limits of earlier versions, which have no effect


class Exceeded(ValueError):
    """A limit of the operator is exceeded."""


class Limits(BaseSettings):
    """All limits; None means no limit."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True,
                                      allow_inf_nan=False)

    shared: bool = setting(
        False, "Shared", "Whether people who need not trust each other use this server: each "
        "visitor then lists and controls only their own runs, and can only look at others, by "
        "their links.", group="Separation")
    login: bool = setting(
        False, "Login", "Whether visitors must log in, by Streamlit's OpenID Connect.",
        group="Separation")
    max_runs: int | None = setting(
        None, "Runs", "Maximum number of trainings that one visitor has queued or running; each "
        "training of a comparison or a sweep counts.", group="Training", unit="runs", ge=1,
        le=100_000)
    max_workers: int | None = setting(
        None, "Workers", "Maximum number of trainings that run at once, of all visitors, without "
        "paused ones; by default the number of cores.", group="Training", unit="runs", ge=1,
        le=1024)
    max_seconds: float | None = setting(
        None, "Wall time", "Maximum time that one training has a worker, pauses included; then it "
        "is stopped, and its results so far are kept.", group="Training", unit="seconds", ge=1,
        le=1e7)
    turn: float = setting(
        10.0, "Turn", "Time after which a training is preempted, at the end of its epoch, where "
        "another visitor's training waits for a worker; it is continued at its next turn.",
        group="Training", unit="seconds", ge=1, le=1e7)
    max_epochs: int | None = setting(
        None, "Epochs", "Maximum number of epochs of one training.", group="Training",
        unit="epochs", ge=1, le=10_000)
    max_parameters: int | None = setting(
        None, "Parameters", "Maximum number of parameters of one flow.", group="Training",
        unit="parameters", ge=1, le=10**9)
    max_upload: int = setting(
        30, "Upload", "Maximum size of one uploaded file.", group="Files", unit="MB", ge=1, le=200)
    max_disk: int | None = setting(
        None, "Disk", "Disk quota of all runs: beyond it old pictures are deleted, and where that "
        "is not enough no run starts. By default the page Runs sets it.", group="Files", unit="MB",
        ge=10, le=10**7)
    max_own_data: int = setting(
        500, "Own data", "Disk quota of all uploaded and drawn data: beyond it the least recently "
        "used are deleted.", group="Files", unit="MB", ge=16, le=10**7)
    grace: float = setting(
        120.0, "Grace", "Time that a training continues while nobody watches it.",
        group="Training", unit="seconds", ge=0, le=1e7)

    @classmethod
    def read(cls) -> Self:
        """Read the limits from the environment, and from the file that it names.

        Raises
        ------
        ValueError
            With one sentence that names the file or the variable, when it cannot be used.
        """
        path = os.environ.get(VARIABLE, "")
        named = {name: PREFIX + name.upper() for name in cls.model_fields}
        in_file = {k: v for k, v in _file(Path(path)).items() if k not in FORMER} if path else {}
        for name in in_file:
            if name not in named:
                raise ValueError(f"{path}: there is no limit called {name}; there are "
                                 f"{', '.join(named)}.")
        try:
            return cls(**{k: v for k, v in in_file.items() if not os.environ.get(named[k])})
        except ValidationError as error:
            name, sentence = str(error.errors()[0]["loc"][0]), describe(error)
            if os.environ.get(named[name]):
                path, sentence = "The environment", sentence.replace(name, named[name], 1)
            raise ValueError(f"{path}: {sentence}") from error

    def refuse(self, name: str, asked: float | None, what: str, remedy: str) -> None:
        """Raise `Exceeded` where more is asked for than a limit allows.

        Parameters
        ----------
        name : str
            Field name of the limit.
        asked : float or None
            The amount asked for; None exceeds every limit.
        what : str
            The beginning of the sentence, such as ``"This run has 500 epochs"``.
        remedy : str
            The end of the sentence: what to do.
        """
        if getattr(self, name) is not None and (asked is None or asked > getattr(self, name)):
            raise Exceeded(
                f"{what}, and the limit of this server is {self.describe(name)}: {remedy}.")

    def describe(self, name: str) -> str:
        """A limit with its unit and its name, for people to read."""
        unit = extra(type(self).model_fields[name])["unit"]
        value = getattr(self, name)
        number = f"{value:,}" if isinstance(value, int) else f"{value:g}"
        return f"{number} {unit} ({name})"


@lru_cache(maxsize=1)
def limits() -> Limits:
    """The limits of this process, read once.

    Raises
    ------
    ValueError
        As `Limits.read`.
    """
    return Limits.read()


def _file(path: Path) -> dict[str, Any]:
    """Read a TOML file."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"The file of limits {path} is too large: choose another.")
        text = read_text(path)
    except OSError as error:
        raise ValueError(f"The file of limits {path}, which {VARIABLE} names, cannot be read "
                         f"({error.strerror}): correct its name, or leave the variable out."
                         ) from error
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"The file of limits {path} is not written as TOML ({error}): correct it "
                         "as in limits.example.toml.") from error


def main() -> int:
    """Print all limits; return 0, or 2 where they cannot be used."""
    try:
        found = limits()
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for name, field in Limits.model_fields.items():
        value = getattr(found, name)
        unit = extra(field)["unit"]
        print(f"{name:16}{'no limit' if value is None else f'{value} {unit}'}".rstrip())
    return 0
