"""Links that open the app in a given state, and the numbers that its lessons reach there.

They are made from the settings by the app's own code, and read by it: what a page would complain
about fails the build, so that a link cannot go stale.
"""

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import lesson_plan
from flowlab.ui.controls import experiments
from flowlab.ui.teach.plan import Link, address, filled
from models import RECIPES

PRESETS = experiments.every(RECIPES)
LESSON = ("hide", "lock", "title", "task")


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
    option_spec = dict.fromkeys(("preset", "settings", *LESSON), directives.unchanged_required)

    def run(self) -> list[nodes.Node]:
        """A paragraph with the link."""
        lesson = {name: " ".join(self.options[name].split()) for name in LESSON
                  if name in self.options}
        settings = dict(line.strip().split("=", 1)
                        for line in self.options.get("settings", "").splitlines())
        link = Link(" ".join(self.content), self.arguments[0], settings,
                    self.options.get("preset", ""), lesson)
        try:
            return [paragraph(link, self.config.flowlab_app)]
        except ValueError as error:
            raise self.error(str(error)) from error


def paragraph(link: Link, lab: str) -> nodes.paragraph:
    """A paragraph with one link to the app."""
    reference = nodes.reference("", link.label, refuri=address(link, RECIPES, lab))
    return nodes.paragraph("", "", reference, classes=["app-link"])


class LessonPlan(SphinxDirective):
    """The goals and the steps of the lesson plan, as the page Teach has them."""

    def run(self) -> list[nodes.Node]:
        """The goals, and a section for each step."""
        goals = "\n".join(f"- {self._text(goal)}" for goal in lesson_plan.GOALS)
        shown = self.parse_text_to_nodes(
            f"What the class should know afterwards:\n\n{goals}\n")
        for step in lesson_plan.STEPS:
            first, last = step.minutes
            title = f"{first} to {last}: {step.title}"
            section = nodes.section("", nodes.title("", title), ids=[nodes.make_id(step.title)])
            section += self.parse_text_to_nodes(self._text(step.text))
            try:
                section += [paragraph(link, self.config.flowlab_app) for link in step.links]
            except ValueError as error:
                raise self.error(str(error)) from error
            for question, answer in step.ask:
                section += self.parse_text_to_nodes(f"*{question}* {self._text(answer)}")
            shown.append(section)
        return shown

    def _text(self, text: str) -> str:
        return filled(text, RECIPES, lambda words, page: f":doc:`{words} </{page}>`")


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


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directives, and the setting where the app is."""
    app.add_config_value("flowlab_app", "http://localhost:8501", "env")
    app.add_directive("app-link", AppLink)
    app.add_directive("experiments", Experiments)
    app.add_directive("lesson-plan", LessonPlan)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
