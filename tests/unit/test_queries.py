"""The evaluator's laws: pages, counts, orders and conditions, against plain Python over the same records."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import keyaccount as ka
from keyaccount.catalogue import kind_of
from keyaccount.queries import Index, Query, Totals, conditions, ordering, place, run, total

DAY = date(2026, 11, 21)
days = st.none() | st.integers(-3, 3).map(lambda n: DAY + timedelta(days=n))
words = st.sampled_from(["a", "A", "b", "Straße", "STRASSE", "é", "e\u0301", "z", "\U0001f600", "\uffee"])
moments = st.none() | st.integers(-4, 4).map(lambda n: datetime(1970, 1, 1, tzinfo=UTC) + n * timedelta(seconds=0.25))


@st.composite
def positions(draw: st.DrawFn) -> list[ka.Position]:
    """Draw positions with few different values, so that many tie; their order is not that of their ids."""
    ids = draw(st.lists(st.sampled_from("abcdefghijklmnop"), unique=True, max_size=12))
    return [
        ka.Position(
            id,
            contact_id=draw(st.sampled_from("xyz")),
            organisation_id=draw(st.sampled_from(["acme", "globex"])),
            title=draw(st.none() | words),
            main=draw(st.booleans()),
            valid_from=(span := sorted(draw(st.tuples(days, days)), key=lambda d: d or DAY))[0],
            valid_until=span[1],
        )
        for id in ids
    ]


def asked(cls: type[Any], order: Any = None, **where: Any) -> Query:
    """Make the question of a trusted desk."""
    kind = kind_of(cls)
    return Query(kind, conditions(kind, where), order=ordering(kind, order))


def ids(query: Query, rows: list[Any]) -> list[str]:
    """Answer with the ids alone."""
    return [row.key for row in run(query, Index(rows))]


FIELDS: dict[str, Callable[[Any], Any]] = {
    # What each field sorts by: an open start before every day, an open end after every day.
    "valid_from": lambda p: date.min if p.valid_from is None else p.valid_from,
    "valid_until": lambda p: date.max if p.valid_until is None else p.valid_until,
    "main": lambda p: p.main,
    "contact_id": lambda p: p.contact_id,
    "id": lambda p: p.id,
}
orders = st.lists(st.tuples(st.sampled_from(sorted(FIELDS)), st.booleans()), max_size=3, unique_by=lambda pair: pair[0])


def written(order: list[tuple[str, bool]]) -> tuple[str, ...]:
    """Write an order as a user does."""
    return tuple(f"-{name}" if descending else name for name, descending in order)


@given(rows=positions(), order=orders)
def test_order_is_pythons(rows: list[ka.Position], order: list[tuple[str, bool]]) -> None:
    """Rows come in the order of the fields, descending where asked, with ties by id, however they were put in."""
    expected = sorted(rows, key=lambda row: row.id)
    for name, descending in reversed(order):
        expected.sort(key=FIELDS[name], reverse=descending)
    assert ids(asked(ka.Position, written(order)), rows) == [row.id for row in expected]
    assert ids(asked(ka.Position, written(order)), rows[::-1]) == [row.id for row in expected]


any_order = st.lists(
    st.sampled_from([sign + name for name in (*FIELDS, "title") for sign in ("", "-")]),
    max_size=3,
)  # fmt: skip


@given(rows=positions(), order=any_order, size=st.integers(1, 5))
def test_pages_make_up_the_whole(rows: list[ka.Position], order: list[str], size: int) -> None:
    """Going on by key from the last row of each page gives every row once, in the order of the whole."""
    query = asked(ka.Position, tuple(order))
    whole, found, after = ids(query, rows), [], None
    for _ in range(len(rows) + 1):
        page = list(run(attrs.evolve(query, limit=size, after=after), Index(rows)))
        if not page:
            break
        assert len(page) <= size
        found += [row.key for row in page]
        after = place(query, page[-1])
    assert found == whole
    assert sorted(found) == sorted(row.id for row in rows)


@given(rows=positions(), order=any_order, size=st.integers(0, 5))
def test_limit_cuts_the_whole(rows: list[ka.Position], order: list[str], size: int) -> None:
    """A limit gives the first rows of the whole."""
    query = asked(ka.Position, tuple(order))
    assert ids(attrs.evolve(query, limit=size), rows) == ids(query, rows)[:size]


@given(rows=positions(), day=st.integers(-4, 4).map(lambda n: DAY + timedelta(days=n)))
def test_open_ends_are_unbounded(rows: list[ka.Position], day: date) -> None:
    """No end is later than any day, no start earlier: the two conditions together are "in force on that day"."""
    tests: dict[str, tuple[Any, Callable[[ka.Position], bool]]] = {
        "ends at least": ({"valid_until": ka.at_least(day)}, lambda p: p.valid_until is None or p.valid_until >= day),
        "ends at most": (
            {"valid_until": ka.at_most(day)},
            lambda p: p.valid_until is not None and p.valid_until <= day,
        ),
        "starts at most": ({"valid_from": ka.at_most(day)}, lambda p: p.valid_from is None or p.valid_from <= day),
        "starts at least": (
            {"valid_from": ka.at_least(day)},
            lambda p: p.valid_from is not None and p.valid_from >= day,
        ),
        "in force": (
            {"valid_from": ka.at_most(day), "valid_until": ka.at_least(day)},
            lambda p: (p.valid_from or date.min) <= day <= (p.valid_until or date.max),
        ),
        "between": (
            {"valid_until": ka.between(day, day + timedelta(days=2))},
            lambda p: p.valid_until is not None and day <= p.valid_until <= day + timedelta(days=2),
        ),
        "open": ({"valid_until": ka.is_none}, lambda p: p.valid_until is None),
        "on the day": ({"valid_from": day}, lambda p: p.valid_from == day),
    }
    for name, (where, holds) in tests.items():
        assert set(ids(asked(ka.Position, **where), rows)) == {p.id for p in rows if holds(p)}, name


@given(rows=positions(), wanted=st.lists(st.sampled_from("wxyz"), max_size=3), main=st.booleans())
def test_conditions_on_values(rows: list[ka.Position], wanted: list[str], *, main: bool) -> None:
    """Equality, one of several, and nothing: all conditions must hold; one of none is none."""
    found = ids(asked(ka.Position, contact_id=ka.one_of(wanted), main=main), rows)
    assert found == sorted(p.id for p in rows if p.contact_id in wanted and p.main is main)
    assert ids(asked(ka.Position, title=None), rows) == sorted(p.id for p in rows if p.title is None)
    several = [p.id for p in rows[:3]] * 2 + ["not there"]
    assert ids(asked(ka.Position, id=ka.one_of(several)), rows) == sorted({p.id for p in rows[:3]})


@given(rows=positions())
def test_count_is_length(rows: list[ka.Position]) -> None:
    """A total counts the rows found, by field too; without rows it is one zero."""
    for where in ({}, {"main": True}, {"contact_id": "x"}, {"organisation_id": ka.one_of([])}):
        query = asked(ka.Position, **where)
        found = [row for row in run(query, Index(rows)) if isinstance(row, ka.Position)]
        assert [(t.key, t.count) for t in total(query, Index(rows))] == [((), len(found))]
        by = Counter((row.contact_id, row.main) for row in found)
        assert {t.key: t.count for t in total(query, Index(rows), Totals(("contact_id", "main")))} == by


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("STRASSE 1", ["a", "b"]),
        ("straße 1", ["a", "b"]),
        ("café", ["c", "d"]),
        ("CAFE\u0301", ["c", "d"]),
        ("cafe", []),
        ("strasse", []),
        ("str%", []),
        ("STR.*", []),
    ],
)
def test_names_compare_folded(name: str, found: list[str]) -> None:
    """A name is found by any case and composition of its letters, and is no pattern."""
    rows = [
        ka.Organisation(id, name=n)
        for id, n in zip("abcd", ("Straße 1", "STRASSE 1", "Café", "CAFE\u0301"), strict=True)
    ]
    assert ids(asked(ka.Organisation, name=name), rows) == found


def test_ids_compare_byte_by_byte() -> None:
    """Ids that differ in case or composition are different records."""
    rows = [ka.Organisation(id, name="x") for id in ("acme", "ACME", "caf\u00e9", "cafe\u0301")]
    for row in rows:
        assert ids(asked(ka.Organisation, id=row.id), rows) == [row.id]
    children = [ka.Organisation("1", name="x", parent_id="acme"), ka.Organisation("2", name="x", parent_id="ACME")]
    assert ids(asked(ka.Organisation, parent_id="ACME"), children) == ["2"]


JSON: list[Any] = [1, True, "1", None, 0, False, "", [], [1], [True], {"b": 1}, {"b": True}, {}, "true", 2]


@pytest.mark.parametrize("wanted", JSON, ids=repr)
def test_extra_compares_exactly(wanted: Any) -> None:
    """A value of `extra` is found by exactly itself: 1 is not True, "1" not 1, None not absent; at any depth."""
    rows = [ka.Organisation(str(n), name="x", extra={"a": value}) for n, value in enumerate(JSON)]
    rows.append(ka.Organisation("without", name="x"))
    expected = [str(n) for n, value in enumerate(JSON) if json.dumps(value) == json.dumps(wanted)]
    assert ids(asked(ka.Organisation, extra={"a": wanted}), rows) == expected


def test_mappings_ask_for_some_pairs() -> None:
    """A condition on a mapping asks for all its pairs among others; with several mappings, for any of them."""
    refs: list[dict[str, str]] = [{"erp": "1", "crm": "1"}, {"erp": "1", "crm": "2"}, {"erp": "2"}, {}]
    rows = [ka.Organisation(str(n), name="x", refs=ref) for n, ref in enumerate(refs)]
    assert ids(asked(ka.Organisation, refs={"erp": "1"}), rows) == ["0", "1"]
    assert ids(asked(ka.Organisation, refs={"erp": "1", "crm": "2"}), rows) == ["1"]
    assert ids(asked(ka.Organisation, refs={"crm": "2", "erp": "2"}), rows) == []
    assert ids(asked(ka.Organisation, refs=ka.one_of([{"crm": "1"}, {"erp": "2"}])), rows) == ["0", "2"]
    assert ids(asked(ka.Organisation, refs=ka.is_none), rows) == ["3"]


def test_lists_ask_for_one_item() -> None:
    """A condition on a list asks whether it holds an item; `is_none` asks for an empty one."""
    rows = [
        ka.Organisation("a", name="x", emails=("Info@ACME.example", "b@acme.example")),
        ka.Organisation("b", name="x", relationships=("prospect", "supplier")),
    ]
    assert ids(asked(ka.Organisation, emails="info@acme.EXAMPLE"), rows) == ["a"]
    assert ids(asked(ka.Organisation, emails=None), rows) == ["b"]
    assert ids(asked(ka.Organisation, relationships="supplier"), rows) == ["b"]
    assert ids(asked(ka.Organisation, relationships=ka.one_of(["customer", "supplier"])), rows) == ["a", "b"]


@given(
    at=st.lists(
        st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 30))  # noqa: DTZ001 - the zone comes next
        | st.integers(-5, 5).map(lambda n: datetime(1970, 1, 1) + n * timedelta(seconds=0.25))  # noqa: DTZ001
        | st.integers(-5, 5).map(lambda n: datetime(9000, 1, 1) + n * timedelta(microseconds=1)),  # noqa: DTZ001
        max_size=6,
    ),
    hours=st.integers(-12, 14),
)
def test_moments_sort_as_moments(at: list[datetime], hours: int) -> None:
    """Moments sort and compare to the microsecond by when they are, before 1970 and far ahead too, in any zone."""
    zones = (UTC, timezone(timedelta(hours=hours)))
    found = [moment.replace(tzinfo=zones[n % 2]) for n, moment in enumerate(at)]
    rows = [ka.Activity(str(n), organisation_id="acme", at=moment) for n, moment in enumerate(found)]
    expected = sorted(range(len(found)), key=lambda n: (found[n], n))
    assert ids(asked(ka.Activity, "at"), rows) == [str(n) for n in expected]
    for bound in found:
        later = {str(n) for n, moment in enumerate(found) if moment >= bound}
        assert set(ids(asked(ka.Activity, at=ka.at_least(bound)), rows)) == later


@pytest.mark.parametrize(("order", "expected"), [("birthday", ["b", "a", "c"]), ("-birthday", ["a", "c", "b"])])
def test_nothing_comes_last(order: str, expected: list[str]) -> None:
    """Records without the value that is sorted by come last; descending is the exact reverse, save for ties by id."""
    rows = [ka.Contact(id, name="x", birthday=day) for id, day in (("a", None), ("b", DAY), ("c", None))]
    assert ids(asked(ka.Contact, order), rows) == expected


# ---- what is refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "field", "hint"),
    [
        ({"nmae": "x"}, "nmae", "name"),
        ({"organisation": "x"}, "organisation", ""),
        ({"name": 5}, "name", "text"),
        ({"name": ["x"]}, "name", "text"),
        ({"name": ka.one_of(["x", 5])}, "name", "text"),
        ({"private": 1}, "private", "True or False"),
        ({"private": "yes"}, "private", "True or False"),
        ({"extra": ka.at_least({})}, "extra", "no order"),
        ({"emails": ka.at_least("x")}, "emails", "no order"),
        ({"addresses": "Berlin"}, "addresses", "Address"),
        ({"name": ka.at_least(None)}, "name", "None"),
        ({"name": ka.between("a", None)}, "name", "None"),
        ({"version": True}, "version", "whole number"),
        ({"extra": {"a": object()}}, "extra", "JSON"),
        ({"id": b"acme"}, "id", "text"),
        ({"": 1}, "", "no field"),
        ({"parent_id.name": "x"}, "parent_id.name", "no field"),
        ({"__class__": "x"}, "__class__", "no field"),
        ({"_secret": "x"}, "_secret", "no field"),
        ({"key": "x"}, "key", "no field"),
    ],
)
def test_mistyped_conditions(where: dict[str, Any], field: str, hint: str) -> None:
    """A condition that cannot be met is refused with the field, and with the nearest right name."""
    with ka.open() as book:
        desk = book.trusted("test")
        for call in (desk.find, desk.count):
            with pytest.raises(ka.ValidationError) as caught:
                call(ka.Organisation, **where)
            (problem,) = caught.value.problems
            assert (problem.entity, problem.field) == ("Organisation", field)
            assert hint in problem.reason


def test_mistyped_conditions_all_at_once() -> None:
    """Several mistyped conditions are named together."""
    with ka.open() as book, pytest.raises(ka.ValidationError) as caught:
        book.trusted("test").find(ka.Organisation, nmae="x", private=1, sektor=2)
    assert {problem.field for problem in caught.value.problems} == {"nmae", "private", "sektor"}


@pytest.mark.parametrize(
    "order",
    ["nmae", "extra", "phones", "addresses", "--name", "", "-", 5, ("name", 5), {"name"}, ["name"] * 9, b"name"],
)
def test_mistyped_orders(order: Any) -> None:
    """An order by what is no field, or has no order, is refused."""
    with ka.open() as book, pytest.raises(ka.ValidationError) as caught:
        book.trusted("test").find(ka.Organisation, order=order)
    assert caught.value.problems[0].field == "order"


@pytest.mark.parametrize("limit", [-1, 1.0, True, "5", 10**7, [5]])
def test_mistyped_limits(limit: Any) -> None:
    """A limit is a whole number, 0 or more, and not beyond reason."""
    with ka.open() as book, pytest.raises(ka.ValidationError) as caught:
        book.trusted("test").find(ka.Organisation, limit=limit)
    assert caught.value.problems[0].field == "limit"


@pytest.mark.parametrize("values", ["abc", 5, None, iter(["a"]), {"a": 1}, b"ab"])
def test_one_of_takes_collections(values: Any) -> None:
    """`one_of` takes a list, tuple or set: text is not taken for its letters, nor a generator read."""
    with pytest.raises(ka.ValidationError):
        ka.one_of(values)


@pytest.mark.parametrize("kind", ["Organisation", None, 5, object, dict, ka.Address, ka.Organisation("a", name="A")])
def test_mistyped_kinds(kind: Any) -> None:
    """What is no kind of record is refused by every reading call."""
    with ka.open() as book:
        desk = book.trusted("test")
        for call in (desk.find, desk.count, lambda kind: desk.get(kind, "x"), lambda kind: desk.remove(kind, "x")):
            with pytest.raises(ka.ValidationError) as caught:
                call(kind)
            assert caught.value.problems[0].entity == "kind"


# ---- pages of a desk -------------------------------------------------------------------------------------

ORDERS: list[Any] = [None, "name", "-name", "sector", "-sector", ("sector", "-name"), "id", "-id", "version", "private"]


@pytest.fixture(scope="module")
def desk() -> ka.Desk:
    """Fill a book with thirty organisations of ten names and three sectors."""
    office = ka.open().trusted("test")
    office.put_many(
        ka.Organisation(f"o{n * 7 % 30:02}", name=f"Name {n % 10}", sector=(None, "steel", "paper")[n % 3])
        for n in range(30)
    )
    return office


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize("size", [1, 4, 7, 29, 30, 31])
def test_cursors_lead_through_everything(desk: ka.Desk, order: Any, size: int) -> None:
    """From cursor to cursor a desk shows every record once, in order, and the last page has no cursor."""
    whole = [row.id for row in desk.find(ka.Organisation, order=order)]
    pages: list[list[str]] = []
    after: str | None = None
    while not pages or after is not None:
        page = desk.find(ka.Organisation, order=order, limit=size, after=after)
        after = page.cursor
        pages.append([row.id for row in page])
        assert len(pages) <= 30, "the cursors lead in a circle"
        assert len(page) == len(pages[-1])
    assert [id for page in pages for id in page] == whole
    assert len(pages) == -(-30 // size)
    assert desk.count(ka.Organisation) == len(whole) == len(set(whole)) == 30


def test_long_lists_are_read_by_pages() -> None:
    """A list longer than the pages it is read by holds every record once, counts them, and can be limited anywhere."""
    with ka.open() as book:
        desk = book.trusted("test")
        desk.put_many(ka.Organisation(f"o{n:04}", name=f"Name {n % 7}") for n in range(1_203))
        found = desk.find(ka.Organisation, order="-name")
        expected = sorted((f"o{n:04}" for n in range(1_203)), key=lambda key: (-(int(key[1:]) % 7), key))
        assert [row.id for row in found] == expected
        assert len(found) == 1_203
        for limit in (499, 500, 501, 1_000, 1_203, 5_000):
            cut = desk.find(ka.Organisation, order="-name", limit=limit)
            assert [row.id for row in cut] == expected[:limit]
            assert len(cut) == min(limit, 1_203)
            assert (cut.cursor is None) is (limit >= 1_203)


def test_cursor_of_another_question(desk: ka.Desk) -> None:
    """A cursor is refused for another kind and for another order."""
    page = desk.find(ka.Organisation, order="name", limit=3)
    for kind, order in (
        (ka.Contact, "name"),
        (ka.Organisation, "-name"),
        (ka.Organisation, None),
        (ka.Organisation, ("name", "sector")),
    ):
        with pytest.raises(ka.ValidationError) as caught:
            desk.find(kind, order=order, limit=3, after=page.cursor)
        assert caught.value.problems[0].field == "after"


def test_cursor_of_other_conditions(desk: ka.Desk) -> None:
    """A cursor is refused for other conditions than those it was made for."""
    page = desk.find(ka.Organisation, order="name", limit=3, sector="steel")
    with pytest.raises(ka.ValidationError):
        desk.find(ka.Organisation, order="name", limit=3, after=page.cursor, sector="paper")


def forged(told: Any) -> str:
    """Write what a forger would like a cursor to say."""
    return base64.urlsafe_b64encode(json.dumps(told).encode()).decode()


RANKS: list[Any] = [
    [2, "x"], [0, "x"], [1, 5], [1, None], [1, [1]], [3, 0], [1.0, "x"], [True, "x"], [1], [], "1x", None, {"0": 1},
    [1, "x", 2], [2, 10**400], [2, 1e308], ["1", "x"], [1, True],
]  # fmt: skip


@pytest.mark.parametrize("rank", RANKS)
def test_forged_places(desk: ka.Desk, rank: Any) -> None:
    """A cursor whose place was changed by hand is refused, or read as some place; it raises nothing foreign."""
    for field in ("sector", "name", "version", "private"):
        after = forged(["Organisation", [[field, False]], [rank, "o01"]])
        try:
            list(desk.find(ka.Organisation, order=field, after=after, limit=5))
        except ka.ValidationError as error:
            assert [problem.field for problem in error.problems] == ["after"]  # noqa: PT017 - or it is answered


@settings(max_examples=300)
@given(
    after=st.text()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just("Organisation"),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    ).map(forged)
)
def test_junk_is_no_cursor(after: str) -> None:
    """Text that no page gave is refused as a cursor, whatever it decodes to."""
    with ka.open() as book, pytest.raises(ka.ValidationError) as caught:
        book.trusted("test").find(ka.Organisation, order="name", after=after)
    assert [problem.field for problem in caught.value.problems] == ["after"]


@pytest.mark.parametrize(
    "after",
    [5, b"", object(), ["x"], "é", "=", "\ud800", "W1tb" * 40_000],
)
def test_wrong_cursors(desk: ka.Desk, after: Any) -> None:
    """What is no text, no ASCII, no base64, or endless nesting is refused as a cursor."""
    with pytest.raises(ka.ValidationError):
        desk.find(ka.Organisation, after=after)


def test_a_cursor_outlives_its_row(desk: ka.Desk) -> None:
    """A page goes on after its last row even when that row has gone meanwhile."""
    with ka.open() as book:
        office = book.trusted("test")
        office.put_many(ka.Organisation(id, name="same") for id in "abcdef")
        page = office.find(ka.Organisation, order="name", limit=3)
        after = page.cursor
        office.remove(ka.Organisation, "c")
        office.put(ka.Organisation("bb", name="same"), ka.Organisation("cc", name="same"))
        assert [row.id for row in office.find(ka.Organisation, order="name", after=after)] == ["cc", "d", "e", "f"]


def test_what_is_refused_of_several_is_named() -> None:
    """A condition with several values names the one that is wrong."""
    office = ka.open().trusted("test")
    given: tuple[tuple[dict[str, Any], str], ...] = (
        ({"id": ka.one_of(["a", 5])}, r"Organisation\.id = 5: must be an id"),
        ({"name": ka.between("a", 7)}, r"Organisation\.name = 7: must be text"),
    )
    for asked, said in given:
        with pytest.raises(ka.ValidationError, match=said):
            office.find(ka.Organisation, **asked)
    with pytest.raises(ka.ValidationError, match=r"Contact\.id = 'a\\x01': holds the control character"):
        office.card(contact="a\x01", context="crm")
    with pytest.raises(ka.UnknownContext, match="did you mean 'phone'"):
        office.notes_for(organisations=["a"], context="PHONE")
