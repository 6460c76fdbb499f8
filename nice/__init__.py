"""NICE: non-linear independent components estimation (Dinh, Krueger and Bengio, 2014)."""

from nice.nice import NICE, NICESettings

__all__ = ["NICE", "NICESettings"]
