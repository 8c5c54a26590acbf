"""The evaluator: it answers every query from rows, and is the reference for every adapter.

`run` answers exactly: restricted to what the reader may read, masked, filtered, totally ordered and cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, product
from typing import Any

from keyaccount import phones
from keyaccount.asking import (
    CLOSURES,
    COUNTED,
    Key,
    Query,
    Test,
    Total,
    Totals,
    Window,
    check_totals,
    key_order,
    ordinal,
    place,
)
from keyaccount.catalogue import Kind
from keyaccount.model.entity import Entity
from keyaccount.money import Money
from keyaccount.rows import Rows
from keyaccount.scope import Scope
from keyaccount.search import score
from keyaccount.shapes import Day, Many, Pairs, Shape
from keyaccount.values import fold


def run(query: Query, rows: Rows) -> Iterator[Entity]:
    """Answer a query from rows: restricted, masked, filtered, ordered, cut."""
    found = list(_matching(query, rows))
    if query.text is not None:
        yield from islice(best(query, found), query.limit)
        return
    yield from islice(in_order(query, found), query.limit)


def in_order(query: Query, rows: Iterable[Entity]) -> Iterator[Entity]:
    """Put rows in a query's order, from where its page begins."""
    keyed = [(place(query, row), row) for row in rows]
    if query.after is not None:
        keyed = [pair for pair in keyed if _later(pair[0], query.after, query.order)]
    keyed.sort(key=lambda pair: pair[0][-1])
    for position in range(len(query.order) - 1, -1, -1):
        keyed.sort(key=_by_position(position), reverse=query.order[position][1])
    return (row for _, row in keyed)


