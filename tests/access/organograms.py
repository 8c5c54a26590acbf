"""Random small companies, one for each seed: the worlds in which the rule is decided in three ways.

Days lie around today, and a unit may bear the id of a user, so that whoever mistakes one for the other is found.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import TypeVar
from zoneinfo import ZoneInfo

from access.tiny_model import (
    ADMINISTER,
    CHANGE,
    DEPUTY,
    MANAGER,
    READ,
    RIGHTS,
    TEAM,
    Assignment,
    Company,
    Glass,
    Grant,
    Organisation,
    Policy,
    Span,
    Substitution,
    Unit,
    User,
)

T = TypeVar("T")

ZONES = ("UTC", "Europe/Berlin", "Pacific/Auckland", "America/Los_Angeles")
EXTRA_ROLE = "auditor"
DEEPEST = 5
USERS, UNITS, ORGANISATIONS = 9, 7, 9
MINUTE = timedelta(minutes=1)


def company(seed: int) -> Company:
    """Return the company of a seed."""
    random = Random(seed)  # noqa: S311 - a test's choices, not a secret
    zone = random.choice(ZONES)
    now = datetime(2026, random.randint(1, 12), random.randint(1, 28), random.randint(0, 23), 30, tzinfo=UTC)
    local = now.astimezone(ZoneInfo(zone))
    people = [f"x{number}" for number in range(USERS)]
    policy = _policy(random, people)
    units = _units(random, people)
    users = tuple(_user(random, id, [unit.id for unit in units]) for id in people)
    organisations = _organisations(random)
    accounts = [organisation.id for organisation in organisations]
    return Company(
        now=local,
        policy=policy,
        units=units,
        users=users,
        organisations=organisations,
        assignments=tuple(_assignments(random, people, organisations, local.date())),
        grants=tuple(_grant(random, people, [u.id for u in units], accounts, local.date()) for _ in range(13)),
        substitutions=tuple(_substitutions(random, people, local.date())),
        glasses=tuple(_glasses(random, people, policy, organisations, local)),
        zone=zone,
    )


def questions(company: Company) -> list[tuple[str, str, int]]:
    """Return who is asked about with which account and right: all of `READ` and `CHANGE`, a third of `ADMINISTER`."""
    return [
        (user.id, account.id, right)
        for i, user in enumerate(company.users)
        for j, account in enumerate(company.organisations)
        for right in (RIGHTS if (i + j) % 3 == 0 else (READ, CHANGE))
    ]


def _policy(random: Random, people: list[str]) -> Policy:
    return Policy(
        default=READ if random.random() < 0.18 else None,
        roles={
            MANAGER: ADMINISTER,
            DEPUTY: random.choice((READ, CHANGE, CHANGE, CHANGE)),
            TEAM: random.choice((READ, CHANGE, CHANGE, CHANGE)),
            EXTRA_ROLE: READ,
        },
        oversight=random.choice((None, READ, CHANGE, CHANGE, CHANGE)),
        stewards=frozenset(random.sample(people, random.choice((0, 1, 1, 2, 2)))),
        deputies_see_private=random.random() < 0.7,
    )


def _units(random: Random, people: list[str]) -> tuple[Unit, ...]:
    """Return a forest of units, no deeper than `DEEPEST`, some of them headed."""
    depths: dict[str, int] = {}
    found: list[Unit] = []
    for number in range(UNITS):
        above = random.choice([None, *(id for id, depth in depths.items() if depth < DEEPEST)])
        id = f"x{number}"
        depths[id] = 1 if above is None else depths[above] + 1
        found.append(Unit(id, above, random.choice(people) if random.random() < 0.75 else None))
    return tuple(found)


def _user(random: Random, id: str, units: list[str]) -> User:
    return User(id, tuple(random.sample(units, random.choice((0, 1, 1, 1, 2, 3)))), random.random() < 0.88)


def _organisations(random: Random) -> tuple[Organisation, ...]:
    found: list[Organisation] = []
    for number in range(ORGANISATIONS):
        above = random.choice(found).id if found and random.random() < 0.85 else None
        found.append(Organisation(f"o{number}", above, random.random() < 0.42))
    return tuple(found)


def _assignments(
    random: Random, people: list[str], organisations: tuple[Organisation, ...], today: date
) -> list[Assignment]:
    """Return a manager for most accounts, deputies for private ones, and some more in any role."""
    found = []
    for account in organisations:
        roles = [MANAGER] if random.random() < 0.85 else []
        roles += [DEPUTY] if account.private else []
        found += [_assignment(random, people, account.id, role, today) for role in roles]
    for _ in range(20):
        role = random.choice((DEPUTY, DEPUTY, DEPUTY, TEAM, TEAM, TEAM, EXTRA_ROLE))
        found.append(_assignment(random, people, random.choice(organisations).id, role, today))
    return found


def _assignment(random: Random, people: list[str], account: str, role: str, today: date) -> Assignment:
    return Assignment(random.choice(people), account, role, random.random() < 0.25, _span(random, today))


def _grant(random: Random, people: list[str], units: list[str], accounts: list[str], today: date) -> Grant:
    kind = random.choice(("user",) * 19 + ("unit",) * 8 + ("everyone",) * 3)
    principal = None if kind == "everyone" else random.choice(people if kind == "user" else units)
    covers = random.random() < 0.36
    return Grant(kind, principal, random.choice(accounts), random.choice(RIGHTS), covers, _span(random, today))


def _substitutions(random: Random, people: list[str], today: date) -> list[Substitution]:
    """Return deputies for some, and a deputy for a deputy."""
    found = []
    for _ in range(random.choice((3, 4, 5))):
        absent, deputy, next_one = random.sample(people, 3)
        found.append(Substitution(absent, deputy, _span(random, today)))
        if random.random() < 0.4:
            found.append(Substitution(deputy, next_one, _span(random, today)))
    return found


def _glasses(
    random: Random, people: list[str], policy: Policy, organisations: tuple[Organisation, ...], now: datetime
) -> list[Glass]:
    """Return glass broken on private accounts by stewards, and (before they were none any more) by others."""
    found = []
    for account in organisations:
        if account.private:
            askers = [*sorted(policy.stewards), random.choice(people)]
            found += [Glass(user, account.id, *_moments(random, now)) for user in askers]
    return found


def _moments(random: Random, now: datetime) -> tuple[datetime, datetime]:
    """Return from and until: mostly open, also at their very ends, or over."""
    hour = 60 * MINUTE
    return random.choice(
        (
            (now - hour, now + MINUTE),
            (now - hour, now + MINUTE),
            (now - 30 * MINUTE, now + 30 * MINUTE),
            (now - 30 * MINUTE, now + 30 * MINUTE),
            (now, now + hour),
            (now, now + hour),
            (now - hour, now),
            (now + MINUTE, now + hour),
        )
    )


def _span(random: Random, today: date) -> Span:
    """Return days around today: in force three times of four, also on the very first and last day."""
    yesterday, tomorrow = today - timedelta(days=1), today + timedelta(days=1)
    past = today - timedelta(days=40)
    good = ((None, None), (past, None), (past, today), (today, None), (today, today), (yesterday, tomorrow))
    bad = ((past, yesterday), (None, yesterday), (tomorrow, None), (tomorrow, tomorrow))
    return Span(*random.choice(good if random.random() < 0.8 else bad))
