"""Data quality: what a steward is shown, what is no flaw, and that nothing hidden is in it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

import keyaccount as ka
from keyaccount import data_quality as module
from keyaccount import phones
from keyaccount.model.entity import Entity

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LONG_AGO = date(2020, 1, 1)
EUROS = ka.Money(100, "EUR")


def book(*records: Entity, **policy: Any) -> ka.Book:
    """Open a book with two users, and what is given."""
    found = ka.open(region="DE", clock=lambda: NOW, policy=ka.AccessPolicy(**policy))
    found.trusted("test").put(ka.User("volker", name="V"), ka.User("carla", name="C"), *records)
    return found


def flaws(*records: Entity, sort: str = "", on: date | None = None, **policy: Any) -> list[tuple[Any, ...]]:
    """Return what is found at a trusted desk, of one sort or of all, as (kind, ids, why) without the sort."""
    found = book(*records, **policy).trusted("test").data_quality(on=on)
    return [(row.kind, row.ids, row.why) for row in found if not sort or row.sort == sort]


def managed(id: str, *, by: str = "volker", until: date | None = None, **more: Any) -> list[Entity]:
    """Make an account with a key account manager."""
    return [
        ka.Organisation(id, **{"name": id, **more}),
        ka.Assignment(f"{by}-{id}", by, id, valid_from=LONG_AGO, valid_until=until),
    ]


def test_sound_data_has_no_flaws() -> None:
    """Nothing is found where all is well."""
    assert (
        flaws(
            *managed("acme", phones=("+49 89 1234-0", "089 1234567"), emails=("a@x.example",), tax_id="DE1"),
            *managed("globex", phones=("+49 40 555 0100",), emails=("b@x.example",), tax_id="DE2"),
            ka.Contact("ingo", name="Ingo"),
            ka.Position("p", "ingo", "acme", phones=("089 1234 110",)),
            ka.Invoice("i", "acme", issued_on=LONG_AGO, due_on=LONG_AGO, net=EUROS),
            ka.Order("o", "acme", ordered_on=LONG_AGO, lines=(ka.Line("unheard of", unit_price=EUROS),)),
        )
        == []
    )


def test_numbers_nobody_can_dial() -> None:
    """A number that cannot be read where it would be is shown as written; one read in some region is not."""
    swiss = (ka.Address(country="CH"),)
    found = flaws(
        *managed("acme", phones=("reception", "+49 89 1234-0", "12")),
        *managed("alpen", addresses=swiss, phones=("044 668 18 00",)),
        ka.Contact("ingo", name="Ingo", phones=("Pforte 12", "044 668 18 01")),
        ka.Position("p", "ingo", "alpen", phones=("?",)),
        sort="phone not readable",
    )
    assert found == [
        ("Contact", ("ingo",), ("Pforte 12",)),
        ("Organisation", ("acme",), ("reception", "12")),
        ("Position", ("p",), ("?",)),
    ]


def test_contacts_without_a_position() -> None:
    """A contact that never held a position is one; one that held a position once is not."""
    found = flaws(
        *managed("acme"),
        ka.Contact("loose", name="L"),
        ka.Contact("left", name="M"),
        ka.Position("p", "left", "acme", valid_until=LONG_AGO),
        sort="contact without position",
    )
    assert [ids for _, ids, _ in found] == [("loose",)]


def test_accounts_without_a_manager() -> None:
    """A customer without a manager in force is one, unless a parent's manager covers it; a supplier is not.

    Who does not say what it is counts as a customer, as in every figure.
    """
    found = flaws(
        *managed("top"),
        ka.Assignment("covers", "carla", "top", covers_subsidiaries=True),
        ka.Organisation("covered", name="1", parent_id="top"),
        ka.Organisation("deep", name="2", parent_id="covered"),
        *managed("alone"),
        ka.Organisation("below", name="3", parent_id="alone"),
        ka.Organisation("supplier", name="4", relationships=("supplier",)),
        ka.Organisation("unsaid", name="7", relationships=()),
        ka.Organisation("deputy", name="5"),
        ka.Assignment("d", "volker", "deputy", role=ka.DEPUTY),
        *managed("ended", until=date(2026, 11, 20)),
        *managed("last day", until=date(2026, 11, 21)),
        ka.Organisation("future", name="6"),
        ka.Assignment("f", "volker", "future", valid_from=date(2026, 11, 22)),
        ka.User("gone", name="G", active=False),
        *managed("orphan", by="gone"),
        sort="account without manager",
    )
    assert [ids[0] for _, ids, _ in found] == ["below", "deputy", "ended", "future", "orphan", "unsaid"]


@pytest.mark.parametrize("names", [("a", "b", "c"), ("c", "b", "a")])
def test_every_subsidiary_of_a_covered_parent_is_covered(names: tuple[str, str, str]) -> None:
    """Whichever of the subsidiaries is looked at first, the others are covered too, and what lies below them."""
    found = flaws(
        ka.Organisation("m", name="M"),
        ka.Assignment("covers", "carla", "m", covers_subsidiaries=True),
        *(ka.Organisation(name, name=name, parent_id="m") for name in names),
        *(ka.Organisation(f"{name}-z", name=name, parent_id=name) for name in names),
        sort="account without manager",
    )
    assert found == []


def test_a_chain_of_thousands() -> None:
    """A chain of 5,000 organisations gives an answer."""
    chain = [ka.Organisation(f"o{n:04}", name=f"{n}", parent_id=f"o{n - 1:04}" if n else None) for n in range(5_000)]
    covering = ka.Assignment("a", "volker", "o2500", covers_subsidiaries=True)
    found = flaws(*chain, covering, sort="account without manager")
    assert [ids[0] for _, ids, _ in found] == [f"o{n:04}" for n in range(2_500)]


PRIVATE: dict[str, Any] = {"private": True}
SUBSTITUTION = ka.Substitution("away", "volker", "carla", valid_from=LONG_AGO)


@pytest.mark.parametrize(
    ("until", "more", "risk"),
    [
        (None, (), None),
        # 21 November and 60 days are 20 January: an end on that day is within them
        (date(2027, 1, 20), (), "its last key account manager's assignment ends on 2027-01-20"),
        (date(2027, 1, 21), (), None),
        (date(2026, 11, 21), (), "its last key account manager's assignment ends on 2026-11-21"),
        # somebody else stays, or follows without a gap
        (date(2026, 12, 1), (ka.Assignment("b", "carla", "vault"),), None),
        (date(2026, 12, 1), (ka.Assignment("b", "carla", "vault", valid_from=date(2026, 12, 2)),), None),
        (
            date(2026, 12, 1),
            (ka.Assignment("b", "carla", "vault", valid_from=date(2026, 12, 3)),),
            "its last key account manager's assignment ends on 2026-12-01",
        ),
        # who is away does not count, nor who has left
        (None, (SUBSTITUTION,), "its key account manager is absent"),
        (None, (SUBSTITUTION, ka.Assignment("b", "carla", "vault")), None),
        (
            None,
            (SUBSTITUTION, ka.Assignment("b", "carla", "vault", valid_until=date(2026, 12, 1))),
            "its only key account manager who is not absent is assigned until 2026-12-01",
        ),
        (
            date(2026, 12, 1),
            (ka.User("gone", name="G", active=False), ka.Assignment("b", "gone", "vault")),
            "its last key account manager's assignment ends on 2026-12-01",
        ),
        (None, (ka.Substitution("was", "volker", "carla", valid_until=date(2026, 11, 20)),), None),
    ],
)
def test_private_accounts_at_risk(until: date | None, more: tuple[Entity, ...], risk: str | None) -> None:
    """A private account that nobody will see before 60 days have passed is told while somebody still does."""
    found = flaws(*managed("vault", until=until, **PRIVATE), *more, sort="private account at risk")
    assert found == ([] if risk is None else [("Organisation", ("vault",), (risk,))])


def test_deputies_who_see_private_accounts() -> None:
    """Where deputies see private accounts, an absent manager is no risk; an open account never is at risk."""
    vault = managed("vault", **PRIVATE)
    assert flaws(*vault, SUBSTITUTION, sort="private account at risk", deputies_see_private=True) == []
    assert flaws(*managed("acme", until=date(2026, 12, 1)), sort="private account at risk") == []


def test_an_orphan_is_without_a_manager() -> None:
    """A private account that nobody manages any more is told on a trusted desk, customer or not."""
    gone = ka.User("gone", name="G")
    vault = managed("vault", by="gone", relationships=("supplier",), **PRIVATE)
    office = book(gone, *vault).trusted("test")
    office.put(ka.User("gone", name="G", active=False, version=office.get(ka.User, "gone").version))
    assert [(row.sort, row.ids) for row in office.data_quality()] == [("account without manager", ("vault",))]


def test_the_day_asked_about() -> None:
    """`on` chooses the day."""
    vault = managed("vault", until=date(2026, 12, 31), **PRIVATE)
    assert flaws(*vault, on=date(2026, 6, 1)) == []
    assert [why for *_, why in flaws(*vault, on=date(2027, 1, 1))] == [("no key account manager is in force",)]


def test_invoices_without_a_due_day() -> None:
    """An invoice without a due day is one; a credit note needs none."""
    found = flaws(
        *managed("acme"),
        ka.Invoice("i1", "acme", issued_on=LONG_AGO, net=EUROS),
        ka.Invoice("i2", "acme", issued_on=LONG_AGO, net=EUROS, kind="credit note"),
        ka.Invoice("i3", "acme", issued_on=LONG_AGO, net=EUROS, due_on=LONG_AGO),
    )
    assert found == [("Invoice", ("i1",), ("it is never overdue",))]


def test_duplicates() -> None:
    """Records that share a name, tax id, phone number or e-mail address may be one; all that they share is told."""
    found = flaws(
        *managed(
            "a1", name="ACME Straße", tax_id="DE 123.456", phones=("+49 89 1234567",), emails=("Info@acme.example",)
        ),
        *managed("a2", name="Acme  STRASSE", tax_id="de123456", phones=("089 1234567",), emails=("info@ACME.example",)),
        *managed("b", name="Other", phones=("+49 40 1234567", "089/12345-67")),
        *managed("c", name="Third", phones=("+49 30 1234567",), tax_id="DE9"),
        ka.Contact("ingo", name="acme straße", phones=("089 1234567",)),
        ka.Contact("inga", name="Inga", emails=("i@x.example",)),
        ka.Contact("inge", name="Inge", emails=("I@X.example", "i@x.example")),
        *(ka.Position(f"p-{id}", id, "b") for id in ("ingo", "inga", "inge")),
    )
    assert found == [
        ("Contact", ("inga", "inge"), ("same e-mail address",)),
        ("Organisation", ("a1", "a2"), ("same e-mail address", "same name", "same tax id")),
        ("Organisation", ("a1", "a2", "b"), ("same phone number",)),
    ]


def test_a_number_is_compared_where_it_is() -> None:
    """Equal digits in two countries are two numbers; unreadable ones compare by their digits."""
    vienna = (ka.Address(country="AT"),)
    assert flaws(*managed("a", phones=("01 2345678",)), *managed("b", phones=("01 2345678",), addresses=vienna)) == []
    found = flaws(*managed("a", phones=("int. 12",)), *managed("b", phones=("Int 12",)), sort="duplicate")
    assert [ids for _, ids, _ in found] == [("a", "b")]


def test_a_head_number_is_one_number() -> None:
    """A number that is looked up in several ways makes one suggestion, with each record once."""
    phones = ("+49 89 1234-0",)
    found = flaws(*managed("a", name="A", phones=phones), *managed("b", name="B", phones=phones))
    assert found == [("Organisation", ("a", "b"), ("same phone number",))]


def test_a_private_number_is_read_where_one_works() -> None:
    """A contact's own number is read in the country of an employer, not in that of a special role's organisation."""
    vienna = ka.Organisation("wien", name="W", addresses=(ka.Address(country="AT"),), relationships=("prospect",))
    people = [ka.Contact(id, name=id, phones=("01 2345678",)) for id in ("dana", "ingo")]
    at_home = [*managed("acme"), vienna, *people, ka.Position("p", "ingo", "acme")]
    special = ka.Position("q", "dana", "wien", role="auditor", employed=False)
    assert [ids for _, ids, _ in flaws(*at_home, special)] == [("dana", "ingo")]
    assert flaws(*at_home, ka.Position("q", "dana", "wien")) == []


def test_merging_what_is_found() -> None:
    """A duplicate that is merged is found no more."""
    office = book(*managed("a", name="X"), *managed("b", name="x")).trusted("test")
    (found,) = office.data_quality().duplicates
    office.merging.merge(ka.Organisation, *found.ids)
    assert len(office.data_quality()) == 0


def test_only_what_may_be_read() -> None:
    """A hidden record is no duplicate of a readable one, no parent, and no flaw of its own."""
    found = book(
        *managed("vault", name="ACME", private=True, phones=("?",)),
        ka.Assignment("covers", "volker", "vault", covers_subsidiaries=True),
        ka.Organisation("acme", name="ACME", parent_id="vault"),
        ka.Invoice("i", "vault", issued_on=LONG_AGO, net=EUROS),
    )
    told = {user: [(row.sort, row.ids) for row in found.desk(user).data_quality()] for user in ("volker", "carla")}
    assert told["carla"] == [("account without manager", ("acme",))]
    assert told["volker"] == [
        ("phone not readable", ("vault",)),
        ("invoice without due day", ("i",)),
        ("duplicate", ("acme", "vault")),
    ]


def test_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is found does not depend on the size of the pages, nor on the order of writing."""
    records = [entity for n in range(9) for entity in managed(f"o{n}", name=f"N{n % 4}", phones=(f"? {n}",))]
    whole = book(*records).trusted("test").data_quality()
    assert len(whole) == 9 + 4
    for size in (1, 3, 9, 10):
        monkeypatch.setattr(module, "PAGE", size)
        assert book(*reversed(records)).trusted("test").data_quality() == whole


@pytest.mark.parametrize("region", [None, "DE", "US", "AU", "XX", "BR"])
def test_readable_is_international_but_quicker(region: str | None) -> None:
    """The quick look at a number says what reading it says."""
    texts = [
        *("", "0", "112", "reception", "+", "+49", "+999 12345678", "00", "0049 89 1234567", "+0049 89 1234567"),
        *("089 1234-0", "0011 49 89 1234567", "011 49 89 1234567", "1 800 FLOWERS", "Pforte 12", "8" * 18, "+1" * 4),
        *("0" * 12, "00999999999", "+4989123", "+498912345678901234", "0xx11 2345 6789", "08912345678 DW 12"),
    ]
    for text in texts:
        assert phones.readable(text, region) == (phones.international(text, region) is not None), text
