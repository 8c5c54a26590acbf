"""Totals out of a statement's rows: keys, counts, exact sums of any size, lowest and highest values."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, repeat
from typing import Any

from keyaccount.catalogue import Kind
from keyaccount.codec import read_column, reader_of
from keyaccount.queries import Total, Totals, key_order
from keyaccount.shapes import Many


def totals_of(kind: Kind, asked: Totals, rows: Iterable[Sequence[Any]], *, halves: bool) -> Iterator[Total]:
    """Read the totals out of a statement's rows, in their order.

    A row holds its key, the number of rows, for each window their number (where it is counted) and sums, and the lowest
    and highest values.
    """
    columns = list(zip(*rows, strict=True))
    if not columns:
        return iter(())
    left, size, counts, sums = iter(columns), len(columns[0]), [], []
    keys = [_read(kind, field, next(left)) for field in asked.by]
    whole = next(left)
    for _ in asked.windows or ("everything",):
        if asked.counted:
            counts.append(next(left))
        sums.append(_across(_added(list(islice(left, len(asked.sums) * (1 + halves))), halves=halves), size))
    lows, highs = ([_read(kind, field, next(left)) for field in fields] for fields in (asked.lows, asked.highs))
    keyed, counted, summed, lowest, highest = (_across(each, size) for each in (keys, counts, sums, lows, highs))
    found = map(Total, keyed, whole, counted, summed, lowest, highest)
    places = list(zip(*map(_places, keys), strict=True))
    if all(map(operator.le, places, places[1:])):  # as databases group them; each is then let go when it was read
        return found
    grouped = list(found)
    return (grouped[n] for n in sorted(range(size), key=places.__getitem__))


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


def _across(columns: Sequence[Iterable[Any]], size: int) -> Iterable[tuple[Any, ...]]:
    """Return the rows of some columns; of none as many empty ones."""
    return zip(*columns, strict=True) if columns else repeat((), size)


def _places(column: Sequence[Any]) -> Sequence[Any]:
    """Return what a column is sorted by; text, as most keys are, by itself."""
    return column if set(map(type, column)) == {str} else [key_order((value,)) for value in column]
