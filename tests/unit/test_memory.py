"""Transactions in memory: all or nothing, one state to read, nothing lost between threads and tasks."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import attrs
import pytest

import keyaccount as ka
from keyaccount.catalogue import kind_of
from keyaccount.queries import Query
from keyaccount.storage import Act, Change
from keyaccount.storage.memory import MemoryStorage

THREADS, INCREMENTS = 16, 20


@pytest.fixture
def office() -> ka.Desk:
    """Open a book with one organisation, whose name counts."""
    desk = ka.open().trusted("test")
    desk.put(ka.Organisation("acme", name="0"))
    return desk


def names(desk: ka.Desk) -> dict[str, str]:
    """Return what is stored."""
    return {row.id: row.name for row in desk.find(ka.Organisation)}


def renamed(desk: ka.Desk, name: str, id: str = "acme") -> ka.Organisation:
    """Change a name."""
    return desk.put(attrs.evolve(desk.get(ka.Organisation, id), name=name))


class StopHere(Exception):
    """Leaves a block."""


# ---- all or nothing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [StopHere, KeyboardInterrupt, SystemExit, GeneratorExit, ka.AccessDenied])
def test_nothing_is_kept_where_the_block_raises(office: ka.Desk, error: type[BaseException]) -> None:
    """A transaction left by any exception leaves no trace, neither of its changes nor of what it made or removed."""

    def work() -> None:
        with office.transaction():
            renamed(office, "1")
            office.put(ka.Organisation("globex", name="G"))
            office.put(ka.ServiceNote("n", organisation_id="globex", text="x"))
            office.remove(ka.Organisation, "acme")
            assert names(office) == {"globex": "G"}
            raise error

    with pytest.raises(error):
        work()
    assert names(office) == {"acme": "0"}
    assert office.count(ka.ServiceNote) == 0
    assert office.get(ka.Organisation, "acme").version == 1
    renamed(office, "2")  # and the book can be written again
    assert names(office) == {"acme": "2"}


def test_everything_is_kept_otherwise(office: ka.Desk) -> None:
    """A transaction left normally keeps all of it, and others see it all at once."""
    with office.transaction():
        for n in range(1, 4):
            renamed(office, str(n))
        office.put(ka.Organisation("globex", name="G"))
    assert names(office) == {"acme": "3", "globex": "G"}
    assert office.get(ka.Organisation, "acme").version == 4


def test_a_refused_call_leaves_the_rest_of_its_transaction(office: ka.Desk) -> None:
    """A call that is refused inside a transaction, and caught there, leaves nothing of its own; the rest is kept."""
    with office.transaction():
        renamed(office, "1")
        with pytest.raises(ka.ValidationError):
            office.put(ka.Organisation("globex", name="G"), ka.Unit("u", name="U", parent_id="nowhere"))
    assert names(office) == {"acme": "1"}


def test_a_refused_stream_leaves_the_rest_of_its_transaction(office: ka.Desk) -> None:
    """A refused `put_many` that is caught inside a transaction leaves none of its records behind."""
    stream = [ka.Organisation(f"o{n:04}", name="x") for n in range(1_500)]
    stream.append(ka.Organisation("last", name="x", parent_id="nowhere"))
    with office.transaction():
        renamed(office, "1")
        with pytest.raises(ka.ValidationError):
            office.put_many(stream)
    assert names(office) == {"acme": "1"}


def test_a_stream_that_breaks_leaves_nothing(office: ka.Desk) -> None:
    """An iterable that raises half-way leaves nothing of what it gave before."""

    def stream() -> object:
        yield from (ka.Organisation(f"o{n:04}", name="x") for n in range(1_500))
        raise StopHere

    with pytest.raises(StopHere):
        office.put_many(stream())  # type: ignore[arg-type]
    assert names(office) == {"acme": "0"}


def test_own_writes_are_read(office: ka.Desk) -> None:
    """Inside a transaction every call sees what was written before: by id, list, count, reference and search."""
    with office.transaction():
        office.put(ka.Organisation("globex", name="Globex", parent_id="acme", refs={"erp": "7"}))
        assert office.get(ka.Organisation, "globex").name == "Globex"
        assert office.get(ka.Organisation, ref=("erp", "7")).id == "globex"
        assert [row.id for row in office.find(ka.Organisation, parent_id="acme")] == ["globex"]
        assert office.count(ka.Organisation) == 2
        assert [hit.id for hit in office.search("glob")] == ["globex"]
        office.put(attrs.evolve(office.get(ka.Organisation, "globex"), refs={}, parent_id=None))
        assert [row.id for row in office.find(ka.Organisation, parent_id="acme")] == []
        with pytest.raises(ka.NotFound):
            office.get(ka.Organisation, ref=("erp", "7"))
        office.remove(ka.Organisation, "globex")
        assert names(office) == {"acme": "0"}


def test_a_transaction_inside_another_joins_it(office: ka.Desk) -> None:
    """An inner transaction, another desk's too, is part of the outer one: its end keeps nothing by itself."""
    other = office._book.trusted("other")

    def work() -> None:
        with office.transaction():
            with other.transaction(), office.transaction():
                renamed(other, "1")
            assert names(other) == {"acme": "1"}
            raise StopHere

    with pytest.raises(StopHere):
        work()
    assert names(office) == {"acme": "0"}


