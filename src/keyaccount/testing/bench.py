"""An adapter beside the evaluator, over the same records: every answer is compared in full."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import attrs

from keyaccount.catalogue import KINDS, Kind
from keyaccount.errors import shown
from keyaccount.model.entity import Entity, evolved
from keyaccount.queries import Index, Query, Test, Total, Totals, Window, conditions, ordering, run, total
from keyaccount.storage import Act, Change, Storage, StorageUnit
from keyaccount.testing.records import NOW, exact

Make: TypeAlias = Callable[[], Storage]
"""Makes a fresh, empty storage each time."""

_FEW = 5
_EACH = 4
"""Of so many questions one is asked for single fields too: the same one of every adapter."""


@contextmanager
def fresh(make: Make) -> Iterator[Storage]:
    """Make a storage and close it when it is done with."""
    storage = make()
    try:
        yield storage
    finally:
        storage.close()


def act(why: str = "test", **more: Any) -> Act:
    """Return an act to write under."""
    return Act(NOW, "the kit", why, **more)


def create(rows: Iterable[Entity]) -> list[Change]:
    """Return the changes that create records."""
    return [Change(type(row).__name__, row.key, None, attrs.evolve(row, version=1)) for row in rows]


def change(row: Entity, **fields: Any) -> Change:
    """Return the change of one record's fields."""
    return Change(type(row).__name__, row.key, row, evolved(row, {**fields, "version": row.version + 1}))


def after(given: Change) -> Entity:
    """Return the record that a change leaves."""
    assert given.after is not None, "a removal has no record after it"
    return given.after


def removal(row: Entity) -> Change:
    """Return the removal of one record."""
    return Change(type(row).__name__, row.key, row, None)


def write(storage: Storage, changes: Sequence[Change], why: str = "test", **more: Any) -> None:
    """Write changes in a unit of their own."""
    with storage.unit(write=True) as work:
        work.write(act(why, **more), changes)


def fill(storage: Storage, rows: Iterable[Entity]) -> Index:
    """Write new records in one act; return the same for the evaluator."""
    changes = create(rows)
    write(storage, changes, "filled")
    return Index(one.after for one in changes if one.after is not None)


@contextmanager
def filled(make: Make, rows: Iterable[Entity]) -> Iterator[Bench]:
    """Open a storage that holds some records beside the evaluator that holds the same."""
    with fresh(make) as storage:
        index = fill(storage, rows)
        with storage.unit(write=False) as work:
            yield Bench(work, index)


@attrs.frozen
class Bench:
    """A unit of work beside the rows that it must answer from."""

    work: StorageUnit
    index: Index

    def finds(self, query: Query) -> list[Entity]:
        """Compare an answer in full and in order; return it."""
        expected = list(run(query, self.index))
        same_rows(list(self.work.find(query)), expected, told(query))
        if zlib.crc32(told(query).encode()) % _EACH == 0:
            self._same_columns(query, expected)
        return expected

    def _same_columns(self, query: Query, expected: Sequence[Entity]) -> None:
        """Compare single fields of the records of an answer; they come in any order where none is asked for."""
        fields = ("id", *(field for field in query.kind.shapes if field != "id"))
        rows = list(self.work.columns(query, fields))
        if not query.is_arranged:
            rows = sorted(rows, key=lambda row: str(row[0]))
        for name, *found in zip(fields, *rows, strict=True):
            wanted = [getattr(row, name) for row in expected]
            same = [exact((value,)) for value in found] == [exact((value,)) for value in wanted]
            assert same, f"{told(query)}, {name} alone: {_cut(found)} instead of {_cut(wanted)}"

    def gathers(self, queries: Sequence[Query]) -> None:
        """Compare many answers that are asked for at once."""
        found = self.work.gather(queries)
        assert len(found) == len(queries), f"gather gave {len(found)} answers to {len(queries)} questions"
        for query, rows in zip(queries, found, strict=True):
            same_rows(list(rows), list(run(query, self.index)), f"gathered: {told(query)}")

    def totals(
        self,
        query: Query,
        by: Collection[str] = (),
        windows: Sequence[Window] = (),
        *,
        sums: Collection[str] = (),
        extremes: Collection[str] = (),
    ) -> list[Total]:
        """Compare totals in full and in order; return them."""
        asked = Totals(by, windows, sums, extremes, extremes)
        expected, found = list(total(query, self.index, asked)), list(self.work.totals(query, asked))
        said = [f"{told(query)}, totalled", *[f"by {', '.join(by)}"] * bool(by)]
        said += [f"in {window.field} from {window.start} to {window.end}" for window in windows]
        said += [f"summing {', '.join(sums)}"] * bool(sums) + [f"with extremes of {', '.join(extremes)}"] * bool(
            extremes
        )
        same_totals(found, expected, " ".join(said))
        if extremes:
            uncounted = attrs.evolve(asked, highs=(), counted=False)
            rows, wanted = self.work.totals(query, uncounted), total(query, self.index, uncounted)
            same_totals(list(rows), list(wanted), f"{' '.join(said)}, without counts and highest values")
        return expected


