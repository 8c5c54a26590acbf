"""Opening a book: settings that make no sense are refused, the clock and zone decide the day, closed is closed."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import attrs
import pytest

import keyaccount as ka
from keyaccount.storage.memory import MemoryStorage

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def nothing(_: object, __: object) -> list[ka.ComputedNote]:
    """Provide no notes."""
    return []


BAD: list[dict[str, Any]] = [
    {"policy": "closed"}, {"policy": ka.Right.READ}, {"policy": ka.AccessPolicy},
    {"region": "Germany"}, {"region": ""}, {"region": "D"}, {"region": 49}, {"region": b"DE"}, {"region": "Д1"},
    {"zone": "Berlin"}, {"zone": ""}, {"zone": None}, {"zone": 1}, {"zone": "../../etc/passwd"}, {"zone": "Europe"},
    {"zone": "UTC\x00"}, {"zone": "\ud800"}, {"zone": "x" * 10_000}, {"zone": UTC}, {"zone": "/etc/localtime"},
    {"clock": NOON}, {"clock": None}, {"clock": "now"},
    {"providers": [nothing]}, {"providers": nothing}, {"providers": "stock"}, {"providers": 5}, {"providers": None},
    {"providers": [ka.Provider("a", nothing), ka.Provider("a", nothing)]},
]  # fmt: skip


@pytest.mark.parametrize("setting", BAD)
def test_bad_settings_are_refused(setting: dict[str, Any]) -> None:
    """A setting that makes no sense is refused by name when the book is opened."""
    for opened in (ka.open, lambda **given: ka.Book(MemoryStorage(), **given)):
        with pytest.raises(ka.ValidationError) as caught:
            opened(**setting)
        assert caught.value.problems[0].field in setting


@pytest.mark.parametrize(
    "setting",
    [
        {"default": ka.Right.CHANGE},
        {"default": 1},
        {"roles": {"buddy": ka.Right.ADMINISTER}},
        {"roles": {ka.KEY_ACCOUNT_MANAGER: ka.Right.READ}},
        {"roles": {"buddy": 1}},
        {"roles": ["buddy"]},
        {"stewards": "sophie"},
        {"stewards": [5]},
        {"may_create": "yes"},
    ],
)
def test_bad_policies_are_refused(setting: dict[str, Any]) -> None:
    """A policy that gives more than it may, or is no policy, is refused."""
    with pytest.raises(ka.ValidationError) as caught:
        ka.AccessPolicy(**setting)
    assert caught.value.problems[0].entity == "AccessPolicy"


@pytest.mark.parametrize(
    ("name", "function"),
    [("", nothing), (5, nothing), ("a\nb", nothing), ("x" * 201, nothing), ("a", 5), ("vip", nothing)],
)
def test_bad_providers_are_refused(name: Any, function: Any) -> None:
    """A provider has a short name of its own and a function."""
    with pytest.raises(ka.ValidationError):
        ka.Provider(name, function)


@pytest.mark.parametrize("name", ["", "  ", None, 5, "a\nb", "x" * 201, b"job"])
def test_a_trusted_desk_has_a_name(name: Any) -> None:
    """A trusted desk needs a name for the audit."""
    with ka.open() as book, pytest.raises(ka.ValidationError):
        book.trusted(name)


@pytest.mark.parametrize("user", [None, 5, b"volker", ["volker"]])
def test_a_desk_is_bound_to_an_id(user: Any) -> None:
    """A desk is bound to the id of a user, and to nothing else."""
    with ka.open() as book, pytest.raises(ka.ValidationError):
        book.desk(user)


@pytest.mark.parametrize("user", ["nobody", "", "VOLKER", "volker ", "gone"])
def test_no_desk_for_nobody(user: str) -> None:
    """An unknown user, and one who is not active, have no desk: the same error for both."""
    with ka.open() as book:
        book.trusted("test").put(ka.User("volker", name="V"), ka.User("gone", name="G", active=False))
        with pytest.raises(ka.NotFound) as caught:
            book.desk(user)
        assert (caught.value.kind, caught.value.id) == ("User", user)


# ---- the day ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "moment", "day"),
    [
        ("UTC", "2026-11-21T23:30:00+00:00", 21),
        ("Europe/Berlin", "2026-11-21T22:59:59+00:00", 21),
        ("Europe/Berlin", "2026-11-21T23:00:00+00:00", 22),
        ("America/Los_Angeles", "2026-11-21T07:59:59+00:00", 20),
        ("America/Los_Angeles", "2026-11-21T08:00:00+00:00", 21),
        ("Asia/Tokyo", "2026-11-21T16:00:00+01:00", 22),
        ("Asia/Kathmandu", "2026-11-21T18:15:00+00:00", 22),
        ("Europe/Berlin", "2026-11-21T23:30:00-05:00", 22),
    ],
)
def test_the_zone_decides_the_day(zone: str, moment: str, day: int) -> None:
    """What counts today is what counts on the day it is in the book's zone, whatever zone the clock speaks."""
    with ka.open(zone=zone, clock=lambda: datetime.fromisoformat(moment)) as book:
        office = book.trusted("test")
        office.put(ka.Organisation("acme", name="A"))
        days = [date(2026, 11, n) for n in (19, 20, 21, 22, 23)]
        office.put_many(
            ka.ServiceNote(str(d.day), organisation_id="acme", text="x", valid_from=d, valid_until=d) for d in days
        )
        assert [note.id for note in office.notes(organisation="acme", context="crm")] == [str(day)]


