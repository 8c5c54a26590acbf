"""The same metrics as one would write them in SQL, for contracts of fixed terms that name their predecessors.

No inferred successors, rolls, notice, drafts of later days, currencies or rights: what a report of one's own has.
"""

from __future__ import annotations

import json
import sqlite3
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from baselines import portfolio_loop

DUE = """
SELECT c.organisation_id, c.id, EXISTS (
    SELECT 1 FROM item i JOIN contract s ON s.id = i.id
    WHERE i.kind = 'Contract' AND i.field = 'predecessor_ids' AND i.key = c.id AND s.signed_on <= :on
) AS renewed
FROM contract c WHERE c.signed_on <= :on AND c.ends_on >= :start AND c.ends_on < :end ORDER BY c.ends_on, c.id
"""

FORCE = """
SELECT organisation_id, id,
    starts_on < :start AND ends_on >= date(:start, '-1 day') AS at_start,
    starts_on < :end AND ends_on >= date(:end, '-1 day') AS at_end,
    value * CASE value_per WHEN 'month' THEN 12 ELSE 1 END AS yearly
FROM contract WHERE signed_on <= :on AND starts_on < :end AND ends_on >= date(:start, '-1 day')
ORDER BY organisation_id, id
"""

RECURRING = """
SELECT id, value * CASE value_per WHEN 'month' THEN 12 ELSE 1 END
FROM contract WHERE signed_on <= :on AND starts_on <= :on AND ends_on >= :on ORDER BY id
"""

READ = """
SELECT id, organisation_id, kind, signed_on, starts_on, ends_on, value, value_per, predecessor_ids
FROM contract WHERE renewal_term IS NULL
"""


class Value(NamedTuple):
    """A value in ten-thousandths, as the loop reads one."""

    amount: int
    currency: str


class Row(NamedTuple):
    """The columns of a contract that the loop needs."""

    id: str
    organisation_id: str
    kind: str
    signed_on: date | None
    starts_on: date
    ends_on: date | None
    value: Value
    value_per: str
    predecessor_ids: tuple[str, ...]
    renewal_term: None = None
    notice: None = None


class Report:
    """The report of one file, on a connection that stays open."""

    def __init__(self, path: Path) -> None:
        """Open the file for reading."""
        self.connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)

    def _rows(self, sql: str, on: date, start: date, end: date) -> list[Any]:
        return self.connection.execute(sql, {"on": f"{on}", "start": f"{start}", "end": f"{end}"}).fetchall()

    def read(self) -> list[Row]:
        """Read the columns that a loop with inferred successors needs."""
        day = date.fromisoformat
        return [
            Row(
                id,
                account,
                kind,
                day(signed) if signed else None,
                day(start),
                day(end) if end else None,
                Value(value, "EUR"),
                per,
                tuple(json.loads(before)),
            )
            for id, account, kind, signed, start, end, value, per, before in self.connection.execute(READ)
        ]

    def looped(self, name: str, *days: date) -> tuple[Any, ...]:
        """Ask the loop about the rows, as one would who needs what SQL does not say: inferred successors."""
        metric: Any = getattr(portfolio_loop, name)
        answer: tuple[Any, ...] = metric(self.read(), *days)
        return answer

    def renewal_rate(self, start: date, end: date, on: date) -> tuple[Any, ...]:
        """Return the share by accounts, and the contracts on both sides."""
        rows = self._rows(DUE, on, start, end)
        due = {account for account, _, _ in rows}
        kept = {account for account, _, renewed in rows if renewed}
        return (
            Fraction(len(kept), len(due)) if due else None,
            sorted(id for _, id, renewed in rows if renewed),
            sorted(id for _, id, _ in rows),
        )

    def account_retention(self, start: date, end: date, on: date) -> tuple[Any, ...]:
        """Return the share of accounts in force on both days, and the contracts on both sides."""
        rows = self._rows(FORCE, on, start, end)
        before = {row[0] for row in rows if row[2]}
        then = {row[0] for row in rows if row[3]} & before
        return (
            Fraction(len(then), len(before)) if before else None,
            sorted(row[1] for row in rows if row[3] and row[0] in before),
            sorted(row[1] for row in rows if row[2]),
        )

    def gross_retention(self, start: date, end: date, on: date) -> tuple[Any, ...]:
        """Return the share of recurring value kept, and the contracts on both sides."""
        before: dict[str, int] = {}
        then: dict[str, int] = {}
        rows = self._rows(FORCE, on, start, end)
        for account, _, at_start, at_end, yearly in rows:
            if at_start:
                before[account] = before.get(account, 0) + yearly
            if at_end:
                then[account] = then.get(account, 0) + yearly
        kept = sum(min(value, then.get(account, 0)) for account, value in before.items())
        return (
            Fraction(kept, sum(before.values())) if before else None,
            sorted(row[1] for row in rows if row[3] and row[0] in before),
            sorted(row[1] for row in rows if row[2]),
        )

    def recurring(self, on: date) -> tuple[Any, ...]:
        """Return the yearly value in force on a day in ten-thousandths, and the contracts it is made of."""
        rows = self._rows(RECURRING, on, on, on)
        return sum(units for _, units in rows), sorted(id for id, _ in rows), []
