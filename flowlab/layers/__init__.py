"""The bijections that the models are built from."""

from flowlab.layers.batchnorm import BatchNorm
from flowlab.layers.coupling import AdditiveCoupling, AffineCoupling
from flowlab.layers.elementwise import ActNorm, Scaling, Standardise
from flowlab.layers.images import (
    ChannelCoupling,
    CheckerboardCoupling,
    Convolution1x1,
    FactorOut,
    Logit,
    TopPrior,
)
from flowlab.layers.linear import Linear
from flowlab.layers.reshape import FLAT, at

__all__ = ["FLAT", "ActNorm", "AdditiveCoupling", "AffineCoupling", "BatchNorm", "ChannelCoupling",
           "CheckerboardCoupling", "Convolution1x1", "FactorOut", "Linear", "Logit",
           "Scaling", "Standardise", "TopPrior", "at"]
