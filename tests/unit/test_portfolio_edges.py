"""Figures where data are odd: currencies that change, links that lead nowhere, managers who share an account."""

from __future__ import annotations

from datetime import UTC, date, datetime
from fractions import Fraction
from typing import Any

import pytest

import keyaccount as ka
from keyaccount import portfolio

YEAR, ON = ka.Period.year(2026), date(2027, 6, 1)


def contract(id: str, account: str, start: date, end: date, *, currency: str = "EUR", **more: Any) -> ka.Contract:
    """Make a contract that was signed in 2025, of 100 a year."""
    given: dict[str, Any] = {"signed_on": date(2025, 1, 1), "value": ka.Money(100, currency), **more}
    return ka.Contract(id, account, starts_on=start, ends_on=end, **given)


FIRST, LAST = date(2025, 7, 1), date(2026, 6, 30)
NEXT, END = date(2026, 7, 1), date(2027, 6, 30)


@pytest.mark.parametrize("metric", [portfolio.net_retention, portfolio.gross_retention])
def test_a_change_of_currency_is_no_loss(metric: Any) -> None:
    """What goes on in another currency has no value beside the first without rates; with them it counts."""
    rows = [
        contract("a", "acme", FIRST, LAST),
        contract("b", "acme", NEXT, END, currency="USD"),
        contract("c", "globex", FIRST, END),
    ]
    figure = metric(rows, YEAR, on=ON)
    assert (figure.value, figure.reason) == (None, "amounts are in EUR, USD: give currency= and exchange=")
    assert [(part.part, part.value) for part in figure.parts] == [("EUR", Fraction(1, 2)), ("USD", None)]
    converted = metric(rows, YEAR, on=ON, currency="EUR", exchange=lambda *_: 1)
    assert converted.value == 1


def test_a_link_to_what_starts_later_is_no_succession() -> None:
    """Two contracts that name each other follow one another once, by their days; or not at all on one day."""
    rows = [
        contract("a", "acme", FIRST, LAST, predecessor_ids=("b",)),
        contract("b", "acme", NEXT, END, predecessor_ids=("a",)),
    ]
    assert portfolio.recurring(rows, on=ON).value == ka.Money(100, "EUR")
    assert portfolio.renewal_rate(rows, YEAR, on=ON).value == 1
    same_day = [
        contract("a", "acme", FIRST, LAST, predecessor_ids=("b",)),
        contract("b", "acme", FIRST, LAST, predecessor_ids=("a",)),
    ]
    assert portfolio.recurring(same_day, on=date(2026, 1, 1)).value == ka.Money(200, "EUR")


def test_shared_accounts_are_remarked_for_what_was_due_and_what_expired() -> None:
    """A split by manager says which accounts several managers share on the day that counts."""
    rows = [contract("a", "acme", FIRST, LAST)]
    known = portfolio.Accounts.of(
        [ka.Organisation("acme", name="ACME")],
        assignments=[
            ka.Assignment("1", "anna", "acme", valid_until=LAST),
            ka.Assignment("2", "bert", "acme", valid_until=LAST),
        ],
    )
    for by, remarks in (("manager", ("Shared by several managers, counted for the leading one: acme.",)), ("tier", ())):
        assert portfolio.renewal_rate(rows, YEAR, on=ON, by=by, accounts=known).remarks == remarks
        assert portfolio.expired_unrenewed(rows, on=ON, by=by, accounts=known).remarks == remarks


@pytest.mark.parametrize("metric", [portfolio.movements, portfolio.expired_unrenewed, portfolio.renewal_rate])
def test_parts_by_group_say_that_they_overlap(metric: Any) -> None:
    """An account may be in several groups."""
    given = (
        {"on": ON, "by": "group"}
        if metric is portfolio.expired_unrenewed
        else {"period": YEAR, "on": ON, "by": "group"}
    )
    assert (
        "The parts overlap: an account may be in several groups."
        in metric([contract("a", "x", FIRST, LAST)], **given).remarks
    )


def test_nothing_of_value_was_due() -> None:
    """Where only contracts without recurring value were due, the reason does not say that none was."""
    rows = [contract("a", "acme", FIRST, LAST, value_per="once")]
    figure = portfolio.renewal_rate(rows, YEAR, on=ON, measure="value")
    assert (figure.value, figure.reason) == (None, "no contract with recurring value was due")


def test_an_account_is_named_once_however_its_calls_come() -> None:
    """Calls come in the order of time, accounts in between."""

    def call(id: str, account: str, day: int) -> ka.Activity:
        at = datetime(2026, 3, day, 9, tzinfo=UTC)
        return ka.Activity(
            id, account, contact_ids=(f"c-{account}",), kind="call", direction="out", connected=True, at=at
        )

    rows = [call("1", "b", 1), call("2", "a", 2), call("3", "b", 3), call("4", "a", 4)]
    figure = portfolio.call_to_meeting(rows, YEAR, on=ON)
    assert figure.accounts.denominator == ("b", "a")
    assert figure.records.denominator == ("1", "2", "3", "4")


def test_an_alert_begins_when_there_is_a_contract() -> None:
    """The lead of a contract that was signed within it begins on the day of signing; signed too late it has none."""
    late = contract("a", "acme", FIRST, LAST, signed_on=date(2026, 6, 10))
    too_late = contract("b", "globex", FIRST, LAST, signed_on=date(2026, 7, 10))
    found = portfolio.alerts([late, too_late], YEAR, on=ON)
    assert [(alert.contract_id, alert.raised_on) for alert in found] == [("a", date(2026, 6, 10))]


def test_a_successor_starts_no_earlier() -> None:
    """Signing what begins before the contract it renews is refused, and nothing is written."""
    book = ka.open(clock=lambda: datetime(2026, 5, 15, 9, tzinfo=UTC))
    office = book.trusted("test")
    office.put(ka.Organisation("acme", name="ACME"), contract("a", "acme", FIRST, LAST))
    (renewal,) = office.renewals.raise_alerts().raised
    with pytest.raises(ka.ValidationError, match="lies before 2025-07-01"):
        office.renewals.sign(renewal.id, contract=contract("b", "acme", date(2020, 1, 1), date(2020, 12, 31)))
    assert office.count(ka.Contract) == 1
    assert office.renewals.open_renewals()[0].state == "alerted"
