"""Round trips: the moments ask the storage a constant number of times, however much there is to show."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import attrs
import pytest

import keyaccount as ka
from keyaccount.model.entity import Entity
from keyaccount.queries import COUNTED, Query, Total, Totals
from keyaccount.storage import Storage, StorageUnit, file
from keyaccount.storage.memory import MemoryStorage
from keyaccount.storage.sqlite import SQLiteStorage

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
THE_YEAR = ka.Period.year(2026)
MOST = {
    "get": 4,
    "may": 6,
    "notes": 6,
    "card of an organisation": 12,
    "card of a contact": 12,
    "card of both": 12,
    "caller": 14,
    "notes_for": 8,
    "panel": 15,
    "data_quality": 10,
    "contracts.state": 7,
    "contracts.cover": 8,
    "contracts.due": 11,
    "contracts.notice_deadlines": 11,
    "contracts.expired_unrenewed": 11,
    "renewals.open_renewals": 4,
    "renewals.analysis": 9,
    "portfolio.renewal_rate": 11,
    "portfolio.movements": 11,
    "portfolio.recurring": 11,
    "portfolio.days_to_first_action": 12,
}


class CountingUnit:
    """A unit of work that counts how often the storage is asked."""

    def __init__(self, inner: StorageUnit, storage: CountingStorage) -> None:
        """Wrap a unit."""
        self._inner, self._storage = inner, storage

    def find(self, query: Query) -> Iterator[Entity]:
        """Count one round trip."""
        self._storage.asked.append(f"find {query.kind.name}")
        return self._inner.find(query)

    def gather(self, queries: Sequence[Query]) -> list[list[Entity]]:
        """Count one round trip, of however many questions."""
        self._storage.asked.append("gather " + ", ".join(query.kind.name for query in queries))
        return self._inner.gather(queries)

    def columns(self, query: Query, fields: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """Count one round trip."""
        self._storage.asked.append(f"columns {query.kind.name}")
        return self._inner.columns(query, fields)

    def totals(self, query: Query, asked: Totals = COUNTED) -> Iterator[Total]:
        """Count one round trip."""
        self._storage.asked.append(f"totals {query.kind.name}")
        return self._inner.totals(query, asked)

    def __getattr__(self, name: str) -> Any:
        """Hand on everything else: writing and the audit are not counted here."""
        return getattr(self._inner, name)


class CountingStorage:
    """A storage that counts how often it is asked: one in memory, or another one."""

    def __init__(self, inner: Storage | None = None) -> None:
        """Start empty."""
        self._inner = inner or MemoryStorage()
        self.asked: list[str] = []

    @contextmanager
    def unit(self, *, write: bool) -> Iterator[CountingUnit]:
        """Open a counting unit."""
        with self._inner.unit(write=write) as inner:
            yield CountingUnit(inner, self)

    def __getattr__(self, name: str) -> Any:
        """Hand on everything else."""
        return getattr(self._inner, name)


def opened(storage: CountingStorage) -> ka.Book:
    """Open a book on a counting storage, which is one in all that it hands on; heads of units oversee what is below."""
    policy = ka.AccessPolicy(oversight=ka.Right.READ)
    return ka.Book(cast("Any", storage), region="DE", clock=lambda: NOW, policy=policy)


def filled(size: int, inner: Storage | None = None) -> CountingStorage:
    """Fill a storage in which everything that a card shows is there `size` times over."""
    storage = CountingStorage(inner)
    office = opened(storage).trusted("test")
    many, depth = range(size), min(size, 30)
    records: list[Any] = [
        ka.Unit("u0", name="U"),
        ka.ClientGroup("segment", name="S"),
        *(ka.Unit(f"u{n}", name="U", parent_id=f"u{n - 1}") for n in range(1, depth)),
        ka.User("volker", name="Volker", unit_ids=(f"u{depth - 1}",)),
        *(ka.Unit(f"headed{n}", name="U", head_id="volker") for n in many),
        *(ka.User(f"user{n}", name="U", unit_ids=(f"headed{n}",)) for n in many),
        *(ka.Organisation(f"up{n}", name="Up", parent_id=f"up{n - 1}" if n else None) for n in range(depth)),
        *(
            ka.Organisation(f"o{n}", name="O", parent_id=f"up{depth - 1}", phones=("+49 89 1234567", f"+49 30 {n:07}"))
            for n in many
        ),
        *(ka.Contact(f"c{n}", name="C", vip=n % 2 == 0, phones=("+49 89 1234567",)) for n in many),
        # everyone works everywhere near the first organisation, and the first contact at all of them
        *(
            ka.Position(f"p{n}", contact_id=f"c{n}", organisation_id="o0", role="buyer", phones=("+49 89 1234567",))
            for n in many
        ),
        *(ka.Position(f"q{n}", contact_id="c0", organisation_id=f"o{n}", title="T") for n in range(1, size)),
        *(ka.Assignment(f"a{n}", user_id=f"user{n}", organisation_id=f"o{n}") for n in many),
        *(ka.Assignment(f"d{n}", user_id=f"user{n}", organisation_id="o0", role=ka.DEPUTY) for n in many),
        *(ka.Assignment(f"k{n}", user_id=f"user{n}", contact_id="c0") for n in many),
        ka.Assignment("kam", user_id="volker", organisation_id="up0", covers_subsidiaries=True),
        *(ka.Grant(f"g{n}", organisation_id=f"o{n}", principal=ka.unit("u0"), right=ka.Right.CHANGE) for n in many),
        *(ka.NoteCategory(f"cat{n}", contexts=("phone", "documents", "crm")) for n in many),
        *(ka.ServiceNote(f"n{n}", organisation_id="o0", text="x", category=f"cat{n}") for n in many),
        *(ka.ServiceNote(f"m{n}", organisation_id=f"o{n}", text="x", dismissible=True) for n in many),
        *(ka.ServiceNote(f"s{n}", organisation_id="up0", text="x", for_subsidiaries=True) for n in many),
        *(ka.ServiceNote(f"w{n}", contact_id="c0", text="x") for n in many),
        *(
            ka.Activity(
                f"x{n}",
                organisation_id=f"o{n}",
                contact_ids=(f"c{n}", "c0"),
                kind="meeting",
                at=NOW - timedelta(days=n),
                by_id=f"user{n}",
                follow_up_on=date(2026, 11, 1),
            )
            for n in many
        ),
        *business("o0", size),
        *(record for n in many[1:] for record in business(f"o{n}", 1)),
        *(ka.ServiceNote(f"r{n}", organisation_id="o0", about=ka.Reference("Activity", f"x{n}")) for n in many),
    ]
    office.put_many(records)
    desk = opened(storage).desk("volker")
    for n in many:
        desk.service_notes.dismiss(f"m{n}")
    return storage


def business(organisation: str, size: int) -> Iterator[Entity]:
    """Make contracts to renew, orders to deliver, overdue invoices and links, so many of each."""
    euros, start = ka.Money(100, "EUR"), date(2026, 1, 1)
    for n in range(size):
        own = f"{organisation}-{n}"
        before = (f"{organisation}-{n - 1}",) if n % 2 else ()
        days: dict[str, Any] = {"signed_on": start, "starts_on": start, "ends_on": date(2026, 12, 31)}
        yield ka.Contract(own, organisation, kind=f"kind {n % 3}", predecessor_ids=before, **days)
        yield ka.Renewal(own, organisation, own, raised_on=start, due_on=date(2026, 12, 31))
        yield ka.Order(own, organisation, ordered_on=start, lines=(ka.Line("p", unit_price=euros),))
        yield ka.Invoice(own, organisation, issued_on=start, due_on=start, net=euros)
        yield ka.Invoice(f"{own}-undue", organisation, issued_on=start, net=euros)
        for kind in ("task", "project", "warranty"):
            yield ka.Link(f"{own}-{kind}", organisation, kind=kind, dated_on=start if n % 2 else None)


CALLS: dict[str, Callable[[ka.Desk, list[str]], Any]] = {
    "get": lambda desk, ids: desk.get(ka.Organisation, ids[0]),
    "may": lambda desk, ids: desk.may(ids[0], ka.Right.CHANGE),
    "notes": lambda desk, ids: desk.notes(organisation=ids[0], context="crm"),
    "card of an organisation": lambda desk, ids: desk.card(organisation=ids[0], context="crm"),
    "card of a contact": lambda desk, ids: desk.card(contact=ids[0].replace("o", "c"), context="crm"),
    "card of both": lambda desk, ids: desk.card(contact="c0", organisation=ids[0], context="crm"),
    "caller": lambda desk, ids: desk.caller("+49 89 1234567") if ids else None,
    "notes_for": lambda desk, ids: desk.notes_for(organisations=ids, context="crm"),
    "panel": lambda desk, ids: desk.panel(ids[0]),
    "data_quality": lambda desk, _: desk.data_quality(),
    "contracts.state": lambda desk, ids: desk.contracts.state(f"{ids[0]}-0"),
    "contracts.cover": lambda desk, ids: desk.contracts.cover(ids[0]),
    "contracts.due": lambda desk, _: desk.contracts.due(by="manager", group="key accounts"),
    "contracts.notice_deadlines": lambda desk, _: desk.contracts.notice_deadlines(group="segment"),
    "contracts.expired_unrenewed": lambda desk, _: desk.contracts.expired_unrenewed(group="segment"),
    "renewals.open_renewals": lambda desk, _: desk.renewals.open_renewals(),
    "renewals.analysis": lambda desk, ids: desk.renewals.analysis(f"{ids[0]}-0"),
    "portfolio.renewal_rate": lambda desk, _: desk.portfolio.renewal_rate(THE_YEAR, by="manager", group="segment"),
    "portfolio.movements": lambda desk, _: desk.portfolio.movements(THE_YEAR, by="group"),
    "portfolio.recurring": lambda desk, _: desk.portfolio.recurring(by="unit", frames=True),
    "portfolio.days_to_first_action": lambda desk, _: desk.portfolio.days_to_first_action(THE_YEAR, group="segment"),
}


def organisations(size: int) -> list[str]:
    """Return the ids of the organisations in a storage of a size."""
    return [f"o{n}" for n in range(size)]


SIZES = (1, 2, 7, 120)


@pytest.fixture(scope="module")
def asked() -> dict[str, dict[int, list[str]]]:
    """Ask every question on a user's desk of storages of several sizes, and remember how the storage was asked."""
    found: dict[str, dict[int, list[str]]] = {name: {} for name in CALLS}
    for size in SIZES:
        storage = filled(size)
        desk = opened(storage).desk("volker")
        for name, call in CALLS.items():
            storage.asked.clear()
            assert call(desk, organisations(size)) is not None
            found[name][size] = list(storage.asked)
    return found


