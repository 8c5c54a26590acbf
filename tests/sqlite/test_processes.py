"""Several processes, forks, threads and tasks at one file: nothing is lost between them, and no wait is without end."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import pytest

import keyaccount as ka
from keyaccount.storage.sqlite import SQLiteStorage
from keyaccount.values import FrozenMap
from sqlite.child_worker import GATE

CHILD = Path(__file__).with_name("child_worker.py")
PROCESSES, TIMES = 8, 12


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Make a book with a counter."""
    with ka.open(tmp_path / "book.db") as book:
        book.trusted("setup").put(ka.Organisation("counter", name="counts", extra=FrozenMap({"count": 0})))
    return tmp_path / "book.db"


@pytest.fixture
def book(path: Path) -> Iterator[ka.Book]:
    """Open it."""
    with ka.open(path) as book:
        yield book


def at_once(job: str, path: Path, processes: int, times: int = 1) -> list[Any]:
    """Let several processes do the same at the same moment, and return what each told."""
    path.with_name(GATE).unlink(missing_ok=True)
    running = [
        subprocess.Popen(
            [sys.executable, str(CHILD), job, str(path), str(number), str(times)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(processes)
    ]
    try:
        for process in running:
            assert process.stderr is not None
            assert process.stderr.readline() == "ready\n"
        path.with_name(GATE).touch()
        told = [process.communicate(timeout=120) for process in running]
    finally:
        for process in running:
            process.kill()
    path.with_name(GATE).unlink()
    assert [err for _, err in told if err] == []
    return [json.loads(out) for out, _ in told]


def count(book: ka.Book) -> int:
    """Read the counter."""
    found: int = book.trusted("judge").get(ka.Organisation, "counter").extra["count"]
    return found


def increment(desk: ka.Desk) -> int:
    """Count up once, again after each conflict; return the number of conflicts."""
    conflicts = 0
    while True:
        counter = desk.get(ka.Organisation, "counter")
        try:
            desk.put(attrs.evolve(counter, extra=FrozenMap({"count": counter.extra["count"] + 1})))
        except ka.ConflictError:
            conflicts += 1
        else:
            return conflicts


# ---- processes ---------------------------------------------------------------------------------------------------


def test_no_increment_is_lost_between_processes(path: Path, book: ka.Book) -> None:
    """Eight processes that count up one record lose no acknowledged step; each conflict was reported."""
    told = at_once("increments", path, PROCESSES, TIMES)
    assert count(book) == sum(t["acknowledged"] for t in told) == PROCESSES * TIMES
    assert book.trusted("judge").get(ka.Organisation, "counter").version == PROCESSES * TIMES + 1
    assert len(book.trusted("judge").history(ka.Organisation, "counter")) == PROCESSES * TIMES + 1
    assert sum(t["conflicts"] for t in told) > 0, "they never met"
    assert list(book.check()) == []


def test_a_writer_without_the_check_would_lose(path: Path) -> None:
    """The counting above notices writers that do not compare versions: two that read the same lose one step."""
    with ka.open(path) as one, ka.open(path) as other:
        seen = [b.trusted("w").get(ka.Organisation, "counter") for b in (one, other)]
        changed = [attrs.evolve(row, extra=FrozenMap({"count": row.extra["count"] + 1})) for row in seen]
        one.trusted("w").put(changed[0])
        with pytest.raises(ka.ConflictError):
            other.trusted("w").put(changed[1])
        current = other.trusted("w").get(ka.Organisation, "counter")
        other.trusted("w").put(attrs.evolve(changed[1], version=current.version))  # as if nobody compared
        assert count(one) == 1


def test_different_records_of_many_processes_are_all_there(path: Path, book: ka.Book) -> None:
    """Eight processes that write different records at once lose none."""
    told = at_once("different", path, PROCESSES, TIMES)
    there = {row.id for row in book.trusted("judge").find(ka.Organisation)} - {"counter"}
    assert there == {id for some in told for id in some}
    assert len(there) == PROCESSES * TIMES
    assert list(book.check()) == []


@pytest.mark.parametrize("attempt", range(3))
def test_many_processes_may_make_the_same_file(tmp_path: Path, attempt: int) -> None:
    """Processes that open the same missing file at once all work on one and the same book."""
    path = tmp_path / "new.db"
    assert at_once("opening", path, 4) == [0] * 4
    with ka.open(path) as book:
        assert {row.id for row in book.trusted("judge").find(ka.Organisation)} == {f"w{n}" for n in range(4)}
        assert list(book.check()) == []
    assert [p.name for p in tmp_path.iterdir()] == ["new.db"]


def test_a_key_used_by_two_processes_at_once_applies_once(path: Path, book: ka.Book) -> None:
    """The same call under the same key, made by several processes at the same moment, is carried out once."""
    at_once("once", path, 4)
    notes = list(book.trusted("judge").find(ka.ServiceNote))
    assert [note.text for note in notes] == ["ordered"]
    assert list(book.check()) == []


# ---- waits -------------------------------------------------------------------------------------------------------


@pytest.fixture
def hasty(path: Path) -> Iterator[ka.Book]:
    """Open the book with little patience."""
    with ka.Book(SQLiteStorage(path, patience=0.3)) as book:
        yield book


def timed(call: Callable[[], object], limit: float) -> BaseException | None:
    """Call, and return the error; the call must end within a time."""
    ended: list[BaseException | None] = []

    def work() -> None:
        try:
            call()
            ended.append(None)
        except BaseException as error:  # noqa: BLE001 - it is handed on
            ended.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(limit)
    assert ended, f"still waiting after {limit} s"
    return ended[0]


LOCKED: dict[str, Callable[[ka.Book], object]] = {
    "put": lambda book: book.trusted("w").put(ka.Organisation("new", name="x")),
    "get": lambda book: book.trusted("w").get(ka.Organisation, "counter"),
    "check": lambda book: book.check(),
    "seal": lambda book: book.seal(),
    "merge": lambda book: book.trusted("w").merging.merge(ka.Organisation, "counter", "other"),
    "backup": lambda book: book.backup(_place[0]),
}
_place: list[Path] = []
"""Where a backup goes, set by each test."""


@pytest.mark.parametrize("call", sorted(LOCKED))
def test_every_wait_ends(path: Path, hasty: ka.Book, call: str, tmp_path: Path) -> None:
    """While another program locks the file for itself, each call ends with StorageUnavailable in its time."""
    _place[:] = [tmp_path / "copy.db"]
    lock = sqlite3.connect(path, isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    try:
        error = timed(lambda: LOCKED[call](hasty), 5)
        assert isinstance(error, ka.StorageUnavailable)
        assert error.__cause__ is not None
    finally:
        lock.execute("ROLLBACK")
        lock.close()
    hasty.trusted("w").put(ka.Organisation("after", name="works"))


def test_a_second_writer_waits_and_then_is_told(path: Path, hasty: ka.Book) -> None:
    """While a transaction is open, another writer waits as long as its patience, and readers do not wait."""
    with ka.open(path) as other, other.trusted("slow").transaction():
        other.trusted("slow").put(ka.Organisation("slow", name="x"))
        began = time.monotonic()
        with pytest.raises(ka.StorageUnavailable):
            hasty.trusted("w").put(ka.Organisation("new", name="x"))
        assert 0.2 < time.monotonic() - began < 5
        assert {row.id for row in hasty.trusted("w").find(ka.Organisation)} == {"counter"}
    hasty.trusted("w").put(ka.Organisation("new", name="x"))
    assert {row.id for row in hasty.trusted("w").find(ka.Organisation)} == {"counter", "slow", "new"}


# ---- forks -------------------------------------------------------------------------------------------------------

FORKING = """
import os, sys, traceback
import attrs
import keyaccount as ka

book = ka.open(sys.argv[1])
desk = book.trusted("parent")
desk.put(ka.Organisation("before", name="x"))

def in_child(work):
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return child

def ended(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""

FORKS = {
    "the child reads and writes while the parent goes on": """
def work():
    assert desk.get(ka.Organisation, "before").name == "x"
    for n in range(20):
        desk.put(ka.Organisation(f"child{n}", name="x"))
    assert not list(book.check())
    book.close()
children = [in_child(work)]
for n in range(20):
    desk.put(ka.Organisation(f"parent{n}", name="x"))
assert [ended(child) for child in children] == [0]
assert desk.count(ka.Organisation) == 41
""",
    "a child of a child works too": """
def inner():
    desk.put(ka.Organisation("inner", name="x"))
def work():
    desk.put(ka.Organisation("outer", name="x"))
    assert ended(in_child(inner)) == 0
    desk.put(ka.Organisation("outer again", name="x"))
assert ended(in_child(work)) == 0
assert desk.count(ka.Organisation) == 4
""",
    "a child goes on reading what the parent began to": """
desk.put_many(ka.Organisation(f"n{n:04}", name="x") for n in range(1200))
found = iter(desk.find(ka.Organisation))
next(found)
def work():
    assert sum(1 for _ in found) == 1200
assert ended(in_child(work)) == 0
assert sum(1 for _ in found) == 1200
""",
    "a child of an open transaction neither joins it nor ends it": """
def work():
    try:
        desk.put(ka.Organisation("child", name="x"))
    except ka.StorageUnavailable:
        return
    except ka.KeyAccountError:
        return
    raise AssertionError("the child wrote into the transaction of its parent")
with desk.transaction():
    desk.put(ka.Organisation("parent", name="x"))
    assert ended(in_child(work)) == 0
assert sorted(o.id for o in desk.find(ka.Organisation)) == ["before", "parent"]
""",
    "a child that leaves the block of an open transaction commits nothing": """
parent = os.getpid()
try:
    with desk.transaction():
        desk.put(ka.Organisation("parent", name="x"))
        child = os.fork()
        if child:
            assert ended(child) == 0
            raise KeyboardInterrupt
except KeyboardInterrupt:
    pass
except ka.KeyAccountError:
    assert os.getpid() != parent
if os.getpid() != parent:
    os._exit(0)
assert sorted(o.id for o in desk.find(ka.Organisation)) == ["before"]
desk.put(ka.Organisation("later", name="x"))
""",
    "a lock that another thread held at the fork does not stop the child": """
import signal, threading, time
held, done = threading.Event(), threading.Event()
def hold():
    with book._storage._guard:
        held.set()
        done.wait(5)
thread = threading.Thread(target=hold)
thread.start()
held.wait()
def work():
    signal.alarm(5)
    assert desk.get(ka.Organisation, "before").name == "x"
child = in_child(work)
done.set()
thread.join()
assert ended(child) == 0
""",
}


@pytest.mark.parametrize("what", sorted(FORKS))
def test_a_book_survives_a_fork(tmp_path: Path, what: str) -> None:
    """After a fork, child and parent go on with the same book, or get the documented error; the file stays sound."""
    script = FORKING + FORKS[what] + "\nassert not list(book.check())\nprint('well')\n"
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script, str(tmp_path / "book.db")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("well\n", "")
    with ka.open(tmp_path / "book.db") as book:
        assert list(book.check()) == []


# ---- threads and tasks -------------------------------------------------------------------------------------------


def test_sixteen_threads_lose_nothing(book: ka.Book) -> None:
    """Sixteen threads that count up with one book lose no step."""

    def work(number: int) -> int:
        desk = book.trusted(f"thread {number}")
        return sum(increment(desk) for _ in range(6))

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))
    assert count(book) == 96
    assert list(book.check()) == []


def test_threads_see_only_what_is_committed(book: ka.Book) -> None:
    """A thread does not see, nor join, the transaction that another has open."""
    desk = book.trusted("test")
    with ThreadPoolExecutor(1) as pool, desk.transaction():
        desk.put(ka.Organisation("new", name="x"))
        assert desk.count(ka.Organisation) == 2
        assert pool.submit(desk.count, ka.Organisation).result() == 1


def test_tasks_have_transactions_of_their_own(book: ka.Book) -> None:
    """Tasks of one thread have a transaction each: one that fails takes nothing of another with it."""
    desk = book.trusted("test")

    async def work(number: int) -> None:
        await asyncio.sleep(0.001 * number)
        with desk.transaction():
            desk.put(ka.Organisation(f"t{number}", name="x"))
            desk.put(ka.Organisation(f"t{number}b", name="x"))
            if number % 2:
                raise LookupError

    async def all_of_them() -> list[BaseException | None]:
        return await asyncio.gather(*(work(n) for n in range(8)), return_exceptions=True)

    ended = asyncio.run(all_of_them())
    assert [type(e) for e in ended] == [type(None), LookupError] * 4
    assert {row.id for row in desk.find(ka.Organisation)} == {"counter"} | {
        f"t{n}{b}" for n in range(0, 8, 2) for b in ("", "b")
    }


def test_a_task_reads_while_another_has_a_transaction_open(book: ka.Book) -> None:
    """A task that reads does not see what another, waiting inside its transaction, has written so far."""
    desk = book.trusted("test")

    async def writer(inside: asyncio.Event, leave: asyncio.Event) -> None:
        with desk.transaction():
            desk.put(ka.Organisation("new", name="x"))
            inside.set()
            await leave.wait()

    async def both() -> tuple[int, int]:
        inside, leave = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(writer(inside, leave))
        await inside.wait()
        during = desk.count(ka.Organisation)
        leave.set()
        await task
        return during, desk.count(ka.Organisation)

    assert asyncio.run(both()) == (1, 2)


def test_records_are_written_while_they_are_read(book: ka.Book) -> None:
    """Iterating over many pages while changing each record reads every record once, and changes all of them."""
    desk = book.trusted("test")
    desk.put_many(ka.Organisation(f"n{n:04}", name="old") for n in range(1_100))
    seen = []
    for row in desk.find(ka.Organisation, name="old"):
        seen.append(row.id)
        if len(seen) % 100 == 0:
            desk.put(attrs.evolve(desk.get(ka.Organisation, row.id), name="new"))
    assert seen == [f"n{n:04}" for n in range(1_100)]
    assert desk.count(ka.Organisation, name="new") == 11


# ---- after the end -----------------------------------------------------------------------------------------------

CLOSED: dict[str, Callable[[ka.Book, ka.Desk], object]] = {
    "desk": lambda book, _: book.desk("volker"),
    "get": lambda _, desk: desk.get(ka.Organisation, "counter"),
    "find": lambda _, desk: list(desk.find(ka.Organisation)),
    "put": lambda _, desk: desk.put(ka.Organisation("new", name="x")),
    "put_many": lambda _, desk: desk.put_many([ka.Organisation("new", name="x")]),
    "remove": lambda _, desk: desk.remove(ka.Organisation, "counter"),
    "transaction": lambda _, desk: desk.transaction().__enter__(),
    "merge": lambda _, desk: desk.merging.merge(ka.Organisation, "counter", "other"),
    "history": lambda _, desk: desk.history(ka.Organisation, "counter"),
    "check": lambda book, _: book.check(),
    "backup": lambda book, _: book.backup(_place[0]),
    "seal": lambda book, _: book.seal(),
}


@pytest.mark.parametrize("call", sorted(CLOSED))
def test_a_closed_book_says_so(book: ka.Book, tmp_path: Path, call: str) -> None:
    """Every call after `close` raises StorageUnavailable."""
    _place[:] = [tmp_path / "copy.db"]
    desk = book.trusted("test")
    book.close()
    book.close()
    with pytest.raises(ka.StorageUnavailable):
        CLOSED[call](book, desk)
    assert not _place[0].exists()


def test_a_half_read_answer_of_a_closed_book_says_so(book: ka.Book) -> None:
    """The next page of an answer raises StorageUnavailable when the book was closed meanwhile."""
    desk = book.trusted("test")
    desk.put_many(ka.Organisation(f"n{n:04}", name="x") for n in range(1_100))
    found = iter(desk.find(ka.Organisation))
    next(found)
    book.close()
    with pytest.raises(ka.StorageUnavailable):
        list(found)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_a_closed_book_holds_no_file_open(path: Path) -> None:
    """After `close` no descriptor of the file is left, also where a unit of work was open when it was closed."""

    def held() -> int:
        names = []
        for entry in Path("/proc/self/fd").iterdir():
            try:
                names.append(str(entry.readlink()))
            except OSError:  # the listing's own, gone by now
                continue
        return sum(name.startswith(str(path)) for name in names)

    book = ka.open(path)
    desk = book.trusted("test")
    with desk.transaction():
        desk.put(ka.Organisation("new", name="x"))
        book.close()
    assert held() == 0
    with ka.open(path) as again:
        assert again.trusted("judge").count(ka.Organisation) == 2
    assert held() == 0
