"""The map of a coupling as a curve: that of the layer, with its knots, through the point."""

import numpy as np
import pytest
import torch
from helpers import shake, small

from flowlab.analysis import couplings, plane
from flowlab.figures import coupling_curve, png, style
from flowlab.figures.canvas import pixels
from models import MODELS

POINT = (0.4, -0.7)


@pytest.mark.parametrize("name", MODELS)
def test_a_curve_is_that_of_the_layer_through_the_point(name):
    flow = shake(MODELS[name](**small(name, depth=4)), 0.2).eval()
    seen, drawn = plane.probe(flow, POINT), 0
    for k, layer in enumerate(flow.layers):
        curve = couplings.curve(layer, *seen.path[k:k + 2], 3.0)
        if curve is None:
            assert not hasattr(layer, "conditions")
            continue
        drawn += 1
        points = np.repeat(seen.path[k][None], len(curve.z), 0)
        points[:, curve.coordinate - 1] = curve.z
        with torch.no_grad():
            after = layer.forward(torch.from_numpy(points))[0].numpy()
        np.testing.assert_allclose(curve.x, after[:, curve.coordinate - 1], atol=1e-5)
        for z, x in (curve.point, *curve.knots):
            assert np.interp(z, curve.z, curve.x) == pytest.approx(x, abs=0.05)
        assert len(curve.knots) == (flow.settings.bins + 1 if hasattr(flow.settings, "bins") else 0)
        straight = np.abs(np.diff(curve.x, 2)).max() < 1e-4
        assert straight == (len(curve.knots) == 0)
    assert drawn == sum(hasattr(layer, "conditions") for layer in flow.layers) > 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_its_picture_has_its_size_and_shows_the_point(theme):
    flow = shake(MODELS["spline"](couplings=1)).eval()
    seen = plane.probe(flow, POINT)
    figure = coupling_curve(couplings.curve(flow.layers[0], *seen.path[:2], 3.0), theme=theme)
    assert png(figure)[:4] == b"\x89PNG"
    assert pixels(figure).size == style.COUPLING_SIZE
