"""A host's tables for tests: whatever the library writes of some kinds goes where a host would have put it.

The overlay refuses to write a host's fields. The conformance kit and the two worlds write records of every kind, so a
unit here plays the host: it puts a record's fields into the host's own table, in the host's own forms, and has the
overlay keep the rest beside it. What is read then comes back through the overlay alone.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

import postgres
from keyaccount.catalogue import KINDS, Kind
from keyaccount.codec import written
from keyaccount.model.entity import Entity
from keyaccount.shapes import Amount, Day, Flag, Moment, Number, Rank
from keyaccount.sql import IntKey, Overlay, Scaled, Source, TextKey
from keyaccount.storage import Change, Storage
from keyaccount.storage.dialects import Dialect
from keyaccount.storage.overlay import OverlayUnit
from keyaccount.storage.schema import Table
from keyaccount.storage.unit import Executor

HOST_KINDS = (
    "User", "Organisation", "Contact", "Position", "Product", "Order", "Contract", "Opportunity", "Activity",
)  # fmt: skip
"""Not invoices: the kit's have lines in the place of a net amount, which an overlay does not read."""
OURS = frozenset({"version", "refs", "extra", "private", "relationships", "created_by", "formerly_held", "vip"})
"""Fields that no host keeps here."""


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


def tables(kinds: Sequence[str], *, numbers: bool, typed: bool) -> list[str]:
    """Return the statements that make the host's tables."""
    made = []
    for name in kinds:
        kind = KINDS[name]
        columns = ", ".join(f'"their_{c}" {_type(kind, c, f, numbers) if typed else ""}' for c, f in host_columns(kind))
        made += [f'CREATE TABLE "host_{name}" ({columns})']
        made += [f'CREATE INDEX "host_{name}_by_id" ON "host_{name}" (their_id)']
    return made


def _type(kind: Kind, column: str, field: str, numbers: bool) -> str:
    shape = kind.shapes[field]
    if numbers and _is_key(kind, field):
        return "BIGINT"
    if isinstance(shape, Amount):
        return "NUMERIC(20, 4)" if column == field else "TEXT"
    return {Day: "DATE", Moment: "TIMESTAMP", Flag: "BOOLEAN", Number: "BIGINT", Rank: "INTEGER"}.get(
        type(shape), "TEXT"
    )


def _is_key(kind: Kind, field: str) -> bool:
    link = kind.link(field)
    return field == "id" or (link is not None and not link.many and link.kind in HOST_KINDS)


def sources(kinds: Sequence[str], *, numbers: bool = False) -> list[Source]:
    """Return a source for each kind of the host; with `numbers` its keys are whole numbers."""
    found = []
    for name in kinds:
        kind = KINDS[name]
        shown = ", ".join(f'their_{column} AS "{column}"' for column, _ in host_columns(kind))
        sorts: dict[str, Any] = {f: Scaled(4) for f in host_fields(kind) if isinstance(kind.shapes[f], Amount)}
        sorts |= {f: IntKey() if numbers else TextKey() for f in host_fields(kind) if _is_key(kind, f)}
        found.append(Source(kind.cls, f'SELECT {shown} FROM "host_{name}"', columns=sorts))  # noqa: S608 - our names
    return found


class HostedUnit(OverlayUnit):
    """A unit of work that plays the host besides: it writes the host's fields into the host's tables."""

    def __init__(self, executor: Executor, reading: Dialect, *, numbers: bool) -> None:
        """Use a connection whose transaction has begun."""
        super().__init__(executor, reading)
        self._numbers = numbers

    def _check_ours(self, kind: Kind, changes: Sequence[Change]) -> None:
        """Refuse nothing: the host may write its own fields."""

    def _write_kind(self, table: Table, changes: Sequence[Change]) -> None:
        kind = table.kind
        if self._reading.elsewhere(kind.name) is not None:
            for change in changes:
                id = int(change.id) if self._numbers else change.id
                self._executor.run(f'DELETE FROM "host_{kind.name}" WHERE their_id = :id', {"id": id})  # noqa: S608
                if change.after is not None:
                    self._host_insert(kind, change.after)
        super()._write_kind(table, changes)

    def _host_insert(self, kind: Kind, record: Entity) -> None:
        values = {
            f"v{number}": self._kept(kind, column, field, getattr(record, field))
            for number, (column, field) in enumerate(host_columns(kind))
        }
        places = ", ".join(f":{name}" for name in values)
        self._executor.run(f'INSERT INTO "host_{kind.name}" VALUES ({places})', values)  # noqa: S608

    def _kept(self, kind: Kind, column: str, field: str, value: Any) -> Any:
        """Return a value as the host keeps it; amounts stand in SQLite as some programs leave them there, as bytes."""
        shape, typed = kind.shapes[field], self._dialect.name != "sqlite"
        if value is None:
            return None
        if isinstance(shape, Amount):
            return value.currency if column != field else value.amount if typed else str(value.amount).encode()
        if isinstance(shape, Moment):
            return value.replace(tzinfo=None) if typed else value.strftime("%Y-%m-%d %H:%M:%S.%f").zfill(26)
        if typed and isinstance(shape, (Day, Flag)):
            return value
        return int(value) if self._numbers and _is_key(kind, field) else written(shape, value)


class Hosted(Overlay):
    """An overlay over the tables of a host that is played here."""

    def __init__(
        self, engine: sa.Engine, *, kinds: Sequence[str] = HOST_KINDS, numbers: bool = False, patience: float = 5.0,
        schema: str | None = None,
    ) -> None:  # fmt: skip
        """Make the host's tables where they are missing, and lay the overlay over them."""
        self._numbers, self._engine = numbers, engine
        if not sa.inspect(engine).has_table(f"host_{kinds[0]}"):
            with engine.begin() as connection:
                for statement in tables(kinds, numbers=numbers, typed=engine.dialect.name != "sqlite"):
                    connection.exec_driver_sql(statement)
        super().__init__(engine, sources(kinds, numbers=numbers), patience=patience, schema=schema)

    def close(self) -> None:
        """Let go of the engine too."""
        super().close()
        self._engine.dispose()

    def _unit_on(self, executor: Executor) -> HostedUnit:
        return HostedUnit(executor, self.reading, numbers=self._numbers)


def hosted(folder: Path, patience: float = 0.2, **more: Any) -> Callable[[], Storage]:
    """Return what makes overlays, each over a host's new SQLite file: a copy of one that was made once."""
    count = itertools.count()
    first = folder / "first.db"
    _on_file(first, patience, **more).close()

    def make() -> Storage:
        path = folder / f"{next(count)}.db"
        shutil.copyfile(first, path)
        return _on_file(path, patience, **more)

    return make


def _on_file(path: Path, patience: float, **more: Any) -> Hosted:
    return Hosted(sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": patience}), **more)


def served(patience: float = 0.2, **more: Any) -> Callable[[], Storage]:
    """Return what makes overlays on the PostgreSQL server, each over a host's tables in a schema of their own."""
    count = itertools.count()
    server = postgres.shared()

    def make() -> Storage:
        name = f"host_{os.getpid()}_{next(count)}"
        with server.begin() as connection:
            connection.exec_driver_sql(f"CREATE SCHEMA {name}")
        options = {"options": f"-csearch_path={name}"}
        return Hosted(
            sa.create_engine(server.url, connect_args=options, poolclass=sa.NullPool), patience=patience, **more
        )

    return make
