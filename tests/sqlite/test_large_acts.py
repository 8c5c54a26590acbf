"""Acts that change very many records: they count them instead of naming them, and everything else stays as it was."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import attrs
import pytest

import keyaccount as ka
from keyaccount.storage import Act, changed

ALLOWED = 20_000_000
"""How far the peak may rise: page caches and one chunk of records, but not the ids of all (75 MB when they were)."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the file stands."""
    return tmp_path / "book.db"


@pytest.fixture
def book(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ka.Book]:
    """Open a book whose acts name three records at most."""
    monkeypatch.setattr(changed, "NAMED", 3)
    with ka.open(path) as book:
        yield book


def loaded(book: ka.Book, count: int = 5) -> ka.Desk:
    """Load some organisations in one act; return the desk that did."""
    office = book.trusted("office")
    office.put_many(ka.Organisation(f"o{n}", name=f"O {n}") for n in range(count))
    return office


def last_act(book: ka.Book) -> Act:
    """Return the last act."""
    with book._storage.unit(write=False) as unit:
        return list(unit.acts())[-1]


def kept(path: Path, seq: int) -> object:
    """Return what the file keeps of what an act changed."""
    with closing(sqlite3.connect(path)) as connection:
        (text,) = connection.execute("SELECT changed FROM act WHERE seq = ?", (seq,)).fetchone()
    return json.loads(text)


def edited(path: Path, statement: str) -> None:
    """Change one row of the file behind the library's back."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(statement).rowcount == 1
        connection.commit()


def renamed_then_refused(office: ka.Desk) -> None:
    """Write something in a nested transaction, which then fails."""
    with office.transaction():
        office.put(ka.Organisation("o9", name="Not kept"))
        office.remove(ka.Organisation, "none")


def names(count: int) -> set[tuple[str, str]]:
    """Return the names of so many organisations."""
    return {("Organisation", f"o{n}") for n in range(count)}


def test_a_large_act_counts_and_is_read_back_with_its_names(book: ka.Book, path: Path) -> None:
    """Above the limit the file holds numbers; the act still tells what it changed, also what was replaced since."""
    office = loaded(book)
    act = last_act(book)
    assert kept(path, act.seq) == {"Organisation": [5, 0]}
    assert set(act.changed) == names(5)
    office.put(attrs.evolve(office.get(ka.Organisation, "o3"), name="Other"))
    office.remove(ka.Organisation, "o4")
    with book._storage.unit(write=False) as unit:
        assert set(next(one for one in unit.acts() if one.seq == act.seq).changed) == names(5)
    assert not book.check()


def test_an_act_at_the_limit_names(book: ka.Book, path: Path) -> None:
    """Up to the limit records are named, in the order in which they were written."""
    loaded(book, 3)
    assert kept(path, last_act(book).seq) == [["Organisation", "o0"], ["Organisation", "o1"], ["Organisation", "o2"]]


def test_a_large_act_counts_each_record_once(book: ka.Book, path: Path) -> None:
    """What is changed, removed and made again inside a large act counts for what is there when it ends."""
    office = loaded(book)
    with office.transaction():
        for n in range(5):
            office.put(attrs.evolve(office.get(ka.Organisation, f"o{n}"), name="Once"))
        office.put(attrs.evolve(office.get(ka.Organisation, "o0"), name="Twice"))
        office.remove(ka.Organisation, "o1")
        office.put(ka.Organisation("o1", name="Again"))
        office.remove(ka.Organisation, "o2")
        office.put(ka.Organisation("fleeting", name="F"))
        office.remove(ka.Organisation, "fleeting")
    act = last_act(book)
    assert kept(path, act.seq) == {"Organisation": [4, 5]}
    assert set(act.changed) == names(5)
    assert not book.check()


def test_what_is_taken_back_inside_a_large_act_does_not_count(book: ka.Book, path: Path) -> None:
    """A call that is refused inside a transaction leaves the numbers as they were."""
    office = loaded(book)
    with office.transaction():
        for n in range(5):
            office.put(attrs.evolve(office.get(ka.Organisation, f"o{n}"), name="Once"))
        with pytest.raises(ka.NotFound):
            renamed_then_refused(office)
    assert kept(path, last_act(book).seq) == {"Organisation": [5, 5]}
    assert not book.check()


def test_history_and_undo_work_over_large_acts(book: ka.Book) -> None:
    """A record's history tells of a large act; a merge that moved many records can be taken back."""
    office = loaded(book)
    office.put_many(ka.ServiceNote(f"n{n}", organisation_id="o1", text="x") for n in range(6))
    done = office.merging.merge(ka.Organisation, winner="o0", loser="o1")
    assert done.moved == 6
    assert {note.organisation_id for note in office.find(ka.ServiceNote)} == {"o0"}
    office.merging.undo(done.act)
    assert {note.organisation_id for note in office.find(ka.ServiceNote)} == {"o1"}
    told = office.history(ka.Organisation, "o1")
    assert [getattr(one.after, "name", None) for one in told] == ["O 1", None, "O 1"]
    assert not book.check()


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE past SET replaced_by = 2 WHERE id = 'o3'", "was replaced by another act than it says"),
        ("UPDATE past SET replaced_by = 3 WHERE id = 'o0'", "wrote or replaced another number of records"),
        ("UPDATE past SET replaced_by = 4 WHERE id = 'o3'", "wrote or replaced another number of records"),
        ("DELETE FROM past WHERE id = 'o3'", "wrote or replaced another number of records"),
    ],
)
def test_tampering_with_who_replaced_what_is_found(book: ka.Book, path: Path, statement: str, what: str) -> None:
    """Acts that count prove who wrote and who replaced an image as well as acts that name."""
    office = loaded(book)  # act 2
    office.put_many([attrs.evolve(row, name="Changed") for row in office.find(ka.Organisation) if row.id != "o0"])  # 3
    office.put_many([attrs.evolve(row, name="Again") for row in office.find(ka.Organisation) if row.id != "o3"])  # 4
    assert not book.check()
    edited(path, statement)
    assert any(what in finding.what for finding in book.check()), list(book.check())


def test_a_bulk_load_keeps_no_list_of_what_it_wrote(tmp_path: Path) -> None:
    """The memory of a bulk load does not grow with the number of its records."""
    child = Path(__file__).with_name("child_load.py")
    source = Path(ka.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, str(child), str(tmp_path / "book.db"), "200000"],
        env={"PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    assert int(done.stdout) < ALLOWED
