"""The Monday health check and the revenue metrics by hand: SQL for `sqlite3` on the same file, and plain tuples.

What is asked is what the library answers: the same rows, in the same order, with the same steps to take and the ids
that prove them. One currency an account; contracts have fixed terms, and notice in months.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from baselines import monday_formulas
from baselines.monday_formulas import Summed, back

WITHIN, QUIET = 60, 90
_WEIGHTED = 16
"""Where a row of the health check holds its weighted pipeline."""
MONTHS = "January February March April May June July August September October November December".split()

ALL = "SELECT id, name FROM organisation WHERE relationships IN ('[]', '[\"customer\"]')"
OPEN = f"""{ALL} AND (private = 0 OR EXISTS (SELECT 1 FROM assignment a WHERE a.organisation_id = organisation.id
    AND a.role = 'key account manager' AND a.user_id = :me
    AND (a.valid_from IS NULL OR a.valid_from <= :on) AND (a.valid_until IS NULL OR :on <= a.valid_until)))"""  # noqa: S608
CLOSED = f"""{ALL} AND id IN (SELECT organisation_id FROM assignment a WHERE a.user_id = :me
    AND (a.valid_from IS NULL OR a.valid_from <= :on) AND (a.valid_until IS NULL OR :on <= a.valid_until))"""  # noqa: S608

_BILLED = """SELECT organisation_id, currency,
    coalesce(sum(net_units) FILTER (WHERE issued_on >= :a AND issued_on < :b), 0),
    coalesce(sum(net_units) FILTER (WHERE issued_on >= :c AND issued_on < :d), 0), min(issued_on)
    FROM invoice {of} GROUP BY 1, 2"""
_ORDERED = """SELECT organisation_id, currency,
    coalesce(sum(net_units) FILTER (WHERE ordered_on >= :a AND ordered_on < :b), 0),
    coalesce(sum(net_units) FILTER (WHERE ordered_on >= :c AND ordered_on < :d), 0),
    coalesce(sum(net_units) FILTER (WHERE ordered_on >= :e AND ordered_on < :f), 0), min(ordered_on)
    FROM "order" WHERE state NOT IN ('draft', 'cancelled') {of} GROUP BY 1, 2"""
_OVERDUE = """SELECT id, organisation_id, due_on, coalesce(gross, net), currency, payments, disputed FROM invoice
    WHERE (settled_on IS NULL OR settled_on > :on) AND due_on < :on AND +issued_on <= :on AND kind = 'invoice' {of}"""
_CONTRACTS = """SELECT id, organisation_id, number, ends_on, notice, value FROM contract c
    WHERE signed_on <= :on AND terminated_on IS NULL {of} AND NOT EXISTS
        (SELECT 1 FROM item i JOIN contract s ON s.id = i.id WHERE i.kind = 'Contract' AND i.field = 'predecessor_ids'
         AND i.key = c.id AND s.signed_on <= :on)
    AND NOT EXISTS (SELECT 1 FROM contract s WHERE s.organisation_id = c.organisation_id AND s.kind = c.kind
        AND s.signed_on <= :on AND s.predecessor_ids = '[]' AND s.starts_on > c.starts_on AND s.ends_on > c.ends_on
        AND s.starts_on BETWEEN date(c.ends_on, '-90 days') AND date(c.ends_on, '+31 days'))"""
_DEALS = """SELECT id, organisation_id, title, value, value_currency, probability, expected_on FROM opportunity
    WHERE open = 1 {of}"""
_PROMISES = """SELECT id, organisation_id, subject, follow_up_on FROM activity
    WHERE open = 1 AND follow_up_on < :on {of} ORDER BY follow_up_on, id"""
_MET = """SELECT organisation_id, max(at), id FROM activity
    WHERE two_way = 1 AND at < :tomorrow {of} GROUP BY organisation_id"""
_RENEWALS = "SELECT contract_id, state FROM renewal WHERE open = 1"
_IDS = "SELECT id FROM invoice WHERE organisation_id = ? AND issued_on >= ? AND issued_on < ? ORDER BY id"


class _Around(NamedTuple):
    """All that is known of one account."""

    id: str
    name: str
    billed: Summed | None
    ordered: Summed | None
    due: list[Any]
    expired: list[Any]
    late: list[Any]
    deals: list[Any]
    promises: list[Any]
    met: Any


class ByHand:
    """The questions of the benchmark, of all accounts or of those that a user may read."""

    def __init__(self, path: Path, on: date, me: str | None = None, readable: str = ALL) -> None:
        """Open the file."""
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.on, self.me, self.readable = on, me, readable

    def _ask(self, sql: str, word: str = "AND", at: int = 1, **given: str) -> Iterator[Any]:
        """Ask about accounts that are readable: the few in the statement, most of all by what was read of them."""
        asked = {"on": self.on.isoformat(), "me": self.me, **given}
        if self.readable is CLOSED:
            few = f"{word} organisation_id IN ({self.readable.replace('id, name', 'id', 1)})"
            return self.connection.execute(sql.format(of=few), asked)
        known = {id for (id,) in self.connection.execute(self.readable.replace("id, name", "id", 1), asked)}
        return (row for row in self.connection.execute(sql.format(of=""), asked) if row[at] in known)

    def _names(self) -> list[tuple[str, str]]:
        """Return the accounts that are readable."""
        return self.connection.execute(self.readable, {"on": self.on.isoformat(), "me": self.me}).fetchall()

    def billed(self) -> list[Summed]:
        """Add up invoices over two years."""
        (a, b), (c, d) = monday_formulas.years(self.on)
        return [Summed(row[0], row[1], row[2:4], row[4]) for row in self._ask(_BILLED, "WHERE", 0, a=a, b=b, c=c, d=d)]

    def ordered(self) -> list[Summed]:
        """Add up orders over three months."""
        (a, b), (c, d), (e, f) = monday_formulas.months(self.on)
        found = self._ask(_ORDERED, at=0, a=a, b=b, c=c, d=d, e=e, f=f)
        return [Summed(row[0], row[1], row[2:5], row[5]) for row in found]

    def growth(self) -> tuple[Any, ...]:
        """Return growth by account."""
        return monday_formulas.growth(self.billed(), self.on)

    def average(self) -> tuple[Any, ...]:
        """Return the average value of an account."""
        return monday_formulas.average(self.billed(), self.on)

    def decline(self) -> tuple[Any, ...]:
        """Return the decline of orders by account."""
        return monday_formulas.decline(self.ordered())

    def concentration(self) -> tuple[Any, ...]:
        """Return how concentrated turnover is."""
        return monday_formulas.concentration(self.billed())

    def records(self, account: str) -> list[str]:
        """Return the invoices behind the growth of an account, those of the 12 months."""
        ((start, end), _) = monday_formulas.years(self.on)
        return [id for (id,) in self.connection.execute(_IDS, (account, start, end))]

    def contact(self) -> list[tuple[str, int | None, str | None]]:
        """Return the days since the last contact by account."""
        met = {row[0]: row for row in self._met()}
        names = sorted(id for id, _ in self._names())
        return [(id, met[id][1], met[id][2]) if id in met else (id, None, None) for id in names]

    def _met(self) -> Iterator[tuple[str, int, str]]:
        for account, at, id in self._ask(_MET, at=0, tomorrow=(self.on + timedelta(1)).isoformat()):
            yield account, (self.on - date.fromisoformat(at[:10])).days, id

    def overdue(self) -> list[tuple[str, str, int, int, str]]:
        """Return what is overdue: id, account, open amount, days, currency; account by account, the oldest first."""
        by_account: defaultdict[str, list[tuple[int, str, str, int, str]]] = defaultdict(list)
        for id, account, due, left, currency, _, _ in self._overdue():
            by_account[account].append(((due - self.on).days, account, id, left, currency))
        accounts = sorted(sorted(rows) for rows in by_account.values())
        return [(id, one, left, -days, of) for rows in accounts for days, one, id, left, of in rows]

    def _overdue(self) -> Iterator[tuple[Any, ...]]:
        for id, account, due, amount, currency, payments, disputed in self._ask(_OVERDUE):
            left = amount
            if payments != "[]":
                paid = (one for one in json.loads(payments) if one["paid_on"] <= self.on.isoformat())
                left -= sum(int(Fraction(one["amount"]["amount"]) * 10_000) for one in paid)
            if left > 0:
                yield id, account, date.fromisoformat(due), left, currency, payments, disputed

    # -- the health check

    def health(self) -> list[tuple[Any, ...]]:
        """Return a row for each account, the largest first."""
        names = dict(self._names())
        billed = {row.account: row for row in self.billed()}
        ordered = {row.account: row for row in self.ordered()}
        due, expired = self._contracts()
        overdue, deals, promises = (
            _grouped(self._overdue()),
            _grouped(self._ask(_DEALS)),
            _grouped(self._ask(_PROMISES)),
        )
        met = {row[0]: row for row in self._met()}
        done = dict(self.connection.execute(_RENEWALS))
        rows = []
        for id, name in names.items():
            late = sorted(overdue[id], key=lambda row: (row[2], row[0]))
            sums, rest = (billed.get(id), ordered.get(id)), (due[id], expired[id], late, deals[id], promises[id])
            rows.append(self._row(_Around(id, name, *sums, *rest, met.get(id)), done))
        shown = _adding_up([row[_WEIGHTED] for row in rows])
        whole = [(*row[:_WEIGHTED], one, *row[_WEIGHTED + 1 :]) for row, one in zip(rows, shown, strict=True)]
        return sorted(whole, key=lambda row: (-row[2], row[0]))

    def _contracts(self) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
        due, expired = defaultdict(list), defaultdict(list)
        for id, account, number, ends_on, notice, value in self._ask(_CONTRACTS):
            end = date.fromisoformat(ends_on)
            deadline = back(end + timedelta(1), json.loads(notice)["count"]) - timedelta(1)
            near = [day for day in (end, deadline) if self.on <= day <= self.on + timedelta(WITHIN)]
            if near:
                due[account].append(((min(near) - self.on).days, id, number, end, deadline))
            if end < self.on:
                expired[account].append(((self.on - end).days, id, number, value))
        for table in (due, expired):
            for rows in table.values():
                rows.sort()
        return due, expired

    def _row(self, of: _Around, done: dict[str, str]) -> tuple[Any, ...]:
        id, name, billed, ordered, due, expired, late, deals, promises, met = of
        now, before = billed.sums if billed else (0, 0)
        start = monday_formulas.years(self.on)[1][0]
        growth = monday_formulas.grown(now, before, billed.first, start) if billed else (None, "no turnover yet")
        decline = monday_formulas.declined(*ordered.sums) if ordered else (None, False, None)
        value = sum(row[3] or 0 for row in deals)
        weighted = sum(Fraction(row[5] or 0) * (row[3] or 0) for row in deals)
        stale = sorted(row for row in deals if row[6] is None or row[6] < self.on.isoformat())
        row = (
            id, name, now, before, *growth, *decline,
            [(one[1], one[0], one[3], one[4], done.get(one[1])) for one in due],
            [(one[1], one[0], one[3]) for one in expired],
            sum(row[3] for row in late), max(((self.on - row[2]).days for row in late), default=0),
            tuple(row[0] for row in late), len(deals), value, weighted,
            [row[0] for row in stale], met and met[1:], [row[0] for row in promises],
        )  # fmt: skip
        return (*row, list(self._steps(of, decline, stale, done)))

    def _steps(
        self, of: _Around, decline: Any, stale: list[Any], done: dict[str, str]
    ) -> Iterator[tuple[str, str, tuple[str, ...]]]:
        id, _, _, _, due, expired, late, _, promises, met = of
        for days, one, number, _ in expired:
            if days <= 365:
                yield "expired contract", f"renew {number}: it ended {_days(days)} ago, and nothing follows", (one,)
        for days, one, number, _, _ in due:
            begun = "go on with the" if one in done else "start"
            said = f"{begun} renewal of {number}: {_days(days)} left, {done.get(one, 'no action')}"
            yield "renewal", said, (one,)
        for one, _, subject, day in promises:
            late_by = (self.on - date.fromisoformat(day)).days
            yield "promise", f"keep the promise of {day}, {_days(late_by)} late: {subject}", (one,)
        if late:
            what = "settle the dispute" if all(row[6] for row in late) else "ask for payment"
            amount = f"{sum(row[3] for row in late) / 10_000:,.2f} {late[0][4]}"
            oldest = _days((self.on - late[0][2]).days)
            yield "payment", f"{what}: {amount} overdue, the oldest for {oldest}", tuple(row[0] for row in late)
        if decline[1]:
            season = "; the season's, as last year" if decline[2] else ""
            month = MONTHS[back(self.on.replace(day=1), 2).month - 1]
            yield "decline", f"schedule a call: orders {_fallen(decline[0])} against {month}{season}", (id,)
        for one, _, title, _, _, _, day in stale:
            since = f"expected {_days((self.on - date.fromisoformat(day)).days)} ago"
            yield "opportunity", f"update {title}: {since}", (one,)
        if met is None:
            yield "contact", "get in touch: nobody ever talked to them", (id,)
        elif met[1] > QUIET:
            yield "contact", f"get in touch: last contact {_days(met[1])} ago", (met[2],)


def _adding_up(amounts: list[Fraction | int]) -> list[int]:
    """Round to cents so that what is shown adds up to its rounded sum: the largest remainders are rounded up."""
    cents = [amount / 100 if isinstance(amount, Fraction) else Fraction(amount, 100) for amount in amounts]
    floors = [one.numerator // one.denominator for one in cents]
    missing = round(sum(cents)) - sum(floors)
    ranked = sorted((n for n, one in enumerate(cents) if one), key=lambda n: (floors[n] - cents[n], -cents[n], n))
    for n in ranked[:missing]:
        floors[n] += 1
    return [one * 100 for one in floors]


def _grouped(rows: Any) -> defaultdict[str, list[Any]]:
    found: defaultdict[str, list[Any]] = defaultdict(list)
    for row in rows:
        found[row[1]].append(row)
    return found


def _fallen(share: Fraction) -> str:
    """Write a decline above the limit: in tenths of a percent where whole ones would read as the limit."""
    if round(share * 100) > monday_formulas.LIMIT * 100:
        return f"-{round(share * 100)} %"
    tenths = max(round(share * 1000), 201)
    return f"-{tenths // 10}.{tenths % 10} %"


def _days(count: int) -> str:
    return f"{count} day{'' if count == 1 else 's'}"
