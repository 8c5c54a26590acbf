"""Tables in: what is new is written, what is there stays, what is bad is told, and nothing is half done."""

from __future__ import annotations

import decimal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

import keyaccount as ka

INVOICES = {"Nr": "id", "Kunde": "organisation_id", "Datum": "issued_on", "Netto": "net"}
INVOICE_FILE = "Nr;Kunde;Datum;Netto\n1;acme;21.11.2026;12,50\n2;acme;25.11.2026;1.000,00\n"
EUROS = {"currency": "EUR"}
NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)


@pytest.fixture(params=["memory", "file"])
def book(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ka.Book]:
    """Open a book with two organisations and a user."""
    where = None if request.param == "memory" else tmp_path / "book.sqlite"
    with ka.open(where, zone="Europe/Berlin", clock=lambda: NOW) as made:
        made.trusted("setup").put(
            ka.Organisation("acme", name="ACME"), ka.Organisation("globex", name="Globex"), ka.User("volker", name="V")
        )
        yield made


@pytest.fixture
def desk(book: ka.Book) -> ka.Desk:
    """Return the desk of a job."""
    return book.trusted("import")


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    """Write a file."""

    def write(content: str, name: str = "table.csv") -> Path:
        path = tmp_path / "tables" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8", newline="")
        return path

    return write


def refused(call: Callable[[], Any]) -> list[tuple[str, str, str, str]]:
    """Return place, column, value and reason of everything that a call is refused for."""
    with pytest.raises(ka.ValidationError) as caught:
        call()
    return [(p.place, p.field, p.value, p.reason) for p in caught.value.problems]


def counts(told: ka.Import) -> tuple[int, int, int, int]:
    """Return what was read, written, left and rejected."""
    return (told.read, told.written, told.unchanged, told.rejected)


# ---- what is new, what is there --------------------------------------------------------------------------------------


def test_what_was_found_is_told(desk: ka.Desk, file: Any) -> None:
    """The forms that nobody stated, and the columns that nobody mapped, are in the answer."""
    path = file("Nr;Kunde;Datum;Netto;Text\n1;acme;21.11.2026;12,50;x\n")
    told = desk.read_csv(ka.Invoice, path, columns=INVOICES, fixed=EUROS)
    assert told.found == {"encoding": "utf-8", "separator": ";", "decimal": ",", "dates": "%d.%m.%Y"}
    assert told.ignored == ("Text",)
    assert desk.get(ka.Invoice, "1").net == ka.Money("12.5", "EUR")
    stated: dict[str, Any] = {"encoding": "utf-8", "separator": ";", "decimal": ",", "dates": "%d.%m.%Y"}
    assert desk.read_csv(ka.Invoice, path, columns=INVOICES, fixed=EUROS, **stated).found == {}


def test_without_columns_the_header_names_fields(desk: ka.Desk, file: Any) -> None:
    """A header of field names needs no mapping; one that names none is refused with the nearest."""
    assert desk.read_csv(ka.Product, file("id,name,active\np,Tea,no\n")).written == 1
    assert desk.get(ka.Product, "p").active is False
    ((_, _, _, reason),) = refused(lambda: desk.read_csv(ka.Product, file("id,nmae\np,Tea\n")))
    assert reason == "is no field of Product; did you mean 'name'?"
    ((*_, reason),) = refused(lambda: desk.read_csv(ka.Product, file("id,name,name\np,Tea,Coffee\n")))
    assert "stands twice" in reason


def test_other_values_are_refused_or_change_what_is_stored(desk: ka.Desk, file: Any) -> None:
    """A row that differs from what is stored is bad, and with `update` changes just the fields that are mapped."""
    desk.put(ka.Product("p", name="Tea", category="drinks"), ka.Product("q", name="Coffee"))
    path = file("id,name\np,Green tea\nq,Coffee\n")
    assert refused(lambda: desk.read_csv(ka.Product, path)) == [
        ("table.csv:2", "name", "'Green tea'", "is stored with another value; pass update=True to change it")
    ]
    assert desk.get(ka.Product, "p").version == 1
    assert counts(desk.read_csv(ka.Product, path, update=True)) == (2, 1, 1, 0)
    stored = desk.get(ka.Product, "p")
    assert (stored.name, stored.category, stored.version) == ("Green tea", "drinks", 2)
    assert counts(desk.read_csv(ka.Product, path, update=True)) == (2, 0, 2, 0)


@pytest.mark.parametrize("apart", [1, 1500])
@pytest.mark.parametrize("update", [False, True])
def test_two_rows_of_one_id(desk: ka.Desk, file: Any, apart: int, update: bool) -> None:
    """A second row with the same id and other content is bad however far it is from the first; an equal one is not."""
    rows = [f"p{n},Name {n}" for n in range(apart)]
    path = file("\n".join(["id,name", *rows, "p0,Name 0", "p0,Other", ""]))
    assert refused(lambda: desk.read_csv(ka.Product, path, update=update)) == [
        (f"table.csv:{apart + 3}", "id", "'p0'", "was given before, with another name")
    ]
    assert desk.count(ka.Product) == 0


