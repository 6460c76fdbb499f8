"""Does early what is slow the first time: `warm_up`, which workers call before their first run.

The first picture of each model takes seconds, with the imports of its libraries; afterwards the
first frame of a run comes at once. The compiled loops take longer, once on a machine, whose later
starts find them on disk.
"""

import os
from collections.abc import Iterable
from functools import cache

import torch

from flowlab.flow import Flow
from flowlab.live.watch import borrow, give_back
from flowlab.settings import RunSettings
from flowlab.training.recipe import imported


@cache  # workers that are forked find it done
def warm_up() -> None:
    """Draw a first picture of all models that are imported, and compile the loops, once.

    Where workers are forked, this is done once for all of them: so nothing here may start a thread,
    as a gradient does in PyTorch.
    """
    recipes = imported().values()
    flows = [recipe.model() for recipe in recipes]
    for flow in flows:
        settings = RunSettings(model="none", flow=flow.settings)
        camera = borrow(settings, "light")
        camera.initialise(flow)
        camera.take(flow, [])
        give_back(settings, camera)
    flows += [recipe.model(event_shape=(1, 8, 8)) for recipe in recipes if not recipe.vectors_only]
    _compile_loops(flows, 1)
    if os.path.isdir("/proc/self/task") and len(os.listdir("/proc/self/task")) == 1:
        # A process that is forked from: only its child may start threads.
        if (child := os.fork()) == 0:
            try:
                _compile_loops(flows, 2)
            finally:
                os._exit(0)
        os.waitpid(child, 0)
    else:
        _compile_loops(flows, 2)


@torch.no_grad()
def _compile_loops(flows: Iterable[Flow], threads: int) -> None:
    """Have the loops, of one thread or shared by several, on disk before a training takes them."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    for flow in flows:
        flow.inverse(torch.zeros(300, *flow.event_shape))  # several blocks of points
    torch.set_num_threads(before)
