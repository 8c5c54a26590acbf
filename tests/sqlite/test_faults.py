"""Writes and syncs that fail, one after the other, and a disk that is full: a documented error, nothing by half."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import pickle
import re
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import pytest

import keyaccount as ka
from keyaccount.catalogue import KINDS
from keyaccount.storage import file, migrations
from keyaccount.storage.sqlite import SQLiteStorage
from keyaccount.values import FrozenMap
from sqlite.child_fault import OPERATIONS, second_step

CHILD = Path(__file__).with_name("child_fault.py")
SYNCS = {"fsync", "fdatasync"}
FAILS = {"pwrite64": "ENOSPC", "fdatasync": "EIO", "fsync": "EIO", "unlink": "EIO", "link": "EIO", "rename": "EIO"}
HOWS: dict[str, dict[str, str]] = {
    "fails once": {call: f"error={error}:when={{}}" for call, error in FAILS.items()},
    "fails from then on": {
        call: f"error={error}:when={{}}+" for call, error in FAILS.items() if call not in {"link", "rename"}
    },
    "kills": dict.fromkeys(FAILS, "signal=KILL:when={}"),
    "is interrupted": dict.fromkeys(["pwrite64", "fsync", "fdatasync"], "error=EINTR:when={}"),
}
"""What strace does to a call, and from which on."""

DOCUMENTED = {"StorageUnavailable", "StorageDamaged"}
KNOWN = {"book.db", "copy.db", "made.db", "book.db.before-version-2"}
"""What may be there afterwards, with a journal that the next one to open it takes back."""

TOGETHER = 2
"""How many processes do this at once; most of the time they wait for the disk."""


# ---- the file, and what is in it ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a small book once."""
    path = tmp_path_factory.mktemp("origin") / "book.db"
    with ka.open(path) as book:
        desk = book.trusted("setup")
        desk.put(*(ka.Organisation(f"o{n}", name=f"name {n}") for n in range(20)))
        desk.put(*(ka.ServiceNote(f"n{n}", organisation_id="o2", text="x") for n in range(3)))
    with ka.open(path.with_name("copy.db")) as book:
        book.trusted("setup").put(ka.Organisation("old", name="old"))
    return path


def state(path: Path) -> bytes:
    """Return what tells a file from others, its journals included."""
    beside = [path, *(Path(f"{path}{end}") for end in ("-journal", "-wal"))]
    return b"".join(hashlib.sha256(one.read_bytes()).digest() if one.exists() else b"-" for one in beside)


_read: dict[bytes, dict[str, Any]] = {}
_works: set[bytes] = set()
"""Files of equal bytes are looked at once: most failures leave the very file that there was."""


def dump(path: Path) -> dict[str, Any]:
    """Return every record of a file; what an alias is called by itself is left to chance."""
    if (before := state(path)) not in _read:
        with ka.open(path) as book:
            desk = book.trusted("judge")
            found = {(name, row.key): row.to_dict() for name, kind in KINDS.items() for row in desk.find(kind.cls)}
        _read[before] = _read[state(path)] = {
            f"{name} {row['old_id'] if name == 'Alias' else id}": {k: v for k, v in row.items() if k != "id"}
            for (name, id), row in found.items()
        }
    return _read[before]


def works(path: Path) -> None:
    """Write once more, undisturbed; everything that was written before still fits together."""
    if (before := state(path)) not in _works:
        with ka.open(path) as book:
            desk = book.trusted("after")
            desk.put(attrs.evolve(desk.get(ka.Context, "crm"), extra=FrozenMap({"written": True})))
            assert list(book.check()) == []
        _works.add(before)


def folder_for(origin: Path, folder: Path, operation: str) -> Path:
    """Make a folder with a copy of the file, and an older backup where one is to be replaced."""
    folder.mkdir()
    shutil.copy(origin, folder / "book.db")
    if operation == "replace":
        shutil.copy(origin.with_name("copy.db"), folder / "copy.db")
    return folder


