"""Hosts that do what nobody expects: other collations, streams, transactions that end in the middle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import keyaccount as ka
import postgres
from keyaccount.sql import SQLStorage, readable


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    """Return an engine on an empty database, or on a server where tables of ours have a schema."""
    found = sa.create_engine(f"sqlite:///{tmp_path / 'host.db'}") if request.param == "SQLite" else postgres.engine()
    yield found
    found.dispose()


def furnished(engine: sa.Engine, name: str) -> dict[str, Any]:
    """Make a company with an open account and a private one whose ids differ in case; return where it stands."""
    place: dict[str, Any] = {"prefix": "ka_"} if engine.dialect.name == "sqlite" else {"schema": f"odd_{name}"}
    if "schema" in place:
        with engine.begin() as connection:
            connection.execute(sa.text(f"DROP SCHEMA IF EXISTS odd_{name} CASCADE"))
    book = ka.Book(SQLStorage(engine, **place))
    book.trusted("test").put(
        ka.User("carla", name="Carla"),
        ka.User("volker", name="Volker"),
        ka.Organisation("a", name="Open"),
        ka.Organisation("A", name="Secret", private=True),
        ka.Assignment("1", "volker", "A"),
    )
    return place


def test_no_collation_decides_who_may_read(engine: sa.Engine) -> None:
    """A column of the host's that takes a for A shows no account that differs in case."""
    place = furnished(engine, "collation")
    collation = "NOCASE" if engine.dialect.name == "sqlite" else "POSIX"
    column = sa.Column("customer", sa.String(20, collation=collation))
    orders = sa.Table("odd_orders", sa.MetaData(), column)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE IF EXISTS odd_orders"))
        orders.create(connection)
        connection.execute(orders.insert(), [{"customer": "a"}, {"customer": "A"}])
        desk = ka.Book(SQLStorage(engine, **place)).desk("carla")
        found = connection.execute(sa.select(orders.c.customer).where(readable(desk, orders.c.customer)))
        assert found.scalars().all() == ["a"]


def test_a_transaction_that_the_host_ends_in_the_middle_is_left_alone(engine: sa.Engine) -> None:
    """What would follow is refused, nothing of it is kept, and the host's next transaction stays its own."""
    place = furnished(engine, "ended")
    for again in (False, True):
        with engine.connect() as connection:
            connection.begin()
            desk = ka.Book(SQLStorage(connection, **place)).trusted("host")

            def interrupted() -> None:
                with desk.transaction():  # noqa: B023
                    desk.put(ka.Organisation("one", name="One"))  # noqa: B023
                    connection.rollback()
                    if again:  # noqa: B023
                        connection.begin()
                    desk.put(ka.Organisation("two", name="Two"))  # noqa: B023

            with pytest.raises(ka.StorageUnavailable, match="ended meanwhile"):
                interrupted()
            assert connection.execute(sa.text("SELECT 1")).scalar() == 1
            connection.rollback()
    book = ka.Book(SQLStorage(engine, **place))
    assert sorted(row.id for row in book.trusted("test").find(ka.Organisation)) == ["A", "a"]
    assert list(book.check()) == []


def test_a_connection_that_streams_is_joined(engine: sa.Engine) -> None:
    """Options for the host's own statements are none for ours."""
    place = furnished(engine, "streams")
    with engine.connect().execution_options(stream_results=True, yield_per=5) as connection:
        desk = ka.Book(SQLStorage(connection, **place)).trusted("host")
        desk.put(ka.Organisation("b", name="Third"))
        assert desk.count(ka.Organisation) == 3
        connection.commit()


def test_an_engine_that_commits_each_statement_is_refused(tmp_path: Path) -> None:
    """Its connections have no transaction to join, and the host's next row is kept as it would be without us."""
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'auto.db'}", isolation_level="AUTOCOMMIT")
    furnished(sa.create_engine(f"sqlite:///{tmp_path / 'auto.db'}"), "auto")
    with engine.connect() as connection:
        connection.execute(sa.text("CREATE TABLE own (n INTEGER)"))
        with pytest.raises(ka.ValidationError, match="no transaction to join"):
            ka.Book(SQLStorage(connection, prefix="ka_")).trusted("host").count(ka.Organisation)
        connection.execute(sa.text("INSERT INTO own VALUES (1)"))
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT COUNT(*) FROM own")).scalar() == 1
    engine.dispose()
