"""The rule of access rights, told a second time from `access.md` alone: sets and loops, slow and obvious.

Nothing of `keyaccount` is imported here, so that the two can only agree by being right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime

READ, CHANGE, ADMINISTER = RIGHTS = (1, 2, 3)
MANAGER, DEPUTY, TEAM = "key account manager", "deputy", "team member"


@dataclass(frozen=True)
class Unit:
    """A unit of the organogram."""

    id: str
    parent: str | None = None
    head: str | None = None


@dataclass(frozen=True)
class User:
    """A colleague."""

    id: str
    units: tuple[str, ...] = ()
    active: bool = True


@dataclass(frozen=True)
class Organisation:
    """An account."""

    id: str
    parent: str | None = None
    private: bool = False


@dataclass(frozen=True)
class Span:
    """Two inclusive days; None is an open end."""

    start: date | None = None
    end: date | None = None

    def has(self, day: date) -> bool:
        """Say whether a day lies in it."""
        return not (self.start is not None and day < self.start) and not (self.end is not None and day > self.end)


@dataclass(frozen=True)
class Assignment:
    """A user looks after an account."""

    user: str
    organisation: str
    role: str
    covers: bool
    span: Span


@dataclass(frozen=True)
class Grant:
    """A user, a unit or everyone holds a right on an account."""

    kind: str
    principal: str | None
    organisation: str
    right: int
    covers: bool
    span: Span


@dataclass(frozen=True)
class Substitution:
    """A deputy stands in for an absent user."""

    absent: str
    deputy: str
    span: Span


@dataclass(frozen=True)
class Glass:
    """A user broke the glass of an account."""

    user: str
    organisation: str
    opens: datetime
    closes: datetime


@dataclass(frozen=True)
class Policy:
    """What the company decided."""

    default: int | None = READ
    roles: dict[str, int] = field(default_factory=lambda: {MANAGER: ADMINISTER, DEPUTY: CHANGE, TEAM: CHANGE})
    oversight: int | None = None
    stewards: frozenset[str] = frozenset()
    deputies_see_private: bool = False


@dataclass(frozen=True)
class Company:
    """Everything that decides, at one moment (`now` in the company's time zone)."""

    now: datetime
    policy: Policy
    units: tuple[Unit, ...]
    users: tuple[User, ...]
    organisations: tuple[Organisation, ...]
    assignments: tuple[Assignment, ...]
    grants: tuple[Grant, ...]
    substitutions: tuple[Substitution, ...]
    glasses: tuple[Glass, ...]
    zone: str = "UTC"


def right(company: Company, user: str, organisation: str) -> int:
    """Return the highest right a user holds on an account; 0 for none."""
    return max((given for _, given in reasons(company, user, organisation)), default=0)


def reasons(company: Company, user: str, organisation: str) -> list[tuple[str, int]]:
    """Return everything that gives a user a right on an account: a name for its kind, and the right."""
    account = next(o for o in company.organisations if o.id == organisation)
    if user not in _active(company):
        return []
    return list((_private if account.private else _open)(company, user, account))


def _open(company: Company, user: str, account: Organisation) -> Iterator[tuple[str, int]]:
    policy, today = company.policy, company.now.date()
    if policy.default:
        yield "default", policy.default
    if user in policy.stewards:
        yield "steward", ADMINISTER
    above = _up(account.id, {o.id: o.parent for o in company.organisations})[1:]
    for a in company.assignments:
        if a.span.has(today) and (a.organisation == account.id or (a.organisation in above and a.covers)):
            given = policy.roles[a.role]
            if a.user == user:
                yield "covering assignment" if a.organisation in above else a.role, given
            if a.user in _absent(company, user):
                yield "substitution", min(given, CHANGE)
            if a.role == MANAGER and policy.oversight and a.user in _overseen(company, user):
                yield "oversight", policy.oversight
    for g in company.grants:
        counts = g.span.has(today) and (g.organisation == account.id or (g.organisation in above and g.covers))
        if counts and (g.kind, g.principal) in _principals(company, user):
            yield "covering grant" if g.organisation in above else f"grant to {g.kind}", g.right


def _private(company: Company, user: str, account: Organisation) -> Iterator[tuple[str, int]]:
    today = company.now.date()
    here = [a for a in company.assignments if a.organisation == account.id and a.span.has(today)]
    managers = {a.user for a in here if a.role == MANAGER and a.user in _active(company)}
    for a in here:
        if a.role == MANAGER and a.user == user:
            yield "private manager", ADMINISTER
        if company.policy.deputies_see_private and managers:
            if a.role == DEPUTY and a.user == user:
                yield "deputy on private", company.policy.roles[DEPUTY]
            if a.role == MANAGER and a.user in _absent(company, user):
                yield "deputy on private", CHANGE
    for glass in company.glasses:
        is_open = glass.opens <= company.now and company.now < glass.closes
        if is_open and glass.organisation == account.id and glass.user == user and user in company.policy.stewards:
            yield "break-glass", READ


def _up(start: str, parents: dict[str, str | None]) -> list[str]:
    """Return a node and everything above it."""
    line, at = [start], parents[start]
    while at is not None:
        line.append(at)
        at = parents[at]
    return line


def _active(company: Company) -> set[str]:
    return {u.id for u in company.users if u.active}


def _units(company: Company, user: str) -> set[str]:
    """Return the units a user belongs to, and those above."""
    parents = {u.id: u.parent for u in company.units}
    return {above for u in company.users if u.id == user for own in u.units for above in _up(own, parents)}


def _principals(company: Company, user: str) -> set[tuple[str, str | None]]:
    return {("user", user), ("everyone", None)} | {("unit", unit) for unit in _units(company, user)}


def _absent(company: Company, user: str) -> set[str]:
    """Return whom a user stands in for today."""
    standing = {s.absent for s in company.substitutions if s.deputy == user and s.span.has(company.now.date())}
    return standing & _active(company)


def _overseen(company: Company, head: str) -> set[str]:
    """Return the active users who belong to the units somebody heads, or to units below."""
    headed = {u.id for u in company.units if u.head == head}
    return {user for user in _active(company) if headed & _units(company, user)}
