"""Rows of a table as records."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from keyaccount.catalogue import Kind
from keyaccount.codec import assembled
from keyaccount.model.entity import Entity
from keyaccount.storage.schema import Table
from keyaccount.storage.sql import shown_fields


def single(kind: Kind, row: Sequence[Any]) -> Entity:
    """Put one record together from the fields that are shown, in their order."""
    record: Entity = object.__new__(kind.cls)
    for (put, read), value in zip(_fields(kind), row, strict=False):
        put(record, value if read is None or value is None else read(value))
    return record


@functools.cache
def _fields(kind: Kind) -> list[tuple[Callable[[Any, Any], None], Callable[[Any], Any] | None]]:
    """Return how each field that is shown is put into a record, and how its value is read back."""
    return [(getattr(kind.cls, field).__set__, read) for field, read in shown_fields(kind).items()]


def record_of(table: Table, values: Sequence[Any]) -> Entity:
    """Put a record together from all columns of its table."""
    kept: dict[str, Any] = {}
    for column, value in zip(table.columns, values, strict=True):
        kept[column.name] = f"{kept[column.field]} {value}" if column.currency and value is not None else value
        if column.currency:
            kept[column.field] = kept.pop(column.name)
    return assembled(table.kind.cls, kept)
