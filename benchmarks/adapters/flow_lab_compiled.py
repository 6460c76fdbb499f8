"""Flow Lab with compiled steps."""

from adapters import flow_lab
from adapters.flow_lab import MODELS, PACKAGES

__all__ = ["MODELS", "NAME", "PACKAGES", "Adapter"]
NAME = "Flow Lab, compiled"


class Adapter(flow_lab.Adapter):
    """As Flow Lab; a training counts from where the compiled step took over."""

    compiled = True
