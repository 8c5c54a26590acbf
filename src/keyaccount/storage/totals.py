"""Totals out of a statement's rows: keys, counts, exact sums of any size, lowest and highest values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any

import attrs

from keyaccount.catalogue import Kind
from keyaccount.codec import read_column, reader_of
from keyaccount.queries import Total, Window, key_order
from keyaccount.shapes import Many


@attrs.frozen
class Totals:
    """What is to be totalled of a query; see `StorageUnit.totals`."""

    by: tuple[str, ...]
    windows: tuple[Window, ...]
    sums: tuple[str, ...]
    extremes: tuple[str, ...]

    def read(self, kind: Kind, rows: Iterable[Sequence[Any]], *, halves: bool) -> list[Total]:
        """Read the totals out of a statement's rows, in their order.

        A row holds its key, the number of rows, for each window their number and sums, and both ends of each extreme.
        """
        columns = list(zip(*rows, strict=True))
        if not columns:
            return []
        first, wide = len(self.by) + 1, 1 + len(self.sums) * (2 if halves else 1)
        last = first + wide * (len(self.windows) or 1)
        keys = [_read(kind, field, column) for field, column in zip(self.by, columns, strict=False)]
        ends = [_read(kind, field, column) for field, column in zip(_twice(self.extremes), columns[last:], strict=True)]
        inside = [_added(columns[at + 1 : at + wide], halves=halves) for at in range(first, last, wide)]
        counts, whole = columns[first:last:wide], columns[first - 1]
        lows, highs, size = ends[::2], ends[1::2], len(whole)
        in_windows = _across([_across(sums, size) for sums in inside], size)
        told = (
            _across(keys, size),
            whole,
            _across(counts, size),
            in_windows,
            _across(lows, size),
            _across(highs, size),
        )
        found = list(map(Total, *told))
        places = list(zip(*map(_places, keys), strict=True))
        return [found[n] for n in sorted(range(size), key=places.__getitem__)] if keys else found


_HALF = 32


def parts(field: str, *, halves: bool) -> tuple[str, ...]:
    """Return what is summed of a column: all of it, or apart what stands above and below its 32nd bit."""
    column = f't."{field}"'
    return (f"{column} >> {_HALF}", f"{column} & {(1 << _HALF) - 1}") if halves else (column,)


def _added(columns: Sequence[Sequence[Any]], *, halves: bool) -> list[list[int]]:
    """Return the sums of a window, a column for each field; nothing adds up to 0, and two halves to the whole."""
    if halves:
        pairs = zip(columns[::2], columns[1::2], strict=True)
        return [[(int(top or 0) << _HALF) + int(low or 0) for top, low in zip(*pair, strict=True)] for pair in pairs]
    return [[int(one or 0) for one in column] for column in columns]


def _read(kind: Kind, field: str, column: Sequence[Any]) -> Sequence[Any]:
    shape = kind.shapes[field]
    reader = reader_of(shape.item if isinstance(shape, Many) else shape)
    return column if reader is None else read_column(reader, column)


def _twice(fields: Iterable[str]) -> Iterator[str]:
    """Yield each field for its lowest, and for its highest value."""
    for field in fields:
        yield from (field, field)


def _across(columns: Sequence[Iterable[Any]], size: int) -> Iterable[tuple[Any, ...]]:
    """Return the rows of some columns; of none as many empty ones."""
    return zip(*columns, strict=True) if columns else repeat((), size)


def _places(column: Sequence[Any]) -> Sequence[Any]:
    """Return what a column is sorted by; text, as most keys are, by itself."""
    return column if set(map(type, column)) == {str} else [key_order((value,)) for value in column]
