"""A host's tables, read in place: what is read, what may be written, and what the host's data may not break."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import pytest
import sqlalchemy as sa

import keyaccount as ka
from keyaccount.catalogue import KINDS
from keyaccount.queries import Query, Totals
from keyaccount.sql import IntKey, Overlay, Scaled, Source, TextKey
from keyaccount.storage.sqlite import SQLiteExecutor

TABLES = """
CREATE TABLE party (id INTEGER PRIMARY KEY, name TEXT, up INTEGER, currency TEXT, numbers TEXT, mails TEXT,
    places TEXT);
CREATE TABLE invoice (id INTEGER PRIMARY KEY, party INTEGER, day TEXT, due TEXT, sort TEXT, net, gross, coin TEXT,
    paid TEXT);
CREATE INDEX invoice_by_party ON invoice (party);
CREATE TABLE seller (id INTEGER PRIMARY KEY, name TEXT, mail TEXT, active BOOLEAN);
INSERT INTO seller VALUES (1, 'Anna', 'anna@example.org', 1), (2, 'Bert', NULL, 1), (3, 'Cleo', NULL, 0);
INSERT INTO party VALUES (1, 'ACME AG', NULL, 'EUR', '["+49 89 1234-0"]', '["Info@ACME.example"]', NULL),
    (2, 'Straßenbau Süß', 1, 'XXX', NULL, '[null, "", 7]', '[{"town": "Köln", "country": "Deutschland"}, "Bonn"]'),
    (10, NULL, 10, NULL, 'no list', '{}', '[{"town": "Bonn", "lines": ["Am Markt"]}]');
"""

PARTY = Source(
    ka.Organisation,
    "SELECT id, name, up AS parent_id, currency, numbers AS phones, mails AS emails, places AS addresses FROM party",
    columns={"id": IntKey(), "parent_id": IntKey()},
)
SELLER = Source(ka.User, "SELECT id, name, mail AS email, active FROM seller -- all", columns={"id": IntKey()})
INVOICE = Source(
    ka.Invoice,
    """SELECT id, party AS organisation_id, day AS issued_on, due AS due_on, sort AS kind, net, gross, coin AS currency,
        paid AS payments FROM invoice""",
    columns={"id": IntKey(), "organisation_id": IntKey(), "net": Scaled(2), "gross": Scaled(2)},
)


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a host's database, with our tables in it."""
    path = tmp_path_factory.mktemp("host") / "host.db"
    made = sa.create_engine(f"sqlite:///{path}")
    with made.begin() as connection:
        for statement in filter(str.strip, TABLES.split(";")):
            connection.exec_driver_sql(statement)
    ka.Book(Overlay(made, [PARTY, SELLER, INVOICE])).close()
    made.dispose()
    return path


@pytest.fixture
def engine(made_once: Path, tmp_path: Path) -> Iterator[sa.Engine]:
    """Copy it for one test."""
    shutil.copyfile(made_once, tmp_path / "host.db")
    made = sa.create_engine(f"sqlite:///{tmp_path / 'host.db'}")
    yield made
    made.dispose()


@pytest.fixture
def book(engine: sa.Engine) -> Iterator[ka.Book]:
    """Lay a book over it."""
    with ka.Book(Overlay(engine, [PARTY, SELLER, INVOICE]), region="DE") as made:
        yield made


def billed(engine: sa.Engine, *rows: tuple[Any, ...]) -> None:
    """Have the host write invoices of party 1, numbered from 1: net, gross, currency, kind, payments."""
    with engine.begin() as connection:
        for number, (net, gross, coin, sort, paid) in enumerate(rows, 1):
            connection.exec_driver_sql(
                "INSERT INTO invoice VALUES (?, 1, '2026-08-03', '2026-09-02', ?, ?, ?, ?, ?)",
                (number, sort, net, gross, coin, paid),
            )


def executed(engine: sa.Engine, sql: str) -> list[Any]:
    """Run a statement of the host's."""
    with engine.begin() as connection:
        result = connection.exec_driver_sql(sql)
        return list(result) if result.returns_rows else []


# ---- reading -----------------------------------------------------------------------------------------------------


def test_rows_are_records(book: ka.Book) -> None:
    """A row of the host's is a record: ids are its numbers as text, and what is not given holds what new records do."""
    acme = book.trusted("test").get(ka.Organisation, "1")
    assert acme == ka.Organisation(
        "1", name="ACME AG", currency="EUR", phones=("+49 89 1234-0",), emails=("Info@ACME.example",), version=1
    )


