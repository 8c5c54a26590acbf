"""Queries as SQL text with parameters: the same restriction, masking, conditions and order as the evaluator.

No value and no name from outside is ever put into the text: names come from the catalogue, values are bound, and lists
travel as one JSON parameter, so that the text of a question stays the same and its plan is kept.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import attrs

from keyaccount.catalogue import Kind
from keyaccount.codec import moment, reader_of, written
from keyaccount.queries import Key, Query, Test, Total, Window, key_order
from keyaccount.search import prepared
from keyaccount.shapes import (
    Amount,
    Choice,
    Day,
    Flag,
    Ident,
    Many,
    Moment,
    Number,
    Pairs,
    Rank,
    Refer,
    Shape,
    Text,
)
from keyaccount.storage.restriction import Restriction, restriction_for, sort_of
from keyaccount.storage.schema import DIALLED, key_text, table_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Select:
    """One query on its way to SQL text; what it binds goes to `parameters`."""

    def __init__(self, query: Query, parameters: dict[str, Any]) -> None:
        """Start with the reader's parameters bound."""
        self.query = query
        self.parameters = parameters
        self._restriction = None if query.reader is None else restriction_for(sort_of(query.reader))

    # -- whole statements

    def rows(self) -> str:
        """Return the statement that answers the query, but for ranking a text search."""
        kind = self.query.kind
        columns = ", ".join(_columns(kind, self._restriction))
        return self._with_views(
            f"SELECT {columns} FROM {self._table} t WHERE {self._where(kind, 't')} {self._arranged(kind, 't')}"
        )

    def branch(self, number: int, width: int) -> str:
        """Return the query as a branch of a statement for several: numbered, of one width, in no order."""
        kind = self.query.kind
        shown = _columns(kind, self._restriction)
        columns = ", ".join([str(number), *shown, *["NULL"] * (width - len(shown))])
        text = f"SELECT {columns} FROM {self._table} t WHERE {self._where(kind, 't')}"
        return f"SELECT * FROM ({text} {self._arranged(kind, 't')})" if self._cut else text

    @property
    def _cut(self) -> bool:
        return self.query.limit is not None and self.query.text is None

    def _arranged(self, kind: Kind, at: str) -> str:
        order = ", ".join([*self._order(kind, at), f"{at}.id"])
        return f"ORDER BY {order}" + (f" LIMIT {self.bind(self.query.limit)}" if self._cut else "")

    def totals(self, asked: Totals, *, halves: bool = False) -> str:
        """Return the statement that totals the query's rows; `halves` sums what is too large for one sum in two."""
        kind = self.query.kind
        joins = [self._items(kind, "t", field, f"g{n}") for n, field in enumerate(asked.by) if kind.shapes[field].many]
        columns = [
            f"g{n}.key" if kind.shapes[field].many else self._shown(kind, "t", field)
            for n, field in enumerate(asked.by)
        ]
        grouped = f" GROUP BY {', '.join(map(str, range(1, len(columns) + 1)))}" if columns else ""
        columns.append("COUNT(*)")
        for lies in [self._lies_in(kind, "t", window) for window in asked.windows] or ["1"]:
            inside = f"FILTER (WHERE {lies})"
            columns.append(f"COUNT(*) {inside}")
            columns += [f"SUM({part}) {inside}" for field in asked.sums for part in _parts(field, halves=halves)]
        columns += [column for field in asked.extremes for column in self._extremes(kind, "t", field)]
        by_home = self._restriction is not None and "organisation_id" in asked.by and self._restriction.at_account(kind)
        where = self._where(kind, "t", paged=False, permitted=not by_home)
        grouped += f" HAVING {self._permits(kind, 't')}" if by_home else ""  # once for each account, not for each row
        return self._with_views(
            f"SELECT {', '.join(columns)} FROM {self._table} t{''.join(joins)} WHERE {where}{grouped}"
        )

    def _permits(self, kind: Kind, at: str) -> str:
        return "1" if self._restriction is None else self._restriction.permits(kind, at, self.query.right)

    def _items(self, kind: Kind, at: str, field: str, name: str) -> str:
        """Join the items of a list of references that the reader sees, and nothing where there is none."""
        link, rule = kind.link(field), self._restriction
        seen = f" AND {rule.reachable(link, f'{name}.key')}" if rule and link and rule.masks(kind, link) else ""
        own = f"{name}.kind = {self.bind(kind.name)} AND {name}.field = {self.bind(field)} AND {name}.id = {at}.id"
        return f" LEFT JOIN item {name} ON {own}{seen}"

    def _lies_in(self, kind: Kind, at: str, window: Window) -> str:
        shape, column = kind.shapes[window.field], self._shown(kind, at, window.field)
        start, end = (None if border is None else shape.normal(border) for border in (window.start, window.end))
        side = shape.unbounded if isinstance(shape, Day) else ""
        borders = [f"{column} >= {self.bind(_kept(shape, start))}"] * (start is not None)
        borders += [f"{column} < {self.bind(_kept(shape, end))}"] * (end is not None)
        borders = borders or [f"{column} IS NOT NULL"]
        open_too = (side == "end" and end is None) or (side == "start" and start is None)
        return f"{column} IS NULL OR ({' AND '.join(borders)})" if open_too else " AND ".join(borders)

    def _extremes(self, kind: Kind, at: str, field: str) -> Iterator[str]:
        shape, column = kind.shapes[field], self._shown(kind, at, field)
        side = shape.unbounded if isinstance(shape, Day) else ""
        for function, open_side in (("MIN", "start"), ("MAX", "end")):
            found = f"{function}({column})"
            yield f"CASE WHEN COUNT({column}) = COUNT(*) THEN {found} END" if side == open_side else found

    @property
    def _table(self) -> str:
        return _quoted(table_of(self.query.kind.name).name)

    def _with_views(self, text: str) -> str:
        return text if self._restriction is None else self._restriction.views(text) + text

    def _shown(self, kind: Kind, at: str, field: str, *, folded: bool = False) -> str:
        """Return a field as the reader sees it, or the folded form that it compares by."""
        return _shown(kind, at, field, self._restriction, folded=folded)

    def bind(self, value: Any) -> str:
        """Bind a value; return its place in the text."""
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f":{name}"

    def bind_all(self, values: Iterable[Any]) -> str:
        """Bind many values as one parameter; return a sub-select of them."""
        return f"(SELECT value FROM json_each({self.bind(json.dumps(list(values), ensure_ascii=False))}))"

    # -- conditions

    def _where(self, kind: Kind, at: str, *, paged: bool = True, permitted: bool = True) -> str:
        parts = [self._meets(kind, at, field, test) for field, test in self.query.where]
        if self._restriction is not None:
            parts += [self._permits(kind, at)] if permitted else []
            within = self._restriction.within(kind, at, self.query.right)
            parts += [within] if within is not None and not self._is_narrow(kind) else []
        if self.query.text is not None:
            parts.append(self._sought(at, self.query.text))
        elif paged and self.query.after is not None:
            parts.append(self._later(kind, at, self.query.after))
        return " AND ".join([f"({part})" for part in parts]) or "1"

    def _is_narrow(self, kind: Kind) -> bool:
        """Say whether a condition asks for certain records, which an index finds."""
        return any(
            test.op in ("is", "one_of", "above", "below", "dialled")
            and (field == "id" or kind.link(field) is not None or kind.shapes[field].many or _is_folded(kind, field))
            for field, test in self.query.where
        )

    def _sought(self, at: str, text: str) -> str:
        """Narrow a text search down; the ranking decides."""
        wanted, digits = prepared(text)
        found = [f"instr({at}.search_text, {self.bind(part)}) > 0" for part in dict.fromkeys((wanted, digits)) if part]
        return " OR ".join(found) or "0"

    def _meets(self, kind: Kind, at: str, field: str, test: Test) -> str:
        if test.op in ("above", "below"):
            return self._closure(kind, at, test)
        shape = kind.shapes[field]
        if test.op == "dialled":
            return self._item(kind, at, DIALLED, test.value)
        if isinstance(shape, Many):
            return self._meets_many(kind, at, field, test, shape)
        if isinstance(shape, Pairs):
            return self._meets_pairs(kind, at, field, test, shape)
        column = self._shown(kind, at, field, folded=isinstance(shape, Text) and shape.folded)
        if test.op == "is_none":
            return f"{column} IS NULL OR {column} = ''"
        if test.op in ("is", "one_of"):
            return self._equals(kind, at, field, column, test)
        if isinstance(shape, Amount):
            return self._within_amount(kind, at, field, test)
        return self._within(column, shape, test)

    def _equals(self, kind: Kind, at: str, field: str, column: str, test: Test) -> str:
        """Compare with a value, or several; of a reference that may be masked the bare column, which has an index."""
        shape, link, rule = kind.shapes[field], kind.link(field), self._restriction
        masked = rule is not None and link is not None and rule.masks(kind, link)
        bare = f"{at}.{_quoted(field)}" if masked else column
        if test.op == "is":
            equal = f"{bare} = {self.bind(_kept(shape, shape.normal(test.value)))}"
        else:
            equal = f"{bare} IN {self.bind_all(_kept(shape, shape.normal(value)) for value in test.value)}"
        return f"{equal} AND {rule.reachable(link, bare)}" if masked and rule and link else equal

    def _within_amount(self, kind: Kind, at: str, field: str, test: Test) -> str:
        """Compare amounts of the same currency; those in another lie in no range."""
        low, high = (
            test.value if test.op == "between" else (test.value, None) if test.op == "at_least" else (None, test.value)
        )
        column, currency = self._ordered(kind, at, field), f"{at}.{_quoted(field + '_currency')}"
        return " AND ".join(
            f"{column} {sign} {self.bind(bound.units)} AND {currency} = {self.bind(bound.currency)}"
            for sign, bound in ((">=", low), ("<=", high))
            if bound is not None
        )

    def _within(self, column: str, shape: Shape, test: Test) -> str:
        low, high = (
            test.value if test.op == "between" else (test.value, None) if test.op == "at_least" else (None, test.value)
        )
        bounds = []
        if low is not None:
            bounds.append(f"{column} >= {self.bind(_kept(shape, low))}")
        if high is not None:
            bounds.append(f"{column} <= {self.bind(_kept(shape, high))}")
        side = shape.unbounded if isinstance(shape, Day) else ""
        inside = " AND ".join(bounds)
        open_too = (side == "end" and test.op == "at_least") or (side == "start" and test.op == "at_most")
        return f"{column} IS NULL OR {inside}" if open_too else inside

    def _meets_many(self, kind: Kind, at: str, field: str, test: Test, shape: Many) -> str:
        link = kind.link(field)
        rule = self._restriction
        masked = rule is not None and link is not None and rule.masks(kind, link)
        readable = f" AND {rule.reachable(link, 'i.key')}" if masked and rule and link else ""
        if test.op == "is_none":
            return f"NOT EXISTS (SELECT 1 FROM item i WHERE {self._at_item(kind, at, field)}{readable})"
        given = test.value if test.op == "one_of" else (test.value,)
        keys = [key_text(shape.item.key(shape.item.normal(value))) for value in given]
        return self._item(kind, at, field, keys, readable)

    def _meets_pairs(self, kind: Kind, at: str, field: str, test: Test, shape: Pairs) -> str:
        if test.op == "is_none":
            return f"{at}.{_quoted(field)} = '{{}}'"
        given = test.value if test.op == "one_of" else (test.value,)
        wanted = [[key_text(key) for key in shape.keys(shape.normal(value))] for value in given]
        if not all(wanted):
            return "1"  # no pair at all is asked for
        if all(len(keys) == 1 for keys in wanted):
            return self._item(kind, at, field, [key for keys in wanted for key in keys])
        return self._item_of_pairs(kind, at, field, wanted)

    def _item_of_pairs(self, kind: Kind, at: str, field: str, wanted: Sequence[Sequence[str]]) -> str:
        """Ask for rows that have every pair of one of the mappings; one text, however many are wanted."""
        named = f"i.kind = {self.bind(kind.name)} AND i.field = {self.bind(field)}"
        pairs = f"json_each({self.bind(json.dumps(wanted, ensure_ascii=False))}) w CROSS JOIN json_each(w.value) k"
        found = f"SELECT i.id FROM {pairs} CROSS JOIN item i ON {named} AND i.key = k.value"
        return f"{at}.id IN ({found} GROUP BY w.key, i.id HAVING COUNT(*) = json_array_length(w.value))"

    def _item(self, kind: Kind, at: str, field: str, keys: Iterable[str], more: str = "") -> str:
        named = f"i.kind = {self.bind(kind.name)} AND i.field = {self.bind(field)}"
        return f"{at}.id IN (SELECT i.id FROM item i WHERE {named} AND i.key IN {self.bind_all(keys)}{more})"

    def _at_item(self, kind: Kind, at: str, field: str) -> str:
        return f"i.kind = {self.bind(kind.name)} AND i.field = {self.bind(field)} AND i.id = {at}.id"

    def _closure(self, kind: Kind, at: str, test: Test) -> str:
        table, up = _quoted(table_of(kind.name).name), _quoted(kind.up or "id")
        near, far = ("c.up", "n.id") if test.op == "above" else ("c.id", f"n.{up}")
        row = f"SELECT n.id, n.{up} FROM {table} n"
        start = f"{row} WHERE n.id IN {self.bind_all(test.value)}"
        return (
            f"{at}.id IN (WITH RECURSIVE c(id, up) AS ({start} UNION {row} JOIN c ON {far} = {near}) SELECT id FROM c)"
        )

    # -- order and paging

    def _order(self, kind: Kind, at: str) -> Iterator[str]:
        for field, descending in self.query.order:
            column, last = self._ordered(kind, at, field), _nothing_last(kind.shapes[field])
            way = " DESC" if descending else ""
            if last:
                yield f"{column} IS NULL{way}"
            yield f"{column}{way}"

    def _ordered(self, kind: Kind, at: str, field: str) -> str:
        shape = kind.shapes[field]
        if isinstance(shape, Amount):
            return f"{at}.{_quoted(field)}"
        return self._shown(kind, at, field, folded=isinstance(shape, Text) and shape.folded)

    def _later(self, kind: Kind, at: str, after: Key) -> str:
        """Ask for rows behind a place: later in the first field, or equal there and later in the next."""
        chain: list[str] = []
        equal: list[str] = []
        for (field, descending), (rank, scalar) in zip(self.query.order, after, strict=False):
            shape, column = kind.shapes[field], self._ordered(kind, at, field)
            value = self.bind(_from_scalar(shape, scalar)) if rank == 1 else None
            if (behind := _behind(column, value, last=_nothing_last(shape), descending=descending)) is not None:
                chain.append(" AND ".join([*equal, f"({behind})"]))
            equal.append(f"{column} IS NULL" if value is None else f"{column} = {value}")
        chain.append(" AND ".join([*equal, f"{at}.id > {self.bind(after[-1])}"]))
        return " OR ".join(f"({part})" for part in chain)


