"""Reports of the benchmarks, made from what they measured."""

import json
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import nested_parse_with_titles

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
FEW = 3  # columns that a phone has room for


class Benchmark(SphinxDirective):
    """The report of one benchmark, ``.. benchmark:: report results.json``.

    Its arguments are the module with the function ``markdown`` that makes the report, and the file
    with the numbers, both in ``benchmarks/``.
    """

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        """The report's sections, without its title."""
        module, file = self.arguments
        if str(BENCHMARKS) not in sys.path:
            sys.path.append(str(BENCHMARKS))
        maker, numbers = import_module(module), BENCHMARKS / file
        for path in (maker.__file__, numbers, BENCHMARKS / "REMARKS.md"):
            self.env.note_dependency(str(path))
        results = json.loads(numbers.read_text("utf-8"))
        lines = [*pythons(results), *restructured(maker.markdown(results))]
        section = nodes.section()
        section.document = self.state.document
        nested_parse_with_titles(self.state, StringList(lines, self.get_source_info()[0]), section)
        return section.children


def pythons(results: dict) -> list[str]:
    """A sentence on the versions of Python, where the numbers say them."""
    found = sorted({library["python"] for library in results.get("libraries", ())})
    return [f"Python {', '.join(found)}.", ""] if found else []


def restructured(markdown: str) -> Iterator[str]:
    """The lines of a report in reStructuredText: headings, tables and paragraphs, no title."""
    table = False
    for line in markdown.splitlines():
        line = line.replace("`", "``")
        starts = line.startswith("|") and not table
        table = line.startswith("|")
        if table:
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if starts:
                yield from ("", ".. list-table::")
                yield from (["   :class: wide"] if len(cells) > FEW else [])
                yield from (("   :header-rows: 1", "") if any(cells) else ("",))
            if any(cell.strip("-") for cell in cells):
                yield from (f"     - {cell}" if i else f"   * - {cell}"
                            for i, cell in enumerate(cells))
        elif line.startswith("## "):
            yield from (line[3:], "~" * len(line[3:]), "")
        elif not line.startswith("# "):
            yield line


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("benchmark", Benchmark)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
