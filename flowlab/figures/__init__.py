"""Pictures: numpy arrays in, matplotlib figures of a fixed size out."""

from .canvas import png
from .curves import loss_curves
from .image_views import (
    image_thumbnail,
    in_between,
    likelihood_histogram,
    name_tile,
    samples_and_nearest,
    scale_anew,
)
from .images import ImagePicture, first_samples
from .layers import LAYERS, SHOWN
from .live import LivePicture, learned_density
from .moving import animation
from .pairs import PairPicture
from .panels import grid_points
from .rivals import RivalsPicture
from .small import density_error, density_thumbnail, thumbnail
from .stretch import change_of_variables
from .sweeps import heat_map, parallel
from .through import ThroughPicture
from .transport import TransportPicture

__all__ = [
    "LAYERS",
    "SHOWN",
    "ImagePicture",
    "LivePicture",
    "PairPicture",
    "RivalsPicture",
    "ThroughPicture",
    "TransportPicture",
    "animation",
    "change_of_variables",
    "density_error",
    "density_thumbnail",
    "first_samples",
    "grid_points",
    "heat_map",
    "image_thumbnail",
    "in_between",
    "learned_density",
    "likelihood_histogram",
    "loss_curves",
    "name_tile",
    "parallel",
    "png",
    "samples_and_nearest",
    "scale_anew",
    "thumbnail",
]
