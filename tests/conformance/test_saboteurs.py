"""Adapters that are broken on purpose: the kit catches each of them, by the check that is there for it.

An adapter that only hands on (`Wrapped`) passes the same checks, so that it is the sabotage that is caught.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from conformance.stores import PATIENCE, sqlite
from keyaccount import phones, testing
from keyaccount.catalogue import KINDS
from keyaccount.model.entity import Entity, evolved
from keyaccount.queries import COUNTED, Query, Total, Totals, Window, one_of, place
from keyaccount.storage import Act, Change, Image, Storage, StorageUnit, restriction, sql, statements
from keyaccount.storage.memory import MemoryStorage
from keyaccount.values import fold


class WrappedUnit:
    """A unit of work that hands everything on; saboteurs change one thing."""

    def __init__(self, inner: StorageUnit) -> None:
        """Wrap a unit."""
        self.inner = inner

    def find(self, query: Query) -> Iterator[Entity]:
        """Hand on a question."""
        return self.inner.find(query)

    def gather(self, queries: Sequence[Query]) -> list[list[Entity]]:
        """Ask one question after the other."""
        return [list(self.find(query)) for query in queries]

    def columns(self, query: Query, fields: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """Hand on some columns."""
        return self.inner.columns(query, fields)

    def totals(self, query: Query, asked: Totals = COUNTED) -> Iterator[Total]:
        """Hand on a total."""
        return self.inner.totals(query, asked)

    def write(self, act: Act, changes: Sequence[Change]) -> None:
        """Hand on a write."""
        self.inner.write(act, changes)

    def nested(self) -> AbstractContextManager[None]:
        """Hand on a nested block."""
        return self.inner.nested()

    def acts(self, after: int = 0) -> Iterator[Act]:
        """Hand on the acts."""
        return self.inner.acts(after)

    def act_of(self, key: str) -> Act | None:
        """Hand on an act."""
        return self.inner.act_of(key)

    def images(self, kind: str, id: str) -> Iterator[Image]:
        """Hand on the images."""
        return self.inner.images(kind, id)


class Wrapped:
    """A storage whose units are wrapped."""

    def __init__(self, inner: Storage, unit: Callable[[StorageUnit], StorageUnit] = WrappedUnit) -> None:
        """Wrap a storage."""
        self.inner, self.wrap = inner, unit

    @contextmanager
    def unit(self, *, write: bool) -> Iterator[StorageUnit]:
        """Open a wrapped unit."""
        with self.inner.unit(write=write) as unit:
            yield self.wrap(unit)

    def check(self, seal: str | None = None) -> Iterator[Any]:
        """Hand on the check."""
        return self.inner.check(seal)

    def backup(self, path: Path, *, overwrite: bool) -> None:
        """Hand on the backup."""
        self.inner.backup(path, overwrite=overwrite)

    def seal(self) -> str:
        """Hand on the seal."""
        return self.inner.seal()

    def close(self) -> None:
        """Hand on the end."""
        self.inner.close()


# ---- reading -----------------------------------------------------------------------------------------------------


class UnrestrictedTotals(WrappedUnit):
    """Restriction missing in totals."""

    def totals(self, query: Query, asked: Totals = COUNTED) -> Iterator[Total]:
        """Count for nobody in particular."""
        return self.inner.totals(attrs.evolve(query, reader=None), asked)


class UnrestrictedColumns(WrappedUnit):
    """Restriction missing where single fields are read."""

    def columns(self, query: Query, fields: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """Read for nobody in particular."""
        return self.inner.columns(attrs.evolve(query, reader=None), fields)


class UnrestrictedWindows(WrappedUnit):
    """Restriction missing in window totals."""

    def totals(self, query: Query, asked: Totals = COUNTED) -> Iterator[Total]:
        """Forget the reader in the columns of windows alone."""
        whole = {one.key: one for one in self.inner.totals(attrs.evolve(query, reader=None), asked)}
        for one in self.inner.totals(query, asked):
            other = whole.get(one.key, one) if asked.windows else one
            yield one._replace(counts=other.counts, sums=other.sums)


class ClosedWindows(WrappedUnit):
    """Off-by-one windows: the end included."""

    def totals(self, query: Query, asked: Totals = COUNTED) -> Iterator[Total]:
        """Take what lies on the end of a window for inside."""
        return self.inner.totals(query, attrs.evolve(asked, windows=map(self._closed, asked.windows)))

    def _closed(self, window: Window) -> Window:
        if window.end is None or window.end == type(window.end).max:
            return window
        tick = timedelta(microseconds=1) if isinstance(window.end, datetime) else timedelta(days=1)
        return attrs.evolve(window, end=window.end + tick)


class FloatSums(WrappedUnit):
    """Sums that pass through floating-point numbers."""

    def totals(self, query: Query, asked: Totals = COUNTED) -> Iterator[Total]:
        """Lose what a float cannot hold."""
        for one in self.inner.totals(query, asked):
            yield one._replace(sums=tuple(tuple(int(float(n)) for n in sums) for sums in one.sums))


class TextOrderTotals(WrappedUnit):
    """Totals in the order of what their keys read like."""

    def totals(self, query: Query, asked: Totals = COUNTED) -> Iterator[Total]:
        """Order by the text of the keys, so that nothing stands among the names."""
        found = self.inner.totals(query, asked)
        return iter(sorted(found, key=lambda one: tuple(map(str, one.key))))


class LimitFirst(WrappedUnit):
    """Limit before restriction."""

    def find(self, query: Query) -> Iterator[Entity]:
        """Cut what everybody has, then leave out what this reader may not see."""
        first = [row.key for row in self.inner.find(attrs.evolve(query, reader=None))]
        readable = self.inner.find(attrs.evolve(query, limit=None))
        return iter([row for row in readable if row.key in first])


class SecondPageForAll(WrappedUnit):
    """Restriction lost on page 2."""

    def find(self, query: Query) -> Iterator[Entity]:
        """Forget the reader as soon as there was a page before."""
        return self.inner.find(query if query.after is None else attrs.evolve(query, reader=None))


class UnorderedTies(WrappedUnit):
    """Ties unordered."""

    def find(self, query: Query) -> Iterator[Entity]:
        """Turn rows of one place round."""
        rows = list(self.inner.find(attrs.evolve(query, limit=None)))
        if query.order and query.text is None and query.after is None:
            ranks: dict[Any, list[Entity]] = {}
            for row in rows:
                ranks.setdefault(place(query, row)[:-1], []).insert(0, row)
            rows = [row for tied in ranks.values() for row in tied]
        return iter(rows[: query.limit])


class NothingFirst(WrappedUnit):
    """Order of nothing flipped."""

    def find(self, query: Query) -> Iterator[Entity]:
        """Put the rows that hold nothing in the first field before the others."""
        rows = list(self.inner.find(attrs.evolve(query, limit=None)))
        if query.order and query.text is None:
            rows.sort(key=lambda row: getattr(row, query.order[0][0]) is not None)
        return iter(rows[: query.limit])


class CaselessIds(WrappedUnit):
    """Ids compared without case."""

    def find(self, query: Query) -> Iterator[Entity]:
        """Take every id that folds to one of those asked for."""
        where = dict(query.where)
        asked = where.pop("id", None)
        if asked is None or asked.op not in ("is", "one_of"):
            return self.inner.find(query)
        wanted = {fold(id) for id in ((asked.value,) if asked.op == "is" else asked.value)}
        every = self.inner.find(attrs.evolve(query, where=tuple(where.items()), limit=None))
        return iter([row for row in every if fold(row.key) in wanted][: query.limit])


class ExpiredOpenEnd(WrappedUnit):
    """Open end taken as expired."""

    def find(self, query: Query) -> Iterator[Entity]:
        """Leave out what has no end where an end is asked for."""
        asked = any(field == "valid_until" and test.op == "at_least" for field, test in query.where)
        rows = self.inner.find(query)
        return (row for row in rows if not asked or getattr(row, "valid_until", None) is not None)


class SearchesHidden(WrappedUnit):
    """Search over hidden rows."""

    def find(self, query: Query) -> Iterator[Entity]:
        """Search what everybody has."""
        return self.inner.find(query if query.text is None else attrs.evolve(query, reader=None))


class Unmasked(WrappedUnit):
    """Masking forgotten."""

    def find(self, query: Query) -> Iterator[Entity]:
        """Read what was found once more, for nobody in particular."""
        rows = [row.key for row in self.inner.find(query)]
        whole = Query(query.kind, (("id", one_of(rows)),))
        stored = {row.key: row for row in self.inner.find(whole)}
        return (stored[id] for id in rows)


class UngroupedTotals(WrappedUnit):
    """Totals that forget the second field they are grouped by."""

    def totals(self, query: Query, asked: Totals = COUNTED) -> Iterator[Total]:
        """Group by nothing but the first field."""
        return self.inner.totals(query, attrs.evolve(asked, by=asked.by[:1]))


class GathersUnrestricted(WrappedUnit):
    """Restriction missing where many questions are asked at once."""

    def gather(self, queries: Sequence[Query]) -> list[list[Entity]]:
        """Ask for nobody in particular."""
        return [list(self.inner.find(attrs.evolve(query, reader=None))) for query in queries]


# ---- writing -----------------------------------------------------------------------------------------------------


class BulkUnchecked(WrappedUnit):
    """Version unchecked in bulk."""

    def write(self, act: Act, changes: Sequence[Change]) -> None:
        """Take what is stored for what the changes were made from."""
        self.inner.write(act, [self._fitting(one) for one in changes] if len(changes) > 2 else changes)

    def _fitting(self, change: Change) -> Change:
        asked = Query(KINDS[change.kind], (("id", one_of([change.id])),))
        stored = next(iter(self.inner.find(asked)), None)
        return attrs.evolve(change, before=stored)


class Trimmed(WrappedUnit):
    """Text that is kept without the blanks around it."""

    def write(self, act: Act, changes: Sequence[Change]) -> None:
        """Trim the ids' neighbours, the external references."""
        self.inner.write(act, [attrs.evolve(one, after=self._trimmed(one.after)) for one in changes])

    def _trimmed(self, row: Entity | None) -> Entity | None:
        return row if row is None else evolved(row, {"refs": {k: v.strip() or v for k, v in row.refs.items()}})


