"""Hostile input: corpora made in code, their mutations, and what must hold for each of them."""
