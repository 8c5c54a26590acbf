"""Tryton's tables, read in place: the example answers from them, and every figure is what Tryton shows."""

from __future__ import annotations

import datetime as dt
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import sqlalchemy as sa

import keyaccount as ka

ROOT = Path(__file__).parents[2]
PACKED = ROOT / "tests" / "data" / "tryton.sql.gz"
ON = dt.date(2026, 11, 21)


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """Import the example from its file."""
    spec = importlib.util.spec_from_file_location("tryton_overlay", ROOT / "examples" / "tryton" / "overlay.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def engine(example: ModuleType) -> Iterator[sa.Engine]:
    """Unpack Tryton's tables."""
    made = example.opened(PACKED)
    yield made
    made.dispose()


@pytest.fixture(scope="module")
def book(example: ModuleType, engine: sa.Engine) -> ka.Book:
    """Lay a book over them."""
    made: ka.Book = example.laid_over(engine)
    example.furnish(made)
    return made


@pytest.fixture(scope="module")
def desk(book: ka.Book) -> ka.Desk:
    """Return Volker's desk."""
    return book.desk("2")


@pytest.mark.parametrize("number", ["+49 89 1234567", "089/123 45 67", "0049-89-1234567"])
def test_a_phone_rings(desk: ka.Desk, number: str) -> None:
    """A number in Tryton's contact mechanisms finds the person, the company, and who looks after it."""
    card = desk.caller(number)
    assert card is not None
    assert (card.name, card.positions[0].organisation_name) == ("Ingo Prospect", "ACME AG")
    assert card.key_account_manager is not None
    assert card.key_account_manager.user.name == "Volker Vorstand"


def test_a_form_shows_trytons_note(desk: ka.Desk) -> None:
    """A note of Tryton's is shown on the invoice form, with the severity and contexts that are kept here."""
    notes = desk.notes(organisation="5", context="documents.invoice")
    assert [(note.severity.name, note.text) for note in notes][:2] == [
        ("WARNING", "Only pays after dunning level 2"),
        ("WARNING", "2 overdue invoices: 3642.39 EUR, the oldest due 2026-09-02"),
    ]
    assert "Only pays" not in str(desk.notes(organisation="5", context="service"))


def test_overdue_invoices_are_trytons(desk: ka.Desk, engine: sa.Engine) -> None:
    """What is overdue is what Tryton's receivable lines say is open, to the cent: 2976.19, and 1166.20 less 500."""
    found = {row.number: row.open_amount for row in desk.billing.overdue(on=ON)}
    assert found == {"5": ka.Money("2976.19", "EUR"), "6": ka.Money("666.20", "EUR")}
    sql = "SELECT number, state FROM account_invoice WHERE number IN ('5', '6')"
    with engine.connect() as connection:
        assert {tuple(row) for row in connection.exec_driver_sql(sql)} == {("5", "posted"), ("6", "posted")}


def test_sums_are_exact(book: ka.Book) -> None:
    """The year's turnover is the sum of Tryton's untaxed amounts, the credit note subtracted."""
    office = book.trusted("test")
    acme = list(office.find(ka.Invoice, organisation_id="5"))
    assert min((row.kind, row.net) for row in acme) == ("credit note", ka.Money("1250.50", "EUR"))
    # 5002.00 + 2501.00 + 980.00 + 3751.50 - 1250.50
    (line,) = (row for row in office.health_check(on=ON) if row.organisation_id == "5")
    assert line.invoiced == (ka.Money("10984.00", "EUR"),)


def test_what_is_private_here_is_private_over_tryton(book: ka.Book, desk: ka.Desk) -> None:
    """Globex is Carla's alone: for Volker neither it, nor its person, invoices or number exist."""
    carla = book.desk("3")
    assert (carla.count(ka.Invoice), desk.count(ka.Invoice)) == (8, 6)
    assert desk.caller("+33 6 12 34 56 78") is None
    found = carla.caller("+33 6 12 34 56 78")
    assert found is not None
    assert found.name == "Yvette Dupont"
    with pytest.raises(ka.NotFound):
        book.desk("4")  # Dieter has left: inactive in Tryton


def test_what_is_trytons_is_changed_in_tryton(desk: ka.Desk) -> None:
    """A field of Tryton's cannot be written from here."""
    import attrs

    with pytest.raises(ka.ReadOnly) as caught:
        desk.put(attrs.evolve(desk.get(ka.Organisation, "5"), name="ACME SE"))
    assert caught.value.field == "name"


def test_nothing_of_trytons_is_written(example: ModuleType) -> None:
    """Laying a book over the tables and furnishing it leaves every row of Tryton's as it was."""
    engine = example.opened(PACKED)

    def rows() -> dict[str, list[tuple[object, ...]]]:
        with engine.connect() as connection:
            names = [name for name in sa.inspect(connection).get_table_names() if not name.startswith("keyaccount_")]
            quoted = {name: f'SELECT * FROM "{name}"' for name in names}  # noqa: S608 - the database's own names
            return {name: [tuple(row) for row in connection.exec_driver_sql(sql)] for name, sql in quoted.items()}

    before = rows()
    with example.laid_over(engine) as book:
        example.furnish(book)
        example.furnish(book)
        assert not list(book.check())
    assert rows() == before
    engine.dispose()


def test_the_example_runs(example: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """The example tells the main jobs, in fewer than 150 lines of an integrator's code."""
    example.main(PACKED)
    told = capsys.readouterr().out
    assert "Ingo Prospect of ACME AG" in told
    assert "5 2026-09-02 2976.19 EUR" in told
    assert len((ROOT / "examples" / "tryton" / "overlay.py").read_text(encoding="utf-8").splitlines()) < 150
    assert "trytond" not in sys.modules
