"""Figures: the result of a metric, with both sides of the fraction, the records on them, and what was left out.

Everything is exact inside; money is rounded once, at the end, and amounts shown together are rounded together.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import attrs

from keyaccount.calendars import Period
from keyaccount.errors import ValidationError
from keyaccount.evidence import Excluded
from keyaccount.money import SCALE, Money, minor_places
from keyaccount.pages import STYLE, Shown, amount, facts_page, rows_page, table
from keyaccount.results import Result, Rows
from keyaccount.values import FrozenMap

NONE = "none"
"""The part of what has no manager, unit, sector: it keeps the parts adding up to the whole."""

Value: TypeAlias = Fraction | Money | int | None
Exchange: TypeAlias = Callable[[str, date], Decimal | Fraction | int | None]
"""The host's rates: a currency and a day give what one unit of it is worth in the currency asked for."""

_SHOWN = 20
_SHARES = ("decided", "within target")


@attrs.frozen(repr=False)
class Records(Result):
    """The ids of the records on both sides of a fraction; a contract due several times stands there as often.

    Tuples up to 10,000 ids; more are kept packed, in a sequence that equals the tuple, so that they take little memory.
    """

    numerator: Sequence[str] = ()
    denominator: Sequence[str] = ()


class _Later:
    """A record of which somebody may never look at more than its name: its fields are filled when it is asked for one.

    A desk of ten thousand accounts makes as many figures for each metric, and most are never looked at.
    """

    __slots__ = ("_filled_by",)

    if not TYPE_CHECKING:  # what is no field is still a mistake

        def __getattr__(self, name: str) -> Any:
            """Fill what was left open, and return the field asked for."""
            fields = attrs.fields_dict(type(self))
            if name not in fields:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            make = self._filled_by
            if make is not None:  # as it is where another thread was faster
                made = make()
                for field in fields:
                    object.__setattr__(self, field, getattr(made, field))
                object.__setattr__(self, "_filled_by", None)
            return object.__getattribute__(self, name)


@attrs.frozen(repr=False)
class Figure(_Later, Result):
    """A metric's value and everything needed to believe it.

    `value` is exact (a share is a `Fraction`); None with a `reason` where there was nothing to count. `records` are
    the contracts on both sides, `accounts` the accounts (or ultimate parents) they belong to. `excluded` were left out,
    each with its reason. A `provisional` figure may still change. `beside` are further exact values of the same
    definition, `remarks` what a reader must know. `parts` is there where `by=` was given; each part is a figure whose
    `part` says which (`"none"`: of no manager, unit, …).
    """

    name: str
    value: Value
    numerator: Value = None
    denominator: Value = None
    reason: str | None = None
    records: Records = Records()
    accounts: Records = Records()
    excluded: Sequence[Excluded] = ()
    provisional: bool = False
    definition: str = ""
    period: Period | None = None
    level: str = "account"
    on: date | None = None
    attribution: str = "then"
    part: str | None = None
    parts: Figures | None = None
    beside: Mapping[str, Value] = FrozenMap()
    remarks: tuple[str, ...] = ()

    @classmethod
    def later(cls, part: str, make: Callable[[], Figure]) -> Figure:
        """Return the figure of a part, which is made when somebody looks at it; `make` must not fail."""
        figure = object.__new__(cls)
        object.__setattr__(figure, "part", part)
        object.__setattr__(figure, "_filled_by", make)
        return figure

    def explain(self) -> str:
        """Return the figure as text: the value, both sides with their records, what was left out, and what it means."""
        return "\n".join(_explained(self))

    def __str__(self) -> str:
        """Say the value and both sides in one line."""
        return _headline(self)

    def _repr_html_(self) -> str:
        """Show it in a notebook as `explain()` tells it: a share in percent, numbers of records, and its parts."""
        facts = {name: said for name, said in _facts(self).items() if said}
        return facts_page(facts) + (self.parts._repr_html_().removeprefix(STYLE) if self.parts is not None else "")


