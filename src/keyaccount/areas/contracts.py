"""`desk.contracts`: which state a contract is in, what ends soon, and what is covered."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from keyaccount import contracts as rules
from keyaccount import expiring, ledgers
from keyaccount.errors import ValidationError
from keyaccount.model.contracts import Contract
from keyaccount.model.organisations import Organisation
from keyaccount.rosters import around, known_group, roster
from keyaccount.searching import by_id_or_alias
from keyaccount.view import View

if TYPE_CHECKING:
    from keyaccount.desk import Desk


class Contracts:
    """What contracts say on a day; reached as `desk.contracts`. Contracts themselves are put, got and removed."""

    __slots__ = ("_desk",)

    def __init__(self, desk: Desk) -> None:
        """Belong to a desk."""
        self._desk = desk

    def state(self, contract: str | Contract, *, on: date | None = None) -> str:
        """Return a contract's state on a day: draft, upcoming, running, in notice window, renewed, terminated or ended.

        `contract` is its id, or the contract as it was read. Raises NotFound.
        """
        with self._desk._view() as view:
            row = view.get(Contract, contract.id if isinstance(contract, Contract) else contract)
            near = around(view, row.organisation_id)
            return rules.state(row, near, on=self._desk._day(on, view), lead=self._desk._book.lead)

    def due(
        self,
        *,
        within_days: int = 60,
        on: date | None = None,
        by: str | None = None,
        group: str | None = None,
        frames: bool = False,
    ) -> expiring.DueContracts:
        """Return the contracts that end, or whose notice deadline comes, within so many days, and what was done.

        Open-ended and renewed ones are left out; with `frames` a contract of the parent's renews too. The nearest day
        comes first. `by` and `group` as in the metrics.
        """
        with self._desk._view() as view:
            asked = self._asked(view, on, by, group, frames=frames)
            done = ledgers.progress(view.gather(ledgers.renewals(view, asked["on"]))[0], asked["on"], view)
            lead = self._desk._book.lead
            return expiring.due(within_days=within_days, progress=done, lead=lead, **asked)

    def notice_deadlines(
        self,
        *,
        within_days: int = 60,
        on: date | None = None,
        by: str | None = None,
        group: str | None = None,
        frames: bool = False,
    ) -> expiring.DueContracts:
        """Return the contracts whose notice deadline lies within so many days, the nearest first; see `due`."""
        with self._desk._view() as view:
            asked = self._asked(view, on, by, group, frames=frames)
            return expiring.notice_deadlines(within_days=within_days, lead=self._desk._book.lead, **asked)

    def expired_unrenewed(
        self, *, on: date | None = None, by: str | None = None, group: str | None = None, frames: bool = False
    ) -> expiring.ExpiredContracts:
        """Return the contracts that ended before a day, that nothing follows, and that nobody terminated; see `due`."""
        with self._desk._view() as view:
            return expiring.expired(**self._asked(view, on, by, group, frames=frames))

    def cover(self, organisation: str, *, kind: str | None = None, on: date | None = None) -> rules.Covers:
        """Return by kind the days that an organisation's contracts cover, the gaps between, and where they overlap.

        Raises NotFound for an organisation that cannot be read.
        """
        if kind is not None and not isinstance(kind, str):
            raise ValidationError.of("contracts", "kind", kind, "must be text")
        with self._desk._view() as view:
            at = by_id_or_alias(view, Organisation, organisation).id
            found = rules.cover(around(view, at), on=self._desk._day(on, view))
            own = (row for row in found if row.organisation_id == at)
            return rules.Covers(tuple(row for row in own if kind is None or row.kind == kind))

    def _asked(self, view: View, on: date | None, by: str | None, group: str | None, *, frames: bool) -> dict[str, Any]:
        found = roster(view, by)
        return {
            "contracts": found.contracts,
            "on": self._desk._day(on, view),
            "by": by,
            "group": known_group(view, group),
            "accounts": found.accounts,
            "matching": found.matching(frames=frames),
        }
