"""Records in a database that the host has already, through SQLAlchemy 2: PostgreSQL, and SQLite. An extra: `sql`.

Given an `Engine`, each unit of work is a transaction of its own. Given the host's open `Connection` or `Session`, the
library joins its transaction: what a desk writes is kept or undone with the host's own rows.

Raises MissingExtra at import where SQLAlchemy is not installed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keyaccount.desk import Desk
from keyaccount.errors import MissingExtra, StorageDamaged, StorageUnavailable, ValidationError

try:
    import sqlalchemy as sa
    from sqlalchemy.orm import Session, scoped_session
except ImportError:
    raise MissingExtra("sql") from None

from keyaccount.model.organisations import Organisation
from keyaccount.storage import Finding, audit, findings, founding, migrations, structure
from keyaccount.storage.dialects import POSTGRESQL, SQLITE, Dialect, placed
from keyaccount.storage.overlay import OverlayUnit, overlaid, unfit
from keyaccount.storage.restriction import parameters
from keyaccount.storage.served import documented
from keyaccount.storage.sources import IntKey, Scaled, Source, TextKey, by_kind
from keyaccount.storage.sql import Select
from keyaccount.storage.sqlite import SQLiteExecutor
from keyaccount.storage.unit import Executor, SQLUnit
from keyaccount.storage.ways import Target, way_to

__all__ = ["IntKey", "Overlay", "SQLStorage", "Scaled", "Source", "TextKey", "readable"]

_DIALECTS = {"postgresql": POSTGRESQL, "sqlite": SQLITE}
_PATIENCE = 5.0


class SQLStorage:
    """Tables of our own beside the host's, in its PostgreSQL or SQLite database.

    `target` is the host's `Engine`; or its open `Connection` or `Session`, whose transaction is joined: the library
    works between savepoints, and never commits, rolls back, closes it or changes a setting. A call that fails leaves
    the transaction as it was. Such a storage belongs to one thread, as its target does.

    The tables stand in `schema` (PostgreSQL), and their names begin with `prefix`: small letters, digits, underscores.
    They are made on first use, unless `create` is False. `patience` is how many seconds a writer waits for another one;
    in an SQLite file that is the engine's `timeout`.

    Raises StorageDamaged where there are tables of these names that are not ours, or of a newer version;
    StorageUnavailable where the database cannot be reached; ValidationError for a target of another sort.
    """

    def __init__(
        self,
        target: Target,
        *,
        schema: str | None = None,
        prefix: str = "",
        create: bool = True,
        patience: float = _PATIENCE,
    ) -> None:
        """Find the tables, or make them."""
        self.dialect = self.reading = _dialect_of(target, schema, prefix)
        self._way = way_to(target, self.dialect, _checked_patience(patience))
        self._closed = False
        with self._way.opened(write=False) as executor, executor.documented():
            _check_encoding(executor)
            found = founding.version_of(executor)
        if found != migrations.version():
            with self._way.opened(write=True) as executor:
                self._way.lock(executor, founding.lock_of(schema, prefix))
                with executor.documented():
                    founding.bring_up_to_date(executor, create=create)
                self._way.commit(executor, None)

    @contextmanager
    def unit(self, *, write: bool) -> Iterator[SQLUnit]:
        """Open a unit of work; see the port."""
        if self._closed:
            raise StorageUnavailable("the storage is closed")
        with self._way.opened(write=write) as executor:
            if write:
                self._way.lock(executor)
            unit = self._unit_on(executor)
            yield unit
            unit.finish()
            self._way.commit(executor, unit)

    def _unit_on(self, executor: Executor) -> SQLUnit:
        return SQLUnit(executor)

    def check(self, seal: str | None = None) -> Iterator[Finding]:
        """Yield what does not fit together any more; see the port. Acts since the last seal have no chain yet."""
        with self._way.opened(write=False) as executor, executor.documented():
            pages = [structure.structure(executor.connection)] if isinstance(executor, SQLiteExecutor) else []
            found = list(findings.findings(executor, seal, pages))
        yield from found

    def backup(self, path: Path, *, overwrite: bool) -> None:
        """Refuse: the tables are one part of a database, which is copied whole with its own tools (`pg_dump`)."""
        del overwrite
        raise ValidationError.of("Book", "path", str(path), "is for files; copy the database with its tools: pg_dump")

    def seal(self) -> str:
        """Chain the acts that were committed since the last seal; return the number and the chain of the last one.

        On a host's connection its own acts of this transaction are among them.
        """
        with self._way.opened(write=True) as executor:
            self._way.lock(executor)
            with executor.documented():
                seal = audit.sealed(executor) if self.dialect.chains else founding.seal(executor)
            self._way.commit(executor, None)
        return seal

    def close(self) -> None:
        """Let go of the target; it is the host's to close."""
        self._closed = True


