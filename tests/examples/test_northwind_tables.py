"""Northwind straight from its CSV files: four mappings, all rows, nothing twice, and every spoiled cell named."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import keyaccount as ka
from keyaccount.catalogue import KINDS

ROOT = Path(__file__).parents[2]
FOLDER = ROOT.parent / "shared" / "data" / "northwind"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"the Northwind data are not at {FOLDER}")

ISO = {
    "Argentina": "AR", "Austria": "AT", "Belgium": "BE", "Brazil": "BR", "Canada": "CA", "Denmark": "DK",
    "Finland": "FI", "France": "FR", "Germany": "DE", "Ireland": "IE", "Italy": "IT", "Mexico": "MX", "Norway": "NO",
    "Poland": "PL", "Portugal": "PT", "Spain": "ES", "Sweden": "SE", "Switzerland": "CH", "UK": "GB", "USA": "US",
    "Venezuela": "VE",
}  # fmt: skip
CUSTOMERS = {
    "customer_id": "id",
    "company_name": "name",
    "address": "addresses.lines",
    "city": "addresses.town",
    "region": "addresses.region",
    "postal_code": "addresses.postcode",
    "country": ka.column("addresses.country", convert=ISO),
    "phone": "phones",
    "fax": "extra.fax",
}
PRODUCTS = {
    "product_id": ("id", "number"),
    "product_name": "name",
    "quantity_per_unit": "unit",
    "unit_price": "list_price",
    "discontinued": ka.column("active", convert={"0": True, "1": False}),
}
ORDERS = {"order_id": ("id", "number"), "customer_id": "organisation_id", "order_date": "ordered_on"}
LINES = {name: name for name in ("product_id", "unit_price", "quantity", "discount")}
EMPLOYEES = {"employee_id": "id", "last_name": "name"}
FIXED = {"currency": "USD"}
FILES = ("employees", "customers", "products", "orders")
Cells = Callable[[list[str]], None]


def read(desk: ka.Desk, folder: Path, file: str, **more: Any) -> ka.Import:
    """Read one of the files, the orders with their details."""
    path = folder / f"{file}.csv"
    if file == "employees":
        return desk.read_csv(ka.User, path, columns=EMPLOYEES, **more)
    if file == "customers":
        return desk.read_csv(ka.Organisation, path, columns=CUSTOMERS, **more)
    if file == "products":
        return desk.read_csv(ka.Product, path, columns=PRODUCTS, fixed=FIXED, **more)
    details = folder / more.pop("details", "order_details.csv")
    lines = ka.lines_from(details, of="order_id", columns=LINES)
    return desk.read_csv(ka.Order, path, columns=ORDERS, fixed={**FIXED, "state": "closed"}, lines=lines, **more)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[ka.Book]:
    """Open an SQLite file with all of it."""
    with ka.open(tmp_path / "northwind.sqlite") as made:
        desk = made.trusted("northwind")
        with desk.transaction():
            for file in FILES:
                read(desk, FOLDER, file)
        yield made


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Copy the files to a folder where they may be spoiled."""
    shutil.copytree(FOLDER, tmp_path / "copy")
    return tmp_path / "copy"


def everything(book: ka.Book) -> dict[str, list[Any]]:
    """Return all records, some histories and the acts."""
    desk = book.trusted("judge")
    rows = {name: list(desk.find(kind.cls, order="id")) for name, kind in KINDS.items()}
    history = [list(desk.history(type(row), row.key)) for some in rows.values() for row in some[:3]]
    with book._storage.unit(write=False) as unit:
        return {**rows, "history": history, "acts": list(unit.acts())}


def dumped(desk: ka.Desk, folder: Path) -> dict[str, bytes]:
    """Dump a book and return the bytes of every file."""
    desk.dump(folder, overwrite=True)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# ---- all of it -------------------------------------------------------------------------------------------------------


def test_every_row_arrives(book: ka.Book) -> None:
    """There are exactly 91 customers, 77 products, 830 orders and 2,155 lines, under their own keys."""
    desk = book.trusted("judge")
    orders = list(desk.find(ka.Order))
    assert (desk.count(ka.Organisation), desk.count(ka.Product), len(orders)) == (91, 77, 830)
    assert sum(len(order.lines) for order in orders) == 2155
    assert list(book.check()) == []