@pytest.mark.parametrize("id", ["01", "1.0", " 1", "+1", "abc", "1" * 25, "-0", "\u0661"])
def test_ids_compare_byte_by_byte(book: ka.Book, id: str) -> None:
    """What is no way to write the host's number finds nothing, and breaks nothing."""
    office = book.trusted("test")
    with pytest.raises(ka.NotFound):
        office.get(ka.Organisation, id)
    assert office.count(ka.Organisation, id=id) == 0
    assert [row.id for row in office.find(ka.Organisation, id=ka.one_of([id, "2"]))] == ["2"]


def test_ids_are_in_the_order_of_text(book: ka.Book) -> None:
    """Ties go by id as everywhere: "10" comes before "2", also over pages."""
    office = book.trusted("test")
    assert [row.id for row in office.find(ka.Organisation)] == ["1", "10", "2"]
    page = office.find(ka.Organisation, limit=1)
    assert [row.id for row in office.find(ka.Organisation, limit=2, after=page.cursor)] == ["10", "2"]


@pytest.mark.parametrize(
    "wanted",
    [
        {"name": "STRASSENBAU SÜSS"}, {"name": "strassenbau Su\u0308ß"}, {"name": ka.one_of(["x", "Straßenbau süß"])},
        {"parent_id": "1"}, {"addresses": ka.Address(town="Köln")},
    ],
)  # fmt: skip
def test_names_compare_folded(book: ka.Book, wanted: dict[str, Any]) -> None:
    """Conditions mean what they mean in every storage, also where no database can fold."""
    assert [row.id for row in book.trusted("test").find(ka.Organisation, **wanted)] == ["2"]


def test_search_and_caller(book: ka.Book) -> None:
    """A caller and a search find the host's rows."""
    office = book.trusted("test")
    assert [hit.id for hit in office.search("SÜSS")] == [hit.id for hit in office.search("köln")] == ["2"]
    card = office.caller("0049 89 123456")
    assert card is not None
    assert card.name == "ACME AG"
    assert office.find(ka.Organisation, emails="info@acme.EXAMPLE")[0].id == "1"


def test_a_change_of_the_hosts_is_seen_at_once(engine: sa.Engine, book: ka.Book) -> None:
    """Nothing is copied: what the host changes is what the next call reads."""
    executed(engine, "UPDATE party SET numbers = '[\"030 555 777\"]' WHERE id = 2")
    card = book.trusted("test").caller("+49 30 555777")
    assert card is not None
    assert card.organisation is not None
    assert card.organisation.id == "2"


# ---- money -------------------------------------------------------------------------------------------------------

AMOUNTS = [
    (b"1234.5", 12_345_000), (b"0.1", 1_000), (b"-0.1", -1_000), ("19.99", 199_900), (7, 70_000), (0.1, 1_000),
    (b"0", 0), (b"0E-8", 0), (b"1E+3", 10_000_000), (b"1.5E+3", 15_000_000), (b"12345678901.23", 123_456_789_012_300),
    (b"999999999999.99", 9_999_999_999_999_900), (b"0.07", 700), (b"1.10", 11_000), (b".5", 5_000), (b"5.", 50_000),
    (b"1.005", None), (b"1000000000000000", None), (b"many", None), (b"", None), (b"1-2", None), (b"1.2.3", None),
    (b"NaN", None), (None, None), (b"9E+99", None), (b"1E-3", None), (b"  12.00 ", 120_000), (b"--5", None),
]  # fmt: skip


@pytest.mark.parametrize(("stored", "units"), AMOUNTS)
def test_amounts_are_exact(engine: sa.Engine, book: ka.Book, stored: object, units: int | None) -> None:
    """An amount is read exactly, from numbers, text and bytes; one with too many places leaves its row out."""
    billed(engine, (stored, None, "EUR", "invoice", None))
    office = book.trusted("test")
    found = list(office.find(ka.Invoice))
    assert [row.net for row in found] == ([] if units is None else [ka.Money.of_units(units, "EUR")])
    assert office.count(ka.Invoice) == len(found)
    assert ("Invoice", "1") in {(f.kind, f.id) for f in book.check()} or found


def test_sums_and_ranges_are_exact(engine: sa.Engine, book: ka.Book) -> None:
    """Ten times ten cents are a euro, also where the host keeps text; ranges compare amounts and not text."""
    billed(engine, *[(b"0.1", None, "EUR", "invoice", None)] * 10, (b"9.00", None, "EUR", "invoice", None),
           (b"10.00", None, "EUR", "invoice", None), (b"-5", None, "EUR", "credit note", None))  # fmt: skip
    office = book.trusted("test")
    assert office.count(ka.Invoice, net=ka.at_least(ka.Money("9.50", "EUR"))) == 1
    with book._storage.unit(write=False) as unit:
        (total,) = unit.totals(Query(KINDS["Invoice"]), Totals(sums=["net_units"]))
    assert total.sums == ((10_000 + 90_000 + 100_000 - 50_000,),)


