"""Answers in a notebook: amounts and numbers below each other, shares in percent, nothing that says nothing."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from fractions import Fraction

import pytest

import keyaccount as ka
from keyaccount import portfolio
from keyaccount.figures import Figure
from keyaccount.pages import STYLE, amount, facts_page, rows_page


def bill(id: str, account: str, on: date, net: str, kind: str = "invoice") -> ka.Invoice:
    """Make an invoice."""
    return ka.Invoice(id, organisation_id=account, kind=kind, issued_on=on, net=ka.Money(net, "EUR"))


BILLS = [
    bill("i-1", "acme", date(2024, 1, 5), "10"),
    bill("i-2", "acme", date(2025, 2, 1), "40000"),
    bill("i-3", "acme", date(2026, 2, 1), "68000"),
    bill("i-4", "globex", date(2024, 1, 5), "10"),
    bill("i-5", "globex", date(2025, 2, 1), "5000"),
    bill("i-6", "globex", date(2026, 2, 1), "1234.5", "credit note"),
]
ON = date(2026, 11, 23)


def cells(page: str) -> list[list[str]]:
    """Return the rows of a page's table as the texts of their cells."""
    rows = re.findall(r"<tr>(.*?)</tr>", page.removeprefix(STYLE))
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]


def test_figures_by_account_are_a_line_each() -> None:
    """Growth of 28,000 on 40,000 is 70.0 %; of -6,234.50 on 5,000 -124.7 %; together 21,765.50 on 45,000."""
    page = portfolio.growth(BILLS, on=ON)._repr_html_()
    assert cells(page) == [
        ["", "value", "part", "of", "records", "12 months", "12 months before"],
        ["acme", "70.0 %", "28,000.00 EUR", "40,000.00 EUR", "1", "68,000.00 EUR", "40,000.00 EUR"],
        ["globex", "-124.7 %", "-6,234.50 EUR", "5,000.00 EUR", "1", "-1,234.50 EUR", "5,000.00 EUR"],
        ["all", "48.4 %", "21,765.50 EUR", "45,000.00 EUR", "2", "", ""],
    ]
    assert "<caption>Growth from 2025-11-23 to 2026-11-22, as known on 2026-11-23</caption>" in page


def test_the_share_stays_exact_in_plain_data() -> None:
    """A page shows percent; `to_dict()` and the value are the fraction."""
    row = portfolio.growth(BILLS, on=ON)["acme"]
    assert (row.value, row.to_dict()["value"]) == (Fraction(7, 10), "7/10")
    assert "70.0 % (28000.00 EUR of 40000.00 EUR)" in row._repr_html_()


def test_numbers_stand_to_the_right_and_text_to_the_left() -> None:
    """Also the heads of their columns."""
    page = rows_page([{"name": "acme", "open": {"amount": "-12.00", "currency": "EUR"}, "days": 3, "late": True}])
    assert page.removeprefix(STYLE) == (
        '<table class="keyaccount"><thead><tr><th>name</th><th class="number">open</th><th class="number">days</th>'
        '<th>late</th></tr></thead><tbody><tr><td>acme</td><td class="number">-12.00 EUR</td>'
        '<td class="number">3</td><td>yes</td></tr></tbody></table>'
    )


def test_what_says_nothing_is_left_out() -> None:
    """A column that is empty, or no for all rows, is not shown; 0 is a fact, and is."""
    page = rows_page(
        [{"id": "a", "note": None, "vip": False, "level": 0}, {"id": "b", "note": "", "vip": False, "level": 0}]
    )
    assert cells(page) == [["id", "level"], ["a", "0"], ["b", "0"]]
    assert cells(facts_page({"key_account_manager": "Volker", "deputy": None})) == [["key account manager", "Volker"]]


@pytest.mark.parametrize(
    ("units", "said"),
    [(0, "0.00 EUR"), (-5_000, "-0.50 EUR"), (12_345_678_9100, "12,345,678.91 EUR"), (-10_000_000, "-1,000.00 EUR")],
)
def test_amounts_have_their_thousands_apart(units: int, said: str) -> None:
    """Whatever their size and sign."""
    assert amount(ka.Money.of_units(units, "EUR").to_dict()) == said


def test_a_figure_without_value_says_why() -> None:
    """The reason stands where the value would, as text."""
    page = portfolio.growth(BILLS[2:3], on=ON)._repr_html_()
    assert cells(page)[1][:2] == ["acme", "first year"]


def test_one_side_is_explained_as_one_side() -> None:
    """Days since contact count accounts on one side alone: no "nothing out of", and no other side of records."""
    call = ka.Activity("call", organisation_id="acme", kind="call", at=datetime(2026, 11, 12, 9, tzinfo=UTC), by_id="v")
    text = portfolio.days_since_contact([call], on=date(2026, 12, 1))["acme"].explain()
    assert "accounts: acme\n" in text
    assert "nothing" not in text


def test_many_amounts_of_whole_numbers_are_those_of_decimals() -> None:
    """Money made from ten-thousandths is the same, to the digit, as money made from its decimal."""
    for units in (0, 1, -1, 10, 99_999, 10_000, -120_000, 123_450, 10**40, -(10**70), 7 * 10**65):
        made = ka.Money.of_units(units, "EUR")
        whole, rest = divmod(abs(units), 10_000)
        written = ka.Money(f"{'-' if units < 0 else ''}{whole}.{rest:04d}", "EUR")
        assert (made, made.units, repr(made), hash(made)) == (written, units, repr(written), hash(written))
        assert made.amount.as_tuple() == written.amount.as_tuple()


def test_a_page_has_one_style() -> None:
    """Parts of a figure come below it, in the same style."""
    figure = portfolio.concentration(BILLS, on=ON)
    assert isinstance(figure, Figure)
    assert figure._repr_html_().count("<style>") == 1
