"""Dumps: a book as a folder, and back; whatever else the folder holds is refused, and nothing is half done."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import keyaccount as ka
from keyaccount.catalogue import KINDS
from keyaccount.cells import plain, safe
from keyaccount.dumps import _cell, _kept, _record, _value
from keyaccount.shapes import shapes_of
from keyaccount.testing.records import every_value, exact, large
from keyaccount.testing.strategies import entities

FORMULAS = ("=1+1", "+49 89 1234", "-x", "@a", "|b", "  =c", "'quoted", "''", "\t=x", "plain", "=", "'")


@pytest.fixture
def book() -> Iterator[ka.Book]:
    """Fill a book with odd texts, changed and removed records, and what refers ahead."""
    with ka.demo() as made:
        desk = made.trusted("setup")
        for n, text in enumerate(FORMULAS):
            desk.put(ka.Organisation(f"{text.strip()}{n}", name=text.strip() or "x", extra={"x": text}))
        desk.put(attrs.evolve(desk.get(ka.Organisation, "acme"), sector="chemicals"))
        desk.put(ka.ServiceNote("note", organisation_id="acme", text='a\r"b"\n;,\r\n\u2028\U0001f600 ' + "=x"))
        desk.put(*(ka.ServiceNote(f"n{n}", organisation_id="acme", text=f"{t}\rx") for n, t in enumerate(FORMULAS)))
        price = ka.Money("-1234.5", "EUR")
        desk.put(
            ka.Order("o", organisation_id="acme", ordered_on=made.now().date(), lines=(ka.Line(unit_price=price),))
        )
        yield made


def rows(book: ka.Book) -> dict[str, list[Any]]:
    """Return every record of a book."""
    desk = book.trusted("judge")
    return {name: list(desk.find(kind.cls, order="id")) for name, kind in KINDS.items()}


def names(folder: Path) -> list[str]:
    """Return what is in a folder."""
    return sorted(entry.name for entry in folder.iterdir())


# ---- there and back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("where", ["memory", "file"])
def test_a_dump_that_is_loaded_is_an_equal_book(book: ka.Book, tmp_path: Path, form: Any, where: str) -> None:
    """Every record comes back equal, with id and version; loading again changes nothing and writes no act."""
    told = book.trusted("x").dump(tmp_path / "dump", format=form)
    assert told.counts == {name: len(found) for name, found in rows(book).items()}
    with ka.open(None if where == "memory" else tmp_path / "b.sqlite") as other:
        loaded = other.trusted("load").load(tmp_path / "dump")
        assert loaded.counts == told.counts
        assert rows(other) == rows(book)
        with other._storage.unit(write=False) as unit:
            acts = len(list(unit.acts()))
        assert other.trusted("load").load(tmp_path / "dump").unchanged == told.records
        with other._storage.unit(write=False) as unit:
            assert len(list(unit.acts())) == acts == 2
        other.trusted("again").dump(tmp_path / "again", format=form)
    for path in (tmp_path / "dump").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


@pytest.mark.parametrize("name", KINDS)
def test_every_odd_value_comes_back(name: str) -> None:
    """Each field of each kind comes back exactly, whatever it holds, from a CSV cell and from JSON."""
    kind = KINDS[name]
    shapes = shapes_of(kind.cls)
    for record in (*every_value(kind), large(kind)):
        kept = _kept(kind, record)
        assert exact(_record(kind, json.loads(json.dumps(kept)))) == exact(record)
        cells = {field: _cell(value) for field, value in kept.items()}
        assert exact(_record(kind, {field: _value(shapes[field], cell) for field, cell in cells.items()})) == exact(
            record
        )


@given(st.data(), st.sampled_from(sorted(KINDS)))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_record_comes_back(data: st.DataObject, name: str) -> None:
    """Any record of any kind comes back exactly through the text of a CSV file."""
    kind = KINDS[name]
    shapes = shapes_of(kind.cls)
    record = data.draw(entities(kind.cls))
    cells = [_cell(value) for value in _kept(kind, record).values()]
    values = {field: _value(shapes[field], cell) for field, cell in zip(shapes, cells, strict=True)}
    assert _record(kind, values) == record


@given(st.text())
@example("  =1+1")
@example("\t+49")
@example("'")
def test_marks_are_taken_away_exactly(text: str) -> None:
    """Any text comes back from its cell, and no cell begins like a formula."""
    cell = safe(text)
    assert plain(cell) == text
    assert not cell.lstrip().startswith(("=", "+", "-", "@"))


def test_nothing_in_a_dump_runs_in_a_spreadsheet(book: ka.Book, tmp_path: Path) -> None:
    """No cell of any file begins like a formula, not even behind blanks."""
    book.trusted("x").dump(tmp_path / "dump")
    for path in (tmp_path / "dump").glob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.reader(file):
                assert not [cell for cell in row if cell.lstrip().startswith(("=", "+", "-", "@", "|"))], path


def test_long_texts_are_written_as_json(tmp_path: Path) -> None:
    """A kind with a text that is too long for readers of CSV is written as JSON Lines; others stay CSV."""
    with ka.open() as book, ka.open() as other:
        book.trusted("x").put(ka.Product("p", name="x", extra={"text": '"' * 90_000}))
        book.trusted("x").dump(tmp_path / "dump")
        assert "Product.jsonl" in names(tmp_path / "dump")
        assert "Product.csv" not in names(tmp_path / "dump")
        assert "Order.csv" in names(tmp_path / "dump")
        other.trusted("x").load(tmp_path / "dump")
        assert rows(other) == rows(book)


def test_what_a_book_shipped_with_may_be_gone_or_changed(tmp_path: Path) -> None:
    """A role that the dumped book removed, and one that it changed, are so in the new book too."""
    with ka.open() as book, ka.open() as other:
        desk = book.trusted("x")
        first, second, *_ = desk.find(ka.ContactRole, order="id")
        desk.remove(ka.ContactRole, first.id)
        desk.put(attrs.evolve(second, name="Other"))
        desk.dump(tmp_path / "dump")
        other.trusted("x").load(tmp_path / "dump")
        assert rows(other) == rows(book)


def test_loading_what_is_there_with_other_content(book: ka.Book, tmp_path: Path) -> None:
    """A record that is there with other content is a conflict, and nothing is written."""
    book.trusted("x").dump(tmp_path / "dump")
    with ka.open() as other:
        other.trusted("x").put(ka.Organisation("acme", name="Someone else"))
        before = rows(other)
        with pytest.raises(ka.ConflictError, match="acme"):
            other.trusted("x").load(tmp_path / "dump")
        assert rows(other) == before


def test_progress_of_both(book: ka.Book, tmp_path: Path) -> None:
    """Both calls tell how far they are, up to all of it."""
    written: list[ka.Progress] = []
    book.trusted("x").dump(tmp_path / "dump", progress=written.append)
    assert [one.what for one in written] == list(KINDS)
    assert written[-1].done == written[-1].total
    read: list[ka.Progress] = []
    with ka.open() as other:
        told = other.trusted("x").load(tmp_path / "dump", progress=read.append)
    assert read[-1].done == read[-1].total == told.records


@pytest.mark.parametrize("error", [OSError, UnicodeError, RecursionError, KeyboardInterrupt, ZeroDivisionError])
def test_progress_that_raises(book: ka.Book, tmp_path: Path, error: type[BaseException]) -> None:
    """The host's own error comes out as it is; no folder is left, and nothing is written."""

    def fail(_: ka.Progress) -> None:
        raise error

    with pytest.raises(error):
        book.trusted("x").dump(tmp_path / "dump", progress=fail)
    assert names(tmp_path) == []
    book.trusted("x").dump(tmp_path / "dump")
    with ka.open() as other:
        before = rows(other)
        with pytest.raises(error):
            other.trusted("x").load(tmp_path / "dump", progress=fail)
        assert rows(other) == before


