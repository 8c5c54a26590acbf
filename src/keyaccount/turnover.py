"""What was billed or ordered, by account: exact sums over half-open windows, in one pass.

Formulas stand once above these sums, whoever adds them up: `turnover` here, a storage, or an engine of data frames.
"""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from fractions import Fraction
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

import attrs

from keyaccount.calendars import Period
from keyaccount.errors import ValidationError
from keyaccount.evidence import Later
from keyaccount.figures import Figure, Figures, Rates, Records, rounded
from keyaccount.model.commerce import COUNTED, Invoice, Order
from keyaccount.money import Money
from keyaccount.questions import Question, checked_word
from keyaccount.values import FrozenMap

Basis = Literal["invoices", "orders"]
BASES = ("invoices", "orders")
Units: TypeAlias = Fraction | int
Find: TypeAlias = Callable[[Collection[str], Period, str | None], Iterable[str]]
"""Looks up the documents of some accounts in a window, of one currency or of all (None): their ids."""

IN_OWN_CURRENCY = Rates()


class Flow(NamedTuple):
    """What one account turned over in one currency: an exact sum in ten-thousandths for each window, in their order.

    `first` is the day of its first counted document of any time, as far as this flow knows. `day` is there where sums
    are by day: foreign currencies are, when they are to be converted.
    """

    account: str
    currency: str
    units: Sequence[int]
    first: date | None = None
    day: date | None = None


@attrs.frozen(eq=False)
class Turnover:
    """The flows of all accounts over named windows, and how their documents are found when somebody asks."""

    windows: Mapping[str, Period]
    flows: Iterable[Flow]
    find: Find
    basis: Basis = "invoices"


class Lake(Protocol):
    """Documents kept outside the store, added up where they are: see `keyaccount.frames.FrameFacts`."""

    def holds(self, basis: str) -> bool:
        """Say whether sums of invoices, or of orders, are to be asked for here."""
        ...

    def turnover(
        self, accounts: Collection[str], windows: Mapping[str, Period], basis: Basis, rates: Rates
    ) -> Turnover:
        """Add up the documents of some accounts; no other account may change the answer, nor be told of by an error."""
        ...


def turnover(
    documents: Iterable[Invoice] | Iterable[Order],
    windows: Mapping[str, Period],
    *,
    basis: Basis = "invoices",
    rates: Rates = IN_OWN_CURRENCY,
) -> Turnover:
    """Add up invoices or orders in one pass: whole numbers and ids are kept, no document is.

    Credit notes count negative; drafts and cancelled orders do not count.

    >>> bill = Invoice("b", organisation_id="acme", issued_on=date(2026, 3, 31), net=Money(5, "EUR"))
    >>> spring = {"March": Period.month(2026, 3), "April": Period.month(2026, 4)}
    >>> [flow.units for flow in turnover([bill], spring).flows]
    [[50000, 0]]
    """
    read, spans = _READERS[checked_basis(basis)], tuple(windows.values())
    empty = [0] * len(spans)
    places: dict[date, tuple[int, ...]] = {}
    found: dict[tuple[str, str, date | None], _Column] = {}
    by_day = rates.exchange is not None
    for document in documents:
        row = read(document)
        if row is None:
            continue
        day, currency, units = row
        within = places.get(day)
        if within is None:
            within = places[day] = tuple(n for n, span in enumerate(spans) if day in span)
        key = (document.organisation_id, currency, day if by_day and currency != rates.currency else None)
        column = found.get(key)
        if column is None:
            column = found[key] = _Column(empty.copy(), day)
        elif day < column.first:
            column.first = day
        if within:
            column.ids[within].append(document.id)
            for n in within:
                column.units[n] += units
    flows = [Flow(account, currency, one.units, one.first, day) for (account, currency, day), one in found.items()]
    return Turnover(windows, flows, _finder(found, spans), basis)


class _Column:
    """The sums of one account and currency, and the ids of the documents by the windows they lie in."""

    __slots__ = ("first", "ids", "units")

    def __init__(self, units: list[int], first: date) -> None:
        self.units = units
        self.first = first
        self.ids: defaultdict[tuple[int, ...], list[str]] = defaultdict(list)