@pytest.mark.parametrize("name", CALLS)
def test_round_trips_are_few_and_constant(asked: dict[str, dict[int, list[str]]], name: str) -> None:
    """A moment takes as many round trips for a hundred notes, organisations, contacts and units as for two."""
    counts = {size: len(asked[name][size]) for size in SIZES}
    assert max(counts.values()) <= MOST[name], asked[name][SIZES[-1]]
    # one of everything may need fewer (a single match is not ranked), never more
    assert len({counts[size] for size in SIZES[1:]}) == 1, counts
    assert counts[1] <= counts[2]


def test_questions_in_a_round_trip_do_not_grow(asked: dict[str, dict[int, list[str]]]) -> None:
    """The questions inside the round trips of a moment are as many for a hundred of everything as for seven."""
    for name in ("card of both", "panel", "notes_for", "data_quality"):
        trips = asked[name]
        many = {size: sum(trip.count(",") + 1 for trip in trips[size]) for size in SIZES}
        assert many[120] == many[7], trips[120]


def test_a_trusted_desk_asks_no_more() -> None:
    """A trusted desk needs no more round trips than a user's desk."""
    storage = filled(3)
    book = opened(storage)
    for name, call in CALLS.items():
        storage.asked.clear()
        call(book.trusted("test"), organisations(3))
        assert 0 < len(storage.asked) <= MOST[name]


