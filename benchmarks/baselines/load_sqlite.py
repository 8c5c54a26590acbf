"""The floor: an export read with `csv` and written with `sqlite3`, into the same columns and indexes, as durably.

It takes every cell for what it is meant to be: it checks nothing, names no bad row, and keeps no digest.
"""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

CHUNK = 1_000
TABLE = """
CREATE TABLE invoice (id TEXT PRIMARY KEY NOT NULL, version INTEGER, refs TEXT, extra TEXT, organisation_id TEXT,
    number TEXT, kind TEXT, issued_on TEXT, due_on TEXT, net INTEGER, net_currency TEXT, gross INTEGER,
    gross_currency TEXT, payments TEXT, dunning_level INTEGER, disputed INTEGER, lines TEXT, currency TEXT,
    net_units INTEGER, settled_on TEXT, open INTEGER, act INTEGER NOT NULL, salt BLOB NOT NULL, digest BLOB NOT NULL)
    WITHOUT ROWID
"""
INSERT = "INSERT INTO invoice VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
INDEXES = (
    "organisation_id, id",
    "organisation_id, issued_on, currency, net_units",
    "issued_on, organisation_id, currency, net_units",
    "open, due_on, organisation_id",
    "number, id",
)


def load(path: Path, database: Path) -> int:
    """Load an export of invoices; return how many rows there are."""
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("PRAGMA synchronous = EXTRA")
    connection.execute(TABLE)
    for number, columns in enumerate(INDEXES):
        connection.execute(f"CREATE INDEX by_{number} ON invoice ({columns})")
    connection.execute("BEGIN IMMEDIATE")
    with path.open(encoding="cp1252", newline="") as file:
        reader = csv.reader(file, delimiter=";")
        next(reader)
        rows = _rows(reader)
        while chunk := list(islice(rows, CHUNK)):
            connection.executemany(INSERT, chunk)
    connection.execute("COMMIT")
    (count,) = connection.execute("SELECT COUNT(*) FROM invoice").fetchone()
    connection.close()
    return int(count)


def _rows(reader: Iterator[list[str]]) -> Iterator[tuple[object, ...]]:
    salt, digest = bytes(16), bytes(16)
    for number, customer, issued, due, net, currency, _ in reader:
        whole, _, cents = net.partition(",")
        units = (int(whole) * 100 + int(cents)) * 100
        on, until = (f"{day[6:]}-{day[3:5]}-{day[:2]}" for day in (issued, due))
        head = (number, 1, "{}", "{}", customer, number, "invoice", on, until, units, currency, None, None)
        yield (*head, "[]", 0, 0, "[]", currency, units, None, 1, 1, salt, digest)
