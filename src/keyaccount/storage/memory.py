"""Records in memory: the evaluator itself, with transactions. For tests, notebooks, and as the readable reference."""

from __future__ import annotations

import os
import threading
import weakref
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from keyaccount.errors import ConflictError, StorageUnavailable, ValidationError
from keyaccount.model.entity import Entity
from keyaccount.queries import Index, Query, Total, Window, run, total
from keyaccount.storage import Act, Change, Finding, Image

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
        self._images: dict[tuple[str, str], list[Image]] = defaultdict(list)
        self._guard = threading.RLock()
        self._writer = threading.Lock()
        self._pid = os.getpid()
        self._patience = patience
        self._open: weakref.WeakSet[MemoryUnit] = weakref.WeakSet()

    @contextmanager
    def unit(self, *, write: bool) -> Iterator[MemoryUnit]:
        """Open a unit of work; see the port."""
        if self._pid != os.getpid():  # after a fork: a lock of the parent's would never be released here
            self._guard, self._writer, self._pid = threading.RLock(), threading.Lock(), os.getpid()
        if write and not self._writer.acquire(timeout=self._patience):
            raise StorageUnavailable("another transaction is still open; try again when it has ended")
        try:
            with self._guard:
                unit = MemoryUnit(self._base, self._acts, self._images, self._guard)
                self._open.add(unit)
            yield unit
            self._commit(unit)
        finally:
            with self._guard:
                self._open.discard(unit)
            if write:
                self._writer.release()

    def check(self, seal: str | None = None) -> Iterator[Finding]:
        """Find nothing but a seal of another history: what is in memory is not kept anywhere it could be damaged."""
        if seal is not None and seal.partition(":")[0] not in map(str, range(len(self._acts) + 1)):
            yield Finding("Act", seal.partition(":")[0], "is gone: the history was longer when it was sealed")

    def backup(self, path: Path, *, overwrite: bool) -> None:
        """Refuse: there is no file to copy."""
        raise ValidationError.of("Book", "path", str(path), f"a book in memory is no file{' to replace' * overwrite}")

    def seal(self) -> str:
        """Return the number of acts."""
        return f"{len(self._acts)}:"

    def close(self) -> None:
        """Let go of nothing: nothing is held open."""

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
            act = attrs.evolve(unit.act, seq=len(self._acts) + 1, changed=tuple(unit.changes))
            self._acts.append(act)
            for name, change in unit.changes.items():
                if change.before is not None or change.after is not None:
                    self._images[name].append(Image(act, change.after))


class MemoryUnit:
    """One unit of work: the common rows, with its own laid over them."""

    def __init__(
        self, base: Index, acts: list[Act], images: Mapping[tuple[str, str], list[Image]], guard: Any
    ) -> None:  # the lock's own type has no name before 3.13
        """See the state of this moment."""
        self._base, self._over = base, Index()
        self._hidden: set[tuple[str, str]] = set()
        self._acts, self._seen, self._images = acts, len(acts), images
        self._guard = guard
        self.act: Act | None = None
        self.changes: dict[tuple[str, str], Change] = {}
        self._log: list[tuple[tuple[str, str], Change | None, bool, Entity | None]] = []

    # -- the port

    def find(self, query: Query) -> Iterator[Entity]:
        """Answer a query exactly."""
        with self._guard:
            return iter(list(run(query, self)))

    def gather(self, queries: Sequence[Query]) -> list[list[Entity]]:
        """Answer several queries on the same state."""
        with self._guard:
            return [list(run(query, self)) for query in queries]

    def totals(
        self,
        query: Query,
        by: Collection[str] = (),
        windows: Sequence[Window] = (),
        *,
        sums: Collection[str] = (),
        extremes: Collection[str] = (),
    ) -> Iterator[Total]:
        """Total what a reader may see of a query."""
        with self._guard:
            return iter(list(total(query, self, by, windows, sums=sums, extremes=extremes)))

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
            self._log.append((name, first, name in self._hidden, self._over.get(*name)))
            self.changes[name] = attrs.evolve(change, before=first.before) if first else change
            self._lay(name, change.after)
        self.act = act

    @contextmanager
    def nested(self) -> Iterator[None]:
        """Undo what is written in the block where it raises."""
        act, mark = self.act, len(self._log)
        try:
            yield
        except BaseException:
            self.act = act
            for name, change, hidden, row in reversed(self._log[mark:]):
                self._restore(name, change, row, hidden=hidden)
            del self._log[mark:]
            raise

    def _restore(self, name: tuple[str, str], change: Change | None, row: Entity | None, *, hidden: bool) -> None:
        self._lay(name, row)
        if not hidden:
            self._hidden.discard(name)
        if change is None:
            del self.changes[name]
        else:
            self.changes[name] = change

    def acts(self, after: int = 0) -> Iterator[Act]:
        """Yield the acts that this unit's state holds."""
        return iter(self._acts[after : self._seen])

    def act_of(self, key: str) -> Act | None:
        """Return the act written under a key, or None."""
        return next((act for act in self._acts[: self._seen] if act.key == key), None)

    def images(self, kind: str, id: str) -> Iterator[Image]:
        """Yield everything one record has been, also in this unit."""
        kept = [image for image in self._images.get((kind, id), ()) if image.act.seq <= self._seen]
        own = self.changes.get((kind, id))
        if own is not None and self.act is not None:
            kept.append(Image(self.act, own.after))
        return iter(kept)

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
