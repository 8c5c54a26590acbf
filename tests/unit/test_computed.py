"""Computed notes beside the dated cases: what the host sets, and what the notes carry for a translation."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

import keyaccount as ka
from keyaccount.terminal import card_text

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
EUROS = ka.Money(100, "EUR")


def contract(id: str, kind: str, ends_on: date) -> ka.Contract:
    """Make a contract that began with 2026."""
    start = date(2026, 1, 1)
    return ka.Contract(id, "acme", kind=kind, signed_on=start, starts_on=start, ends_on=ends_on)


# 21 November and 60 days are 20 January 2027, and 90 days 19 February
@pytest.mark.parametrize(
    ("lead", "found"),
    [(60, ("a",)), (90, ("a", "b")), ({"hosting": 90}, ("a", "b")), ({"maintenance": 90}, ("a",)), (59, None)],
)
def test_the_renewal_window_opens_with_the_alert(lead: Any, found: tuple[str, ...] | None) -> None:
    """The lead that the host sets, for all contracts or by kind, says from when on a contract is to be renewed."""
    book = ka.open(clock=lambda: NOW, lead=lead)
    office = book.trusted("test")
    office.put(
        ka.Organisation("acme", name="ACME"),
        contract("a", "maintenance", date(2027, 1, 20)),
        contract("b", "hosting", date(2027, 2, 19)),
    )
    notes: dict[Any, Any] = {note.code: note.params for note in office.notes(organisation="acme", context="crm")}
    assert notes.get("renewal-window", {}).get("contract_ids") == found


def test_what_they_carry() -> None:
    """Each note carries the ids, sums and days that its text tells, as values."""
    office = ka.open(clock=lambda: NOW).trusted("test")
    office.put(
        ka.Organisation("acme", name="ACME"),
        contract("c", "maintenance", date(2026, 12, 31)),
        ka.Link("p", "acme", kind="project"),
        ka.Order("o", "acme", ordered_on=date(2026, 11, 1), lines=(ka.Line("x", unit_price=EUROS),) * 2),
        ka.Invoice("i", "acme", issued_on=date(2026, 9, 1), due_on=date(2026, 10, 1), net=EUROS),
    )
    assert {note.code: dict(note.params) for note in office.notes(organisation="acme", context="crm")} == {
        "renewal-window": {"contract_ids": ("c",), "ends": date(2026, 12, 31), "notice_by": date(2026, 12, 31)},
        "overdue-invoices": {"invoice_ids": ("i",), "open": (EUROS,), "since": date(2026, 10, 1), "disputed": 0},
        "open-contracts": {"contract_ids": {"maintenance": ("c",)}},
        "open-projects": {"link_ids": ("p",)},
        "open-orders": {"items": 2, "order_ids": ("o",)},
    }


def test_what_a_note_is_about_by_its_day() -> None:
    """A note about an invoice that was paid on the very day it was issued was never seen."""
    office = ka.open(clock=lambda: NOW).trusted("test")
    paid = ka.Payment(date(2026, 11, 1), EUROS)
    office.put(
        ka.Organisation("acme", name="ACME"),
        ka.Invoice("i", "acme", issued_on=date(2026, 11, 1), net=EUROS, payments=(paid,)),
        ka.ServiceNote("n", "acme", about=ka.Reference("Invoice", "i")),
    )
    assert len(office.notes(organisation="acme", context="crm", on=date(2026, 11, 1))) == 0


@pytest.mark.parametrize("returned", ["a text", ["a text"], [5, ka.ComputedNote("kept")], [None]])
def test_what_is_no_note_is_a_failure(returned: object, caplog: pytest.LogCaptureFixture) -> None:
    """A provider that returns something else than computed notes has failed, and says so beside those it has."""
    with ka.open(providers=[ka.Provider("stock", lambda _sight, _subject: returned)]) as book:  # type: ignore[arg-type,return-value]
        office = book.trusted("test")
        office.put(ka.Organisation("acme", name="ACME"))
        shown = office.notes(organisation="acme", context="crm")
    assert [note.code for note in shown if note.severity == ka.Severity.WARNING] == ["provider-failed"]
    assert [note.text for note in shown] == ["provider stock failed", "kept"][: len(shown)]
    assert ("kept" in [note.text for note in shown]) == (returned == [5, ka.ComputedNote("kept")])
    assert "returned what is no ComputedNote" in caplog.text


def test_a_card_tells_the_status() -> None:
    """What the account is among the key accounts on the day stands on the card: of several the one that began last."""
    office = ka.open(clock=lambda: NOW).trusted("test")
    office.put(ka.Organisation("acme", name="ACME"), ka.Organisation("other", name="Other"), ka.Contact("k", name="K"))
    office.put(ka.Position(contact_id="k", organisation_id="acme"))
    office.put(
        ka.KeyAccountStatus("a", "acme", status="candidate", valid_until=date(2026, 11, 20)),
        ka.KeyAccountStatus("c", "acme", status="key", valid_from=date(2026, 11, 21)),
        ka.KeyAccountStatus("b", "acme", status="former", valid_from=date(2026, 11, 25)),
    )
    told = {
        day: office.card(organisation="acme", context="crm", on=date(2026, 11, day)).status for day in (20, 21, 24, 25)
    }
    assert told == {20: "candidate", 21: "key", 24: "key", 25: "former"}
    card = office.card(contact="k", context="crm")
    assert (card.status, card.to_dict()["status"]) == ("key", "key")
    assert "status                   key account\n" in card_text(card)
    assert office.card(organisation="other", context="crm").status is None
