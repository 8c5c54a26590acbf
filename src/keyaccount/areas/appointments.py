"""The part of `desk.people` that changes who looks after, and who may see, an account."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, cast

import attrs

from keyaccount import gate, gate_removal
from keyaccount.calendars import ONE_DAY
from keyaccount.catalogue import KINDS
from keyaccount.errors import AccessDenied, NotFound, ValidationError
from keyaccount.model.activities import Activity
from keyaccount.model.commerce import Invoice
from keyaccount.model.entity import Entity, evolved
from keyaccount.model.organisations import Organisation
from keyaccount.model.organogram import User
from keyaccount.model.renewals import Renewal
from keyaccount.model.rights import (
    KEY_ACCOUNT_MANAGER,
    Assignment,
    BreakGlass,
    Grant,
    Principal,
    Right,
    Substitution,
)
from keyaccount.model.sales import Opportunity
from keyaccount.queries import at_least, at_most, one_of
from keyaccount.results import Result
from keyaccount.spans import in_force
from keyaccount.view import View, by_id

if TYPE_CHECKING:
    from keyaccount.desk import Desk

BREAK_GLASS_MINUTES = 60
_LONGEST = 7 * 24 * 60


@attrs.frozen(repr=False)
class HandoverNote(Result):
    """What a handover moved, and what is in flight on those accounts, the most urgent first.

    Follow-ups still to be kept, renewals that are worked on, open opportunities, and invoices overdue today.
    """

    from_user: User
    to_user: User
    on: date
    organisation_ids: tuple[str, ...]
    contact_ids: tuple[str, ...]
    assignments: tuple[Assignment, ...]
    follow_ups: tuple[Activity, ...]
    renewals: tuple[Renewal, ...]
    opportunities: tuple[Opportunity, ...]
    overdue: tuple[Invoice, ...]


class Appointments:
    """Appoint, end, deputise, hand over, shield and open, grant and revoke."""

    __slots__ = ("_desk",)

    def __init__(self, desk: Desk) -> None:
        """Belong to a desk."""
        self._desk = desk

    def assign(
        self,
        user: str,
        *,
        organisation: str | None = None,
        contact: str | None = None,
        role: str = KEY_ACCOUNT_MANAGER,
        covers_subsidiaries: bool = False,
        label: str | None = None,
        from_: date | None = None,
        until: date | None = None,
    ) -> Assignment:
        """Let a user look after an organisation or a contact, from a day (today) to a day (open); return it as stored.

        Needs `ADMINISTER` there; covering subsidiaries needs it over them too. Raises ValidationError, AccessDenied.
        """
        with self._desk._view(write=True) as view:
            row = Assignment(
                user_id=user,
                organisation_id=organisation,
                contact_id=contact,
                role=role,
                covers_subsidiaries=covers_subsidiaries,
                label=label,
                valid_from=view.today if from_ is None else from_,
                valid_until=until,
            )
            return cast("Assignment", gate.put(view, [row])[0])

    def end_assignment(self, assignment_id: str, *, on: date | None = None) -> None:
        """End an assignment: at once, or with `on` as its last day.

        Raises NotFound, AccessDenied, and ValidationError where a private account would be left without a manager.
        """
        with self._desk._view(write=True) as view, view.work.once("people.end_assignment", assignment_id, on) as first:
            if first:
                end(view, view.get(Assignment, assignment_id), self._last_day(on))

    def deputise(
        self,
        user: str,
        *,
        for_user: str,
        from_: date | None = None,
        until: date | None = None,
        reason: str | None = None,
    ) -> Substitution:
        """Let a user stand in for an absent one, from a day (today) to a day (open); return it as stored.

        Written by the absent user, stewards and trusted desks. Raises ValidationError, AccessDenied.
        """
        with self._desk._view(write=True) as view:
            start = view.today if from_ is None else from_
            row = Substitution(user_id=for_user, deputy_id=user, reason=reason, valid_from=start, valid_until=until)
            return cast("Substitution", gate.put(view, [row])[0])

    def hand_over(self, from_user: str, to_user: str, *, on: date | None = None) -> HandoverNote:
        """Hand a portfolio over from a day (today): one transaction, and a note of what is in flight.

        Every assignment as key account manager that this desk sees in force on that day ends the day before and starts
        for the successor. Needs `ADMINISTER` on each. Raises AccessDenied, and ValidationError for a successor who is
        inactive, whose assignments would count for nothing; nothing to hand over gives an empty note.
        """
        with (
            self._desk._view(write=True) as view,
            view.work.once("people.hand_over", from_user, to_user, on) as first,
        ):
            day = self._desk._day(on, view)
            users = {user.id: user for user in view.find(User, id=one_of([from_user, to_user]))}
            for name in (from_user, to_user):
                if name not in users:
                    raise NotFound("User", name)
            if from_user == to_user:
                raise ValidationError.of("HandoverNote", "to_user", to_user, "is who hands over")
            if not first:
                return _handed_over(view, users[from_user], users[to_user], day)
            if not users[to_user].active:
                raise ValidationError.of("HandoverNote", "to_user", to_user, "is not active")
            old = [
                row
                for row in view.find(Assignment, user_id=from_user, role=KEY_ACCOUNT_MANAGER, valid_until=at_least(day))
                if in_force(row, day)
            ]
            last = day - ONE_DAY
            new = [_successor(row, to_user, day) for row in old if row.valid_from is None or row.valid_from <= last]
            ended = [_ended(row, to_user, last) for row in old]
            told = _note(view, users[from_user], users[to_user], day, old)  # before: one may not read it afterwards
            written = cast("tuple[Assignment, ...]", gate.put(view, [*new, *ended]))
            return attrs.evolve(told, assignments=tuple(row for row in written if row.user_id == to_user))

    def make_private(self, organisation: str) -> Organisation:
        """Shield an organisation: from now on only its own key account managers see that it exists.

        Needs `ADMINISTER`. Raises ValidationError where no manager is in force.
        """
        return self._shield(organisation, private=True)

    def open_up(self, organisation: str) -> Organisation:
        """Take the shield off an organisation. Needs `ADMINISTER`."""
        return self._shield(organisation, private=False)

    def grant(
        self,
        organisation: str,
        *,
        principal: Principal,
        right: Right,
        covers_subsidiaries: bool = False,
        from_: date | None = None,
        until: date | None = None,
    ) -> Grant:
        """Give a user, a unit or everyone a right on an organisation, from a day (today) to a day (open).

        Needs `ADMINISTER`; covering subsidiaries needs it over them too. Raises ValidationError, AccessDenied.
        """
        with self._desk._view(write=True) as view:
            row = Grant(
                organisation_id=organisation,
                principal=principal,
                right=right,
                covers_subsidiaries=covers_subsidiaries,
                valid_from=view.today if from_ is None else from_,
                valid_until=until,
            )
            return cast("Grant", gate.put(view, [row])[0])

    def revoke(self, grant_id: str) -> None:
        """Take a grant back at once: the next call, and the next page, no longer have it. Raises NotFound."""
        with self._desk._view(write=True) as view, view.work.once("people.revoke", grant_id) as first:
            if first:
                end(view, view.get(Grant, grant_id), None)

    def break_glass(self, organisation: str, *, reason: str, minutes: int = BREAK_GLASS_MINUTES) -> BreakGlass:
        """Open one private account for reading, for a steward, a stated reason and a limited time.

        It is committed before anything is read, so it is refused inside a transaction. The account's managers see it.
        Raises NotFound for a wrong id, AccessDenied for all but stewards, ValidationError.
        """
        if not isinstance(minutes, int) or isinstance(minutes, bool) or not 0 < minutes <= _LONGEST:
            raise ValidationError.of("BreakGlass", "minutes", minutes, f"must be a whole number from 1 to {_LONGEST}")
        if self._desk._book._in_transaction():
            raise AccessDenied("break_glass is committed by itself; call it outside a transaction")
        with self._desk._view(write=True) as view:
            if view.reader is None or not view.reader.steward:
                raise AccessDenied("break_glass is for stewards")
            raw = view.trusted()
            if not raw.get(Organisation, organisation).private:
                raise ValidationError.of(
                    f"Organisation {organisation!r}", "private", value=False, reason="is open already"
                )
            row = BreakGlass(
                organisation_id=organisation,
                user_id=view.reader.user.id,
                reason=reason,
                opens_at=view.now,
                closes_at=view.now + timedelta(minutes=minutes),
            )
            return cast("BreakGlass", gate.put(raw, [row])[0])

    def _shield(self, organisation: str, *, private: bool) -> Organisation:
        with self._desk._view(write=True) as view, view.work.once("people.shield", organisation, private) as first:
            row = view.get(Organisation, organisation)
            return cast("Organisation", gate.put(view, [attrs.evolve(row, private=private)])[0]) if first else row

    def _last_day(self, on: date | None) -> date | None:
        if on is not None:
            with self._desk._view() as view:
                return self._desk._day(on, view)
        return None


def end(view: View, row: Entity, last_day: date | None) -> None:
    """End a dated record on a day, or (None) at once; one that would never have been in force is removed."""
    last = view.today - ONE_DAY if last_day is None else last_day
    span: Any = row
    if span.valid_until is not None and span.valid_until <= last:
        return
    if span.valid_from is not None and span.valid_from > last:
        gate_removal.remove(view, KINDS[type(row).__name__], row.key)
    else:
        gate.put(view, [evolved(row, {"valid_until": last})])


def _successor(old: Assignment, user: str, start: date) -> Assignment:
    return Assignment(
        user_id=user,
        organisation_id=old.organisation_id,
        contact_id=old.contact_id,
        role=old.role,
        covers_subsidiaries=old.covers_subsidiaries,
        label=old.label,
        valid_from=start,
        valid_until=old.valid_until,
    )


def _ended(old: Assignment, user: str, last_day: date) -> Assignment:
    """Return an assignment ended on a day; one that would only begin later goes to the successor as it is."""
    if old.valid_from is not None and old.valid_from > last_day:
        return attrs.evolve(old, user_id=user)
    return attrs.evolve(old, valid_until=last_day)


def _handed_over(view: View, from_user: User, to_user: User, day: date) -> HandoverNote:
    """Return the note of a handover that was made before under the same idempotency key, from what is stored now."""
    changed = [id for kind, id in view.work.act.changed if kind == "Assignment"]
    there = by_id(view.find(Assignment, id=one_of(changed), user_id=to_user.id))
    held = [there[id] for id in changed if id in there]
    return attrs.evolve(_note(view, from_user, to_user, day, held), assignments=tuple(held))


def _note(view: View, from_user: User, to_user: User, day: date, moved: Sequence[Assignment]) -> HandoverNote:
    accounts = tuple(dict.fromkeys(row.organisation_id for row in moved if row.organisation_id))
    people = tuple(dict.fromkeys(row.contact_id for row in moved if row.contact_id))
    return HandoverNote(from_user, to_user, day, accounts, people, (), *_in_flight(view, accounts, people))


def _in_flight(
    view: View, accounts: Sequence[str], people: Sequence[str]
) -> tuple[tuple[Activity, ...], tuple[Renewal, ...], tuple[Opportunity, ...], tuple[Invoice, ...]]:
    """Return what is under way on some accounts and with some contacts, the most urgent first."""
    order, of_accounts = ("follow_up_on", "id"), one_of(accounts)
    at, with_them, renewals, opportunities, overdue = view.gather(
        view.query(Activity, organisation_id=of_accounts, open=True, order=order),
        view.query(Activity, contact_ids=one_of(people), open=True, order=order),
        view.query(Renewal, organisation_id=of_accounts, open=True, order=("deadline_on", "due_on", "contract_id")),
        view.query(Opportunity, organisation_id=of_accounts, open=True, order=("expected_on", "id")),
        view.query(
            Invoice,
            organisation_id=of_accounts,
            kind="invoice",
            due_on=at_most(view.today - ONE_DAY),
            settled_on=at_least(view.today + ONE_DAY),
            order=("due_on", "id"),
        ),
    )
    promised = {row.key: cast("Activity", row) for answer in (at, with_them) for row in answer}
    return (
        tuple(sorted(promised.values(), key=lambda row: (str(row.follow_up_on), row.id))),
        tuple(cast("list[Renewal]", renewals)),
        tuple(cast("list[Opportunity]", opportunities)),
        tuple(cast("list[Invoice]", overdue)),
    )
