"""The tables, derived from the catalogue: one for each kind, with typed columns named like the fields.

Besides its fields a row names its version and the act that wrote it, and carries a digest of its content. Fields that
compare by folding have a second column, `<field>_key`; amounts are whole numbers of ten-thousandths beside their
currency, `<field>_currency`. What a row is looked up under by item (phone numbers, external
references, members of lists) stands in one table of keys.
"""

from __future__ import annotations

import functools
import json
import operator
from collections.abc import Callable, Iterator
from typing import Any

import attrs

from keyaccount import phones
from keyaccount.catalogue import KINDS, Kind
from keyaccount.codec import AtRest, writer_of
from keyaccount.model.entity import Entity
from keyaccount.results import plain
from keyaccount.search import texts
from keyaccount.shapes import Amount, Flag, Many, Number, Pairs, PhoneNumber, Rank, Shape, Text, Whole
from keyaccount.values import fold

DIALLED = "phones.dialled"
"""The name under which the lookup keys of phone numbers are kept."""


@attrs.frozen
class Column:
    """One column of a table: the field it holds, or the folded form to compare by, or the currency of an amount."""

    name: str
    field: str
    shape: Shape
    folded: bool = False
    currency: bool = False

    @property
    def sql_type(self) -> str:
        """The column's type."""
        whole = isinstance(self.shape, (Flag, Number, Rank, Whole, Amount)) and not self.currency
        return "INTEGER" if whole else "TEXT"

    def of(self) -> Callable[[Any], AtRest]:
        """Return how the column is made of a field's value, where there is one."""
        if self.folded:
            return lambda value: str(self.shape.key(value))
        if isinstance(self.shape, Amount):
            return operator.attrgetter("currency" if self.currency else "units")
        return writer_of(self.shape)


@attrs.frozen
class Table:
    """The table of a kind."""

    kind: Kind
    name: str
    columns: tuple[Column, ...]
    _made: tuple[tuple[str, Callable[[Any], AtRest]], ...]

    def values(self, row: Entity) -> list[AtRest]:
        """Return what the columns hold of a record."""
        found = ((getattr(row, field), made) for field, made in self._made)
        return [None if value is None else made(value) for value, made in found]


@functools.cache
def table_of(kind_name: str) -> Table:
    """Return the table of a kind, by the kind's name."""
    kind = KINDS[kind_name]
    columns = tuple(_columns(kind))
    return Table(kind, _snake(kind_name), columns, tuple((column.field, column.of()) for column in columns))


def _columns(kind: Kind) -> Iterator[Column]:
    for field, shape in sorted(kind.shapes.items(), key=lambda item: item[0] != "id"):
        yield Column(field, field, shape)
        if isinstance(shape, Text) and shape.folded:
            yield Column(f"{field}_key", field, shape, folded=True)
        if isinstance(shape, Amount):
            yield Column(f"{field}_currency", field, shape, currency=True)


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


def lookup_keys(kind: Kind, row: Entity) -> Iterator[tuple[str, str]]:
    """Yield what a record is found under by item: the field and the item's key as text."""
    for field, shape in _many(kind):
        value: Any = getattr(row, field)
        if not value:
            continue
        yield from {(field, key_text(key)): None for key in shape.keys(value)}
        if isinstance(shape, Many) and isinstance(shape.item, PhoneNumber):
            yield from {(DIALLED, key): None for number in value for key in phones.keys(number)}


@functools.cache
def _many(kind: Kind) -> list[tuple[str, Many | Pairs]]:
    return [(field, shape) for field, shape in kind.shapes.items() if isinstance(shape, (Many, Pairs))]


def key_text(key: Any) -> str:
    """Write an item's key as text; different keys stay different, equal ones equal."""
    return key if isinstance(key, str) else json.dumps(plain(key), ensure_ascii=False, sort_keys=True)


def search_text(kind: Kind, row: Entity) -> str | None:
    """Return what a search looks through first: all searched texts folded, phone numbers by their digits."""
    if not kind.searched:
        return None
    return "\n".join(
        "".join(c for c in text if c.isdecimal()) if field == "phones" else fold(text)
        for field, text in texts(kind, row)
    )


