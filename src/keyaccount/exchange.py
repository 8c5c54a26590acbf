"""A stranger's data on their way in: tables, row by row, checked whole before anything of them is kept.

Every bad row is reported with its file, line, column, value and reason. All or nothing; or the good rows are kept and
the bad ones written to a file of their own. Reading the same table again changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from itertools import groupby
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from keyaccount import gate
from keyaccount.catalogue import Kind
from keyaccount.columns import CURRENCY, Bad, record_of
from keyaccount.details import Details, LinesFrom, wrong_width
from keyaccount.errors import ConflictError, Problem, ValidationError, nearest, shown
from keyaccount.model.entity import Entity, evolved
from keyaccount.queries import one_of
from keyaccount.rejects import Rejects
from keyaccount.results import Result
from keyaccount.shapes import Many
from keyaccount.sheets import Line
from keyaccount.tables import Stated, Table, table_of_file, table_of_frame
from keyaccount.values import FrozenMap
from keyaccount.view import View, by_id

Opened: TypeAlias = Callable[[], AbstractContextManager[View]]
"""What opens the one transaction that an import is, and gives its view."""

CHUNK = 1_000
TOLD = 10_000
"""How many problems an error or an answer lists; the rest are counted."""


@attrs.frozen(repr=False)
class Progress(Result):
    """How far a long work is: rows so far, and how much is done of a total (bytes of a file, rows of a frame)."""

    what: str
    rows: int
    done: int
    total: int


@attrs.frozen(repr=False)
class Import(Result):
    """What became of a table: rows read, records written and left as they were, rows rejected.

    `found` are the forms that nobody stated (encoding, separator, decimal, dates); `ignored` the columns that nobody
    mapped; `rejects` the file that bad rows went to, `problems` what was wrong with them.
    """

    kind: str
    source: str
    read: int
    written: int
    unchanged: int
    rejected: int
    found: Mapping[str, str]
    ignored: tuple[str, ...] = ()
    rejects: str | None = None
    problems: tuple[Problem, ...] = ()


@attrs.frozen
class Terms:
    """What a caller asks of an import.

    `id_from` are columns whose cells together make the id. `update` changes what is stored already. `keep_good` keeps
    the good rows; the bad ones go to `rejects`. `progress` is told after every thousand records.
    """

    id_from: tuple[str, ...] = ()
    update: bool = False
    keep_good: bool = False
    rejects: Path | None = None
    progress: Callable[[Progress], object] | None = None


@attrs.frozen
class Given:
    """A record with the row it came from."""

    record: Entity
    line: Line


def read_csv(
    opened: Opened,
    kind: Kind,
    path: Any,
    *,
    columns: Mapping[str, Any] | None,
    fixed: Mapping[str, Any] | None,
    lines: LinesFrom | None,
    terms: Terms,
    stated: Stated,
) -> Import:
    """Read a CSV file into records of a kind; see `Desk.read_csv`."""
    second = None
    if lines is not None:
        _check_lines(kind, lines)
        more = {CURRENCY: fixed[CURRENCY]} if fixed and CURRENCY in fixed else {}
        other = table_of_file(kind, lines.path, lines.columns, more, stated, part_of=lines.field, also=(lines.of,))
        second = (other, lines.of)
    table = table_of_file(kind, path, columns, _checked_fixed(fixed), stated, also=terms.id_from)
    beside = Path(path).with_name(f"{Path(path).stem}.rejects.csv")
    return _run(opened, table, attrs.evolve(terms, rejects=terms.rejects or beside), second)


def from_frame(
    opened: Opened,
    kind: Kind,
    frame: Any,
    *,
    columns: Mapping[str, Any] | None,
    fixed: Mapping[str, Any] | None,
    terms: Terms,
    stated: Stated,
) -> Import:
    """Read a data frame, or a list of mappings, into records of a kind; see `Desk.from_frame`."""
    return _run(opened, table_of_frame(kind, frame, columns, _checked_fixed(fixed), stated), terms, None)


def terms_of(id_from: object, update: object, keep_good: object, rejects: object, progress: object) -> Terms:
    """Check what a caller asks of an import; raise ValidationError."""
    names = (id_from,) if isinstance(id_from, str) else id_from
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise ValidationError.of("import", "id_from", id_from, "must be names of columns")
    for name, value in (("update", update), ("keep_good", keep_good)):
        if not isinstance(value, bool):
            raise ValidationError.of("import", name, value, "must be True or False")
    named = isinstance(rejects, (str, os.PathLike)) and str(rejects) and "\0" not in str(rejects)
    if rejects is not None and not named:
        raise ValidationError.of("import", "rejects", rejects, "must be the path of a file")
    if progress is not None and not callable(progress):
        raise ValidationError.of("import", "progress", progress, "must be a function")
    return Terms(tuple(names), bool(update), bool(keep_good), None if rejects is None else Path(str(rejects)), progress)


def _checked_fixed(fixed: object) -> Mapping[str, Any]:
    if fixed is None:
        return {}
    if not isinstance(fixed, Mapping) or not all(isinstance(name, str) for name in fixed):
        raise ValidationError.of("import", "fixed", fixed, "must map fields to values")
    return fixed


def _check_lines(kind: Kind, lines: object) -> None:
    if not isinstance(lines, LinesFrom):
        raise ValidationError.of("import", "lines", lines, "must be ka.lines_from(...)")
    shape = kind.shapes.get(lines.field)
    if not isinstance(shape, Many) or shape.sought:
        raise ValidationError.of("import", "lines", lines.field, f"is no field of {kind.name} that has lines")


def _run(opened: Opened, table: Table, terms: Terms, lines: tuple[Table, str] | None) -> Import:
    """Take a table into a book, in the one transaction that `opened` opens; `lines` are a second table, and by what.

    Raises ValidationError with every bad row, unless the good ones are kept; then nothing was written.
    """
    _check_identity(table, terms.id_from)
    rejects = Rejects(terms.rejects, table.header) if terms.keep_good and terms.rejects is not None else None
    intake = Intake(table, terms, rejects)
    kept = False
    try:
        with ExitStack() as stack, opened() as view:
            details = None
            if lines is not None:
                details = Details(*lines, intake.refuse)
                stack.callback(details.close)
            intake.take(view, details)
        kept = True
    finally:
        path = None if rejects is None else rejects.finish(keep=kept)
    return intake.told(path)


def _check_identity(table: Table, id_from: Sequence[str]) -> None:
    """Refuse a mapping under which reading a table twice would double its records."""
    for name in id_from:
        if name not in table.header:
            raise ValidationError.of("import", "id_from", name, f"is no column{nearest(name, table.header)}")
    if not id_from and "id" not in table.plan.fields and not table.plan.systems:
        raise ValidationError.of(
            "import", "columns", "", "map a column to id or to refs.<system>, or name columns with id_from="
        )


class Intake:
    """The records of one table on their way into a book, chunk by chunk."""

    def __init__(self, table: Table, terms: Terms, rejects: Rejects | None) -> None:
        """Start with nothing read."""
        self._table, self._terms, self._rejects = table, terms, rejects
        self._plan = table.plan
        self._later: gate.Later | None = None if terms.keep_good else {}
        self._filled = self._plan.fields - {"id"}
        self._waiting: dict[str, Given] = {}
        self._retry: list[tuple[Given, list[Bad]]] = []
        self._read = self._written = self._unchanged = self._rejected = 0
        self._problems: list[Problem] = []

    def told(self, rejects: str | None) -> Import:
        """Say what became of the table."""
        counts = (self._read, self._written, self._unchanged, self._rejected)
        found, problems = FrozenMap(self._table.found), tuple(self._problems)
        return Import(self._plan.kind.name, self._table.name, *counts, found, self._table.ignored, rejects, problems)

    def refuse(self, name: str, line: Line, bad: Sequence[Bad]) -> None:
        """Note a bad row of this table, or of the one with the lines."""
        self._rejected += 1
        place = f"{name}:{line.number}"
        told = [Problem(self._plan.kind.name, b.column, shown(b.cell), b.reason, place) for b in bad]
        self._problems += told[: max(0, TOLD - len(self._problems))]
        if self._rejects is not None and name == self._table.name:
            self._rejects.add(line, [f"{b.column}: {b.reason}" if b.column else b.reason for b in bad])

    def take(self, view: View, details: Details | None) -> None:
        """Write the records; raise ValidationError with every bad row, unless the good ones are kept."""
        if details is not None:
            self._filled |= {details.field}
        chunk: list[Given] = []
        for given in self._records(details):
            chunk.append(given)
            if len(chunk) == CHUNK:
                self._store(view, chunk)
                chunk = []
        self._store(view, chunk)
        self._store_waiting(view)
        if details is not None:
            details.rest()
        if self._later:
            self._resolve(view, self._later)
        if self._problems and not self._terms.keep_good:
            more = self._rejected - len(self._problems)
            rest = [Problem("import", "", "", f"{more} more rows are bad")] if len(self._problems) >= TOLD else []
            raise ValidationError([*self._problems, *rest])

    # -- rows to records

    def _records(self, details: Details | None) -> Iterator[Given]:
        for line, values in self._grouped():
            bad: list[Bad] = []
            more: dict[str, Any] | None = {}
            if details is not None:
                more = details.of(values.get("id"), self._plan.currency_of(line.cells))
            if more is None:
                bad.append(Bad("", values.get("id"), "has lines that cannot be read"))
            record = record_of(self._plan, values | (more or {}), bad, line.cells)
            if record is not None:
                yield Given(record, line)
            else:
                self.refuse(self._table.name, line, bad)

    def _grouped(self) -> Iterator[tuple[Line, dict[str, Any]]]:
        """Put rows together that follow each other with one id, where each holds one line of the same record."""
        repeated = self._plan.repeated
        if not repeated:
            yield from ((line, values) for line, values, sound in self._rows() if sound)
            return
        for _, group in groupby(self._rows(), key=lambda row: row[1].get("id")):
            rows = list(group)
            if all(sound for _, _, sound in rows):
                parts = {f: tuple(item for _, values, _ in rows for item in values.get(f, ())) for f in repeated}
                yield rows[0][0], rows[0][1] | parts
                continue
            for line, values, sound in rows:
                if sound:
                    self.refuse(self._table.name, line, [Bad("", values.get("id"), "has lines that cannot be read")])

    def _rows(self) -> Iterator[tuple[Line, dict[str, Any], bool]]:
        """Yield the rows with their fields, and whether they are sound; bad ones are noted."""
        places = [self._table.place(name) for name in self._terms.id_from]
        for line in self._table.rows:
            self._read += 1
            bad = wrong_width(line, self._table)
            values = {} if bad else self._plan.fields_from(line.cells, self._table.forms, bad)
            if places and not bad:
                values["id"] = ":".join(str(line.cells[place]) for place in places)
            if bad:
                self.refuse(self._table.name, line, bad)
            yield line, values, not bad

    # -- records to the book

    def _store(self, view: View, chunk: Sequence[Given]) -> None:
        """Write a chunk: what is new, and what differs where that is to be changed."""
        if not chunk:
            return
        given = self._by_reference(view, chunk)
        stored = by_id(view.find(self._plan.kind.cls, id=one_of([one.record.key for one in given])))
        fresh: dict[str, tuple[Given, Entity]] = {}
        for one in given:
            id = one.record.key
            before = fresh[id][1] if id in fresh else stored.get(id)
            if (wanted := self._wanted(one, before)) is not None:
                fresh[id] = (one, wanted)
        self._put(view, fresh)
        if self._terms.progress is not None:
            rows, line = self._written + self._unchanged + self._rejected, chunk[-1].line
            self._terms.progress(Progress(self._table.name, rows, line.done, self._table.total))

    def _by_reference(self, view: View, chunk: Sequence[Given]) -> Sequence[Given]:
        """Give records that are known by an external reference the id that is stored under it."""
        if self._terms.id_from or "id" in self._plan.fields:
            return chunk
        system = self._plan.systems[0]
        tests = [{system: one.record.refs[system]} for one in chunk if system in one.record.refs]
        known = {row.refs[system]: row.key for row in view.find(self._plan.kind.cls, refs=one_of(tests))}
        found = []
        for one in chunk:
            ref = one.record.refs.get(system)
            if ref is None:
                self.refuse(self._table.name, one.line, [self._bad(one, "refs", "is required to know the record by")])
            else:
                id = known.setdefault(ref, one.record.key)
                found.append(Given(evolved(one.record, {"id": id}), one.line))
        return found

    def _wanted(self, one: Given, before: Entity | None) -> Entity | None:
        """Return what is to be put for a row; None where nothing is: it is there already, or must not be changed."""
        if before is None:
            return one.record
        differing = [f for f in sorted(self._filled) if getattr(before, f) != getattr(one.record, f)]
        if not differing:
            self._unchanged += 1
            return None
        if self._terms.update and before.version:
            return evolved(before, {field: getattr(one.record, field) for field in differing})
        reason = "is stored with another value; pass update=True to change it" if before.version else "was given before"
        self.refuse(self._table.name, one.line, [self._bad(one, field, reason) for field in differing])
        return None

    def _put(self, view: View, fresh: dict[str, tuple[Given, Entity]]) -> None:
        """Put records; those that are refused are noted, and the others put without them."""
        while fresh:
            later: gate.Later | None = None if self._later is None else {}
            try:
                with view.work.nested():
                    gate.put(view, [wanted for _, wanted in fresh.values()], later=later)
            except ConflictError as error:
                refused = {error.id: [Bad("", error.id, "its id or an external reference is taken")]}
            except ValidationError as error:
                refused = self._refused(fresh, error)
            else:
                self._written += len(fresh)
                self._remember(later or {}, fresh)
                return
            for id, bad in refused.items():
                self._reject(fresh.pop(id)[0], bad)

    def _refused(self, fresh: Mapping[str, tuple[Given, Entity]], error: ValidationError) -> dict[str, list[Bad]]:
        """Say which records an error is about; one that names none of them is not about a row, and goes on."""
        names = {f"{self._plan.kind.name} {shown(id)}": id for id in fresh}
        found: dict[str, list[Bad]] = {}
        for problem in error.problems:
            if (id := names.get(problem.entity)) is not None:
                found.setdefault(id, []).append(self._bad(fresh[id][0], problem.field, problem.reason))
        if not found:
            raise error
        return found

    def _bad(self, one: Given, field: str, reason: str) -> Bad:
        sources = self._plan.columns_of(field)
        if not sources:
            return Bad(field, getattr(one.record, field, ""), reason)
        return Bad(sources[0].name, one.line.cells[sources[0].place], reason)

    # -- rows that lead to rows that come later

    def _remember(self, later: gate.Later, fresh: Mapping[str, tuple[Given, Entity]]) -> None:
        for key, found in later.items():
            self._waiting |= {problem.entity: fresh[row.key][0] for problem, row in found}
            if self._later is not None:
                self._later.setdefault(key, []).extend(found)

    def _resolve(self, view: View, later: gate.Later) -> None:
        try:
            gate.resolve(view, later)
        except ValidationError as error:
            for problem in error.problems:
                if (one := self._waiting.get(problem.entity)) is None:
                    raise
                self.refuse(self._table.name, one.line, [self._bad(one, problem.field, problem.reason)])

    def _reject(self, one: Given, bad: list[Bad]) -> None:
        """Refuse a row; where rows may lead to rows of the same table, it is tried again at the end."""
        kind = self._plan.kind
        leads = {link.field for link in kind.links if link.kind == kind.name}
        columns = {source.name for field in leads for source in self._plan.columns_of(field)}
        if self._terms.keep_good and columns and all(each.column in columns for each in bad):
            self._retry.append((one, bad))
        else:
            self.refuse(self._table.name, one.line, bad)

    def _store_waiting(self, view: View) -> None:
        """Try again what led to rows that came later, as long as that helps."""
        while self._retry:
            waiting, self._retry = self._retry, []
            for start in range(0, len(waiting), CHUNK):
                self._store(view, [one for one, _ in waiting[start : start + CHUNK]])
            if len(self._retry) == len(waiting):
                break
        for one, bad in self._retry:
            self.refuse(self._table.name, one.line, bad)