# ---- where it is written ---------------------------------------------------------------------------------------------


def test_an_empty_folder_stays_the_same_folder(book: ka.Book, tmp_path: Path) -> None:
    """A folder that is there and empty is filled, not replaced: it may be a mount, or somebody's current folder."""
    folder = tmp_path / "dump"
    folder.mkdir(mode=0o700)
    before = folder.stat()
    book.trusted("x").dump(folder)
    after = folder.stat()
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)


def test_overwriting_is_asked_for(book: ka.Book, tmp_path: Path) -> None:
    """A dump replaces another only where told to; then none of the earlier one's files stay."""
    desk, folder = book.trusted("x"), tmp_path / "dump"
    desk.dump(folder, format="jsonl")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ka.ValidationError, match="is not empty"):
        desk.dump(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    (folder / ".dump-killed").mkdir()
    (folder / ".dump-killed" / "Organisation.csv").write_text("half")
    desk.dump(folder, overwrite=True)
    assert names(folder) == sorted(["manifest.json", *(f"{name}.csv" for name in KINDS)])
    with ka.open() as other:
        other.trusted("x").load(folder)
        assert rows(other) == rows(book)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("left", [["letter.txt"], ["letter.txt", "manifest.json"], ["Organisation.csv"], [".hidden"]])
def test_a_folder_of_somebody_elses(book: ka.Book, tmp_path: Path, overwrite: bool, left: list[str]) -> None:
    """A folder with anything but a whole dump in it is left alone, whatever is asked."""
    for name in left:
        (tmp_path / name).write_text("mine")
    with pytest.raises(ka.ValidationError):
        book.trusted("x").dump(tmp_path, overwrite=overwrite)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(left, "mine")


def test_no_link_is_followed(book: ka.Book, tmp_path: Path) -> None:
    """A folder that is a link is refused in both directions, and so is a file of a dump that is one."""
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    with pytest.raises(ka.ValidationError, match="is no folder"):
        book.trusted("x").dump(link)
    assert names(real) == []
    book.trusted("x").dump(real)
    with ka.open() as other:
        with pytest.raises(ka.ValidationError):
            other.trusted("x").load(link)
        (tmp_path / "moved").write_bytes((real / "Organisation.csv").read_bytes())
        (real / "Organisation.csv").unlink()
        (real / "Organisation.csv").symlink_to(tmp_path / "moved")
        with pytest.raises(ka.ValidationError, match="or is a link"):
            other.trusted("x").load(real)
        book.trusted("x").dump(real, overwrite=True)
        assert not (real / "Organisation.csv").is_symlink()


@pytest.mark.parametrize("path", ["", "a\0b", None, 5, b"x", "\ud800", ["x"]])
def test_paths_that_are_none(book: ka.Book, path: Any) -> None:
    """What is no path is refused by both."""
    for call in (book.trusted("x").dump, book.trusted("x").load):
        with pytest.raises(ka.ValidationError):
            call(path)


@pytest.mark.parametrize("kind", ["missing/dump", "file", "pipe", "/dev/null", "long"])
def test_places_that_are_no_folder(book: ka.Book, tmp_path: Path, kind: str) -> None:
    """A place where no folder can be is refused by both, and left as it is."""
    (tmp_path / "file").write_text("mine")
    os.mkfifo(tmp_path / "pipe")
    place = tmp_path / ("x" * 5000 if kind == "long" else kind)
    for call in (book.trusted("x").dump, book.trusted("x").load):
        with pytest.raises((ka.ValidationError, ka.StorageUnavailable)):
            call(place)
    assert (names(tmp_path), (tmp_path / "file").read_text()) == (["file", "pipe"], "mine")


@pytest.mark.parametrize(
    "given", [{"format": "xml"}, {"format": []}, {"format": None}, {"overwrite": 1}, {"progress": 5}]
)
def test_other_arguments(book: ka.Book, tmp_path: Path, given: Any) -> None:
    """Other arguments that are none are refused, and nothing is written."""
    with pytest.raises(ka.ValidationError):
        book.trusted("x").dump(tmp_path / "dump", **given)
    assert names(tmp_path) == []


def test_a_full_disk(tmp_path: Path) -> None:
    """Where the disk is full, that is told and nothing is left; the next dump succeeds."""
    code = f"""
import os, resource, keyaccount as ka
book = ka.demo(); desk = book.trusted("x"); folder = {str(tmp_path / "dump")!r}
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
for existing in (False, True):
    if existing: os.mkdir(folder)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))
    try:
        desk.dump(folder)
    except ka.StorageUnavailable as error:
        print("told", type(error.__cause__).__name__)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    print(os.listdir({str(tmp_path)!r}), os.listdir(folder) if existing else "")
desk.dump(folder)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "told OSError\n[] \ntold OSError\n['dump'] []\n"
    assert "manifest.json" in names(tmp_path / "dump")


def test_a_failed_overwrite_keeps_the_earlier_dump(book: ka.Book, tmp_path: Path) -> None:
    """Where writing fails before it is done, the dump that was there stays whole."""
    desk, folder = book.trusted("x"), tmp_path / "dump"
    desk.dump(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    desk.put(ka.Product("new", name="New"))

    def fail(told: ka.Progress) -> None:
        if told.what == "Link":
            raise RuntimeError

    with pytest.raises(RuntimeError):
        desk.dump(folder, overwrite=True, progress=fail)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


# ---- what is in a folder ---------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Dump a small book as JSON Lines for products, and CSV for the rest."""
    with ka.open() as book:
        book.trusted("x").put(ka.Organisation("acme", name="ACME"), ka.Product("p", name="Tea"))
        book.trusted("x").dump(tmp_path / "dump")
    forge(tmp_path / "dump", "Product", '{"id":"p","name":"Tea"}\n', file="Product.jsonl")
    return tmp_path / "dump"


def forge(folder: Path, kind: str, content: str | bytes, *, file: str = "", count: int = 1) -> None:
    """Put other content into a file of a dump, and say so in the manifest."""
    path = folder / (file or f"{kind}.csv")
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["kinds"][kind] = {"file": path.name, "count": count, "sha256": digest}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def refused(folder: Path) -> ka.ValidationError:
    """Load a folder that is refused; check that nothing was written."""
    with ka.open() as book:
        before = rows(book)
        with pytest.raises(ka.ValidationError) as caught:
            book.trusted("x").load(folder)
        assert rows(book) == before
    assert str(caught.value)
    return caught.value


def test_the_forged_folder_is_sound(folder: Path) -> None:
    """The folder that the tests below spoil loads as it is."""
    with ka.open() as book:
        assert book.trusted("x").load(folder).counts["Product"] == 1
        assert book.trusted("x").get(ka.Product, "p").version == 1


Change = Callable[[dict[str, Any]], Any]
MANIFESTS: list[Change | str] = [
    "",
    "nonsense",
    "[]",
    "5",
    "null",
    "[" * 100_000,
    '{"format": "keyaccount"}',
    lambda m: m.update(format="other"),
    lambda m: m.update(version=2),
    lambda m: m.update(version="1"),
    lambda m: m.update(version=True),
    lambda m: m.update(kinds=5),
    lambda m: m.update(kinds=[[1, {}]]),
    lambda m: m["kinds"].update(Spy={}),
    lambda m: m["kinds"].update(Product=5),
    lambda m: m["kinds"]["Product"].update(file="../Product.jsonl"),
    lambda m: m["kinds"]["Product"].update(file="/etc/passwd"),
    lambda m: m["kinds"]["Product"].update(file=["Product.jsonl"]),
    lambda m: m["kinds"]["Product"].update(file="Organisation.csv"),
    lambda m: m["kinds"]["Product"].update(file="Product.csv"),
    lambda m: m["kinds"]["Product"].update(file=None),
    lambda m: m["kinds"]["Product"].update(count=2),
    lambda m: m["kinds"]["Product"].update(count=-1),
    lambda m: m["kinds"]["Product"].update(count="1"),
    lambda m: m["kinds"]["Product"].update(count=True),
    lambda m: m["kinds"]["Product"].update(sha256="0" * 64),
    lambda m: m["kinds"]["Product"].pop("sha256"),
    lambda m: m.update(padding="x" * 2_000_000),
]


@pytest.mark.parametrize("number", range(len(MANIFESTS)))
def test_manifests_that_are_none(folder: Path, number: int) -> None:
    """A manifest that is none, of another program or version, or that names other files, is refused."""
    path, change = folder / "manifest.json", MANIFESTS[number]
    (folder / "Product.csv").unlink()
    if isinstance(change, str):
        path.write_text(change)
    else:
        manifest = json.loads(path.read_text())
        change(manifest)
        path.write_text(json.dumps(manifest))
    refused(folder)


def test_a_file_that_was_changed(folder: Path) -> None:
    """A file that is not what the manifest says is refused before anything is written."""
    with (folder / "Organisation.csv").open("a") as file:
        file.write("more")
    assert "checksum differs" in str(refused(folder))


def test_a_folder_without_its_manifest(folder: Path) -> None:
    """Without a manifest, a folder is no dump."""
    (folder / "manifest.json").unlink()
    assert "is no dump" in str(refused(folder))


JSON_LINES = [
    "nonsense",
    "[]",
    "5",
    "\n",
    "[" * 100_000,
    '{"id":"p","name":"Tea","extra":"' + "[" * 50_000 + '"}',
    '{"id":"p","name":"Tea","version":' + "9" * 5000 + "}",
    '{"id":"p","name":"Tea","version":-1}',
    '{"id":"p","name":"Tea","version":true}',
    '{"id":"p","name":"Tea","nmae":"x"}',
    '{"id":"p","name":5}',
    '{"id":"p","name":["Tea"]}',
    '{"id":"p","name":"Tea","active":"yes"}',
    '{"id":"p","name":"Tea","list_price":"5"}',
    '{"id":"p","name":"Tea","list_price":"x EUR"}',
    '{"id":"p","name":"Tea","list_price":"5 EURO"}',
    '{"id":"p","name":"Tea","list_price":5}',
    '{"id":"p","name":"Tea","extra":"[1]"}',
    '{"id":"p","name":"Tea","extra":{"a":1}}',
    '{"id":"p","name":"Tea","extra":"{\\"a\\":NaN}"}',
    '{"id":"p","name":"Tea","extra":"{\\"a\\":1e999}"}',
    '{"id":"p","name":"\\ud800"}',
    '{"id":"p","name":"a\\u0000b"}',
    '{"id":"","name":"Tea"}',
    '{"name":""}',
]


@pytest.mark.parametrize("line", JSON_LINES, ids=range(len(JSON_LINES)))
def test_bad_lines_of_json(folder: Path, line: str) -> None:
    """A line that is no record of its kind is told with its file and line."""
    forge(folder, "Product", f'{{"id":"q","name":"Coffee"}}\n{line}\n', file="Product.jsonl", count=2)
    problem = refused(folder).problems[0]
    assert "Product.jsonl:2" in f"{problem.place} {problem.entity}"


CSV_ROWS = ['p,"Tea', "p", "p,Tea,more", "p,", ",Tea", "p,Te\x00a", 'p,"x"y', "p," + "x" * 200_000]


@pytest.mark.parametrize("row", CSV_ROWS, ids=range(len(CSV_ROWS)))
def test_bad_rows_of_csv(folder: Path, row: str) -> None:
    """A row that is no record of its kind is told with its file."""
    forge(folder, "Product", f"id,name\nq,Coffee\n{row}\n", count=2)
    problem = refused(folder).problems[0]
    assert "Product.csv" in f"{problem.place} {problem.entity}"


@pytest.mark.parametrize(
    "content", [b"id,name\np,\xff\n", b"", b"id,nmae\np,Tea\n", b"id,id\np,Tea\n", b"\xef\xbb\xbfid\n"]
)
def test_files_that_are_none(folder: Path, content: bytes) -> None:
    """A file in another encoding, without a header, or with names that are no fields, is refused."""
    forge(folder, "Product", content)
    refused(folder)


def test_all_bad_lines_of_all_files_are_told(folder: Path) -> None:
    """Bad lines are told for every file, not for the first alone."""
    forge(folder, "Organisation", "id,name\nacme,\nx,X\ny,\n", count=3)
    forge(folder, "Product", '{"id":"p"}\n', file="Product.jsonl")
    assert [problem.place for problem in refused(folder).problems] == [
        "Organisation.csv:2",
        "Organisation.csv:4",
        "Product.jsonl:1",
    ]


def test_references_that_lead_nowhere(folder: Path) -> None:
    """A record that refers to one that is not in the dump is refused."""
    forge(folder, "Organisation", "id,name,parent_id\nacme,ACME,never\n")
    assert "there is no such Organisation" in str(refused(folder))


def test_one_record_twice(folder: Path) -> None:
    """Two records of one id with other content are a conflict; equal ones are one."""
    forge(folder, "Organisation", "id,name\nacme,A\nacme,B\n", count=2)
    with ka.open() as book, pytest.raises(ka.ConflictError):
        book.trusted("x").load(folder)
    forge(folder, "Organisation", "id,name\nacme,A\nacme,A\n", count=2)
    with ka.open() as book:
        assert book.trusted("x").load(folder).unchanged == 18