class Overlay(SQLStorage):
    """A host's own tables, read where they are, with what is ours beside them in the same database.

    `sources` say for some kinds where their records stand; records of all other kinds stand in tables of ours, as
    fields do that a source does not give. A host's field is never written: that raises ReadOnly, and so does a new
    record of such a kind. Such fields have no history here. `target` and all other settings are those of `SQLStorage`;
    a prefix keeps our tables apart from the host's.

    Raises ValidationError for a source whose columns are no fields, StorageUnavailable for a SELECT that fails.
    """

    def __init__(
        self,
        target: Target,
        sources: Sequence[Source],
        *,
        schema: str | None = None,
        prefix: str = "keyaccount_",
        create: bool = True,
        patience: float = _PATIENCE,
    ) -> None:
        """Find or make our tables, and look at the columns that the sources yield."""
        self._sources = by_kind(sources)
        super().__init__(target, schema=schema, prefix=prefix, create=create, patience=patience)
        try:
            with self._way.opened(write=False) as executor, executor.documented():
                self.reading = overlaid(self._sources.values(), self.dialect, executor.columns)
        except StorageDamaged as error:  # what is not there is the host's, and not ours
            told = str(getattr(error.__cause__, "orig", error)).partition("\n")[0]
            raise StorageUnavailable(f"the SELECT of a source cannot be run: {told}") from error

    def _unit_on(self, executor: Executor) -> SQLUnit:
        return OverlayUnit(executor, self.reading)

    def check(self, seal: str | None = None) -> Iterator[Finding]:
        """Yield what does not fit together any more, and the host's rows that cannot be read as they are."""
        yield from super().check(seal)
        with self._way.opened(write=False) as executor, executor.documented():
            found = list(unfit(executor, self.reading, self._sources))
        yield from found


def readable(desk: Desk, column: sa.ColumnExpressionArgument[Any]) -> sa.ColumnElement[bool]:
    """Return the condition that a column of the host's holds the id of an organisation that a desk's user may read.

    It goes into the host's own SELECT on the same database: `select(orders).where(readable(desk, orders.c.customer))`.
    What the user holds, and which day it is, are taken as they are now, and what the tables say when the statement
    runs: make the condition anew for each one. The text is the same for all users of one sort; who it is travels as
    parameters. At a trusted desk it is true of every row.

    Where the host's ids are numbers, pass the column as text: `cast(orders.c.customer, String)`.

    Raises ValidationError for a desk whose book is not kept in an `SQLStorage`, and for what is no column.
    """
    storage = desk._book._storage
    if not isinstance(storage, SQLStorage):
        raise ValidationError.of("readable", "desk", type(storage).__name__, "must be of a book in an SQLStorage")
    element: Any = getattr(column, "__clause_element__", lambda: column)()
    if not isinstance(element, sa.ColumnElement):
        raise ValidationError.of("readable", "column", column, "must be a column of the host's, or what is made of one")
    with desk._view() as view:
        if view.reader is None:
            return sa.true()
        given = parameters(view.reader, storage.reading)
        text = Select(view.query(Organisation), given, storage.reading).ids()
    named = {name: value for name, value in given.items() if re.search(rf":{name}\b", text)}
    bound = (sa.bindparam(name, value, type_=sa.types.NullType(), unique=True) for name, value in named.items())
    ids = sa.text(text).bindparams(*bound).columns(sa.column("id", sa.String()))
    found: sa.ColumnElement[bool] = _by_bytes(element, storage.dialect.name).in_(ids)
    return found


def _by_bytes(element: Any, database: str) -> Any:
    """Compare text by its bytes, whatever the collation of the host's column: an id that differs in case is another."""
    if isinstance(element.type, (sa.String, sa.types.NullType)):
        return sa.collate(element, "BINARY" if database == "sqlite" else "C")
    return element


def _dialect_of(target: Any, schema: object, prefix: object) -> Dialect:
    if not isinstance(target, (sa.Engine, sa.Connection, Session, scoped_session)):
        raise ValidationError.of(
            "SQLStorage", "target", target, "must be an Engine, Connection or Session of SQLAlchemy"
        )
    with documented():
        bind = target.get_bind() if isinstance(target, (Session, scoped_session)) else target
    name = bind.dialect.name
    if name not in _DIALECTS:
        raise ValidationError.of("SQLStorage", "target", name, "must be a PostgreSQL or SQLite database")
    if schema and name == "sqlite":
        raise ValidationError.of("SQLStorage", "schema", schema, "is for PostgreSQL; give a prefix")
    return placed(_DIALECTS[name], schema, prefix)


def _checked_patience(given: object) -> float:
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not 0 < given <= 3_600:  # noqa: PLR2004 - an hour
        raise ValidationError.of("SQLStorage", "patience", given, "must be seconds, more than 0 and at most 3600")
    return float(given)


def _check_encoding(executor: Executor) -> None:
    """Refuse a database that cannot hold every text."""
    if executor.dialect.name == "postgresql":
        ((encoding,),) = executor.run("SELECT current_setting('server_encoding')")
        if encoding != "UTF8":
            raise ValidationError.of("SQLStorage", "target", encoding, "must be a database in UTF8")
