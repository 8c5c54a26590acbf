"""A small company in Tryton, made through Tryton's own client: what `overlay.py` is laid over.

Takes a minute or two, and needs Tryton, which this library never imports:

    pip install trytond trytond_party_relationship trytond_company trytond_product trytond_sale \
        trytond_sale_opportunity trytond_sale_subscription trytond_account_invoice proteus
    python examples/tryton/seed.py company.sqlite               # the whole database
    python examples/tryton/seed.py company.sqlite cut.sql.gz    # and its tables of interest as SQL text

Tryton is free software under the GPL; nothing of it is in this file but calls.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import gzip
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

MODULES = (
    "party", "party_relationship", "company", "product", "sale", "sale_opportunity", "sale_subscription",
    "account_invoice",
)  # fmt: skip
TABLES = (
    "account_account", "account_account_type", "account_invoice", "account_invoice-account_move_line",
    "account_invoice_line", "account_move", "account_move_line", "account_move_reconciliation", "company_company",
    "company_employee", "country_country", "currency_currency", "ir_note", "party_address",
    "party_contact_mechanism", "party_identifier", "party_party", "party_relation",
    "party_relation_type", "product_product", "product_template", "res_group", "res_user", "res_user-res_group",
    "sale_line", "sale_opportunity", "sale_sale", "sale_subscription", "sale_subscription_line",
    "sale_subscription_service",
)  # fmt: skip
"""What the overlay may want to look at; the rest of Tryton's two hundred tables is left out of the cut."""


# ---- the database ------------------------------------------------------------------------------------------------


def seed(path: Path) -> None:
    """Make a Tryton database in a file and fill it."""
    if path.exists():
        sys.exit(f"{path} is there already")
    _make(path)
    os.environ["TRYTOND_DATABASE_URI"] = "sqlite://"
    from proteus import config  # the backend is fixed at the first import of trytond

    path = path.resolve()
    with tempfile.TemporaryDirectory() as folder:
        conf = _configured(Path(folder), path.parent)
        client = config.set_trytond(f"sqlite:///{path.stem}", config_file=str(conf))
        client.skip_warning = True  # invoices that fall due in the past are what is wanted here
        _fill()


def _make(path: Path) -> None:
    """Have Tryton make its tables."""
    path.touch()
    with tempfile.TemporaryDirectory() as folder:
        conf, password = _configured(Path(folder), path.resolve().parent), Path(folder) / "password"
        password.write_text("not used: the client runs in the same process\n", encoding="ascii")
        admin = [str(Path(sys.executable).parent / "trytond-admin"), "-c", str(conf), "-d", path.stem]
        environment = {**os.environ, "TRYTONPASSFILE": str(password)}
        first = [*admin, "--all", "--email", "admin@example.org"]
        subprocess.run(first, check=True, env=environment)  # noqa: S603 - no word of it is from outside
        subprocess.run([*admin, "-u", *MODULES, "--activate-dependencies"], check=True, env=environment)  # noqa: S603


def _configured(folder: Path, databases: Path) -> Path:
    conf = folder / "trytond.conf"
    conf.write_text(f"[database]\nuri = sqlite://\npath = {databases}\n", encoding="utf-8")
    return conf


# ---- the company -------------------------------------------------------------------------------------------------


def _fill() -> None:
    from proteus import Model
    from trytond.modules.company.tests.tools import create_company

    house = Model.get("party.party")(name="Nordlicht Pumpen GmbH")
    house.save()
    create_company(house, "EUR")
    terms, product, paid_in = _books()
    people = _our_side()
    parties = _their_side()
    _invoices(parties, terms, product, paid_in)
    _sales(parties, people, terms, product)
    _notes(parties)


def _books() -> tuple[Any, Any, Any]:
    """Make a chart of accounts, a year, a way to be paid, and products."""
    from proteus import Model
    from trytond.modules.account.tests.tools import create_chart, create_fiscalyear, create_tax, get_accounts
    from trytond.modules.account_invoice.tests.tools import set_fiscalyear_invoice_sequences

    create_chart()
    year = create_fiscalyear(today=(dt.date(2026, 1, 1), dt.date(2026, 12, 31)))
    set_fiscalyear_invoice_sequences(year).click("create_period")
    accounts = get_accounts()
    tax = create_tax(Decimal("0.19"))
    tax.save()
    category = Model.get("product.category")(name="Goods", accounting=True)
    category.account_expense, category.account_revenue = accounts["expense"], accounts["revenue"]
    category.customer_taxes.append(tax)
    category.save()
    (unit,) = Model.get("product.uom").find([("name", "=", "Unit")])
    products = {}
    for name, price, sort in (("Pump P-200", "1250.50", "goods"), ("Maintenance, a month", "980.00", "service")):
        template = Model.get("product.template")(name=name, default_uom=unit, type=sort, list_price=Decimal(price))
        template.account_category, template.salable = category, True
        if sort == "service":
            template.salable = False
        template.save()
        (products[sort],) = template.products
    terms = Model.get("account.invoice.payment_term")(name="30 days")
    (delta,) = terms.lines.new(type="remainder").relativedeltas
    delta.days = 30
    terms.save()
    (journal,) = Model.get("account.journal").find([("type", "=", "cash")])
    paid_in = Model.get("account.invoice.payment.method")(name="Bank", journal=journal)
    paid_in.credit_account = paid_in.debit_account = accounts["cash"]
    paid_in.save()
    return terms, products, paid_in


