"""Queries as SQL text with parameters: the same restriction, masking, conditions and order as the evaluator.

No value and no name from outside is ever put into the text: names come from the catalogue, values are bound, and lists
travel as one JSON parameter, so that the text of a question stays the same and its plan is kept.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from keyaccount.access import Reader
from keyaccount.catalogue import KINDS, Kind, Link
from keyaccount.codec import moment, reader_of, written
from keyaccount.model.rights import DEPUTY, EVERYONE, KEY_ACCOUNT_MANAGER, Principal, Right, unit, user
from keyaccount.queries import Key, Query, Test
from keyaccount.search import prepared
from keyaccount.shapes import (
    Choice,
    Day,
    Flag,
    Ident,
    Many,
    Moment,
    Number,
    One,
    Pairs,
    Rank,
    Refer,
    Shape,
    Text,
)
from keyaccount.storage.schema import DIALLED, key_text, table_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Select:
    """One query on its way to SQL: `text` and `parameters`."""

    def __init__(self, query: Query) -> None:
        """Start with nothing bound."""
        self.query = query
        self.reader = query.reader
        self.parameters: dict[str, Any] = {}
        self._views: dict[str, str] = {}
        self._aliases = 0

    # -- whole statements

    def rows(self) -> str:
        """Return the statement that answers the query, but for ranking a text search."""
        kind = self.query.kind
        columns = ", ".join(self._shown(kind, "t", field) for field in shown_fields(kind))
        where = self._where(kind, "t")
        order = ", ".join([*self._order(kind, "t"), "t.id"])
        limit = (
            "" if self.query.limit is None or self.query.text is not None else f" LIMIT {self.bind(self.query.limit)}"
        )
        return f"{self._with()}SELECT {columns} FROM {table_of(kind.name).name} t WHERE {where} ORDER BY {order}{limit}"

    def totals(self, by: Collection[str]) -> str:
        """Return the statement that counts the query's rows by some fields."""
        kind = self.query.kind
        groups = [self._shown(kind, "t", field) for field in by]
        where = self._where(kind, "t", paged=False)
        grouped = f" GROUP BY {', '.join(map(str, range(1, len(groups) + 1)))}" if groups else ""
        table = table_of(kind.name).name
        return f"{self._with()}SELECT {', '.join([*groups, 'COUNT(*)'])} FROM {table} t WHERE {where}{grouped}"

    def bind(self, value: Any) -> str:
        """Bind a value; return its place in the text."""
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f":{name}"

    def bind_all(self, values: Iterable[Any]) -> str:
        """Bind many values as one parameter; return a sub-select of them."""
        return f"(SELECT value FROM json_each({self.bind(json.dumps(list(values), ensure_ascii=False))}))"

    # -- conditions

    def _where(self, kind: Kind, at: str, *, paged: bool = True) -> str:
        parts = [self._meets(kind, at, field, test) for field, test in self.query.where]
        parts.append(self.permits(kind, at, self.query.right))
        if self.query.text is not None:
            parts.append(self._sought(at, self.query.text))
        elif paged and self.query.after is not None:
            parts.append(self._later(kind, at, self.query.after))
        return " AND ".join(f"({part})" for part in parts)

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
            given = test.value if test.op == "one_of" else (test.value,)
            values = [_kept(shape, shape.normal(value)) for value in given]
            if len(values) == 1:
                return f"{column} = {self.bind(values[0])}"
            return f"{column} IN {self.bind_all(values)}"
        return self._within(column, shape, test)

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
        readable = f" AND {self._reachable(link, 'i.key')}" if link is not None and self._masks(kind, link) else ""
        if test.op == "is_none":
            return f"NOT EXISTS (SELECT 1 FROM item i WHERE {self._at_item(kind, at, field)}{readable})"
        given = test.value if test.op == "one_of" else (test.value,)
        keys = [key_text(shape.item.key(shape.item.normal(value))) for value in given]
        return self._item(kind, at, field, keys, readable)

    def _meets_pairs(self, kind: Kind, at: str, field: str, test: Test, shape: Pairs) -> str:
        if test.op == "is_none":
            return f"{at}.{_quoted(field)} = '{{}}'"
        given = test.value if test.op == "one_of" else (test.value,)
        wanted = [
            " AND ".join(self._item(kind, at, field, [key_text(key)]) for key in shape.keys(shape.normal(value))) or "1"
            for value in given
        ]
        return " OR ".join(f"({part})" for part in wanted) or "0"

    def _item(self, kind: Kind, at: str, field: str, keys: Iterable[str], more: str = "") -> str:
        named = f"i.kind = {self.bind(kind.name)} AND i.field = {self.bind(field)}"
        return f"{at}.id IN (SELECT i.id FROM item i WHERE {named} AND i.key IN {self.bind_all(keys)}{more})"

    def _at_item(self, kind: Kind, at: str, field: str) -> str:
        return f"i.kind = {self.bind(kind.name)} AND i.field = {self.bind(field)} AND i.id = {at}.id"

    def _closure(self, kind: Kind, at: str, test: Test) -> str:
        table, up = table_of(kind.name).name, _quoted(kind.up or "id")
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

    # -- restriction

    def permits(self, kind: Kind, at: str, right: Right) -> str:
        """Return the condition that the reader holds a right on a row: the rule of `access`, compiled."""
        reader = self.reader
        if reader is None:
            return "1"
        if kind.reach == "free":
            return "1" if right is Right.READ or reader.steward else "0"
        if kind.reach == "account":
            return self._permits_account(reader, at, right)
        if kind.reach == "contact":
            return self._permits_contact(reader, at, right)
        return self._permits_hanging(kind, at, right)

    def _permits_account(self, reader: Reader, at: str, right: Right) -> str:
        shielded = self._permits_private(reader, at, right)
        default = reader.policy.default
        if reader.steward or (default is not None and default >= right):
            return f"{at}.private = 0 OR {shielded}"
        direct = " OR ".join(
            [
                *self._claimed(reader, "assignment", right, f"a.organisation_id = {at}.id"),
                *self._claimed(reader, "grant", right, f"a.organisation_id = {at}.id"),
            ]
        )
        covered = f"{at}.id IN (SELECT id FROM {self._covering(reader, right)})"
        return f"({at}.private = 0 AND ({direct} OR {covered})) OR {shielded}"

    def _permits_private(self, reader: Reader, at: str, right: Right) -> str:
        here = f"a.organisation_id = {at}.id AND {self._in_force('a', reader)}"
        manages = f"{here} AND a.role = {self.bind(KEY_ACCOUNT_MANAGER)}"
        ways = [f"EXISTS (SELECT 1 FROM assignment a WHERE {manages} AND a.user_id = {self.bind(reader.user.id)})"]
        if reader.policy.deputies_see_private and right <= Right.CHANGE:
            managed = (
                f"EXISTS (SELECT 1 FROM assignment a JOIN user u ON u.id = a.user_id WHERE {manages} AND u.active = 1)"
            )
            if reader.policy.roles[DEPUTY] >= right:
                mine = f"a.role = {self.bind(DEPUTY)} AND a.user_id = {self.bind(reader.user.id)}"
                ways.append(f"({managed} AND EXISTS (SELECT 1 FROM assignment a WHERE {here} AND {mine}))")
            absent = f"a.user_id IN {self.bind_all(reader.acts_for)}"
            ways.append(f"EXISTS (SELECT 1 FROM assignment a WHERE {manages} AND {absent})")
        if reader.steward and right is Right.READ:
            now = self.bind(moment(reader.now))
            mine = f"b.user_id = {self.bind(reader.user.id)} AND b.opens_at <= {now} AND {now} < b.closes_at"
            ways.append(f"EXISTS (SELECT 1 FROM break_glass b WHERE b.organisation_id = {at}.id AND {mine})")
        return f"({at}.private = 1 AND ({' OR '.join(ways)}))"

    def _claimed(self, reader: Reader, table: str, right: Right, which: str) -> Iterator[str]:
        """Yield the conditions under which a claim of a table gives the reader a right."""
        here = f"{which} AND {self._in_force('a', reader)}"
        if table == "grant":
            mine = self.bind_all(written(_PRINCIPAL, one) for one in _principals(reader))
            enough = f'a."right" >= {self.bind(int(right))} AND a.principal IN {mine}'
            yield f'EXISTS (SELECT 1 FROM "grant" a WHERE {here} AND {enough})'
            return
        for users, roles in _ways(reader, right):
            held = f"a.user_id IN {self.bind_all(users)} AND a.role IN {self.bind_all(roles)}"
            yield f"EXISTS (SELECT 1 FROM assignment a WHERE {here} AND {held})"

    def _covering(self, reader: Reader, right: Right) -> str:
        """Name the table of all that covering claims reach for a right; it is made once for each statement."""
        name = f"covered_{int(right)}"
        if name not in self._views:
            force = self._in_force("a", reader)
            starts = []
            for users, roles in _ways(reader, right):
                held = f"a.user_id IN {self.bind_all(users)} AND a.role IN {self.bind_all(roles)}"
                starts.append(
                    f"SELECT a.organisation_id FROM assignment a WHERE a.covers_subsidiaries = 1 AND {force} AND {held}"
                )
            mine = self.bind_all(written(_PRINCIPAL, one) for one in _principals(reader))
            starts.append(
                f'SELECT a.organisation_id FROM "grant" a WHERE a.covers_subsidiaries = 1 AND {force} '
                f'AND a."right" >= {self.bind(int(right))} AND a.principal IN {mine}'
            )
            self._views[name] = (
                f"{name}(id) AS ({' UNION '.join(starts)} "
                f"UNION SELECT o.id FROM organisation o JOIN {name} c ON o.parent_id = c.id)"
            )
        return name

    def _with(self) -> str:
        return f"WITH RECURSIVE {', '.join(self._views.values())} " if self._views else ""

    def _permits_contact(self, reader: Reader, at: str, right: Right) -> str:
        position, account = self._alias(), self._alias()
        counts = "" if right is Right.READ else f" AND {self._in_force(position, reader)}"
        there = self._permitted(KINDS["Organisation"], right)
        joined = f"JOIN {there} {account} ON {account}.id = {position}.organisation_id"
        ways = [f"EXISTS (SELECT 1 FROM position {position} {joined} WHERE {position}.contact_id = {at}.id{counts})"]
        mine = "1" if reader.steward else f"{at}.created_by = {self.bind(reader.user.id)}"
        ways.append(f"({mine} AND NOT EXISTS (SELECT 1 FROM position q WHERE q.contact_id = {at}.id))")
        if right <= Right.CHANGE:
            users = self.bind_all([reader.user.id, *reader.acts_for])
            ways.append(
                f"EXISTS (SELECT 1 FROM assignment a WHERE a.contact_id = {at}.id "
                f"AND {self._in_force('a', reader)} AND a.user_id IN {users})"
            )
        return " OR ".join(ways)

    def _permits_hanging(self, kind: Kind, at: str, right: Right) -> str:
        homes = [link for field in kind.home if (link := kind.link(field)) is not None]
        parts = []
        for index, link in enumerate(homes):
            column = f"{at}.{_quoted(link.field)}"
            above = [f"{at}.{_quoted(other.field)} IS NULL" for other in homes[:index]]
            decisive = " AND ".join(above) or "1"
            reads = self._reachable(link, column)
            needs = (
                reads
                if right is Right.READ
                else f"CASE WHEN {decisive} THEN {self._reachable(link, column, right)} ELSE {reads} END"
            )
            parts.append(f"({column} IS NULL OR {needs})")
        nowhere = " AND ".join(f"{at}.{_quoted(link.field)} IS NULL" for link in homes)
        else_any = kind.link(kind.else_any) if kind.else_any else None
        any_of = "0"
        if else_any is not None:
            any_of = (
                f"EXISTS (SELECT 1 FROM item i WHERE {self._at_item(kind, at, else_any.field)} "
                f"AND {self._reachable(else_any, 'i.key', right)})"
            )
        if "about" in kind.shapes:
            parts.append(self._about(at))
        return f"CASE WHEN {nowhere} THEN {any_of} ELSE {' AND '.join(parts)} END"

    def _about(self, at: str) -> str:
        """Ask that what a note is about can be read; only kinds that close can be."""
        kind_of, id_of = f"json_extract({at}.about, '$.kind')", f"json_extract({at}.about, '$.id')"
        ways = [f"{at}.about IS NULL"]
        for kind in KINDS.values():
            if kind.open is not None:
                other = self._alias()
                there = f"SELECT 1 FROM {self._permitted(kind, Right.READ)} {other} WHERE {other}.id = {id_of}"
                ways.append(f"({kind_of} = {self.bind(kind.name)} AND EXISTS ({there}))")
        return f"({' OR '.join(ways)})"

    def _reachable(self, link: Link, column: str, right: Right = Right.READ) -> str:
        """Ask that there is a record with the id in a column on which the reader holds a right."""
        other = self._alias()
        readable = self._permitted(KINDS[link.kind], right)
        return f"EXISTS (SELECT 1 FROM {readable} {other} WHERE {other}.id = {column})"

    def _permitted(self, kind: Kind, right: Right) -> str:
        """Name the view of all records of a kind on which the reader holds a right; a statement has it once."""
        name = f"permitted_{table_of(kind.name).name}_{int(right)}"
        if name not in self._views:
            at = self._alias()
            rows = f"SELECT {at}.id FROM {table_of(kind.name).name} {at} WHERE {self.permits(kind, at, right)}"
            self._views[name] = f"{name}(id) AS NOT MATERIALIZED ({rows})"
        return name

    def _in_force(self, at: str, reader: Reader) -> str:
        today = self.bind(reader.today.isoformat())
        return (
            f"({at}.valid_from IS NULL OR {at}.valid_from <= {today}) "
            f"AND ({at}.valid_until IS NULL OR {today} <= {at}.valid_until)"
        )

    # -- masking

    def _masks(self, kind: Kind, link: Link) -> bool:
        """Say whether a reference can be masked: not where a record hangs, and not to what everyone reads."""
        alone = kind.home == (link.field,)
        return self.reader is not None and KINDS[link.kind].reach != "free" and not alone

    def _shown(self, kind: Kind, at: str, field: str, *, folded: bool = False) -> str:
        """Return a field as the reader sees it."""
        column = f"{at}.{_quoted(field + '_key' if folded else field)}"
        link = kind.link(field)
        if link is None or not self._masks(kind, link):
            return column
        if link.many:
            readable = self._reachable(link, "j.value")
            return f"(SELECT json_group_array(j.value) FROM json_each({column}) j WHERE {readable})"
        return f"(CASE WHEN {self._reachable(link, column)} THEN {column} END)"

    def _alias(self) -> str:
        self._aliases += 1
        return f"x{self._aliases}"


_PRINCIPAL = One(Principal)


@functools.cache
def shown_fields(kind: Kind) -> dict[str, Callable[[Any], Any] | None]:
    """Return the fields a record is put together from, with how each is read back."""
    derived = {name for name, _ in kind.derived}
    return {field: reader_of(shape) for field, shape in kind.shapes.items() if field not in derived}


def _principals(reader: Reader) -> list[Principal]:
    return [user(reader.user.id), EVERYONE, *(unit(id) for id in reader.units)]


def _ways(reader: Reader, right: Right) -> Iterator[tuple[list[str], list[str]]]:
    """Yield whose assignments, in which roles, give the reader a right: own, of the absent, of those overseen."""
    roles = reader.policy.roles
    yield [reader.user.id], [role for role, given in roles.items() if given >= right]
    if reader.acts_for and right <= Right.CHANGE:
        yield list(reader.acts_for), [role for role, given in roles.items() if given >= right]
    if reader.oversees and reader.policy.oversight is not None and reader.policy.oversight >= right:
        yield sorted(reader.oversees), [KEY_ACCOUNT_MANAGER]


def _quoted(name: str) -> str:
    return f'"{name}"'


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
