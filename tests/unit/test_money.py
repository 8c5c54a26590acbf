"""Money: exact, in one currency, whatever the host's decimal context."""

from __future__ import annotations

import decimal
import operator
import pickle
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import keyaccount as ka
from keyaccount.money import CURRENCIES, minor_places

# Whole ten-thousandths: the independent model of an amount.
ticks = st.integers(-(10**16), 10**16)


def eur(number: int) -> ka.Money:
    """Make euros from ten-thousandths, by way of text."""
    sign, (whole, rest) = "-" if number < 0 else "", divmod(abs(number), 10_000)
    return ka.Money(f"{sign}{whole}.{rest:04d}", "EUR")


@given(a=ticks, b=ticks, factor=st.integers(-1000, 1000))
def test_arithmetic_is_that_of_whole_numbers(a: int, b: int, factor: int) -> None:
    """Sums, differences, multiples and comparisons are exactly those of ten-thousandths."""
    assert eur(a) + eur(b) == eur(a + b)
    assert eur(a) - eur(b) == eur(a - b)
    assert -eur(a) == eur(-a)
    assert eur(a) * factor == eur(a * factor)
    assert eur(a).units == a
    assert ka.Money.of_units(a, "EUR") == eur(a)
    for compare in (operator.lt, operator.le, operator.gt, operator.ge, operator.eq):
        assert compare(eur(a), eur(b)) is compare(a, b)
    if b:
        assert eur(a) / eur(b) == Fraction(a, b)


@given(st.lists(ticks, max_size=30))
def test_total(amounts: list[int]) -> None:
    """A total is the exact sum, and zero of nothing."""
    assert ka.Money.total(map(eur, amounts), "EUR") == eur(sum(amounts))


def test_binary_fractions_do_not_creep_in() -> None:
    """Ten dimes are one euro, and 0.1 + 0.2 is 0.3."""
    assert ka.Money.total([ka.Money("0.1", "EUR")] * 10, "EUR") == ka.Money(1, "EUR")
    assert str(ka.Money("0.1", "EUR") + ka.Money("0.2", "EUR")) == "0.30 EUR"


@pytest.mark.parametrize(
    ("amount", "currency", "rounded"),
    [
        ("2.345", "EUR", "2.34"),  # half to even: 2.34 is even
        ("2.355", "EUR", "2.36"),
        ("-2.345", "EUR", "-2.34"),
        ("2.3451", "EUR", "2.35"),
        ("2.5", "JPY", "2"),
        ("3.5", "JPY", "4"),
        ("1.0005", "KWD", "1.000"),
        ("1.0015", "KWD", "1.002"),
        ("1.2345", "CLF", "1.2345"),
    ],
)
def test_rounding_is_half_even_to_the_minor_unit(amount: str, currency: str, rounded: str) -> None:
    """Rounding goes half-even to the currency's own minor unit."""
    assert ka.Money(amount, currency).rounded() == ka.Money(rounded, currency)


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        ("12.5", "EUR", "12.50 EUR"),
        ("1E+3", "EUR", "1000.00 EUR"),
        ("0.0001", "EUR", "0.0001 EUR"),
        ("-0", "EUR", "0.00 EUR"),
        ("5", "JPY", "5 JPY"),
        ("5", "KWD", "5.000 KWD"),
    ],
)
def test_text_and_dict(amount: str, currency: str, text: str) -> None:
    """Money is shown with at least the minor unit's places, never with an exponent or a minus before nothing."""
    money = ka.Money(amount, currency)
    assert str(money) == text
    assert money.to_dict() == {"amount": text.partition(" ")[0], "currency": currency}
    assert "E+" not in repr(money)
    assert pickle.loads(pickle.dumps(money)) == money  # noqa: S301 - our own bytes


def test_equal_money_hashes_equal() -> None:
    """Amounts that are equal are one key of a dictionary, and another currency is another key."""
    assert len({ka.Money("1", "EUR"), ka.Money("1.00", "EUR"), ka.Money(Decimal("1E0"), "EUR")}) == 1
    assert ka.Money("1", "EUR") != ka.Money("1", "CHF")


