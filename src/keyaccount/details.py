"""The lines of records from a second file: kept in a temporary database until the record they are of is read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from keyaccount.columns import Bad
from keyaccount.errors import ValidationError
from keyaccount.sheets import Line
from keyaccount.tables import Table

TOLD_EACH = 10_000


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
    if not isinstance(field, str):
        raise ValidationError.of("lines_from", "field", field, "must be the name of a field, such as 'lines'")
    return LinesFrom(path, of, columns, field)


class Details:
    """The rows of the second file, found by the record they are of; bounded in memory, however many they are."""

    def __init__(self, table: Table, lines: LinesFrom, tell: Callable[[int, int], object]) -> None:
        """Read the whole file once; `tell` is told how far it is: rows, and bytes."""
        self.table, self.field, self._of, self._tell = table, lines.field, lines.of, tell
        self._place = table.place(lines.of)
        from keyaccount.scratch import Scratch  # on first use: it brings the database along

        self._rows = Scratch("CREATE TABLE line (of TEXT, number INTEGER, cells TEXT, used INTEGER DEFAULT 0)")
        try:
            self._rows.add("INSERT INTO line (of, number, cells) VALUES (?, ?, ?)", self._told())
            self._rows.ask("CREATE INDEX line_of ON line (of, number)")
        except BaseException:
            self.close()
            raise

    def _told(self) -> Iterator[tuple[str, int, str]]:
        for count, row in enumerate(self.table.rows, 1):
            of = row.cells[self._place] if self._place < len(row.cells) else ""
            yield of, row.number, json.dumps(row.cells)
            if count % TOLD_EACH == 0:
                self._tell(count, row.done)

    def read(self, id: str, currency: str | None) -> tuple[dict[str, Any], list[tuple[Line, list[Bad]]]]:
        """Return the field of a record that its rows here fill, in the order of the file, and the rows that are bad.

        `currency` is of the amounts that name none.
        """
        items: list[Any] = []
        wrong = []
        for line in self._of_record(id):
            bad: list[Bad] = wrong_width(line, self.table)
            values = {} if bad else self.table.plan.fields_from(line.cells, self.table.forms, bad, currency)
            items.extend(values.get(self.field, ()))
            if bad:
                wrong.append((line, bad))
        self._rows.ask("UPDATE line SET used = 1 WHERE of = ? AND used = 0", (id,))
        return {self.field: tuple(items)}, wrong

    def taken(self, id: str) -> list[Line]:
        """Return the rows of a record that is refused, once."""
        found = self._of_record(id, used=2)
        self._rows.ask("UPDATE line SET used = 2 WHERE of = ?", (id,))
        return found

    def _of_record(self, id: str, used: int = 3) -> list[Line]:
        sql = "SELECT number, cells FROM line WHERE of = ? AND used < ? ORDER BY number"
        rows = self._rows.ask(sql, (id, used))
        return [Line(number, json.loads(text)) for number, text in rows]

    def rest(self) -> Iterator[tuple[Line, list[Bad]]]:
        """Yield the rows that are of no record of the first file."""
        rows = self._rows.stream("SELECT number, of, cells FROM line WHERE NOT used ORDER BY number")
        for number, of, text in rows:
            line = Line(number, json.loads(text))
            yield line, wrong_width(line, self.table) or [Bad(self._of, of, "is of no record that was read")]

    def close(self) -> None:
        """Throw the temporary database away."""
        self._rows.close()


def wrong_width(line: Line, table: Table) -> list[Bad]:
    """Return the problem of a row with more or fewer cells than the header; nothing for a sound one."""
    if table.plan.by_name or len(line.cells) == len(table.header):
        return []
    return [Bad("", f"{len(line.cells)} cells", f"has not as many cells as the header, {len(table.header)}")]
