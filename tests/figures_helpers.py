"""Made-up results, and a comparison drawn from them."""

import numpy as np

from flowlab.analysis.grid import grid_points
from flowlab.figures import ComparisonPicture

LIMITS = (-3.0, 3.0, -3.0, 3.0)
RANDOM = np.random.default_rng(0)
DATA, SAMPLES, LATENTS = RANDOM.normal(size=(3, 200, 2)) * 0.8
GRID = np.exp(-0.5 * (grid_points(LIMITS, 24) ** 2).sum(1)).reshape(24, 24) / (2 * np.pi)
EPOCHS = np.arange(6)


def rivals(theme="light", data=2, models=3, **options):
    """Return models side by side, each with two curves."""
    picture = ComparisonPicture(
        [f"Data {i}" for i in range(data)], [LIMITS] * data, [GRID] * data, [DATA] * data,
        [f"Model {i}" for i in range(models)], theme=theme, **options)
    curve = np.stack([10 * EPOCHS, 0.5 * EPOCHS, np.exp(-EPOCHS)], axis=1)
    for row in range(data):
        for column in range(models):
            picture.update(row, column, density=(column + 1) * GRID, samples=SAMPLES,
                           caption=f"KL {column}", curves=[curve, 2 * curve])
    picture.fit_axes()
    return picture


def whole(figure) -> bool:
    """Whether nothing that is drawn is cut by the figure's edge."""
    box, (across, down) = figure.get_tightbbox(), figure.get_size_inches()
    return 0 <= box.x0 and 0 <= box.y0 and box.x1 <= across and box.y1 <= down
