"""The work of renewing: which alerts are due, which moves are allowed, and what to know before one calls.

Pure functions over plain values; `areas/renewals.py` reads and writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, tzinfo
from fractions import Fraction

import attrs

from keyaccount.calendars import Period
from keyaccount.contracts import Lead, alert_before, deadline_of
from keyaccount.deadlines import Ends
from keyaccount.errors import ValidationError, nearest, shown
from keyaccount.model.commerce import COUNTED, Invoice, Order
from keyaccount.model.contracts import Contract
from keyaccount.model.links import Link
from keyaccount.model.renewals import ENDED, WORKING, Renewal, RenewalStep
from keyaccount.money import Money
from keyaccount.results import Result
from keyaccount.succession import standings
from keyaccount.values import FrozenMap

MONTHS = 12
TROUBLE = frozenset({"ticket", "issue", "complaint"})


@attrs.frozen
class Need:
    """What an alert says of a contract: from when it is due, until when notice can be given, when it ends."""

    contract_id: str
    organisation_id: str
    alert_on: date
    deadline_on: date
    due_on: date
    ends: Ends

    def has_rolled_past(self, due_on: date) -> bool:
        """Say whether a day is an earlier end of the contract's terms: nobody gave notice, and it went on by itself."""
        return due_on < self.due_on and due_on in self.ends.between(due_on, due_on)


@attrs.frozen
class Needs:
    """The contracts that somebody has to decide on, by id, and those that need nobody any more, with why."""

    due: Mapping[str, Need]
    settled: Mapping[str, str]


def needs(contracts: Iterable[Contract], *, on: date, lead: Lead) -> Needs:
    """Say of contracts when their alerts are due; those renewed, terminated or without an end are settled.

    Source: the notice deadline, less the lead (60 days); the end where there is no notice.
    """
    rows, left_out = standings(contracts, on=on)
    due: dict[str, Need] = {}
    settled = {id: "the contract does not count" for id, _ in left_out}
    for row in rows:
        known, end, deadline = row.known, row.end, deadline_of(row)
        if row.successors:
            settled[known.id] = "the contract was renewed"
        elif known.terminated:
            settled[known.id] = "the contract was terminated"
        elif end is None or deadline is None or known.ends is None:
            settled[known.id] = "the contract has no end"
        else:
            alert = alert_before(deadline, known.kind, known.account, lead)
            due[known.id] = Need(known.id, known.account, alert, deadline, end, known.ends)
    return Needs(FrozenMap(due), FrozenMap(settled))


ROLLED = "the contract went on by itself"


def state_on(renewal: Renewal, day: date, zone: tzinfo | None) -> str | None:
    """Return the state a renewal was in at the end of a day; None before it was raised."""
    if renewal.raised_on is None or day < renewal.raised_on:
        return None
    later = [step for step in renewal.steps if step.at is not None and step.at.astimezone(zone).date() > day]
    return (later[0].before or WORKING[0]) if later else renewal.state


def moves(state: str) -> tuple[str, ...]:
    """Return the states that `advance` may move a renewal to: any other that is worked on, forward or back."""
    return tuple(other for other in WORKING if other != state) if state in WORKING else ()


def moved(renewal: Renewal, to: str, *, at: datetime, by_id: str | None, note: str | None = None) -> Renewal:
    """Return a renewal after a step, which is kept; raise ValidationError that lists the legal moves for another.

    `signed`, `lost` and `superseded` end it, and are reached by their own calls.
    """
    if renewal.state in ENDED:
        raise ValidationError.of(_named(renewal), "state", to, f"cannot follow {renewal.state}: it is the end")
    if to not in (*moves(renewal.state), *ENDED):
        legal = ", ".join(moves(renewal.state))
        raise ValidationError.of(_named(renewal), "state", to, f"must be one of {legal}{nearest(to, WORKING)}")
    step = RenewalStep(at, by_id, renewal.state, to, note)
    return attrs.evolve(renewal, state=to, steps=(*renewal.steps, step))


def _named(renewal: Renewal) -> str:
    return f"Renewal {shown(renewal.id)}"


# ---- the analysis ----------------------------------------------------------------------------------------------------


@attrs.frozen(repr=False)
class Volume(Result):
    """What was ordered in twelve months, and in the twelve before, by currency; with the orders."""

    currency: str
    ordered: Money
    before: Money
    trend: Fraction | None
    order_ids: tuple[str, ...]


@attrs.frozen(repr=False)
class Payments(Result):
    """How invoices that fell due in twelve months were paid: days late on average (0 for those in time), share in time.

    None where nothing was paid. `late_ids` were paid late, `unpaid_ids` are overdue still.
    """

    days_late: Fraction | None
    in_time: Fraction | None
    paid_ids: tuple[str, ...]
    late_ids: tuple[str, ...]
    unpaid_ids: tuple[str, ...]


def volumes(orders: Iterable[Order], *, on: date) -> tuple[Volume, ...]:
    """Return what was ordered, and the trend, by currency; drafts and cancelled orders do not count."""
    now = Period.months_to(on, MONTHS)
    before = Period.months_to(now.start, MONTHS)
    sums: dict[str, list[int]] = {}
    ids: dict[str, list[str]] = {}
    for order in orders:
        day, currency = order.ordered_on, order.currency
        if day is None or currency is None or order.state not in COUNTED or not (day in now or day in before):
            continue
        sums.setdefault(currency, [0, 0])[0 if day in now else 1] += order.net_units
        ids.setdefault(currency, []).append(order.id)
    return tuple(
        Volume(
            currency,
            Money.of_units(late, currency),
            Money.of_units(early, currency),
            Fraction(late - early, early) if early > 0 else None,
            tuple(ids[currency]),
        )
        for currency, (late, early) in sorted(sums.items())
    )


def payments(invoices: Iterable[Invoice], *, on: date) -> Payments:
    """Return the payment behaviour over the invoices that fell due in the twelve months before a day."""
    window = Period.months_to(on, MONTHS)
    paid, late, unpaid, days = [], [], [], 0
    for invoice in invoices:
        due, settled = invoice.due_on, invoice.settled_on
        if invoice.kind != "invoice" or due is None or due not in window:
            continue
        if settled is None or settled > on:
            unpaid.append(invoice.id)
            continue
        paid.append(invoice.id)
        if settled > due:
            late.append(invoice.id)
            days += (settled - due).days
    share = Fraction(len(paid) - len(late), len(paid)) if paid else None
    return Payments(Fraction(days, len(paid)) if paid else None, share, tuple(paid), tuple(late), tuple(unpaid))


def troubles(links: Iterable[Link]) -> tuple[Link, ...]:
    """Return the open tickets, issues and complaints among links."""
    return tuple(link for link in links if link.open and link.kind in TROUBLE)
