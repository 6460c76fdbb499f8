"""What a layer does, as equations that pages show."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

#: The log-determinant of all equations and pictures: positive where the forward map stretches.
LOG_DET = r"\log\left|\det\tfrac{\partial x}{\partial z}\right|"


@dataclass(frozen=True)
class Step:
    """What one layer does, in a few words and as equations in LaTeX.

    Attributes
    ----------
    name : str
        Short; arrows say along which coordinate of the plane it acts.
    forward, inverse : str
        The map latent to data, z to x, and back; one equation a line.
    log_det : str
        What the log abs det ∂x/∂z of the forward map is.
    """

    name: str
    forward: str
    inverse: str
    log_det: str

    def latex(self, marked: str = "", colour: str = "",
              more: Sequence[tuple[str, str]] = ()) -> str:
        """All three as one block, each with its name.

        Parameters
        ----------
        marked : {"", "forward", "inverse"}
            The map that is shown in `colour`, as ``#rrggbb``.
        colour : str
        more : sequence of (str, str)
            Further lines: a name, and an equation.
        """
        rows = []
        for name, text in (("forward", self.forward), ("inverse", self.inverse)):
            paint = rf"\textcolor{{{colour}}}" if name == marked else ""
            for label, line in zip_longest((rf"\text{{{name}}}",), text.splitlines(), fillvalue=""):
                rows.append(rf"{paint}{{{label}}} & \quad {paint}{{{line}}}")
        rows.append(rf"{LOG_DET} & = {self.log_det}")
        rows += [rf"\text{{{name}}} & {text}" for name, text in more]
        return r"\begin{aligned}" + r"\\[2pt]".join(rows) + r"\end{aligned}"
