"""The ways to a transaction in a database of the host's: one of our own, or joining the one that is open.

Whatever way: what is ours is kept whole or not at all, and what is the host's stays the host's. On its open connection
we stay between savepoints, and change no setting.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, TypeAlias

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.orm import Session, scoped_session

from keyaccount.errors import StorageUnavailable, ValidationError
from keyaccount.storage import file
from keyaccount.storage.dialects import Dialect
from keyaccount.storage.served import ServedExecutor, documented, meaning
from keyaccount.storage.sqlite import SQLiteExecutor
from keyaccount.storage.unit import Executor, SQLUnit
from keyaccount.values import FrozenMap

Target: TypeAlias = "sa.Engine | sa.Connection | Session | scoped_session[Any]"

_SPACE = 0x6B616363
"""What our advisory locks begin with ("kacc"); the rest is the number of the table of acts."""

_ACT_LOCK = "(CAST(:space AS bigint) << 32) | CAST(CAST(to_regclass(:act) AS oid) AS bigint)"
_LONGEST_NAP = 0.05


class Way(Protocol):
    """How a unit of work gets its transaction, and how that ends."""

    def opened(self, *, write: bool) -> AbstractContextManager[Executor]:
        """Open a transaction, or join one; left by an exception, what was done in it is undone."""

    def lock(self, executor: Executor, making: int | None = None) -> None:
        """Wait until no other transaction writes to our tables, or makes them, for as long as patience lasts."""

    def commit(self, executor: Executor, unit: SQLUnit | None) -> None:
        """Keep what was done, where that is ours to decide."""


def way_to(target: Target, dialect: Dialect, patience: float) -> Way:
    """Choose the way by what the host gives."""
    if isinstance(target, sa.Engine):
        own = _Pool(target)
        return OwnInFile(own, dialect) if dialect.name == "sqlite" else Own(own, dialect, patience)

    def connection() -> sa.Connection:
        return target if isinstance(target, sa.Connection) else target.connection()

    return JoinedInFile(connection, dialect) if dialect.name == "sqlite" else Joined(connection, dialect, patience)


class _Pool:
    """An engine's connections; those of a parent process are left to it."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine, self._pid = engine, os.getpid()

    @contextmanager
    def connection(self) -> Iterator[sa.Connection]:
        """Take a connection out of the engine's pool, and give it back."""
        if self._pid != os.getpid():
            self._engine.dispose(close=False)
            self._pid = os.getpid()
        with documented():
            connection = self._engine.connect()
        try:
            yield connection
        finally:
            with contextlib.suppress(exc.SQLAlchemyError):  # the first error is the one that tells
                connection.close()


# ---- PostgreSQL --------------------------------------------------------------------------------------------------


class Own:
    """A transaction of our own for each unit of work, on a connection out of the host's pool.

    Readers see one state, REPEATABLE READ. A writer waits for the one lock before it looks at anything; so each of its
    statements sees what those before it have committed, and nothing changes under it.
    """

    def __init__(self, pool: _Pool, dialect: Dialect, patience: float) -> None:
        """Use an engine's pool."""
        self._pool, self._dialect, self._patience = pool, dialect, patience

    @contextmanager
    def opened(self, *, write: bool) -> Iterator[Executor]:
        """Open a transaction; what is set for it ends with it."""
        with self._pool.connection() as connection:
            with documented():
                level = "READ COMMITTED" if write else "REPEATABLE READ"
                executor = ServedExecutor(connection.execution_options(isolation_level=level), self._dialect)
                # compiling a question takes longer than these take to answer
                settings = "SELECT set_config('lock_timeout', :wait, true), set_config('jit', 'off', true)"
                executor.run(settings, {"wait": f"{max(1, int(self._patience * 1000))}ms"})
            yield executor

    def lock(self, executor: Executor, making: int | None = None) -> None:
        """Wait in the server's queue; it ends the wait."""
        with documented():
            if making is not None:
                executor.run("SELECT 1 FROM pg_advisory_xact_lock(:making)", {"making": making})
            else:
                act = self._dialect.table("act")
                executor.run(f"SELECT 1 FROM pg_advisory_xact_lock({_ACT_LOCK})", {"space": _SPACE, "act": act})

    def commit(self, executor: Executor, unit: SQLUnit | None) -> None:
        """Commit; where the connection is lost over it, look whether the act is there."""
        assert isinstance(executor, ServedExecutor)  # noqa: S101 - it is the one that was opened here
        try:
            executor.connection.commit()
        except exc.DBAPIError as error:
            error.statement, error.params = None, None
            if not error.connection_invalidated:
                raise meaning(error.orig) from error
            if not self._is_kept(unit):
                raise StorageUnavailable("the connection was lost at the end; nothing was written") from error

    def _is_kept(self, unit: SQLUnit | None) -> bool:
        """Say whether a transaction whose end was not heard of is there: once its lock is free, it has ended."""
        try:
            with self.opened(write=True) as executor:
                self.lock(executor)
                return unit is not None and unit.is_there(executor)
        except (StorageUnavailable, exc.SQLAlchemyError) as error:
            raise StorageUnavailable(
                "the connection was lost at the end: the transaction may be there or not; look before you repeat it",
                uncertain=True,
            ) from error