def test_cells_arrive_as_they_stand() -> None:
    """What a plain CSV reader finds in the files is what the records hold, cell by cell."""
    with ka.open() as book:
        desk = book.trusted("northwind")
        for file in FILES:
            read(desk, FOLDER, file)
        for row in table(FOLDER / "customers.csv"):
            found = desk.get(ka.Organisation, row["customer_id"])
            (address,) = found.addresses
            own = (found.name, *found.phones, found.extra.get("fax", ""), *address.lines, address.town)
            assert own == tuple(row[c] for c in ("company_name", "phone", "fax", "address", "city"))
            assert (address.region or "", address.postcode or "") == (row["region"], row["postal_code"])
            assert address.country == ISO[row["country"]]
        prices = {row["product_id"]: row for row in table(FOLDER / "products.csv")}
        for product in desk.find(ka.Product):
            assert product.list_price == ka.Money(prices[product.id]["unit_price"], "USD")
            assert product.active is (prices[product.id]["discontinued"] == "0")
        lines = [
            (order.id, line.product_id, str(line.unit_price.amount), str(line.quantity), str(line.discount))
            for order in desk.find(ka.Order, order="id")
            for line in order.lines
        ]
        wanted = [
            (row["order_id"], row["product_id"], row["unit_price"], row["quantity"], row["discount"])
            for row in sorted(table(FOLDER / "order_details.csv"), key=lambda row: row["order_id"])
        ]
        assert sorted(lines) == sorted(wanted)


def test_reading_again_changes_nothing(book: ka.Book) -> None:
    """Reading the same files again says that all is unchanged, and leaves acts, versions and histories as they were."""
    before, desk = everything(book), book.trusted("northwind")
    told = [read(desk, FOLDER, file) for file in FILES]
    assert [(one.read, one.written, one.unchanged, one.rejected) for one in told] == [
        (9, 0, 9, 0),
        (91, 0, 91, 0),
        (77, 0, 77, 0),
        (830, 0, 830, 0),
    ]
    assert everything(book) == before


def test_one_transaction_is_one_act(book: ka.Book) -> None:
    """All four files in one transaction are one act, beside the one that furnished the book."""
    with book._storage.unit(write=False) as unit:
        acts = list(unit.acts())
    assert [len(act.changed) for act in acts][1:] == [9 + 91 + 77 + 830]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("where", ["memory", "file"])
def test_dump_and_load_give_an_equal_book(book: ka.Book, tmp_path: Path, form: Any, where: str) -> None:
    """A dump that is loaded into a new book gives equal records, and loading it again changes nothing."""
    book.trusted("x").dump(tmp_path / "dump", format=form)
    with ka.open(None if where == "memory" else tmp_path / "other.sqlite") as other:
        desk = other.trusted("load")
        told = desk.load(tmp_path / "dump")
        assert told.counts["Order"] == 830
        for kind in KINDS.values():
            assert list(desk.find(kind.cls)) == list(book.trusted("x").find(kind.cls))
        before = everything(other)
        assert desk.load(tmp_path / "dump").unchanged == told.records
        assert everything(other) == before


# ---- fifty spoiled cells ---------------------------------------------------------------------------------------------

