"""The same rows in the same tables with the same indexes and durability, asked by hand with `sqlite3`.

The tables and rows are read from the measured file, so that both hold the same; nothing here imports keyaccount. What
is asked returns what the library returns: objects with their lists read, notes with their reasons, a decision with the
assignments it rests on. Each call works out the reader afresh, as the library does, in one read transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

CHUNK = 10_000
LISTS = frozenset({"refs", "extra", "phones", "emails", "social", "addresses", "relationships"})


class Account:
    """An account as an object with slots; lists are read, as a caller would use them."""

    __slots__ = (  # noqa: RUF023 - in the order of the columns
        "id", "version", "refs", "extra", "name", "address_name", "parent_id", "private", "sector", "category",
        "website", "phones", "emails", "social", "addresses", "relationships", "tax_id", "currency", "logo", "location",
    )  # fmt: skip

    def __init__(self, row: tuple[Any, ...]) -> None:
        """Put it together from a row."""
        for name, value in zip(self.__slots__, row, strict=True):
            setattr(self, name, json.loads(value) if name in LISTS else value)


COLUMNS = ", ".join(f"t.{name}" for name in Account.__slots__)
IN_FORCE = "(a.valid_from IS NULL OR a.valid_from <= :today) AND (a.valid_until IS NULL OR :today <= a.valid_until)"
MANAGED = f"""EXISTS (SELECT 1 FROM assignment a WHERE a.organisation_id = t.id AND a.role = 'key account manager'
    AND a.user_id = :me AND {IN_FORCE})"""  # noqa: S608
OPEN = f"(+t.private = 0 OR (+t.private = 1 AND {MANAGED}))"
CLAIMED = f"""t.id IN (SELECT a.organisation_id FROM assignment a WHERE a.user_id = :me AND {IN_FORCE}
    UNION SELECT a.organisation_id FROM "grant" a WHERE a.principal IN (SELECT value FROM json_each(:principals)))"""  # noqa: S608
CLOSED = f"({CLAIMED} AND {OPEN})"
LINEAGE = """WITH RECURSIVE c(id, up) AS (SELECT id, parent_id FROM unit WHERE id IN (SELECT value FROM json_each(?))
    UNION SELECT n.id, n.parent_id FROM unit n JOIN c ON n.id = c.up) SELECT id FROM c"""


def connect(path: Path) -> sqlite3.Connection:
    """Open a file with the durability of the library's."""
    connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
    connection.execute("PRAGMA synchronous = EXTRA")
    return connection


