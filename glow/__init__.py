"""Glow: generative flow with invertible 1×1 convolutions (Kingma and Dhariwal, 2018)."""

from glow.glow import Glow, GlowSettings

__all__ = ["Glow", "GlowSettings"]
