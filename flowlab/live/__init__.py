"""A training as it is watched: numbers and pictures, made in the worker beside the training."""

from flowlab.live.watch import Content, Film, Frame, Held, Request, borrow, give_back, scene, watch

__all__ = ["Content", "Film", "Frame", "Held", "Request", "borrow", "give_back", "scene", "watch"]
