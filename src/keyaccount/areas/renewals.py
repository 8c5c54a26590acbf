"""`desk.renewals`: the work on contracts that are about to end, from the alert to the signature."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, cast

import attrs

from keyaccount import cards, gate
from keyaccount import renewals as rules
from keyaccount.calendars import Period
from keyaccount.errors import ValidationError, shown
from keyaccount.model.activities import Activity
from keyaccount.model.commerce import Invoice, Order
from keyaccount.model.contracts import Contract
from keyaccount.model.links import Link
from keyaccount.model.renewals import Renewal, RenewalStep
from keyaccount.model.rights import Right
from keyaccount.queries import at_least
from keyaccount.results import Result, Rows
from keyaccount.view import View

if TYPE_CHECKING:
    from keyaccount.desk import Desk


@attrs.frozen(repr=False)
class Renewals(Rows[Renewal]):
    """Renewals that are worked on, the one with the nearest deadline first."""

    rows: tuple[Renewal, ...]


@attrs.frozen(repr=False)
class Alerts(Result):
    """What a run of alerts did: renewals that were raised, that moved with their contract, that nobody needs now."""

    raised: tuple[Renewal, ...] = ()
    moved: tuple[Renewal, ...] = ()
    superseded: tuple[Renewal, ...] = ()


@attrs.frozen(repr=False)
class Analysis(Result):
    """What to know before working on a renewal, with the records it is made from.

    `volumes` are orders of twelve months beside the twelve before; `payments` how invoices were paid; `open_troubles`
    tickets, issues and complaints; `last_contact` is None where there was none.
    """

    renewal: Renewal
    contract: Contract
    on: date
    days_left: int
    volumes: tuple[rules.Volume, ...]
    payments: rules.Payments
    open_troubles: tuple[Link, ...]
    last_contact: Activity | None


class RenewalWork:
    """The work on contracts that are about to end; reached as `desk.renewals`."""

    __slots__ = ("_desk",)

    def __init__(self, desk: Desk) -> None:
        """Belong to a desk."""
        self._desk = desk

    def raise_alerts(self, *, on: date | None = None) -> Alerts:
        """Raise the alerts that are due on a day: one open renewal for a contract, however often this runs.

        A contract whose end was moved moves its renewal, which keeps the day it was first raised; one that was renewed
        or terminated otherwise supersedes it. For trusted desks; AccessDenied on a bound one.
        """
        with self._desk._view(write=True) as view:
            view.need_trusted("raising alerts")
            day = self._desk._day(on, view)
            contracts = view.find(Contract, order=("organisation_id", "id"))
            needs = rules.needs(contracts, on=day, lead=self._desk._book.lead)
            return _raised(view, needs, view.find(Renewal, order="id"), day)

    def open_renewals(self) -> Renewals:
        """Return the renewals that are worked on, the one with the nearest deadline first."""
        with self._desk._view() as view:
            return Renewals(tuple(view.find(Renewal, open=True, order=("deadline_on", "due_on", "id"))))

    def advance(self, renewal_id: str, *, to: str, note: str | None = None) -> Renewal:
        """Move a renewal on, or back: alerted, analysing, proposing, negotiating, agreed. The step is kept.

        Needs `CHANGE` on the organisation. Raises NotFound, AccessDenied, ValidationError that lists the legal moves;
        signing and losing have their own calls.
        """
        if to in ("signed", "lost", "superseded"):
            call = {"signed": "renewals.sign", "lost": "renewals.lose"}.get(to, "renewals.raise_alerts")
            raise ValidationError.of(f"Renewal {shown(renewal_id)}", "state", to, f"is reached by {call}")
        with self._desk._view(write=True) as view:
            return _written(view, _step(view, _held(view, renewal_id), to, note))

    def lose(self, renewal_id: str, *, reason: str) -> Renewal:
        """Say that a contract will not be renewed, and why; needs `CHANGE`. Raises NotFound, ValidationError."""
        with self._desk._view(write=True) as view:
            row = attrs.evolve(_held(view, renewal_id), reason=reason)
            return _written(view, _step(view, row, "lost", reason))

    def sign(self, renewal_id: str, *, contract: Contract) -> Renewal:
        """Write the contract that follows, and end the renewal as signed and archived: all in one transaction.

        The contract renewed is added to its predecessors; without a day of signing it is signed today. Needs `CHANGE`.
        Raises NotFound, AccessDenied, ValidationError, ConflictError.
        """
        if not isinstance(contract, Contract):
            raise ValidationError.of("Renewal", "contract", contract, "must be a Contract")
        with self._desk._view(write=True) as view:
            row = _held(view, renewal_id)
            before = tuple(dict.fromkeys((*contract.predecessor_ids, row.contract_id)))
            signed = contract.signed_on or view.today
            (stored,) = gate.put(view, [attrs.evolve(contract, predecessor_ids=before, signed_on=signed)])
            done = attrs.evolve(_step(view, row, "signed", None), successor_id=stored.key, archived=True)
            return _written(view, done)

    def analysis(self, renewal_id: str, *, on: date | None = None) -> Analysis:
        """Return what to know before working on a renewal: orders, payments, open troubles, the last contact."""
        with self._desk._view() as view:
            row, day = view.get(Renewal, renewal_id), self._desk._day(on, view)
            since = Period.months_to(Period.months_to(day, rules.MONTHS).start, rules.MONTHS).start
            account = row.organisation_id
            contracts, orders, invoices, links, last = view.gather(
                view.query(Contract, id=row.contract_id),
                view.query(Order, organisation_id=account, ordered_on=at_least(since), order="ordered_on"),
                view.query(Invoice, organisation_id=account, due_on=at_least(since), order="due_on"),
                view.query(Link, organisation_id=account, open=True, order="id"),
                cards.last_contact_query(view, day, organisation_id=account),
            )
            return Analysis(
                renewal=row,
                contract=cast("Contract", contracts[0]),
                on=day,
                days_left=((row.deadline_on or row.due_on or day) - day).days,
                volumes=rules.volumes(cast("list[Order]", orders), on=day),
                payments=rules.payments(cast("list[Invoice]", invoices), on=day),
                open_troubles=rules.troubles(cast("list[Link]", links)),
                last_contact=cast("Activity", last[0]) if last else None,
            )


def _held(view: View, renewal_id: str) -> Renewal:
    """Return a renewal that this desk may work on."""
    row = view.get(Renewal, renewal_id)
    gate.need(view, "Organisation", [row.organisation_id], Right.CHANGE, "working on a Renewal")
    return row


def _step(view: View, row: Renewal, to: str, note: str | None) -> Renewal:
    by = None if view.reader is None else view.reader.user.id
    return rules.moved(row, to, at=view.now, by_id=by, note=note)


def _written(view: View, row: Renewal) -> Renewal:
    """Write a renewal whose writing was authorised, and return it as this view sees it."""
    gate.put(view.trusted(), [row])
    return view.get(Renewal, row.id)


def _raised(view: View, needs: rules.Needs, stored: Sequence[Renewal], day: date) -> Alerts:
    known = {(row.contract_id, row.due_on) for row in stored}
    working = {row.contract_id: row for row in stored if row.open}
    fresh = [
        _fresh(view, need, day)
        for need in needs.due.values()
        if need.contract_id not in working
        and need.alert_on <= day <= need.due_on
        and (need.contract_id, need.due_on) not in known
    ]
    moved = [
        after for id, row in working.items() if (need := needs.due.get(id)) and (after := _following(row, need)) != row
    ]
    over = [
        rules.moved(row, "superseded", at=view.now, by_id=None) for id, row in working.items() if id in needs.settled
    ]
    found = cast("tuple[Renewal, ...]", gate.put(view, [*fresh, *moved, *over]))
    ends = len(fresh), len(fresh) + len(moved)
    return Alerts(found[: ends[0]], found[ends[0] : ends[1]], found[ends[1] :])


def _fresh(view: View, need: rules.Need, day: date) -> Renewal:
    first = RenewalStep(view.now, None, None, "alerted")
    made = Renewal(_id(need), need.organisation_id, need.contract_id, raised_on=day, due_on=need.due_on, steps=(first,))
    return _following(made, need)


def _following(row: Renewal, need: rules.Need) -> Renewal:
    """Return a renewal with the dates its contract has now."""
    return attrs.evolve(row, alert_on=need.alert_on, deadline_on=need.deadline_on, due_on=need.due_on)


def _id(need: rules.Need) -> str:
    """Make the id of a contract's renewal at one end: the same in every process that raises it."""
    told = f"{need.contract_id}\0{need.due_on}"
    return f"renewal-{hashlib.sha256(told.encode()).hexdigest()[:32]}"
