"""Who may do what with an account: one rule, over a reader and the account's claims.

The rule is `counting`. A check asks whether anything that counts suffices, an explanation lists it all, and a query
evaluates the same function for each row (or compiles the same reader). Nothing derived from it is stored.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, TypeAlias

import attrs

from keyaccount.errors import ValidationError, shown
from keyaccount.model.organisations import Organisation
from keyaccount.model.organogram import Unit, User
from keyaccount.model.rights import (
    DEPUTY,
    EVERYONE,
    KEY_ACCOUNT_MANAGER,
    TEAM_MEMBER,
    Assignment,
    BreakGlass,
    Grant,
    Principal,
    Right,
    Substitution,
    unit,
    user,
)
from keyaccount.results import Result
from keyaccount.spans import Dated, in_force
from keyaccount.values import FrozenMap

SHIPPED_RIGHTS = {KEY_ACCOUNT_MANAGER: Right.ADMINISTER, DEPUTY: Right.CHANGE, TEAM_MEMBER: Right.CHANGE}


def _roles(given: Any) -> Any:
    return FrozenMap({**SHIPPED_RIGHTS, **given}) if isinstance(given, Mapping) else given


def _ids(given: Any) -> Any:
    listed = isinstance(given, (list, tuple, set, frozenset)) and all(isinstance(one, str) for one in given)
    return frozenset(given) if listed else given


@attrs.frozen(repr=False)
class AccessPolicy(Result):
    """What a book's users hold beside their assignments and grants.

    `default` is everyone's right on accounts that are not private: `READ` (an open CRM) or None (closed). `roles` maps
    roles to rights, beside the shipped ones. `oversight` is what the head of a unit holds on the accounts of the key
    account managers in or below it (None: nothing). `stewards` are the ids of data managers. `deputies_see_private`
    lets deputies of a private account's manager in. `may_create` lets every user create organisations.

    >>> AccessPolicy(default=None).default is None
    True

    Raises ValidationError for a role mapped to more than `CHANGE`, and for another right of the key account manager.
    """

    default: Right | None = Right.READ
    roles: FrozenMap[str, Right] = attrs.field(default=FrozenMap(SHIPPED_RIGHTS), converter=_roles)
    oversight: Right | None = None
    stewards: frozenset[str] = attrs.field(default=frozenset(), converter=_ids)
    deputies_see_private: bool = False
    may_create: bool = True

    def __attrs_post_init__(self) -> None:
        """Refuse what would give more than a role may give."""
        if self.default is not None and (not isinstance(self.default, Right) or self.default is not Right.READ):
            raise ValidationError.of("AccessPolicy", "default", self.default, "must be Right.READ or None")
        if not isinstance(self.roles, FrozenMap):
            raise ValidationError.of("AccessPolicy", "roles", self.roles, "must map roles to rights")
        for role, right in self.roles.items():
            allowed = (Right.ADMINISTER,) if role == KEY_ACCOUNT_MANAGER else (Right.READ, Right.CHANGE)
            if not isinstance(right, Right) or right not in allowed:
                names = " or ".join(item.name for item in allowed)
                raise ValidationError.of("AccessPolicy", "roles", right, f"must be {names} for {shown(role)}")
        if not isinstance(self.stewards, frozenset) or not all(isinstance(one, str) for one in self.stewards):
            raise ValidationError.of("AccessPolicy", "stewards", self.stewards, "must be a set of user ids")
        if self.oversight is not None and not isinstance(self.oversight, Right):
            raise ValidationError.of("AccessPolicy", "oversight", self.oversight, "must be a Right or None")
        for name in ("deputies_see_private", "may_create"):
            if not isinstance(getattr(self, name), bool):
                raise ValidationError.of("AccessPolicy", name, getattr(self, name), "must be True or False")


@attrs.frozen(repr=False)
class Reader(Result):
    """Who is asking, resolved once for each call.

    `units` maps every unit whose grants reach the user to the user's own unit it is reached through. `acts_for` maps
    active users the reader stands in for today to the substitution; `oversees` are the active users in or below the
    units the reader heads, where the policy has oversight; `steward`: whether the policy names the user. `today` and
    `now` are the book clock's: a question about
    another day never changes a right.
    """

    user: User
    units: FrozenMap[str, str]
    policy: AccessPolicy
    today: date
    now: datetime
    acts_for: FrozenMap[str, Substitution] = FrozenMap()
    oversees: frozenset[str] = frozenset()
    steward: bool = False
    _mine: frozenset[str] = attrs.field(init=False, eq=False)
    _reached: frozenset[str] = attrs.field(init=False, eq=False)

    @_mine.default
    def _names_of_mine(self) -> frozenset[str]:
        """Name the principals that the reader is, or belongs to."""
        return frozenset(
            (_name("user", self.user.id), _name("everyone", None), *(_name("unit", u) for u in self.units))
        )

    @_reached.default
    def _names_of_reached(self) -> frozenset[str]:
        """Name the principals whose claims may give the reader something, in whichever way."""
        return self._mine.union(_name("user", id) for id in (*self.acts_for, *self.oversees))

    def is_me(self, claim: Claim) -> bool:
        """Say whether a claim is the reader's own: of the user, of a unit that they belong to, or everyone's."""
        return claim._whom in self._mine


def _name(kind: str, id: str | None) -> str:
    """Return a principal as one text, for sets: text keeps its hash, an attrs value hashes its fields each time."""
    return f"{kind} {id}"


def reader(
    user: User,
    units: Iterable[Unit],
    policy: AccessPolicy,
    now: datetime,
    *,
    substitutions: Iterable[Substitution] = (),
    absent: Iterable[User] = (),
    oversees: Iterable[User] = (),
) -> Reader:
    """Resolve a user against the organogram.

    `units` are at least the user's units and all units above them; `now` is a moment in the book's time zone.
    `substitutions` name the user as deputy, `absent` are the users they stand in for; `oversees` are the users in or
    below the units the user heads. Inactive ones count for nothing.

    >>> from datetime import UTC
    >>> anna = User("anna", name="Anna", unit_ids=("dach",))
    >>> organogram = [Unit("sales", name="Sales"), Unit("dach", name="DACH", parent_id="sales")]
    >>> dict(reader(anna, organogram, AccessPolicy(), datetime(2026, 11, 21, tzinfo=UTC)).units)
    {'dach': 'dach', 'sales': 'dach'}
    """
    parents = {one.id: one.parent_id for one in units}
    through: dict[str, str] = {}
    for own in user.unit_ids:
        above: str | None = own
        while above is not None and above in parents and above not in through:
            through[above] = own
            above = parents[above]
    today, active = now.date(), {one.id for one in absent if one.active}
    standing_in = [s for s in substitutions if s.deputy_id == user.id and s.user_id in active and in_force(s, today)]
    return Reader(
        user,
        FrozenMap(through),
        policy,
        today,
        now,
        FrozenMap({substitution.user_id: substitution for substitution in standing_in}),
        frozenset(one.id for one in oversees if one.active and one.id != user.id) if policy.oversight else frozenset(),
        steward=user.id in policy.stewards,
    )


@attrs.frozen(repr=False)
class Claim(Result):
    """One fact that gives somebody a right: an assignment (by its role), a grant or a break-glass (by its right).

    `active` says whether the user of an assignment is. A break-glass counts from `opens_at` up to `closes_at`.
    """

    id: str
    organisation_id: str
    principal: Principal
    kind: str
    role: str | None
    right: Right | None
    covers_subsidiaries: bool = False
    valid_from: date | None = None
    valid_until: date | None = None
    active: bool = True
    opens_at: datetime | None = None
    closes_at: datetime | None = None
    _whom: str = attrs.field(init=False, eq=False)

    @_whom.default
    def _name_of_principal(self) -> str:
        return _name(self.principal.kind, self.principal.id)


def claims(records: Iterable[Assignment | Grant | BreakGlass], *, inactive: Collection[str] = ()) -> Iterator[Claim]:
    """Bring what gives rights on organisations to one shape; assignments on contacts are left out.

    `inactive` are the ids of users who are not active.
    """
    for record in records:
        if isinstance(record, BreakGlass):
            yield _opened(record)
        elif record.organisation_id is not None:
            assigned = isinstance(record, Assignment)
            yield Claim(
                id=record.id,
                organisation_id=record.organisation_id,
                principal=user(record.user_id) if isinstance(record, Assignment) else record.principal,
                kind="assignment" if assigned else "grant",
                role=record.role if isinstance(record, Assignment) else None,
                right=None if isinstance(record, Assignment) else record.right,
                covers_subsidiaries=record.covers_subsidiaries,
                valid_from=record.valid_from,
                valid_until=record.valid_until,
                active=not (isinstance(record, Assignment) and record.user_id in inactive),
            )


def _opened(record: BreakGlass) -> Claim:
    return Claim(
        record.id,
        record.organisation_id,
        user(record.user_id),
        "break-glass",
        None,
        Right.READ,
        opens_at=record.opens_at,
        closes_at=record.closes_at,
    )


@attrs.frozen(repr=False)
class Reason(Result):
    """One thing that gives the reader a right, as it may be told: a parent's claim says `inherited` and no more."""

    right: Right
    kind: str
    principal: Principal | None = None
    role: str | None = None
    through: str | None = None
    inherited: bool = False
    covers_subsidiaries: bool = False
    since: date | None = None
    until: date | None = None

    def __str__(self) -> str:
        """Say the reason in words."""
        said = _SAID[self.kind].format(role=self.role, whom=_whom(self.principal))
        if self.through is not None and self.principal != unit(self.through):
            said += f", through unit {shown(self.through)}"
        if self.inherited:
            said += ", inherited"
        if self.since is not None:
            said += f", since {self.since.isoformat()}"
        return said if self.until is None else f"{said}, until {self.until.isoformat()}"


