"""Spline: neural spline flows (Durkan, Bekasov, Murray and Papamakarios, 2019)."""

from spline.spline import Spline, SplineSettings

__all__ = ["Spline", "SplineSettings"]
