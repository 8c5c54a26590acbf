"""Backups: a consistent copy of a live file, written where it was asked for and nowhere else."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

import keyaccount as ka
from keyaccount.catalogue import KINDS
from keyaccount.values import FrozenMap

EACH = 3


@pytest.fixture
def book(tmp_path: Path) -> Iterator[ka.Book]:
    """Open a book with a little history."""
    with ka.open(tmp_path / "book.db") as book:
        desk = book.trusted("setup")
        desk.put(ka.Organisation("acme", name="ACME", phones=("+49 89 1234-0",)), ka.Contact("c", name="Ingo"))
        desk.put(ka.Position("p", "c", "acme"), ka.ServiceNote("n", organisation_id="acme", text="Remark"))
        with desk.transaction(why="renamed", key="k1"):
            desk.put(attrs.evolve(desk.get(ka.Organisation, "acme"), name="ACME AG"))
        desk.remove(ka.ServiceNote, "n")
        desk.put(ka.Organisation("other", name="Other"))
        desk.merging.merge(ka.Organisation, "acme", "other")
        yield book


def everything(book: ka.Book) -> dict[str, list[Any]]:
    """Return every record, its history, and all acts."""
    desk = book.trusted("judge")
    rows = {name: list(desk.find(kind.cls, order="id")) for name, kind in KINDS.items()}
    history = [list(desk.history(type(row), row.key)) for some in rows.values() for row in some]
    with book._storage.unit(write=False) as unit:
        return {**rows, "history": history, "acts": list(unit.acts()), "seal": [book.seal()]}


def names(folder: Path) -> list[str]:
    """Return what is in a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_a_backup_is_an_equal_book(book: ka.Book, tmp_path: Path) -> None:
    """A backup opens as a book with the same records, history, acts and seal, and both go on by themselves."""
    book.backup(tmp_path / "copy.db")
    with ka.open(tmp_path / "copy.db") as copy:
        assert everything(copy) == everything(book)
        assert list(copy.check(seal=book.seal())) == []
        copy.trusted("other").put(ka.Organisation("only there", name="x"))
    assert "only there" not in {row.id for row in book.trusted("judge").find(ka.Organisation)}
    assert names(tmp_path) == ["book.db", "copy.db"]


def test_a_backup_knows_the_keys(book: ka.Book, tmp_path: Path) -> None:
    """Idempotency keys and merges are in the backup: a key counts there as used, a merge can be undone."""
    book.backup(tmp_path / "copy.db")
    with ka.open(tmp_path / "copy.db") as copy:
        desk = copy.trusted("setup")
        with pytest.raises(ka.ValidationError), desk.transaction(key="k1"):
            desk.put(ka.Organisation("new", name="x"))
        with copy._storage.unit(write=False) as unit:
            (act,) = [a.key for a in unit.acts() if a.key and a.key.startswith("merge-")]
        assert [row.key for row in desk.merging.undo(act)] == ["other"]


def test_a_backup_of_a_live_file_is_consistent(book: ka.Book, tmp_path: Path) -> None:
    """Copies made while another thread writes hold whole transactions only: the first so many, and all acknowledged."""
    acknowledged, stop = [0], threading.Event()

    def write() -> None:
        desk = book.trusted("writer")
        while not stop.is_set():
            n = acknowledged[0]
            with desk.transaction():
                for i in range(EACH):
                    desk.put(ka.Organisation(f"t{n:05}-{i}", name="x", extra=FrozenMap({"n": n})))
            acknowledged[0] = n + 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        bounds = []
        for n in range(12):
            before = acknowledged[0]
            book.backup(tmp_path / f"copy{n}.db")
            bounds.append((before, acknowledged[0] + 1))
    finally:
        stop.set()
        thread.join()
    for n, (least, most) in enumerate(bounds):
        assert_prefix(tmp_path / f"copy{n}.db", least, most)
    assert bounds[-1][0] > bounds[0][0], "nothing was written meanwhile"


def assert_prefix(path: Path, least: int, most: int) -> None:
    """Assert that a copy holds the first transactions, whole, and as many as were acknowledged."""
    with ka.open(path) as copy:
        assert list(copy.check()) == []
        found = sorted(row.id for row in copy.trusted("judge").find(ka.Organisation) if row.id.startswith("t0"))
    count = len(found) // EACH
    assert found == [f"t{n:05}-{i}" for n in range(count) for i in range(EACH)]
    assert least <= count <= most


