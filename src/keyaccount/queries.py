"""What may be asked of a storage, and the evaluator that answers it: the reference for every adapter.

A `Query` is a plain value. `run` answers it exactly: restricted to what its reader may read, masked, filtered, totally
ordered and cut. An adapter does the same in its own language or hands its rows to `run`; there is no third way.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any, Protocol, TypeAlias, cast

import attrs

from keyaccount import access, phones
from keyaccount.catalogue import KINDS, Kind, Link
from keyaccount.errors import Problem, ValidationError, nearest, shown
from keyaccount.model.contacts import Contact, Position
from keyaccount.model.entity import Entity, evolved
from keyaccount.model.notes import Reference
from keyaccount.model.organisations import Organisation
from keyaccount.model.organogram import User
from keyaccount.model.rights import Assignment, BreakGlass, Grant, Right
from keyaccount.search import score
from keyaccount.shapes import Day, Many, Pairs, PhoneNumber, Shape, Text
from keyaccount.spans import in_force
from keyaccount.values import fold

Key: TypeAlias = tuple[Any, ...]
"""Where a row stands in an order: a (rank, scalar) pair for each ordered field, then the id. Plain JSON inside."""


@attrs.frozen
class Test:
    """What a condition asks of a field: the operation and its operand."""

    op: str
    value: Any = None


def between(low: Any, high: Any) -> Test:
    """Ask for values from `low` to `high`, both included."""
    return Test("between", (low, high))


def at_least(low: Any) -> Test:
    """Ask for values of `low` or more; an open end is more than any day."""
    return Test("at_least", low)


def at_most(high: Any) -> Test:
    """Ask for values of `high` or less; an open start is less than any day."""
    return Test("at_most", high)


def one_of(values: Iterable[Any]) -> Test:
    """Ask for any of the given values; none of none."""
    if not isinstance(values, (list, tuple, set, frozenset)):
        raise ValidationError.of("condition", "one_of", values, "must be a list, tuple or set")
    return Test("one_of", tuple(values))


is_none = Test("is_none")
"""Ask for records where the field holds nothing."""


def above(ids: Iterable[str]) -> Test:
    """Ask for the records with these ids and everything above them in the kind's forest (for the rules)."""
    return Test("above", tuple(ids))


def below(ids: Iterable[str]) -> Test:
    """Ask for the records with these ids and everything below them in the kind's forest (for the rules)."""
    return Test("below", tuple(ids))


def dialled(keys: Iterable[str]) -> Test:
    """Ask for records with a phone number under one of these lookup keys (for the rules)."""
    return Test("dialled", frozenset(keys))


_CLOSURES = ("above", "below")


@attrs.frozen
class Query:
    """A question to a storage.

    `where` are conditions by field, all of which must hold. `reader` restricts to what it may read (None: a trusted
    desk), and to accounts and contacts it holds `right` on. `text` searches, best match first. `order` are fields,
    descending where True; ties go by id. `after` is the place of the last row seen.
    """

    kind: Kind
    where: tuple[tuple[str, Test], ...] = ()
    text: str | None = None
    reader: access.Reader | None = None
    right: Right = Right.READ
    order: tuple[tuple[str, bool], ...] = ()
    limit: int | None = None
    after: Key | None = None


@attrs.frozen
class Total:
    """The number of rows that share the values of the grouping fields."""

    key: tuple[Any, ...]
    count: int


class Rows(Protocol):
    """What the evaluator needs of a store: its unrestricted rows, by id and by indexed field."""

    def get(self, kind: str, id: str) -> Entity | None:
        """Return one row or None."""

    def all(self, kind: str) -> Iterable[Entity]:
        """Return all rows of a kind, in any order."""

    def by(self, kind: str, field: str, keys: Iterable[Any]) -> Iterable[Entity]:
        """Return the rows that an index holds under any of the keys, each once."""


# ---- asking ----------------------------------------------------------------------------------------------


