"""Ends, deadlines and inferred successors, found again by trying every day and every pair."""

from __future__ import annotations

import calendar
from datetime import date, timedelta

import attrs
from hypothesis import given
from hypothesis import strategies as st

import keyaccount as ka
from keyaccount import contracts, deadlines
from property.portfolios import START, crowded, days, portfolios

DAY = timedelta(1)
CLAUSES = {"month": range(1, 13), "quarter": (3, 6, 9, 12), "year": (12,)}


def months_later(day: date, months: int) -> date:
    """Count months on a calendar page, clamped."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def deadline(end: date, notice: ka.Term | None) -> date:
    """Apply the definition: the end plus one day, less the notice, less one day."""
    if notice is None:
        return end
    after = end + DAY
    return (months_later(after, -notice.count) if notice.unit == "month" else after - notice.count * DAY) - DAY


def is_end_of(day: date, clause: str) -> bool:
    """Say whether a day is the last of a calendar month, quarter or year."""
    return (day + DAY).day == 1 and day.month in CLAUSES[clause]


notices = st.builds(
    ka.Term,
    st.integers(1, 7),
    st.sampled_from(["month", "day"]),
    st.sampled_from([None, "month", "quarter", "year"]),
)


@given(notice=notices | st.none(), given_on=days, initial=st.none() | st.integers(1, 14))
def test_open_ended(notice: ka.Term | None, given_on: date, initial: int | None) -> None:
    """Notice ends an open-ended contract on the first possible day whose deadline has not passed."""
    row = ka.Contract(
        organisation_id="acme",
        starts_on=START,
        notice=notice,
        initial_term=None if initial is None else ka.months(initial),
    )
    first = START if initial is None else months_later(START, initial) - DAY
    clause = None if notice is None else notice.clause
    tried = (first + n * DAY for n in range(3000))
    possible = (day for day in tried if clause is None or is_end_of(day, clause))
    assert deadlines.end_reached(row, given_on) == next(day for day in possible if deadline(day, notice) >= given_on)


@given(
    start=days,
    length=st.integers(0, 400),
    every=st.integers(1, 13),
    notice=notices.map(lambda term: attrs.evolve(term, clause=None)),
    on=days,
)
def test_rolling(start: date, length: int, every: int, notice: ka.Term, on: date) -> None:
    """A rolling contract ends at the first end whose deadline has not passed, each counted from the start."""
    first = start + timedelta(length)
    row = ka.Contract(
        organisation_id="acme", starts_on=start, ends_on=first, renewal_term=ka.months(every), notice=notice
    )
    whole = next((n for n in range(1, 20) if months_later(start, n) == first + DAY), None)
    anchor, months = (first + DAY, 0) if whole is None else (start, whole)
    ends = [first, *(months_later(anchor, months + n * every) - DAY for n in range(1, 80))]
    assert contracts.effective_end(attrs.evolve(row, signed_on=start), on=on) == next(
        end for end in ends if deadline(end, notice) >= on
    )
    spans = list(contracts.terms(attrs.evolve(row, signed_on=start), on=on))
    assert [span.ends_on for span in spans] == ends[: len(spans)]


@given(rows=portfolios(9) | crowded(), on=days)
def test_inferred(rows: list[ka.Contract], on: date) -> None:
    """Inferred successors are those that taking contract by contract and trying every candidate finds."""
    whole = ka.Period(date(1, 1, 1), date(9999, 12, 31))
    found = {one.contract_id: one.successor_ids for one in contracts.outcomes(rows, whole, on=on) if one.inferred}
    assert found == searched(rows, on)


def searched(rows: list[ka.Contract], on: date) -> dict[str, tuple[str, ...]]:
    """Match by the wording of the specification, over every pair."""
    known = {row.id: last(row, on) for row in rows if row.signed_on is not None and row.signed_on <= on}
    signed = [row for row in rows if row.id in known and in_force_once(row, known[row.id])]
    named = {id for row in signed for id in row.predecessor_ids}
    ended = sorted((known[row.id], row.id, row) for row in signed if known[row.id] and row.id not in named)
    free = [row for row in signed if not row.predecessor_ids]
    found: dict[str, tuple[str, ...]] = {}
    for end, id, row in ended:
        assert end is not None
        target = end + DAY
        candidates = [
            (abs((one.starts_on - target).days), one.starts_on, one.id, one)
            for one in free
            if one.starts_on is not None
            and row.starts_on is not None
            and one.starts_on > row.starts_on
            and (known[one.id] is None or known[one.id] > end)  # type: ignore[operator]
            and (one.organisation_id, one.kind) == (row.organisation_id, row.kind)
            and end - 90 * DAY <= one.starts_on <= target + 30 * DAY
        ]
        if candidates:
            best = min(candidates)[3]
            free.remove(best)
            found[id] = (best.id,)
    return found


def last(row: ka.Contract, on: date) -> date | None:
    """Return the last day as far as is known: a later notice has not been given."""
    if row.terminated_on is not None and row.terminated_on > on:
        row = attrs.evolve(row, terminated_on=None, terminated_to=None)
    return row.last_day


def in_force_once(row: ka.Contract, end: date | None) -> bool:
    """Say whether a contract is in force on any day."""
    return end is None or (row.starts_on is not None and row.starts_on <= end)
