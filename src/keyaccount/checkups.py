"""The Monday health check and the daily short form, over what one desk may read: about a dozen questions in all."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, tzinfo
from typing import Any, TypeVar, cast

import attrs

from keyaccount import attention, health, ledgers
from keyaccount.billing import Bill
from keyaccount.figures import Exchange, Rates
from keyaccount.model.activities import Activity
from keyaccount.model.contracts import Contract
from keyaccount.model.entity import Entity
from keyaccount.model.rights import BreakGlass
from keyaccount.model.sales import Opportunity
from keyaccount.rosters import known_group
from keyaccount.view import View

E = TypeVar("E", bound=Entity)


def health_check(
    view: View, on: date, *, again: ledgers.Again, zone: tzinfo, exchange: Exchange | None, **asked: Any
) -> health.HealthCheck:
    """Gather the facts in a constant number of statements, whatever the number of accounts, and judge them."""
    asked["group"] = known_group(view, asked.get("group"))
    rates = Rates(asked.get("currency"), exchange)
    invoiced = ledgers.turnover(view, health.invoice_windows(on), "invoices", rates, again)
    ordered = ledgers.turnover(view, health.order_windows(on), "orders", rates, again)
    overdue = ledgers.overdue(view, on)
    contracts, renewals, deals, decided, promises, kept = view.gather(
        view.query(Contract),
        ledgers.renewals(view, on),
        *ledgers.deals(view, on),
        *ledgers.promised(view, on),
    )
    opportunities, promises = [*deals, *decided], [*promises, *kept]
    met, held = ledgers.contacts(view, on)
    accounts = _accounts(contracts, overdue, opportunities, promises, met, held)
    known = ledgers.customers(view, {*accounts, *ledgers.accounts_in(invoiced, ordered)}, asked)
    facts = health.HealthFacts(
        invoiced=ledgers.of_customers(invoiced, known),
        ordered=ledgers.of_customers(ordered, known),
        contracts=_of(contracts, Contract, known),
        open_invoices=[row for row in overdue if known.has(row.organisation_id)],
        opportunities=_of(opportunities, Opportunity, known),
        contacts={
            account: last
            for account, last in attention.last_contacts(
                met, on=on, positions=held, zone=zone, accounts=known.accounts
            ).items()
            if known.has(account)
        },
        promises=_of(promises, Activity, known),
        progress=ledgers.progress(renewals, on, view),
    )
    found = health.health_of(
        facts, on=on, zone=zone, lead=view.work.lead, accounts=known.accounts, exchange=exchange, **asked
    )
    return attrs.evolve(found, remarks=(*found.remarks, *ledgers.remarks_on_rows(view, "invoices")))


def daily(view: View, on: date, *, zone: tzinfo, **asked: Any) -> health.Daily:
    """Gather what is overdue, to be updated and promised, and who has a private account open."""
    asked["group"] = known_group(view, asked.get("group"))
    overdue = [*ledgers.overdue(view, on), *ledgers.undated(view, on)]
    deals, decided, promises, kept, opened = view.gather(
        *ledgers.deals(view, on),
        *ledgers.promised(view, on),
        view.query(BreakGlass, order="opens_at"),
    )
    opportunities, promises = [*deals, *decided], [*promises, *kept]
    known = ledgers.customers(view, _accounts(overdue, opportunities, promises), asked)
    found = health.daily(
        on=on,
        invoices=[row for row in overdue if known.has(row.organisation_id)],
        opportunities=_of(opportunities, Opportunity, known),
        activities=_of(promises, Activity, known),
        zone=zone,
        accounts=known.accounts,
        **asked,
    )
    found = attrs.evolve(found, overdue=attrs.evolve(found.overdue, remarks=ledgers.remarks_on_rows(view, "invoices")))
    return attrs.evolve(found, opened=tuple(row for row in cast("list[BreakGlass]", opened) if _is_open(row, view)))


def _is_open(row: BreakGlass, view: View) -> bool:
    return row.opens_at is not None and row.closes_at is not None and row.opens_at <= view.now < row.closes_at


def _accounts(*found: Iterable[Entity | attention.Met | Bill]) -> set[str]:
    return {id for rows in found for row in rows if (id := getattr(row, "organisation_id", None)) is not None}


def _of(rows: Iterable[Entity], cls: type[E], known: ledgers.Customers) -> list[E]:
    return [row for row in rows if isinstance(row, cls) and known.has(getattr(row, "organisation_id", None))]
