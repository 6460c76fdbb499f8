"""Compares models fairly: the same points, an equal budget, several seeds, one table.

`Comparison` has the settings, `Contest` runs all trainings on an engine, and `Table` has the
results. ``python -m flowlab.comparison`` does it without a browser.
"""

from flowlab.studies.comparison.contest import Contest
from flowlab.studies.comparison.plan import Comparison, Entry, plan
from flowlab.studies.comparison.table import Table, measures, table
from flowlab.studies.comparison.trial import finish

__all__ = ["Comparison", "Contest", "Entry", "Table", "finish", "measures", "plan", "table"]
