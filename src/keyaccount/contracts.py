"""Contracts: which state, until when notice can be given, what they are worth, and whether they were renewed.

Plain functions over plain contracts; they trust what they are given. Every question takes `on`, the day up to which
things are known. The definitions are those of the specification (renewals and metrics).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import TypeAlias

import attrs

from keyaccount import deadlines
from keyaccount.calendars import ONE_DAY, Period, is_day
from keyaccount.errors import ValidationError
from keyaccount.model.contracts import Contract
from keyaccount.money import SCALE
from keyaccount.results import Result, Rows
from keyaccount.succession import AS_SHIPPED, Matching, Standing, standings, yearly_units

LEAD_DAYS = 60
STATES = ("draft", "upcoming", "running", "in notice window", "ended", "terminated", "renewed")

Lead: TypeAlias = int | Mapping[str, int] | Callable[[str, str], int]
"""How many days before its notice deadline a contract is alerted: for all, by kind, or by kind and account."""


# ---- one contract --------------------------------------------------------------------------------------------------


def state(
    contract: Contract,
    contracts: Iterable[Contract] = (),
    *,
    on: date,
    lead: Lead = LEAD_DAYS,
    matching: Matching = AS_SHIPPED,
) -> str:
    """Return the state of a contract on a day, one of `STATES`; `contracts` are those that may have followed it.

    In force it is in notice window from the alert day to the notice deadline, as long as no notice was given and
    nothing follows it, else running; after that it is renewed, terminated or ended.
    """
    among = [contract, *(other for other in contracts if other.id != contract.id)]
    return states(among, on=on, lead=lead, matching=matching)[contract.id]


def states(
    contracts: Iterable[Contract], *, on: date, lead: Lead = LEAD_DAYS, matching: Matching = AS_SHIPPED
) -> dict[str, str]:
    """Return the state of each contract by id; see `state`."""
    rows = list(contracts)
    found, _ = standings(rows, on=known_on(on), matching=matching)
    told = {row.known.id: state_of(row, on, lead) for row in found}
    return {row.id: told.get(row.id) or _uncounted(row, on) for row in rows}


def state_of(row: Standing, on: date, lead: Lead = LEAD_DAYS) -> str:
    """Return the state of a signed contract whose successors are known."""
    if on < row.known.start:
        return "upcoming"
    if row.in_force(on):
        return "in notice window" if _in_window(row, on, lead) else "running"
    if row.successors:
        return "renewed"
    return "terminated" if row.known.terminated else "ended"


def _uncounted(contract: Contract, on: date) -> str:
    unsigned = contract.signed_on is None or contract.signed_on > on
    return "draft" if unsigned else "terminated"


def _in_window(row: Standing, on: date, lead: Lead) -> bool:
    if row.known.terminated or row.successors:
        return False
    deadline = deadline_of(row)
    return deadline is not None and alert_before(deadline, row.known.kind, row.known.account, lead) <= on <= deadline


def deadline_of(row: Standing) -> date | None:
    """Return the last day notice for the effective end can be given; None for an open-ended contract."""
    if row.end is None or row.known.ends is None:
        return None
    return deadlines.notice_deadline(row.end, row.known.ends.notice)


def alert_before(deadline: date, kind: str, account: str, lead: Lead) -> date:
    """Return the day from which a deadline is alerted."""
    by_kind = lead.get(kind, LEAD_DAYS) if isinstance(lead, Mapping) else lead
    days = by_kind(kind, account) if callable(by_kind) else by_kind
    if not isinstance(days, int) or isinstance(days, bool) or days < 0:
        raise ValidationError.of("Contract", "lead", days, "must be a number of days, 0 or more")
    return deadline - timedelta(days) if days < deadline.toordinal() else date.min


def effective_end(
    contract: Contract, contracts: Iterable[Contract] = (), *, on: date, matching: Matching = AS_SHIPPED
) -> date | None:
    """Return the last day in force as known on a day; None for an open-ended contract.

    That is the end a notice given reaches; for an auto-renewing one without notice the first end of a term whose
    deadline has not passed. A draft has the end it would have.
    """
    among = [contract, *(other for other in contracts if other.id != contract.id)]
    found, _ = standings(among, on=known_on(on), matching=matching)
    if found and found[0].known.id == contract.id:
        return found[0].end
    ends, last = deadlines.ends_of(contract), deadlines.last_day(contract, known_on=on)
    return last if last is not None or ends is None else ends.open_on(on)


def notice_deadline(contract: Contract, *, on: date) -> date | None:
    """Return the last day notice for the effective end can be given; None for an open-ended contract.

    >>> from keyaccount.model.terms import months
    >>> start, end = date(2026, 1, 1), date(2026, 8, 31)
    >>> lease = Contract("m-1", organisation_id="acme", starts_on=start, ends_on=end, notice=months(3))
    >>> notice_deadline(lease, on=date(2026, 2, 1))
    datetime.date(2026, 5, 31)
    """
    end = effective_end(contract, on=on)
    if end is None or deadlines.ends_of(contract) is None:
        return None
    return deadlines.notice_deadline(end, contract.notice)


def alert_day(contract: Contract, *, on: date, lead: Lead = LEAD_DAYS) -> date | None:
    """Return the day on which the work on its renewal should begin: the lead before the notice deadline, or None."""
    deadline = notice_deadline(contract, on=on)
    if deadline is None:
        return None
    return alert_before(deadline, contract.kind, contract.organisation_id, lead)


def end_reached(contract: Contract, *, notice_on: date) -> date:
    """Return the last day in force if notice were given on a day.

    >>> from keyaccount.model.terms import months
    >>> notice = months(3, clause="quarter")
    >>> supply = Contract("m-1", organisation_id="acme", starts_on=date(2026, 1, 1), notice=notice)
    >>> end_reached(supply, notice_on=date(2026, 4, 1))
    datetime.date(2026, 9, 30)
    """
    return deadlines.end_reached(contract, notice_on)


def monthly_value(contract: Contract) -> Fraction | None:
    """Return the recurring value a month, exact, in the currency of its value; None for `once` and without a value."""
    found = yearly_value(contract)
    return None if found is None else found / 12


def yearly_value(contract: Contract) -> Fraction | None:
    """Return the recurring value a year, exact, in the currency of its value; None for `once` and without a value.

    >>> from keyaccount.money import Money
    >>> fee = Money(100, "EUR")
    >>> support = Contract("m-1", organisation_id="acme", starts_on=date(2026, 1, 1), value=fee, value_per="quarter")
    >>> yearly_value(support)
    Fraction(400, 1)
    """
    start = contract.starts_on or date.min
    priced_to = deadlines.first_end(contract) or deadlines.initial_end(contract)
    units = yearly_units(contract.value, contract.value_per, start, priced_to)
    return None if units is None else Fraction(units) / 10**SCALE


@attrs.frozen(repr=False)
class TermSpan(Result):
    """One term of a contract, first and last day; a tacit one began because nobody gave notice."""

    starts_on: date
    ends_on: date | None
    tacit: bool = False


@attrs.frozen(repr=False)
class Terms(Rows[TermSpan]):
    """The terms of a contract, in order."""

    rows: tuple[TermSpan, ...]


def terms(contract: Contract, *, on: date) -> Terms:
    """Return the terms of a contract up to its effective end, as known on a day; each roll is a tacit term."""
    start, end = contract.starts_on or date.min, effective_end(contract, on=on)
    ends = deadlines.ends_of(contract)
    found: list[TermSpan] = []
    if end is not None and ends is not None:
        for last in ends.between(start, end):
            found.append(TermSpan(start, last, bool(found)))
            start = last + ONE_DAY
            if last == end:
                return Terms(tuple(found))
    return Terms((*found, TermSpan(start, end, bool(found))))


# ---- was it renewed? -----------------------------------------------------------------------------------------------


@attrs.frozen(repr=False)
class Outcome(Result):
    """What became of one contract at the end of one term: renewed, lost or pending.

    A `tacit` renewal is a roll, without a signature and without a successor. `inferred` successors do not name the
    contract. `late` ones start within the grace after its end.
    """

    contract_id: str
    organisation_id: str
    due_on: date
    outcome: str
    tacit: bool = False
    inferred: bool = False
    late: bool = False
    in_grace: bool = False
    successor_ids: tuple[str, ...] = ()


@attrs.frozen(repr=False)
class Outcomes(Rows[Outcome]):
    """What became of the contracts due in a period, by day and contract."""

    rows: tuple[Outcome, ...]


def outcomes(
    contracts: Iterable[Contract], period: Period | tuple[date, date], *, on: date, matching: Matching = AS_SHIPPED
) -> Outcomes:
    """Return what became of each contract due in a period, as known on a day.

    Due is each end of a term, up to the effective end; open-ended contracts have none. Pending is a contract without a
    successor, not terminated, whose end and grace are not before `on`.
    """
    window = Period.of(period)
    found, _ = standings(contracts, on=known_on(on), matching=matching)
    told = [outcome for row in found for outcome in outcomes_of(row, window, on, matching.grace_days)]
    return Outcomes(tuple(sorted(told, key=lambda one: (one.due_on, one.contract_id))))


def outcomes_of(row: Standing, period: Period, on: date, grace_days: int) -> Iterator[Outcome]:
    """Yield what became of one contract at each of its ends in a period."""
    end, ends = row.end, row.known.ends
    if end is None or end < period.start:
        return
    id, account = row.known.id, row.known.account
    if ends is not None and ends.every:
        for due in ends.between(period.start, min(end, period.end) - ONE_DAY):
            yield Outcome(id, account, due, "renewed", tacit=True)
    if end >= period.end:
        return
    in_grace = on.toordinal() <= end.toordinal() + grace_days
    if row.successors:
        late = min(one.start for one in row.successors).toordinal() > end.toordinal() + 1
        ids = tuple(one.id for one in row.successors)
        yield Outcome(id, account, end, "renewed", False, row.inferred, late, in_grace, ids)
    else:
        lost = row.known.terminated or not in_grace
        yield Outcome(id, account, end, "lost" if lost else "pending", in_grace=in_grace)


# ---- how long is an account covered? -------------------------------------------------------------------------------


@attrs.frozen(repr=False)
class Stretch(Result):
    """Days from the first to the last (None: without end), and the contracts in force in them."""

    starts_on: date
    ends_on: date | None
    contract_ids: tuple[str, ...] = ()


@attrs.frozen(repr=False)
class Cover(Result):
    """How an organisation is covered by contracts of one kind: the union, its gaps, and where contracts overlap."""

    organisation_id: str
    kind: str
    covered: tuple[Stretch, ...]
    gaps: tuple[Stretch, ...]
    overlaps: tuple[Stretch, ...]


@attrs.frozen(repr=False)
class Covers(Rows[Cover]):
    """The cover by organisation and kind."""

    rows: tuple[Cover, ...]


def cover(contracts: Iterable[Contract], *, on: date, matching: Matching = AS_SHIPPED) -> Covers:
    """Return the days covered, the gaps between them and the overlaps, for each organisation and kind.

    A gap lies between two covered stretches; drafts cover nothing.
    """
    found, _ = standings(contracts, on=known_on(on), matching=matching)
    groups: defaultdict[tuple[str, str], list[Standing]] = defaultdict(list)
    for row in found:
        if row.last is None or row.last >= row.known.start:
            groups[row.known.account, row.known.kind].append(row)
    return Covers(tuple(_cover(account, kind, rows) for (account, kind), rows in sorted(groups.items())))


def _cover(account: str, kind: str, rows: list[Standing]) -> Cover:
    stretches = list(_stretches(rows))
    covered: list[Stretch] = []
    for one in stretches:
        before = covered[-1] if covered else None
        if before is not None and before.ends_on is not None and one.starts_on == before.ends_on + ONE_DAY:
            covered[-1] = Stretch(before.starts_on, one.ends_on, _both(before.contract_ids, one.contract_ids))
        else:
            covered.append(one)
    gaps = tuple(
        Stretch(one.ends_on + ONE_DAY, other.starts_on - ONE_DAY)
        for one, other in pairwise(covered)
        if one.ends_on is not None
    )
    return Cover(account, kind, tuple(covered), gaps, tuple(one for one in stretches if len(one.contract_ids) > 1))


def _both(ids: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*ids, *more)))


def _stretches(rows: list[Standing]) -> Iterator[Stretch]:
    """Yield the stretches in which the same contracts are in force, without those in which none is."""
    changes: defaultdict[date, list[tuple[bool, str]]] = defaultdict(list)
    for row in rows:
        changes[row.known.start].append((True, row.known.id))
        if row.last is not None and row.last < date.max:
            changes[row.last + ONE_DAY].append((False, row.known.id))
    days = sorted(changes)
    in_force: dict[str, None] = {}
    for day, until in zip(days, [*days[1:], None], strict=True):
        for begins, id in sorted(changes[day]):
            if begins:
                in_force[id] = None
            else:
                del in_force[id]
        if in_force:
            yield Stretch(day, None if until is None else until - ONE_DAY, tuple(sorted(in_force)))


def known_on(on: date) -> date:
    """Return the day up to which things are known; refuse what is no day."""
    if not is_day(on):
        raise ValidationError.of("contracts", "on", on, "must be a date")
    return on