def test_an_empty_cell_empties_a_field(desk: ka.Desk, file: Any) -> None:
    """An empty cell says that there is nothing; where something is stored, that is another value."""
    desk.put(ka.Product("p", name="Tea", category="drinks"))
    path = file("id,name,category\np,Tea,\n")
    assert len(refused(lambda: desk.read_csv(ka.Product, path))) == 1
    desk.read_csv(ka.Product, path, update=True)
    assert desk.get(ka.Product, "p").category is None


def test_records_known_by_a_reference(desk: ka.Desk, file: Any) -> None:
    """Without ids, an external reference says which record a row is; others of its references stay."""
    desk.put(ka.Product("own", name="Tea", refs={"erp": "7", "shop": "a"}, extra={"n": 1}))
    path = file("nr,name,colour\n7,Tea,green\n8,Coffee,black\n")
    mapping = {"nr": "refs.erp", "name": "name", "colour": "extra.colour"}
    assert counts(desk.read_csv(ka.Product, path, columns=mapping, update=True)) == (2, 2, 0, 0)
    stored = desk.get(ka.Product, "own")
    assert (stored.refs, stored.extra) == ({"erp": "7", "shop": "a"}, {"n": 1, "colour": "green"})
    assert counts(desk.read_csv(ka.Product, path, columns=mapping)) == (2, 0, 2, 0)
    assert desk.get(ka.Product, ref=("erp", "8")).name == "Coffee"


def test_ids_made_of_several_columns(desk: ka.Desk, file: Any) -> None:
    """`id_from` makes ids of the cells of some columns; reading again finds the same."""
    path = file("year,nr,name\n2026,1,Tea\n2026,2,Coffee\n")
    for written in (2, 0):
        told = desk.read_csv(ka.Product, path, columns={"name": "name"}, id_from=("year", "nr"))
        assert told.written == written
    assert [row.id for row in desk.find(ka.Product, order="id")] == ["2026:1", "2026:2"]
    assert told.ignored == ()


@pytest.mark.parametrize(
    ("content", "more"),
    [
        ("id,name\n,Tea\n", {}),
        ("erp,name\n,Tea\n", {"columns": {"erp": "refs.erp", "name": "name"}}),
        ("a,b,name\n,,Tea\n", {"columns": {"name": "name"}, "id_from": ("a", "b")}),
    ],
)
def test_a_row_without_its_name_is_bad(desk: ka.Desk, file: Any, content: str, more: dict[str, Any]) -> None:
    """A row whose id is empty would get a new one each time: it is refused."""
    ((place, *_, reason),) = refused(lambda: desk.read_csv(ka.Product, file(content), **more))
    assert (place, reason) == ("table.csv:2", "is required to know the record by")


def test_a_mapping_without_a_name_is_refused(desk: ka.Desk, file: Any) -> None:
    """A table whose rows could not be told apart when it is read again is refused as a whole."""
    ((*_, reason),) = refused(lambda: desk.read_csv(ka.Product, file("name\nTea\n"), columns={"name": "name"}))
    assert "map a column to id" in reason


def test_stamps_that_the_library_set_are_no_difference(desk: ka.Desk, file: Any) -> None:
    """A moment that the table leaves open, and the library filled in, does not make the row another one."""
    path = file("id,organisation_id,at\na,acme,\n")
    assert counts(desk.read_csv(ka.Activity, path)) == (1, 1, 0, 0)
    assert counts(desk.read_csv(ka.Activity, path)) == (1, 0, 1, 0)


def test_moments_are_in_the_zone_of_the_book(desk: ka.Desk, file: Any) -> None:
    """A moment without a zone is one of the book's; a stated pattern with hours reads others than ISO 8601."""
    desk.read_csv(ka.Activity, file("id,organisation_id,at\na,acme,2026-07-01T12:00\nb,acme,2026-07-01T12:00+00:00\n"))
    assert desk.get(ka.Activity, "a").at == datetime(2026, 7, 1, 10, 0, tzinfo=UTC)
    assert desk.get(ka.Activity, "b").at == datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
    desk.read_csv(ka.Activity, file("id,organisation_id,at\nc,acme,01.07.2026 12:30\n"), dates="%d.%m.%Y %H:%M")
    assert desk.get(ka.Activity, "c").at == datetime(2026, 7, 1, 10, 30, tzinfo=UTC)


def test_two_columns_of_one_field(desk: ka.Desk, file: Any) -> None:
    """Two columns that go to one field are refused, unless it holds several values; those are taken in their order."""
    path = file("id,name,title\np,Tea,Green tea\n")
    mapping: dict[str, Any] = {"id": "id", "name": "name", "title": "name"}
    assert refused(lambda: desk.read_csv(ka.Product, path, columns=mapping)) == [
        ("", "title", "'name'", "is where the column 'name' goes too")
    ]
    path = file("id,name,fax,phone,street,floor\na,A,2,1,Weg 1,III\n")
    mapping = {"id": "id", "name": "name", "phone": "phones", "fax": "phones"}
    mapping |= {"street": "addresses.billing.lines", "floor": "addresses.billing.lines"}
    desk.read_csv(ka.Organisation, path, columns=mapping)
    stored = desk.get(ka.Organisation, "a")
    assert stored.phones == ("1", "2")
    assert stored.addresses == (ka.Address("billing", lines=("Weg 1", "III")),)


