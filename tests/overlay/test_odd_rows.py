"""Columns of text in a host's tables that hold anything: the same is read of them on every database."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import sqlalchemy as sa

import keyaccount as ka
import postgres
from keyaccount.sql import IntKey, Overlay, Scaled, Source

ID, PARTY = {"id": IntKey()}, {"id": IntKey(), "organisation_id": IntKey()}
NOON = "2026-07-01 12:00:00"
DAYS = {
    "2026-02-28": "2026-02-28",
    "2024-02-29": "2024-02-29",
    "2026-07-01 12:00": "2026-07-01",
    "2026-07-01T23:30:00-05": "2026-07-02",
    "2026-07-01 00:30:00+0200": "2026-06-30",
    **dict.fromkeys(
        "2026-02-30 2026-02-29 2026-04-31 2026-13-01 2026-00-10 0000-01-01 0000-00-00 n/a 01.02.2026 20260102 now "
        "2026-W01-1 12:00 infinity 2026-07-01x 2026-07-01T25:00 2026-02-30T12:00".split()
    ),
    "": None,
    " ": None,
    "2026-02-30 12:00": None,
    "4711 secret": None,
}
MOMENTS = {
    NOON: NOON,
    "2026-07-01T12:00:00Z": NOON,
    "2026-07-01 12:00": NOON,
    "2026-07-01": "2026-07-01 00:00:00",
    "2026-07-01T12:00:00+02:00": "2026-07-01 10:00:00",
    "2026-07-01 12:00:00-05": "2026-07-01 17:00:00",
    "2026-07-01 12:00-0530": "2026-07-01 17:30:00",
    "2026-07-01 23:59:59.9999": "2026-07-01 23:59:59.999900",
    "2026-07-01 12:00:00.5+02:00": "2026-07-01 10:00:00.500000",
    "2026-07-01T12:00:00.1234567Z": "2026-07-01 12:00:00.123456",
    "2026-12-31 23:00:00-05": "2027-01-01 04:00:00",
    "9999-12-29T00:00:00.000000Z": "9999-12-29 00:00:00",
    "0001-01-03T00:00:00Z": "0001-01-03 00:00:00",
    "9999-12-29T23:00:00-05": None,
    **dict.fromkeys(
        "2026-07-01T24:00 2026-07-01T12 2026-02-30 2026-07-01Z 2026-07-01T12:60 2026-07-01T12:00:60 "
        "2026-07-01T12:00+99 2026-07-01T12:00:00. 2026-07-01T12:00:00.Z 9999-12-31T23:00:00-05:00 "
        "0001-01-01T00:00:00+05:00 "
        "12:00 now".split()
    ),
    "2026-02-30 12:00:00": None,
    "": None,
    "4711 secret": None,
}
AMOUNTS = {
    "12.50": "12.5",
    " 7 ": "7",
    "-5": "-5",
    "12.": "12",
    ".5": "0.5",
    "1E+3": "1000",
    **dict.fromkeys("n/a 12,50 1.234,50 12.345 NaN Infinity 1e400 - --1 0.1.2 +5 \u0663 1_000 0x10 1E-2".split()),
    "": None,
    "4711 secret": None,
}
FALSE = ("0", "0.0", "", "false", "False", "FALSE", "f", "F", "n", "N", "no", "No", "off", " OFF ", "0.00")
TRUE = ("1", "true", "t", "yes", "Y", "on", "2", None)
NO_LISTS = (
    "",
    "n/a",
    "[",
    "089 123",
    '["1" ,',
    "[NaN]",
    "{}",
    '{"a": 1}',
    "null",
    '"089"',
    "[01]",
    "[1 2]",
    "['1']",
    '["1"] x',
    '["a\tb"]',
    '["\\x"]',
    "[true false]",
    "[\x01]",
    '{"a" "b"}',
    "4711 secret",
)
LISTS = {
    ' [ "089 1", "089\\/2" ]': ("089 1", "089/2"),
    '["\\u0030\\u0038\\u0039 3", null, [], {}, {"a": [1, {"b": -1.5e3}]}, true]': ("089 3",),
    "[]": (),
}
EVEN = '[{"paid_on": "2026-01-05", "amount": "20"}]'
PAYMENTS = {
    EVEN: 1,
    '[{"paid_on": "2026-01-05 10:00:00", "amount": 20.00}]': 1,
    '[{"paid_on": "2026-01-05", "amount": {"amount": "20", "currency": "EUR"}}]': 1,
    '[{"paid_on": "2026-01-05", "amount": " 20 "}]': 0,
    '[{"paid_on": "2026-01-05", "amount": true}]': 0,
    '[{"paid_on": "2026-01-05", "amount": "20."}]': 0,
    '[{"paid_on": "2026-01-05", "amount": "2e1"}]': 0,
    '[{"paid_on": "bad", "amount": "20"}]': 0,
    '[{"paid_on": "2026-02-30", "amount": "20"}]': 0,
    '[{"paid_on": ["2026-01-05"], "amount": "20"}]': 0,
    '[{"paid_on": "2026-01-05", "amount": ["20"]}]': 0,
    '[{"paid_on": "2026-01-05", "amount": {"amount": "20", "currency": "eur"}}]': 0,
    "4711 secret": 0,
}

Laid = Callable[..., ka.Book]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[sa.Engine]:
    """Make a host's database; on a server in a schema of its own, and in a session that is not in UTC."""
    if request.param == "sqlite":
        made = sa.create_engine(f"sqlite:///{tmp_path_factory.mktemp('odd') / 'host.db'}")
    else:
        server, schema = postgres.shared(), f"odd_{os.getpid()}"
        with server.begin() as connection:
            connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
        options = f"-csearch_path={schema} -ctimezone=Europe/Berlin -cdatestyle=German"
        made = sa.create_engine(server.url, connect_args={"options": options}, poolclass=sa.NullPool)
    with made.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE party (id INTEGER, name TEXT)")
        connection.exec_driver_sql("INSERT INTO party VALUES (1, 'A'), (2, 'B')")
    yield made
    made.dispose()


