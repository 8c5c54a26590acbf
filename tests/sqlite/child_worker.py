"""One of several processes at one file. Arguments: the job, the path, its number, how often; it prints JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

import keyaccount as ka
from keyaccount.values import FrozenMap

GATE = "gate"


def wait(path: Path) -> None:
    """Say that this process is ready, and wait until the others are."""
    os.write(2, b"ready\n")
    while not path.with_name(GATE).exists():
        time.sleep(0.001)


def increments(path: Path, number: int, times: int) -> Any:
    """Count up one record, again after each conflict; tell how often that worked and what was reported."""
    told = {"acknowledged": 0, "conflicts": 0, "busy": 0}
    with ka.open(path) as book:
        desk = book.trusted(f"worker {number}")
        wait(path)
        while told["acknowledged"] < times:
            counter = desk.get(ka.Organisation, "counter")
            try:
                desk.put(attrs.evolve(counter, extra=FrozenMap({"count": counter.extra["count"] + 1})))
                told["acknowledged"] += 1
            except ka.ConflictError as error:
                told["conflicts"] += (error.kind, error.id, error.expected) == (
                    "Organisation",
                    "counter",
                    counter.version,
                )
            except ka.StorageUnavailable:
                told["busy"] += 1
    return told


def different(path: Path, number: int, times: int) -> Any:
    """Write records of its own, again while the file is busy."""
    acknowledged: list[str] = []
    with ka.open(path) as book:
        desk = book.trusted(f"worker {number}")
        wait(path)
        while len(acknowledged) < times:
            try:
                acknowledged.append(desk.put(ka.Organisation(f"w{number}-{len(acknowledged)}", name="x")).id)
            except ka.StorageUnavailable:
                continue
    return acknowledged


def opening(path: Path, number: int, times: int) -> Any:
    """Open a file that is not there, as others do at this moment, and write to it."""
    wait(path)
    with ka.open(path) as book:
        book.trusted(f"worker {number}").put(ka.Organisation(f"w{number}", name="x"))
        return len(list(book.check()))


def once(path: Path, number: int, times: int) -> Any:
    """Make the same call under the same key as others do at this moment."""
    with ka.open(path) as book:
        desk = book.trusted("shop")
        wait(path)
        with desk.transaction(key="order 17", why="ordered"):
            note = desk.put(ka.ServiceNote(organisation_id="counter", text="ordered"))
        return note.version


JOBS: dict[str, Callable[[Path, int, int], Any]] = {
    "increments": increments,
    "different": different,
    "opening": opening,
    "once": once,
}


if __name__ == "__main__":
    print(json.dumps(JOBS[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))))  # noqa: T201
