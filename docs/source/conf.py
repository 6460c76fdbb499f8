"""Settings of the documentation."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT), str(HERE / "_ext")]
os.environ.setdefault("OMP_NUM_THREADS", "1")

from streamlit.logger import set_log_level  # noqa: E402

import flowlab  # noqa: E402
from models import NAMES  # noqa: E402

set_log_level("ERROR")  # it warns of caches without a server

project = "Flow Lab"
author = "The Flow Lab authors"
project_copyright = author
version = release = flowlab.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinxcontrib.bibtex",
    "sphinx_gallery.gen_gallery",
    "smart_names",
    "source_lines",
    "from_the_code",
    "app_links",
    "benchmarks",
    "explorables",
    "floors",
    "made_from",
]
# Where the links of the lesson plan lead: a school has the site made with its server's address.
flowlab_app = os.environ.get("FLOWLAB_APP", "http://localhost:8501").rstrip("/")
rst_prolog = f".. |app| replace:: {flowlab_app}/"
exclude_patterns = ["tutorials/*.rst", "generated/**/*.ipynb"]
templates_path = ["_templates"]
nitpicky = True
# Names of other projects: their documentation is on the network, which a build does not need.
BUILT_IN = ("int", "float", "bool", "str", "bytes", "object", "None", "tuple", "list", "dict",
            "type", "ValueError", "RuntimeError", "OSError", "FileNotFoundError", "GeneratorExit")
nitpick_ignore_regex = [("py:.*", rf"(?!(flowlab|{'|'.join(NAMES)}|models)\.)\w+\..*"),
                        ("py:.*", rf"({'|'.join(BUILT_IN)})"),
                        ("py:.*", r"flowlab\..*\.([A-Z]|Nats|Row)")]  # type variables

default_role = "smart"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
# matplotlib gives every class of artists a method set, with words of its own documentation.
autodoc_default_options = {"members": True, "show-inheritance": True, "exclude-members": "set",
                           "ignore-module-all": True}
add_module_names = False
maximum_signature_line_length = 80
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "plain"
bibtex_reference_style = "author_year"
math_number_all = False

sphinx_gallery_conf = {
    "examples_dirs": "tutorials",
    "gallery_dirs": "generated/tutorials",
    "filename_pattern": r"\.py$",
    "ignore_pattern": r"__init__\.py",
    "within_subsection_order": "FileNameSortKey",
    "image_scrapers": ("figure_scraper.scrape",),
    "reset_modules": (),
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "plot_gallery": os.environ.get("FLOWLAB_TUTORIALS", "1") == "1",
}

html_theme = "sphinx_rtd_theme"
html_title = f"Flow Lab {version}"
# MathJax comes with the site, so that equations show without the network.
_mathjax = Path(find_spec("sphinx-mathjax-offline").origin).parent / "static/mathjax/tex-svg.js"
html_static_path = ["_static", str(_mathjax)]
mathjax_path = _mathjax.name
html_css_files = ["site.css"]
html_theme_options = {"navigation_depth": 3, "collapse_navigation": False}
html_copy_source = False
html_show_sphinx = False