def same_totals(found: Sequence[Total], expected: Sequence[Total], asked: str) -> None:
    """Compare totals: the same groups, in the same order, with the same figures."""
    keys, wanted = ([one.key for one in totals] for totals in (found, expected))
    if [exact(key) for key in keys] != [exact(key) for key in wanted]:
        missing = [key for key in wanted if key not in keys]
        said = f"without {_cut(missing)}" if missing else f"{_cut(keys)} instead of {_cut(wanted)}"
        raise AssertionError(f"{asked}: the groups are {said}")
    for own, other in zip(found, expected, strict=True):
        assert exact(own) == exact(other), f"{asked}: {own} instead of {other}"


def same_rows(found: Sequence[Entity], expected: Sequence[Entity], asked: str) -> None:
    """Compare answers: the same records, in the same order, with the same content."""
    own, wanted = [row.key for row in found], [row.key for row in expected]
    if own != wanted:
        missing, extra = [id for id in wanted if id not in own], [id for id in own if id not in wanted]
        wrong = [f"without {_cut(missing)}"] * bool(missing) + [f"with {_cut(extra)}"] * bool(extra)
        order = f"in the order {_cut(own)} instead of {_cut(wanted)}"
        raise AssertionError(f"{asked}: answered {' and '.join(wrong) or order}")
    for row, other in zip(found, expected, strict=True):
        same_record(row, other, asked, thorough=False)


def same_record(found: Entity | None, expected: Entity | None, asked: str, *, thorough: bool = True) -> None:
    """Compare two records field by field; thoroughly also the types of values that are equal."""
    if found is None or expected is None or type(found) is not type(expected):
        assert found is expected, f"{asked}: {_named(found)} instead of {_named(expected)}"
        return
    if found == expected and (not thorough or exact(found) == exact(expected)):
        return
    own, wanted = exact(found)[1], exact(expected)[1]
    name = next((name for name in wanted if own[name] != wanted[name]), "nothing that shows")
    one, other = (_told_value(row, name) for row in (found, expected))
    raise AssertionError(f"{asked}: {_named(expected)} has {name} {one} instead of {other}")


def _told_value(row: Entity, name: str) -> str:
    text = repr(getattr(row, name, None))
    return text if len(text) <= 300 else f"{text[:300]}…"


def _named(row: Entity | None) -> str:
    return "nothing" if row is None else f"{type(row).__name__} {shown(row.key)}"


def _cut(items: Sequence[Any]) -> str:
    more = f" and {len(items) - _FEW} more" if len(items) > _FEW else ""
    return f"[{', '.join(ascii(item) if isinstance(item, str) else repr(item) for item in items[:_FEW])}]{more}"


def told(query: Query) -> str:
    """Say a question in words."""
    said = [query.kind.name]
    if query.where:
        asked = [f"{field} {test.op} {shown(test.value)}" for field, test in query.where]
        said.append(f"where {' and '.join(asked)}")
    said += [f"searched for {shown(query.text)}"] * (query.text is not None)
    if query.order:
        said.append(f"by {', '.join('-' * down + field for field, down in query.order)}")
    said += [f"after {query.after!r}"] * (query.after is not None)
    said += [f"limited to {query.limit}"] * (query.limit is not None)
    if query.reader is not None:
        said.append(f"for {query.reader.user.id} to {query.right.name}")
    return " ".join(said)


def query(kind: Kind | type[Entity], order: Any = None, **more: Any) -> Query:
    """Make a question; what is no part of a query is a condition."""
    asked = kind if isinstance(kind, Kind) else KINDS[kind.__name__]
    own = {name: more.pop(name) for name in ("text", "reader", "right", "limit", "after") if name in more}
    return Query(asked, conditions(asked, more, inner=True), order=ordering(asked, order), **own)


def where(kind: Kind, given: Mapping[str, Test]) -> Query:
    """Make a question of conditions by field."""
    return Query(kind, conditions(kind, given, inner=True))
