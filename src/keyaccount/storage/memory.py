"""Records in memory: the evaluator itself, with transactions. For tests, notebooks, and as the readable reference."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keyaccount.errors import StorageUnavailable, ValidationError
from keyaccount.queries import Index
from keyaccount.storage import Finding
from keyaccount.storage.evaluated import Entry, EvaluatedUnit, applied

_PATIENCE = 5.0


class MemoryStorage:
    """Everything in dictionaries of this process.

    One unit writes at a time and keeps what it writes to itself until it commits; units that read keep seeing the state
    they were opened on. `patience` is how many seconds a writer waits for another.
    """

    def __init__(self, *, patience: float = _PATIENCE) -> None:
        """Start empty."""
        self._rows = Index()
        self._entries: list[Entry] = []
        self._guard = threading.RLock()
        self._writer = threading.Lock()
        self._pid = os.getpid()
        self._patience = patience
        self._open: weakref.WeakSet[EvaluatedUnit] = weakref.WeakSet()

    @contextmanager
    def unit(self, *, write: bool) -> Iterator[EvaluatedUnit]:
        """Open a unit of work; see the port."""
        if self._pid != os.getpid():  # after a fork: a lock of the parent's would never be released here
            self._guard, self._writer, self._pid = threading.RLock(), threading.Lock(), os.getpid()
        if write and not self._writer.acquire(timeout=self._patience):
            raise StorageUnavailable("another transaction is still open; try again when it has ended")
        try:
            with self._guard:
                unit = EvaluatedUnit(self._rows, self._entries, self._guard)
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
        if seal is not None and seal.partition(":")[0] not in map(str, range(len(self._entries) + 1)):
            yield Finding("Act", seal.partition(":")[0], "is gone: the history was longer when it was sealed")

    def backup(self, path: Path, *, overwrite: bool) -> None:
        """Refuse: there is no file to copy."""
        raise ValidationError.of("Book", "path", str(path), f"a book in memory is no file{' to replace' * overwrite}")

    def seal(self) -> str:
        """Return the number of acts."""
        return f"{len(self._entries)}:"

    def close(self) -> None:
        """Let go of nothing: nothing is held open."""

    def _commit(self, unit: EvaluatedUnit) -> None:
        entry = unit.entry()
        if entry is None:
            return
        with self._guard:
            for other in self._open:
                if other is not unit:
                    for change in entry.changes.values():
                        other.keep(change)
            applied(self._rows, (entry,))
            self._entries.append(entry)