def test_a_run_of_alerts_asks_a_constant_number_of_times() -> None:
    """A run of alerts reads as often for a hundred accounts as for two, and writes in one go."""
    counts = {}
    for size in SIZES:
        storage = filled(size)
        office = opened(storage).trusted("test")
        office.put_many([attrs.evolve(row, state="lost", reason="price") for row in office.find(ka.Renewal)])
        office.put_many([attrs.evolve(row, ends_on=date(2026, 12, 30)) for row in office.find(ka.Contract)])
        storage.asked.clear()
        assert len(office.renewals.raise_alerts().raised) >= size // 2
        counts[size] = len(storage.asked)
    assert max(counts.values()) <= 9
    assert len({counts[size] for size in SIZES[1:]}) == 1, counts


def test_the_counter_counts() -> None:
    """The counting storage sees a question that is asked once for each record, so that the tests above can fail."""
    storage = filled(5)
    desk = opened(storage).desk("volker")
    storage.asked.clear()
    for n in range(5):
        desk.notes(organisation=f"o{n}", context="crm")
    assert len(storage.asked) >= 5
    storage.asked.clear()
    desk.count(ka.Organisation)
    assert storage.asked[-1] == "totals Organisation"


# ---- statements on SQLite ----------------------------------------------------------------------------------------

AROUND = ("BEGIN", "COMMIT", "SELECT seq FROM act LIMIT 1")
"""What every unit of work on SQLite begins and ends with; counted apart."""


