"""`desk.renewals`: the work on contracts that are about to end, from the alert to the signature."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from itertools import count
from typing import TYPE_CHECKING, cast

import attrs

from keyaccount import cards, gate, gate_rights
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
from keyaccount.rosters import customers
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
        or terminated otherwise, or that went on by itself, supersedes it. Only contracts of customers are looked at. On
        an earlier day what was raised later stays as it is. For trusted desks; AccessDenied on a bound one.
        """
        with self._desk._view(write=True) as view:
            view.need_trusted("raising alerts")
            day = self._desk._day(on, view)
            with view.work.once("renewals.raise_alerts", on) as first:
                if not first:
                    return Alerts()
                needs = rules.needs(customers(view), on=day, lead=self._desk._book.lead)
                return _raised(view, needs, view.find(Renewal, order="id"), day)

    def open_renewals(self) -> Renewals:
        """Return the renewals that are worked on, the one with the nearest deadline first."""
        with self._desk._view() as view:
            return Renewals(tuple(view.find(Renewal, open=True, order=("deadline_on", "due_on", "contract_id"))))

    def advance(self, renewal_id: str, *, to: str, note: str | None = None) -> Renewal:
        """Move a renewal on, or back: alerted, analysing, proposing, negotiating, agreed. The step is kept.

        Needs `CHANGE` on the organisation. Raises NotFound, AccessDenied, ValidationError that lists the legal moves;
        signing and losing have their own calls.
        """
        if to in ("signed", "lost", "superseded"):
            call = {"signed": "renewals.sign", "lost": "renewals.lose"}.get(to, "renewals.raise_alerts")
            raise ValidationError.of(f"Renewal {shown(renewal_id)}", "state", to, f"is reached by {call}")
        with self._once("renewals.advance", renewal_id, to, note) as (view, first):
            if not first:
                return view.get(Renewal, renewal_id)
            return _written(view, _step(view, _held(view, renewal_id), to, note))

    def lose(self, renewal_id: str, *, reason: str) -> Renewal:
        """Say that a contract will not be renewed, and why; needs `CHANGE`. Raises NotFound, ValidationError."""
        with self._once("renewals.lose", renewal_id, reason) as (view, first):
            if not first:
                return view.get(Renewal, renewal_id)
            row = attrs.evolve(_held(view, renewal_id), reason=reason)
            return _written(view, _step(view, row, "lost", reason))

    def sign(self, renewal_id: str, *, contract: Contract) -> Renewal:
        """Write the contract that follows, and end the renewal as signed and archived: all in one transaction.

        The contract renewed is added to its predecessors; without a day of signing it is signed today. It must be of
        the same organisation, and start no earlier than the one it renews. Needs `CHANGE`. Raises NotFound,
        AccessDenied, ValidationError, ConflictError.
        """
        if not isinstance(contract, Contract):
            raise ValidationError.of("Renewal", "contract", contract, "must be a Contract")
        with self._once("renewals.sign", renewal_id, _told(contract)) as (view, first):
            if not first:
                return view.get(Renewal, renewal_id)
            row = _held(view, renewal_id)
            if contract.organisation_id != row.organisation_id:
                whose = "must be that of the contract it renews"
                named = f"Contract {shown(contract.id)}"
                raise ValidationError.of(named, "organisation_id", contract.organisation_id, whose)
            (old,) = view.trusted().find(Contract, id=row.contract_id)
            if contract.starts_on is not None and old.starts_on is not None and contract.starts_on < old.starts_on:
                why = f"lies before {old.starts_on}, the first day of the contract it renews"
                raise ValidationError.of(f"Contract {shown(contract.id)}", "starts_on", str(contract.starts_on), why)
            step = _step(view, row, "signed", None)
            before = tuple(dict.fromkeys((*contract.predecessor_ids, row.contract_id)))
            signed = contract.signed_on or view.today
            (stored,) = gate.put(view, [attrs.evolve(contract, predecessor_ids=before, signed_on=signed)])
            return _written(view, attrs.evolve(step, successor_id=stored.key, archived=True))

    @contextmanager
    def _once(self, call: str, *given: object) -> Iterator[tuple[View, bool]]:
        with self._desk._view(write=True) as view, view.work.once(call, *given) as first:
            yield view, first

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


