"""A unit of work over plain rows, for adapters that keep rows and leave the answering to the evaluator.

What a unit writes lies over the rows and stays its own. When it has ended well, the adapter keeps its `entry()`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import attrs

from keyaccount.errors import ConflictError
from keyaccount.model.entity import Entity
from keyaccount.queries import COUNTED, Index, Query, Rows, Total, Totals, check_fields, columns_of, run, total
from keyaccount.storage import Act, Change, Image


@attrs.frozen
class Entry:
    """What one unit did: its act, and its changes by kind and id. A storage's history is a list of these."""

    act: Act
    changes: Mapping[tuple[str, str], Change]


def applied(rows: Index, entries: Iterable[Entry]) -> Index:
    """Bring rows up to date with what was done since, and return them."""
    for entry in entries:
        for change in entry.changes.values():
            if change.after is None:
                rows.discard(change.kind, change.id)
            else:
                rows.add(change.after)
    return rows


class EvaluatedUnit:
    """One unit of work: the rows of a moment, with its own laid over them.

    `rows` are unrestricted; they may change later where the unit is told (`keep`). `entries` are what was done up to
    now, oldest first; what is added to them later is not looked at. `guard` is held while rows are read.
    """

    def __init__(self, rows: Rows, entries: Sequence[Entry], guard: AbstractContextManager[Any] | None = None) -> None:
        """See the state of this moment."""
        self._base, self._over = rows, Index()
        self._hidden: set[tuple[str, str]] = set()
        self._entries, self._seen = entries, len(entries)
        self._guard = guard or nullcontext()
        self._act: Act | None = None
        self._changes: dict[tuple[str, str], Change] = {}
        self._log: list[tuple[tuple[str, str], Change | None, bool, Entity | None]] = []

    def entry(self) -> Entry | None:
        """Return what this unit did, for the adapter to keep; None where it wrote nothing."""
        if self._act is None:
            return None
        return Entry(attrs.evolve(self._act, changed=tuple(self._changes)), dict(self._changes))

    def keep(self, change: Change) -> None:
        """Go on seeing a record as it was before somebody else's change."""
        name = (change.kind, change.id)
        if name not in self._hidden:
            self._lay(name, change.before)

    # -- the port: reading

    def find(self, query: Query) -> Iterator[Entity]:
        """Answer a query exactly."""
        with self._guard:
            return iter(list(run(query, self)))

    def gather(self, queries: Sequence[Query]) -> list[list[Entity]]:
        """Answer several queries on the same state."""
        with self._guard:
            return [list(run(query, self)) for query in queries]

    def columns(self, query: Query, fields: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """Answer a query with some fields alone of each record."""
        check_fields(query.kind, fields)
        return columns_of(self.find(query), fields)

    def totals(self, query: Query, asked: Totals = COUNTED) -> Iterator[Total]:
        """Total what a reader may see of a query."""
        with self._guard:
            return iter(list(total(query, self, asked)))

    # -- the port: writing

    def write(self, act: Act, changes: Sequence[Change]) -> None:
        """Make changes, to be seen by others when the unit ends well; every version is compared first."""
        if self._act is None and act.key is not None and self.act_of(act.key) is not None:
            raise ConflictError("Act", act.key)
        for change in changes:
            stored = self.get(change.kind, change.id)
            expected = change.before.version if change.before else 0
            if (stored.version if stored else 0) != expected:
                raise ConflictError(change.kind, change.id, expected, stored.version if stored else None)
        for change in changes:
            name = (change.kind, change.id)
            first = self._changes.get(name)
            self._log.append((name, first, name in self._hidden, self._over.get(*name)))
            self._changes[name] = attrs.evolve(change, before=first.before) if first else change
            self._lay(name, change.after)
        self._act = attrs.evolve(self._act or act, seq=self._seen + 1, request=act.request)

    @contextmanager
    def nested(self) -> Iterator[None]:
        """Undo what is written in the block where it raises."""
        act, mark = self._act, len(self._log)
        try:
            yield
        except BaseException:
            self._act = act
            for name, change, hidden, row in reversed(self._log[mark:]):
                self._restore(name, change, row, hidden=hidden)
            del self._log[mark:]
            raise

    def _restore(self, name: tuple[str, str], change: Change | None, row: Entity | None, *, hidden: bool) -> None:
        self._lay(name, row)
        if not hidden:
            self._hidden.discard(name)
        if change is None:
            del self._changes[name]
        else:
            self._changes[name] = change

    # -- the port: history

    def acts(self, after: int = 0) -> Iterator[Act]:
        """Yield the acts that this unit's state holds."""
        return (entry.act for entry in self._entries[after : self._seen])

    def act_of(self, key: str) -> Act | None:
        """Return the act written under a key, or None."""
        return next((act for act in self.acts() if act.key == key), None)

    def images(self, kind: str, id: str) -> Iterator[Image]:
        """Yield everything one record has been, also in this unit."""
        own = self.entry()
        for entry in (*self._entries[: self._seen], *([own] if own else ())):
            change = entry.changes.get((kind, id))
            if change is not None and (change.before is not None or change.after is not None):
                yield Image(entry.act, change.after)

    # -- rows, for the evaluator

    def get(self, kind: str, id: str) -> Entity | None:
        """Return one row or None."""
        return (self._over if (kind, id) in self._hidden else self._base).get(kind, id)

    def all(self, kind: str) -> Iterable[Entity]:
        """Return all rows of a kind."""
        yield from (row for row in self._base.all(kind) if (kind, row.key) not in self._hidden)
        yield from self._over.all(kind)

    def by(self, kind: str, field: str, keys: Iterable[Any]) -> Iterable[Entity]:
        """Return the rows under any of the keys, each once."""
        wanted = list(keys)
        found = [row for row in self._base.by(kind, field, wanted) if (kind, row.key) not in self._hidden]
        return [*found, *self._over.by(kind, field, wanted)]

    def _lay(self, name: tuple[str, str], row: Entity | None) -> None:
        self._hidden.add(name)
        if row is None:
            self._over.discard(*name)
        else:
            self._over.add(row)
