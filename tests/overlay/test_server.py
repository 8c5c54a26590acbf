"""A host's tables in PostgreSQL: its own types of columns, and rows that break our rules."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator

import attrs
import pytest
import sqlalchemy as sa

import keyaccount as ka
import postgres
from keyaccount.sql import IntKey, Overlay, Scaled, Source

TABLES = """
CREATE TABLE party (id serial PRIMARY KEY, name varchar(80), up int, coin char(3), numbers jsonb, active boolean);
CREATE TABLE bill (id bigint PRIMARY KEY, party int, day date, due timestamp, sort text, net numeric, paid json);
INSERT INTO party VALUES (1, 'ACME AG', NULL, 'EUR', '["+49 89 1234-0"]', true), (2, NULL, 2, 'XXX', '{}', NULL),
    (10, E'Straße\\nSüd', 1, NULL, NULL, false);
INSERT INTO bill VALUES
    (1, 1, '2026-08-03', '2026-09-02 12:00', 'invoice', 119.50, '[{"paid_on": "2026-09-01", "amount": 100.5}]'),
    (2, 1, '2026-08-03', NULL, 'invoice', 0.1, '[{"paid_on": "2026-09-01", "amount": "0.10"}, "nonsense"]'),
    (3, 10, '2026-08-03', NULL, 'credit note', -7, NULL), (4, 1, NULL, NULL, 'invoice', 1, NULL),
    (5, 1, '2026-08-03', NULL, 'invoice', 1.005, NULL), (6, 1, '2026-08-03', NULL, 'bill', 1, NULL),
    (7, 1, 'infinity', NULL, 'invoice', 1, NULL), (8, 1, '2026-08-03', NULL, 'invoice', 'NaN', NULL);
"""
SOURCES = [
    Source(
        ka.Organisation,
        "SELECT id, name, up AS parent_id, coin AS currency, numbers AS phones FROM party "
        "WHERE COALESCE(name, '') LIKE '%' -- all of them",
        columns={"id": IntKey(), "parent_id": IntKey()},
    ),
    Source(ka.User, "SELECT id, name, active FROM party", columns={"id": IntKey()}),
    Source(
        ka.Invoice,
        "SELECT id, party AS organisation_id, day AS issued_on, due AS due_on, sort AS kind, net, 'EUR' AS currency, "
        "paid AS payments FROM bill",
        columns={"id": IntKey(), "organisation_id": IntKey(), "net": Scaled(2)},
    ),
]


@pytest.fixture(scope="module")
def book() -> Iterator[ka.Book]:
    """Lay a book over a host's tables in a schema of their own."""
    server, schema = postgres.shared(), f"erp_{os.getpid()}"
    with server.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    engine = sa.create_engine(server.url, connect_args={"options": f"-csearch_path={schema}"}, poolclass=sa.NullPool)
    with engine.begin() as connection:
        for statement in filter(str.strip, TABLES.split(";")):
            connection.exec_driver_sql(statement)
    with ka.Book(Overlay(engine, SOURCES), region="DE") as made:
        yield made
    engine.dispose()


def test_rows_are_records(book: ka.Book) -> None:
    """Columns of the server's own types are read; what breaks our rules breaks no page."""
    office = book.trusted("test")
    found = [(row.id, row.name, row.parent_id, row.currency, row.phones) for row in office.find(ka.Organisation)]
    assert found == [
        ("1", "ACME AG", None, "EUR", ("+49 89 1234-0",)),
        ("10", "Straße Süd", "1", None, ()),
        ("2", "2", None, None, ()),
    ]
    assert [row.active for row in office.find(ka.User)] == [True, False, True]
    assert [row.id for row in office.find(ka.Organisation, name="STRASSE SÜD")] == ["10"]
    card = office.caller("089 123456")
    assert card is not None
    assert card.name == "ACME AG"
    assert office.count(ka.Organisation, id=ka.one_of(["x", "01", "1"])) == 1


def test_money_and_what_is_open(book: ka.Book) -> None:
    """NUMERIC is exact; lists, counts and the check agree about what cannot be read."""
    office = book.trusted("test")
    rows = list(office.find(ka.Invoice))
    assert [(row.id, row.net, row.open_amount) for row in rows] == [
        ("1", ka.Money("119.50", "EUR"), ka.Money("19", "EUR")),
        ("2", ka.Money("0.10", "EUR"), ka.Money("0", "EUR")),
        ("3", ka.Money("7", "EUR"), ka.Money("7", "EUR")),
    ]
    assert office.count(ka.Invoice) == 3
    assert [row.id for row in office.find(ka.Invoice, open=False)] == ["2"]
    assert [row.id for row in office.find(ka.Invoice, settled_on=dt.date(2026, 9, 1))] == ["2"]
    assert [row.id for row in office.find(ka.Invoice, due_on=dt.date(2026, 9, 2))] == ["1"]
    assert [(f.kind, f.id) for f in book.check()] == [("Invoice", str(n)) for n in range(4, 9)]


def test_fields_of_ours_are_kept_beside(book: ka.Book) -> None:
    """What is ours is written, what is the host's is refused, and the transaction stays sound."""
    office = book.trusted("test")
    acme = office.get(ka.Organisation, "1")
    with pytest.raises(ka.ReadOnly):
        office.put(attrs.evolve(acme, name="ACME SE"))
    assert office.put(attrs.evolve(acme, sector="steel")).version == 2
    assert [row.id for row in office.find(ka.Organisation, sector="steel")] == ["1"]


@pytest.mark.parametrize("database", ["SQLite", "PostgreSQL"])
@pytest.mark.parametrize(
    ("select", "error", "said"),
    [
        ("SELECT id, name FROM nowhere", ka.StorageUnavailable, "nowhere"),
        ("SELECT id, nope AS name FROM (SELECT 1 AS id) x", ka.StorageUnavailable, "nope"),
        ("SELECT 1 AS id, 'a' AS name, 'b' AS name", ka.ValidationError, "name"),
    ],
)
def test_a_select_that_cannot_be_read_is_the_hosts(
    database: str, select: str, error: type[Exception], said: str
) -> None:
    """A table or column that is not there is no damage of ours; a column that stands there twice is refused."""
    engine = sa.create_engine("sqlite://") if database == "SQLite" else postgres.engine()
    source = Source(ka.Organisation, select, columns={"id": IntKey()})
    with pytest.raises(error, match=said):
        Overlay(engine, [source], prefix=f"k{os.getpid()}_")
    engine.dispose()