class Joined:
    """The transaction that is open on the host's connection; it decides what becomes of all of it."""

    def __init__(self, connection: Callable[[], sa.Connection], dialect: Dialect, patience: float) -> None:
        """Use what gives the connection; a session has another one in each transaction."""
        self._connection, self._dialect, self._patience = connection, dialect, patience

    @contextmanager
    def opened(self, *, write: bool) -> Iterator[Executor]:  # noqa: ARG002 - a question that fails is undone too
        """Stay within a savepoint."""
        with documented():
            connection = self._connection()
            if getattr(connection.connection.driver_connection, "autocommit", False):
                raise _no_transaction()
            if not connection.in_transaction():
                connection.begin()
            executor = _JoinedExecutor(connection, self._dialect)
        with executor.savepoint():
            yield executor

    def lock(self, executor: Executor, making: int | None = None) -> None:
        """Ask for the lock again and again: how long a statement waits is the host's setting, and stays so."""
        key = _ACT_LOCK if making is None else ":making"
        given = {"space": _SPACE, "act": self._dialect.table("act"), "making": making}
        end, nap = time.monotonic() + self._patience, 0.001
        with documented():
            while True:
                ((held,),) = executor.run(f"SELECT COALESCE(pg_try_advisory_xact_lock({key}), TRUE)", given)
                if held:
                    return
                if time.monotonic() > end:
                    raise StorageUnavailable(
                        "another transaction is writing, for longer than patience lasts; try again"
                    )
                time.sleep(nap)
                nap = min(2 * nap, _LONGEST_NAP)

    def commit(self, executor: Executor, unit: SQLUnit | None) -> None:
        """Leave it to the host."""


class _JoinedExecutor(ServedExecutor):
    """Runs statements as long as the host's transaction is the one that was joined."""

    def __init__(self, connection: sa.Connection, dialect: Dialect) -> None:
        super().__init__(connection, dialect)
        self._joined = connection.get_transaction()

    def run(self, sql: str, parameters: Mapping[str, Any] = FrozenMap()) -> Iterable[Sequence[Any]]:
        """Run a statement; return its rows."""
        _check_joined(stands=self._stands)
        return super().run(sql, parameters)

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Put rows into a table."""
        _check_joined(stands=self._stands)
        super().insert(table, columns, rows)

    def _plain(self, sql: str) -> None:
        _check_joined(stands=self._stands)
        super()._plain(sql)

    @property
    def _stands(self) -> bool:
        return self._joined is not None and self.connection.get_transaction() is self._joined


def _check_joined(*, stands: bool) -> None:
    """Refuse to go on where the host has ended its transaction meanwhile: what would follow is not ours to begin."""
    if not stands:
        raise StorageUnavailable("the transaction that was joined was ended meanwhile; rows are as that end left them")


# ---- SQLite, which has its own way of beginning ------------------------------------------------------------------


class OwnInFile:
    """A transaction of our own in a file that the host reaches through SQLAlchemy.

    The statements of its beginning and end are ours: the standard library's driver begins too late by itself. How long
    a writer waits is the engine's `timeout`.
    """

    def __init__(self, pool: _Pool, dialect: Dialect) -> None:
        """Use an engine's pool."""
        self._pool, self._dialect = pool, dialect

    @contextmanager
    def opened(self, *, write: bool) -> Iterator[Executor]:
        """Begin; afterwards the connection is as it came out of the pool."""
        with self._pool.connection() as connection:
            driver = _driver(connection)
            if driver.in_transaction:
                raise StorageUnavailable("the engine's pool shares one connection, which has a transaction open")
            kept, driver.isolation_level = driver.isolation_level, None
            try:
                file.run(driver, "BEGIN IMMEDIATE" if write else "BEGIN")
                file.run(driver, "SELECT 1 FROM sqlite_master LIMIT 1")  # the state is that of the first look
                yield SQLiteExecutor(driver, self._dialect)
            finally:
                if driver.in_transaction:
                    with contextlib.suppress(sqlite3.Error):  # the first error is the one that tells
                        driver.execute("ROLLBACK")
                driver.isolation_level = kept

    def lock(self, executor: Executor, making: int | None = None) -> None:
        """Do nothing: whoever began to write has the file's one lock."""

    def commit(self, executor: Executor, unit: SQLUnit | None) -> None:
        """Commit, and raise only where nothing is there."""
        assert isinstance(executor, SQLiteExecutor)  # noqa: S101 - it is the one that was opened here
        with file.documented():
            try:
                executor.connection.execute("COMMIT")
            except sqlite3.Error as error:
                if executor.connection.in_transaction:
                    raise
                if unit is None or not unit.is_there():
                    told = "the transaction may be there or not: the disk failed as it ended; look before you repeat it"
                    raise StorageUnavailable(told, uncertain=True) from error


