"""On a host's connection the library joins its transaction, and leaves everything else as it was."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

import keyaccount as ka

sa = pytest.importorskip("sqlalchemy")
postgres = pytest.importorskip("postgres")

from sqlalchemy.orm import Session  # noqa: E402

from keyaccount.sql import SQLStorage  # noqa: E402

PREFIX = "ka_"
CALLS: dict[str, Callable[[ka.Desk], object]] = {
    "put": lambda desk: desk.put(ka.Organisation("new", name="New", phones=("+49 89 1234-0",))),
    "change": lambda desk: desk.put(attrs.evolve(desk.get(ka.Organisation, "acme"), name="ACME SE")),
    "remove": lambda desk: desk.remove(ka.Contact, "ingo"),
    "put_many": lambda desk: desk.put_many(ka.Organisation(f"m{n}", name="M", refs={"erp": f"{n}"}) for n in range(50)),
    "find": lambda desk: list(desk.find(ka.Organisation, order="name")),
    "search": lambda desk: desk.search("acme"),
    "count": lambda desk: desk.count(ka.Organisation),
    "card": lambda desk: desk.card(organisation="acme", context="crm"),
    "merge": lambda desk: desk.merging.merge(ka.Organisation, "acme", "other"),
    "transaction": lambda desk: _several(desk),  # noqa: PLW0108 - it stands further down
}
REFUSED: dict[str, Callable[[ka.Desk], object]] = {
    "not found": lambda desk: desk.get(ka.Organisation, "nobody"),
    "conflict": lambda desk: desk.put(ka.Organisation("acme", name="Another")),
    "stale": lambda desk: desk.put(attrs.evolve(desk.get(ka.Organisation, "acme"), version=7, name="X")),
    "missing reference": lambda desk: desk.put(ka.Assignment(user_id="nobody", organisation_id="acme")),
    "half a transaction": lambda desk: _half(desk),  # noqa: PLW0108 - it stands further down
    "half of many": lambda desk: desk.put(ka.Organisation("good", name="G"), ka.Organisation("acme", name="Bad")),
}


def _several(desk: ka.Desk) -> None:
    with desk.transaction(why="several", key="once"):
        desk.put(ka.Organisation("one", name="One"))
        desk.put(ka.Organisation("two", name="Two"))


def _half(desk: ka.Desk) -> None:
    with desk.transaction():
        desk.put(ka.Organisation("half", name="Half", phones=("+49 89 1234-0",)))
        desk.put(attrs.evolve(desk.get(ka.Organisation, "acme"), name="Changed"))
        desk.get(ka.Organisation, "nobody")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """Make a database of each sort once, with the host's table and ours and some records in both."""
    folder = tmp_path_factory.mktemp("made")

    @functools.cache
    def make(sort: str) -> Any:
        if sort == "PostgreSQL":
            engine = postgres.engine(connect_args={"options": "-c search_path=host"})
            with engine.begin() as connection:
                connection.execute(sa.text("CREATE SCHEMA host"))
        else:
            engine = sa.create_engine(f"sqlite:///{folder}/host.db")
        with engine.begin() as connection:
            connection.execute(sa.text("CREATE TABLE orders (id TEXT PRIMARY KEY, customer TEXT)"))
        SQLStorage(engine, prefix=PREFIX)
        engine.dispose()
        return folder / "host.db" if sort == "SQLite" else engine

    return make


@pytest.fixture(params=["PostgreSQL", "SQLite", "SQLite that begins as it should"])
def engine(request: pytest.FixtureRequest, tmp_path: Path, made: Callable[[str], Any]) -> Iterator[Any]:
    """Open a database of the host's."""
    if request.param == "PostgreSQL":
        engine = made("PostgreSQL")
        with engine.begin() as connection:
            postgres.empty(connection, "host", but="ka_meta")
    else:
        shutil.copy(made("SQLite"), tmp_path / "host.db")
        engine = sa.create_engine(f"sqlite:///{tmp_path}/host.db", connect_args={"timeout": 0.3})
        if request.param != "SQLite":
            sa.event.listen(engine, "connect", lambda driver, _: setattr(driver, "isolation_level", None))
            sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    office = ka.Book(SQLStorage(engine, prefix=PREFIX)).trusted("setup")
    office.put(
        ka.Organisation("acme", name="ACME AG"),
        ka.Organisation("other", name="Other"),
        ka.Contact("ingo", name="Ingo"),
        ka.Position("p", contact_id="ingo", organisation_id="acme"),
    )
    yield engine
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE IF EXISTS x_user"))
        connection.execute(sa.text("UPDATE ka_meta SET value = '1'"))
    engine.dispose()


