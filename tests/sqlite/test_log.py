"""A write-ahead log on request, where the version of SQLite is without the race that can damage the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import keyaccount as ka
from keyaccount.storage.file import has_sound_log
from keyaccount.storage.sqlite import SQLiteStorage

SOUND = [(3, 44, 6), (3, 44, 7), (3, 50, 7), (3, 50, 12), (3, 51, 3), (3, 51, 10), (3, 52, 0), (4, 0, 0)]
UNSOUND = [(3, 7, 0), (3, 40, 1), (3, 44, 5), (3, 45, 0), (3, 49, 9), (3, 50, 0), (3, 50, 6), (3, 51, 0), (3, 51, 2)]


@pytest.fixture
def sound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend to a version whose log is sound; what is tested here, every version does alike."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 51, 3))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Make a book with a rollback journal."""
    with ka.open(tmp_path / "book.db") as book:
        book.trusted("setup").put(ka.Organisation("acme", name="ACME"))
    return tmp_path / "book.db"


@pytest.fixture
def logged(path: Path, sound: None) -> Iterator[ka.Book]:
    """Open it with a write-ahead log."""
    with ka.open(path, journal="wal") as book:
        yield book


def keeps_log(path: Path) -> bool:
    """Read from the file's own header whether it keeps a write-ahead log."""
    return path.read_bytes()[18:20] == b"\2\2"


@pytest.mark.parametrize("version", SOUND)
def test_a_log_is_kept_by_versions_that_are_sound(
    path: Path, monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...]
) -> None:
    """The versions in which the race is fixed, of all three branches, keep a log when asked to."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", version)
    assert has_sound_log(version)
    with ka.open(path, journal="wal") as book:
        assert keeps_log(path)
        assert book.trusted("judge").get(ka.Organisation, "acme").name == "ACME"


@pytest.mark.parametrize("version", UNSOUND)
def test_a_log_is_refused_by_versions_that_are_not(
    path: Path, monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...]
) -> None:
    """Every other version refuses by an error that says what it needs, and leaves the file as it was."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", version)
    before = path.read_bytes()
    with pytest.raises(ka.ValidationError, match=r"3\.51\.3") as caught:
        ka.open(path, journal="wal")
    assert caught.value.problems[0].field == "journal"
    assert path.read_bytes() == before
    with pytest.raises(ka.ValidationError):
        ka.open(path.with_name("new.db"), journal="wal")
    assert [one.name for one in path.parent.iterdir()] == ["book.db"]


@pytest.mark.parametrize("journal", ["", "WAL", "off", "memory", "delete", None, 1, True, ("wal",), b"wal"])
def test_what_is_no_journal_is_refused(path: Path, sound: None, journal: Any) -> None:
    """Any other value is refused by name, with a file and without."""
    for place in (path, None):
        with pytest.raises(ka.ValidationError) as caught:
            ka.open(place, journal=journal)
        assert caught.value.problems[0].field == "journal"


def test_a_log_needs_a_file(sound: None) -> None:
    """A book in memory keeps no journal."""
    with pytest.raises(ka.ValidationError):
        ka.open(journal="wal")


def test_a_rollback_journal_is_kept_as_shipped(path: Path) -> None:
    """Who asks for nothing gets no write-ahead log."""
    assert not keeps_log(path)
    with ka.open(path) as book, book.trusted("w").transaction():
        book.trusted("w").put(ka.Organisation("new", name="New"))
        assert path.with_name("book.db-journal").exists()


def test_a_new_file_is_made_with_a_log(tmp_path: Path, sound: None) -> None:
    """A file that is missing is made, and keeps a log from the start."""
    with ka.open(tmp_path / "new.db", journal="wal") as book:
        book.trusted("w").put(ka.Organisation("new", name="New"))
        assert keeps_log(tmp_path / "new.db")
        assert list(book.check()) == []


def test_a_commit_is_synced_with_a_log_too(logged: ka.Book) -> None:
    """A commit reaches the disk before the call returns: full sync or more, also with a log."""
    storage = logged._storage
    assert isinstance(storage, SQLiteStorage)
    with storage.unit(write=False) as unit:
        assert unit.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert unit.connection.execute("PRAGMA synchronous").fetchone()[0] >= 2


def test_readers_and_the_writer_do_not_wait_for_each_other(logged: ka.Book, path: Path, sound: None) -> None:
    """With a log a transaction commits while another reads, which goes on seeing the state from its opening."""
    with logged._storage.unit(write=False) as reading:
        before = len(list(reading.acts()))
        logged.trusted("w").put(ka.Organisation("new", name="New"))
        with ka.open(path, journal="wal") as other:
            assert other.trusted("judge").count(ka.Organisation) == 2
        assert len(list(reading.acts())) == before
    assert list(logged.check()) == []


def test_the_file_goes_back_to_a_rollback_journal(path: Path, sound: None) -> None:
    """Opened without the option, also by a version whose log is not sound, the file is one file again."""
    with ka.open(path, journal="wal") as book:
        book.trusted("w").put(ka.Organisation("new", name="New"))
    assert keeps_log(path)
    with ka.open(path) as book:
        assert not keeps_log(path)
        assert book.trusted("judge").count(ka.Organisation) == 2
        assert list(book.check()) == []
    assert [one.name for one in path.parent.iterdir()] == ["book.db"]


def test_who_wants_another_journal_while_it_is_open_is_told(logged: ka.Book, path: Path) -> None:
    """While one holds the file open with a log, another who asks for none is told, and the first goes on."""
    with pytest.raises(ka.StorageUnavailable, match="open elsewhere") as caught:
        SQLiteStorage(path, patience=0.2)
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
    logged.trusted("w").put(ka.Organisation("new", name="New"))
    assert list(logged.check()) == []


def test_a_backup_of_a_log_is_one_file(logged: ka.Book, path: Path) -> None:
    """A backup holds what is only in the log so far, and needs no log itself."""
    logged.trusted("w").put(ka.Organisation("new", name="New"))
    logged.backup(path.with_name("copy.db"))
    assert not keeps_log(path.with_name("copy.db"))
    with ka.open(path.with_name("copy.db")) as copy:
        assert copy.trusted("judge").count(ka.Organisation) == 2
        assert copy.seal() == logged.seal()
        assert list(copy.check()) == []