# ---- what is bad -----------------------------------------------------------------------------------------------------


def test_all_that_is_wrong_with_a_row_is_told(desk: ka.Desk, file: Any) -> None:
    """Bad cells, and fields that the record's own rules refuse, are told together, each cell once."""
    path = file("Nr;Kunde;Datum;Netto;Brutto\n1;;gestern;12,50;x\n2;acme;21.11.2026;-1,00;1,00\n", "rows.csv")
    mapping = {**INVOICES, "Brutto": "gross"}
    assert refused(lambda: desk.read_csv(ka.Invoice, path, columns=mapping, fixed=EUROS)) == [
        ("rows.csv:2", "Datum", "'gestern'", "is no day in the form '%d.%m.%Y'"),
        ("rows.csv:2", "Brutto", "'x'", "is no number with the decimal sign ','"),
        ("rows.csv:2", "Kunde", "''", "is required"),
    ]


def test_a_bad_currency_is_told_once(desk: ka.Desk, file: Any) -> None:
    """A currency that is none, or missing, is one reason, whatever the number of amounts in the row."""
    path = file("id,organisation_id,issued_on,net,gross,cur\n1,acme,2026-01-02,1.5,1.5,EURO\n2,acme,2026-01-02,1,1,\n")
    mapping = {name: name for name in ("id", "organisation_id", "issued_on", "net", "gross")} | {"cur": "currency"}
    assert refused(lambda: desk.read_csv(ka.Invoice, path, columns=mapping)) == [
        ("table.csv:2", "cur", "'EURO'", "is no ISO 4217 currency; did you mean 'EUR'?"),
        ("table.csv:3", "cur", "''", "is required beside an amount"),
    ]
    del mapping["cur"]
    told = refused(lambda: desk.read_csv(ka.Invoice, path, columns=mapping))
    assert {reason for *_, reason in told} == {
        "has no currency; map a column to currency, or give fixed={'currency': ...}"
    }


def test_a_conversion_of_the_currency_counts_for_lines_too(desk: ka.Desk, file: Any) -> None:
    """The lines of a second file are in the currency that a converted cell of the first says."""
    orders = file("nr,who,on,cur\n1,acme,2026-01-02,€\n", "orders.csv")
    details = file("nr,price\n1,2.5\n", "details.csv")
    desk.read_csv(
        ka.Order,
        orders,
        columns={
            "nr": "id",
            "who": "organisation_id",
            "on": "ordered_on",
            "cur": ka.column("currency", convert={"€": "EUR"}),
        },
        lines=ka.lines_from(details, of="nr", columns={"price": "unit_price"}),
    )
    assert desk.get(ka.Order, "1").lines == (ka.Line(unit_price=ka.Money("2.5", "EUR")),)


def test_more_problems_than_are_listed(desk: ka.Desk, file: Any) -> None:
    """Of ten thousand bad rows and more, ten thousand are listed, and the rest are counted."""
    path = file("id,name\n" + "".join(f"p{n},\n" for n in range(10_005)))
    told = refused(lambda: desk.read_csv(ka.Product, path))
    assert len(told) == 10_001
    assert told[-1] == ("", "", "", "there are 5 more problems")


def test_many_conflicts_do_not_take_for_ever(desk: ka.Desk, file: Any) -> None:
    """Hundreds of external references that are taken are each told, and the good rows between them are kept."""
    desk.put_many(ka.Product(f"old{n}", name="x", refs={"erp": str(n)}) for n in range(300))
    rows = "".join(f"new{n},x,{n * 2}\n" for n in range(400))
    mapping = {"id": "id", "name": "name", "erp": "refs.erp"}
    told = desk.read_csv(ka.Product, file("id,name,erp\n" + rows), columns=mapping, keep_good=True)
    assert counts(told) == (400, 250, 0, 150)
    assert {p.field for p in told.problems} == {""}


def test_ids_that_look_alike_when_shortened(desk: ka.Desk, file: Any) -> None:
    """A bad row is found among others whose ids differ only beyond what a message shows."""
    long = "x" * 150
    rows = "".join(f"{long}{n},{'nobody' if n == 3 else 'acme'},2026-01-02,1\n" for n in range(6))
    path = file("id,organisation_id,issued_on,net\n" + rows)
    told = refused(lambda: desk.read_csv(ka.Invoice, path, fixed=EUROS))
    assert [(place, column) for place, column, *_ in told] == [("table.csv:5", "organisation_id")]