_SAID = {
    "default": "everyone may read",
    "steward": "a steward of these data",
    "trusted": "a trusted desk",
    "assignment": "assigned as {role}",
    "grant": "granted to {whom}",
    "substitution": "standing in for {whom}, {role}",
    "oversight": "heading the unit of {whom}, {role}",
    "break-glass": "opened by break-glass",
}


def _whom(principal: Principal | None) -> str:
    if principal is None or principal == EVERYONE:
        return "everyone"
    return f"{principal.kind} {shown(principal.id)}"


Counting: TypeAlias = tuple[str, Right, Claim | None]
"""One thing that counts: its kind, the right it gives, and the claim it comes from."""


def counting(reader: Reader, organisation: Organisation, claims: Iterable[Claim]) -> Iterator[Counting]:
    """Yield everything that gives the reader a right on an organisation: the rule itself.

    `claims` are those on the organisation and the covering ones on its ancestors. On a private organisation only key
    account managers assigned to that very organisation count, their deputies where the policy says so, and a steward
    who broke the glass.
    """
    own = organisation.id
    if organisation.private:
        yield from _counting_on_private(reader, [claim for claim in claims if claim.organisation_id == own])
        return
    if reader.policy.default is not None:
        yield "default", reader.policy.default, None
    if reader.steward:
        yield "steward", Right.ADMINISTER, None
    reached = reader._reached
    for claim in claims:
        if claim._whom not in reached:  # most claims are somebody else's: `ways` would yield nothing, but slowly
            continue
        if claim.organisation_id == own or claim.covers_subsidiaries:
            for kind, right in ways(reader, claim):
                yield kind, right, claim


