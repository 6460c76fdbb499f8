"""Workers import this module before their first run, to do early what is slow the first time.

The first picture of each model takes seconds, with the imports of its libraries; afterwards the
first frame of a run comes at once. The compiled loops of vectors take longer, once on a machine,
whose later starts find them on disk. Where workers are forked, all this is done once for all of
them: so nothing here may start a thread, as a gradient does in PyTorch.
"""

import os

import torch

from flowlab.flow import Flow
from flowlab.live.watch import borrow, give_back
from flowlab.settings import RunSettings

for _model in Flow.__subclasses__():  # those that are imported by now
    _settings = RunSettings(model="none", flow=_model.Settings())
    _camera, _flow = borrow(_settings, "light"), _model()
    _camera.initialise(_flow)
    _camera.take(_flow, [])
    give_back(_settings, _camera)


def _share_loops(flow: Flow) -> None:
    """Have the compiled loops that threads share on disk, before a training tries them."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    with torch.no_grad():
        flow.inverse(torch.zeros(1000, *flow.event_shape))
    torch.set_num_threads(before)


if os.path.isdir("/proc/self/task") and len(os.listdir("/proc/self/task")) == 1:
    # A process that is forked from: only its child may start threads.
    if (_child := os.fork()) == 0:
        try:
            _share_loops(_flow)
        finally:
            os._exit(0)
    os.waitpid(_child, 0)
else:
    _share_loops(_flow)
