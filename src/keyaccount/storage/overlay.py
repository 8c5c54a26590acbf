"""A unit of work over a host's own tables: kinds with a source are read there, all others stand in tables of ours.

It is the unit of every SQL database, with the hosts' tables put in the place of ours wherever it asks. What it writes
of a host's record are our fields alone, in the kind's own table beside the host's: version, act, digest and past are
those of every other row. The host's fields have no history here.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import attrs

from keyaccount.asking import CLOSURES
from keyaccount.catalogue import KINDS, Kind
from keyaccount.errors import ConflictError, ReadOnly, ValidationError
from keyaccount.model.entity import Entity
from keyaccount.queries import (
    COUNTED,
    Index,
    Query,
    Total,
    Totals,
    best,
    check_fields,
    check_totals,
    columns_of,
    grouped,
    in_order,
    one_of,
    run,
)
from keyaccount.storage import Act, Change, Finding, Image
from keyaccount.storage.dialects import Dialect, Elsewhere
from keyaccount.storage.schema import Table
from keyaccount.storage.shadows import items, shadow
from keyaccount.storage.sources import Source
from keyaccount.storage.sql import Select, unpacked
from keyaccount.storage.statements import reader_of, statement
from keyaccount.storage.theirs import assembler, blended, ours_of
from keyaccount.storage.totals import totals_of
from keyaccount.storage.unit import Executor, SQLUnit, entities

_BATCH = 500


def overlaid(sources: Iterable[Source], dialect: Dialect, columns: Callable[[str], Collection[str]]) -> Dialect:
    """Return a dialect that reads the kinds of some sources from the host's tables.

    `columns` says which columns a SELECT yields. Raises ValidationError for those that are no field.
    """
    found = [shadow(source, _once_each(source, columns(source.rows)), dialect) for source in sources]
    return attrs.evolve(dialect, sources=(*found, *items(found, dialect)))


def _once_each(source: Source, names: Collection[str]) -> Collection[str]:
    """Refuse a SELECT that yields a column twice: nobody could say which one is read."""
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        named = f"Source of {source.kind.name}"
        raise ValidationError.of(named, "select", ", ".join(twice), "stands there twice; name each column once")
    return names


class OverlayUnit(SQLUnit):
    """One unit of work: `reading` is the executor's dialect with the hosts' tables in it."""

    def __init__(self, executor: Executor, reading: Dialect) -> None:
        """Use a connection whose transaction has begun."""
        super().__init__(executor)
        self._reading = reading

    # -- reading

    def find(self, query: Query) -> Iterator[Entity]:
        """Answer a query exactly."""
        return iter(() if query.asks_nothing else self._together([query])[0])

    def _together(self, queries: Sequence[Query]) -> list[list[Entity]]:
        """Answer some queries of one reader in one statement; what the database cannot be exact about is finished."""
        asked = [self._roughly(query) for query in queries]
        given = self._parameters(reader_of(queries))
        rows: list[list[Sequence[Any]]] = [[] for _ in queries]
        with self._executor.documented():
            answered = self._run(statement(asked, given, self._reading), given)
            if len(queries) == 1:
                rows[0] = list(answered)
            else:
                for found in answered:
                    number, row = unpacked(found, self._reading)
                    rows[number].append(row)
            records = [self._records(query.kind, some) for query, some in zip(queries, rows, strict=True)]
            return list(map(_finished, queries, asked, records))

    def _roughly(self, query: Query) -> Query:
        """Return a query whose answer holds all rows of another's: without a page where SQL cannot say which."""
        rough = self._reading.rough(query.kind.name)
        fields = [*(field for field, _ in (*query.where, *query.order)), *(query.latest or ())]
        if rough.isdisjoint(fields):
            return query
        return attrs.evolve(query, order=(), limit=None, after=None, latest=None)

    def _records(self, kind: Kind, rows: Iterable[Sequence[Any]]) -> list[Entity]:
        elsewhere = self._reading.elsewhere(kind.name)
        return entities(kind, rows) if elsewhere is None else list(map(assembler(kind, elsewhere), rows))

    def columns(self, query: Query, fields: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """Answer a query with some fields alone of each record: a host's are read whole, for they may be anything."""
        if self._reading.elsewhere(query.kind.name) is None:
            return super().columns(query, fields)
        check_fields(query.kind, fields)
        return columns_of(self.find(query), fields)

    def totals(self, query: Query, asked: Totals = COUNTED) -> Iterator[Total]:
        """Total what a reader may see of a query: in the database, save where it cannot be exact."""
        check_totals(query.kind, asked)
        rough = self._reading.rough(query.kind.name)
        if rough.isdisjoint({field for field, _ in query.where} | asked.fields):
            return super().totals(query, asked)
        found = self.find(attrs.evolve(query, order=(), limit=None, after=None))
        return grouped(query.kind, found, asked)

    def _totals(self, query: Query, asked: Totals, *, halves: bool) -> Iterator[Total]:
        select = Select(query, self._parameters(query.reader), self._reading)
        rows = self._run(select.totals(asked, halves=halves), select.parameters)
        return totals_of(query.kind, asked, rows, halves=halves)

    def _images(self, table: Table, id: str) -> Iterator[Image]:
        """Yield what our fields have been; the host's are those of today, and a row that the host removed has none."""
        elsewhere = self._reading.elsewhere(table.kind.name)
        if elsewhere is None:
            yield from super()._images(table, id)
            return
        for theirs in self._stored(table.kind, [id]).values():
            for image in super()._images(table, id):
                record = image.record
                whole = None if record is None else blended(table.kind, elsewhere, theirs, record)
                yield attrs.evolve(image, record=whole)

    # -- writing

    def write(self, act: Act, changes: Sequence[Change]) -> None:
        """Make changes; raises ReadOnly for those of a host's field, and for a host's record that is new or removed."""
        for name in self._host_kinds(changes):
            self._check_ours(KINDS[name], [change for change in changes if change.kind == name])
        super().write(act, changes)

    def _host_kinds(self, changes: Sequence[Change]) -> list[str]:
        kinds = dict.fromkeys(change.kind for change in changes)
        return [name for name in kinds if self._reading.elsewhere(name) is not None]

    def _check_ours(self, kind: Kind, changes: Sequence[Change]) -> None:
        elsewhere = self._reading.elsewhere(kind.name)
        stored = self._stored(kind, [change.id for change in changes])
        for change in changes:
            if change.before is None or change.after is None:
                raise ReadOnly(kind.name, change.id, "id")
            there = stored.get(change.id)
            for field in () if elsewhere is None or there is None else elsewhere.given:
                if getattr(change.after, field) != getattr(there, field):
                    raise ReadOnly(kind.name, change.id, field)

    def _stored(self, kind: Kind, ids: Sequence[str]) -> dict[str, Entity]:
        found: dict[str, Entity] = {}
        for start in range(0, len(ids), _BATCH):
            asked = Query(kind, where=(("id", one_of(ids[start : start + _BATCH])),))
            found |= {record.key: record for record in self.find(asked)}
        return found

    def _check_versions(self, by_kind: dict[str, list[Change]]) -> None:
        ours = {kind: changes for kind, changes in by_kind.items() if self._reading.elsewhere(kind) is None}
        super()._check_versions(ours)
        for kind in by_kind.keys() - ours.keys():
            stored = self._stored(KINDS[kind], [change.id for change in by_kind[kind]])
            for change in by_kind[kind]:
                expected, there = change.before.version if change.before else 0, stored.get(change.id)
                if (there.version if there else 0) != expected:
                    raise ConflictError(kind, change.id, expected, there.version if there else None)

    def _insert(self, table: Table, rows: Sequence[Entity]) -> None:
        elsewhere = self._reading.elsewhere(table.kind.name)
        if elsewhere is None:
            super()._insert(table, rows)
            return
        super()._insert(_beside(table), [ours_of(table.kind, elsewhere, row) for row in rows])


def _finished(query: Query, rough: Query, found: list[Entity]) -> list[Entity]:
    """Answer a query from the rows of one that was asked in its place; conditions on forests are answered already."""
    if rough is query:
        return list(in_order(query, found) if query.text is None else islice(best(query, found), query.limit))
    where = tuple((field, test) for field, test in query.where if test.op not in CLOSURES)
    return list(run(attrs.evolve(query, reader=None, where=where), Index(found)))


@functools.cache
def _beside(table: Table) -> Table:
    """Return a kind's table as it is written beside the host's: nothing in the host's fields, nor in what follows."""
    derived = {name for name, _ in table.kind.derived}
    made = tuple(
        ("id", _nothing) if column.field in derived else (column.field, column.of()) for column in table.columns
    )
    return attrs.evolve(table, made=made)


def _nothing(_value: object) -> None:
    return None


def unfit(executor: Executor, reading: Dialect, sources: Mapping[str, Source]) -> Iterator[Finding]:
    """Yield what of the hosts' rows cannot be read as it stands, and fields of ours whose host's row is gone.

    Rows that are left out, ids that come twice, and records that the rules of their kind would refuse.
    """
    for name in sources:
        kind, there = KINDS[name], reading.elsewhere(name)
        if there is not None:
            yield from _left_out(executor, there, sources[name])
            yield from _orphans(executor, there, reading)
            yield from _refused(OverlayUnit(executor, reading), kind)


def _left_out(executor: Executor, there: Elsewhere, source: Source) -> Iterator[Finding]:
    text = "CAST({0} AS TEXT)"
    known = f"SELECT id FROM ({there.short or there.select}) k"
    given = text.format('h."id"')
    rows = f"SELECT {given}, COUNT(*) FROM {source.rows} h GROUP BY {given}"
    read = {id for (id,) in executor.run(known)}
    for id, count in sorted(executor.run(rows), key=lambda row: str(row[0])):
        if id not in read:
            yield Finding(
                there.kind, str(id), "is left out: what a record of its kind must have is missing or unreadable"
            )
        if count > 1:
            yield Finding(there.kind, str(id), f"is there {count} times: its source must yield each id once")


def _orphans(executor: Executor, there: Elsewhere, reading: Dialect) -> Iterator[Finding]:
    own = attrs.evolve(reading, sources=()).table(there.name)
    known = f"SELECT k.id FROM ({there.short or there.select}) k"
    for (id,) in executor.run(f"SELECT o.id FROM {own} o WHERE o.id NOT IN ({known})"):
        yield Finding(there.kind, str(id), "has fields of ours, but no row of the host's any more")


def _refused(unit: OverlayUnit, kind: Kind) -> Iterator[Finding]:
    cls: Any = kind.cls
    for record in unit.find(Query(kind)):
        try:
            cls(**{item.name: getattr(record, item.name) for item in attrs.fields(cls)})
        except ValidationError as error:
            told = "; ".join(f"{problem.field} {problem.reason}" for problem in error.problems)
            yield Finding(kind.name, record.key, f"is read as it is, but {told}")
