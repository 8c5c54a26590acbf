"""A desk over a lake: sums come from frames, rights from the store, and hidden accounts' rows change nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

import keyaccount as ka
from engines import engines, frame_of, invoices_in, orders_in

frames: Any = pytest.importorskip("keyaccount.frames", exc_type=ImportError)

ON = date(2026, 3, 31)
NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
DAYS = (date(2024, 2, 29), date(2024, 6, 1), date(2025, 3, 31), date(2025, 6, 1), date(2026, 2, 3), date(2026, 1, 31))
ASKED: dict[str, Callable[[ka.Desk], Any]] = {
    "growth": lambda desk: desk.portfolio.growth(),
    "growth in one currency": lambda desk: desk.portfolio.growth(currency="EUR"),
    "average value": lambda desk: desk.portfolio.average_value(by="account"),
    "concentration": lambda desk: desk.portfolio.concentration(level="parent"),
    "order decline": lambda desk: desk.portfolio.order_decline(),
    "decline of invoices": lambda desk: desk.portfolio.order_decline(basis="invoices"),
    "health check": lambda desk: desk.health_check(),
}


def invoices(accounts: tuple[str, ...]) -> list[ka.Invoice]:
    """Make a few invoices of some accounts, one of them a credit note, one in dollars."""
    return [
        ka.Invoice(
            f"{account}-{n}",
            organisation_id=account,
            kind="credit note" if n == 4 else "invoice",
            issued_on=day,
            net=ka.Money(Decimal(100 * n + len(account)), "USD" if n == 3 else "EUR"),
        )
        for account in accounts
        for n, day in enumerate(DAYS)
    ]


def orders(accounts: tuple[str, ...]) -> list[ka.Order]:
    """Make a few orders of some accounts."""
    return [
        ka.Order(
            f"{account}-{n}",
            organisation_id=account,
            ordered_on=day,
            lines=(ka.Line("p", unit_price=ka.Money(100 * n + len(account), "EUR")),),
        )
        for account in accounts
        for n, day in enumerate(DAYS)
    ]


def book_of(facts: Any = None, *, stored: bool = False) -> ka.Book:
    """Open a book in which volker may read two of four accounts; their documents are stored, or not."""
    book = ka.open(
        policy=ka.AccessPolicy(default=None), clock=lambda: NOW, facts=facts, exchange=lambda _, day: 1 + day.day
    )
    office = book.trusted("setup")
    office.put(ka.User("volker", name="Volker"))
    for id in ("acme", "globex", "secret", "hidden"):
        office.put(ka.Organisation(id, name=id.title(), relationships=("customer",)))
    for id in ("acme", "globex"):
        office.put(ka.Assignment(f"a-{id}", user_id="volker", organisation_id=id, role=ka.KEY_ACCOUNT_MANAGER))
    if stored:
        office.put_many([*invoices(("acme", "globex", "secret")), *orders(("acme", "globex", "secret"))])
    return book


def broken(columns: dict[str, Any], account: str) -> dict[str, Any]:
    """Add rows of an account that are no documents: without a day, an amount, with an unknown kind and currency."""
    first = {name: (list(values), sort) for name, (values, sort) in columns.items()}
    odd: dict[str, Any] = {"id": "odd", "organisation_id": account, "currency": "???", "net": None}
    for name, (values, _) in first.items():
        values.append(odd.get(name, "unheard of" if name in ("kind", "state") else None))
    return first


def lake(engine: str, accounts: tuple[str, ...], odd: str | None = None) -> Any:
    """Make the facts of some accounts, with broken rows of one."""
    tables = invoices_in(invoices(accounts)), orders_in(orders(accounts))
    billed, ordered = (table if odd is None else broken(table, odd) for table in tables)
    return frames.FrameFacts(invoices=frame_of(engine, billed), orders=frame_of(engine, ordered))


@pytest.mark.parametrize("engine", engines())
def test_hidden_rows_change_nothing(engine: str) -> None:
    """Two lakes that differ only in rows of accounts that a desk may not read give it the same answers."""
    one = book_of(lake(engine, ("acme", "globex")))
    other = book_of(lake(engine, ("acme", "globex", "secret", "unheard"), odd="hidden"))
    for name, ask in ASKED.items():
        here, there = ask(one.desk("volker")), ask(other.desk("volker"))
        assert (here, repr(here), here.to_dict()) == (there, repr(there), there.to_dict()), name


@pytest.mark.parametrize("engine", engines(("pandas", "polars", "duckdb")))
def test_a_lake_answers_like_the_store(engine: str) -> None:
    """The same documents in a lake and in the store give the same answers, to a user and to a trusted desk."""
    accounts = ("acme", "globex", "secret")
    over, stored = book_of(lake(engine, accounts)), book_of(stored=True)
    for name, ask in ASKED.items():
        if name != "health check":  # its open invoices are in the store
            assert ask(over.desk("volker")) == ask(stored.desk("volker")), name
            assert ask(over.trusted("check")) == ask(stored.trusted("check")), name
    rows = zip(over.desk("volker").health_check(), stored.desk("volker").health_check(), strict=True)
    assert all(
        (ours.invoiced, ours.growth, ours.decline, ours.alert)
        == (theirs.invoiced, theirs.growth, theirs.decline, theirs.alert)
        for ours, theirs in rows
    )


def test_an_answer_from_single_documents_says_that_the_lake_has_none() -> None:
    """Overdue, ageing, margin, discount, the health check and the day read the store, and tell so."""
    told = ("Single invoices are read from the store: those kept outside it give sums alone, and are not among them.",)
    asked: dict[str, Callable[[ka.Desk], Any]] = {
        "overdue": lambda desk: desk.billing.overdue().remarks,
        "ageing": lambda desk: desk.billing.ageing().remarks,
        "margin": lambda desk: desk.portfolio.contribution_margin().whole.remarks,  # type: ignore[union-attr]
        "discount": lambda desk: desk.portfolio.discount_depth().whole.remarks,  # type: ignore[union-attr]
        "health check": lambda desk: tuple(
            one for one in desk.health_check().remarks if not one.startswith("Ordered in EUR, USD apart")
        ),
        "day": lambda desk: desk.daily().overdue.remarks,
    }
    over, stored = book_of(lake("pyarrow", ("acme",))).desk("volker"), book_of(stored=True).desk("volker")
    assert {name: ask(over) for name, ask in asked.items()} == dict.fromkeys(asked, told)
    assert {name: ask(stored) for name, ask in asked.items()} == dict.fromkeys(asked, ())
    assert over.portfolio.contribution_margin(basis="orders").whole.remarks[0].startswith("Single orders")  # type: ignore[union-attr]
    assert "those kept outside it" in over.health_check()._repr_html_()


def test_broken_rows_of_readable_accounts_are_told() -> None:
    """What cannot be counted of an account that a desk may read is refused: by column, and by how many rows."""
    desk = book_of(lake("polars", ("acme",), odd="globex")).desk("volker")
    with pytest.raises(ka.ValidationError) as told:
        desk.portfolio.growth()
    assert {(problem.field, problem.value) for problem in told.value.problems} == {
        ("currency", "1 row"),
        ("net", "1 row"),
    }


def test_records_ask_the_rights_again() -> None:
    """A figure that is held while the right to an account is lost gives none of its documents any more."""
    book = book_of(lake("polars", ("acme", "globex")))
    before, held = (book.desk("volker").portfolio.growth() for _ in range(2))
    assert tuple(before["acme"].records.numerator) == ("acme-2", "acme-3", "acme-4", "acme-5")
    book.trusted("office").remove(ka.Assignment, "a-acme")
    assert tuple(held["acme"].records.numerator) == ()
    assert [row.part for row in book.desk("volker").portfolio.growth()] == ["globex"]


def test_what_a_lake_does_not_hold_comes_from_the_store() -> None:
    """With invoices in a lake, orders are read where they are: in the store."""
    facts = frames.FrameFacts(invoices=frame_of("pyarrow", invoices_in(invoices(("acme",)))))
    mixed, stored = book_of(facts, stored=True).desk("volker"), book_of(stored=True).desk("volker")
    assert mixed.portfolio.order_decline() == stored.portfolio.order_decline()
    assert mixed.portfolio.growth() != stored.portfolio.growth()


def test_an_engine_that_fails_says_nothing_of_its_rows() -> None:
    """What an engine said as it failed may hold hidden values: a desk is told that it failed, and no more."""
    polars = pytest.importorskip("polars")
    table = frame_of("polars", invoices_in(invoices(("acme",))))
    failing = table.lazy().with_columns(net=polars.col("organisation_id").cast(polars.Decimal(20, 4)))
    desk = book_of(frames.FrameFacts(invoices=failing)).desk("volker")
    with pytest.raises(ka.StorageUnavailable, match="cannot be read") as told:
        desk.portfolio.growth()
    assert told.value.__cause__ is None
    assert told.value.__context__ is None
    assert "acme" not in str(told.value)


def test_facts_are_checked() -> None:
    """A book takes facts and nothing else; facts without any frame, or with a wrong one, are refused at once."""
    with pytest.raises(ka.ValidationError, match="FrameFacts"):
        ka.open(facts=frame_of("pyarrow", invoices_in([])))
    with pytest.raises(ka.ValidationError, match="or orders"):
        frames.FrameFacts()
    with pytest.raises(ka.ValidationError, match="did you mean 'issued'"):
        frames.FrameFacts(invoices=frame_of("pyarrow", {"issued": ([], "day")}))
