"""What is still to be paid: the overdue list, and open amounts by how long they are overdue."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from fractions import Fraction
from typing import NamedTuple, Unpack

import attrs

from keyaccount.calendars import Period
from keyaccount.evidence import Excluded
from keyaccount.figures import rounded, rounded_together, shown_in_order
from keyaccount.model.commerce import Invoice, Payment, left_of
from keyaccount.money import Money
from keyaccount.questions import Options, Question
from keyaccount.ratios import OVERLAP
from keyaccount.results import Result, Rows
from keyaccount.values import FrozenMap

BUCKETS = ("1-30", "31-60", "61-90", "over 90")
_LAST_DAYS = (30, 60, 90)


@attrs.frozen(repr=False)
class OverdueInvoice(Result):
    """An invoice past its due day that is not settled: what is open of it, for how many days, in which bucket."""

    invoice_id: str
    organisation_id: str
    number: str | None
    issued_on: date
    due_on: date
    open_amount: Money
    days: int
    bucket: str
    disputed: bool = False
    dunning_level: int = 0
    parts: tuple[str, ...] = ()


@attrs.frozen(repr=False)
class OverdueInvoices(Rows[OverdueInvoice]):
    """Overdue invoices, account by account and the oldest first; the account with the oldest one comes first.

    `without_due_day` are open invoices that can never be overdue, because nobody said when they are due.
    """

    rows: tuple[OverdueInvoice, ...]
    on: date
    without_due_day: tuple[Excluded, ...] = ()
    remarks: tuple[str, ...] = ()


@attrs.frozen(repr=False)
class Aged(Result):
    """Open amounts of one account (or part, or all) in one currency.

    `buckets` are the overdue amounts by days, `overdue` their sum, `disputed` what of it is disputed; `not_due` is open
    and not overdue. Open credit notes stand in `credits` and are never aged; `overpaid` is what was paid too much.
    `oldest` are the days of the oldest overdue invoice, 0 where nothing is overdue.
    """

    name: str
    buckets: Mapping[str, Money]
    overdue: Money
    disputed: Money
    not_due: Money
    credits: Money
    overpaid: Money
    oldest: int
    invoice_ids: tuple[str, ...] = ()


@attrs.frozen(repr=False)
class Ageing(Rows[Aged]):
    """Open amounts by account and currency; `totals` by currency, and `parts` where `by=` was given."""

    rows: tuple[Aged, ...]
    on: date
    totals: tuple[Aged, ...] = ()
    parts: tuple[Aged, ...] | None = None
    without_due_day: tuple[Excluded, ...] = ()
    remarks: tuple[str, ...] = ()


def overdue(invoices: Iterable[Invoice | Bill], *, on: date, **options: Unpack[Options]) -> OverdueInvoices:
    """Return the invoices that are overdue on a day: from the day after `due_on`, while something is open.

    What is open is gross less what was paid up to the day. Disputed ones are in the list, marked. Amounts are in their
    own currency, or with `currency=` and `exchange=` converted at the rate of the day they were issued.

    >>> bill = Invoice("b", organisation_id="acme", issued_on=date(2026, 1, 1), due_on=date(2026, 1, 31),
    ...                net=Money(100, "EUR"), gross=Money(119, "EUR"))
    >>> [(row.open_amount, row.days, row.bucket) for row in overdue([bill], on=date(2026, 3, 3))]
    [(Money('119', 'EUR'), 31, '31-60')]
    """
    question = Question.of(Period(on, on), on, options)
    found, undated = _open(invoices, question)
    late: defaultdict[str, list[OverdueInvoice]] = defaultdict(list)
    for one in found:
        if one.days > 0:
            late[one.invoice.organisation_id].append(_row(one, question))
    for rows in late.values():
        rows.sort(key=_oldest_first)
    accounts = sorted(late.values(), key=lambda rows: _oldest_first(rows[0]))
    return OverdueInvoices(tuple(row for rows in accounts for row in rows), on, undated)


def ageing(invoices: Iterable[Invoice | Bill], *, on: date, **options: Unpack[Options]) -> Ageing:
    """Return what is open on a day by account and currency, the overdue by how long: 1-30, 31-60, 61-90, over 90 days.

    What rows show adds up to what the totals show.
    """
    question = Question.of(Period(on, on), on, options)
    found, undated = _open(invoices, question)
    rows: dict[tuple[str, str], _Columns] = {}
    parts: dict[tuple[str, str], _Columns] = {}
    totals: dict[tuple[str, str], _Columns] = {}
    for one in found:
        account = question.unit(one.invoice.organisation_id)
        for table, names in ((rows, (account,)), (parts, question.parts(account, on)), (totals, ("total",))):
            for name in names:
                table.setdefault((name, one.currency), _Columns()).add(one)
    whole = [_aged(key, columns) for key, columns in sorted(totals.items())]
    split = None
    if question.by is not None:
        split = _together(parts, shown_in_order({name: 0 for name, _ in parts}), whole, overlap=question.by == "group")
    return Ageing(
        _together(rows, sorted({name for name, _ in rows}), whole),
        on,
        tuple(whole),
        split,
        undated,
        (*question.shared((name for name, _ in rows), on), *((OVERLAP,) if question.by == "group" else ())),
    )


class Bill(NamedTuple):
    """An invoice or a credit note, read as columns: what is asked of one that may still be open."""

    id: str
    organisation_id: str
    number: str | None
    kind: str
    issued_on: date | None
    due_on: date | None
    currency: str
    net_units: int
    gross: Money | None
    payments: tuple[Payment, ...]
    dunning_level: int
    disputed: bool

    def left_on(self, on: date) -> int:
        """Return what was still to be paid at the end of a day, as `Invoice.left_on` does."""
        return left_of(self._whole, self.payments, on) if self.payments else self._whole

    @property
    def is_credit(self) -> bool:
        """Whether it is owed to the customer: a credit note, or an invoice below zero."""
        return self.kind == "credit note" or self._whole < 0

    @property
    def _whole(self) -> int:
        if self.gross is not None:
            return self.gross.units
        return -self.net_units if self.kind == "credit note" else self.net_units


class _Open(NamedTuple):
    """A known invoice or credit note with something open; `days` is above 0 for what is overdue."""

    invoice: Invoice | Bill
    units: Fraction | int
    currency: str
    days: int


def _open(invoices: Iterable[Invoice | Bill], question: Question) -> tuple[list[_Open], tuple[Excluded, ...]]:
    on, rates = question.on, question.rates
    found, undated = [], []
    for invoice in invoices:
        issued = invoice.issued_on or date.min
        if issued > on or not question.asks_for(invoice.organisation_id, on):
            continue
        left = invoice.left_on(on)
        if left:
            units, currency = rates.convert(left, invoice.currency, issued), rates.target(invoice.currency)
            aged = invoice.kind == "invoice" and left > 0
            days = (on - invoice.due_on).days if aged and invoice.due_on is not None else 0
            found.append(_Open(invoice, units, currency, days))
            if aged and invoice.due_on is None:
                undated.append(Excluded(invoice.id, "open, without a due day"))
    return found, tuple(sorted(undated))


def late(invoices: Iterable[Invoice | Bill], question: Question) -> Iterator[tuple[str, str, Fraction | int]]:
    """Yield of what is overdue the account, the currency and the exact amount, in ten-thousandths: for sums."""
    for one in _open(invoices, question)[0]:
        if one.days > 0:
            yield one.invoice.organisation_id, one.currency, one.units


def _row(one: _Open, question: Question) -> OverdueInvoice:
    invoice = one.invoice
    return OverdueInvoice(
        invoice.id,
        invoice.organisation_id,
        invoice.number,
        invoice.issued_on or date.min,
        invoice.due_on or date.min,
        rounded(one.units, one.currency) if question.exchange else Money.of_units(int(one.units), one.currency),
        one.days,
        bucket_of(one.days),
        invoice.disputed,
        invoice.dunning_level,
        question.parts(question.unit(invoice.organisation_id), question.on),
    )


def bucket_of(days: int) -> str:
    """Return the ageing bucket of so many days overdue.

    >>> bucket_of(30), bucket_of(31), bucket_of(91)
    ('1-30', '31-60', 'over 90')
    """
    return BUCKETS[bisect_left(_LAST_DAYS, days)]


def _oldest_first(row: OverdueInvoice) -> tuple[int, str, str]:
    return -row.days, row.organisation_id, row.invoice_id


# ---- columns -------------------------------------------------------------------------------------------------------

_NAMES = (*BUCKETS, "disputed", "not due", "credits", "overpaid")


class _Columns:
    """The sums of one row of an ageing, exact."""

    __slots__ = ("ids", "oldest", "units")

    def __init__(self) -> None:
        self.units: dict[str, Fraction | int] = dict.fromkeys(_NAMES, 0)
        self.oldest = 0
        self.ids: list[str] = []

    def add(self, one: _Open) -> None:
        """Add what is open of one invoice or credit note."""
        self.ids.append(one.invoice.id)
        if one.invoice.kind == "credit note":
            self.units["credits"] += one.units
        elif one.invoice.is_credit:
            self.units["credits"] -= one.units
        elif one.units < 0:
            self.units["overpaid"] -= one.units
        elif one.days <= 0:
            self.units["not due"] += one.units
        else:
            self.units[bucket_of(one.days)] += one.units
            self.units["disputed"] += one.units if one.invoice.disputed else 0
            self.oldest = max(self.oldest, one.days)


def _aged(key: tuple[str, str], columns: _Columns, shown: Mapping[str, Money] | None = None) -> Aged:
    name, currency = key
    sums = shown or {one: rounded(units, currency) for one, units in columns.units.items()}
    buckets = {one: sums[one] for one in BUCKETS}
    return Aged(
        name,
        FrozenMap(buckets),
        Money.total(buckets.values(), currency),
        sums["disputed"],
        sums["not due"],
        sums["credits"],
        sums["overpaid"],
        columns.oldest,
        tuple(sorted(columns.ids)),
    )


def _together(
    table: Mapping[tuple[str, str], _Columns], names: Sequence[str], whole: Iterable[Aged], *, overlap: bool = False
) -> tuple[Aged, ...]:
    """Return the rows in the order of their names; each column is rounded so that it adds up to its total."""
    found: dict[tuple[str, str], dict[str, Money]] = {}
    for total in () if overlap else whole:
        currency = total.overdue.currency
        keys = [(name, currency) for name in names if (name, currency) in table]
        sums = {**total.buckets, "disputed": total.disputed, "not due": total.not_due}
        for column, sum_ in {**sums, "credits": total.credits, "overpaid": total.overpaid}.items():
            for key, shown in zip(
                keys, rounded_together([table[key].units[column] for key in keys], sum_), strict=True
            ):
                found.setdefault(key, {})[column] = shown
    order = {name: place for place, name in enumerate(names)}
    keys = sorted(table, key=lambda key: (order[key[0]], key[1]))
    return tuple(_aged(key, table[key], found.get(key)) for key in keys)
