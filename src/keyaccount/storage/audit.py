"""Proof that nothing was lost or changed: digests of rows, their sums in acts, and the chain of acts.

Every row, current or past, carries a salted digest of its content; an act keeps the sum of the digests it wrote, and is
chained to the act before. Whatever flips a bit, edits a row, or takes one out of the history, breaks one of the three.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from keyaccount.catalogue import KINDS
from keyaccount.storage import Finding
from keyaccount.storage.records import record_of
from keyaccount.storage.schema import Table, lookup_keys, search_text, table_of

SIZE = 16


def content(kind: str, values: Iterable[Any]) -> str:
    """Return a kind and a row's columns as one text: what its digest is of."""
    return json.dumps([kind, *values], ensure_ascii=False, separators=(",", ":"))


def digested(salt: bytes, text: str) -> bytes:
    """Return the salted digest of a row's content."""
    return hashlib.blake2b(text.encode(), digest_size=SIZE, salt=salt).digest()


def chained(before: bytes, told: Sequence[Any], digests: bytes) -> bytes:
    """Return the link of an act to the one before."""
    return hashlib.blake2b(before + content("Act", told).encode() + digests, digest_size=32).digest()


def sealed(connection: Any) -> str:
    """Return the number and the chain of the last act as text."""
    row = connection.execute("SELECT seq, chain FROM act ORDER BY seq DESC LIMIT 1").fetchone()
    return "0:" if row is None else f"{row[0]}:{row[1].hex()}"


def findings(connection: Any, seal: str | None) -> Iterator[Finding]:
    """Yield everything that does not fit together, from rows to acts to the database's own structure."""
    sums: Counter[Any] = Counter()
    parts: list[Iterator[Finding]] = [
        _structure(connection),
        *(_rows(connection, table_of(name), sums) for name in KINDS),
        _past(connection, sums),
        _items(connection),
        _acts(connection, sums),
        _unsealed(connection, seal),
    ]
    for part in parts:
        yield from _survived(part)


