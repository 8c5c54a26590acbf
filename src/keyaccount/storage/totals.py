"""Totals out of a statement's rows: keys, counts, exact sums of any size, lowest and highest values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs

from keyaccount.catalogue import Kind
from keyaccount.codec import reader_of
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
        first, wide = len(self.by) + 1, 1 + len(self.sums) * (2 if halves else 1)
        last = first + wide * (len(self.windows) or 1)
        keys, ends = ([_reader(kind, field) for field in fields] for fields in (self.by, self.extremes))
        found = [
            Total(
                _read_all(keys, row[: first - 1]),
                row[first - 1],
                tuple(row[first:last:wide]),
                tuple(_added(row[at + 1 : at + wide], halves=halves) for at in range(first, last, wide)),
                _read_all(ends, row[last::2]),
                _read_all(ends, row[last + 1 :: 2]),
            )
            for row in rows
        ]
        return sorted(found, key=lambda total: key_order(total.key))


_HALF = 32


def parts(field: str, *, halves: bool) -> tuple[str, ...]:
    """Return what is summed of a column: all of it, or apart what stands above and below its 32nd bit."""
    column = f't."{field}"'
    return (f"{column} >> {_HALF}", f"{column} & {(1 << _HALF) - 1}") if halves else (column,)


def _added(sums: Sequence[Any], *, halves: bool) -> tuple[int, ...]:
    """Return the sums of a window; nothing adds up to 0, and two halves to the whole."""
    if halves:
        pairs = zip(sums[::2], sums[1::2], strict=True)
        return tuple((int(high or 0) << _HALF) + int(low or 0) for high, low in pairs)
    return tuple(int(one or 0) for one in sums)


def _reader(kind: Kind, field: str) -> Callable[[Any], Any] | None:
    shape = kind.shapes[field]
    return reader_of(shape.item if isinstance(shape, Many) else shape)


def _read_all(readers: Sequence[Callable[[Any], Any] | None], values: Sequence[Any]) -> tuple[Any, ...]:
    read = zip(readers, values, strict=True)
    return tuple([value if reader is None or value is None else reader(value) for reader, value in read])