class Whole(WrappedUnit):
    """Numbers in `extra` that all become floating-point ones."""

    def find(self, query: Query) -> Iterator[Entity]:
        """Read every whole number as another type."""
        for row in self.inner.find(query):
            changed = {key: float(v) if type(v) is int and v < 2**53 else v for key, v in row.extra.items()}
            yield evolved(row, {"extra": changed})


class LostImages(WrappedUnit):
    """Images that do not tell of a removal."""

    def images(self, kind: str, id: str) -> Iterator[Image]:
        """Leave removals out."""
        return (image for image in self.inner.images(kind, id) if image.record is not None)


class HalfKept(Wrapped):
    """Half a transaction kept."""

    @contextmanager
    def unit(self, *, write: bool) -> Iterator[StorageUnit]:
        """Keep the first half of what a unit wrote, where it is left by an exception."""
        changes: list[tuple[Act, Sequence[Change]]] = []

        class Remembering(WrappedUnit):
            def write(self, act: Act, given: Sequence[Change]) -> None:
                super().write(act, given)
                changes.append((act, given))

        try:
            with self.inner.unit(write=write) as unit:
                yield Remembering(unit)
        except BaseException:
            for act, given in changes[:1]:
                with self.inner.unit(write=True) as unit:
                    unit.write(act, given[: 1 + len(given) // 2])
            raise


class NoSnapshot(Wrapped):
    """Snapshot not held."""

    @contextmanager
    def unit(self, *, write: bool) -> Iterator[StorageUnit]:
        """Answer each question from what is there by then."""
        if write:
            with self.inner.unit(write=True) as unit:
                yield unit
            return
        storage = self.inner

        class Afresh(WrappedUnit):
            def find(self, query: Query) -> Iterator[Entity]:
                with storage.unit(write=False) as unit:
                    return iter(list(unit.find(query)))

        with storage.unit(write=False) as unit:
            yield Afresh(unit)


class TwoActs(Wrapped):
    """Act written twice."""

    @contextmanager
    def unit(self, *, write: bool) -> Iterator[StorageUnit]:
        """Make another act of the same."""
        acts: list[Act] = []

        class Remembering(WrappedUnit):
            def write(self, act: Act, changes: Sequence[Change]) -> None:
                super().write(act, changes)
                acts.append(act)

        with self.inner.unit(write=write) as unit:
            yield Remembering(unit)
        for act in acts[-1:]:
            with self.inner.unit(write=True) as unit:
                unit.write(attrs.evolve(act, key=None), ())


class ManyWriters(Wrapped):
    """Units that do not wait for each other."""

    @contextmanager
    def unit(self, *, write: bool) -> Iterator[StorageUnit]:
        """Write at the end, which others may reach first."""
        del write
        made: list[tuple[Act, Sequence[Change]]] = []

        class Late(WrappedUnit):
            def write(self, act: Act, changes: Sequence[Change]) -> None:
                made.append((act, changes))

        with self.inner.unit(write=False) as unit:
            yield Late(unit)
        if made:
            with self.inner.unit(write=True) as unit:
                for act, changes in made:
                    unit.write(act, changes)


class KeepsKeys(Wrapped):
    """Removal keeps lookup keys."""

    def __init__(self, inner: Storage) -> None:
        """Start with nothing kept."""
        super().__init__(inner)
        self.kept: dict[str, set[str]] = {}

    @contextmanager
    def unit(self, *, write: bool) -> Iterator[StorageUnit]:
        """Find a record under every phone number that one of its id ever had."""
        kept = self.kept

        class Keeping(WrappedUnit):
            def write(self, act: Act, changes: Sequence[Change]) -> None:
                super().write(act, changes)
                for one in changes:
                    for number in getattr(one.after, "phones", ()):
                        kept.setdefault(one.id, set()).update(phones.keys(number))

            def find(self, query: Query) -> Iterator[Entity]:
                asked = dict(query.where).get("phones")
                if asked is None or asked.op != "dialled":
                    return self.inner.find(query)
                ids = [id for id, keys in kept.items() if not keys.isdisjoint(asked.value)]
                return self.inner.find(attrs.evolve(query, where=(("id", one_of(ids)),)))

        with self.inner.unit(write=write) as unit:
            yield Keeping(unit)


SABOTEURS: Sequence[tuple[type[WrappedUnit | Wrapped], str]] = (
    (UnrestrictedTotals, "restricted totals: a closed book"),
    (LimitFirst, "restricted pages: a closed book"),
    (UnrestrictedColumns, "restricted pages: a closed book"),
    (SecondPageForAll, "restricted pages: oversight to change"),
    (GathersUnrestricted, "restricted gather: a closed book"),
    (SearchesHidden, "restricted search: a closed book"),
    (UnorderedTies, "order: Organisation"),
    (NothingFirst, "order: Position"),
    (CaselessIds, "ids: byte by byte"),
    (ExpiredOpenEnd, "conditions: open ends"),
    (UngroupedTotals, "totals: Activity"),
    (UnrestrictedWindows, "restricted totals in windows: a closed book"),
    (ClosedWindows, "totals: an end belongs to the next window"),
    (ClosedWindows, "totals in windows: Assignment"),
    (FloatSums, "totals: sums of any size"),
    (TextOrderTotals, "totals: in the order of their keys"),
    (BulkUnchecked, "versions: every change of many"),
    (Trimmed, "round trip: Organisation"),
    (Whole, "round trip: Unit"),
    (LostImages, "images: of every kind"),
    (Unmasked, "restricted masked references: a closed book"),
    (KeepsKeys, "lookup keys follow their record"),
    (HalfKept, "units: left by an exception, nothing is kept"),
    (NoSnapshot, "units: a reader keeps the state it has read"),
    (TwoActs, "acts: one for each unit"),
    (ManyWriters, "units: one writes at a time"),
)


def wrapped(saboteur: type[WrappedUnit | Wrapped]) -> Storage:
    """Make a storage in memory with a saboteur around it."""
    inner = MemoryStorage(patience=PATIENCE)
    if issubclass(saboteur, Wrapped):
        return saboteur(inner)
    return Wrapped(inner, saboteur)


def check_of(make: Callable[[], Storage], name: str) -> testing.Check:
    """Return one check of the kit by its name."""
    return next(check for check in testing.checks(make) if check.name == name)


@pytest.mark.parametrize(("saboteur", "name"), SABOTEURS, ids=lambda one: getattr(one, "__name__", one))
def test_saboteurs_are_caught(saboteur: type[WrappedUnit | Wrapped], name: str) -> None:
    """An adapter with this fault is caught by the check that is there for it, which an honest one passes."""
    check_of(lambda: wrapped(WrappedUnit), name)()
    with pytest.raises(AssertionError, match=f"^{name}: "):
        check_of(lambda: wrapped(saboteur), name)()


def test_an_open_end_taken_as_expired_in_rights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An adapter that compiles the rule, and takes an open end as expired in it, is caught."""
    name = "restricted finds: an open end is in force"
    check_of(sqlite(tmp_path), name)()
    expired = "({at}.valid_from IS NULL OR {at}.valid_from <= :today) AND :today <= {at}.valid_until"
    monkeypatch.setattr(restriction, "_IN_FORCE", expired)
    monkeypatch.setattr(sql, "restriction_for", restriction.Restriction)  # without those that were made before
    monkeypatch.setattr(statements, "_kept", {})
    with pytest.raises(AssertionError, match=f"^{name}: "):
        check_of(sqlite(tmp_path), name)()
