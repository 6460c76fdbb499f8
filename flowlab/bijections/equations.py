"""What a layer does, as equations that pages show."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

#: The log-determinant in all equations and pictures, positive where the forward map expands.
LOG_DET = r"\log\left|\det\tfrac{\partial x}{\partial z}\right|"


@dataclass(frozen=True)
class Step:
    """The name of a layer, and its equations in LaTeX.

    Attributes
    ----------
    name : str
        A few words; an arrow shows along which coordinate of the plane the layer acts.
    forward, inverse : str
        The map from latent to data, z to x, and its inverse; one equation on each line.
    log_det : str
        log abs det ∂x/∂z of the forward map.
    """

    name: str
    forward: str
    inverse: str
    log_det: str

    def latex(self, marked: str = "", colour: str = "",
              more: Sequence[tuple[str, str]] = ()) -> str:
        """Return all equations as one block of LaTeX.

        Parameters
        ----------
        marked : {"", "forward", "inverse"}
            The map that is highlighted.
        colour : str
            Colour of the highlight, as ``#rrggbb``.
        more : sequence of (str, str)
            Further lines, each a name and an equation.
        """
        rows = []
        for name, text in (("forward", self.forward), ("inverse", self.inverse)):
            paint = rf"\textcolor{{{colour}}}" if name == marked else ""
            for label, line in zip_longest((rf"\text{{{name}}}",), text.splitlines(), fillvalue=""):
                rows.append(rf"{paint}{{{label}}} & \quad {paint}{{{line}}}")
        rows.append(rf"{LOG_DET} & = {self.log_det}")
        rows += [rf"\text{{{name}}} & {text}" for name, text in more]
        return r"\begin{aligned}" + r"\\[2pt]".join(rows) + r"\end{aligned}"
