"""The map of a coupling, drawn as a curve with the point that is followed."""

from matplotlib.figure import Figure

from flowlab.analysis.couplings import Curve
from flowlab.figures import style
from flowlab.figures.canvas import blank, panel


def coupling_curve(curve: Curve, *, theme: str = "light") -> Figure:
    """Return a small picture of a coupling's map: from z across to x upwards.

    Parameters
    ----------
    curve : Curve
        Its knots are drawn as dots, and the followed point with its way to both axes.
    theme : {"light", "dark"}
        Theme of the picture.

    Returns
    -------
    matplotlib.figure.Figure
        It has ``style.COUPLING_SIZE`` pixels.
    """
    colours = style.theme(theme)
    width, height = style.COUPLING_SIZE
    figure, reach = blank(style.COUPLING_SIZE, colours), float(curve.z[-1])
    axes = panel(figure, (76, 40, width - 96, height - 106), colours,
                 "The map of this coupling, at the point")
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach))
    for place, text in ((axes.set_xlabel, "z"), (axes.set_ylabel, "x")):
        place(f"{text}{'₁₂'[curve.coordinate - 1]}", color=colours.muted,
              fontsize=style.LABEL_SIZE, fontfamily=style.FONT, labelpad=2)
    axes.plot([-reach, reach], [-reach, reach], color=colours.line, linewidth=1.2,
              dashes=(4, 3))
    axes.plot(curve.z, curve.x, color=colours.model, linewidth=2.4)
    axes.plot(*curve.knots.T, "o", color=colours.model, markersize=5.5,
              markeredgecolor=colours.surface)
    z, x = curve.point
    axes.plot([z, z, -reach], [-reach, x, x], color=colours.text, linewidth=1.2, dashes=(2, 2))
    axes.plot([z], [x], "o", color=colours.text, markersize=8, markeredgecolor=colours.surface,
              markeredgewidth=1.6)
    return figure
