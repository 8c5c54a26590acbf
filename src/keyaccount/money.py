"""Money: an exact amount in one currency, independent of the host's decimal context."""

from __future__ import annotations

import decimal
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import attrs

from keyaccount.errors import ValidationError, nearest
from keyaccount.results import Result

SCALE = 4
_LONG = 10**60

# Nothing here may depend on what the host set for its own sums.
_EXACT = decimal.Context(prec=200, rounding=decimal.ROUND_HALF_EVEN, traps=[decimal.InvalidOperation])

# ISO 4217, active codes; the minor unit has two places unless named below.
CURRENCIES = frozenset(
    (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF "
        "CHE CHF CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD "
        "GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP "
        "LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB "
        "PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB "
        "TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER "
        "ZAR ZMW ZWG"
    ).split()
)
_MINOR = {
    **dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    **dict.fromkeys("CLF UYW".split(), 4),
}


def minor_places(currency: str) -> int:
    """Return how many decimal places the currency's minor unit has (ISO 4217)."""
    return _MINOR.get(currency, 2)


def exact(value: object) -> Decimal | None:
    """Return a number (an int, a Decimal, or one written as text) in its shortest form; None for anything else.

    >>> exact("12.50"), exact(3), exact(0.1)
    (Decimal('12.5'), Decimal('3'), None)
    """
    try:
        return shortest(_amount(value))
    except ValidationError:
        return None


def shortest(value: Decimal) -> Decimal:
    """Return an equal number without trailing zeros, and without an exponent."""
    found = _EXACT.normalize(value)
    if found.is_zero():
        return Decimal(0)
    return _EXACT.quantize(found, Decimal(1)) if found.as_tuple().exponent > 0 else found  # type: ignore[operator]


def _amount(value: object) -> Decimal:
    if isinstance(value, str) and len(value) <= 100 and value.isascii() and "_" not in value:  # noqa: PLR2004
        try:
            value = _EXACT.create_decimal(value)
        except decimal.InvalidOperation:
            raise ValidationError.of("Money", "amount", value, "is no number; write it as '1234.56'") from None
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise ValidationError.of("Money", "amount", value, "must be a Decimal, an int or text; a float is not exact")
    if isinstance(value, int):
        if value.bit_length() > 400:  # noqa: PLR2004 - far beyond any sum of amounts
            raise ValidationError.of("Money", "amount", value, "is too large")
        return Decimal(value)
    if not value.is_finite() or abs(value.adjusted()) > 120 or len(value.as_tuple().digits) > 150:  # noqa: PLR2004
        raise ValidationError.of("Money", "amount", value, "must be a finite number of at most 150 digits")
    return value


