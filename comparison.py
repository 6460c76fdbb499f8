"""The page that compares models side by side on the same data."""

from flowlab.ui import comparing
from models import RECIPES

comparing.show(RECIPES)
