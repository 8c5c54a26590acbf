"""What does not fit together in a database: rows, their past, the acts, and what is derived from them.

Three things prove each other. A row fits its digest; the digests an act wrote add up to the sum it keeps; the acts are
a chain, and each names what it changed. From these follow all others: which act replaced an image is the next one that
names its record; search texts and lookup keys follow from the rows, and the tables from the version of the schema.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import attrs

from keyaccount.catalogue import KINDS
from keyaccount.storage import Finding
from keyaccount.storage.audit import SIZE, chained, content, digested
from keyaccount.storage.changed import counts_of, names_of
from keyaccount.storage.records import record_of
from keyaccount.storage.schema import Table, lookup_keys, search_text, table_of
from keyaccount.storage.unit import Executor


@attrs.define
class _Told:
    """What the rows tell of the acts: the sums of the digests they wrote, and who wrote and replaced which image."""

    sums: Counter[Any] = attrs.field(factory=Counter)
    written: defaultdict[tuple[Any, Any], list[tuple[Any, Any]]] = attrs.field(factory=lambda: defaultdict(list))

    def add(self, kind: object, id: object, act: object, replaced_by: object, digest: object) -> None:
        """Take down one image; nothing replaced one that is current."""
        self.sums[act] += _number(digest)
        self.written[kind, id].append((act, replaced_by))


def findings(executor: Executor, seal: str | None, structure: Iterable[Iterator[Finding]] = ()) -> Iterator[Finding]:
    """Yield everything that does not fit together; first what is wrong with the structure, which a database knows."""
    told = _Told()
    parts: list[Iterator[Finding]] = [
        *structure,
        *(_rows(executor, table_of(name), told) for name in KINDS),
        _past(executor, told),
        _items(executor),
        _acts(executor, told.sums),
        _order(executor, told),
        _unsealed(executor, seal),
    ]
    for part in parts:
        yield from _survived(executor, part)


def _survived(executor: Executor, part: Iterator[Finding]) -> Iterator[Finding]:
    """Go on where a part of the database is so damaged that reading it fails."""
    try:
        with executor.apart():
            yield from part
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        yield Finding("file", "", f"is damaged: a {type(error).__name__} while reading what it holds")
    except Exception as error:
        if not executor.is_damage(error):
            raise
        yield Finding("file", "", f"is damaged: {error}")


# ---- rows --------------------------------------------------------------------------------------------------------


def _rows(executor: Executor, table: Table, told: _Told) -> Iterator[Finding]:
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    searched = "search_text, " if table.kind.searched else ""
    sql = f"SELECT {columns}, {searched}act, salt, digest FROM {executor.dialect.table(table.name)} ORDER BY id"
    width, name = len(table.columns), table.kind.name
    for row in executor.run(sql):
        values, (act, salt, digest) = row[:width], row[-3:]
        told.add(name, values[0], act, None, digest)
        if not _is_digest(salt, _content(name, values), digest):
            yield Finding(name, str(values[0]), "was changed: its digest does not fit its content")
        elif searched and row[width] != search_text(table.kind, record_of(table, values)):
            yield Finding(name, str(values[0]), "has a search text that does not fit its content")


def _past(executor: Executor, told: _Told) -> Iterator[Finding]:
    sql = "SELECT kind, id, version, act, replaced_by, content, salt, digest "
    sql += f"FROM {executor.dialect.table('past')} ORDER BY kind, id, act"
    for kind, id, version, act, replaced_by, text, salt, digest in executor.run(sql):
        told.add(kind, id, act, replaced_by, digest)
        if not _is_digest(salt, text, digest) or _content_names(kind, text) != (id, version):
            yield Finding(str(kind), str(id), "has a past that was changed")


def _items(executor: Executor) -> Iterator[Finding]:
    """Compare the lookup keys with what the rows say they must be."""
    stored: defaultdict[tuple[Any, Any], set[tuple[Any, Any]]] = defaultdict(set)
    for kind, id, field, key in executor.run(f"SELECT kind, id, field, key FROM {executor.dialect.table('item')}"):
        stored[kind, id].add((field, key))
    for name in KINDS:
        table = table_of(name)
        columns = ", ".join(f'"{column.name}"' for column in table.columns)
        for values in executor.run(f"SELECT {columns} FROM {executor.dialect.table(table.name)}"):
            there = stored.pop((name, values[0]), set())
            try:
                wanted = set(lookup_keys(table.kind, record_of(table, values)))
            except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError):
                continue  # the row itself was found before
            if there != wanted:
                yield Finding(name, str(values[0]), "has lookup keys that do not fit its content")
    for kind, id in stored:
        yield Finding(str(kind), str(id), "has lookup keys but is not there")


# ---- acts --------------------------------------------------------------------------------------------------------


def _acts(executor: Executor, sums: Counter[Any]) -> Iterator[Finding]:
    """Follow the chain, and compare what each act keeps with what rows say it wrote.

    Where acts are chained when the history is sealed, those since then have no link yet.
    """
    before, expected, sealed = b"", 1, True
    sql = "SELECT seq, at, by, why, key, request, changed, digests, chain "
    sql += f"FROM {executor.dialect.table('act')} ORDER BY seq"
    for *told, digests, chain in executor.run(sql):
        seq = told[0]
        if seq != expected:
            yield Finding("Act", str(expected), "is gone")
        sealed = sealed and (executor.dialect.chains or chain != b"")
        if (sealed or chain != b"") and not _is_chained(before, told, digests, chain):
            yield Finding("Act", str(seq), "was changed, or the act before it was")
        if sums.pop(seq, 0) % (1 << 8 * SIZE) != _number(digests):
            yield Finding("Act", str(seq), "wrote other rows than there are: some were changed, added or taken away")
        before, expected = chain, seq + 1
    for seq in sorted(sums, key=str):
        yield Finding("Act", str(seq), "is gone, though rows say it wrote them")


def _order(executor: Executor, told: _Told) -> Iterator[Finding]:
    """Compare who wrote and who replaced each image with the acts that name its record, in their order.

    An act that counts names nothing: there the images are taken at their word, and their number must be the act's.
    """
    touched: defaultdict[tuple[Any, Any], list[int]] = defaultdict(list)
    counted: dict[int, dict[str, tuple[int, int]]] = {}
    for seq, changed in executor.run(f"SELECT seq, changed FROM {executor.dialect.table('act')} ORDER BY seq"):
        if (counts := counts_of(changed)) is not None:
            counted[seq] = counts
        for kind, id in names_of(changed):
            touched[kind, id].append(seq)
    for (kind, id), images in told.written.items():
        unnamed = {act for image in images for act in image if act in counted}
        acts = sorted({*touched[kind, id], *unnamed}) if unnamed else touched[kind, id]
        for act, replaced_by in images:
            at = bisect_right(acts, act)
            if not at or acts[at - 1] != act:
                yield Finding(str(kind), str(id), "was written by an act that does not name it")
            elif replaced_by != (acts[at] if at < len(acts) else None):
                yield Finding(str(kind), str(id), "was replaced by another act than it says")
    yield from _miscounted(counted, told)


def _miscounted(counted: dict[int, dict[str, tuple[int, int]]], told: _Told) -> Iterator[Finding]:
    """Compare how many images acts say they wrote and replaced with those that name these acts."""
    written, replaced = Counter[Any](), Counter[Any]()
    for (kind, _), images in told.written.items() if counted else ():
        for act, replaced_by in images:
            written[act, kind] += 1
            replaced[replaced_by, kind] += 1
    for seq, counts in counted.items():
        kinds = sorted({*counts, *(kind for act, kind in (*written, *replaced) if act == seq)})
        if any(counts.get(kind, (0, 0)) != (written[seq, kind], replaced[seq, kind]) for kind in kinds):
            yield Finding("Act", str(seq), "wrote or replaced another number of records than it says")


def _unsealed(executor: Executor, seal: str | None) -> Iterator[Finding]:
    if seal is None:
        return
    seq, _, chain = seal.partition(":")
    if not (seq.isascii() and seq.isdecimal()) or len(seq) > 18:  # noqa: PLR2004 - beyond any number of acts
        yield Finding("Act", seq[:20], "is no seal of this library")
    elif int(seq) or chain:  # "0:" is the seal of a book without a history
        sql = f"SELECT chain FROM {executor.dialect.table('act')} WHERE seq = :seq"
        row = next(iter(executor.run(sql, {"seq": int(seq)})), None)
        if row is None or not isinstance(row[0], bytes) or row[0].hex() != chain:
            yield Finding("Act", seq, "is not the one that was sealed: the history was cut off or replaced")


# ---- digests -----------------------------------------------------------------------------------------------------


def _content(kind: str, values: Sequence[Any]) -> str | None:
    try:
        return content(kind, values)
    except (TypeError, ValueError):  # a column of bytes
        return None


def _is_digest(salt: Any, text: Any, digest: Any) -> bool:
    try:
        return bool(digested(salt, text) == digest)
    except (TypeError, ValueError, AttributeError):
        return False


def _is_chained(before: Any, told: Sequence[Any], digests: Any, chain: Any) -> bool:
    try:
        return bool(chained(before, told, digests) == chain)
    except (TypeError, ValueError):
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
