"""Two-dimensional targets: samples, the exact density they come from, and its entropy.

Also a user's own data: points without a known density, and pictures and drawings as a density; and
sets of images, for flows on images.
"""

from flowlab.data.images import Images, dequantise, image_set, images
from flowlab.data.own import Picture, Points
from flowlab.data.registry import target, targets
from flowlab.data.targets.target import Target
from flowlab.data.uploads.drawing import Drawing

__all__ = ["Drawing", "Images", "Picture", "Points", "Target", "dequantise", "image_set", "images",
           "target", "targets"]
