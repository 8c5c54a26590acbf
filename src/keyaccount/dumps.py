"""A whole book as a folder of text files, and back: every kind in CSV or JSON Lines, with a manifest.

Records come back equal, with their ids and versions; the audit stays with the book. Writing goes to a folder beside the
place and is moved there when all is done; reading is one act, checked against the manifest before it counts.
"""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from keyaccount import gate
from keyaccount._version import __version__
from keyaccount.catalogue import KINDS, Kind
from keyaccount.cells import plain, safe
from keyaccount.codec import reader_of, written
from keyaccount.errors import (
    KeyAccountError,
    Problem,
    StorageUnavailable,
    ValidationError,
    nearest,
    shown,
)
from keyaccount.exchange import Opened
from keyaccount.intake import TOLD, Progress
from keyaccount.model.entity import Entity
from keyaccount.money import Money
from keyaccount.results import Result
from keyaccount.shapes import Amount, Flag, Many, Number, Pairs, Rank, Shape, shapes_of
from keyaccount.sheets import path_of
from keyaccount.values import FrozenMap, new_id
from keyaccount.view import View

MANIFEST = "manifest.json"
FORMAT, VERSION = "keyaccount", 1
FORMATS = ("csv", "jsonl")
CHUNK = 1_000
FURNISHED = frozenset({"Context", "ContactRole"})
_BESIDE = ".dump-"
_LONGEST_CELL = 100_000
"""Longer cells than this are not for CSV readers: a kind that holds one is written as JSON Lines."""
_LARGEST_MANIFEST = 1_000_000

Tell: TypeAlias = Callable[[Progress], object]
Records: TypeAlias = Callable[[Kind], Iterator[Entity]]


@attrs.frozen(repr=False)
class Dump(Result):
    """What was written to, or read from, a folder: the number of records by kind, and of those left as they were."""

    folder: str
    counts: Mapping[str, int]
    unchanged: int = 0

    @property
    def records(self) -> int:
        """How many records there are in all."""
        return sum(self.counts.values())


# ---- writing ---------------------------------------------------------------------------------------------------------