@attrs.frozen(repr=False)
class Figures(Rows[Figure]):
    """Figures by part or by account: rows, also found by the name of their part, as in `parts["volker"]`.

    `whole` is what figures by account come to together, with `parts` where `by=` was given.
    """

    rows: tuple[Figure, ...]
    whole: Figure | None = None

    @overload
    def __getitem__(self, index: int | str) -> Figure: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Figure, ...]: ...
    def __getitem__(self, index: int | str | slice) -> Figure | tuple[Figure, ...]:
        """Return one figure by its place or its part, or several."""
        if not isinstance(index, str):
            return self.rows[index]
        for row in self.rows:
            if row.part == index:
                return row
        raise ValidationError.of("Figures", "part", index, "is no part of this figure")

    def __contains__(self, part: object) -> bool:
        """Say whether there is a part of that name, or that figure."""
        return any(part in (row.part, row) for row in self.rows)

    def _repr_html_(self) -> str:
        """Show a line for each in a notebook, and what they come to together."""
        shown = [*self.rows, *((attrs.evolve(self.whole, part="all", parts=None),) if self.whole is not None else ())]
        names = dict.fromkeys(name for row in shown for name, value in row.beside.items() if value is not None)
        heads = ("", "value", "part", "of", "records", *names, "left out")
        caption = f"{shown[0].name}{_span(shown[0].period)}{_known(shown[0].on)}" if shown else ""
        return table(heads, [_row(row, names) for row in shown], caption) if shown else rows_page([])

    def keys(self) -> tuple[str, ...]:
        """Return the names of the parts."""
        return tuple(row.part or NONE for row in self.rows)

    def items(self) -> tuple[tuple[str, Figure], ...]:
        """Return each part's name and figure."""
        return tuple(zip(self.keys(), self.rows, strict=True))


# ---- text ----------------------------------------------------------------------------------------------------------


def _headline(figure: Figure) -> str:
    of = "" if figure.part is None else f" of {figure.part}"
    return f"{figure.name}{of}{_span(figure.period)}{_known(figure.on)}: {_said(figure)}"


def _span(period: Period | None) -> str:
    return (
        ""
        if period is None
        else f" from {period.start} to {period.end - timedelta(1)}"
        if period.days
        else " of no day"
    )


def _known(on: date | None) -> str:
    return "" if on is None else f", as known on {on}"


def _said(figure: Figure) -> str:
    if figure.value is None:
        return f"no value ({figure.reason})"
    whole = "" if figure.denominator is None else f" ({told(figure.numerator)} of {told(figure.denominator)})"
    return f"{told(figure.value, share=bool(whole))}{whole}{', provisional' if figure.provisional else ''}"


def told(value: Value, *, share: bool = False) -> str:
    """Write a value for people: a share in percent with one decimal, other fractions with two.

    >>> told(Fraction(2, 3), share=True), told(Fraction(7, 2)), told(Money("12.5", "EUR"))
    ('66.7 %', '3.5', '12.50 EUR')
    """
    if isinstance(value, Fraction) and share:
        return f"{_decimal(value * 100, 1):f} %"
    if isinstance(value, Fraction) and value.denominator != 1:
        return f"{_decimal(value, 2):f}".rstrip("0").rstrip(".")
    return str(value)


def _decimal(value: Fraction, places: int) -> Decimal:
    """Round half-even; the digits are set one by one, so that no context of the host's can cut them."""
    units = round(value * 10**places)
    return Decimal((int(units < 0), tuple(map(int, str(abs(units)))), -places))


