"""The page of sweeps: one model with many settings."""

import models
from flowlab.ui import sweeps

sweeps.show(models.RECIPES)
