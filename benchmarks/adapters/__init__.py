"""One module a library: each builds the models from its library's own parts.

A module has ``NAME``, ``PACKAGES`` (whose versions are recorded), ``MODELS`` and a class
``Adapter(model, dimension, seed)`` with

- ``fit(x, learning_rate, batch_size)``: a generator that trains by the library's documented loop
  and yields the number of optimiser steps done since the last yield;
- ``log_prob(x)`` and ``sample(n)``, from and to NumPy arrays;
- ``round_trip(x)``: data to latent and back;
- ``parameters()``: how many numbers are trained.

All models have 8 couplings, or the nearest the library allows, and MLPs with two hidden layers of
64 ReLU units; splines have 8 bins.
"""
