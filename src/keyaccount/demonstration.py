"""A small, realistic company to try things on."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

from keyaccount.book import Book, open
from keyaccount.model.activities import Activity
from keyaccount.model.commerce import Invoice, Line, Order, Payment, Product
from keyaccount.model.contacts import Contact, Position
from keyaccount.model.contracts import Contract
from keyaccount.model.entity import Entity
from keyaccount.model.links import Link
from keyaccount.model.notes import NoteCategory, ServiceNote, Severity
from keyaccount.model.organisations import Address, Organisation
from keyaccount.model.organogram import Unit, User
from keyaccount.model.rights import DEPUTY, KEY_ACCOUNT_MANAGER, TEAM_MEMBER, Assignment, Grant, Right, unit
from keyaccount.model.terms import months
from keyaccount.money import Money

MOMENT = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
"""The demo's clock stands still: Monday 23 November 2026, half past nine in Berlin."""


def demo() -> Book:
    """Return a book in memory: a sales organisation, a holding with subsidiaries, a private account, people and notes.

    Two users see different things: Volker ("volker") manages ACME and the shielded Nimbus; Carla ("carla") works in
    purchasing and sees neither Nimbus nor what is only for sales. Its clock stands at `MOMENT`.

    >>> book = demo()
    >>> book.desk("volker").caller("+49 89 1234-567").name
    'Ingo Prospect'
    >>> book.desk("carla").caller("+49 40 555 0100") is None
    True
    """
    book = open(region="DE", zone="Europe/Berlin", clock=lambda: MOMENT)
    office = book.trusted("demo")
    with office.transaction(why="the demo company"):
        office.put(*_us(), *_them(), *_people(), *_rights(), *_notes(), *_activities(), *_business())
    return book


def _us() -> list[Entity]:
    return [
        Unit("sales", name="Sales", head_id="sophie"),
        Unit("dach", name="Sales DACH", parent_id="sales"),
        Unit("purchasing", name="Purchasing"),
        User("sophie", name="Sophie Sander", unit_ids=("sales",), email="sophie@example.com"),
        User("volker", name="Volker Vorstand", unit_ids=("dach",), email="volker@example.com"),
        User("dora", name="Dora Deputy", unit_ids=("dach",), email="dora@example.com"),
        User("carla", name="Carla Castell", unit_ids=("purchasing",), email="carla@example.com"),
    ]


def _place(town: str, street: str, postcode: str, country: str = "DE") -> tuple[Address, ...]:
    return (Address(lines=(street,), postcode=postcode, town=town, country=country),)


def _them() -> list[Entity]:
    return [
        Organisation(
            "acme-holding",
            name="ACME Holding SE",
            sector="chemicals",
            phones=("+49 89 1000-0",),
            addresses=_place("München", "Leopoldstr. 1", "80802"),
        ),
        Organisation(
            "acme",
            name="ACME AG",
            parent_id="acme-holding",
            sector="chemicals",
            phones=("+49 89 1234-0",),
            emails=("info@acme.example",),
            website="https://acme.example",
            addresses=_place("München", "Rosenheimer Str. 5", "81667"),
        ),
        Organisation(
            "acme-at",
            name="ACME Austria GmbH",
            parent_id="acme-holding",
            sector="chemicals",
            phones=("01 58858-0",),
            addresses=_place("Wien", "Operngasse 11", "1040", "AT"),
        ),
        Organisation(
            "globex",
            name="Globex S.p.A.",
            sector="logistics",
            phones=("06 6982 0001",),
            addresses=_place("Roma", "Via Appia 12", "00179", "IT"),
        ),
        Organisation(
            "nimbus",
            name="Nimbus Biotech GmbH",
            private=True,
            sector="pharma",
            phones=("+49 40 555 0100",),
            addresses=_place("Hamburg", "Speicherstadt 3", "20457"),
        ),
    ]


def _people() -> list[Entity]:
    return [
        Contact("ingo", name="Ingo Prospect", salutation="Herr", vip=True, language="de"),
        Contact("petra", name="Petra Schulz", salutation="Frau", language="de"),
        Contact("dana", name="Dana Datenschutz", phones=("0170 1234567",)),
        Contact("mara", name="Mara Nimbus", language="de"),
        Position("ingo-acme", "ingo", "acme", title="Head of Purchasing", phones=("089 1234 567",), main=True),
        Position("petra-acme", "petra", "acme", title="Accounts payable", role="invoices", phones=("089 1234 110",)),
        Position(
            "dana-acme",
            "dana",
            "acme",
            title="Data protection officer",
            role="data protection officer",
            employed=False,
            phones=("089 1234 911",),
        ),
        Position("dana-nimbus", "dana", "nimbus", title="Head of Legal", phones=("+49 40 555 0110",)),
        Position("mara-nimbus", "mara", "nimbus", title="Chief executive", phones=("+49 40 555 0101",), vip=True),
    ]


def _rights() -> list[Entity]:
    start = date(2024, 1, 1)
    return [
        Assignment(
            "kam-holding",
            "volker",
            "acme-holding",
            role=KEY_ACCOUNT_MANAGER,
            covers_subsidiaries=True,
            valid_from=start,
        ),
        Assignment("kam-nimbus", "volker", "nimbus", role=KEY_ACCOUNT_MANAGER, valid_from=start),
        Assignment("deputy-acme", "dora", "acme", role=DEPUTY, valid_from=start),
        Assignment("kam-globex", "sophie", "globex", role=KEY_ACCOUNT_MANAGER, valid_from=start),
        Assignment("team-globex", "dora", "globex", role=TEAM_MEMBER, valid_from=date(2025, 6, 1)),
        Grant("sales-globex", "globex", unit("sales"), Right.CHANGE),
    ]


