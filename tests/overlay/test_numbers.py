"""Over a host whose keys are whole numbers, desks answer as they do over records in memory."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

import keyaccount as ka
from keyaccount.model.entity import Entity
from keyaccount.storage import Storage
from keyaccount.storage.memory import MemoryStorage
from overlay.hosted import HOST_KINDS, hosted, served

ON = dt.date(2026, 11, 23)
CLOCK = dt.datetime(2026, 11, 23, 9, tzinfo=dt.UTC)
NAMES = ("ACME AG", "acme ag", "Straße", "STRASSE", "Österreich", "Zoo", "İ", "100% %")
KINDS: list[type[Entity]] = [
    ka.User, ka.Organisation, ka.Contact, ka.Position, ka.Order, ka.Contract, ka.Invoice, ka.Activity,
]  # fmt: skip


def company(seed: int) -> Iterator[Entity]:
    """Make a company whose ids are numbers: accounts in a tree, people, contracts, orders, invoices, visits."""
    r = Random(seed)  # noqa: S311 - a world, no secret
    organisations, people = [str(n) for n in r.sample(range(1, 200), 12)], [str(n) for n in r.sample(range(1, 99), 6)]
    for n in range(1, 5):
        yield ka.User(str(n), name=f"User {n}", active=n != 4)
    for n, id in enumerate(organisations):
        parent = r.choice(organisations[:n]) if n and r.random() < 0.5 else None
        phones = (f"+49 89 {r.randint(10**6, 10**7)}",) if r.random() < 0.7 else ()
        yield ka.Organisation(id, name=r.choice(NAMES), parent_id=parent, phones=phones, currency="EUR")
    for id in people:
        yield ka.Contact(id, name=r.choice(NAMES))
        yield ka.Position(str(int(id) + 500), contact_id=id, organisation_id=r.choice(organisations), title="Buyer")
    for n in range(30):
        home, on = r.choice(organisations), ON - dt.timedelta(r.randint(0, 500))
        net = ka.Money(r.choice(["0.1", "19.99", "1234.5"]), "EUR")
        yield ka.Invoice(
            str(n + 1), organisation_id=home, issued_on=on, due_on=on + dt.timedelta(30), net=net,
            payments=(ka.Payment(on, net),) if r.random() < 0.4 else (),
        )  # fmt: skip
        yield ka.Order(str(n + 1), organisation_id=home, ordered_on=on, lines=(ka.Line("p", unit_price=net),))
        yield ka.Contract(
            str(n + 1), organisation_id=home, signed_on=on, starts_on=on, ends_on=on + dt.timedelta(400), value=net
        )
        at = dt.datetime.combine(on, dt.time(9), dt.UTC)
        yield ka.Activity(str(n + 1), organisation_id=home, contact_ids=(r.choice(people),), kind="visit", at=at)
    for n, id in enumerate(organisations):
        manager = str(r.randint(1, 3))
        yield ka.Assignment(f"a-{n}", manager, id, role=ka.KEY_ACCOUNT_MANAGER, covers_subsidiaries=r.random() < 0.3)


def answers(desk: ka.Desk) -> Iterator[tuple[str, Any]]:
    """Yield what a desk answers."""
    for kind in KINDS:
        rows = list(desk.find(kind))
        yield f"find {kind.__name__}", rows
        yield f"count {kind.__name__}", desk.count(kind)
        for row in rows[:4]:
            yield f"get {kind.__name__}", desk.get(kind, row.key)
    for row in desk.find(ka.Organisation):
        yield "by account", [list(desk.find(kind, organisation_id=row.id)) for kind in KINDS[4:]]
        yield "children", list(desk.find(ka.Organisation, parent_id=row.id))
        yield "calls", [desk.caller(number) for number in row.phones]
        yield "card", desk.card(organisation=row.id, context="crm")
    for name in NAMES:
        yield "name", list(desk.find(ka.Organisation, name=name, order="name"))
        yield "search", desk.search(name[:3])
    yield "names", list(desk.find(ka.Organisation, order="-name", limit=5))
    yield "overdue", desk.billing.overdue(on=ON)
    yield "growth", desk.portfolio.growth(on=ON)
    yield "health", desk.health_check(on=ON)
    if "trusted" not in repr(desk):
        yield "mine", desk.mine()


def compare(make: Callable[[], Storage], seed: int, users: Sequence[str | None] = (None, "1", "2", "3")) -> None:
    """Ask desks over both storages the same."""
    books = []
    for storage in (MemoryStorage(), make()):
        policy = ka.AccessPolicy(default=None if seed % 2 else ka.Right.READ)
        book = ka.Book(storage, policy=policy, region="DE", clock=lambda: CLOCK)
        office, rows = book.trusted("load"), list(company(seed))
        with office.transaction():
            for row in rows:
                office.put(row)
            for row in rows[4:16:3]:
                office.people.make_private(row.key)
        books.append(book)
    for user in users:
        desks = [book.trusted("look") if user is None else book.desk(user) for book in books]
        for one, other in zip(*map(answers, desks), strict=True):
            assert one == other, (seed, user)
    for book in books:
        book.close()


@pytest.mark.parametrize("seed", range(2))
def test_desks_answer_as_over_memory(seed: int, tmp_path: Path) -> None:
    """Whatever a user asks, the answer over the host's tables is the one over the same records in memory."""
    compare(hosted(tmp_path, kinds=(*HOST_KINDS, "Invoice"), numbers=True), seed)


def test_desks_answer_as_over_memory_on_a_server() -> None:
    """So it is where the host's tables stand in PostgreSQL, with its own types of columns."""
    compare(served(kinds=(*HOST_KINDS, "Invoice"), numbers=True), 1, (None, "1"))
