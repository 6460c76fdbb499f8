"""Workers import this module before their first run, to do early what is slow the first time.

Together, the first picture and the import of scikit-learn take seconds; afterwards the first frame
of a run comes at once. The compiled loops of vectors take longer, once on a machine, whose later
starts find them on disk.
"""

import torch

from flowlab.bijections import AffineCoupling, fast
from flowlab.live.cameras import SIGMA
from flowlab.live.watch import borrow, give_back
from flowlab.settings import FlowSettings, RunSettings

fast.through([AffineCoupling(2, False)], torch.zeros(1, 2), None, True)
for _base in SIGMA:
    _settings = RunSettings(model="none", flow=FlowSettings(base=_base))
    _camera = borrow(_settings, "light")
    _camera.picture.png()
    give_back(_settings, _camera)
