"""A whole book as a folder of text files, and back: every kind in CSV or JSON Lines, with a manifest.

Records come back equal, with their ids and versions; the audit stays with the book. Writing goes to a folder beside the
place and is moved there when all is done; reading is one act, checked against the manifest before it counts.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from keyaccount import gate
from keyaccount._version import __version__
from keyaccount.catalogue import KINDS, Kind
from keyaccount.cells import plain, safe
from keyaccount.codec import reader_of, written
from keyaccount.errors import KeyAccountError, Problem, StorageUnavailable, ValidationError, nearest, shown
from keyaccount.exchange import TOLD, Opened, Progress
from keyaccount.model.entity import Entity
from keyaccount.results import Result
from keyaccount.shapes import Flag, Number, Rank, Shape, shapes_of
from keyaccount.values import FrozenMap
from keyaccount.view import View

MANIFEST = "manifest.json"
FORMAT, VERSION = "keyaccount", 1
FORMATS = ("csv", "jsonl")
CHUNK = 1_000
FURNISHED = frozenset({"Context", "ContactRole"})
_LONGEST_CELL = 100_000
"""Longer cells than this are not for CSV readers: a kind that holds one is written as JSON Lines."""
_LARGEST_MANIFEST = 1_000_000

Tell: TypeAlias = Callable[[Progress], object]


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


def dump(
    records: Callable[[Kind], Iterator[Entity]], folder: Path, form: str, *, overwrite: bool, progress: Tell | None
) -> Dump:
    """Write every kind to a folder, which is made; see `Desk.dump`."""
    if form not in FORMATS:
        raise ValidationError.of("dump", "format", form, f"must be one of {', '.join(FORMATS)}")
    _check_place(folder, overwrite=overwrite)
    with _files():
        beside = Path(tempfile.mkdtemp(prefix=".dump-", dir=folder.parent))
        try:
            kinds = {}
            for number, kind in enumerate(KINDS.values(), 1):
                kinds[kind.name] = _written_kind(records, kind, beside, form)
                if progress is not None:
                    progress(Progress(kind.name, kinds[kind.name]["count"], number, len(KINDS)))
            manifest = {"format": FORMAT, "version": VERSION, "library": __version__, "kinds": kinds}
            (beside / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
            _moved(beside, folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return Dump(str(folder), FrozenMap({name: told["count"] for name, told in kinds.items()}))


def _check_place(folder: Path, *, overwrite: bool) -> None:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ValidationError.of("dump", "folder", str(folder), "is no folder")
    if not folder.parent.is_dir():
        raise ValidationError.of("dump", "folder", str(folder), "lies in no folder that is there")
    there = [entry.name for entry in folder.iterdir()] if folder.exists() else []
    if there and not overwrite:
        raise ValidationError.of("dump", "folder", str(folder), "is not empty; choose another, or pass overwrite=True")
    if there and (MANIFEST not in there or not set(there) <= _ours()):
        raise ValidationError.of("dump", "folder", str(folder), "holds other files than a dump; choose another")


def _ours() -> set[str]:
    return {MANIFEST, *(f"{name}.{form}" for name in KINDS for form in FORMATS)}


def _moved(beside: Path, folder: Path) -> None:
    """Put a finished folder in its place; what an earlier dump left there goes."""
    if folder.exists():
        for entry in folder.iterdir():
            entry.unlink()
        folder.rmdir()
    beside.rename(folder)
    folder.chmod(0o755)


def _written_kind(records: Callable[[Kind], Iterator[Entity]], kind: Kind, folder: Path, form: str) -> dict[str, Any]:
    """Write the file of a kind; return what the manifest says of it."""
    if form == "csv":
        try:
            return _written_csv(records(kind), kind, folder / f"{kind.name}.csv")
        except _TooLong:
            (folder / f"{kind.name}.csv").unlink()
    path = folder / f"{kind.name}.jsonl"
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for record in records(kind):
            count += 1
            file.write(json.dumps(_kept(kind, record), ensure_ascii=False, separators=(",", ":")) + "\n")
    return _told(path, count)


class _TooLong(Exception):
    """A cell is too long for CSV."""


def _written_csv(records: Iterator[Entity], kind: Kind, path: Path) -> dict[str, Any]:
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(shapes_of(kind.cls))
        for record in records:
            count += 1
            cells = [_cell(value) for value in _kept(kind, record).values()]
            if any(len(cell) > _LONGEST_CELL for cell in cells):
                raise _TooLong
            writer.writerow(cells)
    return _told(path, count)


def _kept(kind: Kind, record: Entity) -> dict[str, Any]:
    """Return a record's fields as plain values: whole numbers, and text."""
    return {field: _outside(shape, getattr(record, field)) for field, shape in shapes_of(kind.cls).items()}


def _outside(shape: Shape, value: Any) -> Any:
    if isinstance(shape, Flag):
        return value
    if isinstance(shape, Rank):
        return value.name
    return written(shape, value)


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


