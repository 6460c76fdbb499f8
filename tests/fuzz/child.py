"""Feeds one kind of entry with inputs, in a process of its own, and writes what came of it.

Usage: ``python -m fuzz.child KIND FIRST COUNT FOLDER``. KIND may be ``all``, of which the dear
ones get a quarter of COUNT; a COUNT of 0 means the inputs at the limits of size. It runs in FOLDER,
which is all that it may write to.
"""

import faulthandler
import json
import os
import re
import resource
import sys
import time
import traceback
from pathlib import Path
from random import Random

LONGEST = 5.0  # seconds of an input
HANG = 60.0  # seconds after which the process is given up
ROOM = 1_000_000_000  # bytes of memory that inputs may take, beside what the imports took
#: What has no place in a sentence for people.
ODD = re.compile(r"Traceback|\b[A-Z]\w+(Error|Exception)\b|0x[0-9a-f]{8}|/(tmp|home|usr|work|root)/"
                 r"|site-packages|<\w+ object")
DEAR = ("zip", "run")
MOST = 20  # problems of a process, after which it ends


def guard(folder: Path) -> list[str]:
    """Note whatever is written outside of the folder, started, loaded, or sent."""
    seen: list[str] = []
    inside = (str(folder) + os.sep, "/dev/null")

    def place(path: object) -> bool:
        return isinstance(path, int) or (os.path.abspath(os.fsdecode(path)) + os.sep).startswith(
            inside)

    def hook(event: str, args: tuple) -> None:
        if event == "open":
            path, _, flags = args
            if path is None or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return
            if not place(path):
                seen.append(f"writes {path}")
        elif event in ("os.mkdir", "os.remove", "os.rmdir", "os.rename", "os.symlink", "os.link",
                       "os.chmod", "os.truncate", "shutil.rmtree"):
            if not place(args[0]) or event == "os.rename" and not place(args[1]):
                seen.append(f"{event} {args}")
        elif event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork",
                       "socket.connect", "pickle.find_class"):
            seen.append(event)
    sys.addaudithook(hook)
    return seen


def complaint(error: BaseException, known: tuple[str, ...] = ()) -> str:
    """What is wrong with an answer; nothing where it is a refusal in clear sentences."""
    if type(error) is not ValueError and type(error).__name__ not in ("Refused", "Unfit"):
        return f"{type(error).__name__}"
    for sentence in map(str, error.args):
        if not (sentence.isprintable() and sentence.endswith((".", "?")) and len(sentence) < 400):
            return f"no sentence: {sentence[:500]!r}"
        if ODD.search(sentence):
            return f"not for people: {sentence!r}"
    return ""


def try_out(kind: str, first: int, count: int, folder: Path, outside: list[str]) -> dict:
    """Feed the inputs and return the numbers of it."""
    from fuzz.entries import ENTRIES
    entry = ENTRIES[kind]
    large = entry.large() if first < 0 else []
    chosen = range(-1, -1 - len(large), -1) if first < 0 and count == 0 else range(
        first, first + count)
    accepted = refused = 0
    slowest, slow, problems = 0.0, -1, []
    index_file = (folder / "index").open("w")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ROOM,
                                            resource.RLIM_INFINITY))
    for index in chosen:
        given = large[-1 - index] if index < 0 else entry.make(Random(f"{kind} {index}"))
        index_file.seek(0)
        index_file.write(f"{index:>12}")
        index_file.flush()
        faulthandler.dump_traceback_later(HANG, exit=True)
        begun, wrong = time.process_time(), ""
        try:
            took_it = entry.feed(given)
            accepted, refused = accepted + took_it, refused + (not took_it)
        except BaseException as error:
            refused += 1
            wrong = complaint(error)
            if wrong:
                wrong += "\n" + "".join(traceback.format_exception(error)[-6:])
        took = time.process_time() - begun
        faulthandler.cancel_dump_traceback_later()
        if took > slowest:
            slowest, slow = took, index
        if took > LONGEST:
            wrong += f" took {took:.1f} s"
        if outside:
            wrong += f" did {outside[:3]}"
            outside.clear()
        if wrong:
            problems.append({"index": index, "wrong": wrong})
            if len(problems) >= MOST:
                break
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return {"kind": kind, "inputs": accepted + refused, "accepted": accepted, "refused": refused,
            "slowest": slowest, "slow": slow, "memory": memory, "problems": problems}


if __name__ == "__main__":
    kind, first, count, folder = sys.argv[1:]
    folder = Path(folder).resolve()
    os.chdir(folder)
    from fuzz.entries import ENTRIES
    for one in ENTRIES if kind == "all" else [kind]:
        ENTRIES[one].make(Random(0))  # what is made once
    outside = guard(folder)
    if kind == "all":
        found = [try_out(one, int(first), int(count) // (4 if one in DEAR else 1), folder, outside)
                 for one in ENTRIES]
    else:
        found = [try_out(kind, int(first), int(count), folder, outside)]
    (folder / "found.json").write_text(json.dumps(found))
