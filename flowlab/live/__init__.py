"""Watches a training: numbers and pictures, made in the worker."""

from flowlab.live.watch import (
    Content,
    Film,
    Frame,
    InMemory,
    Request,
    borrow,
    give_back,
    scene,
    watch,
)

__all__ = ["Content", "Film", "Frame", "InMemory", "Request", "borrow", "give_back", "scene",
           "watch"]

Held = InMemory  # former name
