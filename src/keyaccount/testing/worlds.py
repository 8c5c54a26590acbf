"""Small random companies, one for each seed, with readers of every sort: the worlds in which restriction is compared.

Days lie around today, moments around now, and a unit may bear the id of a user, so that whoever mistakes one for the
other is found.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from random import Random
from typing import Any, TypeVar

import attrs

from keyaccount import access
from keyaccount.access import AccessPolicy, Reader
from keyaccount.model.activities import Activity
from keyaccount.model.aliases import Alias
from keyaccount.model.contacts import Contact, ContactRole, Position
from keyaccount.model.entity import Entity
from keyaccount.model.notes import (
    Acknowledgement,
    Context,
    ExpectedProvider,
    NoteCategory,
    Reference,
    ServiceNote,
    Severity,
)
from keyaccount.model.organisations import Address, Organisation
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
)
from keyaccount.model.rights import unit as unit_principal
from keyaccount.model.rights import user as user_principal
from keyaccount.testing.records import NOW, TODAY
from keyaccount.values import FrozenMap

T = TypeVar("T")

PEOPLE = tuple(f"x{n}" for n in range(7))
UNITS = tuple(f"x{n}" for n in range(5))
ACCOUNTS = tuple(f"o{n}" for n in range(9))
CONTACTS = tuple(f"c{n}" for n in range(8))
AUDITOR = "auditor"

POLICIES: Mapping[str, AccessPolicy] = {
    "an open book": AccessPolicy(),
    "a closed book": AccessPolicy(default=None, roles={AUDITOR: Right.READ}),
    "stewards and broken glass": AccessPolicy(default=None, stewards=frozenset(PEOPLE[:3])),
    "oversight to change": AccessPolicy(default=None, oversight=Right.CHANGE),
    "deputies who see private accounts": AccessPolicy(default=None, deputies_see_private=True),
    "everything at once": AccessPolicy(
        default=None,
        oversight=Right.ADMINISTER,
        stewards=frozenset(PEOPLE[1:2]),
        deputies_see_private=True,
        roles={DEPUTY: Right.READ, AUDITOR: Right.READ},
    ),
}
"""The policies under which restriction is compared, by what they are about."""


@attrs.frozen
class World:
    """The records of a company, and everyone who may ask."""

    policy: AccessPolicy
    records: tuple[Entity, ...]

    def of(self, cls: type[T]) -> list[T]:
        """Return the records of a class."""
        return [row for row in self.records if isinstance(row, cls)]

    @functools.cached_property
    def readers(self) -> tuple[Reader, ...]:
        """Return a reader for each active user."""
        units, users = self.of(Unit), self.of(User)
        return tuple(
            access.reader(
                user,
                units,
                self.policy,
                NOW,
                substitutions=self.of(Substitution),
                absent=users,
                oversees=_below(user, units, users),
            )
            for user in users
            if user.active
        )


def _below(head: User, units: Sequence[Unit], users: Sequence[User]) -> Iterator[User]:
    """Yield the users in or below the units that somebody heads."""
    reached = {unit.id for unit in units if unit.head_id == head.id}
    for _ in units:
        reached |= {unit.id for unit in units if unit.parent_id in reached}
    return (user for user in users if not reached.isdisjoint(user.unit_ids))


@functools.cache
def world(policy: str, seed: int) -> World:
    """Return the world of a seed under one of the policies."""
    random = Random(f"{policy}/{seed}")  # noqa: S311 - the same worlds each time
    made = [*_organogram(random), *_accounts(random), *_rights(random), *_moments(random), *_settings()]
    return World(POLICIES[policy], tuple(attrs.evolve(row, version=1) for row in made))


def _organogram(random: Random) -> Iterator[Entity]:
    for number, id in enumerate(UNITS):
        above = _maybe(random, UNITS[:number])
        yield Unit(id, name=f"Unit {random.choice('AB')}", parent_id=above, head_id=_maybe(random, PEOPLE))
    for id in PEOPLE:
        units = tuple(random.sample(UNITS, random.choice((0, 1, 1, 2))))
        yield User(id, name=random.choice(("Anna", "Ben")), unit_ids=units, active=random.random() < 0.9)


def _accounts(random: Random) -> Iterator[Entity]:
    for number, id in enumerate(ACCOUNTS):
        yield Organisation(
            id,
            name=random.choice(("ACME", "acme", "Straße", "Globex", "Zeta")),
            parent_id=_maybe(random, ACCOUNTS[:number], 0.8),
            private=random.random() < 0.4,
            sector=_maybe(random, ("steel", "food")),
            phones=tuple(random.sample(("+49 89 1234-0", "089 1234567", "0171 555 7788"), random.randrange(3))),
            addresses=(Address(town=random.choice(("Berlin", "Bern"))),),
            refs=FrozenMap({"erp": id}),
        )
    for id in CONTACTS:
        yield Contact(
            id,
            name=random.choice(("Ada", "ada", "Bob", "Straße")),
            phones=tuple(random.sample(("0171 555 7788", "+49 30 99"), random.randrange(3))),
            emails=_some(random, ("ada@acme.test", "Bob@acme.test"), 1),
            created_by=_maybe(random, PEOPLE),
            vip=random.random() < 0.3,
        )
    for number in range(14):
        yield Position(
            f"p{number:02}",
            contact_id=random.choice(CONTACTS[:-2]),  # the last two never held one
            organisation_id=random.choice(ACCOUNTS),
            role=_maybe(random, ("invoices", "buyer")),
            reports_to_id=_maybe(random, [f"p{n:02}" for n in range(14) if n != number]),
            phones=_some(random, ("0171 555 7788", "089 1234567"), 1),
            emails=_some(random, ("ada@acme.test", "buying@acme.test"), 1),
            vip=random.random() < 0.3,
            **_span(random),
        )


def _rights(random: Random) -> Iterator[Entity]:
    for number in range(24):
        account = ACCOUNTS[number] if number < len(ACCOUNTS) else random.choice(ACCOUNTS)
        role = KEY_ACCOUNT_MANAGER if number < len(ACCOUNTS) else random.choice((DEPUTY, TEAM_MEMBER, AUDITOR, "none"))
        covers = random.random() < 0.3
        yield Assignment(
            f"a{number:02}", random.choice(PEOPLE), account, role=role, covers_subsidiaries=covers, **_span(random)
        )
    for number in range(4):
        yield Assignment(f"ac{number}", random.choice(PEOPLE), contact_id=random.choice(CONTACTS), **_span(random))
    for number in range(9):
        yield Grant(
            f"g{number}",
            random.choice(ACCOUNTS),
            _principal(random),
            random.choice(list(Right)),
            random.random() < 0.3,
            **_span(random),
        )
    for number in range(4):
        absent, deputy = random.sample(PEOPLE, 2)
        yield Substitution(f"s{number}", absent, deputy, **_span(random))
    hour = timedelta(hours=1)
    for number in range(9):
        opens, closes = random.choice(((-hour, hour), (timedelta(), hour), (-hour, timedelta()), (hour, 2 * hour)))
        account = random.choice(ACCOUNTS)
        yield BreakGlass(f"b{number}", account, random.choice(PEOPLE[:4]), "urgent", NOW + opens, NOW + closes)


def _moments(random: Random) -> Iterator[Entity]:
    for number in range(12):
        account = _maybe(random, ACCOUNTS)
        people = _some(random, CONTACTS, 0 if account else 1)
        yield Activity(
            f"y{number:02}",
            organisation_id=account,
            contact_ids=people,
            kind=random.choice(("call", "meeting", "note")),
            connected=random.random() < 0.5,
            at=_maybe(random, (NOW, NOW - timedelta(days=1))),
            by_id=_maybe(random, PEOPLE),
            follow_up_on=_maybe(random, (TODAY, TODAY - timedelta(days=1))),
            done_at=_maybe(random, (NOW,), 0.3),
        )
    for number in range(14):
        account = _maybe(random, ACCOUNTS, 0.6)
        contact = random.choice(CONTACTS) if account is None else _maybe(random, CONTACTS, 0.4)
        yield ServiceNote(
            f"n{number:02}",
            organisation_id=account,
            contact_id=contact,
            text=random.choice(("pays late", "promised")),
            about=Reference("Activity", f"y{random.randrange(14):02}") if random.random() < 0.4 else None,
            severity=random.choice(list(Severity)),
            for_subsidiaries=contact is None and random.random() < 0.5,
            audience_unit_ids=_some(random, UNITS, 0),
            created_by=_maybe(random, PEOPLE),
            **_span(random),
        )
    for number in range(10):
        yield Acknowledgement(f"k{number}", f"n{random.randrange(15):02}", random.choice(PEOPLE), at=NOW)
    for number in range(6):
        account = _maybe(random, ACCOUNTS)
        contact = None if account else random.choice(CONTACTS)
        yield Alias(f"l{number}", old_id=f"old{number}", organisation_id=account, contact_id=contact)


def _settings() -> Iterator[Entity]:
    yield from (
        Context("documents"),
        Context("documents.invoice"),
        Context("crm"),
        Context("phone"),
        ExpectedProvider("erp"),
    )
    yield NoteCategory("payment", contexts=("documents.invoice",))
    yield ContactRole("invoices", name="Invoices", single=True)


def _principal(random: Random) -> Principal:
    return random.choice((user_principal(random.choice(PEOPLE)), unit_principal(random.choice(UNITS)), EVERYONE))


def _span(random: Random) -> dict[str, Any]:
    """Return days around today: mostly in force, also on the very first and last day."""
    day = timedelta(days=1)
    good: tuple[tuple[date | None, date | None], ...] = ((None, None), (TODAY, None), (None, TODAY), (TODAY, TODAY))
    bad: tuple[tuple[date | None, date | None], ...] = ((None, TODAY - day), (TODAY + day, None))
    first, last = random.choice(good if random.random() < 0.75 else bad)
    return {"valid_from": first, "valid_until": last}


def _maybe(random: Random, given: Sequence[T], share: float = 0.6) -> T | None:
    return random.choice(given) if given and random.random() < share else None


def _some(random: Random, given: Sequence[T], least: int) -> tuple[T, ...]:
    return tuple(random.sample(given, random.randint(least, min(3, len(given)))))
