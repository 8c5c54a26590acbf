"""Who looks after a contact or an organisation on a day: a pure rule over assignments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import NamedTuple, TypeAlias

import attrs

from keyaccount.model.organisations import Organisation
from keyaccount.model.organogram import User
from keyaccount.model.rights import DEPUTY, KEY_ACCOUNT_MANAGER, Assignment, Substitution
from keyaccount.results import Result
from keyaccount.spans import by_start, in_force


class Account(NamedTuple):
    """What rules over many accounts ask of one, read as columns; not its country, which its addresses say."""

    id: str
    name: str
    parent_id: str | None
    private: bool
    relationships: tuple[str, ...]
    sector: str | None


Known: TypeAlias = Organisation | Account


@attrs.frozen(repr=False)
class Responsible(Result):
    """The colleague who looks after somebody: who, why, since when, by which assignment."""

    user: User
    why: str
    since: date | None
    assignment_id: str | None = None

    @property
    def at_contact(self) -> bool:
        """Whether it was set at the contact."""
        return self.why == _AT_CONTACT


_AT_CONTACT = "set at the contact"


def leading(
    assignments: Iterable[Assignment], users: Mapping[str, User], *, on: date, role: str = KEY_ACCOUNT_MANAGER
) -> Assignment | None:
    """Return the leading assignment in a role: in force, of an active user, the earliest start, then id; or None."""
    counting = [
        assignment
        for assignment in assignments
        if assignment.role == role
        and in_force(assignment, on)
        and (user := users.get(assignment.user_id)) is not None
        and user.active
    ]
    return min(counting, key=lambda assignment: (by_start(assignment), assignment.id), default=None)


def responsible(
    assignments: Sequence[Assignment],
    users: Mapping[str, User],
    *,
    contact_id: str | None,
    chain: Sequence[Known],
    on: date,
    role: str = KEY_ACCOUNT_MANAGER,
) -> Responsible | None:
    """Return who looks after a contact, else an organisation, else the nearest ancestor that covers subsidiaries.

    `chain` is the organisation and its readable ancestors, nearest first (empty: none). A private organisation
    inherits nobody. Nobody gives None.
    """
    if contact_id is not None:
        at_contact = [assignment for assignment in assignments if assignment.contact_id == contact_id]
        if (found := leading(at_contact, users, on=on, role=role)) is not None:
            return _answer(found, users, _AT_CONTACT)
    for steps, organisation in enumerate(chain):
        if steps and chain[0].private:
            return None
        own = [a for a in assignments if a.organisation_id == organisation.id and (not steps or a.covers_subsidiaries)]
        if (found := leading(own, users, on=on, role=role)) is not None:
            why = f"inherited from {organisation.name}" if steps else "set at the organisation"
            return _answer(found, users, why)
    return None


def _answer(assignment: Assignment, users: Mapping[str, User], why: str) -> Responsible:
    return Responsible(users[assignment.user_id], why, assignment.valid_from, assignment.id)


def deputy(
    assignments: Sequence[Assignment],
    substitutions: Iterable[Substitution],
    users: Mapping[str, User],
    *,
    manager: Responsible | None,
    contact_id: str | None,
    chain: Sequence[Known],
    on: date,
) -> Responsible | None:
    """Return who stands in for the manager on a day, else the deputy named for the account; or None."""
    if manager is not None:
        standing_in = [
            substitution
            for substitution in substitutions
            if substitution.user_id == manager.user.id
            and in_force(substitution, on)
            and (user := users.get(substitution.deputy_id)) is not None
            and user.active
        ]
        if standing_in:
            first = min(standing_in, key=lambda one: (by_start(one), one.id))
            return Responsible(users[first.deputy_id], f"standing in for {manager.user.name}", first.valid_from)
    return responsible(assignments, users, contact_id=contact_id, chain=chain, on=on, role=DEPUTY)
