"""Checks of what a trusted desk reads: round trips, conditions, orders, pages, totals, searches."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from random import Random
from typing import Any

import attrs

from keyaccount import phones
from keyaccount.catalogue import KINDS, Kind
from keyaccount.errors import ValidationError
from keyaccount.model.activities import Activity
from keyaccount.model.contacts import Contact, Position
from keyaccount.model.entity import Entity, evolved
from keyaccount.model.organisations import Organisation
from keyaccount.model.organogram import Unit
from keyaccount.queries import (
    Test,
    Total,
    Totals,
    Window,
    above,
    at_least,
    at_most,
    below,
    between,
    dialled,
    groups,
    is_none,
    one_of,
    place,
    run,
)
from keyaccount.shapes import Day, Many, Moment, One, Pairs, PhoneNumber
from keyaccount.storage import Change, Storage
from keyaccount.testing.bench import (
    Bench,
    Make,
    after,
    change,
    create,
    filled,
    fresh,
    query,
    removal,
    same_record,
    same_rows,
    same_totals,
    told,
    where,
    write,
)
from keyaccount.testing.records import (
    NOW,
    TODAY,
    bases,
    every_value,
    field_samples,
    large,
    numbered,
    samples,
    some,
    stored_fields,
)
from keyaccount.testing.worlds import world
from keyaccount.values import FrozenMap

_DEEP = 1_500
_MANY_QUESTIONS = 700
_ROWS, _ODD_ROWS, _PAGED_ROWS, _PAGE, _OPERANDS = 24, 36, 14, 3, 8
_NUMBERS = ("+49 89 12345", "089 1234567", "0171 555 7788", "+1 800 356 9377", "112", "anonymous", "")


def checks() -> Iterator[tuple[str, Any]]:
    """Yield the checks by name."""
    for kind in KINDS.values():
        yield f"round trip: {kind.name}", partial(_round_trip, kind=kind)
    for kind in KINDS.values():
        yield f"conditions: {kind.name}", partial(_conditions, kind=kind)
    for kind in KINDS.values():
        yield f"order: {kind.name}", partial(_order, kind=kind)
    for kind in KINDS.values():
        yield f"pages: {kind.name}", partial(_pages, kind=kind)
    for kind in KINDS.values():
        yield f"totals: {kind.name}", partial(_totals, kind=kind)
    for kind in KINDS.values():
        yield f"totals in windows: {kind.name}", partial(_windows, kind=kind)
    yield from {
        "round trip: large extras": _large,
        "round trip: versions": _versions,
        "conditions: several at once": _several_conditions,
        "conditions: open ends": _open_ends,
        "order: moments": _moments,
        "conditions: extra values that are nearly equal": _nearly_equal,
        "ids: byte by byte": _ids,
        "limits": _limits,
        "closures": _closures,
        "closures: deep": _deep_closures,
        "phone keys": _dialled,
        "lookup keys follow their record": _keys_follow,
        "search": _search,
        "search: totals": _search_totals,
        "search: totals by field": partial(_search_totals, by="private"),
        "totals: derived fields": _derived_totals,
        "totals: what has no order is refused": _refused_totals,
        "totals: in the order of their keys": _total_order,
        "totals: an end belongs to the next window": _half_open,
        "totals: sums of any size": _large_sums,
        "gather": _gather,
        "latest: of what rows share": _latest,
    }.items()


def _latest(make: Make) -> None:
    """Of the rows that share a reference those with the latest day or moment answer, and all of them where they tie."""
    rows: list[Entity] = [
        Activity(f"y{n}", account, contact_ids=("c",), at=moment, follow_up_on=day, connected=n % 3 > 0)
        for n, (account, moment, day) in enumerate(
            (account, moment, day)
            for account in ("o1", "o2", None)
            for moment in (NOW, NOW - timedelta(days=1), None)
            for day in (TODAY, None)
        )
    ]
    with filled(make, rows) as bench:
        for latest in (("organisation_id", "at"), ("organisation_id", "follow_up_on"), ("id", "at")):
            for given in ({}, {"connected": True}, {"at": at_most(NOW - timedelta(days=1))}, {"organisation_id": "o1"}):
                asked = attrs.evolve(query(Activity, **given), latest=latest)
                bench.finds(asked)
                bench.finds(attrs.evolve(asked, order=(("at", True),), limit=2))
                bench.totals(asked, ("organisation_id",))
                bench.gathers([asked, query(Activity), asked])


# ---- round trips -------------------------------------------------------------------------------------------------


def _round_trip(make: Make, kind: Kind) -> None:
    """What is written comes back exactly: every field with every odd value, empty and full."""
    with fresh(make) as storage:
        rows = every_value(kind)
        write(storage, create(rows))
        _same_whole(storage, rows, kind)


def _same_whole(storage: Storage, rows: Any, kind: Kind) -> None:
    with storage.unit(write=False) as work:
        found = {row.key: row for row in work.find(query(kind))}
        assert len(found) == len(rows), f"{len(found)} records of {kind.name} came back, of {len(rows)}"
        for row in rows:
            same_record(found.get(row.key), row, f"{kind.name} read back")


def _large(make: Make) -> None:
    """As much as is allowed in `extra` comes back exactly."""
    for name in ("Organisation", "Activity"):
        with fresh(make) as storage:
            rows = [large(KINDS[name])]
            write(storage, create(rows))
            _same_whole(storage, rows, KINDS[name])


def _versions(make: Make) -> None:
    """A record that was changed comes back as it was written last, with its version."""
    for kind in KINDS.values():
        with fresh(make) as storage:
            first = numbered(kind, bases(kind)[:6])
            write(storage, create(first))
            later = [change(row, refs=FrozenMap({"n": str(n)})) for n, row in enumerate(first[:4])]
            write(storage, later)
            last = [change(one.after, extra=FrozenMap({"n": 2})) for one in later[:2] if one.after is not None]
            write(storage, last)
            rows = [one.after for one in (*last, *later[2:])] + first[4:]
            _same_whole(storage, rows, kind)


# ---- conditions --------------------------------------------------------------------------------------------------


def _conditions(make: Make, kind: Kind) -> None:
    """Every kind of condition on every field finds what the evaluator finds."""
    rows = _typical(kind)
    with filled(make, rows) as bench:
        for field in kind.shapes:
            for test in _tests(kind, field):
                bench.finds(where(kind, {field: test}))


def _typical(kind: Kind) -> list[Entity]:
    """Return records that recur in their values, and some of every odd value."""
    odd = every_value(kind)
    return numbered(kind, [*some(kind, _ROWS), *odd[:: max(1, len(odd) // _ODD_ROWS)]])


def _tests(kind: Kind, field: str) -> Iterator[Test]:
    """Yield the conditions worth asking of a field: each operation with each operand that it takes."""
    shape = kind.shapes[field]
    if isinstance(shape, Many) and not shape.sought:
        return
    item = shape.item if isinstance(shape, Many) else shape
    given = field_samples(kind, field) if not isinstance(shape, Many) else samples(item)
    if field == "id":
        given = tuple(row.key for row in _typical(kind))
    values = [value for value in given if shape.operand(value) is None]
    thin = values[:: max(1, len(values) // _OPERANDS)]
    yield is_none
    yield one_of(())
    yield one_of(thin[:3] * 2)
    yield one_of(values)
    yield from (Test("is", value) for value in thin)
    if shape.many or isinstance(shape, (One, Pairs)):
        return
    yield from (asks(value) for value in thin for asks in (at_least, at_most))
    yield from (between(low, high) for low, high in zip(thin, thin[2:], strict=False))
    yield from (between(value, value) for value in thin[:2])


def _several_conditions(make: Make) -> None:
    """All conditions must hold at once."""
    random = Random(3)  # noqa: S311 - the same questions each time
    for kind in KINDS.values():
        tests = [(field, test) for field in kind.shapes for test in _tests(kind, field)]
        with filled(make, _typical(kind)) as bench:
            for _ in range(15):
                bench.finds(where(kind, dict(random.sample(tests, 2))))


def _open_ends(make: Make) -> None:
    """No end is later than any day, and no start earlier: an open end has not expired."""
    for kind in (kind for kind in KINDS.values() if kind.dated):
        rows = numbered(
            kind,
            [
                evolved(bases(kind)[0], {"valid_from": None, "valid_until": None}),
                *(evolved(bases(kind)[0], {"valid_from": None, "valid_until": day}) for day in _days(kind)),
                *(evolved(bases(kind)[0], {"valid_from": day, "valid_until": None}) for day in _days(kind)),
            ],
        )
        with filled(make, rows) as bench:
            for day in _days(kind):
                bench.finds(query(kind, valid_from=at_most(day), valid_until=at_least(day)))
                bench.finds(query(kind, valid_until=at_most(day)))
                bench.finds(query(kind, valid_from=at_least(day)))


def _days(kind: Kind) -> list[Any]:
    return [day for day in samples(kind.shapes["valid_until"]) if day is not None]


def _nearly_equal(make: Make) -> None:
    """In `extra`, 1 is neither True nor 1.0 nor "1", however deep it lies, and 0.0 is not -0.0."""
    ones = (1, True, 1.0, "1", 0, False, 0.0, -0.0, "", None)
    values = [*ones, *((one,) for one in ones), *(FrozenMap({"x": one}) for one in ones)]
    rows = numbered(KINDS["Unit"], [Unit(name="U", extra=FrozenMap({"k": value})) for value in values])
    with filled(make, rows) as bench:
        for value in values:
            bench.finds(query(Unit, extra={"k": value}))


def _ids(make: Make) -> None:
    """Ids are different where one byte is: case, accents composed or not, blanks, what a database may fold."""
    for kind in KINDS.values():
        rows = numbered(kind, [bases(kind)[0]] * 40)
        with fresh(make) as storage:
            write(storage, create(rows))
            changed = change(rows[0], extra=FrozenMap({"changed": True}))
            write(storage, [changed, removal(rows[1])])
            kept = [after(changed), *rows[2:]]
            for row in kept:
                with storage.unit(write=False) as work:
                    same_rows(list(work.find(query(kind, id=row.key))), [row], f"{kind.name} {row.key!a}")
            with storage.unit(write=False) as work:
                assert not list(work.find(query(kind, id=rows[1].key))), f"{rows[1].key!a} was removed"
                there = [row.key for row in work.find(query(kind, order="id"))]
                assert there == sorted(row.key for row in kept), f"ids of {kind.name} are ordered {there}"


# ---- order, pages, limits ----------------------------------------------------------------------------------------


def _ordered_fields(kind: Kind) -> list[str]:
    return [field for field, shape in kind.shapes.items() if not shape.many and not isinstance(shape, (One, Pairs))]


def _order(make: Make, kind: Kind) -> None:
    """Every scalar field orders, up and down, alone and before another; ties go by id, and nothing has its place."""
    random = Random(4)  # noqa: S311 - the same questions each time
    fields = _ordered_fields(kind)
    with filled(make, _typical(kind)) as bench:
        for field in fields:
            for sign in ("", "-"):
                bench.finds(query(kind, sign + field))
        for _ in range(20):
            several = random.choices(fields, k=random.choice((2, 3)))
            bench.finds(query(kind, tuple(random.choice(("", "-")) + field for field in several)))


def _moments(make: Make) -> None:
    """Moments are ordered, paged and compared to the microsecond, before 1970 and in 9999 too."""
    tick, first, last = timedelta(microseconds=1), datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 29, tzinfo=UTC)
    moments = [*(start + n * tick for start in (first, last, NOW) for n in (-2, -1, 0, 1)), first - 1_500_000 * tick]
    rows = [Activity(f"y{n:02}", "o", at=at, version=1) for n, at in enumerate(moments)]
    expected = sorted(rows, key=lambda row: row.at or NOW)
    with fresh(make) as storage:
        write(storage, create(rows))
        with storage.unit(write=False) as work:
            whole = query(Activity, "at")
            same_rows(list(work.find(whole)), expected, told(whole))
            for number, row in enumerate(expected):
                behind = attrs.evolve(whole, after=place(whole, row))
                same_rows(list(work.find(behind)), expected[number + 1 :], told(behind))
                until = query(Activity, "at", at=at_most(row.at))
                same_rows(list(work.find(until)), expected[: number + 1], told(until))


def _pages(make: Make, kind: Kind) -> None:
    """From the place of any row, one that is gone by now too, an answer goes on behind it."""
    rows = some(kind, _PAGED_ROWS)
    gone, *there = rows
    with filled(make, there) as bench:
        for field in _ordered_fields(kind):
            for sign in ("", "-"):
                whole = query(kind, (sign + field,))
                for number, row in enumerate([gone, *there]):
                    bench.finds(attrs.evolve(whole, after=place(whole, row), limit=_PAGE if number % 2 else None))
        mixed = query(kind, _mixed(kind))
        for row in rows:
            bench.finds(attrs.evolve(mixed, after=place(mixed, row)))


def _mixed(kind: Kind) -> tuple[str, ...]:
    return tuple(sign + field for sign, field in zip(("-", "", "-"), _ordered_fields(kind)[1:], strict=False))


def _limits(make: Make) -> None:
    """A limit cuts what was ordered: none, one, all but one, all, more."""
    for kind in (KINDS["Organisation"], KINDS["Activity"], KINDS["Context"]):
        rows = some(kind, 9)
        with filled(make, rows) as bench:
            for limit in (0, 1, 8, 9, 10, None):
                bench.finds(query(kind, limit=limit))
                bench.finds(query(kind, f"-{kind.title}", limit=limit))


# ---- closures, phone numbers -------------------------------------------------------------------------------------


def _closures(make: Make) -> None:
    """Above and below walk the forest from any records, themselves included, alone and with conditions."""
    records = world("an open book", 1).records
    with filled(make, records) as bench:
        for kind in (kind for kind in KINDS.values() if kind.up):
            ids = [row.key for row in bench.index.all(kind.name)]
            starts = [(), ("nowhere",), *((id,) for id in ids), (*ids[:2], "nowhere"), tuple(ids[::-1])]
            for closure in (above, below):
                for start in starts:
                    bench.finds(query(kind, id=closure(start)))
                    bench.finds(query(kind, f"-{kind.title}", id=closure(start), limit=2))
                bench.finds(query(kind, id=closure(ids[:1]), **{kind.up or "": is_none}))


def _deep_closures(make: Make) -> None:
    """A chain that is deeper than any stack is walked up and down."""
    rows = [Unit(f"u{n:05}", name="U", parent_id=f"u{n - 1:05}" if n else None) for n in range(_DEEP)]
    with filled(make, rows) as bench:
        for start in ("u00000", f"u{_DEEP - 1:05}", f"u{_DEEP // 2:05}"):
            bench.finds(query(Unit, id=above((start,))))
            bench.finds(query(Unit, id=below((start,))))


def _dialled(make: Make) -> None:
    """Records are found under the lookup keys of their phone numbers."""
    for kind in (kind for kind in KINDS.values() if _dials(kind)):
        with filled(make, _typical(kind)) as bench:
            for number in (*_NUMBERS, *samples(PhoneNumber())):
                for region in ("DE", None):
                    bench.finds(query(kind, phones=dialled(phones.asked(number or "", region).keys)))
            bench.finds(query(kind, "-id", phones=dialled(phones.asked(_NUMBERS[0], "DE").keys), limit=1))


def _dials(kind: Kind) -> bool:
    numbers = kind.shapes.get("phones")
    return isinstance(numbers, Many) and isinstance(numbers.item, PhoneNumber)


def _keys_follow(make: Make) -> None:
    """What a record is found under goes with it: after a change, a removal, and another record of its id."""
    old, new = ("+49 89 1111111", "+49 89 2222222")
    first = Organisation("a", name="A", phones=(old,), emails=("old@x.test",), refs=FrozenMap({"erp": "1"}))
    fields = {"phones": (new,), "emails": ("new@x.test",), "refs": FrozenMap({"erp": "2"}), "name": "B"}
    with fresh(make) as storage:
        write(storage, create([first]))
        changed = change(attrs.evolve(first, version=1), **fields)
        write(storage, [changed])
        _found_under(storage, changed.after, old, new)
        write(storage, [removal(after(changed))])
        _found_under(storage, None, old, new)
        again = evolved(first, {**fields, "version": 1})
        write(storage, create([again]))
        _found_under(storage, again, old, new)


def _found_under(storage: Storage, row: Entity | None, old: str, new: str) -> None:
    with storage.unit(write=False) as work:
        asked = {number: phones.asked(number, "DE").keys for number in (old, new)}
        for stale in (
            query(Organisation, phones=dialled(asked[old])),
            query(Organisation, refs={"erp": "1"}),
            query(Organisation, emails="old@x.test"),
            query(Organisation, name="A"),
            query(Organisation, text="old@x"),
        ):
            same_rows(list(work.find(stale)), [], f"what a record was found under before: {told(stale)}")
        for now in (
            query(Organisation, phones=dialled(asked[new])),
            query(Organisation, refs={"erp": "2"}),
            query(Organisation, emails="NEW@x.test"),
            query(Organisation, name="b"),
            query(Organisation, text="new@x"),
        ):
            same_rows(list(work.find(now)), [row] if row is not None else [], told(now))


# ---- search, totals, gather --------------------------------------------------------------------------------------


_NEEDLES = (
    *(
        "",
        " ",
        "a",
        "A",
        "STRASSE",
        "stra\u00dfe",
        "\u00e9",
        "e\u0301",
        "%",
        "_",
        "100%",
        "\\",
        "'",
        '"',
        "ss",
        "acme",
        "be",
    ),
    *(
        "089",
        "12",
        "123",
        "1234-0",
        "555 77",
        "ada@",
        "@acme",
        "x'); DROP",
        "\U0001f600",
        "c1",
        "padded",
        "\u0663",
        "b\nl",
    ),
)


def _searched() -> Iterator[tuple[Kind, list[Entity]]]:
    for kind in KINDS.values():
        if kind.searched:
            rows = [row for row in world("an open book", 2).records if type(row) is kind.cls]
            yield kind, numbered(kind, [*rows, *_typical(kind)])


def _search(make: Make) -> None:
    """A search finds and ranks as the evaluator does, wildcards and all, with conditions and limits."""
    for kind, rows in _searched():
        with filled(make, rows) as bench:
            for needle in _NEEDLES:
                bench.finds(query(kind, text=needle))
                bench.finds(query(kind, text=needle, limit=2))
                bench.finds(query(kind, text=needle, limit=0))
                bench.finds(query(kind, text=needle, id=one_of([row.key for row in rows[::2]])))


def _search_totals(make: Make, by: str = "") -> None:
    """The count of a search is the number of records that it finds."""
    rows = [row for row in world("an open book", 2).records if isinstance(row, Organisation)]
    with filled(make, rows) as bench:
        for needle in ("acme", "be", "zz"):
            asked = query(Organisation, text=needle)
            found = list(run(asked, bench.index))
            groups = sorted({getattr(row, by) for row in found}) if by else [None]
            expected = {(g,) if by else (): sum(not by or getattr(row, by) == g for row in found) for g in groups}
            counted = {one.key: one.count for one in bench.work.totals(asked, Totals((by,) if by else ()))}
            assert counted == expected, f"{told(asked)}, counted by {by or 'nothing'}: {counted} instead of {expected}"


def _totals(make: Make, kind: Kind) -> None:
    """Counts by nothing, by each field and by two of them are the evaluator's, of everything and of nothing."""
    fields = [field for field in stored_fields(kind) if groups(kind.shapes[field])]
    with fresh(make) as storage, storage.unit(write=False) as work:
        same_totals(list(work.totals(query(kind))), [Total((), 0, (0,), ((),))], f"{kind.name} in an empty storage")
        same_totals(list(work.totals(query(kind), Totals(("id",)))), [], f"{kind.name} in an empty storage, by id")
    with filled(make, _typical(kind)) as bench:
        for by in ((), *((field,) for field in fields), *pairwise(fields)):
            bench.totals(query(kind), by)
        for field in ("id", *fields[:4]):
            for test in list(_tests(kind, field))[:6]:
                bench.totals(where(kind, {field: test}))
                bench.totals(where(kind, {field: test}), fields[:1])
        paged = query(kind, "id", limit=1)
        bench.totals(attrs.evolve(paged, after=place(paged, _typical(kind)[0])))
        ends = [field for field in kind.shapes if groups(kind.shapes[field]) and not kind.shapes[field].many]
        for by in ((), *((field,) for field in fields[:4])):
            bench.totals(query(kind), by, extremes=ends)
        bench.totals(where(kind, {"id": one_of(())}), extremes=ends, sums=("version",))


