"""Queries as SQL text with parameters: the same restriction, masking, conditions and order as the evaluator.

No value and no name from outside is ever put into the text: names come from the catalogue, values are bound, and lists
travel as one parameter, so that the text of a question stays the same and its plan is kept.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeAlias

from keyaccount.catalogue import Kind
from keyaccount.codec import moment, reader_of, writer_of, written
from keyaccount.queries import Key, Query, Test, Totals, Window
from keyaccount.search import prepared
from keyaccount.shapes import (
    Amount,
    Choice,
    Day,
    Degrees,
    Exact,
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
from keyaccount.storage.dialects import SQLITE, Dialect
from keyaccount.storage.hosts import READINGS
from keyaccount.storage.narrowing import is_number, narrowed, sought
from keyaccount.storage.restriction import Restriction, restriction_for, sort_of
from keyaccount.storage.schema import DIALLED, is_whole, key_text, table_of
from keyaccount.storage.totals import parts

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Recipe: TypeAlias = Callable[[Query], Any]
"""How the value of a parameter is got from a query; it keeps nothing of the query that it was made for."""


class Select:
    """One query on its way to SQL text; what it binds goes to `parameters`.

    `takes` says of what is bound how another query of the same form gives it: such a query has the same text.
    """

    def __init__(
        self, query: Query, parameters: dict[str, Any], dialect: Dialect = SQLITE, *, few: bool = False
    ) -> None:
        """Start with the reader's parameters bound; `few` says that the statement looks at few rows."""
        self.query = query
        self.parameters = parameters
        self.dialect = dialect
        self.takes: list[tuple[str, Recipe]] = []
        sort = None if query.reader is None else sort_of(query.reader)
        self._restriction = None if sort is None else restriction_for(sort, dialect, few=few)
        self._elsewhere = dialect.elsewhere(query.kind.name)

    # -- whole statements

    def rows(self, fields: Sequence[str] | None = None) -> str:
        """Return the statement that answers the query, but for ranking a text search; with some fields alone."""
        kind = self.query.kind
        shown = _columns(kind, self._restriction) if fields is None else (self._shown(kind, "t", f) for f in fields)
        arranged = self._arranged(kind, "t") if fields is None or self.query.is_arranged else ""
        columns = ", ".join(shown)
        return self.with_views(f"SELECT {columns} FROM {self._rows(kind)} WHERE {self._where(kind, 't')} {arranged}")

    def ids(self) -> str:
        """Return the statement that gives the ids of the query's rows alone, in no order."""
        return self.with_views(
            f"SELECT t.id FROM {self._rows(self.query.kind)} WHERE {self._where(self.query.kind, 't')}"
        )

    def branch(self, number: int, width: int) -> str:
        """Return the query as a branch of a statement for several: numbered, of one width, in no order."""
        kind = self.query.kind
        shown = _columns(kind, self._restriction)
        padded = ", ".join([*shown, *["NULL"] * (width - len(shown))])
        columns = f"CAST(json_build_array({', '.join(shown)}) AS text)" if self.dialect.packed else padded
        text = f"SELECT {number}, {columns} FROM {self._rows(kind)} WHERE {self._where(kind, 't')}"
        return f"SELECT * FROM ({text} {self._arranged(kind, 't')}) b" if self._cut else text

    @property
    def _cut(self) -> bool:
        return self.query.limit is not None and self.query.text is None

    def _arranged(self, kind: Kind, at: str) -> str:
        order = ", ".join([*self._order(kind, at), f"{at}.id"])
        return f"ORDER BY {order}" + (f" LIMIT {self.take(lambda query: query.limit)}" if self._cut else "")

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
        for lies in [self._lies_in(kind, "t", window) for window in asked.windows] or [self.dialect.true]:
            inside = f"FILTER (WHERE {lies})"
            columns += [f"COUNT(*) {inside}"] * asked.counted
            columns += [f"SUM({part}) {inside}" for field in asked.sums for part in parts(field, halves=halves)]
        columns += [self._extreme(kind, "t", field, "MIN", "start") for field in asked.lows]
        columns += [self._extreme(kind, "t", field, "MAX", "end") for field in asked.highs]
        rule = self._restriction if self._elsewhere is None else None
        by_home = rule is not None and "organisation_id" in asked.by and rule.at_account(kind)
        where = self._where(kind, "t", paged=False, permitted=not by_home)
        grouped += f" HAVING {self._permits(kind, 't')}" if by_home else ""  # once for each account, not for each row
        return self.with_views(
            f"SELECT {', '.join(columns)} FROM {self._rows(kind)}{''.join(joins)} WHERE {where}{grouped}"
        )

    def _permits(self, kind: Kind, at: str) -> str:
        return self.dialect.true if self._restriction is None else self._restriction.permits(kind, at, self.query.right)

    def _items(self, kind: Kind, at: str, field: str, name: str) -> str:
        """Join the items of a list of references that the reader sees, and nothing where there is none."""
        link, rule = kind.link(field), self._restriction
        seen = f" AND {rule.reachable(link, f'{name}.key')}" if rule and link and rule.masks(kind, link) else ""
        own = f"{name}.kind = {self.bind(kind.name)} AND {name}.field = {self.bind(field)} AND {name}.id = {at}.id"
        return f" LEFT JOIN {self.dialect.table('item')} {name} ON {own}{seen}"

    def _lies_in(self, kind: Kind, at: str, window: Window) -> str:
        shape, column = kind.shapes[window.field], self._shown(kind, at, window.field)
        start, end = (None if border is None else shape.normal(border) for border in (window.start, window.end))
        side = shape.unbounded if isinstance(shape, Day) else ""
        borders = [f"{column} >= {self.bind(_kept(shape, start))}"] * (start is not None)
        borders += [f"{column} < {self.bind(_kept(shape, end))}"] * (end is not None)
        borders = borders or [f"{column} IS NOT NULL"]
        open_too = (side == "end" and end is None) or (side == "start" and start is None)
        return f"{column} IS NULL OR ({' AND '.join(borders)})" if open_too else " AND ".join(borders)

    def _extreme(self, kind: Kind, at: str, field: str, function: str, open_side: str) -> str:
        shape, column = kind.shapes[field], self._shown(kind, at, field)
        found = f"{function}({column})"
        is_open = isinstance(shape, Day) and shape.unbounded == open_side
        return f"CASE WHEN COUNT({column}) = COUNT(*) THEN {found} END" if is_open else found

    def _rows(self, kind: Kind) -> str:
        """Return the table that is asked, joined with the latest of what its rows share where that is asked for."""
        if self.query.latest is None:
            return f"{self._table} t"
        key, at = (self._shown(kind, "t", field) for field in self.query.latest)
        met = self._where(kind, "t", paged=False, each=True)
        latest = f"SELECT {key} AS shared, MAX({at}) AS latest FROM {self._table} t WHERE {met} GROUP BY {key}"
        return f"({latest}) n CROSS JOIN {self._table} t"  # in this order, as SQLite takes it: the latest are few

    @property
    def _table(self) -> str:
        return self.dialect.table(table_of(self.query.kind.name).name)

    def with_views(self, text: str) -> str:
        """Put the views that a statement needs in front: the rule's, and tables that are read somewhere else."""
        views = [] if self._restriction is None else self._restriction.views(text)
        views = [*self.dialect.read_elsewhere([text, *views]), *views]
        return f"WITH RECURSIVE {', '.join(views)} {text}" if views else text

    def _shown(self, kind: Kind, at: str, field: str, *, folded: bool = False) -> str:
        """Return a field as the reader sees it, or the folded form that it compares by."""
        return _shown(kind, at, field, self._restriction, folded=folded)

    def bind(self, value: Any) -> str:
        """Bind a value; return its place in the text."""
        name = f"p{len(self.parameters)}"
        self.parameters[name] = sound(value)
        return f":{name}"

    def take(self, recipe: Recipe) -> str:
        """Bind what a recipe gets from the query; return its place in the text."""
        place = self.bind(recipe(self.query))
        self.takes.append((place[1:], recipe))
        return place

    def _operand(self, number: int, read: Callable[[Any], Any]) -> str:
        """Bind what is read of the operand of a condition, by the condition's number."""
        return self.take(lambda query: read(query.where[number][1].value))

    def _operands(self, number: int, read: Callable[[Any], Iterable[Any]]) -> str:
        """Bind many values, read of the operand of a condition, as one parameter: a list."""
        listed = self.dialect.list_of
        return self._operand(number, lambda value: listed(map(sound, read(value))))

    def _one_of(self, column: str, number: int, read: Callable[[Any], Iterable[Any]], *, whole: bool = False) -> str:
        """Return the condition that a column holds one of the values that are read of an operand.

        A single one is compared with: a list would have to be unpacked first.
        """
        test = self.query.where[number][1]
        if test.op == "is" or len(test.value) == 1:
            return f"{column} = {self._operand(number, lambda value: next(iter(read(value))))}"
        return self._among(column, self._operands(number, read), whole=whole)

    def _among(self, column: str, values: str, *, whole: bool = False) -> str:
        """Return the condition that a column holds one of the texts, or of the whole numbers, of a list."""
        template = self.dialect.among_whole if whole else self.dialect.among
        return template.format(column=column, list=values)

    # -- conditions

    def _where(self, kind: Kind, at: str, *, paged: bool = True, permitted: bool = True, each: bool = False) -> str:
        """Return what must hold of a row, and of the latest that it is one; `each` asks whatever row is meant."""
        numbers = range(len(self.query.where))
        parts = [self._meets(kind, at, number) for number in numbers]
        parts += [part for number in numbers if (part := self._by_key(at, number)) is not None]
        if self._restriction is not None:
            parts += [self._permits(kind, at)] if permitted else []
            placed = self.query.latest is not None and self.query.latest[0] == "organisation_id"
            within = self._restriction.within(kind, at, self.query.right, placed=placed)
            narrow = self._is_narrow(kind) or (self.query.latest is not None and not each)
            parts += [within] if within is not None and not narrow else []
        if self.query.latest is not None and not each:
            key, latest = (self._shown(kind, at, field) for field in self.query.latest)
            parts += [f"{key} = n.shared", f"{latest} = n.latest"]
        if self.query.text is not None:
            parts.append(self._sought(at, self.query.text))
        elif paged and self.query.after is not None:
            parts.append(self._later(kind, at, self.query.after))
        return " AND ".join([f"({part})" for part in parts]) or self.dialect.true

    def _is_narrow(self, kind: Kind) -> bool:
        """Say whether a condition asks for certain records, which an index finds."""
        return any(
            test.op in ("is", "one_of", "above", "below", "dialled")
            and (field == "id" or kind.link(field) is not None or _has_items(kind, field) or _is_folded(kind, field))
            for field, test in self.query.where
        )

    def _sought(self, at: str, text: str) -> str:
        """Narrow a text search down; the ranking decides."""
        wanted, digits = prepared(text)
        if self._elsewhere is not None:
            columns = {field: f"{at}.{_quoted(field)}" for field in self.query.kind.searched}
            return sought(self.bind, READINGS[self.dialect.name], columns, wanted, digits) or self.dialect.false
        texts = [part for part in dict.fromkeys((wanted, digits)) if part]
        found = [self.dialect.contains.format(text=f"{at}.search_text", part=self.bind(part)) for part in texts]
        return " OR ".join(found) or self.dialect.false

    def _meets(self, kind: Kind, at: str, number: int) -> str:
        """Ask for what the condition of a number asks for."""
        field, test = self.query.where[number]
        if test.op in ("above", "below"):
            return self._closure(kind, at, number)
        shape = kind.shapes[field]
        if self._elsewhere is not None and field in self._elsewhere.rough:
            reading, column = READINGS[self.dialect.name], f"{at}.{_quoted(field)}"
            return narrowed(self.bind, reading, shape, column, test) or self.dialect.true
        if test.op == "dialled":
            return self._item(kind, at, DIALLED, self._one_of("i.key", number, lambda keys: keys))
        if isinstance(shape, Many):
            return self._meets_many(kind, at, number, shape)
        if isinstance(shape, Pairs):
            return self._meets_pairs(kind, at, number, shape)
        column = self._shown(kind, at, field, folded=isinstance(shape, Text) and shape.folded)
        if test.op == "is_none":
            return f"{column} IS NULL" + ("" if _is_no_text(shape) else f" OR {column} = ''")
        if test.op in ("is", "one_of"):
            return self._equals(kind, at, number, column)
        if isinstance(shape, Amount):
            return self._within_amount(kind, at, number)
        return self._within(column, shape, number)

    def _by_key(self, at: str, number: int) -> str | None:
        """Ask once more for keys as the host holds them, so that its own index finds them."""
        field, test = self.query.where[number]
        there, several = self._elsewhere, test.op == "one_of"
        if there is None or test.op not in ("is", "one_of") or field not in (*there.numbers, *there.texts):
            return None
        whole, column = field in there.numbers, f'{at}."{field}#"'

        def keys(value: Any) -> list[Any]:
            wanted = value if several else (value,)
            return [int(key) for key in wanted if is_number(key)] if whole else list(wanted)

        return self._among(column, self._operands(number, keys), whole=whole)

    def _equals(self, kind: Kind, at: str, number: int, column: str) -> str:
        """Compare with a value, or several; of a reference that may be masked the bare column, which has an index."""
        field, test = self.query.where[number]
        shape, link, rule = kind.shapes[field], kind.link(field), self._restriction
        masked = rule is not None and link is not None and rule.masks(kind, link)
        bare, several = f"{at}.{_quoted(field)}" if masked else column, test.op == "one_of"

        normal, kept = shape.normal, _keeper(shape)

        def compared(value: Any) -> list[Any]:
            return [kept(normal(one)) for one in (value if several else (value,))]

        equal = self._one_of(bare, number, compared, whole=is_whole(shape))
        return f"{equal} AND {rule.reachable(link, bare)}" if masked and rule and link else equal

    def _bounds(self, number: int) -> Iterator[tuple[str, Callable[[Any], Any]]]:
        """Yield the borders that a condition has: how a value compares with it, and where it stands in the operand."""
        test = self.query.where[number][1]
        if test.op != "between":
            yield (">=" if test.op == "at_least" else "<="), lambda value: value
            return
        if test.value[0] is not None:
            yield ">=", lambda value: value[0]
        if test.value[1] is not None:
            yield "<=", lambda value: value[1]

    def _within_amount(self, kind: Kind, at: str, number: int) -> str:
        """Compare amounts of the same currency; those in another lie in no range."""
        field = self.query.where[number][0]
        column, currency = self._ordered(kind, at, field), f"{at}.{_quoted(field + '_currency')}"
        return " AND ".join(
            f"{column} {sign} {self._operand(number, _after(bound, _units))} "
            f"AND {currency} = {self._operand(number, _after(bound, _currency))}"
            for sign, bound in self._bounds(number)
        )

    def _within(self, column: str, shape: Shape, number: int) -> str:
        kept = _keeper(shape)
        inside = " AND ".join(
            f"{column} {sign} {self._operand(number, _after(bound, kept))}" for sign, bound in self._bounds(number)
        )
        side, op = shape.unbounded if isinstance(shape, Day) else "", self.query.where[number][1].op
        open_too = (side == "end" and op == "at_least") or (side == "start" and op == "at_most")
        return f"{column} IS NULL OR {inside}" if open_too else inside

    def _meets_many(self, kind: Kind, at: str, number: int, shape: Many) -> str:
        field, test = self.query.where[number]
        link = kind.link(field)
        rule = self._restriction
        masked = rule is not None and link is not None and rule.masks(kind, link)
        readable = f" AND {rule.reachable(link, 'i.key')}" if masked and rule and link else ""
        if test.op == "is_none":
            here = f"{_named(kind, field)} AND i.id = {at}.id"
            return f"NOT EXISTS (SELECT 1 FROM {self._items_of} i WHERE {here}{readable})"

        several = test.op == "one_of"

        def keys(value: Any) -> list[str]:
            normal = map(shape.item.normal, value if several else (value,))
            return [key_text(shape.item.key(one)) for one in normal]

        return self._item(kind, at, field, self._one_of("i.key", number, keys) + readable)

    def _meets_pairs(self, kind: Kind, at: str, number: int, shape: Pairs) -> str:
        field, test = self.query.where[number]
        if test.op == "is_none":
            return f"{at}.{_quoted(field)} = '{{}}'"
        size, op = pairs_asked(shape, test), test.op
        if size == 0:
            return self.dialect.true  # no pair at all is asked for

        def wanted(value: Any) -> list[list[str]]:
            return keys_of_pairs(shape, op, value)

        if size == 1:
            return self._item(kind, at, field, self._one_of("i.key", number, lambda v: [key for (key,) in wanted(v)]))
        return self._item_of_pairs(kind, at, field, self._operand(number, lambda v: _listed_pairs(wanted(v))))

    def _item_of_pairs(self, kind: Kind, at: str, field: str, lists: str) -> str:
        """Ask for rows that have every pair of one of the mappings; one text, however many are wanted."""
        wanted = {"wanted": lists, "item": self._items_of, "named": _named(kind, field)}
        return f"{at}.id IN ({self.dialect.has_every.format(**wanted)})"

    def _item(self, kind: Kind, at: str, field: str, holds: str) -> str:
        """Ask for a lookup key of a field of which a condition holds."""
        found = f"(SELECT i.id FROM {self._items_of} i WHERE {_named(kind, field)} AND {holds}) f"
        return self.dialect.found_in(kind.name, at, "id", found) if self._elsewhere else f"{at}.id IN {found[:-2]}"

    @property
    def _items_of(self) -> str:
        return self.dialect.table("item")

    def _closure(self, kind: Kind, at: str, number: int) -> str:
        test = self.query.where[number][1]
        table, up = self.dialect.table(table_of(kind.name).name), _quoted(kind.up or "id")
        row = f"SELECT n.id, n.{up} FROM {table} n"
        if self.dialect.elsewhere(kind.name) is None:
            there = self._one_of("n.id", number, lambda ids: ids)  # not a table of rows: that is taken for a large one
        else:
            asked = self._operands(number, lambda ids: ids)
            wanted = f"(SELECT value AS id FROM {self.dialect.listed.format(list=asked)}) w"
            there = self.dialect.found_in(kind.name, "n", "id", wanted)
        start = f"{row} WHERE {there}"
        field, key = ("id", "c.up") if test.op == "above" else (kind.up or "id", "c.id")
        step = f"{row} JOIN c ON {self.dialect.found(kind.name, 'n', field, key)}"
        return f"{at}.id IN (WITH RECURSIVE c(id, up) AS ({start} UNION {step}) SELECT id FROM c)"

    # -- order and paging

    def _order(self, kind: Kind, at: str) -> Iterator[str]:
        for field, descending in self.query.order:
            column, last = self._ordered(kind, at, field), _nothing_last(kind.shapes[field])
            way = " DESC" if descending else ""
            if self.dialect.nothing_last:
                first = "" if last else " NULLS LAST" if descending else " NULLS FIRST"
                yield f"{column}{way}{first if _may_be_nothing(kind.shapes[field]) else ''}"
                continue
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
        for number, ((field, descending), (rank, _)) in enumerate(zip(self.query.order, after, strict=False)):
            shape, column = kind.shapes[field], self._ordered(kind, at, field)
            value = self.take(_scalar_behind(number, shape)) if rank == 1 else None
            if (behind := _behind(column, value, last=_nothing_last(shape), descending=descending)) is not None:
                chain.append(" AND ".join([*equal, f"({behind})"]))
            equal.append(f"{column} IS NULL" if value is None else f"{column} = {value}")
        chain.append(" AND ".join([*equal, f"{at}.id > {self.take(_last_behind)}"]))
        return " OR ".join(f"({part})" for part in chain)


