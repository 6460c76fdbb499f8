"""The SQLite database of the runs: its place, its tables, and how it is shared.

Many threads and programs read and write at once. With SQLite's write-ahead log, committed data
survive when any of them is killed, and readers are not blocked by a writer. It needs a local disk.
"""

import logging
import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flowlab.files import FULL
from flowlab.runs import rescue

log = logging.getLogger(__name__)

FORMAT = "flowlab-run-1"
VERSION = 3  # of the tables
#: Environment variable with the folder of runs; by default it is ``runs`` beside ``app.py``.
VARIABLE = "FLOWLAB_RUNS"
PATIENCE = 30  # seconds to wait while another program writes

TABLES = """
CREATE TABLE IF NOT EXISTS runs (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, origin TEXT NOT NULL, family TEXT NOT NULL,
    model TEXT NOT NULL, data TEXT NOT NULL, settings TEXT NOT NULL, versions TEXT NOT NULL,
    created REAL NOT NULL, ended REAL, outcome TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '',
    numbers TEXT NOT NULL DEFAULT '{}', weights INTEGER, checkpoint INTEGER NOT NULL DEFAULT 0,
    pinned INTEGER NOT NULL DEFAULT 0, continued INTEGER NOT NULL DEFAULT 0,
    steered INTEGER NOT NULL DEFAULT 0, owner TEXT NOT NULL, beat REAL NOT NULL,
    visitor TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS families ON runs (family, created);
CREATE TABLE IF NOT EXISTS epochs (
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, epoch INTEGER NOT NULL,
    step INTEGER NOT NULL, seconds REAL, train_nll REAL, test_nll REAL, kl REAL,
    PRIMARY KEY (run, epoch)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS frames (
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, step INTEGER NOT NULL,
    numbers TEXT NOT NULL, theme TEXT NOT NULL, layers TEXT NOT NULL,
    png INTEGER NOT NULL, weights INTEGER NOT NULL, PRIMARY KEY (run, step)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS choices (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS measures (
    run TEXT PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE, content BLOB NOT NULL);
"""
#: What brings the tables of a version to the next one.
UPGRADES = {0: TABLES, 1: "ALTER TABLE runs ADD COLUMN visitor TEXT NOT NULL DEFAULT '';",
            2: TABLES}


def default_folder() -> Path:
    """Where runs are kept: as the environment variable ``FLOWLAB_RUNS`` says, or ``runs``."""
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen)
    beside = Path(__file__).parents[2]
    return (beside if (beside / "app.py").exists() else Path.cwd()) / "runs"


class Unusable(ValueError):
    """The database cannot be read or written now; the sentence says why."""


class Database:
    """One connection for all threads of this program.

    Parameters
    ----------
    path : pathlib.Path
        The file; it is made where there is none, and where it is damaged.

    Attributes
    ----------
    notice : str
        What was done about a damaged file, or nothing.

    Raises
    ------
    ValueError
        If it cannot be written, or is of a newer version.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self.notice = ""
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._connection = _connect(path)
            if rescue.damaged(self._connection):
                self._connection.close()
                self.notice = rescue.rescue(path, TABLES + f"PRAGMA user_version = {VERSION};")
                log.warning("%s %s", self.notice, path)
                self._connection = _connect(path)
            weakref.finalize(self, self._connection.close)
            self._connection.row_factory = sqlite3.Row
            if self._version() > VERSION:
                raise ValueError(f"The runs in {path.parent} were stored by a newer Flow Lab: use "
                                 f"that one, or another folder in {VARIABLE}.")
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute("PRAGMA foreign_keys = ON")
            if self._version() < VERSION:
                self._upgrade()
        except (OSError, sqlite3.Error) as error:
            raise ValueError(f"Runs cannot be stored in {path.parent} ({error}): make it writable, "
                             f"or name another folder in {VARIABLE}.") from error

    def _version(self) -> int:
        return self._connection.execute("PRAGMA user_version").fetchone()[0]

    def _upgrade(self) -> None:
        """Upgrade the tables to this version, unless another program has just done so."""
        with self.write() as db:
            version = self._version()
            while version < VERSION:
                for statement in UPGRADES[version].split(";"):
                    db.execute(statement)
                version = version + 1 if version else VERSION
            db.execute(f"PRAGMA user_version = {version}")

    def read(self, query: str, *values: object) -> list[sqlite3.Row]:
        """Return all rows of a query."""
        with self._lock:
            try:
                return self._connection.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise Unusable(_why(error)) from error

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Run the block as one transaction, which is committed whole or not at all."""
        with self._lock:
            # Exclusive from the start: SQLite cannot wait to upgrade a read to a write.
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException as error:
                with suppress(sqlite3.Error):  # SQLite may have rolled back already
                    self._connection.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise Unusable(_why(error)) from error
                raise


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)


def _why(error: sqlite3.Error) -> str:
    """One sentence about what is wrong with the database, and what to do."""
    text = str(error)
    if "full" in text:
        return FULL
    if "malformed" in text or "not a database" in text:
        return ("The list of runs is damaged: start the lab again, and it is set aside and read as "
                "far as it can be.")
    if "locked" in text:
        return "Another program is using the list of runs: try again in a moment."
    return f"The list of runs cannot be used now ({text}): see the log."