def test_two_books_have_their_own_transactions(office: ka.Desk) -> None:
    """A transaction of one book is none of another's."""
    other = ka.open().trusted("other")

    def work() -> None:
        with office.transaction():
            other.put(ka.Organisation("globex", name="G"))
            renamed(office, "1")
            raise StopHere

    with pytest.raises(StopHere):
        work()
    assert names(office) == {"acme": "0"}
    assert names(other) == {"globex": "G"}


# ---- versions --------------------------------------------------------------------------------------------


def test_second_writer_of_one_record(office: ka.Desk) -> None:
    """Who changes what somebody else has changed meanwhile gets ConflictError with both versions; nothing is kept."""
    mine, theirs = office.get(ka.Organisation, "acme"), office.get(ka.Organisation, "acme")
    office.put(attrs.evolve(theirs, name="theirs"))
    with pytest.raises(ka.ConflictError) as caught:
        office.put(ka.Organisation("globex", name="G"), attrs.evolve(mine, name="mine"))
    error = caught.value
    assert (error.kind, error.id, error.expected, error.found) == ("Organisation", "acme", 1, 2)
    assert names(office) == {"acme": "theirs"}


def test_storage_checks_versions_itself() -> None:
    """The storage refuses a change of a version it does not hold, and keeps none of the changes beside it."""
    storage, now = MemoryStorage(), datetime(2026, 11, 21, tzinfo=UTC)
    kind = kind_of(ka.Organisation)
    one = ka.Organisation("acme", name="1", version=1)
    with storage.unit(write=True) as unit:
        unit.write(Act(now, "test"), [Change("Organisation", "acme", None, one)])
    for before in (None, attrs.evolve(one, version=2)):
        fresh = ka.Organisation("new", name="x", version=1)
        changes = [
            Change("Organisation", "new", None, fresh),
            Change("Organisation", "acme", before, attrs.evolve(one, name="2", version=3)),
        ]
        with pytest.raises(ka.ConflictError), storage.unit(write=True) as unit:
            unit.write(Act(now, "test"), changes)
    with storage.unit(write=False) as unit:
        assert list(unit.find(Query(kind))) == [one]
        assert [act.seq for act in unit.acts()] == [1]


def test_each_transaction_is_one_act(office: ka.Desk) -> None:
    """A transaction is one act with its name and reason; one that changed nothing is none; numbers have no gap."""
    storage = office._book._storage
    with storage.unit(write=False) as unit:
        before = len(list(unit.acts()))
    with office.transaction(why="a test"):
        renamed(office, "1")
        renamed(office, "2")
        office.put(ka.Organisation("globex", name="G"))
    with office.transaction():
        names(office)
    with storage.unit(write=False) as unit:
        acts = list(unit.acts(before))
        assert [act.seq for act in unit.acts()] == list(range(1, before + 2))
    assert [(act.by, act.why) for act in acts] == [("test", "a test")]
    assert set(acts[0].changed) == {("Organisation", "acme"), ("Organisation", "globex")}


# ---- one state to read -----------------------------------------------------------------------------------


