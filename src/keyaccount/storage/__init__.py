"""The storage port: what a book needs of a place to keep its records.

An adapter answers a query exactly, as `keyaccount.queries.run` and `total` would, or hands its rows to them. Nothing
here names a database.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

import attrs

from keyaccount.model.entity import Entity
from keyaccount.queries import Query, Total


@attrs.frozen
class Change:
    """One record before and after: None before creates, None after removes.

    `after` carries the next version. The adapter refuses the change with ConflictError where the stored version is not
    that of `before`.
    """

    kind: str
    id: str
    before: Entity | None
    after: Entity | None


@attrs.frozen
class Act:
    """What one transaction did, for the audit: when, by whom, why. `seq` is given by the adapter."""

    at: datetime
    by: str
    why: str | None = None
    seq: int = 0
    changed: tuple[tuple[str, str], ...] = ()


class StorageUnit(Protocol):
    """One unit of work: it sees one state, and its own writes."""

    def find(self, query: Query) -> Iterator[Entity]:
        """Answer a query exactly: restricted, masked, filtered, ordered, cut."""

    def gather(self, queries: Sequence[Query]) -> list[list[Entity]]:
        """Answer several queries in one round trip, in their order."""

    def totals(self, query: Query, by: Collection[str] = ()) -> Iterator[Total]:
        """Count the rows of a query by fields; without fields one total, also of nothing."""

    def write(self, act: Act, changes: Sequence[Change]) -> None:
        """Make changes, all or none of them; they belong to the unit's one act.

        Raises ConflictError where a stored version is not the one a change was made from.
        """

    def acts(self, after: int = 0) -> Iterator[Act]:
        """Yield the acts that came after a sequence number, in their order."""


class Storage(Protocol):
    """A place to keep records."""

    def unit(self, *, write: bool) -> AbstractContextManager[StorageUnit]:
        """Open a unit of work: left normally it commits, left by an exception it leaves no trace.

        Only one unit writes at a time; another waits for a bounded time, then raises StorageUnavailable. Units that
        read do not wait, and see the state from when they were opened.
        """

    def close(self) -> None:
        """Let go of everything held open; the storage is not used afterwards."""