def _finder(found: Mapping[tuple[str, str, date | None], _Column], spans: Sequence[Period]) -> Find:
    def find(accounts: Collection[str], window: Period, currency: str | None) -> Iterator[str]:
        place, wanted = spans.index(window), set(accounts)
        for (account, of, _), column in found.items():
            if account in wanted and currency in (None, of):
                yield from (id for within, ids in column.ids.items() if place in within for id in ids)

    return find


def _billed(document: Any) -> tuple[date, str, int] | None:
    if not isinstance(document, Invoice):
        raise ValidationError.of("portfolio", "basis", "invoices", f"does not fit {type(document).__name__} records")
    return document.issued_on or date.min, document.currency, document.net_units


def _ordered(document: Any) -> tuple[date, str, int] | None:
    if not isinstance(document, Order):
        raise ValidationError.of("portfolio", "basis", "orders", f"does not fit {type(document).__name__} records")
    net = document.net if document.state in COUNTED else None
    return None if net is None else (document.ordered_on or date.min, net.currency, net.units)


_READERS: dict[str, Callable[[Any], tuple[date, str, int] | None]] = {"invoices": _billed, "orders": _ordered}


def checked_basis(basis: str) -> str:
    """Return the basis asked for; refuse what is none, with the nearest that is."""
    checked_word("basis", basis, BASES)
    return basis


# ---- by account ----------------------------------------------------------------------------------------------------


@attrs.define
class Sums:
    """What one account (or ultimate parent) turned over: for each currency an exact amount for each window."""

    unit: str
    parts: tuple[str, ...] = ()
    accounts: list[str] = attrs.field(factory=list)
    amounts: dict[str, list[Units]] = attrs.field(factory=dict)
    first: date | None = None

    def add(self, flow: Flow, currency: str, factor: Units) -> None:
        """Add a flow, each unit of it worth a factor in the currency asked for."""
        own = self.amounts.get(currency)
        added = flow.units if factor == 1 else [units * factor for units in flow.units]
        self.amounts[currency] = list(added) if own is None else list(map(operator.add, own, added))
        if flow.first is not None and (self.first is None or flow.first < self.first):
            self.first = flow.first


def by_unit(found: Turnover, question: Question, then: date) -> list[Sums]:
    """Return the sums of each account asked for, or each ultimate parent, in order.

    Asked for are the customers among the accounts known, those without any document too, and every account that has
    one up to the day; with `group=` those in it on the day `then`, which also decides the parts.
    """
    rows: dict[str, Sums | None] = {}
    units: dict[str, Sums] = {}
    rates, factors = question.rates, dict[tuple[str, date | None], Units]()

    def row(account: str) -> Sums | None:
        if account not in rows:
            rows[account] = _unit_row(account, units, question, then)
        return rows[account]

    for organisation in question.accounts.organisations.values():
        if "customer" in organisation.relationships:
            row(organisation.id)
    for flow in found.flows:
        one = None if flow.first is not None and flow.first > question.on else row(flow.account)
        if one is not None:
            key = (flow.currency, flow.day) if any(flow.units) else None  # what lies in no window needs no rate
            if key is not None and key not in factors:
                factors[key] = _factor(rates, *key)
            one.add(flow, rates.target(flow.currency), 0 if key is None else factors[key])
    return _without_idle_currencies([units[unit] for unit in sorted(units)])


def _without_idle_currencies(rows: list[Sums]) -> list[Sums]:
    """Drop currencies in which nothing was turned over, so that they mix with no other; a row's only one may stay."""
    there = {currency for one in rows for currency in one.amounts}
    if len(there) < 2:  # noqa: PLR2004 - as nearly always, and quick
        return rows
    live = {currency for one in rows for currency, units in one.amounts.items() if any(units)}
    for one in rows:
        own = {currency for currency, units in one.amounts.items() if any(units)}
        kept = own or sorted(one.amounts.keys() & (live or (there if len(there) == 1 else set())))[:1]
        one.amounts = {currency: one.amounts[currency] for currency in kept}
    return rows


