"""Takes the figures of a tutorial: every new matplotlib Figure among its variables.

Figures are made without pyplot, as in the lab itself. A figure's label is its alternative text,
``figure.set_label("What the picture shows")``; without one the build fails.
"""

from typing import Any

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

SHOWN = "shown"


def scrape(block: tuple, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Save the figures that a block of code made, and return them as reStructuredText."""
    text = ""
    figures = [v for v in block_vars["example_globals"].values() if isinstance(v, Figure)]
    for figure in dict.fromkeys(figures):
        if figure.get_gid() == SHOWN:
            continue
        figure.set_gid(SHOWN)
        if not figure.get_label():
            raise ValueError(f"{block_vars['src_file']}: a figure lacks figure.set_label(\"…\"), "
                             "its text for those who cannot see it.")
        path = next(block_vars["image_path_iterator"])
        figure.savefig(path, dpi=figure.dpi)
        text += figure_rst([path], gallery_conf["src_dir"], figure.get_label())
    return text
