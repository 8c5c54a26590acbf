"""Rows of a table as records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keyaccount.codec import assembled
from keyaccount.model.entity import Entity
from keyaccount.storage.schema import Table


def record_of(table: Table, values: Sequence[Any]) -> Entity:
    """Put a record together from all columns of its table."""
    kept: dict[str, Any] = {}
    for column, value in zip(table.columns, values, strict=True):
        kept[column.name] = f"{kept[column.field]} {value}" if column.currency and value is not None else value
        if column.currency:
            kept[column.field] = kept.pop(column.name)
    return assembled(table.kind.cls, kept)
