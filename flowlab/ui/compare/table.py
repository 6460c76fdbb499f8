"""The table of a comparison on a page."""

from collections.abc import Sequence
from html import escape

import streamlit as st

from flowlab.data import target
from flowlab.figures import style
from flowlab.studies.comparison import Comparison, Table
from flowlab.studies.comparison.table import CONFIDENCE
from flowlab.ui.app.lab import theme


def draw_table(table: Table, comparison: Comparison) -> None:
    """Draw the table, and say how to read it."""
    st.html(html(table, style.theme(theme()).entries))
    st.caption(note(comparison))


def note(comparison: Comparison) -> str:
    """One sentence on what the numbers are and when one is marked."""
    runs = (" A finished run is one training with a budget of its own: its numbers have no "
            "error and are never marked." if comparison.runs else "")
    if comparison.seeds == 1:
        return ("One seed: differences may be chance, so nothing is marked as best. Choose three "
                "seeds or more for an answer that can be trusted." + runs)
    return (f"Mean ± standard error over {comparison.seeds} seeds; a square above shows one of "
            "them, with that seed's number. A value is **marked** when it "
            "is better than that of every other model by more than the seeds' noise (Welch's "
            f"t-test, {CONFIDENCE:.0%})." + runs)


def html(table: Table, colours: Sequence[str]) -> str:
    """The table as HTML; tooltips say what a column means.

    Parameters
    ----------
    table : Table
    colours : sequence of str
        The models' colours, in their order, as ``"#rrggbb"``.
    """
    head = "".join(f'<th scope="col" title="{escape(m.help)}">{escape(m.title)}</th>'
                   for m in table.columns)
    lines = [f'<tr><th scope="col">Distribution</th><th scope="col">Model</th>{head}</tr>']
    models = sum(row.data == table.rows[0].data for row in table.rows)
    for i, row in enumerate(table.rows):
        first = ""
        if i % models == 0:
            title = escape(target(row.data).title)
            first = f'<th scope="rowgroup" rowspan="{models}">{title}</th>'
        cells = "".join(_cell(row.statistics[m.name].write(m.style), m.name in row.best)
                        for m in table.columns)
        if row.elsewhere:
            cells = (f'<td class="elsewhere" colspan="{len(table.columns)}">Trained on '
                     f"{escape(target(row.elsewhere).title)}, and measured there.</td>")
        dot = f'<span style="color: {colours[row.entry]}">●</span>'
        start = ' class="first"' if first else ""
        lines.append(f'<tr{start}>{first}<th scope="row">{dot} {escape(row.label)}</th>{cells}'
                     "</tr>")
    return ('<div class="scoreboard"><table><thead>' + lines[0] + "</thead><tbody>"
            + "".join(lines[1:]) + "</tbody></table></div>")


def _cell(text: str, best: bool) -> str:
    mean, _, rest = text.partition(" ")
    rest = f" <small>{escape(rest)}</small>" if rest else ""
    if best:
        return f'<td class="best" title="Best, beyond chance">{escape(mean)}{rest}</td>'
    return f"<td>{escape(mean)}{rest}</td>"
