"""The lines of records from a second file: kept in a temporary database until the record they are of is read."""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from keyaccount.columns import Bad
from keyaccount.errors import ValidationError
from keyaccount.sheets import Line
from keyaccount.tables import Table

Refuse: TypeAlias = Callable[[str, Line, Sequence[Bad]], None]
"""What is told of a bad row: the table's name, the row, and what is wrong with it."""


@attrs.frozen
class LinesFrom:
    """Where the lines of orders or invoices are: a file, its columns, and by which column (`of`) they name the record.

    Made by `ka.lines_from`.
    """

    path: str | os.PathLike[str]
    of: str
    columns: Mapping[str, Any]
    field: str


def lines_from(path: str | os.PathLike[str], *, of: str, columns: Mapping[str, Any], field: str = "lines") -> LinesFrom:
    """Say which second file holds the lines (or `field="payments"`) of the records of a first.

    `of` is its column with the record's id; `columns` maps its others to the parts of a line. The file may be in any
    order.

    >>> lines_from("order_details.csv", of="order_id", columns={"product_id": "product_id"}).of
    'order_id'
    """
    if not isinstance(of, str) or not of:
        raise ValidationError.of("lines_from", "of", of, "must be the column with the record's id")
    return LinesFrom(path, of, columns, field)


class Details:
    """The rows of the second file, found by the record they are of; bounded in memory, however many they are."""

    def __init__(self, table: Table, of: str, refuse: Refuse) -> None:
        """Read the whole file once."""
        self._table, self._of, self._refuse = table, of, refuse
        self.field = next(iter(table.plan.repeated))
        self._folder = tempfile.TemporaryDirectory(prefix="keyaccount-")
        self._rows = sqlite3.connect(Path(self._folder.name) / "lines", isolation_level=None, check_same_thread=False)
        for statement in ("PRAGMA synchronous = OFF", "PRAGMA journal_mode = OFF"):
            self._rows.execute(statement)
        self._rows.execute("CREATE TABLE line (of TEXT, number INTEGER, cells TEXT, used INTEGER DEFAULT 0)")
        place = table.place(of)
        told = (
            (row.cells[place] if place < len(row.cells) else "", row.number, json.dumps(row.cells))
            for row in table.rows
        )
        try:
            self._rows.execute("BEGIN")
            self._rows.executemany("INSERT INTO line (of, number, cells) VALUES (?, ?, ?)", told)
            self._rows.execute("CREATE INDEX line_of ON line (of, number)")
        except BaseException:
            self.close()
            raise

    def of(self, id: object, currency: str | None) -> dict[str, Any] | None:
        """Return the field of a record that its rows here fill, in the order of the file; None where one is bad.

        `currency` is of the amounts that name none.
        """
        found, sound = dict[str, list[Any]](), True
        rows = self._rows.execute("SELECT number, cells FROM line WHERE of = ? ORDER BY number", (id,)).fetchall()
        self._rows.execute("UPDATE line SET used = 1 WHERE of = ?", (id,))
        for number, text in rows:
            values, bad = self._read(Line(number, json.loads(text)), currency)
            sound = sound and not bad
            for field, items in values.items():
                found.setdefault(field, []).extend(items)
        return {field: tuple(items) for field, items in found.items()} if sound else None

    def rest(self) -> None:
        """Refuse the rows that are of no record of the first file."""
        for number, of, text in self._rows.execute("SELECT number, of, cells FROM line WHERE NOT used ORDER BY number"):
            bad = [Bad(self._of, of, "is of no record that was read")]
            self._refuse(self._table.name, Line(number, json.loads(text)), bad)

    def close(self) -> None:
        """Throw the temporary database away."""
        self._rows.close()
        self._folder.cleanup()

    def _read(self, line: Line, currency: str | None) -> tuple[dict[str, Any], list[Bad]]:
        bad = wrong_width(line, self._table)
        values = {} if bad else self._table.plan.fields_from(line.cells, self._table.forms, bad, currency)
        if bad:
            self._refuse(self._table.name, line, bad)
        return values, bad


def wrong_width(line: Line, table: Table) -> list[Bad]:
    """Return the problem of a row with more or fewer cells than the header; nothing for a sound one."""
    if table.plan.by_name or len(line.cells) == len(table.header):
        return []
    return [Bad("", f"{len(line.cells)} cells", f"has not as many cells as the header, {len(table.header)}")]
