"""Figures and metrics as calls: rounding, refusals, streams, the edges of the calendar."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import keyaccount as ka
from keyaccount import contracts, portfolio
from keyaccount.figures import Figures, rounded, rounded_together, told

YEAR, ON = ka.Period.year(2025), date(2026, 3, 1)


def lease(id: str, account: str = "acme", **more: Any) -> ka.Contract:
    """Make a contract over 2024 and 2025."""
    usual = {"signed_on": date(2024, 1, 1), "starts_on": date(2024, 1, 1), "ends_on": date(2025, 12, 31)}
    return ka.Contract(id, organisation_id=account, **{**usual, **more})


@given(amounts=st.lists(st.fractions(-1000, 1000, max_denominator=99), min_size=1, max_size=9))
def test_rounded_together_adds_up(amounts: list[Fraction]) -> None:
    """Amounts shown together add up to the rounded total, and each is less than two cents from its own."""
    units = [amount * 10_000 for amount in amounts]
    total = rounded(sum(units), "EUR")
    parts = rounded_together(units, total)
    assert ka.Money.total(parts, "EUR") == total
    for part, exact in zip(parts, amounts, strict=True):
        assert abs(Fraction(part.amount) - exact) < Fraction(2, 100)
        assert exact or not part.amount


def test_rounding_is_half_even_to_the_minor_unit() -> None:
    """Half a cent goes to the even cent; a yen has no cents, a dinar three."""
    assert [str(rounded(units, "EUR")) for units in (50, 150, -50, -150)] == [
        "0.00 EUR",
        "0.02 EUR",
        "0.00 EUR",
        "-0.02 EUR",
    ]
    assert rounded(25_000, "JPY") == ka.Money(2, "JPY")
    assert rounded(12_345, "KWD") == ka.Money("1.234", "KWD")


def test_values_in_words() -> None:
    """Shares are percent with a decimal, other fractions numbers, also below zero."""
    assert told(Fraction(1, 8), share=True) == "12.5 %"
    assert told(Fraction(-1, 3), share=True) == "-33.3 %"
    assert [told(value) for value in (Fraction(-3, 10), Fraction(10, 4), Fraction(40), 7)] == ["-0.3", "2.5", "40", "7"]


@pytest.mark.parametrize(
    ("option", "value", "hint"),
    [
        ("level", "acount", "'account'"),
        ("attribution", "them", "'then'"),
        ("by", "manger", "'manager'"),
        ("lvel", "account", "'level'"),
        ("currency", "EURO", "ISO 4217"),
        ("exchange", lambda *_: 1, "currency"),
    ],
)
def test_a_misspelt_option_is_named(option: str, value: Any, hint: str) -> None:
    """A wrong word, or an option that does not exist, is refused with the nearest right one."""
    with pytest.raises(ka.ValidationError, match=hint):
        portfolio.renewal_rate([], YEAR, on=ON, **{option: value})


@pytest.mark.parametrize("on", [None, "2026-03-01", 5])
def test_the_day_is_a_day(on: Any) -> None:
    """What is no day is refused by every metric and every question."""
    calls: Any = (
        lambda: portfolio.renewal_rate([], YEAR, on=on),
        lambda: portfolio.movements([], YEAR, on=on),
        lambda: portfolio.recurring([], on=on),
        lambda: portfolio.due([], on=on),
        lambda: contracts.state(lease("m1"), on=on),
        lambda: contracts.cover([], on=on),
    )
    for call in calls:
        with pytest.raises(ka.ValidationError):
            call()


@pytest.mark.parametrize("rate", [None, 0, -1, Decimal("NaN"), 0.9, True, "0.9"])
def test_a_rate_is_exact_and_above_zero(rate: Any) -> None:
    """A missing rate, a float and what is not above zero are refused with currency and day, never taken as 1."""
    row = lease("m1", value=ka.Money(1, "CHF"))
    with pytest.raises(ka.ValidationError, match=r"CHF.*2025-06-01"):
        portfolio.recurring([row], on=date(2025, 6, 1), currency="EUR", exchange=lambda *_: rate)


def test_several_currencies_do_not_move_together() -> None:
    """Movements in several currencies without rates are an error that names the currencies."""
    rows = [lease("m1", value=ka.Money(1, "CHF")), lease("m2", value=ka.Money(1, "EUR"))]
    with pytest.raises(ka.ValidationError, match="CHF, EUR"):
        portfolio.movements(rows, YEAR, on=ON)


def test_a_contract_stands_there_once() -> None:
    """The same id twice is a mistake in the host's query, and is not counted twice."""
    with pytest.raises(ka.ValidationError, match="twice"):
        portfolio.renewal_rate([lease("m1"), lease("m1")], YEAR, on=ON)


def test_an_account_comes_once_where_grouped() -> None:
    """Account by account means sorted: an account that comes again is refused."""
    rows = [lease("m1"), lease("m2", "globex"), lease("m3")]
    with pytest.raises(ka.ValidationError, match="acme"):
        portfolio.renewal_rate(rows, YEAR, on=ON, grouped=True)


