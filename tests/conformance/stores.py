"""The storages that the kit is run on, each made fresh in a folder of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path

from keyaccount.storage import Storage
from keyaccount.storage.memory import MemoryStorage
from keyaccount.storage.sqlite import SQLiteStorage

PATIENCE = 0.2  # seconds: two writers meet on purpose, and one of them is to give up


def memory(folder: Path) -> Callable[[], Storage]:
    """Return what makes storages in memory."""
    return lambda: MemoryStorage(patience=PATIENCE)


def sqlite(folder: Path) -> Callable[[], Storage]:
    """Return what makes SQLite storages, each in a new file of a folder."""
    numbers = itertools.count()
    return lambda: SQLiteStorage(folder / f"{next(numbers)}.db", patience=PATIENCE)


STORES: Mapping[str, Callable[[Path], Callable[[], Storage]]] = {"memory": memory, "SQLite": sqlite}
