"""Results: every answer turns into plain JSON and, where it is rows, into a data frame."""

from __future__ import annotations

import copy
import importlib.util
import json
import pickle
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest

import keyaccount as ka
from keyaccount import billing, contracts, health, portfolio
from keyaccount.calendars import Period
from keyaccount.catalogue import KINDS
from keyaccount.results import Result, Rows, plain
from keyaccount.shapes import Refer, Text, shapes_of
from keyaccount.values import FrozenMap

BACKENDS = ("pandas", "polars", "pyarrow")


def subclasses(cls: type) -> Iterator[type]:
    """Yield every class below one, of this library."""
    sub: type
    for sub in cls.__subclasses__():
        yield sub
        yield from subclasses(sub)


def inside(value: Any) -> Iterator[Result]:
    """Yield a result and every result it holds."""
    if isinstance(value, Result):
        yield value
        names = [field.name for field in getattr(type(value), "__attrs_attrs__", ())]
        for name in names:
            yield from inside(getattr(value, name))
        if isinstance(value, Rows):
            for row in value:
                yield from inside(row)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from inside(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from inside(item)


def told() -> list[Any]:
    """Ask a book that holds something of everything for one answer of each sort."""

    def speaks(_: object, __: object) -> list[ka.ComputedNote]:
        return [ka.ComputedNote("Spare parts", code="parts", params=FrozenMap({"on": date(2026, 12, 1)}))]

    now = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
    book = ka.open(region="DE", zone="Europe/Berlin", clock=lambda: now, providers=[ka.Provider("parts", speaks)])
    office = book.trusted("test")
    office.put(
        ka.Unit("sales", name="Sales", head_id="sophie"),
        ka.User("volker", name="Volker", unit_ids=("sales",)),
        ka.User("sophie", name="Sophie"),
        ka.Organisation(
            "acme",
            name="ACME",
            phones=("+49 89 1234-0", "+49 89 1234567"),
            addresses=(ka.Address(lines=("Weg 1",), town="Ulm", country="DE"),),
            location=ka.Location(Decimal("48.4"), Decimal(10)),
            extra=FrozenMap({"n": 1, "tags": ("a", "b"), "deep": FrozenMap({"x": None})}),
        ),
        ka.Contact("ingo", name="Ingo", vip=True, birthday=date(1970, 2, 28)),
        ka.Contact("loose", name="At no organisation"),
        ka.Position(
            "job", contact_id="ingo", organisation_id="acme", phones=("+49 89 1234567",), role="invoices", title="Head"
        ),
        ka.Assignment("kam", user_id="volker", organisation_id="acme", valid_from=date(2020, 1, 1)),
        ka.Assignment("dep", user_id="sophie", organisation_id="acme", role=ka.DEPUTY),
        ka.Substitution("leave", user_id="volker", deputy_id="sophie"),
        ka.Grant("grant", organisation_id="acme", principal=ka.unit("sales"), right=ka.Right.CHANGE),
        ka.NoteCategory("payment", contexts=("documents",)),
        ka.ContactRole("buyer", required=True),
        ka.Activity("met", organisation_id="acme", contact_ids=("ingo",), kind="meeting", at=now, by_id="volker"),
        ka.Activity("late", organisation_id="acme", at=now, follow_up_on=date(2026, 11, 20)),
        ka.ServiceNote(
            "n",
            organisation_id="acme",
            text="Careful",
            severity=ka.Severity.STOP,
            must_acknowledge=True,
            about=ka.Reference("Activity", "late"),
        ),
        ka.BreakGlass(
            "glass",
            organisation_id="acme",
            user_id="sophie",
            reason="ill",
            opens_at=now,
            closes_at=now.replace(hour=23),
        ),
    )  # fmt: skip
    desk = book.desk("volker")
    desk.service_notes.acknowledge("n")
    people, activities = desk.people, desk.activities
    answers: list[Any] = [
        desk.card(contact="ingo", organisation="acme", context="crm"),
        desk.caller("+49 89 1234567"),
        desk.caller("+49 89 1234 99"),
        desk.notes(organisation="acme", context="documents"),
        desk.may("acme", ka.Right.CHANGE),
        desk.search("acme"),
        people.responsible(organisation="acme"),
        people.vips(),
        people.vips().to_csv(Path(tempfile.mkdtemp()) / "cards.csv"),
        desk.panel("acme"),
        office.data_quality(),
        people.special_contacts("acme"),
        activities.follow_ups(),
        activities.last_contact("acme"),
        activities.history("acme"),
        ka.AccessPolicy(stewards=frozenset({"sophie"})),
        Period.year(2026),
        ka.Money("12.5", "EUR"),
        ka.ComputedNote("x"),
        desk.notes_for(organisations=["acme"], context="documents"),
        *(office.find(kind.cls) for kind in KINDS.values()),
    ]
    calls = (
        desk.mine,
        people.vacant_roles,
        lambda: people.org_chart("acme"),
        lambda: office.people.who_may_read("acme"),
        office.people.orphaned,
        lambda: office.history(ka.Organisation, "acme"),
        book.check,
        *tables_of(office),
        lambda: office.merging.merge(ka.Organisation, office.put(ka.Organisation("w", name="W")).id, "acme"),
    )
    answers += [call() for call in calls]
    return answers


def told_of_contracts() -> list[Any]:
    """Ask the rules of contracts and the metrics for one answer of each sort, over three contracts of two accounts."""
    start, end, on = date(2025, 1, 1), date(2025, 12, 31), date(2026, 2, 1)
    price: dict[str, Any] = {"value": ka.Money("1200", "EUR"), "signed_on": start, "starts_on": start, "ends_on": end}
    old = ka.Contract("m-1", organisation_id="acme", notice=ka.months(3), **price)
    new = attrs.evolve(old, id="m-2", starts_on=date(2026, 1, 10), ends_on=date(2026, 3, 1), predecessor_ids=("m-1",))
    lost = attrs.evolve(old, id="m-3", organisation_id="globex", ends_on=date(2026, 1, 20))
    rows = (old, new, lost, attrs.evolve(old, id="m-4", signed_on=None))
    year: Any = {"period": ka.Period(start, on), "on": on}
    raised = [portfolio.Alert("m-2", "acme", start)]
    return [
        contracts.terms(old, on=on),
        contracts.outcomes(rows, **year),
        contracts.cover(rows, on=on),
        portfolio.renewal_rate(rows, **year, by="account"),
        portfolio.movements(rows, **year),
        portfolio.due(rows, on=on),
        portfolio.expired(rows, on=on),
        *raised,
        portfolio.Action("acme", on),
        portfolio.first_actions(raised, [portfolio.Action("acme", on)], **year),
        portfolio.Matching(),
    ]


def told_of_mondays() -> list[Any]:
    """Ask for one answer of each sort about revenue, receivables, contact and health."""
    on, then, now = date(2026, 2, 1), date(2025, 11, 1), datetime(2025, 12, 1, tzinfo=UTC)
    bill = ka.Invoice("i", organisation_id="acme", issued_on=then, due_on=then, net=ka.Money(100, "EUR"))
    met = ka.Activity("m", organisation_id="acme", kind="meeting", at=now, by_id="volker", follow_up_on=then)
    deal = ka.Opportunity("o", organisation_id="acme", kind="upsell", value=ka.Money(5, "EUR"), expected_on=then)
    lease = ka.Contract("c", organisation_id="acme", signed_on=then, starts_on=then, ends_on=on)
    gone = ka.Contract("d", organisation_id="acme", kind="old", signed_on=then, starts_on=then, ends_on=then)
    known = portfolio.Accounts.of([ka.Organisation("acme", name="ACME <AG>")])
    facts: Any = {"invoices": [bill], "opportunities": [deal], "activities": [met]}
    check = health.health_check(on=on, orders=[], contracts=[lease, gone], accounts=known, by="sector", **facts)
    return [
        portfolio.growth([bill], on=on),
        billing.overdue([bill], on=on),
        billing.ageing([bill], on=on, by="sector"),
        portfolio.to_update([deal], on=on),
        portfolio.coverage([met], [bill], on=on, accounts=known),
        check,
        health.daily(on=on, **facts),
        deal,
    ]


def told_of_renewals() -> list[Any]:
    """Ask a desk about the work on one renewal, with an order and an invoice to analyse."""
    with ka.open(clock=lambda: datetime(2026, 11, 21, 12, tzinfo=UTC)) as book:
        office = book.trusted("test")
        day, start = date(2026, 6, 1), date(2026, 1, 1)
        office.put(
            ka.Organisation("acme", name="ACME"),
            ka.Contract("m-1", organisation_id="acme", signed_on=start, starts_on=start, ends_on=date(2026, 12, 31)),
            ka.Order("o-1", organisation_id="acme", ordered_on=day, lines=(ka.Line("p", unit_price=EUROS),)),
            ka.Invoice("i-1", organisation_id="acme", issued_on=day, due_on=day, net=EUROS),
        )
        raised = office.renewals.raise_alerts()
        return [raised, office.renewals.open_renewals(), office.renewals.analysis(raised.raised[0].id)]


def tables_of(office: ka.Desk) -> list[Any]:
    """Return calls that read a table, and write the book to a folder."""
    progress: list[ka.Progress] = []

    def dump() -> ka.Dump:
        with tempfile.TemporaryDirectory() as folder:
            return office.dump(folder)

    return [
        lambda: office.from_frame(
            ka.Product, [{"id": "p", "name": "Tea"}, {"id": "q", "name": ""}], keep_good=True, progress=progress.append
        ),
        lambda: progress[0],
        dump,
    ]


EUROS = ka.Money("1.50", "EUR")
ANSWERS = told() + told_of_contracts() + told_of_mondays() + told_of_renewals()


NEEDED: dict[str, dict[str, Any]] = {
    "Contract": {"starts_on": date(2026, 1, 1), "value": EUROS, "notice": ka.months(3)},
    "Renewal": {"raised_on": date(2026, 11, 1), "due_on": date(2026, 12, 31), "steps": (ka.RenewalStep(to="lost"),)},
    "Order": {"ordered_on": date(2026, 1, 1), "lines": (ka.Line("p", unit_price=EUROS),)},
    "Invoice": {
        "issued_on": date(2026, 1, 1),
        "net": EUROS,
        "payments": (ka.Payment(date(2026, 2, 1), EUROS),),
    },
}


def by_itself(cls: type[Any]) -> Any:
    """Make a record of a kind that nobody puts, from what it requires."""
    shapes = shapes_of(cls)
    needed = {name: "x" for name, shape in shapes.items() if isinstance(shape, (Refer, Text)) and shape.required}
    given = {"organisation_id": "acme"} if "organisation_id" in shapes else {}
    return cls(**{**needed, **given, **NEEDED.get(cls.__name__, {})})


STORED = {type(row) for answer in ANSWERS if isinstance(answer, Rows) for row in answer}
ANSWERS += [by_itself(kind.cls) for kind in KINDS.values() if kind.cls not in STORED]
EVERY = {type(result): result for answer in ANSWERS for result in inside(answer)}
# Bases, and what the rules hand to each other behind the desk.
INTERNAL = {"Rows", "Checked", "Entity", "Subject", "Rules", "Reader", "Claim", "HandoverNote", "Vacancy", "Orphans"}


def test_every_kind_of_answer_is_tried() -> None:
    """No class of results, and no kind of record, escapes the tests below."""
    known = {cls.__name__ for cls in subclasses(Result) if cls.__module__.startswith("keyaccount")}
    tried = {cls.__name__ for cls in EVERY}
    assert known - tried - INTERNAL == set()
    assert {kind.name for kind in KINDS.values()} <= tried


def assert_json(value: Any) -> None:
    """Check that a value is made of JSON's own types and of nothing else."""
    assert type(value) in (dict, list, str, int, float, bool, type(None)), value
    if isinstance(value, dict):
        assert all(type(key) is str for key in value)
        for item in value.values():
            assert_json(item)
    if isinstance(value, list):
        for item in value:
            assert_json(item)


@pytest.mark.parametrize("cls", EVERY, ids=lambda cls: cls.__name__)
def test_to_dict_is_json(cls: type[Result]) -> None:
    """`to_dict()` gives a dictionary of plain JSON types that goes through JSON unchanged, and is not empty."""
    told_dict = EVERY[cls].to_dict()
    assert type(told_dict) is dict
    assert told_dict
    assert_json(told_dict)
    assert json.loads(json.dumps(told_dict, allow_nan=False)) == told_dict


@pytest.mark.parametrize("cls", EVERY, ids=lambda cls: cls.__name__)
def test_shown_and_immutable(cls: type[Result]) -> None:
    """Every result has a short `repr` with its name, a notebook form, and no field that can be set."""
    result: Any = EVERY[cls]
    assert cls.__name__.lower() in repr(result).lower() or cls.__name__ in ("Principal", "Term")
    assert result._repr_html_().startswith("<") or (isinstance(result, Rows) and not len(result))
    for name in list(result.to_dict()) or ["anything"]:
        with pytest.raises((AttributeError, TypeError)):
            setattr(result, name, None)
    with pytest.raises((AttributeError, TypeError)):
        result.something_new = 1


@pytest.mark.parametrize("kind", [kind.cls for kind in KINDS.values()], ids=lambda cls: cls.__name__)
def test_records_are_values(kind: type[Result]) -> None:
    """A stored record pickles, copies, compares and hashes as a value."""
    row = EVERY[kind]
    assert pickle.loads(pickle.dumps(row)) == row  # noqa: S301 - our own bytes
    assert copy.deepcopy(row) == row
    assert len({row, copy.copy(row)}) == 1


def test_plain_values_by_hand() -> None:
    """Money is amount and currency as text, days and moments are ISO text, ranks are words, mappings dictionaries."""
    card = ANSWERS[0].to_dict()
    assert plain(ka.Money("12.34", "EUR")) == {"amount": "12.34", "currency": "EUR"}
    assert plain(ka.Money("1", "JPY")) == {"amount": "1", "currency": "JPY"}
    assert plain(date(2026, 11, 21)) == "2026-11-21"
    assert plain({"a": (Decimal("1.50"), {2})}) == {"a": ["1.50", [2]]}
    assert card["contact"]["birthday"] == "1970-02-28"
    assert card["organisation"]["location"] == {"latitude": "48.4", "longitude": "10"}
    assert card["organisation"]["extra"] == {"n": 1, "tags": ["a", "b"], "deep": {"x": None}}
    assert card["must_stop"] is True
    assert card["key_account_manager"]["since"] == "2020-01-01"
    assert card["last_contact"]["kind"] == "meeting"
    stop = next(row for row in card["notes"]["rows"] if row["id"] == "n")
    assert (stop["text"], stop["severity"], stop["acknowledged"]) == ("Careful", "stop", True)
    assert ANSWERS[4].to_dict()["right"] == "administer"
    assert ANSWERS[4].to_dict()["allowed"] is True


ROWS = [answer for answer in ANSWERS if isinstance(answer, Rows)]


@pytest.mark.parametrize("number", range(len(ROWS)))
def test_rows_are_a_sequence(number: int) -> None:
    """Row-shaped results iterate, count, index and slice alike."""
    rows = ROWS[number]
    listed = list(rows)
    assert len(rows) == len(listed)
    assert rows[0:2] == tuple(listed[:2])
    assert [rows[n] for n in range(len(listed))] == listed
    assert bool(listed) is bool(len(rows))
    with pytest.raises(IndexError):
        rows[len(listed)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_frames_need_their_package(monkeypatch: pytest.MonkeyPatch, backend: Any) -> None:
    """Without its package, `to_frame` raises MissingExtra that names the extra and what to install."""
    monkeypatch.setitem(sys.modules, backend, None)  # as if it were not installed
    for rows in ROWS:
        with pytest.raises(ka.MissingExtra) as caught:
            rows.to_frame(backend)
        assert caught.value.extra == backend
        assert f"keyaccount[{backend}]" in str(caught.value)
        assert isinstance(caught.value, ImportError)


@pytest.mark.parametrize("backend", [b for b in BACKENDS if importlib.util.find_spec(b) is None])
def test_frames_really_need_their_package(backend: Any) -> None:
    """Where a package is really missing, the same error comes without any trick."""
    with pytest.raises(ka.MissingExtra):
        ROWS[0].to_frame(backend)


@pytest.mark.parametrize("backend", ["", "numpy", "os", "pandas ", None, 5, ["pandas"], "PANDAS"])
def test_other_packages_are_refused(backend: Any) -> None:
    """A name that is none of the three packages is refused, and nothing of that name is imported."""
    with pytest.raises(ka.ValidationError):
        ROWS[0].to_frame(backend)


def test_a_frame_has_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame gets one column for each field and one cell for each row; nested values are JSON text."""
    package: Any = ModuleType("pandas")
    package.DataFrame = dict
    monkeypatch.setitem(sys.modules, "pandas", package)
    organisations = next(rows for rows in ROWS if len(rows) and isinstance(rows[0], ka.Organisation))
    frame = organisations.to_frame()
    assert (frame["id"], frame["name"], frame["private"]) == (["acme"], ["ACME"], [False])
    assert json.loads(frame["phones"][0]) == ["+49 89 1234-0", "+49 89 1234567"]
    assert set(frame) == set(organisations[0].to_dict())
    notes = ANSWERS[3].to_frame()
    assert len(notes["text"]) == len(ANSWERS[3])


def test_an_empty_frame_has_its_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame of no rows still has the columns that a frame of some rows has, so that a report does not break."""
    package: Any = ModuleType("pandas")
    package.DataFrame = dict
    monkeypatch.setitem(sys.modules, "pandas", package)
    with ka.open() as book:
        office = book.trusted("test")
        empty = office.find(ka.Organisation).to_frame()
        office.put(ka.Organisation("acme", name="ACME"))
        assert set(empty) == set(office.find(ka.Organisation).to_frame())


def test_an_empty_answer_is_seen() -> None:
    """An answer of no rows shows something in a notebook, where an empty page would hide even its `repr`."""
    with ka.open() as book:
        assert book.trusted("test").find(ka.Organisation)._repr_html_()


@pytest.mark.parametrize("must", [True, False])
def test_an_acknowledged_note_says_so(*, must: bool) -> None:
    """A note that its reader has acknowledged says so to that reader, and to nobody else, whether or not it asked."""
    with ka.open() as book:
        office = book.trusted("test")
        office.put(
            ka.User("volker", name="V"),
            ka.User("carla", name="C"),
            ka.Organisation("acme", name="A"),
            ka.ServiceNote("n", organisation_id="acme", text="x", must_acknowledge=must),
        )
        desk = book.desk("volker")
        desk.service_notes.acknowledge("n")
        assert desk.notes(organisation="acme", context="crm")[0].acknowledged
        assert not book.desk("carla").notes(organisation="acme", context="crm")[0].acknowledged


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow"])
def test_the_notes_of_a_whole_run(backend: Any) -> None:
    """`notes_for` is a mapping, and an answer like the others: as JSON, as a table of all notes, copied and escaped."""
    with ka.open() as book:
        office = book.trusted("test")
        office.put(ka.Organisation("a", name="A"), ka.Organisation("b", name="B"), ka.Organisation("c", name="C"))
        office.put(
            ka.ServiceNote("n", "a", text="<b>"), ka.ServiceNote("m", "a", text="x"), ka.ServiceNote("o", "b", text="y")
        )
        run = office.notes_for(organisations=["b", "a", "c"], context="crm")
        alone = {id: office.notes(organisation=id, context="crm") for id in "bac"}
    assert run == alone
    assert list(run) == ["b", "a", "c"]
    assert run.to_dict() == {id: notes.to_dict() for id, notes in alone.items()}
    again = pickle.loads(pickle.dumps(run))  # noqa: S301 - our own
    assert type(again) is type(run)
    assert again == copy.deepcopy(run) == run
    assert hash(again) == hash(run)
    table = run.to_frame(backend)
    asked = table["asked"].to_pylist() if backend == "pyarrow" else list(table["asked"])
    assert (len(table), sorted(asked)) == (3, ["a", "a", "b"])
    assert "&lt;b&gt;" in run._repr_html_()
    assert "<b>" not in run._repr_html_()
    with pytest.raises(ka.ValidationError, match="must be 'pandas'"):
        run.to_frame("numpy")  # type: ignore[arg-type]


REPORTS: dict[str, Callable[[ka.Desk], Any]] = {
    "health check": lambda desk: desk.health_check(),
    "daily": lambda desk: desk.daily(),
    "overdue": lambda desk: desk.billing.overdue(),
    "ageing": lambda desk: desk.billing.ageing(by="manager"),
    "growth": lambda desk: desk.portfolio.growth(by="sector"),
    "order decline": lambda desk: desk.portfolio.order_decline(),
    "concentration": lambda desk: desk.portfolio.concentration(),
    "days since contact": lambda desk: desk.portfolio.days_since_contact(),
    "due": lambda desk: desk.contracts.due(),
    "movements": lambda desk: desk.portfolio.movements(Period.year(2026)),
}


@pytest.mark.parametrize("name", REPORTS)
def test_reports_are_values(name: str) -> None:
    """A report can be copied, kept and compared, before and after somebody looked at its rows."""
    desk = ka.demo().trusted("test")
    unseen, seen = REPORTS[name](desk), REPORTS[name](desk)
    seen.to_dict()
    assert unseen == seen
    assert hash(REPORTS[name](desk)) == hash(seen)
    again = pickle.loads(pickle.dumps(REPORTS[name](desk)))  # noqa: S301 - our own
    assert again == copy.deepcopy(REPORTS[name](desk)) == seen
    assert repr(REPORTS[name](desk)) == repr(seen)


def test_a_figure_nobody_looked_at_is_one() -> None:
    """What it is asked for first does not matter, and what no figure has it does not have either."""
    rows = ka.demo().trusted("test").portfolio.growth()
    names = attrs.fields_dict(type(rows[0]))
    for name in names:
        fresh = ka.demo().trusted("test").portfolio.growth()
        assert getattr(fresh[0], name) == getattr(rows[0], name)
    with pytest.raises(AttributeError, match="no attribute 'vlaue'"):
        getattr(rows[-1], "vlaue")  # noqa: B009
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        rows[-1].value = None  # type: ignore[misc]
