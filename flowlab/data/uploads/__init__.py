"""Readers of uploaded tables, pictures, images and drawings, which check all that they read."""
