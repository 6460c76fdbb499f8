"""Run a training in another process, watch it, pause it, stop it.

`Engine` is the contract; `Local` runs on this machine's cores.  Nothing here knows what is trained:
a job is any generator function that can be imported.
"""

from flowlab.jobs.engine import ACTIONS, Engine, Status, UnknownRun
from flowlab.jobs.local import Local

__all__ = ["ACTIONS", "Engine", "Local", "Status", "UnknownRun"]