def test_the_right_one_of_two_columns_is_blamed(desk: ka.Desk, file: Any) -> None:
    """Where two columns go to one field, the one with the bad cell is named."""
    path = file(f"id,name,phone,fax\na,A,123,{'9' * 300}\n")
    mapping = {"id": "id", "name": "name", "phone": "phones", "fax": "phones"}
    ((_, column, _, reason),) = refused(lambda: desk.read_csv(ka.Organisation, path, columns=mapping))
    assert (column, reason) == ("fax", "is longer than 250 characters")


# ---- rows that lead to each other ------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep_good", [False, True])
def test_parents_may_come_later(desk: ka.Desk, file: Any, keep_good: bool) -> None:
    """A row may lead to one that comes thousands of rows later."""
    rows = [f"o{n},O {n},o{n + 1 if n < 2 else 2500}" for n in range(2500)]
    path = file("\n".join(["id,name,parent_id", *rows, "o2500,O 2500,", ""]))
    told = desk.read_csv(ka.Organisation, path, keep_good=keep_good)
    assert counts(told) == (2501, 2501, 0, 0)
    assert desk.get(ka.Organisation, "o0").parent_id == "o1"


def test_a_parent_that_never_comes(desk: ka.Desk, file: Any) -> None:
    """A reference to a row that is not there is told at the end; one to a row that is bad itself is not told again."""
    path = file("id,name,parent_id\na,A,never\nb,,\nc,C,b\nd,D,a\n")
    assert [told[:3] for told in refused(lambda: desk.read_csv(ka.Organisation, path))] == [
        ("table.csv:3", "name", "''"),
        ("table.csv:2", "parent_id", "'never'"),
    ]


def test_keeping_good_rows_leaves_no_loose_ends(desk: ka.Desk, file: Any) -> None:
    """What leads to a row that is refused is refused too, over several steps."""
    path = file("id,name,parent_id\na,A,b\nb,B,c\nc,,\nd,D,\n")
    told = desk.read_csv(ka.Organisation, path, keep_good=True)
    assert counts(told) == (4, 1, 0, 3)
    assert desk.count(ka.Organisation) == 3


def test_a_cycle_is_refused(desk: ka.Desk, file: Any) -> None:
    """A parent below its own child is told with its row."""
    told = refused(lambda: desk.read_csv(ka.Organisation, file("id,name,parent_id\na,A,b\nb,B,a\n")))
    assert told[0][0].startswith("table.csv:")
    assert "cycle" in told[0][3]


# ---- lines -----------------------------------------------------------------------------------------------------------

ORDERS = {"nr": "id", "who": "organisation_id", "on": "ordered_on"}
FLAT = {**ORDERS, "article": "lines.product_id", "pieces": "lines.quantity", "price": "lines.unit_price"}


def test_lines_in_rows_that_follow_each_other(desk: ka.Desk, file: Any) -> None:
    """Rows of one id that follow each other are one record, each with one line."""
    path = file(
        "nr,who,on,article,pieces,price\n1,acme,2026-01-02,a,1,2.5\n1,acme,2026-01-02,b,2,3\n2,acme,2026-01-03,,,\n"
    )
    for written in (2, 0):
        told = desk.read_csv(ka.Order, path, columns=FLAT, fixed=EUROS)
        assert (told.read, told.written, told.unchanged) == (3, written, 2 - written)
    assert [line.product_id for line in desk.get(ka.Order, "1").lines] == ["a", "b"]
    assert desk.get(ka.Order, "2").lines == ()


def test_lines_of_records_known_by_a_reference(desk: ka.Desk, file: Any) -> None:
    """Rows are put together by their external reference too."""
    mapping = {**FLAT, "nr": "refs.erp"}
    path = file("nr,who,on,article,pieces,price\n1,acme,2026-01-02,a,1,2\n2,acme,2026-01-02,b,2,3\n")
    assert desk.read_csv(ka.Order, path, columns=mapping, fixed=EUROS).written == 2
    assert len(desk.get(ka.Order, ref=("erp", "1")).lines) == 1


def test_rows_of_one_record_that_disagree(desk: ka.Desk, file: Any) -> None:
    """Two rows of one record with different days are not settled in silence."""
    path = file("nr,who,on,article,pieces,price\n1,acme,2026-01-02,a,1,2\n1,acme,2026-01-03,b,1,2\n")
    assert refused(lambda: desk.read_csv(ka.Order, path, columns=FLAT, fixed=EUROS)) == [
        ("table.csv:3", "on", "'2026-01-03'", "is not what line 2 says of the same record")
    ]


def test_a_bad_line_refuses_the_whole_record(desk: ka.Desk, file: Any) -> None:
    """A record with a bad line is refused with all its rows; only the bad cell is a reason."""
    path = file(
        "nr,who,on,article,pieces,price\n1,acme,2026-01-02,a,1,2\n1,acme,2026-01-02,b,x,2\n2,acme,2026-01-02,a,1,2\n"
    )
    told = desk.read_csv(ka.Order, path, columns=FLAT, fixed=EUROS, keep_good=True)
    assert (told.written, told.rejected) == (1, 2)
    assert [(p.place, p.field) for p in told.problems] == [("table.csv:3", "pieces")]
    rejects = Path(told.rejects or "").read_text(encoding="utf-8").splitlines()
    assert [row.split(",")[:3] for row in rejects[1:]] == [
        ["2", "is of the same record as a row that is bad", "1"],
        ["3", "pieces: is no number with the decimal sign '.'", "1"],
    ]


