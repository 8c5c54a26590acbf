"""What becomes of an SQLite file: made, recognised, brought up to date, copied, and brought through to the disk."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from keyaccount.catalogue import KINDS
from keyaccount.errors import KeyAccountError, StorageDamaged, StorageUnavailable, ValidationError
from keyaccount.storage import migrations
from keyaccount.storage.audit import is_busy, is_damage
from keyaccount.storage.schema import table_of

Journal = Literal["rollback", "wal"]

APPLICATION_ID = 0x6B616363
"""Marks a file as ours ("kacc")."""

_STATEMENTS = 256
_PATIENCE = 5.0
_BESIDE = ("-journal", "-wal", "-shm")
_MODES = {"rollback": "delete", "wal": "wal"}


# ---- the statements of a connection ------------------------------------------------------------------------------


def connect(path: Path, patience: float) -> sqlite3.Connection:
    """Open a connection to a file that is there."""
    uri = f"{path.absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(
        uri, uri=True, timeout=patience, isolation_level=None, check_same_thread=False, cached_statements=_STATEMENTS
    )
    connection.execute("PRAGMA synchronous = EXTRA")  # FULL, and the folder: a journal that is gone stays gone
    return connection


def run(connection: sqlite3.Connection, statement: str) -> None:
    """Run a statement that answers nothing."""
    with documented():
        connection.execute(statement)


@contextmanager
def documented() -> Iterator[None]:
    """Turn the database's errors into documented ones, with their cause."""
    try:
        yield
    except KeyAccountError:
        raise
    except sqlite3.Error as error:
        if is_damage(error):
            raise StorageDamaged(f"the file is damaged: {error}") from error
        raise StorageUnavailable(f"the file cannot be used now: {error}") from error
    except OSError as error:
        raise StorageUnavailable(f"the file cannot be reached: {error.strerror or error}") from error
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise StorageDamaged(f"the file is damaged: a {type(error).__name__} while reading what it holds") from error


def commit(connection: sqlite3.Connection, path: Path, is_there: Callable[[], bool]) -> None:
    """Commit, and raise only where nothing is there.

    The last step, to sync the folder that the journal is gone from, can fail when the transaction is done already. It
    is tried once more; where that fails too, nobody knows what is there after the power fails, and the error says so.
    """
    try:
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        # still in the transaction where it is busy: who began it rolls it back
        if connection.in_transaction or not _is_done(error, path, is_there):
            raise


def _is_done(error: sqlite3.Error, path: Path, is_there: Callable[[], bool]) -> bool:
    """Say whether a commit that failed is there all the same, and on the disk; raise where nobody knows."""
    told = "the transaction may be there or not: the disk failed as it ended; look before you repeat it"
    try:
        done = is_there()
        if done:
            _sync_folder(path.absolute().parent)
    except (sqlite3.Error, OSError) as another:
        if Path(f"{path}-journal").exists() and not is_busy(another):
            return False  # the journal that still stands there takes it back
        raise StorageUnavailable(told, uncertain=True) from another
    unsynced = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_FSYNC
    if not done and unsynced and Path(f"{path}-wal").exists():
        raise StorageUnavailable(told, uncertain=True) from error  # a log that is read after a crash may hold it
    return done


# ---- journals ----------------------------------------------------------------------------------------------------


def check_journal(journal: object) -> None:
    """Refuse a journal that there is not, and a write-ahead log where it can damage the file."""
    if not isinstance(journal, str) or journal not in _MODES:
        raise ValidationError.of("Book", "journal", journal, "must be 'rollback' or 'wal'")
    if journal == "wal" and not has_sound_log(sqlite3.sqlite_version_info):
        raise ValidationError.of(
            "Book", "journal", journal,
            f"needs SQLite 3.51.3 or later, or 3.50.7, or 3.44.6: the log of {sqlite3.sqlite_version} can damage the "
            "file; use the rollback journal",
        )  # fmt: skip


def has_sound_log(version: tuple[int, ...]) -> bool:
    """Say whether a version of SQLite is without the race that can damage a file with a write-ahead log.

    Source: https://sqlite.org/wal.html, "The WAL-reset bug": fixed in 3.51.3, and in two branches in 3.50.7 and 3.44.6.
    """
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)


def keep_journal(connection: sqlite3.Connection, path: Path, journal: Journal) -> None:
    """Have the file keep the journal that was asked for."""
    wanted = _MODES[journal]
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    if mode == wanted:
        return
    try:
        (mode,) = connection.execute(f"PRAGMA journal_mode = {wanted}").fetchone()
    except sqlite3.OperationalError as error:
        raise StorageUnavailable(
            f"{str(path)!r} is open elsewhere with another journal; close it there, or open it here in the same way"
        ) from error
    if mode != wanted:
        raise StorageUnavailable(f"{str(path)!r} cannot keep a write-ahead log where it stands") from OSError(mode)


