"""Rows of a table as records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keyaccount.codec import assembled
from keyaccount.model.entity import Entity
from keyaccount.storage.schema import Table


def record_of(table: Table, values: Sequence[Any]) -> Entity:
    """Put a record together from all columns of its table."""
    return assembled(table.kind.cls, dict(zip((column.name for column in table.columns), values, strict=True)))
