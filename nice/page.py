"""NICE's page."""

from flowlab.ui import model_page
from nice import train_nice

model_page.show(
    train_nice, "NICE",
    "Each layer moves one coordinate by an amount computed from the other: easy to undo, and "
    "**volume stays what it was**. One scaling at the end stretches everything equally.",
    r"""\begin{aligned}
    x_b &= z_b + m(z_a) \\
    z_b &= x_b - m(x_a) \\
    \log\left|\det\tfrac{\partial x}{\partial z}\right| &= 0
    \end{aligned}""",
    """**Non-linear independent components estimation**, L. Dinh, D. Krueger and Y. Bengio, 2014,
[arXiv 1410.8516](https://arxiv.org/abs/1410.8516).

The network *m* may be anything: its own inverse is never needed. The Jacobian of an additive
coupling is triangular with ones on the diagonal, so its determinant is 1. After the couplings a
learned diagonal scaling changes volume by one constant, the same everywhere. So NICE can bend its
base distribution, but the values of density stay those of the base times this constant: it cannot
press mass into a thin line here and spread it there. That is why its KL to the truth stays above
that of the other two.

The base distribution is logistic, as in the paper; compare it with the normal one.
""")
