"""Repairs a damaged database: renames it, and recovers the rows that can be read."""

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

TABLES = ("runs", "epochs", "frames", "choices", "measures")


def damaged(connection: sqlite3.Connection) -> bool:
    """Whether SQLite finds its file damaged."""
    try:
        return connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok"
    except sqlite3.OperationalError:  # locked or unreadable, which is not damage
        return False
    except sqlite3.DatabaseError:
        return True


def rescue(path: Path, tables: str) -> str:
    """Rename a damaged database, and make a new one with the rows that can be read.

    Parameters
    ----------
    path : pathlib.Path
    tables : str
        The SQL statements that create the tables.

    Returns
    -------
    str
        A sentence about the repair.
    """
    aside = path.with_name(f"{path.name}.damaged-{secrets.token_hex(3)}")
    for ending in ("-wal", "-shm", ""):  # the log belongs to its database
        beside = path.with_name(path.name + ending)
        if beside.exists():
            beside.replace(aside.with_name(aside.name + ending))
    with closing(sqlite3.connect(path, isolation_level=None)) as new:
        new.executescript(f"BEGIN; {tables} COMMIT;")
        with closing(sqlite3.connect(aside)) as old:
            for table in TABLES:
                for row in _rows(old, table):
                    marks = ",".join("?" * len(row))
                    new.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)
        for table in ("epochs", "frames", "measures"):  # rows whose run could not be read
            new.execute(f"DELETE FROM {table} WHERE run NOT IN (SELECT id FROM runs)")
        count = new.execute("SELECT count(*) FROM runs").fetchone()[0]
    return (f"The list of runs was damaged. {count} of its runs could be read again; the damaged "
            f"file is kept beside it as {aside.name}.")


def _rows(old: sqlite3.Connection, table: str) -> Iterator[tuple]:
    """The readable rows of a table: from the first one on, and from the last one back."""
    for order in ("", " ORDER BY rowid DESC" if table == "runs" else " ORDER BY 1 DESC, 2 DESC"):
        try:
            yield from old.execute(f"SELECT * FROM {table}{order}")
        except sqlite3.Error:
            continue
        return