@pytest.fixture
def laid(engine: sa.Engine) -> Iterator[Laid]:
    """Lay a book over a table of values, one a row, and customers."""
    books = []

    def lay(kind: Any, select: str, values: Sequence[Any], sort: str = "TEXT", **columns: Any) -> ka.Book:
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE IF EXISTS odd")
            connection.exec_driver_sql(f"CREATE TABLE odd (id INTEGER, party INTEGER, v {sort})")
            rows = [{"id": number, "v": value} for number, value in enumerate(values)]
            connection.execute(sa.text("INSERT INTO odd VALUES (:id, 1, :v)"), rows)
        keys = ID if kind in (ka.Organisation, ka.User) else PARTY
        sources = [Source(kind, f"SELECT {select} FROM odd", columns=keys | columns)]  # noqa: S608 - of this file
        if kind is not ka.Organisation:
            sources.append(Source(ka.Organisation, "SELECT id, name FROM party", columns=ID))
        books.append(ka.Book(Overlay(engine, sources)))
        return books[-1]

    yield lay
    for book in books:
        book.close()


def _read(book: ka.Book, kind: Any, values: Sequence[Any]) -> dict[Any, Any]:
    """Return the records by what their rows hold; the lists, the count and the check must tell the same."""
    office = book.trusted("test")
    found = {values[int(record.id)]: record for record in office.find(kind)}
    assert office.count(kind) == len(found)
    left_out = {values[int(f.id)] for f in book.check() if f.kind == kind.__name__ and "left out" in f.what}
    assert left_out == set(values) - found.keys()
    return found


def test_days(laid: Laid) -> None:
    """What the calendar has no such day of is nothing; a day that is required leaves its row out."""
    values = list(DAYS)
    real = {value: day and dt.date.fromisoformat(day) for value, day in DAYS.items()}
    plain = "id, party AS organisation_id, 1 AS net, 'EUR' AS currency"
    found = _read(laid(ka.Invoice, f"{plain}, v AS issued_on", values), ka.Invoice, values)
    assert {value: found[value].issued_on for value in found} == {v: day for v, day in real.items() if day}
    book = laid(ka.Invoice, f"{plain}, '2026-01-01' AS issued_on, v AS due_on", values)
    found = _read(book, ka.Invoice, values)
    assert {value: found[value].due_on for value in found} == real
    assert book.trusted("test").count(ka.Invoice, due_on=ka.is_none) == list(real.values()).count(None)
    assert len(book.trusted("test").health_check(on=dt.date(2026, 2, 1))) == 2


