"""Workers import this module before their first run, to do early what is slow the first time.

The first picture of each model takes seconds, with the imports of its libraries; afterwards the
first frame of a run comes at once. The compiled loops of vectors take longer, once on a machine,
whose later starts find them on disk. Where workers are forked, all this is done once for all of
them: so nothing here may start a thread, as a gradient does in PyTorch.
"""

from flowlab.flow import Flow
from flowlab.live.watch import borrow, give_back
from flowlab.settings import RunSettings

for _model in Flow.__subclasses__():  # those that are imported by now
    _settings = RunSettings(model="none", flow=_model.Settings())
    _camera, _flow = borrow(_settings, "light"), _model()
    _camera.initialise(_flow)
    _camera.take(_flow, [])
    give_back(_settings, _camera)
