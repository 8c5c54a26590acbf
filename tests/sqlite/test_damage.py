"""Damaged files, edits behind the library's back, and files that are not ours."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import pytest

import keyaccount as ka
from keyaccount.catalogue import KINDS
from keyaccount.storage import findings
from keyaccount.storage.schema import table_of

PAGE = 4096
DAMAGES = 500
CHUNKS = 10


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a book with some records and a history, once."""
    path = tmp_path_factory.mktemp("origin") / "book.db"
    with ka.open(path, region="DE") as book:
        fill(book.trusted("setup"))
        assert list(book.check()) == []
    return path


def fill(desk: ka.Desk) -> None:
    """Write accounts, people, notes and a history of changes, removals and a merge."""
    desk.put(ka.Unit("dach", name="DACH"), ka.User("volker", name="Volker", unit_ids=("dach",)))
    desk.put_many(organisations())
    for n in range(15):
        desk.put(ka.Contact(f"c{n}", name=f"Person {n}", emails=(f"p{n}@example.com",)))
        desk.put(ka.Position(f"p{n}", f"c{n}", f"o{n}", title="Buyer", phones=("+49 30 5678-1",)))
    desk.put(*(ka.ServiceNote(f"n{n}", organisation_id=f"o{n}", text=f"Remark {n}") for n in range(15)))
    desk.put(*(ka.Assignment(f"a{n}", "volker", f"o{n}") for n in range(10)))
    for n in range(12):
        desk.put(attrs.evolve(desk.get(ka.Organisation, f"o{n}"), name=f"Renamed {n}"))
    for n in range(20, 24):
        desk.remove(ka.Organisation, f"o{n}")
    desk.put(ka.Organisation("o20", name="Once more"))
    desk.merging.merge(ka.Organisation, "o1", "o2")


def organisations() -> Iterator[ka.Organisation]:
    """Yield accounts with something in most fields."""
    for n in range(40):
        yield ka.Organisation(
            f"o{n}",
            name=f"Account {n}",
            parent_id=f"o{n // 2}" if n > 26 else None,
            phones=("+49 89 1234-0",),
            emails=(f"info@o{n}.example",),
            addresses=(ka.Address(lines=(f"Street {n}",), town="München", country="DE"),),
            location=ka.Location(Decimal("48.1"), Decimal("11.5")) if n % 7 == 0 else None,
        )


def everything(book: ka.Book) -> dict[str, list[Any]]:
    """Read every record and the whole history of each."""
    desk = book.trusted("judge")
    found: dict[str, list[Any]] = {name: list(desk.find(kind.cls, order="id")) for name, kind in KINDS.items()}
    found["history"] = [list(desk.history(type(row), row.key)) for rows in list(found.values()) for row in rows]
    return found


def raw(path: Path) -> list[str] | None:
    """Read everything by sqlite3 alone; None where it cannot be read."""
    connection = sqlite3.connect(path)
    try:
        return list(connection.iterdump())
    except (sqlite3.Error, UnicodeDecodeError):
        return None
    finally:
        connection.close()


# ---- random damage -----------------------------------------------------------------------------------------------


def somewhere(data: bytearray, dice: random.Random) -> int:
    """Return a place, in four of five cases one that holds something: most tables have more room than rows."""
    if dice.randrange(5) == 0:
        return dice.randrange(len(data))
    while not data[at := dice.randrange(len(data))]:
        pass
    return at


def flip(data: bytearray, dice: random.Random) -> str:
    """Flip one bit."""
    at = somewhere(data, dice)
    data[at] ^= 1 << dice.randrange(8)
    return f"bit at {at}"


def overwrite(data: bytearray, dice: random.Random) -> str:
    """Overwrite a few bytes."""
    at = somewhere(data, dice)
    size = dice.randrange(1, min(64, len(data) - at + 1))
    data[at : at + size] = dice.randbytes(size)
    return f"{size} bytes at {at}"