def dump(records: Records, folder: Path, form: object, *, overwrite: object, progress: object) -> Dump:
    """Write every kind to a folder, which is made; see `Desk.dump`."""
    if not isinstance(form, str) or form not in FORMATS:
        raise ValidationError.of("dump", "format", form, f"must be one of {', '.join(FORMATS)}")
    if not isinstance(overwrite, bool):
        raise ValidationError.of("dump", "overwrite", overwrite, "must be True or False")
    tell = _checked_progress("dump", progress)
    with _beside(folder, overwrite=overwrite) as beside:
        kinds = {}
        for number, kind in enumerate(KINDS.values(), 1):
            kinds[kind.name] = _written_kind(records, kind, beside, form)
            tell(Progress(kind.name, kinds[kind.name]["count"], number, len(KINDS)))
        manifest = {"format": FORMAT, "version": VERSION, "library": __version__, "kinds": kinds}
        with _documented("dump"):
            (beside / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
            _moved(beside, folder)
    return Dump(str(folder), FrozenMap({name: told["count"] for name, told in kinds.items()}))


@contextmanager
def _beside(folder: Path, *, overwrite: bool) -> Iterator[Path]:
    """Make a folder in the folder to write to, which is made too; leave nothing where the writing fails."""
    with _documented("dump"):
        _check_place(folder, overwrite=overwrite)
        made = not folder.exists()
        folder.mkdir(exist_ok=True)
    beside = folder / f"{_BESIDE}{new_id()}"
    try:
        with _documented("dump"):
            beside.mkdir()
        yield beside
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        if made:
            with suppress(OSError):  # somebody else has put something there
                folder.rmdir()
        raise
    with _documented("dump"):
        beside.rmdir()


def _check_place(folder: Path, *, overwrite: bool) -> None:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ValidationError.of("dump", "folder", str(folder), "is no folder")
    if not folder.parent.is_dir():
        raise ValidationError.of("dump", "folder", str(folder), "lies in no folder that is there")
    there = {entry.name for entry in folder.iterdir()} if folder.exists() else set()
    if there and not overwrite:
        why = "is not empty; choose another, or replace it with overwrite=True (--overwrite)"
        raise ValidationError.of("dump", "folder", str(folder), why)
    dumped = {name for name in there if not name.startswith(_BESIDE)}
    if not dumped <= _ours() or (dumped and MANIFEST not in there):
        raise ValidationError.of("dump", "folder", str(folder), "holds other files than a dump; choose another")


def _ours() -> set[str]:
    return {MANIFEST, *(f"{name}.{form}" for name in KINDS for form in FORMATS)}


def _moved(beside: Path, folder: Path) -> None:
    """Put finished files in their place, the manifest last: without it, a folder is no dump."""
    (folder / MANIFEST).unlink(missing_ok=True)
    new = sorted((entry.name for entry in beside.iterdir()), key=lambda name: name == MANIFEST)
    for name in _ours().difference(new):
        (folder / name).unlink(missing_ok=True)
    for left in folder.glob(f"{_BESIDE}*"):  # by a program that was killed
        if left != beside and left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
    for name in new:
        (beside / name).replace(folder / name)


def _written_kind(records: Records, kind: Kind, folder: Path, form: str) -> dict[str, Any]:
    """Write the file of a kind; return what the manifest says of it."""
    with _documented("dump"):
        if form == "csv":
            try:
                return _written_csv(records(kind), kind, folder / f"{kind.name}.csv")
            except _TooLong:
                (folder / f"{kind.name}.csv").unlink()
        return _written_json(records(kind), kind, folder / f"{kind.name}.jsonl")


def _written_json(records: Iterator[Entity], kind: Kind, path: Path) -> dict[str, Any]:
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for record in records:
            count += 1
            file.write(json.dumps(_kept(kind, record), ensure_ascii=False, separators=(",", ":")) + "\n")
    return _told(path, count)


class _TooLong(Exception):
    """A cell is too long for CSV."""


def _written_csv(records: Iterator[Entity], kind: Kind, path: Path) -> dict[str, Any]:
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(shapes_of(kind.cls))
        for record in records:
            count += 1
            cells = [_cell(value) for value in _kept(kind, record).values()]
            if any(len(cell) > _LONGEST_CELL for cell in cells):
                raise _TooLong
            writer.writerow(cells)
    return _told(path, count)


def _kept(kind: Kind, record: Entity) -> dict[str, Any]:
    """Return a record's fields as plain values: whole numbers, yes and no, and text."""
    return {field: _outside(shape, getattr(record, field)) for field, shape in shapes_of(kind.cls).items()}


def _outside(shape: Shape, value: Any) -> Any:
    if value is None or isinstance(shape, Flag):
        return value
    if isinstance(shape, Rank):
        return value.name
    return str(value) if isinstance(shape, Amount) else written(shape, value)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return safe(value) if isinstance(value, str) else str(value).lower()


def _told(path: Path, count: int) -> dict[str, Any]:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return {"file": path.name, "count": count, "sha256": digest.hexdigest()}


# ---- reading ---------------------------------------------------------------------------------------------------------


def load(opened: Opened, folder: Path, progress: object) -> Dump:
    """Read a folder back, in one act; see `Desk.load`."""
    tell = _checked_progress("load", progress)
    with opened() as view:
        with _documented("load"):
            kinds = _manifest(folder)
        loading = _Loading(view, folder, kinds, tell)
        loading.run()
    return Dump(str(folder), FrozenMap({name: told["count"] for name, told in kinds.items()}), loading.unchanged)


class _Loading:
    """One folder on its way into a book."""

    def __init__(self, view: View, folder: Path, kinds: Mapping[str, Any], tell: Tell) -> None:
        self._view, self._folder, self._kinds, self._tell = view, folder, kinds, tell
        self._total = sum(told["count"] for told in kinds.values())
        self._done = self.unchanged = 0
        self._problems: list[Problem] = []
        self._later: gate.Later = {}

    def run(self) -> None:
        """Write everything, or raise ValidationError with every bad line, or ConflictError."""
        if _is_new(self._view):
            for name in FURNISHED & self._kinds.keys():
                gate.clear_furniture(self._view, KINDS[name], [record for _, record in self._records(KINDS[name])])
                self._problems.clear()  # they are found again when the kind is read
        for name in [name for name in KINDS if name in self._kinds]:
            for chunk in _chunks(self._records(KINDS[name])):
                if not self._problems:
                    self._restore(KINDS[name], chunk)
                self._done += len(chunk)
                self._tell(Progress(name, self._done, self._done, self._total))
        if self._problems:
            raise ValidationError(self._problems)
        gate.resolve(self._view, self._later)

    def _restore(self, kind: Kind, chunk: list[tuple[str, Entity]]) -> None:
        """Write some records; what is wrong with them is told with their lines."""
        try:
            self.unchanged += gate.restore(self._view, kind, [record for _, record in chunk], self._later)
        except ValidationError as error:
            places = {f"{kind.name} {shown(record.key)}": place for place, record in chunk}
            told = (attrs.evolve(one, place=places.get(one.entity, "")) for one in error.problems)
            raise type(error)(told) from None

    def _records(self, kind: Kind) -> Iterator[tuple[str, Entity]]:
        """Yield the records of a kind's file with their places; bad lines are noted."""
        told = self._kinds[kind.name]
        path = self._folder / told["file"]
        count = 0
        for number, values in _csv_rows(kind, path) if path.suffix == ".csv" else _json_rows(path):
            count += 1
            place = f"{path.name}:{number}"
            try:
                record = _record(kind, values)
            except ValidationError as error:
                self._problems += [attrs.evolve(one, place=place) for one in error.problems]
                if len(self._problems) > TOLD:
                    raise ValidationError(self._problems) from None
            else:
                yield place, record
        if count != told["count"]:
            self._problems.append(
                Problem("load", path.name, str(count), "has not as many records as the manifest says")
            )


def _is_new(view: View) -> bool:
    """Say whether a book holds nothing but what it shipped with."""
    others = [kind for kind in KINDS.values() if kind.name not in FURNISHED | {"ExpectedProvider"}]
    return not any(view.gather(*(view.query(kind.cls, limit=1) for kind in others)))


def _chunks(records: Iterable[tuple[str, Entity]]) -> Iterator[list[tuple[str, Entity]]]:
    rest = iter(records)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


def _manifest(folder: Path) -> Mapping[str, Any]:
    """Read and check the manifest; raise ValidationError where the folder is no dump, or one of a newer library."""
    path = folder / MANIFEST
    if folder.is_symlink() or not folder.is_dir() or path.is_symlink() or not path.is_file():
        raise ValidationError.of("load", "folder", str(folder), f"is no dump: there is no {MANIFEST} in it")
    if path.stat().st_size > _LARGEST_MANIFEST:
        raise ValidationError.of("load", MANIFEST, "", "is too large to be one of this library")
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        form, version, kinds = told["format"], told["version"], dict(told["kinds"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValidationError.of("load", MANIFEST, "", "cannot be read") from None
    if form != FORMAT or type(version) is not int:
        raise ValidationError.of("load", MANIFEST, form, "is of another program")
    if version > VERSION:
        raise ValidationError.of("load", MANIFEST, version, "is of a newer version of this library")
    for name, one in kinds.items():
        _check_told(folder, name, one)
    return kinds


def _check_told(folder: Path, name: str, told: Any) -> None:
    if name not in KINDS:
        raise ValidationError.of("load", MANIFEST, name, f"is no kind of record{nearest(name, KINDS)}")
    file = told.get("file") if isinstance(told, dict) else None
    known = {f"{name}.{form}" for form in FORMATS}
    if not isinstance(file, str) or file not in known or type(told.get("count")) is not int:
        raise ValidationError.of("load", MANIFEST, file, f"is no file of {name}")
    path = folder / file
    if path.is_symlink() or not path.is_file():
        raise ValidationError.of("load", file, "", "is not there, or is a link")
    if _told(path, told["count"]) != told:
        raise ValidationError.of("load", file, "", "is not what the manifest says: its checksum differs")


def _csv_rows(kind: Kind, path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    shapes = shapes_of(kind.cls)
    with _documented(path.name), path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file, strict=True)
        names = next(reader, [])
        for name in names:
            if name not in shapes or names.count(name) > 1:
                raise ValidationError.of(
                    path.name, name, "", f"is no field of {kind.name}, or twice{_hint(name, shapes)}"
                )
        begins = reader.line_num + 1
        for cells in reader:
            if len(cells) != len(names):
                place = f"{path.name}:{begins}"
                raise ValidationError.of(place, "", f"{len(cells)} cells", "are not as many as columns")
            yield begins, {name: _value(shapes[name], cell) for name, cell in zip(names, cells, strict=True)}
            begins = reader.line_num + 1


def _hint(name: str, shapes: Mapping[str, Shape]) -> str:
    return "" if name in shapes else nearest(name, shapes)


def _value(shape: Shape, cell: str) -> Any:
    if not cell:
        return None
    if isinstance(shape, Flag):
        return {"true": True, "false": False}.get(cell, cell)
    if isinstance(shape, Number):
        return int(cell) if cell.isascii() and cell.isdecimal() and len(cell) < 20 else cell  # noqa: PLR2004
    return plain(cell)


def _json_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with _documented(path.name), path.open(encoding="utf-8", newline="\n") as file:
        for number, text in enumerate(file, 1):
            try:
                values = json.loads(text)
            except (ValueError, RecursionError):
                values = None
            if not isinstance(values, dict):
                raise ValidationError.of(f"{path.name}:{number}", "", text, "is no record")
            yield number, values


def _record(kind: Kind, values: Mapping[str, Any]) -> Entity:
    """Put a record together and check it as if a host had made it."""
    problems, given = [], {}
    shapes = shapes_of(kind.cls)
    for name, value in values.items():
        shape = shapes.get(name)
        if shape is None:
            problems.append(Problem(kind.name, name, shown(value), f"is no field{nearest(name, shapes)}"))
            continue
        try:
            given[name] = value if value is None else _inside(shape, value)
        except Exception:  # noqa: BLE001 - whatever was put there instead of what this library writes
            problems.append(Problem(kind.name, name, shown(value), "cannot be read"))
    if problems:
        raise ValidationError(problems)
    cls: Any = kind.cls
    made: Entity = cls(**given)
    return made


def _inside(shape: Shape, value: Any) -> Any:
    """Read a field's text; what is no text where text is kept is left for the record to refuse."""
    if isinstance(shape, Rank):
        return shape.of[value]
    if isinstance(shape, Amount):
        amount, _, currency = value.partition(" ")
        return Money(amount, currency)
    read = None if isinstance(shape, (Flag, Number)) else reader_of(shape)
    if isinstance(shape, (Many, Pairs)) and not value.startswith("{" if isinstance(shape, Pairs) else "["):
        raise ValueError(value)
    return value if read is None else read(value)


# ---- arguments and files ---------------------------------------------------------------------------------------------


def folder_of(path: object, what: str) -> Path:
    """Return the path of a folder; raise ValidationError for what cannot be one."""
    return path_of(what, "folder", path)


def _checked_progress(what: str, progress: object) -> Tell:
    if progress is None:
        return lambda _: None
    if not callable(progress):
        raise ValidationError.of(what, "progress", progress, "must be a function")
    return progress


@contextmanager
def _documented(what: str) -> Iterator[None]:
    """Turn what files raise into documented errors."""
    try:
        yield
    except KeyAccountError:
        raise
    except OSError as error:
        raise StorageUnavailable(f"the folder cannot be used: {type(error).__name__}") from error
    except (csv.Error, UnicodeError) as error:
        raise ValidationError.of(what, "", "", f"cannot be read: {error}") from None