def _our_side() -> Mapping[str, Any]:
    """Make the people of the house: employees, each a user."""
    from proteus import Model

    found, boss = {}, None
    for login, name in (("volker", "Volker Vorstand"), ("carla", "Carla Castell"), ("dieter", "Dieter Dill")):
        party = Model.get("party.party")(name=name)
        party.save()
        employee = Model.get("company.employee")(party=party, start_date=dt.date(2020, 1, 1), supervisor=boss)
        employee.save()
        user = Model.get("res.user")(name=name, login=login, email=f"{login}@nordlicht.example")
        user.employees.append(employee)
        user.employee = employee
        user.save()
        if login == "dieter":  # has left
            user.active = False
            user.save()
        found[login] = employee
        boss = boss or employee
    return found


_CUSTOMERS: Mapping[str, tuple[str, str, str, str, tuple[tuple[str, str], ...]]] = {
    "ACME AG": ("DE", "Obere Str. 57", "80331", "München", (("phone", "+49 89 12340"), ("email", "info@acme.example"))),
    "ACME Service GmbH": ("DE", "Untere Str. 1", "80333", "München", (("phone", "+49 89 567890"),)),
    "Globex S.A.": ("FR", "1, rue de Rivoli", "75001", "Paris", (("phone", "+33 1 42 60 38 30"),)),
    "Straßenbau Süß KG": ("DE", "Königsallee 5", "40212", "Düsseldorf", (("website", "https://suess.example"),)),
    "Initech Ltd": ("GB", "9 King St", "EC2V 8EA", "London", (("phone", "+44 20 7946 0958"),)),
}
_PERSONS = (
    ("Ingo Prospect", "ACME AG", "+49 89 1234567", "ingo@acme.example"),
    ("Paula Prokura", "ACME AG", "+49 171 2345678", "paula@acme.example"),
    ("Yvette Dupont", "Globex S.A.", "+33 6 12 34 56 78", "yvette@globex.example"),
)


def _their_side() -> Mapping[str, Any]:
    """Make customers with their addresses and numbers, the persons who work there, and who belongs to whom."""
    from proteus import Model

    make, country = Model.get("party.party"), Model.get("country.country")
    found = {}
    for name, (code, street, postcode, town, mechanisms) in _CUSTOMERS.items():
        party = make(name=name)
        (address,) = party.addresses
        lands = country.find([("code", "=", code)]) or [country(name=code, code=code)]
        if lands[0].id < 0:
            lands[0].save()
        address.street_unstructured, address.postal_code, address.city = street, postcode, town
        address.country = lands[0]
        for sort, value in mechanisms:
            party.contact_mechanisms.new(type=sort, value=value)
        party.save()
        found[name] = party
    kinds = {}
    for name, back in (("works for", "employs"), ("belongs to", "owns")):
        kind, reverse = Model.get("party.relation.type")(name=name), Model.get("party.relation.type")(name=back)
        kind.save()
        reverse.reverse = kind
        reverse.save()
        kind.reverse = reverse
        kind.save()
        kinds[name] = kind
    relate = Model.get("party.relation.all")
    for name, company, phone, email in _PERSONS:
        person = make(name=name)
        person.contact_mechanisms.new(type="mobile" if "171" in phone or "33 6" in phone else "phone", value=phone)
        person.contact_mechanisms.new(type="email", value=email)
        person.save()
        relate(from_=person, to=found[company], type=kinds["works for"], start_date=dt.date(2024, 4, 1)).save()
        found[name] = person
    relate(from_=found["ACME Service GmbH"], to=found["ACME AG"], type=kinds["belongs to"]).save()
    return found


_INVOICES = (
    # customer, day, pieces, price, what became of it
    ("ACME AG", dt.date(2026, 2, 3), 4, "1250.5", "paid"),
    ("ACME AG", dt.date(2026, 8, 3), 2, "1250.50", "posted"),  # due on 2 September
    ("ACME AG", dt.date(2026, 9, 15), 1, "980", "partly"),  # due on 15 October
    ("ACME AG", dt.date(2026, 11, 10), 3, "1250.50", "posted"),  # not yet due
    ("ACME AG", dt.date(2026, 10, 1), -1, "1250.50", "posted"),  # a credit note
    ("Globex S.A.", dt.date(2026, 3, 2), 10, "99.9", "paid"),
    ("Globex S.A.", dt.date(2026, 7, 1), 1, "0.1", "posted"),
    ("Straßenbau Süß KG", dt.date(2026, 5, 4), 2, "4000", "paid"),
    ("Initech Ltd", dt.date(2026, 11, 12), 1, "1250.50", "draft"),
)