class JoinedInFile:
    """The transaction that is open on the host's connection to an SQLite file."""

    def __init__(self, connection: Callable[[], sa.Connection], dialect: Dialect) -> None:
        """Use what gives the connection."""
        self._connection, self._dialect = connection, dialect

    @contextmanager
    def opened(self, *, write: bool) -> Iterator[Executor]:
        """Stay within a savepoint.

        The standard library's driver begins a transaction with the first change only; where the host's has not begun
        in the file, a savepoint would be a transaction of its own, and to release it to commit. So it begins here.
        """
        with documented():
            connection = self._connection()
            if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
                raise _no_transaction()
            driver = _driver(connection)
            begun = None if connection.in_transaction() else connection.begin()
            if driver.isolation_level is None and not driver.in_transaction:  # nobody would ever end what began here
                if begun is not None:
                    begun.rollback()
                raise _no_transaction()
        if not driver.in_transaction:
            file.run(driver, "BEGIN")
        executor = _JoinedInFileExecutor(driver, self._dialect, connection)
        with executor.savepoint():
            del write
            yield executor

    def lock(self, executor: Executor, making: int | None = None) -> None:
        """Take the file's one lock for writing, by a change of nothing, before anything is looked at."""
        if making is None:
            with executor.documented():
                executor.run(f"DELETE FROM {self._dialect.table('act')} WHERE seq IS NULL")

    def commit(self, executor: Executor, unit: SQLUnit | None) -> None:
        """Leave it to the host."""


class _JoinedInFileExecutor(SQLiteExecutor):
    """Runs statements as long as the host's transaction is the one that was joined."""

    def __init__(self, driver: sqlite3.Connection, dialect: Dialect, host: sa.Connection) -> None:
        super().__init__(driver, dialect)
        self._host, self._joined = host, host.get_transaction()

    def run(self, sql: str, parameters: Mapping[str, Any] = FrozenMap()) -> Iterable[Sequence[Any]]:
        """Run a statement; return its rows."""
        _check_joined(stands=self._stands)
        return super().run(sql, parameters)

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Put rows into a table."""
        _check_joined(stands=self._stands)
        super().insert(table, columns, rows)

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo what is done in the block where it raises, unless the host has ended the transaction."""
        _check_joined(stands=self._stands)
        file.run(self.connection, "SAVEPOINT keyaccount")
        try:
            yield
        except BaseException:
            if self._stands:
                file.run(self.connection, "ROLLBACK TO keyaccount")
                file.run(self.connection, "RELEASE keyaccount")
            raise
        _check_joined(stands=self._stands)
        file.run(self.connection, "RELEASE keyaccount")

    @property
    def _stands(self) -> bool:
        joined = self._joined is not None and self._host.get_transaction() is self._joined
        return joined and self.connection.in_transaction


def _driver(connection: sa.Connection) -> sqlite3.Connection:
    """Return the standard library's connection under one of SQLAlchemy's; raise ValidationError for another driver."""
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        raise ValidationError.of("SQLStorage", "target", connection.dialect.driver, "must use Python's own sqlite3")
    return driver


def _no_transaction() -> ValidationError:
    return ValidationError.of("SQLStorage", "target", "AUTOCOMMIT", "has no transaction to join")