def test_rights_end_at_midnight_in_the_zone() -> None:
    """An assignment that ends today counts until midnight in the book's zone, and not a second longer."""
    clock = [datetime(2026, 11, 21, 22, 59, 59, tzinfo=UTC)]
    policy = ka.AccessPolicy(default=None)
    with ka.open(zone="Europe/Berlin", clock=lambda: clock[0], policy=policy) as book:
        book.trusted("test").put(
            ka.User("volker", name="V"),
            ka.Organisation("acme", name="A"),
            ka.Assignment(user_id="volker", organisation_id="acme", valid_until=date(2026, 11, 21)),
        )
        desk = book.desk("volker")
        assert desk.count(ka.Organisation) == 1
        clock[0] += timedelta(seconds=1)
        assert desk.count(ka.Organisation) == 0


CLOCKS: list[Callable[[], Any]] = [
    lambda: datetime(2026, 11, 21),  # noqa: DTZ001 - naive on purpose
    lambda: date(2026, 11, 21),
    lambda: 1_795_000_000.0,
    lambda: None,
    lambda: "2026-11-21T12:00:00Z",
    lambda: datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))),
    lambda: datetime.min.replace(tzinfo=timezone(timedelta(hours=12))),
]


@pytest.mark.parametrize("clock", CLOCKS)
def test_a_clock_without_a_zone_is_refused(clock: Callable[[], Any]) -> None:
    """A clock that returns no moment, a naive one, or one at the end of the calendar is refused by name."""

    def use() -> None:
        with ka.open(clock=clock, zone="Asia/Tokyo") as book:
            book.trusted("test").find(ka.Unit)

    with pytest.raises(ka.ValidationError) as caught:
        use()
    assert caught.value.problems[0].field == "clock"


# ---- the end ---------------------------------------------------------------------------------------------


def test_a_closed_book_says_so() -> None:
    """After closing, every call of the book and of its desks raises StorageUnavailable; closing again does nothing."""
    book = ka.open()
    office = book.trusted("test")
    office.put(ka.User("volker", name="V"), ka.Organisation("acme", name="A"))
    desk = book.desk("volker")
    half_read = desk.find(ka.Organisation)
    with book:
        pass
    book.close()
    assert "closed" in repr(book)
    calls: list[Callable[[], Any]] = [
        lambda: book.desk("volker"),
        lambda: desk.get(ka.Organisation, "acme"),
        lambda: desk.find(ka.Organisation),
        lambda: desk.count(ka.Organisation),
        lambda: desk.search("a"),
        lambda: desk.put(ka.Organisation("x", name="X")),
        lambda: desk.put_many([]),
        lambda: desk.remove(ka.Organisation, "acme"),
        lambda: desk.may("acme"),
        lambda: desk.card(organisation="acme", context="crm"),
        lambda: desk.caller("+49 89 1"),
        lambda: desk.notes(organisation="acme", context="crm"),
        lambda: desk.notes_for(organisations=["acme"], context="crm"),
        lambda: office.transaction().__enter__(),
        desk.people.vips,
        desk.activities.follow_ups,
    ]
    for call in calls:
        with pytest.raises(ka.StorageUnavailable, match="closed"):
            call()
    assert len(half_read) == 1  # what was read is read


def test_a_block_closes_its_book_also_after_an_error() -> None:
    """Leaving the block of a book by an exception closes the book and hides nothing of the exception."""
    book = ka.open()
    with pytest.raises(ZeroDivisionError), book:
        raise ZeroDivisionError
    with pytest.raises(ka.StorageUnavailable):
        book.trusted("test").find(ka.Unit)