def _windows(make: Make, kind: Kind) -> None:
    """In windows of every field of days or moments, counts and sums are the evaluator's: adjacent, open, empty ones."""
    by = next((field for field in stored_fields(kind) if groups(kind.shapes[field])), "id")
    with filled(make, _typical(kind)) as bench:
        for field, shape in kind.shapes.items():
            if not isinstance(shape, (Day, Moment)):
                continue
            days = sorted({day for day in samples(shape) if day is not None})
            borders = [None, *days, None]
            windows = [Window(field, *pair) for pair in pairwise(borders)]
            windows += [Window(field), Window(field, days[1], days[-1]), Window(field, days[2], days[2])]
            windows += [Window(field, days[3], days[1]), Window(field, end=days[2]), Window(field, days[2])]
            for groups_by in ((), (by,)):
                bench.totals(query(kind), groups_by, windows)
                bench.totals(query(kind), groups_by, windows[1:3], sums=("version",), extremes=(field,))
            bench.totals(query(kind, **{field: at_least(days[2])}), (), windows)
            if kind.searched:
                bench.totals(query(kind, text="a"), (), windows, sums=("version",), extremes=(field,))


def _half_open(make: Make) -> None:
    """What lies on the border of two windows is in the second alone, to the day and to the microsecond."""
    tick = timedelta(microseconds=1)
    at = [Activity(f"y{n}", "o", at=NOW + n * tick, follow_up_on=TODAY + timedelta(days=n)) for n in (-1, 0, 1)]
    asked = (
        Window("at", end=NOW),
        Window("at", NOW),
        Window("at", NOW, NOW + tick),
        Window("follow_up_on", end=TODAY),
        Window("follow_up_on", TODAY, TODAY),
        Window("follow_up_on", TODAY, TODAY + timedelta(days=1)),
    )
    with filled(make, at) as bench:
        (found,) = bench.totals(query(Activity), (), asked)
        assert found.counts == (1, 2, 1, 1, 0, 1), "the evaluator is wrong about windows"