class Traced:
    """The statements that SQLite really ran, in all connections made while the tracer is there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Trace every connection that a storage makes from now on."""
        self.ran: list[str] = []
        connect = file.connect

        def traced(*given: Any) -> sqlite3.Connection:
            connection = connect(*given)
            connection.set_trace_callback(self.ran.append)
            return connection

        monkeypatch.setattr(file, "connect", traced)

    def of(self, call: Callable[[], Any]) -> list[str]:
        """Return the statements of one call, without those around it."""
        self.ran.clear()
        assert call() is not None
        assert self.ran[0] == "BEGIN"
        return [text for text in self.ran if text not in AROUND]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[int, list[str]]]]:
    """Ask every question on a user's desk of SQLite files of several sizes, and remember what SQLite ran."""
    found: dict[str, dict[int, list[str]]] = {name: {} for name in CALLS}
    folder = tmp_path_factory.mktemp("statements")
    with pytest.MonkeyPatch.context() as monkeypatch:
        tracer = Traced(monkeypatch)
        for size in SIZES:
            storage = filled(size, SQLiteStorage(folder / f"{size}.db"))
            desk = opened(storage).desk("volker")
            for name, call in CALLS.items():
                found[name][size] = tracer.of(partial(call, desk, organisations(size)))
            storage.close()
        yield found


@pytest.mark.parametrize("name", CALLS)
def test_statements_are_few_and_constant(ran: dict[str, dict[int, list[str]]], name: str) -> None:
    """A moment takes as many SQL statements for a hundred of everything as for two, and no more than are promised."""
    counts = {size: len(ran[name][size]) for size in SIZES}
    assert max(counts.values()) <= MOST[name], "\n".join(text[:150] for text in ran[name][SIZES[-1]])
    assert len({counts[size] for size in SIZES[1:]}) == 1, counts
    assert 0 < counts[1] <= counts[2]


def test_notes_for_a_thousand_organisations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The notes of a thousand organisations take as many statements as those of two."""
    tracer = Traced(monkeypatch)
    storage = filled(2, SQLiteStorage(tmp_path / "many.db"))
    office, desk = opened(storage).trusted("test"), opened(storage).desk("volker")
    ids = [f"more{n}" for n in range(1_000)]
    office.put_many([ka.Organisation(id, name="O", parent_id="up0") for id in ids])
    office.put_many([ka.ServiceNote(f"note {id}", organisation_id=id, text="x") for id in ids])
    few = tracer.of(lambda: desk.notes_for(organisations=ids[:2], context="crm"))
    found: dict[str, Any] = {}
    many = tracer.of(lambda: found.update(desk.notes_for(organisations=ids, context="crm")) or found)
    assert len(found) == 1_000
    assert len(few) == len(many) <= MOST["notes_for"]
    storage.close()


def test_the_tracer_traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tracer sees a question that is asked for each record, so that the tests above can fail."""
    tracer = Traced(monkeypatch)
    storage = filled(5, SQLiteStorage(tmp_path / "few.db"))
    desk = opened(storage).desk("volker")
    assert len(tracer.of(lambda: [desk.notes(organisation=f"o{n}", context="crm") for n in range(5)])) >= 15
    storage.close()


def test_texts_stay_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A question that is asked again is the same text, so that the database need not plan it anew."""
    tracer = Traced(monkeypatch)
    storage = filled(3, SQLiteStorage(tmp_path / "same.db"))
    desk = opened(storage).desk("volker")
    for call in CALLS.values():
        first = tracer.of(partial(call, desk, organisations(3)))
        assert tracer.of(partial(call, desk, organisations(3))) == first
    storage.close()


def test_heads_oversee_units_below_theirs() -> None:
    """Who heads a unit oversees the users of every unit below it, however deep, and of no other."""
    storage = CountingStorage()
    book = ka.Book(
        cast("Any", storage), policy=ka.AccessPolicy(default=None, oversight=ka.Right.READ), clock=lambda: NOW
    )
    office = book.trusted("test")
    office.put_many(
        [
            ka.User("head", name="H"),
            ka.Unit("top", name="T", head_id="head"),
            ka.Unit("middle", name="M", parent_id="top"),
            ka.Unit("low", name="L", parent_id="middle"),
            ka.Unit("other", name="O"),
            *(ka.User(f"in {unit}", name="U", unit_ids=(unit,)) for unit in ("top", "low", "other")),
            *(ka.Organisation(f"of {unit}", name="O") for unit in ("top", "low", "other")),
        ]
    )
    for unit in ("top", "low", "other"):
        office.people.assign(f"in {unit}", organisation=f"of {unit}")
    assert [row.id for row in book.desk("head").find(ka.Organisation)] == ["of low", "of top"]
