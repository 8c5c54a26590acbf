"""The rows of one table on their way in: read, put together to records, and refused where they are bad.

Every cause is told once, with its place; what is refused only because of another row is counted and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import attrs

from keyaccount.columns import Bad, as_text, is_nothing, record_of
from keyaccount.details import Details, wrong_width
from keyaccount.errors import Problem, ValidationError, shown
from keyaccount.model.entity import Entity
from keyaccount.rejects import Rejects
from keyaccount.results import Result
from keyaccount.sheets import Line
from keyaccount.tables import Table

TOLD = 10_000
"""How many problems an error or an answer lists; the rest are counted."""


@attrs.frozen(repr=False)
class Progress(Result):
    """How far a long work is: rows so far, and how much is done of a total (bytes of a file, rows of a frame)."""

    what: str
    rows: int
    done: int
    total: int


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
    """A record with the rows it came from, and the name by which the table knows it."""

    record: Entity
    lines: tuple[Line, ...]
    name: str

    @property
    def cells(self) -> Any:
        """The cells of its first row."""
        return self.lines[0].cells


@attrs.frozen
class Row:
    """One row with its fields, and what is wrong with it."""

    line: Line
    values: dict[str, Any]
    bad: list[Bad]


class Intake:
    """The records of one table, with the lines that a second one may hold for them."""

    def __init__(self, table: Table, terms: Terms, details: Details | None, rejects: Sequence[Rejects | None]) -> None:
        """Start with nothing read; `rejects` take the bad rows of the one file and of the other."""
        self.table, self._terms, self._details = table, terms, details
        self._rejects, self._others = rejects[0], rejects[1]
        self._plan = table.plan
        self._places = [table.place(name) for name in terms.id_from]
        self._causes = 0
        self.problems: list[Problem] = []
        self.read = self.rejected = self.rejected_lines = 0
        self.refused_ids: set[str] = set()

    def records(self) -> Iterator[Given]:
        """Yield the records of the sound rows; bad ones are refused on the way."""
        for rows in self._grouped():
            if given := self._record(rows):
                yield given
        for line, bad in self._details.rest() if self._details is not None else ():
            self._note(self._name_of_lines, line, bad)
            self._reject_line(line, bad)

    def refuse(self, given: Given, bad: Sequence[Bad]) -> None:
        """Refuse a record that was read."""
        first, *others = given.lines
        self._note(self.table.name, first, bad)
        self._reject(first, bad)
        for line in others:
            self._reject(line, [Bad("", "", "is of the same record as a row that is bad")])
        self._forget(given.name)

    def error(self) -> ValidationError:
        """Return the error that lists every cause."""
        more = self._causes - len(self.problems)
        rest = [Problem("import", "", "", f"there are {more} more problems")] if more else []
        return ValidationError([*self.problems, *rest])

    # -- rows

    def _grouped(self) -> Iterator[list[Row]]:
        """Put rows together that follow each other with one id, where each holds one line of the same record."""
        if not self._plan.repeated:
            yield from ([row] for row in self._rows())
            return
        for id, rows in groupby(self._rows(), key=lambda row: self._name(row.values)):
            if id is None:
                yield from ([row] for row in rows)
            else:
                yield list(rows)

    def _rows(self) -> Iterator[Row]:
        plan, forms = self._plan, self.table.forms
        for line in self.table.rows:
            self.read += 1
            bad = wrong_width(line, self.table)
            if bad:
                yield Row(line, self._known(line), bad)
                continue
            values = plan.fields_from(line.cells, forms, bad)
            self._identify(line, values, bad)
            yield Row(line, values, bad)

    def _known(self, line: Line) -> dict[str, Any]:
        """Return what a row with too many or too few cells seems to be known by, so that its lines find it."""
        places = [s.place for s in self._plan.columns_of("id") if s.place < len(line.cells)]
        return {"id": line.cells[places[0]]} if places and line.cells[places[0]] else {}

    def _identify(self, line: Line, values: dict[str, Any], bad: list[Bad]) -> None:
        """Give a row the id that some columns make; refuse one without its id, which would get a new one each time."""
        if self._places:
            parts = [line.cells[place] for place in self._places]
            if not all(map(is_nothing, parts)):
                values["id"] = ":".join("" if is_nothing(part) else as_text(part) for part in parts)
        if self._name(values) is None and not any(each.field in ("id", "refs") for each in bad):
            bad.append(Bad(self._terms.id_from[0] if self._places else self._plan.known_by, "", "is required to know the record by", "id"))

    def _name(self, values: Mapping[str, Any]) -> str | None:
        """Return what a record is known by in its table: its id, else its first external reference."""
        if (id := values.get("id")) or self._places or "id" in self._plan.fields:
            return id
        found: str | None = values.get("refs", {}).get(self._plan.systems[0])
        return found

    # -- records

    def _record(self, rows: Sequence[Row]) -> Given | None:
        """Make the record of some rows; where something is bad, refuse them all, and read what there is of lines."""
        first = rows[0]
        values = first.values
        if len(rows) > 1:
            self._compare(rows)
            joined = {f: tuple(x for row in rows for x in row.values.get(f, ())) for f in self._plan.repeated}
            values = values | joined
        id = self._name(values)
        more, wrong = self._lines_of(id, first)
        record = self._made(values | more, first)
        if record is not None and id is not None and not wrong and not any(row.bad for row in rows):
            return Given(record, tuple(row.line for row in rows), id)
        self._refuse_rows(rows, wrong, id)
        return None

    def _made(self, values: Mapping[str, Any], row: Row) -> Entity | None:
        """Make a record; of a row that is cut wrongly nothing more is said."""
        if wrong_width(row.line, self.table):
            return None
        return record_of(self._plan, values, row.bad, row.line.cells, self.table.forms)

    def _compare(self, rows: Sequence[Row]) -> None:
        """Find rows of one record that say different things of it."""
        first = rows[0]
        for row in rows[1:]:
            for field in (self._plan.fields - self._plan.repeated) if not (row.bad or first.bad) else ():
                if row.values.get(field) != first.values.get(field):
                    told = self._plan.blamed(field, row.values.get(field), row.line.cells, self.table.forms)
                    row.bad.append(Bad(*told, f"is not what line {first.line.number} says of the same record", field))

    def _lines_of(self, id: str | None, row: Row) -> tuple[dict[str, Any], list[tuple[Line, list[Bad]]]]:
        if self._details is None or id is None:
            return {}, []
        currency = None if wrong_width(row.line, self.table) else self._plan.currency_of(row.line.cells)
        values, wrong = self._details.read(id, currency)
        for line, bad in wrong:
            self._note(self._name_of_lines, line, bad)
        return values, wrong

    # -- refusing

    @property
    def _name_of_lines(self) -> str:
        return "" if self._details is None else self._details.table.name

    def _refuse_rows(self, rows: Sequence[Row], wrong: Sequence[Any], id: str | None) -> None:
        for row in rows:
            self._note(self.table.name, row.line, row.bad)
            because = "has lines that are bad" if wrong else "is of the same record as a row that is bad"
            self._reject(row.line, row.bad or [Bad("", "", because)])
        if id is not None:
            self._forget(id, {line.number: bad for line, bad in wrong})

    def _note(self, name: str, line: Line, bad: Sequence[Bad]) -> None:
        """Note a cause, to be told."""
        place = f"{name}:{line.number}"
        for each in bad:
            self._causes += 1
            if len(self.problems) < TOLD:
                problem = Problem(self._plan.kind.name, each.column, shown(each.cell), each.reason, place)
                self.problems.append(problem)

    def _reject(self, line: Line, bad: Sequence[Bad]) -> None:
        self.rejected += 1
        if self._rejects is not None:
            self._rejects.add(line, _reasons(bad))

    def _forget(self, id: str, bad: Mapping[int, Sequence[Bad]] | None = None) -> None:
        """Refuse the lines of a record that is refused, so that both can be read again together."""
        if len(self.refused_ids) < TOLD:
            self.refused_ids.add(id)
        for line in self._details.taken(id) if self._details is not None else ():
            self._reject_line(line, (bad or {}).get(line.number) or [Bad("", "", "is of a record that is refused")])

    def _reject_line(self, line: Line, bad: Sequence[Bad]) -> None:
        self.rejected_lines += 1
        if self._others is not None:
            self._others.add(line, _reasons(bad))


def _reasons(bad: Sequence[Bad]) -> list[str]:
    return [f"{each.column}: {each.reason}" if each.column else each.reason for each in bad]
