"""Run a training in another process, watch it, pause it, stop it.

`Engine` is the contract; `Local` runs jobs on this machine's cores, `Ray` also on those of a
cluster, and `flowlab.jobs.choose.engine` chooses between them by the environment. A `Job` is any
generator function that can be imported, with its settings; nothing here knows about training.
"""

from flowlab.jobs.engine import ACTIONS, Engine, Job, Preempted, Status, UnknownRun
from flowlab.jobs.local import Local
from flowlab.jobs.ray.engine import Ray

__all__ = ["ACTIONS", "Engine", "Job", "Local", "Preempted", "Ray", "Status", "UnknownRun"]

GoOn = Preempted  # former name
