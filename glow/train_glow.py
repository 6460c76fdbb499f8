"""Glow's recipe: what pages and commands are made of; also a command line.

``python -m glow.train_glow --data moons --epochs 50 --save run.safetensors``
"""

import sys
from typing import Literal

from flowlab.bijections.equations import Step
from flowlab.commands import train as cli
from flowlab.settings import RunSettings
from flowlab.training.recipe import Recipe
from glow.glow import Glow, GlowSettings
from glow.lessons import LESSONS

# On digits with classes about 2.00 bits per dimension on test images, and 97 % or more of the
# samples at temperature 0.7 look like their class; half a minute on one thread.
IMAGES = {"epochs": 30, "batch_size": 128, "steps": 8}


class Run(RunSettings):
    """One training of Glow, complete and reproducible."""

    model: Literal["glow"] = "glow"
    flow: GlowSettings = GlowSettings()


RECIPE = Recipe(
    model=Glow,
    Run=Run,
    title="Glow",
    icon=":material/flare:",
    idea="Each step **normalises, mixes and couples**: ActNorm sets the scale, a learned "
    "invertible matrix mixes the coordinates, an affine coupling stretches and moves one of "
    "them.",
    equations=Step(
        "step",
        "y_b = z_b \\odot e^{s(z_a)} + t(z_a)\n"
        "x = e^{-c} \\odot W^{-1} y - b",
        "y = W\\bigl(e^{c} \\odot (x + b)\\bigr)\n"
        "z_b = (y_b - t(y_a)) \\odot e^{-s(y_a)}",
        r"\textstyle\sum_j s(z_a)_j - \log|\det W| - \sum_i c_i"),
    text="""\
**Glow: generative flow with invertible 1×1 convolutions**, D. P. Kingma and P. Dhariwal,
2018, [arXiv 1807.03039](https://arxiv.org/abs/1807.03039).

The equations are those of one step: on the way to the data first the coupling, then the matrix *W*,
then ActNorm with its shift *b* and log-scale *c*; on the way back all three are undone in turn.
ActNorm starts from the training data, so that every step begins with mean 0 and variance 1, and is
then learned. In the plane the 1×1 convolution is an invertible matrix; its form *W* =
*P L* (*U* + diag *σ*) keeps it invertible, makes its determinant a product, and its inverse two
triangular solves. It takes the place of RealNVP's fixed alternation of halves.

Compare ActNorm with batch normalisation, or with none.
""",
    summary="Each step normalises, **mixes by a learned matrix**, then stretches and moves.",
    strength="Learns along which directions to act; ActNorm gives every step a good start.",
    limit="More layers to compute; with many steps and only two coordinates to mix it gains "
    "little.",
    paper="D. P. Kingma, P. Dhariwal, 2018: [arXiv 1807.03039](https://arxiv.org/abs/1807.03039)",
    images=IMAGES,
    pretrained={"digits": {**IMAGES, "data": "digits", "classes": 10}},
    lessons=LESSONS,
)
train = RECIPE.train

if __name__ == "__main__":
    sys.exit(cli.main(Run, train, "glow.train_glow"))