def test_moments(laid: Laid) -> None:
    """Moments with an offset are brought to UTC, those without are in UTC, and a day is its midnight."""
    values = list(MOMENTS)
    book = laid(ka.Activity, "id, party AS organisation_id, 'call' AS kind, v AS at", values)
    found = _read(book, ka.Activity, values)
    read = {value: found[value].at and str(found[value].at).removesuffix("+00:00") for value in values}
    assert read == MOMENTS


def test_moments_of_a_session_elsewhere(engine: sa.Engine, laid: Laid) -> None:
    """A server's own moments are the same ones whatever zone a session is in; so are the days they are read as."""
    if engine.dialect.name != "postgresql":
        pytest.skip("SQLite has no type of moments")
    values = [f"{NOON}+00", "2026-06-30 23:00:00+00", "infinity", "0044-01-01 00:00:00+00 BC"]
    book = laid(ka.Activity, "id, party AS organisation_id, 'call' AS kind, v AS at", values, sort="TIMESTAMPTZ")
    found = [_read(book, ka.Activity, values)[value].at for value in values]
    assert found == [
        dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC),
        dt.datetime(2026, 6, 30, 23, tzinfo=dt.UTC),
        None,
        None,
    ]
    select = "id, party AS organisation_id, 1 AS net, 'EUR' AS currency, v AS issued_on"
    for sort, days in (("TIMESTAMPTZ", (1, 30)), ("TIMESTAMP", (1, 30)), ("DATE", (1, 30))):
        plain = [value.removesuffix("+00") for value in values] if sort != "TIMESTAMPTZ" else values
        plain[3] = "0044-01-01 00:00:00 BC"
        read = _read(laid(ka.Invoice, select, plain, sort=sort), ka.Invoice, plain)
        assert [record.issued_on.day for record in read.values()] == list(days), sort


def test_amounts(laid: Laid) -> None:
    """A text that is no number is none, and no other account's page breaks of it, nor tells of it."""
    values = list(AMOUNTS)
    select = "id, party AS organisation_id, '2026-01-01' AS issued_on, 'EUR' AS currency, v AS net"
    found = _read(laid(ka.Invoice, select, values, net=Scaled(2)), ka.Invoice, values)
    assert {value: record.net for value, record in found.items()} == {
        value: ka.Money(amount, "EUR") for value, amount in AMOUNTS.items() if amount
    }


@pytest.mark.parametrize("currency", ["", " ", "eur", "EURO", "XXX", "\u20ac", "4711 secret", None])
def test_currencies(laid: Laid, currency: str | None) -> None:
    """What is no currency is nothing, beside an amount as well, which then is none either.

    A customer's currency may be an empty text, as in a book of ours.
    """
    values = ["EUR", currency]
    select = "id, party AS organisation_id, '2026-01-01' AS issued_on, 5 AS net, v AS currency"
    assert list(_read(laid(ka.Invoice, select, values), ka.Invoice, values)) == ["EUR"]
    found = _read(laid(ka.Organisation, "id, v AS name, v AS currency", values), ka.Organisation, values)
    assert [found[value].currency for value in values] == ["EUR", "" if currency == "" else None]
    select = "id, party AS organisation_id, 'O' AS title, 5 AS value, v AS currency"
    book = laid(ka.Opportunity, select, values)
    found = _read(book, ka.Opportunity, values)
    assert [found[value].value for value in values] == [ka.Money(5, "EUR"), None]
    assert book.trusted("test").count(ka.Opportunity, value=ka.is_none) == 1


def test_flags(laid: Laid) -> None:
    """Every usual way to write no is no, in any case."""
    values = [*FALSE, *TRUE]
    found = _read(laid(ka.User, "id, 'U' AS name, v AS active", values), ka.User, values)
    assert {value for value, record in found.items() if not record.active} == set(FALSE)


def test_lists(laid: Laid) -> None:
    """A text that is no list in JSON is an empty one."""
    values = [*NO_LISTS, *LISTS]
    found = _read(laid(ka.Organisation, "id, 'O' AS name, v AS phones", values), ka.Organisation, values)
    assert {value: record.phones for value, record in found.items()} == dict.fromkeys(NO_LISTS, ()) | LISTS