# ---- what hosts store ----------------------------------------------------------------------------------------------


def test_what_breaks_our_rules_breaks_no_page(book: ka.Book) -> None:
    """A blank name is the id; a currency, list or country that is none is nothing; nobody is their own parent."""
    second, tenth = (book.trusted("test").get(ka.Organisation, id) for id in ("2", "10"))
    assert (second.currency, second.emails, [a.town for a in second.addresses]) == (None, ("7",), ["Köln"])
    assert second.addresses[0].country is None
    assert (tenth.name, tenth.parent_id, tenth.phones, tenth.emails) == ("10", None, (), ())


def test_what_is_left_out_is_listed(engine: sa.Engine, book: ka.Book) -> None:
    """A row without what its record must have is in no list, count or sum; the check names it."""
    billed(engine, (b"1", None, "EUR", "invoice", None), (b"1", None, "Taler", "invoice", None),
           (b"1", None, "EUR", "bill", None), (None, None, "EUR", "invoice", None))  # fmt: skip
    executed(engine, "UPDATE invoice SET day = '2026-13-01' WHERE id = 4")
    assert [row.id for row in book.trusted("test").find(ka.Invoice)] == ["1"]
    assert [(f.kind, f.id) for f in book.check()] == [("Invoice", "2"), ("Invoice", "3"), ("Invoice", "4")]


PAID = [
    ([], None), ([("2026-08-20", "100")], None), ([("2026-08-20", "119.00")], "2026-08-20"),
    ([("2026-09-20", "19"), ("2026-08-20", "100")], "2026-09-20"),
    ([("2026-08-20", "119"), ("2026-08-25", "-19"), ("2026-09-09", "19")], "2026-09-09"),
    ([("2026-08-20", "200")], None), ([("2026-08-20", "200"), ("2026-08-30", "-81")], "2026-08-30"),
    ([("no day", "119"), ("2026-08-20", "a lot")], None),
]  # fmt: skip


@pytest.mark.parametrize(("payments", "day"), PAID)
def test_what_is_open_follows_from_payments(
    engine: sa.Engine, book: ka.Book, payments: list[tuple[str, str]], day: str | None
) -> None:
    """The day on which nothing is open any more is the same in the database as it is on the record."""
    told = json.dumps([{"paid_on": on, "amount": amount} for on, amount in payments])
    billed(engine, (b"100", b"119", "EUR", "invoice", told))
    office = book.trusted("test")
    (row,) = office.find(ka.Invoice)
    settled = None if day is None else dt.date.fromisoformat(day)
    assert (row.settled_on, row.open) == (settled, settled is None)
    assert office.count(ka.Invoice, open=True) == (settled is None)
    assert office.count(ka.Invoice, settled_on=ka.is_none) == (settled is None)
    if settled is not None:
        assert office.count(ka.Invoice, settled_on=settled) == 1


# ---- writing -----------------------------------------------------------------------------------------------------


def test_fields_of_ours_are_kept_beside(engine: sa.Engine, book: ka.Book) -> None:
    """A put that changes our fields alone is written beside the host's row, which stays as it was."""
    office, before = book.trusted("test"), executed(engine, "SELECT * FROM party")
    acme = office.get(ka.Organisation, "1")
    stored = office.put(attrs.evolve(acme, sector="steel", refs={"crm": "A-1"}))
    assert (stored.version, office.get(ka.Organisation, "1")) == (2, stored)
    assert office.get(ka.Organisation, ref=("crm", "A-1")).id == "1"
    assert [row.id for row in office.find(ka.Organisation, sector="steel")] == ["1"]
    assert executed(engine, "SELECT * FROM party") == before
    assert executed(engine, "SELECT name, phones, sector FROM keyaccount_organisation") == [(None, None, "steel")]
    assert not list(book.check())


