"""Statements on a PostgreSQL connection of SQLAlchemy, and what its errors mean.

Statements are made once for each text. Many rows go in by COPY where the driver is psycopg 3.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from keyaccount.catalogue import KINDS
from keyaccount.errors import ConflictError, KeyAccountError, StorageDamaged, StorageUnavailable
from keyaccount.storage.dialects import Dialect
from keyaccount.storage.schema import table_of

_NOTHING: Mapping[str, Any] = {}
_COPY_FROM = 20
"""So many rows are worth a COPY; fewer are inserted one by one."""

_AT_ONCE = {"stream_results": False, "yield_per": None}
"""Our statements are read at once, also on a connection whose own are streamed."""

_UNIQUE, _LOCK_TIMEOUT, _FAILED_ALREADY = "23505", "55P03", "25P02"
_OVERTAKEN = ("40001", "40P01")
_LOST = ("08", "57P")
_VALUE = "22"
_DAMAGE = ("42P01", "42703", "42804", "42883", "XX001", "XX002")


@functools.lru_cache(1_000)
def statement(sql: str) -> sa.TextClause:
    """Return a statement for a text, made once."""
    return sa.text(sql)


class ServedExecutor:
    """Runs statements on a connection whose transaction has begun."""

    def __init__(self, connection: sa.Connection, dialect: Dialect) -> None:
        """Use a connection; nothing is done to it."""
        self.connection, self.dialect = connection, dialect

    def run(self, sql: str, parameters: Mapping[str, Any] = _NOTHING) -> Iterable[Sequence[Any]]:
        """Run a statement; return its rows."""
        result = self.connection.execute(statement(sql), parameters, execution_options=_AT_ONCE)
        return result.fetchall() if result.returns_rows else ()

    def columns(self, rows: str) -> list[str]:
        """Return the names of the columns that a SELECT in brackets yields."""
        found = self.connection.execute(statement(f"SELECT * FROM {rows} h LIMIT 0"), execution_options=_AT_ONCE)
        return [column[0] for column in found.cursor.description] if found.cursor is not None else []

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Put rows into a table.

        Raises ConflictError for a record that another transaction made meanwhile.
        """
        named = ", ".join(f'"{column}"' for column in columns)
        try:
            if len(rows) >= _COPY_FROM and self.connection.dialect.driver == "psycopg":
                self._copy(f"COPY {self.dialect.table(table)} ({named}) FROM STDIN", rows)
            else:
                places = ", ".join(f":c{number}" for number in range(len(columns)))
                sql = statement(f"INSERT INTO {self.dialect.table(table)} ({named}) VALUES ({places})")
                given = [{f"c{n}": value for n, value in enumerate(row)} for row in rows]
                self.connection.execute(sql, given, execution_options=_AT_ONCE)
        except Exception as error:
            if (found := _conflict(error, table, columns, rows)) is not None:
                raise found from error
            raise

    def _copy(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        with self.connection.connection.cursor() as cursor, cursor.copy(sql) as copy:  # type: ignore[attr-defined]
            for row in rows:
                copy.write_row(row)

    def documented(self) -> AbstractContextManager[None]:
        """Turn errors into documented ones."""
        return documented()

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo what is done in the block where it raises; the savepoint itself is gone afterwards in either case."""
        self._plain("SAVEPOINT keyaccount")
        try:
            yield
        except BaseException:
            if not self.connection.invalidated:
                self._plain("ROLLBACK TO SAVEPOINT keyaccount")
                self._plain("RELEASE SAVEPOINT keyaccount")
            raise
        self._plain("RELEASE SAVEPOINT keyaccount")

    def _plain(self, sql: str) -> None:
        with documented():
            self.connection.execute(statement(sql), execution_options=_AT_ONCE)

    def apart(self) -> AbstractContextManager[None]:
        """Keep a question that fails from ending the transaction."""
        return self.savepoint()

    def is_overflow(self, error: Exception) -> bool:  # noqa: ARG002 - sums are of numbers without a limit
        """Say that no sum is too large."""
        return False

    def is_damage(self, error: Exception) -> bool:
        """Say whether a table or column is not there, or a page is damaged."""
        return isinstance(error, exc.DBAPIError) and _state(error.orig) in _DAMAGE


@contextmanager
def documented() -> Iterator[None]:
    """Turn the database's errors into documented ones, with their cause; values are in neither."""
    try:
        yield
    except KeyAccountError:
        raise
    except exc.DBAPIError as error:
        error.statement, error.params = None, None
        raise meaning(error.orig, lost=error.connection_invalidated) from error
    except exc.SQLAlchemyError as error:
        raise StorageUnavailable(f"the database cannot be used now: {_line(error)}") from error
    except OSError as error:
        raise StorageUnavailable(f"the database cannot be reached: {error.strerror or error}") from error
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise StorageDamaged(f"a {type(error).__name__} while reading what the database holds") from error
    except Exception as error:
        if not _is_of_a_driver(error):
            raise
        raise meaning(error) from error


def meaning(error: BaseException | None, *, lost: bool = False) -> KeyAccountError:
    """Return the documented error for one of the driver's."""
    state, told = _state(error), _line(error)
    if lost or state.startswith(_LOST):
        return StorageUnavailable(f"the connection to the database was lost: {told}")
    if state == _LOCK_TIMEOUT:
        return StorageUnavailable("another transaction is writing, for longer than patience lasts; try again")
    if state in _OVERTAKEN:
        return StorageUnavailable("another transaction was faster; roll yours back and repeat it")
    if state == _FAILED_ALREADY:
        return StorageUnavailable("the transaction has failed already; roll it back")
    if state.startswith(_VALUE):  # its first line shows the value, which may be of what the reader may not see
        return StorageUnavailable(f"the database cannot read a value that it holds (SQLSTATE {state})")
    if state in _DAMAGE:
        return StorageDamaged(f"the tables are not as this library makes them: {told}")
    return StorageUnavailable(f"the database cannot be used now: {told}")


def _conflict(
    error: Exception, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> KeyAccountError | None:
    """Return what it means that a row is there already; None of another error."""
    foreign = error.orig if isinstance(error, exc.DBAPIError) else error
    if _state(foreign) != _UNIQUE:
        return None
    kind = _KINDS.get(table)
    if kind is None:  # the number of an act, or its key
        return StorageUnavailable("another transaction wrote after yours began; roll yours back and repeat it")
    told = str(foreign)
    place = columns.index("id")
    id = next((row[place] for row in rows if f"(id)=({row[place]})" in told), rows[0][place])
    return ConflictError(kind, id)


_KINDS = {table_of(name).name: name for name in KINDS}


def _state(error: object) -> str:
    """Return the SQLSTATE that a driver's error carries, under the name its driver gives it; nothing where none is."""
    return str(getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or "")


def _line(error: object) -> str:
    """Return the first line of a message: those below it can show values."""
    return str(error).partition("\n")[0][:300]


def _is_of_a_driver(error: BaseException) -> bool:
    """Say whether an error is a driver's own: those of the DB-API have a common root in their package."""
    return any(cls.__name__ == "Error" and cls.__mro__[1] is Exception for cls in type(error).__mro__)
