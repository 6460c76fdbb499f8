"""Flow Lab: small, exact, fast normalizing flows, and a place to watch them learn."""

from flowlab import former
from flowlab.flow import Bijection, Flow

__version__ = "0.1.0"
__all__ = ["Bijection", "Flow", "__version__"]

former.install()
