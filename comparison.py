"""The page that compares models side by side on the same data."""

from flowlab.ui.compare import page
from models import RECIPES

page.draw(RECIPES)