def _large_sums(make: Make) -> None:
    """Sums are exact far beyond what a machine's word holds."""
    numbers = [(1 << 62) - 1 - 3**n for n in range(9)] + [1, 2, (1 << 53) + 1]
    rows = [Unit(f"u{n}", name="large" if number > 2 else "small", version=number) for n, number in enumerate(numbers)]
    with fresh(make) as storage:
        write(storage, [Change("Unit", row.key, None, row) for row in rows])
        with storage.unit(write=False) as work:
            for one in work.totals(query(Unit), Totals(("name",), sums=("version",))):
                expected = sum(numbers[:9]) + (1 << 53) + 1 if one.key == ("large",) else 3
                assert one.sums == ((expected,),), f"versions of {one.key[0]} units sum to {one.sums}, not {expected}"
            (whole,) = work.totals(query(Unit), Totals((), (), ("version",), ("version",), ("version",)))
            expected = sum(numbers)
            assert whole.sums == ((expected,),), f"all versions sum to {whole.sums} instead of {expected}"
            assert (whole.lows, whole.highs) == ((1,), (max(numbers),)), f"extremes are {whole.lows}, {whole.highs}"


def _total_order(make: Make) -> None:
    """Totals come by their keys: text by its characters, days by time, nothing last, also where it is an open start."""
    titles = ("", "A", "B", "a", "\u00e9", "\uffee", "\U0001f600", None)
    days = (TODAY - timedelta(days=300), TODAY, TODAY + timedelta(days=1), None)
    rows: list[Entity] = [
        Position(f"p{n}", contact_id=f"c{n % 3}", organisation_id="o", title=title, valid_from=day, vip=n % 2 == 0)
        for n, (title, day) in enumerate((title, day) for title in reversed(titles) for day in reversed(days))
    ]
    with filled(make, rows) as bench:
        for by, expected in (
            (("title",), [(title,) for title in titles]),
            (("valid_from",), [(day,) for day in days]),
            (("title", "valid_from"), [(title, day) for title in titles for day in days]),
            (("vip",), [(False,), (True,)]),
            (("contact_id",), [("c0",), ("c1",), ("c2",)]),
        ):
            keys = [one.key for one in bench.work.totals(query(Position), Totals(by))]
            assert keys == expected, f"totals by {', '.join(by)} come in the order {keys}"


