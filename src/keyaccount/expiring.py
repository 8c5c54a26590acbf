"""Which contracts need somebody: due soon, or expired and not renewed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from typing import Unpack

import attrs

from keyaccount.calendars import Period
from keyaccount.contracts import LEAD_DAYS, Lead, alert_before, deadline_of, state_of
from keyaccount.evidence import Excluded, left_out
from keyaccount.figures import Figure, Figures, Records, Value, rounded, shown_in_order
from keyaccount.model.contracts import Contract
from keyaccount.money import Money
from keyaccount.questions import Options, Question, checked_count, of_several
from keyaccount.ratios import OVERLAP, Amount, Sum
from keyaccount.results import Result, Rows
from keyaccount.succession import Standing, yearly
from keyaccount.values import FrozenMap

# ---- due soon ------------------------------------------------------------------------------------------------------


@attrs.frozen(repr=False)
class DueContract(Result):
    """A contract that ends soon, or whose notice deadline comes; `days_left` counts to the nearer of the two.

    `deadline` is None once notice was given. `done` says what was done so far, where the host told.
    """

    contract_id: str
    organisation_id: str
    kind: str
    ends_on: date
    deadline: date | None
    alert_on: date | None
    days_left: int
    state: str
    auto_renews: bool = False
    terminated: bool = False
    parts: tuple[str, ...] = ()
    done: str | None = None


@attrs.frozen(repr=False)
class DueContracts(Rows[DueContract]):
    """Contracts due soon, the nearest day first."""

    rows: tuple[DueContract, ...]
    on: date
    within_days: int


def due(
    contracts: Iterable[Contract],
    *,
    on: date,
    within_days: int = 60,
    lead: Lead = LEAD_DAYS,
    progress: dict[str, str] | None = None,
    **options: Unpack[Options],
) -> DueContracts:
    """Return the contracts whose effective end or notice deadline lies within so many days, both days included.

    Open-ended and already renewed ones are left out. `progress` maps contract ids to what was done so far.
    """
    question, last = _asked(on, within_days, options)
    rows = _due_soon(_open(contracts, question), question, last, lead, progress or {})
    return DueContracts(tuple(sorted(rows, key=_by_urgency)), on, within_days)


def due_and_expired(
    contracts: Iterable[Contract],
    *,
    on: date,
    within_days: int = 60,
    lead: Lead = LEAD_DAYS,
    progress: Mapping[str, str] | None = None,
    **options: Unpack[Options],
) -> tuple[DueContracts, ExpiredContracts]:
    """Return what `due` and `expired` do, in one pass over the contracts."""
    question, last = _asked(on, within_days, options)
    rows = list(_open(contracts, question))
    soon = _due_soon(rows, question, last, lead, progress or {})
    gone = [_expired(row, question) for row in rows if _is_expired(row, on)]
    return (
        DueContracts(tuple(sorted(soon, key=_by_urgency)), on, within_days),
        ExpiredContracts(tuple(sorted(gone, key=_by_age)), on),
    )


def _due_soon(
    rows: Iterable[Standing], question: Question, last: date, lead: Lead, progress: Mapping[str, str]
) -> Iterator[DueContract]:
    on = question.on
    for row in rows:
        deadline = None if row.known.terminated else deadline_of(row)
        days = [day for day in (row.end, deadline) if day is not None and on <= day <= last]
        if days:
            found = _due(row, question, lead, progress.get(row.known.id))
            yield attrs.evolve(found, days_left=(min(days) - on).days)


def notice_deadlines(
    contracts: Iterable[Contract],
    *,
    on: date,
    within_days: int = 60,
    lead: Lead = LEAD_DAYS,
    **options: Unpack[Options],
) -> DueContracts:
    """Return the contracts whose notice deadline lies within so many days, and for which nobody has decided yet."""
    question, last = _asked(on, within_days, options)
    rows = [_due(row, question, lead, None) for row in _open(contracts, question)]
    coming = [
        attrs.evolve(row, days_left=(row.deadline - on).days)
        for row in rows
        if row.deadline is not None and on <= row.deadline <= last
    ]
    return DueContracts(tuple(sorted(coming, key=_by_urgency)), on, within_days)


def _asked(on: date, within_days: int, options: Options) -> tuple[Question, date]:
    question = Question.of(Period(on, on), on, options)
    checked_count("within_days", within_days)
    return question, on + timedelta(min(within_days, (date.max - on).days))


def _open(contracts: Iterable[Contract], question: Question) -> Iterator[Standing]:
    """Yield the contracts with an end that nothing follows yet."""
    for batch in question.standings(contracts, left_out()):
        for row in batch:
            if row.end is not None and not row.successors and question.asks_for(row.known.account, row.end):
                yield row


def _due(row: Standing, question: Question, lead: Lead, done: str | None) -> DueContract:
    known, end = row.known, row.end or date.max
    deadline = None if known.terminated else deadline_of(row)
    alert = None if deadline is None else alert_before(deadline, known.kind, known.account, lead)
    state = state_of(row, question.on, lead)
    parts = question.parts(known.account, end)
    return DueContract(
        known.id, known.account, known.kind, end, deadline, alert, 0, state, row.rolls, known.terminated, parts, done
    )


def _by_urgency(row: DueContract) -> tuple[int, str]:
    return row.days_left, row.contract_id


# ---- expired and not renewed ---------------------------------------------------------------------------------------


@attrs.frozen(repr=False)
class ExpiredContract(Result):
    """A contract that ended, and that nothing follows; `value` is its yearly recurring value."""

    contract_id: str
    organisation_id: str
    kind: str
    ended_on: date
    days: int
    in_grace: bool
    value: Money | None
    parts: tuple[str, ...] = ()


@attrs.frozen(repr=False)
class ExpiredContracts(Rows[ExpiredContract]):
    """Contracts expired and not renewed, the latest first."""

    rows: tuple[ExpiredContract, ...]
    on: date


def expired(contracts: Iterable[Contract], *, on: date, **options: Unpack[Options]) -> ExpiredContracts:
    """Return the contracts that ended before a day without a successor, not terminated and not auto-renewed."""
    question = Question.of(Period(on, on), on, options)
    rows = [_expired(row, question) for row in _expiries(contracts, question)]
    return ExpiredContracts(tuple(sorted(rows, key=_by_age)), on)


def expired_unrenewed(contracts: Iterable[Contract], *, on: date, **options: Unpack[Options]) -> Figure:
    """Return how many contracts ended before a day and were not renewed; how many are in grace, and their value beside.

    A contract counts that ended before the day, has no successor (also none that starts later), was not terminated
    before its end and does not renew itself. The value is the yearly recurring one.
    """
    question = Question.of(Period(on, on), on, options)
    excluded = left_out()
    rows, amounts = [], []
    for row in _expiries(contracts, question):
        rows.append(_expired(row, question))
        units, value = yearly(row.known), row.known.value
        if units is None or value is None:
            excluded.extend((Excluded(row.known.id, "counted, but without recurring value"),))
        else:
            exact = question.rates.convert(units, value.currency, rows[-1].ended_on)
            currency = question.rates.target(value.currency)
            amounts.append(Amount(row.known.account, rows[-1].parts, exact, row.known.id, currency))
    rows.sort(key=_by_age)
    worth = Sum("", "", "", question).figure(amounts)
    shared = of_several(row.organisation_id for row in rows if question.is_shared(row.organisation_id, row.ended_on))
    whole = attrs.evolve(_count(rows, worth, question), excluded=excluded.told(sorts=True), remarks=shared)
    if question.by is None:
        return whole
    names = shown_in_order({part: None for row in rows for part in row.parts})
    parts = [
        attrs.evolve(_count([row for row in rows if name in row.parts], _part(worth, name), question), part=name)
        for name in names
    ]
    overlap = (OVERLAP,) if question.by == "group" else ()
    return attrs.evolve(whole, parts=Figures(tuple(parts)), remarks=(*whole.remarks, *overlap))


def _part(worth: Figure, name: str) -> Figure | None:
    return worth.parts[name] if worth.parts is not None and name in worth.parts.keys() else None  # noqa: SIM118


def _expiries(contracts: Iterable[Contract], question: Question) -> Iterator[Standing]:
    return (row for row in _open(contracts, question) if _is_expired(row, question.on))


def _is_expired(row: Standing, on: date) -> bool:
    return row.end is not None and row.end < on and not row.known.terminated


def _by_age(row: ExpiredContract) -> tuple[int, str]:
    return row.days, row.contract_id


def _expired(row: Standing, question: Question) -> ExpiredContract:
    known, end = row.known, row.end or date.max
    units, days = yearly(known), (question.on - end).days
    value = None if units is None or known.value is None else rounded(units, known.value.currency)
    parts = question.parts(known.account, end)
    in_grace = days <= question.matching.grace_days
    return ExpiredContract(known.id, known.account, known.kind, end, days, in_grace, value, parts)


def _count(rows: list[ExpiredContract], worth: Figure | None, question: Question) -> Figure:
    values: dict[str, Value] = {"in grace": sum(row.in_grace for row in rows)}
    if worth is not None and worth.value is not None:
        values["yearly value"] = worth.value
    elif worth is not None and question.by is None:
        values |= {f"yearly value {part.part}": part.value for part in worth.parts or ()}
    return Figure(
        "Contracts expired and not renewed",
        len(rows),
        records=Records(tuple(row.contract_id for row in rows)),
        accounts=Records(tuple(dict.fromkeys(row.organisation_id for row in rows))),
        provisional=bool(values["in grace"]),
        definition="contracts that ended before the day, without a successor, not terminated, not auto-renewed",
        level="contract",
        on=question.on,
        attribution=question.attribution,
        beside=FrozenMap(values),
    )
