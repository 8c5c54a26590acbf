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
from keyaccount.shapes import (
    ID_LIMIT,
    Amount,
    Choice,
    Flag,
    Ident,
    Many,
    Number,
    Pairs,
    PhoneNumber,
    Rank,
    Refer,
    Shape,
    Text,
    Whole,
)
from keyaccount.storage.dialects import SQLITE, Dialect
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

    def sql_type(self, dialect: Dialect) -> str:
        """Return the column's type."""
        whole = is_whole(self.shape) or (isinstance(self.shape, Amount) and not self.currency)
        return dialect.whole if whole else dialect.text

    @property
    def longest(self) -> int:
        """The bytes that the column's values take at most, in UTF-8."""
        limit = 10 if self.currency or isinstance(self.shape, Choice) else getattr(self.shape, "limit", None)
        if isinstance(self.shape, (Ident, Refer)):
            limit = ID_LIMIT
        return 32 if limit is None else (6 if self.folded else 4) * int(limit)  # folding may make text longer

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


def is_whole(shape: Shape) -> bool:
    """Say whether a column of this shape holds whole numbers, and is compared as such."""
    return isinstance(shape, (Flag, Number, Rank, Whole))


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


@functools.cache
def stored_columns(table: Table) -> tuple[str, ...]:
    """Return the names of all columns of a table, those beside its fields too, in their order."""
    searched = ("search_text",) if table.kind.searched else ()
    return (*(column.name for column in table.columns), *searched, "act", "salt", "digest")


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


def statements(dialect: Dialect = SQLITE) -> Iterator[str]:
    """Yield what makes an empty database ours."""
    for name in KINDS:
        table = table_of(name)
        columns = [
            f'"{c.name}" {c.sql_type(dialect)}{" PRIMARY KEY NOT NULL" if c.name == "id" else ""}'
            for c in table.columns
        ]
        columns += [f"search_text {dialect.text}"] if table.kind.searched else []
        columns += [f"act {dialect.whole} NOT NULL", f"salt {dialect.blob} NOT NULL", f"digest {dialect.blob} NOT NULL"]
        yield f"CREATE TABLE {dialect.table(table.name)} ({', '.join(columns)}){dialect.without_rowid}"
        for index in _indexes(table):
            made = dialect.index(f"{table.name}_by_{'_'.join(index)}")
            yield f"CREATE INDEX {made} ON {dialect.table(table.name)} {_indexed(table, index, dialect)}"
    yield from _covering(dialect)
    yield from _common(dialect)


def _indexed(table: Table, index: tuple[str, ...], dialect: Dialect) -> str:
    """Return what is indexed: some columns in order, or the hash of the first where all may be too long for that."""
    longest = sum(column.longest for column in table.columns if column.name in index)
    if dialect.long_key is not None and longest > dialect.long_key:
        return f'USING hash ("{index[0]}")'
    return f"({', '.join(f'{chr(34)}{column}{chr(34)}' for column in index)})"


def _covering(dialect: Dialect) -> Iterator[str]:
    """Yield indexes for what reaches below its own account; it is little, and asked for with each right."""
    for name, first in (("assignment", "user_id, role, valid_from, valid_until"), ("grant", "principal")):
        made = f"CREATE INDEX {dialect.index(f'{name}_covering')} ON {dialect.table(name)}"
        yield f"{made} ({first}, organisation_id) WHERE covers_subsidiaries = 1"


def _common(dialect: Dialect) -> Iterator[str]:
    """Yield the tables beside those of the kinds: lookup keys, past images, acts."""
    text, whole, blob = (f"{sort} NOT NULL" for sort in (dialect.text, dialect.whole, dialect.blob))
    item, past, act = (dialect.table(name) for name in ("item", "past", "act"))
    columns = f"kind {text}, field {text}, key {text}, id {text}"
    if dialect.long_key is None:
        yield f"CREATE TABLE {item} ({columns}, PRIMARY KEY (kind, field, key, id)){dialect.without_rowid}"
    else:
        yield f"CREATE TABLE {item} ({columns})"  # a key is as long as the host's own values are
        yield f"CREATE INDEX {dialect.index('item_by_key')} ON {item} USING hash (key)"
    yield f"CREATE INDEX {dialect.index('item_by_id')} ON {item} (kind, id)"
    yield (
        f"CREATE TABLE {past} (kind {text}, id {text}, version {whole}, act {whole}, replaced_by {whole}, "
        f"content {text}, salt {blob}, digest {blob}, PRIMARY KEY (kind, id, act)){dialect.without_rowid}"
    )
    yield (
        f"CREATE TABLE {act} (seq {dialect.whole} PRIMARY KEY, at {text}, by {text}, why {dialect.text}, "
        f"key {dialect.text} UNIQUE, request {dialect.text}, changed {text}, digests {blob}, chain {blob})"
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
