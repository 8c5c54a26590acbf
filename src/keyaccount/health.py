"""It is Monday: how is each account, and what is to be done? The health check, and its short form for each day.

The rows are put together from facts that a storage, an engine of data frames or a host's own lists supply alike: sums
over `invoice_windows` and `order_windows`, contracts, open invoices and opportunities, last contacts, open promises.
A signal nobody supplied is absent from the rows, not zero.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, tzinfo
from typing import Any, Generic, TypeVar, Unpack

import attrs

from keyaccount import actions, billing, decline, revenue
from keyaccount.accounts import NOBODY
from keyaccount.actions import QUIET_DAYS
from keyaccount.attention import Contacted, last_contacts
from keyaccount.billing import Bill, OverdueInvoice
from keyaccount.calendars import Period
from keyaccount.contracts import LEAD_DAYS, Lead
from keyaccount.errors import ValidationError
from keyaccount.expiring import DueContract, ExpiredContract, due_and_expired
from keyaccount.figures import shown_in_order
from keyaccount.health_rows import (
    SIGNALS,
    Amounts,
    Daily,
    HealthCheck,
    HealthRow,
    HealthTotals,
    shown_together,
    totals,
)
from keyaccount.model.activities import Activity
from keyaccount.model.commerce import Invoice, Order
from keyaccount.model.contacts import Position
from keyaccount.model.contracts import Contract
from keyaccount.model.sales import OPPORTUNITY_KINDS, Opportunity
from keyaccount.opportunities import StaleOpportunity, to_update, weight
from keyaccount.promises import BrokenPromise, broken_promises
from keyaccount.questions import Options, Question, checked_count
from keyaccount.ratios import OVERLAP
from keyaccount.turnover import Sums, Turnover, Units, by_unit, mixed, turnover
from keyaccount.values import FrozenMap

__all__ = [
    "SIGNALS",
    "Amounts",
    "Daily",
    "HealthCheck",
    "HealthFacts",
    "HealthRow",
    "HealthTotals",
    "daily",
    "health_check",
    "health_of",
    "invoice_windows",
    "order_windows",
    "totals",
]

T = TypeVar("T")
WITHIN_DAYS = 60


# ---- facts ---------------------------------------------------------------------------------------------------------


def invoice_windows(on: date) -> dict[str, Period]:
    """Return the windows of invoices that a health check needs."""
    return revenue.growth_windows(on)


def order_windows(on: date) -> dict[str, Period]:
    """Return the windows of orders that a health check needs."""
    return decline.decline_windows(on)


@attrs.frozen(eq=False)
class HealthFacts:
    """What a health check is made of; None is a signal that nobody supplied.

    `invoiced` and `ordered` are sums over `invoice_windows` and `order_windows`. `open_invoices` may hold settled ones
    too, `opportunities` closed ones, `promises` any activity. `progress` is what was done for the renewal of a contract
    so far, by its id.
    """

    invoiced: Turnover | None = None
    ordered: Turnover | None = None
    contracts: Sequence[Contract] | None = None
    open_invoices: Sequence[Invoice | Bill] | None = None
    opportunities: Sequence[Opportunity] | None = None
    contacts: Mapping[str, Contacted] | None = None
    promises: Iterable[Activity] | None = None
    progress: Mapping[str, str] = attrs.field(factory=dict)


# ---- the two calls -------------------------------------------------------------------------------------------------


def health_check(
    *,
    on: date,
    invoices: Iterable[Invoice] | None = None,
    orders: Iterable[Order] | None = None,
    contracts: Iterable[Contract] | None = None,
    opportunities: Iterable[Opportunity] | None = None,
    activities: Iterable[Activity] | None = None,
    positions: Iterable[Position] = (),
    progress: Mapping[str, str] | None = None,
    quiet_days: int = QUIET_DAYS,
    lead: Lead = LEAD_DAYS,
    zone: tzinfo = UTC,
    **options: Unpack[Options],
) -> HealthCheck:
    """Return how each account is on a day, from plain records; see `HealthRow`.

    What is not given is a signal that is absent. Each iterable is read once, and of invoices only the open ones are
    kept. Rows are the customers `accounts=` tells of, and every account that something is known of.
    """
    question = Question.of(Period(on, on), on, options)
    happened = None if activities is None else list(activities)
    unpaid: list[Invoice] = []
    contacts = None
    if happened is not None:
        contacts = last_contacts(happened, on=on, positions=positions, zone=zone)
    invoiced = None
    if invoices is not None:
        invoiced = turnover(_keeping_open(invoices, unpaid, on), invoice_windows(on), rates=question.rates)
    facts = HealthFacts(
        invoiced,
        None if orders is None else turnover(orders, order_windows(on), basis="orders", rates=question.rates),
        None if contracts is None else list(contracts),
        None if invoices is None else unpaid,
        None if opportunities is None else list(opportunities),
        contacts,
        happened,
        progress or {},
    )
    return health_of(facts, on=on, quiet_days=quiet_days, lead=lead, zone=zone, **options)


def _keeping_open(invoices: Iterable[Invoice], unpaid: list[Invoice], on: date) -> Iterator[Invoice]:
    """Pass invoices on, and keep those of which something was open on a day: they are few."""
    for invoice in invoices:
        if invoice.left_on(on):
            unpaid.append(invoice)
        yield invoice


def daily(
    *,
    on: date,
    invoices: Iterable[Invoice | Bill] = (),
    opportunities: Iterable[Opportunity] = (),
    activities: Iterable[Activity] = (),
    zone: tzinfo = UTC,
    **options: Unpack[Options],
) -> Daily:
    """Return the short form for a day: overdue invoices, expansion opportunities to update, broken promises."""
    return Daily(
        on,
        billing.overdue(invoices, on=on, **options),
        to_update(opportunities, on=on, **options),
        broken_promises(activities, on=on, zone=zone, **options),
    )


def health_of(
    facts: HealthFacts,
    *,
    on: date,
    quiet_days: int = QUIET_DAYS,
    lead: Lead = LEAD_DAYS,
    zone: tzinfo = UTC,
    **options: Unpack[Options],
) -> HealthCheck:
    """Return the health check from facts, whoever gathered them; group, manager and parts are those of the day."""
    question = Question.of(Period(on, on), on, options)
    if question.level != "account":
        raise ValidationError.of("health check", "level", question.level, "is not offered here: its rows are accounts")
    sight = _Sight.of(facts, question, lead, zone)
    checked_count("quiet_days", quiet_days)
    accounts = sight.accounts()
    shown = shown_together(sight.amounts(accounts))
    rows = [sight.row(account, shown.get(account, {}), quiet_days) for account in accounts]
    rows.sort(key=_largest_first)
    currencies = sorted({amount.currency for row in rows for amount in row.invoiced})
    parts = None
    if question.by is not None:
        names = shown_in_order({part: 0 for row in rows for part in row.parts})
        parts = tuple(totals([row for row in rows if name in row.parts], part=name) for name in names)
    remarks = (
        *question.shared(accounts, on),
        *((OVERLAP,) if question.by == "group" else ()),
        *((f"Ordered in {', '.join(currencies)} apart: {mixed(currencies)}.",) if len(currencies) > 1 else ()),
    )
    return HealthCheck(tuple(rows), totals(rows), on, sight.signals, FrozenMap(sight.windows), parts, remarks)


def _largest_first(row: HealthRow) -> tuple[bool, str, int, str]:
    """Order by what was invoiced, in each currency apart; what was invoiced in several stands with the first."""
    if not row.invoiced:
        return True, "", 0, row.organisation_id
    return False, row.invoiced[0].currency, -row.invoiced[0].units, row.organisation_id


# ---- one row -------------------------------------------------------------------------------------------------------


class _ByAccount(Generic[T]):
    """Rows by account; an account without any has none."""

    __slots__ = ("rows",)

    def __init__(self, rows: Iterable[T] = ()) -> None:
        found: defaultdict[str, list[T]] = defaultdict(list)
        for row in rows:
            found[row.organisation_id].append(row)  # type: ignore[attr-defined]
        self.rows = found

    def of(self, account: str) -> tuple[T, ...]:
        """Return the rows of an account."""
        return tuple(self.rows[account]) if account in self.rows else ()


@attrs.frozen(eq=False)
class _Sight:
    """All facts, by account."""

    question: Question
    facts: HealthFacts
    signals: tuple[str, ...]
    invoiced: Mapping[str, Sums]
    ordered: Mapping[str, Sums]
    due: _ByAccount[DueContract]
    expired: _ByAccount[ExpiredContract]
    overdue: _ByAccount[OverdueInvoice]
    deals: _ByAccount[Opportunity]
    to_update: _ByAccount[StaleOpportunity]
    promises: _ByAccount[BrokenPromise]
    numbers: Mapping[str, str]
    windows: Mapping[str, Period]

    @classmethod
    def of(cls, facts: HealthFacts, question: Question, lead: Lead, zone: tzinfo) -> _Sight:
        """Gather the facts by account; an account is asked for, or not, when its row is made."""
        on, all_of_them = question.on, attrs.evolve(question, group=None, by=None, accounts=NOBODY)
        rates: Options = {"currency": question.currency, "exchange": question.exchange}
        matching: Options = {"matching": question.matching}
        contracts, deals = facts.contracts or (), facts.opportunities or ()
        open_deals = [row for row in deals if row.open_on(on)]
        soon, gone = due_and_expired(
            contracts, on=on, within_days=WITHIN_DAYS, lead=lead, progress=facts.progress, **matching
        )
        present = {
            "invoiced": facts.invoiced is not None,
            "decline": facts.ordered is not None,
            "contracts": facts.contracts is not None,
            "overdue": facts.open_invoices is not None,
            "opportunities": facts.opportunities is not None,
            "contact": facts.contacts is not None,
            "promises": facts.promises is not None,
        }
        return cls(
            question,
            facts,
            tuple(name for name, there in present.items() if there),
            _sums(facts.invoiced, all_of_them),
            _sums(facts.ordered, all_of_them),
            _ByAccount(soon),
            _ByAccount(gone),
            _ByAccount(billing.overdue(facts.open_invoices or (), on=on, **rates)),
            _ByAccount(open_deals),
            _ByAccount(to_update(open_deals, on=on, kinds=OPPORTUNITY_KINDS)),
            _ByAccount(broken_promises(facts.promises or (), on=on, zone=zone)),
            {row.id: row.number for row in contracts if row.number},
            {**invoice_windows(on), **order_windows(on)},
        )

    def accounts(self) -> list[str]:
        """Return the accounts asked for: customers that are known, and those that something is known of."""
        known = self.question.accounts.organisations.values()
        found = {row.id for row in known if "customer" in row.relationships}
        tables = (self.overdue, self.deals, self.promises)
        found.update(self.invoiced, self.ordered, *(table.rows for table in tables), self.facts.contacts or ())
        found.update(row.organisation_id for row in self.facts.contracts or ())
        return sorted(one for one in found if self.question.asks_for(one, self.question.on))

    def row(self, account: str, amounts: Mapping[str, Amounts], quiet_days: int) -> HealthRow:
        """Return one row with its amounts as they are shown, and what to do."""
        organisation = self.question.accounts.organisations.get(account)
        fields = {
            "organisation_id": account,
            "name": account if organisation is None else organisation.name,
            "signals": self.signals,
            **self._turnover(self.invoiced.get(account)),
            **self._decline(self.ordered.get(account)),
            **self._late(account),
            **amounts,
            "opportunities": len(self.deals.of(account)),
            "due": self.due.of(account),
            "expired": self.expired.of(account),
            "to_update": self.to_update.of(account),
            "last_contact": (self.facts.contacts or {}).get(account),
            "promises": self.promises.of(account),
            "parts": self.question.parts(account, self.question.on),
        }
        row, previous = HealthRow(**fields), self.windows[decline.PREVIOUS].start
        steps = actions.to_do(row, numbers=self.numbers, previous=previous, quiet_days=quiet_days)
        object.__setattr__(row, "to_do", steps)  # which the rest of it says; nobody has seen the row yet
        return row

    def _turnover(self, one: Sums | None) -> dict[str, Any]:
        if one is None or not one.amounts:
            first = None if one is None else one.first
            return {"growth_reason": revenue.grown(0, 0, first, self.windows[revenue.BEFORE])[1]}
        if len(one.amounts) > 1:
            return {"growth_reason": mixed(sorted(one.amounts))}
        ((now, before),) = one.amounts.values()
        growth, reason = revenue.grown(now, before, one.first, self.windows[revenue.BEFORE])
        return {"growth": growth, "growth_reason": reason}

    def _decline(self, one: Sums | None) -> dict[str, Any]:
        if one is None or not one.amounts:
            return {"decline_reason": "no base: nothing in the month before"}
        if len(one.amounts) > 1:
            return {"decline_reason": mixed(sorted(one.amounts))}
        ((last, before, year_ago),) = one.amounts.values()
        found = decline.declined(last, before, year_ago)
        return {
            "decline": found.share,
            "decline_reason": found.reason,
            "alert": found.alert,
            "seasonal": found.seasonal,
        }

    def amounts(self, accounts: Collection[str]) -> dict[tuple[str, str], dict[str, Units]]:
        """Return the exact amounts of accounts: for each field and currency a column."""
        rates, on = self.question.rates, self.question.on
        found = defaultdict[tuple[str, str], dict[str, Units]](dict)

        def add(field: str, account: str, currency: str, units: Units) -> None:
            column = found[field, currency]
            column[account] = column.get(account, 0) + units

        for account, currency, units in self._converted():
            add("overdue", account, currency, units)
        for account in accounts:
            for late in self.overdue.of(account) if rates.exchange is None else ():
                add("overdue", account, late.open_amount.currency, late.open_amount.units)
            if (one := self.invoiced.get(account)) is not None:
                for currency, (now, before) in one.amounts.items():
                    add("invoiced", account, currency, now)
                    add("invoiced_before", account, currency, before)
            for deal in self.deals.of(account):
                if (value := deal.value) is not None:
                    currency = rates.target(value.currency)
                    add("pipeline", account, currency, rates.convert(value.units, value.currency, on))
                    add("weighted", account, currency, rates.convert(weight(deal), value.currency, on))
        return found

    def _converted(self) -> Iterator[tuple[str, str, Units]]:
        """Yield what is overdue where it is converted: the rows of invoices are rounded, each by itself."""
        if self.question.exchange is not None:
            asked = attrs.evolve(self.question, by=None)
            yield from billing.late(self.facts.open_invoices or (), asked)

    def _late(self, account: str) -> dict[str, Any]:
        late = self.overdue.of(account)
        return {
            "oldest_overdue": max((row.days for row in late), default=0),
            "all_disputed": bool(late) and all(row.disputed for row in late),
            "overdue_ids": tuple(row.invoice_id for row in late),
        }


def _sums(found: Turnover | None, question: Question) -> dict[str, Sums]:
    return {} if found is None else {one.unit: one for one in by_unit(found, question, question.on)}