# File, line, column, what the cell is made, and how the reason begins.
SPOILED = (
    ("customers", 2, "customer_id", "", "is required to know the record by"),
    ("customers", 3, "company_name", "", "is required"),
    ("customers", 5, "company_name", "   ", "is required"),
    ("customers", 7, "country", "Germny", "is none of the values given to convert; did you mean 'Germany'?"),
    ("customers", 9, "country", "DE", "is none of the values given to convert"),
    ("customers", 12, "customer_id", "B\x01BEY", "holds the control character U+0001"),
    ("customers", 14, "customer_id", "C" * 201, "is longer than 200 characters"),
    ("customers", 20, "company_name", "x" * 1001, "is longer than 1000 characters"),
    ("customers", 30, "phone", "0" * 251, "is longer than 250 characters"),
    ("customers", 92, "city", "New\nYork", "holds the control character U+000A"),
    ("customers", 50, "+", "one more", "has not as many cells as the header, 11"),
    ("customers", 60, "-", "", "has not as many cells as the header, 11"),
    ("products", 2, "unit_price", "18,00", "is no number with the decimal sign '.'"),
    ("products", 3, "unit_price", "nineteen", "is no number with the decimal sign '.'"),
    ("products", 4, "unit_price", "-10", "must not be negative"),
    ("products", 5, "unit_price", "9999999999999", "is larger than 10**12"),
    ("products", 6, "unit_price", "1.00001", "has more than 4 decimal places"),
    ("products", 7, "discontinued", "perhaps", "is none of the values given to convert"),
    ("products", 8, "product_name", "", "is required"),
    ("products", 9, "product_name", "a\tb", "holds the control character U+0009"),
    ("products", 10, "product_id", "", "is required to know the record by"),
    ("products", 11, "+", "one more", "has not as many cells as the header, 10"),
    ("products", 30, "product_id", "15", "was given before, with another "),
    ("employees", 2, "last_name", "", "is required"),
    ("employees", 3, "last_name", "Ful\x07ler", "holds the control character U+0007"),
    ("employees", 4, "-", "", "has not as many cells as the header, 18"),
    ("orders", 2, "order_date", "1996-02-30", "is no day in the form '%Y-%m-%d'"),
    ("orders", 3, "order_date", "05.07.1996", "is no day in the form '%Y-%m-%d'"),
    ("orders", 4, "order_date", "yesterday", "is no day in the form '%Y-%m-%d'"),
    ("orders", 5, "order_date", "96-07-08", "is no day in the form '%Y-%m-%d'"),
    ("orders", 6, "order_date", "", "is required"),
    ("orders", 7, "customer_id", "NOBODY", "there is no such Organisation that you can read"),
    ("orders", 8, "customer_id", "vinet", "there is no such Organisation that you can read"),
    ("orders", 9, "customer_id", "", "is required"),
    ("orders", 10, "customer_id", "A\x00B", "holds the control character U+0000"),
    ("orders", 11, "+", "one more", "has not as many cells as the header, 14"),
    ("orders", 12, "order_date", "1996-07-17 13:30", "is no day in the form '%Y-%m-%d'"),
    ("order_details", 40, "quantity", "twelve", "is no number with the decimal sign '.'"),
    ("order_details", 50, "quantity", "", ""),
    ("order_details", 60, "unit_price", "", "is required"),
    ("order_details", 70, "unit_price", "1e3", "is no number with the decimal sign '.'"),
    ("order_details", 80, "discount", "15", "must lie between 0 and 1"),
    ("order_details", 90, "discount", "-0.05", "must lie between 0 and 1"),
    ("order_details", 100, "discount", "5%", "is no number with the decimal sign '.'"),
    ("order_details", 110, "quantity", "NaN", "is no number with the decimal sign '.'"),
    ("order_details", 120, "order_id", "99999", "is of no record that was read"),
    ("order_details", 130, "order_id", "", "is of no record that was read"),
    ("order_details", 140, "+", "one more", "has not as many cells as the header, 5"),
    ("order_details", 150, "product_id", "p" * 201, "is longer than 200 characters"),
    ("order_details", 160, "quantity", "1.0000001", "has more than 6 decimal places"),
    ("order_details", 170, "unit_price", "Infinity", "is no number with the decimal sign '.'"),
)


def table(path: Path) -> list[dict[str, str]]:
    """Read a file as plain CSV."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def rewrite(path: Path, changes: Mapping[int, Cells]) -> None:
    """Change rows of a file, by the line they stand in."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    for line, change in changes.items():
        change(rows[line - 1])
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def spoil(folder: Path, file: str) -> set[tuple[str, str, str, str]]:
    """Spoil the cells of a file; return place, column, value and the beginning of the reason of each."""
    path = folder / f"{file}.csv"
    header = list(table(path)[0])

    def changed(column: str, value: str) -> Cells:
        if column == "+":
            return lambda row: row.append(value)
        if column == "-":
            return lambda row: row.__delitem__(-1)
        return lambda row: row.__setitem__(header.index(column), value)

    own = [one for one in SPOILED if one[0] == file]
    rewrite(path, {line: changed(column, value) for _, line, column, value, _ in own})
    return {(f"{file}.csv:{line}", column, value, reason) for _, line, column, value, reason in own if reason}


