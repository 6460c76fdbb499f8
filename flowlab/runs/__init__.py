"""Stores every run on disk: settings, numbers, pictures, weights, versions and outcome.

`Store` is the folder of runs; `Writer` and `Recorder` fill it in their own threads, so that no
training waits for the disk; `pack` exports a run as one file, and `unpack` imports it.
"""

from flowlab.runs.bundle import pack, unpack
from flowlab.runs.direct import keep
from flowlab.runs.recorder import Recorder
from flowlab.runs.run import Run
from flowlab.runs.store import Store
from flowlab.runs.writer import Writer
from flowlab.training import Epoch

__all__ = ["Epoch", "Recorder", "Run", "Store", "StoredRun", "Writer", "keep", "pack", "unpack"]

Kept = StoredRun = Run  # former names