def conditions(kind: Kind, given: Mapping[str, Any], *, inner: bool = False) -> tuple[tuple[str, Test], ...]:
    """Check conditions by field; raise one ValidationError that names every mistyped field and value.

    `inner` allows the tests that are for the rules: they look past what a reader sees.
    """
    problems: list[Problem] = []
    tests: list[tuple[str, Test]] = []
    for field, value in given.items():
        shape = kind.shapes.get(field)
        test = value if isinstance(value, Test) else is_none if value is None else Test("is", value)
        if shape is None:
            problems.append(Problem(kind.name, field, shown(value), f"is no field{nearest(field, kind.shapes)}"))
        elif reason := _refused(shape, test, inner=inner):
            problems.append(Problem(kind.name, field, shown(test.value), reason))
        else:
            tests.append((field, test))
    if problems:
        raise ValidationError(problems)
    return tuple(tests)


def _refused(shape: Shape, test: Test, *, inner: bool) -> str | None:
    if test.op in ("dialled", *_CLOSURES):
        return None if inner else "cannot be asked here"
    if test.op == "is_none":
        return None
    if test.op in ("between", "at_least", "at_most") and (shape.many or not _scalar(shape)):
        return "has no order; compare with a value"
    values = test.value if test.op in ("one_of", "between") else (test.value,)
    return next((reason for value in values if (reason := shape.operand(value))), None)


def ordering(kind: Kind, order: str | Iterable[str] | None) -> tuple[tuple[str, bool], ...]:
    """Read an order: a field or several, with a minus for descending."""
    names = (order,) if isinstance(order, str) else tuple(order or ()) if isinstance(order, (list, tuple)) else order
    if names is None:
        return ()
    if not isinstance(names, tuple) or len(names) > 8:  # noqa: PLR2004 - nobody orders by more
        raise ValidationError.of(kind.name, "order", order, "must be a field, or a few")
    found = []
    for name in names:
        field = name.removeprefix("-") if isinstance(name, str) else name
        shape = kind.shapes.get(field) if isinstance(field, str) else None
        if shape is None:
            raise ValidationError.of(kind.name, "order", name, f"is no field{nearest(field, kind.shapes)}")
        if shape.many or not _scalar(shape):
            raise ValidationError.of(kind.name, "order", name, "has no order")
        found.append((field, name.startswith("-")))
    return tuple(found)


def _scalar(shape: Shape) -> bool:
    return type(shape).__name__ not in ("One", "Pairs")


def place(query: Query, row: Entity) -> Key:
    """Return where a row stands in the query's order."""
    return (*(_ranked(query.kind.shapes[field], getattr(row, field)) for field, _ in query.order), row.key)


def _ranked(shape: Shape, value: Any) -> tuple[int, Any]:
    """Order nothing after everything, but an open start before it."""
    if value is None:
        return (0 if isinstance(shape, Day) and shape.unbounded == "start" else 2, 0)
    return (1, _ordinal(shape.key(value)))


def _ordinal(value: Any) -> Any:
    """Turn a comparable value into text or a whole number."""
    if isinstance(value, datetime):
        return (value - _EPOCH) // _MICROSECOND
    if isinstance(value, date):
        return value.toordinal()
    return value if isinstance(value, str) else int(value)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def cursor(query: Query, row: Entity) -> str:
    """Write down where a page ended, as opaque text; it holds nothing that the page did not show."""
    told = [query.kind.name, query.order, _fingerprint(query.where), place(query, row)]
    return base64.urlsafe_b64encode(json.dumps(told).encode()).decode()


def _fingerprint(where: tuple[tuple[str, Test], ...]) -> str:
    """Return what tells the conditions of one question from those of another."""
    told = sorted((f, t.op, sorted(map(repr, t.value)) if t.op == "one_of" else repr(t.value)) for f, t in where)
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


