"""What the operator of a server allows: one file, or the environment.

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

#: Names the file.
VARIABLE = "FLOWLAB_LIMITS"
#: What every variable begins with; the rest is a field's name in capitals.
PREFIX = "FLOWLAB_"
LARGEST = 100_000  # bytes of the file
MEGA = 1_000_000  # bytes


class Exceeded(ValueError):
    """Something is more than the operator allows."""


class Limits(BaseSettings):
    """All limits; None is none."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True,
                                      allow_inf_nan=False)

    shared: bool = setting(
        False, "Shared", "Whether people who need not trust each other use this server: each then "
        "lists and steers only what is their own, and opens the rest by its link, to look at.",
        group="Separation")
    login: bool = setting(
        False, "Login", "Whether only people who have logged in, by Streamlit's own OpenID "
        "Connect, use this server.", group="Separation")
    max_runs: int | None = setting(
        None, "Runs", "Trainings that one visitor may have in the queue and under way; each "
        "training of a comparison or a sweep counts.", group="Training", unit="runs", ge=1,
        le=100_000)
    max_workers: int | None = setting(
        None, "Workers", "Trainings of all visitors that go on at once, paused ones aside; left "
        "out, as many as there are cores.", group="Training", unit="runs", ge=1, le=1024)
    max_seconds: float | None = setting(
        None, "Wall time", "How long one training may have a worker, pauses included; then it is "
        "stopped, and what it has reached is kept.", group="Training", unit="seconds", ge=1,
        le=1e7)
    turn: float = setting(
        10.0, "Turn", "How long a training keeps its worker where somebody else's waits for one: "
        "then it makes room after its epoch, and goes on when it is its turn again.",
        group="Training", unit="seconds", ge=1, le=1e7)
    max_epochs: int | None = setting(
        None, "Epochs", "Epochs that one training may be asked for.", group="Training",
        unit="epochs", ge=1, le=10_000)
    max_parameters: int | None = setting(
        None, "Parameters", "Weights that one flow may have.", group="Training",
        unit="parameters", ge=1, le=10**9)
    max_upload: int = setting(
        10, "Upload", "Size of one file that is uploaded.", group="Files", unit="MB", ge=1, le=200)
    max_disk: int | None = setting(
        None, "Disk", "What all runs may take on disk; when old pictures have gone and it is still "
        "full, no run starts. Left out, the page Runs sets it.", group="Files", unit="MB", ge=10,
        le=10**7)
    max_own_data: int = setting(
        500, "Own data", "What all uploaded and drawn data may take on disk; then those that were "
        "not used for longest go.", group="Files", unit="MB", ge=16, le=10**7)
    grace: float = setting(
        120.0, "Grace", "How long a training goes on that nobody watches.", group="Training",
        unit="seconds", ge=0, le=1e7)
    comparisons: int = setting(
        12, "Comparisons", "Comparisons that are over and stay in memory; all are on disk.",
        group="Files", unit="comparisons", ge=0, le=10_000)

    @classmethod
    def read(cls) -> Self:
        """The limits that the environment sets, and the file that it names.

        Raises
        ------
        ValueError
            With one sentence that names the file or the variable, when it cannot be used.
        """
        path = os.environ.get(VARIABLE, "")
        named = {name: PREFIX + name.upper() for name in cls.model_fields}
        in_file = _file(Path(path)) if path else {}
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
            The limit.
        asked : float or None
            How much it would be; None is more than any.
        what : str
            The beginning of the sentence, such as ``"This run has 500 epochs"``.
        remedy : str
            Its end: what to do.
        """
        if getattr(self, name) is not None and (asked is None or asked > getattr(self, name)):
            raise Exceeded(f"{what}, and the limit of this server is {self.told(name)}: {remedy}.")

    def told(self, name: str) -> str:
        """A limit as people read it, with its name."""
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
    """What a TOML file says."""
    try:
        if path.stat().st_size > LARGEST:
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
    """Print all limits; returns 0, or 2 where they cannot be used."""
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
