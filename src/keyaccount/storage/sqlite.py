"""Records in one SQLite file, on the standard library: the embedded default.

Rollback journal and full sync as shipped: a commit has reached the disk before the call returns. Each unit of work has
a connection of its own out of a small pool, so that threads, tasks and processes do not disturb each other. What
becomes of the file itself (made, recognised, migrated, copied) stands in `file.py`.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from keyaccount.errors import ValidationError
from keyaccount.storage import Finding, audit, file, findings, structure
from keyaccount.storage.dialects import SQLITE, Dialect
from keyaccount.storage.file import documented as _documented
from keyaccount.storage.file import run as _run
from keyaccount.storage.unit import SQLUnit

_IDLE = 8
_PATIENCE = 5.0
_NOTHING: Mapping[str, Any] = {}


class SQLiteStorage:
    """One SQLite file. `patience` is how many seconds a writer waits for another, in any thread or process.

    A file that is missing is made. Raises StorageDamaged for one that is not ours, empty, damaged or of a newer version
    (its bytes are left as they were), StorageUnavailable where it cannot be reached.

    `journal="wal"` keeps a write-ahead log instead of a rollback journal: readers and the one writer do not wait for
    each other. The file stays so until it is opened without. Raises ValidationError where SQLite is one of the versions
    whose log can damage a file (3.7.0 to 3.51.2, but for 3.44.6 and 3.50.7).
    """

    def __init__(
        self, path: str | os.PathLike[str], *, patience: float = _PATIENCE, journal: file.Journal = "rollback"
    ) -> None:
        """Open or make the file."""
        self._path = _checked(path)
        file.check_journal(journal)
        self._patience = patience
        self._idle: list[sqlite3.Connection] = []
        self._pid = os.getpid()
        self._guard = threading.Lock()
        self._closed = False
        with _documented():
            if not self._path.exists():
                file.make(self._path)
            file.recognise(self._path)
            with self._borrowed() as connection:
                file.identify(connection, self._path)
                file.keep_journal(connection, self._path, journal)

    @contextmanager
    def unit(self, *, write: bool) -> Iterator[SQLiteUnit]:
        """Open a unit of work; see the port."""
        with self._borrowed() as connection:
            with _documented():
                connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                connection.execute("SELECT seq FROM act LIMIT 1")  # the state is that of the first look, so take one
            try:
                unit = SQLiteUnit(connection)
                yield unit
                unit.finish()
                with _documented():
                    file.commit(connection, self._path, unit.is_there)
            finally:
                if connection.in_transaction:
                    with contextlib.suppress(sqlite3.Error):  # the first error is the one that tells
                        connection.execute("ROLLBACK")

    def check(self, seal: str | None = None) -> Iterator[Finding]:
        """Yield what does not fit together any more; see the port."""
        with self.unit(write=False) as unit:
            with _documented():
                executor = SQLiteExecutor(unit.connection)
                parts = structure.structure(unit.connection), structure.declared(unit.connection)
                found = list(findings.findings(executor, seal, parts))
            yield from found

    def backup(self, path: Path, *, overwrite: bool) -> None:
        """Copy everything to a new file, consistently, while others go on working."""
        if path.exists() and path.samefile(self._path):
            raise ValidationError.of("Book", "path", str(path), "is the book's own file")
        with self._borrowed() as connection, _documented():
            file.copy(connection, path, self._patience, overwrite=overwrite)

    def seal(self) -> str:
        """Return the number and the chain of the last act."""
        with self.unit(write=False) as unit, _documented():
            return audit.sealed(SQLiteExecutor(unit.connection))

    def close(self) -> None:
        """Close every connection that is not in use."""
        with self._guard:
            idle, self._idle, self._closed = self._idle, [], True
        if self._pid == os.getpid():
            for connection in idle:
                connection.close()

    @contextmanager
    def _borrowed(self) -> Iterator[sqlite3.Connection]:
        """Take a connection out of the pool, or make one; after a fork the parent's are left alone, and its lock."""
        if self._pid != os.getpid():
            self._guard, self._pid = threading.Lock(), os.getpid()
            self._abandoned, self._idle = self._idle, []
        with self._guard:
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            with _documented():
                connection = file.connect(self._path, self._patience)
        try:
            yield connection
        finally:
            self._give_back(connection)

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._guard:
            if len(self._idle) < _IDLE and not connection.in_transaction and not self._closed:
                self._idle.append(connection)
                return
        connection.close()


class SQLiteExecutor:
    """Runs statements on a connection of the standard library, whose transaction has begun."""

    def __init__(self, connection: sqlite3.Connection, dialect: Dialect = SQLITE) -> None:
        """Use a connection."""
        self.connection, self.dialect = connection, dialect

    def run(self, sql: str, parameters: Mapping[str, Any] = _NOTHING) -> Iterable[Sequence[Any]]:
        """Run a statement; return its rows."""
        return self.connection.execute(sql, parameters)

    def columns(self, rows: str) -> list[str]:
        """Return the names of the columns that a SELECT in brackets yields."""
        return [column[0] for column in self.connection.execute(f"SELECT * FROM {rows} h LIMIT 0").description]

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Put rows into a table; lookup keys that are there already stay as they are."""
        named, places = ", ".join(f'"{column}"' for column in columns), ", ".join("?" * len(columns))
        ignored = " OR IGNORE" if table == "item" else ""
        sql = f"INSERT{ignored} INTO {self.dialect.table(table)} ({named}) VALUES ({places})"
        self.connection.executemany(sql, rows)

    def documented(self) -> AbstractContextManager[None]:
        """Turn errors into documented ones."""
        return _documented()

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo what is done in the block where it raises."""
        _run(self.connection, "SAVEPOINT nested")
        try:
            yield
        except BaseException:
            if self.connection.in_transaction:
                _run(self.connection, "ROLLBACK TO nested")
                _run(self.connection, "RELEASE nested")
            raise
        _run(self.connection, "RELEASE nested")

    def apart(self) -> AbstractContextManager[None]:
        """Do nothing: a question that fails changes nothing here."""
        return contextlib.nullcontext()

    def is_overflow(self, error: Exception) -> bool:
        """Say whether a sum left 64 bits."""
        return isinstance(error, sqlite3.OperationalError) and "integer overflow" in str(error)

    def is_damage(self, error: Exception) -> bool:
        """Say whether the file is damaged, or not shaped as ours: SQLITE_ERROR, of statements that are right."""
        misshapen = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_ERROR
        return isinstance(error, sqlite3.Error) and (audit.is_damage(error) or misshapen)


class SQLiteUnit(SQLUnit):
    """One unit of work on one connection to a file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use a connection whose transaction has begun."""
        super().__init__(SQLiteExecutor(connection))
        self.connection = connection


def _checked(path: object) -> Path:
    if not isinstance(path, (str, os.PathLike)) or not str(path) or "\0" in str(path):
        raise ValidationError.of("Book", "path", path, "must be the path of a file")
    return Path(path)
