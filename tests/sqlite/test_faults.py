"""Writes and syncs that fail, one after the other, and a disk that is full: a documented error, nothing by half."""

from __future__ import annotations

import functools
import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

import keyaccount as ka
from keyaccount.catalogue import KINDS
from keyaccount.storage import migrations
from keyaccount.storage.sqlite import SQLiteStorage
from keyaccount.values import FrozenMap
from sqlite.child_fault import AT, CALLS, OPERATIONS, second_step

CHILD = Path(__file__).with_name("child_fault.py")
ERRORS = {"pwrite64": "ENOSPC", "fdatasync": "EIO", "fsync": "EIO", "unlink": "EIO", "link": "EIO", "rename": "EIO"}
DOCUMENTED = {"StorageUnavailable", "StorageDamaged"}
HOWS = {"once": "", "from then on": "+"}


# ---- the file, and what is in it ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a small book once."""
    path = tmp_path_factory.mktemp("origin") / "book.db"
    with ka.open(path) as book:
        desk = book.trusted("setup")
        desk.put(*(ka.Organisation(f"o{n}", name=f"name {n}") for n in range(20)))
        desk.put(*(ka.ServiceNote(f"n{n}", organisation_id="o2", text="x") for n in range(3)))
    return path


def dump(path: Path) -> dict[str, Any]:
    """Return every record of a file that has not changed since it was last asked."""
    return _dumped(path, path.stat().st_mtime_ns, path.stat().st_ino)


@functools.cache
def _dumped(path: Path, _mtime: int, _inode: int) -> dict[str, Any]:
    """Read every record; what an alias is called by itself is left to chance."""
    with ka.open(path) as book:
        desk = book.trusted("judge")
        found = {(name, row.key): row.to_dict() for name, kind in KINDS.items() for row in desk.find(kind.cls)}
        assert list(book.check()) == []
    return {
        f"{name} {row['old_id'] if name == 'Alias' else id}": {k: v for k, v in row.items() if k != "id"}
        for (name, id), row in found.items()
    }


def works(path: Path) -> None:
    """Write once more, undisturbed."""
    with ka.open(path) as book:
        desk = book.trusted("after")
        desk.put(attrs.evolve(desk.get(ka.Context, "crm"), extra=FrozenMap({"written": True})))
        assert list(book.check()) == []


def folder_for(origin: Path, folder: Path, operation: str) -> Path:
    """Make a folder with a copy of the file, and an older backup where one is to be replaced."""
    folder.mkdir()
    shutil.copy(origin, folder / "book.db")
    if operation == "replace":
        with ka.open(folder / "copy.db") as book:
            book.trusted("setup").put(ka.Organisation("old", name="old"))
    return folder


# ---- failing calls -----------------------------------------------------------------------------------------------


def strace(*options: str, told: list[str]) -> list[dict[str, Any]]:
    """Run the child under strace, and return how each of its processes ended."""
    command = ["strace", "-f", "--seccomp-bpf", *options, sys.executable, str(CHILD), *told]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


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


def counted(origin: Path, folder: Path, operation: str, call: str) -> int:
    """Count how often an undisturbed operation makes a call, in its own process."""
    log = folder / "trace"
    where = folder_for(origin, folder / "undisturbed", operation)
    ended = strace("-ff", "-o", str(log), "-e", f"trace={call}", told=[operation, call, "0", str(where)])
    assert ended == [{"k": 0, "ended": None}]
    return sum(path.read_text().count(f"{call}(") for path in folder.glob("trace.*"))


CASES = [
    (operation, call, how)
    for operation in OPERATIONS
    for call in CALLS
    for how in HOWS
    if not (call in {"link", "rename"} and how == "from then on")
]


@pytest.mark.parametrize(("operation", "call", "how"), CASES)
def test_a_failing_call_leaves_nothing_by_half(
    origin: Path, tmp_path: Path, operation: str, call: str, how: str
) -> None:
    """Whichever write, sync or move fails: a documented error with its cause, all or nothing, and the next write works.

    A call that is reported as done is done, one that is reported as failed is not.
    """
    if not injects():
        pytest.skip("strace cannot make system calls fail here")
    times = counted(origin, tmp_path, operation, call)
    folders = [folder_for(origin, tmp_path / str(k), operation) for k in range(1, times + 2)]
    rule = f"inject={call}:error={ERRORS[call]}:when={AT}{HOWS[how]}"
    log = tmp_path / "log"
    all_ended = strace("-o", str(log), "-e", rule, told=[operation, call, "1", *map(str, folders)])
    hit = set(re.findall(r"^(\d+) .*\(INJECTED\)", log.read_text(), re.MULTILINE))
    assert len(hit) == times
    assert [ended["k"] for ended in all_ended] == list(range(1, times + 2))
    assert all_ended[-1]["ended"] is None
    problems = []
    for folder, ended in zip(folders, all_ended, strict=True):
        problems += [
            f"k = {ended['k']} of {times}, {ended['ended']}: {problem}"
            for problem in wrong(origin, folder, operation, call, ended["ended"])
        ]
    assert problems == []


