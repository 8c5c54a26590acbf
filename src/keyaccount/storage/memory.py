"""Records in memory: the evaluator itself, with transactions. For tests, notebooks, and as the readable reference."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import attrs

from keyaccount.errors import ConflictError, StorageUnavailable
from keyaccount.model.entity import Entity
from keyaccount.queries import Index, Query, Total, run, total
from keyaccount.storage import Act, Change

_PATIENCE = 5.0


class MemoryStorage:
    """Everything in dictionaries of this process.

    One unit writes at a time and keeps what it writes to itself until it commits; units that read keep seeing the state
    they were opened on. `patience` is how many seconds a writer waits for another.
    """

    def __init__(self, *, patience: float = _PATIENCE) -> None:
        """Start empty."""
        self._base = Index()
        self._acts: list[Act] = []
        self._guard = threading.RLock()
        self._writer = threading.Lock()
        self._patience = patience
        self._open: weakref.WeakSet[MemoryUnit] = weakref.WeakSet()

    @contextmanager
    def unit(self, *, write: bool) -> Iterator[MemoryUnit]:
        """Open a unit of work; see the port."""
        if write and not self._writer.acquire(timeout=self._patience):
            raise StorageUnavailable("another transaction is still open; try again when it has ended")
        try:
            with self._guard:
                unit = MemoryUnit(self._base, self._acts, self._guard)
                self._open.add(unit)
            yield unit
            self._commit(unit)
        finally:
            with self._guard:
                self._open.discard(unit)
            if write:
                self._writer.release()

    def close(self) -> None:
        """Nothing is held open."""

    def _commit(self, unit: MemoryUnit) -> None:
        with self._guard:
            if unit.act is None:
                return
            for change in unit.changes.values():
                for other in self._open:
                    if other is not unit:
                        other.keep(change)
                if change.after is None:
                    self._base.discard(change.kind, change.id)
                else:
                    self._base.add(change.after)
            changed = tuple(unit.changes)
            self._acts.append(attrs.evolve(unit.act, seq=len(self._acts) + 1, changed=changed))


class MemoryUnit:
    """One unit of work: the common rows, with its own laid over them."""

    def __init__(self, base: Index, acts: list[Act], guard: Any) -> None:  # the lock's own type has no name before 3.13
        """See the state of this moment."""
        self._base, self._over = base, Index()
        self._hidden: set[tuple[str, str]] = set()
        self._acts, self._seen = acts, len(acts)
        self._guard = guard
        self.act: Act | None = None
        self.changes: dict[tuple[str, str], Change] = {}

    # -- the port

    def find(self, query: Query) -> Iterator[Entity]:
        """Answer a query exactly."""
        with self._guard:
            return iter(list(run(query, self)))

    def gather(self, queries: Sequence[Query]) -> list[list[Entity]]:
        """Answer several queries on the same state."""
        with self._guard:
            return [list(run(query, self)) for query in queries]

    def totals(self, query: Query, by: Collection[str] = ()) -> Iterator[Total]:
        """Count rows."""
        with self._guard:
            return iter(list(total(query, self, by)))

    def write(self, act: Act, changes: Sequence[Change]) -> None:
        """Make changes, to be seen by others when the unit ends well."""
        for change in changes:
            stored = self.get(change.kind, change.id)
            expected = change.before.version if change.before else 0
            if (stored.version if stored else 0) != expected:
                raise ConflictError(change.kind, change.id, expected, stored.version if stored else None)
        for change in changes:
            name = (change.kind, change.id)
            first = self.changes.get(name)
            self.changes[name] = attrs.evolve(change, before=first.before) if first else change
            self._lay(name, change.after)
        self.act = act

    def acts(self, after: int = 0) -> Iterator[Act]:
        """Yield the acts that this unit's state holds."""
        return iter(self._acts[after : self._seen])

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

    def keep(self, change: Change) -> None:
        """Go on seeing a record as it was before somebody else's change."""
        name = (change.kind, change.id)
        if name not in self._hidden:
            self._lay(name, change.before)

    def _lay(self, name: tuple[str, str], row: Entity | None) -> None:
        self._hidden.add(name)
        if row is None:
            self._over.discard(*name)
        else:
            self._over.add(row)