def _refused_totals(make: Make) -> None:
    """Fields that have no order group nothing, and only what can be added up exactly is."""
    with filled(make, [Unit("u", name="U")]) as bench:
        for kind in KINDS.values():
            odd = [field for field, shape in kind.shapes.items() if not groups(shape)]
            many = [field for field, shape in kind.shapes.items() if shape.many]
            texts = [field for field, shape in kind.shapes.items() if not shape.adds_up]
            for field in ("no field", *odd):
                _is_refused(bench, kind, by=(field,))
            for field in ("no field", *odd, *many):
                _is_refused(bench, kind, lows=(field,))
                _is_refused(bench, kind, highs=(field,))
            for field in ("no field", *texts):
                _is_refused(bench, kind, sums=(field,))
            for field in ("no field", "id", "version"):
                _is_refused(bench, kind, windows=(Window(field),))
            dated = [field for field, shape in kind.shapes.items() if isinstance(shape, (Day, Moment))]
            for field in dated:
                wrong: Any = NOW if isinstance(kind.shapes[field], Day) else TODAY
                _is_refused(bench, kind, windows=(Window(field, wrong),))
                _is_refused(bench, kind, windows=(Window(field, None, wrong),))


def _is_refused(bench: Bench, kind: Kind, **asked: Any) -> None:
    try:
        found = list(bench.work.totals(query(kind), Totals(**asked)))
    except ValidationError:
        return
    raise AssertionError(f"totals of {kind.name} with {asked} are {found[:1]} instead of a refusal")


def _derived_totals(make: Make) -> None:
    """Counts by what is derived are the evaluator's."""
    for kind in (kind for kind in KINDS.values() if kind.derived):
        with filled(make, _typical(kind)) as bench:
            for field, _ in kind.derived:
                bench.totals(query(kind), (field,))


def _gather(make: Make) -> None:
    """Many questions at once are answered as each of them alone, in their order."""
    with filled(make, world("an open book", 3).records) as bench:
        bench.gathers([])
        asked = [
            *(query(kind, "-id", limit=limit) for kind in KINDS.values() for limit in (None, 0, 1)),
            query(Organisation, text="acme", limit=2),
            query(Position, contact_id=one_of(["c1", "c2"])),
            query(Contact, phones=dialled(phones.asked("0171 5557788", "DE").keys)),
            query(Organisation, id=above(["o5"])),
        ]
        bench.gathers([*asked, *asked[:3]])
        bench.gathers([query(kind, f"-{kind.title}") for kind in KINDS.values()])
        bench.gathers([query(Organisation, id=f"o{n % 9}") for n in range(_MANY_QUESTIONS)])
        for one in asked:
            bench.finds(one)
