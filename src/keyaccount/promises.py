"""What did we promise and not keep? Follow-ups that are overdue."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, tzinfo
from typing import Unpack

import attrs

from keyaccount.attention import day_of
from keyaccount.calendars import Period
from keyaccount.model.activities import Activity
from keyaccount.questions import Options, Question
from keyaccount.results import Result, Rows


@attrs.frozen(repr=False)
class BrokenPromise(Result):
    """A follow-up that was due so many days ago, and is not done."""

    activity_id: str
    organisation_id: str
    subject: str | None
    by_id: str | None
    due_on: date
    days: int


@attrs.frozen(repr=False)
class BrokenPromises(Rows[BrokenPromise]):
    """Broken promises, the oldest first."""

    rows: tuple[BrokenPromise, ...]
    on: date


def broken_promises(
    activities: Iterable[Activity], *, on: date, zone: tzinfo = UTC, **options: Unpack[Options]
) -> BrokenPromises:
    """Return the follow-ups due before a day that were not done by its end, of activities that name an account.

    >>> call = Activity("a", organisation_id="acme", subject="Send the offer", follow_up_on=date(2026, 11, 12))
    >>> [row.days for row in broken_promises([call], on=date(2026, 11, 21))]
    [9]
    """
    question = Question.of(Period(on, on), on, options)
    rows = [
        BrokenPromise(
            row.id, row.organisation_id, row.subject, row.by_id, row.follow_up_on, (on - row.follow_up_on).days
        )
        for row in activities
        if row.organisation_id is not None and row.follow_up_on is not None and row.follow_up_on < on
        if row.done_at is None or day_of(row.done_at, zone) > on
        if question.asks_for(row.organisation_id, on)
    ]
    return BrokenPromises(tuple(sorted(rows, key=lambda row: (-row.days, row.activity_id))), on)
