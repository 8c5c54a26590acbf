"""Neither the order of the input, nor another account, nor the century changes a figure."""

from __future__ import annotations

from datetime import date
from typing import Any

import attrs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import keyaccount as ka
from keyaccount import portfolio
from property.portfolios import YEAR, crowded, drawn, later, portfolios, shifted

ON = date(2026, 3, 1)


def asked(rows: Any, years: int = 0, **how: Any) -> list[Any]:
    """Ask every metric, so many years later."""
    period = ka.Period(later(YEAR.start, years), later(YEAR.end, years))
    on = later(ON, years)
    metrics: Any = (
        portfolio.renewal_rate,
        portfolio.account_retention,
        portfolio.gross_retention,
        portfolio.net_retention,
    )
    figures = [metric(rows, period, on=on, **how) for metric in metrics]
    return [
        *figures,
        portfolio.renewal_rate(rows, period, on=on, measure="value", **how),
        portfolio.recurring(rows, on=on, **how),
        portfolio.expired_unrenewed(rows, on=on, **how),
        portfolio.days_to_first_action(rows, period, on=on, actions=[portfolio.Action("acme", on)], **how),
    ]


@given(data=st.data(), rows=portfolios() | crowded())
def test_order(data: st.DataObject, rows: list[ka.Contract]) -> None:
    """The order of the contracts does not matter."""
    mixed = data.draw(st.permutations(rows))
    assert asked(mixed) == asked(rows)
    one, other = (portfolio.movements(some, YEAR, on=ON, currency="EUR") for some in (rows, mixed))
    assert one == other


@given(rows=portfolios() | crowded())
def test_account_by_account(rows: list[ka.Contract]) -> None:
    """Contracts read account by account give the same figures, where no contract names one of another account."""
    accounts = {row.id: row.organisation_id for row in rows}
    assume(all(accounts.get(id) == row.organisation_id for row in rows for id in row.predecessor_ids))
    sorted_rows = sorted(rows, key=lambda row: row.organisation_id)
    for one, other in zip(asked(sorted_rows, grouped=True), asked(rows), strict=True):
        assert (one.value, one.numerator, one.denominator) == (other.value, other.numerator, other.denominator)
        assert sorted(one.records.denominator) == sorted(other.records.denominator)
        assert (one.beside, one.excluded) == (other.beside, other.excluded)


@given(data=st.data(), rows=portfolios() | crowded())
def test_another_account(data: st.DataObject, rows: list[ka.Contract]) -> None:
    """A contract of another account changes no account's own part."""
    other = attrs.evolve(data.draw(drawn("other", ())), organisation_id="umbrella")
    for before, after in zip(asked(rows, by="account"), asked([*rows, other], by="account"), strict=True):
        parts = {part.part: part for part in after.parts or () if part.part != "umbrella"}
        for part in before.parts or ():
            assert parts[part.part].records == part.records
            assert parts[part.part].value == part.value or isinstance(part.value, ka.Money)
        assert set(parts) == {part.part for part in before.parts or ()}


@pytest.mark.parametrize("years", [4, 28, 400])
@given(rows=portfolios() | crowded())
def test_years_do_not_matter(years: int, rows: list[ka.Contract]) -> None:
    """Every day later by whole leap cycles gives the same figures; single years differ around 29 February only."""
    moved = [shifted(row, years) for row in rows]
    for one, other in zip(asked(rows), asked(moved, years), strict=True):
        assert (one.value, one.numerator, one.denominator) == (other.value, other.numerator, other.denominator)
        assert one.records == other.records
