"""Every run, kept on disk: settings, numbers, pictures, weights, versions and outcome.

`Store` is the folder of runs; `Writer` and `Recorder` fill it beside a training, which never waits
for the disk; `pack` and `unpack` make one file of a run, and a run of a file.
"""

from flowlab.runs.bundle import pack, unpack
from flowlab.runs.direct import keep
from flowlab.runs.recorder import Recorder
from flowlab.runs.run import Epoch, Kept
from flowlab.runs.store import Store
from flowlab.runs.writer import Writer

__all__ = ["Epoch", "Kept", "Recorder", "Store", "Writer", "keep", "pack", "unpack"]
