"""Which contracts need somebody: due soon, expired and not renewed, and how fast the first action came."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from fractions import Fraction
from typing import Unpack

import attrs

from keyaccount.calendars import Period
from keyaccount.contracts import LEAD_DAYS, Lead, alert_before, deadline_of, state_of
from keyaccount.deadlines import notice_deadline
from keyaccount.figures import Excluded, Figure, Figures, Records, Value, rounded, shown_in_order
from keyaccount.model.contracts import Contract
from keyaccount.money import Money
from keyaccount.questions import Amount, Options, Question, Sum, checked_count
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
    progress: Mapping[str, str] | None = None,
    **options: Unpack[Options],
) -> tuple[DueContracts, ExpiredContracts]:
    """Return what `due` and `expired` do, in one pass over the contracts."""
    question, last = _asked(on, within_days, options)
    rows = list(_open(contracts, question))
    soon = _due_soon(rows, question, last, LEAD_DAYS, progress or {})
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
    for batch in question.standings(contracts, []):
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
    excluded: list[Excluded] = []
    rows, amounts = [], []
    for row in _expiries(contracts, question):
        rows.append(_expired(row, question))
        units, value = yearly(row.known), row.known.value
        if units is None or value is None:
            excluded.append(Excluded(row.known.id, "counted, but without recurring value"))
        else:
            exact = question.rates.convert(units, value.currency, rows[-1].ended_on)
            currency = question.rates.target(value.currency)
            amounts.append(Amount(row.known.account, rows[-1].parts, exact, row.known.id, currency))
    rows.sort(key=_by_age)
    worth = Sum("", "", "", question).figure(amounts)
    whole = attrs.evolve(_count(rows, worth, question), excluded=tuple(sorted(excluded)))
    if question.by is None:
        return whole
    names = shown_in_order({part: None for row in rows for part in row.parts})
    parts = [
        attrs.evolve(_count([row for row in rows if name in row.parts], _part(worth, name), question), part=name)
        for name in names
    ]
    overlap = ("The parts overlap: an account may be in several groups.",) if question.by == "group" else ()
    return attrs.evolve(whole, parts=Figures(tuple(parts)), remarks=overlap)


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


# ---- the first action ----------------------------------------------------------------------------------------------


@attrs.frozen(repr=False)
class Alert(Result):
    """A contract whose renewal was to be worked on from a day."""

    contract_id: str
    organisation_id: str
    raised_on: date


@attrs.frozen(repr=False)
class Action(Result):
    """Something that qualifies as action: a workflow step of one contract, or an activity on the whole account.

    Whether an activity qualifies (by the manager, a deputy or the team, no automatic mail) is the caller's to say.
    """

    organisation_id: str
    day: date
    contract_id: str | None = None


@attrs.frozen(repr=False)
class FirstAction(Result):
    """An alert and the days to its first action: 0 if it came before, None (see `age`) while there is none."""

    contract_id: str
    organisation_id: str
    raised_on: date
    acted_on: date | None
    days: int | None
    age: int
    parts: tuple[str, ...] = ()


@attrs.frozen(repr=False)
class FirstActions(Rows[FirstAction]):
    """Alerts with their first actions, by day of the alert."""

    rows: tuple[FirstAction, ...]


def alerts(
    contracts: Iterable[Contract],
    period: Period | tuple[date, date],
    *,
    on: date,
    lead: Lead = LEAD_DAYS,
    **options: Unpack[Options],
) -> tuple[Alert, ...]:
    """Return the alerts that fall into a period: the lead before each notice deadline that somebody had to decide on.

    A contract that was terminated or renewed by that day has none.
    """
    question = Question.of(period, on, options)
    found = []
    for batch in question.standings(contracts, []):
        for row in batch:
            found += [
                Alert(row.known.id, row.known.account, day)
                for day in _alert_days(row, question.period, lead)
                if day in question.period and day <= on and question.asks_for(row.known.account, day)
            ]
    return tuple(sorted(found, key=lambda one: (one.raised_on, one.contract_id)))


def _alert_days(row: Standing, period: Period, lead: Lead) -> Iterator[date]:
    known, ends = row.known, row.known.ends
    if ends is None or row.end is None:
        return
    decided = [day for day in (known.noticed, *(after.signed for after in row.successors)) if day is not None]
    for end in ends.between(period.start, row.end):
        day = alert_before(notice_deadline(end, ends.notice), known.kind, known.account, lead)
        if end < row.end or not decided or day < min(decided):
            yield day


def first_actions(
    raised: Iterable[Alert],
    actions: Iterable[Action],
    period: Period | tuple[date, date],
    *,
    on: date,
    lead_days: int = LEAD_DAYS,
    **options: Unpack[Options],
) -> FirstActions:
    """Return the first qualifying action for each alert of a period; an action counts from `lead_days` before it."""
    question = Question.of(period, on, options)
    by_contract: defaultdict[tuple[str, str | None], list[date]] = defaultdict(list)
    for action in actions:
        if action.day <= on:
            by_contract[action.organisation_id, action.contract_id].append(action.day)
    for days in by_contract.values():
        days.sort()
    rows = []
    for alert in sorted(raised, key=lambda one: (one.raised_on, one.contract_id)):
        account, day = alert.organisation_id, alert.raised_on
        if day in question.period and day <= on and question.asks_for(account, day):
            since = day - timedelta(min(lead_days, (day - date.min).days))
            both = (by_contract.get((account, of), []) for of in (None, alert.contract_id))
            acted = min((days[n] for days in both if (n := bisect_left(days, since)) < len(days)), default=None)
            taken = None if acted is None else max(0, (acted - day).days)
            parts = question.parts(account, day)
            rows.append(FirstAction(alert.contract_id, account, day, acted, taken, (on - day).days, parts))
    return FirstActions(tuple(rows))


def days_to_first_action(
    contracts: Iterable[Contract],
    period: Period | tuple[date, date],
    *,
    on: date,
    actions: Iterable[Action],
    raised: Iterable[Alert] | None = None,
    target_days: int = 14,
    lead_days: int = LEAD_DAYS,
    **options: Unpack[Options],
) -> Figure:
    """Return the median of whole days from an alert to the first qualifying action, of the alerts of a period.

    `raised` are the alerts; where they are not kept, they are those the contracts' deadlines give. Alerts without an
    action are open: never dropped, never taken as 0, but counted and listed with their age. The mean, and the share
    within the target (of those acted on, and those open for longer than the target), stand beside.
    """
    question = Question.of(period, on, options)
    checked_count("target_days", target_days)
    found = alerts(contracts, period, on=on, lead=lead_days, **options) if raised is None else raised
    rows = list(first_actions(found, actions, period, on=on, lead_days=lead_days, **options))
    whole = _waited(rows, question, target_days)
    if question.by is None:
        return whole
    names = shown_in_order({part: None for row in rows for part in row.parts})
    parts = [
        attrs.evolve(_waited([row for row in rows if name in row.parts], question, target_days), part=name)
        for name in names
    ]
    return attrs.evolve(whole, parts=Figures(tuple(parts)))


def _waited(rows: list[FirstAction], question: Question, target_days: int) -> Figure:
    acted = sorted(row.days for row in rows if row.days is not None)
    waiting = [row for row in rows if row.days is None]
    tried = len(acted) + sum(row.age > target_days for row in waiting)
    in_time = sum(days <= target_days for days in acted)
    beside: dict[str, Value] = {
        "mean": Fraction(sum(acted), len(acted)) if acted else None,
        "acted": len(acted),
        "open": len(waiting),
        "proactive": sum(row.acted_on is not None and row.acted_on < row.raised_on for row in rows),
        "within target": Fraction(in_time, tried) if tried else None,
    }
    listed = ", ".join(f"{row.contract_id} ({row.age} days)" for row in waiting)
    return Figure(
        "Days to first action",
        _median(acted),
        reason=None if acted else "no alert was acted on" if rows else "no alert in the period",
        records=Records(
            tuple(row.contract_id for row in rows if row.days is not None), tuple(row.contract_id for row in rows)
        ),
        accounts=Records(
            tuple(dict.fromkeys(row.organisation_id for row in rows if row.days is not None)),
            tuple(dict.fromkeys(row.organisation_id for row in rows)),
        ),
        provisional=bool(waiting),
        definition="whole calendar days from the alert to the first qualifying action, 0 where it came before; the "
        f"median of those acted on. Within target: {target_days} days",
        period=question.period,
        level="contract",
        on=question.on,
        attribution=question.attribution,
        beside=FrozenMap(beside),
        remarks=(f"Open, with their age: {listed}.",) if waiting else (),
    )


def _median(days: list[int]) -> Fraction | None:
    if not days:
        return None
    middle = len(days) // 2
    return Fraction(days[middle]) if len(days) % 2 else Fraction(days[middle - 1] + days[middle], 2)
