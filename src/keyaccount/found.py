"""What a `find` found: records by pages, each read when it is reached."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, overload

import attrs

from keyaccount.model.entity import Entity
from keyaccount.queries import Key, Query, cursor, place
from keyaccount.results import Backend, Rows, frame
from keyaccount.shapes import shapes_of

if TYPE_CHECKING:
    from keyaccount.desk import Desk

E = TypeVar("E", bound=Entity)

PAGE = 500
LONGEST_PAGE = 8_000


class Found(Rows[E], Generic[E]):
    """The records a `find` found, in order, read by pages: each is read, with today's rights, when it is reached.

    `cursor` is where the next page starts after a `limit`; None where there is nothing more.
    """

    __slots__ = ("_complete", "_desk", "_first", "_limit", "_query")

    def __init__(self, desk: Desk, query: Query) -> None:
        """Read the first page."""
        self._desk, self._query, self._limit = desk, query, query.limit
        wanted = PAGE if query.limit is None else min(PAGE, query.limit)
        first = self._page(query.after, wanted + 1)
        self._complete = len(first) <= wanted
        self._first = tuple(first[:wanted])

    @property
    def cursor(self) -> str | None:
        """Where to go on after a limit; None where nothing was left out."""
        if self._limit is None or (self._complete and len(self._first) <= self._limit):
            return None
        rows = self._rows()
        if not rows or not self._page(place(self._query, rows[-1]), 1):
            return None
        return cursor(self._query, rows[-1])

    def __iter__(self) -> Iterator[E]:
        """Yield the records; a page that is not read yet is read when it is reached."""
        yield from self._first
        count, page, complete, size = len(self._first), self._first, self._complete, PAGE
        while page and not complete and (self._limit is None or count < self._limit):
            size = min(2 * size, LONGEST_PAGE)
            wanted = size if self._limit is None else min(size, self._limit - count)
            rows = self._page(place(self._query, page[-1]), wanted + 1)
            complete, page = len(rows) <= wanted, tuple(rows[:wanted])
            count += len(page)
            yield from page

    def __len__(self) -> int:
        """Count the records."""
        if self._complete or (self._limit is not None and len(self._first) == self._limit):
            return len(self._first)
        if self._query.after is not None:
            return sum(1 for _ in self)
        with self._desk._view() as view:
            count = view.count(attrs.evolve(self._query, reader=view.reader))
        return count if self._limit is None else min(count, self._limit)

    @overload
    def __getitem__(self, index: int) -> E: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[E, ...]: ...
    def __getitem__(self, index: int | slice) -> E | tuple[E, ...]:
        """Return one record by its place, or several; what stands in front is read without the rest."""
        if isinstance(index, int) and 0 <= index < len(self._first):
            return self._first[index]
        return self._rows()[index]

    def __repr__(self) -> str:
        """Show the first few."""
        shown_rows = ", ".join(map(repr, self._first[:3]))
        more = ", …" if len(self._first) > 3 or not self._complete else ""  # noqa: PLR2004
        return f"Found({shown_rows}{more})"

    def to_frame(self, backend: Backend = "pandas") -> Any:
        """Return the records as a data frame of the named package; of none, the empty columns."""
        return frame([row.to_dict() for row in self], backend, list(shapes_of(self._query.kind.cls)))

    def to_dict(self) -> dict[str, Any]:
        """Return the rows as plain data."""
        return {"rows": [row.to_dict() for row in self]}

    def _rows(self) -> tuple[E, ...]:
        return tuple(iter(self))

    def _page(self, after: Key | None, limit: int) -> list[E]:
        with self._desk._view() as view:
            query = attrs.evolve(self._query, reader=view.reader, after=after, limit=limit)
            return cast("list[E]", view.gather(query)[0])