def test_a_stream_is_read_once_and_let_go() -> None:
    """Account by account, no more than one account's contracts are held while the stream is read."""
    alive = 0
    most = 0

    class Counted(ka.Contract):
        __slots__ = ("__dict__",)

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def stream() -> Iterator[ka.Contract]:
        nonlocal alive, most
        for n in range(300):
            alive, most = alive + 1, max(most, alive + 1)
            yield Counted(f"m{n}", organisation_id=f"a{n // 3}", signed_on=date(2024, 1, 1), starts_on=date(2024, 1, 1))

    figure = portfolio.account_retention(stream(), YEAR, on=ON, grouped=True)
    assert (figure.value, figure.denominator) == (1, 100)
    assert most <= 12


def test_who_left_managed_then() -> None:
    """A manager who is active no more still managed the account then; now nobody does."""
    accounts = portfolio.Accounts.of(
        users=[ka.User("dora", name="Dora", active=False, unit_ids=("dach",))],
        assignments=[ka.Assignment("a", "dora", "acme")],
    )
    for by, then in (("manager", "dora"), ("unit", "dach")):
        how: Any = {"by": by, "accounts": accounts}
        assert portfolio.renewal_rate([lease("m1")], YEAR, on=ON, **how).parts.keys() == (then,)  # type: ignore[union-attr]
        now = portfolio.renewal_rate([lease("m1")], YEAR, on=ON, attribution="now", **how)
        assert now.parts is not None
        assert now.parts.keys() == ("none",)


def test_shared_accounts_are_listed() -> None:
    """An account of several managers counts for the leading one, and is named."""
    accounts = portfolio.Accounts.of(
        assignments=[ka.Assignment("a", "dora", "acme"), ka.Assignment("b", "volker", "acme")]
    )
    figure = portfolio.account_retention([lease("m1")], YEAR, on=ON, by="manager", accounts=accounts)
    assert figure.remarks == ("Shared by several managers, counted for the leading one: acme.",)


def test_a_callable_splits() -> None:
    """A function of account and day splits as the shipped dimensions do."""
    figure = portfolio.account_retention([lease("m1")], YEAR, on=ON, by=lambda account, day: f"{account} {day.year}")
    assert isinstance(figure.parts, Figures)
    assert figure.parts["acme 2025"].value == 1
    assert "acme 2025" in figure.parts
    assert dict(figure.parts.items())["acme 2025"].part == "acme 2025"
    with pytest.raises(ka.ValidationError):
        figure.parts["acme"]


def test_parents_in_a_circle() -> None:
    """Organisations that stand under each other are one parent, whichever is asked first."""
    accounts = portfolio.Accounts.of(
        [ka.Organisation("b", name="B", parent_id="a"), ka.Organisation("a", name="A", parent_id="b")]
    )
    assert {accounts.ultimate_parent(id) for id in ("a", "b")} == {"a"}


EDGES = [
    {"starts_on": date(9999, 12, 1), "notice": ka.months(3), "terminated_on": date(9999, 12, 30)},
    {"starts_on": date.min, "initial_term": ka.months(12_000), "renewal_term": ka.months(12_000)},
    {"starts_on": date(9000, 1, 31), "ends_on": date.max, "renewal_term": ka.months(1), "notice": ka.months(12_000)},
    {"starts_on": date.min, "ends_on": date.min, "notice": ka.days(366_000), "renewal_term": ka.months(1)},
    {"starts_on": date.max, "ends_on": date.max, "value": ka.Money(1, "EUR"), "value_per": "term"},
    {"starts_on": date.min, "notice": ka.months(1, clause="year"), "terminated_on": date.max},
]


@pytest.mark.parametrize("fields", EDGES, ids=range(len(EDGES)))
def test_edges_of_the_calendar(fields: dict[str, Any]) -> None:
    """At both ends of the calendar every question has an answer, and none runs away."""
    row = ka.Contract("m1", organisation_id="acme", signed_on=date.min, **fields)
    assert row.last_day is None or row.last_day <= date.max
    for on in (date.min, date(2026, 1, 1), date.max):
        assert contracts.state(row, on=on) in contracts.STATES
        assert contracts.notice_deadline(row, on=on) is None or contracts.alert_day(row, on=on) is not None
        period = ka.Period(date.min, date.max)
        figures = (
            portfolio.renewal_rate([row], ka.Period.year(2025), on=on),
            portfolio.account_retention([row], period, on=on),
            portfolio.net_retention([row], period, on=on),
            portfolio.recurring([row], on=on),
        )
        assert all(figure.explain() for figure in figures)
        assert portfolio.movements([row], period, on=on, currency="EUR").explain()
        assert portfolio.due([row], on=on) is not None


def test_explained_in_full() -> None:
    """The text of a figure tells value, both sides, what was left out, and the definition."""
    rows = [
        lease("m1"),
        lease("m2", starts_on=date(2026, 1, 1), ends_on=None, predecessor_ids=("m1",)),
        lease("m3", "globex"),
        lease("m4", "zeta", ends_on=None),
    ]
    assert portfolio.renewal_rate(rows, YEAR, on=ON).explain().splitlines()[:-1] == [
        "Renewal rate of accounts from 2025-01-01 to 2025-12-31, as known on 2026-03-01: 50.0 % (1 of 2)",
        "  counted: m1",
        "  out of: m1, m3",
        "  accounts: acme out of acme, globex",
        "  renewed: 1",
        "  lost: 1",
        "  pending: 0",
        "  tacit: 0",
        "  inferred: 0",
        "  decided: 50.0 %",
        "  left out: m4: open-ended: never due",
    ]