@pytest.fixture
def two_files(file: Any) -> tuple[Path, ka.details.LinesFrom]:
    """Write orders and their details, in another order."""
    orders = file("nr,who,on\n1,acme,2026-01-02\n2,globex,2026-01-03\n3,acme,2026-01-04\n", "orders.csv")
    details = file("of,article,pieces,price\n2,a,1,2\n1,a,1,2\n2,b,3,4.5\n", "details.csv")
    mapping = {"article": "product_id", "pieces": "quantity", "price": "unit_price"}
    return orders, ka.lines_from(details, of="of", columns=mapping)


def test_lines_from_a_second_file(desk: ka.Desk, two_files: Any) -> None:
    """The lines of a second file find their records whatever their order; reading again changes nothing."""
    orders, lines = two_files
    for written in (3, 0):
        told = desk.read_csv(ka.Order, orders, columns=ORDERS, fixed=EUROS, lines=lines)
        assert told.written == written
    found = {row.id: [line.product_id for line in row.lines] for row in desk.find(ka.Order)}
    assert found == {"1": ["a"], "2": ["a", "b"], "3": []}
    assert told.found["lines.decimal"] == "."


def test_payments_from_a_second_file(desk: ka.Desk, file: Any) -> None:
    """`field` says that the second file holds payments."""
    invoices = file("nr,who,on,net\n1,acme,2026-01-02,10\n", "invoices.csv")
    paid = file("of,on,sum\n1,2026-02-01,4\n1,2026-03-01,6\n", "paid.csv")
    lines = ka.lines_from(paid, of="of", columns={"on": "paid_on", "sum": "amount"}, field="payments")
    mapping = {"nr": "id", "who": "organisation_id", "on": "issued_on", "net": "net"}
    desk.read_csv(ka.Invoice, invoices, columns=mapping, fixed=EUROS, lines=lines)
    assert desk.get(ka.Invoice, "1").open_amount == ka.Money(0, "EUR")


@pytest.mark.parametrize(
    "lines",
    [
        "details.csv",
        {"of": "of"},
        lambda path: ka.lines_from(path, of="off", columns={"price": "unit_price"}),
        lambda path: ka.lines_from(path, of="of", columns={"price": "unit_prize"}),
        lambda path: ka.lines_from(path, of="of", columns={"price": "lines.unit_price"}),
        lambda path: ka.lines_from(path, of="of", columns={}),
        lambda path: ka.lines_from(path, of="of", columns=None),  # type: ignore[arg-type]
        lambda path: ka.lines_from(path, of="of", columns={"price": "currency"}, field="lines"),
        lambda path: ka.lines_from(path, of="of", columns={"price": "unit_price"}, field="number"),
        lambda path: ka.lines_from(path, of="of", columns={"price": "unit_price"}, field="payments"),
        lambda _: ka.lines_from("missing.csv", of="of", columns={"price": "unit_price"}),
    ],
)
def test_second_files_that_are_none(desk: ka.Desk, two_files: Any, lines: Any) -> None:
    """What is no second file with lines, and names that are none, are refused."""
    orders, sound = two_files
    given = lines(sound.path) if callable(lines) else lines
    with pytest.raises(ka.ValidationError):
        desk.read_csv(ka.Order, orders, columns=ORDERS, fixed=EUROS, lines=given)
    assert desk.count(ka.Order) == 0


# ---- keeping the good rows -------------------------------------------------------------------------------------------


def test_rejects_are_read_again_by_the_same_call(desk: ka.Desk, tmp_path: Path) -> None:
    """A file of rejects is in the form of the table: the same call reads it, and what is bad stays bad."""
    path = tmp_path / "export.csv"
    text = (
        "Nr;Kunde;Datum;Netto\n1;acme;21.11.2026;-12,50\n=2+3;nobody;22.11.2026;1,00\nÄ;acme;23.11.2026;1;2\nS;acme\n"
    )
    path.write_text(text, encoding="cp1252")
    stated: Any = {"columns": INVOICES, "fixed": EUROS, "encoding": "cp1252", "separator": ";", "keep_good": True}
    told = desk.read_csv(ka.Invoice, path, **stated)
    assert counts(told) == (4, 1, 0, 3)
    rejects = Path(told.rejects or "")
    assert rejects == tmp_path / "export.rejects.csv"
    assert rejects.read_text(encoding="cp1252").splitlines() == [
        "_line;_reason;Nr;Kunde;Datum;Netto",
        "4;has not as many cells as the header, 4;Ä;acme;23.11.2026;1;2",
        "5;has not as many cells as the header, 4;S;acme",
        "3;Kunde: there is no such Organisation that you can read;'=2+3;nobody;22.11.2026;1,00",
    ]
    again = desk.read_csv(ka.Invoice, rejects, **stated)
    assert counts(again) == (3, 0, 0, 3)
    desk.put(ka.Organisation("nobody", name="N"))
    third = desk.read_csv(ka.Invoice, again.rejects or "", **stated)
    assert counts(third) == (3, 1, 0, 2)
    assert desk.get(ka.Invoice, "=2+3").net == ka.Money(1, "EUR")


