"""The bijections that the models are built from."""

from flowlab.layers.batchnorm import BatchNorm
from flowlab.layers.coupling import AdditiveCoupling, AffineCoupling
from flowlab.layers.elementwise import ActNorm, Scaling, Standardise
from flowlab.layers.linear import Linear

__all__ = ["ActNorm", "AdditiveCoupling", "AffineCoupling", "BatchNorm", "Linear", "Scaling",
           "Standardise"]
