"""NICE's page."""

from flowlab.analysis.equations import Step
from flowlab.ui.model import page
from nice import train_nice

page.draw(
    train_nice, "NICE",
    "Each layer moves one coordinate by an amount computed from the other: easy to undo, and "
    "**volume stays what it was**. One scaling stretches each axis by its own factor, the same "
    "everywhere.",
    Step("additive coupling", r"x_b = z_b + m(z_a)", r"z_b = x_b - m(x_a)", "0"),
    """**Non-linear independent components estimation**, L. Dinh, D. Krueger and Y. Bengio, 2014,
[arXiv 1410.8516](https://arxiv.org/abs/1410.8516).

The network *m* may be anything: its own inverse is never needed. The Jacobian of an additive
coupling is triangular with ones on the diagonal, so its determinant is 1. Next to the latent space
a learned diagonal scaling, *x* = e⁻ˢ ⊙ *z*, stretches each axis by a factor of its own. The factors
are the same everywhere, and so is the change of volume, log|det ∂x/∂z| = −Σ s. So NICE can bend its
base distribution, but the values of density stay those of the base times this constant: it cannot
press mass into a thin line here and spread it there. That is why its KL to the truth stays above
that of the other two.

The base distribution is logistic, as in the paper; compare it with the normal one.
""")
