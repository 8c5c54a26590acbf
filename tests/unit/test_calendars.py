"""Periods and months: half-open, clamped to the month's end, counted from the original day."""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from dateutil.relativedelta import relativedelta
from hypothesis import given
from hypothesis import strategies as st

import keyaccount as ka
from keyaccount.calendars import plus_months

days = st.dates(date(1900, 1, 1), date(2200, 12, 31))


@given(start=days, months=st.integers(-600, 600))
def test_plus_months_by_hand(start: date, months: int) -> None:
    """Whole months later is the same day of that month, or its last day where it has no such day."""
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    assert plus_months(start, months) == date(year, month + 1, min(start.day, last))


def test_months_are_counted_from_the_start() -> None:
    """Two months after 31 January is 31 March, although one month after it is 28 February."""
    assert [plus_months(date(2026, 1, 31), n) for n in (1, 2, 3, 25)] == [
        date(2026, 2, 28),
        date(2026, 3, 31),
        date(2026, 4, 30),
        date(2028, 2, 29),
    ]


@pytest.mark.parametrize(("start", "months"), [(date.min, -1), (date.max, 1), (date(2026, 1, 1), 10**9)])
def test_months_outside_the_calendar(start: date, months: int) -> None:
    """A day before year 1 or after 9999 is a ValidationError, no OverflowError."""
    with pytest.raises(ka.ValidationError):
        plus_months(start, months)


@given(start=days, length=st.integers(0, 1000), offset=st.integers(-5, 1005))
def test_period_is_half_open(start: date, length: int, offset: int) -> None:
    """A period holds its start and every day up to, not including, its end."""
    period = ka.Period(start, start + timedelta(days=length))
    assert (start + timedelta(days=offset) in period) is (0 <= offset < length)
    assert period.days == length
    assert ka.Period.of((period.start, period.end)) == ka.Period.of([period.start, period.end]) == period
    assert ka.Period.of(period) is period


@given(year=st.integers(1, 9998))
def test_year_is_its_twelve_months(year: int) -> None:
    """The months of a year follow each other without a gap, and add up to the year."""
    months = [ka.Period.month(year, month) for month in range(1, 13)]
    whole = ka.Period.year(year)
    assert (months[0].start, months[-1].end) == (whole.start, whole.end) == (date(year, 1, 1), date(year + 1, 1, 1))
    assert all(one.end == other.start for one, other in pairwise(months))
    assert [m.days for m in months] == [calendar.monthrange(year, month)[1] for month in range(1, 13)]


@given(on=days, months=st.integers(0, 240))
def test_months_to_ends_at_the_day(on: date, months: int) -> None:
    """The window of whole months ends at the day, which is not part of it."""
    period = ka.Period.months_to(on, months)
    assert period.end == on
    assert on not in period
    year, month = divmod(on.year * 12 + on.month - 1 - months, 12)
    assert (period.start.year, period.start.month) == (year, month + 1)


def test_to_dict() -> None:
    """A period turns into two ISO dates."""
    assert ka.Period.month(2026, 11).to_dict() == {"start": "2026-11-01", "end": "2026-12-01"}


BAD: tuple[Any, ...] = (None, "2026-01-01", 5, 1.5, datetime(2026, 1, 1, tzinfo=UTC), object(), [], b"")


@pytest.mark.parametrize("bad", BAD)
def test_bad_days_are_refused(bad: Any) -> None:
    """What is no calendar day, a moment included, makes no period; all entrances refuse it alike."""
    good = date(2026, 1, 1)
    for given_days in ((bad, good), (good, bad)):
        with pytest.raises(ka.ValidationError) as caught:
            ka.Period(*given_days)
        assert caught.value.problems[0].entity == "Period"
        with pytest.raises(ka.ValidationError):
            ka.Period.of(given_days)
    with pytest.raises(ka.ValidationError):
        ka.Period.of(bad)
    with pytest.raises(ka.ValidationError):
        ka.Period.months_to(bad, 1)


def test_contains_raises_nothing_foreign() -> None:
    """Asking whether something that is no day lies in a period is answered no, or refused with the documented error."""
    for bad in BAD:
        try:
            answer = bad in ka.Period.year(2026)
        except ka.ValidationError:
            continue
        assert answer is False


def test_end_before_start_is_refused() -> None:
    """A period does not end before it starts; an empty one is allowed."""
    with pytest.raises(ka.ValidationError, match="before the start"):
        ka.Period(date(2026, 1, 2), date(2026, 1, 1))
    assert ka.Period(date(2026, 1, 1), date(2026, 1, 1)).days == 0


@pytest.mark.parametrize("year", ["2026", None, 0, 10_000, 2026.0, -1, 10**30])
def test_bad_years_and_months_are_refused(year: Any) -> None:
    """Years outside 1 to 9999, months outside 1 to 12, and what is no number are refused."""
    with pytest.raises(ka.ValidationError):
        ka.Period.year(year)
    with pytest.raises(ka.ValidationError):
        ka.Period.month(year, 1)
    with pytest.raises(ka.ValidationError):
        ka.Period.month(2026, year)


@pytest.mark.parametrize("months", [-1, 1.0, True, None, "12", 10**6, 10**30])
def test_bad_numbers_of_months_are_refused(months: Any) -> None:
    """A window is a whole number of months, 0 or more, that stays within the calendar."""
    with pytest.raises(ka.ValidationError):
        ka.Period.months_to(date(2026, 11, 21), months)


@given(st.dates(date(1, 1, 1), date(9999, 12, 31)), st.integers(-2_000, 2_000))
def test_months_are_counted_as_another_calendar_does(start: date, months: int) -> None:
    """Anchored months, clamped to the month's end, are those of python-dateutil, wherever that has a day."""
    try:
        expected = start + relativedelta(months=months)
    except (ValueError, OverflowError):
        with pytest.raises(ka.ValidationError):
            plus_months(start, months)
    else:
        assert plus_months(start, months) == expected
