"""`desk.contracts`: which state a contract is in, what ends soon, and what is covered."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from keyaccount import contracts as rules
from keyaccount import expiring
from keyaccount.model.contracts import Contract
from keyaccount.model.organisations import Organisation
from keyaccount.model.renewals import Renewal
from keyaccount.queries import one_of
from keyaccount.rosters import Roster, roster
from keyaccount.view import View

if TYPE_CHECKING:
    from keyaccount.desk import Desk


class Contracts:
    """What contracts say on a day; reached as `desk.contracts`. Contracts themselves are put, got and removed."""

    __slots__ = ("_desk",)

    def __init__(self, desk: Desk) -> None:
        """Belong to a desk."""
        self._desk = desk

    def state(self, contract: str, *, on: date | None = None) -> str:
        """Return a contract's state on a day: draft, upcoming, running, in notice window, renewed, terminated or ended.

        Raises NotFound.
        """
        with self._desk._view() as view:
            row = view.get(Contract, contract)
            found = roster(view, only=row.organisation_id).contracts
            return rules.state(row, found, on=self._desk._day(on, view), lead=self._desk._book.lead)

    def due(
        self, *, within_days: int = 60, on: date | None = None, by: str | None = None, group: str | None = None
    ) -> expiring.DueContracts:
        """Return the contracts that end, or whose notice deadline comes, within so many days, and what was done.

        Open-ended and renewed ones are left out. The nearest day comes first.
        """
        with self._desk._view() as view:
            found = roster(view)
            asked = self._asked(view, on, found, by, group)
            return expiring.due(found.contracts, within_days=within_days, progress=_progress(view, found), **asked)

    def notice_deadlines(
        self, *, within_days: int = 60, on: date | None = None, by: str | None = None, group: str | None = None
    ) -> expiring.DueContracts:
        """Return the contracts whose notice deadline lies within so many days, the nearest first."""
        with self._desk._view() as view:
            found = roster(view)
            return expiring.notice_deadlines(
                found.contracts, within_days=within_days, **self._asked(view, on, found, by, group)
            )

    def expired_unrenewed(
        self, *, on: date | None = None, by: str | None = None, group: str | None = None
    ) -> expiring.ExpiredContracts:
        """Return the contracts that ended before a day, that nothing follows, and that nobody terminated."""
        with self._desk._view() as view:
            found = roster(view)
            asked = self._asked(view, on, found, by, group)
            del asked["lead"]
            return expiring.expired(found.contracts, **asked)

    def cover(self, organisation: str, *, kind: str | None = None, on: date | None = None) -> rules.Covers:
        """Return by kind the days that an organisation's contracts cover, the gaps between, and where they overlap.

        Raises NotFound for an organisation that cannot be read.
        """
        with self._desk._view() as view:
            view.get(Organisation, organisation)
            found = roster(view, only=organisation).contracts
            kept = [row for row in found if kind is None or row.kind == kind]
            return rules.cover(kept, on=self._desk._day(on, view))

    def _asked(self, view: View, on: date | None, found: Roster, by: str | None, group: str | None) -> dict[str, Any]:
        day = self._desk._day(on, view)
        return {"on": day, "lead": self._desk._book.lead, "by": by, "group": group, "accounts": found.accounts}


def _progress(view: View, found: Roster) -> dict[str, str]:
    """Say of contracts how far their open renewals are."""
    ids = one_of([row.id for row in found.contracts])
    return {row.contract_id: row.state for row in view.find(Renewal, contract_id=ids, open=True)}
