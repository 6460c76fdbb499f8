"""A run as files to take away: pictures, a film, numbers, weights, and the code that repeats it.

Functions of a run's settings and frames; each returns the content of one file.
"""

import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from flowlab.figures import animation
from flowlab.flow import Flow
from flowlab.live import thinning
from flowlab.live.cameras import camera
from flowlab.live.watch import Frame
from flowlab.settings import RunSettings
from flowlab.training.progress import best_possible
from flowlab.training.recipe import Recipe, build

FILM_SIZE = (1000, 600)  # pixels of a GIF
FILM_FRAMES = 60  # of a GIF at most: the rest would only make it large
PER_SECOND = 10  # frames at most
LEAST, HOLD = 6.0, 3.0  # seconds that a training takes at least, and that its last frame then stays
ENCODING = 120  # seconds that an encoder may take

Epochs = Sequence[tuple[int, float, float]]


def file_name(settings: RunSettings, what: str, run: str = "") -> str:
    """A name that says what is in the file, of letters, digits, dots, dashes and underscores.

    Files of different runs have different names: each has the beginning of its run's id, or where
    there is none yet that of the hash of its settings.

    Examples
    --------
    >>> from nice.train_nice import Run
    >>> file_name(Run(), "training.gif", "3f9c2a71d0b84e65")
    'nice-moons-3f9c2a-seed0-training.gif'
    """
    data = re.sub(r"[^A-Za-z0-9_-]+", "-", settings.source.data)[:40]
    which = run or hashlib.sha256(settings.model_dump_json().encode()).hexdigest()
    return f"{settings.model}-{data}-{which[:6]}-seed{settings.training.seed}-{what}"


def trained(recipe: Recipe, settings: RunSettings, frame: Frame) -> Flow:
    """The flow of a moment.

    Raises
    ------
    ValueError
        When the frame does not carry its weights.
    """
    if frame.weights is None:
        raise ValueError("This moment was kept without its weights: choose another.")
    flow = build(recipe.model, settings)
    flow.load_state_dict(frame.weights)
    return flow.eval()


def png(recipe: Recipe, settings: RunSettings, frame: Frame, history: Epochs) -> bytes:
    """The picture of a moment, in the frame's theme and layers, as PNG."""
    taking = camera(settings, frame.theme, frame.layers)
    return taking.take(trained(recipe, settings, frame), list(history), frame.numbers)


def svg(recipe: Recipe, settings: RunSettings, frame: Frame, history: Epochs) -> bytes:
    """As `png`, as SVG."""
    taking = camera(settings, frame.theme, frame.layers)
    taking.take(trained(recipe, settings, frame), list(history), frame.numbers)
    return taking.picture.file("svg")


def film(recipe: Recipe, settings: RunSettings, frames: Sequence[Frame], theme: str,
         layers: tuple[str, ...]) -> list[bytes]:
    """The pictures of a training, all in one theme and with the same layers.

    Those that were taken otherwise are drawn anew, where the moment has its weights.
    """
    pictures, taking = [], None
    for index, frame in enumerate(frames):
        picture = frame.png
        if picture and (frame.theme, frame.layers) != (theme, layers) and frame.weights is not None:
            taking = taking or camera(settings, theme, layers)
            told = thinning.history(frames[:index + 1])
            picture = taking.take(trained(recipe, settings, frame), told, frame.numbers)
        pictures.append(picture)
    return [picture for picture in pictures if picture]


def gif(pictures: Sequence[bytes]) -> bytes:
    """The pictures of a training, one after the other, as a GIF that waits at its end."""
    shown = _spread(pictures, FILM_FRAMES)
    return animation(shown, fps=rate(len(shown)), hold=HOLD, size=FILM_SIZE)


def rate(count: int) -> float:
    """Frames a second of a training with so many: few are shown slowly, so that one can talk."""
    return min(PER_SECOND, count / LEAST)


def encoder() -> str | None:
    """Where the program is that makes an MP4; None where there is none."""
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
        raise ValueError("An MP4 needs ffmpeg: install it, or take the GIF.")
    with tempfile.TemporaryDirectory() as folder:
        film, fps = Path(folder) / "film.mp4", rate(len(pictures))
        shown = [*pictures, *pictures[-1:] * round(HOLD * fps)]
        command = [program, "-loglevel", "error", "-f", "image2pipe", "-framerate",
                   f"{fps:.4f}", "-c:v", "png", "-i", "-", "-r", "25", "-pix_fmt", "yuv420p",
                   "-movflags", "+faststart", str(film)]
        try:
            subprocess.run(command, input=b"".join(shown), check=True, capture_output=True,
                           timeout=ENCODING)
            return film.read_bytes()
        except (subprocess.SubprocessError, OSError) as error:
            raise ValueError("ffmpeg could not make the MP4: take the GIF.") from error


def csv(frame: Frame, history: Epochs) -> bytes:
    """The numbers of every epoch, in nats a point; the KL is empty where nobody can know it.

    The KL is the test NLL minus the best possible one, to the last digit: both are means over the
    same test points.
    """
    best = best_possible(frame.numbers)
    lines = ["epoch,train_nll_nats,test_nll_nats,kl_nats,best_nll_nats"]
    for epoch, train_nll, test_nll in history:
        known = ["", ""] if best is None else [repr(test_nll - best), repr(best)]
        lines.append(",".join([str(epoch), repr(train_nll), repr(test_nll), *known]))
    return "\n".join([*lines, ""]).encode()


def weights(recipe: Recipe, settings: RunSettings, frame: Frame, history: Epochs) -> bytes:
    """The flow of a moment as the file that ``Flow.save`` writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "flow.safetensors"
        trained(recipe, settings, frame).save(path)
        return path.read_bytes()


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
    """Everything that makes the run, as the command line's ``--settings`` reads it."""
    return (settings.model_dump_json(indent=2) + "\n").encode()


def python(recipe: Recipe, settings: RunSettings) -> str:
    """A script that repeats the run; to be started in the project's folder."""
    default = type(settings)().flat()
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
    """At most so many of them, evenly spread, with the first and the last."""
    if len(pictures) <= most:
        return list(pictures)
    return [pictures[round(i * (len(pictures) - 1) / (most - 1))] for i in range(most)]
