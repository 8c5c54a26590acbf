"""The same questions by hand on the same tables, with the database's own driver; nothing here imports keyaccount.

Rights are what a report of one's own has: the accounts a user is assigned to, in force today. `tables` says how the
tables and columns are called, for an ERP's are called otherwise.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

YEARS = [f"{year}-01-01" for year in range(2021, 2027)]
LISTS = frozenset({"refs", "extra", "phones", "emails", "social", "addresses", "relationships"})

OURS = {
    "account": "SELECT * FROM {p}organisation WHERE id = {m}",
    "invoices": "SELECT * FROM {p}invoice WHERE organisation_id = {m} ORDER BY issued_on, id",
    "mine": "SELECT o.* FROM {p}organisation o WHERE o.id IN (SELECT a.organisation_id FROM {p}assignment a "
    "WHERE a.user_id = {m} AND (a.valid_until IS NULL OR a.valid_until >= {m})) ORDER BY o.name_key, o.id LIMIT 50",
    "totals": "SELECT organisation_id, currency, {windows} FROM {p}invoice GROUP BY organisation_id, currency",
    "window": "SUM(net_units) FILTER (WHERE issued_on >= '{a}' AND issued_on < '{b}')",
}
HOSTS = {
    "account": "SELECT * FROM party WHERE id = {m}",
    "invoices": "SELECT * FROM bill WHERE party = {m} ORDER BY day, id",
    "mine": "SELECT o.* FROM party o WHERE o.id IN (SELECT CAST(a.organisation_id AS INTEGER) "
    "FROM keyaccount_assignment a WHERE a.user_id = {m} AND (a.valid_until IS NULL OR a.valid_until >= {m})) "
    "ORDER BY lower(o.name), o.id LIMIT 50",
    "totals": "SELECT party, 'EUR', {windows} FROM bill GROUP BY party",
    "window": "SUM(cents * 100) FILTER (WHERE day >= '{a}' AND day < '{b}')",
}


class Account:
    """A row as an object; lists are read, as a caller would use them."""

    def __init__(self, names: list[str], row: Any) -> None:
        """Put it together."""
        for name, value in zip(names, row, strict=True):
            setattr(self, name, json.loads(value) if name in LISTS and value else value)


class Raw:
    """Questions on one open connection of a driver."""

    def __init__(self, connection: Any, mark: str, prefix: str = "", tables: dict[str, str] | None = None) -> None:
        """Write the statements once."""
        tables = tables or OURS
        spans = pairwise(YEARS)
        windows = ", ".join(tables["window"].format(a=a, b=b) for a, b in spans)
        self.sql = {
            name: text.format(p=prefix, m=mark, windows=windows)
            for name, text in tables.items()
            if "{" in text and name != "window"
        }
        self.sql["totals"] = tables["totals"].format(p=prefix, windows=windows)
        self.connection = connection

    def _objects(self, name: str, *values: Any) -> list[Account]:
        cursor = self.connection.cursor()
        cursor.execute(self.sql[name], values)
        names = [column[0] for column in cursor.description]
        return [Account(names, row) for row in cursor.fetchall()]

    def get(self, id: Any) -> Account:
        """Read one account."""
        return self._objects("account", id)[0]

    def invoices(self, id: Any) -> list[Account]:
        """Read the invoices of one account."""
        return self._objects("invoices", id)

    def mine(self, user: str, today: str) -> list[Account]:
        """Read the first fifty accounts of a user, by name."""
        return self._objects("mine", user, today)

    def totals(self) -> list[Any]:
        """Add up every account's invoices by year."""
        cursor = self.connection.cursor()
        cursor.execute(self.sql["totals"])
        found: list[Any] = cursor.fetchall()
        return found
