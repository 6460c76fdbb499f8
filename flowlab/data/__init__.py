"""What flows learn from: distributions with exact densities, a user's own data, and images.

All of it is a `flowlab.data.source.Source`, which says what is known about it.
"""

from flowlab.data.images import Images, dequantise, images
from flowlab.data.own import Picture, Points
from flowlab.data.registry import image_set, kind_of, source_of, target, targets, title_of
from flowlab.data.source import Source
from flowlab.data.targets.target import Target
from flowlab.data.uploads.drawing import Drawing

__all__ = ["Drawing", "Images", "Picture", "Points", "Source", "Target", "dequantise", "image_set",
           "images", "kind_of", "source_of", "target", "targets", "title_of"]
