"""A PostgreSQL server: many processes, what is edited behind our back, connections that are lost."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

import keyaccount as ka
from keyaccount.storage import Act, Change
from keyaccount.testing.bench import create, write
from keyaccount.testing.records import NOW
from keyaccount.testing.worlds import POLICIES, world
from keyaccount.values import FrozenMap

sa = pytest.importorskip("sqlalchemy")
postgres = pytest.importorskip("postgres")

from sqlalchemy.dialects import mysql  # noqa: E402

from keyaccount.sql import SQLStorage, readable  # noqa: E402

CHILD = Path(__file__).with_name("child_served.py")
PROCESSES, TIMES = 8, 5


@pytest.fixture(scope="module")
def engine() -> Iterator[Any]:
    """Connect to the server."""
    engine = postgres.engine()
    yield engine
    engine.dispose()


@pytest.fixture
def storage(engine: Any) -> Iterator[SQLStorage]:
    """Make empty tables."""
    storage = postgres.fresh(engine)
    yield storage
    storage.close()


@pytest.fixture
def office(storage: SQLStorage) -> ka.Desk:
    """Open a book with some history in it."""
    office = ka.Book(storage).trusted("setup")
    office.put(ka.Organisation("counter", name="Counter", extra=FrozenMap({"count": 0})))
    office.put(ka.Contact("ingo", name="Ingo", phones=("+49 89 1234-0",)))
    office.put(ka.Position("p", contact_id="ingo", organisation_id="counter"))
    office.put(attrs.evolve(office.get(ka.Contact, "ingo"), name="Ingo Prospect"))
    return office


def edit(engine: Any, storage: SQLStorage, sql: str, **given: Any) -> None:
    """Do something to the tables behind the library's back."""
    names = ("organisation", "contact", "act", "past", "item")
    with engine.begin() as connection:
        tables = {name: storage.dialect.table(name) for name in names}
        assert connection.execute(sa.text(sql.format(**tables)), given).rowcount


# ---- processes ---------------------------------------------------------------------------------------------------


