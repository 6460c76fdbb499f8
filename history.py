"""The page of all runs that are kept."""

from flowlab.ui import runs

runs.show()