def everything(engine: Any) -> list[Any]:
    """Return what another connection sees: the host's rows, our records, our acts."""
    storage = SQLStorage(engine, prefix=PREFIX)
    with engine.connect() as connection:
        orders = list(connection.execute(sa.text("SELECT * FROM orders ORDER BY id")).fetchall())
    office = ka.Book(storage).trusted("judge")
    with storage.unit(write=False) as unit:
        acts = [attrs.evolve(act, at=act.at) for act in unit.acts()]
    return [orders, [list(office.find(kind)) for kind in (ka.Organisation, ka.Contact, ka.Assignment)], acts]


def settings(connection: Any) -> list[Any]:
    """Return the settings of a connection that a library could change."""
    driver = connection.connection.driver_connection
    names = ("isolation_level", "autocommit", "row_factory", "text_factory", "prepare_threshold", "read_only")
    found = [getattr(driver, name, None) for name in names]
    if connection.dialect.name == "postgresql":
        rows = connection.execute(sa.text("SELECT name, setting FROM pg_settings ORDER BY name"))
        return [*found, *map(tuple, rows)]
    pragmas = ("synchronous", "journal_mode", "foreign_keys", "busy_timeout", "cache_size", "read_uncommitted")
    return [*found, *(connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in pragmas)]


def order(target: Any, id: str) -> None:
    """Write a row of the host's own."""
    target.execute(sa.text("INSERT INTO orders VALUES (:id, 'acme')"), {"id": id})


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kept", [True, False])
def test_a_call_is_kept_or_undone_with_the_hosts_own_rows(engine: Any, call: str, *, kept: bool) -> None:
    """The host's commit keeps its rows and ours, its rollback undoes both; until then nobody else sees either."""
    before = everything(engine)
    with engine.connect() as connection:
        order(connection, "first")
        CALLS[call](ka.Book(SQLStorage(connection, prefix=PREFIX)).trusted("host"))
        order(connection, "second")
        assert connection.in_transaction()
        (connection.commit if kept else connection.rollback)()
    after = everything(engine)
    assert [row.id for row in after[0]] == (["first", "second"] if kept else [])
    if not kept:
        assert after == before
    elif call not in ("find", "search", "count", "card"):
        assert len(after[2]) == len(before[2]) + 1
        assert after[1] != before[1]
    assert list(ka.Book(SQLStorage(engine, prefix=PREFIX)).check()) == []


@pytest.mark.parametrize("call", REFUSED)
def test_a_call_that_fails_leaves_the_transaction_as_it_was(engine: Any, call: str) -> None:
    """After a refusal what the host wrote before is there, ours from before too, and both can go on writing."""
    with engine.connect() as connection:
        desk = ka.Book(SQLStorage(connection, prefix=PREFIX)).trusted("host")
        order(connection, "before")
        desk.put(ka.Organisation("kept", name="Kept"))
        with pytest.raises(ka.KeyAccountError):
            REFUSED[call](desk)
        assert connection.in_transaction()
        desk.put(ka.Organisation("later", name="Later"))
        order(connection, "after")
        connection.commit()
    orders, (organisations, *_), _ = everything(engine)
    assert [row.id for row in orders] == ["after", "before"]
    assert {row.id: row.name for row in organisations} == {
        "acme": "ACME AG",
        "other": "Other",
        "kept": "Kept",
        "later": "Later",
    }
    assert list(ka.Book(SQLStorage(engine, prefix=PREFIX)).check()) == []


def test_nothing_of_the_connection_is_changed(engine: Any) -> None:
    """Settings, isolation and savepoints are as before, whatever was called and whether it worked."""
    with engine.connect() as connection:
        order(connection, "first")
        before = settings(connection)
        desk = ka.Book(SQLStorage(connection, prefix=PREFIX)).trusted("host")
        for call in ("put", "change", "find", "card"):
            CALLS[call](desk)
        for refused in REFUSED.values():
            with pytest.raises(ka.KeyAccountError):
                refused(desk)
        assert settings(connection) == before
        with pytest.raises(sa.exc.DBAPIError):  # no savepoint of ours is left open
            connection.execute(sa.text("RELEASE SAVEPOINT keyaccount"))
        connection.rollback()


