"""What do we earn, and how much do we give away? Contribution margin and discount depth of 12 months, by account.

Both need lines, and margin their cost. What has none is not guessed: it is left out of both sides and told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from fractions import Fraction
from typing import NamedTuple, TypeAlias, Unpack

import attrs

from keyaccount.calendars import Period
from keyaccount.errors import ValidationError
from keyaccount.evidence import Excluded
from keyaccount.figures import Figure, Figures, rounded
from keyaccount.model.commerce import COUNTED, Invoice, Line, Order
from keyaccount.questions import Options, Question
from keyaccount.ratios import Entry, Ratio
from keyaccount.turnover import Basis, Units, asked, checked_basis, decided_on
from keyaccount.values import FrozenMap

Document: TypeAlias = Invoice | Order
_Read: TypeAlias = Callable[[Line], "tuple[Units, Units] | None"]


@attrs.frozen
class _Metric:
    """One of the two: how it is told, and how it reads a line."""

    name: str
    definition: str
    empty: str
    read: _Read


def contribution_margin(
    documents: Iterable[Document], *, on: date, basis: Basis = "invoices", **options: Unpack[Options]
) -> Figures:
    """Return the share of each account's net turnover of 12 months that its cost leaves: a figure by account.

    Only lines with a cost count; `missing` beside is the net amount of those without, and of documents without lines,
    which are listed. `whole` is all accounts taken together.
    """
    definition = (
        "net amount of the lines of the 12 months up to the day less quantity x cost, divided by that net amount; "
        "lines without cost are left out of both sides"
    )
    metric = _Metric("Contribution margin", definition, "no line has a cost", _margin)
    return _figures(documents, metric, on, basis, options)


def discount_depth(
    documents: Iterable[Document], *, on: date, basis: Basis = "invoices", **options: Unpack[Options]
) -> Figures:
    """Return the share of quantity x unit price that discounts took from each account's lines of 12 months.

    `missing` beside is the net amount of documents without lines, which are listed. `whole` is all accounts together.
    """
    definition = (
        "quantity x unit price of the lines of the 12 months up to the day less their net amount, divided by that "
        "quantity x unit price"
    )
    return _figures(
        documents, _Metric("Discount depth", definition, "nothing has lines", _discount), on, basis, options
    )


def _margin(line: Line) -> tuple[Units, Units] | None:
    if line.cost is None:
        return None
    net = line.net.units
    return net - Fraction(line.quantity) * line.cost.units, net


def _discount(line: Line) -> tuple[Units, Units] | None:
    listed = Fraction(line.quantity) * line.unit_price.units
    return listed - line.net.units, listed


class _Sides(NamedTuple):
    """What one document adds: both sides, and what of it is missing."""

    id: str
    account: str
    currency: str
    top: Units
    bottom: Units
    missing: Units


@attrs.define
class _Account:
    """Both sides of an account in one currency, the documents behind them, and what is missing."""

    top: Units = 0
    bottom: Units = 0
    missing: Units = 0
    ids: list[str] = attrs.field(factory=list)
    bare: list[str] = attrs.field(factory=list)

    def add(self, read: _Sides, factor: Units) -> None:
        """Add a document, each unit of it worth a factor in the currency asked for."""
        self.top += read.top * factor
        self.bottom += read.bottom * factor
        self.missing += read.missing * factor
        (self.ids if read.bottom or not read.missing else self.bare).append(read.id)


def _figures(documents: Iterable[Document], metric: _Metric, on: date, basis: Basis, options: Options) -> Figures:
    question = asked(Period.months_to(on, 12), on, options)
    found = _read_all(documents, question, checked_basis(basis), metric.read)
    whole = _told(found, metric, question)
    alone = attrs.evolve(question, by=None)
    rows = (attrs.evolve(_told({unit: found[unit]}, metric, alone), part=unit, remarks=()) for unit in sorted(found))
    bare = (id for currencies in found.values() for one in currencies.values() for id in one.bare)
    excluded = tuple(Excluded(id, "without lines that tell it") for id in sorted(bare))
    return Figures(tuple(rows), attrs.evolve(whole, excluded=excluded))


def _told(found: Mapping[str, Mapping[str, _Account]], metric: _Metric, question: Question) -> Figure:
    then = decided_on(question)
    entries = [
        Entry(unit, question.parts(unit, then), one.top, one.bottom, tuple(one.ids), tuple(one.ids), currency)
        for unit, currencies in sorted(found.items())
        for currency, one in sorted(currencies.items())
    ]
    shared = question.shared(found, then)
    ratio = Ratio(metric.name, metric.definition, metric.empty, question, question.level, remarks=shared)
    missing: defaultdict[str, Units] = defaultdict(int)
    for currencies in found.values():
        for currency, one in currencies.items():
            missing[currency] += one.missing
    several = len(missing) > 1
    beside = {f"missing {one}" if several else "missing": rounded(units, one) for one, units in sorted(missing.items())}
    return attrs.evolve(ratio.figure(entries), beside=FrozenMap(beside))


def _read_all(
    documents: Iterable[Document], question: Question, basis: str, read: _Read
) -> dict[str, dict[str, _Account]]:
    then, rates = decided_on(question), question.rates
    found: dict[str, dict[str, _Account]] = {}
    for document in documents:
        day = document.issued_on if isinstance(document, Invoice) else document.ordered_on
        if isinstance(document, Invoice) is not (basis == "invoices"):
            what = type(document).__name__
            raise ValidationError.of("portfolio", "basis", basis, f"does not fit {what} records")
        asked_for = question.asks_for(document.organisation_id, then)
        if day is None or day not in question.period or not asked_for:
            continue
        one = _read(document, read)
        if one is not None:
            row = found.setdefault(question.unit(one.account), {})
            factor = rates.convert(1, one.currency, day)
            row.setdefault(rates.target(one.currency), _Account()).add(one, factor)
    return found


def _read(document: Document, read: _Read) -> _Sides | None:
    """Read both sides of a document's lines; None where it does not count. A credit note counts negative."""
    if isinstance(document, Order) and (document.state not in COUNTED or document.currency is None):
        return None
    sign = -1 if isinstance(document, Invoice) and document.kind == "credit note" else 1
    sides = [(line, read(line)) for line in document.lines]
    told = [both for _, both in sides if both is not None]
    without = sign * sum(line.net.units for line, both in sides if both is None)
    if not document.lines:
        without = document.net_units
    top, bottom = sum(one for one, _ in told), sum(other for _, other in told)
    currency = document.currency or ""
    return _Sides(document.id, document.organisation_id, currency, sign * top, sign * bottom, without)
