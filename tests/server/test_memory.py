"""What a long life needs: memory is returned, and what stays is not looked through again."""

import os
import platform
import re
import subprocess
import sys
from ast import literal_eval
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Blocks of 100 kB: unasked, glibc holds those below 128 kB together with small ones.
BLOCKS = """
import ctypes

class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks",
        "fordblks", "keepcost")]

mallinfo = ctypes.CDLL(None).mallinfo2
mallinfo.restype = Mallinfo
before = mallinfo().hblks
blocks = [bytes(100_000) for _ in range(20)]
held = mallinfo().hblks - before
del blocks
print((held, mallinfo().hblks - before))
"""
LAB = """
import gc, os
from flowlab.jobs import Local
from flowlab.ui.app.lab import Lab

lab = Lab()
objects = gc.get_objects(2)
run = lab.engine.submit(os.getenv, "MALLOC_MMAP_THRESHOLD_")
lab.engine.wait(run, 60)
print((gc.get_freeze_count(), any(isinstance(thing, type) for thing in objects),
       lab.engine.result(run)))
lab.close()
"""


def printed(code: str, **environment: str):
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
                          env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    return literal_eval(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="this is about glibc")
@pytest.mark.parametrize("place", ["Makefile", "Dockerfile", "deploy/flowlab.service"])
def test_large_blocks_are_returned_when_they_are_free(place):
    settings = dict(re.findall(r"(MALLOC_\w+) ?= ?(\d+)", (ROOT / place).read_text()))
    assert settings["MALLOC_ARENA_MAX"] == "2"
    assert printed(BLOCKS)[0] == 0
    held, left = printed(BLOCKS, **settings)
    assert held > 10 and left == 0  # some find a place among what was free


@pytest.mark.thorough
def test_what_is_there_is_left_out_of_collections_and_workers_keep_their_blocks(tmp_path):
    frozen, types_left, threshold = printed(
        LAB, FLOWLAB_RUNS=str(tmp_path), MALLOC_MMAP_THRESHOLD_="65536")
    assert frozen > 10_000 and not types_left and threshold is None