@attrs.frozen(repr=False, order=False, init=False)
class Money(Result):
    """An exact amount in one currency; adding two currencies is an error, never a guess.

    At most four decimal places; a float is refused. It is kept as a whole number of ten-thousandths, its `units`.

    >>> Money("12.50", "EUR") + Money(3, "EUR")
    Money('15.5', 'EUR')
    >>> Money("1", "EUR") < Money("2", "EUR")
    True
    """

    __match_args__ = ("amount", "currency")
    units: int
    currency: str

    def __init__(self, amount: Decimal | int | str, currency: str) -> None:
        """Read an amount; refuse what is no exact number, unknown currencies and a fifth decimal place."""
        found = _amount(amount)
        if not isinstance(currency, str) or currency not in CURRENCIES:
            hint = nearest(currency, CURRENCIES)
            raise ValidationError.of("Money", "currency", currency, f"is no ISO 4217 currency{hint}")
        units = _EXACT.scaleb(found, SCALE)
        if units != units.to_integral_value(context=_EXACT):
            raise ValidationError.of("Money", "amount", found, f"has more than {SCALE} decimal places")
        _put_units(self, int(units))
        _put_currency(self, str.__str__(currency))

    @property
    def amount(self) -> Decimal:
        """The amount in its shortest form: 12.5, not 12.50."""
        return shortest(_EXACT.scaleb(Decimal(self.units), -SCALE))

    @classmethod
    def of_units(cls, units: int, currency: str) -> Money:
        """Make money from ten-thousandths; with a whole number and a known currency there is nothing to check."""
        if type(units) is not int or type(currency) is not str or currency not in CURRENCIES or abs(units) > _LONG:
            return cls(_EXACT.scaleb(Decimal(units), -SCALE), currency)
        found = object.__new__(cls)
        _put_units(found, units)
        _put_currency(found, currency)
        return found

    @classmethod
    def total(cls, amounts: Iterable[Money], currency: str) -> Money:
        """Add up amounts of one currency; nothing adds up to zero.

        >>> Money.total([Money("0.1", "EUR"), Money("0.2", "EUR")], "EUR")
        Money('0.3', 'EUR')
        """
        zero = cls(Decimal(0), currency)
        return cls.of_units(sum(zero._same(amount).units for amount in amounts), currency)

    def rounded(self) -> Money:
        """Round to the currency's minor unit, half-even: once, at the end.

        >>> Money("2.345", "EUR").rounded(), Money("2.5", "JPY").rounded()
        (Money('2.34', 'EUR'), Money('2', 'JPY'))
        """
        places = Decimal(1).scaleb(-minor_places(self.currency), context=_EXACT)
        return Money(_EXACT.quantize(self.amount, places), self.currency)

    def __add__(self, other: Money) -> Money:
        """Add money of the same currency."""
        return Money.of_units(self.units + self._same(other).units, self.currency)

    def __sub__(self, other: Money) -> Money:
        """Take away money of the same currency."""
        return Money.of_units(self.units - self._same(other).units, self.currency)

    def __neg__(self) -> Money:
        """Turn the sign."""
        return Money.of_units(-self.units, self.currency)

    def __mul__(self, factor: int) -> Money:
        """Multiply by a whole number."""
        if not isinstance(factor, int) or isinstance(factor, bool):
            raise ValidationError.of("Money", "factor", factor, "must be a whole number")
        return Money.of_units(self.units * factor, self.currency)

    def __truediv__(self, other: Money) -> Fraction:
        """Return the exact ratio of two amounts of one currency."""
        if not self._same(other).units:
            raise ValidationError.of("Money", "divisor", other, "is zero")
        return Fraction(self.units, other.units)

    def __lt__(self, other: Money) -> bool:
        """Compare amounts of one currency."""
        return self.units < self._same(other).units

    def __le__(self, other: Money) -> bool:
        """Compare amounts of one currency."""
        return self.units <= self._same(other).units

    def __gt__(self, other: Money) -> bool:
        """Compare amounts of one currency."""
        return self.units > self._same(other).units

    def __ge__(self, other: Money) -> bool:
        """Compare amounts of one currency."""
        return self.units >= self._same(other).units

    def __str__(self) -> str:
        """Show the amount with at least the minor unit's places, and the currency."""
        places = minor_places(self.currency)
        text = f"{self.amount:f}"
        _, _, fraction = text.partition(".")
        if len(fraction) < places:
            text = f"{text if fraction else text + '.'}{'0' * (places - len(fraction))}"
        return f"{text} {self.currency}"

    def __repr__(self) -> str:
        """Show how to write it."""
        return f"Money({f'{self.amount:f}'!r}, {self.currency!r})"

    def to_dict(self) -> dict[str, Any]:
        """Return amount and currency as text."""
        amount, currency = str(self).split(" ")
        return {"amount": amount, "currency": currency}

    def _same(self, other: Money) -> Money:
        if not isinstance(other, Money):
            raise ValidationError.of("Money", "other", other, "must be Money")
        if other.currency != self.currency:
            raise ValidationError.of("Money", "currency", other.currency, f"cannot be combined with {self.currency}")
        return other


_put_units, _put_currency = Money.units.__set__, Money.currency.__set__  # type: ignore[attr-defined]  # its slots