def test_lists_with_characters_that_no_text_holds(laid: Laid) -> None:
    """An escape for half a character, or for none, breaks no page; pairs of halves are characters."""
    values = ['["a\\ud800"]', '["a\\u0000b"]', '["\\ud83d\\ude00 1"]', '["\\\\u0000 1"]']
    for sort in ("TEXT", "JSON"):
        book = laid(ka.Organisation, "id, 'O' AS name, v AS phones", values, sort=sort)
        found = _read(book, ka.Organisation, values)
        assert [found[value].phones for value in values] == [(), (), ("\U0001f600 1",), ("\\u0000 1",)]
        assert book.trusted("test").search("1").rows is not None


def test_mappings(laid: Laid) -> None:
    """A text that is no object in JSON is an empty one."""
    values = ["x", "", "[]", "4711 secret", '{"x": }', '{"web": "y"}']
    found = _read(laid(ka.Organisation, "id, 'O' AS name, v AS social", values), ka.Organisation, values)
    assert [dict(found[value].social) for value in values] == [{}] * 5 + [{"web": "y"}]


def test_payments_count_in_the_record_and_in_the_database_or_in_neither(laid: Laid) -> None:
    """What is open follows from the payments that the record shows."""
    values = list(PAYMENTS)
    select = "id, party AS organisation_id, '2026-01-01' AS issued_on, 20 AS net, 'EUR' AS currency, v AS payments"
    book = laid(ka.Invoice, select, values)
    found = _read(book, ka.Invoice, values)
    assert {value: len(record.payments) for value, record in found.items()} == PAYMENTS
    opened = {values[int(row.id)] for row in book.trusted("test").find(ka.Invoice, open=True)}
    assert opened == {value for value, count in PAYMENTS.items() if not count}
    assert opened == {value for value, record in found.items() if record.open_amount.units}


@pytest.mark.parametrize("field", ["valid_until", "valid_from"])
def test_an_unreadable_end_opens_nothing(laid: Laid, field: str) -> None:
    """Nothing means for ever; so a day that is given and cannot be read leaves its row out."""
    values = [None, "2026-02-28", "2026-02-30", "2026-13-01", "01.01.2020", "", "n/a"]
    select = f"id, party AS organisation_id, '1' AS user_id, '{ka.KEY_ACCOUNT_MANAGER}' AS role, v AS {field}"
    found = _read(laid(ka.Assignment, select, values), ka.Assignment, values)
    assert {value: getattr(record, field) for value, record in found.items()} == {
        None: None, "2026-02-28": dt.date(2026, 2, 28)
    }  # fmt: skip


def test_an_end_that_never_comes(engine: sa.Engine, laid: Laid) -> None:
    """A server's own word for no end is none."""
    if engine.dialect.name != "postgresql":
        pytest.skip("SQLite has no such day")
    values = [dt.date(2026, 2, 28), "infinity", "-infinity"]
    select = f"id, party AS organisation_id, '1' AS user_id, '{ka.KEY_ACCOUNT_MANAGER}' AS role, v AS valid_until"
    book = laid(ka.Assignment, select, [str(value) for value in values], sort="DATE")
    found = _read(book, ka.Assignment, values)
    assert found["infinity"].valid_until is None
    assert "-infinity" not in found


def test_rights_do_not_widen(engine: sa.Engine) -> None:
    """Who was made a key account manager until a day that cannot be read, is none."""
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE post (id INTEGER, u INTEGER, party INTEGER, t TEXT)")
        connection.exec_driver_sql("INSERT INTO post VALUES (1, 1, 1, '2099-01-01')")
        connection.exec_driver_sql("CREATE TABLE staff (id INTEGER, name TEXT)")
        connection.exec_driver_sql("INSERT INTO staff VALUES (1, 'V'), (2, 'C')")
    role = ka.KEY_ACCOUNT_MANAGER
    posts = f"SELECT id, u AS user_id, party AS organisation_id, '{role}' AS role, t AS valid_until FROM post"  # noqa: S608
    sources = [
        Source(ka.Organisation, "SELECT id, name FROM party", columns=ID),
        Source(ka.User, "SELECT id, name FROM staff", columns=ID),
        Source(ka.Assignment, posts, columns=PARTY | {"user_id": IntKey()}),
    ]
    with ka.Book(Overlay(engine, sources, prefix="rights_")) as book:
        book.trusted("test").people.make_private("1")
        assert [row.id for row in book.desk("1").find(ka.Organisation)] == ["1", "2"]
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE post SET t = '2020-02-30'")
        assert [row.id for row in book.desk("1").find(ka.Organisation)] == ["2"]
