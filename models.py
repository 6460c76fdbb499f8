"""The models the lab knows. A fourth model is one line here and one folder."""

from glow import train_glow
from nice import train_nice
from realnvp import train_realnvp

RECIPES = {"nice": train_nice, "realnvp": train_realnvp, "glow": train_glow}
MODELS = {name: recipe.MODEL for name, recipe in RECIPES.items()}
