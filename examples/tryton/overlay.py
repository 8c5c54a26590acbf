"""Tryton's own tables, read where they are: who is calling, what an invoice form must show, what is overdue.

Run it on a Tryton database in SQLite, or on the small one that the tests use:

    python examples/tryton/overlay.py company.sqlite
    python examples/tryton/overlay.py tests/data/tryton.sql.gz

Nothing of Tryton's is written. What Tryton does not know (who looks after whom, what is private, which note is for
which form) stands in tables of ours beside its own, whose names begin with `keyaccount_`.
"""

from __future__ import annotations

import datetime as dt
import gzip
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import attrs
import sqlalchemy as sa

import keyaccount as ka
from keyaccount.sql import IntKey, Overlay, Scaled, Source

# A party is a person where it works for somebody, and of ours where it is an employee or the company itself.
PERSONS = "SELECT r.from_ FROM party_relation r JOIN party_relation_type k ON k.id = r.type WHERE k.name = 'works for'"
OURS = "SELECT party FROM company_employee UNION SELECT party FROM company_company"
NUMBERS = """(SELECT json_group_array(m.value) FROM party_contact_mechanism m
    WHERE m.party = p.id AND m.active AND m.type IN ('phone', 'mobile')) AS phones,
    (SELECT json_group_array(m.value) FROM party_contact_mechanism m
    WHERE m.party = p.id AND m.active AND m.type = 'email') AS emails"""

SOURCES = [
    Source(ka.User, "SELECT id, name, email, active FROM res_user", columns={"id": IntKey()}),
    Source(
        ka.Organisation,
        f"""SELECT p.id, p.name, {NUMBERS},
            (SELECT m.value FROM party_contact_mechanism m WHERE m.party = p.id AND m.type = 'website') AS website,
            (SELECT r."to" FROM party_relation r JOIN party_relation_type k ON k.id = r.type
                WHERE r.from_ = p.id AND k.name = 'belongs to') AS parent_id,
            (SELECT json_group_array(json_object('lines', json_array(a.street_unstructured), 'town', a.city,
                'postcode', a.postal_code, 'country', c.code, 'purpose', CASE WHEN a.invoice THEN 'billing'
                WHEN a.delivery THEN 'shipping' ELSE 'company' END))
                FROM party_address a LEFT JOIN country_country c ON c.id = a.country
                WHERE a.party = p.id AND a.active) AS addresses
            FROM party_party p WHERE p.active AND p.id NOT IN ({PERSONS}) AND p.id NOT IN ({OURS})""",
        columns={"id": IntKey(), "parent_id": IntKey()},
    ),
    Source(
        ka.Contact,
        f"SELECT p.id, p.name, {NUMBERS} FROM party_party p WHERE p.active AND p.id IN ({PERSONS})",
        columns={"id": IntKey()},
    ),
    Source(
        ka.Position,
        """SELECT r.id, r.from_ AS contact_id, r."to" AS organisation_id, r.start_date AS valid_from,
            r.end_date AS valid_until
            FROM party_relation r JOIN party_relation_type k ON k.id = r.type WHERE k.name = 'works for'""",
        columns={"id": IntKey(), "contact_id": IntKey(), "organisation_id": IntKey()},
    ),
    Source(
        ka.ServiceNote,
        """SELECT n.id, CAST(substr(n.resource, 13) AS INTEGER) AS organisation_id, n.message AS text,
            n.create_date AS created_at, n.create_uid AS created_by
            FROM ir_note n WHERE n.resource LIKE 'party.party,%'""",
        columns={"id": IntKey(), "organisation_id": IntKey(), "created_by": IntKey()},
    ),
    Source(  # a credit note is an invoice with a negative total; amounts are bytes in SQLite, so no `< 0`
        ka.Invoice,
        """SELECT i.id, i.party AS organisation_id, i.number, i.invoice_date AS issued_on, c.code AS currency,
            CASE substr(CAST(i.total_amount_cache AS TEXT), 1, 1)
                WHEN '-' THEN 'credit note' ELSE 'invoice' END AS kind,
            (SELECT MIN(l.maturity_date) FROM account_move_line l WHERE l.move = i.move) AS due_on,
            i.untaxed_amount_cache AS net, i.total_amount_cache AS gross,
            (SELECT json_group_array(json_object('paid_on', m.date, 'amount', CAST(l.credit AS TEXT)))
                FROM "account_invoice-account_move_line" b JOIN account_move_line l ON l.id = b.line
                JOIN account_move m ON m.id = l.move WHERE b.invoice = i.id) AS payments
            FROM account_invoice i JOIN currency_currency c ON c.id = i.currency
            WHERE i.type = 'out' AND i.state IN ('posted', 'paid')""",
        columns={"id": IntKey(), "organisation_id": IntKey(), "net": Scaled(2), "gross": Scaled(2)},
    ),
    Source(
        ka.Contract,
        """SELECT s.id, s.party AS organisation_id, s.number, 'subscription' AS kind, s.start_date AS signed_on,
            s.start_date AS starts_on,
            s.end_date AS ends_on, 'month' AS value_per, l.unit_price AS value, c.code AS currency
            FROM sale_subscription s JOIN currency_currency c ON c.id = s.currency
            JOIN sale_subscription_line l ON l.id =
                (SELECT MIN(f.id) FROM sale_subscription_line f WHERE f.subscription = s.id)
            WHERE s.state IN ('running', 'closed')""",
        columns={"id": IntKey(), "organisation_id": IntKey(), "value": Scaled(4)},
    ),
]