def test_nothing_bad_leaves_no_file(desk: ka.Desk, file: Any) -> None:
    """Where all rows are good there is no file of rejects, and nothing is left beside the table."""
    path = file("id,name\np,Tea\n")
    assert desk.read_csv(ka.Product, path, keep_good=True).rejects is None
    assert [entry.name for entry in path.parent.iterdir()] == ["table.csv"]


@pytest.mark.parametrize("taken", ["file", "link", "folder", "dangling"])
def test_a_place_that_is_taken(desk: ka.Desk, file: Any, taken: str) -> None:
    """A file of rejects replaces nothing, and nothing is written to the book or through a link."""
    path = file("id,name\np,Tea\nq,\n")
    place = path.parent / "bad.csv"
    if taken == "file":
        place.write_text("mine")
    elif taken == "folder":
        place.mkdir()
    else:
        target = path if taken == "link" else path.parent / "elsewhere"
        place.symlink_to(target)
    before = sorted(entry.name for entry in path.parent.iterdir())
    with pytest.raises(ka.ValidationError, match="is taken"):
        desk.read_csv(ka.Product, path, keep_good=True, rejects=place)
    assert sorted(entry.name for entry in path.parent.iterdir()) == before
    assert desk.count(ka.Product) == 0


def test_rejects_where_nothing_can_be_written(desk: ka.Desk, file: Any) -> None:
    """A folder that is not there is told as such, and nothing is written."""
    with pytest.raises(ka.StorageUnavailable):
        desk.read_csv(ka.Product, file("id,name\np,Tea\nq,\n"), keep_good=True, rejects="/nowhere/bad.csv")
    assert desk.count(ka.Product) == 0


def test_a_failure_at_the_end_leaves_no_rejects(desk: ka.Desk, file: Any) -> None:
    """Where the import fails after all rows were read, neither rows nor rejects are there."""
    path = file("id,name\np,Tea\nq,\n")

    def fail(_: ka.Progress) -> None:
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        desk.read_csv(ka.Product, path, keep_good=True, progress=fail)
    assert [entry.name for entry in path.parent.iterdir()] == ["table.csv"]
    assert desk.count(ka.Product) == 0


def test_a_transaction_that_cannot_commit_leaves_no_rejects(book: ka.Book, file: Any) -> None:
    """The file of rejects is in its place only where the rows are in theirs."""
    office = book.trusted("import")
    office.put(ka.Assignment("kam", "volker", "acme"))
    office.people.make_private("acme")
    path = file("id,user_id,organisation_id,valid_until\nkam,volker,acme,2026-11-01\nbad,,acme,\n")
    with pytest.raises(ka.ValidationError, match="needs a key account manager"):
        office.read_csv(ka.Assignment, path, update=True, keep_good=True)
    assert [entry.name for entry in path.parent.iterdir()] == ["table.csv"]
    assert office.get(ka.Assignment, "kam").valid_until is None


# ---- transactions ----------------------------------------------------------------------------------------------------


def test_an_import_under_a_key_applies_once(desk: ka.Desk, file: Any) -> None:
    """The same import under the same key changes nothing the second time; another one under it is refused."""
    path = file("erp,name\n1,Tea\n2,Coffee\n")
    mapping = {"erp": "refs.erp", "name": "name"}
    with desk.transaction(key="import-42"):
        assert counts(desk.read_csv(ka.Product, path, columns=mapping)) == (2, 2, 0, 0)
    with desk.transaction(key="import-42"):
        assert counts(desk.read_csv(ka.Product, path, columns=mapping)) == (2, 0, 2, 0)
    assert desk.count(ka.Product) == 2
    other = file("erp,name\n1,Tea\n3,Milk\n")
    with pytest.raises(ka.ValidationError, match="was used before"), desk.transaction(key="import-42"):
        desk.read_csv(ka.Product, other, columns=mapping)
    assert desk.count(ka.Product) == 2


def test_a_refused_import_leaves_a_transaction_as_it_was(desk: ka.Desk, file: Any) -> None:
    """Inside a transaction, a refused import takes nothing away and leaves nothing behind."""
    with desk.transaction():
        desk.put(ka.Product("a", name="A"))
        with pytest.raises(ka.ValidationError):
            desk.read_csv(ka.Product, file("id,name\np,Tea\nq,\n"))
        desk.put(ka.Product("b", name="B"))
    assert [row.id for row in desk.find(ka.Product, order="id")] == ["a", "b"]


