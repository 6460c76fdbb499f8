"""Draws pictures: from NumPy arrays to matplotlib figures of a fixed size."""

from flowlab.analysis.grid import grid_points
from flowlab.figures.animated import animation
from flowlab.figures.canvas import png
from flowlab.figures.change_of_variables import change_of_variables
from flowlab.figures.comparison import ComparisonPicture
from flowlab.figures.couplings import coupling_curve
from flowlab.figures.curves import loss_curves
from flowlab.figures.image_views import (
    image_thumbnail,
    in_between,
    likelihood_histogram,
    name_thumbnail,
    samples_and_nearest,
    scale_anew,
)
from flowlab.figures.images import ImagePicture, first_samples
from flowlab.figures.inside import InsidePicture
from flowlab.figures.overlays import DEFAULT_OVERLAYS, OVERLAYS
from flowlab.figures.pairs import PairPicture
from flowlab.figures.plane import LivePicture, learned_density
from flowlab.figures.sweeps import cell, heat_map, parallel
from flowlab.figures.thumbnails import density_thumbnail, thumbnail
from flowlab.figures.transport import TransportPicture

__all__ = [
    "DEFAULT_OVERLAYS",
    "OVERLAYS",
    "ComparisonPicture",
    "ImagePicture",
    "InsidePicture",
    "LivePicture",
    "PairPicture",
    "TransportPicture",
    "animation",
    "cell",
    "change_of_variables",
    "coupling_curve",
    "density_thumbnail",
    "first_samples",
    "grid_points",
    "heat_map",
    "image_thumbnail",
    "in_between",
    "learned_density",
    "likelihood_histogram",
    "loss_curves",
    "name_thumbnail",
    "parallel",
    "png",
    "samples_and_nearest",
    "scale_anew",
    "thumbnail",
]

# Former names.
LAYERS, SHOWN = OVERLAYS, DEFAULT_OVERLAYS
RivalsPicture, ThroughPicture, name_tile = ComparisonPicture, InsidePicture, name_thumbnail