def several(selects: Sequence[Select]) -> str:
    """Return one statement that answers several queries: each row under the number of its query.

    They are of one reader, or restricted by none, and bind to the same parameters. Within a query rows come in no
    order; `unpacked` reads them. A condition that covers all below is worked out once for all of them.
    """
    width = max(len(shown_fields(select.query.kind)) for select in selects)
    text = " UNION ALL ".join(select.branch(number, width) for number, select in enumerate(selects))
    restricted = next((select for select in selects if select.query.reader is not None), selects[0])
    return restricted.with_views(text)


def unpacked(row: Sequence[Any], dialect: Dialect) -> tuple[int, Sequence[Any]]:
    """Return the number of a row's query and its columns, of a row that answers several queries."""
    return (row[0], json.loads(row[1])) if dialect.packed else (row[0], row[1:])


def sound(value: Any) -> Any:
    """Return a value that every database takes: text that can be stored nowhere becomes other such text.

    NUL and halves of characters are in no stored text, and neither are control characters, which databases take.
    """
    if isinstance(value, str) and not value.isprintable():
        return _HALF_CHARACTER.sub("\ud7ff\x01", value.replace("\0", "\x01"))
    return int(value) if isinstance(value, bool) else value


_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


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


def _is_no_text(shape: Shape) -> bool:
    """Say whether a field never holds a text of no length."""
    return is_whole(shape) or isinstance(shape, (Day, Moment))


