"""Days since the last contact, asked of a desk: what it reads of the activities is enough, whatever happened before."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import keyaccount as ka

TODAY = date(2026, 11, 22)
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ACCOUNTS, PEOPLE = ("o1", "o2", "o3"), ("c1", "c2", "c3")
DAYS = st.integers(-40, 0).map(lambda n: TODAY + timedelta(n))


@st.composite
def met(draw: st.DrawFn) -> tuple[list[ka.Position], list[ka.Activity]]:
    """Draw who was employed where and when, and who was met; many a meeting names no account."""
    spans = st.tuples(st.sampled_from(PEOPLE), st.sampled_from(ACCOUNTS), DAYS, st.none() | st.integers(0, 20))
    held = [
        ka.Position(f"p{n}", contact_id=c, organisation_id=o, valid_from=start, valid_until=start and _end(start, days))
        for n, (c, o, start, days) in enumerate(draw(st.lists(spans, min_size=2, max_size=6)))
    ]
    kinds = st.sampled_from(("meeting", "visit", "task"))
    with_whom = st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=2, unique=True).map(tuple)
    rows = st.tuples(st.none() | st.sampled_from(ACCOUNTS), with_whom, kinds, DAYS, st.integers(0, 23))
    activities = [
        ka.Activity(f"a{n}", o, contact_ids=c, kind=kind, at=datetime(day.year, day.month, day.day, h, tzinfo=UTC))
        for n, (o, c, kind, day, h) in enumerate(draw(st.lists(rows, min_size=6, max_size=14)))
    ]
    return held, activities


def _end(start: date, days: int | None) -> date | None:
    return None if days is None else start + timedelta(days)


def expected(held: list[ka.Position], rows: list[ka.Activity], per: str) -> dict[str, int]:
    """Look through everything for the last contact of each."""
    found: dict[str, int] = {}
    for row in rows:
        if row.kind == "task" or row.at is None or row.at > NOW:
            continue
        day = row.at.date()
        there = [
            one.organisation_id
            for one in held
            if one.contact_id in row.contact_ids
            and (one.valid_from is None or one.valid_from <= day)
            and (one.valid_until is None or day <= one.valid_until)
        ]
        accounts = there if row.organisation_id is None else [row.organisation_id]
        for subject in row.contact_ids if per == "contact" else accounts:
            found[subject] = min(found.get(subject, 10_000), (TODAY - day).days)
    return found


@pytest.mark.parametrize("per", ["account", "contact"])
@settings(max_examples=40, deadline=None, database=None)
@given(world=met())
def test_a_desk_reads_enough(
    tmp_path_factory: pytest.TempPathFactory, per: str, world: tuple[list[ka.Position], list[ka.Activity]]
) -> None:
    """A contact met long ago, and an employer left long ago, have their last contact too; in a file and in memory."""
    held, rows = world
    records = [
        *(ka.Organisation(id, name=id) for id in ACCOUNTS),
        *(ka.Contact(id, name=id) for id in PEOPLE),
        *held,
        *rows,
    ]
    wanted = expected(held, rows, per)
    for path in (None, Path(tmp_path_factory.mktemp("met")) / "book.db"):
        with ka.open(path, clock=lambda: NOW) as book:
            desk = book.trusted("test")
            desk.put(*records)
            found = desk.portfolio.days_since_contact(per=per)  # type: ignore[arg-type]  # one of its words
            assert {row.part: row.value for row in found if row.value is not None} == wanted
            if per == "account":
                told = {row.organisation_id: row.last_contact for row in desk.health_check()}
                assert {id: last.days for id, last in told.items() if last is not None} == wanted


def test_an_employer_left_since_was_talked_to() -> None:
    """Who met a person in October met the employer of October, also when the person was met elsewhere since."""
    october, november = datetime(2026, 10, 5, 9, tzinfo=UTC), datetime(2026, 11, 10, 9, tzinfo=UTC)
    with ka.open(clock=lambda: NOW) as book:
        desk = book.trusted("test")
        desk.put(
            *(ka.Organisation(id, name=id) for id in ("o1", "o2")),
            ka.Contact("c1", name="Ada"),
            ka.Position("p1", contact_id="c1", organisation_id="o1", valid_until=date(2026, 10, 31)),
            ka.Position("p2", contact_id="c1", organisation_id="o2", valid_from=date(2026, 11, 1)),
            ka.Activity("a1", contact_ids=("c1",), kind="meeting", at=october),
            ka.Activity("a2", contact_ids=("c1",), kind="meeting", at=november),
        )
        assert {row.part: row.value for row in desk.portfolio.days_since_contact()} == {"o1": 48, "o2": 12}
        assert {row.part: row.value for row in desk.portfolio.days_since_contact(per="contact")} == {"c1": 12}
