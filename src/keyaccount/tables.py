"""Tables on their way in: the rows of a CSV file, of a data frame, or of a list of mappings, under one mapping."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from keyaccount.catalogue import Kind
from keyaccount.columns import Plan
from keyaccount.errors import Problem, ValidationError, nearest, shown
from keyaccount.shapes import Amount, Day, Degrees, Exact, Number, Whole
from keyaccount.sheets import Forms, Line, Sheet, check_forms, found_dates, found_decimal, lines, opened

BATCH = 1_000
MOST_DECIMALS = 4
_NUMBERS = (Amount, Exact, Degrees, Whole, Number)


@attrs.frozen
class Stated:
    """What a caller says about how a table is written; None is to be found."""

    encoding: str | None = None
    separator: str | None = None
    decimal: str | None = None
    dates: str | None = None
    zone: Any = None
    decimals: int | None = None


@attrs.frozen
class Table:
    """Rows under a header, with the mapping to fields, the forms of cells, which of these were found, and the file."""

    name: str
    header: tuple[str, ...]
    plan: Plan
    forms: Forms
    rows: Iterable[Line]
    total: int
    found: Mapping[str, str]
    ignored: tuple[str, ...]
    sheet: Sheet | None = None

    def place(self, name: str) -> Any:
        """Return where the cell of a column stands in a row."""
        return name if self.plan.by_name else self.header.index(name)


def table_of_file(
    kind: Kind,
    path: Any,
    columns: Mapping[str, Any] | None,
    fixed: Mapping[str, Any],
    stated: Stated,
    *,
    part_of: str | None = None,
    also: Sequence[str] = (),
) -> Table:
    """Open a CSV file under a mapping (without one its header names fields); `also` are further columns it must have.

    `part_of` names the field whose values the rows are. Raises ValidationError, StorageUnavailable.
    """
    check_forms(stated.decimal, stated.dates)
    plan = None if columns is None else Plan(kind, _checked(columns), fixed, part_of=part_of)
    sheet = opened(path, stated.encoding, stated.separator, [*(columns or ()), *also], kind.shapes)
    mapped = [*columns] if columns is not None else _named(sheet)
    plan = (plan or Plan(kind, {name: name for name in mapped}, fixed)).bound(sheet.header)
    decimal, dates = _decimal(plan, sheet, stated), _dates(plan, sheet, stated)
    found = {"encoding": sheet.encoding, "separator": sheet.separator, "decimal": decimal, "dates": dates}
    return Table(
        sheet.path.name,
        sheet.header,
        plan,
        Forms(decimal or ".", dates or "%Y-%m-%d", stated.zone),
        lines(sheet),
        sheet.path.stat().st_size,
        {name: form for name, form in found.items() if form is not None and getattr(stated, name) is None},
        tuple(name for name in sheet.header if name not in {*mapped, *also}),
        sheet,
    )


def _named(sheet: Sheet) -> list[str]:
    """Return the columns of a header that names fields itself; one without a name is left out, and told as ignored."""
    mapped = [name for name in sheet.header if name]
    for name in mapped:
        if mapped.count(name) > 1:
            raise ValidationError.of(sheet.path.name, "columns", name, "stands twice in the header")
    return mapped


def _checked(columns: object) -> Mapping[str, Any]:
    if not isinstance(columns, Mapping) or not columns or not all(isinstance(name, str) for name in columns):
        raise ValidationError.of("import", "columns", columns, "must map columns of the table to fields")
    return columns


def _decimal(plan: Plan, sheet: Sheet, stated: Stated) -> str | None:
    numbers = plan.of_shape(*_NUMBERS)
    if stated.decimal is not None or not numbers:
        return stated.decimal
    return found_decimal(_cells(sheet, [source.place for source in numbers]), sheet.path.name)


def _dates(plan: Plan, sheet: Sheet, stated: Stated) -> str | None:
    days = plan.of_shape(Day)
    if stated.dates is not None or not days:
        return stated.dates
    return found_dates(_cells(sheet, [source.place for source in days]), sheet.path.name)


def _cells(sheet: Sheet, places: Sequence[int]) -> Iterator[str]:
    for line in lines(sheet):
        yield from (text for place in places if place < len(line.cells) and (text := line.cells[place].strip()))


def table_of_frame(
    kind: Kind, frame: Any, columns: Mapping[str, Any] | None, fixed: Mapping[str, Any], stated: Stated
) -> Table:
    """Take a data frame of pandas, Polars or PyArrow, or a list of mappings. Raises ValidationError."""
    check_forms(stated.decimal, stated.dates)
    _check_decimals(stated.decimals)
    header, rows, total = _frame_rows(frame)
    wanted = {name: name for name in header} if columns is None else _checked(columns)
    header = header or tuple(wanted)  # a list of no rows names no columns
    if problems := [_not_one(name, header) for name in wanted if header.count(name) != 1]:
        raise ValidationError(problems)
    return Table(
        "frame",
        header,
        Plan(kind, wanted, fixed),
        Forms(stated.decimal or ".", stated.dates or "%Y-%m-%d", stated.zone, stated.decimals),
        (Line(number, row, number) for number, row in enumerate(rows, 1)),
        total,
        {},
        tuple(name for name in header if name not in wanted),
    )


def _not_one(name: str, header: Sequence[str]) -> Problem:
    reason = "stands twice in the frame" if name in header else f"is no column{nearest(name, header)}"
    return Problem("columns", name, shown(name), reason)


def _check_decimals(decimals: object) -> None:
    whole = isinstance(decimals, int) and not isinstance(decimals, bool)
    if decimals is not None and not (whole and 0 <= decimals <= MOST_DECIMALS):  # type: ignore[operator]
        raise ValidationError.of("import", "decimals", decimals, f"must be a whole number from 0 to {MOST_DECIMALS}")


def _frame_rows(frame: Any) -> tuple[tuple[str, ...], Iterable[Mapping[str, Any]], int]:
    """Return the columns, the rows and the number of rows of a frame, whichever package made it."""
    package = type(frame).__module__.partition(".")[0]
    if package == "polars" and hasattr(frame, "iter_rows"):
        return tuple(frame.columns), frame.iter_rows(named=True), len(frame)
    if package == "pyarrow" and hasattr(frame, "to_batches"):
        rows = (row for batch in frame.to_batches(max_chunksize=BATCH) for row in _arrow_rows(batch))
        return tuple(frame.column_names), rows, int(frame.num_rows)
    if package == "pandas" and hasattr(frame, "itertuples"):
        names = tuple(map(str, frame.columns))
        tuples = frame.itertuples(index=False, name=None)
        return names, (dict(zip(names, map(_own_type, row), strict=True)) for row in tuples), len(frame)
    if isinstance(frame, (list, tuple)) and all(isinstance(row, Mapping) for row in frame):
        names = tuple(dict.fromkeys(str(name) for row in frame for name in row))
        return names, ({name: row.get(name) for name in names} for row in frame), len(frame)
    raise ValidationError.of(
        "import", "frame", type(frame).__name__, "must be a frame of pandas, Polars or PyArrow, or a list of mappings"
    )


def _arrow_rows(batch: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a batch; its columns may share names, of which only those that stand once are mapped."""
    names = batch.schema.names
    for cells in zip(*(column.to_pylist() for column in batch.columns), strict=True):
        yield dict(zip(names, cells, strict=True))


def _own_type(value: Any) -> Any:
    """Turn a scalar of numpy into Python's own; a moment to the microsecond, because its nanoseconds are a number."""
    if type(value).__module__ != "numpy" or not hasattr(value, "item"):
        return value
    return value.astype("datetime64[us]").item() if type(value).__name__ == "datetime64" else value.item()