def load(opened: Opened, folder: Path, progress: Tell | None) -> Dump:
    """Read a folder back, in one act; see `Desk.load`."""
    with _files():
        kinds = _manifest(folder)
        total = sum(told["count"] for told in kinds.values())
        done, unchanged = 0, 0
        with opened() as view:
            later: gate.Later = {}
            if _is_new(view):
                for name in FURNISHED & kinds.keys():
                    gate.clear_furniture(view, KINDS[name], _records(KINDS[name], folder, kinds[name]))
            for name in [name for name in KINDS if name in kinds]:
                for chunk in _chunks(_records(KINDS[name], folder, kinds[name])):
                    unchanged += gate.restore(view, KINDS[name], chunk, later)
                    done += len(chunk)
                    if progress is not None:
                        progress(Progress(name, done, done, total))
            gate.resolve(view, later)
    return Dump(str(folder), FrozenMap({name: told["count"] for name, told in kinds.items()}), unchanged)


def _is_new(view: View) -> bool:
    """Say whether a book holds nothing but what it shipped with."""
    others = [kind for kind in KINDS.values() if kind.name not in FURNISHED | {"ExpectedProvider"}]
    return not any(view.gather(*(view.query(kind.cls, limit=1) for kind in others)))


def _chunks(records: Iterable[Entity]) -> Iterator[list[Entity]]:
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
    if form != FORMAT or not isinstance(version, int):
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
    if file not in {f"{name}.{form}" for form in FORMATS} or not isinstance(told.get("count"), int):
        raise ValidationError.of("load", MANIFEST, file, f"is no file of {name}")
    path = folder / file
    if path.is_symlink() or not path.is_file():
        raise ValidationError.of("load", file, "", "is not there, or is a link")
    if _told(path, told["count"]) != told:
        raise ValidationError.of("load", file, "", "is not what the manifest says: its checksum differs")


def _records(kind: Kind, folder: Path, told: Mapping[str, Any]) -> Iterator[Entity]:
    """Yield the records of a kind's file; raise ValidationError that names every bad line of it."""
    problems: list[Problem] = []
    path = folder / told["file"]
    rows = _csv_rows(kind, path) if path.suffix == ".csv" else _json_rows(path)
    count = 0
    for number, values in rows:
        count += 1
        try:
            record = _record(kind, values)
        except ValidationError as error:
            problems += [attrs.evolve(one, place=f"{path.name}:{number}") for one in error.problems]
            if len(problems) > TOLD:
                break
        else:
            yield record
    if count != told["count"] and not problems:
        problems = [Problem("load", path.name, str(count), "has not as many records as the manifest says")]
    if problems:
        raise ValidationError(problems)


def _csv_rows(kind: Kind, path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    shapes = shapes_of(kind.cls)
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file, strict=True)
        names = next(reader, [])
        if unknown := [name for name in names if name not in shapes]:
            reason = f"is no field of {kind.name}{nearest(unknown[0], shapes)}"
            raise ValidationError.of(path.name, unknown[0], "", reason)
        begins = reader.line_num + 1
        for cells in reader:
            if len(cells) != len(names):
                raise ValidationError.of(
                    f"{path.name}:{begins}", "", f"{len(cells)} cells", "are not as many as columns"
                )
            yield begins, {name: _value(shapes[name], cell) for name, cell in zip(names, cells, strict=True)}
            begins = reader.line_num + 1


def _value(shape: Shape, cell: str) -> Any:
    if not cell:
        return None
    if isinstance(shape, Flag):
        return {"true": True, "false": False}.get(cell, cell)
    if isinstance(shape, Number):
        return int(cell) if cell.isascii() and cell.isdecimal() and len(cell) < 20 else cell  # noqa: PLR2004
    return plain(cell)


def _json_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with path.open(encoding="utf-8", newline="\n") as file:
        for number, text in enumerate(file, 1):
            values = json.loads(text)
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
        except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError, KeyAccountError):
            problems.append(Problem(kind.name, name, shown(value), "cannot be read"))
    if problems:
        raise ValidationError(problems)
    cls: Any = kind.cls
    made: Entity = cls(**given)
    return made


def _inside(shape: Shape, value: Any) -> Any:
    if isinstance(shape, Rank):
        return shape.of[value]
    read = None if isinstance(shape, Flag) else reader_of(shape)
    return value if read is None else read(value)


# ---- files -----------------------------------------------------------------------------------------------------------


def folder_of(path: object, what: str) -> Path:
    """Return the path of a folder; raise ValidationError for what cannot be one."""
    if not isinstance(path, (str, os.PathLike)) or not str(path) or "\0" in str(path):
        raise ValidationError.of(what, "folder", path, "must be the path of a folder")
    try:
        found = Path(path)
        os.fsencode(found)
        found.is_dir()
    except (OSError, ValueError) as error:
        raise ValidationError.of(what, "folder", str(path), f"cannot be a folder: {type(error).__name__}") from None
    return found


class _files:  # noqa: N801 - used as a function is
    """Turn what files raise into documented errors."""

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Wrap a foreign error."""
        if isinstance(error, KeyAccountError):
            return
        if isinstance(error, OSError):
            raise StorageUnavailable(f"the folder cannot be used: {type(error).__name__}") from error
        if isinstance(error, (csv.Error, UnicodeError, RecursionError)) or type(error) is json.JSONDecodeError:
            raise ValidationError.of("load", "", "", f"cannot be read: {type(error).__name__}") from None
