"""The bijections that the models are built from."""

from flowlab.bijections.batchnorm import BatchNorm
from flowlab.bijections.coupling import AdditiveCoupling, AffineCoupling
from flowlab.bijections.elementwise import ActNorm, Scaling, Standardise
from flowlab.bijections.images import (
    ChannelCoupling,
    CheckerboardCoupling,
    Convolution1x1,
    FactorOut,
    Logit,
    TopPrior,
)
from flowlab.bijections.linear import Linear
from flowlab.bijections.multiscale import FLAT, at

__all__ = ["FLAT", "ActNorm", "AdditiveCoupling", "AffineCoupling", "BatchNorm", "ChannelCoupling",
           "CheckerboardCoupling", "Convolution1x1", "FactorOut", "Linear", "Logit",
           "Scaling", "Standardise", "TopPrior", "at"]
