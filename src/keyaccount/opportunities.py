"""What may come, and what we win: the pipeline and the win ratio."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from fractions import Fraction
from typing import Literal, Unpack

import attrs

from keyaccount.calendars import Period
from keyaccount.evidence import Excluded
from keyaccount.figures import Figure, Figures, Value
from keyaccount.model.sales import EXPANSIONS, Opportunity
from keyaccount.money import Money
from keyaccount.questions import Options, Question, checked_word
from keyaccount.ratios import Amount, Entry, Ratio, Sum
from keyaccount.results import Result, Rows
from keyaccount.turnover import Units
from keyaccount.values import FrozenMap

Measure = Literal["count", "value"]
MEASURES = ("count", "value")
OWN_DIMENSIONS: dict[str, Callable[[Opportunity], str | None]] = {
    "stage": lambda row: row.stage,
    "kind": lambda row: row.kind,
}
"""What opportunities are split by beside what accounts are."""


def weight(row: Opportunity) -> Units:
    """Return what an opportunity counts weighted, in ten-thousandths; one without a probability counts nothing."""
    if row.value is None or row.probability is None:
        return 0
    return Fraction(row.probability) * row.value.units


def pipeline(opportunities: Iterable[Opportunity], *, on: date, **options: Unpack[Options]) -> Figure:
    """Return the value of the open opportunities; the value weighted by probability and their number stand beside.

    `by=` also takes `"stage"` and `"kind"`. Those without a value, or without a probability, are listed; foreign
    amounts are converted at the rate of the day.
    """
    by = options.get("by")
    own = OWN_DIMENSIONS.get(by) if isinstance(by, str) else None
    question = Question.of(Period(on, on), on, {**options, "by": "account"} if own is not None else options)
    rows = [row for row in opportunities if row.open_on(on) and question.asks_for(row.organisation_id, on)]
    asking = Sum(
        "Pipeline",
        "value of the open opportunities; weighted: value times probability",
        "no open opportunity has a value",
        question,
        tuple(sorted(_lacking(rows))),
        question.shared({row.organisation_id for row in rows}, on),
    )

    def parts(row: Opportunity) -> tuple[str, ...]:
        return (own(row) or "none",) if own else question.parts(question.unit(row.organisation_id), on)

    whole = asking.figure(_amounts(rows, question, parts))
    weighted = asking.figure(_amounts(rows, question, parts, weighted=True))
    return _beside(whole, weighted, len(rows))


def _lacking(rows: Iterable[Opportunity]) -> Iterator[Excluded]:
    for row in rows:
        if row.value is None:
            yield Excluded(row.id, "no value")
        elif row.probability is None:
            yield Excluded(row.id, "counted, but not weighted: no probability")


def _amounts(
    rows: Iterable[Opportunity],
    question: Question,
    parts: Callable[[Opportunity], tuple[str, ...]],
    *,
    weighted: bool = False,
) -> Iterator[Amount]:
    rates = question.rates
    for row in rows:
        if row.value is not None:
            units = weight(row) if weighted else row.value.units
            exact = rates.convert(units, row.value.currency, question.on)
            account = question.unit(row.organisation_id)
            yield Amount(account, parts(row), exact, row.id, rates.target(row.value.currency))


def _beside(whole: Figure, weighted: Figure, count: int | None) -> Figure:
    """Put the weighted value beside the value, in the parts too."""
    values: dict[str, Value] = {"weighted": weighted.value}
    if count is not None:
        values["opportunities"] = count
    parts = None
    if whole.parts is not None and weighted.parts is not None:
        both = zip(whole.parts, weighted.parts, strict=True)
        parts = Figures(tuple(_beside(one, other, len(one.records.numerator)) for one, other in both))
    return attrs.evolve(whole, beside=FrozenMap(values), parts=parts)


# ---- to be updated -------------------------------------------------------------------------------------------------


@attrs.frozen(repr=False)
class StaleOpportunity(Result):
    """An open opportunity whose expected close has passed by so many days, or that has none (None)."""

    opportunity_id: str
    organisation_id: str
    title: str | None
    kind: str
    value: Money | None
    expected_on: date | None
    days: int | None


@attrs.frozen(repr=False)
class StaleOpportunities(Rows[StaleOpportunity]):
    """Opportunities to be updated, the longest passed first."""

    rows: tuple[StaleOpportunity, ...]
    on: date


def to_update(
    opportunities: Iterable[Opportunity], *, on: date, kinds: Iterable[str] = EXPANSIONS, **options: Unpack[Options]
) -> StaleOpportunities:
    """Return the open opportunities that nobody kept up to date: expected before the day, or without such a day.

    As shipped those of expansion: upsell and cross-sell.
    """
    question, wanted = Question.of(Period(on, on), on, options), frozenset(kinds)
    rows = [
        StaleOpportunity(
            row.id,
            row.organisation_id,
            row.title,
            row.kind,
            row.value,
            row.expected_on,
            None if row.expected_on is None else (on - row.expected_on).days,
        )
        for row in opportunities
        if row.open_on(on) and row.kind in wanted and question.asks_for(row.organisation_id, on)
        if row.expected_on is None or row.expected_on < on
    ]
    return StaleOpportunities(tuple(sorted(rows, key=lambda row: (-(row.days or 0), row.opportunity_id))), on)


# ---- win ratio -----------------------------------------------------------------------------------------------------


def win_ratio(
    opportunities: Iterable[Opportunity],
    period: Period | tuple[date, date],
    *,
    on: date,
    measure: Measure = "count",
    renewals: bool = False,
    **options: Unpack[Options],
) -> Figure:
    """Return won ÷ (won + lost) of the opportunities closed in a period, by count, or with `measure="value"` by value.

    Renewals are apart: they are left out, or with `renewals=True` they alone are counted. Those that ended without a
    decision count on neither side; their number stands beside.
    """
    question = Question.of(period, on, options)
    checked_word("measure", measure, MEASURES)
    closed = [row for row in opportunities if _closed(row, question) and (row.kind == "renewal") is renewals]
    decided = [row for row in closed if row.state != "no decision"]
    undecided = tuple(Excluded(row.id, "no decision") for row in closed if row.state == "no decision")
    valueless = tuple(Excluded(row.id, "no value") for row in decided if row.value is None)
    figure = Ratio(
        f"Win ratio{' of renewals' if renewals else ''}{' by value' if measure == 'value' else ''}",
        f"{'renewals' if renewals else 'opportunities'} won divided by won and lost, by the day they were closed"
        f"{', each with its last value before' if measure == 'value' else ''}",
        "nothing was won or lost",
        question,
        "account" if question.level == "contract" else question.level,
        tuple(sorted(undecided + (valueless if measure == "value" else ()))),
        bool(question.unfinished),
        (*question.unfinished, *_shared(closed, question)),
    ).figure(_entries(decided, question, measure))
    return attrs.evolve(figure, beside=FrozenMap(_counted(decided, len(undecided))))


def _closed(row: Opportunity, question: Question) -> bool:
    day = row.closed_on
    if row.open or day is None or day not in question.period or day > question.on:
        return False
    return question.asks_for(row.organisation_id, day)


def _entries(rows: Iterable[Opportunity], question: Question, measure: Measure) -> Iterator[Entry]:
    for row in sorted(rows, key=lambda row: (row.closed_on or date.min, row.id)):
        day, won = row.closed_on or date.min, row.state == "won"
        worth: Units = 1
        currency = None
        if measure == "value":
            if row.value is None:
                continue
            worth = question.rates.convert(row.value.units, row.value.currency, day)
            currency = question.rates.target(row.value.currency)
        unit = question.unit(row.organisation_id)
        ids = (row.id,)
        yield Entry(unit, question.parts(unit, day), worth if won else 0, worth, ids if won else (), ids, currency)


def _counted(decided: Sequence[Opportunity], undecided: int) -> dict[str, Value]:
    won = sum(row.state == "won" for row in decided)
    return {"won": won, "lost": len(decided) - won, "no decision": undecided}


def _shared(rows: Iterable[Opportunity], question: Question) -> tuple[str, ...]:
    return question.shared((row.organisation_id for row in rows), decided_in(question))


def decided_in(question: Question) -> date:
    """Return the last day of the period, or its first where it has none."""
    return question.closing or question.period.start
