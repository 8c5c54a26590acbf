"""Records put together from a host's rows: what cannot be read is left out, and nothing a host stored breaks a page."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

import attrs

from keyaccount.catalogue import Kind
from keyaccount.codec import reader_of
from keyaccount.errors import KeyAccountError
from keyaccount.model.entity import Entity
from keyaccount.money import Money
from keyaccount.shapes import Amount, Day, Degrees, Exact, Many, One, Pairs, Shape, Text, shapes_of
from keyaccount.storage.dialects import Elsewhere
from keyaccount.storage.shadows import is_checked
from keyaccount.storage.sql import shown_fields

_UNREADABLE = (KeyAccountError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


@functools.cache
def assembler(kind: Kind, elsewhere: Elsewhere) -> Callable[[Sequence[Any]], Any]:
    """Return what puts a record together from a row of the fields that are shown."""
    cls: Any = kind.cls
    usual = attrs.fields_dict(cls)
    readers = []
    for field in shown_fields(kind):
        shape, default = kind.shapes[field], usual[field].default
        read = _reader(field, shape) if field in elsewhere.given else reader_of(shape)
        empty = default if isinstance(shape, (Many, Pairs)) else None
        readers.append((field, read, empty))
    put, new = object.__setattr__, object.__new__

    def read_row(row: Sequence[Any]) -> Any:
        record = new(cls)
        for (field, read, empty), value in zip(readers, row, strict=False):
            found = value if read is None or value is None else read(value)
            put(record, field, empty if found is None else found)
        return record

    return read_row


def blended(kind: Kind, elsewhere: Elsewhere, theirs: Entity, ours: Entity) -> Entity:
    """Return a record with the host's fields of one, and of another what is kept beside the host's row."""
    record, kept = object.__new__(kind.cls), _kept(kind, elsewhere)
    for item in attrs.fields(kind.cls):
        object.__setattr__(record, item.name, getattr(ours if item.name in kept else theirs, item.name))
    return record


def ours_of(kind: Kind, elsewhere: Elsewhere, record: Entity) -> Entity:
    """Return a record with what is kept beside the host's row, and nothing in its other fields."""
    ours, kept = object.__new__(kind.cls), _kept(kind, elsewhere)
    for item in attrs.fields(kind.cls):
        object.__setattr__(ours, item.name, getattr(record, item.name) if item.name in kept else None)
    return ours


@functools.cache
def _kept(kind: Kind, elsewhere: Elsewhere) -> frozenset[str]:
    """Return the fields that are kept beside the host's row: ours, and what the record referred to at the time.

    Without the latter, the past of a record that the host has moved would be shown to whoever may read its new home.
    """
    fields = {item.name for item in attrs.fields(kind.cls)}
    return frozenset(fields - set(elsewhere.given)) | {"id", *(link.field for link in kind.links)} | fields & {"about"}


def _reader(field: str, shape: Shape) -> Callable[[Any], Any] | None:
    if is_checked(field, shape):
        return lambda text: _value(shape, text)
    if isinstance(shape, Many):
        return lambda text: _value(shape, _told(text))
    if isinstance(shape, (One, Pairs, Exact, Degrees)):
        return lambda text: _value(shape, _told(text) if isinstance(shape, (One, Pairs)) else text)
    return reader_of(shape)


def _told(text: Any) -> Any:
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return text


def _value(shape: Shape, told: Any) -> Any:
    """Return what a host's plain value is for a field; None where it is nothing that the field can hold."""
    try:
        value = shape.normal(_made(shape, told))
        return None if value is None or shape.reason(value) is not None else value
    except _UNREADABLE:
        return None
    except InvalidOperation:
        return None


def _made(shape: Shape, told: Any) -> Any:
    if isinstance(shape, Many):
        items = told if isinstance(told, list) else []
        found = (_value(shape.item, item) for item in items[: shape.limit])
        return tuple(item for item in found if item is not None and item != "")
    if isinstance(shape, One) and isinstance(told, Mapping):
        fields = shapes_of(shape.of)
        values = {name: _value(fields[name], item) for name, item in told.items() if name in fields}
        return shape.of(**{name: value for name, value in values.items() if value is not None})
    if isinstance(shape, Amount):
        return Money(str(told["amount"]), told["currency"])
    if isinstance(shape, Day):
        return date.fromisoformat(told)
    if isinstance(shape, (Exact, Degrees)):
        return Decimal(str(told))
    if isinstance(shape, Text) and isinstance(told, (int, float)) and not isinstance(told, bool):
        return str(told)
    return told
