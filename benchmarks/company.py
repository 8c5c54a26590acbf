"""A company to measure on: so many accounts, each with a manager, a note and an invoice; some with a contact."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import keyaccount as ka

USERS, UNITS, FEW = 50, 20, 60
TODAY = date(2026, 11, 23)
_STEP = 7_919  # a prime: neighbours by id are none by name, and whoever asks meets no row twice


def staff() -> list[ka.Unit | ka.User | ka.NoteCategory]:
    """Return units, three deep, and users; "few" manages the same few accounts in a company of any size."""
    units = [ka.Unit(f"u{n}", name=f"Unit {n}", parent_id=f"u{n // 3}" if n else None) for n in range(UNITS)]
    users = [ka.User(f"p{n}", name=f"Person {n}", unit_ids=(f"u{n % UNITS}",)) for n in range(USERS)]
    few = ka.User("few", name="Few", unit_ids=("u19",))
    return [*units, *users, few, ka.NoteCategory("payment", contexts=("documents",))]


def organisation(n: int, size: int) -> ka.Organisation:
    """Return the account of a number; every hundredth is private."""
    return ka.Organisation(
        organisation_id(n),
        name=f"Company {n * _STEP % size:07d}",
        sector=f"sector {n % 12}",
        currency="EUR",
        phones=(number(n),),
        emails=(f"office@company{n}.example",),
        addresses=(
            ka.Address(lines=(f"Street {n % 300}",), postcode=f"{n % 100_000:05d}", town="Berlin", country="DE"),
        ),
        refs={"erp": f"res.partner/{n}"},
        private=n % 100 == 0,
    )


def organisation_id(n: int) -> str:
    """Return the id of an account."""
    return f"o{n:07d}"


def number(n: int) -> str:
    """Return the telephone number of an account."""
    return f"+49 30 {n + 10_000_000}"


def organisations(size: int) -> Iterator[ka.Organisation]:
    """Yield all accounts."""
    return (organisation(n, size) for n in range(size))


def assignments(size: int) -> Iterator[ka.Assignment]:
    """Yield who manages what: each user a fiftieth of all, and "few" a few beside."""
    for n in range(size):
        yield ka.Assignment(f"m{n:07d}", f"p{n % USERS}", organisation_id(n))
    for n in range(min(FEW, size)):
        yield ka.Assignment(f"f{n:07d}", "few", organisation_id(n * (size // min(FEW, size))), role=ka.TEAM_MEMBER)


def around(size: int) -> Iterator[ka.Contact | ka.Position | ka.ServiceNote | ka.Invoice]:
    """Yield a note and an invoice, over five years, for each account, and a contact for every tenth."""
    for n in range(size):
        own = organisation_id(n)
        issued = TODAY - timedelta(days=n * _STEP % 1_825)
        yield ka.ServiceNote(f"n{n:07d}", organisation_id=own, text="Pays after dunning level 2", category="payment")
        yield ka.Invoice(
            f"i{n:07d}",
            organisation_id=own,
            number=f"R-{n}",
            issued_on=issued,
            due_on=issued + timedelta(days=30),
            net=ka.Money(100 + n % 900, "EUR"),
        )
        if n % 10 == 0:
            yield ka.Contact(f"c{n:07d}", name=f"Somebody {n * _STEP % size}")
            yield ka.Position(f"s{n:07d}", contact_id=f"c{n:07d}", organisation_id=own, title="Buyer")