def test_processes_lose_nothing(engine: Any, storage: SQLStorage, office: ka.Desk) -> None:
    """Eight processes that write at once: n times m acknowledged increments are n times m, all else is there whole."""
    address = engine.url.render_as_string(hide_password=False)
    arguments = [sys.executable, str(CHILD), address, storage.dialect.schema or ""]
    running = [
        subprocess.Popen(
            [*arguments, str(number), str(TIMES)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for number in range(PROCESSES)
    ]
    try:
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        told = [
            json.loads(out) for out, _ in (process.communicate("go\n", timeout=120) for process in _started(running))
        ]
    finally:
        for process in running:
            process.kill()
    assert office.get(ka.Organisation, "counter").extra["count"] == PROCESSES * TIMES
    assert sum(t["acknowledged"] for t in told) == PROCESSES * TIMES
    assert sum(t["conflicts"] for t in told) > 0, "they never met"
    assert sum(t["others"] for t in told) == 0
    assert {row.id for row in office.find(ka.Organisation)} - {"counter"} == {id for t in told for id in t["made"]}
    assert office.count(ka.Contact) == 1 + 60 * PROCESSES
    assert list(storage.check()) == []
    assert list(storage.check(storage.seal())) == []


def _started(running: list[Any]) -> list[Any]:
    """Let all of them go before one is waited for."""
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    return running


# ---- behind our back ---------------------------------------------------------------------------------------------


def test_acts_are_chained_when_the_history_is_sealed(engine: Any, storage: SQLStorage, office: ka.Desk) -> None:
    """Acts have no link until the seal; then all have, a kept seal is found again, and the next goes on from it."""
    book = office._book
    chains = sa.text(f"SELECT length(chain) FROM {storage.dialect.table('act')} ORDER BY seq")  # noqa: S608
    with engine.connect() as connection:
        assert set(connection.execute(chains).scalars()) == {0}
    first = book.seal()
    assert first == book.seal()
    with engine.connect() as connection:
        assert set(connection.execute(chains).scalars()) == {32}
    office.put(ka.Organisation("later", name="L"))
    assert list(book.check(seal=first)) == []
    second = book.seal()
    assert second != first
    assert list(book.check(seal=first)) == list(book.check(seal=second)) == []


EDITS = {
    "a name": "UPDATE {organisation} SET name = 'Other' WHERE id = 'counter'",
    "a row added": "INSERT INTO {item} VALUES ('Contact', 'phones', 'x', 'ingo')",
    "a row gone": "DELETE FROM {contact} WHERE id = 'ingo'",
    "the past": "UPDATE {past} SET content = replace(content, 'Ingo', 'Udo') WHERE id = 'ingo'",
    "who did it": "UPDATE {act} SET by = 'nobody' WHERE seq = 2",
    "an act gone": "DELETE FROM {act} WHERE seq = 2",
    "a search text": "UPDATE {contact} SET search_text = 'x' WHERE id = 'ingo'",
    "the links undone": "UPDATE {act} SET chain = '' WHERE seq = 2",
}


@pytest.mark.parametrize("name", EDITS)
def test_edits_behind_our_back_are_found(engine: Any, storage: SQLStorage, office: ka.Desk, name: str) -> None:
    """What was changed, added or removed without the library is found in a sealed history."""
    book = office._book
    book.seal()
    assert list(book.check()) == []
    edit(engine, storage, EDITS[name])
    assert list(book.check()) != []


def test_a_history_cut_off_is_found_with_its_seal(engine: Any, storage: SQLStorage, office: ka.Desk) -> None:
    """Whoever takes the last act and its rows away is found out by the seal alone."""
    book = office._book
    office.put(ka.Organisation("last", name="L", refs={"erp": "1"}))
    seal = book.seal()
    for sql in ("DELETE FROM {organisation} WHERE id = 'last'", "DELETE FROM {item} WHERE id = 'last'"):
        edit(engine, storage, sql)
    edit(engine, storage, "DELETE FROM {act} WHERE seq = (SELECT MAX(seq) FROM {act})")
    assert list(storage.check()) == []
    assert list(storage.check(seal)) != []


def test_a_table_that_is_gone_is_a_finding(engine: Any, office: ka.Desk) -> None:
    """A check goes on where a column was taken away, and the calls that need it say so in the documented way."""
    storage = SQLStorage(engine, schema="broken")
    book = ka.Book(storage)
    with engine.begin() as connection:
        connection.execute(sa.text('ALTER TABLE "broken"."product" DROP COLUMN name'))
    assert any("is damaged" in found.what for found in storage.check())
    with pytest.raises(ka.StorageDamaged):
        book.trusted("x").get(ka.Product, "x")
    with engine.begin() as connection:
        connection.execute(sa.text('DROP SCHEMA "broken" CASCADE'))


def test_a_record_made_meanwhile_is_a_conflict(
    storage: SQLStorage, office: ka.Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that others put there after the versions were compared is a ConflictError that names it."""
    row = ka.Organisation("twice", name="T")
    change = Change("Organisation", "twice", None, attrs.evolve(row, version=1))
    with pytest.raises(ka.ConflictError) as caught, storage.unit(write=True) as unit:  # noqa: PT012
        monkeypatch.setattr(unit, "_check_versions", lambda _: None)  # as if it had not been there
        office_row = attrs.evolve(office.get(ka.Organisation, "counter"), version=1)
        unit.write(Act(NOW, "x"), [change, Change("Organisation", "counter", None, office_row)])
    assert (caught.value.kind, caught.value.id) == ("Organisation", "counter")
    assert office.count(ka.Organisation) == 1


# ---- connections -------------------------------------------------------------------------------------------------


def terminated(engine: Any, storage: SQLStorage) -> None:
    """End every other connection to the server's database."""
    sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL"
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(sa.text(sql)).fetchall()


def test_a_lost_connection_is_unavailable_and_the_next_call_works(engine: Any, storage: SQLStorage) -> None:
    """A connection that the server ended is StorageUnavailable with its cause, nothing of the transaction is there."""
    book = ka.Book(storage)
    office = book.trusted("x")
    with pytest.raises(ka.StorageUnavailable) as caught, office.transaction():  # noqa: PT012 - one of the two is refused
        office.put(ka.Organisation("lost", name="L"))
        terminated(postgres.engine(poolclass=sa.pool.NullPool), storage)
        office.put(ka.Organisation("too", name="L"))
    assert not caught.value.uncertain
    assert caught.value.__cause__ is not None
    assert office.count(ka.Organisation) == 0


def test_a_connection_lost_at_the_end_is_looked_after(engine: Any, storage: SQLStorage) -> None:
    """Where the answer to COMMIT is lost, the library looks: what is not there is said not to be there."""
    office = ka.Book(storage).trusted("x")
    with pytest.raises(ka.StorageUnavailable) as caught, office.transaction():  # noqa: PT012 - one of the two is refused
        office.put(ka.Organisation("lost", name="L"))
        work = office._book._current()
        assert work is not None
        unit: Any = work.unit
        finish = unit.finish

        def ends() -> None:
            finish()
            terminated(postgres.engine(poolclass=sa.pool.NullPool), storage)

        unit.finish = ends
    assert not caught.value.uncertain
    assert office.count(ka.Organisation) == 0


def test_a_commit_whose_answer_was_lost_is_done(
    engine: Any, storage: SQLStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the transaction is there, though its answer was lost, the call has worked."""
    office = ka.Book(storage).trusted("x")
    commit = sa.Connection.commit

    def lost(connection: Any) -> None:
        commit(connection)
        monkeypatch.undo()
        raise sa.exc.OperationalError("COMMIT", None, Exception("gone"), connection_invalidated=True)

    with office.transaction():
        office.put(ka.Organisation("kept", name="K"))
        monkeypatch.setattr(sa.Connection, "commit", lost)
    assert office.get(ka.Organisation, "kept").version == 1


def test_no_server_is_unavailable() -> None:
    """A server that is not there is StorageUnavailable."""
    nowhere = sa.create_engine("postgresql+psycopg://postgres@127.0.0.1:1/none", connect_args={"connect_timeout": 2})
    with pytest.raises(ka.StorageUnavailable):
        SQLStorage(nowhere)


def test_a_forked_child_works(storage: SQLStorage, office: ka.Desk) -> None:
    """After a fork the child uses connections of its own, and the parent's still work."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            office.put(ka.Organisation("child", name="C"))
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert {row.id for row in office.find(ka.Organisation)} == {"counter", "child"}


# ---- targets -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [None, "postgresql://", 7, mysql.dialect()])
def test_other_targets_are_refused(target: Any) -> None:
    """What is no engine, connection or session is a ValidationError."""
    with pytest.raises(ka.ValidationError, match="target"):
        SQLStorage(target)


@pytest.mark.parametrize("patience", [0, -1, True, "5", 10**9])
def test_patience_is_checked(engine: Any, patience: Any) -> None:
    """Patience is a number of seconds."""
    with pytest.raises(ka.ValidationError, match="patience"):
        SQLStorage(engine, patience=patience)


# ---- the host's own lists ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("sort", ["PostgreSQL", "SQLite"])
def test_a_hosts_list_is_filtered_as_the_desk_reads(
    engine: Any, tmp_path: Path, policy: str, sort: str, storage: SQLStorage
) -> None:
    """The condition lets those rows through whose organisation the desk may read, for each user of random worlds."""
    if sort == "SQLite":
        engine = sa.create_engine(f"sqlite:///{tmp_path}/host.db")
        storage = SQLStorage(engine, prefix="ka_")
    records = world(policy, random.Random(policy).randrange(1_000)).records  # noqa: S311 - reproducible, not secret
    write(storage, create(records))
    book = ka.Book(storage, policy=POLICIES[policy], clock=lambda: NOW)
    ids = [row.key for row in records if isinstance(row, ka.Organisation)] + ["nobody's"]
    orders = sa.Table("orders", sa.MetaData(), sa.Column("n", sa.Integer), sa.Column("customer", sa.String(200)))
    texts = set()
    with engine.connect() as connection:
        orders.create(connection)
        connection.execute(orders.insert(), [{"n": n, "customer": id} for n, id in enumerate(ids)])
        trusted = sa.select(orders.c.customer).where(readable(book.trusted("x"), orders.c.customer))
        assert set(connection.execute(trusted).scalars()) == set(ids)
        connection.commit()
        for user in (row for row in records if isinstance(row, ka.User) and row.active):
            desk = book.desk(user.id)
            condition = readable(desk, orders.c.customer)
            asked = sa.select(orders.c.customer).where(orders.c.n >= 0, condition).order_by(orders.c.n)
            assert list(connection.execute(asked).scalars()) == desk.readable_ids(ids)
            hidden = sa.select(sa.func.count()).select_from(orders).where(sa.not_(condition))
            assert connection.execute(hidden).scalar() == len(ids) - len(desk.readable_ids(ids))
            texts.add(str(asked.compile(engine)))
        orders.drop(connection)
        connection.commit()
    assert 1 <= len(texts) <= 6
    if sort == "SQLite":
        engine.dispose()


def test_readable_needs_the_same_database() -> None:
    """A book that is kept elsewhere has no condition to give."""
    with pytest.raises(ka.ValidationError, match="SQLStorage"):
        readable(ka.open().trusted("x"), sa.column("customer"))


@pytest.mark.parametrize("column", [None, "customer", 7, object()])
def test_readable_needs_a_column(storage: SQLStorage, column: Any) -> None:
    """A name is no column: it would be compared as a value."""
    with pytest.raises(ka.ValidationError, match="column"):
        readable(ka.Book(storage).trusted("x"), column)


@pytest.mark.parametrize(
    "text", ["\0", "a\0b", "\ud800", "\udfff x", "\x01", "%", "_", "'", '"', "\\", ":me", "%(me)s", "$1"]
)
def test_every_text_can_be_searched_for(storage: SQLStorage, text: str) -> None:
    """Text is never read as a pattern, a parameter or SQL; what can be stored nowhere is found nowhere."""
    office = ka.Book(storage).trusted("x")
    office.put(ka.Organisation("o", name="Name"), ka.Organisation("p", name="\ud7ff"))
    try:
        office.put(ka.Organisation("q", name=f"x{text}y"))
    except ka.ValidationError:
        assert [row.id for row in office.search(text)] == []
    else:
        assert [row.id for row in office.search(text)] == ["q"]
        assert [row.id for row in office.find(ka.Organisation, name=f"x{text}y")] == ["q"]
