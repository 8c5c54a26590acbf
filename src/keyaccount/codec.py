"""How records are written at rest: each field as one plain value, by its shape; the only place that knows cattrs.

Reading trusts what this library wrote: entities are put together field by field, without checking them again.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import attrs

from keyaccount.model.entity import Entity
from keyaccount.money import Money
from keyaccount.results import plain
from keyaccount.shapes import Amount, Day, Degrees, Exact, Flag, Many, Moment, Number, One, Pairs, Rank, Shape, Whole
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
    if value is None or type(value) is str:
        return value
    if isinstance(shape, (Flag, Number, Rank, Whole)):
        return int(value)
    if isinstance(shape, Amount):
        return str(shape.key(value))
    if isinstance(shape, Day):
        return str(value.isoformat())
    if isinstance(shape, Moment):
        return moment(value)
    if isinstance(shape, (Degrees, Exact)):
        return str(value)
    if isinstance(shape, (Many, Pairs, One)):
        if not value and not isinstance(shape, One):
            return "{}" if isinstance(shape, Pairs) else "[]"
        return json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"))
    return str(value)


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
        return lambda text: _converter().structure(json.loads(text), shape.of)
    if isinstance(shape, Many):
        return _many(shape)
    return None


def _money(text: str) -> Money:
    units, _, currency = text.partition(" ")
    return Money.of_units(int(units), currency)


_EMPTY: FrozenMap[str, Any] = FrozenMap()


def _many(shape: Many) -> Callable[[str], tuple[Any, ...]]:
    item = shape.item
    if isinstance(item, One):
        return lambda text: tuple(_converter().structure(one, item.of) for one in json.loads(text))
    return lambda text: () if text == "[]" else tuple(json.loads(text))


def assembled(cls: type[E], values: Mapping[str, Any]) -> E:
    """Put an entity together from its kept values, unchecked."""
    record = cls.__new__(cls)
    for name, read in _fields(cast("Any", cls)):
        value = values[name]
        object.__setattr__(record, name, value if read is None or value is None else read(value))
    return record


@functools.cache
def _fields(cls: Any) -> tuple[tuple[str, Callable[[Any], Any] | None], ...]:
    return tuple((item.name, reader_of(item.metadata["shape"])) for item in attrs.fields(cls))
