"""Start and movements give the end, to the cent; a year is its two halves."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

import keyaccount as ka
from keyaccount import contracts, portfolio
from property.portfolios import YEAR, crowded, days, managed, portfolios

KINDS = ("new", "reactivated", "expansion", "contraction", "churn")


def end_of(found: portfolio.Movements) -> ka.Money:
    """Add up what is shown, by hand."""
    assert found.start is not None
    assert found.new is not None
    assert found.reactivated is not None
    assert found.expansion is not None
    assert found.contraction is not None
    assert found.churn is not None
    assert found.exchange is not None
    gained = found.new + found.reactivated + found.expansion
    return found.start + gained - found.contraction - found.churn + found.exchange


@given(rows=portfolios() | crowded(), on=days)
def test_start_and_movements_are_the_end(rows: list[ka.Contract], on: date) -> None:
    """What is shown adds up, by kind and by row, and both balances are the recurring value of the day before."""
    found = portfolio.movements(rows, YEAR, on=on, currency="EUR")
    assert end_of(found) == found.end
    for kind, sign in zip(KINDS, (1, 1, 1, -1, -1), strict=True):
        shown = ka.Money.total((row.amount for row in found if row.kind == kind), "EUR")
        assert shown == getattr(found, kind) * sign
    assert all(count == 1 for count in Counter((row.day, row.account) for row in found).values())


@given(rows=portfolios() | crowded(), on=st.just(date(2026, 12, 31)))
def test_balances_are_recurring_value(rows: list[ka.Contract], on: date) -> None:
    """The balance at an end is the recurring value of the day before, added up day by day from scratch."""
    found = portfolio.movements(rows, YEAR, on=on, currency="EUR")
    for balance, day in ((found.start, date(2024, 12, 31)), (found.end, date(2025, 12, 31))):
        assert balance is not None
        assert abs(Fraction(balance.amount) - worth(rows, day, on)) <= Fraction(1, 200)


def worth(rows: list[ka.Contract], day: date, on: date) -> Fraction:
    """Add up what is in force on a day and not taken over, contract by contract."""
    total = Fraction(0)
    told = contracts.outcomes(rows, ka.Period(date(1, 1, 1), date(9999, 1, 1)), on=on)
    after = {row.contract_id: row.successor_ids for row in told if row.successor_ids}
    by_id = {row.id: row for row in rows}
    for row in rows:
        if contracts.state(row, rows, on=on) == "draft":
            continue
        named = [
            one for one in rows if row.id in one.predecessor_ids and one.signed_on and one.signed_on <= on
            if forward(row, one)
        ]  # fmt: skip
        follows = named or [by_id[id] for id in after.get(row.id, ())]
        starts = [one.starts_on for one in follows if not one.add_on and one.starts_on and ever(one, on)]
        last = row.last_day if row.terminated_on is None or row.terminated_on <= on else untold(row).last_day
        stop = min((start - timedelta(1) for start in starts), default=date.max)
        assert row.starts_on is not None
        if row.starts_on <= day <= min(last or date.max, stop):
            total += contracts.yearly_value(row) or 0
    return total


def forward(row: ka.Contract, after: ka.Contract) -> bool:
    """Say whether a contract that names another can follow it: it starts no earlier, and is not named by it."""
    if row.starts_on is None or after.starts_on is None or after.starts_on > row.starts_on:
        return True
    return after.starts_on == row.starts_on and after.id not in row.predecessor_ids


def ever(row: ka.Contract, on: date) -> bool:
    """Say whether a contract is in force at all, as far as is known."""
    last = row.last_day if row.terminated_on is None or row.terminated_on <= on else None
    return last is None or (row.starts_on is not None and row.starts_on <= last)


def untold(row: ka.Contract) -> ka.Contract:
    """Return a contract before anybody gave notice."""
    import attrs

    return attrs.evolve(row, terminated_on=None, terminated_to=None)


@given(rows=portfolios() | crowded(), middle=days.filter(lambda day: YEAR.start <= day <= YEAR.end))
def test_two_halves_are_the_whole(rows: list[ka.Contract], middle: date) -> None:
    """The end of the first half is the start of the second, and their rows are those of the whole."""
    border, on = middle, date(2026, 12, 31)
    whole, one, other = (
        portfolio.movements(rows, period, on=on, currency="EUR")
        for period in (YEAR, ka.Period(YEAR.start, border), ka.Period(border, YEAR.end))
    )
    assert (one.start, one.end, other.end) == (whole.start, other.start, whole.end)
    assert [(r.day, r.account, r.kind) for r in (*one, *other)] == [(r.day, r.account, r.kind) for r in whole]


@given(rows=portfolios() | crowded(), accounts=managed())
def test_parts_add_up(rows: list[ka.Contract], accounts: portfolio.Accounts) -> None:
    """Each line of the movements is the sum of its parts by manager, and each part adds up by itself."""
    found = portfolio.movements(rows, YEAR, on=date(2026, 6, 1), currency="EUR", by="manager", accounts=accounts)
    assert found.parts is not None
    for name in ("start", *KINDS, "exchange", "end"):
        assert ka.Money.total((getattr(part, name) for part in found.parts), "EUR") == getattr(found, name)
    assert all(end_of(part) == part.end for part in found.parts)
