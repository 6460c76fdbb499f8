"""A trained flow of the plane as one web page that needs no server and no network.

The page computes the flow itself, with the equations of ``flow.js``. In the browser a person
plays the way of samples through the layers, follows a point, changes the temperature, draws new
samples, and goes back through the training where its moments are inside.
"""

from flowlab.web.page import page

__all__ = ["page"]