def _notes() -> list[Entity]:
    written = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    return [
        NoteCategory("payment", contexts=("documents", "phone")),
        NoteCategory("address", contexts=("documents", "delivery")),
        NoteCategory("promise", contexts=("crm", "service")),
        ServiceNote(
            "pays-late",
            "acme",
            text="Only pays after dunning level 2",
            category="payment",
            severity=Severity.WARNING,
            created_by="volker",
            created_at=written,
        ),
        ServiceNote(
            "address-schulz",
            "acme",
            text="Postal address differs: always address to Ms Schulz",
            category="address",
            created_by="volker",
            created_at=written,
        ),
        ServiceNote(
            "no-delivery",
            "acme-holding",
            text="No deliveries to any ACME company until the frame contract is signed",
            contexts=("delivery",),
            severity=Severity.STOP,
            for_subsidiaries=True,
            created_at=written,
        ),
        ServiceNote(
            "for-sales",
            "acme",
            text="Negotiating the frame contract: refer price questions to Volker",
            severity=Severity.INFO,
            audience_unit_ids=("sales",),
            created_at=written,
        ),
        ServiceNote("likes-tea", contact_id="ingo", text="Prefers calls before ten", contexts=("phone", "crm")),
        ServiceNote(
            "dana-at-acme",
            "acme",
            "dana",
            text="Signs data processing agreements for ACME",
            contexts=("crm", "documents"),
        ),
    ]


def _activities() -> list[Entity]:
    return [
        Activity(
            "visit-october",
            "acme",
            ("ingo",),
            kind="visit",
            at=datetime(2026, 10, 14, 12, 0, tzinfo=UTC),
            by_id="volker",
            subject="Plant tour",
        ),
        Activity(
            "call-november",
            "acme",
            ("ingo",),
            kind="call",
            direction="out",
            at=datetime(2026, 11, 12, 9, 15, tzinfo=UTC),
            by_id="volker",
            subject="Frame contract",
            follow_up_on=date(2026, 11, 20),
        ),
        Activity(
            "visit-globex",
            "globex",
            kind="meeting",
            at=datetime(2026, 9, 1, 8, 0, tzinfo=UTC),
            by_id="sophie",
            subject="Yearly review",
            follow_up_on=date(2026, 12, 1),
        ),
    ]


def _business() -> list[Entity]:
    return [*_contracts(), *_documents(), *_pointers()]


def _contracts() -> list[Entity]:
    return [
        Contract(
            "maintenance-pumps",
            "acme",
            number="M-1042",
            title="Maintenance pumps",
            kind="maintenance",
            signed_on=date(2024, 3, 12),
            starts_on=date(2024, 4, 1),
            ends_on=date(2027, 3, 31),
            value=_euros(24_000),
            notice=months(3),
        ),
        Contract(
            "maintenance-valves",
            "acme",
            number="M-1077",
            title="Maintenance valves",
            kind="maintenance",
            signed_on=date(2025, 12, 3),
            starts_on=date(2026, 1, 1),
            ends_on=date(2028, 12, 31),
            value=_euros(750),
            value_per="month",
            notice=months(6),
        ),
        Contract(
            "hosting",
            "acme",
            number="H-7",
            title="Hosting of the order portal",
            kind="hosting",
            signed_on=date(2025, 6, 20),
            starts_on=date(2025, 7, 1),
            ends_on=date(2026, 6, 30),
            value=_euros(310),
            value_per="month",
            notice=months(1),
            renewal_term=months(12),
        ),
    ]


def _documents() -> list[Entity]:
    seal, pump = Line("seal", quantity=Decimal(40), unit_price=_euros("18.50")), Line("pump", unit_price=_euros(4_200))
    return [
        Product("pump", name="Pump P 20", category="pumps", list_price=_euros(4_500)),
        Product("seal", name="Seal kit", category="spare parts", list_price=_euros("18.50")),
        Order("order-october", "acme", number="4711", ordered_on=date(2026, 10, 5), state="invoiced", lines=(pump,)),
        Order("order-november", "acme", number="4790", ordered_on=date(2026, 11, 16), lines=(pump, seal)),
        Invoice(
            "invoice-september",
            "acme",
            number="2026-0891",
            issued_on=date(2026, 9, 2),
            due_on=date(2026, 10, 2),
            net=_euros(6_000),
            gross=_euros(7_140),
            payments=(Payment(date(2026, 10, 12), _euros(4_000)),),
            dunning_level=1,
        ),
        Invoice(
            "invoice-october",
            "acme",
            number="2026-0960",
            issued_on=date(2026, 10, 14),
            due_on=date(2026, 11, 13),
            net=_euros(4_200),
            gross=_euros(4_998),
        ),
    ]


def _pointers() -> list[Entity]:
    return [
        Link("project-filling-line", "acme", kind="project", reference="P-88", title="New filling line"),
        Link("ticket-leak", "acme", kind="ticket", title="Pump 7 leaks", dated_on=date(2026, 11, 19)),
        Link("ticket-manual", "acme", kind="ticket", title="Manual missing", state="closed"),
        Link("task-offer", "acme", kind="task", title="Offer for the frame contract", dated_on=date(2026, 11, 20)),
    ]


def _euros(amount: int | str) -> Money:
    return Money(Decimal(amount), "EUR")
