"""One unit of work in SQL, for every database: what it asks, and how it writes an act.

All that a database does in its own way (how a statement runs, how many rows go in at once, savepoints, errors) it does
in its `Executor`; how its words differ stands in `dialects.py`.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from itertools import chain, islice
from typing import Any, Protocol

import attrs

from keyaccount.access import Reader
from keyaccount.catalogue import Kind
from keyaccount.codec import assembler, moment, read_columns
from keyaccount.errors import ConflictError
from keyaccount.model.entity import Entity
from keyaccount.queries import (
    COUNTED,
    Query,
    Total,
    Totals,
    best,
    check_fields,
    check_totals,
    columns_of,
    grouped,
    in_order,
)
from keyaccount.storage import Act, Change, Image, audit
from keyaccount.storage.audit import chained, content, digested
from keyaccount.storage.changed import Changed, counts_of, names_of
from keyaccount.storage.dialects import Dialect
from keyaccount.storage.records import record_of, single
from keyaccount.storage.restriction import parameters
from keyaccount.storage.schema import Table, lookup_keys, search_text, stored_columns, table_of
from keyaccount.storage.sql import Select, shown_fields, unpacked
from keyaccount.storage.statements import reader_of, statement
from keyaccount.storage.totals import totals_of

_BATCH = 500
_TOGETHER = 100
_ONE_BY_ONE = 8
_ACT = ("seq", "at", "by", "why", "key", "request", "changed", "digests", "chain")
_PAST = ("kind", "id", "version", "act", "replaced_by", "content", "salt", "digest")
_ITEM = ("kind", "field", "key", "id")


class Executor(Protocol):
    """What a unit of work needs of a connection whose transaction has begun."""

    dialect: Dialect

    def run(self, sql: str, parameters: Mapping[str, Any] = ...) -> Iterable[Sequence[Any]]:
        """Run a statement with parameters named as in `:name`; return its rows, none where it answers nothing."""

    def columns(self, rows: str) -> list[str]:
        """Return the names of the columns that a SELECT in brackets yields."""

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Put many rows into one of our tables, however many there are."""

    def documented(self) -> AbstractContextManager[None]:
        """Turn the database's errors in the block into documented ones, with their cause."""

    def savepoint(self) -> AbstractContextManager[None]:
        """Undo in the database what is done in the block where it raises."""

    def apart(self) -> AbstractContextManager[None]:
        """Keep an error of a question in the block from spoiling the transaction."""

    def is_overflow(self, error: Exception) -> bool:
        """Say whether an error tells that a sum left 64 bits."""

    def is_damage(self, error: Exception) -> bool:
        """Say whether an error tells that what is stored is damaged, or that a table or column is not there."""


