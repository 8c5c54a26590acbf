"""Do we talk to them? Days since the last contact, calls that led to meetings, how managers cover their accounts."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from fractions import Fraction
from functools import partial
from itertools import islice
from typing import Literal, NamedTuple, Unpack

import attrs

from keyaccount.accounts import Accounts
from keyaccount.calendars import Period
from keyaccount.figures import NONE, Figure, Figures, Records
from keyaccount.model.activities import MET, Activity
from keyaccount.model.commerce import Invoice
from keyaccount.model.contacts import Position
from keyaccount.money import Money
from keyaccount.questions import Options, Question, checked_count, checked_word, of_several
from keyaccount.ratios import Entry, Ratio
from keyaccount.results import Result, Rows
from keyaccount.spans import in_force
from keyaccount.turnover import by_unit, money, turnover
from keyaccount.values import FrozenMap

Per = Literal["account", "contact", "group", "parent"]
PER = ("account", "contact", "group", "parent")
WITHIN_DAYS = 14
_SINCE = "whole days since the last contact in both directions: a call answered, a meeting, a visit, an e-mail received"


def day_of(at: datetime, zone: tzinfo) -> date:
    """Return the day of a moment in a zone."""
    return at.astimezone(zone).date()


# ---- the last contact ----------------------------------------------------------------------------------------------


@attrs.frozen(repr=False)
class Contacted(Result):
    """The last contact with a subject (a contact, an account, a group): when, by whom, how, with whom, which."""

    subject: str
    day: date
    at: datetime
    kind: str
    by_id: str | None
    contact_ids: tuple[str, ...]
    activity_id: str
    days: int


class Met(NamedTuple):
    """A contact in both directions, read as columns: what its activity says of it."""

    id: str
    organisation_id: str | None
    contact_ids: tuple[str, ...]
    kind: str
    at: datetime | None
    by_id: str | None

    @property
    def two_way(self) -> bool:
        """It was read because it is."""
        return True


def last_contacts(
    activities: Iterable[Activity | Met],
    *,
    on: date,
    per: Per = "account",
    positions: Iterable[Position] = (),
    zone: tzinfo = UTC,
    **options: Unpack[Options],
) -> dict[str, Contacted]:
    """Return the last contact in both directions up to the end of a day, by account, contact, client group or parent.

    An activity counts for the organisation it names; one that names none, for those where its contacts hold a position
    on its day. What counts for an account counts for its groups and its ultimate parent.
    """
    question = _asking(on, per, options)
    held = _held(positions)
    found: dict[str, Contacted] = {}
    for row in activities:
        if row.two_way and row.at is not None and (day := day_of(row.at, zone)) <= on:
            for subject in _subjects(row, per, question, _accounts_of(row, held, day)):
                last = found.get(subject)
                if last is None or (last.at, last.activity_id) < (row.at, row.id):
                    days = (on - day).days
                    found[subject] = Contacted(subject, day, row.at, row.kind, row.by_id, row.contact_ids, row.id, days)
    return found


def _asking(on: date, per: str, options: Options) -> Question:
    checked_word("per", per, PER)
    return Question.of(Period(on, on), on, options)


def _held(positions: Iterable[Position]) -> dict[str, list[Position]]:
    held: defaultdict[str, list[Position]] = defaultdict(list)
    for position in positions:
        held[position.contact_id].append(position)
    return held


def _accounts_of(row: Activity | Met, held: Mapping[str, list[Position]], day: date) -> tuple[str, ...]:
    if row.organisation_id is not None:
        return (row.organisation_id,)
    holding = (position for contact in row.contact_ids for position in held.get(contact, ()))
    return tuple(dict.fromkeys(one.organisation_id for one in holding if in_force(one, day)))


def _subjects(row: Activity | Met, per: Per, question: Question, accounts: tuple[str, ...]) -> Iterable[str]:
    asked = [account for account in accounts if question.asks_for(account, question.on)]
    if per == "contact":
        return row.contact_ids if asked or question.group is None else ()
    if per == "group":
        return {group for one in asked for group in question.accounts.groups(one, question.on)}
    if per == "parent":
        return {question.accounts.ultimate_parent(one) for one in asked}
    return asked


def days_since_contact(
    activities: Iterable[Activity | Met],
    *,
    on: date,
    per: Per = "account",
    positions: Iterable[Position] = (),
    zone: tzinfo = UTC,
    **options: Unpack[Options],
) -> Figures:
    """Return the days since the last contact in both directions: a figure by account, contact, group or parent.

    Customers that `accounts=` tells of and nobody ever talked to are there without a value. Each figure's record is the
    activity, its remark says who, when and how. `whole` counts those talked to and those never, and with `by=` its
    parts do.
    """
    question = _asking(on, per, options)
    found = last_contacts(activities, on=on, per=per, positions=positions, zone=zone, **options)
    names = sorted(found.keys() | _known(question, per))
    whole = _talked_to(names, found, question, per)
    rows = (Figure.later(name, partial(_since, name, found.get(name), question, per)) for name in names)
    return Figures(tuple(rows), whole)


def _known(question: Question, per: Per) -> set[str]:
    """Return the subjects that are there whether or not anybody talked to them."""
    accounts, on = question.accounts, question.on
    customers = [
        row.id
        for row in accounts.organisations.values()
        if "customer" in row.relationships and question.asks_for(row.id, on)
    ]
    if per == "group":
        return {group for one in customers for group in accounts.groups(one, on)}
    if per == "parent":
        return {accounts.ultimate_parent(one) for one in customers}
    return set(customers) if per == "account" else set()


def _since(name: str, last: Contacted | None, question: Question, per: Per) -> Figure:
    return Figure(
        "Days since contact",
        None if last is None else last.days,
        reason="never talked to" if last is None else None,
        records=Records(() if last is None else (last.activity_id,)),
        accounts=Records((), (name,) if per in ("account", "parent") else ()),
        definition=_SINCE,
        level=per,
        on=question.on,
        part=name,
        remarks=() if last is None else (_told(last),),
    )


def _told(last: Contacted) -> str:
    by = f" by {last.by_id}" if last.by_id else ""
    whom = f" with {', '.join(last.contact_ids)}" if last.contact_ids else ""
    return f"{last.day}: {last.kind}{by}{whom}"


def _talked_to(names: Sequence[str], found: Mapping[str, Contacted], question: Question, per: Per) -> Figure:
    entries = [
        Entry(
            name,
            question.parts(name, question.on) if per in ("account", "parent") else (),
            int(name in found),
            1,
            (found[name].activity_id,) if name in found else (),
            (),
        )
        for name in names
    ]
    definition = f"those ever talked to, divided by all; {_SINCE}"
    shared = question.shared(names, question.on) if per == "account" else ()
    return Ratio("Talked to", definition, "nobody was asked for", question, per, remarks=shared).figure(entries)


# ---- calls and meetings --------------------------------------------------------------------------------------------


def call_to_meeting(
    activities: Iterable[Activity],
    period: Period | tuple[date, date],
    *,
    on: date,
    within_days: int = WITHIN_DAYS,
    zone: tzinfo = UTC,
    **options: Unpack[Options],
) -> Figure:
    """Return the share of the answered calls of a period that led to a meeting with one of their contacts.

    The earliest call takes the earliest free meeting (or visit) with one of its contacts that comes after it, within so
    many days; each call leads to one meeting, and each meeting comes from one call. Calls of before the period take
    their meetings too. Provisional while a call that led to none may still do so.
    """
    question = Question.of(period, on, options)
    checked_count("within_days", within_days)
    known = sorted(
        (row for row in activities if row.at is not None and day_of(row.at, zone) <= on),
        key=lambda row: (row.at, row.id),
    )
    led = dict(_attributed(known, within_days, zone))
    entries, waiting, shared = [], False, set()
    for call in known:
        if not _is_call(call) or call.at is None or (day := day_of(call.at, zone)) not in question.period:
            continue
        account = call.organisation_id or NONE
        if question.asks_for(account, day):
            meeting = led.get(call.id)
            waiting = waiting or (meeting is None and (on - day).days < within_days)
            unit = question.unit(account)
            if question.is_shared(unit, day):
                shared.add(unit)
            ids = () if meeting is None else (meeting,)
            entries.append(Entry(unit, question.parts(unit, day), int(meeting is not None), 1, ids, (call.id,)))
    return Ratio(
        "Calls to meetings",
        f"meetings that came from a call, at most {within_days} days after it and with one of its contacts, divided by "
        "answered calls; one call a meeting, one meeting a call",
        "no call was answered",
        question,
        "account" if question.level == "contract" else question.level,
        provisional=bool(question.unfinished) or waiting,
        remarks=(*question.unfinished, *of_several(shared)),
    ).figure(entries)


def _is_call(row: Activity) -> bool:
    return row.kind == "call" and row.connected


def _attributed(known: Sequence[Activity], within_days: int, zone: tzinfo) -> Iterator[tuple[str, str]]:
    """Yield each call that led to a meeting with that meeting; `known` comes in the order of time."""
    meetings: defaultdict[str, list[Activity]] = defaultdict(list)
    for row in known:
        if row.kind in MET:
            for contact in row.contact_ids:
                meetings[contact].append(row)
    taken: set[str] = set()
    for call in filter(_is_call, known):
        after = (_first_free(call, meetings[one], taken) for one in call.contact_ids if one in meetings)
        first = min(filter(None, after), key=_by_moment, default=None)
        if first is not None and day_of(_moment(first), zone) <= _last_day(day_of(_moment(call), zone), within_days):
            taken.add(first.id)
            yield call.id, first.id


def _first_free(call: Activity, meetings: Sequence[Activity], taken: Container[str]) -> Activity | None:
    start = bisect_right(meetings, _moment(call), key=_moment)
    return next((row for row in islice(meetings, start, None) if row.id not in taken), None)


def _moment(row: Activity) -> datetime:
    return row.at or datetime.min.replace(tzinfo=UTC)


def _by_moment(row: Activity) -> tuple[datetime, str]:
    return _moment(row), row.id


def _last_day(day: date, days: int) -> date:
    return day + timedelta(min(days, (date.max - day).days))


# ---- coverage ------------------------------------------------------------------------------------------------------


@attrs.frozen(repr=False)
class ManagerCoverage(Result):
    """How one manager covers the accounts led: number and value, contact, promises, activities by kind.

    `value` is the net turnover of the 12 months, one amount for each currency. `contacts` are those in both directions
    over the period, `contacts_per_account` their number divided by that of the accounts; `not_contacted` are the
    accounts without any. Of the promises due in the period, `kept` were done by their day, `late` after it, `broken`
    are still open.
    """

    manager: str
    accounts: int
    value: tuple[Money, ...]
    contacts: int
    contacts_per_account: Fraction | None
    not_contacted: tuple[str, ...]
    promises: int
    kept: int
    late: int
    broken: int
    kinds: Mapping[str, int]


@attrs.frozen(repr=False)
class Coverage(Rows[ManagerCoverage]):
    """The coverage by leading manager, those without one last."""

    rows: tuple[ManagerCoverage, ...]
    period: Period
    on: date


@attrs.define
class _Tally:
    """What is counted for one manager."""

    accounts: set[str] = attrs.field(factory=set)
    units: Counter[str] = attrs.field(factory=Counter)
    contacts: Counter[str] = attrs.field(factory=Counter)
    promises: Counter[str] = attrs.field(factory=Counter)
    kinds: Counter[str] = attrs.field(factory=Counter)


def coverage(
    activities: Iterable[Activity],
    invoices: Iterable[Invoice] = (),
    *,
    on: date,
    accounts: Accounts,
    period: Period | tuple[date, date] | None = None,
    zone: tzinfo = UTC,
    group: str | None = None,
) -> Coverage:
    """Return how each manager covers the accounts led at the end of the period, which is the 12 months to the day.

    An account counts for its leading manager only.
    """
    asked = Period.months_to(on, 12) if period is None else period
    question = Question.of(asked, on, {"accounts": accounts, "by": "manager", "group": group})
    then = question.closing or on
    found: defaultdict[str, _Tally] = defaultdict(_Tally)
    window = {"period": question.period}
    for one in by_unit(turnover(invoices, window), question, then):
        tally = found[one.parts[0]]
        tally.accounts.add(one.unit)
        for currency, units in one.amounts.items():
            tally.units[currency] += int(units[0])
    for row in activities:
        account = row.organisation_id
        if account is not None and question.asks_for(account, then):
            _count(row, account, found[question.parts(account, then)[0]], question, zone)
    names = sorted(found, key=lambda name: (name == NONE, name))
    return Coverage(tuple(_covered(name, found[name]) for name in names), question.period, on)


def _count(row: Activity, account: str, tally: _Tally, question: Question, zone: tzinfo) -> None:
    tally.accounts.add(account)
    if row.at is not None and day_of(row.at, zone) in question.period and day_of(row.at, zone) <= question.on:
        tally.kinds[row.kind] += 1
        tally.contacts[account] += row.two_way
    due = row.follow_up_on
    if due is not None and due in question.period and due < question.on:
        tally.promises[_kept(row, due, question.on, zone)] += 1


def _kept(row: Activity, due: date, on: date, zone: tzinfo) -> str:
    done = None if row.done_at is None else day_of(row.done_at, zone)
    if done is None or done > on:
        return "broken"
    return "kept" if done <= due else "late"


def _covered(name: str, tally: _Tally) -> ManagerCoverage:
    contacts, count = sum(tally.contacts.values()), len(tally.accounts)
    return ManagerCoverage(
        name,
        count,
        tuple(found for one, units in sorted(tally.units.items()) if (found := money(units, one)) is not None),
        contacts,
        Fraction(contacts, count) if count else None,
        tuple(sorted(account for account in tally.accounts if not tally.contacts[account])),
        sum(tally.promises.values()),
        tally.promises["kept"],
        tally.promises["late"],
        tally.promises["broken"],
        FrozenMap(dict(sorted(tally.kinds.items()))),
    )