@pytest.mark.parametrize(("field", "value"), [("name", "ACME SE"), ("currency", "USD"), ("phones", ()), ("emails", ())])
def test_fields_of_the_host_are_read_only(engine: sa.Engine, book: ka.Book, field: str, value: Any) -> None:
    """A put that changes a host's field names it, and writes nothing, also nothing of what was put beside it."""
    office = book.trusted("test")
    changed = attrs.evolve(office.get(ka.Organisation, "1"), sector="steel", **{field: value})
    with pytest.raises(ka.ReadOnly) as caught:
        office.put(ka.ServiceNote("n", organisation_id="1", text="note"), changed)
    assert (caught.value.kind, caught.value.id, caught.value.field) == ("Organisation", "1", field)
    assert executed(engine, "SELECT COUNT(*) FROM keyaccount_service_note") == [(0,)]
    assert office.get(ka.Organisation, "1").version == 1


def test_records_of_the_host_are_made_and_removed_there(book: ka.Book) -> None:
    """A new record of a host's kind, and the removal of one, are refused."""
    office = book.trusted("test")
    with pytest.raises(ka.ReadOnly):
        office.put(ka.Organisation("99", name="New"))
    with pytest.raises(ka.ReadOnly):
        office.remove(ka.User, "3")


def test_the_second_writer_is_told(book: ka.Book) -> None:
    """Two writers of our fields of one record: the second gets both versions, also where nobody wrote before."""
    office = book.trusted("test")
    first = office.get(ka.Organisation, "1")
    office.put(attrs.evolve(first, sector="steel"))
    with pytest.raises(ka.ConflictError) as caught:
        office.put(attrs.evolve(first, sector="coal"))
    assert (caught.value.expected, caught.value.found) == (1, 2)


def test_history_is_of_our_fields(engine: sa.Engine, book: ka.Book) -> None:
    """History tells how our fields changed; the host's fields are those of today in all of it."""
    office = book.trusted("test")
    for sector in ("steel", "coal"):
        office.put(attrs.evolve(office.get(ka.Organisation, "1"), sector=sector))
    executed(engine, "UPDATE party SET name = 'ACME SE' WHERE id = 1")
    told = office.history(ka.Organisation, "1")
    images: list[Any] = [item.after for item in told]
    assert sorted((row.name, row.sector) for row in images) == [("ACME SE", "coal"), ("ACME SE", "steel")]


def test_what_the_host_removes_is_gone(engine: sa.Engine, book: ka.Book) -> None:
    """A record whose row the host removes is not found any more; the check names what we still keep beside it."""
    office = book.trusted("test")
    office.put(attrs.evolve(office.get(ka.Organisation, "2"), sector="roads"))
    executed(engine, "DELETE FROM party WHERE id = 2")
    with pytest.raises(ka.NotFound):
        office.get(ka.Organisation, "2")
    assert [(f.kind, f.id) for f in book.check()] == [("Organisation", "2")]


def test_edits_behind_our_back_are_found(engine: sa.Engine, book: ka.Book) -> None:
    """What somebody changes in the table beside the host's is found, as everywhere."""
    office = book.trusted("test")
    office.put(attrs.evolve(office.get(ka.Organisation, "1"), sector="steel"))
    executed(engine, "UPDATE keyaccount_organisation SET sector = 'gold'")
    assert "digest" in str(next(iter(book.check())))


def test_private_accounts_do_not_exist_for_others(book: ka.Book) -> None:
    """An account of the host's that is made private here is seen by its manager alone, and so is what hangs on it."""
    office = book.trusted("test")
    with office.transaction():
        office.people.assign("1", organisation="1", role=ka.KEY_ACCOUNT_MANAGER)
        office.people.make_private("1")
    anna, bert = book.desk("1"), book.desk("2")
    assert (anna.count(ka.Organisation), bert.count(ka.Organisation)) == (3, 2)
    assert bert.caller("+49 89 12340") is None
    assert [row.parent_id for row in bert.find(ka.Organisation, id="2")] == [None]
    with pytest.raises(ka.NotFound):
        book.desk("3")


# ---- in the host's database ----------------------------------------------------------------------------------------


def test_the_hosts_transaction_is_joined(engine: sa.Engine) -> None:
    """On the host's connection its own uncommitted rows are read, and what we write goes with them."""
    with engine.connect() as connection:
        connection.exec_driver_sql("INSERT INTO party (id, name) VALUES (77, 'New AG')")
        office = ka.Book(Overlay(connection, [PARTY, SELLER])).trusted("test")
        office.put(attrs.evolve(office.get(ka.Organisation, "77"), sector="steel"))
        with pytest.raises(ka.ReadOnly):
            office.put(attrs.evolve(office.get(ka.Organisation, "77"), name="Old AG"))
        assert office.get(ka.Organisation, "77").sector == "steel"
        connection.rollback()
    assert executed(engine, "SELECT COUNT(*) FROM party WHERE id = 77") == [(0,)]
    assert executed(engine, "SELECT COUNT(*) FROM keyaccount_organisation") == [(0,)]