def copy_rows(source: Path) -> tuple[list[str], dict[str, list[tuple[Any, ...]]]]:
    """Return what makes the tables, and all rows in memory: reading them is not measured."""
    with closing(sqlite3.connect(source)) as connection:
        made = [sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")]
        names = [n for (n,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return made, {name: connection.execute(f'SELECT * FROM "{name}"').fetchall() for name in names}  # noqa: S608


def load(target: Path, made: list[str], rows: dict[str, list[tuple[Any, ...]]]) -> None:
    """Write everything in one transaction."""
    with closing(connect(target)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for statement in made:
            connection.execute(statement)
        for name, some in rows.items():
            places = ", ".join("?" * len(some[0])) if some else ""
            for start in range(0, len(some), CHUNK):
                connection.executemany(f'INSERT INTO "{name}" VALUES ({places})', some[start : start + CHUNK])  # noqa: S608
        connection.execute("COMMIT")


class ByHand:
    """The questions of the benchmark, by hand, for one user on one connection."""

    def __init__(self, path: Path, me: str, today: str) -> None:
        """Open the file."""
        self.connection, self.me, self.today = connect(path), me, today

    @contextmanager
    def _reading(self) -> Iterator[dict[str, Any]]:
        """Begin to read, and work out who asks: the user, whom they stand in for, their units and those above."""
        run = self.connection.execute
        run("BEGIN")
        try:
            active, unit_ids = run("SELECT active, unit_ids FROM user WHERE id = ?", (self.me,)).fetchone()
            run("SELECT user_id, valid_from, valid_until FROM substitution WHERE deputy_id = ?", (self.me,)).fetchall()
            units = [id for (id,) in run(LINEAGE, (unit_ids,))]
            principals = [("user", self.me), ("everyone", None), *(("unit", id) for id in units)]
            told = [json.dumps({"kind": kind, "id": id}, separators=(",", ":")) for kind, id in principals]
            assert active
            yield {"me": self.me, "today": self.today, "principals": json.dumps(told), "units": units}
        finally:
            run("COMMIT")

    def get_trusted(self, id: str) -> Account:
        """Read one account by its key, whoever asks."""
        return Account(self.connection.execute(f"SELECT {COLUMNS} FROM organisation t WHERE id = ?", (id,)).fetchone())  # noqa: S608

    def get(self, id: str) -> Account:
        """Read one account that the user may read."""
        with self._reading() as who:
            sql = f"SELECT {COLUMNS} FROM organisation t WHERE t.id = :id AND {OPEN}"  # noqa: S608
            return Account(self._one(sql, {**who, "id": id}))

    def by_ref(self, system: str, ref: str) -> Account:
        """Read one account by an external reference."""
        with self._reading() as who:
            key = json.dumps([system, json.dumps(ref)])
            there = "SELECT i.id FROM item i WHERE i.kind = 'Organisation' AND i.field = 'refs' AND i.key = :key"
            sql = f"SELECT {COLUMNS} FROM organisation t WHERE t.id IN ({there}) AND {OPEN}"  # noqa: S608
            return Account(self._one(sql, {**who, "key": key}))

    def find(self, sector: str, limit: int) -> list[Account]:
        """Read the first accounts of a sector by name."""
        return self._listed(f"t.sector = :sector AND {OPEN}", limit, sector=sector)

    def list_open(self, limit: int) -> list[Account]:
        """Read the first accounts by name, where all read what is not private."""
        return self._listed(OPEN, limit)

    def list_closed(self, limit: int) -> list[Account]:
        """Read the first accounts by name, of those the user has a claim on."""
        return self._listed(CLOSED, limit)

    def _listed(self, condition: str, limit: int, **more: Any) -> list[Account]:
        with self._reading() as who:
            sql = f"SELECT {COLUMNS} FROM organisation t WHERE {condition} ORDER BY t.name_key, t.id LIMIT :limit"  # noqa: S608
            return [Account(row) for row in self.connection.execute(sql, {**_bound(who), **more, "limit": limit})]

    def count(self) -> int:
        """Count the accounts that the user may read."""
        with self._reading() as who:
            found: int = self._one(f"SELECT COUNT(*) FROM organisation t WHERE {OPEN}", who)[0]  # noqa: S608
            return found

    def may(self, id: str) -> tuple[bool, list[tuple[Any, ...]]]:
        """Say whether the user may read an account, with what it rests on."""
        with self._reading() as who:
            sql = """SELECT t.private, a.id, a.user_id, a.role, a.valid_from, a.valid_until FROM organisation t
                LEFT JOIN assignment a ON a.organisation_id = t.id WHERE t.id = :id
                UNION ALL SELECT NULL, a.id, a.principal, a."right", a.valid_from, a.valid_until FROM "grant" a
                WHERE a.organisation_id = :id"""
            rows = self.connection.execute(sql, {"id": id}).fetchall()
            mine = [row for row in rows if row[2] == self.me or row[2] in who["principals"]]
            return bool(mine) or not rows[0][0], mine

    def notes(self, id: str, context: str) -> list[dict[str, Any]]:
        """Read the notes of an account that appear in a context, with the reason."""
        with self._reading() as who:
            run = self.connection.execute
            there = f"SELECT t.id, t.parent_id FROM organisation t WHERE t.id = :id AND {OPEN}"  # noqa: S608
            self._one(there, {**who, "id": id})
            rows = run(
                """SELECT id, text, severity, category, contexts, valid_from, valid_until, audience_unit_ids,
                dismissible, must_acknowledge, created_by, created_at FROM service_note WHERE organisation_id = ?""",
                (id,),
            ).fetchall()
            categories = {c: json.loads(paths) for c, paths in run("SELECT id, contexts FROM note_category")}
            known = {path for (path,) in run("SELECT id FROM context")}
            ids = json.dumps([row[0] for row in rows])
            seen = run(
                """SELECT note_id, dismissed, says FROM acknowledgement WHERE user_id = ?
                AND note_id IN (SELECT value FROM json_each(?))""",
                (self.me, ids),
            ).fetchall()
            assert context in known
            dismissed = {note for note, is_dismissed, _ in seen if is_dismissed}
            found = [*self._seen(rows, categories, context, dismissed, who["units"]), *self._computed(id)]
            return sorted(found, key=lambda note: (-note["severity"], "code" in note, note["id"]))

    def _computed(self, id: str) -> Iterator[dict[str, Any]]:
        """Read what is overdue, who manages the account, and what else can make a note."""
        run, told = self.connection.execute, {"id": id, "today": self.today}
        managed = f"""SELECT u.id, u.name FROM assignment a JOIN user u ON u.id = a.user_id AND u.active = 1
            WHERE a.organisation_id = :id AND a.role = 'key account manager' AND {IN_FORCE}"""  # noqa: S608
        managers = run(managed, told).fetchall()
        overdue = run(
            """SELECT id, gross, gross_currency, net, net_currency, due_on, disputed FROM invoice
            WHERE organisation_id = :id AND +open = 1 AND due_on < :today""",
            told,
        ).fetchall()
        late = "SELECT id FROM activity a WHERE organisation_id = :id AND +open = 1 AND follow_up_on < :today"
        run(late, told).fetchall()
        there = f"SELECT role, contact_id FROM position a WHERE organisation_id = :id AND {IN_FORCE}"  # noqa: S608
        run(there, told).fetchall()
        run("SELECT id, ends_on, last_day FROM contract WHERE organisation_id = :id", told).fetchall()
        run("SELECT id FROM link WHERE organisation_id = :id AND +open = 1", told).fetchall()
        run('SELECT id, state FROM "order" WHERE organisation_id = :id AND +open = 1', told).fetchall()
        if overdue:
            owed = sum(row[1] or row[3] for row in overdue) / 10_000
            text = f"{len(overdue)} overdue, {owed:.2f}, since {min(row[5] for row in overdue)}"
            yield {"id": f"overdue-invoices:{id}", "text": text, "severity": 2, "code": "overdue"}
        if managers:
            text = f"Key account manager: {managers[0][1]}"
            yield {"id": f"manager:{id}", "text": text, "severity": 1, "code": "manager"}

    def _seen(
        self, rows: list[Any], categories: dict[str, list[str]], context: str, dismissed: set[str], units: list[str]
    ) -> list[dict[str, Any]]:
        found = []
        for id, text, severity, category, contexts, start, end, audience, *more in rows:
            wanted = json.loads(contexts) or categories.get(category, [])
            where = next((path for path in wanted if context == path or context.startswith(f"{path}.")), None)
            in_force = (start is None or start <= self.today) and (end is None or self.today <= end)
            heard = json.loads(audience)
            if in_force and (not wanted or where) and id not in dismissed and (not heard or set(heard) & set(units)):
                found.append(
                    {"id": id, "text": text, "severity": severity, "why": f"{category} in {where}", "more": more}
                )
        return found

    def totals(self, borders: list[str]) -> list[tuple[int, int]]:
        """Count and sum the invoices between each two of some days."""
        parts, bound = [], dict[str, str]()
        for n, (start, end) in enumerate(pairwise(borders)):
            inside = f"FILTER (WHERE issued_on >= :a{n} AND issued_on < :b{n})"
            parts.append(f"COUNT(*) {inside}, SUM(net_units) {inside}")
            bound |= {f"a{n}": start, f"b{n}": end}
        row = self._one(f"SELECT {', '.join(parts)} FROM invoice", bound)  # noqa: S608
        return [(row[n], row[n + 1] or 0) for n in range(0, len(row), 2)]

    def put(self, row: tuple[Any, ...], items: list[tuple[str, ...]]) -> None:
        """Write one account and what it is found under, through to the disk."""
        run = self.connection.execute
        run("BEGIN IMMEDIATE")
        run(f"INSERT INTO organisation VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608
        self.connection.executemany("INSERT INTO item VALUES (?, ?, ?, ?)", items)
        run("COMMIT")

    def _one(self, sql: str, given: dict[str, Any]) -> Any:
        return self.connection.execute(sql, _bound(given)).fetchone()


def _bound(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name != "units"}