def resume(query: Query, text: object) -> Key:
    """Read a cursor; raise ValidationError where it is none, or of another question."""
    kind, order = query.kind, query.order
    short = text if isinstance(text, str) and len(text) <= 100_000 else ""  # noqa: PLR2004 - longer than any cursor
    try:
        name, asked, conditions_then, found = json.loads(base64.urlsafe_b64decode(short.encode("ascii")))
        *ranks, last = found
        same = name == kind.name and tuple((f, d) for f, d in asked) == order
        same = same and conditions_then == _fingerprint(query.where)
        sound = isinstance(last, str) and len(ranks) == len(order) and all(map(_sound_rank, ranks))
    except (ValueError, TypeError, RecursionError):
        same = sound = False
    if not (same and sound):
        raise ValidationError.of(kind.name, "after", text, "is no cursor of this question")
    place = [_sound_key(kind.shapes[field], rank) for (field, _), rank in zip(order, ranks, strict=True)]
    if None in place:
        raise ValidationError.of(kind.name, "after", text, "is no cursor of this question")
    return (*place, last)


def _sound_rank(rank: Any) -> bool:
    return isinstance(rank, list) and len(rank) == 2 and rank[0] in (0, 1, 2) and isinstance(rank[1], (str, int))  # noqa: PLR2004


def _sound_key(shape: Shape, rank: list[Any]) -> tuple[int, Any] | None:
    textual = isinstance(shape, Text) or type(shape).__name__ in ("Ident", "Refer", "Choice")
    wanted = str if textual and rank[0] == 1 else int
    if type(rank[1]) is not wanted or (rank[0] != 1 and rank[1] != 0):
        return None
    return (int(rank[0]), rank[1])


# ---- answering -------------------------------------------------------------------------------------------


def run(query: Query, rows: Rows) -> Iterator[Entity]:
    """Answer a query from rows: restricted, masked, filtered, ordered, cut."""
    found = list(_matching(query, rows))
    if query.text is not None:
        yield from islice(best(query, found), query.limit)
        return
    keyed = [(place(query, row), row) for row in found]
    if query.after is not None:
        keyed = [pair for pair in keyed if _later(pair[0], query.after, query.order)]
    keyed.sort(key=lambda pair: pair[0][-1])
    for position in range(len(query.order) - 1, -1, -1):
        keyed.sort(key=_by_position(position), reverse=query.order[position][1])
    yield from (row for _, row in islice(keyed, query.limit))


def total(query: Query, rows: Rows, by: Collection[str] = ()) -> Iterator[Total]:
    """Count the rows of a query by the values of some fields; without fields one total, also of nothing."""
    found = _matching(query, rows)
    yield from grouped(found if query.text is None else best(query, found), by)


def grouped(found: Iterable[Entity], by: Collection[str]) -> Iterator[Total]:
    """Count records by the values of some fields; without fields one total, also of nothing."""
    counts = Counter(tuple(getattr(row, field) for field in by) for row in found)
    if not by and not counts:
        counts[()] = 0
    for key, count in sorted(counts.items(), key=lambda item: tuple(map(str, item[0]))):
        yield Total(key, count)


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


def _matching(query: Query, rows: Rows) -> Iterator[Entity]:
    """Yield the rows the reader may read that meet every condition; a masked field counts as the nothing it shows."""
    kind, scope = query.kind, Scope(rows, query.reader)
    asked = [(field, _asks(kind.shapes[field], test)) for field, test in query.where if test.op not in _CLOSURES]
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
    own = _ordinal(shape.key(value))
    low, high = wanted if op == "between" else (wanted, None) if op == "at_least" else (None, wanted)
    above_low = low is None or _ordinal(shape.key(low)) <= own
    return above_low and (high is None or own <= _ordinal(shape.key(high)))


# ---- restriction -----------------------------------------------------------------------------------------