def _told(contract: Contract) -> str:
    """Tell a contract in one text, for an idempotency key."""
    return json.dumps(attrs.evolve(contract, version=0).to_dict(), sort_keys=True)


def _held(view: View, renewal_id: str) -> Renewal:
    """Return a renewal that this desk may work on, as it is stored: what is masked must not be lost by a step."""
    row = view.get(Renewal, renewal_id)
    gate_rights.need(view, "Organisation", [row.organisation_id], Right.CHANGE, "working on a Renewal")
    return view.trusted().get(Renewal, row.id)


def _step(view: View, row: Renewal, to: str, note: str | None) -> Renewal:
    by = None if view.reader is None else view.reader.user.id
    return rules.moved(row, to, at=view.now, by_id=by, note=note)


def _written(view: View, row: Renewal) -> Renewal:
    """Write a renewal whose writing was authorised, and return it as this view sees it."""
    gate.put(view.trusted(), [row])
    return view.get(Renewal, row.id)


def _raised(view: View, needs: rules.Needs, stored: Sequence[Renewal], day: date) -> Alerts:
    working = [row for row in stored if row.open and (row.raised_on or day) <= day]
    over = {row.id: why for row in working if (why := _settled(row, needs)) is not None}
    superseded = [
        rules.moved(row, "superseded", at=view.now, by_id=None, note=over[row.id]) for row in working if row.id in over
    ]
    kept = [(row, needs.due.get(row.contract_id)) for row in working if row.id not in over]
    moved = [after for row, need in kept if need is not None and (after := _following(row, need)) != row]
    fresh = list(_fresh(needs, [row for row in stored if row.id not in over], day))
    taken = {row.id for row in stored}
    made = [_made(view, need, taken, day) for need in fresh]
    found = cast("tuple[Renewal, ...]", gate.put(view, [*made, *moved, *superseded]))
    ends = len(made), len(made) + len(moved)
    return Alerts(found[: ends[0]], found[ends[0] : ends[1]], found[ends[1] :])


def _settled(row: Renewal, needs: rules.Needs) -> str | None:
    """Say why nobody needs a renewal any more; None where somebody does."""
    need = needs.due.get(row.contract_id)
    if need is not None and row.due_on is not None and need.has_rolled_past(row.due_on):
        return rules.ROLLED
    return needs.settled.get(row.contract_id)


def _fresh(needs: rules.Needs, stored: Sequence[Renewal], day: date) -> Iterator[rules.Need]:
    """Yield the needs that are due on a day, and that no renewal stands for: none is open, lost, or signed for good."""
    working = {row.contract_id for row in stored if row.open}
    decided = {(row.contract_id, row.due_on) for row in stored if row.state == "lost" or row.successor_id is not None}
    for need in needs.due.values():
        due = need.alert_on <= day <= need.due_on
        if due and need.contract_id not in working and (need.contract_id, need.due_on) not in decided:
            yield need


def _made(view: View, need: rules.Need, taken: set[str], day: date) -> Renewal:
    first = RenewalStep(view.now, None, None, "alerted")
    id = next(id for number in count() if (id := _id(need, number)) not in taken)
    made = Renewal(id, need.organisation_id, need.contract_id, raised_on=day, due_on=need.due_on, steps=(first,))
    return _following(made, need)


def _following(row: Renewal, need: rules.Need) -> Renewal:
    """Return a renewal with the dates, and where, its contract is now."""
    return attrs.evolve(
        row,
        organisation_id=need.organisation_id,
        alert_on=need.alert_on,
        deadline_on=need.deadline_on,
        due_on=need.due_on,
    )


def _id(need: rules.Need, number: int) -> str:
    """Make the id of a contract's renewal at one end: the same in every process that raises it."""
    told = f"{need.contract_id}\0{need.due_on}" + (f"\0{number}" if number else "")
    return f"renewal-{hashlib.sha256(told.encode()).hexdigest()[:32]}"
