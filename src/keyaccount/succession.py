"""What followed a contract: successors that name it, and inferred ones where data has no links.

Everything is as known on one day: a contract signed later is a draft, a notice given later has not been given.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from fractions import Fraction
from typing import NamedTuple

import attrs

from keyaccount.calendars import ONE_DAY
from keyaccount.deadlines import Ends, ends_of, initial_end, last_day, months_of
from keyaccount.errors import ValidationError
from keyaccount.model.contracts import Contract
from keyaccount.money import Money
from keyaccount.results import Result
from keyaccount.values import FrozenMap

EARLY_DAYS, GRACE_DAYS = 90, 30


def _frozen(given: Mapping[str, str]) -> FrozenMap[str, str]:
    return given if isinstance(given, FrozenMap) else FrozenMap(given)


@attrs.frozen(repr=False)
class Matching(Result):
    """How successors are inferred: how early and how late they may start.

    `frame_parents` maps an organisation to its parent where the parent's frame contracts count as successors too.
    """

    early_days: int = EARLY_DAYS
    grace_days: int = GRACE_DAYS
    frame_parents: Mapping[str, str] = attrs.field(default=FrozenMap(), converter=_frozen)

    def __attrs_post_init__(self) -> None:
        """Refuse what is no number of days."""
        for name in ("early_days", "grace_days"):
            days = getattr(self, name)
            if not isinstance(days, int) or isinstance(days, bool) or not 0 <= days <= _MOST_DAYS:
                raise ValidationError.of("Matching", name, days, f"must be a whole number from 0 to {_MOST_DAYS}")


_MOST_DAYS = 36_600
AS_SHIPPED = Matching()


class Known(NamedTuple):
    """What a signed contract says, as known on a day; slim, because a portfolio has a million of them.

    `priced_to` is the last day of the term that a value per term is for, `ends` the ends of its terms (None:
    open-ended), `last` the last day in force as far as known, `terminated` whether a notice made that day, given on
    the day `noticed`.
    """

    id: str
    account: str
    kind: str
    start: date
    priced_to: date | None
    ends: Ends | None
    last: date | None
    terminated: bool
    value: Money | None
    value_per: str
    add_on: bool
    predecessors: tuple[str, ...]
    signed: date
    noticed: date | None

    @property
    def ends_again(self) -> bool:
        """Whether its term ends several times: it rolls."""
        return self.ends is not None and self.ends.every > 0


class Standing(NamedTuple):
    """A contract and what followed it.

    `end` is its effective end (None: open-ended): the one notice made, its successor took over at, or the first whose
    notice deadline has not passed. `last` is the last day in force (None: it goes on), `counted_to` the last day its
    value counts: a successor takes over from its first day.
    """

    known: Known
    successors: tuple[Known, ...]
    inferred: bool
    end: date | None
    last: date | None
    counted_to: date | None

    def in_force(self, day: date) -> bool:
        """Say whether it is in force on a day."""
        return self.known.start <= day and (self.last is None or day <= self.last)

    def counts(self, day: date) -> bool:
        """Say whether its recurring value counts on a day."""
        return self.known.start <= day and (self.counted_to is None or day <= self.counted_to)

    @property
    def rolls(self) -> bool:
        """Whether it goes on by itself: auto-renewing, not terminated, nothing took over."""
        return self.last is None and self.known.ends is not None


def known(contract: Contract, on: date) -> Known | str:
    """Return what a contract says as known on a day, or why it does not count: a draft, or never in force."""
    start, signed = contract.starts_on or date.min, contract.signed_on
    if signed is None or signed > on:
        return f"draft: not signed by {on}"
    given = contract.terminated_on
    if given is None and contract.renewal_term is None and contract.initial_term is None:  # as most are, and quick
        last = contract.ends_on
        ends = None if last is None else Ends(last, last, 0, 0, contract.notice)
    else:
        ends, last = ends_of(contract), last_day(contract, known_on=on)
    if last is not None and last < start:
        return f"never in force: ended on {last}, before its first day"
    terminated = given is not None and given <= on
    if terminated and not contract.terminated_to and ends is not None and not ends.every:
        terminated = given <= ends.first  # type: ignore[operator]  # later, it had ended by itself
    return Known(
        contract.id,
        contract.organisation_id,
        contract.kind,
        start,
        initial_end(contract) if ends is None else ends.first,
        ends,
        last,
        terminated,
        contract.value,
        contract.value_per,
        contract.add_on,
        contract.predecessor_ids,
        signed,
        given if terminated else None,
    )


_A_YEAR = {"month": 12, "quarter": 4, "year": 1}


def yearly(contract: Known) -> int | Fraction | None:
    """Return the yearly recurring value in ten-thousandths, exact; None for `once`, and where there is no value."""
    return yearly_units(contract.value, contract.value_per, contract.start, contract.priced_to)


def yearly_units(value: Money | None, per: str, start: date, priced_to: date | None) -> int | Fraction | None:
    """Return what a value per month, quarter, year or term is a year; a term's months are those of the first."""
    if value is None or per == "once":
        return None
    if per != "term":
        return value.units * _A_YEAR[per]
    return None if priced_to is None else Fraction(value.units * 12) / months_of(start, priced_to)


