"""Computes the arrays behind pictures: densities, layers, paths and images of a flow."""
