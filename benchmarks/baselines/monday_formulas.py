"""Growth, average, decline and concentration from sums by account, in plain Python: what a report would do with them.

Each takes rows of an account, its currency, exact whole numbers for some windows, and the first day of any document.
One currency; several would be several reports. Days are ISO text, as SQLite keeps them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from fractions import Fraction
from typing import Any, NamedTuple

LIMIT = Fraction(1, 5)


class Summed(NamedTuple):
    """What an account turned over."""

    account: str
    currency: str
    sums: Sequence[int]
    first: str


def back(day: date, months: int) -> date:
    """Return the day so many months before, or the last of that month."""
    count = day.year * 12 + day.month - 1 - months
    year, month = count // 12, count % 12 + 1
    after = date(year + month // 12, month % 12 + 1, 1)
    return date(year, month, min(day.day, (after - timedelta(1)).day))


def years(on: date) -> list[tuple[str, str]]:
    """Return the 12 months up to a day, and the 12 before."""
    now, before = back(on, 12), back(on, 24)
    return [(now.isoformat(), on.isoformat()), (before.isoformat(), now.isoformat())]


def months(on: date) -> list[tuple[str, str]]:
    """Return the last closed month, the one before, and the last one's a year ago."""
    this = on.replace(day=1)
    starts = [back(this, 1), back(this, 2), back(this, 13)]
    return [(start.isoformat(), back(start, -1).isoformat()) for start in starts]


# ---- the metrics ---------------------------------------------------------------------------------------------------


def grown(now: int, before: int, first: str, start: str) -> tuple[Fraction | None, str | None]:
    """Return growth, or why there is none."""
    if first > start:
        return None, "first year"
    if before <= 0:
        return None, "nothing in the 12 months before" if before == 0 else "the 12 months before are below zero"
    return Fraction(now - before, before), None


def growth(rows: Iterable[Summed], on: date) -> tuple[list[tuple[Any, ...]], Fraction | None]:
    """Return a row for each account, and the growth of all that have one."""
    start, found, top, bottom = years(on)[1][0], [], 0, 0
    for account, _, (now, before, *_), first in rows:
        value, reason = grown(now, before, first, start)
        found.append((account, value, reason, now, before))
        if value is not None:
            top, bottom = top + now - before, bottom + before
    return sorted(found), Fraction(top, bottom) if bottom else None


def average(rows: Iterable[Summed], on: date) -> tuple[Fraction, int, int, int, int]:
    """Return the average, the total, and how many accounts: all, without turnover, younger than a year."""
    start, total, count, without, younger = years(on)[0][0], 0, 0, 0, 0
    for _, _, (now, *_), first in rows:
        total, count = total + now, count + 1
        without += not now
        younger += start < first < on.isoformat()
    return Fraction(total, count), total, count, without, younger


def declined(last: int, before: int, year_ago: int) -> tuple[Fraction | None, bool, bool | None]:
    """Return the decline, whether it is an alert, and whether it is the season's."""
    if before <= 0:
        return None, False, None
    share = Fraction(before - last, before)
    return share, share > LIMIT, Fraction(year_ago - last, year_ago) <= LIMIT if year_ago > 0 else None


def decline(rows: Iterable[Summed]) -> tuple[list[tuple[Any, ...]], Fraction | None]:
    """Return a row for each account, and the decline of all that have a base."""
    found, top, bottom = [], 0, 0
    for account, _, (last, before, year_ago), _ in rows:
        judged = declined(last, before, year_ago)
        found.append((account, *judged, last, before, year_ago))
        if judged[0] is not None:
            top, bottom = top + before - last, bottom + before
    return sorted(found, key=lambda row: row[0]), Fraction(top, bottom) if bottom else None


def concentration(rows: Iterable[Summed]) -> tuple[Any, ...]:
    """Return the HHI, the total, the shares of the first 1, 5 and 10, how many make 80 %, and each share."""
    held = sorted(((row.sums[0], row.account) for row in rows if row.sums[0] > 0), key=lambda row: (-row[0], row[1]))
    total = sum(units for units, _ in held)
    index = Fraction(sum(units * units for units, _ in held), total * total)
    reached, fewest = 0, 0
    for units, _ in held:
        reached, fewest = reached + units, fewest + 1
        if reached * 5 >= total * 4:
            break
    top = [Fraction(sum(units for units, _ in held[:count]), total) for count in (1, 5, 10)]
    return index, total, *top, fewest, [(account, Fraction(units, total), units) for units, account in held]