def _may_be_nothing(shape: Shape) -> bool:
    return _nothing_last(shape) or (isinstance(shape, Day) and shape.unbounded == "start")


def _has_items(kind: Kind, field: str) -> bool:
    """Say whether few records hold an item of a list: a number, an address; not one of a few words."""
    shape = kind.shapes[field]
    return shape.many and not (isinstance(shape, Many) and isinstance(shape.item, Choice))


def _is_folded(kind: Kind, field: str) -> bool:
    shape = kind.shapes[field]
    return isinstance(shape, Text) and shape.folded


def _named(kind: Kind, field: str) -> str:
    """Return the condition on lookup keys that they are of a field of a kind, both names of the catalogue."""
    return f"i.kind = '{kind.name}' AND i.field = '{field}'"


def _kept(shape: Shape, value: Any) -> Any:
    """Return a value as the column that is compared holds it."""
    return shape.key(value) if isinstance(shape, Text) else written(shape, value)


def _keeper(shape: Shape) -> Callable[[Any], Any]:
    """Return how a value that is there is written as the column that is compared holds it."""
    return shape.key if isinstance(shape, Text) else writer_of(shape)


def _listed_pairs(wanted: Iterable[Sequence[str]]) -> str:
    """Write the keys of several mappings as one parameter: a JSON list of lists."""
    return json.dumps([[sound(key) for key in keys] for keys in wanted], ensure_ascii=False)


