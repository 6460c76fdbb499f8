"""Colours, fonts and sizes of all pictures.

The pages have the same colours: ``.streamlit/config.toml`` repeats them, and a test compares them.
Data and model keep their colour in every panel and on every page. Both are from the palette of
M. Okabe and K. Ito, "Color Universal Design" (2008), which people with the common kinds of colour
blindness can distinguish. Densities use the perceptually uniform maps magma and viridis.
"""

from dataclasses import dataclass, replace

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Colormap, LinearSegmentedColormap, ListedColormap, to_hex, to_rgb

DPI = 100
FONT = "DejaVu Sans"  # part of matplotlib, so pictures are the same on every machine
TITLE_SIZE = 17  # points; a live picture of 1600 pixels is still legible when shown at 1100
LABEL_SIZE = 14
TICK_SIZE = 12.5

ANGLES = 12  # colours for the angles of a cloud
MAP_START = 0.12  # start of the density map, where it is about as light as the background
GROUND_SHARE = 0.25  # share of the density map that is blended with the background

LIVE_SIZE = (1600, 960)  # pixels: width, height
LECTURE_SIZE = (1600, 780)  # fills a projector's screen but for two rows of controls
#: Layouts for lectures, with larger letters and thicker lines: every panel, or two large ones, the
#: learned density beside the loss or beside the true density.
LAYOUTS = ("lecture", "loss", "truth")
LECTURE = 1.35  # factor on letters, lines and points in a lecture
CURVES_SIZE = (1000, 560)
TRANSPORT_SIZE = (1600, 660)
CHANGE_SIZE = (1160, 820)
COUPLING_SIZE = (560, 420)
SWEEP_SIZE = (900, 540)
THUMBNAIL_SIZE = (240, 240)  # shown at 120, which is sharp on high-resolution screens


@dataclass(frozen=True)
class Theme:
    """The colours of one appearance, as ``"#rrggbb"``, and its layout.

    Parameters
    ----------
    name : {"light", "dark"}
        Name of the theme.
    background, surface : str
        Background of the page, and of panels and controls.
    text, muted, line : str
        Texts; secondary texts and lines; frames and grid lines.
    primary : str
        Buttons and links of the page.
    data, model : str
        Data and model, in every picture.
    training, test : str
        The two loss curves.
    density, error : str
        Names of the colour maps of densities, and of signed errors.
    over : str
        Densities beyond the end of the colour scale.
    wheel : tuple of str
        Four colours around a circle, for points coloured by angle.
    entries : tuple of str
        Colours of the entries of a comparison, in order; none is the colour of the data.
    layout : str
        How pictures are laid out: one of `LAYOUTS`, or empty for a page.
    """

    name: str
    background: str
    surface: str
    text: str
    muted: str
    line: str
    primary: str
    data: str
    model: str
    training: str
    test: str
    density: str
    error: str
    over: str
    wheel: tuple[str, str, str, str]
    entries: tuple[str, ...]
    layout: str = ""

    @property
    def dpi(self) -> float:
        """Pixels in an inch: more of them make letters, lines and points larger."""
        return DPI * LECTURE if self.layout else DPI

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels of a model's pictures."""
        return LECTURE_SIZE if self.layout else LIVE_SIZE

    @property
    def title_size(self) -> float:
        """Points of a title: its size in pixels is always the same, for it fills its panel."""
        return TITLE_SIZE * DPI / self.dpi

    def densities(self) -> Colormap:
        """Return the colour map of densities, which starts at the background of panels.

        So a density of 0 looks like an empty panel of points.
        """
        share = np.linspace(0, 1, 256)[:, None]
        colours = colormaps[self.density](MAP_START + (1 - MAP_START) * share[:, 0])[:, :3]
        ground = np.clip(1 - share / GROUND_SHARE, 0, 1)
        colours = ground * np.array(to_rgb(self.surface)) + (1 - ground) * colours
        shades = LinearSegmentedColormap.from_list(f"density-{self.name}", colours)
        return shades.with_extremes(bad=self.line, over=self.over)

    def errors(self) -> Colormap:
        """Return the diverging colour map of signed errors."""
        return colormaps[self.error].with_extremes(bad=self.line, over=self.over)

    def angles(self) -> Colormap:
        """Return a cyclic colour map through `wheel`, for angles scaled to 0…1."""
        colours = [*self.wheel, self.wheel[0]]
        return LinearSegmentedColormap.from_list(f"wheel-{self.name}", colours)

    def angle_colours(self) -> np.ndarray:
        """Return a few colours of `angles`, of shape (12, 4): one for each twelfth of a circle."""
        return self.angles()((np.arange(ANGLES) + 0.5) / ANGLES)

    def lines(self) -> Colormap:
        """Return `entries` as a colour map, with shades from the background to each colour."""
        shades = np.concatenate([_ramp(self.surface, colour, 12) for colour in self.entries])
        return ListedColormap(shades, f"lines-{self.name}")

    def palette(self, *maps: Colormap, dots: bool = False) -> np.ndarray:
        """Return a palette of 256 colours for a picture with this theme and `maps`.

        Frames with a common palette are a third of the size and quick to compress, and static parts
        keep exactly the same colour from frame to frame.

        Parameters
        ----------
        *maps : matplotlib.colors.Colormap
            The colour maps of the picture; they share the colours that the theme leaves.
        dots : bool
            Whether the picture has dots in `angle_colours`.

        Returns
        -------
        numpy.ndarray
            Shape (256, 3), uint8.
        """
        ramps = [_ramp(self.background, self.text, 24), _ramp(self.surface, self.muted, 12)]
        for colour in dict.fromkeys((self.data, self.model, self.training, self.test)):
            ramps.append(_ramp(self.surface, colour, 16))
        ramps.append(_ramp(self.line, self.surface, 8))
        if dots:
            # At a dot's edge, within it, and where several lie on each other.
            ramps += [_ramp(self.surface, to_hex(c), 6)[[2, 4, 5]] for c in self.angle_colours()]
        rest = 256 - sum(len(ramp) for ramp in ramps)
        for part, colours in zip(np.array_split(range(rest), len(maps)), maps, strict=True):
            shares = [*np.linspace(0, 1, len(part) - 1), 2.0]  # the last: beyond its end
            ramps.append(colours(shares)[:, :3])
        return np.round(np.concatenate(ramps) * 255).astype(np.uint8)


