"""The records of a table on their way into the book, chunk by chunk: what is new, what differs, what is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, TypeAlias

import attrs

from keyaccount import gate
from keyaccount.columns import Bad
from keyaccount.errors import ConflictError, Problem, ValidationError, shown
from keyaccount.intake import Given, Intake, Progress, Terms
from keyaccount.model.entity import Entity, evolved
from keyaccount.model.organisations import Organisation
from keyaccount.model.rights import Assignment
from keyaccount.queries import one_of
from keyaccount.shapes import Pairs
from keyaccount.view import View, Work, by_id

Wanted: TypeAlias = tuple[Given, Entity]
"""A record as its row gave it, and as it is to be put."""

CHUNK = 1_000
_STORED = "is stored with another value; pass update=True to change it"
_PATIENCE = 3
"""How often a chunk is tried again without the rows that were refused, before it is halved to find the others."""


class Storing:
    """What is done with the records of one table."""

    def __init__(self, view: View, intake: Intake, terms: Terms, filled: frozenset[str]) -> None:
        """Start with nothing written; `filled` are the fields that the table fills."""
        self._view, self._intake, self._terms = view, intake, terms
        self._table, self._plan = intake.table, intake.table.plan
        self._kind = self._plan.kind
        self._compared = sorted(filled - {"id"})
        self._leads = {link.field for link in self._kind.links if link.kind == self._kind.name} & filled
        self._later: gate.Later = {}
        self._waiting: dict[Problem, Given] = {}
        self._retry: list[tuple[Given, Sequence[Bad]]] = []
        from keyaccount.scratch import Scratch  # on first use: it brings the database along

        self._seen = Scratch("CREATE TABLE seen (id TEXT PRIMARY KEY) WITHOUT ROWID")
        self.written = self.unchanged = 0

    def close(self) -> None:
        """Throw away what was only needed on the way."""
        self._seen.close()

    def take(self) -> None:
        """Write the records; raise ValidationError with every bad row, unless the good ones are kept."""
        chunk: list[Given] = []
        for given in self._intake.records():
            chunk.append(given)
            if len(chunk) == CHUNK:
                self._ask_and_store(chunk)
                chunk = []
        self._ask_and_store(chunk)
        self._store_waiting()
        self._resolve()
        if self._intake.problems and not self._terms.keep_good:
            raise self._intake.error()

    def _ask_and_store(self, chunk: Sequence[Given]) -> None:
        """Store a chunk; under an idempotency key what counts is what was given, not what was there already."""
        if not chunk:
            return
        work = self._view.work
        for one in chunk if work.request is not None else ():
            work.request.put(one.record)  # type: ignore[union-attr]
        if work.replays:
            self.unchanged += len(chunk)
        else:
            with _unasked(work):
                self._store(chunk)
        if self._terms.progress is not None:
            line = chunk[-1].lines[-1]
            self._terms.progress(Progress(self._table.name, self._intake.read, line.done, self._table.total))

    # -- what is new, and what differs

    def _store(self, chunk: Sequence[Given]) -> None:
        given = self._by_reference(chunk)
        ids = [one.record.key for one in given]
        stored = by_id(self._view.find(self._kind.cls, id=one_of(ids)))
        before_here = self._seen_of(stored)
        fresh: dict[str, Wanted] = {}
        for one in given:
            id = one.record.key
            before = fresh[id][1] if id in fresh else stored.get(id)
            here = id in fresh or id in before_here
            if (wanted := self._wanted(one, before, here=here)) is not None:
                fresh[id] = (one, wanted)
        self._refuse_unmanaged(fresh, stored)
        self._put(fresh)
        self._seen.add("INSERT OR IGNORE INTO seen VALUES (?)", [(id,) for id in ids])

    def _refuse_unmanaged(self, fresh: dict[str, Wanted], stored: Mapping[str, Entity]) -> None:
        """Refuse rows that shield an account nobody manages, where no later call of a transaction can assign one."""
        if self._kind.cls is not Organisation or self._view.work.joined:
            return
        shielded = [
            id
            for id, (_, wanted) in fresh.items()
            if getattr(wanted, "private", False) and not getattr(stored.get(id), "private", False)
        ]
        assigned = self._view.find(Assignment, organisation_id=one_of(shielded)) if shielded else []
        managed = self._view.managed(assigned)
        for id in shielded:
            if id not in managed:
                one, _ = fresh.pop(id)
                self._intake.refuse(one, [self._bad(one, "private", gate.UNMANAGED)])

    def _by_reference(self, chunk: Sequence[Given]) -> Sequence[Given]:
        """Give records that are known by an external reference the id that is stored under it."""
        if self._terms.id_from or "id" in self._plan.fields:
            return chunk
        system = self._plan.systems[0]
        tests = [{system: one.record.refs[system]} for one in chunk]
        known = {row.refs[system]: row.key for row in self._view.find(self._kind.cls, refs=one_of(tests))}
        found = []
        for one in chunk:
            id = known.setdefault(one.record.refs[system], one.record.key)
            found.append(attrs.evolve(one, record=evolved(one.record, {"id": id})))
        return found

    def _seen_of(self, stored: Mapping[str, Entity]) -> set[str]:
        """Return which of some stored records this very table gave before."""
        return {id for id in stored if self._seen.ask("SELECT 1 FROM seen WHERE id = ?", (id,))}

    def _wanted(self, one: Given, before: Entity | None, *, here: bool) -> Entity | None:
        """Return what is to be put for a row; None where nothing is: it is there already, or must not be changed."""
        if before is None:
            return one.record
        after = {field: self._after(one, before, field) for field in self._compared}
        differing = [field for field in self._compared if after[field] != getattr(before, field)]
        if not differing:
            self.unchanged += 1
            return None
        if self._terms.update and not here:
            return evolved(before, {field: after[field] for field in differing})
        if here:
            others = ", ".join(differing)
            known_by = self._plan.known_by or self._terms.id_from[0]
            bad = [Bad(known_by, one.name, f"was given before, with another {others}", "id")]
        else:
            bad = [self._bad(one, field, _STORED) for field in differing]
        self._intake.refuse(one, bad)
        return None

    def _after(self, one: Given, before: Entity, field: str) -> Any:
        """Return what a field is to hold; of a mapping only the keys that the table fills are changed."""
        value, old = getattr(one.record, field), getattr(before, field)
        if value is None and field in dict(self._kind.stamped):
            return old
        if not isinstance(self._kind.shapes[field], Pairs):
            return value
        keys = {target.key for source in self._plan.columns_of(field) for target in source.targets}
        return {**{key: item for key, item in old.items() if key not in keys}, **value}

    # -- the gate

    def _put(self, fresh: dict[str, Wanted]) -> None:
        """Put records; those that are refused are told, and the others put without them, in halves where need be."""
        waiting = [(fresh, 0)]
        while waiting:
            some, tries = waiting.pop()
            if not some:
                continue
            try:
                self._try(some)
            except (ConflictError, ValidationError) as error:
                blamed = self._blamed(some, error)
                for id, bad in blamed.items():
                    self._reject(some.pop(id)[0], bad)
                halved = not blamed or tries >= _PATIENCE or isinstance(error, ConflictError)
                waiting += [(part, tries + 1) for part in reversed(_parts(some, 2 if halved else 1))]

    def _try(self, some: Mapping[str, Wanted]) -> None:
        """Put all of some records, or none; a reference to a row that may come later waits for the end."""
        later: gate.Later | None = None if self._terms.keep_good or not self._leads else {}
        with self._view.work.nested() if self._terms.keep_good else nullcontext():
            gate.put(self._view, [wanted for _, wanted in some.values()], later=later)
        self.written += len(some)
        for (kind, id), found in (later or {}).items():
            for problem, row in found:
                given = some[row.key][0]
                if kind == self._kind.name:
                    self._later.setdefault((kind, id), []).append((problem, row))
                    self._waiting[problem] = given
                else:
                    self._intake.refuse(given, [self._bad(given, problem.field, problem.reason)])

    def _blamed(self, some: Mapping[str, Wanted], error: ConflictError | ValidationError) -> dict[str, list[Bad]]:
        """Say which records an error is about, as far as it tells."""
        if isinstance(error, ConflictError):
            taken = [Bad("", error.id, "its id or an external reference is taken")]
            return {error.id: taken} if error.id in some else {}
        names: dict[str, list[str]] = {}
        for id in some:
            names.setdefault(f"{self._kind.name} {shown(id)}", []).append(id)
        found: dict[str, list[Bad]] = {}
        for problem in error.problems:
            ids = names.get(problem.entity, []) if len(some) > 1 else [*some]
            if len(ids) == 1:
                found.setdefault(ids[0], []).append(self._bad(some[ids[0]][0], problem.field, problem.reason))
        return found

    def _bad(self, one: Given, field: str, reason: str) -> Bad:
        value = getattr(one.record, field, "")
        return Bad(*self._plan.blamed(field, value, one.cells, self._table.forms), reason, field)

    # -- rows that lead to rows of the same table

    def _reject(self, one: Given, bad: Sequence[Bad]) -> None:
        """Refuse a row; where it may lead to a row that comes later, it is tried again at the end."""
        if self._terms.keep_good and self._leads and all(each.field in self._leads for each in bad):
            self._retry.append((one, bad))
        else:
            self._intake.refuse(one, bad)

    def _store_waiting(self) -> None:
        """Try again what led to rows that came later, as long as that helps."""
        while self._retry:
            waiting, self._retry = self._retry, []
            with _unasked(self._view.work):
                for start in range(0, len(waiting), CHUNK):
                    self._store([one for one, _ in waiting[start : start + CHUNK]])
            if len(self._retry) == len(waiting):
                break
        for one, bad in self._retry:
            self._intake.refuse(one, bad)

    def _resolve(self) -> None:
        """Refuse the rows that lead to rows that never came; one that came and was refused is told already."""
        refused = self._intake.refused_ids
        later = {name: found for name, found in self._later.items() if name[1] not in refused}
        try:
            gate.resolve(self._view, later)
        except ValidationError as error:
            named = {problem.entity: given for problem, given in self._waiting.items()}
            for problem in error.problems:
                one = self._waiting.get(problem) or named.get(problem.entity)
                if one is None:
                    raise
                self._intake.refuse(one, [self._bad(one, problem.field, problem.reason)])


def _parts(some: dict[str, Wanted], count: int) -> list[dict[str, Wanted]]:
    items = list(some.items())
    size = -(-len(items) // count) or 1
    return [dict(items[start : start + size]) for start in range(0, len(items), size)]


@contextmanager
def _unasked(work: Work) -> Iterator[None]:
    """Write without noting it as asked for."""
    request, work.request = work.request, None
    try:
        yield
    finally:
        work.request = request
