"""The storages that the kit is run on, each made fresh in a folder of its own, or in a schema of a server."""

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


def sqlite_of_a_host(folder: Path) -> Callable[[], Storage]:
    """Return what makes storages in files that are reached through SQLAlchemy."""
    import sqlalchemy as sa

    from keyaccount.sql import SQLStorage

    numbers = itertools.count()

    def make() -> Storage:
        engine = sa.create_engine(f"sqlite:///{folder}/{next(numbers)}.db", connect_args={"timeout": PATIENCE})
        sa.event.listen(engine, "connect", lambda driver, _: driver.execute("PRAGMA synchronous = OFF"))
        return _Disposing(engine, prefix="ka_")

    class _Disposing(SQLStorage):
        def __init__(self, engine: sa.Engine, *, prefix: str) -> None:
            super().__init__(engine, prefix=prefix)
            self._engine = engine

        def close(self) -> None:
            super().close()
            self._engine.dispose()

    return make


def postgresql(folder: Path) -> Callable[[], Storage]:
    """Return what makes storages on a PostgreSQL server."""
    import postgres

    return postgres.stores(postgres.shared())


STORES: Mapping[str, Callable[[Path], Callable[[], Storage]]] = {"memory": memory, "SQLite": sqlite}
SERVED: Mapping[str, Callable[[Path], Callable[[], Storage]]] = {
    "PostgreSQL": postgresql,
    "SQLite through SQLAlchemy": sqlite_of_a_host,
}
