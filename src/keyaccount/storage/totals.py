"""Totals out of a statement's rows: keys, counts, exact sums of any size, lowest and highest values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
        """Read the totals out of a statement's rows, in their order."""
        found = [self._total(kind, iter(row), halves=halves) for row in rows]
        return sorted(found, key=lambda total: key_order(total.key))

    def _total(self, kind: Kind, row: Iterator[Any], *, halves: bool) -> Total:
        key = tuple(_read(kind, field, next(row)) for field in self.by)
        count = next(row)
        counts, sums = [], []
        for _ in self.windows or (None,):
            counts.append(next(row))
            summed = [[int(next(row) or 0) for _ in parts(field, halves=halves)] for field in self.sums]
            sums.append(tuple((high << _HALF) + low for high, low in summed) if halves else tuple(n for (n,) in summed))
        ends = [(_read(kind, field, next(row)), _read(kind, field, next(row))) for field in self.extremes]
        lows, highs = zip(*ends, strict=True) if ends else ((), ())
        return Total(key, count, tuple(counts), tuple(sums), lows, highs)


_HALF = 32


def parts(field: str, *, halves: bool) -> tuple[str, ...]:
    """Return what is summed of a column: all of it, or apart what stands above and below its 32nd bit."""
    column = f't."{field}"'
    return (f"{column} >> {_HALF}", f"{column} & {(1 << _HALF) - 1}") if halves else (column,)


def _read(kind: Kind, field: str, value: Any) -> Any:
    shape = kind.shapes[field]
    read = reader_of(shape.item if isinstance(shape, Many) else shape)
    return value if read is None or value is None else read(value)