class SQLUnit:
    """One unit of work on one connection, inside one transaction."""

    def __init__(self, executor: Executor) -> None:
        """Use a connection whose transaction has begun."""
        self._executor = executor
        self._dialect = self._reading = executor.dialect  # records may be read where they are not written
        self._run = executor.run
        self._act: Act | None = None
        self._seq = 0
        self._changed = Changed()
        self._digests = 0
        self._told: tuple[Any, ...] | None = None
        self._bound: tuple[Reader, dict[str, Any]] | None = None

    def find(self, query: Query) -> Iterator[Entity]:
        """Answer a query exactly."""
        if query.asks_nothing:
            return iter(())
        given = self._parameters(query.reader)
        with self._executor.documented():
            found = entities(query.kind, self._run(statement([query], given, self._dialect), given))
            return iter(found) if query.text is None else islice(best(query, found), query.limit)

    def gather(self, queries: Sequence[Query]) -> list[list[Entity]]:
        """Answer several queries on the same state: those of one reader in one statement, or one for each hundred.

        What nobody is restricted in goes with them.
        """
        answers: list[list[Entity]] = [[] for _ in queries]
        by_reader: dict[int, list[int]] = defaultdict(list)
        first = reader_of(queries)
        for number, query in enumerate(queries):
            if not query.asks_nothing:
                by_reader[id(query.reader or first)].append(number)
        for numbers in by_reader.values():
            for start in range(0, len(numbers), _TOGETHER):
                some = numbers[start : start + _TOGETHER]
                for number, found in zip(some, self._together([queries[n] for n in some]), strict=True):
                    answers[number] = found
        return answers

    def columns(self, query: Query, fields: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """Answer a query with some fields alone of each record; a text search ranks whole records."""
        check_fields(query.kind, fields)
        if query.text is not None or query.asks_nothing:
            return columns_of(self.find(query), fields)
        select = Select(query, self._parameters(query.reader), self._reading)
        with self._executor.documented():
            rows = self._run(select.rows(fields), select.parameters)
            return read_columns([query.kind.shapes[field] for field in fields], rows)

    def _together(self, queries: Sequence[Query]) -> list[list[Entity]]:
        """Answer some queries of one reader in one statement."""
        if len(queries) == 1:
            return [list(self.find(queries[0]))]
        given = self._parameters(reader_of(queries))
        rows: list[list[Sequence[Any]]] = [[] for _ in queries]
        with self._executor.documented():
            for found in self._run(statement(queries, given, self._dialect), given):
                number, row = unpacked(found, self._dialect)
                rows[number].append(row)
            asked = zip(queries, rows, strict=True)
            return [_arranged(query, entities(query.kind, some)) if some else [] for query, some in asked]

    def totals(self, query: Query, asked: Totals = COUNTED) -> Iterator[Total]:
        """Total what a reader may see of a query."""
        check_totals(query.kind, asked)
        if query.text is not None:
            found = self.find(attrs.evolve(query, limit=None))
            return grouped(query.kind, found, asked)
        with self._executor.documented():
            try:
                return self._totals(query, asked, halves=False)
            except Exception as error:
                if not self._executor.is_overflow(error):
                    raise
            return self._totals(query, asked, halves=True)

    def _totals(self, query: Query, asked: Totals, *, halves: bool) -> Iterator[Total]:
        select = Select(query, self._parameters(query.reader), self._dialect)
        rows = self._run(select.totals(asked, halves=halves), select.parameters)
        return totals_of(query.kind, asked, rows, halves=halves)

    def acts(self, after: int = 0) -> Iterator[Act]:
        """Yield the acts after a sequence number, in their order."""
        with self._executor.documented():
            rows = self._run(
                f"{self._acts} WHERE seq > :after AND seq <> :own ORDER BY seq", self._of_others(after=after)
            )
            return map(self._whole, list(rows))

    def act_of(self, key: str) -> Act | None:
        """Return the act written under a key, or None."""
        with self._executor.documented():
            row = self._first(f"{self._acts} WHERE key = :key AND seq <> :own", self._of_others(key=key))
            return None if row is None else self._whole(row)

    def _whole(self, row: Sequence[Any]) -> Act:
        """Return an act with all that it changed; of one that only counted it, what rows and their past say of it."""
        act, counts = _act(row), counts_of(row[-1])
        if counts is None:
            return act
        with self._executor.documented():
            names = [(kind, id) for kind in sorted(counts) for id in self._changed_by(table_of(kind), act.seq)]
        return attrs.evolve(act, changed=tuple(names))

    def _changed_by(self, table: Table, seq: int) -> Iterator[str]:
        past = f"SELECT id FROM {self._past} WHERE kind = :kind AND (act = :seq OR replaced_by = :seq)"
        sql = f"SELECT id FROM {self._dialect.table(table.name)} WHERE act = :seq UNION {past} ORDER BY id"
        return (id for (id,) in self._run(sql, {"kind": table.kind.name, "seq": seq}))

    def _of_others(self, **more: Any) -> dict[str, Any]:
        """Bind the number of this unit's act, which is none of the acts before the unit has ended."""
        return {**more, "own": 0 if self._act is None else self._seq}

    def images(self, kind: str, id: str) -> Iterator[Image]:
        """Yield everything one record has been, also in this unit."""
        with self._executor.documented():
            return iter(list(self._images(table_of(kind), id)))

    def _images(self, table: Table, id: str) -> Iterator[Image]:
        columns = ", ".join(f'"{column.name}"' for column in table.columns)
        past_sql = f"SELECT act, replaced_by, content FROM {self._past} WHERE kind = :kind AND id = :id ORDER BY act"
        past = list(self._run(past_sql, {"kind": table.kind.name, "id": id}))
        row = self._first(f"SELECT act, {columns} FROM {self._dialect.table(table.name)} WHERE id = :id", {"id": id})
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
        among = self._dialect.among_whole.format(column="seq", list=":wanted")
        found = list(self._run(f"{self._acts} WHERE {among}", {"wanted": self._dialect.list_of(sorted(numbers))}))
        if self._act is not None:
            yield attrs.evolve(self._act, seq=self._seq)
        yield from (_act(row) for row in found if row[0] != self._seq or self._act is None)

    def _parameters(self, reader: Reader | None) -> dict[str, Any]:
        """Return a reader's parameters; a unit of work is asked by one reader many times."""
        if reader is None:
            return {}
        if self._bound is None or self._bound[0] is not reader:
            self._bound = (reader, parameters(reader, self._dialect))
        return dict(self._bound[1])

    # -- writing

    @contextmanager
    def nested(self) -> Iterator[None]:
        """Undo what is written in the block where it raises."""
        kept = (self._act, self._seq, self._changed.copy(), self._digests)
        try:
            with self._executor.savepoint():
                yield
        except BaseException:
            self._act, self._seq, self._changed, self._digests = kept
            raise

    def write(self, act: Act, changes: Sequence[Change]) -> None:
        """Make changes; they count when the unit ends well."""
        with self._executor.documented():
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
        with self._executor.documented():
            self._finish(self._act)

    @property
    def has_written(self) -> bool:
        """Say whether there is an act to be kept."""
        return self._act is not None

    def is_there(self, executor: Executor | None = None) -> bool:
        """Say whether the act that was finished is there, as this connection or another one sees it afterwards."""
        return self._told is not None and self._told == _told_of(executor or self._executor, self._seq)

    def _finish(self, act: Act) -> None:
        changed = self._changed.told()
        digests = (self._digests % (1 << 8 * audit.SIZE)).to_bytes(audit.SIZE, "big")
        chain = b""
        if self._dialect.chains:
            before = self._first(f"SELECT chain FROM {self._act_table} WHERE seq = :seq", {"seq": self._seq - 1})
            told = [self._seq, moment(act.at), act.by, act.why, act.key, act.request, changed]
            chain = chained(before[0] if before else b"", told, digests)
        self._run(
            f"UPDATE {self._act_table} SET request = :request, changed = :changed, digests = :digests, chain = :chain "
            "WHERE seq = :seq",
            {"request": act.request, "changed": changed, "digests": digests, "chain": chain, "seq": self._seq},
        )
        self._told = (moment(act.at), act.by, digests, chain)

    def _begin(self, act: Act) -> None:
        if self._act is None:
            if act.key is not None and self.act_of(act.key) is not None:
                raise ConflictError("Act", act.key)
            (last,) = next(iter(self._run(f"SELECT COALESCE(MAX(seq), 0) FROM {self._act_table}")))
            self._seq = last + 1
            told = (self._seq, moment(act.at), act.by, act.why, act.key, None, "", b"", b"")
            self._executor.insert("act", _ACT, [told])
        self._act = attrs.evolve(self._act or act, request=act.request)

    def _check_versions(self, by_kind: dict[str, list[Change]]) -> None:
        for kind, changes in by_kind.items():
            ids = self._dialect.list_of([change.id for change in changes])
            among = self._dialect.among.format(column="id", list=":ids")
            sql = f"SELECT id, version FROM {self._dialect.table(table_of(kind).name)} WHERE {among}"
            stored = {row[0]: row[1] for row in self._run(sql, {"ids": ids})}
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
        wanted = self._dialect.list_of(ids)
        columns = ", ".join(f'"{column.name}"' for column in table.columns)
        among = self._dialect.among.format(column="id", list=":ids")
        sql = f"SELECT {columns}, act, salt, digest FROM {self._dialect.table(table.name)} WHERE {among}"
        past = []
        for *values, act, salt, digest in list(self._run(sql, {"ids": wanted})):
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
        if past:
            self._executor.insert("past", _PAST, past)
        self._run(f"DELETE FROM {self._dialect.table(table.name)} WHERE {among}", {"ids": wanted})
        items = self._dialect.table("item")
        self._run(f"DELETE FROM {items} WHERE kind = :kind AND {among}", {"kind": table.kind.name, "ids": wanted})

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
        self._executor.insert(table.name, stored_columns(table), records)
        if items:
            self._executor.insert("item", _ITEM, items)

    # -- in the words of the database

    def _first(self, sql: str, parameters: Mapping[str, Any]) -> Sequence[Any] | None:
        return next(iter(self._run(sql, parameters)), None)

    @property
    def _act_table(self) -> str:
        return self._dialect.table("act")

    @property
    def _acts(self) -> str:
        return f"SELECT seq, at, by, why, key, request, changed FROM {self._act_table}"

    @property
    def _past(self) -> str:
        return self._dialect.table("past")


def _told_of(executor: Executor, seq: int) -> tuple[Any, ...] | None:
    """Return what tells an act from every other one: its digests are salted."""
    sql = f"SELECT at, by, digests, chain FROM {executor.dialect.table('act')} WHERE seq = :seq"
    return next((tuple(row) for row in executor.run(sql, {"seq": seq})), None)


def _act(row: Sequence[Any]) -> Act:
    seq, at, by, why, key, request, changed = row
    return Act(datetime.fromisoformat(at), by, why, key, request, seq, tuple(names_of(changed)))


def _by_kind(changes: Sequence[Change]) -> dict[str, list[Change]]:
    found: dict[str, list[Change]] = defaultdict(list)
    for change in changes:
        found[change.kind].append(change)
    return found


def _arranged(query: Query, found: list[Entity]) -> list[Entity]:
    """Put the rows of a branch in order: a statement for several questions has none."""
    if len(found) < 2 and query.text is None:  # noqa: PLR2004 - most look-ups find one
        return found
    return list(in_order(query, found) if query.text is None else islice(best(query, found), query.limit))


def entities(kind: Kind, rows: Iterable[Sequence[Any]]) -> list[Entity]:
    """Put records together from rows of the fields that are shown: few one by one, for columns take longer to begin."""
    left = iter(rows)
    first = list(islice(left, _ONE_BY_ONE))
    if len(first) < _ONE_BY_ONE:
        return [single(kind, row) for row in first]
    cls: Any = kind.cls
    return assembler(cls, tuple(shown_fields(kind)))(chain(first, left))
