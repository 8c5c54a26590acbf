"""A kind's table as it is read from a host's own: one SELECT with exactly the columns that our table has.

It stands in front of a statement in our table's place, so that restriction, masking, conditions, order and totals are
the ones that every adapter has. What the host's columns cannot say exactly in SQL (folded names, items of lists) is
named as `rough`: a question about it is narrowed down in the database, and finished on the rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import attrs

from keyaccount.catalogue import KINDS
from keyaccount.codec import written
from keyaccount.model.links import address_of
from keyaccount.shapes import (
    ID_LIMIT,
    Amount,
    Choice,
    Day,
    Exact,
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
    Whole,
)
from keyaccount.storage.dialects import Dialect, Elsewhere
from keyaccount.storage.hosts import READINGS
from keyaccount.storage.schema import Column, table_of
from keyaccount.storage.sources import IntKey, Scaled, Source, TextKey, given_fields

_DAYS = frozenset({"valid_from", "valid_until"})
_ALSO = _DAYS | {"about"}
_RIGHTS = frozenset({"Assignment", "Grant", "BreakGlass", "Substitution"})
"""Kinds of which the rule of rights looks at more than keys, days and flags."""
_LARGEST_NUMBER = (1 << 62) - 1


def shadow(source: Source, found: Collection[str], dialect: Dialect) -> Elsewhere:
    """Return how a kind's table is read from a source whose SELECT yields some columns; see `given_fields`."""
    return _Shadow(source, found, dialect).built()


def items(shadows: Sequence[Elsewhere], dialect: Dialect) -> Iterator[Elsewhere]:
    """Yield the table of lookup keys with the members of the hosts' lists of references in it, where there are any."""
    reading, parts, stale = READINGS[dialect.name], [], []
    for one in shadows:
        kind = KINDS[one.kind]
        for link in kind.links:
            if link.many and link.field in one.given:
                rows = f'({one.select}) s, {reading.each.format(f"""s."{link.field}" """.strip())}'
                stale.append(f"(kind = '{kind.name}' AND field = '{link.field}')")
                parts.append(f"SELECT '{kind.name}', '{link.field}', e.value, s.id FROM {rows}")
    if parts:
        own = f"SELECT kind, field, key, id FROM {dialect.table('item')} WHERE NOT ({' OR '.join(stale)})"
        yield Elsewhere("item", "", " UNION ALL ".join([own, *parts]))