def several(queries: Sequence[Query], parameters: dict[str, Any]) -> str:
    """Return one statement that answers several queries of one reader: each row under the number of its query.

    Within a query rows come in no order. A condition that covers all below is worked out once for all of them.
    """
    width = max(len(shown_fields(query.kind)) for query in queries)
    text = " UNION ALL ".join(Select(query, parameters).branch(n, width) for n, query in enumerate(queries))
    reader = queries[0].reader
    return text if reader is None else restriction_for(sort_of(reader)).views(text) + text


@attrs.frozen
class Totals:
    """What is to be totalled of a query; see `StorageUnit.totals`."""

    by: tuple[str, ...]
    windows: tuple[Window, ...]
    sums: tuple[str, ...]
    extremes: tuple[str, ...]

    def read(self, kind: Kind, rows: Iterable[tuple[Any, ...]], *, halves: bool) -> list[Total]:
        """Read the totals out of a statement's rows, in their order.

        A row holds its key, the number of rows, for each window their number and sums, and both ends of each extreme.
        """
        first, wide = len(self.by) + 1, 1 + len(self.sums) * (2 if halves else 1)
        last = first + wide * (len(self.windows) or 1)
        keys, ends = ([_reader(kind, field) for field in fields] for fields in (self.by, self.extremes))
        found = [
            Total(
                _read_all(keys, row[: first - 1]),
                row[first - 1],
                row[first:last:wide],
                tuple(_added(row[at + 1 : at + wide], halves=halves) for at in range(first, last, wide)),
                _read_all(ends, row[last::2]),
                _read_all(ends, row[last + 1 :: 2]),
            )
            for row in rows
        ]
        return sorted(found, key=lambda total: key_order(total.key))