def columns_of(rows: Iterable[Entity], fields: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Yield some fields alone of each record."""
    return (tuple([getattr(row, field) for field in fields]) for row in rows)


def total(query: Query, rows: Rows, asked: Totals = COUNTED) -> Iterator[Total]:
    """Total all rows of a query, whatever its limit, as `StorageUnit.totals` promises."""
    check_totals(query.kind, asked)
    found = _matching(query, rows)
    return grouped(query.kind, found if query.text is None else best(query, found), asked)


def grouped(kind: Kind, found: Iterable[Entity], asked: Totals = COUNTED) -> Iterator[Total]:
    """Total records by the values of some fields; without fields one total, also of nothing."""
    groups: dict[tuple[Any, ...], list[Entity]] = {} if asked.by else {(): []}
    for row in found:
        for key in product(*(_grouping(kind.shapes[field], getattr(row, field)) for field in asked.by)):
            groups.setdefault(key, []).append(row)
    spans = [_lies_in(kind.shapes[window.field], window) for window in asked.windows]
    for key in sorted(groups, key=key_order):
        rows = groups[key]
        inside = [[row for row in rows if lies(row)] for lies in spans] if asked.windows else [rows]
        yield Total(
            key,
            len(rows),
            tuple(map(len, inside)) if asked.counted else (),
            tuple(tuple(_sum(kind.shapes[field], field, some) for field in asked.sums) for some in inside),
            tuple(_extreme(kind.shapes[field], field, rows, min) for field in asked.lows),
            tuple(_extreme(kind.shapes[field], field, rows, max) for field in asked.highs),
        )


def _grouping(shape: Shape, value: Any) -> Iterable[Any]:
    """Return the groups that a row belongs to by one field: in a list of references, one for each of them."""
    return (dict.fromkeys(value) or (None,)) if shape.many else (value,)


def _lies_in(shape: Shape, window: Window) -> Callable[[Entity], bool]:
    start, end = (None if border is None else shape.normal(border) for border in (window.start, window.end))
    side = shape.unbounded if isinstance(shape, Day) else ""

    def lies(row: Entity) -> bool:
        value = getattr(row, window.field)
        if value is None:
            return (side == "end" and end is None) or (side == "start" and start is None)
        return (start is None or start <= value) and (end is None or value < end)

    return lies


def _sum(shape: Shape, field: str, rows: Iterable[Entity]) -> int:
    return sum(number for row in rows if (number := shape.integer(getattr(row, field))) is not None)


def _extreme(shape: Shape, field: str, rows: Iterable[Entity], choose: Callable[..., Any]) -> Any:
    """Return the lowest or highest value that rows hold; an open start is the lowest, an open end the highest."""
    values = [getattr(row, field) for row in rows]
    open_side = {"start": min, "end": max}.get(shape.unbounded) if isinstance(shape, Day) else None
    if choose is open_side and None in values:
        return None
    return choose((value for value in values if value is not None), key=ordinal, default=None)


def _by_position(position: int) -> Callable[[tuple[Key, Entity]], Any]:
    return lambda pair: pair[0][position]


def best(query: Query, found: Iterable[Entity]) -> Iterator[Entity]:
    """Rank what a text search may have found, best first; what does not match is left out."""
    text = query.text or ""
    scored = ((score(query.kind, row, text), row) for row in found)
    ranked = [
        (rank, fold(str(getattr(row, query.kind.title) or "")), row.key, row)
        for rank, row in scored
        if rank is not None
    ]
    ranked.sort(key=lambda item: item[:3])
    return (row for *_, row in ranked)


def _later(place: Key, after: Key, order: tuple[tuple[str, bool], ...]) -> bool:
    for own, seen, (_, descending) in zip(place, after, order, strict=False):
        if own != tuple(seen):
            return (own > tuple(seen)) is not descending
    return bool(place[-1] > after[-1])


def _matching(query: Query, rows: Rows) -> Iterable[Entity]:
    """Return the rows the reader may read that meet every condition, or of these the latest."""
    found = _meeting(query, rows)
    return found if query.latest is None else latest(list(found), *query.latest)


def latest(rows: Sequence[Entity], shared: str, moment: str) -> Iterator[Entity]:
    """Yield of rows that share the value of one field those with the latest of another."""
    told = [(getattr(row, shared), getattr(row, moment), row) for row in rows]
    found: dict[Any, Any] = {}
    for key, at, _ in told:
        if key is not None and at is not None and (key not in found or at > found[key]):
            found[key] = at
    return (row for key, at, row in told if at is not None and at == found.get(key))


def _meeting(query: Query, rows: Rows) -> Iterator[Entity]:
    """Yield the rows the reader may read that meet every condition; a masked field counts as the nothing it shows."""
    kind, scope = query.kind, Scope(rows, query.reader)
    asked = [(field, _asks(kind.shapes[field], test)) for field, test in query.where if test.op not in CLOSURES]
    plain = [(field, holds) for field, holds in asked if kind.link(field) is None]
    linked = [(field, holds) for field, holds in asked if kind.link(field) is not None]
    for row in _candidates(query, rows):
        if all(holds(getattr(row, field)) for field, holds in plain) and scope.permits(kind, row, query.right):
            seen = scope.masked(kind, row)
            if all(holds(getattr(seen, field)) for field, holds in linked):
                yield seen


def _candidates(query: Query, rows: Rows) -> Iterable[Entity]:
    """Choose the rows worth looking at: those an index offers for one condition, else all."""
    for field, test in query.where:
        if test.op == "above":
            return _lineage(query.kind, test.value, rows)
        if test.op == "below":
            return _descent(query.kind, test.value, rows)
        if field == "id" and test.op in ("is", "one_of"):
            ids = (test.value,) if test.op == "is" else dict.fromkeys(test.value)
            return [row for id in ids if (row := rows.get(query.kind.name, id)) is not None]
    for field, test in query.where:
        if test.op == "dialled":
            return rows.by(query.kind.name, field, test.value)
        if test.op in ("is", "one_of") and (query.kind.link(field) or field == "refs"):
            wanted = (test.value,) if test.op == "is" else test.value
            keys = [_lookup(query.kind.shapes[field], value) for value in wanted]
            if all(found for found in keys):
                return rows.by(query.kind.name, field, [key for found in keys for key in found])
    return rows.all(query.kind.name)


def _lookup(shape: Shape, value: Any) -> list[Any]:
    """Return the key under which an index holds what may match; an empty mapping matches everything and has none."""
    return list(shape.keys(shape.normal(value)))[:1] if isinstance(value, Mapping) else [shape.key(value)]


def _lineage(kind: Kind, ids: Iterable[str], rows: Rows) -> Iterable[Entity]:
    seen: dict[str, Entity] = {}
    for start in ids:
        id: str | None = start
        while id is not None and id not in seen and (row := rows.get(kind.name, id)) is not None:
            seen[id] = row
            id = getattr(row, kind.up) if kind.up else None
    return seen.values()


def _descent(kind: Kind, ids: Iterable[str], rows: Rows) -> Iterable[Entity]:
    seen = {id: row for id in ids if (row := rows.get(kind.name, id)) is not None}
    level = list(seen)
    while level and kind.up:
        children = [row for row in rows.by(kind.name, kind.up, level) if row.key not in seen]
        seen |= {row.key: row for row in children}
        level = [row.key for row in children]
    return seen.values()


def _asks(shape: Shape, test: Test) -> Callable[[Any], bool]:
    """Make the question a condition asks of a field's value; operands are brought to their keys once."""
    if test.op == "is_none":
        return lambda value: value is None or value == "" or (shape.many and not value)
    if test.op == "dialled":
        return lambda value: any(not test.value.isdisjoint(phones.keys(text)) for text in value)
    if test.op in ("between", "at_least", "at_most"):
        return lambda value: _within(shape, value, test.op, test.value)
    given = test.value if test.op == "one_of" else (test.value,)
    if isinstance(shape, Pairs):
        pairs = [shape.key(wanted) for wanted in given]
        return lambda value: any(wanted <= shape.key(value) for wanted in pairs)
    item = shape.item if isinstance(shape, Many) else shape
    wanted = frozenset(item.key(item.normal(one)) for one in given)
    if shape.many:
        return lambda value: not wanted.isdisjoint(shape.keys(value))
    return lambda value: value is not None and shape.key(value) in wanted


def _within(shape: Shape, value: Any, op: str, wanted: Any) -> bool:
    if value is None:
        side = shape.unbounded if isinstance(shape, Day) else ""
        return (side == "end" and op == "at_least") or (side == "start" and op == "at_most")
    own = ordinal(shape.measure(value))
    low, high = wanted if op == "between" else (wanted, None) if op == "at_least" else (None, wanted)
    if isinstance(value, Money) and any(b is not None and b.currency != value.currency for b in (low, high)):
        return False
    above_low = low is None or ordinal(shape.measure(low)) <= own
    return above_low and (high is None or own <= ordinal(shape.measure(high)))
