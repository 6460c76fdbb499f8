"""Imported by a worker before its first run: what is slow only the first time is paid here.

The first picture and scikit-learn's import take seconds together; after this, a run's first frame
comes at once.
"""

from flowlab.live.cameras import SIGMA
from flowlab.live.watch import borrow, give_back
from flowlab.settings import FlowSettings, RunSettings

for _base in SIGMA:
    _settings = RunSettings(model="none", flow=FlowSettings(base=_base))
    _camera = borrow(_settings, "light")
    _camera.picture.png()
    give_back(_settings, _camera)
