"""Rows as the evaluator reads them: what it needs of a store, and the store that is a dictionary."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from keyaccount import phones
from keyaccount.catalogue import KINDS, Kind
from keyaccount.model.entity import Entity
from keyaccount.shapes import Many, PhoneNumber


class Rows(Protocol):
    """What the evaluator needs of a store: its unrestricted rows, by id and by indexed field."""

    def get(self, kind: str, id: str) -> Entity | None:
        """Return one row or None."""

    def all(self, kind: str) -> Iterable[Entity]:
        """Return all rows of a kind, in any order."""

    def by(self, kind: str, field: str, keys: Iterable[Any]) -> Iterable[Entity]:
        """Return the rows that an index holds under any of the keys, each once."""


class Index:
    """Rows held in dictionaries, indexed by everything the evaluator looks up: the `Rows` of plain objects."""

    def __init__(self, rows: Iterable[Entity] = ()) -> None:
        """Take the first rows."""
        self._rows: dict[str, dict[str, Entity]] = defaultdict(dict)
        self._by: dict[tuple[str, str, Any], dict[str, None]] = defaultdict(dict)
        for row in rows:
            self.add(row)

    def add(self, row: Entity) -> None:
        """Take a row, in place of the one with its id."""
        kind = KINDS[type(row).__name__]
        self.discard(kind.name, row.key)
        self._rows[kind.name][row.key] = row
        for field, key in index_keys(kind, row):
            self._by[kind.name, field, key][row.key] = None

    def discard(self, kind: str, id: str) -> None:
        """Forget a row, if it is there."""
        row = self._rows[kind].pop(id, None)
        if row is None:
            return
        for field, key in index_keys(KINDS[kind], row):
            ids = self._by[kind, field, key]
            ids.pop(id, None)
            if not ids:
                del self._by[kind, field, key]

    def get(self, kind: str, id: str) -> Entity | None:
        """Return one row or None."""
        return self._rows[kind].get(id)

    def all(self, kind: str) -> Iterable[Entity]:
        """Return all rows of a kind."""
        return self._rows[kind].values()

    def by(self, kind: str, field: str, keys: Iterable[Any]) -> Iterable[Entity]:
        """Return the rows under any of the keys, each once."""
        found: dict[str, None] = {}
        for key in keys:
            found |= self._by.get((kind, field, key), {})
        rows = self._rows[kind]
        return [rows[id] for id in found]


def index_keys(kind: Kind, row: Entity) -> Iterator[tuple[str, Any]]:
    """Yield what a row is indexed under: its references, external references and phone numbers."""
    for link in kind.links:
        value = getattr(row, link.field)
        if link.many:
            yield from ((link.field, id) for id in value)
        elif value is not None:
            yield link.field, value
    for pair in kind.shapes["refs"].keys(row.refs):
        yield "refs", pair
    numbers = kind.shapes.get("phones")
    if isinstance(numbers, Many) and isinstance(numbers.item, PhoneNumber):
        for text in row.phones:  # type: ignore[attr-defined]
            yield from (("phones", key) for key in phones.keys(text))
