"""Northwind as of 4 May 1998: every figure of every account, against sums written with csv and fractions alone.

Orders are taken as invoices of their order date. Nothing below uses the library to know what is right.
"""

from __future__ import annotations

import csv
from calendar import monthrange
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

import keyaccount as ka
from keyaccount import billing, health, portfolio

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "northwind"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"the Northwind data are not at {FOLDER}")

ON = date(1998, 5, 4)
YEAR = (date(1997, 5, 4), ON)
YEAR_BEFORE = (date(1996, 5, 4), date(1997, 5, 4))
APRIL, MARCH, APRIL_BEFORE = (date(1998, 4, 1), date(1998, 5, 1)), (date(1998, 3, 1), date(1998, 4, 1)), (
    date(1997, 4, 1),
    date(1997, 5, 1),
)  # fmt: skip
SINCE = date(1996, 5, 4)


def table(name: str) -> list[dict[str, str]]:
    """Read one of the files."""
    with (FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as rows:
        return list(csv.DictReader(rows))


ORDERS = table("orders") if FOLDER.is_dir() else []
DETAILS: dict[str, list[dict[str, str]]] = defaultdict(list)
for detail in table("order_details") if FOLDER.is_dir() else []:
    DETAILS[detail["order_id"]].append(detail)
CUSTOMERS = {row["customer_id"]: row["company_name"] for row in (table("customers") if FOLDER.is_dir() else [])}


# ---- independent sums, in cents ------------------------------------------------------------------------------------


def cents(row: dict[str, str]) -> int:
    """Return a line's net amount in cents, rounded half-even."""
    exact = Fraction(row["quantity"]) * Fraction(row["unit_price"]) * (1 - Fraction(row["discount"])) * 100
    return round(exact)


NETS = {row["order_id"]: sum(map(cents, DETAILS[row["order_id"]])) for row in ORDERS}
DAYS = {row["order_id"]: date.fromisoformat(row["order_date"]) for row in ORDERS}
WHOSE = {row["order_id"]: row["customer_id"] for row in ORDERS}


def ids_in(window: tuple[date, date], account: str | None = None) -> list[str]:
    """Return the orders of a window, of one account or of all."""
    return [id for id, day in DAYS.items() if window[0] <= day < window[1] and account in (None, WHOSE[id])]


def cents_in(window: tuple[date, date], account: str | None = None) -> int:
    """Return the sum of a window, of one account or of all."""
    return sum(NETS[id] for id in ids_in(window, account))


def usd(amount: Fraction | int) -> ka.Money:
    """Return cents as money, rounded half-even."""
    return ka.Money(Decimal(round(amount)) / 100, "USD")


# ---- what the library is given -------------------------------------------------------------------------------------


def lines(id: str) -> tuple[ka.Line, ...]:
    """Make the lines of an order."""
    return tuple(
        ka.Line(
            row["product_id"],
            quantity=Decimal(row["quantity"]),
            unit_price=ka.Money(row["unit_price"], "USD"),
            discount=Decimal(row["discount"]),
        )
        for row in DETAILS[id]
    )


LINES = {row["order_id"]: lines(row["order_id"]) for row in ORDERS}
INVOICES = [
    ka.Invoice(
        id, organisation_id=WHOSE[id], issued_on=day, due_on=day + timedelta(30), lines=LINES[id],
        payments=(ka.Payment(day + timedelta(20), usd(NETS[id])),) if int(id) % 7 else (),
    )
    for id, day in DAYS.items()
]  # fmt: skip
BOUGHT = [ka.Order(id, organisation_id=WHOSE[id], ordered_on=day, lines=LINES[id]) for id, day in DAYS.items()]
ACCOUNTS = portfolio.Accounts.of(ka.Organisation(id, name=name) for id, name in CUSTOMERS.items())


def added(ids: Iterable[str]) -> ka.Money:
    """Add up the orders that a figure names."""
    return usd(sum(NETS[id] for id in ids))


# ---- the figures ---------------------------------------------------------------------------------------------------


def test_growth_of_every_account() -> None:
    """Growth of each of the 91 accounts is that of the two years' orders, and its records add up to them."""
    found = portfolio.growth(INVOICES, on=ON, accounts=ACCOUNTS, customer_since=dict.fromkeys(CUSTOMERS, SINCE))
    assert set(found.keys()) == set(CUSTOMERS)
    valued = 0
    for account, figure in found.items():
        now, before = cents_in(YEAR, account), cents_in(YEAR_BEFORE, account)
        assert figure.value == (Fraction(now - before, before) if before else None), account
        assert added(figure.records.numerator) == usd(now)
        assert added(figure.records.denominator) == usd(before)
        assert (figure.records.numerator, figure.records.denominator) == (
            tuple(sorted(ids_in(YEAR, account))), tuple(sorted(ids_in(YEAR_BEFORE, account)))
        )  # fmt: skip
        valued += before > 0
    assert valued == 79
    with_base = [account for account in CUSTOMERS if cents_in(YEAR_BEFORE, account)]
    now, before = (sum(cents_in(window, account) for account in with_base) for window in (YEAR, YEAR_BEFORE))
    assert found.whole is not None
    assert found.whole.value == Fraction(now - before, before)
    assert added(found.whole.records.denominator) == usd(before)


def test_everyone_is_in_the_first_year() -> None:
    """The data begin on 4 July 1996, inside the earlier window: without more knowledge nobody has a base."""
    found = portfolio.growth(INVOICES, on=ON, accounts=ACCOUNTS)
    reasons = {account: figure.reason for account, figure in found.items()}
    assert {account for account, reason in reasons.items() if reason == "no turnover yet"} == {"FISSA", "PARIS"}
    assert set(reasons.values()) == {"first year", "no turnover yet"}


def test_average_value() -> None:
    """The average over all 91 accounts, and each account's part, to the cent."""
    found = portfolio.average_value(INVOICES, on=ON, accounts=ACCOUNTS, by="account")
    total = cents_in(YEAR)
    assert found.value == usd(Fraction(total, 91))
    assert (found.numerator, found.denominator) == (usd(total), 91)
    assert added(found.records.numerator) == usd(total)
    assert found.beside["without turnover"] == sum(not cents_in(YEAR, account) for account in CUSTOMERS)
    assert found.parts is not None
    for account, figure in found.parts.items():
        assert figure.value == usd(cents_in(YEAR, account)), account
        assert added(figure.records.numerator) == usd(cents_in(YEAR, account))
    assert set(found.parts.keys()) == set(CUSTOMERS)


def _months(start: date) -> Fraction:
    """Return the months from a day to 3 May 1998: whole ones from its day of the month, the rest by its days."""
    count, year, month = 0, start.year, start.month
    at = start
    while True:
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
        after = date(year, month, min(start.day, monthrange(year, month)[1]))
        if after > ON:
            return count + Fraction((ON - at).days, (after - at).days)
        count, at = count + 1, after


def test_the_young_are_annualised() -> None:
    """Accounts whose first order lies within the year are annualised by the months since, no others."""
    found = portfolio.average_value(INVOICES, on=ON, accounts=ACCOUNTS, by="account")
    first = {account: min((DAYS[id] for id in DAYS if WHOSE[id] == account), default=None) for account in CUSTOMERS}
    young = {account for account, day in first.items() if day is not None and day > YEAR[0]}
    assert found.beside["younger than 12 months"] == len(young) == 10
    whole = Fraction(0)
    for account, day in first.items():
        yearly = Fraction(cents_in(YEAR, account))
        if day is not None and account in young:
            yearly = yearly * 12 / _months(day)
        assert found.parts is not None
        assert found.parts[account].beside["annualised"] == usd(yearly), account
        whole += yearly
    assert found.beside["annualised"] == usd(whole / 91)


def test_order_decline_of_every_account() -> None:
    """April against March 1998, with April 1997 beside it, for each account; alerts are those above a fifth."""
    found = portfolio.order_decline(BOUGHT, on=ON, accounts=ACCOUNTS)
    alerts = set()
    for account, figure in found.items():
        last, before, year_ago = (cents_in(window, account) for window in (APRIL, MARCH, APRIL_BEFORE))
        assert figure.value == (Fraction(before - last, before) if before else None), account
        assert added(figure.records.numerator) == usd(last)
        assert added(figure.records.denominator) == usd(before)
        alert = before > 0 and (before - last) * 5 > before
        assert figure.beside["alert"] == int(alert), account
        season = None if not before or not year_ago else int((year_ago - last) * 5 <= year_ago)
        assert figure.beside["seasonal"] == season, account
        alerts |= {account} if alert else set()
    assert len(alerts) == 31
    assert set(found.keys()) == set(CUSTOMERS)


def test_decline_to_date() -> None:
    """Three days of May against three days of April, for each account."""
    found = portfolio.order_decline(BOUGHT, on=ON, accounts=ACCOUNTS, month="to date")
    may, april = (date(1998, 5, 1), date(1998, 5, 4)), (date(1998, 4, 1), date(1998, 4, 4))
    for account, figure in found.items():
        last, before = cents_in(may, account), cents_in(april, account)
        assert figure.value == (Fraction(before - last, before) if before else None), account


def test_concentration() -> None:
    """Shares of all accounts, their squares, the top so many, how few make four fifths."""
    found = portfolio.concentration(INVOICES, on=ON, accounts=ACCOUNTS)
    by_account = {account: cents_in(YEAR, account) for account in CUSTOMERS}
    total = sum(by_account.values())
    ranked = sorted(by_account.values(), reverse=True)
    assert found.value == sum((Fraction(one, total) ** 2 for one in ranked), Fraction(0))
    for top in (1, 5, 10):
        assert found.beside[f"top {top}"] == Fraction(sum(ranked[:top]), total)
    few = next(k for k in range(1, 92) if sum(ranked[:k]) * 5 >= total * 4)
    assert found.beside["make 80 %"] == few
    assert found.parts is not None
    assert {account: figure.value for account, figure in found.parts.items()} == {
        account: Fraction(one, total) for account, one in by_account.items() if one
    }
    for figure in found.parts:
        assert added(figure.records.numerator) == figure.numerator
    assert added(found.records.numerator) == usd(total)


def test_discount_depth_of_every_account() -> None:
    """List value less net amount, divided by list value, for each account."""
    found = portfolio.discount_depth(INVOICES, on=ON)
    for account, figure in found.items():
        rows = [row for id in ids_in(YEAR, account) for row in DETAILS[id]]
        listed = sum(Fraction(row["quantity"]) * Fraction(row["unit_price"]) * 100 for row in rows)
        assert figure.value == Fraction(listed - sum(map(cents, rows))) / Fraction(listed), account
    assert set(found.keys()) == {account for account in CUSTOMERS if ids_in(YEAR, account)}


def test_overdue_and_ageing_of_every_account() -> None:
    """Every seventh order was never paid: its days, its bucket, each account's columns and the total."""
    unpaid = [id for id in DAYS if not int(id) % 7 and DAYS[id] <= ON]
    late = {id: (ON - DAYS[id]).days - 30 for id in unpaid if (ON - DAYS[id]).days > 30}
    rows = billing.overdue(INVOICES, on=ON)
    assert {row.invoice_id: row.days for row in rows} == late
    assert all(row.open_amount == usd(NETS[row.invoice_id]) for row in rows)
    borders: dict[str, Callable[[int], bool]] = {
        "1-30": lambda days: days <= 30,
        "31-60": lambda days: 30 < days <= 60,
        "61-90": lambda days: 60 < days <= 90,
        "over 90": lambda days: days > 90,
    }
    ageing = billing.ageing(INVOICES, on=ON)
    for row in ageing:
        for bucket, inside in borders.items():
            held = sum(NETS[id] for id, days in late.items() if WHOSE[id] == row.name and inside(days))
            assert row.buckets[bucket] == usd(held), (row.name, bucket)
        waiting = sum(
            NETS[id]
            for id, day in DAYS.items()
            if WHOSE[id] == row.name and id not in late and (id in unpaid or day + timedelta(20) > ON) and day <= ON
        )
        assert row.not_due == usd(waiting), row.name
    (total,) = ageing.totals
    assert total.overdue == usd(sum(NETS[id] for id in late))


def test_health_check_of_every_account() -> None:
    """The rows of the health check tell the same sums, the largest first, and the foot is the sum of the rows."""
    found = health.health_check(on=ON, invoices=iter(INVOICES), orders=iter(BOUGHT), accounts=ACCOUNTS)
    assert [row.organisation_id for row in found] == sorted(CUSTOMERS, key=lambda one: (-cents_in(YEAR, one), one))
    for row in found:
        now, before = (cents_in(window, row.organisation_id) for window in (YEAR, YEAR_BEFORE))
        assert row.invoiced == ((usd(now),) if now else ())
        assert row.invoiced_before == ((usd(before),) if before else ())
        april, march = (cents_in(window, row.organisation_id) for window in (APRIL, MARCH))
        assert row.decline == (Fraction(march - april, march) if march else None)
    assert found.totals.invoiced == (usd(cents_in(YEAR)),)
    assert found.totals.alerts == 31
    assert found.totals.accounts == 91
