"""Will they renew? The share of what was due that was renewed: by accounts, parents, contracts or value."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date
from fractions import Fraction
from typing import Literal, Unpack

import attrs

from keyaccount.calendars import Period
from keyaccount.contracts import Outcome, outcomes_of
from keyaccount.evidence import Excluded, Gathered, left_out
from keyaccount.figures import Figure, one_currency
from keyaccount.model.contracts import Contract
from keyaccount.questions import Options, Question, checked_word, of_several
from keyaccount.ratios import Entry, Ratio
from keyaccount.succession import Known, Standing, yearly

Measure = Literal["count", "value"]
MEASURES = ("count", "value")

_RENEWED = {
    "account": "accounts with a contract due in the period of which at least one due contract was renewed, divided by "
    "accounts with a contract due",
    "parent": "ultimate parents with a contract due in the period of which at least one due contract was renewed, "
    "divided by ultimate parents with a contract due",
    "contract": "renewed contracts divided by contracts due in the period",
    "value": "the lesser of renewed and due yearly recurring value, added up, divided by due yearly recurring value",
}
_NOTHING_DUE = "no contract was due"
_DUE = (
    ". Due is each end of a term in the period, up to the effective end; a contract that rolled on is renewed, tacitly"
)


def renewal_rate(
    contracts: Iterable[Contract],
    period: Period | tuple[date, date],
    *,
    on: date,
    measure: Measure = "count",
    tacit: bool = True,
    **options: Unpack[Options],
) -> Figure:
    """Return the share of what was due in a period that was renewed, as known on a day.

    Counted by accounts as shipped, by ultimate parents or contracts with `level=`; with `measure="value"` by yearly
    recurring value of each contract. `tacit=False` leaves rolls out of both sides. Renewed, lost and pending are
    `beside` the value, with the rate of the decided. None where nothing was due.

    >>> start, end = date(2025, 1, 1), date(2025, 12, 31)
    >>> old = Contract("m-1", organisation_id="acme", signed_on=start, starts_on=start, ends_on=end)
    >>> first = date(2026, 1, 1)
    >>> new = Contract("m-2", organisation_id="acme", signed_on=end, starts_on=first, predecessor_ids=("m-1",))
    >>> renewal_rate([old, new], Period.year(2025), on=date(2026, 3, 1)).value
    Fraction(1, 1)
    """
    question = Question.of(period, on, options)
    checked_word("measure", measure, MEASURES)
    level = "contract" if measure == "value" else question.level
    excluded, shared, valueless = left_out(), set[str](), set[str]()
    due = _due(contracts, question, excluded, shared, tacit=tacit)
    figure = Ratio(
        name="Renewal rate" + {"account": " of accounts", "parent": " of parents", "contract": " of contracts"}[level]
        if measure == "count"
        else "Renewal rate by value",
        definition=_RENEWED["value" if measure == "value" else level]
        + _DUE
        + ("" if tacit else "; rolls are left out"),
        empty=_NOTHING_DUE,
        question=question,
        level=level,
        together=True,
    ).figure(_worth(due, question, excluded, valueless) if measure == "value" else _counted(due, question))
    reason = figure.reason
    if reason == _NOTHING_DUE and valueless:
        reason = "no contract with recurring value was due"
    remarks = (*of_several(shared), *figure.remarks)
    return attrs.evolve(figure, reason=reason, excluded=excluded.told(sorts=True), remarks=remarks)


class _Due:
    """The due contracts of one batch: each outcome with its contract, and the contracts of the batch by id."""

    def __init__(self, found: list[Standing], rows: list[tuple[Standing, Outcome]]) -> None:
        self._found = found
        self.rows = rows

    @functools.cached_property
    def by_id(self) -> dict[str, Known]:
        """The contracts of the batch, which few ask for."""
        return {row.known.id: row.known for row in self._found}


def _due(
    contracts: Iterable[Contract], question: Question, excluded: Gathered[Excluded], shared: set[str], *, tacit: bool
) -> Iterator[_Due]:
    """Yield what was due; open-ended contracts in force in the period are excluded, shared accounts noted."""
    period, grace = question.period, question.matching.grace_days
    for found in question.standings(contracts, excluded):
        rows = []
        for row in found:
            if row.end is None:
                if row.known.start < period.end and (row.last is None or row.last >= period.start):
                    excluded.extend((Excluded(row.known.id, "open-ended: never due"),))
                continue
            if row.end < period.start or (row.end >= period.end and not row.known.ends_again):
                continue
            rows += [
                (row, outcome)
                for outcome in outcomes_of(row, period, question.on, grace)
                if (tacit or not outcome.tacit) and question.asks_for(outcome.organisation_id, outcome.due_on)
            ]
        shared.update(one.organisation_id for _, one in rows if question.is_shared(one.organisation_id, one.due_on))
        yield _Due(found, rows)


def _counted(due: Iterable[_Due], question: Question) -> Iterator[Entry]:
    """Count what was due: contracts by their day, accounts by name; account by account where that is how they come."""
    batches = ([batch] for batch in due) if question.grouped and question.level != "parent" else (list(due),)
    for some in batches:
        found = sorted((one for batch in some for _, one in batch.rows), key=_by_day)
        if question.level == "contract":
            for one in found:
                yield _entry(one.organisation_id, [one], question)
            continue
        units: defaultdict[str, list[Outcome]] = defaultdict(list)
        for one in found:
            units[question.unit(one.organisation_id)].append(one)
        for unit in sorted(units):
            yield _entry(unit, units[unit], question)


def _by_day(one: Outcome) -> tuple[date, str]:
    return one.due_on, one.contract_id


def _entry(unit: str, rows: list[Outcome], question: Question) -> Entry:
    """Count what was due of one account: renewed where one was, else pending where one is; by its first due day."""
    counted, out_of = [], []
    pending = provisional = False
    tacit = inferred = 0
    for one in rows:
        out_of.append(one.contract_id)
        if one.outcome == "renewed":
            counted.append(one.contract_id)
        pending = pending or one.outcome == "pending"
        provisional = provisional or _may_change(one)
        tacit += one.tacit
        inferred += one.inferred
    told = "renewed" if counted else "pending" if pending else "lost"
    parts = question.parts(unit, rows[0].due_on)
    return Entry(unit, parts, int(bool(counted)), 1, counted, out_of, None, told, tacit, inferred, provisional)


def _may_change(one: Outcome) -> bool:
    return one.outcome == "pending" or (one.late and one.in_grace)


def _worth(
    due: Iterable[_Due], question: Question, excluded: Gathered[Excluded], valueless: set[str]
) -> Iterator[Entry]:
    """Count what was due by its value; of what has none, the first is noted in `valueless`."""
    rates = question.rates
    for batch in due:
        for row, one in sorted(batch.rows, key=_by_day_of_pair):
            own, value = yearly(row.known), row.known.value
            if own is None or value is None:
                excluded.extend((Excluded(one.contract_id, _no_value(row.known)),))
                valueless.update((one.contract_id,) if not valueless else ())
                continue
            day = min(one.due_on, question.on)
            worth = rates.convert(own, value.currency, day)
            currency = rates.target(value.currency)
            renewed = (
                worth
                if one.tacit
                else min(_renewed(row, min(one.due_on, question.on), currency, batch, question), worth)
            )
            excluded.extend(
                Excluded(after.id, f"as successor of {one.contract_id}: {_no_value(after)}")
                for after in (() if one.tacit else row.successors)
                if yearly(after) is None
            )
            taken = (one.contract_id,) if one.outcome == "renewed" else ()
            yield Entry(
                unit=one.organisation_id,
                parts=question.parts(one.organisation_id, one.due_on),
                numerator=renewed,
                denominator=worth,
                counted=taken,
                out_of=(one.contract_id,),
                currency=currency,
                outcome=one.outcome,
                tacit=int(one.tacit),
                inferred=int(one.inferred),
                provisional=_may_change(one),
            )


def _by_day_of_pair(pair: tuple[Standing, Outcome]) -> tuple[date, str]:
    return _by_day(pair[1])


def _renewed(row: Standing, day: date, currency: str, batch: _Due, question: Question) -> Fraction | int:
    """Return what the successors of a contract are worth; one of several contracts is divided by their own value."""
    worth: Fraction | int = 0
    for after in row.successors:
        value = yearly(after)
        if value is None or after.value is None:
            continue  # it is worth nothing that recurs, and is listed
        one_currency((currency, question.rates.target(after.value.currency)), f"Contract {after.id!r}")
        whole = question.rates.convert(value, after.value.currency, day)
        worth += whole * _share(row.known, after, batch, question)
    return worth


def _share(before: Known, after: Known, batch: _Due, question: Question) -> Fraction | int:
    """Return which share of a successor continues one of its predecessors."""
    others = [batch.by_id[id] for id in after.predecessors if id in batch.by_id]
    if len(others) < 2:  # noqa: PLR2004
        return 1
    values = {one.id: _converted(one, question) for one in others}
    total = sum(values.values())
    return Fraction(values[before.id]) / total if total else 0


def _converted(contract: Known, question: Question) -> Fraction | int:
    value = yearly(contract)
    if value is None or contract.value is None:
        return 0
    return question.rates.convert(value, contract.value.currency, min(contract.last or question.on, question.on))


def _no_value(contract: Known) -> str:
    return "no value" if contract.value is None else f"value {contract.value_per}: not recurring"