def _invoices(parties: Mapping[str, Any], terms: Any, products: Mapping[str, Any], paid_in: Any) -> None:
    from proteus import Model

    make = Model.get("account.invoice")
    for name, day, pieces, price, end in sorted(_INVOICES, key=lambda row: row[1]):  # numbers follow days
        invoice = make(type="out")
        invoice.party, invoice.payment_term, invoice.invoice_date = parties[name], terms, day
        line = invoice.lines.new()
        line.product, line.quantity, line.unit_price = products["goods"], pieces, Decimal(price)
        invoice.save()
        if end != "draft":
            invoice.click("post")
        if end in ("paid", "partly"):
            pay = invoice.click("pay")
            pay.form.payment_method, pay.form.date = paid_in, day + dt.timedelta(days=28)
            if end == "partly":
                pay.form.amount = Decimal("500.00")
            pay.execute("choice")
            if pay.state != "end":
                pay.form.type = "partial"
                pay.execute("pay")


def _sales(parties: Mapping[str, Any], people: Mapping[str, Any], terms: Any, products: Mapping[str, Any]) -> None:
    """Make orders, an opportunity and a running subscription."""
    from proteus import Model

    for name, day, pieces, confirmed in (("ACME AG", dt.date(2026, 10, 20), 3, True),
                                         ("Globex S.A.", dt.date(2026, 6, 20), 1, True),
                                         ("Globex S.A.", dt.date(2026, 11, 2), 5, False)):  # fmt: skip
        sale = Model.get("sale.sale")()
        sale.party, sale.payment_term, sale.sale_date = parties[name], terms, day
        line = sale.lines.new()
        line.product, line.quantity, line.unit_price = products["goods"], pieces, Decimal("1250.50")
        sale.invoice_method = sale.shipment_method = "manual"
        sale.save()
        if confirmed:
            sale.click("quote")
            sale.click("confirm")
    chance = Model.get("sale.opportunity")()
    chance.party, chance.employee = parties["ACME AG"], people["volker"]
    chance.description, chance.amount, chance.conversion_probability = "Spare parts", Decimal(25000), 0.4
    chance.start_date, chance.end_date = dt.date(2026, 9, 1), dt.date(2027, 1, 31)
    chance.save()
    monthly = Model.get("sale.subscription.recurrence.rule.set")(name="Monthly")
    (rule,) = monthly.rules
    rule.freq, rule.interval = "monthly", 1
    monthly.save()
    service = Model.get("sale.subscription.service")(product=products["service"], consumption_recurrence=monthly)
    service.save()
    contract = Model.get("sale.subscription")()
    contract.party, contract.payment_term = parties["ACME AG"], terms
    contract.start_date = contract.invoice_start_date = dt.date(2025, 1, 1)
    contract.end_date, contract.invoice_recurrence = dt.date(2026, 12, 31), monthly
    line = contract.lines.new()
    line.service, line.quantity, line.unit_price = service, 1, Decimal("980.00")
    contract.click("quote")
    contract.click("run")


def _notes(parties: Mapping[str, Any]) -> None:
    from proteus import Model

    for name, text in (("ACME AG", "Only pays after dunning level 2"), ("Globex S.A.", "Invoices in French, please")):
        Model.get("ir.note")(resource=parties[name], message=text).save()


# ---- the cut -----------------------------------------------------------------------------------------------------


_LEFT_OUT = (
    "UPDATE res_user SET password_hash = NULL",
    "UPDATE account_invoice SET invoice_report_cache = NULL",
    "DELETE FROM account_account WHERE id NOT IN (SELECT account FROM account_move_line)",
    "DELETE FROM account_account_type WHERE id NOT IN (SELECT type FROM account_account WHERE type IS NOT NULL)",
)


def cut(path: Path) -> Iterator[str]:
    """Yield the tables of interest as SQL statements, with their indexes; no passwords, and no printed invoices."""
    with contextlib.closing(sqlite3.connect(path)) as connection:  # which rolls back what is left out
        for statement in _LEFT_OUT:
            connection.execute(statement)
        for table in TABLES:
            sql = "SELECT sql FROM sqlite_master WHERE tbl_name = ? AND sql IS NOT NULL ORDER BY type DESC, name"
            columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')]
            yield from (f"{statement};" for (statement,) in connection.execute(sql, (table,)))
            quoted = " || ', ' || ".join(f'quote("{column}")' for column in columns)
            for (values,) in connection.execute(f'SELECT {quoted} FROM "{table}" ORDER BY id'):  # noqa: S608 - our names
                yield f'INSERT INTO "{table}" VALUES ({values});'  # noqa: S608 - quoted by SQLite


def main(path: Path, text: Path | None = None) -> None:
    """Make the database; with a second path write the cut."""
    if not path.exists() or text is None:
        seed(path)
    if text is not None:
        told = "\n".join(cut(path)) + "\n"
        text.write_bytes(gzip.compress(told.encode(), mtime=0))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