def test_an_open_unit_sees_one_state() -> None:
    """A unit that reads sees the state from when it was opened, whatever is changed, made or removed meanwhile."""
    storage = MemoryStorage()
    desk = ka.Book(storage).trusted("test")
    desk.put(ka.Organisation("a", name="1"), ka.Organisation("b", name="1", parent_id="a"))
    query = Query(kind_of(ka.Organisation))
    children = attrs.evolve(query, where=(("parent_id", ka.one_of(["a"])),))
    with storage.unit(write=False) as unit:
        before, acts = list(unit.find(query)), list(unit.acts())
        for n in range(3):
            renamed(desk, f"later {n}", "a")
        desk.put(ka.Organisation("c", name="1", parent_id="a"))
        desk.remove(ka.Organisation, "b")
        desk.put(ka.Organisation("b", name="another"))
        assert list(unit.find(query)) == before
        assert [row.key for row in unit.find(children)] == ["b"]
        assert [total.count for total in unit.totals(query)] == [2]
        assert unit.gather([query, children]) == [before, [before[1]]]
        assert list(unit.acts()) == acts
    assert names(desk) == {"a": "later 2", "b": "another", "c": "1"}


def test_nobody_reads_what_is_not_committed(office: ka.Desk) -> None:
    """Another thread sees nothing of an open transaction, and all of it afterwards."""
    with ThreadPoolExecutor(1) as other:
        with office.transaction():
            renamed(office, "1")
            assert other.submit(names, office).result() == {"acme": "0"}
        assert other.submit(names, office).result() == {"acme": "1"}


def test_writing_while_iterating(office: ka.Desk) -> None:
    """A caller may change, make and remove records while walking through a list longer than its pages."""
    office.put_many(ka.Organisation(f"o{n:04}", name="x") for n in range(1_200))
    seen = []
    for row in office.find(ka.Organisation, id=ka.at_least("o")):
        seen.append(row.id)
        if row.id == "o0010":
            office.remove(ka.Organisation, "o0900")
            office.put(ka.Organisation("o0900a", name="new"))
        if row.id.endswith("7"):
            office.put(attrs.evolve(row, name="seven"))
    assert len(seen) == len(set(seen))
    assert seen == [f"o{n:04}" if n != 900 else "o0900a" for n in range(1_200)]
    assert office.count(ka.Organisation, name="seven") == 120


# ---- several threads -------------------------------------------------------------------------------------


def test_second_writer_waits_then_gives_up() -> None:
    """A second writer waits for a bounded time and is told that the storage is busy; then it can write."""
    desk = ka.Book(MemoryStorage(patience=0.1)).trusted("test")
    desk.put(ka.Organisation("acme", name="0"))
    with ThreadPoolExecutor(1) as other:
        with desk.transaction():
            started = time.monotonic()
            with pytest.raises(ka.StorageUnavailable):
                other.submit(renamed, desk, "1").result()
            assert 0.05 < time.monotonic() - started < 3
            assert other.submit(names, desk).result() == {"acme": "0"}  # readers do not wait
        other.submit(renamed, desk, "2").result()
    assert names(desk) == {"acme": "2"}


def test_second_writer_waits_and_gets_its_turn() -> None:
    """A second writer that is let in within its patience sees what the first one wrote."""
    desk = ka.Book(MemoryStorage(patience=10)).trusted("test")
    desk.put(ka.Organisation("acme", name="0"))

    def add() -> None:
        with desk.transaction():
            renamed(desk, names(desk)["acme"] + "2")

    with ThreadPoolExecutor(1) as other:
        with desk.transaction():
            renamed(desk, "1")
            later = other.submit(add)
            time.sleep(0.05)
            assert not later.done()
        later.result()
    assert names(desk) == {"acme": "12"}


def run_all(work: Callable[[], None]) -> None:
    """Run the same work in many threads at once, and raise what any of them raised."""
    ready = threading.Barrier(THREADS)

    def started() -> None:
        ready.wait()
        work()

    with ThreadPoolExecutor(THREADS) as pool:
        for future in [pool.submit(started) for _ in range(THREADS)]:
            future.result()


def test_increments_with_retries_lose_nothing(office: ka.Desk) -> None:
    """Sixteen threads that get, add one and put, and repeat after ConflictError, count every acknowledged step."""

    def work() -> None:
        for _ in range(INCREMENTS):
            while True:
                try:
                    acme = office.get(ka.Organisation, "acme")  # read once: a second look could hide the conflict
                    office.put(attrs.evolve(acme, name=str(int(acme.name) + 1)))
                except ka.ConflictError:
                    continue
                break

    run_all(work)
    acme = office.get(ka.Organisation, "acme")
    assert acme.version == 1 + THREADS * INCREMENTS


