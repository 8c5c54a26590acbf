"""A stranger's data on their way in: tables, row by row, checked whole before anything of them is kept.

Every bad row is reported with its file, line, column, value and reason. All or nothing; or the good rows are kept and
the bad ones written to a file of their own. Reading the same table again changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from keyaccount.catalogue import Kind
from keyaccount.columns import CURRENCY
from keyaccount.details import Details, LinesFrom
from keyaccount.errors import Problem, ValidationError, nearest
from keyaccount.intake import Intake, Progress, Terms
from keyaccount.rejects import Rejects
from keyaccount.results import Result
from keyaccount.shapes import Many
from keyaccount.sheets import path_of
from keyaccount.storing import Storing
from keyaccount.tables import Stated, Table, table_of_file, table_of_frame
from keyaccount.values import FrozenMap
from keyaccount.view import View

__all__ = ["Import", "Opened", "Progress", "from_frame", "read_csv", "terms_of"]

Opened: TypeAlias = Callable[[], AbstractContextManager[View]]
"""What opens the one transaction that an import is, and gives its view."""


@attrs.frozen(repr=False)
class Import(Result):
    """What became of a table: rows read, records written and left as they were, rows rejected.

    `found` are the forms that nobody stated (encoding, separator, decimal, dates), those of a second file as
    `lines.encoding` and so on; `ignored` the columns that nobody mapped. `problems` are what was wrong; `rejects` is
    the file that bad rows went to, `line_rejects` that of the second file, with `rejected_lines` rows: bad ones, and
    those of records that are rejected.
    """

    kind: str
    source: str
    read: int
    written: int
    unchanged: int
    rejected: int
    found: Mapping[str, str]
    ignored: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    rejects: str | None = None
    rejected_lines: int = 0
    line_rejects: str | None = None


@attrs.frozen
class Tables:
    """A table, and where its records have lines in a second file, that one and how they are found in it."""

    first: Table
    second: Table | None = None
    lines: LinesFrom | None = None


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

    def tables() -> Tables:
        given = _checked_fixed(fixed)
        first = table_of_file(kind, path, columns, given, stated, also=terms.id_from)
        if lines is None:
            return Tables(first)
        _check_lines(kind, lines, first)
        more = {CURRENCY: given[CURRENCY]} if CURRENCY in given else {}
        second = table_of_file(kind, lines.path, lines.columns, more, stated, part_of=lines.field, also=(lines.of,))
        return Tables(first, second, lines)

    return _run(opened, tables, terms)


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
    return _run(opened, lambda: Tables(table_of_frame(kind, frame, columns, _checked_fixed(fixed), stated)), terms)


def terms_of(id_from: object, update: object, keep_good: object, rejects: object, progress: object) -> Terms:
    """Check what a caller asks of an import; raise ValidationError."""
    names = (id_from,) if isinstance(id_from, str) else id_from
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise ValidationError.of("import", "id_from", id_from, "must be names of columns")
    for name, value in (("update", update), ("keep_good", keep_good)):
        if not isinstance(value, bool):
            raise ValidationError.of("import", name, value, "must be True or False")
    place = None if rejects is None else path_of("import", "rejects", rejects)
    if progress is not None and not callable(progress):
        raise ValidationError.of("import", "progress", progress, "must be a function")
    return Terms(tuple(names), bool(update), bool(keep_good), place, progress)


def _checked_fixed(fixed: object) -> Mapping[str, Any]:
    if fixed is None:
        return {}
    if not isinstance(fixed, Mapping) or not all(isinstance(name, str) for name in fixed):
        raise ValidationError.of("import", "fixed", fixed, "must map fields to values")
    return fixed


def _check_lines(kind: Kind, lines: object, first: Table) -> None:
    if not isinstance(lines, LinesFrom):
        raise ValidationError.of("import", "lines", lines, "must be ka.lines_from(...)")
    shape = kind.shapes.get(lines.field)
    if not isinstance(shape, Many) or shape.sought:
        raise ValidationError.of("import", "lines", lines.field, f"is no field of {kind.name} that has lines")
    if lines.field in first.plan.fields:
        raise ValidationError.of("import", "lines", lines.field, "is filled by columns of the first file too")


def _check_identity(table: Table, terms: Terms) -> None:
    """Refuse a mapping under which reading a table twice would double its records."""
    for name in terms.id_from:
        if name not in table.header:
            raise ValidationError.of("import", "id_from", name, f"is no column{nearest(name, table.header)}")
    if not table.header:
        return
    mapped = bool(table.plan.columns_of("id"))
    if terms.id_from and mapped:
        raise ValidationError.of("import", "id_from", terms.id_from, "makes the id, which a column goes to already")
    if not terms.id_from and not mapped and not table.plan.systems:
        raise ValidationError.of(
            "import", "columns", "", "map a column to id or to refs.<system>, or name columns with id_from="
        )


def _run(opened: Opened, tables: Callable[[], Tables], terms: Terms) -> Import:
    """Take a table into a book, in the one transaction that `opened` opens: who may not is refused before anything.

    Raises ValidationError with every bad row, unless the good ones are kept; then nothing was written.
    """
    rejects: list[Rejects] = []
    kept = False
    try:
        with opened() as view:
            given = tables()
            _check_identity(given.first, terms)
            if terms.keep_good:
                _begin_rejects(given, terms, rejects)
            told = _taken(view, given, terms, rejects)
        kept = True
    finally:
        for one in rejects:
            one.finish(keep=kept)
    return told


def _taken(view: View, given: Tables, terms: Terms, rejects: list[Rejects]) -> Import:
    with ExitStack() as stack:
        details = _details(given, terms)
        if details is not None:
            stack.callback(details.close)
        intake = Intake(given.first, terms, details, [*rejects, None, None])
        storing = Storing(view, intake, terms, given.first.plan.fields | ({details.field} if details else set()))
        stack.callback(storing.close)
        storing.take()
    places = [one.place() if one is not None else None for one in [*rejects, None, None]]
    return Import(
        given.first.plan.kind.name,
        given.first.name,
        intake.read,
        storing.written,
        storing.unchanged,
        intake.rejected,
        FrozenMap({**given.first.found, **_found_of_lines(given)}),
        given.first.ignored,
        tuple(intake.problems),
        places[0],
        intake.rejected_lines,
        places[1],
    )


def _details(given: Tables, terms: Terms) -> Details | None:
    if given.second is None or given.lines is None:
        return None
    table, progress = given.second, terms.progress

    def tell(rows: int, done: int) -> None:
        if progress is not None:
            progress(Progress(table.name, rows, done, table.total))

    return Details(table, given.lines, tell)


def _found_of_lines(given: Tables) -> dict[str, str]:
    if given.second is None or given.lines is None:
        return {}
    return {f"{given.lines.field}.{name}": form for name, form in given.second.found.items()}


def _begin_rejects(given: Tables, terms: Terms, begun: list[Rejects]) -> None:
    """Begin the files that bad rows go to: beside each table, or where the caller says."""
    field = "" if given.lines is None else f".{given.lines.field}"
    for table, more in ((given.first, ""), (given.second, field)):
        if table is None:
            continue
        place = None if terms.rejects is None else _with_stem(terms.rejects, more)
        if table.sheet is not None:
            beside = table.sheet.path.with_name(f"{table.sheet.path.stem}.rejects.csv")
            begun.append(Rejects(place or beside, table.header, table.sheet.encoding, table.sheet.separator))
        elif place is not None:
            begun.append(Rejects(place, table.header))


def _with_stem(path: Path, more: str) -> Path:
    return path.with_name(f"{path.stem}{more}{path.suffix}")
