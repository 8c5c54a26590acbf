"""Did they stay, and with how much? Account retention, gross and net retention of the accounts active at the start."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from fractions import Fraction
from typing import Unpack

import attrs

from keyaccount.calendars import Period
from keyaccount.evidence import Excluded, Gathered, left_out
from keyaccount.figures import Figure
from keyaccount.model.contracts import Contract
from keyaccount.questions import Options, Question, of_several
from keyaccount.ratios import Entry, Ratio
from keyaccount.succession import Standing, yearly

_BALANCES = (
    ". Both balances are those at the opening of a day, so of the day before: a contract that ends on the last day of "
    "a period is due in it and is lost on the first day of the next"
)
_COUNTED = {
    "account": "accounts with a contract in force",
    "parent": "ultimate parents with a contract in force",
    "contract": "contracts in force, each taken as one with its successors,",
}


def account_retention(
    contracts: Iterable[Contract], period: Period | tuple[date, date], *, on: date, **options: Unpack[Options]
) -> Figure:
    """Return the share of the accounts active at the start of a period that are active at its end.

    Active is any contract in force; one that ends while another runs is no loss. None where none was active.

    >>> old = Contract("m-1", organisation_id="acme", signed_on=date(2025, 1, 1), starts_on=date(2025, 1, 1))
    >>> account_retention([old], Period.year(2026), on=date(2027, 1, 1)).value
    Fraction(1, 1)
    """
    question, excluded, shared = Question.of(period, on, options), left_out(), set[str]()
    counted = _COUNTED[question.level]
    figure = Ratio(
        name="Account retention" if question.level == "account" else f"Retention of {question.level}s",
        definition=f"{counted} at the start and at the end, divided by {counted} at the start{_BALANCES}",
        empty="no account was active at the start",
        question=question,
        level=question.level,
        provisional=bool(question.unfinished),
        together=True,
    ).figure(
        Entry(
            unit,
            question.parts(one.account, question.period.start),
            int(bool(one.after)),
            1,
            sorted(one.after),
            sorted(one.before),
        )
        for unit, one in _cohort(contracts, question, excluded, shared)
    )
    return _told(figure, question, excluded, shared)


def gross_retention(
    contracts: Iterable[Contract], period: Period | tuple[date, date], *, on: date, **options: Unpack[Options]
) -> Figure:
    """Return how much of the recurring value at the start is still there at the end, growth left out.

    The lesser of both values is taken for each account, never of the totals: 100 to 150 and 100 to 60 is 80 %.
    Accounts without recurring value at the start are excluded. None where nothing recurred.
    """
    return _retention(contracts, period, on, options, gross=True)


def net_retention(
    contracts: Iterable[Contract], period: Period | tuple[date, date], *, on: date, **options: Unpack[Options]
) -> Figure:
    """Return the recurring value at the end of the accounts of the start, divided by theirs at the start.

    Growth counts, new accounts do not: 100 to 150 and 100 to 60 is 105 %.
    """
    return _retention(contracts, period, on, options, gross=False)


def _retention(
    contracts: Iterable[Contract], period: Period | tuple[date, date], on: date, options: Options, *, gross: bool
) -> Figure:
    question, excluded, shared = Question.of(period, on, options), left_out(), set[str]()
    kept_is = "the lesser of its recurring value at the start and at the end" if gross else "its value at the end"
    counted = {"account": "account", "parent": "ultimate parent", "contract": "contract with its successors"}
    figure = Ratio(
        name="Gross retention" if gross else "Net retention",
        definition=f"for each {counted[question.level]} active at the start {kept_is}, added up, divided by the "
        f"recurring value at the start. Foreign amounts at the rates of the period's first day{_BALANCES}",
        empty="no account had recurring value at the start",
        question=question,
        level=question.level,
        provisional=bool(question.unfinished),
        together=True,
    ).figure(_kept(_cohort(contracts, question, excluded, shared, values=True), question, excluded, gross=gross))
    return _told(figure, question, excluded, shared)


def _told(figure: Figure, question: Question, excluded: Gathered[Excluded], shared: Iterable[str]) -> Figure:
    """Add what was learnt on the way: what was left out, and which accounts are shared."""
    remarks = *question.unfinished, *of_several(shared), *figure.remarks
    return attrs.evolve(figure, excluded=excluded.told(sorts=True), remarks=remarks)


def _kept(
    cohort: Iterable[tuple[str, _Member]], question: Question, excluded: Gathered[Excluded], *, gross: bool
) -> Iterator[Entry]:
    for unit, one in cohort:
        parts = question.parts(one.account, question.period.start)
        if not any(balance.amount for balance in one.start.values()):
            excluded.extend((Excluded(unit, "no recurring value at the start"),))
            continue
        for currency in sorted({*one.start, *one.end}):  # one that came later has no rate to the earlier: it is told
            start, end = one.start.get(currency) or _Balance(), one.end.get(currency) or _Balance()
            if start.amount or end.amount:
                kept = min(start.amount, end.amount) if gross else end.amount
                yield Entry(unit, parts, kept, start.amount, sorted(end.ids), sorted(start.ids), currency)


@attrs.define
class _Member:
    """What one account, parent or chain of contracts had at the start and at the end."""

    account: str
    before: list[str] = attrs.field(factory=list)
    after: list[str] = attrs.field(factory=list)
    start: dict[str, _Balance] = attrs.field(factory=dict)
    end: dict[str, _Balance] = attrs.field(factory=dict)


@attrs.define
class _Balance:
    """A recurring value in one currency, and the contracts it is made of."""

    amount: Fraction | int = 0
    ids: list[str] = attrs.field(factory=list)

    def add(self, amount: Fraction | int, id: str) -> None:
        """Add one contract."""
        self.amount += amount
        self.ids.append(id)


def _cohort(
    contracts: Iterable[Contract],
    question: Question,
    excluded: Gathered[Excluded],
    shared: set[str],
    *,
    values: bool = False,
) -> Iterator[tuple[str, _Member]]:
    """Yield who had contracts in force at the start, in order, with what they had then and at the end.

    Where contracts come account by account, so do they. `shared` takes the accounts that several managers share.
    """
    found: dict[str, _Member] = {}

    def complete() -> Iterator[tuple[str, _Member]]:
        for unit in sorted(found):
            one = found[unit]
            if one.before:
                if question.is_shared(one.account, question.period.start):
                    shared.add(one.account)
                yield unit, one
        found.clear()

    for batch in question.standings(contracts, excluded):
        chains = _chains(batch) if question.level == "contract" else {}
        for row in batch:
            account = question.unit(row.known.account)
            if question.asks_for(row.known.account, question.period.start):
                unit = chains[row.known.id] if chains else account
                _add(row, unit, account, found, question, values=values)
        if question.grouped and question.level != "parent":
            yield from complete()
    yield from complete()


def _add(
    row: Standing, unit: str, account: str, found: dict[str, _Member], question: Question, *, values: bool
) -> None:
    opening, closing, id = question.opening, question.closing, row.known.id
    before = opening is not None and row.in_force(opening)
    after = closing is not None and row.in_force(closing)
    if not (before or after):
        return
    one = found.get(unit)
    if one is None:
        one = found[unit] = _Member(account)
    one.before += [id] * before
    one.after += [id] * after
    at_start = values and before and opening is not None and row.counts(opening)
    at_end = values and after and closing is not None and row.counts(closing)
    worth = _worth(row, question) if at_start or at_end else None
    if worth is not None:
        amount, currency = worth
        if at_start:
            one.start.setdefault(currency, _Balance()).add(amount, id)
        if at_end:
            one.end.setdefault(currency, _Balance()).add(amount, id)


def _worth(row: Standing, question: Question) -> tuple[Fraction | int, str] | None:
    amount, value = yearly(row.known), row.known.value
    if amount is None or value is None:
        return None
    rates = question.rates
    return rates.convert(amount, value.currency, question.period.start), rates.target(value.currency)


def _chains(rows: list[Standing]) -> dict[str, str]:
    """Name the chain each contract belongs to: it, its predecessors and successors, by the smallest id of them."""
    head = {row.known.id: row.known.id for row in rows}

    def top(id: str) -> str:
        while head[id] != id:
            head[id] = head[head[id]]
            id = head[id]
        return id

    for row in rows:
        for after in row.successors:
            one, other = sorted((top(row.known.id), top(after.id)))
            head[other] = one
    return {id: top(id) for id in head}
