"""What a desk says of contracts: their states, what is due and expired, and what is covered, of what may be read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import attrs
import pytest

import keyaccount as ka

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
TODAY = NOON.date()
OLD = date(2024, 1, 1)


def contract(id: str, organisation: str, ends_on: date | None, **more: Any) -> ka.Contract:
    """Make a contract that began in 2024."""
    return ka.Contract(id, organisation, **{"signed_on": OLD, "starts_on": OLD, "ends_on": ends_on} | more)


@pytest.fixture
def book() -> ka.Book:
    """Make accounts with contracts; `volker` reads all but the private one, which is `kurt`'s.

    acme (volker's, in Germany, a key account since 2026): m1 ends on 31 December; m2 ended on 31 October; m3 has no
    end. sub is acme's subsidiary: s1 ended on 10 November, s2 ended on 31 May. hush is private: h1 ends on 1 December.
    """
    book = ka.open(clock=lambda: NOON, policy=ka.AccessPolicy())
    german = (ka.Address(country="DE", town="Ulm"),)
    book.trusted("test").put(
        ka.Unit("dach", name="DACH"),
        *(ka.User(name, name=name.title(), unit_ids=("dach",)) for name in ("volker", "kurt", "dora")),
        ka.Organisation("acme", name="ACME", sector="chemicals", addresses=german),
        ka.Organisation("sub", name="Subsidiary", parent_id="acme"),
        ka.Organisation("hush", name="Hush", private=True),
        ka.Organisation("supplier", name="Supplier", relationships=("supplier",)),
        ka.Assignment("a", "volker", "acme", covers_subsidiaries=True),
        ka.Assignment("k", "kurt", "hush"),
        ka.ClientGroup("gold", name="Gold"),
        ka.GroupMembership("g", "sub", "gold"),
        ka.KeyAccountStatus("s", "acme", valid_from=date(2026, 1, 1)),
        contract("m1", "acme", date(2026, 12, 31)),
        contract("m2", "acme", date(2026, 10, 31), kind="lease"),
        contract("m3", "acme", None, kind="service"),
        contract("s1", "sub", date(2026, 11, 10)),
        contract("s2", "sub", date(2026, 5, 31), kind="lease"),
        contract("h1", "hush", date(2026, 12, 1)),
        contract("x1", "supplier", date(2026, 12, 1)),
    )
    return book


@pytest.fixture
def desk(book: ka.Book) -> ka.Desk:
    """Return volker's desk."""
    return book.desk("volker")


@pytest.fixture
def office(book: ka.Book) -> ka.Desk:
    """Return a trusted desk."""
    return book.trusted("test")


def ids(rows: Any) -> list[str]:
    """Tell the contracts of some rows."""
    return [row.contract_id for row in rows]


# ---- states ----------------------------------------------------------------------------------------------------------


def test_states(desk: ka.Desk) -> None:
    """A contract's state is that of the day: in its window, ended, running; before it began upcoming."""
    assert [desk.contracts.state(id) for id in ("m1", "m2", "m3")] == ["in notice window", "ended", "running"]
    assert desk.contracts.state("m1", on=date(2026, 11, 1)) == "in notice window"
    assert desk.contracts.state("m1", on=date(2026, 10, 31)) == "running"
    assert desk.contracts.state(desk.get(ka.Contract, "m2"), on=date(2026, 10, 31)) == "in notice window"
    assert desk.contracts.state("m1", on=date(2023, 12, 31)) == "draft"


@pytest.mark.parametrize("id", ["h1", "nothing", "", 7, None])
def test_no_state_of_what_is_not_there(desk: ka.Desk, id: Any) -> None:
    """A contract that cannot be read has no state, as one that is not there; what is no id is refused."""
    with pytest.raises((ka.NotFound, ka.ValidationError)) as caught:
        desk.contracts.state(id)
    assert isinstance(caught.value, ka.NotFound) == (id in ("h1", "nothing"))


def test_a_successor_at_another_account_counts_behind_every_door(desk: ka.Desk, office: ka.Desk) -> None:
    """A contract renewed by one of its parent's is renewed, is not expired, and covers nothing twice."""
    after = contract("m9", "acme", None, starts_on=date(2026, 11, 11), predecessor_ids=("s1",))
    office.put(after)
    assert desk.contracts.state("s1") == "renewed"
    assert ids(desk.contracts.expired_unrenewed()) == ["m2", "s2"]
    assert [row.organisation_id for row in desk.contracts.cover("sub")] == ["sub", "sub"]


def test_a_hidden_successor_changes_nothing(desk: ka.Desk, office: ka.Desk) -> None:
    """A contract of an account one may not read renews nothing that one sees, and names nothing."""
    before = [repr(call(desk)) for call in EVERYTHING]
    office.put(contract("h2", "hush", None, starts_on=date(2026, 11, 1), predecessor_ids=("m2", "s1", "m1")))
    assert [repr(call(desk)) for call in EVERYTHING] == before
    assert office.contracts.state("m2") == "renewed"


def test_a_hidden_predecessor_changes_nothing(book: ka.Book, desk: ka.Desk, office: ka.Desk) -> None:
    """Where the one contract that another names cannot be read, it is as if it named none: it may be inferred."""
    office.put(contract("m4", "acme", None, kind="lease", starts_on=date(2026, 11, 5)))
    without = [repr(call(desk)) for call in EVERYTHING]
    assert desk.contracts.state("m2") == "renewed"
    office.put(attrs.evolve(office.get(ka.Contract, "m4"), predecessor_ids=("h1",)))
    office.put(attrs.evolve(office.get(ka.Contract, "m4"), predecessor_ids=()))
    again = [repr(call(desk)) for call in EVERYTHING]
    office.put(attrs.evolve(office.get(ka.Contract, "m4"), predecessor_ids=("h1",)))
    assert without == again == [repr(call(desk)) for call in EVERYTHING]
    assert office.contracts.state("m2") == "ended"


EVERYTHING: list[Callable[[ka.Desk], Any]] = [
    *(lambda desk, one=one: desk.contracts.state(one) for one in ("m1", "m2", "m3", "s1", "s2")),
    *(lambda desk, name=name: getattr(desk.contracts, name)(by="manager") for name in ("due", "notice_deadlines")),
    lambda desk: desk.contracts.expired_unrenewed(by="unit"),
    lambda desk: (desk.contracts.cover("acme"), desk.contracts.cover("sub")),
    lambda desk: desk.portfolio.recurring(by="account"),
    *(
        lambda desk, name=name: getattr(desk.portfolio, name)(ka.Period.year(2026), by="manager").explain()
        for name in (
            *("renewal_rate", "account_retention", "gross_retention", "net_retention", "movements"),
            "days_to_first_action",
        )
    ),
]


# ---- lists -----------------------------------------------------------------------------------------------------------


def test_due(desk: ka.Desk, office: ka.Desk, book: ka.Book) -> None:
    """Due is what ends within 60 days, both days included; open-ended ones, hidden ones and suppliers' are not."""
    (row,) = desk.contracts.due()
    assert (row.contract_id, row.organisation_id, row.ends_on, row.days_left) == ("m1", "acme", date(2026, 12, 31), 40)
    assert (row.state, row.done, row.auto_renews) == ("in notice window", None, False)
    assert ids(desk.contracts.due(within_days=39)) == []
    assert ids(desk.contracts.due(within_days=40)) == ["m1"]
    assert ids(office.contracts.due()) == ["h1", "m1"]
    assert ids(book.desk("kurt").contracts.due()) == ["h1", "m1"]
    assert ids(desk.contracts.due(on=date(2026, 11, 10))) == ["s1", "m1"]


def test_due_says_what_was_done(desk: ka.Desk, office: ka.Desk) -> None:
    """Beside what is due stands how far its renewal was on that day; one that is hidden is not told."""
    rows = office.renewals.raise_alerts().raised
    row = next(row for row in rows if row.contract_id == "m1")
    desk.renewals.advance(row.id, to="proposing")
    assert [one.done for one in desk.contracts.due()] == ["proposing"]
    assert [one.done for one in office.contracts.due()] == ["alerted", "proposing"]
    assert [one.done for one in desk.contracts.due(on=TODAY - timedelta(1))] == [None]
    desk.renewals.lose(row.id, reason="price")
    assert [one.done for one in desk.contracts.due()] == ["lost"]


def test_a_superseded_renewal_is_not_told(desk: ka.Desk, office: ka.Desk) -> None:
    """A contract that was terminated is due still, and nothing is being done for it."""
    office.renewals.raise_alerts()
    office.put(attrs.evolve(office.get(ka.Contract, "m1"), terminated_on=TODAY))
    office.renewals.raise_alerts()
    assert [(one.contract_id, one.terminated, one.done) for one in desk.contracts.due()] == [("m1", True, None)]


def test_what_was_done_for_another_end_is_not_told(desk: ka.Desk, office: ka.Desk) -> None:
    """A contract that went on by itself has nothing done for its next end."""
    office.put(contract("r1", "acme", date(2026, 11, 30), renewal_term=ka.months(1)))
    office.renewals.raise_alerts()
    assert [(one.ends_on, one.done) for one in desk.contracts.due(on=TODAY) if one.contract_id == "r1"] == [
        (date(2026, 11, 30), "alerted")
    ]
    later = desk.contracts.due(on=date(2026, 12, 1))
    assert [(one.ends_on, one.done) for one in later if one.contract_id == "r1"] == [(date(2026, 12, 31), None)]


def test_notice_deadlines(desk: ka.Desk, office: ka.Desk) -> None:
    """A deadline is the last day for notice; one that has passed is not coming any more."""
    office.put(contract("n1", "acme", date(2027, 3, 31), notice="3 months"))  # 31 December
    office.put(contract("n2", "acme", date(2027, 2, 19), notice="3 months"))  # 19 November, two days ago
    found = desk.contracts.notice_deadlines()
    assert [(row.contract_id, row.deadline, row.days_left) for row in found] == [
        ("m1", date(2026, 12, 31), 40),
        ("n1", date(2026, 12, 31), 40),
    ]
    assert ids(desk.contracts.notice_deadlines(within_days=0, on=date(2026, 11, 19))) == ["n2"]


def test_expired_unrenewed(desk: ka.Desk, office: ka.Desk) -> None:
    """Expired is what ended before the day without a successor; the latest first, those in grace marked."""
    rows = desk.contracts.expired_unrenewed()
    assert [(row.contract_id, row.days, row.in_grace) for row in rows] == [
        ("s1", 11, True),
        ("m2", 21, True),
        ("s2", 174, False),
    ]
    assert ids(desk.contracts.expired_unrenewed(on=date(2026, 6, 1))) == ["s2"]
    assert ids(desk.contracts.expired_unrenewed(on=date(2026, 5, 31))) == []
    office.put(contract("m5", "acme", None, kind="lease", starts_on=date(2026, 12, 2), signed_on=TODAY))
    assert ids(desk.contracts.expired_unrenewed()) == ["s1", "m2", "s2"]  # a day past 1 November and the grace
    office.put(contract("m6", "acme", None, kind="lease", starts_on=date(2026, 12, 1), signed_on=TODAY))
    assert ids(desk.contracts.expired_unrenewed()) == ["s1", "s2"]
    assert ids(desk.contracts.expired_unrenewed(on=TODAY - timedelta(1))) == ["s1", "m2", "s2"]  # not signed yet


def test_frames(desk: ka.Desk, office: ka.Desk) -> None:
    """A parent's frame contract follows a subsidiary's where that is asked for, and not otherwise."""
    office.put(contract("frame", "acme", None, starts_on=date(2026, 11, 11)))
    assert ids(desk.contracts.expired_unrenewed()) == ["s1", "m2", "s2"]
    assert ids(desk.contracts.expired_unrenewed(frames=True)) == ["m2", "s2"]
    november = ka.Period.month(2026, 11)
    assert desk.portfolio.renewal_rate(november).value == 0
    assert desk.portfolio.renewal_rate(november, frames=True).value == 1
    office.put(attrs.evolve(office.get(ka.Organisation, "acme"), private=True), ka.Assignment("k2", "kurt", "acme"))
    office.remove(ka.Assignment, "a")
    assert desk.portfolio.renewal_rate(november, frames=True).value == 0  # the parent cannot be read any more


def test_parts_and_groups(desk: ka.Desk) -> None:
    """Rows say which part they are in; a group leaves the others out: those key on the due day, or its members."""
    assert {row.contract_id: row.parts for row in desk.contracts.expired_unrenewed(by="manager")} == {
        "s1": ("volker",),
        "m2": ("volker",),
        "s2": ("volker",),
    }
    assert {row.contract_id: row.parts for row in desk.contracts.expired_unrenewed(by="sector")} == {
        "s1": ("none",),
        "m2": ("chemicals",),
        "s2": ("none",),
    }
    assert [row.parts for row in desk.contracts.due(by="country")] == [("DE",)]
    assert [row.parts for row in desk.contracts.due(by="unit")] == [("dach",)]
    assert ids(desk.contracts.expired_unrenewed(group="gold")) == ["s1", "s2"]
    assert ids(desk.contracts.expired_unrenewed(group="key accounts")) == ["m2"]
    assert ids(desk.contracts.expired_unrenewed(group="key accounts", on=date(2025, 12, 31))) == []
    assert ids(desk.contracts.notice_deadlines(group="gold")) == []


# ---- cover -----------------------------------------------------------------------------------------------------------


def test_cover(desk: ka.Desk, office: ka.Desk) -> None:
    """Cover is by kind: the days in force, the gaps between them, and where contracts overlap."""
    office.put(contract("m7", "acme", date(2027, 6, 30), kind="lease", starts_on=date(2026, 11, 10)))
    office.put(contract("m8", "acme", date(2027, 6, 30), starts_on=date(2026, 12, 1)))
    kinds = {row.kind: row for row in desk.contracts.cover("acme")}
    assert list(kinds) == ["contract", "lease", "service"]
    assert [(one.starts_on, one.ends_on) for one in kinds["lease"].gaps] == [(date(2026, 11, 1), date(2026, 11, 9))]
    assert [(one.starts_on, one.ends_on) for one in kinds["contract"].covered][-1][1] == date(2027, 6, 30)
    (both,) = kinds["contract"].overlaps
    assert (both.starts_on, both.ends_on, both.contract_ids) == (
        *(date(2026, 12, 1), date(2026, 12, 31)),
        ("m1", "m8"),
    )
    assert [row.kind for row in desk.contracts.cover("acme", kind="lease")] == ["lease"]
    assert list(desk.contracts.cover("acme", kind="nothing")) == []
    assert list(desk.contracts.cover("acme", on=date(2023, 1, 1))) == []


@pytest.mark.parametrize("organisation", ["hush", "nothing"])
def test_no_cover_of_what_is_not_there(desk: ka.Desk, organisation: str) -> None:
    """An account that cannot be read has no cover, as one that is not there."""
    with pytest.raises(ka.NotFound, match=f"there is no Organisation '{organisation}' that you can read"):
        desk.contracts.cover(organisation)


def test_a_successor_of_another_kind_ends_the_cover(desk: ka.Desk, office: ka.Desk) -> None:
    """An open-ended contract that one of another kind follows covers until then, also where one kind is asked for."""
    office.put(contract("m9", "acme", None, kind="lease", starts_on=date(2026, 12, 1), predecessor_ids=("m3",)))
    (row,) = desk.contracts.cover("acme", kind="service")
    assert [(one.starts_on, one.ends_on) for one in row.covered] == [(OLD, date(2026, 11, 30))]


# ---- bad questions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["due", "notice_deadlines", "expired_unrenewed"])
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"by": "mangaer"}, "did you mean 'manager'?"),
        ({"by": 7}, "must be one of manager"),
        ({"group": "key acounts"}, "did you mean 'key accounts'?"),
        ({"group": "golden"}, "did you mean 'gold'?"),
        ({"group": ["gold"]}, "is no client group"),
        ({"on": "2026-11-21"}, "must be a date"),
        ({"on": NOON}, "must be a date"),
    ],
)
def test_bad_questions(desk: ka.Desk, call: str, asked: dict[str, Any], said: str) -> None:
    """What cannot be asked is refused, with the nearest right word."""
    with pytest.raises(ka.ValidationError) as caught:
        getattr(desk.contracts, call)(**asked)
    assert said in str(caught.value)


@pytest.mark.parametrize("days", [-1, 1.5, True, "60", None])
def test_days_are_whole(desk: ka.Desk, days: Any) -> None:
    """Within how many days is a whole number, 0 or more."""
    for call in (desk.contracts.due, desk.contracts.notice_deadlines):
        with pytest.raises(ka.ValidationError, match="within_days"):
            call(within_days=days)


def test_kinds_are_text(desk: ka.Desk) -> None:
    """The kind of contracts to be covered is text."""
    with pytest.raises(ka.ValidationError, match="must be text"):
        desk.contracts.cover("acme", kind=7)  # type: ignore[arg-type]