def wrong(origin: Path, folder: Path, operation: str, call: str, ended: dict[str, str] | None) -> Iterator[str]:
    """Yield what is wrong with a folder after an operation that ended one way or the other."""
    if ended is not None and ended["error"] not in DOCUMENTED:
        yield "is no documented error"
    if ended is not None and ended["cause"] == "NoneType":
        yield "has no cause"
    yield from judged(origin, folder, operation, call, done=ended is None)
    left = {path.name for path in folder.iterdir()} - {"book.db", "copy.db", "made.db", "book.db.before-version-2"}
    if left and call != "unlink":
        yield f"left over: {sorted(left)}"
    works(folder / "book.db")


def changed(origin: Path, folder: Path, *, done: bool) -> Iterator[str]:
    """Compare the records with those before, and after an undisturbed run."""
    undisturbed = folder.parent / "undisturbed" / "book.db"
    if dump(folder / "book.db") != dump(undisturbed if done else origin):
        yield "is not all or nothing"


def migrated(origin: Path, folder: Path, *, done: bool) -> Iterator[str]:
    """Look whether the second step is there, with all its rows, or nothing of it."""
    with sqlite3.connect(folder / "book.db") as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE tbl_name = 'more'").fetchone()[0]
        rows = connection.execute("SELECT count(*) FROM more").fetchone()[0] if tables else 0
        connection.execute("DROP TABLE IF EXISTS more")
        connection.execute(f"PRAGMA user_version = {migrations.version()}")  # for this version to read the rest
    connection.close()
    if (version, rows) != ((2, 20) if done else (1, 0)) or (tables and not rows):
        yield f"version {version} with {rows} rows of the new table"
    if dump(folder / "book.db") != dump(origin):
        yield "other records are there"
    copy = folder / "book.db.before-version-2"
    if done and not copy.exists():
        yield "was migrated without a copy"
    if copy.exists() and dump(copy) != dump(origin):
        yield "the copy is not whole"


def copied(origin: Path, folder: Path, operation: str, call: str, *, done: bool) -> Iterator[str]:
    """Look whether the copy is there and whole, or what was there before."""
    if dump(folder / "book.db") != dump(origin):
        yield "the book itself was changed"
    copy = folder / "copy.db"
    if done and dump(copy) != dump(origin):
        yield "the copy is another"
    if not done and copy.exists() and dump(copy) != dump(origin) and "Organisation old" not in dump(copy):
        yield "the copy is by half"
    if not done and copy.exists() and operation == "backup" and call != "unlink":
        yield "the copy is there though it failed, and its name is taken"


def made(origin: Path, folder: Path, *, done: bool) -> Iterator[str]:
    """Look whether the new file is there and ready, or at least sound."""
    new = folder / "made.db"
    if done and not new.exists():
        yield "the file is not there"
    if new.exists():
        works(new)  # what was moved into its place is whole, and gets what it ships with at the next opening


def judged(origin: Path, folder: Path, operation: str, call: str, *, done: bool) -> Iterator[str]:
    """Judge an operation by its own measure."""
    if operation in {"backup", "replace"}:
        return copied(origin, folder, operation, call, done=done)
    return {"migrate": migrated, "make": made}.get(operation, changed)(origin, folder, done=done)


def test_the_judge_notices_half_a_transaction(origin: Path, tmp_path: Path) -> None:
    """What decides above finds half an operation, and a failure that was carried out all the same."""
    folder_for(origin, tmp_path / "undisturbed", "put")
    with ka.open(tmp_path / "undisturbed" / "book.db") as book:
        book.trusted("whole").put(ka.Organisation("new0", name="new"), ka.Organisation("new1", name="new"))
    half = folder_for(origin, tmp_path / "1", "put")
    with ka.open(half / "book.db") as book:
        book.trusted("half").put(ka.Organisation("new0", name="new"))
    assert list(changed(origin, half, done=True)) == ["is not all or nothing"]
    assert list(changed(origin, half, done=False)) == ["is not all or nothing"]


# ---- through to the disk -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["put", "load", "merge"])
def test_a_commit_is_on_the_disk_before_it_returns(origin: Path, tmp_path: Path, operation: str) -> None:
    """The data are synced before the journal ends, and that it ended is synced before the call returns."""
    if not injects():
        pytest.skip("strace cannot trace here")
    where = folder_for(origin, tmp_path / "traced", operation)
    calls = "trace=pwrite64,fsync,fdatasync,unlink,ftruncate"
    strace("-o", str(tmp_path / "log"), "-e", calls, told=[operation, "fsync", "0", str(where)])
    seen = re.findall(r"\d+ (\w+)\(", (tmp_path / "log").read_text())
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
        migrations, "STEPS", (*migrations.STEPS, second_step, lambda: ["CREATE TABLE more (twice TEXT)"])
    )
    with pytest.raises(ka.StorageUnavailable):
        SQLiteStorage(path)
    assert path.read_bytes() == before
