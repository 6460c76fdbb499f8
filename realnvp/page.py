"""RealNVP's page."""

from flowlab.analysis.equations import Step
from flowlab.ui.model import page
from realnvp import train_realnvp

page.draw(
    train_realnvp, "RealNVP",
    "Each layer **stretches and moves** one coordinate by amounts computed from the other. So it "
    "can press points together here and spread them there, and density follows.",
    Step("affine coupling", r"x_b = z_b \odot e^{s(z_a)} + t(z_a)",
         r"z_b = (x_b - t(x_a)) \odot e^{-s(x_a)}", r"\textstyle\sum_j s(z_a)_j"),
    """**Density estimation using Real NVP**, L. Dinh, J. Sohl-Dickstein and S. Bengio, 2016,
[arXiv 1605.08803](https://arxiv.org/abs/1605.08803).

The networks *s* and *t* may be anything: neither is ever inverted. The Jacobian is triangular with
the scales on its diagonal, so its log-determinant is a sum. The two halves take turns: what passes
through one coupling unchanged is changed by the next. The log-scale is bounded by a tanh, so no
layer can stretch without limit.

Normalisation puts the paper's batch normalisation between couplings; in the plane it is rarely
needed. Try one or two couplings to see what a single one can do.
""")