_HALF = 32


def _parts(field: str, *, halves: bool) -> tuple[str, ...]:
    """Return what is summed of a column: all of it, or apart what stands above and below its 32nd bit."""
    column = f"t.{_quoted(field)}"
    return (f"{column} >> {_HALF}", f"{column} & {(1 << _HALF) - 1}") if halves else (column,)


def _added(sums: Sequence[int | None], *, halves: bool) -> tuple[int, ...]:
    """Return the sums of a window; nothing adds up to 0, and two halves to the whole."""
    if halves:
        return tuple(((high or 0) << _HALF) + (low or 0) for high, low in zip(sums[::2], sums[1::2], strict=True))
    return tuple(one or 0 for one in sums)


def _reader(kind: Kind, field: str) -> Callable[[Any], Any] | None:
    shape = kind.shapes[field]
    return reader_of(shape.item if isinstance(shape, Many) else shape)


def _read_all(readers: Sequence[Callable[[Any], Any] | None], values: Sequence[Any]) -> tuple[Any, ...]:
    read = zip(readers, values, strict=True)
    return tuple([value if reader is None or value is None else reader(value) for reader, value in read])


@functools.cache
def shown_fields(kind: Kind) -> dict[str, Callable[[Any], Any] | None]:
    """Return the fields a record is put together from, with how each is read back."""
    derived = {name for name, _ in kind.derived}
    return {field: reader_of(shape) for field, shape in kind.shapes.items() if field not in derived}


