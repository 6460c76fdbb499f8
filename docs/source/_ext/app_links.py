"""Links that open the app in a given state, and the numbers that its lessons reach there.

They are made from the settings by the app's own code, and read by it: what a page would complain
about fails the build, so that a link cannot go stale.
"""

from urllib.parse import urlencode

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.parsers.rst.states import Inliner
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from flowlab.ui.compare import controls
from flowlab.ui.controls import experiments, links, validation
from models import RECIPES

PRESETS = experiments.every(RECIPES)
TOLD = ("hide", "lock", "title", "task")


def query(page: str, settings: dict[str, str], told: dict[str, str]) -> str:
    """What follows the page's name in a link.

    Parameters
    ----------
    page : str
        A model's name, or ``compare``.
    settings : dict of str
        As `RunSettings.from_texts` or `Comparison` reads them.
    told : dict of str
        What a teacher adds, as `flowlab.ui.controls.links.read` reads it.

    Raises
    ------
    ValueError
        With the page's complaints.
    """
    if page == "compare":
        comparison, complaints = controls.read(settings, RECIPES)
        text = "?" + urlencode(comparison.texts(), safe=",:;=")
        complaints += [f"The page Compare knows no {name}." for name in told]
    else:
        run, complaints = validation.read(RECIPES[page].Run, settings)
        lesson, more = links.read(told, experiments.names(RECIPES[page]))
        complaints += more
        text = links.address(run, lesson)
    if complaints:
        raise ValueError(" ".join(complaints))
    return text


class AppLink(SphinxDirective):
    """A link to a page of the app, whose text is the directive's content.

    ::

        .. app-link:: realnvp
           :preset: one-coupling
           :settings: seed=1
              couplings=2
           :hide: network, training
           :title: Try it
           :task: Train.

           Open the experiment

    ``settings`` has one setting a line; with a ``preset`` they change that experiment.
    """

    required_arguments = 1
    has_content = True
    option_spec = dict.fromkeys(("preset", "settings", *TOLD), directives.unchanged_required)

    def run(self) -> list[nodes.Node]:
        """A paragraph with the link."""
        page, preset = self.arguments[0], self.options.get("preset")
        told = {name: " ".join(self.options[name].split()) for name in TOLD if name in self.options}
        settings = experiments.start(PRESETS[preset], links.Lesson(), RECIPES) if preset else {}
        told |= {"preset": settings.pop("preset")} if preset else {}
        settings |= dict(line.strip().split("=", 1)
                         for line in self.options.get("settings", "").splitlines())
        try:
            address = f"{self.config.flowlab_app}/{page}{query(page, settings, told)}"
        except ValueError as error:
            raise self.error(str(error)) from error
        return [paragraph(address, " ".join(self.content))]


def paragraph(address: str, text: str) -> nodes.paragraph:
    """A paragraph with one link to the app."""
    return nodes.paragraph("", "", nodes.reference("", text, refuri=address),
                           classes=["app-link"])


class Experiments(SphinxDirective):
    """All experiments of the app, or those named: what to do, expect and look at, and why."""

    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """A link and four paragraphs for each."""
        names = self.arguments[0].split() if self.arguments else PRESETS
        shown = []
        for preset in (PRESETS[name] for name in names):
            text = [f"**{experiments.title(preset, RECIPES)}**", "",
                    f".. app-link:: {preset.model}", f"   :preset: {preset.name}", "",
                    "   Open this experiment", ""]
            for head, words in (("Do.", preset.do), ("What do you expect?", preset.expect),
                                ("Look.", preset.look), ("Why.", preset.why)):
                text += [f"*{head}* {words}", ""]
            box = nodes.container(classes=["experiment"])
            self.state.nested_parse(StringList(text, self.get_source_info()[0]), 0, box)
            shown.append(box)
        return shown


def number(role: str, raw: str, text: str, line: int, inliner: Inliner, options: dict | None = None,
           content: list[str] | None = None) -> tuple[list[nodes.Node], list]:
    """``:measured:`volume nice.kl .2f```: a lesson's number, and how it is written."""
    lesson, name, style = text.split()
    training, _, key = name.partition(".")
    recipe = RECIPES[PRESETS[lesson].model]
    value = recipe.measured[lesson][training]["numbers"][key]
    return [nodes.Text(f"{value:{style}}")], []


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directives, and the setting where the app is."""
    app.add_config_value("flowlab_app", "http://localhost:8501", "env")
    app.add_directive("app-link", AppLink)
    app.add_directive("experiments", Experiments)
    app.add_role("measured", number)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