@pytest.mark.parametrize("ends", ["deactivate", "remove"])
def test_a_deactivated_user_is_denied(ends: str) -> None:
    """The desk of a user who is deactivated or removed denies from the next call, half-read lists included."""
    book = ka.open()
    office = book.trusted("test")
    office.put(ka.User("volker", name="V"), ka.Organisation("acme", name="A"))
    office.put_many(ka.Organisation(f"o{n:04}", name="x") for n in range(600))
    desk = book.desk("volker")
    rows = iter(desk.find(ka.Organisation))
    next(rows)
    if ends == "remove":
        office.remove(ka.User, "volker")
    else:
        office.put(attrs.evolve(office.get(ka.User, "volker"), active=False))
    calls: list[Callable[[], Any]] = [
        lambda: desk.get(ka.Organisation, "acme"),
        lambda: desk.find(ka.Unit),
        lambda: desk.count(ka.Unit),
        lambda: desk.search("a"),
        lambda: desk.put(ka.Organisation("x", name="X")),
        lambda: desk.may("acme"),
        lambda: desk.caller("+49 89 1"),
        lambda: desk.notes(organisation="acme", context="crm"),
        lambda: list(rows),
    ]
    for call in calls:
        with pytest.raises(ka.AccessDenied):
            call()
    assert office.count(ka.Organisation) == 601


def test_a_desk_works_in_another_thread() -> None:
    """A desk made in one thread is used in another."""
    found: list[int] = []
    with ka.open() as book:
        desk = book.trusted("test")
        desk.put(ka.Organisation("acme", name="A"))
        thread = threading.Thread(target=lambda: found.append(desk.count(ka.Organisation)))
        thread.start()
        thread.join()
    assert found == [1]


def test_a_second_book_of_a_storage_ships_nothing_twice() -> None:
    """A storage that holds something is not furnished again, and keeps what was removed from the shipped records."""
    storage = MemoryStorage()
    office = ka.Book(storage).trusted("test")
    before = {row.id for row in office.find(ka.Context)}
    assert {"crm", "phone", "documents", "documents.invoice", "purchasing"} <= before
    office.remove(ka.Context, "purchasing")
    again = ka.Book(storage).trusted("test")
    assert {row.id for row in again.find(ka.Context)} == before - {"purchasing"}


def test_a_missing_provider_is_told() -> None:
    """A book opened without a provider that its data were used with says so on every answer, until it is retired."""
    storage = MemoryStorage()
    ka.Book(storage, providers=[ka.Provider("stock", nothing)]).trusted("test").put(ka.Organisation("acme", name="A"))
    office = ka.Book(storage).trusted("test")
    (note,) = office.notes(organisation="acme", context="crm")
    assert (note.severity, note.text) == (ka.Severity.WARNING, "provider stock is not installed here")
    office.remove(ka.ExpectedProvider, "stock")
    assert len(office.notes(organisation="acme", context="crm")) == 0


# ---- the import ------------------------------------------------------------------------------------------

HEAVY = ("cattrs", "cattr", "phonenumbers", "dateutil", "sqlite3", "_sqlite3", "pandas", "polars", "pyarrow", "numpy")


def run(program: str) -> str:
    """Run a program in a fresh interpreter that finds this library."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={"PYTHONPATH": str(Path(ka.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def test_import_loads_nothing_heavy() -> None:
    """`import keyaccount`, and touching every public name, loads none of the packages that first use may load."""
    touch = "import sys, keyaccount as ka\n[getattr(ka, name) for name in ka.__all__]\n"
    assert run(f"{touch}print([m for m in {HEAVY} if m in sys.modules])") == "[]\n"


def test_import_changes_nothing() -> None:
    """Importing prints nothing and leaves locale, decimal context, warnings, logging and threads as they were."""
    program = """
import decimal, locale, logging, sys, threading, warnings
state = lambda: (repr(decimal.getcontext()), locale.setlocale(locale.LC_ALL), list(warnings.filters),
                 logging.getLogger().handlers[:], logging.getLogger().level, threading.active_count(),
                 sys.getrecursionlimit(), sys.excepthook)
before = state()
import keyaccount as ka
[getattr(ka, name) for name in ka.__all__]
print(state() == before, ka.logging if hasattr(ka, "logging") else "")
"""
    assert run(program).split() == ["True"]


@pytest.mark.parametrize("flags", [(), ("-O",), ("-OO",)])
def test_the_demo_runs_in_a_fresh_process(flags: tuple[str, ...]) -> None:
    """The first lines of the documentation work in a fresh process, with and without assertions and docstrings."""
    program = "import keyaccount as ka\nprint(ka.demo().desk('volker').caller('+49 89 1234-567').name)"
    done = subprocess.run(
        [sys.executable, *flags, "-c", program],
        env={"PYTHONPATH": str(Path(ka.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )  # fmt: skip
    assert done.stdout == "Ingo Prospect\n"


@pytest.mark.parametrize("path", [":memory:", "file:crm?mode=memory"])
def test_what_other_programs_call_memory_is_no_file(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file of such a name is made where somebody meant a book in memory."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ka.ValidationError, match="without a path a book is in memory"):
        ka.open(path)
    assert list(tmp_path.iterdir()) == []