# No foreign keys are declared. Most references are no columns (they stand in lists, notes and grants name principals),
# the gate checks all of them before anything is written and names record and field, for every adapter alike, and a
# change is written as a removal and an insertion, so that every constraint would wait for the commit and then look
# through every table that refers. What is changed behind the library's back, `check` finds by digests and sums.


def statements() -> Iterator[str]:
    """Yield what makes an empty database ours."""
    for name in KINDS:
        table = table_of(name)
        columns = [f'"{c.name}" {c.sql_type}{" PRIMARY KEY NOT NULL" if c.name == "id" else ""}' for c in table.columns]
        columns += ["search_text TEXT"] if table.kind.searched else []
        columns += ["act INTEGER NOT NULL", "salt BLOB NOT NULL", "digest BLOB NOT NULL"]
        yield f'CREATE TABLE "{table.name}" ({", ".join(columns)}) WITHOUT ROWID'
        for index in _indexes(table):
            columns_of = ", ".join(f'"{column}"' for column in index)
            yield f'CREATE INDEX {table.name}_by_{"_".join(index)} ON "{table.name}" ({columns_of})'
    yield from _COVERING
    yield from _COMMON


_COVERING = (
    """CREATE INDEX assignment_covering ON assignment (user_id, role, valid_from, valid_until, organisation_id)
    WHERE covers_subsidiaries = 1""",
    'CREATE INDEX grant_covering ON "grant" (principal, organisation_id) WHERE covers_subsidiaries = 1',
)
"""What reaches below its own account is little, and asked for with each right."""

_COMMON = (
    """CREATE TABLE item (kind TEXT NOT NULL, field TEXT NOT NULL, key TEXT NOT NULL, id TEXT NOT NULL,
    PRIMARY KEY (kind, field, key, id)) WITHOUT ROWID""",
    "CREATE INDEX item_by_id ON item (kind, id)",
    """CREATE TABLE past (kind TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, act INTEGER NOT NULL,
    replaced_by INTEGER NOT NULL, content TEXT NOT NULL, salt BLOB NOT NULL, digest BLOB NOT NULL,
    PRIMARY KEY (kind, id, act)) WITHOUT ROWID""",
    """CREATE TABLE act (seq INTEGER PRIMARY KEY, at TEXT NOT NULL, by TEXT NOT NULL, why TEXT, key TEXT UNIQUE,
    request TEXT, changed TEXT NOT NULL, digests BLOB NOT NULL, chain BLOB NOT NULL)""",
)


def _indexes(table: Table) -> Iterator[tuple[str, ...]]:
    for link in table.kind.links:
        if not link.many:
            yield (link.field, "id")
    for column in table.columns:
        if column.folded:
            yield (column.name, "id")
    yield from _INDEXES.get(table.name, ())


_INDEXES: dict[str, tuple[tuple[str, ...], ...]] = {
    "activity": (("organisation_id", "at"), ("open", "follow_up_on"), ("at", "id")),
    "alias": (("old_id", "id"),),
    "contact": (("vip", "id"),),
    "contract": (("last_day", "organisation_id"), ("ends_on", "id")),
    "grant": (("principal", "organisation_id"),),
    "invoice": (
        ("organisation_id", "currency", "issued_on", "net_units"),
        ("issued_on", "organisation_id", "currency", "net_units"),
        ("open", "due_on", "organisation_id"),
        ("settled_on", "due_on"),
        ("number", "id"),
    ),
    "link": (("organisation_id", "kind", "open", "dated_on"),),
    "order": (
        ("organisation_id", "currency", "ordered_on", "net_units", "state"),
        ("ordered_on", "organisation_id", "currency", "net_units", "state"),
        ("open", "organisation_id"),
        ("number", "id"),
    ),
    "organisation": (("private", "id"),),
    "position": (("vip", "id"),),
}
"""What is asked besides references and folded names: windows per account and single months, what is or was open, VIPs.

Windows per account are sums by currency too: with the currency before the day nothing has to be sorted for them.
"""