class _Shadow:
    """One kind's SELECT on its way to text: `h` is the host's row, `x` ours beside it, `r` both as they are read."""

    def __init__(self, source: Source, found: Collection[str], dialect: Dialect) -> None:
        self._kind, self._source, self._found = source.kind, source, frozenset(found)
        self._given = given_fields(source, found)
        self._dialect, self._reading = dialect, READINGS[dialect.name]
        self._table = table_of(self._kind.name)
        self._derived = {name for name, _ in self._kind.derived}

    def built(self) -> Elsewhere:
        """Return the table as it is read elsewhere."""
        numbers, texts = self._keys(IntKey), self._keys(TextKey) if self._reading.text_keys else ()
        given, rough = tuple(sorted(self._given)), frozenset(self._rough())
        columns = list(self._table.columns)
        short = [column for column in columns if isinstance(column.shape, (Ident, Refer, Flag)) or column.name in _ALSO]
        return Elsewhere(
            self._table.name, self._kind.name, self._select(columns, (*numbers, *texts)), given, numbers, texts, rough,
            "" if self._kind.name in _RIGHTS else self._select(short, (*numbers, *texts)),
        )  # fmt: skip

    def _select(self, columns: Sequence[Column], keys: Sequence[str]) -> str:
        """Return the SELECT of some columns, and of keys as the host holds them."""
        shown = {column.name: column for column in columns}
        needed = shown | {c.name: c for c in self._table.columns if c.field in self._needed()}
        read = {name: self._read(column) for name, column in needed.items() if column.field not in self._derived}
        read |= {f"{field}#": f'h."{field}"' for field in keys}
        read |= {f"{field}!": self._reading.endless.format(f'h."{field}"', word) for field, word in self._open_days()}
        told = ", ".join(f'{text} AS "{name}"' for name, text in read.items())
        beside = f'LEFT JOIN {self._dialect.table(self._table.name)} x ON x."id" = {read["id"]}'
        inner = f"SELECT {told} FROM {self._source.rows} h {beside}"
        outer = ", ".join(f'{self._finished(name)} AS "{name}"' for name in (*shown, *(f"{field}#" for field in keys)))
        return f"SELECT {outer} FROM ({inner}) r WHERE {' AND '.join(self._sound())}"

    def _needed(self) -> set[str]:
        """Return the fields whose columns the conditions on a row look at, and other columns follow from."""
        required = {field for field in self._given if self._is_needed(field)}
        money = {"kind", "net", "gross", "payments", "issued_on"} if self._kind.name == "Invoice" else set()
        days = {field for field, _ in self._open_days()} | (_DAYS if self._given >= _DAYS else set())
        return ({"id", "state"} | required | money | days) & self._kind.shapes.keys() - self._derived

    def _open_days(self) -> Iterator[tuple[str, str]]:
        """Yield the given days of which none means for ever, and a server's word for it.

        One that is given and cannot be read must not mean that: it would open rights.
        """
        for field in sorted(self._given):
            shape = self._kind.shapes[field]
            if isinstance(shape, Day) and shape.unbounded:
                yield field, "infinity" if shape.unbounded == "end" else "-infinity"

    def _keys(self, sort: type[IntKey | TextKey]) -> tuple[str, ...]:
        return tuple(field for field in sorted(self._given) if isinstance(self._source.columns.get(field), sort))

    # -- one column

    def _read(self, column: Column) -> str:
        if column.field == "version":
            return 'COALESCE(x."version", 1)'
        if column.field not in self._given:
            return self._ours(column)
        if column.folded:
            return "CAST(NULL AS TEXT)"
        if column.currency:
            own = column.name if column.name in self._found else "currency"
            return self._reading.currency(f'h."{own}"', empty=False)
        return self._theirs(column.field, column.shape)

    def _ours(self, column: Column) -> str:
        """Read a field of ours from beside the host's row; where nothing was ever written, what a new record holds."""
        usual = self._usual(column.field)
        kept = None if usual is None else column.of()(usual)
        stored = f'x."{column.name}"'
        return stored if kept is None else f"CASE WHEN x.id IS NULL THEN {_literal(kept)} ELSE {stored} END"

    def _usual(self, field: str) -> Any:
        """Return what a field holds when nothing is given."""
        default = attrs.fields_dict(self._kind.cls)[field].default
        return None if default is attrs.NOTHING or isinstance(default, attrs.Factory) else default  # type: ignore[arg-type]

    def _otherwise(self, field: str, shape: Shape) -> str:
        usual = self._usual(field)
        return "NULL" if usual is None else _literal(written(shape, usual))

    def _theirs(self, field: str, shape: Shape) -> str:
        """Read a field from the host's column; what the field cannot hold becomes nothing."""
        column, reading, sort = f'h."{field}"', self._reading, self._source.columns.get(field)
        if isinstance(sort, IntKey):
            return reading.text.format(column)
        if isinstance(shape, (Ident, Refer)):
            return reading.key(column, ID_LIMIT, told=isinstance(sort, TextKey))
        if isinstance(shape, Amount):
            return reading.units(column, sort.places if isinstance(sort, Scaled) else Scaled().places)
        if isinstance(shape, Text):
            return self._theirs_text(field, column, shape)
        if isinstance(shape, Flag):
            return reading.flag.format(column, self._otherwise(field, shape))
        if isinstance(shape, (Number, Rank, Whole)):
            low, high = (min(shape.of), max(shape.of)) if isinstance(shape, Rank) else (0, _LARGEST_NUMBER)
            return reading.whole.format(column, int(low), int(high), self._otherwise(field, shape))
        if isinstance(shape, Choice):
            return reading.one_of(column, shape.words, "NULL")
        if isinstance(shape, (Day, Moment)):
            return (reading.day if isinstance(shape, Day) else reading.moment).format(column)
        if isinstance(shape, Many) and isinstance(shape.item, Refer):
            return reading.texts.format(reading.list.format(column), ID_LIMIT)
        if isinstance(shape, (Many, Pairs)):
            return (reading.list if isinstance(shape, Many) else reading.mapping).format(column)
        return reading.text.format(column)

    def _theirs_text(self, field: str, column: str, shape: Text) -> str:
        reading = self._reading
        if field == "currency":
            return reading.currency(column, empty=True)
        text = reading.line(column, shape.limit) if shape.line else reading.passage(column, shape.limit)
        if shape.pattern is address_of:
            start = f"lower(substr({text}, 1, 8))"
            return f"CASE WHEN {start} = 'https:' || '//' OR substr({start}, 1, 7) = 'http:' || '//' THEN {text} END"
        if not shape.required:
            return text
        instead = reading.text.format('h."id"') if field == "name" else self._otherwise(field, shape)
        return f"COALESCE(CASE WHEN trim({text}) <> '' THEN {text} END, {instead})"

    # -- what follows from several columns

    def _finished(self, name: str) -> str:
        """Return a column as it is shown: derived ones are worked out, and what contradicts another is nothing."""
        kind, column = self._kind, f'r."{name}"'
        if name in self._derived:
            return self._worked_out(name)
        if name == kind.up and name in self._given:
            return f"CASE WHEN {column} <> r.id THEN {column} END"
        if kind.name == "Invoice" and name in ("net", "gross") and name in self._given:
            same = "r.gross_currency = r.net_currency" if name == "gross" else self._dialect.true
            return f"CASE WHEN {same} THEN CASE WHEN r.kind = 'credit note' THEN abs({column}) ELSE {column} END END"
        if kind.name == "Invoice" and name == "payments" and name in self._given:
            return self._payments()
        if isinstance(kind.shapes.get(name), Amount) and name in self._given:
            return f'CASE WHEN r."{name}_currency" IS NOT NULL THEN {column} END'
        if name == "closed_on" and kind.name == "Opportunity" and name in self._given:
            return f"CASE WHEN r.state <> 'open' THEN {column} END"
        return column

    def _worked_out(self, name: str) -> str:
        kind, reading = self._kind.name, self._reading
        if kind == "Invoice":
            total = f"COALESCE({self._finished('gross')}, {self._finished('net')})"
            settled = f"CASE WHEN {total} = 0 THEN r.issued_on END"
            if "payments" in self._given:
                settled = reading.settled.format(
                    total=total, issued="r.issued_on", payments=self._payments(), units=self._paid_units("e.value")
                )
            return {
                "currency": "r.net_currency",
                "net_units": "CASE WHEN r.kind = 'credit note' THEN -abs(r.net) ELSE r.net END",
                "settled_on": settled,
                "open": f"CASE WHEN {settled} IS NULL THEN 1 ELSE 0 END",
            }[name]
        if name == "open" and kind in ("Opportunity", "Link"):
            return "CASE WHEN r.state = 'open' THEN 1 ELSE 0 END"
        if name == "open" and kind == "Order":
            return "CASE WHEN r.state IN ('open', 'confirmed', 'shipped') THEN 1 ELSE 0 END"
        return "CAST(NULL AS TEXT)"

    def _payments(self) -> str:
        reading = self._reading
        paid_on = "json_extract(e.value, '$.paid_on')" if self._dialect.name == "sqlite" else "(e.value ->> 'paid_on')"
        return reading.payments.format(
            list="r.payments", currency="r.net_currency", day=reading.day.format(paid_on),
            units=reading.units("p.a", Scaled().places),
        )  # fmt: skip

    def _paid_units(self, item: str) -> str:
        amount = f"json_extract({item}, '$.amount.amount')"
        if self._dialect.name != "sqlite":
            amount = f"({item} -> 'amount' ->> 'amount')"
        return self._reading.units(amount, Scaled().places)

    # -- rows that cannot be read, and questions that cannot be answered here alone

    def _sound(self) -> Iterator[str]:
        """Yield what must hold of a row: without an id, or what a record of its kind must have, there is none."""
        yield "r.id IS NOT NULL"
        for field in sorted(self._given - {"id"}):
            if self._is_needed(field):
                yield f'r."{field}" IS NOT NULL'
        if self._kind.name == "Invoice":
            yield "r.net_currency IS NOT NULL"
        for field, _ in self._open_days():
            yield f'(r."{field}" IS NOT NULL OR r."{field}!")'
        if self._given >= _DAYS:
            yield "COALESCE(r.valid_from <= r.valid_until, TRUE)"

    def _is_needed(self, field: str) -> bool:
        shape = self._kind.shapes[field]
        needed = getattr(shape, "required", False) and not isinstance(shape, (Text, One, Exact))
        return needed or (self._kind.name, field) == ("Invoice", "net")

    def _rough(self) -> Iterator[str]:
        """Yield the fields that conditions and orders cannot be exact about in the database."""
        exact = {"Invoice": self._derived, "Order": {"open"}, "Opportunity": {"open"}, "Link": {"open"}}
        for field, shape in self._kind.shapes.items():
            if field in self._derived:
                if field not in exact.get(self._kind.name, ()):
                    yield field
            elif field in self._given:
                listed = isinstance(shape, (Many, Pairs)) and self._kind.link(field) is None
                folded = isinstance(shape, Text) and shape.folded
                if listed or folded or isinstance(shape, (One, Exact)) or is_checked(field, shape):
                    yield field
            elif isinstance(shape, Many) and self._usual(field):
                yield field  # where nothing was ever written there is no lookup key


def is_checked(field: str, shape: Shape) -> bool:
    """Say whether a text has a rule that only Python knows."""
    return isinstance(shape, Text) and shape.pattern not in (None, address_of) and field != "currency"


def _literal(value: Any) -> str:
    """Write a constant of the catalogue."""
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"