def test_there_are_fifty() -> None:
    """The table above spoils fifty cells (a line without its quantity is one of a single piece), in all five files."""
    bad = [one for one in SPOILED if one[4]]
    assert len(bad) == 50
    assert {one[0] for one in bad} == {"employees", "customers", "products", "orders", "order_details"}


@pytest.mark.parametrize("where", ["memory", "file"])
def test_fifty_spoiled_cells_are_fifty_reasons(tmp_path: Path, copy: Path, where: str) -> None:
    """Each spoiled cell is one reason with its place, column and value; there are no more, and nothing is written."""
    wanted = {file: spoil(copy, file) for file in ("employees", "customers", "products", "orders", "order_details")}
    found = set()
    for file in FILES:
        with ka.open(None if where == "memory" else tmp_path / f"{file}.sqlite") as book:
            desk = book.trusted("northwind")
            for other in FILES[: FILES.index(file)]:
                read(desk, FOLDER, other)
            before = dumped(desk, tmp_path / "dump")
            acts = everything(book)["acts"]
            with pytest.raises(ka.ValidationError) as caught:
                read(desk, copy, file)
            assert dumped(desk, tmp_path / "dump") == before
            assert everything(book)["acts"] == acts
        for problem in caught.value.problems:
            found.add((problem.place, problem.field, problem.value, problem.reason))
    assert len(found) == 50
    for place, column, value, reason in set().union(*wanted.values()):
        matching = [told for told in found if told[0] == place and told[3].startswith(reason)]
        assert len(matching) == 1, (place, column, reason, [told for told in found if told[0] == place])
        _, told_column, told_value, _ = matching[0]
        if column in "+-":
            assert told_column == ""
            assert told_value.endswith("cells'")
        else:
            assert (told_column, told_value) == (column, ka.errors.shown(value))


def test_the_good_rows_are_kept_and_the_others_can_be_repaired(tmp_path: Path, copy: Path) -> None:
    """`keep_good` writes the sound rows; the files of rejects hold the others, and read in when they are repaired."""
    for file in ("customers", "products", "orders", "order_details"):
        spoil(copy, file)
    with ka.open(tmp_path / "book.sqlite") as book:
        desk = book.trusted("northwind")
        customers = read(desk, copy, "customers", keep_good=True)
        assert (customers.read, customers.written, customers.rejected) == (91, 79, 12)
        assert customers.rejects == str(copy / "customers.rejects.csv")
        told = {row["_line"]: row["_reason"] for row in table(copy / "customers.rejects.csv")}
        assert told.keys() == {str(line) for file, line, *_ in SPOILED if file == "customers"}
        repair(copy / "customers.rejects.csv", FOLDER / "customers.csv")
        again = desk.read_csv(ka.Organisation, copy / "customers.rejects.csv", columns=CUSTOMERS)
        assert (again.read, again.written) == (12, 12)

        orders = read(desk, copy, "orders", keep_good=True)
        assert orders.line_rejects == str(copy / "order_details.rejects.csv")
        assert orders.read == 830 == orders.written + orders.rejected
        assert desk.count(ka.Order) == orders.written
        repair(copy / "orders.rejects.csv", FOLDER / "orders.csv")
        repair(copy / "order_details.rejects.csv", FOLDER / "order_details.csv", without=("120", "130"))
        shutil.copy(copy / "orders.rejects.csv", copy / "orders.csv")
        rest = read(desk, copy, "orders", details="order_details.rejects.csv")
        assert (rest.read, rest.written) == (orders.rejected, orders.rejected)
        assert desk.count(ka.Order) == 830
        # The two lines that named a wrong order are missing in theirs; line 50 counts one piece.
        assert sum(len(order.lines) for order in desk.find(ka.Order)) == 2153
        again = read(desk, FOLDER, "orders", update=True)
        assert (again.written, again.unchanged) == (3, 827)
        assert sum(len(order.lines) for order in desk.find(ka.Order)) == 2155


def repair(rejects: Path, original: Path, without: tuple[str, ...] = ()) -> None:
    """Put the original cells back into a file of rejects, by the lines it names."""
    with original.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    with rejects.open(encoding="utf-8", newline="") as file:
        bad = list(csv.reader(file))
    assert bad[0] == ["_line", "_reason", *rows[0]]
    kept = [[line, reason, *rows[int(line) - 1]] for line, reason, *_ in bad[1:] if line not in without]
    with rejects.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([bad[0], *kept])
