"""Renewed, lost and pending are all that was due; retention keeps its bounds; parts add up to the whole."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import keyaccount as ka
from keyaccount import contracts, portfolio
from property.portfolios import YEAR, days, managed, portfolios

RATES: Any = [
    {},
    {"level": "contract"},
    {"tacit": False},
    {"measure": "value"},
]


@pytest.mark.parametrize("how", RATES, ids=str)
@given(rows=portfolios(), on=days)
def test_renewed_lost_and_pending_are_due(how: Any, rows: list[ka.Contract], on: date) -> None:
    """What was due is renewed, lost or pending, and nothing else; the share lies between none and all."""
    figure = portfolio.renewal_rate(rows, YEAR, on=on, **how)
    if figure.value is None:
        was_due = portfolio.renewal_rate(rows, YEAR, on=on, **{**how, "measure": "count"}).value is not None
        assert figure.reason == ("no contract with recurring value was due" if was_due else "no contract was due")
        return
    counts = [figure.beside[name] for name in ("renewed", "lost", "pending")]
    due = len(figure.accounts.denominator) if figure.level == "account" else len(figure.records.denominator)
    assert sum(counts) == due  # type: ignore[arg-type]
    assert 0 <= figure.value <= 1  # type: ignore[operator]
    assert figure.provisional or figure.beside["pending"] == 0


@given(rows=portfolios(), on=days)
def test_one_outcome_an_end(rows: list[ka.Contract], on: date) -> None:
    """Each end of a contract has one outcome; a successor is named by it, a roll has none."""
    told = list(contracts.outcomes(rows, YEAR, on=on))
    assert len({(row.contract_id, row.due_on) for row in told}) == len(told)
    for row in told:
        assert row.due_on in YEAR
        assert bool(row.successor_ids) == (row.outcome == "renewed" and not row.tacit)


@pytest.mark.parametrize("level", ["account", "contract", "parent"])
@given(rows=portfolios(), on=days)
def test_gross_is_at_most_net_and_all(level: Any, rows: list[ka.Contract], on: date) -> None:
    """Gross retention is at most 100 %, and at most net retention; both have the same base."""
    gross = portfolio.gross_retention(rows, YEAR, on=on, level=level)
    net = portfolio.net_retention(rows, YEAR, on=on, level=level)
    assert gross.denominator == net.denominator
    if gross.value is not None:
        assert 0 <= gross.value <= 1  # type: ignore[operator]
        assert gross.value <= net.value  # type: ignore[operator]


METRICS: Any = [
    portfolio.renewal_rate,
    portfolio.account_retention,
    portfolio.gross_retention,
    portfolio.net_retention,
]


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.__name__)
@given(rows=portfolios(), accounts=managed(), attribution=st.sampled_from(["then", "now"]))
def test_parts_add_up(metric: Any, rows: list[ka.Contract], accounts: portfolio.Accounts, attribution: str) -> None:
    """Both sides and all records of the parts by manager are those of the whole."""
    how = {"by": "manager", "accounts": accounts, "attribution": attribution}
    whole = metric(rows, YEAR, on=date(2026, 6, 1), **how)
    assert whole.parts is not None
    zero = ka.Money(0, "EUR") if isinstance(whole.denominator, ka.Money) else 0
    for side in ("numerator", "denominator"):
        assert sum((getattr(part, side) for part in whole.parts), zero) == getattr(whole, side)
        ids = [id for part in whole.parts for id in getattr(part.records, side)]
        assert sorted(ids) == sorted(getattr(whole.records, side))
