"""Exports a run as files: pictures, a film, numbers, weights, and the code that repeats it.

The functions take a run's settings and frames, and each returns the content of one file.
"""

import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from flowlab import files, web
from flowlab.figures import animation
from flowlab.live import thinning
from flowlab.live.cameras import camera
from flowlab.live.watch import Frame
from flowlab.settings import RunSettings
from flowlab.training import Epoch
from flowlab.training.recipe import Recipe

FILM_SIZE = (1000, 600)  # pixels of a GIF
FILM_FRAMES = 60  # maximum number of frames of a GIF, which bounds its size
PER_SECOND = 10  # maximum frame rate
MIN_SECONDS, HOLD = 6.0, 3.0  # of a film, and for which its last frame stays
ENCODING = 120  # seconds that an encoder may take


def file_name(settings: RunSettings, what: str, run: str = "") -> str:
    """A descriptive file name of letters, digits, dots, dashes and underscores.

    It contains the beginning of the run's id, or before there is one, of the hash of its settings,
    so that files of different runs have different names.

    Examples
    --------
    >>> from nice.train_nice import Run
    >>> file_name(Run(), "training.gif", "3f9c2a71d0b84e65")
    'nice-moons-3f9c2a-seed0-training.gif'
    """
    data = re.sub(r"[^A-Za-z0-9_-]+", "-", settings.source.data)[:40]
    which = run or hashlib.sha256(settings.model_dump_json().encode()).hexdigest()
    return f"{settings.model}-{data}-{which[:6]}-seed{settings.training.seed}-{what}"


def png(settings: RunSettings, frame: Frame, history: Sequence[Epoch]) -> bytes:
    """Draw the picture of a frame, in its theme and overlays, as PNG."""
    taking = camera(settings, frame.theme, frame.overlays)
    return taking.take(frame.flow(), history, frame.moment)


def svg(settings: RunSettings, frame: Frame, history: Sequence[Epoch]) -> bytes:
    """Draw the picture of a frame as SVG; see `png`."""
    taking = camera(settings, frame.theme, frame.overlays)
    taking.take(frame.flow(), history, frame.moment)
    return taking.picture.file("svg")


def film(settings: RunSettings, frames: Sequence[Frame], theme: str,
         overlays: tuple[str, ...]) -> list[bytes]:
    """The pictures of a training, all in one theme and with the same overlays.

    Pictures in another theme or with other overlays are redrawn where their frame has weights.
    """
    pictures, taking = [], None
    for index, frame in enumerate(frames):
        picture = frame.png
        differs = (frame.theme, frame.overlays) != (theme, overlays)
        if picture and differs and frame.has_weights:
            taking = taking or camera(settings, theme, overlays)
            past = thinning.history(frames[:index + 1])
            picture = taking.take(frame.flow(), past, frame.moment)
        pictures.append(picture)
    return [picture for picture in pictures if picture]


def gif(pictures: Sequence[bytes]) -> bytes:
    """The pictures of a training as a GIF that holds its last frame."""
    shown = _spread(pictures, FILM_FRAMES)
    return animation(shown, fps=rate(len(shown)), hold=HOLD, size=FILM_SIZE)


def rate(count: int) -> float:
    """The frame rate of a film of ``count`` frames, lower where there are few."""
    return min(PER_SECOND, count / MIN_SECONDS)


def encoder() -> str | None:
    """The path of ffmpeg, which makes the MP4; None where it is missing."""
    return shutil.which("ffmpeg")


def mp4(pictures: Sequence[bytes]) -> bytes:
    """The pictures of a training as an MP4, made by ffmpeg.

    Raises
    ------
    ValueError
        When ffmpeg is missing or fails.
    """
    program = encoder()
    if program is None:
        raise ValueError("An MP4 needs ffmpeg: install it, or use the GIF.")
    with tempfile.TemporaryDirectory() as folder:
        film, fps = Path(folder) / "film.mp4", rate(len(pictures))
        shown = [*pictures, *[*pictures[-1:]] * round(HOLD * fps)]
        command = [program, "-loglevel", "error", "-f", "image2pipe", "-framerate",
                   f"{fps:.4f}", "-c:v", "png", "-i", "-", "-r", "25", "-pix_fmt", "yuv420p",
                   "-movflags", "+faststart", str(film)]
        try:
            subprocess.run(command, input=b"".join(shown), check=True, capture_output=True,
                           timeout=ENCODING)
            return film.read_bytes()
        except (subprocess.SubprocessError, OSError) as error:
            raise ValueError("ffmpeg could not make the MP4: use the GIF.") from error


def web_page(settings: RunSettings, frames: Sequence[Frame], title: str) -> bytes:
    """The last flow as a web page, with earlier moments of its training; see `flowlab.web.page`."""
    *earlier, last = [frame for frame in frames if frame.has_weights]
    moments = [(f"epoch {frame.moment.epoch}", frame.flow()) for frame in earlier]
    text = f"Trained for {last.moment.epoch} epochs, with seed {settings.training.seed}."
    return web.page(last.flow(), title, text, moments).encode()


def csv(frame: Frame, history: Sequence[Epoch]) -> bytes:
    """The numbers of every epoch, in nats per point; the KL is empty where it is unknown.

    The KL is exactly the test NLL minus the best possible NLL: both are means over the same test
    points.
    """
    best = frame.moment.best_possible
    return files.csv_text([
        ("epoch", "train_nll_nats", "test_nll_nats", "kl_nats", "best_nll_nats"),
        *((e.epoch, e.train_nll, e.test_nll, None if best is None else e.kl, best)
          for e in history),
    ]).encode()


def loading(recipe: Recipe, settings: RunSettings, run: str = "") -> str:
    """The code that loads the weights of a run and uses them."""
    model = recipe.model
    context = ", context=0" if settings.flow.classes else ""
    classes = ", torch.zeros(1000, dtype=int)" if context else ""
    imports = "import torch\n\n" if context else ""
    return f'''\
{imports}from {model.__module__.split(".")[0]} import {model.__name__}

flow = {model.__name__}.load("{file_name(settings, "weights.safetensors", run)}")
points = flow.sample(1000{context})
print(flow.log_prob(points{classes}).mean())
'''


def json(settings: RunSettings) -> bytes:
    """The run's settings, as the command line's ``--settings`` reads them."""
    return (settings.model_dump_json(indent=2) + "\n").encode()


def python(recipe: Recipe, settings: RunSettings) -> str:
    """A script that repeats the run, to be started in the project's folder."""
    default = settings.from_flat({}).flat()
    changed = {name: value for name, value in settings.flat().items() if value != default[name]}
    lines = "".join(f"    {name!r}: {value!r},\n" for name, value in changed.items())
    given = f"{{\n{lines}}}" if changed else "{}"
    return f'''\
"""{recipe.title}, trained as in Flow Lab."""

import torch

from {recipe.Run.__module__} import Run, train

torch.set_num_threads(1)  # as the lab's workers, so that the numbers are the same
settings = Run.from_flat({given})
for progress in train(settings):
    print(f"epoch {{progress.epoch}}: train {{progress.train_nll:.6f}} nats, "
          f"test {{progress.test_nll:.6f}} nats")
progress.flow.save("{file_name(settings, "weights.safetensors")}")
'''


def _spread(pictures: Sequence[bytes], most: int) -> list[bytes]:
    """At most ``most`` pictures, evenly spaced, with the first and the last."""
    if len(pictures) <= most:
        return list(pictures)
    return [pictures[round(i * (len(pictures) - 1) / (most - 1))] for i in range(most)]
