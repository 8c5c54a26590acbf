"""`desk.billing`: what is still to be paid."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import attrs

from keyaccount import billing, ledgers
from keyaccount.rosters import known_group
from keyaccount.view import View

if TYPE_CHECKING:
    from keyaccount.desk import Desk


class Billing:
    """What customers still have to pay; reached as `desk.billing`."""

    __slots__ = ("_desk",)

    def __init__(self, desk: Desk) -> None:
        """Belong to a desk."""
        self._desk = desk

    def overdue(
        self, *, on: date | None = None, by: str | None = None, group: str | None = None
    ) -> billing.OverdueInvoices:
        """Return the invoices overdue on a day: account by account, the oldest first, with what is open of each.

        An invoice is overdue from the day after it was due, while something is open. Disputed ones are marked.
        """
        with self._desk._view() as view:
            day = self._desk._day(on, view)
            rows = [*ledgers.overdue(view, day), *ledgers.undated(view, day)]
            kept, options = self._asked(view, day, rows, by, group)
            found = billing.overdue(kept, **options)
            return attrs.evolve(found, remarks=ledgers.remarks_on_rows(view, "invoices"))

    def ageing(
        self,
        *,
        on: date | None = None,
        by: str | None = None,
        group: str | None = None,
        currency: str | None = None,
    ) -> billing.Ageing:
        """Return what is open by account and by how long it is overdue: 1 to 30 days, to 60, to 90, and longer.

        What is not due yet, open credit notes and overpaid amounts stand in columns of their own.
        """
        with self._desk._view() as view:
            day = self._desk._day(on, view)
            kept, options = self._asked(view, day, ledgers.unsettled(view, day), by, group)
            exchange = self._desk._book._rates_to(currency)
            found = billing.ageing(kept, currency=currency, exchange=exchange, **options)
            return attrs.evolve(found, remarks=(*found.remarks, *ledgers.remarks_on_rows(view, "invoices")))

    @staticmethod
    def _asked(
        view: View, day: date, rows: list[billing.Bill], by: str | None, group: str | None
    ) -> tuple[list[billing.Bill], dict[str, Any]]:
        known = ledgers.customers(view, (row.organisation_id for row in rows), {"by": by, "group": group})
        kept = [row for row in rows if known.has(row.organisation_id)]
        return kept, {"on": day, "by": by, "group": known_group(view, group), "accounts": known.accounts}
