"""Two-dimensional targets: samples, the exact density they come from, and its entropy.

Also a user's own data: points without a known density, and pictures as a density.
"""

from flowlab.data.own import Picture, Points
from flowlab.data.registry import target, targets
from flowlab.data.target import Target

__all__ = ["Picture", "Points", "Target", "target", "targets"]