def _counting_on_private(reader: Reader, claims: Sequence[Claim]) -> Iterator[Counting]:
    deputies = reader.policy.deputies_see_private and any(
        c.role == KEY_ACCOUNT_MANAGER and c.active and in_force(c, reader.today) for c in claims
    )
    for claim in claims:
        for kind, right in ways(reader, claim):
            manages = kind == "assignment" and claim.role == KEY_ACCOUNT_MANAGER
            deputises = deputies and (
                (kind == "assignment" and claim.role == DEPUTY)
                or (kind == "substitution" and claim.role == KEY_ACCOUNT_MANAGER)
            )
            if manages or deputises or kind == "break-glass":
                yield kind, right, claim


def holds(reader: Reader, organisation: Organisation, claims: Iterable[Claim], right: Right) -> bool:
    """Say whether anything that counts suffices for a right: the quick answer, without reasons."""
    for _, given, _ in counting(reader, organisation, claims):  # noqa: SIM110 - any() makes a second generator
        if given >= right:
            return True
    return False


def reasons(reader: Reader, organisation: Organisation, claims: Iterable[Claim]) -> Iterator[Reason]:
    """Yield every reason that gives the reader a right on an organisation, as it may be told."""
    for kind, right, claim in counting(reader, organisation, claims):
        if claim is None:
            yield Reason(right, kind, principal=user(reader.user.id) if kind == "steward" else None)
        else:
            yield _reason(reader, claim, right, kind, inherited=claim.organisation_id != organisation.id)


