"""Sweeps: one model trained with many settings, kept run by run, to see what matters.

``python -m flowlab.sweep sweep.toml`` does one from the command line.
"""

from flowlab.studies.sweep.plan import Point, Range, SweepSettings, points
from flowlab.studies.sweep.work import Sweep

__all__ = ["Point", "Range", "Sweep", "SweepSettings", "points"]
