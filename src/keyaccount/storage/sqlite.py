"""Records in one SQLite file, on the standard library: the embedded default.

Rollback journal and full sync as shipped: a commit has reached the disk before the call returns. Each unit of work has
a connection of its own out of a small pool, so that threads, tasks and processes do not disturb each other. What
becomes of the file itself (made, recognised, migrated, copied) stands in `file.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import attrs

from keyaccount.access import Reader
from keyaccount.codec import assembler, moment
from keyaccount.errors import ConflictError, ValidationError
from keyaccount.model.entity import Entity
from keyaccount.queries import Query, Total, Window, best, check_totals, grouped, in_order
from keyaccount.storage import Act, Change, Finding, Image, audit, file, findings
from keyaccount.storage.audit import chained, content, digested
from keyaccount.storage.changed import Changed, counts_of, names_of
from keyaccount.storage.file import documented as _documented
from keyaccount.storage.file import run as _run
from keyaccount.storage.records import record_of
from keyaccount.storage.restriction import parameters
from keyaccount.storage.schema import Table, lookup_keys, search_text, table_of
from keyaccount.storage.sql import Select, Totals, several, shown_fields

_IDLE = 8
_PATIENCE = 5.0
_BATCH = 500
_TOGETHER = 100


class SQLiteStorage:
    """One SQLite file. `patience` is how many seconds a writer waits for another, in any thread or process.

    A file that is missing is made. Raises StorageDamaged for one that is not ours, empty, damaged or of a newer version
    (its bytes are left as they were), StorageUnavailable where it cannot be reached.

    `journal="wal"` keeps a write-ahead log instead of a rollback journal: readers and the one writer do not wait for
    each other. The file stays so until it is opened without. Raises ValidationError where SQLite is one of the versions
    whose log can damage a file (3.7.0 to 3.51.2, but for 3.44.6 and 3.50.7).
    """

    def __init__(
        self, path: str | os.PathLike[str], *, patience: float = _PATIENCE, journal: file.Journal = "rollback"
    ) -> None:
        """Open or make the file."""
        self._path = _checked(path)
        file.check_journal(journal)
        self._patience = patience
        self._idle: list[sqlite3.Connection] = []
        self._pid = os.getpid()
        self._guard = threading.Lock()
        self._closed = False
        with _documented():
            if not self._path.exists():
                file.make(self._path)
            file.recognise(self._path)
            with self._borrowed() as connection:
                file.identify(connection, self._path)
                file.keep_journal(connection, self._path, journal)

    @contextmanager
    def unit(self, *, write: bool) -> Iterator[SQLiteUnit]:
        """Open a unit of work; see the port."""
        with self._borrowed() as connection:
            _run(connection, "BEGIN IMMEDIATE" if write else "BEGIN")
            _run(connection, "SELECT seq FROM act LIMIT 1")  # the state is that of the first look, so take one
            try:
                unit = SQLiteUnit(connection)
                yield unit
                unit.finish()
                with _documented():
                    file.commit(connection, self._path, unit.is_there)
            finally:
                if connection.in_transaction:
                    with contextlib.suppress(sqlite3.Error):  # the first error is the one that tells
                        connection.execute("ROLLBACK")

    def check(self, seal: str | None = None) -> Iterator[Finding]:
        """Yield what does not fit together any more; see the port."""
        with self.unit(write=False) as unit:
            with _documented():
                found = list(findings.findings(unit.connection, seal))
            yield from found

    def backup(self, path: Path, *, overwrite: bool) -> None:
        """Copy everything to a new file, consistently, while others go on working."""
        if path.exists() and path.samefile(self._path):
            raise ValidationError.of("Book", "path", str(path), "is the book's own file")
        with self._borrowed() as connection, _documented():
            file.copy(connection, path, self._patience, overwrite=overwrite)

    def seal(self) -> str:
        """Return the number and the chain of the last act."""
        with self.unit(write=False) as unit, _documented():
            return audit.sealed(unit.connection)

    def close(self) -> None:
        """Close every connection that is not in use."""
        with self._guard:
            idle, self._idle, self._closed = self._idle, [], True
        if self._pid == os.getpid():
            for connection in idle:
                connection.close()

    @contextmanager
    def _borrowed(self) -> Iterator[sqlite3.Connection]:
        """Take a connection out of the pool, or make one; after a fork the parent's are left alone, and its lock."""
        if self._pid != os.getpid():
            self._guard, self._pid = threading.Lock(), os.getpid()
            self._abandoned, self._idle = self._idle, []
        with self._guard:
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            with _documented():
                connection = file.connect(self._path, self._patience)
        try:
            yield connection
        finally:
            self._give_back(connection)

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._guard:
            if len(self._idle) < _IDLE and not connection.in_transaction and not self._closed:
                self._idle.append(connection)
                return
        connection.close()