@functools.cache
def _columns(kind: Kind, restriction: Restriction | None) -> tuple[str, ...]:
    """Return the columns that a record is put together from, as a sort of reader sees them."""
    return tuple(_shown(kind, "t", field, restriction) for field in shown_fields(kind))


def _shown(kind: Kind, at: str, field: str, restriction: Restriction | None, *, folded: bool = False) -> str:
    if isinstance(kind.shapes[field], Amount):
        return f"({at}.{_quoted(field)} || ' ' || {at}.{_quoted(field + '_currency')})"
    if restriction is None or folded:
        return f"{at}.{_quoted(field + '_key' if folded else field)}"
    return restriction.shown(kind, at, field)


def _quoted(name: str) -> str:
    return f'"{name}"'


def _is_folded(kind: Kind, field: str) -> bool:
    shape = kind.shapes[field]
    return isinstance(shape, Text) and shape.folded


def _kept(shape: Shape, value: Any) -> Any:
    """Return a value as the column that is compared holds it."""
    return shape.key(value) if isinstance(shape, Text) else written(shape, value)


def _from_scalar(shape: Shape, scalar: Any) -> Any:
    """Turn a place's scalar back into what the column holds."""
    try:
        if isinstance(shape, Day):
            return date.fromordinal(scalar).isoformat()
        if isinstance(shape, Moment):
            return moment(_EPOCH + timedelta(microseconds=scalar))
    except (ValueError, OverflowError, TypeError):
        return ""
    return scalar


def _nothing_last(shape: Shape) -> bool:
    """Say whether a field may hold nothing, which then comes last; an open start comes first, as NULL does."""
    if isinstance(shape, (Flag, Number, Rank, Ident)) or (isinstance(shape, Day) and shape.unbounded == "start"):
        return False
    return not (isinstance(shape, (Text, Refer, Choice)) and shape.required)


def _behind(column: str, value: str | None, *, last: bool, descending: bool) -> str | None:
    """Return the condition that a row comes behind a place in one field; None where nothing does."""
    nothing_behind = last is not descending
    if value is None:
        return None if nothing_behind else f"{column} IS NOT NULL"
    beyond = f"{column} {'<' if descending else '>'} {value}"
    return f"{beyond} OR {column} IS NULL" if nothing_behind else beyond
