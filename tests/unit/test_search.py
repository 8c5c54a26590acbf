"""Searching: by what people type, whole numbers in any form, and the same order however much is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

import keyaccount as ka


@pytest.fixture(params=["memory", "file"])
def office(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ka.Desk]:
    """Open a book in Germany."""
    with ka.open(tmp_path / "a.sqlite", region="DE") if request.param == "file" else ka.open(region="DE") as book:
        yield book.trusted("test")


def test_fewer_are_the_first_of_more(office: ka.Desk) -> None:
    """A limit cuts the list that a larger one gives, also where contacts are found by several positions each."""
    office.put(ka.Organisation("a", name="A"), ka.Organisation("b", name="B"))
    office.put(*(ka.Organisation(f"o{n}", name=f"O {n}", emails=("team@o.de",)) for n in range(4)))
    for n in range(40):  # ids and names run against each other; the first have two positions
        office.put(ka.Contact(f"c{n:02}", name=f"Contact {99 - n}"))
        for at in "ab" if n < 20 else "a":
            office.put(
                ka.Position(f"p{n:02}{at}", contact_id=f"c{n:02}", organisation_id=at, emails=(f"team@{at}.de",))
            )
    every = [hit.id for hit in office.search("team@", limit=500)]
    assert every == [f"c{n:02}" for n in reversed(range(40))] + [f"o{n}" for n in range(4)]
    for limit in (0, 1, 2, 5, 21, 39, 41, 44):
        assert [hit.id for hit in office.search("team@", limit=limit)] == every[:limit]


@pytest.mark.parametrize("typed", ["+49 89 123456", "0049 89 123456", "089 123456", "(089) 12 34 56", "089/123456"])
@pytest.mark.parametrize("stored", ["+49 89 123456", "089 123456", "0049-89-123456"])
def test_a_number_is_found_in_any_form(office: ka.Desk, typed: str, stored: str) -> None:
    """Who is found when the number rings is found when it is typed: an organisation, a contact, or at a position."""
    office.put(ka.Organisation("acme", name="ACME", phones=(stored,)))
    office.put(ka.Contact("ingo", name="Ingo", phones=(stored,)), ka.Contact("anna", name="Anna"))
    office.put(ka.Position(contact_id="anna", organisation_id="acme", phones=(stored,)))
    assert [hit.id for hit in office.search(typed)] == ["acme", "anna", "ingo"]
    assert [hit.id for hit in office.search(typed, limit=2)] == ["acme", "anna"]


def test_a_number_finds_nothing_shielded(office: ka.Desk) -> None:
    """A number of a private account, or at a position there, finds nobody for others."""
    office.put(ka.User("volker", name="V"), ka.User("carla", name="C"))
    office.put(ka.Organisation("acme", name="ACME", phones=("+49 89 123456",)), ka.Organisation("open", name="Open"))
    office.put(ka.Contact("anna", name="Anna"), ka.Position(contact_id="anna", organisation_id="open"))
    office.put(ka.Position(contact_id="anna", organisation_id="acme", phones=("+49 89 654321",)))
    office.put(ka.Assignment(user_id="volker", organisation_id="acme"))
    office.put(attrs.evolve(office.get(ka.Organisation, "acme"), private=True))
    volker, carla = (office._book.desk(name) for name in ("volker", "carla"))
    assert [[hit.id for hit in volker.search(typed)] for typed in ("089 123456", "089 654321")] == [["acme"], ["anna"]]
    assert [[hit.id for hit in carla.search(typed)] for typed in ("089 123456", "089 654321")] == [[], []]