def truncate(data: bytearray, dice: random.Random) -> str:
    """Cut off the tail."""
    del data[dice.randrange(len(data)) :]
    return f"tail from {len(data)}"


def blank(data: bytearray, dice: random.Random) -> str:
    """Zero a page."""
    at = dice.randrange(len(data) // PAGE) * PAGE
    data[at : at + PAGE] = bytes(PAGE)
    return f"page at {at}"


DAMAGE: list[Callable[[bytearray, random.Random], str]] = [flip, flip, flip, overwrite, overwrite, truncate, blank]


Intact = tuple[dict[str, list[Any]], list[str] | None]
"""A book's records with their histories, and all that the database holds."""


def looked_at(path: Path) -> tuple[list[str], dict[str, list[Any]] | None]:
    """Open, check and read a file: return what was complained of, and what could be read; foreign errors pass."""
    complaints: list[str] = []
    read = None
    try:
        with ka.open(path, region="DE") as book:
            try:
                complaints += [str(finding) for finding in book.check()]
            except ka.KeyAccountError as error:
                complaints.append(type(error).__name__)
            read = everything(book)
    except ka.KeyAccountError as error:
        complaints.append(type(error).__name__)
    return complaints, read


@pytest.fixture(scope="module")
def intact(origin: Path) -> Intact:
    """Read the book before any damage, both ways."""
    with ka.open(origin, region="DE") as book:
        return everything(book), raw(origin)


def missed(path: Path, intact: Intact) -> str | None:
    """Say how a damaged file fails the promise; "" where nothing was to be found, None where it was."""
    try:
        complaints, read = looked_at(path)
    except Exception as error:  # noqa: BLE001 - the very thing that must not happen
        return f"foreign {type(error).__name__}: {error}"
    if complaints:
        return None
    if read != intact[0]:
        return "records changed and nothing was found"
    return "" if raw(path) == intact[1] else "something changed and nothing was found"


def outcomes(origin: Path, intact: Intact, path: Path, chunk: int) -> Iterator[tuple[str, str | None]]:
    """Damage the file in fifty ways, the same every time, and tell how each ended."""
    dice = random.Random(chunk)  # noqa: S311 - the same damages every time
    for _ in range(DAMAGES // CHUNKS):
        data = bytearray(origin.read_bytes())
        what = dice.choice(DAMAGE)(data, dice)
        path.write_bytes(data)
        yield what, missed(path, intact)
        path.unlink()


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_damage_that_changed_anything_is_found(origin: Path, intact: Intact, tmp_path: Path, chunk: int) -> None:
    """Whatever is flipped, overwritten, cut off or zeroed in a file is found, unless no byte in use was hit.

    Nothing but documented errors is raised by opening, checking and reading.
    """
    found = list(outcomes(origin, intact, tmp_path / "book.db", chunk))
    assert [(what, failure) for what, failure in found if failure] == []
    assert sum(failure is None for _, failure in found) > len(found) // 4, "hardly anything was hit"


def scrambled(path: Path, dice: random.Random) -> str:
    """Put something else into a random cell of a random row: what another row or nobody has there."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        table = dice.choice([name for name in sorted(tables) if rows(connection, name)])
        row = dice.choice(rows(connection, table))
        names = [column[1] for column in connection.execute(f'PRAGMA table_info("{table}")')]
        key = " AND ".join(f'"{name}" IS ?' for name in names)
        at = dice.randrange(len(names))
        wanted = (*(r[at] for r in rows(connection, table)), None, 0, 1, 7, "", "x", "[]", "{}", b"", b"x" * 16)
        others = list(dict.fromkeys(value for value in wanted if (value, type(value)) != (row[at], type(row[at]))))
        value = dice.choice(others)
        with contextlib.suppress(sqlite3.IntegrityError):  # the key of another row, or nothing where that cannot be
            connection.execute(f'UPDATE "{table}" SET "{names[at]}" = ? WHERE {key}', (value, *row))  # noqa: S608 - our names
        return f"{table}.{names[at]} of {row[:4]} is {value!r}"


def rows(connection: sqlite3.Connection, table: str) -> list[tuple[Any, ...]]:
    """Return the rows of a table."""
    return connection.execute(f'SELECT * FROM "{table}" ORDER BY 1, 2, 3, 4').fetchall()  # noqa: S608 - our names


@pytest.mark.parametrize("chunk", range(4))
def test_every_cell_that_was_edited_is_found(origin: Path, intact: Intact, tmp_path: Path, chunk: int) -> None:
    """Whatever column of whatever row is given another value by sqlite3, in any table, is found."""
    dice = random.Random(f"cell {chunk}")  # noqa: S311 - the same edits every time
    found = []
    for _ in range(50):
        shutil.copy(origin, tmp_path / "book.db")
        what = scrambled(tmp_path / "book.db", dice)
        found.append((what, missed(tmp_path / "book.db", intact)))
    assert [(what, failure) for what, failure in found if failure] == []
    assert sum(failure is None for _, failure in found) > 35, "hardly anything was edited"


def test_the_judge_notices_changed_data(
    origin: Path, intact: Intact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check that looks at nothing would be noticed by the test above."""
    path = tmp_path / "book.db"
    path.write_bytes(origin.read_bytes().replace(b"Remark 1", b"Remark 7"))
    assert missed(path, intact) is None
    monkeypatch.setattr("keyaccount.storage.sqlite.SQLiteStorage.check", lambda *_: iter(()))
    assert missed(path, intact) == "records changed and nothing was found"


def test_a_check_that_believes_every_digest_is_noticed(
    origin: Path, intact: Intact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The random damages notice a check that does not compare digests with rows."""
    monkeypatch.setattr(findings, "_is_digest", lambda *_: True)
    ended = (failure for chunk in range(CHUNKS) for _, failure in outcomes(origin, intact, tmp_path / "b.db", chunk))
    assert "records changed and nothing was found" in ended


# ---- edits behind the library's back -----------------------------------------------------------------------------

CURRENT = [
    'UPDATE {table} SET id = id || "x" WHERE id = (SELECT min(id) FROM {table})',
    "UPDATE {table} SET version = version + 1 WHERE id = (SELECT min(id) FROM {table})",
    "UPDATE {table} SET act = act + 1 WHERE id = (SELECT min(id) FROM {table})",
    "UPDATE {table} SET act = 'x' WHERE id = (SELECT min(id) FROM {table})",
    "UPDATE {table} SET act = 999 WHERE id = (SELECT min(id) FROM {table})",
    "UPDATE {table} SET digest = x'00' WHERE id = (SELECT min(id) FROM {table})",
    "UPDATE {table} SET digest = 'text' WHERE id = (SELECT min(id) FROM {table})",
    "UPDATE {table} SET salt = x'' WHERE id = (SELECT min(id) FROM {table})",
    "UPDATE {table} SET salt = 'text' WHERE id = (SELECT min(id) FROM {table})",
    "UPDATE {table} SET extra = '{{}} ' WHERE id = (SELECT min(id) FROM {table})",
    "UPDATE {table} SET extra = '{{' WHERE id = (SELECT min(id) FROM {table})",
    "UPDATE {table} SET refs = cast(x'ff' AS TEXT) WHERE id = (SELECT min(id) FROM {table})",
    "UPDATE {table} SET refs = x'00' WHERE id = (SELECT min(id) FROM {table})",
    "DELETE FROM {table} WHERE id = (SELECT min(id) FROM {table})",
    "DELETE FROM {table}",
    "DROP TABLE {table}",
]
FILLED = ["organisation", "contact", "position", "service_note", "assignment", "context", "alias", "user", "unit"]
HISTORY = [
    *(
        f"UPDATE past SET {what} WHERE rowid_of = 1"  # noqa: S608 - edits are made by hand
        for what in (
            "kind = 'Contact'",
            "kind = 'Nothing'",
            "id = id || 'x'",
            "version = version + 1",
            "act = act + 1",
            "act = 0",
            "act = 'x'",
            "replaced_by = replaced_by + 1",
            "replaced_by = 999",
            "replaced_by = act",
            "replaced_by = replaced_by - 1",
            "replaced_by = 'x'",
            "content = replace(content, 'Account', 'Amount')",
            "content = 'no list'",
            "content = x'00'",
            "content = cast(x'ff' AS TEXT)",
            "salt = zeroblob(16)",
            "digest = zeroblob(16)",
            "digest = 'text'",
        )
    ),
    "DELETE FROM past WHERE rowid_of = 1",
    "DELETE FROM past",
    "INSERT INTO past SELECT kind, id || 'x', version, act, replaced_by, content, salt, digest FROM past LIMIT 1",
    "INSERT INTO past SELECT kind, id, version, 0, replaced_by, content, salt, digest FROM past LIMIT 1",
]
ACTS = [
    *(
        f"UPDATE act SET {what} WHERE seq = 5"  # noqa: S608 - edits are made by hand
        for what in (
            "at = '2020-01-01T00:00:00+00:00'",
            "at = 'never'",
            "by = 'somebody else'",
            "why = 'another reason'",
            "key = 'a key'",
            "request = 'x'",
            "changed = '[]'",
            "changed = 'no list'",
            "digests = zeroblob(16)",
            "digests = 'text'",
            "digests = 7",
            "chain = zeroblob(32)",
            "chain = 'text'",
            "by = x'00'",
            "why = cast(x'ff' AS TEXT)",
            "seq = 9999",
            "seq = -1",
        )
    ),
    "DELETE FROM act WHERE seq = 5",
    "DELETE FROM act WHERE seq = 1",
    "DELETE FROM act WHERE seq = (SELECT max(seq) FROM act)",
    "DELETE FROM act",
    "INSERT INTO act VALUES (9999, '2020-01-01T00:00:00+00:00', 'x', NULL, NULL, NULL, '[]', x'', x'')",
    (
        "INSERT INTO act SELECT seq + 1, at, by, why, NULL, request, changed, zeroblob(16), chain "
        "FROM act ORDER BY seq DESC LIMIT 1"
    ),
]
ITEMS = [
    "DELETE FROM item WHERE kind = 'Organisation' AND id = 'o5'",
    "DELETE FROM item",
    "UPDATE item SET key = key || 'x' WHERE kind = 'Organisation' AND id = 'o5'",
    "UPDATE item SET key = cast(x'ff' AS TEXT) WHERE kind = 'Organisation' AND id = 'o5' AND field = 'emails'",
    "UPDATE item SET kind = 'Nothing' WHERE kind = 'Organisation' AND id = 'o5'",
    "INSERT INTO item VALUES ('Organisation', 'phones', 'x', 'o5')",
    "INSERT INTO item VALUES ('Organisation', 'phones', 'x', 'nobody')",
    "INSERT INTO item VALUES ('Nothing', 'phones', 'x', 'o5')",
]
SPECIAL = [
    "UPDATE organisation SET search_text = 'x' WHERE id = 'o5'",
    "UPDATE organisation SET search_text = NULL WHERE id = 'o5'",
    "UPDATE organisation SET search_text = x'00' WHERE id = 'o5'",
    "UPDATE organisation SET name_key = 'x' WHERE id = 'o5'",
    "UPDATE organisation SET location = '[1' WHERE id = 'o7'",
    "UPDATE organisation SET location = 'nonsense' WHERE id = 'o7'",
    "UPDATE organisation SET private = 'x' WHERE id = 'o7'",
    "UPDATE organisation SET private = 1 WHERE id = 'o7'",
    "UPDATE service_note SET severity = 77 WHERE id = 'n5'",
    "UPDATE service_note SET created_at = 'never' WHERE id = 'n5'",
    "UPDATE service_note SET valid_until = '2020-13-45' WHERE id = 'n5'",
    "INSERT INTO expected_provider SELECT * FROM context WHERE id = 'phone'; DELETE FROM context WHERE id = 'phone'",
    "INSERT INTO context SELECT 'made.up', version, refs, extra, act, salt, digest FROM context WHERE id = 'phone'",
    (
        "CREATE TABLE swap AS SELECT act, salt, digest, id FROM context WHERE id IN ('phone', 'crm'); "
        "UPDATE context SET digest = (SELECT digest FROM swap WHERE swap.id != context.id) WHERE id IN ('phone', 'crm')"
    ),
    "UPDATE act SET seq = -seq WHERE seq IN (5, 6); UPDATE act SET seq = 11 + seq WHERE seq < 0",
    "PRAGMA user_version = 0",
    "PRAGMA application_id = 0",
    "CREATE TABLE theirs (id TEXT)",
    "CREATE INDEX theirs ON organisation (sector)",
    "CREATE VIEW theirs AS SELECT id FROM organisation",
    "CREATE TRIGGER theirs AFTER INSERT ON act BEGIN DELETE FROM past; END",
    "DROP INDEX item_by_id",
    "ALTER TABLE organisation ADD COLUMN theirs TEXT",
    "ALTER TABLE act RENAME COLUMN why TO reason",
    (
        "PRAGMA writable_schema = ON; "
        "UPDATE sqlite_master SET sql = replace(sql, 'sector\" TEXT', 'sector\" BLOB') WHERE name = 'organisation'"
    ),
]
EDITS = [
    *(edit.format(table=f'"{table}"') for table in FILLED for edit in CURRENT),
    *HISTORY,
    *ACTS,
    *ITEMS,
    *SPECIAL,
]
FIRST = "(kind, id, act) = (SELECT kind, id, act FROM past WHERE kind = 'Organisation' ORDER BY id, act LIMIT 1)"


def edited(origin: Path, path: Path, edit: str) -> Path:
    """Copy the file and change it by sqlite3."""
    shutil.copy(origin, path)
    connection = sqlite3.connect(path)
    connection.executescript(edit.replace("rowid_of = 1", FIRST).replace('|| "x"', "|| 'x'"))
    connection.close()
    return path


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_behind_the_librarys_back_is_found(origin: Path, tmp_path: Path, edit: str) -> None:
    """Whatever another program changes, adds, takes away or reorders is found by opening or `check`.

    Reading, searching, writing and asking for the history of edited rows raises documented errors or none.
    """
    path = edited(origin, tmp_path / "book.db", edit)
    assert raw(path) != raw(origin) or "PRAGMA" in edit, "the edit hit nothing"
    with contextlib.suppress(ka.StorageDamaged), ka.open(path, region="DE") as book:
        assert list(book.check()), "nothing was found"
        assert list(book.check(seal="3:00")), "nothing was found, with a seal"
        with contextlib.suppress(ka.KeyAccountError):
            everything(book)
        for act in ACTIONS:
            with contextlib.suppress(ka.KeyAccountError):
                act(book.trusted("judge"))


ACTIONS: tuple[Callable[[ka.Desk], object], ...] = (
    lambda desk: desk.search("account"),
    lambda desk: desk._book.seal(),
    lambda desk: desk.put(ka.Organisation("new", name="New")),
    lambda desk: desk.remove(ka.Organisation, "o0"),
    lambda desk: desk.count(ka.Organisation),
)


def test_edits_are_made_in_every_table(origin: Path) -> None:
    """The edits above reach every table that holds something."""
    connection = sqlite3.connect(origin)
    filled = [
        table_of(name).name
        for name in KINDS
        if connection.execute(f'SELECT count(*) FROM "{table_of(name).name}"').fetchone()[0]  # noqa: S608 - our names
    ]
    connection.close()
    assert sorted(set(filled) - {"contact_role"}) == sorted(FILLED)


def test_a_tail_cut_off_is_found_with_a_seal(tmp_path: Path) -> None:
    """An old backup put in place of the file is sound in itself; the seal that was kept shows what is gone."""
    path, old = tmp_path / "book.db", tmp_path / "old.db"
    with ka.open(path) as book:
        desk = book.trusted("host")
        desk.put(ka.Organisation("acme", name="ACME"))
        early = book.seal()
        book.backup(old)
        desk.put(ka.Organisation("globex", name="Globex"))
        seal = book.seal()
        assert list(book.check(seal=seal)) == list(book.check(seal=early)) == []
    shutil.copy(old, path)
    with ka.open(path) as book:
        assert list(book.check()) == []
        assert list(book.check(seal=early)) == []
        assert [finding.kind for finding in book.check(seal=seal)] == ["Act"]
        book.trusted("host").put(ka.Organisation("another", name="Another history of the same length"))
        assert [finding.kind for finding in book.check(seal=seal)] == ["Act"]


@pytest.mark.parametrize(
    "seal", ["", "x", "-1:00", "5", "5:", "99999999999999999999:00", "\ud800:", "5:zz", "\u0665:00"]
)
def test_what_is_no_seal_is_told(origin: Path, tmp_path: Path, seal: str) -> None:
    """A seal that is none, or not of this history, is a finding or a documented error."""
    shutil.copy(origin, tmp_path / "book.db")
    with ka.open(tmp_path / "book.db", region="DE") as book, contextlib.suppress(ka.KeyAccountError):
        assert list(book.check(seal=seal))


# ---- files that are not ours -------------------------------------------------------------------------------------


def foreign(path: Path) -> None:
    """Make a file of another program."""
    connection = sqlite3.connect(path)
    connection.executescript("CREATE TABLE organisation (id TEXT); INSERT INTO organisation VALUES ('theirs')")
    connection.close()


def foreign_wal(path: Path) -> None:
    """Make a file of another program that keeps a write-ahead log."""
    connection = sqlite3.connect(path)
    connection.executescript("PRAGMA journal_mode = WAL; CREATE TABLE theirs (id TEXT)")
    connection.close()


def foreign_unfinished(path: Path) -> None:
    """Copy a file of another program with its write-ahead log while that has not been taken over."""
    live = path.with_name("live.db")
    connection = sqlite3.connect(live)
    connection.executescript("PRAGMA journal_mode = WAL; CREATE TABLE theirs (id TEXT)")
    shutil.copy(live, path)
    shutil.copy(f"{live}-wal", f"{path}-wal")
    connection.close()
    live.unlink()


def foreign_interrupted(path: Path) -> None:
    """Leave a file of another program as it is when that is killed while it writes."""
    code = (
        "import os, signal, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.executescript('PRAGMA cache_size = 1; CREATE TABLE t (x); BEGIN')\n"
        "c.executemany('INSERT INTO t VALUES (?)', [('x' * 900,)] * 200)\n"
        "c.execute('COMMIT'); c.execute('BEGIN'); c.execute('UPDATE t SET x = upper(x)')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=False, timeout=60)
    assert Path(f"{path}-journal").exists()


def newer(path: Path) -> None:
    """Make a file of a newer version."""
    ka.open(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()


def cut(path: Path) -> None:
    """Cut a file of ours in its middle."""
    ka.open(path).close()
    os.truncate(path, 5 * PAGE)


REFUSED: dict[str, tuple[Callable[[Path], object], type[ka.KeyAccountError]]] = {
    "another program's": (foreign, ka.StorageDamaged),
    "another program's, with a log": (foreign_wal, ka.StorageDamaged),
    "another program's, with a log not taken over": (foreign_unfinished, ka.StorageDamaged),
    "another program's, interrupted": (foreign_interrupted, ka.StorageDamaged),
    "text": (lambda path: path.write_text("Dear all,\n" * 1000, encoding="utf-8"), ka.StorageDamaged),
    "short text": (lambda path: path.write_text("x", encoding="utf-8"), ka.StorageDamaged),
    "zeros": (lambda path: path.write_bytes(bytes(8192)), ka.StorageDamaged),
    "empty": (lambda path: path.touch(), ka.StorageDamaged),
    "a folder": (lambda path: path.mkdir(), ka.StorageUnavailable),
    "a pipe": (os.mkfifo, ka.StorageUnavailable),
    "of a newer version": (newer, ka.StorageDamaged),
}


def footprint(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return all files of a folder with their times and bytes."""
    return {
        path.name: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in sorted(folder.iterdir())
        if not path.name.endswith("-shm")
    }


@pytest.fixture
def impatient() -> Iterator[None]:
    """Have a test fail that waits for what never comes: to open a pipe waits for whoever writes to it."""

    def give_up(*_: object) -> None:
        pytest.fail("still waiting")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("what", sorted(REFUSED))
def test_a_file_that_is_not_ours_is_refused_unchanged(tmp_path: Path, impatient: None, what: str) -> None:
    """What is no file of this version is refused by a documented error, and neither it nor its folder is changed."""
    make, error = REFUSED[what]
    make(tmp_path / "book.db")
    before = footprint(tmp_path)
    for _ in range(2):
        with pytest.raises(error):
            ka.open(tmp_path / "book.db")
        assert footprint(tmp_path) == before


def test_a_cut_file_is_refused_or_found_unchanged(tmp_path: Path) -> None:
    """A file of ours that lost its tail is refused, or found by `check`, and left as it was."""
    path = tmp_path / "book.db"
    cut(path)
    before = footprint(tmp_path)
    complaints, _ = looked_at(path)
    assert complaints
    assert footprint(tmp_path) == before


def test_a_folder_that_is_missing_is_told(tmp_path: Path) -> None:
    """A book in a folder that is not there cannot be reached, and no folder is made."""
    with pytest.raises(ka.StorageUnavailable):
        ka.open(tmp_path / "none" / "book.db")
    assert list(tmp_path.iterdir()) == []


READ_ONLY = """
import os, sys
import keyaccount as ka
for name in dir(ka):
    getattr(ka, name)
path = sys.argv[1]
with ka.open(path) as book:
    desk = book.trusted("first")  # everything is imported while it can be
    list(book.check()), desk.put(desk.get(ka.Organisation, "acme")), desk.remove(ka.Context, "crm")
    desk.put(ka.Context("crm"))
ka.open(os.path.join(os.path.dirname(path), "x")).close()
os.remove(os.path.join(os.path.dirname(path), "x"))
os.chmod(path, 0o444)
before = open(path, "rb").read()
os.setgid(65534); os.setuid(65534)
with ka.open(path) as book:
    desk = book.trusted("reader")
    assert desk.get(ka.Organisation, "acme").name == "ACME"
    assert list(book.check()) == []
    for what in (lambda: desk.put(ka.Organisation("new", name="New")), lambda: desk.remove(ka.Organisation, "acme")):
        try:
            what()
        except ka.StorageUnavailable as error:
            assert error.__cause__ is not None
        else:
            raise SystemExit("was written")
try:
    ka.open(path + "-new")
except ka.StorageUnavailable:
    print("refused" if open(path, "rb").read() == before else "changed")
"""


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="needs to become another user")
def test_a_file_that_is_read_only_is_read_and_not_changed(tmp_path: Path) -> None:
    """A file and folder that cannot be written are read; each write is StorageUnavailable with its cause."""
    with ka.open(tmp_path / "book.db") as book:
        book.trusted("setup").put(ka.Organisation("acme", name="ACME"))
    for folder in (tmp_path, *tmp_path.parents):
        if Path(tempfile.gettempdir()) in folder.parents:
            folder.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", READ_ONLY, str(tmp_path / "book.db")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.stdout, done.returncode) == ("refused\n", 0), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["book.db"]


def test_the_application_id_stands_where_it_is_looked_for(tmp_path: Path) -> None:
    """Our files can be told by their first hundred bytes, as `file` does."""
    ka.open(tmp_path / "book.db").close()
    header = (tmp_path / "book.db").read_bytes()[:100]
    assert header[:16] == b"SQLite format 3\0"
    assert struct.unpack(">I", header[68:72]) == (0x6B616363,)