# ---- where it is written -----------------------------------------------------------------------------------------


def linked(path: Path) -> None:
    """Make a link to a file elsewhere."""
    path.with_name("elsewhere").write_text("precious", encoding="utf-8")
    path.symlink_to(path.with_name("elsewhere"))


TAKEN: dict[str, tuple[Callable[[Path], object], bool]] = {
    "a file": (lambda path: path.write_text("precious", encoding="utf-8"), False),
    "a folder": (lambda path: path.mkdir(), False),
    "a folder, told to overwrite": (lambda path: path.mkdir(), True),
    "a link": (linked, False),
    "a link, told to overwrite": (linked, True),
    "a link to nothing": (lambda path: path.symlink_to("nothing"), False),
    "a link to nothing, told to overwrite": (lambda path: path.symlink_to("nothing"), True),
}


def footprint(folder: Path) -> dict[str, object]:
    """Return what is in a folder: links, folders and the bytes of files."""
    return {
        path.name: path.readlink() if path.is_symlink() else path.is_dir() or path.read_bytes()
        for path in folder.iterdir()
    }


@pytest.mark.parametrize("what", sorted(TAKEN))
def test_a_path_that_is_taken_is_refused(book: ka.Book, tmp_path: Path, what: str) -> None:
    """A backup overwrites nothing unless told, and follows no link even then; nothing is changed where it refuses."""
    make, overwrite = TAKEN[what]
    make(tmp_path / "copy.db")
    before = footprint(tmp_path)
    with pytest.raises(ka.ValidationError):
        book.backup(tmp_path / "copy.db", overwrite=overwrite)
    assert footprint(tmp_path) == before


def test_an_older_backup_is_replaced_when_told(book: ka.Book, tmp_path: Path) -> None:
    """With `overwrite` the file there is replaced as a whole."""
    (tmp_path / "copy.db").write_text("old", encoding="utf-8")
    book.backup(tmp_path / "copy.db", overwrite=True)
    with ka.open(tmp_path / "copy.db") as copy:
        assert everything(copy) == everything(book)
    assert names(tmp_path) == ["book.db", "copy.db"]


@pytest.mark.parametrize("way", ["itself", "by another name", "by a hard link", "by a linked folder"])
def test_a_book_is_no_backup_of_itself(book: ka.Book, tmp_path: Path, way: str) -> None:
    """A backup onto the book's own file is refused, by whatever name, and the book goes on."""
    (tmp_path / "folder").symlink_to(tmp_path)
    (tmp_path / "inner").mkdir()
    (tmp_path / "hard.db").hardlink_to(tmp_path / "book.db")
    names_of = {
        "itself": tmp_path / "book.db",
        "by another name": tmp_path / "inner" / ".." / "book.db",
        "by a hard link": tmp_path / "hard.db",
        "by a linked folder": tmp_path / "folder" / "book.db",
    }
    with pytest.raises(ka.ValidationError):
        book.backup(names_of[way], overwrite=True)
    book.trusted("after").put(ka.Organisation("after", name="x"))
    with ka.open(tmp_path / "book.db") as again:
        assert again.trusted("judge").get(ka.Organisation, "after").name == "x"


@pytest.mark.parametrize("path", ["", "a\0b", 5, None, b"copy.db", ["x"]])
def test_what_is_no_path_is_refused(book: ka.Book, path: Any) -> None:
    """What cannot be a path is a ValidationError."""
    with pytest.raises(ka.ValidationError):
        book.backup(path)


@pytest.mark.parametrize("path", ["none/copy.db", "book.db/copy.db", "x" * 300, "\ud800"])
def test_a_path_that_cannot_be_written_is_told(book: ka.Book, tmp_path: Path, path: str) -> None:
    """A folder that is not there and a name that is too long are documented errors, and leave nothing."""
    with pytest.raises((ka.StorageUnavailable, ka.ValidationError)):
        book.backup(tmp_path / path)
    assert names(tmp_path) == ["book.db"]


