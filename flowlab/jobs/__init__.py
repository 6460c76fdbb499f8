"""Run a training in another process, watch it, pause it, stop it.

`Engine` is the contract; `Local` runs on this machine's cores, `Ray` also on those of a cluster,
and `flowlab.jobs.choose.engine` gives the one that is asked for.  Nothing here knows what is
trained: a job is any generator function that can be imported.
"""

from flowlab.jobs.engine import ACTIONS, Engine, GoOn, Status, UnknownRun
from flowlab.jobs.local import Local
from flowlab.jobs.ray.engine import Ray

__all__ = ["ACTIONS", "Engine", "GoOn", "Local", "Ray", "Status", "UnknownRun"]
