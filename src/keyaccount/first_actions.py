"""How fast the first action came, once a contract's renewal was to be worked on."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from fractions import Fraction
from typing import Unpack

import attrs

from keyaccount.calendars import Period
from keyaccount.contracts import LEAD_DAYS, Lead, alert_before
from keyaccount.deadlines import notice_deadline
from keyaccount.evidence import Excluded, left_out
from keyaccount.figures import Figure, Figures, Records, Value, shown_in_order
from keyaccount.model.contracts import Contract
from keyaccount.questions import Options, Question, checked_count, of_several
from keyaccount.ratios import OVERLAP
from keyaccount.results import Result, Rows
from keyaccount.succession import Standing
from keyaccount.values import FrozenMap


@attrs.frozen(repr=False)
class Alert(Result):
    """A contract whose renewal was to be worked on from a day.

    `over_on` is the day since which nobody needs to any more: somebody gave notice, or it was replaced.
    """

    contract_id: str
    organisation_id: str
    raised_on: date
    over_on: date | None = None


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
    for batch in question.standings(contracts, left_out()):
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
        deadline = notice_deadline(end, ends.notice)
        day = max(alert_before(deadline, known.kind, known.account, lead), known.signed)
        if day <= deadline and (end < row.end or not decided or day < min(decided)):
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
    """Return the first qualifying action for each alert of a period; an action counts from `lead_days` before it.

    An alert that was over before anybody acted is left out.
    """
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
            if acted is None and alert.over_on is not None and alert.over_on <= on:
                continue
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
    found = list(found)
    rows = list(first_actions(found, actions, period, on=on, lead_days=lead_days, **options))
    shared = of_several(row.organisation_id for row in rows if question.is_shared(row.organisation_id, row.raised_on))
    whole = _waited(rows, question, target_days)
    overlap = (OVERLAP,) if question.by == "group" else ()
    remarks = (*whole.remarks, *shared, *overlap)
    whole = attrs.evolve(whole, remarks=remarks, excluded=_over(found, rows, question))
    if question.by is None:
        return whole
    names = shown_in_order({part: None for row in rows for part in row.parts})
    parts = [
        attrs.evolve(_waited([row for row in rows if name in row.parts], question, target_days), part=name)
        for name in names
    ]
    return attrs.evolve(whole, parts=Figures(tuple(parts)))


def _over(found: Iterable[Alert], rows: Iterable[FirstAction], question: Question) -> Sequence[Excluded]:
    """Return the alerts that were over before anybody acted."""
    told = {(row.contract_id, row.raised_on) for row in rows}
    return tuple(
        Excluded(one.contract_id, f"over on {one.over_on}, before anybody acted")
        for one in sorted(found, key=lambda one: (one.raised_on, one.contract_id))
        if one.over_on is not None
        and one.over_on <= question.on
        and one.raised_on in question.period
        and (one.contract_id, one.raised_on) not in told
        and question.asks_for(one.organisation_id, one.raised_on)
    )


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