def _explained(figure: Figure) -> Iterator[str]:
    yield _headline(figure)
    ratio = figure.denominator is not None or bool(figure.records.denominator)
    if ratio or figure.records.numerator:
        yield f"  counted: {_ids(figure.records.numerator)}"
    if figure.records.denominator or (ratio and not figure.records.numerator):
        yield f"  out of: {_ids(figure.records.denominator)}"
    if figure.accounts.denominator:
        counted = f"{_ids(figure.accounts.numerator)} out of " if figure.accounts.numerator else ""
        yield f"  accounts: {counted}{_ids(figure.accounts.denominator)}"
    for name, value in figure.beside.items():
        if value is not None:
            yield f"  {name}: {told(value, share=is_share(name))}"
    if figure.provisional:
        yield "  This figure is provisional: it may still change."
    yield from (f"  {remark}" for remark in figure.remarks)
    yield from (f"  left out: {one.id}: {one.reason}" for one in figure.excluded[:_SHOWN])
    if len(figure.excluded) > _SHOWN:
        yield f"  left out: {len(figure.excluded) - _SHOWN} more"
    yield from (f"  {_said_of_part(part)}" for part in figure.parts or ())
    how = "" if figure.attribution == "then" else "; manager, group and status as they are now"
    yield f"  Definition ({figure.level} level{how}): {figure.definition}."


def _facts(figure: Figure) -> dict[str, str | int]:
    """Return a figure's facts for a notebook, by what they are called."""
    counted, out_of = figure.accounts.numerator, figure.accounts.denominator
    return {
        figure.name: _said(figure),
        "period": _span(figure.period).removeprefix(" from ") if figure.period and figure.period.days else "",
        "as known on": str(figure.on or ""),
        "records": _sides(figure),
        "accounts": (f"{len(counted)} of {len(out_of)}" if counted else f"{len(out_of)}") if out_of else "",
        **{name: told(value, share=is_share(name)) for name, value in figure.beside.items() if value is not None},
        "remarks": " ".join(figure.remarks),
        "left out": "; ".join(f"{one.id}: {one.reason}" for one in figure.excluded[:_SHOWN])
        + (f"; {len(figure.excluded) - _SHOWN} more" if len(figure.excluded) > _SHOWN else ""),
        "definition": f"{figure.definition} ({figure.level} level)",
    }


def _sides(figure: Figure) -> str:
    one, other = len(figure.records.numerator), len(figure.records.denominator)
    return f"{one} and {other}" if one and other else f"{one or other}" if one or other else ""


def _row(figure: Figure, names: Iterable[str]) -> list[Any]:
    """Return a figure as a line of a table: numbers as they are, so that they stand below each other."""
    share = isinstance(figure.value, Fraction) and figure.denominator is not None
    value = Shown(figure.reason or "") if figure.value is None else _number(figure.value, share=share)
    beside = [_number(figure.beside.get(name), share=is_share(name)) for name in names]
    sides = [_number(side) for side in (figure.numerator, figure.denominator)]
    return [figure.part, value, *sides, len(figure.records.numerator), *beside, len(figure.excluded) or None]


def _number(value: Value, *, share: bool = False) -> Shown | None:
    if value is None:
        return None
    return Shown(amount(value.to_dict()) if isinstance(value, Money) else told(value, share=share), right=True)


def is_share(name: str) -> bool:
    """Say whether what stands beside a figure under a name is a share, which is told in percent."""
    return name in _SHARES or name.startswith("top ")


def _said_of_part(part: Figure) -> str:
    return f"{part.part}: {_said(part)}"