def ways(reader: Reader, claim: Claim) -> Iterator[tuple[str, Right]]:
    """Yield how a claim gives the reader a right: as their own, by standing in, by oversight; nothing out of force."""
    if claim.kind == "break-glass":
        if reader.steward and reader.is_me(claim) and _is_open(claim, reader.now):
            yield "break-glass", Right.READ
        return
    if not in_force(claim, reader.today):
        return
    right = claim.right if claim.role is None else reader.policy.roles.get(claim.role)
    if right is None:
        return
    if reader.is_me(claim):
        yield claim.kind, right
    if claim.role is not None and claim.principal.id in reader.acts_for:
        yield "substitution", min(right, Right.CHANGE)
    if claim.role == KEY_ACCOUNT_MANAGER and reader.policy.oversight and claim.principal.id in reader.oversees:
        yield "oversight", reader.policy.oversight


def right_of(reader: Reader, claim: Claim) -> Right | None:
    """Return the highest right a claim gives the reader; None where it gives none."""
    return max((right for _, right in ways(reader, claim)), default=None)


def _is_open(claim: Claim, now: datetime) -> bool:
    return claim.opens_at is not None and claim.closes_at is not None and claim.opens_at <= now < claim.closes_at


def _reason(reader: Reader, claim: Claim, right: Right, kind: str, *, inherited: bool) -> Reason:
    principal = claim.principal
    spans: list[Dated] = [claim]
    if kind == "substitution":
        spans.append(reader.acts_for[principal.id or ""])
    return Reason(
        right=right,
        kind=kind,
        principal=principal,
        role=claim.role,
        through=reader.units[principal.id] if principal.kind == "unit" and principal.id else None,
        inherited=inherited,
        covers_subsidiaries=claim.covers_subsidiaries,
        since=max((span.valid_from for span in spans if span.valid_from is not None), default=None),
        until=min((span.valid_until for span in spans if span.valid_until is not None), default=None),
    )


@attrs.frozen(repr=False)
class Decision(Result):
    """The answer to "may I?": truthy when the right that is held suffices for the one that was asked for.

    `right` is the right held (None: none), `reasons` everything that gives one; for a right that is missing
    `would_grant` says what would give it.
    """

    organisation_id: str
    user_id: str | None
    wanted: Right
    right: Right | None
    reasons: tuple[Reason, ...]
    would_grant: tuple[str, ...] = ()

    also = ("allowed",)

    @property
    def allowed(self) -> bool:
        """The answer as a bool."""
        return self.right is not None and self.right >= self.wanted

    def __bool__(self) -> bool:
        """Return the answer."""
        return self.allowed

    def __str__(self) -> str:
        """Say it in a sentence."""
        who = "This trusted desk" if self.user_id is None else f"User {shown(self.user_id)}"
        may = "may" if self.allowed else "may not"
        held = "; ".join(f"{reason.right.name}: {reason}" for reason in self.reasons)
        said = f"{who} {may} {self.wanted.name} organisation {shown(self.organisation_id)}"
        if held:
            said += f" ({held})"
        return f"{said}." if self.allowed else f"{said}. It would take {' or '.join(self.would_grant)}."


def decide(
    reader: Reader | None, organisation: Organisation, claims: Iterable[Claim], *, right: Right = Right.READ
) -> Decision:
    """Decide whether a reader holds a right on an organisation, with every reason.

    `claims` are those on the organisation and on its ancestors (see `claims`). A reader of None is a trusted desk,
    which holds every right. It trusts what it is given.
    """
    if reader is None:
        return Decision(organisation.id, None, right, Right.ADMINISTER, (Reason(Right.ADMINISTER, "trusted"),))
    found = sorted(reasons(reader, organisation, claims), key=lambda reason: (-reason.right, reason.inherited))
    held = found[0].right if found else None
    missing = held is None or held < right
    return Decision(
        organisation.id,
        reader.user.id,
        right,
        held,
        tuple(found),
        tuple(_would_grant(organisation, right, reader.policy.roles)) if missing else (),
    )


def _would_grant(organisation: Organisation, right: Right, roles: Mapping[str, Right]) -> Iterator[str]:
    if organisation.private:
        yield "an assignment as key account manager of this very organisation"
        return
    fitting: Collection[str] = sorted(role for role, given in roles.items() if given >= right)
    yield f"an assignment as {', '.join(fitting)}"
    yield f"a grant of {right.name}"
