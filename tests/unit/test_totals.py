"""Totals of the evaluator, against what plain Python counts: groups, windows, exact sums, extremes, their order."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import keyaccount as ka
from keyaccount.catalogue import Kind, kind_of
from keyaccount.model.entity import Entity
from keyaccount.queries import Index, Query, Total, Totals, Window, at_least, conditions, grouped, total
from keyaccount.shapes import Shape

TODAY = date(2026, 11, 21)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAYS = st.integers(-5, 5).map(lambda n: TODAY + timedelta(days=n))
ACTIVITY, POSITION, UNIT = kind_of(ka.Activity), kind_of(ka.Position), kind_of(ka.Unit)


def activities(days: list[date | None]) -> list[ka.Activity]:
    """Make activities that promise something for some days."""
    return [
        ka.Activity(f"y{n}", "o", follow_up_on=day, contact_ids=tuple(f"c{k}" for k in range(n % 3)), version=n)
        for n, day in enumerate(days)
    ]


def totals(rows: list[Any], kind: Kind, by: tuple[str, ...] = (), *windows: Window, **more: Any) -> list[Total]:
    """Total rows."""
    return list(total(Query(kind), Index(rows), Totals(by, windows, **more)))


@given(days=st.lists(DAYS | st.none(), max_size=12), start=DAYS, middle=DAYS, end=DAYS)
@settings(max_examples=60, deadline=None, database=None)
def test_two_halves_make_the_whole(days: list[date | None], start: date, middle: date, end: date) -> None:
    """Counts and sums of two windows that meet add up to those of both, and each to what a loop counts."""
    start, middle, end = sorted((start, middle, end))
    field = "follow_up_on"
    halves = (Window(field, start, middle), Window(field, middle, end))
    rows = activities(days)
    (found,) = totals(rows, ACTIVITY, (), *halves, Window(field, start, end), sums=("version",))
    first, second, whole = found.counts
    assert first + second == whole == sum(day is not None and start <= day < end for day in days)
    numbers = [n for n, day in enumerate(days) if day is not None and start <= day < end]
    assert found.sums[0][0] + found.sums[1][0] == found.sums[2][0] == sum(numbers)
    assert found.count == len(days)


@given(days=st.lists(DAYS | st.none(), max_size=12))
@settings(max_examples=40, deadline=None, database=None)
def test_open_windows(days: list[date | None]) -> None:
    """A window without borders holds what has a day; one border cuts on its side alone."""
    field = "follow_up_on"
    found = totals(activities(days), ACTIVITY, (), Window(field), Window(field, TODAY), Window(field, end=TODAY))
    given_days = [day for day in days if day is not None]
    later = sum(day >= TODAY for day in given_days)
    assert found[0].counts == (len(given_days), later, len(given_days) - later)


@pytest.mark.parametrize(
    ("window", "first", "last"),
    [
        (Window("valid_from"), 2, None),
        (Window("valid_from", end=TODAY), 1, None),
        (Window("valid_from", TODAY), 1, None),
        (Window("valid_until"), None, 2),
        (Window("valid_until", TODAY + timedelta(days=1)), None, 1),
        (Window("valid_until", end=TODAY + timedelta(days=1)), None, 1),
    ],
)
def test_open_ends_lie_beyond_every_border(window: Window, first: int | None, last: int | None) -> None:
    """No start lies in every window that is open to the past, no end in every one that is open to the future."""
    rows = [
        ka.Position("p", contact_id="c", organisation_id="o"),
        ka.Position("q", contact_id="c", organisation_id="o", valid_from=TODAY, valid_until=TODAY),
    ]
    assert totals(rows, POSITION, (), window)[0].counts == (first if first is not None else last,)


def test_extremes() -> None:
    """The lowest and the highest of what rows hold; nothing of nothing; an open start or end is the extreme itself."""
    spans = [(TODAY, None), (TODAY - timedelta(days=2), TODAY), (TODAY + timedelta(days=2), TODAY + timedelta(days=9))]
    rows = [
        ka.Position(f"p{n}", contact_id="c", organisation_id="o", title=title, valid_from=start, valid_until=end)
        for n, (title, (start, end)) in enumerate(zip(("b", None, "B"), spans, strict=True))
    ]
    asked = ("valid_from", "valid_until", "title", "id", "department")
    (found,) = totals(rows, POSITION, lows=asked, highs=asked)
    assert found.lows == (TODAY - timedelta(days=2), TODAY, "B", "p0", None)
    assert found.highs == (TODAY + timedelta(days=2), None, "b", "p2", None)
    (nothing,) = totals([], POSITION, lows=asked, highs=asked, sums=("version",))
    assert nothing == Total((), 0, (0,), ((0,),), (None,) * 5, (None,) * 5)


def test_extremes_do_not_heed_windows() -> None:
    """Extremes are over all rows, so that a last day is known also where no window holds it."""
    (found,) = totals(
        activities([TODAY, None]), ACTIVITY, (), Window("follow_up_on", end=TODAY), lows=("id",), highs=("id",)
    )
    assert (found.counts, found.lows, found.highs) == ((0,), ("y0",), ("y1",))


def test_a_list_of_references_counts_for_each() -> None:
    """A row counts once under each record that its list names, and under None where it names none."""
    rows = activities([TODAY] * 6)
    names = Counter(id for row in rows for id in row.contact_ids or (None,))
    found = {one.key[0]: one.count for one in totals(rows, ACTIVITY, ("contact_ids",))}
    assert found == names == {"c0": 4, "c1": 2, None: 2}
    twice = [attrs.evolve(rows[0], contact_ids=("c", "c"))]
    assert [one.count for one in totals(twice, ACTIVITY, ("contact_ids",))] == [1]


def test_order_of_keys() -> None:
    """Keys are ordered field by field, nothing last: not by how they read."""
    rows = [
        ka.Unit(f"u{n}", name=name, head_id=head, version=n)
        for n, (name, head) in enumerate([("b", None), ("a", None), ("a", "z"), ("B", "y")])
    ]
    assert [one.key for one in totals(rows, UNIT, ("head_id", "name"))] == [
        ("y", "B"),
        ("z", "a"),
        (None, "a"),
        (None, "b"),
    ]
    numbers = [attrs.evolve(rows[0], id=f"u{n}", version=n) for n in (10, 9, 100)]
    assert [one.key for one in totals(numbers, UNIT, ("version",))] == [(9,), (10,), (100,)]


def test_a_limit_and_a_page_do_not_matter() -> None:
    """Totals are of the whole answer, conditions included."""
    rows = activities([TODAY, TODAY - timedelta(days=1), None])
    asked = Query(ACTIVITY, conditions(ACTIVITY, {"follow_up_on": at_least(TODAY)}), limit=0, after=("y2",))
    assert [one.count for one in total(asked, Index(rows))] == [1]


@attrs.frozen
class Cents(Shape):
    """Something that is not a number and adds up by one, below zero too."""

    adds_up: ClassVar[bool] = True

    def integer(self, value: Any) -> int | None:
        """Return the number behind the sign."""
        return None if value is None else int(value.removeprefix("c"))


class Receipt(ka.Unit):
    """A record with an amount."""

    __slots__ = ()

    @property
    def amount(self) -> str | None:
        """Return an amount that stands in the name."""
        return None if self.name == "-" else self.name


def test_any_shape_that_adds_up_is_summed() -> None:
    """A shape says by which whole number its values add up; what holds nothing adds nothing."""
    kind = Kind(Receipt, "free", None, derived=(("amount", Cents()),))
    names = [f"c{10**30}", "c-7", "-", "c5"]
    rows: list[Entity] = [Receipt(f"r{n}", name=name) for n, name in enumerate(names)]
    (found,) = grouped(kind, rows, Totals(sums=("amount", "version")))
    assert found.sums == ((10**30 - 2, 0),)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"by": ("nmae",)}, "is no field; did you mean 'name'"),
        ({"by": ("refs",)}, "no order to group by"),
        ({"sums": ("name",)}, "cannot be added up"),
        ({"lows": ("extra",)}, "no lowest and highest"),
        ({"highs": ("extra",)}, "no lowest and highest"),
        ({"windows": (Window("name"),)}, "no days or moments"),
    ],
)
def test_what_cannot_be_totalled_is_refused(asked: dict[str, Any], reason: str) -> None:
    """A field that does not fit is named, with what is wrong about it."""
    with pytest.raises(ka.ValidationError, match=reason):
        total(Query(UNIT), Index(), Totals(**asked))


@pytest.mark.parametrize("border", [NOW, "2026-11-21", 5])
def test_borders_must_fit_their_field(border: Any) -> None:
    """A window over days takes days, and all mistakes are named at once."""
    with pytest.raises(ka.ValidationError) as caught:
        total(Query(POSITION), Index(), Totals(("x",), (Window("valid_from", border, border),)))
    assert [problem.field for problem in caught.value.problems] == ["x", "valid_from", "valid_from"]


def test_windows_over_moments() -> None:
    """A moment in another zone borders at the same instant."""
    rows = [ka.Activity("y", "o", at=NOW), ka.Activity("z", "o", at=NOW - timedelta(microseconds=1))]
    zone = NOW.astimezone(ZoneInfo("Asia/Tokyo"))
    found = totals(rows, ACTIVITY, (), Window("at", zone), Window("at", end=zone), lows=("at",), highs=("at",))
    assert found[0].counts == (1, 1)
    assert (found[0].lows, found[0].highs) == ((rows[1].at,), (NOW,))