def test_a_bound_desk_is_refused_before_anything_is_looked_at(book: ka.Book, file: Any, tmp_path: Path) -> None:
    """All four calls are for trusted desks; a bound one does not even learn whether a file is there."""
    desk = book.desk("volker")
    calls: list[Callable[[], Any]] = [
        lambda: desk.read_csv(ka.Product, file("id,name\np,Tea\n")),
        lambda: desk.read_csv(ka.Product, "missing.csv"),
        lambda: desk.read_csv(ka.Product, file("id,nmae\np,Tea\n"), keep_good=True),
        lambda: desk.from_frame(ka.Product, [{"id": "p", "name": "Tea"}]),
        lambda: desk.from_frame(ka.Product, 5),
        lambda: desk.dump(tmp_path / "dump"),
        lambda: desk.load(tmp_path / "missing"),
    ]
    for call in calls:
        with pytest.raises(ka.AccessDenied):
            call()
    assert not (tmp_path / "dump").exists()


def test_progress_is_told(desk: ka.Desk, file: Any) -> None:
    """Progress comes after every thousand records and at the end, and never goes back."""
    told: list[ka.Progress] = []
    path = file("id,name\n" + "".join(f"p{n},x\n" for n in range(2500)))
    desk.read_csv(ka.Product, path, progress=told.append)
    assert [(one.what, one.rows) for one in told] == [("table.csv", 1000), ("table.csv", 2000), ("table.csv", 2500)]
    done = [one.done for one in told]
    assert done == sorted(done)
    assert done[-1] == told[0].total == path.stat().st_size


# ---- hostile values --------------------------------------------------------------------------------------------------


class Nasty:
    """An object that raises whatever is asked of it."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RuntimeError("str")

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("eq")

    __hash__ = None  # type: ignore[assignment]


NONSENSE: tuple[Any, ...] = (
    Nasty(),
    object(),
    [],
    [1],
    {},
    {1},
    5,
    5.5,
    float("nan"),
    float("inf"),
    b"x",
    True,
    "\ud800",
    "\0",
    1j,
)
NONSENSE += (10**5000, decimal.Decimal("sNaN"), decimal.Decimal("1E+999999"), date, ka.Money(1, "EUR"), "x" * 10**6)
TARGETS = ("id", "name", "active", "list_price", "extra.x", "refs.x", "currency")


@pytest.mark.parametrize("number", range(len(NONSENSE)))
def test_conversions_that_return_nonsense(file: Any, number: int) -> None:
    """Whatever a conversion returns, the row is taken or told as bad; no other error gets out."""
    path = file("a,b,c,d\np,Tea,1.5,x\n")
    usual = {"a": "id", "b": "name", "c": "list_price"}
    with ka.open() as book:
        for target in TARGETS:
            mapping: dict[str, Any] = {name: given for name, given in usual.items() if given != target}
            mapping["d"] = ka.column(target, convert=lambda _: NONSENSE[number])
            told = book.trusted("x").read_csv(
                ka.Product,
                path,
                columns=mapping,
                fixed=EUROS,
                keep_good=True,
                update=True,
                rejects=path.parent / f"{target}.csv",
            )
            assert told.written + told.unchanged + told.rejected == 1
            assert all(str(problem) for problem in told.problems)


@pytest.mark.parametrize("error", [ValueError, KeyError, RecursionError, MemoryError, OSError, StopIteration])
def test_conversions_that_raise(desk: ka.Desk, file: Any, error: type[Exception]) -> None:
    """A conversion that raises makes a bad cell; its error does not get out."""

    def convert(_: str) -> str:
        raise error("inside")

    mapping = {"id": "id", "name": ka.column("name", convert=convert)}
    ((place, column, value, reason),) = refused(
        lambda: desk.read_csv(ka.Product, file("id,name\np,Tea\n"), columns=mapping)
    )
    assert (place, column, value) == ("table.csv:2", "name", "'Tea'")
    assert reason == f"cannot be converted: {error.__name__}"


@pytest.mark.parametrize(
    "given",
    [
        {"columns": 5},
        {"columns": {}},
        {"columns": {5: "id"}},
        {"columns": {"id": 5}},
        {"columns": {"id": ()}},
        {"columns": {"id": ("id", 5)}},
        {"columns": {"id": "id", "name": "nmae"}},
        {"columns": {"id": "id", "name": "version"}},
        {"columns": {"id": "id", "name": "id"}},
        {"columns": {"id": "id", "name": "name.x"}},
        {"columns": {"id": "id", "name": "extra"}},
        {"columns": {"id": "id", "name": "refs."}},
        {"columns": {"id": "id", "nmae": "name"}},
        {"columns": {"id": ("id", "currency", "x.y.z.w")}},
        {"fixed": 5},
        {"fixed": {5: 5}},
        {"fixed": {"nmae": "x"}},
        {"fixed": {"active": "perhaps"}},
        {"fixed": {"currency": "EURO"}},
        {"fixed": {"version": 5}},
        {"fixed": {"list_price": Nasty()}},
        {"lines": 5},
        {"id_from": 5},
        {"id_from": ("id",)},
        {"id_from": "idd"},
        {"id_from": [5]},
        {"update": 1},
        {"keep_good": "yes"},
        {"rejects": 5, "keep_good": True},
        {"rejects": "a\0b", "keep_good": True},
        {"rejects": ""},
        {"encoding": 5},
        {"separator": 5},
        {"decimal": 5},
        {"dates": 5},
        {"progress": 5},
    ],
)
def test_arguments_that_are_none(desk: ka.Desk, file: Any, given: dict[str, Any]) -> None:
    """Whatever else is given is refused with the documented error, and nothing is written."""
    with pytest.raises(ka.ValidationError) as caught:
        desk.read_csv(ka.Product, file("id,name\np,Tea\n"), **given)
    assert str(caught.value)
    assert desk.count(ka.Product) == 0


@pytest.mark.parametrize("cell", ["a\u2028b", "\u202e evil", "=cmd|' /C calc'!A0", "<b>", "'; DROP TABLE", "%s{0}"])
def test_odd_texts(desk: ka.Desk, file: Any, cell: str) -> None:
    """A text comes back exactly."""
    desk.read_csv(ka.Product, file(f'id,name\np,"{cell}"\n'))
    assert desk.get(ka.Product, "p").name == cell


@pytest.mark.parametrize("cell", ["\0", "a\0b", "a\x01b", "\x7f"])
def test_control_characters(desk: ka.Desk, file: Any, cell: str) -> None:
    """A control character makes a bad cell."""
    ((_, column, value, reason),) = refused(lambda: desk.read_csv(ka.Product, file(f"id,name\np,{cell}\n")))
    assert (column, value) == ("name", repr(cell))
    assert reason.startswith("holds the control character")


def test_the_hosts_decimal_context_changes_nothing(desk: ka.Desk, file: Any) -> None:
    """Five digits and every trap in the host's own context change no amount."""
    rows = [{"id": "2", "organisation_id": "acme", "issued_on": date(2026, 1, 2), "net": 1234567.89}]
    with decimal.localcontext() as context:
        context.prec = 5
        context.traps[decimal.Inexact] = context.traps[decimal.Rounded] = context.traps[decimal.FloatOperation] = True
        path = file("Nr;Kunde;Datum;Netto\n1;acme;21.11.2026;1.234.567,8912\n")
        desk.read_csv(ka.Invoice, path, columns=INVOICES, fixed=EUROS)
        desk.from_frame(ka.Invoice, rows, fixed=EUROS, decimals=2)
    assert str(desk.get(ka.Invoice, "1").net) == "1234567.8912 EUR"
    assert str(desk.get(ka.Invoice, "2").net) == "1234567.89 EUR"


