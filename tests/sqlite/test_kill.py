"""A writer that is killed at any moment leaves every acknowledged transaction, and none by half."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

import keyaccount as ka
from sqlite.child_writer import COUNTER

CHILD = Path(__file__).with_name("child_writer.py")
ROUNDS = 20
BOOKS = 16
JOBS = ("put", "load", "merge", "backup")

STATES = ("", "apart", "merged", "undone")


@attrs.define
class Killed:
    """What was acknowledged on one file until now, and how many were killed, how many of them while writing."""

    folder: Path
    kills: int = 0
    inside: int = 0
    acknowledged: list[tuple[str, str]] = attrs.field(factory=list)

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / "book.db"


@contextmanager
def writer(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Start the process that forks the writers."""
    with subprocess.Popen(
        [sys.executable, str(CHILD), str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as host:
        yield host
        assert host.stdin is not None
        host.stdin.close()


def made(folder: Path) -> Killed:
    """Make a book to write into."""
    killed = Killed(folder)
    with ka.open(killed.path) as book:
        book.trusted("setup").put(ka.Organisation(COUNTER, name="counts"))
    return killed


def kill_once(host: subprocess.Popen[str], killed: Killed, job: str, way: str, dice: random.Random) -> None:
    """Let a writer work for a random while, kill it, and take down what it acknowledged."""
    assert host.stdin is not None
    assert host.stdout is not None
    host.stdin.write(json.dumps({"job": job, "way": way, "label": f"{job}{killed.kills}"}) + "\n")
    host.stdin.flush()
    _, pid = host.stdout.readline().split()
    began, waited = time.monotonic(), dice.randrange(3)
    told = [host.stdout.readline() for _ in range(waited)]
    pace = (time.monotonic() - began) / waited if waited else 0.02
    time.sleep(dice.uniform(0, 1.5 * pace))  # a random moment of the next one, on machines of any speed
    os.kill(int(pid), signal.SIGKILL)  # it never ends by itself, and is reaped only after it is dead
    told += iter(host.stdout.readline, "end\n")
    killed.acknowledged += [(what, label) for what, label in map(str.split, told)]
    killed.kills += 1
    journal = killed.path.with_name("book.db-journal")
    killed.inside += journal.exists() and journal.stat().st_size > 0


# ---- what must be there ------------------------------------------------------------------------------------------


def faults(killed: Killed) -> Iterator[str]:
    """Open the file again and yield everything that was lost, or is there by half."""
    with ka.open(killed.path) as book:
        yield from (f"check: {finding}" for finding in book.check())
        desk = book.trusted("judge")
        yield from lost(desk, [label for what, label in killed.acknowledged if what == "put"])
        yield from torn(desk, killed.acknowledged)
    for what, label in killed.acknowledged[-3:]:
        if what == "backup":
            yield from lost_in_backup(killed, label)
    yield from torn_backups(killed)


def lost(desk: ka.Desk, acknowledged: list[str]) -> Iterator[str]:
    """Yield transactions that are not whole, and acknowledged ones that are not there."""
    found: Counter[str] = Counter()
    size: dict[str, int] = {}
    for row in desk.find(ka.Organisation):
        if "of" in row.extra:
            label = row.id.partition(":")[0]
            found[label] += 1
            size[label] = row.extra["of"]
    yield from (f"{label} is there by half" for label in found if found[label] != size[label])
    yield from (f"{label} was acknowledged and is gone" for label in acknowledged if label not in found)
    count = desk.get(ka.Organisation, COUNTER).extra.get("count", 0)
    if count != len(found):
        yield f"{count} were counted and {len(found)} are there"


def torn(desk: ka.Desk, acknowledged: list[tuple[str, str]]) -> Iterator[str]:
    """Yield merges that are neither as acknowledged, nor as the step after that."""
    told: dict[str, str] = {label: what for what, label in acknowledged if what in STATES}
    there = states(desk)
    for label in {*told, *there}:
        steps = STATES.index(told.get(label, "")) + 1
        allowed = {"apart" if step == "undone" else step for step in STATES[steps - 1 : steps + 1]}
        if there.get(label, "") not in allowed:
            yield f"{label} was acknowledged as {told.get(label)} and is {there.get(label)}"


def states(desk: ka.Desk) -> dict[str, str]:
    """Tell of each pair whether it is apart, merged, or torn."""
    parts: dict[str, set[str]] = defaultdict(set)
    for row in desk.find(ka.Organisation):
        label, _, part = row.id.partition(":")
        if part in ("w", "l"):
            parts[label].add(part)
    for note in desk.find(ka.ServiceNote):
        label, _, part = note.id.partition(":")
        parts[label].add(f"{part} on {(note.organisation_id or '').partition(':')[2]}")
    known = {
        frozenset({"w", "l", *(f"n{i} on l" for i in range(3))}): "apart",
        frozenset({"w", *(f"n{i} on w" for i in range(3))}): "merged",
    }
    return {label: known.get(frozenset(some), f"torn: {sorted(some)}") for label, some in parts.items()}


def lost_in_backup(killed: Killed, label: str) -> Iterator[str]:
    """Yield what was acknowledged before a backup and is not in it."""
    with ka.open(killed.folder / f"{label}.backup") as book:
        upto = killed.acknowledged.index(("backup", label))
        yield from lost(book.trusted("judge"), [name for what, name in killed.acknowledged[:upto] if what == "put"])


def torn_backups(killed: Killed) -> Iterator[str]:
    """Yield backups that are there and not whole, acknowledged or not."""
    for path in sorted(killed.folder.glob(f"backup{killed.kills - 1}.*.backup")):
        with ka.open(path) as book:
            yield from (f"{path.name}: {finding}" for finding in book.check())


# ---- the promise, and what breaks it -----------------------------------------------------------------------------


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("number", range(BOOKS // len(JOBS)))
def test_every_acknowledged_transaction_is_there_whole(tmp_path: Path, job: str, number: int) -> None:
    """Killed at any moment, a writer leaves every acknowledged transaction whole, none by half, and a sound file."""
    dice = random.Random(f"{job} {number}")  # noqa: S311
    killed = made(tmp_path)
    with writer(tmp_path) as host:
        for _ in range(ROUNDS):
            kill_once(host, killed, job, "safe", dice)
            assert list(faults(killed)) == []
    assert killed.kills == ROUNDS
    assert killed.acknowledged
    assert killed.inside, "no kill hit a transaction"


def test_there_are_enough_kills() -> None:
    """The loop above kills at least three hundred times."""
    assert ROUNDS * BOOKS >= 300


@pytest.mark.parametrize("way", ["hasty", "piecemeal"])
def test_the_loop_notices_a_writer_that_loses(tmp_path: Path, way: str) -> None:
    """The same loop notices a writer that acknowledges before it commits, and one that commits record by record."""
    dice = random.Random(way)  # noqa: S311
    killed = made(tmp_path)
    words = {"hasty": "acknowledged and is gone", "piecemeal": "by half"}[way]
    noticed = False
    with writer(tmp_path) as host:
        while not noticed and killed.kills < 100:
            kill_once(host, killed, "put", way, dice)
            noticed = any(words in fault for fault in faults(killed))
    assert noticed