def keys_of_pairs(shape: Pairs, op: str, value: Any) -> list[list[str]]:
    """Return the lookup keys that a record must have, for each of the mappings that a condition asks for."""
    given = value if op == "one_of" else (value,)
    return [[key_text(key) for key in shape.keys(shape.normal(value))] for value in given]


def pairs_asked(shape: Pairs, test: Test) -> int:
    """Say what of the mappings of a condition decides the text: some is empty (0), all are of one pair (1), neither."""
    sizes = [len(keys) for keys in keys_of_pairs(shape, test.op, test.value)]
    return 0 if not all(sizes) else 1 if all(size == 1 for size in sizes) else 2


def _after(first: Callable[[Any], Any], then: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: then(first(value))


def _units(money: Any) -> Any:
    return money.units


def _currency(money: Any) -> Any:
    return money.currency


def _scalar_behind(number: int, shape: Shape) -> Recipe:
    """Return how a query gives the value of one ordered field that its page begins behind."""
    return lambda query: _from_scalar(shape, (query.after or ())[number][1])


def _last_behind(query: Query) -> Any:
    return (query.after or ())[-1]


def _from_scalar(shape: Shape, scalar: Any) -> Any:
    """Turn a place's scalar back into what the column holds."""
    try:
        if isinstance(shape, Day):
            return date.fromordinal(scalar).isoformat()
        if isinstance(shape, Moment):
            return moment(_EPOCH + timedelta(microseconds=scalar))
    except (ValueError, OverflowError, TypeError):
        return ""
    return str(scalar) if isinstance(shape, (Degrees, Exact)) else scalar


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
