"""Customers with a ledger to measure on: each with invoices over five years, orders, contracts, calls, plans."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import keyaccount as ka
from keyaccount.model.entity import Entity

ON = date(2026, 11, 23)
ORDERS, CALLS, USERS = 10, 5, 50
DAYS = 5 * 365
_CENTS, CURRENCY = 2_000_000, "EUR"


def clock() -> datetime:
    """Tell the same moment each time."""
    return datetime.combine(ON, datetime.min.time(), UTC)


def account(n: int) -> str:
    """Return the id of an account."""
    return f"K-{n:06d}"


def opened(path: Path, *, closed: bool = False) -> ka.Book:
    """Open a file; under a closed policy a user reads what is assigned."""
    return ka.open(path, clock=clock, policy=ka.AccessPolicy(default=None if closed else ka.Right.READ))


def made(folder: Path, accounts: int, invoices: int = 100) -> Path:
    """Make the file of so many accounts with so many invoices each, where it is not there yet.

    A million invoices take some minutes. About one invoice of an account was never paid, however many it has.
    """
    target = folder / f"ledger-{accounts}-{invoices}.sqlite"
    if not target.exists():
        unfinished = target.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        with ka.open(unfinished, clock=clock) as book:
            office = book.trusted("benchmark")
            office.put(*(ka.User(f"p{n}", name=f"Person {n}") for n in range(USERS)))
            office.put_many(_records(accounts, invoices))
        unfinished.rename(target)
    return target


def _records(accounts: int, invoices: int) -> Iterator[Entity]:
    dice = random.Random(accounts)  # noqa: S311 - a world for measuring, no secret
    for n in range(accounts):
        yield ka.Organisation(account(n), name=f"Customer {n}", sector=f"sector {n % 12}", private=n % 100 == 0)
        yield ka.Assignment(f"m-{n:06d}", f"p{n % USERS}", account(n))
    for n in range(accounts):
        yield from _around(n, invoices, dice)


def _around(n: int, invoices: int, dice: random.Random) -> Iterator[Entity]:
    """Yield what hangs on one account, in the order of their kinds."""
    yield from _contracts(n, dice)
    yield from (_invoice(n, each, invoices, dice) for each in range(invoices))
    yield from (_order(n, each, dice) for each in range(ORDERS))
    yield from (_call(n, each, dice) for each in range(CALLS))
    if n % 4 == 0:
        value = ka.Money.of_units(dice.randrange(_CENTS) * 100, CURRENCY)
        expected = ON + timedelta(dice.randrange(-30, 200))
        yield ka.Opportunity(
            f"d-{n:06d}", organisation_id=account(n), title="More", kind="upsell", probability=Decimal("0.25"),
            value=value, expected_on=expected,
        )  # fmt: skip


def _contracts(n: int, dice: random.Random) -> Iterator[ka.Contract]:
    """Yield two years of service, which every other account prolonged: fixed terms, with three months' notice."""
    starts = ON - timedelta(dice.randrange(300, 900))
    for number in range(1 + n % 2):
        ends = starts + timedelta(729)
        yield ka.Contract(
            f"c-{n:06d}-{number}", organisation_id=account(n), number=f"C{n}/{number}", kind="service",
            signed_on=starts - timedelta(10), starts_on=starts, ends_on=ends, notice=ka.months(3),
            value=ka.Money.of_units(dice.randrange(1, _CENTS) * 100, CURRENCY), value_per="year",
            predecessor_ids=(f"c-{n:06d}-0",) if number else (),
        )  # fmt: skip
        starts = ends + timedelta(1)


def _invoice(n: int, each: int, of: int, dice: random.Random) -> ka.Invoice:
    """Return an invoice, every twentieth a credit note; the latest payments are still to come."""
    issued = ON - timedelta(dice.randrange(1, DAYS))
    net = ka.Money.of_units(dice.randrange(1, _CENTS) * 100, CURRENCY)
    paid = dice.random() >= 1 / of
    return ka.Invoice(
        f"i-{n:06d}-{each:05d}", organisation_id=account(n), number=f"R{n}/{each}",
        kind="credit note" if dice.random() < 0.05 else "invoice", issued_on=issued, due_on=issued + timedelta(30),
        net=net, payments=(ka.Payment(issued + timedelta(dice.randrange(20, 40)), net),) if paid else (),
    )  # fmt: skip


def _order(n: int, each: int, dice: random.Random) -> ka.Order:
    line = ka.Line("p", unit_price=ka.Money.of_units(dice.randrange(1, _CENTS) * 100, CURRENCY))
    ordered = ON - timedelta(dice.randrange(1, 480))
    state = "cancelled" if each == ORDERS - 1 else "delivered"
    return ka.Order(f"o-{n:06d}-{each}", organisation_id=account(n), ordered_on=ordered, state=state, lines=(line,))


def _call(n: int, each: int, dice: random.Random) -> ka.Activity:
    at = clock() - timedelta(minutes=dice.randrange(60, 700 * 1440))
    promised = None if n % 25 or each else ON - timedelta(1 + n % 60)
    return ka.Activity(
        f"a-{n:06d}-{each}", organisation_id=account(n), kind="call", connected=each < 3, at=at, by_id=f"p{n % USERS}",
        subject="Call", follow_up_on=promised,
    )  # fmt: skip