def _ramp(first: str, last: str, count: int) -> np.ndarray:
    share = np.linspace(0, 1, count)[:, None]
    return (1 - share) * np.array(to_rgb(first)) + share * np.array(to_rgb(last))


LIGHT = Theme(
    name="light",
    background="#ffffff",
    surface="#f4f6f9",
    text="#1b2430",
    muted="#5b6675",
    line="#cfd6df",
    primary="#0b68a8",
    data="#0072b2",
    model="#d55e00",
    training="#d55e00",
    test="#7b3fa0",
    density="magma_r",
    error="RdBu_r",
    over="#00a8b8",
    wheel=("#0072b2", "#009e73", "#e69f00", "#c2528b"),
    entries=("#d55e00", "#008a64", "#7b3fa0", "#a67c00", "#c2528b", "#5b6675"),
)

DARK = Theme(
    name="dark",
    background="#0f141b",
    surface="#171e28",
    text="#eef2f7",
    muted="#a3afbe",
    line="#3a4655",
    primary="#2b87d1",
    data="#56b4e9",
    model="#ff9f40",
    training="#ff9f40",
    test="#d6a2f0",
    density="magma",
    error="berlin",
    over="#22dcec",
    wheel=("#56b4e9", "#2fd1a0", "#f0c040", "#f08cc0"),
    entries=("#ff9f40", "#2fd1a0", "#d6a2f0", "#f0e060", "#f08cc0", "#a3afbe"),
)

THEMES = {theme.name: theme for theme in (LIGHT, DARK)}
#: The names of all themes and of their layouts.
NAMES = tuple(f"{name} {layout}".strip() for name in THEMES for layout in ("", *LAYOUTS))


def theme(name: str) -> Theme:
    """Return the theme called `name`: light or dark, which one of `LAYOUTS` may follow.

    Raises
    ------
    ValueError
        If there is no such theme.

    Examples
    --------
    >>> theme("dark").name
    'dark'
    >>> theme("dark loss").dpi
    135.0
    """
    if name not in NAMES:
        raise ValueError(f"The theme must be 'light' or 'dark'; got {name!r}.")
    colours, _, layout = name.partition(" ")
    return replace(THEMES[colours], name=name, layout=layout)
