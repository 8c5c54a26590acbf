"""One operation many times, each in a process of its own whose k-th system call of a kind is made to fail.

Whoever traces this makes the n-th call of every process fail. So the process for k first makes n - k such calls that do
nothing, and imports are paid once. Every line of standard input names an operation, a call, how many of them do
nothing, and a folder, by tabs.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs

import keyaccount as ka
from keyaccount.storage import migrations

LOAD = 100
MORE = "CREATE TABLE more (id TEXT PRIMARY KEY NOT NULL, what TEXT NOT NULL)"


def second_step(_dialect: object = None) -> Iterator[str]:
    """Yield a later version's step: another table, filled from what is there."""
    yield MORE
    yield "INSERT INTO more SELECT id, name || hex(zeroblob(400)) FROM organisation"
    yield "CREATE INDEX more_by_what ON more (what)"


def put(path: Path) -> None:
    """Change a record and write three."""
    with ka.open(path) as book, (desk := book.trusted("child")).transaction():
        desk.put(attrs.evolve(desk.get(ka.Organisation, "o1"), name="changed"))
        desk.put(*(ka.Organisation(f"new{n}", name="new", phones=("+49 89 1234-0",)) for n in range(3)))


def careless(path: Path) -> None:
    """Write in two transactions what should be one."""
    with ka.open(path) as book:
        for n in range(2):
            book.trusted("child").put(ka.Organisation(f"new{n}", name="new"))


def put_logged(path: Path) -> None:
    """Write into a file that keeps a write-ahead log."""
    vars(sqlite3)["sqlite_version_info"] = (3, 51, 3)  # what is at stake here is the same with a log that has the race
    with ka.open(path, journal="wal") as book, (desk := book.trusted("child")).transaction():
        desk.put(*(ka.Organisation(f"new{n}", name="new") for n in range(3)))


def load(path: Path) -> None:
    """Load a few hundred."""
    with ka.open(path) as book:
        book.trusted("child").put_many(ka.Organisation(f"new{n}", name=f"new {n}") for n in range(LOAD))


def merge(path: Path) -> None:
    """Merge two accounts."""
    with ka.open(path) as book:
        book.trusted("child").merging.merge(ka.Organisation, "o1", "o2")


def migrate(path: Path) -> None:
    """Open the file with a library that is one version on."""
    migrations.STEPS = (*migrations.STEPS, second_step)
    ka.open(path).close()


def backup(path: Path) -> None:
    """Copy the file."""
    with ka.open(path) as book:
        book.backup(path.with_name("copy.db"))


def replace(path: Path) -> None:
    """Copy the file over an older copy."""
    with ka.open(path) as book:
        book.backup(path.with_name("copy.db"), overwrite=True)


def make(path: Path) -> None:
    """Make a new file."""
    ka.open(path.with_name("made.db")).close()


OPERATIONS: dict[str, Callable[[Path], None]] = {
    "put": put,
    "careless": careless,
    "put logged": put_logged,
    "load": load,
    "merge": merge,
    "migrate": migrate,
    "backup": backup,
    "replace": replace,
    "make": make,
}


NOWHERE = "/nonexistent/file"
CALLS: dict[str, Callable[[int], object]] = {
    "pwrite64": lambda null: os.pwrite(null, b"", 0),
    "fsync": os.fsync,
    "fdatasync": os.fdatasync,
    "unlink": lambda _: os.unlink(NOWHERE),  # noqa: PTH108 - the bare system call
    "link": lambda _: os.link(NOWHERE, NOWHERE),
    "rename": lambda _: os.rename(NOWHERE, NOWHERE),  # noqa: PTH104 - the bare system call
}
"""System calls by name, and how to make one that does nothing; most of them fail, which counts as well."""


def tried(operation: str, path: Path) -> dict[str, Any] | None:
    """Do it, and tell the error's class and its cause's."""
    try:
        OPERATIONS[operation](path)
    except Exception as error:  # noqa: BLE001 - the parent judges what came
        return {
            "error": type(error).__name__,
            "cause": type(error.__cause__).__name__,
            "text": str(error),
            "uncertain": getattr(error, "uncertain", False),
        }
    return None


def idle(call: str, times: int) -> None:
    """Make calls that do nothing."""
    null = os.open(os.devnull, os.O_WRONLY)
    for _ in range(times):
        with contextlib.suppress(OSError):
            CALLS[call](null)
    os.close(null)


def run(operation: str, call: str, spare: int, folder: Path) -> None:
    """Do the operation after some calls that do nothing, and print how it ended."""
    if spare:
        idle(call, spare)
    ended = {"pid": os.getpid(), "folder": str(folder), "ended": tried(operation, folder / "book.db")}
    os.write(1, (json.dumps(ended) + "\n").encode())


def warm_up() -> None:
    """Have everything imported and thought out before the first fork, without a file."""
    for name in dir(ka):
        getattr(ka, name)
    importlib.import_module("keyaccount.storage.sqlite")
    list(migrations.pending(0))
    with ka.open() as book:
        desk = book.trusted("warm")
        desk.put(*(ka.Organisation(id, name="warm", phones=("+49 89 1234-0",)) for id in ("a", "b")))
        desk.merging.merge(ka.Organisation, "a", "b")


def main() -> None:
    """Fork a process for every line."""
    warm_up()
    for line in sys.stdin:
        operation, call, spare, folder = line.rstrip("\n").split("\t")
        child = os.fork()
        if child == 0:
            run(operation, call, int(spare), Path(folder))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            killed = {"pid": child, "folder": folder, "ended": {"error": "killed"}}
            os.write(1, (json.dumps(killed) + "\n").encode())


if __name__ == "__main__":
    main()