def test_a_full_disk_while_lines_are_kept(tmp_path: Path) -> None:
    """Where the temporary file cannot grow, that is told, and nothing is written."""
    (tmp_path / "o.csv").write_text("nr,who,on\n1,acme,2026-01-02\n")
    with (tmp_path / "d.csv").open("w") as details:
        details.write("of,price\n")
        details.writelines(f"{n},2\n" for n in range(200_000))
    code = f"""
import resource, keyaccount as ka
book = ka.open(); desk = book.trusted("x"); desk.put(ka.Organisation("acme", name="A"))
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
columns = {{"nr": "id", "who": "organisation_id", "on": "ordered_on"}}
lines = ka.lines_from({str(tmp_path / "d.csv")!r}, of="of", columns={{"price": "unit_price"}})
try:
    desk.read_csv(ka.Order, {str(tmp_path / "o.csv")!r}, columns=columns, fixed={{"currency": "EUR"}}, lines=lines)
except ka.StorageUnavailable as error:
    print("told", desk.count(ka.Order))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "told 0\n"


def test_a_private_account_nobody_manages_is_a_bad_row(tmp_path: Path) -> None:
    """It is told with its place, and left out where the good ones are kept; in a transaction a manager may follow."""
    table = tmp_path / "accounts.csv"
    table.write_text("id,name,private\na,A,yes\nb,B,no\nc,C,yes\n", encoding="utf-8")
    office = ka.open().trusted("test")
    office.put(ka.User("carla", name="Carla"), ka.Organisation("c", name="C"))
    office.people.assign("carla", organisation="c")
    with pytest.raises(ka.ValidationError) as refused:
        office.read_csv(ka.Organisation, table, update=True)
    (problem,) = refused.value.problems
    assert (problem.place, problem.field, problem.value) == ("accounts.csv:2", "private", "'yes'")
    assert "needs a key account manager in force" in problem.reason
    told = office.read_csv(ka.Organisation, table, update=True, keep_good=True)
    assert (told.written, told.rejected) == (2, 1)
    assert [(row.id, row.private) for row in office.find(ka.Organisation)] == [("b", False), ("c", True)]
    with office.transaction():
        assert office.read_csv(ka.Organisation, table, update=True).written == 1
        office.people.assign("carla", organisation="a")
    assert office.get(ka.Organisation, "a").private
