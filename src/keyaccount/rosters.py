"""What a metric is made from, as one desk may read it: the contracts, and what is known of their accounts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import cast

import attrs

from keyaccount.accounts import Accounts
from keyaccount.model.contracts import Contract
from keyaccount.model.groups import GroupMembership, KeyAccountStatus
from keyaccount.model.organisations import Organisation
from keyaccount.model.organogram import User
from keyaccount.model.rights import Assignment
from keyaccount.queries import above, one_of
from keyaccount.view import View, by_id


@attrs.frozen
class Roster:
    """Contracts account by account, what is known of their accounts, and who looks after each."""

    contracts: tuple[Contract, ...]
    accounts: Accounts
    team: Mapping[str, Sequence[Assignment]]


def roster(view: View, *, only: str | None = None) -> Roster:
    """Read the contracts of every customer, or of one organisation, in a constant number of round trips.

    An organisation that says what it is to us and does not say customer is left out.
    """
    where = {} if only is None else {"organisation_id": only}
    found = cast("list[Contract]", view.find(Contract, order=("organisation_id", "id"), **where))
    organisations = family(view, {row.organisation_id for row in found})
    kept = tuple(row for row in found if only is not None or is_customer(organisations.get(row.organisation_id)))
    return Roster(kept, *known_of(view, organisations.values()))


def family(view: View, ids: Collection[str]) -> dict[str, Organisation]:
    """Read organisations, and those above them as far as they can be read."""
    return dict(by_id(view.find(Organisation, id=above(sorted(ids))))) if ids else {}


def known_of(view: View, organisations: Iterable[Organisation]) -> tuple[Accounts, Mapping[str, Sequence[Assignment]]]:
    """Read who looks after some organisations, in which groups they are, and which are key accounts."""
    rows = list(organisations)
    ids = one_of([row.id for row in rows])
    assigned, memberships, statuses = view.gather(
        *(view.query(kind, organisation_id=ids) for kind in (Assignment, GroupMembership, KeyAccountStatus))
    )
    managing = cast("list[Assignment]", assigned)
    users = view.find(User, id=one_of(sorted({row.user_id for row in managing})))
    team: dict[str, list[Assignment]] = {}
    for row in managing:
        team.setdefault(row.organisation_id or "", []).append(row)
    known = Accounts.of(
        rows,
        users=users,
        assignments=managing,
        memberships=cast("list[GroupMembership]", memberships),
        statuses=cast("list[KeyAccountStatus]", statuses),
    )
    return known, team


def is_customer(organisation: Organisation | None) -> bool:
    """Say whether an organisation counts as a customer: it says so, or does not say what it is."""
    if organisation is None:
        return False
    return not organisation.relationships or "customer" in organisation.relationships


def day_of(moment: datetime | None, view: View) -> date | None:
    """Return the book's calendar day of a moment."""
    return None if moment is None else moment.astimezone(view.now.tzinfo).date()
