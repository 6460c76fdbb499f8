"""What a long life needs: room is returned, and what stays is not looked through again."""

import gc
import platform
import subprocess
import sys
from ast import literal_eval
from pathlib import Path

import pytest

from flowlab.server import memory

ROOT = Path(__file__).parents[2]
# Blocks of 100 kB: without a word, glibc holds those below 128 kB together with small ones.
CODE = """
import ctypes
from flowlab.server.memory import settle

class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks",
        "fordblks", "keepcost")]

mallinfo = ctypes.CDLL(None).mallinfo2
mallinfo.restype = Mallinfo

def of_their_own():
    before = mallinfo().hblks
    blocks = [bytes(100_000) for _ in range(20)]
    held = mallinfo().hblks - before
    del blocks
    return held, mallinfo().hblks - before

print(of_their_own())
settle()
print(of_their_own())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="this is about glibc")
def test_large_blocks_are_returned_when_they_are_free():
    done = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (before, _), (held, left) = map(literal_eval, done.stdout.splitlines())
    assert before == 0 and held > 10 and left == 0  # some find room among what was free


def test_what_is_there_is_left_out_of_collections_with_any_library(monkeypatch):
    try:
        for missing in (object(), None):
            gc.unfreeze()  # an earlier test in this process may have settled
            monkeypatch.setattr(memory.ctypes, "CDLL", lambda _, missing=missing: missing)
            memory.settle()
            assert gc.get_freeze_count() > 10_000
            assert not any(isinstance(thing, type) for thing in gc.get_objects(2))
    finally:
        gc.unfreeze()
