"""The mailing list: whom the Christmas card goes to, and who is left out, by name."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path
from typing import Any

import pytest

import keyaccount as ka
from keyaccount.mailing import COLUMNS

ROME = ka.Address(
    lines=("Via Appia 12", "Scala B", "Int. 3", "Citofono 7"), postcode="00179", town="Roma", country="IT"
)
HOME = ka.Address("private", lines=("Weg 1",), postcode="89073", town="Ulm", country="DE")
OFFICE = ka.Address(lines=("Rosenheimer Str. 5",), postcode="81667", town="München", region="Bayern", country="DE")


def book(*records: Any) -> ka.Desk:
    """Open a book with two companies, one of which has no address, and what is given."""
    office = ka.open(region="DE").trusted("test")
    office.put(
        ka.Organisation("acme", name="ACME AG", address_name="ACME AG, Post", addresses=(OFFICE,)),
        ka.Organisation("globex", name="Globex", addresses=(ROME,)),
        ka.Organisation("nowhere", name="Nowhere Ltd"),
        *records,
    )
    return office


def table(path: Path) -> list[dict[str, str]]:
    """Read a mailing list as a spreadsheet does."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_a_line_for_each_person(tmp_path: Path) -> None:
    """A VIP at two organisations gets one letter, at the employer's where they began first."""
    desk = book(
        ka.Contact("ingo", name="Ingo Prospect", salutation="Herr", vip=True),
        ka.Position("new", "ingo", "globex", title="Adviser", valid_from=date(2024, 1, 1)),
        ka.Position("old", "ingo", "acme", title="Buyer", emails=("ingo@acme.example",), valid_from=date(2020, 1, 1)),
        ka.Position("role", "ingo", "nowhere", role="invoices", employed=False),
    )
    vips = desk.people.vips(on=date(2026, 12, 1))
    assert len(vips) == 3
    told = vips.to_csv(tmp_path / "cards.csv")
    assert (told.written, told.refused, told.without_address) == (1, (), ())
    assert table(tmp_path / "cards.csv") == [
        {
            "name": "Ingo Prospect",
            "salutation": "Herr",
            "title": "Buyer",
            "organisation": "ACME AG, Post",
            "address_purpose": "company",
            "line_1": "Rosenheimer Str. 5",
            "line_2": "",
            "line_3": "",
            "postcode": "81667",
            "town": "München",
            "region": "Bayern",
            "country": "DE",
            "email": "ingo@acme.example",
        }
    ]


def test_who_is_left_out(tmp_path: Path) -> None:
    """Who refused letters is not in the list; who has no address is named apart; who refused e-mail has none there."""
    desk = book(
        ka.Contact("no", name="Nora No", vip=True, accepts_letters=False, addresses=(HOME,)),
        ka.Position("p1", "no", "acme"),
        ka.Contact("lost", name="Lotte Lost", vip=True),
        ka.Position("p2", "lost", "nowhere"),
        ka.Contact("half", name="Hanna Half", vip=True, addresses=(ka.Address(country="DE"),)),
        ka.Position("p3", "half", "acme"),
        ka.Contact(
            "quiet", name="Quentin", vip=True, addresses=(HOME,), emails=("q@example.com",), accepts_email=False
        ),
        ka.Position("p4", "quiet", "acme"),
        ka.Contact("plain", name="Not a VIP"),
        ka.Position("p5", "plain", "acme"),
    )
    vips = desk.people.vips()
    told = vips.to_csv(tmp_path / "cards.csv")
    assert told.written == 1
    assert [c.id for c in told.refused] == ["no"]
    assert [c.id for c in told.without_address] == [c.id for c in vips.without_address] == ["half", "lost"]
    (line,) = table(tmp_path / "cards.csv")
    assert (line["name"], line["address_purpose"], line["town"], line["email"]) == ("Quentin", "private", "Ulm", "")


def test_the_address_of_another_employer(tmp_path: Path) -> None:
    """Who is important in a special role is written to where they work, under that company's name and no title."""
    desk = book(
        ka.Contact("dana", name="Dana"),
        ka.Position("job", "dana", "globex", title="Partner"),
        ka.Position(
            "role", "dana", "acme", title="DPO of ACME", role="data protection officer", employed=False, vip=True
        ),
    )
    desk.people.vips().to_csv(tmp_path / "cards.csv")
    (line,) = table(tmp_path / "cards.csv")
    assert (line["organisation"], line["title"], line["postcode"]) == ("Globex", "", "00179")
    assert [line[f"line_{n}"] for n in (1, 2, 3)] == ["Via Appia 12", "Scala B", "Int. 3, Citofono 7"]


def test_nothing_runs_in_a_spreadsheet(tmp_path: Path) -> None:
    """Text that a spreadsheet would run stands behind an apostrophe; the file begins with a byte order mark."""
    desk = book(
        ka.Contact("evil", name="=HYPERLINK(1)", salutation="  +1", vip=True, emails=("-x@example.com",)),
        ka.Position("p", "evil", "acme", title='@SUM(1),"x"'),
    )
    desk.people.vips().to_csv(tmp_path / "cards.csv")
    (line,) = table(tmp_path / "cards.csv")
    assert (line["name"], line["salutation"], line["email"]) == ("'=HYPERLINK(1)", "'  +1", "'-x@example.com")
    assert line["title"] == '\'@SUM(1),"x"'
    assert (tmp_path / "cards.csv").read_bytes().startswith(b"\xef\xbb\xbfname,")


def test_an_empty_list_has_its_heads(tmp_path: Path) -> None:
    """Without VIPs the file has the heads of its columns; a file that is there stays."""
    vips = book().people.vips()
    assert vips.to_csv(str(tmp_path / "cards.csv")).written == 0
    assert (tmp_path / "cards.csv").read_text(encoding="utf-8-sig").splitlines() == [",".join(COLUMNS)]
    with pytest.raises(ka.ValidationError, match="is taken"):
        vips.to_csv(tmp_path / "cards.csv")


def test_a_desk_writes_what_it_sees(tmp_path: Path) -> None:
    """A VIP of a shielded company is in nobody else's list, and their other job's address is not lent to it."""
    desk = book(
        ka.User("volker", name="V"),
        ka.User("carla", name="C"),
        ka.Organisation("vault", name="Vault", private=True, addresses=(HOME,)),
        ka.Assignment("a", "volker", "vault"),
        ka.Contact("nina", name="Nina", vip=True),
        ka.Position("p1", "nina", "vault", valid_from=date(2020, 1, 1)),
        ka.Position("p2", "nina", "acme", valid_from=date(2022, 1, 1)),
    )
    towns = []
    for user in ("volker", "carla"):
        told = desk._book.desk(user).people.vips().to_csv(tmp_path / user)
        assert told.written == 1
        towns += [line["town"] for line in table(tmp_path / user)]
    assert towns == ["Ulm", "München"]
