"""Glow's page."""

from flowlab.ui import model_page
from glow import train_glow

model_page.show(
    train_glow, "Glow",
    "Each step **normalises, mixes and couples**: ActNorm sets the scale, a learned invertible "
    "matrix mixes the coordinates, an affine coupling stretches and moves one of them.",
    r"""\begin{aligned}
    y &= (x + b) \odot e^{c} \\
    w &= W y, \quad W = P L (U + \operatorname{diag}(\sigma)) \\
    z_b &= (w_b - t(w_a)) \odot e^{-s(w_a)}
    \end{aligned}""",
    """**Glow: generative flow with invertible 1×1 convolutions**, D. P. Kingma and P. Dhariwal,
2018, [arXiv 1807.03039](https://arxiv.org/abs/1807.03039).

The equations are one step in the normalising direction, data to latent. ActNorm starts from the
training data, so that every step begins with mean 0 and variance 1, and is then learned. In the
plane the 1×1 convolution is an invertible matrix; its PLU form keeps it invertible, makes its
determinant a product, and its inverse two triangular solves. It takes the place of RealNVP's fixed
alternation of halves.

Compare ActNorm with batch normalisation, or with none.
""")
