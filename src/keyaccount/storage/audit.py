"""Proof that nothing was lost or changed: digests of rows, their sums in acts, and the chain of acts.

Every row, current or past, carries a salted digest of its content; an act keeps the sum of the digests it wrote, and is
chained to the act before. Whatever flips a bit, edits a row, or takes one out of the history, breaks one of the three.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

SIZE = 16


def content(kind: str, values: Iterable[Any]) -> str:
    """Return a kind and a row's columns as one text: what its digest is of."""
    return _text_of([kind, *values])


_text_of = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def digested(salt: bytes, text: str) -> bytes:
    """Return the salted digest of a row's content."""
    return hashlib.blake2b(text.encode(), digest_size=SIZE, salt=salt).digest()


def chained(before: bytes, told: Sequence[Any], digests: bytes) -> bytes:
    """Return the link of an act to the one before."""
    return hashlib.blake2b(before + content("Act", told).encode() + digests, digest_size=32).digest()


def sealed(executor: Any) -> str:
    """Return the number and the chain of the last act as text."""
    sql = f"SELECT seq, chain FROM {executor.dialect.table('act')} ORDER BY seq DESC LIMIT 1"
    row = next(iter(executor.run(sql)), None)
    return "0:" if row is None else f"{row[0]}:{row[1].hex()}"


def is_damage(error: sqlite3.Error) -> bool:
    """Say whether the database's error tells of a damaged file, and not of one that is busy or out of reach."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "decode to UTF-8" in str(error)


def is_busy(error: Exception) -> bool:
    """Say whether the database's error tells of others at work."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