def _unit_row(account: str, units: dict[str, Sums], question: Question, then: date) -> Sums | None:
    if not question.asks_for(account, then):
        return None
    unit = question.unit(account)
    if unit not in units:
        units[unit] = Sums(unit, question.parts(unit, then))
    units[unit].accounts.append(account)
    return units[unit]


def _factor(rates: Rates, currency: str, day: date | None) -> Units:
    if rates.exchange is None or currency == rates.currency:
        return 1
    if day is None:
        raise ValidationError.of("portfolio", "currency", currency, "is to be converted, and its sums are not by day")
    return rates.convert(1, currency, day)


# ---- figures of sums -----------------------------------------------------------------------------------------------


def asked(period: Period, on: date, options: Any) -> Question:
    """Return a question about turnover; contracts are no level of it."""
    question = Question.of(period, on, options)
    if question.level == "contract":
        raise ValidationError.of("portfolio", "level", "contract", "is not offered here: give account or parent")
    return question


def decided_on(question: Question) -> date:
    """Return the day that decides group, manager and parts: the last one of the window."""
    return question.closing or question.period.start


def mixed(currencies: Iterable[str]) -> str:
    """Say why amounts in several currencies have no sum."""
    return f"amounts are in {', '.join(currencies)}: give currency= and exchange="


def in_each_currency(one: Sums, question: Question, figure: Callable[[str | None, Sequence[Units]], Figure]) -> Figure:
    """Return the figure of an account: of its one currency, or without a value, and one for each as its parts."""
    if not one.amounts:
        return figure(question.currency, ())
    found = [figure(currency, units) for currency, units in sorted(one.amounts.items())]
    if len(found) == 1:
        return found[0]
    parts = [attrs.evolve(each, part=currency) for currency, each in zip(sorted(one.amounts), found, strict=True)]
    return attrs.evolve(
        figure(None, ()), value=None, reason=mixed(sorted(one.amounts)), parts=Figures(tuple(parts)), beside=FrozenMap()
    )


def in_order(amounts: Mapping[str, Sequence[Units]]) -> Collection[tuple[str | None, Sequence[Units]]]:
    """Return amounts by the order of their currencies."""
    return amounts.items() if len(amounts) < 2 else sorted(amounts.items())  # noqa: PLR2004


def money(units: Units, currency: str | None) -> Money | None:
    """Return an amount rounded to its currency; None where there is no currency to count in."""
    return None if currency is None else rounded(units, currency)


@attrs.frozen
class Trace:
    """Finds the documents behind a figure, by its accounts, when somebody asks."""

    found: Turnover
    members: Mapping[str, Collection[str]]
    converted: bool

    @classmethod
    def of(cls, found: Turnover, rows: Iterable[Sums], question: Question) -> Trace:
        """Make it from the rows a figure is about."""
        return cls(found, {one.unit: one.accounts for one in rows}, question.exchange is not None)

    def ids(self, units: Iterable[str], window: str, currency: str | None = None) -> Sequence[str]:
        """Return the documents of some accounts (or parents) in a window, looked up later."""
        return Later(lambda: self._ids(tuple(units), window, None if self.converted else currency))

    def _ids(self, units: Sequence[str], window: str, currency: str | None) -> Iterable[str]:
        accounts = {account for unit in units for account in self.members.get(unit, (unit,))}
        return sorted(self.found.find(accounts, self.found.windows[window], currency))

    def traced(self, figure: Figure, numerator: str, denominator: str | None = None) -> Figure:
        """Return a figure, and its parts, with the documents of its accounts in one or two windows."""
        units = figure.accounts.denominator or figure.accounts.numerator
        currency = figure.numerator.currency if isinstance(figure.numerator, Money) else None
        other = () if denominator is None else self.ids(units, denominator, currency)
        parts = figure.parts and Figures(tuple(self.traced(part, numerator, denominator) for part in figure.parts))
        return attrs.evolve(figure, records=Records(self.ids(units, numerator, currency), other), parts=parts)