def test_a_session_is_joined_in_each_of_its_transactions(engine: Any) -> None:
    """A session's commit keeps, its rollback undoes, and the same desk goes on in the next transaction."""
    with Session(engine) as session:
        desk = ka.Book(SQLStorage(session, prefix=PREFIX)).trusted("host")
        desk.put(ka.Organisation("one", name="One"))
        order(session, "one")
        session.rollback()
        desk.put(ka.Organisation("two", name="Two"))
        order(session, "two")
        session.commit()
        desk.put(ka.Organisation("three", name="Three"))
    orders, (organisations, *_), _ = everything(engine)
    assert [row.id for row in orders] == ["two"]
    assert {row.id for row in organisations} == {"acme", "other", "two"}


def test_within_the_hosts_own_savepoint(engine: Any) -> None:
    """The host may undo a part of its transaction, with what was written in it."""
    if engine.dialect.name == "sqlite":
        pytest.skip("the driver's own way of beginning makes SQLAlchemy's savepoints unreliable")
    with engine.connect() as connection:
        desk = ka.Book(SQLStorage(connection, prefix=PREFIX)).trusted("host")
        desk.put(ka.Organisation("kept", name="K"))
        inner = connection.begin_nested()
        desk.put(ka.Organisation("undone", name="U"))
        inner.rollback()
        connection.commit()
    assert {row.id for row in everything(engine)[1][0]} == {"acme", "other", "kept"}


def test_where_nothing_was_written_by_the_host(engine: Any) -> None:
    """A connection that has asked nothing yet is joined too: the first call of the library begins its transaction."""
    with engine.connect() as connection:
        ka.Book(SQLStorage(connection, prefix=PREFIX)).trusted("host").put(ka.Organisation("new", name="N"))
        connection.rollback()
    assert {row.id for row in everything(engine)[1][0]} == {"acme", "other"}


def test_autocommit_is_refused(engine: Any) -> None:
    """Where each statement commits by itself there is no transaction to join."""
    connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    with connection, pytest.raises(ka.ValidationError, match="no transaction to join"):
        SQLStorage(connection, prefix=PREFIX)


def test_another_transaction_that_writes_is_waited_for_as_long_as_patience_lasts(engine: Any) -> None:
    """A host that holds its transaction open keeps other writers out, who are told in time; readers go on."""
    with engine.connect() as connection:
        ka.Book(SQLStorage(connection, prefix=PREFIX)).trusted("host").put(ka.Organisation("new", name="N"))
        other = ka.Book(SQLStorage(engine, prefix=PREFIX, patience=0.2)).trusted("other")
        with pytest.raises(ka.StorageUnavailable):
            other.put(ka.Organisation("blocked", name="B"))
        assert other.count(ka.Organisation) == 2
        connection.commit()
    assert other.count(ka.Organisation) == 3


def test_tables_of_others_are_left_alone(engine: Any) -> None:
    """Where a table of one of our names is the host's, nothing is made, and the error says how to go on."""
    with engine.begin() as connection:
        connection.execute(sa.text('CREATE TABLE "x_user" (login TEXT)'))
    with pytest.raises(ka.StorageDamaged, match="choose a schema or a prefix"):
        SQLStorage(engine, prefix="x_")
    assert sa.inspect(engine).get_columns("x_user")[0]["name"] == "login"
    assert not sa.inspect(engine).has_table("x_organisation")


def test_a_newer_version_is_refused(engine: Any) -> None:
    """Tables of a newer version of the library are left as they are."""
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE ka_meta SET value = '99'"))
    with pytest.raises(ka.StorageDamaged, match="newer"):
        SQLStorage(engine, prefix=PREFIX)


@pytest.mark.parametrize("name", ["Ka", 'a"; DROP TABLE x', "1a", "ä", "a" * 40, 7])
def test_names_are_checked(engine: Any, name: Any) -> None:
    """A prefix that is no plain name is refused before anything is asked."""
    with pytest.raises(ka.ValidationError, match="prefix"):
        SQLStorage(engine, prefix=name)


def test_tables_are_not_made_unasked(engine: Any) -> None:
    """With `create=False` missing tables are an error."""
    with pytest.raises(ka.StorageUnavailable, match="no tables"):
        SQLStorage(engine, prefix="none_", create=False)
    with pytest.raises(ka.ValidationError, match="pg_dump"):
        ka.Book(SQLStorage(engine, prefix=PREFIX)).backup("copy.db")
