"""The distributions of the plane: a sampler each, its exact density, and its entropy."""