@pytest.mark.parametrize("user", [None, "2"])
@pytest.mark.parametrize(
    ("kind", "where", "index"),
    [
        (ka.Organisation, {"id": "2"}, "SEARCH party USING INTEGER PRIMARY KEY"),
        (ka.Invoice, {"organisation_id": "1"}, "SEARCH invoice USING INDEX invoice_by_party"),
        (ka.Invoice, {"id": ka.one_of(["1", "2"])}, "SEARCH invoice USING INTEGER PRIMARY KEY"),
    ],
)
def test_the_hosts_indexes_serve(  # noqa: PLR0917
    book: ka.Book, monkeypatch: pytest.MonkeyPatch, user: str | None, kind: Any, where: dict[str, Any], index: str
) -> None:
    """Questions by id and by reference read no table of the host's from end to end, whoever asks."""
    plans: list[str] = []
    run = SQLiteExecutor.run

    def explained(self: SQLiteExecutor, sql: str, parameters: Any = {}) -> Any:  # noqa: B006 - only read
        if "elsewhere" in sql:
            plan = run(self, f"EXPLAIN QUERY PLAN {sql}", parameters)
            plans.append("\n".join(str(row[3]) for row in plan))
        return run(self, sql, parameters)

    desk = book.trusted("test") if user is None else book.desk(user)
    monkeypatch.setattr(SQLiteExecutor, "run", explained)
    list(desk.find(kind, **where))
    asked = [plan for plan in plans if index in plan]
    assert asked, plans
    assert "SCAN party" not in asked[-1]
    assert "SCAN invoice" not in asked[-1]


# ---- sources -----------------------------------------------------------------------------------------------------

WRONG: list[tuple[Any, str]] = [
    (lambda: Source(ka.Organisation, "DELETE FROM party"), "one SELECT"),
    (lambda: Source(ka.Organisation, "SELECT 1 AS id; SELECT 2"), "semicolon"),
    (lambda: Source(ka.Organisation, "SELECT id FROM party WHERE id = :id"), "place for a value"),
    (lambda: Source(ka.Organisation, "SELECT id FROM party", columns={"ib": IntKey()}), "did you mean 'id'"),
    (lambda: Source(ka.Organisation, "SELECT id FROM party", columns={"name": IntKey()}), "no sort of column"),
    (lambda: Source(ka.Invoice, "SELECT id FROM invoice", columns={"net": TextKey()}), "no sort of column"),
    (lambda: Source(ka.Organisation, "SELECT id FROM party", columns={"id": "int"}), "must be an IntKey"),  # type: ignore[dict-item]
    (lambda: Scaled(5), "from 0 to 4"),
]


@pytest.mark.parametrize(("make", "told"), WRONG)
def test_wrong_sources_are_refused(make: Any, told: str) -> None:
    """A source that cannot be right is refused where it is written, with what is wrong."""
    with pytest.raises(ka.ValidationError, match=told):
        make()


@pytest.mark.parametrize(
    ("select", "told"),
    [
        ("SELECT id, name, nmae FROM (SELECT *, 1 AS nmae FROM party)", "did you mean 'name'"),
        ("SELECT name FROM party", "is no column of the SELECT"),
        ("SELECT id, 1 AS version FROM party", "worked out here"),
    ],
)
def test_columns_are_looked_at(engine: sa.Engine, select: str, told: str) -> None:
    """Columns that are no fields are refused when the overlay opens, with the nearest right name."""
    with pytest.raises(ka.ValidationError, match=told):
        Overlay(engine, [Source(ka.Organisation, select)])


def test_a_select_that_fails_is_told(engine: sa.Engine) -> None:
    """A SELECT that the database refuses is a documented error."""
    with pytest.raises(ka.StorageUnavailable):
        Overlay(engine, [Source(ka.Organisation, "SELECT id FROM nowhere")])


def test_sources_are_one_a_kind(engine: sa.Engine) -> None:
    """Two sources of one kind, and none at all, are refused."""
    for wrong in ([PARTY, PARTY], [], [ka.Organisation], None):
        with pytest.raises(ka.ValidationError):
            Overlay(engine, wrong)  # type: ignore[arg-type]


def test_money_of_records_is_that_of_rows() -> None:
    """The expected amounts of this file are right: as `Decimal` has them."""
    for stored, units in AMOUNTS:
        if units is not None and isinstance(stored, bytes):
            assert Decimal(stored.decode()) * 10_000 == units