def successors(
    contracts: Iterable[Known], *, matching: Matching = AS_SHIPPED
) -> tuple[dict[str, tuple[Known, ...]], frozenset[str]]:
    """Return the successors of each contract that has some, and the contracts whose successor is inferred.

    Links come first; one to a contract that starts later is none. Inference is for a contract nobody names; it uses
    contracts that name nobody, start after its start and end after its end, of the same organisation and kind, from
    `early_days` before its end to `grace_days` after the day that follows. Contracts are taken by end and id; each
    takes the free candidate nearest to the day after its end, then by start and id. An auto-renewing contract nobody
    terminated goes on by itself.
    """
    rows = list(contracts)
    linked: defaultdict[str, list[Known]] = defaultdict(list)
    linking = [row for row in rows if row.predecessors]
    by_id = {row.id: row for row in rows} if linking else {}
    for row in linking:
        for predecessor in row.predecessors:
            if _may_succeed(row, by_id.get(predecessor)):
                linked[predecessor].append(row)
    found = {id: tuple(sorted(after, key=_by_start)) if len(after) > 1 else (after[0],) for id, after in linked.items()}
    inferred = _infer(rows, linked, matching)
    return found | {id: (after,) for id, after in inferred.items()}, frozenset(inferred)


def _may_succeed(row: Known, before: Known | None) -> bool:
    """Say whether a contract can follow one it names: it starts no earlier, and they do not name each other."""
    if before is None or row.start > before.start:
        return True
    return row.start == before.start and row.id not in before.predecessors


def _by_start(contract: Known) -> tuple[date, str]:
    return contract.start, contract.id


Starts = list[tuple[int, str, Known]]
"""Contracts by the day they start, as a number, so that the calendar's own ends need no care."""


def _infer(rows: list[Known], named: Mapping[str, object], matching: Matching) -> dict[str, Known]:
    pools: defaultdict[tuple[str, str], Starts] = defaultdict(list)
    for row in rows:
        if not row.predecessors:
            pools[row.account, row.kind].append((row.start.toordinal(), row.id, row))
    for pool in pools.values():
        if len(pool) > 1:
            pool.sort()
    frames = matching.frame_parents
    ended = [
        (row.last, row.id, row)
        for row in rows
        if row.last is not None
        and row.id not in named
        and (len(pools.get((row.account, row.kind), ())) > (not row.predecessors) or row.account in frames)
    ]
    ended.sort()
    taken: dict[str, Known] = {}
    for _, id, row in ended:
        accounts = (row.account, frames[row.account]) if row.account in frames else (row.account,)
        near = [best for one in accounts if (best := _nearest(pools.get((one, row.kind), []), row, matching))]
        if near:
            _, day, other, taken[id] = min(near)
            pool = pools[taken[id].account, row.kind]
            del pool[bisect_left(pool, (day, other))]
    return taken


def _nearest(pool: Starts, row: Known, matching: Matching) -> tuple[int, int, str, Known] | None:
    """Return the free candidate that starts nearest to the day after the end, looking both ways from it."""
    last, start = row.last, row.start
    if not pool or last is None:
        return None
    target = last.toordinal() + 1
    high = target + matching.grace_days
    place = middle = bisect_left(pool, (target,))
    best = None
    while place < len(pool):
        day, id, after = pool[place]
        if day > high:
            break
        if after.start > start and (after.last is None or after.last > last):
            best = day - target, day, id, after
            break
        place += 1
    low = target - 1 - matching.early_days if best is None else max(target - 1 - matching.early_days, target - best[0])
    place = middle - 1
    while place >= 0:
        day, id, after = pool[place]
        if day < low:
            break
        if after.start > start and (after.last is None or after.last > last):
            best = target - day, day, id, after  # an earlier start, or the same with a smaller id, goes first
            low = day
        place -= 1
    return best


def standings(
    contracts: Iterable[Contract], *, on: date, matching: Matching = AS_SHIPPED
) -> tuple[list[Standing], list[tuple[str, str]]]:
    """Return each contract that counts with what followed it, as known on a day; and those left out, with why."""
    rows: list[Known] = []
    left_out: list[tuple[str, str]] = []
    seen: set[str] = set()
    for contract in contracts:
        if contract.id in seen:
            raise ValidationError.of("Contract", "id", contract.id, "stands there twice; give each contract once")
        seen.add(contract.id)
        found = known(contract, on)
        if isinstance(found, str):
            left_out.append((contract.id, found))
        else:
            rows.append(found)
    after, inferred = successors(rows, matching=matching)
    return [_standing(row, after.get(row.id, ()), row.id in inferred, on) for row in rows], left_out


def _standing(row: Known, after: tuple[Known, ...], inferred: bool, on: date) -> Standing:  # noqa: FBT001
    last, ends = row.last, row.ends
    if last is not None and not after:
        return Standing(row, (), False, last, last, last)
    taking_over = min((one.start for one in after if not one.add_on), default=None) if after else None
    if last is not None:
        end: date | None = last
    elif ends is None:
        end = None
        last = None if taking_over is None else max(row.start, taking_over) - ONE_DAY
    elif taking_over is None:
        after, end = (), ends.open_on(on)  # add-ons run beside it, and it goes on by its own rolls
    else:  # the successor takes over at the first end that is not before the day before it starts
        end = last = next(ends.between(taking_over - ONE_DAY, date.max), ends.first)
    counted_to = last
    if taking_over is not None and (last is None or taking_over <= last):
        counted_to = taking_over - ONE_DAY
    return Standing(row, after, inferred, end, last, counted_to)
