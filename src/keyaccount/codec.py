"""How records are written at rest: each field as one plain value, by its shape; the only place that knows cattrs.

Reading trusts what this library wrote: entities are put together field by field, without checking them again.
"""

from __future__ import annotations

import functools
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import attrs

from keyaccount.model.entity import Entity
from keyaccount.money import Money
from keyaccount.results import plain
from keyaccount.shapes import (
    Amount,
    Choice,
    Day,
    Degrees,
    Exact,
    Flag,
    Many,
    Moment,
    Number,
    One,
    Pairs,
    Rank,
    Shape,
    Text,
    Whole,
)
from keyaccount.values import FrozenMap, frozen_json

if TYPE_CHECKING:
    import cattrs

E = TypeVar("E", bound=Entity)
AtRest: TypeAlias = str | int | None
"""A value as a database column holds it."""


@functools.cache
def _converter() -> cattrs.Converter:
    import cattrs

    converter = cattrs.Converter(detailed_validation=False)  # the first fault is enough, as the error it is
    converter.register_structure_hook(Decimal, lambda value, _: Decimal(value))
    converter.register_structure_hook(date, lambda value, _: date.fromisoformat(value))
    converter.register_structure_hook(datetime, lambda value, _: datetime.fromisoformat(value))
    converter.register_structure_hook(Money, lambda value, _: Money(value["amount"], value["currency"]))
    return converter


def written(shape: Shape, value: Any) -> AtRest:
    """Return a field's value as it is kept: text, a whole number, or nothing.

    >>> written(Day(), date(2026, 11, 21))
    '2026-11-21'
    """
    return None if value is None else writer_of(shape)(value)


@functools.cache
def writer_of(shape: Shape) -> Callable[[Any], AtRest]:
    """Return how a field's value is written, where there is one."""
    if isinstance(shape, (Flag, Number, Rank, Whole)):
        return int
    if isinstance(shape, Amount):
        return lambda value: str(shape.key(value))
    if isinstance(shape, Day):
        return lambda value: str(value.isoformat())
    if isinstance(shape, Moment):
        return moment
    if isinstance(shape, (Many, Pairs)):
        nothing = "{}" if isinstance(shape, Pairs) else "[]"
        return lambda value: _json(plain(value)) if value else nothing
    return (lambda value: _json(plain(value))) if isinstance(shape, One) else str


_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def moment(value: datetime) -> str:
    """Return a moment as text that sorts by time."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f").zfill(26) + "Z"


@functools.cache
def reader_of(shape: Shape) -> Callable[[Any], Any] | None:
    """Return how a field's kept value is read back; None where it is kept as it is."""
    if isinstance(shape, Flag):
        return bool
    if isinstance(shape, Rank):
        return shape.of
    if isinstance(shape, Day):
        return date.fromisoformat
    if isinstance(shape, Moment):
        return datetime.fromisoformat
    if isinstance(shape, (Degrees, Exact)):
        return Decimal
    if isinstance(shape, Amount):
        return _money
    if isinstance(shape, Pairs):
        return lambda text: _EMPTY if text == "{}" else frozen_json(json.loads(text))
    if isinstance(shape, One):
        item = _value_of(shape.of)
        return functools.lru_cache(_REMEMBERED)(lambda text: item(json.loads(text)))
    if isinstance(shape, Many):
        return _many(shape)
    return None


def _money(text: str) -> Money:
    units, _, currency = text.partition(" ")
    return Money.of_units(int(units), currency)


_EMPTY: FrozenMap[str, Any] = FrozenMap()
_REMEMBERED = 256
"""How many texts of a field are remembered with what they say: terms and roles come again; nobody can change them."""


def _many(shape: Many) -> Callable[[str], tuple[Any, ...]]:
    if isinstance(shape.item, One):
        item = _value_of(shape.item.of)
        return lambda text: () if text == "[]" else tuple(map(item, json.loads(text)))
    return functools.lru_cache(_REMEMBERED)(lambda text: tuple(json.loads(text)))


def _value_of(cls: type) -> Callable[[Any], Any]:
    """Return how a value object is read back from JSON: field by field where all is plain, as its shapes say."""
    fields = [(item.name, _plain_reader(item.metadata["shape"])) for item in attrs.fields(cast("Any", cls))]

    def converted(told: Any) -> Any:
        return _converter().structure(told, cls)

    def read(told: Any) -> Any:
        if len(told) != len(fields):  # written before a field was added: it has its default
            return converted(told)
        value: Any = object.__new__(cls)
        for name, read_field in fields:
            kept = told[name]
            object.__setattr__(value, name, kept if read_field is None or kept is None else read_field(kept))
        return value

    return converted if any(reader is _by_converter for _, reader in fields) else read


def _plain_reader(shape: Shape) -> Callable[[Any], Any] | None:
    """Return how a field inside a value object is read back; None where it is kept as it is."""
    if isinstance(shape, (Text, Choice, Flag, Number)):
        return None
    if isinstance(shape, Day):
        return date.fromisoformat
    if isinstance(shape, (Degrees, Exact)):
        return Decimal
    if isinstance(shape, Amount):
        return lambda told: Money(told["amount"], told["currency"])
    return tuple if isinstance(shape, Many) and isinstance(shape.item, Text) else _by_converter


def _by_converter(value: Any) -> Any:
    """Stand for a field that only the converter can read."""
    raise TypeError(value)


def assembled(cls: type[E], values: Mapping[str, Any]) -> E:
    """Put an entity together from its kept values, unchecked."""
    names = tuple(item.name for item in attrs.fields(cast("Any", cls)))
    records: list[E] = assembler(cast("Any", cls), names)([[values[name] for name in names]])
    return records[0]


_AT_ONCE = 2_000


@functools.cache
def assembler(cls: Any, names: tuple[str, ...]) -> Callable[[Iterable[Sequence[Any]]], list[Any]]:
    """Return what puts entities together from rows of kept values in the order of their fields' names.

    Columns more than there are names are left over. It goes column by column, which takes half the time of row by row.
    """
    shapes = {item.name: item.metadata["shape"] for item in attrs.fields(cls)}
    fields = [(getattr(cls, name).__set__, reader_of(shapes[name])) for name in names]
    new = object.__new__

    def read_some(rows: Sequence[Sequence[Any]]) -> list[Any]:
        records = [new(cls) for _ in rows]
        for (put, read), column in zip(fields, zip(*rows, strict=True), strict=False):
            deque(map(put, records, column if read is None else read_column(read, column)), maxlen=0)
        return records

    def read_rows(rows: Iterable[Sequence[Any]]) -> list[Any]:
        left = iter(rows)
        return list(chain.from_iterable(iter(lambda: read_some(list(islice(left, _AT_ONCE))), [])))

    return read_rows


def read_columns(shapes: Sequence[Shape], rows: Iterable[Sequence[Any]]) -> Iterator[tuple[Any, ...]]:
    """Read rows of kept values back at once, each column by its shape; yield the rows that come of it."""
    pairs = zip(shapes, zip(*rows, strict=True), strict=False)  # of no rows there are no columns
    readers = ((reader_of(shape), column) for shape, column in pairs)
    return zip(*(column if read is None else read_column(read, column) for read, column in readers), strict=True)


def read_column(read: Callable[[Any], Any], column: Iterable[Any]) -> list[Any]:
    """Read the kept values of a column back; nothing stays nothing."""
    return [None if value is None else read(value) for value in column]