class Scope:
    """What one reader may see of some rows; made for one query and thrown away with it."""

    def __init__(self, rows: Rows, reader: access.Reader | None) -> None:
        """Start with nothing decided."""
        self._rows = rows
        self._reader = reader
        self._covering: dict[str, tuple[access.Claim, ...]] = {}
        self._readable: dict[tuple[str, str], bool] = {}

    def permits(self, kind: Kind, row: Entity, right: Right = Right.READ) -> bool:
        """Say whether the reader holds a right on a row, by what the row hangs on."""
        reader = self._reader
        if reader is None:
            return True
        if kind.reach == "free":
            return right is Right.READ or reader.steward
        if isinstance(row, Organisation):
            return access.holds(reader, row, self._claims_for(row), right)
        if isinstance(row, Contact):
            return self._permits_contact(reader, row, right)
        return self._permits_hanging(kind, row, right)

    def _permits_contact(self, reader: access.Reader, contact: Contact, right: Right) -> bool:
        """Decide on a contact by its positions: a current one carries `CHANGE` there, any of them `READ`.

        `ADMINISTER` is held at every organisation of a current position that can be read. Its own key account manager
        may change it. One that never held a position belongs to who entered it.
        """
        held = list(cast("Iterable[Position]", self._rows.by("Position", "contact_id", (contact.id,))))
        counting = {p.organisation_id for p in held if right is Right.READ or in_force(p, reader.today)}
        there = [id for id in counting if self.readable("Organisation", id)]
        enough = all if right is Right.ADMINISTER else any
        if there and enough(self.holds("Organisation", id, right) for id in there):
            return True
        if not held and not contact.formerly_held and (contact.created_by == reader.user.id or reader.steward):
            return True
        return right <= Right.CHANGE and self._manages(reader, contact)

    def _manages(self, reader: access.Reader, contact: Contact) -> bool:
        assigned = cast("Iterable[Assignment]", self._rows.by("Assignment", "contact_id", (contact.id,)))
        mine = {reader.user.id, *reader.acts_for}
        return any(a.user_id in mine and in_force(a, reader.today) for a in assigned)

    def _permits_hanging(self, kind: Kind, row: Entity, right: Right) -> bool:
        homes = [(link, id) for link in _home(kind) if (id := getattr(row, link.field)) is not None]
        if not homes and kind.else_any is not None:
            link = kind.link(kind.else_any)
            return link is not None and any(self.holds(link.kind, id, right) for id in getattr(row, kind.else_any))
        needs = [right, *[Right.READ] * (len(homes) - 1)]
        reached = all(self.holds(link.kind, id, need) for (link, id), need in zip(homes, needs, strict=True))
        about = getattr(row, "about", None)
        return bool(homes) and reached and (not isinstance(about, Reference) or self.readable(about.kind, about.id))

    def holds(self, kind: str, id: str, right: Right) -> bool:
        """Say whether the reader holds a right on the record with this id."""
        if right is Right.READ:
            return self.readable(kind, id)
        row = self._rows.get(kind, id)
        return row is not None and self.permits(KINDS[kind], row, right)

    def readable(self, kind: str, id: str) -> bool:
        """Say whether there is such a record that the reader may read."""
        known = self._readable.get((kind, id))
        if known is None:
            row = self._rows.get(kind, id) if kind in KINDS else None
            known = row is not None and self.permits(KINDS[kind], row)
            self._readable[kind, id] = known
        return known

    def masked(self, kind: Kind, row: Entity) -> Entity:
        """Return the row as the reader sees it: references to what they may not read are absent."""
        if self._reader is None:
            return row
        changes: dict[str, Any] = {}
        for link in kind.links:
            if KINDS[link.kind].reach == "free":
                continue
            value = getattr(row, link.field)
            if link.many:
                kept = tuple(id for id in value if self.readable(link.kind, id))
                if len(kept) < len(value):
                    changes[link.field] = kept
            elif value is not None and not self.readable(link.kind, value):
                changes[link.field] = None
        return evolved(row, changes)

    def _claims_for(self, organisation: Organisation) -> Iterator[access.Claim]:
        """Yield the claims on an organisation, then the covering one above; looked up only when they are reached."""
        yield from self._claims(organisation.id)
        yield from self._inherited(organisation)

    def _claims(self, organisation_id: str) -> Iterator[access.Claim]:
        for kind in ("Assignment", "Grant", "BreakGlass"):
            found = list(self._rows.by(kind, "organisation_id", (organisation_id,)))
            records = cast("list[Assignment | Grant | BreakGlass]", found)
            yield from access.claims(records, inactive=self._inactive(found))

    def _inactive(self, records: Iterable[Entity]) -> set[str]:
        """Return which users of some assignments are not active; asked only where a deputy's right depends on it."""
        if self._reader is None or not self._reader.policy.deputies_see_private:
            return set()
        users = [self._rows.get("User", record.user_id) for record in records if isinstance(record, Assignment)]
        return {user.id for user in users if isinstance(user, User) and not user.active}

    def _inherited(self, organisation: Organisation) -> tuple[access.Claim, ...]:
        """Return the strongest covering claim of the reader above an organisation, walking up without recursion."""
        path: list[str] = []
        above = organisation.parent_id
        while above is not None and above not in self._covering:
            self._covering[above] = ()  # a mark, so that damaged data with a cycle ends the walk
            path.append(above)
            parent = self._rows.get("Organisation", above)
            above = parent.parent_id if isinstance(parent, Organisation) else None
        best = self._covering.get(above, ()) if above is not None else ()
        for id in reversed(path):
            best = self._strongest((*best, *(claim for claim in self._claims(id) if claim.covers_subsidiaries)))
            self._covering[id] = best
        return self._covering.get(organisation.parent_id, ()) if organisation.parent_id is not None else ()

    def _strongest(self, claims: Iterable[access.Claim]) -> tuple[access.Claim, ...]:
        reader = self._reader
        if reader is None:
            return ()
        held = [(right, claim) for claim in claims if (right := access.right_of(reader, claim)) is not None]
        return (max(held, key=lambda pair: pair[0])[1],) if held else ()


