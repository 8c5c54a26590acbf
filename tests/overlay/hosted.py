"""A host's tables for tests: whatever the library writes of some kinds goes where a host would have put it.

The overlay refuses to write a host's fields. The conformance kit and the two worlds write records of every kind, so a
unit here plays the host: it puts a record's fields into the host's own table, in the host's own forms, and has the
overlay keep the rest beside it. What is read then comes back through the overlay alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keyaccount.catalogue import KINDS, Kind
from keyaccount.codec import written
from keyaccount.model.entity import Entity
from keyaccount.shapes import Amount, Moment
from keyaccount.storage import Change
from keyaccount.storage.dialects import Dialect
from keyaccount.storage.overlay import OverlayUnit
from keyaccount.storage.schema import Table
from keyaccount.storage.sources import IntKey, Scaled, Source, TextKey
from keyaccount.storage.unit import Executor

HOST_KINDS = (
    "User", "Organisation", "Contact", "Position", "Product", "Order", "Invoice", "Contract", "Opportunity", "Activity",
)  # fmt: skip
OURS = {
    "version", "refs", "extra", "private", "relationships", "created_by", "formerly_held", "vip", "dunning_level",
    "disputed",
}  # fmt: skip
"""Fields that no host keeps here; invoices without a net amount are none that an overlay could total."""


def host_fields(kind: Kind) -> list[str]:
    """Return the fields of a kind that the host keeps."""
    derived = {name for name, _ in kind.derived}
    return [field for field in kind.shapes if field not in derived | OURS]


def host_columns(kind: Kind) -> list[tuple[str, str]]:
    """Return the columns of the host's table: the name of each, and the field it holds."""
    found = []
    for field in host_fields(kind):
        found.append((field, field))
        if isinstance(kind.shapes[field], Amount):
            found.append((f"{field}_currency", field))
    return found


def tables() -> list[str]:
    """Return the statements that make the host's tables; numbers stand in SQLite as some programs leave them there."""
    made = []
    for name in HOST_KINDS:
        columns = ", ".join(f'"their_{column}"' for column, _ in host_columns(KINDS[name]))
        made += [f'CREATE TABLE "host_{name}" ({columns})']
        made += [f'CREATE INDEX "host_{name}_by_id" ON "host_{name}" (their_id)']
    return made


def sources(*, numbers: bool = False) -> list[Source]:
    """Return a source for each kind of the host; with `numbers` its keys are whole numbers."""
    found = []
    for name in HOST_KINDS:
        kind = KINDS[name]
        shown = ", ".join(f'their_{column} AS "{column}"' for column, _ in host_columns(kind))
        sorts: dict[str, Any] = {f: Scaled(4) for f in host_fields(kind) if isinstance(kind.shapes[f], Amount)}
        for field in ["id", *(link.field for link in kind.links if not link.many and link.field in host_fields(kind))]:
            sorts[field] = IntKey() if numbers and (field == "id" or _leads_to_host(kind, field)) else TextKey()
        found.append(Source(kind.cls, f'SELECT {shown} FROM "host_{name}"', columns=sorts))
    return found


def _leads_to_host(kind: Kind, field: str) -> bool:
    link = kind.link(field)
    return link is not None and link.kind in HOST_KINDS


def host_row(kind: Kind, record: Entity, *, numbers: bool = False) -> list[Any]:
    """Return what the host's columns hold of a record."""
    return [_kept(kind, column, field, getattr(record, field), numbers=numbers) for column, field in host_columns(kind)]


def _kept(kind: Kind, column: str, field: str, value: Any, *, numbers: bool) -> Any:
    shape = kind.shapes[field]
    if value is None:
        return None
    if isinstance(shape, Amount):
        return value.currency if column != field else str(value.amount).encode()
    if isinstance(shape, Moment):
        return value.strftime("%Y-%m-%d %H:%M:%S.%f").zfill(26)
    if numbers and (field == "id" or _leads_to_host(kind, field)) and not shape.many:
        return int(value)
    return written(shape, value)


class HostedUnit(OverlayUnit):
    """A unit of work that plays the host besides: it writes the host's fields into the host's tables."""

    def __init__(self, executor: Executor, reading: Dialect, *, numbers: bool = False) -> None:
        """Use a connection whose transaction has begun."""
        super().__init__(executor, reading)
        self._numbers = numbers

    def _check_ours(self, kind: Kind, changes: Sequence[Change]) -> None:
        """Refuse nothing: the host may write its own fields."""

    def _write_kind(self, table: Table, changes: Sequence[Change]) -> None:
        kind = table.kind
        if kind.name in HOST_KINDS:
            for change in changes:
                id = int(change.id) if self._numbers else change.id
                self._executor.run(f'DELETE FROM "host_{kind.name}" WHERE their_id = :id', {"id": id})
                if change.after is not None:
                    values = host_row(kind, change.after, numbers=self._numbers)
                    places = {f"v{number}": value for number, value in enumerate(values)}
                    told = ", ".join(f":{name}" for name in places)
                    self._executor.run(f'INSERT INTO "host_{kind.name}" VALUES ({told})', places)
        super()._write_kind(table, changes)
