"""Spline's recipe: what pages and commands are made of; also a command line.

``python -m spline.train_spline --data moons --epochs 50 --save run.safetensors``
"""

import sys
from typing import Literal

from flowlab.bijections.equations import Step
from flowlab.commands import train as cli
from flowlab.settings import RunSettings
from flowlab.training.recipe import Recipe
from spline.lessons import LESSONS
from spline.spline import Spline, SplineSettings


class Run(RunSettings):
    """One training of a spline flow, complete and reproducible."""

    model: Literal["spline"] = "spline"
    flow: SplineSettings = SplineSettings()


RECIPE = Recipe(
    model=Spline,
    Run=Run,
    title="Spline",
    icon=":material/timeline:",
    idea="Each layer moves one coordinate **along a rising curve**, a spline whose knots are "
    "computed from the other. A straight line moves a hill or makes it wider; a curve can make "
    "many hills out of one.",
    equations=Step(
        "spline coupling",
        "\\xi = \\frac{z_b - z_k}{z_{k+1} - z_k}, \\quad s = \\frac{x_{k+1} - x_k}{z_{k+1} - z_k}\n"
        "x_b = x_k + \\frac{(x_{k+1} - x_k)\\,[s\\,\\xi^2 + \\delta_k\\,\\xi(1-\\xi)]}"
        "{s + [\\delta_{k+1} + \\delta_k - 2s]\\,\\xi(1-\\xi)}",
        "\\xi = \\frac{2c}{-b - \\sqrt{b^2 - 4ac}}, \\quad z_b = z_k + (z_{k+1} - z_k)\\,\\xi",
        r"\log\frac{s^2\,[\delta_{k+1}\xi^2 + 2s\,\xi(1-\xi) + \delta_k(1-\xi)^2]}"
        r"{(s + [\delta_{k+1} + \delta_k - 2s]\,\xi(1-\xi))^2}"),
    text="""\
**Neural spline flows**, C. Durkan, A. Bekasov, I. Murray and G. Papamakarios, 2019,
[arXiv 1906.04032](https://arxiv.org/abs/1906.04032).

The network of a coupling computes, from the other half, the widths and heights of the bins and the
slopes *δ* at the knots between them. In each bin the curve is a ratio of two quadratic polynomials
(J. A. Gregory and R. Delbourgo, 1982): it rises, meets its neighbours with the same slope, and its
inverse is the root of a quadratic equation, *aξ*² + *bξ* + *c* = 0. Outside the bound the map is
the identity.

A steep piece thins density out and a flat piece gathers it, so a curve with several flat pieces
makes several humps in one layer. An affine coupling, a straight line, leaves each slice with the
one hump that it has: many islands take it many layers. Try one coupling, and few or many bins.
""",
    summary="Each layer moves one part **along a curve** whose knots the other part decides.",
    strength="One layer can make many humps out of one, so islands and rings need few layers.",
    limit="More numbers for each coupling, and more arithmetic; beyond its bound a layer changes "
    "nothing.",
    paper="C. Durkan, A. Bekasov, I. Murray, G. Papamakarios, 2019: "
    "[arXiv 1906.04032](https://arxiv.org/abs/1906.04032)",
    lessons=LESSONS,
)
train = RECIPE.train

if __name__ == "__main__":
    sys.exit(cli.main(Run, train, "spline.train_spline"))