# ---- made, recognised, brought up to date ------------------------------------------------------------------------


def make(path: Path) -> None:
    """Make a new file; one that got there meanwhile is left alone."""
    with contextlib.suppress(FileExistsError):
        _placed(path, lambda empty: _furnish(empty, path), overwrite=False)


def recognise(path: Path) -> None:
    """Read a file's first bytes before the database does: another program's journal must not be played into it."""
    if path.exists() and not path.is_file():  # to open a pipe would be to wait for whoever writes to it
        raise StorageUnavailable(f"{str(path)!r} is no file") from OSError("not a regular file")
    with path.open("rb") as file:
        head = file.read(100)
    ours = head[:16] == b"SQLite format 3\0" and int.from_bytes(head[68:72], "big") == APPLICATION_ID
    if not ours:
        raise StorageDamaged(f"{str(path)!r} is not a file of this library; it was left as it was")


def identify(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a file that is not ours, or of a newer version, before anything is written to it; migrate an older one."""
    (ours,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if ours != APPLICATION_ID:
        raise StorageDamaged(f"{str(path)!r} is not a file of this library; it was left as it was")
    if version < 1:
        raise StorageDamaged(f"{str(path)!r} does not say its version; it was left as it was")
    if version > migrations.version():
        raise StorageDamaged(f"{str(path)!r} was written by a newer version of this library; it was left as it was")
    if version < migrations.version():
        _migrate(connection, path, version)
    missing = {table_of(kind).name for kind in KINDS} - {
        row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    }
    if missing:
        raise StorageDamaged(f"{str(path)!r} lacks tables: {', '.join(sorted(missing))}")


def _migrate(connection: sqlite3.Connection, path: Path, found: int) -> None:
    """Copy a file of an older version beside it, then bring it up to date; a copy that is there already is kept."""
    before = path.with_name(f"{path.name}.before-version-{migrations.version()}")
    with contextlib.suppress(FileExistsError):
        copy(connection, before, _PATIENCE, overwrite=False)
    _furnish(connection, path, only=found)


def _furnish(connection: sqlite3.Connection, path: Path, only: int | None = None) -> None:
    """Bring a database to the version this library writes, in one transaction; another process may have done it."""
    connection.isolation_level = None
    connection.execute("BEGIN IMMEDIATE")
    try:
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if only in (None, found):
            for statement in migrations.pending(found):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {migrations.version()}")
        commit(connection, path, lambda: _is_current(connection))
    finally:
        if connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):  # the first error is the one that tells
                connection.execute("ROLLBACK")


def _is_current(connection: sqlite3.Connection) -> bool:
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    return bool(found == migrations.version())


# ---- copied ------------------------------------------------------------------------------------------------------


def copy(source: sqlite3.Connection, path: Path, patience: float, *, overwrite: bool) -> None:
    """Copy a database to a new file while others go on working."""
    _placed(path, lambda empty: _copied(source, empty, patience), overwrite=overwrite)


def _copied(source: sqlite3.Connection, target: sqlite3.Connection, patience: float) -> None:
    """Copy a database while others go on, but do not wait for one of them for ever."""
    last = [0, time.monotonic()]

    def watch(_status: int, remaining: int, _total: int) -> None:
        now = time.monotonic()
        if remaining != last[0]:
            last[:] = [remaining, now]
        elif now - last[1] > patience:
            raise StorageUnavailable("another program keeps the file to itself; try again") from TimeoutError()

    source.backup(target, pages=1_000, progress=watch, sleep=0.05)
    target.execute("PRAGMA journal_mode = DELETE")  # a copy is one file, also of one that keeps a write-ahead log


def _placed(path: Path, fill: Callable[[sqlite3.Connection], object], *, overwrite: bool) -> None:
    """Fill a new file beside its place and move it there whole, through to the disk."""
    handle, name = tempfile.mkstemp(prefix=".keyaccount-", dir=path.absolute().parent)
    os.close(handle)
    try:
        with contextlib.closing(sqlite3.connect(name)) as connection:
            fill(connection)
        with Path(name).open("rb") as file:
            os.fsync(file.fileno())
        if overwrite or not path.exists():
            for left in _BESIDE:  # left by a program that was killed: it would be rolled into the new file
                Path(f"{path}{left}").unlink(missing_ok=True)
        if overwrite:
            Path(name).replace(path)
        else:
            os.link(name, path)
        _sync_folder(path.absolute().parent)
    except OSError:
        if not overwrite and path.exists() and Path(name).exists() and path.samefile(name):
            path.unlink()
        raise
    finally:
        for left in ("", *_BESIDE):
            Path(f"{name}{left}").unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Bring a folder's new entry to the disk, where the system can."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