def _survived(part: Iterator[Finding]) -> Iterator[Finding]:
    """Go on where a part of the file is so damaged that reading it fails."""
    try:
        yield from part
    except (
        sqlite3.Error,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as error:
        if isinstance(error, sqlite3.Error) and not is_damage(error):
            raise
        yield Finding("file", "", f"is damaged: a {type(error).__name__} while reading what it holds")


def is_damage(error: sqlite3.Error) -> bool:
    """Say whether the database's error tells of a damaged file, and not of one that is busy or out of reach."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "decode to UTF-8" in str(error)


def _structure(connection: Any) -> Iterator[Finding]:
    for (line,) in connection.execute("PRAGMA integrity_check(20)"):
        if line != "ok":
            yield Finding("file", "", str(line))


def _rows(connection: Any, table: Table, sums: Counter[int]) -> Iterator[Finding]:
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    searched = "search_text, " if table.kind.searched else ""
    sql = f'SELECT {columns}, {searched}act, salt, digest FROM "{table.name}" ORDER BY id'
    width = len(table.columns)
    for row in connection.execute(sql):
        values, (act, salt, digest) = row[:width], row[-3:]
        sums[act] += _number(digest)
        if not _fits(table.kind.name, salt, values, digest):
            yield Finding(table.kind.name, str(values[0]), "was changed: its digest does not fit its content")
        elif searched and row[width] != search_text(table.kind, record_of(table, values)):
            yield Finding(table.kind.name, str(values[0]), "has a search text that does not fit its content")


def _past(connection: Any, sums: Counter[int]) -> Iterator[Finding]:
    sql = (
        "SELECT p.kind, p.id, p.version, p.act, p.replaced_by, p.content, p.salt, p.digest, a.changed "
        "FROM past p LEFT JOIN act a ON a.seq = p.replaced_by ORDER BY p.replaced_by, p.kind, p.id"
    )
    known: tuple[Any, set[tuple[str, str]]] = (None, set())
    for kind, id, version, act, replaced_by, text, salt, digest, changed in connection.execute(sql):
        sums[act] += _number(digest)
        if known[0] != replaced_by:
            known = (replaced_by, {(k, i) for k, i in json.loads(changed or "[]")})
        sound = _is_digest(salt, text, digest) and _content_names(kind, text) == (id, version)
        if not sound or (kind, id) not in known[1]:
            yield Finding(str(kind), str(id), "has a past that was changed")


def _items(connection: Any) -> Iterator[Finding]:
    """Compare the lookup keys with what the rows say they must be."""
    for (name,) in connection.execute("SELECT DISTINCT kind FROM item"):
        if name not in KINDS:
            yield Finding(str(name), "", "has lookup keys but is no kind of record")
    for name in KINDS:
        table = table_of(name)
        columns = ", ".join(f'"{column.name}"' for column in table.columns)
        stored: dict[str, set[tuple[str, str]]] = {}
        for id, field, key in connection.execute("SELECT id, field, key FROM item WHERE kind = ?", (name,)):
            stored.setdefault(id, set()).add((field, key))
        for values in connection.execute(f'SELECT {columns} FROM "{table.name}"'):
            try:
                wanted = set(lookup_keys(table.kind, record_of(table, values)))
            except (ValueError, TypeError, KeyError, AttributeError, LookupError):
                continue  # the row itself was found before
            if stored.pop(values[0], set()) != wanted:
                yield Finding(name, str(values[0]), "has lookup keys that do not fit its content")
        for id in stored:
            yield Finding(name, str(id), "has lookup keys but is not there")


def _acts(connection: Any, sums: Counter[int]) -> Iterator[Finding]:
    before, expected = b"", 1
    sql = "SELECT seq, at, by, why, key, request, changed, digests, chain FROM act ORDER BY seq"
    for *told, digests, chain in connection.execute(sql):
        seq = told[0]
        if seq != expected:
            yield Finding("Act", str(expected), "is gone")
        if chain != chained(before, told, digests):
            yield Finding("Act", str(seq), "was changed, or the act before it was")
        if sums.pop(seq, 0) % (1 << 8 * SIZE) != _number(digests):
            yield Finding("Act", str(seq), "wrote other rows than there are: some were changed, added or taken away")
        before, expected = chain, seq + 1
    for seq in sorted((seq for seq, found in sums.items() if found), key=str):
        yield Finding("Act", str(seq), "is gone, though rows say it wrote them")


def _unsealed(connection: Any, seal: str | None) -> Iterator[Finding]:
    seq, _, chain = (seal or "0:").partition(":")
    if not (seq.isascii() and seq.isdecimal()) or len(seq) > 18:  # noqa: PLR2004 - beyond any number of acts
        yield Finding("Act", seq[:20], "is no seal of this library")
    elif int(seq):
        row = connection.execute("SELECT chain FROM act WHERE seq = ?", (int(seq),)).fetchone()
        if row is None or not isinstance(row[0], bytes) or row[0].hex() != chain:
            yield Finding("Act", seq, "is not the one that was sealed: the history was cut off or replaced")


def _fits(kind: str, salt: Any, values: Sequence[Any], digest: Any) -> bool:
    try:
        return _is_digest(salt, content(kind, values), digest)
    except (TypeError, ValueError):
        return False


def _is_digest(salt: Any, text: Any, digest: Any) -> bool:
    try:
        return bool(digested(salt, text) == digest)
    except (TypeError, ValueError, AttributeError):
        return False


def _number(digest: Any) -> int:
    return int.from_bytes(digest, "big") if isinstance(digest, bytes) else -1


def _content_names(kind: str, text: Any) -> tuple[Any, Any] | None:
    try:
        named, *columns = json.loads(text)
        values = dict(zip((column.name for column in table_of(kind).columns), columns, strict=True))
    except (ValueError, TypeError, KeyError):
        return None
    return (values["id"], values["version"]) if named == kind else None