class SQLiteUnit:
    """One unit of work on one connection, inside one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use a connection whose transaction has begun."""
        self.connection = connection
        self._act: Act | None = None
        self._seq = 0
        self._changed = Changed()
        self._digests = 0
        self._chain: bytes | None = None
        self._bound: tuple[Reader, dict[str, Any]] | None = None

    def find(self, query: Query) -> Iterator[Entity]:
        """Answer a query exactly."""
        if query.asks_nothing:
            return iter(())
        select = Select(query, self._parameters(query.reader))
        with _documented():
            found = _entities(query, self.connection.execute(select.rows(), select.parameters))
            return iter(found) if query.text is None else islice(best(query, found), query.limit)

    def gather(self, queries: Sequence[Query]) -> list[list[Entity]]:
        """Answer several queries on the same state: those of one reader in one statement, or one for each hundred."""
        answers: list[list[Entity]] = [[] for _ in queries]
        by_reader: dict[int, list[int]] = defaultdict(list)
        for number, query in enumerate(queries):
            if not query.asks_nothing:
                by_reader[id(query.reader)].append(number)
        for numbers in by_reader.values():
            for start in range(0, len(numbers), _TOGETHER):
                some = numbers[start : start + _TOGETHER]
                for number, found in zip(some, self._together([queries[n] for n in some]), strict=True):
                    answers[number] = found
        return answers

    def _together(self, queries: Sequence[Query]) -> list[list[Entity]]:
        """Answer some queries of one reader in one statement."""
        if len(queries) == 1:
            return [list(self.find(queries[0]))]
        given = self._parameters(queries[0].reader)
        rows: list[list[Sequence[Any]]] = [[] for _ in queries]
        with _documented():
            for number, *row in self.connection.execute(several(queries, given), given):
                rows[number].append(row)
            return [_arranged(query, _entities(query, some)) for query, some in zip(queries, rows, strict=True)]

    def totals(
        self,
        query: Query,
        by: Collection[str] = (),
        windows: Sequence[Window] = (),
        *,
        sums: Collection[str] = (),
        extremes: Collection[str] = (),
    ) -> Iterator[Total]:
        """Total what a reader may see of a query."""
        check_totals(query.kind, by, windows, sums, extremes)
        if query.text is not None:
            found = self.find(attrs.evolve(query, limit=None))
            return grouped(query.kind, found, by, windows, sums=sums, extremes=extremes)
        asked = Totals(tuple(by), tuple(windows), tuple(sums), tuple(extremes))
        with _documented():
            try:
                return iter(self._totals(query, asked, halves=False))
            except sqlite3.OperationalError as error:
                if "integer overflow" not in str(error):
                    raise
            return iter(self._totals(query, asked, halves=True))

    def _totals(self, query: Query, asked: Totals, *, halves: bool) -> list[Total]:
        select = Select(query, self._parameters(query.reader))
        rows = self.connection.execute(select.totals(asked, halves=halves), select.parameters)
        return asked.read(query.kind, rows, halves=halves)

    def acts(self, after: int = 0) -> Iterator[Act]:
        """Yield the acts after a sequence number, in their order."""
        with _documented():
            sql = f"{_ACTS} WHERE seq > ? AND seq <> ? ORDER BY seq"
            return map(self._whole, self.connection.execute(sql, (after, self._own())).fetchall())

    def act_of(self, key: str) -> Act | None:
        """Return the act written under a key, or None."""
        with _documented():
            row = self.connection.execute(f"{_ACTS} WHERE key = ? AND seq <> ?", (key, self._own())).fetchone()
            return None if row is None else self._whole(row)

    def _whole(self, row: tuple[Any, ...]) -> Act:
        """Return an act with all that it changed; of one that only counted it, what rows and their past say of it."""
        act, counts = _act(row), counts_of(row[-1])
        if counts is None:
            return act
        with _documented():
            names = [(kind, id) for kind in sorted(counts) for id in self._changed_by(table_of(kind), act.seq)]
        return attrs.evolve(act, changed=tuple(names))

    def _changed_by(self, table: Table, seq: int) -> Iterator[str]:
        past = "SELECT id FROM past WHERE kind = :kind AND (act = :seq OR replaced_by = :seq)"
        sql = f'SELECT id FROM "{table.name}" WHERE act = :seq UNION {past} ORDER BY id'
        return (id for (id,) in self.connection.execute(sql, {"kind": table.kind.name, "seq": seq}))

    def _own(self) -> int:
        """Return the number of this unit's act, which is none of the acts before the unit has ended."""
        return 0 if self._act is None else self._seq

    def images(self, kind: str, id: str) -> Iterator[Image]:
        """Yield everything one record has been, also in this unit."""
        with _documented():
            return iter(list(self._images(table_of(kind), id)))

    def _images(self, table: Table, id: str) -> Iterator[Image]:
        columns = ", ".join(f'"{column.name}"' for column in table.columns)
        past_sql = "SELECT act, replaced_by, content FROM past WHERE kind = ? AND id = ? ORDER BY act"
        past = self.connection.execute(past_sql, (table.kind.name, id)).fetchall()
        row = self.connection.execute(f'SELECT act, {columns} FROM "{table.name}" WHERE id = ?', (id,)).fetchone()
        written = {act for act, _, _ in past} | {row[0] if row else 0}
        numbers = written | {replaced_by for _, replaced_by, _ in past}
        acts = {act.seq: act for act in self._acts_in(numbers)}
        for act, replaced_by, text in past:
            yield Image(acts[act], record_of(table, json.loads(text)[1:]))
            if replaced_by not in written:
                yield Image(acts[replaced_by], None)
        if row is not None:
            yield Image(acts[row[0]], record_of(table, row[1:]))

    def _acts_in(self, numbers: Collection[int]) -> Iterator[Act]:
        wanted = json.dumps(sorted(numbers))
        sql = f"{_ACTS} WHERE seq IN (SELECT value FROM json_each(?))"
        found = self.connection.execute(sql, (wanted,)).fetchall()
        if self._act is not None:
            yield attrs.evolve(self._act, seq=self._seq)
        yield from (_act(row) for row in found if row[0] != self._seq or self._act is None)

    def _parameters(self, reader: Reader | None) -> dict[str, Any]:
        """Return a reader's parameters; a unit of work is asked by one reader many times."""
        if reader is None:
            return {}
        if self._bound is None or self._bound[0] is not reader:
            self._bound = (reader, parameters(reader))
        return dict(self._bound[1])

    # -- writing

    @contextmanager
    def nested(self) -> Iterator[None]:
        """Undo what is written in the block where it raises."""
        kept = (self._act, self._seq, self._changed.copy(), self._digests)
        _run(self.connection, "SAVEPOINT nested")
        try:
            yield
        except BaseException:
            self._act, self._seq, self._changed, self._digests = kept
            if self.connection.in_transaction:
                _run(self.connection, "ROLLBACK TO nested")
                _run(self.connection, "RELEASE nested")
            raise
        _run(self.connection, "RELEASE nested")

    def write(self, act: Act, changes: Sequence[Change]) -> None:
        """Make changes; they count when the unit ends well."""
        with _documented():
            batches = [_by_kind(changes[start : start + _BATCH]) for start in range(0, len(changes), _BATCH)]
            for batch in batches:
                self._check_versions(batch)
            self._begin(act)
            self._changed.name((change.kind, change.id) for change in changes)
            for batch in batches:
                for kind, some in batch.items():
                    self._write_kind(table_of(kind), some)

    def finish(self) -> None:
        """Complete the act: what it changed, the sum of its digests, the link to the act before."""
        if self._act is None:
            return
        with _documented():
            self._finish(self._act)

    def is_there(self) -> bool:
        """Say whether the act that was finished stands in the file; its chain is like no other's."""
        row = self.connection.execute("SELECT chain FROM act WHERE seq = ?", (self._seq,)).fetchone()
        return self._chain is not None and row is not None and bool(row[0] == self._chain)

    def _finish(self, act: Act) -> None:
        changed = self._changed.told()
        digests = (self._digests % (1 << 8 * audit.SIZE)).to_bytes(audit.SIZE, "big")
        before = self.connection.execute("SELECT chain FROM act WHERE seq = ?", (self._seq - 1,)).fetchone()
        told = [self._seq, moment(act.at), act.by, act.why, act.key, act.request, changed]
        self._chain = chained(before[0] if before else b"", told, digests)
        self.connection.execute(
            "UPDATE act SET request = ?, changed = ?, digests = ?, chain = ? WHERE seq = ?",
            (act.request, changed, digests, self._chain, self._seq),
        )

    def _begin(self, act: Act) -> None:
        if self._act is None:
            if act.key is not None and self.act_of(act.key) is not None:
                raise ConflictError("Act", act.key)
            row = self.connection.execute("SELECT COALESCE(MAX(seq), 0) + 1 FROM act").fetchone()
            self._seq = row[0]
            told = (self._seq, moment(act.at), act.by, act.why, act.key)
            self.connection.execute("INSERT INTO act VALUES (?, ?, ?, ?, ?, NULL, '', X'', X'')", told)
        self._act = attrs.evolve(self._act or act, request=act.request)

    def _check_versions(self, by_kind: dict[str, list[Change]]) -> None:
        for kind, changes in by_kind.items():
            ids = json.dumps([change.id for change in changes], ensure_ascii=False)
            name = table_of(kind).name
            sql = f'SELECT id, version FROM "{name}" WHERE id IN (SELECT value FROM json_each(?))'
            stored = dict(self.connection.execute(sql, (ids,)).fetchall())
            for change in changes:
                expected = change.before.version if change.before else 0
                if stored.get(change.id, 0) != expected:
                    raise ConflictError(kind, change.id, expected, stored.get(change.id))

    def _write_kind(self, table: Table, changes: Sequence[Change]) -> None:
        replaced = [change for change in changes if change.before is not None]
        if replaced:
            self._retire(table, [change.id for change in replaced])
        rows = [change.after for change in changes if change.after is not None]
        if rows:
            self._insert(table, rows)

    def _retire(self, table: Table, ids: list[str]) -> None:
        """Move the images that are replaced to the past; what this very act wrote before is simply gone."""
        wanted = json.dumps(ids, ensure_ascii=False)
        columns = ", ".join(f'"{column.name}"' for column in table.columns)
        sql = f'SELECT {columns}, act, salt, digest FROM "{table.name}" WHERE id IN (SELECT value FROM json_each(?))'
        past = []
        for *values, act, salt, digest in self.connection.execute(sql, (wanted,)).fetchall():
            if act == self._seq:
                self._digests -= int.from_bytes(digest, "big")
                self._changed.written[table.kind.name] -= 1
            else:
                own = dict(zip((column.name for column in table.columns), values, strict=True))
                past.append(
                    (
                        table.kind.name,
                        own["id"],
                        own["version"],
                        act,
                        self._seq,
                        content(table.kind.name, values),
                        salt,
                        digest,
                    )
                )
        self._changed.replaced[table.kind.name] += len(past)
        self.connection.executemany("INSERT INTO past VALUES (?, ?, ?, ?, ?, ?, ?, ?)", past)
        self.connection.execute(f'DELETE FROM "{table.name}" WHERE id IN (SELECT value FROM json_each(?))', (wanted,))
        self.connection.execute(
            "DELETE FROM item WHERE kind = ? AND id IN (SELECT value FROM json_each(?))", (table.kind.name, wanted)
        )

    def _insert(self, table: Table, rows: Sequence[Entity]) -> None:
        records, items = [], []
        searched = bool(table.kind.searched)
        for row in rows:
            values = table.values(row)
            salt = os.urandom(audit.SIZE)
            digest = digested(salt, content(table.kind.name, values))
            self._digests += int.from_bytes(digest, "big")
            found = [search_text(table.kind, row)] if searched else []
            records.append((*values, *found, self._seq, salt, digest))
            items += [(table.kind.name, field, key, row.key) for field, key in lookup_keys(table.kind, row)]
        self._changed.written[table.kind.name] += len(records)
        places = ", ".join("?" * len(records[0]))
        self.connection.executemany(f'INSERT INTO "{table.name}" VALUES ({places})', records)
        self.connection.executemany("INSERT OR IGNORE INTO item VALUES (?, ?, ?, ?)", items)


_ACTS = "SELECT seq, at, by, why, key, request, changed FROM act"


def _act(row: tuple[Any, ...]) -> Act:
    seq, at, by, why, key, request, changed = row
    return Act(datetime.fromisoformat(at), by, why, key, request, seq, tuple(names_of(changed)))


def _by_kind(changes: Sequence[Change]) -> dict[str, list[Change]]:
    found: dict[str, list[Change]] = defaultdict(list)
    for change in changes:
        found[change.kind].append(change)
    return found


def _arranged(query: Query, found: list[Entity]) -> list[Entity]:
    """Put the rows of a branch in order: a statement for several questions has none."""
    return list(in_order(query, found) if query.text is None else islice(best(query, found), query.limit))


def _entities(query: Query, rows: Iterable[Sequence[Any]]) -> list[Entity]:
    cls: Any = query.kind.cls
    return list(map(assembler(cls, tuple(shown_fields(query.kind))), rows))


def _checked(path: object) -> Path:
    if not isinstance(path, (str, os.PathLike)) or not str(path) or "\0" in str(path):
        raise ValidationError.of("Book", "path", path, "must be the path of a file")
    return Path(path)