HOSTILE: tuple[Any, ...] = (
    1.5, float("nan"), True, None, "", "abc", "12,50", "1" * 101, "NaN", "sNaN", "Infinity", Decimal("NaN"),
    Decimal("sNaN"), Decimal("-Infinity"), "0.00001", Decimal("1E-999999"), Decimal("1E+999999"), 1 << 500,
    Fraction(1, 2), b"1", [1], object(), 1j, "\ud800", "1\x00",
)  # fmt: skip


@pytest.mark.parametrize("amount", HOSTILE)
def test_bad_amounts_are_refused(amount: Any) -> None:
    """A float, what is no finite number, a fifth decimal place: refused, naming the field."""
    with pytest.raises(ka.ValidationError) as caught:
        ka.Money(amount, "EUR")
    assert [(p.entity, p.field) for p in caught.value.problems] == [("Money", "amount")]


def test_no_digit_is_dropped_in_silence() -> None:
    """An amount that differs from a whole ten-thousandth, however far behind the point, is refused and not rounded."""
    with pytest.raises(ka.ValidationError):
        ka.Money(Decimal("1." + "0" * 250 + "1"), "EUR")


@pytest.mark.parametrize("currency", ["", "eur", "EURO", "XXX", None, 978, ["EUR"], "EUR ", "\ud800"])
def test_bad_currencies_are_refused(currency: Any) -> None:
    """Only ISO 4217 codes in capitals are currencies."""
    with pytest.raises(ka.ValidationError) as caught:
        ka.Money("1", currency)
    assert [(p.entity, p.field) for p in caught.value.problems] == [("Money", "currency")]


def test_nearest_currency_is_suggested() -> None:
    """A mistyped currency is answered with the nearest one."""
    with pytest.raises(ka.ValidationError, match="did you mean"):
        ka.Money("1", "EURO")


COMBINE: tuple[Callable[[Any, Any], Any], ...] = (
    operator.add, operator.sub, operator.truediv, operator.lt, operator.le, operator.gt, operator.ge,
)  # fmt: skip


@pytest.mark.parametrize("combine", COMBINE)
@pytest.mark.parametrize("other", [ka.Money("1", "CHF"), 1, "1 EUR", None, 1.0])
def test_only_the_same_currency_combines(combine: Callable[[Any, Any], Any], other: Any) -> None:
    """Two currencies, or money and a bare number, are never combined by a guess."""
    with pytest.raises(ka.ValidationError):
        combine(ka.Money("1", "EUR"), other)


@pytest.mark.parametrize("factor", [1.5, Decimal(2), True, "2", None])
def test_only_whole_factors(factor: Any) -> None:
    """Money is multiplied by whole numbers only."""
    with pytest.raises(ka.ValidationError):
        ka.Money("1", "EUR") * factor


def test_dividing_by_nothing() -> None:
    """A ratio to zero is refused as a ValidationError, not as Python's own error."""
    with pytest.raises(ka.ValidationError):
        ka.Money("1", "EUR") / ka.Money(0, "EUR")


@given(a=ticks, b=ticks)
def test_hosts_decimal_context_changes_nothing(a: int, b: int) -> None:
    """Under a host's context of three digits that traps rounding, every figure stays exact."""
    expected = (str(eur(a) + eur(b)), str(eur(a).rounded()), repr(eur(a) * 3))
    traps = [decimal.Inexact, decimal.Rounded]
    with decimal.localcontext(decimal.Context(prec=3, rounding=decimal.ROUND_UP, traps=traps)):
        assert (str(eur(a) + eur(b)), str(eur(a).rounded()), repr(eur(a) * 3)) == expected
        assert ka.Money(Decimal(a).scaleb(-4, context=decimal.Context(prec=60)), "EUR").units == a


def test_minor_units() -> None:
    """Minor units are those of ISO 4217: none for the yen, three for the Kuwaiti dinar, else two."""
    places = {code: minor_places(code) for code in ("EUR", "JPY", "KWD", "CLF", "ISK", "TND", "USD")}
    assert places == {"EUR": 2, "JPY": 0, "KWD": 3, "CLF": 4, "ISK": 0, "TND": 3, "USD": 2}
    assert all(len(code) == 3 and code.isupper() for code in CURRENCIES)
