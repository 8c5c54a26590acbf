"""Periods and anchored months: the only place where calendars are counted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import attrs

from keyaccount.errors import ValidationError
from keyaccount.results import Result


def is_day(value: object) -> bool:
    """Say whether a value is a calendar day: a date that is not a moment."""
    return isinstance(value, date) and not isinstance(value, datetime)


def plus_months(start: date, months: int) -> date:
    """Return the day that lies whole months after `start`, clamped to the month's end.

    Always count from the original start, never from a day that was clamped before.

    >>> plus_months(date(2026, 1, 31), 1), plus_months(date(2026, 1, 31), 2)
    (datetime.date(2026, 2, 28), datetime.date(2026, 3, 31))

    Raises ValidationError where the day would lie outside the years 1 to 9999.
    """
    try:
        year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
        return date(year, month + 1, start.day if start.day < _CLAMPED_FROM else min(start.day, _length(year, month)))
    except (TypeError, ValueError, OverflowError):
        raise ValidationError.of("date", "months", months, "leads outside the years 1 to 9999") from None


_CLAMPED_FROM = 29
_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _length(year: int, month: int) -> int:
    """Return how many days a month has (0: January)."""
    leap = month == 1 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return _LENGTHS[month] + leap


def months_between(start: date, day: date) -> int:
    """Return how many whole anchored months lie between two days: the most that do not lead past `day`.

    >>> months_between(date(2026, 1, 31), date(2026, 2, 28)), months_between(date(2026, 1, 31), date(2026, 3, 30))
    (1, 1)
    """
    count = (day.year - start.year) * 12 + day.month - start.month
    if day.day >= start.day or day.day == _length(day.year, day.month - 1):  # a month's last day is never too early
        return count
    return count - 1


@attrs.frozen(repr=False)
class Period(Result):
    """The days from `start` up to, and not including, `end`.

    >>> Period.year(2026)
    Period(start=datetime.date(2026, 1, 1), end=datetime.date(2027, 1, 1))
    >>> date(2026, 12, 31) in Period.year(2026)
    True
    """

    start: date
    end: date

    def __attrs_post_init__(self) -> None:
        """Refuse what is no day, and a period that ends before it starts."""
        for name, value in (("start", self.start), ("end", self.end)):
            if not is_day(value):
                raise ValidationError.of("Period", name, value, "must be a date")
        if self.end < self.start:
            raise ValidationError.of("Period", "end", self.end, "lies before the start")

    def __contains__(self, day: date) -> bool:
        """Say whether a day lies in the period; raise ValidationError for what is no day."""
        if not is_day(day):
            raise ValidationError.of("Period", "day", day, "must be a date")
        return self.start <= day < self.end

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.end - self.start).days

    @classmethod
    def of(cls, value: Period | Sequence[date]) -> Period:
        """Take a period, or a pair of dates for one."""
        if isinstance(value, Period):
            return value
        if isinstance(value, (tuple, list)) and len(value) == 2:  # noqa: PLR2004
            return cls(value[0], value[1])
        raise ValidationError.of("Period", "", value, "must be a Period or a pair of dates")

    @classmethod
    def year(cls, year: int) -> Period:
        """Return a calendar year."""
        return cls(_day(year, 1), _day(year + 1, 1) if isinstance(year, int) else _day(year, 1))

    @classmethod
    def month(cls, year: int, month: int) -> Period:
        """Return a calendar month.

        >>> Period.month(2026, 2).days
        28
        """
        start = _day(year, month)
        return cls(start, plus_months(start, 1))

    @classmethod
    def months_to(cls, on: date, months: int) -> Period:
        """Return the window of whole months that ends at `on`, which is not part of it.

        >>> Period.months_to(date(2026, 11, 21), 12)
        Period(start=datetime.date(2025, 11, 21), end=datetime.date(2026, 11, 21))
        """
        if not is_day(on):
            raise ValidationError.of("Period", "on", on, "must be a date")
        if not isinstance(months, int) or isinstance(months, bool) or months < 0:
            raise ValidationError.of("Period", "months", months, "must be a whole number, 0 or more")
        return cls(plus_months(on, -months), on)


def _day(year: int, month: int) -> date:
    try:
        return date(year, month, 1)
    except (TypeError, ValueError, OverflowError):
        raise ValidationError.of("Period", "", (year, month), "is no year and month from 1 to 9999") from None


ONE_DAY = timedelta(days=1)
