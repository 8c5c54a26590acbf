"""Our tables in a database that is somebody else's too: made, recognised, brought up to date, sealed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from keyaccount.catalogue import KINDS
from keyaccount.errors import StorageDamaged, StorageUnavailable
from keyaccount.storage import audit, migrations
from keyaccount.storage.schema import table_of
from keyaccount.storage.unit import Executor

_LINKS = 1_000


def version_of(executor: Executor) -> int:
    """Return the version of our tables; 0 where there are none.

    Raises StorageDamaged where they are of a newer version, or tables named like ours are not ours.
    """
    dialect = executor.dialect
    if not _is_there(executor, "meta"):
        ours = (*(table_of(kind).name for kind in KINDS), "item", "past", "act")
        if found := [name for name in ours if _is_there(executor, name)]:
            raise StorageDamaged(
                f"there is a table {dialect.table(found[0])} that is not this library's; choose a schema or a prefix"
            )
        return 0
    rows = list(executor.run(f"SELECT value FROM {dialect.table('meta')} WHERE name = 'version'"))
    found_version = rows[0][0] if rows else ""
    if not str(found_version).isdecimal():
        raise StorageDamaged(f"{dialect.table('meta')} does not say its version; it was left as it was")
    if int(found_version) > migrations.version():
        raise StorageDamaged("the tables were written by a newer version of this library; they were left as they were")
    return int(found_version)


def _is_there(executor: Executor, name: str) -> bool:
    dialect = executor.dialect
    return bool(list(executor.run(dialect.exists, {"name": dialect.table(name), "bare": f"{dialect.prefix}{name}"})))


def bring_up_to_date(executor: Executor, *, create: bool) -> None:
    """Make the tables where there are none, bring older ones to this version; all of it in the caller's transaction.

    Raises StorageUnavailable where they are missing and not to be made.
    """
    dialect, found = executor.dialect, version_of(executor)
    if found == migrations.version():
        return
    if not found:
        if not create:
            raise StorageUnavailable("there are no tables of this library, and they are not to be made")
        if dialect.schema is not None:
            executor.run(f'CREATE SCHEMA IF NOT EXISTS "{dialect.schema}"')
        executor.run(f"CREATE TABLE {dialect.table('meta')} (name {dialect.text} PRIMARY KEY, value {dialect.text})")
        executor.insert("meta", ("name", "value"), [("version", "0")])
    for statement in migrations.pending(found, dialect):
        executor.run(statement)
    sql = f"UPDATE {dialect.table('meta')} SET value = :version WHERE name = 'version'"
    executor.run(sql, {"version": str(migrations.version())})


def lock_of(schema: str | None, prefix: str) -> int:
    """Return the number under which the making of tables is locked, from the names they are asked for under."""
    told = f"keyaccount {schema} {prefix}".encode()
    return int.from_bytes(hashlib.blake2b(told, digest_size=8).digest(), "big", signed=True)


def seal(executor: Executor) -> str:
    """Chain the acts since the last seal, each to the one before; return the number and the chain of the last."""
    acts, nothing = executor.dialect.table("act"), {"nothing": b""}
    last = f"SELECT seq, chain FROM {acts} WHERE chain <> :nothing ORDER BY seq DESC LIMIT 1"
    (seq, before), *_ = [*executor.run(last, nothing), (0, b"")]
    while links := list(_links(executor, seq, before)):
        told = json.dumps([(number, chain.hex()) for number, chain in links])
        listed = "jsonb_array_elements(CAST(:links AS jsonb)) j WHERE seq = CAST(j.value ->> 0 AS bigint)"
        executor.run(f"UPDATE {acts} SET chain = decode(j.value ->> 1, 'hex') FROM {listed}", {"links": told})
        seq, before = links[-1]
    return audit.sealed(executor)


def _links(executor: Executor, seq: int, before: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the next acts with their links."""
    sql = (
        "SELECT seq, at, by, why, key, request, changed, digests "
        f"FROM {executor.dialect.table('act')} WHERE seq > :seq ORDER BY seq LIMIT {_LINKS}"
    )
    rows: Sequence[Sequence[Any]] = list(executor.run(sql, {"seq": seq}))
    for *told, digests in rows:
        before = audit.chained(before, told, digests)
        yield told[0], before
