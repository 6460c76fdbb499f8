"""Feeds every kind of entry with hostile input: ``make fuzz``.

It needs a process of its own: hypothesis neither bounds the memory of an input nor survives one
that ends the process, and the guard over files, programs and sockets cannot be taken back.
``N`` in the environment is the number of inputs of each kind. They are the same every time.
"""

import faulthandler
import os
import re
import resource
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, seed, settings

from fuzz.entries import ENTRIES
from nice import NICE

INPUTS = int(os.environ["N"])
PIECE = 10_000  # inputs of one test: hypothesis takes memory for each
LONGEST = 5.0  # seconds of an input
HANG = 60.0  # seconds after which the process is given up
ROOM = 1_000_000_000  # bytes of memory that inputs may take, beside what the imports took
#: What has no place in a sentence for people.
ODD = re.compile(r"Traceback|\b[A-Z]\w+(Error|Exception)\b|0x[0-9a-f]{8}|/(tmp|home|usr|work|root)/"
                 r"|site-packages|<\w+ object")


@pytest.fixture(scope="session")
def breaches(tmp_path_factory):
    """Whatever is written outside of the test's folders, started, loaded, or sent."""
    for dtype in (torch.float32, torch.float64):  # the first time, their loops are compiled
        flow = NICE(couplings=2, hidden=(4,)).to(dtype)
        flow.log_prob(flow.sample(10)).sum().backward()
    folder = tmp_path_factory.mktemp("hostile").resolve()
    temporary = folder / "tmp"
    temporary.mkdir()
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setattr(tempfile, "tempdir", str(temporary))
        patched.setattr(sys, "dont_write_bytecode", True)
        yield guard(str(folder), os.environ["FLOWLAB_RUNS"], os.environ["FLOWLAB_OWN_DATA"],
                    os.devnull)
    assert not [path for path in temporary.iterdir() if not path.name.startswith("torchinductor")]


def guard(*folders: str) -> list[str]:
    """A list to which everything is added that happens outside of these folders."""
    seen: list[str] = []
    inside = tuple(folder + os.sep for folder in folders)

    def allowed(path: object) -> bool:
        return isinstance(path, int) or (os.path.abspath(os.fsdecode(path)) + os.sep).startswith(
            inside)

    def hook(event: str, args: tuple) -> None:
        if event == "open":
            path, _, flags = args
            if path is None or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return
            if not allowed(path):
                seen.append(f"writes {path}")
        elif event in ("os.mkdir", "os.remove", "os.rmdir", "os.rename", "os.symlink", "os.link",
                       "os.chmod", "os.truncate", "shutil.rmtree"):
            if not allowed(args[0]) or event == "os.rename" and not allowed(args[1]):
                seen.append(f"{event} {args}")
        elif event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork",
                       "socket.connect", "pickle.find_class"):
            seen.append(event)
    sys.addaudithook(hook)
    return seen


@contextmanager
def bounded_memory():
    """Bound the memory of the process to what it has, and some room."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ROOM, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def complaint(error: ValueError) -> str:
    """What is wrong with an answer; nothing where it is a refusal in clear sentences."""
    if type(error) is not ValueError and type(error).__name__ not in ("Refused", "Unfit"):
        return type(error).__name__
    for sentence in map(str, error.args):
        if not (sentence.isprintable() and sentence.endswith((".", "?")) and len(sentence) < 400):
            return f"no sentence: {sentence[:500]!r}"
        if ODD.search(sentence):
            return f"not for people: {sentence!r}"
    return ""


def feed(kind: str, content: Any, breaches: list[str]) -> tuple[bool, float]:
    """Whether the input is accepted, and the seconds it takes."""
    breaches.clear()
    faulthandler.dump_traceback_later(HANG, exit=True, file=sys.__stderr__)
    begun = time.process_time()
    try:
        accepted = ENTRIES[kind].feed(content)
    except ValueError as error:
        if complaint(error):
            raise AssertionError(complaint(error)) from error
        accepted = False
    finally:
        seconds = time.process_time() - begun
        faulthandler.cancel_dump_traceback_later()
    assert seconds <= LONGEST
    assert breaches == []
    return accepted, seconds


@pytest.mark.parametrize("first", range(0, INPUTS, PIECE))
@pytest.mark.parametrize("kind", ENTRIES)
def test_input_is_refused_with_a_sentence_or_is_good(kind, first, breaches):
    found = []

    @seed(first)
    @settings(max_examples=min(PIECE, INPUTS - first), suppress_health_check=list(HealthCheck))
    @given(ENTRIES[kind].inputs)
    def feed_one(content):
        # In the session's folder, should it end the process.
        Path("last").write_bytes(content if isinstance(content, bytes) else repr(content).encode())
        found.append(feed(kind, content, breaches))
    before = peak()
    with bounded_memory():
        feed_one()
    answers, seconds = zip(*found, strict=True)
    print(f"{kind}: {sum(answers)} accepted, {len(answers) - sum(answers)} refused, slowest "
          f"{max(seconds):.2f} s, memory {peak() - before} MB")


@pytest.mark.parametrize("kind", [k for k, entry in ENTRIES.items() if entry.large is not list])
def test_input_at_the_limits_of_size_is_refused_with_a_sentence_or_is_good(
        kind, breaches):
    contents = ENTRIES[kind].large()  # making them may take more memory than is allowed
    before = peak()
    with bounded_memory():
        seconds = [feed(kind, content, breaches)[1] for content in contents]
    print(f"{kind}: {len(seconds)} inputs, slowest {max(seconds):.2f} s, memory "
          f"{peak() - before} MB")


def peak() -> int:
    """The most memory that this process ever had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 // 1_000_000
