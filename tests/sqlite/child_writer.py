"""The writer that is killed: it forks a fresh process for each round, which works until it dies.

A round is told on standard input as one line of JSON: path, job, label and way. The fresh process acknowledges on
standard output what has returned, a line each. Imports are paid once, by the process that forks.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import attrs

import keyaccount as ka
from keyaccount.values import FrozenMap

EACH = 4
"""Records of one small transaction."""

LOAD = 80
"""Records of one bulk load."""

COUNTER = "counter"


def say(*words: str) -> None:
    """Acknowledge: one line, written at once, so that it is out before whatever comes next."""
    os.write(1, (" ".join(words) + "\n").encode())


def records(label: str, count: int) -> Iterator[ka.Organisation]:
    """Yield the records of one transaction; each says how many they are."""
    for n in range(count):
        yield ka.Organisation(
            f"{label}:{n}", name=f"{label} {n}", phones=("+49 89 1234-0",), extra=FrozenMap({"of": count})
        )


def counted(desk: ka.Desk) -> None:
    """Count a transaction in a record that all of them change."""
    counter = desk.get(ka.Organisation, COUNTER)
    desk.put(attrs.evolve(counter, extra=FrozenMap({"count": counter.extra.get("count", 0) + 1})))


def put(desk: ka.Desk, label: str, way: str) -> None:
    """Write a transaction and acknowledge it: safely, or in one of two ways that lose."""
    with desk.transaction() if way != "piecemeal" else nullcontext():
        for record in records(label, EACH):
            desk.put(record)
        counted(desk)
        if way == "hasty":
            say("put", label)
    if way != "hasty":
        say("put", label)


def putting(book: ka.Book, label: str, way: str) -> None:
    """Write small transactions."""
    desk = book.trusted("writer")
    for n in itertools.count():
        put(desk, f"{label}.{n}", way)


def loading(book: ka.Book, label: str, way: str) -> None:
    """Load many records at a time."""
    desk = book.trusted("writer")
    for n in itertools.count():
        with desk.transaction():
            desk.put_many(records(f"{label}.{n}", LOAD))
            counted(desk)
        say("put", f"{label}.{n}")


def merging(book: ka.Book, label: str, way: str) -> None:
    """Merge two accounts, and undo it."""
    desk = book.trusted("writer")
    for n in itertools.count():
        pair = f"{label}.{n}"
        desk.put(
            ka.Organisation(f"{pair}:w", name="stays"),
            ka.Organisation(f"{pair}:l", name="goes"),
            *(ka.ServiceNote(f"{pair}:n{i}", organisation_id=f"{pair}:l", text="x") for i in range(3)),
        )
        say("apart", pair)
        done = desk.merging.merge(ka.Organisation, f"{pair}:w", f"{pair}:l")
        say("merged", pair)
        if n % 2:
            desk.merging.undo(done.act)
            say("undone", pair)


def backing_up(book: ka.Book, label: str, way: str) -> None:
    """Write, and copy the file in between."""
    desk = book.trusted("writer")
    for n in itertools.count():
        put(desk, f"{label}.{n}", way)
        book.backup(f"{sys.argv[1]}/{label}.{n}.backup")
        say("backup", f"{label}.{n}")


JOBS: dict[str, Callable[[ka.Book, str, str], None]] = {
    "put": putting,
    "load": loading,
    "merge": merging,
    "backup": backing_up,
}


def main() -> None:
    """Fork a writer for every line, and say how it ended."""
    for name in dir(ka):
        getattr(ka, name)  # everything is imported before the first fork
    importlib.import_module("keyaccount.storage.sqlite")
    for line in sys.stdin:
        told = json.loads(line)
        child = os.fork()
        if child == 0:
            say("pid", str(os.getpid()))
            JOBS[told["job"]](ka.open(Path(sys.argv[1]) / "book.db"), told["label"], told["way"])
        os.waitpid(child, 0)
        say("end")


if __name__ == "__main__":
    main()
