"""Do our accounts grow, and what is one worth? Growth over a year, and the average value of an account."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from fractions import Fraction
from functools import partial
from typing import NamedTuple, Unpack

import attrs

from keyaccount.calendars import ONE_DAY, Period, plus_months
from keyaccount.deadlines import months_of
from keyaccount.evidence import Excluded
from keyaccount.figures import Figure, Figures, Records, Value, rounded, rounded_together, shown_in_order
from keyaccount.model.commerce import Invoice, Order
from keyaccount.money import Money
from keyaccount.questions import Options, Question
from keyaccount.ratios import OVERLAP, Entry, Ratio
from keyaccount.turnover import (
    Basis,
    Sums,
    Trace,
    Turnover,
    Units,
    asked,
    by_unit,
    decided_on,
    in_each_currency,
    in_order,
    mixed,
    money,
    turnover,
)
from keyaccount.values import FrozenMap

NOW, BEFORE = "12 months", "12 months before"
YEAR = 12
_GROWTH = (
    "turnover of the 12 months up to the day, which is not part of them, less that of the 12 months before, divided "
    "by the latter; net of tax, credit notes netted. The records are the documents of both windows"
)
_AVERAGE = (
    "net turnover of the 12 months up to the day, credit notes netted, divided by the number of accounts, those "
    "without any included"
)


# ---- growth --------------------------------------------------------------------------------------------------------


def growth_windows(on: date) -> dict[str, Period]:
    """Return the windows growth is made of: the 12 months up to a day, and the 12 before."""
    now = Period.months_to(on, YEAR)
    return {NOW: now, BEFORE: Period(plus_months(on, -2 * YEAR), now.start)}


def growth(
    documents: Iterable[Invoice] | Iterable[Order],
    *,
    on: date,
    basis: Basis = "invoices",
    customer_since: Mapping[str, date] | None = None,
    **options: Unpack[Options],
) -> Figures:
    """Return by how much each account grew in the 12 months to a day, against the 12 before: a figure by account.

    None with a reason for an account in its first year (its first counted document, or `customer_since`, lies after the
    start of the earlier window), and where the earlier window is not above zero. `whole` is the growth of those that
    have one, taken together; the others are excluded from it and listed.

    >>> def bill(id, day, amount):
    ...     return Invoice(id, organisation_id="acme", issued_on=day, net=Money(amount, "EUR"))
    >>> rows = [bill("a", date(2025, 1, 1), 100), bill("b", date(2025, 2, 1), 100), bill("c", date(2026, 2, 1), 250)]
    >>> growth(rows, on=date(2027, 1, 1))["acme"].value
    Fraction(1, 4)
    """
    question = asked(Period.months_to(on, YEAR), on, options)
    found = turnover(documents, growth_windows(on), basis=basis, rates=question.rates)
    return growth_of(found, question, customer_since)


def growth_of(found: Turnover, question: Question, customer_since: Mapping[str, date] | None = None) -> Figures:
    """Return growth from sums over `growth_windows`, whoever added them up."""
    then = decided_on(question)
    rows = by_unit(found, question, then)
    trace = Trace.of(found, rows, question)
    since = {one.unit: _since(one, customer_since or {}) for one in rows}
    whole = _growth_whole(rows, since, question, trace)
    figures = (Figure.later(one.unit, partial(_growth_row, one, since[one.unit], question, trace)) for one in rows)
    return Figures(tuple(figures), whole)


def _since(one: Sums, customer_since: Mapping[str, date]) -> date | None:
    known = [customer_since[account] for account in one.accounts if account in customer_since]
    return min(known) if known else one.first


def grown(now: Units, before: Units, since: date | None, window: Period) -> tuple[Fraction | None, str | None]:
    """Return growth against an earlier window, or None and why there is none."""
    reason = no_growth(before, since, window)
    return (Fraction(now - before, before), None) if reason is None else (None, reason)


def no_growth(before: Units, since: date | None, window: Period) -> str | None:
    """Return why there is no growth against an earlier window; None where there is."""
    if since is None:
        return "no turnover yet"
    if since > window.start:
        return "first year"
    if before <= 0:
        return "nothing in the 12 months before" if before == 0 else "the 12 months before are below zero"
    return None


def _growth_row(one: Sums, since: date | None, question: Question, trace: Trace) -> Figure:
    def figure(currency: str | None, units: Sequence[Units]) -> Figure:
        now, before = units or (0, 0)
        value, reason = grown(now, before, since, trace.found.windows[BEFORE])
        prior = money(before, currency)
        return Figure(
            "Growth",
            value,
            money(now - before, currency),
            prior,
            reason,
            Records(trace.ids([one.unit], NOW, currency), trace.ids([one.unit], BEFORE, currency)),
            Records((), (one.unit,)),
            definition=_GROWTH,
            period=question.period,
            level=question.level,
            on=question.on,
            attribution=question.attribution,
            part=one.unit,
            beside=FrozenMap({} if currency is None else {NOW: money(now, currency), BEFORE: prior}),
        )

    return in_each_currency(one, question, figure)


def _growth_whole(rows: Iterable[Sums], since: Mapping[str, date | None], question: Question, trace: Trace) -> Figure:
    entries, excluded, then, window = [], [], decided_on(question), trace.found.windows[BEFORE]
    for one in rows:
        for currency, (now, before) in in_order(one.amounts) or ((None, (0, 0)),):
            reason = no_growth(before, since[one.unit], window)
            if reason is not None:
                excluded.append(Excluded(one.unit, reason))
            else:
                entries.append(Entry(one.unit, one.parts, now - before, before, (), (), currency))
    ratio = Ratio(
        "Growth",
        f"of the accounts that have one: {_GROWTH}",
        "no account has turnover in both windows",
        question,
        question.level,
        tuple(excluded),
        remarks=question.shared((entry.unit for entry in entries), then),
    )
    return trace.traced(ratio.figure(entries), NOW, BEFORE)


# ---- average value -------------------------------------------------------------------------------------------------


def average_windows(on: date) -> dict[str, Period]:
    """Return the one window the average value is made of: the 12 months up to a day."""
    return {NOW: Period.months_to(on, YEAR)}


def average_value(
    documents: Iterable[Invoice] | Iterable[Order],
    *,
    on: date,
    basis: Basis = "invoices",
    customer_since: Mapping[str, date] | None = None,
    **options: Unpack[Options],
) -> Figure:
    """Return what an account turned over in the 12 months to a day, on average; `by="account"` gives each account's.

    Accounts without any count, and are counted apart: those `accounts=` tells of, else those with a document at any
    time. Beside stand how many are younger than 12 months, and the average with their turnover annualised. With
    several currencies and no rates there is no value, but one for each currency as parts, over all accounts.
    """
    question = asked(Period.months_to(on, YEAR), on, options)
    found = turnover(documents, average_windows(on), basis=basis, rates=question.rates)
    return average_of(found, question, customer_since)


def average_of(found: Turnover, question: Question, customer_since: Mapping[str, date] | None = None) -> Figure:
    """Return the average value from sums over `average_windows`, whoever added them up."""
    rows = by_unit(found, question, decided_on(question))
    since = {one.unit: _since(one, customer_since or {}) for one in rows}
    valued = [_valued(one, since[one.unit], question.period) for one in rows]
    currencies = sorted({currency for one in valued for currency in one.units})
    whole = _average(valued, question, currencies)
    if question.by is not None:
        whole = _split(whole, valued, question, currencies)
    return Trace.of(found, rows, question).traced(whole, NOW)


class _Valued(NamedTuple):
    """What an account turned over by currency, and annualised where it is younger than the window."""

    unit: str
    parts: tuple[str, ...]
    units: Mapping[str, Units]
    months: Fraction | None

    def yearly(self, currency: str) -> Units:
        """Return the turnover of 12 months at the pace since its first document."""
        units = self.units.get(currency, 0)
        return units * YEAR / self.months if self.months else units


def _valued(one: Sums, since: date | None, window: Period) -> _Valued:
    months = months_of(since, window.end - ONE_DAY) if since is not None and window.start < since < window.end else None
    return _Valued(one.unit, one.parts, {currency: units[0] for currency, units in one.amounts.items()}, months)


def _average(rows: Sequence[_Valued], question: Question, currencies: Sequence[str]) -> Figure:
    bare = _average_without_value(rows, question)
    if len(currencies) > 1:
        parts = (attrs.evolve(_in_currency(rows, one, bare), part=one) for one in currencies)
        return attrs.evolve(bare, reason=mixed(currencies), parts=Figures(tuple(parts)))
    currency = currencies[0] if currencies else question.currency
    if currency is None or not rows:
        return attrs.evolve(bare, reason="no account was asked for" if not rows else "no account has any turnover")
    return _in_currency(rows, currency, bare)


def _average_without_value(rows: Sequence[_Valued], question: Question) -> Figure:
    beside: dict[str, Value] = {
        "without turnover": sum(not any(row.units.values()) for row in rows),
        "younger than 12 months": sum(row.months is not None for row in rows),
    }
    return Figure(
        "Average value of an account",
        None,
        denominator=len(rows),
        accounts=Records((), tuple(row.unit for row in rows)),
        definition=_AVERAGE,
        period=question.period,
        level=question.level,
        on=question.on,
        attribution=question.attribution,
        beside=FrozenMap(beside),
        remarks=question.shared((row.unit for row in rows), decided_on(question)),
    )


def _in_currency(rows: Sequence[_Valued], currency: str, bare: Figure) -> Figure:
    total = sum(row.units.get(currency, 0) for row in rows)
    yearly = sum(row.yearly(currency) for row in rows)
    return attrs.evolve(
        bare,
        value=rounded(Fraction(total) / len(rows), currency),
        numerator=rounded(total, currency),
        beside=FrozenMap({**bare.beside, "annualised": rounded(Fraction(yearly) / len(rows), currency)}),
    )


def _split(whole: Figure, rows: Sequence[_Valued], question: Question, currencies: Sequence[str]) -> Figure:
    by_part: defaultdict[str, list[_Valued]] = defaultdict(list)
    for row in rows:
        for part in row.parts:
            by_part[part].append(row)
    names = shown_in_order(by_part)
    parts = [attrs.evolve(_average(by_part[name], question, currencies), part=name, remarks=()) for name in names]
    if question.by == "group":
        return attrs.evolve(whole, parts=Figures(tuple(parts)), remarks=(*whole.remarks, OVERLAP))
    if isinstance(whole.numerator, Money):
        exact = [sum(units for row in by_part[name] for units in row.units.values()) for name in names]
        parts = list(_adding_up(parts, exact, whole.numerator))
    return attrs.evolve(whole, parts=Figures(tuple(parts)))


def _adding_up(parts: Sequence[Figure], exact: Sequence[Units], total: Money) -> Iterator[Figure]:
    """Round the sums of the parts so that they add up to the whole's."""
    for part, sum_ in zip(parts, rounded_together(exact, total), strict=True):
        yield attrs.evolve(part, numerator=sum_) if part.numerator is not None else part
