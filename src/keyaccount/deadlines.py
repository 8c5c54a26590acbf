"""When does it end, and until when can notice be given: the calendar of one contract, over plain days and terms.

Every end is a last day in force. Months are counted from the original start, never from a day that was clamped before.
Days beyond the calendar's own end count as its last day: such a contract goes on for good.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from fractions import Fraction
from typing import NamedTuple, Protocol

from keyaccount.calendars import ONE_DAY, months_between, plus_months
from keyaccount.errors import ValidationError


class Length(Protocol):
    """So many months or days, with the clause that names the ends which notice can reach."""

    @property
    def count(self) -> int:
        """How many."""

    @property
    def unit(self) -> str:
        """Of what: month or day."""

    @property
    def clause(self) -> str | None:
        """The ends that notice can reach: of a month, a quarter or a year; None: those of the terms."""


class Agreed(Protocol):
    """What a contract says about days."""

    @property
    def starts_on(self) -> date | None:
        """The first day."""

    @property
    def ends_on(self) -> date | None:
        """The last day agreed; None: open."""

    @property
    def notice(self) -> Length | None:
        """The notice period."""

    @property
    def initial_term(self) -> Length | None:
        """The time before which it cannot end."""

    @property
    def renewal_term(self) -> Length | None:
        """By how much it goes on when nobody gives notice; None: it ends."""

    @property
    def terminated_on(self) -> date | None:
        """The day notice was given."""

    @property
    def terminated_to(self) -> date | None:
        """The last day in force, where that was agreed otherwise."""


class Ends(NamedTuple):
    """The ends of a contract's terms: the first, and those that its rolls lead to.

    A roll is anchored at the contract's start where the first end is a whole number of months from it, else at the day
    after the first end; `months` lead from the anchor to that day, `every` is the renewal term (0: there are no rolls).
    """

    first: date
    anchor: date
    months: int
    every: int
    notice: Length | None

    def number(self, count: int) -> date:
        """Return the end after so many rolls; 0 is the first."""
        if not count or self.first == date.max:
            return self.first
        return _day_before(_after(self.anchor, self.months + count * self.every))

    def open_on(self, day: date) -> date:
        """Return the first end whose notice deadline has not passed on a day; without rolls, the only end."""
        end = self.first
        if not self.every or end == date.max or notice_deadline(end, self.notice) >= day:
            return end
        count = max(1, (months_between(self.anchor, day) - self.months) // self.every + 1)
        while end < date.max:
            end = self.number(count)
            if notice_deadline(end, self.notice) >= day:
                break
            count += 1
        return end

    def between(self, first: date, last: date) -> Iterator[date]:
        """Yield the ends that lie from one day to another, both included."""
        count = 0
        if self.every and self.first < first:
            count = max(0, (months_between(self.anchor, first) - self.months) // self.every)
        end = self.number(count)
        while end <= last:
            if end >= first:
                yield end
            if not self.every or end == date.max:
                break
            count += 1
            end = self.number(count)


def ends_of(contract: Agreed) -> Ends | None:
    """Return the ends of a contract's terms; None where it is open-ended.

    The first end is the later of `ends_on` and the end of the initial term. A contract without `ends_on` that does not
    roll is open-ended: its initial term is only the time before which it cannot end.
    """
    first = first_end(contract)
    if first is None:
        return None
    if contract.renewal_term is None or first == date.max:
        return Ends(first, first, 0, 0, contract.notice)
    start, next_day = contract.starts_on or date.min, first + ONE_DAY
    months = months_between(start, next_day)
    if start.day != next_day.day and plus_months(start, months) != next_day:
        start, months = next_day, 0
    return Ends(first, start, months, contract.renewal_term.count, contract.notice)


def first_end(contract: Agreed) -> date | None:
    """Return the last day of the first term; None where it is open-ended."""
    shortest = initial_end(contract)
    if contract.ends_on is None:
        return None if contract.renewal_term is None else shortest
    return contract.ends_on if shortest is None else max(contract.ends_on, shortest)


def initial_end(contract: Agreed) -> date | None:
    """Return the last day of the initial term; None where there is none."""
    length = contract.initial_term
    return None if length is None else _day_before(_later(contract.starts_on or date.min, length))


def notice_deadline(end: date, notice: Length | None) -> date:
    """Return the last day on which notice for this end can be given; without a notice period, the end itself.

    The end plus one day, less the notice period, less one day: for 31 August and three months 31 May.
    """
    if notice is None or not notice.count:
        return end
    if notice.unit == "day":
        return end - timedelta(notice.count) if notice.count < end.toordinal() else date.min
    if end == date.max:  # goes on for good
        return end
    return _day_before(_after(end + ONE_DAY, -notice.count))


def end_reached(contract: Agreed, notice_on: date) -> date:
    """Return the end that a notice given on a day reaches.

    The first possible end whose deadline has not passed: the ends of the terms, with a clause also the ends of calendar
    months, quarters or years; in an open-ended contract without a clause any day. Never before the initial term has
    passed. A notice that comes too late for the last end leaves that end.
    """
    notice, ends = contract.notice, ends_of(contract)
    term = None if ends is None else ends.open_on(notice_on)
    clause = None if notice is None else notice.clause
    if term is not None and clause is None:
        return term
    start = contract.starts_on or date.min
    free = max(_first_free(notice_on, notice), initial_end(contract) or start, start)
    found = free if clause is None else _clause_end(free, clause)
    return found if term is None else min(term, found)


def last_day(contract: Agreed, *, known_on: date | None = None) -> date | None:
    """Return the last day it is in force as far as is known; None where it goes on until somebody ends it.

    A notice given after `known_on` is not known yet (None: everything written is known).
    """
    given = contract.terminated_on
    if given is not None and (known_on is None or given <= known_on):
        return contract.terminated_to or end_reached(contract, given)
    return None if contract.renewal_term is not None else first_end(contract)


def months_of(first: date, last: date) -> Fraction:
    """Return the months from a day to a day, both included: whole ones, and days as a part of the month they lie in.

    >>> months_of(date(2026, 1, 1), date(2026, 12, 31)), months_of(date(2026, 1, 1), date(2026, 2, 14))
    (Fraction(12, 1), Fraction(3, 2))
    """
    if last == date.max:  # the day after it does not exist: one of the 31 days of December more
        return (months_of(first, last - ONE_DAY) if first < last else 0) + Fraction(1, 31)
    end = last + ONE_DAY
    whole = months_between(first, end)
    begun = plus_months(first, whole)
    if begun == end:
        return Fraction(whole)
    return whole + Fraction((end - begun).days, (_after(first, whole + 1) - begun).days)


def _first_free(day: date, notice: Length | None) -> date:
    """Return the first day whose deadline has not passed, were any day a possible end."""
    if notice is None or day == date.max:
        return day
    found = _day_before(_later(day + ONE_DAY, notice)) if notice.count else day
    while notice_deadline(found, notice) < day:  # a clamped month takes a few days more
        found += ONE_DAY
    return found


def _clause_end(day: date, clause: str) -> date:
    """Return the first end of a calendar month, quarter or year that is not before a day."""
    size = {"month": 1, "quarter": 3, "year": 12}[clause]
    begun = date(day.year, (day.month - 1) // size * size + 1, 1)
    return _day_before(_after(begun, size))


def _later(day: date, length: Length) -> date:
    if length.unit == "month":
        return _after(day, length.count)
    return day + timedelta(length.count) if length.count <= (date.max - day).days else date.max


def _after(day: date, months: int) -> date:
    """Return the day so many months later (or earlier), kept inside the calendar."""
    try:
        return plus_months(day, months)
    except ValidationError:
        return date.max if months > 0 else date.min


def _day_before(day: date) -> date:
    """Return the day before; a day that was kept inside the calendar stays."""
    return day if day in (date.min, date.max) else day - ONE_DAY
