"""Imported by a worker before its first run: what is slow only the first time is paid here.

The first optimiser, the first picture and scikit-learn's import take seconds together; after this,
a run's first frame comes at once.
"""

import torch

from flowlab.data import target
from flowlab.figures import LivePicture

_moons = target("moons")
_parameter = torch.nn.Parameter(torch.zeros(1))
_parameter.grad = torch.zeros(1)
torch.optim.AdamW([_parameter], fused=True).step()
LivePicture(_moons.limits, _moons.sample(10).numpy(), best=_moons.entropy).png()
