"""The models the lab knows: a line each, the name of the model's folder."""

from importlib import import_module

NAMES = (
    "nice",
    "realnvp",
    "glow",
    "spline",
)
RECIPES = {name: import_module(f"{name}.train_{name}").RECIPE for name in NAMES}
MODELS = {name: recipe.model for name, recipe in RECIPES.items()}
