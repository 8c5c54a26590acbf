"""The control panel: counts, what of it is open, and the newest few of everything that hangs on an account."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

import keyaccount as ka
from keyaccount.model.sales import Opportunity
from keyaccount.panel import plural

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TODAY = NOW.date()
EUROS = ka.Money(100, "EUR")
SHIPPED = [
    *("contacts", "activities", "notes", "contracts", "orders", "invoices", "opportunities"),
    *("tasks", "issues", "projects", "tickets", "documents"),
]


def book(*records: Any, **policy: Any) -> ka.Book:
    """Open a book with two companies and two users, and what is given."""
    found = ka.open(clock=lambda: NOW, policy=ka.AccessPolicy(**policy))
    found.trusted("test").put(
        ka.User("volker", name="V"),
        ka.User("carla", name="C"),
        ka.Organisation("acme", name="ACME AG"),
        ka.Organisation("globex", name="Globex"),
        *records,
    )
    return found


def panel(*records: Any, on: date | None = None) -> Any:
    """Return the panel of ACME at a trusted desk."""
    return book(*records).trusted("test").panel("acme", on=on)


def person(id: str, organisation: str = "acme", **dated: Any) -> tuple[ka.Contact, ka.Position]:
    """Make somebody with a position."""
    return ka.Contact(id, name=id.title()), ka.Position(f"{id}-{organisation}", id, organisation, **dated)


def invoice(id: str, paid_on: date | None = None, **more: Any) -> ka.Invoice:
    """Make an invoice of 100 euros of October, paid on a day or not."""
    payments = () if paid_on is None else (ka.Payment(paid_on, EUROS),)
    return ka.Invoice(id, "acme", issued_on=date(2026, 10, 1), net=EUROS, payments=payments, **more)


def test_an_empty_account() -> None:
    """Every shipped key is there, with 0, where nothing hangs on an account."""
    found = panel()
    assert found.organisation.id == "acme"
    assert dict(found.counts) == dict.fromkeys(SHIPPED, 0)
    assert list(found.counts) == SHIPPED
    assert dict(found.open_counts) == dict.fromkeys([k for k in SHIPPED if k not in ("contacts", "notes")], 0)
    assert dict(found.latest) == dict.fromkeys(SHIPPED, ())


def test_everything_is_counted() -> None:
    """Records and links are counted by what they are, open ones apart; those of another account are not."""
    found = panel(
        *person("ingo"),
        *person("dana", role="invoices", employed=False),
        *person("nina", "globex"),
        ka.Activity("done", "acme", kind="call", at=NOW, follow_up_on=TODAY, done_at=NOW),
        ka.Activity("due", "acme", kind="call", at=NOW, follow_up_on=TODAY),
        ka.Activity("met", "acme", kind="call", at=NOW),
        ka.Activity("elsewhere", "globex", kind="call", at=NOW, follow_up_on=TODAY),
        ka.ServiceNote("n", "acme", text="x"),
        ka.ServiceNote("m", "acme", "ingo", text="x"),
        ka.ServiceNote("of ingo", contact_id="ingo", text="x"),
        ka.Order("o1", "acme", ordered_on=TODAY),
        ka.Order("o2", "acme", ordered_on=TODAY, state="delivered"),
        invoice("i1"),
        invoice("i2", date(2026, 11, 1)),
        *(ka.Link(f"t{n}", "acme", kind="ticket", state="closed" if n else "open") for n in range(3)),
        ka.Link("w", "acme", kind="warranty"),
        Opportunity("p1", "acme"),
        Opportunity("p2", "acme", state="won", closed_on=TODAY),
        ka.Link("p3", "acme", kind="opportunity"),
        ka.Link("x", "globex", kind="task"),
    )
    counted = {key: (count, found.open_counts.get(key)) for key, count in found.counts.items() if count}
    assert counted == {
        "contacts": (2, None),
        "activities": (3, 1),
        "notes": (2, None),
        "orders": (2, 1),
        "invoices": (2, 1),
        "opportunities": (3, 2),
        "tickets": (3, 1),
        "warranties": (1, 1),
    }
    assert list(found.counts) == [*SHIPPED, "warranties"]


@pytest.mark.parametrize(
    ("on", "contacts"),
    [(date(2026, 11, 20), 1), (date(2026, 11, 21), 2), (date(2026, 12, 31), 2), (date(2027, 1, 1), 1)],
)
def test_contacts_are_people_in_office(on: date, contacts: int) -> None:
    """A person with a position in force on the day counts, once; who left, or has not begun, does not."""
    found = panel(
        *person("ingo", valid_from=TODAY, valid_until=date(2026, 12, 31)),
        *person("dana"),
        ka.Position("again", "dana", "acme", title="Also"),
        on=on,
    )
    assert found.counts["contacts"] == contacts
    assert len(found.latest["contacts"]) == contacts


@pytest.mark.parametrize(("on", "open_then"), [(date(2026, 11, 30), 3), (date(2026, 12, 31), 3), (date(2027, 1, 1), 2)])
def test_contracts_are_open_to_their_last_day(on: date, open_then: int) -> None:
    """A contract is open up to its last day, that day included; one that goes on is; one that is to begin is."""
    start = date(2026, 1, 1)
    found = panel(
        ka.Contract("ends", "acme", signed_on=start, starts_on=start, ends_on=date(2026, 12, 31)),
        ka.Contract("goes on", "acme", signed_on=start, starts_on=start),
        ka.Contract("to come", "acme", signed_on=start, starts_on=date(2028, 1, 1)),
        ka.Contract("over", "acme", signed_on=start, starts_on=start, ends_on=date(2026, 6, 30)),
        on=on,
    )
    assert (found.counts["contracts"], found.open_counts["contracts"]) == (4, open_then)


@pytest.mark.parametrize(("on", "open_then"), [(date(2026, 10, 31), 2), (date(2026, 11, 1), 1), (TODAY, 1)])
def test_invoices_are_open_until_they_are_paid(on: date, open_then: int) -> None:
    """An invoice is open at the end of the day before it was paid, and not on the day."""
    found = panel(invoice("i1", date(2026, 11, 1)), invoice("i2"), on=on)
    assert (found.counts["invoices"], found.open_counts["invoices"]) == (2, open_then)


def test_the_newest_stand_first() -> None:
    """The newest five of each are shown, by their own day; links without a day come after those with one."""
    days = [TODAY - timedelta(n) for n in (3, 1, 6, 2, 0, 5, 4)]
    found = panel(
        *(record for n, day in enumerate(days) for record in person(f"c{n}", valid_from=day)),
        *person("ever"),
        *(ka.Activity(f"a{n}", "acme", kind="call", at=NOW - timedelta(n)) for n in (2, 0, 1, 5, 4, 3)),
        *(ka.Order(f"o{n}", "acme", ordered_on=day) for n, day in enumerate(days)),
        *(ka.Link(f"t{n}", "acme", kind="task", dated_on=day) for n, day in enumerate(days[:3])),
        *(ka.Link(f"u{n}", "acme", kind="task") for n in range(3)),
    )
    latest = {key: [row.key for row in rows] for key, rows in found.latest.items() if rows}
    assert latest == {
        "contacts": ["c4", "c1", "c3", "c0", "c6"],
        "activities": ["a0", "a1", "a2", "a3", "a4"],
        "orders": ["o4", "o1", "o3", "o0", "o6"],
        "tasks": ["t1", "t0", "t2", "u2", "u1"],
    }


def test_links_to_what_is_also_a_record() -> None:
    """Links to orders the host keeps are counted with the orders kept here; kinds with one plural are one."""
    found = panel(
        ka.Order("o", "acme", ordered_on=TODAY),
        ka.Link("l", "acme", kind="order", state="closed"),
        ka.Link("t1", "acme", kind="task", dated_on=date(2026, 1, 1)),
        ka.Link("t2", "acme", kind="tasks", dated_on=date(2026, 1, 2)),
    )
    assert (found.counts["orders"], found.open_counts["orders"], found.counts["tasks"]) == (2, 1, 2)
    assert [row.key for row in found.latest["orders"]] == ["o", "l"]
    assert [row.key for row in found.latest["tasks"]] == ["t2", "t1"]


def test_it_shows_what_the_desk_may_read() -> None:
    """Of an account that cannot be read there is no panel; a note about something hidden is not counted."""
    found = book(
        ka.Organisation("vault", name="Vault", private=True),
        ka.Assignment("a", "volker", "vault"),
        ka.Activity("hidden", "vault", kind="call", at=NOW),
        ka.ServiceNote("n1", "acme", about=ka.Reference("Activity", "hidden")),
        ka.ServiceNote("n2", "acme", text="x"),
    )
    assert found.desk("volker").panel("acme").counts["notes"] == 2
    assert found.desk("carla").panel("acme").counts["notes"] == 1
    messages = []
    for id in ("vault", "nothing"):
        with pytest.raises(ka.NotFound) as caught:
            found.desk("carla").panel(id)
        messages.append(str(caught.value).replace(id, "…"))
    assert messages[0] == messages[1]


@pytest.mark.parametrize("wrong", [None, 5, ["acme"]])
def test_what_is_no_id(wrong: Any) -> None:
    """What is no id, or no day, is refused."""
    ask: Any = book().trusted("test").panel
    with pytest.raises(ka.ValidationError):
        ask(wrong)
    with pytest.raises(ka.ValidationError):
        ask("acme", on=wrong or "2026-11-21")


def test_it_is_plain_data() -> None:
    """A panel turns into plain JSON types, its records too."""
    found = panel(ka.Order("o", "acme", ordered_on=TODAY, lines=(ka.Line("p", Decimal(2), EUROS),))).to_dict()
    assert found["on"] == "2026-11-21"
    assert found["latest"]["orders"][0]["lines"][0]["unit_price"] == {"amount": "100.00", "currency": "EUR"}


@pytest.mark.parametrize(
    ("kind", "many"),
    [
        *(
            ("task", "tasks"),
            ("opportunity", "opportunities"),
            ("delay", "delays"),
            ("box", "boxes"),
            ("batch", "batches"),
        ),
        *(
            ("wish", "wishes"),
            ("loss", "losses"),
            ("documents", "documents"),
            ("y", "ys"),
            ("quiz", "quizes"),
            ("RMA", "RMAs"),
        ),
    ],
)
def test_plurals(kind: str, many: str) -> None:
    """A kind of link is counted under its plural."""
    assert plural(kind) == many
