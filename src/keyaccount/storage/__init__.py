"""The storage port: what a book needs of a place to keep its records.

An adapter answers a query exactly, as `keyaccount.queries.run` and `total` would, or hands its rows to them. Nothing
here names a database.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import attrs

from keyaccount.model.entity import Entity
from keyaccount.queries import COUNTED, Query, Total, Totals


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
    """What one transaction did, for the audit: when, by whom, why.

    `key` is the host's idempotency key and `request` the digest of what was asked for under it. `seq` and `changed`
    (kinds and ids) are the adapter's; of an act that changed many thousand records they may come in another order than
    they were written in, without those it made and removed again, and the acts of images need not name them.
    """

    at: datetime
    by: str
    why: str | None = None
    key: str | None = None
    request: str | None = None
    seq: int = 0
    changed: tuple[tuple[str, str], ...] = ()


@attrs.frozen
class Image:
    """A record as one act wrote it; None where the act removed it."""

    act: Act
    record: Entity | None


@attrs.frozen
class Finding:
    """Something that a check found wrong: with which record (or act), and what."""

    kind: str
    id: str
    what: str


class StorageUnit(Protocol):
    """One unit of work: it sees one state, and its own writes."""

    def find(self, query: Query) -> Iterator[Entity]:
        """Answer a query exactly: restricted, masked, filtered, ordered, cut."""

    def gather(self, queries: Sequence[Query]) -> list[list[Entity]]:
        """Answer several queries in one round trip, in their order."""

    def columns(self, query: Query, fields: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """Answer a query with some fields alone of each record: for rules over very many rows.

        They come in the query's order where it gives one or is cut, else in any.

        Raises ValidationError for what is no field of the kind (`keyaccount.queries.check_fields`).
        """

    def totals(self, query: Query, asked: Totals = COUNTED) -> Iterator[Total]:
        """Total what a reader may see of a query, grouped by fields; without fields one total, also of nothing.

        Order, page and limit of the query do not matter. It is grouped by fields that have an order, and references;
        by a list of references a row counts once under each that the reader sees, and under None where there is none.
        Totals come in the order of their keys, field by field: numbers, days and moments by size, text by its
        characters, nothing last.

        Raises ValidationError for fields that do not fit (`keyaccount.queries.check_totals`).
        """

    def write(self, act: Act, changes: Sequence[Change]) -> None:
        """Make changes, all or none of them; they belong to the unit's one act.

        The first write of a unit says what its act tells; a later one can only complete `request`. Raises ConflictError
        where a stored version is not the one a change was made from, and where another unit's act has the same key.
        """

    def nested(self) -> AbstractContextManager[None]:
        """Undo what is written in the block where it raises; what was written before stays."""

    def acts(self, after: int = 0) -> Iterator[Act]:
        """Yield the acts that came after a sequence number, in their order; not the unit's own, before it has ended."""

    def act_of(self, key: str) -> Act | None:
        """Return the act that was written under an idempotency key by a unit that has ended, or None."""

    def images(self, kind: str, id: str) -> Iterator[Image]:
        """Yield everything one record has been, oldest first, whoever may see it."""


class Storage(Protocol):
    """A place to keep records."""

    def unit(self, *, write: bool) -> AbstractContextManager[StorageUnit]:
        """Open a unit of work: left normally it commits, left by an exception it leaves no trace.

        Only one unit writes at a time; another waits for a bounded time, then raises StorageUnavailable. Units that
        read do not wait, and see the state from when they were opened.
        """

    def check(self, seal: str | None = None) -> Iterator[Finding]:
        """Yield what does not fit together any more: damage, edits behind the library's back, history that is gone.

        With a `seal` that was kept elsewhere, also a history that was cut off since.
        """

    def backup(self, path: Path, *, overwrite: bool) -> None:
        """Copy everything to a new file, consistently, while others go on working."""

    def seal(self) -> str:
        """Return a value that stands for the whole history up to now, to be kept elsewhere."""

    def close(self) -> None:
        """Let go of everything held open; the storage is not used afterwards."""
