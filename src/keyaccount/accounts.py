"""Which accounts, and whose: parents, managers, groups, status, sector and country of accounts on a day.

Plain values beside the contracts; what is not given is not known, and its part is `"none"`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import TypeAlias, TypeVar

import attrs

from keyaccount.errors import ValidationError, nearest
from keyaccount.figures import NONE
from keyaccount.model.groups import GroupMembership, KeyAccountStatus
from keyaccount.model.organisations import Organisation
from keyaccount.model.organogram import User
from keyaccount.model.rights import KEY_ACCOUNT_MANAGER, Assignment
from keyaccount.responsible import Known, leading, responsible
from keyaccount.spans import in_force

KEY_ACCOUNTS = "key accounts"
DIMENSIONS = ("manager", "unit", "sector", "country", "group", "tier", "account")

By: TypeAlias = str | Callable[[str, date], str | None]
"""What to split by: one of `DIMENSIONS`, or a function of the account and the day."""

R = TypeVar("R", Assignment, GroupMembership, KeyAccountStatus)


@attrs.frozen
class Accounts:
    """What is known of the accounts beside their contracts; made by `Accounts.of`.

    `organisations`, `users` and `tiers` by id (a tier by organisation id); the dated records by organisation.
    `once_users` are the users as if each were active: who managed an account then may have left since.
    """

    organisations: Mapping[str, Known] = attrs.field(factory=dict)
    users: Mapping[str, User] = attrs.field(factory=dict)
    once_users: Mapping[str, User] = attrs.field(factory=dict)
    tiers: Mapping[str, str] = attrs.field(factory=dict)
    assignments: Mapping[str, tuple[Assignment, ...]] = attrs.field(factory=dict)
    memberships: Mapping[str, tuple[GroupMembership, ...]] = attrs.field(factory=dict)
    statuses: Mapping[str, tuple[KeyAccountStatus, ...]] = attrs.field(factory=dict)

    @classmethod
    def of(
        cls,
        organisations: Iterable[Known] = (),
        *,
        users: Iterable[User] = (),
        assignments: Iterable[Assignment] = (),
        memberships: Iterable[GroupMembership] = (),
        statuses: Iterable[KeyAccountStatus] = (),
        tiers: Mapping[str, str] | None = None,
    ) -> Accounts:
        """Make it from plain records, in any order; a user who is assigned and not given goes by the id."""
        managing = [row for row in assignments if row.role == KEY_ACCOUNT_MANAGER]
        known = {row.id: row for row in users}
        known = {row.user_id: User(row.user_id, name=row.user_id) for row in managing} | known
        return cls(
            {row.id: row for row in organisations},
            known,
            {id: attrs.evolve(row, active=True) for id, row in known.items()},
            dict(tiers or {}),
            _by_organisation(managing),
            _by_organisation(memberships),
            _by_organisation(statuses),
        )

    def ultimate_parent(self, account: str) -> str:
        """Return the topmost organisation above an account; the account itself where none is known."""
        seen = {account}
        while (row := self.organisations.get(account)) is not None and row.parent_id is not None:
            if row.parent_id in seen:  # they stand under themselves: the smallest id speaks for the circle
                return min(self._circle(account))
            account = row.parent_id
            seen.add(account)
        return account

    def _circle(self, account: str) -> list[str]:
        found = [account]
        while (parent := self.organisations[found[-1]].parent_id) is not None and parent != account:
            found.append(parent)
        return found

    def manager(self, account: str, day: date, *, now: bool = False) -> str | None:
        """Return the leading key account manager on a day, inherited from a parent that covers subsidiaries.

        Whether a user is active is not dated: it counts where the question is who manages the account `now`.
        """
        users = self.users if now else self.once_users
        chain = self._chain(account)
        if not chain:
            found = leading(self.assignments.get(account, ()), users, on=day)
            return None if found is None else found.user_id
        claims = [row for one in chain for row in self.assignments.get(one.id, ())]
        answer = responsible(claims, users, contact_id=None, chain=chain, on=day)
        return None if answer is None else answer.user.id

    def is_shared(self, account: str, day: date) -> bool:
        """Say whether several users manage an account on a day."""
        return len({row.user_id for row in self.assignments.get(account, ()) if in_force(row, day)}) > 1

    def _chain(self, account: str) -> list[Known]:
        found: dict[str, Known] = {}
        at: str | None = account
        while at is not None and at not in found and (row := self.organisations.get(at)) is not None:
            found[at] = row
            at = row.parent_id
        return list(found.values())

    def groups(self, account: str, day: date) -> tuple[str, ...]:
        """Return the client groups an account belongs to on a day, in order."""
        return tuple(sorted({row.group_id for row in self.memberships.get(account, ()) if in_force(row, day)}))

    def is_key(self, account: str, day: date) -> bool:
        """Say whether an account is a key account on a day."""
        return any(row.status == "key" and in_force(row, day) for row in self.statuses.get(account, ()))

    def belongs(self, account: str, group: str | None, day: date) -> bool:
        """Say whether an account is in a group (or a key account) on a day; everyone belongs to no group at all."""
        if group is None:
            return True
        return self.is_key(account, day) if group == KEY_ACCOUNTS else group in self.groups(account, day)

    def parts(self, account: str, by: By, day: date, *, now: bool = False) -> tuple[str, ...]:
        """Return the parts an account is in on a day: one, by groups several; `"none"` where there is none."""
        if by == "group":
            return self.groups(account, day) or (NONE,)
        return (self._part(account, by, day, now=now) or NONE,)

    def _part(self, account: str, by: By, day: date, *, now: bool) -> str | None:
        if not isinstance(by, str):
            return by(account, day)
        if by in ("manager", "unit"):
            user = self.once_users.get(self.manager(account, day, now=now) or "")
            if user is None or by == "manager":
                return None if user is None else user.id
            return user.unit_ids[0] if user.unit_ids else None
        if by in ("tier", "account"):
            return account if by == "account" else self.tiers.get(account)
        row = self.organisations.get(account)
        if row is None:
            return None
        if by == "sector":
            return row.sector
        assert isinstance(row, Organisation)  # noqa: S101 - read whole where it is split by country
        return row.country


NOBODY = Accounts()


def dimension(by: By | None) -> By | None:
    """Return what to split by; refuse what is no dimension, with the nearest that is."""
    if by is None or callable(by) or (isinstance(by, str) and by in DIMENSIONS):
        return by
    raise ValidationError.of("portfolio", "by", by, f"must be one of {', '.join(DIMENSIONS)}{nearest(by, DIMENSIONS)}")


def _by_organisation(rows: Iterable[R]) -> dict[str, tuple[R, ...]]:
    found: defaultdict[str, list[R]] = defaultdict(list)
    for row in rows:
        if row.organisation_id is not None:
            found[row.organisation_id].append(row)
    return {id: tuple(some) for id, some in found.items()}
