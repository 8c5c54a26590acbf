"""What a health check tells: rows of accounts, the foot, the short form for a day."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from fractions import Fraction
from typing import Any

import attrs

from keyaccount.actions import ToDo
from keyaccount.attention import Contacted
from keyaccount.billing import OverdueInvoices
from keyaccount.calendars import Period
from keyaccount.errors import ValidationError
from keyaccount.expiring import DueContract, ExpiredContract
from keyaccount.figures import rounded, units_together
from keyaccount.health_page import page
from keyaccount.model.rights import BreakGlass
from keyaccount.money import Money
from keyaccount.opportunities import StaleOpportunities, StaleOpportunity
from keyaccount.promises import BrokenPromise, BrokenPromises
from keyaccount.results import Result, Rows
from keyaccount.turnover import Units

Amounts = tuple[Money, ...]
"""One amount for each currency, in the order of their codes; nothing where it is nothing."""

SIGNALS: Mapping[str, tuple[str, ...]] = {
    "invoiced": ("invoiced", "invoiced_before", "growth", "growth_reason"),
    "decline": ("decline", "decline_reason", "alert", "seasonal"),
    "contracts": ("due", "expired"),
    "overdue": ("overdue", "oldest_overdue", "all_disputed", "overdue_ids"),
    "opportunities": ("opportunities", "pipeline", "weighted", "to_update"),
    "contact": ("last_contact",),
    "promises": ("promises",),
}
"""The signals, and the fields of a row each of them fills; what has no rules yet (a health score) is not among them."""


@attrs.frozen(repr=False)
class HealthRow(Result):
    """How one account is. `signals` says which of the fields were asked about; the others are not in `to_dict()`.

    `invoiced` are the 12 months to the day; `growth` is against the 12 months before, `decline` that of the last closed
    month against the one before: None with a reason. `alert` marks a decline above 20 %, `seasonal` says that the same
    month last year was no better. `due` are contracts that end, or whose notice deadline comes, within 60 days, each
    with what was `done` so far. `overdue` is open and past due, in all for up to `oldest_overdue` days.
    """

    organisation_id: str
    name: str
    signals: tuple[str, ...]
    invoiced: Amounts = ()
    invoiced_before: Amounts = ()
    growth: Fraction | None = None
    growth_reason: str | None = None
    decline: Fraction | None = None
    decline_reason: str | None = None
    alert: bool = False
    seasonal: bool | None = None
    due: tuple[DueContract, ...] = ()
    expired: tuple[ExpiredContract, ...] = ()
    overdue: Amounts = ()
    oldest_overdue: int = 0
    all_disputed: bool = False
    overdue_ids: tuple[str, ...] = ()
    opportunities: int = 0
    pipeline: Amounts = ()
    weighted: Amounts = ()
    to_update: tuple[StaleOpportunity, ...] = ()
    last_contact: Contacted | None = None
    promises: tuple[BrokenPromise, ...] = ()
    parts: tuple[str, ...] = ()
    to_do: tuple[ToDo, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types, without the signals that are absent."""
        absent = {field for signal, fields in SIGNALS.items() if signal not in self.signals for field in fields}
        return {name: value for name, value in super().to_dict().items() if name not in absent}


@attrs.frozen(repr=False)
class HealthTotals(Result):
    """The foot of a health check: the sums of its rows. `part` says of which part, None of all."""

    accounts: int
    invoiced: Amounts = ()
    invoiced_before: Amounts = ()
    alerts: int = 0
    due: int = 0
    expired: int = 0
    overdue: Amounts = ()
    opportunities: int = 0
    pipeline: Amounts = ()
    weighted: Amounts = ()
    promises: int = 0
    to_do: int = 0
    part: str | None = None


@attrs.frozen(repr=False)
class HealthCheck(Rows[HealthRow]):
    """One row for each account, the largest first; `totals` are the sums of the rows, and `parts` those by part."""

    rows: tuple[HealthRow, ...]
    totals: HealthTotals
    on: date
    signals: tuple[str, ...]
    windows: Mapping[str, Period]
    parts: tuple[HealthTotals, ...] | None = None
    remarks: tuple[str, ...] = ()

    def row(self, organisation_id: str) -> HealthRow:
        """Return the row of an account; raise ValidationError where it has none."""
        for row in self.rows:
            if row.organisation_id == organisation_id:
                return row
        raise ValidationError.of("HealthCheck", "organisation_id", organisation_id, "has no row here")

    def _repr_html_(self) -> str:
        return page(self)


@attrs.frozen(repr=False)
class Daily(Result):
    """The short form for each day: what is overdue, expansion opportunities to update, broken promises.

    `opened` are private accounts that a steward has open by break-glass, for those who may read them.
    """

    on: date
    overdue: OverdueInvoices
    opportunities: StaleOpportunities
    promises: BrokenPromises
    opened: tuple[BreakGlass, ...] = ()


# ---- the foot ----


def totals(rows: Sequence[HealthRow], *, part: str | None = None) -> HealthTotals:
    """Return the foot: the sums of the rows, as they are shown."""
    return HealthTotals(
        len(rows),
        sum_of(row.invoiced for row in rows),
        sum_of(row.invoiced_before for row in rows),
        sum(row.alert for row in rows),
        sum(len(row.due) for row in rows),
        sum(len(row.expired) for row in rows),
        sum_of(row.overdue for row in rows),
        sum(row.opportunities for row in rows),
        sum_of(row.pipeline for row in rows),
        sum_of(row.weighted for row in rows),
        sum(len(row.promises) for row in rows),
        sum(len(row.to_do) for row in rows),
        part,
    )


def sum_of(columns: Iterable[Amounts]) -> Amounts:
    """Add up amounts by currency."""
    found: defaultdict[str, int] = defaultdict(int)
    for amounts in columns:
        for amount in amounts:
            found[amount.currency] += amount.units
    return amounts_of(found)


def shown_together(columns: Mapping[tuple[str, str], Mapping[str, Units]]) -> dict[str, dict[str, Amounts]]:
    """Round the exact amounts of accounts, column by column, so that what is shown adds up to its rounded total.

    A column is a field in a currency; what is nothing is left out. Returned are the amounts by account and field.
    """
    found: defaultdict[str, dict[str, Amounts]] = defaultdict(dict)
    for (field, currency), column in sorted(columns.items()):
        exact = {account: units for account, units in column.items() if units}
        shown = units_together(list(exact.values()), rounded(sum(exact.values()), currency))
        for account, units in zip(exact, shown, strict=True):
            if units:
                fields = found[account]
                fields[field] = (*fields.get(field, ()), Money.of_units(units, currency))
    return found


def amounts_of(units: Mapping[str, Units]) -> Amounts:
    """Return exact sums by currency as amounts, without those that are nothing."""
    shown = (rounded(exact, currency) for currency, exact in sorted(units.items()))
    return tuple(amount for amount in shown if amount.units)
