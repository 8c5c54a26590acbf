"""Evidence: the records behind a figure, in order; a million of them take a few megabytes."""

from __future__ import annotations

import json
import zlib
from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Generic, NamedTuple, TypeVar, overload

from keyaccount.errors import KeyAccountError

T = TypeVar("T")

EAGER = 10_000
"""So many records stand in a plain tuple; more are packed."""

_PACK = 5_000


class Excluded(NamedTuple):
    """A record that was left out, and why."""

    id: str
    reason: str


class Evidence(Sequence[T]):
    """A sequence that is not held as a tuple, and that equals its tuple."""

    __slots__ = ()

    @abstractmethod
    def __iter__(self) -> Iterator[T]:
        """Iterate over the records in order."""

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        """Return one record by its place, or several."""
        places = range(len(self))[index]
        return tuple(map(self._at, places)) if isinstance(places, range) else self._at(places)

    @abstractmethod
    def _at(self, place: int) -> T:
        """Return the record at a place that there is."""

    def __eq__(self, other: object) -> bool:
        """Compare the records, with those of any tuple or other evidence."""
        if not isinstance(other, (Evidence, tuple)) or len(self) != len(other):
            return NotImplemented if not isinstance(other, (Evidence, tuple)) else False
        return all(one == another for one, another in zip(self, other, strict=True))

    def __hash__(self) -> int:
        """Return what the tuple of the records hashes to."""
        return hash(tuple(self))

    def __repr__(self) -> str:
        """Show the records."""
        return repr(tuple(self))

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle the records, not the way to them."""
        return tuple, (tuple(self),)


class Later(Evidence[str]):
    """Ids that are looked up when somebody asks for them: where sums are all that was read."""

    __slots__ = ("_find", "_found")

    def __init__(self, find: Callable[[], Iterable[str]]) -> None:
        self._find = find
        self._found: tuple[str, ...] | None = None

    def _ids(self) -> tuple[str, ...]:
        if self._found is None:
            self._found = tuple(self._find())
        return self._found

    def _at(self, place: int) -> str:
        return self._ids()[place]

    def __repr__(self) -> str:
        """Show the ids; say so where they cannot be looked up any more."""
        try:
            return super().__repr__()
        except KeyAccountError as error:
            return f"<ids that cannot be looked up: {error}>"

    def __len__(self) -> int:
        """Count the ids."""
        return len(self._ids())

    def __iter__(self) -> Iterator[str]:
        """Iterate over the ids."""
        return iter(self._ids())


class Packed(Evidence[T]):
    """More records than one would hold: a few thousand at a time are compressed, and unpacked when they are read."""

    __slots__ = ("_ends", "_last", "_make", "_packs")

    def __init__(self, packs: Sequence[bytes], ends: Sequence[int], make: Callable[[Any], T]) -> None:
        self._packs = packs
        self._ends = ends
        self._make = make
        self._last: tuple[int, list[T]] = (-1, [])

    def __len__(self) -> int:
        """Count the records."""
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[T]:
        """Iterate over the records; one pack at a time is unpacked."""
        return chain.from_iterable(map(self._unpacked, range(len(self._packs))))

    def _at(self, place: int) -> T:
        number = bisect_right(self._ends, place)
        at, records = self._last
        if at != number:
            records = self._unpacked(number)
            self._last = number, records
        return records[place - self._ends[number]]

    def _unpacked(self, number: int) -> list[T]:
        return list(map(self._make, json.loads(zlib.decompress(self._packs[number]))))


class Gathered(Generic[T]):
    """Records as they come, on their way to a tuple, or packed where they are very many.

    `make` turns a record's JSON form into the record.
    """

    __slots__ = ("_ends", "_make", "_open", "_packs")

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self._open: list[T] = []
        self._packs: list[bytes] = []
        self._ends: list[int] = []

    def extend(self, records: Iterable[T]) -> None:
        """Add records in their order."""
        self._open += records
        while len(self._open) > EAGER:
            self._pack(_PACK)

    def told(self, *, sorts: bool = False) -> Sequence[T]:
        """Return what came: a tuple, sorted where that is asked for; what is packed stays as it came."""
        if not self._packs:
            return tuple(sorted(self._open) if sorts else self._open)  # type: ignore[type-var]  # ids or tuples of text
        other = self.copy()
        other._pack(len(other._open))
        return Packed(other._packs, other._ends, self._make)

    def copy(self) -> Gathered[T]:
        """Return the same, to go on with elsewhere."""
        other = Gathered(self._make)
        other._open, other._packs, other._ends = self._open[:], self._packs[:], self._ends[:]
        return other

    def _pack(self, count: int) -> None:
        if not count:
            return
        text = json.dumps(self._open[:count], separators=(",", ":"))
        self._packs.append(zlib.compress(text.encode(), level=3))
        self._ends.append((self._ends[-1] if self._ends else 0) + count)
        del self._open[:count]


def ids() -> Gathered[str]:
    """Gather ids."""
    return Gathered(str)


def left_out() -> Gathered[Excluded]:
    """Gather what was left out, and why."""
    return Gathered(_excluded)


def _excluded(row: Any) -> Excluded:
    return Excluded(*row)
