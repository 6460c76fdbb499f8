"""Glow's page."""

from flowlab.analysis.equations import Step
from flowlab.ui.model import page
from glow import train_glow

page.draw(
    train_glow, "Glow",
    "Each step **normalises, mixes and couples**: ActNorm sets the scale, a learned invertible "
    "matrix mixes the coordinates, an affine coupling stretches and moves one of them.",
    Step("step",
         "y_b = z_b \\odot e^{s(z_a)} + t(z_a)\n"
         "x = e^{-c} \\odot W^{-1} y - b",
         "y = W\\bigl(e^{c} \\odot (x + b)\\bigr)\n"
         "z_b = (y_b - t(y_a)) \\odot e^{-s(y_a)}",
         r"\textstyle\sum_j s(z_a)_j - \log|\det W| - \sum_i c_i"),
    """**Glow: generative flow with invertible 1×1 convolutions**, D. P. Kingma and P. Dhariwal,
2018, [arXiv 1807.03039](https://arxiv.org/abs/1807.03039).

The equations are those of one step: on the way to the data first the coupling, then the matrix *W*,
then ActNorm with its shift *b* and log-scale *c*; on the way back all three are undone in turn.
ActNorm starts from the training data, so that every step begins with mean 0 and variance 1, and is
then learned. In the plane the 1×1 convolution is an invertible matrix; its form *W* =
*P L* (*U* + diag *σ*) keeps it invertible, makes its determinant a product, and its inverse two
triangular solves. It takes the place of RealNVP's fixed
alternation of halves.

Compare ActNorm with batch normalisation, or with none.
""")
