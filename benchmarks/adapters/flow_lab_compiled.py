"""Flow Lab with compiled steps."""

from adapters import flow_lab
from adapters.flow_lab import MODELS, PACKAGES

__all__ = ["MODELS", "NAME", "PACKAGES", "Adapter", "Defaults"]
NAME = "Flow Lab, compiled"


class Adapter(flow_lab.Adapter):
    """As Flow Lab; its steps are compiled before the clock starts."""

    compiled = True


class Defaults(Adapter, flow_lab.Defaults):
    """As Flow Lab's."""
