"""Northwind, Microsoft's sample company, as a book: a mapping from an ERP's tables that reads from top to bottom.

Run it with the folder of the CSV files: `python examples/northwind.py ../shared/data/northwind`. Loading the same
folder twice changes nothing, because every record has an id that is made of the ERP's own keys.
"""

from __future__ import annotations

import csv
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import keyaccount as ka

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data" / "northwind"
COUNTRIES = {
    "Argentina": "AR", "Austria": "AT", "Belgium": "BE", "Brazil": "BR", "Canada": "CA", "Denmark": "DK",
    "Finland": "FI", "France": "FR", "Germany": "DE", "Ireland": "IE", "Italy": "IT", "Mexico": "MX", "Norway": "NO",
    "Poland": "PL", "Portugal": "PT", "Spain": "ES", "Sweden": "SE", "Switzerland": "CH", "UK": "GB", "USA": "US",
    "Venezuela": "VE",
}  # fmt: skip

Row: TypeAlias = Mapping[str, str]
Theirs: TypeAlias = ka.Organisation | ka.Contact | ka.Position | ka.Assignment


def load(folder: Path, book: ka.Book) -> int:
    """Write Northwind's employees and customers into a book, all or nothing; return how many records were given."""
    employees, customers = rows(folder / "employees.csv"), rows(folder / "customers.csv")
    sellers = best_sellers(rows(folder / "orders.csv"))
    boss = next(row["employee_id"] for row in employees if not row["reports_to"])
    records = [*our_side(employees), *(record for row in customers for record in their_side(row, sellers, boss))]
    return book.trusted("northwind").put_many(records)


def our_side(employees: Iterable[Row]) -> Iterator[ka.Unit | ka.User]:
    """Make a unit for each employee who has reports, headed by them, and a user for everyone.

    A unit lies below the unit of its head's superior. Everyone belongs to their superior's unit; the boss, who has
    none, to the boss's own, so that what is granted to the whole company reaches the boss too.
    """
    heads = {row["reports_to"] for row in employees}
    for row in employees:
        own, superior, name = row["employee_id"], row["reports_to"], f"{row['first_name']} {row['last_name']}"
        if own in heads:
            yield ka.Unit(
                f"team-{own}", name=f"Team {name}", parent_id=f"team-{superior}" if superior else None, head_id=own
            )
        yield ka.User(own, name=name, unit_ids=(f"team-{superior or own}",))


def their_side(row: Row, sellers: Mapping[str, str], boss: str) -> Iterator[Theirs]:
    """Make a customer, its contact person, what that person is there, and who of us looks after it.

    The one telephone number is the company's and the contact's at work. Two customers never ordered: they are
    prospects, and looked after by the boss until somebody sells to them.
    """
    customer, phones = row["customer_id"], (row["phone"],)
    address = ka.Address(
        lines=(row["address"],),
        postcode=row["postal_code"] or None,
        town=row["city"],
        region=row["region"] or None,
        country=COUNTRIES[row["country"]],
    )
    yield ka.Organisation(
        customer,
        name=row["company_name"],
        phones=phones,
        addresses=(address,),
        relationships=("customer" if customer in sellers else "prospect",),
    )
    yield ka.Contact(f"{customer}-contact", name=row["contact_name"])
    yield ka.Position(
        f"{customer}-position",
        contact_id=f"{customer}-contact",
        organisation_id=customer,
        title=row["contact_title"],
        main=True,
        phones=phones,
    )
    seller = sellers.get(customer, boss)
    yield ka.Assignment(f"{customer}-manager", user_id=seller, organisation_id=customer, role=ka.KEY_ACCOUNT_MANAGER)


def best_sellers(orders: Iterable[Row]) -> dict[str, str]:
    """Find for each customer who took most of its orders; of several the one with the lowest employee number."""
    taken: dict[str, Counter[str]] = defaultdict(Counter)
    for row in orders:
        taken[row["customer_id"]][row["employee_id"]] += 1
    return {customer: min(count, key=lambda seller: (-count[seller], int(seller))) for customer, count in taken.items()}


def rows(path: Path) -> list[Row]:
    """Read a CSV file with a heading."""
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def described(card: ka.BusinessCard) -> str:
    """Write a card in a few lines of text."""
    manager, title = card.key_account_manager, card.positions[0].title if card.positions else None
    told = {
        "works for": f"{title}, {card.positions[0].organisation_name}" if card.positions else None,
        "phone": ", ".join(card.phones),
        "in": card.address and ", ".join(filter(None, (card.address.town, card.address.country))),
        "looked after by": manager and f"{manager.user.name} ({manager.why})",
    }
    return "\n".join([card.name, *(f"  {label:16}{text}" for label, text in told.items() if text)])


def main(folder: Path = FOLDER) -> None:
    """Load the company, and show who is calling: an ERP's own spelling, from abroad, and with 00."""
    with ka.open(region="US", zone="America/Los_Angeles") as book:
        print(f"{load(folder, book)} records\n")
        desk = book.desk("2")
        for number in ("(503) 555-7555", "+49 30 0074321", "0044 171 555 7788"):
            if card := desk.caller(number):
                print(f"{number} is {described(card)}\n")
        print(described(desk.card(organisation="PARIS", context="crm")))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
