"""Imported by a worker before its first run: what is slow only the first time is paid here.

The first optimiser, the first picture and scikit-learn's import take seconds together; after this,
a run's first frame comes at once.
"""

import torch

from flowlab.cameras import SIGMA
from flowlab.live import borrow, give_back
from flowlab.settings import FlowSettings, RunSettings

_parameter = torch.nn.Parameter(torch.zeros(1))
_parameter.grad = torch.zeros(1)
torch.optim.AdamW([_parameter], fused=True).step()
for _base in SIGMA:
    _settings = RunSettings(model="none", flow=FlowSettings(base=_base))
    _camera = borrow(_settings, "light")
    _camera.picture.png()
    give_back(_settings, _camera)
