"""Trainings on the machines of a Ray cluster."""

from flowlab.jobs.ray.engine import Ray

__all__ = ["Ray"]