# ---- failing calls -----------------------------------------------------------------------------------------------


def strace(*options: str, jobs: Sequence[str]) -> list[dict[str, Any]]:
    """Run the child under strace, and return how each of its processes ended."""
    command = ["strace", "-f", "--seccomp-bpf", *options, sys.executable, str(CHILD)]
    lines = "".join(f"{job}\n" for job in jobs)
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@functools.cache
def injects() -> bool:
    """Say whether strace can make a system call fail here."""
    if shutil.which("strace") is None:
        return False
    options = ["-f", "--seccomp-bpf", "-o", "/dev/null", "-e", "inject=fsync:error=EIO:when=1"]
    code = "import os\ntry: os.fsync(os.open('/', 0))\nexcept OSError: print('failed')"
    done = subprocess.run(
        ["strace", *options, sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    return done.stdout == "failed\n"


@attrs.frozen
class Undisturbed:
    """How often an operation makes each call, and what its book holds afterwards."""

    counts: Counter[str]
    records: dict[str, Any]


@pytest.fixture(scope="module")
def undisturbed(origin: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Undisturbed]:
    """Carry every operation out once, without a fault, and count its calls; nothing where strace cannot."""
    if not injects():
        return {}
    folder = tmp_path_factory.mktemp("undisturbed")
    where = {operation: folder_for(origin, folder / operation, operation) for operation in OPERATIONS}
    options = ["-ff", "-o", str(folder / "trace"), "-e", f"trace={','.join(FAILS)}"]
    told = strace(*options, jobs=[f"{operation}\tnone\t0\t{place}" for operation, place in where.items()])
    assert [one["ended"] for one in told] == [None] * len(OPERATIONS)
    found = {}
    for operation, one in zip(where, told, strict=True):
        calls = re.findall(r"^(\w+)\(", (folder / f"trace.{one['pid']}").read_text(), re.MULTILINE)
        records = dump(where[operation] / "book.db") if operation != "migrate" else {}
        found[operation] = Undisturbed(Counter(calls), records)
    return found


@attrs.frozen
class Fault:
    """One fault: which call of an operation, and how the operation ended, in which folder."""

    operation: str
    call: str
    k: int
    folder: Path
    ended: dict[str, Any] | None = None


Inflict = Callable[[str], list[Fault]]


@pytest.fixture(scope="module")
def inflicted(origin: Path, undisturbed: dict[str, Undisturbed], tmp_path_factory: pytest.TempPathFactory) -> Inflict:
    """Let every call of every operation fail in one way, some at once; this is done when it is first asked for."""

    @functools.cache
    def inflict(how: str) -> list[Fault]:
        place = tmp_path_factory.mktemp("faults")
        return carried_out(how, list(faults_of(how, origin, undisturbed, place)), place / "log")

    return inflict


def faults_of(how: str, origin: Path, undisturbed: dict[str, Undisturbed], place: Path) -> Iterator[Fault]:
    """Yield the faults of one way, each with a folder of its own."""
    for operation, whole in undisturbed.items():
        if (operation, how) in CASES:
            for call in HOWS[how]:
                for k in range(1, whole.counts[call] + 1):
                    folder = folder_for(origin, place / f"{operation}-{call}-{k}", operation)
                    yield Fault(operation, call, k, folder)


def carried_out(how: str, faults: Sequence[Fault], log: Path) -> list[Fault]:
    """Have every fault made, and take down how it ended."""
    last = {call: max((fault.k for fault in faults if fault.call == call), default=0) for call in HOWS[how]}
    rules = [f"--inject={call}:{rule.format(last[call])}" for call, rule in HOWS[how].items() if last[call]]
    jobs = [f"{fault.operation}\t{fault.call}\t{last[fault.call] - fault.k}\t{fault.folder}" for fault in faults]

    def some(n: int) -> list[dict[str, Any]]:
        return strace("-o", f"{log}{n}", *rules, jobs=jobs[n::TOGETHER])

    with ThreadPoolExecutor(TOGETHER) as pool:
        told = {one["folder"]: one for some in pool.map(some, range(TOGETHER)) for one in some}
    hit = {pid for n in range(TOGETHER) for pid in injected(Path(f"{log}{n}").read_text())}
    assert {one["folder"] for one in told.values() if one["pid"] in hit} == {str(fault.folder) for fault in faults}
    return [attrs.evolve(fault, ended=told[str(fault.folder)]["ended"]) for fault in faults]


def injected(log: str) -> Iterator[int]:
    """Yield the processes that strace did something to."""
    for line in re.findall(r"^\d+ .*(?:\(INJECTED\)|killed by SIGKILL)", log, re.MULTILINE):
        yield int(line.split()[0])


CASES = [
    (operation, how)
    for operation in OPERATIONS
    for how in HOWS
    if operation != "careless" and (how != "is interrupted" or "put" in operation)
]


@pytest.mark.parametrize(("operation", "how"), CASES)
def test_a_failing_call_leaves_nothing_by_half(
    origin: Path, undisturbed: dict[str, Undisturbed], inflicted: Inflict, operation: str, how: str
) -> None:
    """Whichever write, sync or move fails or is the last: all or nothing, a documented error, the next write works.

    Every call of each sort, from the first to the last, fails in a process of its own. What is reported as done is
    done, what is reported as failed is not.
    """
    if not injects():
        pytest.skip("strace cannot make system calls fail here; the full disk below is tested all the same")
    whole = undisturbed[operation]
    faults = [fault for fault in inflicted(how) if fault.operation == operation]
    assert Counter(fault.call for fault in faults) == Counter({c: n for c, n in whole.counts.items() if c in HOWS[how]})
    problems = [
        f"{fault.call} {fault.k} of {whole.counts[fault.call]}, {fault.ended}: {problem}"
        for fault in faults
        for problem in wrong(origin, fault, whole.records)
    ]
    assert problems == []
    assert whole.counts["pwrite64"] > 3
    for fault in faults:
        shutil.rmtree(fault.folder)


def wrong(origin: Path, fault: Fault, whole: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a folder after an operation that ended one way or the other."""
    ended = fault.ended or {}
    if ended.get("error") == "killed" or ended.get("uncertain"):
        absent = list(judged(origin, fault, whole, done=False))
        if absent and (half := list(judged(origin, fault, whole, done=True))):
            yield f"{absent}, and were it done, {half}"
    else:
        yield from judged(origin, fault, whole, done=fault.ended is None)
        left = {re.sub("-(journal|wal|shm)$", "", path.name) for path in fault.folder.iterdir()} - KNOWN
        if left and fault.call != "unlink":
            yield f"left over: {sorted(left)}"
    if ended and ended["error"] not in DOCUMENTED | {"killed"}:
        yield "is no documented error"
    if ended.get("cause") == "NoneType":
        yield "has no cause"
    if ended.get("uncertain") and fault.call not in SYNCS:
        yield "could be known"
    works(fault.folder / "book.db")


def judged(origin: Path, fault: Fault, whole: dict[str, Any], *, done: bool) -> Iterator[str]:
    """Judge an operation by its own measure."""
    if fault.operation in {"backup", "replace"}:
        return copied(origin, fault, done=done)
    if fault.operation == "migrate":
        return migrated(origin, fault.folder, done=done)
    if fault.operation == "make":
        return made(fault.folder, done=done)
    return changed(origin, fault.folder, whole, done=done)


def changed(origin: Path, folder: Path, whole: dict[str, Any], *, done: bool) -> Iterator[str]:
    """Compare the records with those before, and after an undisturbed run."""
    if dump(folder / "book.db") != (whole if done else dump(origin)):
        yield "is not all or nothing"


def migrated(origin: Path, folder: Path, *, done: bool) -> Iterator[str]:
    """Look whether the second step is there, with all its rows, or nothing of it."""
    shutil.copytree(folder, look := Path(f"{folder}-{done}"))
    with contextlib.closing(sqlite3.connect(look / "book.db", isolation_level=None)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE tbl_name = 'more'").fetchone()[0]
        filled = connection.execute("SELECT count(*) FROM more").fetchone()[0] if tables else 0
        if tables:
            connection.execute("DROP TABLE more")
            connection.execute(f"PRAGMA user_version = {migrations.version()}")  # for this version to read the rest
    if (version, filled) != ((2, 20) if done else (1, 0)) or (tables and not filled):
        yield f"version {version} with {filled} rows of the new table"
    if dump(look / "book.db") != dump(origin):
        yield "other records are there"
    copy = look / "book.db.before-version-2"
    if done and not copy.exists():
        yield "was migrated without a copy"
    if copy.exists() and dump(copy) != dump(origin):
        yield "the copy is not whole"
    shutil.rmtree(look)


def copied(origin: Path, fault: Fault, *, done: bool) -> Iterator[str]:
    """Look whether the copy is there and whole, or what was there before."""
    if dump(fault.folder / "book.db") != dump(origin):
        yield "the book itself was changed"
    copy = fault.folder / "copy.db"
    if done and (not copy.exists() or dump(copy) != dump(origin)):
        yield "the copy is another"
    if not done and copy.exists() and dump(copy) != dump(origin) and "Organisation old" not in dump(copy):
        yield "the copy is by half"
    if not done and copy.exists() and fault.operation == "backup" and fault.call != "unlink":
        yield "the copy is there though it failed, and its name is taken"


def made(folder: Path, *, done: bool) -> Iterator[str]:
    """Look whether the new file is there and ready, or at least sound."""
    new = folder / "made.db"
    if done and not new.exists():
        yield "the file is not there"
    if new.exists():
        works(new)  # what was moved into its place is whole, and gets what it ships with at the next opening


def test_a_careless_writer_is_noticed(origin: Path, undisturbed: dict[str, Undisturbed], tmp_path: Path) -> None:
    """The same faults find a writer that writes one transaction in two."""
    if not injects():
        pytest.skip("strace cannot make system calls fail here")
    whole = undisturbed["careless"]
    faults = [
        Fault("careless", "pwrite64", k, folder_for(origin, tmp_path / str(k), "careless"))
        for k in range(1, whole.counts["pwrite64"] + 1)
    ]
    ended = carried_out("fails once", faults, tmp_path / "log")
    problems = [problem for fault in ended for problem in wrong(origin, fault, whole.records)]
    assert "is not all or nothing" in problems


def test_the_judge_notices_half_a_transaction(origin: Path, tmp_path: Path) -> None:
    """What decides above finds half an operation, and a failure that was carried out all the same."""
    whole = folder_for(origin, tmp_path / "whole", "put") / "book.db"
    with ka.open(whole) as book:
        book.trusted("whole").put(ka.Organisation("new0", name="new"), ka.Organisation("new1", name="new"))
    half = folder_for(origin, tmp_path / "1", "put")
    with ka.open(half / "book.db") as book:
        book.trusted("half").put(ka.Organisation("new0", name="new"))
    assert list(changed(origin, half, dump(whole), done=True)) == ["is not all or nothing"]
    assert list(changed(origin, half, dump(whole), done=False)) == ["is not all or nothing"]


# ---- a commit that fails when it is done -------------------------------------------------------------------------


def failing(monkeypatch: pytest.MonkeyPatch, instead: str) -> None:
    """Have every commit of what was written run another statement, and then fail as the disk does."""

    class Failing(sqlite3.Connection):
        writes = False

        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            self.writes = sql == "BEGIN IMMEDIATE" or (self.writes and sql != "BEGIN")
            if sql != "COMMIT" or not self.writes:
                return super().execute(sql, *parameters)
            super().execute(instead)
            raise sqlite3.OperationalError("disk I/O error")

    def connected(path: Path, patience: float) -> sqlite3.Connection:
        uri = f"{path.as_uri()}?mode=rw"
        return sqlite3.connect(uri, uri=True, isolation_level=None, factory=Failing, timeout=patience)

    monkeypatch.setattr(file, "connect", connected)


def written(path: Path) -> bool:
    """Say whether the record of the tests below is there."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return bool(connection.execute("SELECT count(*) FROM organisation WHERE id = 'new'").fetchone()[0])


def write(path: Path) -> None:
    """Write the record of the tests below."""
    with ka.open(path) as book:
        book.trusted("w").put(ka.Organisation("new", name="New"))


@pytest.fixture
def copy_of(origin: Path, tmp_path: Path) -> Path:
    """Make a copy of the book."""
    return folder_for(origin, tmp_path / "one", "put") / "book.db"


def test_a_commit_that_failed_and_is_there_is_done(copy_of: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk fails after a transaction is whole, and its folder can be synced after all, it is done."""
    failing(monkeypatch, "COMMIT")
    write(copy_of)
    assert written(copy_of)


def test_a_commit_that_failed_and_is_not_there_is_told(copy_of: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is there, the error does not say that there might be."""
    failing(monkeypatch, "ROLLBACK")
    with pytest.raises(ka.StorageUnavailable) as caught:
        write(copy_of)
    assert not caught.value.uncertain
    assert not written(copy_of)


def test_a_commit_of_which_nobody_knows_says_so(copy_of: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is there and cannot be brought to the disk, the error says that it may be there or not."""
    failing(monkeypatch, "COMMIT")

    def failed(_: Path) -> None:
        raise OSError(errno.EIO, "disk")

    monkeypatch.setattr(file, "_sync_folder", failed)
    with pytest.raises(ka.StorageUnavailable, match="may be there or not") as caught:
        write(copy_of)
    assert caught.value.uncertain
    assert isinstance(caught.value.__cause__, OSError)
    assert pickle.loads(pickle.dumps(caught.value)).uncertain  # noqa: S301 - what was just written
    assert written(copy_of)


# ---- through to the disk -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["put", "load", "merge"])
def test_a_commit_is_on_the_disk_before_it_returns(origin: Path, tmp_path: Path, operation: str) -> None:
    """The data are synced before the journal ends, and that it ended is synced before the call returns."""
    if not injects():
        pytest.skip("strace cannot trace here")
    where = folder_for(origin, tmp_path / "traced", operation)
    calls = "trace=pwrite64,fsync,fdatasync,unlink,ftruncate"
    strace("-o", str(tmp_path / "log"), "-e", calls, jobs=[f"{operation}\tnone\t0\t{where}"])
    seen = re.findall(r"^\d+ +(\w+)\(", (tmp_path / "log").read_text(), re.MULTILINE)
    ends = max(n for n, call in enumerate(seen) if call in {"unlink", "ftruncate"})
    assert seen[ends - 1] in {"fsync", "fdatasync"}
    assert seen[ends + 1 : ends + 2] in (["fsync"], ["fdatasync"]), "power lost now brings the journal back"


# ---- a full disk, in one process ---------------------------------------------------------------------------------

LIMITED = """
import json, resource, sys
import keyaccount as ka
from keyaccount.catalogue import KINDS

path, operation = sys.argv[1:]
book = ka.open(path)
desk = book.trusted("child")
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]

def rows():
    return sorted((k, r.key, r.version) for k, kind in KINDS.items() for r in desk.find(kind.cls))

def attempt(limit):
    before = rows()
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        if operation == "load":
            desk.put_many(ka.Organisation(f"n{limit}-{n}", name="x" * 500) for n in range(200))
        elif operation == "put":
            desk.put(ka.Organisation(f"n{limit}", name="x" * 900))
        elif operation == "merge":
            with_note = desk.merging.merge(ka.Organisation, "o1", "o2")
        else:
            book.backup(f"{path}.copy-{limit}")
        ended = None
    except Exception as error:
        ended = [type(error).__name__, type(error.__cause__).__name__]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    same = rows() == before
    desk.put(ka.Organisation(f"after-{limit}", name="works"))
    return {"limit": limit, "ended": ended, "same": same, "findings": len(list(book.check()))}

for limit in range(0, 3_000_000, 90_100 if operation == "load" else 16_484):
    done = attempt(limit)
    print(json.dumps(done), flush=True)
    if done["ended"] is None:
        break
"""


@pytest.mark.parametrize("operation", ["put", "load", "merge", "backup"])
def test_a_full_disk_is_a_documented_error(origin: Path, tmp_path: Path, operation: str) -> None:
    """Where no more can be written: StorageUnavailable with its cause, nothing by half; with space it works."""
    folder = folder_for(origin, tmp_path / "full", operation)
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(folder / "book.db"), operation],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    attempts = [json.loads(line) for line in done.stdout.splitlines()]
    assert [a for a in attempts if a["findings"]] == []
    assert attempts[-1]["ended"] is None, "it never worked"
    for failed in attempts[:-1]:
        assert failed["ended"][0] == "StorageUnavailable", failed
        assert failed["ended"][1] in {"OperationalError", "OSError"}, failed
        assert failed["same"], failed
    assert len(attempts) > 1
    left = [
        path.name for path in folder.iterdir() if path.name not in {"book.db", f"book.db.copy-{attempts[-1]['limit']}"}
    ]
    assert left == []


FEW_FILES = """
import json, os, resource, sys
import keyaccount as ka
from keyaccount.storage import sqlite

path = sys.argv[1]
book = ka.open(path)
desk = book.trusted("child")
desk.put(ka.Organisation("first", name="everything is imported"))
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
ended = []
for spare in range(6):
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + spare, hard))
    for what in (
        lambda: desk.put(ka.Organisation(f"n{spare}", name="x")),
        lambda: ka.open(path).close(),
        lambda: book.backup(f"{path}.copy-{spare}"),
    ):
        try:
            what()
            ended.append(None)
        except Exception as error:
            ended.append([type(error).__name__, type(error.__cause__).__name__])
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
desk.put(ka.Organisation("last", name="works"))
print(json.dumps({"ended": ended, "findings": len(list(book.check()))}))
"""


def test_too_many_open_files_is_a_documented_error(origin: Path, tmp_path: Path) -> None:
    """Where no file can be opened any more: StorageUnavailable with its cause, and later it works again."""
    folder = folder_for(origin, tmp_path / "few", "put")
    command = [sys.executable, "-c", FEW_FILES, str(folder / "book.db")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["findings"] == 0
    failed = [ended for ended in told["ended"] if ended is not None]
    assert failed
    assert {error for error, _ in failed} == {"StorageUnavailable"}
    assert {cause for _, cause in failed} <= {"OperationalError", "OSError"}


# ---- a migration that cannot be made -----------------------------------------------------------------------------


def test_a_migration_keeps_a_copy_and_is_made_once(
    origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older file is copied and brought up to date when it is opened, once; the copy is the file as it was."""
    path = folder_for(origin, tmp_path / "old", "migrate") / "book.db"
    expected = dump(path)
    monkeypatch.setattr(migrations, "STEPS", (*migrations.STEPS, second_step))
    for _ in range(2):
        SQLiteStorage(path).close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM more").fetchone() == (20,)
    connection.close()
    assert dump(path) == expected
    monkeypatch.undo()
    assert dump(path.with_name("book.db.before-version-2")) == expected


def test_a_step_that_fails_changes_nothing(origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration whose last statement cannot be carried out leaves the older file as it was."""
    path = folder_for(origin, tmp_path / "old", "migrate") / "book.db"
    before = path.read_bytes()
    monkeypatch.setattr(
        migrations, "STEPS", (*migrations.STEPS, second_step, lambda _: ["CREATE TABLE more (twice TEXT)"])
    )
    with pytest.raises(ka.StorageUnavailable):
        SQLiteStorage(path)
    assert path.read_bytes() == before
