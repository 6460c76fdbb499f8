"""RealNVP: density estimation using real-valued non-volume preserving transformations."""

from realnvp.real_nvp import RealNVP, RealNVPSettings

__all__ = ["RealNVP", "RealNVPSettings"]