def laid_over(engine: sa.Engine) -> ka.Book:
    """Return a book over a Tryton database."""
    return ka.Book(Overlay(engine, SOURCES), region="DE", zone="Europe/Berlin")


def furnish(book: ka.Book) -> None:
    """Write what Tryton does not know; doing it again changes nothing."""
    office = book.trusted("setup")
    volker, carla = (office.find(ka.User, name=name)[0].id for name in ("Volker Vorstand", "Carla Castell"))
    acme, globex = (office.find(ka.Organisation, name=name)[0].id for name in ("ACME AG", "Globex S.A."))
    with office.transaction(key="setup"):
        office.people.assign(volker, organisation=acme, role=ka.KEY_ACCOUNT_MANAGER)
        office.people.assign(carla, organisation=globex, role=ka.KEY_ACCOUNT_MANAGER)
        office.people.make_private(globex)
        (note,) = office.find(ka.ServiceNote, organisation_id=acme)
        office.put(attrs.evolve(note, contexts=("documents", "phone"), severity=ka.Severity.WARNING))


def opened(path: Path) -> sa.Engine:
    """Return an engine on a database file; what is packed as SQL text is unpacked to a file of its own."""
    if path.suffix == ".gz":
        packed, path = path, Path(tempfile.mkdtemp()) / "tryton.sqlite"
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(gzip.decompress(packed.read_bytes()).decode())
    return sa.create_engine(f"sqlite:///{path}")


def main(path: Path, on: dt.date = dt.date(2026, 11, 21)) -> None:
    """Show the main jobs at Volker's desk, on Tryton's tables."""
    with laid_over(opened(path)) as book:
        furnish(book)
        desk = book.desk(book.trusted("look-up").find(ka.User, name="Volker Vorstand")[0].id)
        if card := desk.caller("089 / 123 45 67"):
            print(card.name, "of", card.positions[0].organisation_name, [note.text for note in card.notes])
        for note in desk.notes(organisation=desk.mine()[0].id, context="documents.invoice"):
            print(note.severity.name, note.text)
        for row in desk.billing.overdue(on=on):
            print(row.number, row.due_on, row.open_amount)
        for line in desk.health_check(on=on):
            print(line)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
