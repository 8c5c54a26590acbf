"""What a metric is made from, as one desk may read it: the contracts, and what is known of their accounts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, cast

import attrs

from keyaccount.accounts import KEY_ACCOUNTS, Accounts
from keyaccount.errors import ValidationError, nearest
from keyaccount.model.contracts import Contract
from keyaccount.model.groups import ClientGroup, GroupMembership, KeyAccountStatus
from keyaccount.model.organisations import Organisation
from keyaccount.model.organogram import User
from keyaccount.model.rights import KEY_ACCOUNT_MANAGER, Assignment, Substitution
from keyaccount.queries import above, one_of
from keyaccount.responsible import Account, Known
from keyaccount.spans import in_force
from keyaccount.succession import AS_SHIPPED, Matching
from keyaccount.values import FrozenMap
from keyaccount.view import View, by_id


@attrs.frozen
class Team:
    """Who looks after accounts: their assignments in any role, and who stands in for whom."""

    assignments: Mapping[str, Sequence[Assignment]]
    substitutions: Sequence[Substitution]
    organisations: Mapping[str, Known]

    def includes(self, user_id: str, account: str, day: date) -> bool:
        """Say whether somebody looked after an account on a day: by an assignment, or standing in for a manager.

        Assignments at a parent count where they cover subsidiaries, and never for a private account.
        """
        found = list(self._assigned(account, day))
        managers = {row.user_id for row in found if row.role == KEY_ACCOUNT_MANAGER}
        return any(row.user_id == user_id for row in found) or any(
            row.deputy_id == user_id and row.user_id in managers and in_force(row, day) for row in self.substitutions
        )

    def _assigned(self, account: str, day: date) -> Iterator[Assignment]:
        own, seen = self.organisations.get(account), {account}
        yield from (row for row in self.assignments.get(account, ()) if in_force(row, day))
        at = None if own is None or own.private else own.parent_id
        while at is not None and at not in seen:
            seen.add(at)
            yield from (row for row in self.assignments.get(at, ()) if row.covers_subsidiaries and in_force(row, day))
            parent = self.organisations.get(at)
            at = None if parent is None else parent.parent_id


@attrs.frozen
class Roster:
    """Contracts account by account, what is known of their accounts, and who looks after each."""

    contracts: tuple[Contract, ...]
    accounts: Accounts
    team: Team

    def matching(self, *, frames: bool) -> Matching:
        """Say how successors are inferred: with `frames` a contract of the parent's may follow too."""
        if not frames:
            return AS_SHIPPED
        parents = {id: row.parent_id for id, row in self.accounts.organisations.items() if row.parent_id is not None}
        return Matching(frame_parents=FrozenMap(parents))


def roster(view: View, by: object = None) -> Roster:
    """Read the contracts of every customer, with their accounts, in a constant number of round trips.

    `by` is what the metric is split by.
    """
    found = view.find(Contract, order=("organisation_id", "id"))
    organisations = known_accounts(view, by, id=above(sorted({row.organisation_id for row in found})))
    kept = tuple(row for row in found if is_customer(organisations.get(row.organisation_id)))
    return Roster(kept, *known_of(view, organisations))


def customers(view: View) -> list[Contract]:
    """Read the contracts of every customer, and nothing else.

    An organisation that says what it is to us and does not say customer is left out.
    """
    found = view.find(Contract, order=("organisation_id", "id"))
    ids = sorted({row.organisation_id for row in found})
    organisations = known_accounts(view, id=one_of(ids))
    return [row for row in found if is_customer(organisations.get(row.organisation_id))]


def around(view: View, organisation_id: str) -> list[Contract]:
    """Read the contracts of one organisation, and those of other customers that name one of them."""
    own = view.find(Contract, organisation_id=organisation_id, order="id")
    naming = view.find(Contract, predecessor_ids=one_of([row.id for row in own]), order="id")
    others = [row for row in naming if row.organisation_id != organisation_id]
    there = known_accounts(view, id=one_of(sorted({row.organisation_id for row in others})))
    return [*own, *(row for row in others if is_customer(there.get(row.organisation_id)))]


def known_accounts(view: View, by: object = None, **which: Any) -> dict[str, Known]:
    """Read of some organisations what rules over many accounts ask, by id; `by` is what is split by."""
    if isinstance(by, str) and by == "country":
        return dict(by_id(view.find(Organisation, **which)))
    return {row[0]: Account(*row) for row in view.columns(Organisation, *Account._fields, **which)}


def known_of(view: View, organisations: Mapping[str, Known]) -> tuple[Accounts, Team]:
    """Read who looks after some organisations, in which groups they are, and which are key accounts."""
    ids = one_of(list(organisations))
    assigned, memberships, statuses, standing_in = view.gather(
        *(view.query(kind, organisation_id=ids) for kind in (Assignment, GroupMembership, KeyAccountStatus)),
        view.query(Substitution, order="id"),
    )
    managing = cast("list[Assignment]", assigned)
    team: dict[str, list[Assignment]] = {}
    for row in managing:
        team.setdefault(row.organisation_id or "", []).append(row)
    known = Accounts.of(
        organisations.values(),
        users=view.find(User, id=one_of(sorted({row.user_id for row in managing}))),
        assignments=managing,
        memberships=cast("list[GroupMembership]", memberships),
        statuses=cast("list[KeyAccountStatus]", statuses),
    )
    return known, Team(team, cast("list[Substitution]", standing_in), organisations)


def known_group(view: View, group: object) -> str | None:
    """Return a client group that there is, `"key accounts"`, or None; refuse another word, with the nearest right."""
    if group is None or (isinstance(group, str) and group == KEY_ACCOUNTS):
        return group
    names = [row.id for row in view.find(ClientGroup)]
    if not isinstance(group, str) or group not in names:
        hint = nearest(group, [*names, KEY_ACCOUNTS])
        raise ValidationError.of("portfolio", "group", group, f"is no client group, nor {KEY_ACCOUNTS!r}{hint}")
    return group


def checked_options(given: Iterable[str], known: Collection[str]) -> None:
    """Refuse a misspelt option, with the nearest right one."""
    for name in given:
        if name not in known:
            raise ValidationError.of("portfolio", name, "", f"is no option of a metric{nearest(name, known)}")


def is_customer(organisation: Known | None) -> bool:
    """Say whether an organisation counts as a customer: it says so, or does not say what it is."""
    if organisation is None:
        return False
    return not organisation.relationships or "customer" in organisation.relationships


def day_of(moment: datetime | None, view: View) -> date | None:
    """Return the book's calendar day of a moment."""
    return None if moment is None else moment.astimezone(view.now.tzinfo).date()