def _ids(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return f"{', '.join(ids[:_SHOWN]) or 'nothing'}{more}"


# ---- rounding and rates --------------------------------------------------------------------------------------------


def rounded(units: Fraction | int, currency: str) -> Money:
    """Round an exact amount in ten-thousandths to the currency's minor unit, half-even.

    >>> rounded(Fraction(123450), "EUR"), rounded(Fraction(10**6, 3), "EUR")
    (Money('12.34', 'EUR'), Money('33.33', 'EUR'))
    """
    step = _step(currency)
    if isinstance(units, int) and not units % step:  # as most sums are
        return Money.of_units(units, currency)
    return Money.of_units(round(Fraction(units, step)) * step, currency)


def rounded_together(amounts: Sequence[Fraction | int], total: Money) -> list[Money]:
    """Round amounts so that they add up to their rounded total: the largest remainders are rounded up.

    >>> third = Fraction(10**6, 3)
    >>> [str(part) for part in rounded_together([third, third, third], Money(100, "EUR"))]
    ['33.34 EUR', '33.33 EUR', '33.33 EUR']
    """
    return [Money.of_units(units, total.currency) for units in units_together(amounts, total)]


def units_together(amounts: Sequence[Fraction | int], total: Money) -> list[int]:
    """Round amounts as `rounded_together` does, and return them in ten-thousandths."""
    step = _step(total.currency)
    if all(type(amount) is int and not amount % step for amount in amounts):  # as they nearly always are
        return list(map(int, amounts))
    scaled = [Fraction(amount) / step for amount in amounts]
    floors = [exact.numerator // exact.denominator for exact in scaled]
    missing = total.units // step - sum(floors)
    there = [n for n, exact in enumerate(scaled) if exact] or range(len(scaled))  # nothing stays nothing
    ranked = sorted(there, key=lambda n: (floors[n] - scaled[n], -abs(scaled[n]), n))
    if missing < 0:
        ranked.reverse()
    for place in range(abs(missing)) if ranked else ():
        floors[ranked[place % len(ranked)]] += 1 if missing > 0 else -1
    return [floor * step for floor in floors]


@functools.cache
def _step(currency: str) -> int:
    units: int = 10 ** (SCALE - minor_places(currency))
    return units


@attrs.frozen
class Rates:
    """Amounts in several currencies as one: each converted at a day's rate of the host, or left in its own."""

    currency: str | None = None
    exchange: Exchange | None = None

    def target(self, currency: str) -> str:
        """Return the currency that amounts of this one are counted in."""
        return currency if self.currency is None or self.exchange is None else self.currency

    def convert(self, units: Fraction | int, currency: str, day: date) -> Fraction | int:
        """Return an amount in the currency asked for.

        Raises ValidationError naming currency and day where the host has no rate: it is never taken as 1.
        """
        if self.exchange is None or self.currency in (None, currency):
            return units
        return units * _checked_rate(self.exchange(currency, day), currency, day)


def rates_to(exchange: Exchange | None, currency: str) -> Exchange:
    """Return a host's rates as what a unit is worth in one currency: its rate divided by that currency's own.

    Rates that do not name that currency are taken to be in it. What the host has no rate for has none here either.

    >>> in_euros = {"EUR": 1, "USD": Fraction(9, 10), "CHF": Fraction(21, 20)}
    >>> rates_to(lambda currency, day: in_euros[currency], "USD")("CHF", date(2026, 11, 21))
    Fraction(7, 6)
    """

    def worth(of: str, day: date) -> Decimal | Fraction | int | None:
        rate, own = _rate(exchange, of, day), _rate(exchange, currency, day)
        if rate is None or own is None:
            return rate
        return _checked_rate(rate, of, day) / _checked_rate(own, currency, day)

    return worth


def _checked_rate(rate: object, currency: str, day: date) -> Fraction:
    """Return a host's rate; raise ValidationError naming currency and day where it is none: never taken as 1."""
    if isinstance(rate, bool) or not isinstance(rate, (int, Fraction, Decimal)):
        raise ValidationError.of("exchange", currency, str(day), "has no rate; give an int, a Decimal or a Fraction")
    if (isinstance(rate, Decimal) and not rate.is_finite()) or rate <= 0:
        raise ValidationError.of("exchange", currency, str(day), "has a rate that is not above zero")
    return Fraction(rate)


def _rate(exchange: Exchange | None, currency: str, day: date) -> Decimal | Fraction | int | None:
    try:
        return None if exchange is None else exchange(currency, day)
    except LookupError:
        return None


def one_currency(currencies: Iterable[str], what: str) -> str:
    """Return the only currency; raise ValidationError naming them where there are several."""
    found = sorted(set(currencies))
    if len(found) > 1:
        raise ValidationError.of(what, "currency", ", ".join(found), "cannot be added up; give currency= and exchange=")
    return found[0]


def shown_in_order(parts: Mapping[str, Any]) -> list[str]:
    """Return the names of parts in order, `"none"` last."""
    return sorted(parts, key=lambda name: (name == NONE, name))