def test_increments_in_transactions_need_no_retry(office: ka.Desk) -> None:
    """Sixteen threads that add one inside a transaction never meet a conflict, and lose nothing."""

    def work() -> None:
        for _ in range(INCREMENTS):
            with office.transaction():
                renamed(office, str(int(office.get(ka.Organisation, "acme").name) + 1))

    run_all(work)
    assert names(office) == {"acme": str(THREADS * INCREMENTS)}


def test_one_creator_wins(office: ka.Desk) -> None:
    """Of sixteen threads that create one id with other content, one succeeds and the others get ConflictError."""
    outcomes: list[str] = []

    def work() -> None:
        name = str(threading.get_ident())
        try:
            office.put(ka.Organisation("new", name=name))
        except ka.ConflictError:
            outcomes.append("conflict")
        else:
            outcomes.append(name)

    run_all(work)
    assert outcomes.count("conflict") == THREADS - 1
    assert names(office)["new"] in outcomes


def test_readers_beside_a_writer_see_whole_transactions(office: ka.Desk) -> None:
    """While two records are changed together, a reader who asks for both in one transaction sees them equal."""
    office.put(ka.Organisation("globex", name="0"))
    storage, query = office._book._storage, Query(kind_of(ka.Organisation))
    done = threading.Event()
    torn: list[set[str]] = []

    def read() -> None:
        while not done.is_set():
            with storage.unit(write=False) as unit:
                found = {row.to_dict()["name"] for _ in range(2) for row in unit.find(query)}
            if len(found) > 1:
                torn.append(found)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for n in range(1, 60):
        with office.transaction():
            renamed(office, str(n))
            renamed(office, str(n), "globex")
    done.set()
    for reader in readers:
        reader.join()
    assert torn == []


# ---- several tasks ---------------------------------------------------------------------------------------


def test_tasks_have_their_own_transactions(office: ka.Desk) -> None:
    """A task that waits inside its transaction shares it with no other task of the same thread."""

    async def writes(go: asyncio.Event, wrote: asyncio.Event) -> None:
        with office.transaction():
            renamed(office, "1")
            wrote.set()
            await go.wait()
            assert names(office) == {"acme": "1"}

    async def reads(go: asyncio.Event, wrote: asyncio.Event) -> None:
        await wrote.wait()
        assert names(office) == {"acme": "0"}
        go.set()

    async def both() -> None:
        go, wrote = asyncio.Event(), asyncio.Event()
        await asyncio.gather(writes(go, wrote), reads(go, wrote))

    asyncio.run(both())
    assert names(office) == {"acme": "1"}


def test_a_task_started_inside_a_transaction_has_none(office: ka.Desk) -> None:
    """A task or worker thread that is started inside a transaction does not write into it behind its owner's back."""

    async def other() -> dict[str, str]:
        return names(office)

    async def work() -> None:
        with office.transaction():
            renamed(office, "1")
            assert await asyncio.create_task(other()) == {"acme": "0"}
            assert await asyncio.to_thread(names, office) == {"acme": "0"}

    asyncio.run(work())


def test_tasks_count_too(office: ka.Desk) -> None:
    """Fifty tasks that add one inside a transaction each, giving way before and after, lose nothing."""

    async def add() -> None:
        await asyncio.sleep(0)
        with office.transaction():
            renamed(office, str(int(names(office)["acme"]) + 1))
        await asyncio.sleep(0)

    async def all_of_them() -> None:
        await asyncio.gather(*(add() for _ in range(50)))

    asyncio.run(all_of_them())
    assert names(office) == {"acme": "50"}


def test_a_view_after_its_transaction_is_a_new_one(office: ka.Desk) -> None:
    """A list that was begun inside a transaction that failed shows the stored state when it is read on."""
    office.put_many(ka.Organisation(f"o{n:04}", name="x") for n in range(600))
    rows = iter(office.find(ka.Organisation, id=ka.at_least("o")))

    def work() -> None:
        with office.transaction():
            office.remove(ka.Organisation, "o0599")
            next(rows)
            raise StopHere

    with pytest.raises(StopHere):
        work()
    assert [row.id for row in rows][-1] == "o0599"
