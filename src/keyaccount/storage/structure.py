"""What is wrong with an SQLite file as a whole: its pages and indexes, and what is declared in it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Any

from keyaccount.storage import Finding, migrations


def structure(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Ask the database; it also compares indexes with their tables."""
    for (line,) in connection.execute("PRAGMA integrity_check(20)"):
        if line != "ok":
            yield Finding("file", "", str(line))


def declared(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Compare tables, indexes and whatever else is declared with those of a new database of this version."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as new:
        for statement in migrations.pending(0):
            new.execute(statement)
        wanted = _declared(new)
    there = _declared(connection)
    for name in sorted({*wanted, *there}, key=str):
        if name not in there:
            yield Finding("file", str(name), "is not declared")
        elif name not in wanted:
            yield Finding("file", str(name), "is declared, and not by this library")
        elif there[name] != wanted[name]:
            yield Finding("file", str(name), "is declared in another way")


def _declared(connection: sqlite3.Connection) -> dict[Any, tuple[Any, ...]]:
    """Return everything that is declared, by name; quotes and blanks mean nothing, and neither do statistics."""
    rows = connection.execute("SELECT name, type, tbl_name, sql FROM sqlite_master")
    return {
        name: (sort, table, " ".join(str(sql).replace('"', "").split()))
        for name, sort, table, sql in rows
        if not str(name).startswith("sqlite_stat")
    }
