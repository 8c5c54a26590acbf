"""The same metrics as one would write them for one's own reports: plain loops over contracts, with evidence.

Linked and inferred successors, rolls, drafts, notice given; no clauses, initial terms, splits or rates.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

DAY = timedelta(1)
EARLY, GRACE = timedelta(90), timedelta(30)


def months_later(day: date, months: int) -> date:
    """Return the day so many months later, clamped."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    for last in (day.day, 30, 29, 28):
        try:
            return date(year, month + 1, last)
        except ValueError:
            continue
    raise AssertionError


def read(contracts: Iterable[Any], on: date) -> tuple[list[Any], dict[str, date | None], dict[str, date | None]]:
    """Return the signed contracts, their effective ends, and their last days in force."""
    rows, ends, lasts = [], {}, {}
    for row in contracts:
        if row.signed_on is None or row.signed_on > on:
            continue
        rows.append(row)
        if row.renewal_term is None or row.ends_on is None:
            ends[row.id] = lasts[row.id] = row.ends_on
        else:
            ends[row.id], lasts[row.id] = rolled(row, on), None
    return rows, ends, lasts


def rolled(row: Any, on: date) -> date:
    """Return the first end whose notice deadline has not passed."""
    count, every = 0, row.renewal_term.count
    end: date = row.ends_on
    while deadline(end, row.notice) < on:
        count += 1
        end = nth_end(row, count * every)
    return end


def deadline(end: date, notice: Any) -> date:
    """Return the last day for notice."""
    return end if notice is None else months_later(end + DAY, -notice.count) - DAY


def nth_end(row: Any, months: int) -> date:
    """Return the end so many months after the first, counted from the start where that is whole."""
    first: date = row.ends_on + DAY
    whole = (first.year - row.starts_on.year) * 12 + first.month - row.starts_on.month
    if months_later(row.starts_on, whole) == first:
        return months_later(row.starts_on, whole + months) - DAY
    return months_later(first, months) - DAY


def follow(rows: list[Any], lasts: dict[str, date | None]) -> dict[str, list[Any]]:
    """Return the successors of each contract: those that name it, else the inferred one."""
    after: dict[str, list[Any]] = defaultdict(list)
    pools: dict[tuple[str, str], list[Any]] = defaultdict(list)
    by_id = {row.id: row for row in rows}
    for row in rows:
        for id in row.predecessor_ids:
            if id not in by_id or by_id[id].starts_on <= row.starts_on:  # what starts later was not followed by it
                after[id].append(row)
        if not row.predecessor_ids:
            pools[row.organisation_id, row.kind].append(row)
    inferred = {}
    for end, id, row in sorted((end, row.id, row) for row in rows if (end := lasts[row.id]) and row.id not in after):
        pool = pools[row.organisation_id, row.kind]
        best = None
        for one in pool:
            if one.starts_on > row.starts_on and end - EARLY <= one.starts_on <= end + DAY + GRACE:
                last = lasts[one.id]
                if last is None or last > end:
                    rank = (abs((one.starts_on - end - DAY).days), one.starts_on, one.id)
                    if best is None or rank < best[0]:
                        best = (rank, one)
        if best is not None:
            pool.remove(best[1])
            inferred[id] = [best[1]]
    after.update(inferred)
    return after


def settle(contracts: Iterable[Any], on: date) -> tuple[list[Any], dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return contracts, ends, last days and successors; a successor closes an open or rolling contract."""
    rows, ends, lasts = read(contracts, on)
    after = follow(rows, lasts)
    for row in rows:
        if lasts[row.id] is None and row.id in after:
            takes_over = min(one.starts_on for one in after[row.id])
            if row.ends_on is None:
                lasts[row.id] = max(row.starts_on, takes_over) - DAY
                continue
            end, months = row.ends_on, 0
            while end < takes_over - DAY:
                months += row.renewal_term.count
                end = nth_end(row, months)
            ends[row.id] = lasts[row.id] = end
    return rows, ends, lasts, after


def renewal_rate(contracts: Iterable[Any], start: date, end: date, on: date) -> tuple[Any, ...]:
    """Return the share by accounts, and the contracts on both sides."""
    rows, ends, _, after = settle(contracts, on)
    due: dict[str, bool] = {}
    top, bottom = [], []
    for row in rows:
        last = ends[row.id]
        if last is None or last < start:
            continue
        events = []
        if row.renewal_term is not None:
            at, months = row.ends_on, 0
            while at < last and at < end:
                if at >= start:
                    events.append(True)
                months += row.renewal_term.count
                at = nth_end(row, months)
        if last < end:
            events.append(row.id in after)
        for renewed in events:
            bottom.append(row.id)
            if renewed:
                top.append(row.id)
            due[row.organisation_id] = due.get(row.organisation_id, False) or renewed
    return Fraction(sum(due.values()), len(due)) if due else None, sorted(top), sorted(bottom)


def account_retention(contracts: Iterable[Any], start: date, end: date, on: date) -> tuple[Any, ...]:
    """Return the share of accounts in force on both days, and the contracts on both sides."""
    rows, _, lasts, _ = settle(contracts, on)
    before: dict[str, list[str]] = defaultdict(list)
    then: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        last = lasts[row.id] or date.max
        for day, found in ((start - DAY, before), (end - DAY, then)):
            if row.starts_on <= day <= last:
                found[row.organisation_id].append(row.id)
    kept = sum(account in then for account in before)
    share = Fraction(kept, len(before)) if before else None
    return (
        share,
        sorted(id for account in before for id in then.get(account, ())),
        sorted(id for ids in before.values() for id in ids),
    )


def yearly(row: Any) -> Decimal:
    """Return the value a year."""
    amount: Decimal = row.value.amount
    return amount * 12 if row.value_per == "month" else amount


def counted(row: Any, lasts: dict[str, Any], after: dict[str, Any]) -> date:
    """Return the last day a contract's value counts."""
    last: date = lasts[row.id] or date.max
    if row.id in after:
        takes_over: date = min(one.starts_on for one in after[row.id])
        return min(last, takes_over - DAY)
    return last


def gross_retention(contracts: Iterable[Any], start: date, end: date, on: date) -> tuple[Any, ...]:
    """Return the share of recurring value kept, and the contracts on both sides."""
    rows, _, lasts, after = settle(contracts, on)
    before: dict[str, Decimal] = defaultdict(Decimal)
    then: dict[str, Decimal] = defaultdict(Decimal)
    top, bottom = defaultdict(list), []
    for row in rows:
        last = counted(row, lasts, after)
        if row.starts_on < start <= last + DAY if last < date.max else row.starts_on < start:
            before[row.organisation_id] += yearly(row)
            bottom.append(row.id)
        if row.starts_on < end <= last + DAY if last < date.max else row.starts_on < end:
            then[row.organisation_id] += yearly(row)
            top[row.organisation_id].append(row.id)
    whole = sum(before.values())
    kept = sum(min(value, then[account]) for account, value in before.items())
    share = Fraction(kept) / Fraction(whole) if whole else None
    return share, sorted(id for account in before for id in top.get(account, ())), sorted(bottom)


def recurring(contracts: Iterable[Any], on: date) -> tuple[Any, ...]:
    """Return the yearly value in force on a day, and the contracts it is made of."""
    rows, _, lasts, after = settle(contracts, on)
    total, ids = Decimal(0), []
    for row in rows:
        if row.starts_on <= on <= counted(row, lasts, after):
            total += yearly(row)
            ids.append(row.id)
    money = type(rows[0].value)(total, "EUR") if rows else None
    return money, sorted(ids), []
