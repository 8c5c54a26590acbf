"""What was asked for under an idempotency key, as a digest: the same request gives the same."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection

from keyaccount.catalogue import kind_of
from keyaccount.codec import written
from keyaccount.errors import shown
from keyaccount.model.entity import Entity

_MADE = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b")
"""Ids of the library's own making (UUID version 7): a repeated call makes new ones."""


class Request:
    """The digest of a transaction's writes, in their order; ids made by the library count by when they first appear."""

    def __init__(self) -> None:
        """Start with nothing asked."""
        self._hash = hashlib.sha256()
        self._made: dict[str, str] = {}
        self._count = 0

    def copy(self) -> Request:
        """Return the same, to go on from here twice."""
        other = Request()
        other._hash, other._made, other._count = self._hash.copy(), dict(self._made), self._count
        return other

    def put(self, record: Entity) -> None:
        """Add a record that was put, without its version."""
        self._add("put", type(record).__name__, _text(record, ("version",)))

    def call(self, name: str, *given: object) -> None:
        """Add a call that counts by what it was given: what it writes depends on the moment, and on what is stored."""
        self._add("call", name, *(one if isinstance(one, str) else shown(one) for one in given))

    def remove(self, kind: str, id: str) -> None:
        """Add a removal."""
        self._add("remove", kind, id)

    def told(self, record: Entity, without: Collection[str]) -> str:
        """Return what a record says but for some fields, with made ids by when they first appeared here."""
        return _MADE.sub(lambda found: self._made.get(found[0], found[0]), _text(record, without))

    def knows(self, id: str) -> bool:
        """Say whether an id of the library's making has appeared."""
        return id in self._made

    def same(self, asked: str, stored: str) -> None:
        """Take the id under which something was stored the first time for the one that was made for it now."""
        self._made[stored] = self._made[asked]

    def digest(self) -> str:
        """Return the digest of everything so far."""
        return self._hash.hexdigest()

    def _add(self, *words: str) -> None:
        text = _MADE.sub(self._token, "\0".join(words))
        self._hash.update(f"{len(text)}:{text}".encode())

    def _token(self, found: re.Match[str]) -> str:
        if found[0] not in self._made:
            self._made[found[0]] = f"made-{self._count}"
            self._count += 1
        return self._made[found[0]]


def is_made(id: str) -> bool:
    """Say whether an id is one of the library's own making."""
    return _MADE.fullmatch(id) is not None


def _text(record: Entity, without: Collection[str]) -> str:
    shapes = kind_of(type(record)).shapes
    fields = {field: written(shape, getattr(record, field)) for field, shape in shapes.items() if field not in without}
    return json.dumps(fields, ensure_ascii=False, sort_keys=True)