def _home(kind: Kind) -> Iterator[Link]:
    for field in kind.home:
        if (link := kind.link(field)) is not None:
            yield link


# ---- rows in memory --------------------------------------------------------------------------------------


class Index:
    """Rows held in dictionaries, indexed by everything the evaluator looks up: the `Rows` of plain objects."""

    def __init__(self, rows: Iterable[Entity] = ()) -> None:
        """Take the first rows."""
        self._rows: dict[str, dict[str, Entity]] = defaultdict(dict)
        self._by: dict[tuple[str, str, Any], dict[str, None]] = defaultdict(dict)
        for row in rows:
            self.add(row)

    def add(self, row: Entity) -> None:
        """Take a row, in place of the one with its id."""
        kind = KINDS[type(row).__name__]
        self.discard(kind.name, row.key)
        self._rows[kind.name][row.key] = row
        for field, key in index_keys(kind, row):
            self._by[kind.name, field, key][row.key] = None

    def discard(self, kind: str, id: str) -> None:
        """Forget a row, if it is there."""
        row = self._rows[kind].pop(id, None)
        if row is None:
            return
        for field, key in index_keys(KINDS[kind], row):
            ids = self._by[kind, field, key]
            ids.pop(id, None)
            if not ids:
                del self._by[kind, field, key]

    def get(self, kind: str, id: str) -> Entity | None:
        """Return one row or None."""
        return self._rows[kind].get(id)

    def all(self, kind: str) -> Iterable[Entity]:
        """Return all rows of a kind."""
        return self._rows[kind].values()

    def by(self, kind: str, field: str, keys: Iterable[Any]) -> Iterable[Entity]:
        """Return the rows under any of the keys, each once."""
        found: dict[str, None] = {}
        for key in keys:
            found |= self._by.get((kind, field, key), {})
        rows = self._rows[kind]
        return [rows[id] for id in found]


def index_keys(kind: Kind, row: Entity) -> Iterator[tuple[str, Any]]:
    """Yield what a row is indexed under: its references, external references and phone numbers."""
    for link in kind.links:
        value = getattr(row, link.field)
        if link.many:
            yield from ((link.field, id) for id in value)
        elif value is not None:
            yield link.field, value
    for pair in kind.shapes["refs"].keys(row.refs):
        yield "refs", pair
    numbers = kind.shapes.get("phones")
    if isinstance(numbers, Many) and isinstance(numbers.item, PhoneNumber):
        for text in row.phones:  # type: ignore[attr-defined]
            yield from (("phones", key) for key in phones.keys(text))
