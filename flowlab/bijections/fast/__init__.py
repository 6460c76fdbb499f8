"""The fast path of flows on vectors: their layers as compiled loops."""

from flowlab.bijections.fast.chain import Step, through

__all__ = ["Step", "through"]