def test_a_book_in_memory_has_no_backup(tmp_path: Path) -> None:
    """A book in memory refuses, and makes no file."""
    with pytest.raises(ka.ValidationError):
        ka.open().backup(tmp_path / "copy.db")
    assert names(tmp_path) == []


def test_a_backup_in_a_transaction_holds_what_was_committed(book: ka.Book, tmp_path: Path) -> None:
    """A backup made inside an open transaction holds what was committed before, or is refused."""
    desk = book.trusted("test")
    with desk.transaction():
        desk.put(ka.Organisation("open", name="x"))
        try:
            book.backup(tmp_path / "copy.db")
        except ka.KeyAccountError:
            assert names(tmp_path) == ["book.db", "book.db-journal"]
            return
    with ka.open(tmp_path / "copy.db") as copy:
        assert "open" not in {row.id for row in copy.trusted("judge").find(ka.Organisation)}


# ---- what an interrupted program left behind ---------------------------------------------------------------------

KILLED = """
import os, signal, sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("PRAGMA cache_size = 1")
c.execute("BEGIN")
c.execute("UPDATE organisation SET name = hex(zeroblob(3000))")
c.execute("UPDATE act SET why = hex(zeroblob(3000))")
c.execute("UPDATE context SET extra = hex(zeroblob(3000))")
os.kill(os.getpid(), signal.SIGKILL)
"""


def interrupted(path: Path) -> None:
    """Leave a book as it is when its program is killed while it writes: with a journal to be played back."""
    with ka.open(path) as old:
        old.trusted("old").put_many(ka.Organisation(f"old{n}", name="x" * 500) for n in range(300))
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert path.with_name(f"{path.name}-journal").stat().st_size > 4096


def test_the_journal_of_a_replaced_file_does_not_spoil_the_backup(book: ka.Book, tmp_path: Path) -> None:
    """A backup that replaces a file which was interrupted is not overwritten by that file's journal when opened."""
    interrupted(tmp_path / "copy.db")
    expected = everything(book)
    book.backup(tmp_path / "copy.db", overwrite=True)
    with ka.open(tmp_path / "copy.db") as copy:
        assert list(copy.check()) == []
        assert everything(copy) == expected


def test_the_journal_of_a_removed_file_does_not_spoil_a_backup(book: ka.Book, tmp_path: Path) -> None:
    """A backup written where a file was removed, but not its journal, is whole when opened, or is refused."""
    interrupted(tmp_path / "copy.db")
    (tmp_path / "copy.db").unlink()
    expected = everything(book)
    try:
        book.backup(tmp_path / "copy.db")
    except ka.KeyAccountError:
        assert not (tmp_path / "copy.db").exists()
        return
    with ka.open(tmp_path / "copy.db") as copy:
        assert list(copy.check()) == []
        assert everything(copy) == expected


def test_the_journal_of_a_removed_file_does_not_spoil_a_new_book(tmp_path: Path) -> None:
    """A new book made where a file was removed, but not its journal, is sound and holds what is written."""
    interrupted(tmp_path / "book.db")
    (tmp_path / "book.db").unlink()
    try:
        book = ka.open(tmp_path / "book.db")
    except ka.KeyAccountError:
        assert not (tmp_path / "book.db").exists()
        return
    with book:
        book.trusted("new").put(ka.Organisation("new", name="x"))
        assert list(book.check()) == []
        assert [row.id for row in book.trusted("new").find(ka.Organisation)] == ["new"]


def test_an_interrupted_book_is_whole_when_it_is_opened(tmp_path: Path) -> None:
    """A journal that was left behind is played back when its own file is opened; the control of the tests above."""
    interrupted(tmp_path / "book.db")
    connection = sqlite3.connect(f"file:{tmp_path / 'book.db'}?immutable=1", uri=True)
    torn = connection.execute("PRAGMA integrity_check(1)").fetchall() != [("ok",)]
    changed = torn or connection.execute("SELECT max(length(name)) FROM organisation").fetchone()[0] > 500
    connection.close()
    assert changed, "the program was killed before it wrote into the file"
    with ka.open(tmp_path / "book.db") as book:
        assert list(book.check()) == []
        assert book.trusted("judge").count(ka.Organisation) == 300
