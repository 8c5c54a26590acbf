"""Checks of what is written: units of work, versions, acts, images; some read what the adapter did not write."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

import attrs

from keyaccount.catalogue import KINDS
from keyaccount.errors import ConflictError, StorageUnavailable
from keyaccount.model.contacts import Contact
from keyaccount.model.entity import Entity, evolved
from keyaccount.model.organisations import Organisation
from keyaccount.model.organogram import Unit
from keyaccount.queries import Index, Totals, dialled
from keyaccount.storage import Act, Change, Image, Storage, StorageUnit
from keyaccount.testing.bench import (
    Bench,
    Make,
    act,
    after,
    change,
    create,
    fresh,
    query,
    removal,
    same_record,
    told,
    write,
)
from keyaccount.testing.records import NOW, bases, numbered
from keyaccount.testing.worlds import world
from keyaccount.values import FrozenMap

_BULK = 1_200
_THREADS, _INCREMENTS, _MOST_TRIES = 3, 4, 500
_LONGEST_WAIT = 60.0
_PHONE = "+49 89 1234567"


class Interrupted(Exception):
    """Leaves a unit of work."""


class StoppedHard(BaseException):
    """Leaves a unit of work as an interrupt from the keyboard does."""


def checks() -> Iterator[tuple[str, Any]]:
    """Yield the checks by name."""
    yield from {
        "units: own writes are read": _own_writes,
        "units: left normally, others see all of it": _committed,
        "units: left by an exception, nothing is kept": partial(_left, errors=(Interrupted, GeneratorExit)),
        "units: left by an interrupt, nothing is kept": partial(_left, errors=(StoppedHard, KeyboardInterrupt)),
        "units: others see nothing before the end": _unseen,
        "units: a reader keeps the state it has read": partial(_snapshot, reads_first=True),
        "units: a reader keeps the state from its opening": partial(_snapshot, reads_first=False),
        "units: one writes at a time": _one_writer,
        "units: nothing is lost between threads": _threads,
        "units: reading leaves nothing": _reading,
        "nested: undone where the block raises": _nested,
        "nested: kept otherwise": _nested_kept,
        "versions: created over another": partial(_conflict, wrong=_over_existing),
        "versions: changed from a stale one": partial(_conflict, wrong=_stale),
        "versions: changed while missing": partial(_conflict, wrong=_missing),
        "versions: removed while missing": partial(_conflict, wrong=_removed_missing),
        "versions: removed from a stale one": partial(_conflict, wrong=_removed_stale),
        "versions: every change of many": _bulk_conflicts,
        "versions: a refused bulk leaves nothing": _refused_bulk,
        "acts: one for each unit": _one_act,
        "acts: what they tell comes back": _told_acts,
        "acts: in the order of writing, not of the clock": _act_order,
        "acts: by key": _by_key,
        "acts: one for each key": _one_for_each_key,
        "acts: a unit's own is none before it ends": _own_act,
        "acts: the first write says what they tell": _first_write,
        "acts: none of a unit that wrote nothing": _no_act,
        "acts: records in the order they were written": _order_in_act,
        "images: of every kind": _images,
        "images: one for each act": _one_image,
        "images: removed and made again": _made_again,
        "images: the unit's own": _own_images,
        "storages share nothing": _apart,
        "check: nothing wrong in what is intact": _intact,
        "seal: a history that goes on keeps it": _sealed,
        "seal: a history that was cut off does not": _cut_off,
        "close": _close,
    }.items()


# ---- states to compare -------------------------------------------------------------------------------------------


def _rows() -> list[Entity]:
    return [attrs.evolve(row, version=1) for row in world("an open book", 1).records]


def _same_state(storage: Storage, rows: Sequence[Entity | None], acts: int, when: str) -> None:
    """Compare everything that a new unit sees: records, counts, keys of phone numbers, acts."""
    index = Index(row for row in rows if row is not None)
    with storage.unit(write=False) as work:
        _same_unit(work, index)
        found = len(list(work.acts()))
        assert found == acts, f"{when}: there are {found} acts instead of {acts}"


def _same_unit(work: StorageUnit, index: Index) -> None:
    bench = Bench(work, index)
    for kind in KINDS.values():
        bench.finds(query(kind))
        bench.totals(query(kind))
    bench.finds(query(Organisation, phones=dialled(["6:234567"])))
    bench.finds(query(Organisation, text="a"))


def _steps() -> tuple[list[Entity], list[list[Change]], list[Entity]]:
    """Return some records, a few writes that create, change twice, remove and make again, and what is left of it."""
    rows = _rows()
    one, two, three, *rest = [row for row in rows if isinstance(row, (Organisation, Contact))]
    changed = change(one, phones=(_PHONE,), name="Changed")
    again = change(after(changed), refs=FrozenMap({"erp": "new"}))
    new = Organisation("new", name="New", phones=(_PHONE,), version=1)
    made = evolved(three, {"name": "Made again"})
    writes = [[changed, removal(two)], [again, removal(three)], [*create([new, made])]]
    others = [row for row in rows if row not in (one, two, three)]
    assert rest, "the world is too small"
    return rows, writes, [*others, after(again), new, made]


# ---- units -------------------------------------------------------------------------------------------------------


def _own_writes(make: Make) -> None:
    """A unit sees what it wrote: by id, list, count, phone key and search."""
    rows, writes, left = _steps()
    with fresh(make) as storage:
        write(storage, create(rows))
        with storage.unit(write=True) as work:
            index = Index(rows)
            for changes in writes:
                work.write(act(), changes)
                for one in changes:
                    index.discard(one.kind, one.id)
                    if one.after is not None:
                        index.add(one.after)
                _same_unit(work, index)
        _same_state(storage, left, 2, "after the unit")


def _committed(make: Make) -> None:
    """What a unit wrote is there for every later one."""
    rows, writes, left = _steps()
    with fresh(make) as storage:
        write(storage, create(rows))
        for changes in writes:
            write(storage, changes)
        _same_state(storage, left, 1 + len(writes), "after three units")


def _left(make: Make, errors: Sequence[type[BaseException]]) -> None:
    """A unit that is left by an exception leaves no record, no act, no image and no lookup key."""
    rows, writes, _ = _steps()
    for error in errors:
        for count in range(1, len(writes) + 1):
            with fresh(make) as storage:
                write(storage, create(rows))
                with suppress(error):
                    _write_and_raise(storage, writes[:count], error)
                when = f"a unit was left by {error.__name__}"
                _same_state(storage, rows, 1, when)
                with storage.unit(write=False) as work:
                    images = list(work.images("Organisation", "new"))
                    assert not images, f"{when}: {len(images)} images of a record are kept"
                    assert work.act_of("left") is None, f"{when}: its act is kept"
                write(storage, create([Unit("later", name="U")]))
                _same_state(storage, [*rows, Unit("later", name="U", version=1)], 2, "a unit after that")


def _write_and_raise(storage: Storage, writes: Sequence[Sequence[Change]], error: type[BaseException]) -> None:
    with storage.unit(write=True) as work:
        for changes in writes:
            work.write(act(key="left"), changes)
        raise error


def _unseen(make: Make) -> None:
    """Another unit does not see what is not committed, or says that it cannot be asked now."""
    rows, writes, _ = _steps()
    with fresh(make) as storage:
        write(storage, create(rows))
        with suppress(Interrupted), storage.unit(write=True) as work:
            work.write(act(), writes[0])
            with suppress(StorageUnavailable):
                _same_state(storage, rows, 1, "while another unit writes")
            raise Interrupted


def _snapshot(make: Make, *, reads_first: bool) -> None:
    """A unit that reads sees one state; a writer meanwhile is not seen, or is told to wait."""
    rows, writes, left = _steps()
    with fresh(make) as storage:
        write(storage, create(rows))
        written = 0
        with storage.unit(write=False) as work:
            if reads_first:
                _same_unit(work, Index(rows))
            for changes in writes:
                with suppress(StorageUnavailable):
                    write(storage, changes)
                    written += 1
                if written == 0:
                    break  # the writer is told to wait for the reader: nothing of it must be seen after that either
                _same_unit(work, Index(rows))
                found = len(list(work.acts()))
                assert found == 1, f"a unit that reads sees {found} acts; there was one when it was opened"
        _same_state(storage, left if written else rows, 1 + written, "after the reader has ended")


def _one_writer(make: Make) -> None:
    """While one unit writes, another waits for a bounded time and is refused; after it, it may."""
    with fresh(make) as storage:
        refused: list[BaseException] = []

        def other() -> None:
            try:
                write(storage, create([Unit("other", name="U")]))
            except BaseException as error:  # noqa: BLE001 - told to the thread that asks
                refused.append(error)

        with storage.unit(write=True) as work:
            work.write(act(), create([Unit("one", name="U")]))
            thread = threading.Thread(target=other, daemon=True)
            thread.start()
            thread.join(_LONGEST_WAIT)
            assert not thread.is_alive(), f"a second writer has waited for {_LONGEST_WAIT} seconds"
            assert refused, "two units wrote at a time"
            assert isinstance(refused[0], StorageUnavailable), f"the second writer got {refused[0]!r}"
        other()
        _same_state(storage, [_unit("one"), _unit("other")], 2, "after both")


def _unit(id: str, **more: Any) -> Unit:
    return evolved(Unit(id, name="U", version=1), more)


def _threads(make: Make) -> None:
    """Every change that was acknowledged is there: threads that count together lose nothing."""
    with fresh(make) as storage:
        write(storage, create([_unit("n", extra=FrozenMap({"n": 0}))]))
        failed: list[BaseException] = []

        def count() -> None:
            try:
                for _ in range(_INCREMENTS):
                    _increment(storage)
            except BaseException as error:  # noqa: BLE001 - told to the thread that asks
                failed.append(error)

        threads = [threading.Thread(target=count, daemon=True) for _ in range(_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(_LONGEST_WAIT)
        assert not failed, f"a thread failed: {failed[0]!r}"
        assert not any(thread.is_alive() for thread in threads), "threads wait for each other for ever"
        with storage.unit(write=False) as work:
            (row,) = work.find(query(Unit, id="n"))
            acts = len(list(work.acts()))
        total = _THREADS * _INCREMENTS
        found = (row.extra["n"], row.version, acts)
        expected = (total, total + 1, total + 1)
        assert found == expected, f"count, version and acts are {found} instead of {expected}"


def _increment(storage: Storage) -> None:
    for _ in range(_MOST_TRIES):
        with suppress(StorageUnavailable, ConflictError), storage.unit(write=True) as work:
            (row,) = work.find(query(Unit, id="n"))
            work.write(act(), [change(row, extra=FrozenMap({"n": row.extra["n"] + 1}))])
            return
    raise AssertionError(f"a writer was refused {_MOST_TRIES} times in a row")


def _reading(make: Make) -> None:
    """A unit that reads, or writes nothing, or is left by an exception after reading, changes nothing."""
    rows, _, _ = _steps()
    with fresh(make) as storage:
        write(storage, create(rows))
        for writes in (False, True):
            with suppress(Interrupted), storage.unit(write=writes) as work:
                list(work.find(query(Organisation)))
                raise Interrupted
            with storage.unit(write=writes) as work:
                list(work.totals(query(Organisation), Totals(("name",))))
        _same_state(storage, rows, 1, "after reading")


def _nested(make: Make) -> None:
    """What was written in a nested block that raises is undone, and what was written before stays."""
    rows, (first, *more), _ = _steps()
    with fresh(make) as storage:
        write(storage, create(rows))
        with storage.unit(write=True) as work:
            work.write(act(), first)
            index = _applied(rows, first)
            with suppress(Interrupted), work.nested():
                for changes in more:
                    work.write(act(), changes)
                with suppress(Interrupted), work.nested():
                    work.write(act(), create([_unit("inner")]))
                    raise Interrupted
                raise Interrupted
            _same_unit(work, index)
        with storage.unit(write=False) as work:
            _same_unit(work, index)
            changed = [one.changed for one in work.acts()][1]
            assert set(changed) == {(one.kind, one.id) for one in first}, f"the act tells of {changed}"


def _nested_kept(make: Make) -> None:
    """What was written in nested blocks that end well is kept, and undone with what is around it."""
    rows, (first, *more), left = _steps()
    with fresh(make) as storage:
        write(storage, create(rows))
        with storage.unit(write=True) as work:
            with suppress(Interrupted), work.nested():
                with work.nested():
                    work.write(act(), first)
                raise Interrupted
            _same_unit(work, Index(rows))
            with work.nested():
                work.write(act(), first)
            for changes in more:
                with work.nested():
                    work.write(act(), changes)
        _same_state(storage, left, 2, "after nested blocks")


def _applied(rows: Sequence[Entity], changes: Sequence[Change]) -> Index:
    index = Index(rows)
    for one in changes:
        index.discard(one.kind, one.id)
        if one.after is not None:
            index.add(one.after)
    return index


# ---- versions ----------------------------------------------------------------------------------------------------


def _over_existing(row: Entity) -> Change:
    return create([attrs.evolve(row, extra=FrozenMap({"other": 1}))])[0]


def _stale(row: Entity) -> Change:
    return change(attrs.evolve(row, version=row.version - 1), extra=FrozenMap({"stale": 1}))


def _missing(row: Entity) -> Change:
    return change(evolved(row, {"id": "missing"}), extra=FrozenMap({"m": 1}))


def _removed_missing(row: Entity) -> Change:
    return removal(evolved(row, {"id": "missing"}))


def _removed_stale(row: Entity) -> Change:
    return removal(attrs.evolve(row, version=row.version - 1))


def _conflict(make: Make, wrong: Callable[[Entity], Change]) -> None:
    """A change from a version that is not the stored one is refused with both versions, and nothing is kept."""
    for kind in KINDS.values():
        first, other = numbered(kind, bases(kind)[:1] * 2)
        with fresh(make) as storage:
            write(storage, create([first, other]))
            second = change(first, extra=FrozenMap({"n": 2}))
            write(storage, [second])
            bad = wrong(after(second))
            _refused(storage, [change(other, extra=FrozenMap({"n": 2})), bad], bad)
            _same_state(storage, [second.after, other], 2, f"a conflict about {kind.name}")


def _refused(storage: Storage, changes: Sequence[Change], bad: Change) -> None:
    """Write changes of which one must be refused, and compare what the error says."""
    with storage.unit(write=False) as work:
        stored = next(iter(work.find(query(KINDS[bad.kind], id=bad.id))), None)
    try:
        write(storage, changes)
    except ConflictError as error:
        said = (error.kind, error.id, error.expected, error.found)
        expected = bad.before.version if bad.before is not None else 0
        wanted = (bad.kind, bad.id, expected, stored.version if stored is not None else None)
        assert said == wanted, f"the conflict says {said} instead of {wanted}"
        return
    raise AssertionError(f"{bad.kind} {bad.id!a} was written from a version that is not the stored one")


def _bulk_conflicts(make: Make) -> None:
    """In a write of many records each version is checked: of the first, one in the middle, the last."""
    rows = [_unit(f"u{n:05}") for n in range(_BULK)]
    with fresh(make) as storage:
        write(storage, create(rows))
        moved = change(rows[0], name="V")
        write(storage, [moved, change(rows[_BULK // 2], name="V"), change(rows[-1], name="V")])
        for place in (0, _BULK // 2, _BULK - 1):
            good = [row for n, row in enumerate(rows) if n not in (0, _BULK // 2, _BULK - 1)]
            changes = [change(row, name="W") for row in good]
            bad = change(rows[place], name="W")
            _refused(storage, [*changes[:place], bad, *changes[place:]], bad)
        _refused(storage, [*create([_unit("new")]), *create([rows[1]])], *create([rows[1]]))
        with storage.unit(write=False) as work:
            found = [row.key for row in work.find(query(Unit, name="W"))]
            assert not found, f"{len(found)} changes of a refused write are kept"


def _refused_bulk(make: Make) -> None:
    """A write that is refused, and caught inside its unit, leaves nothing of its own and no act."""
    rows = [_unit(f"u{n:05}") for n in range(_BULK)]
    with fresh(make) as storage:
        write(storage, create(rows[-1:]))
        with storage.unit(write=True) as work, suppress(ConflictError):
            work.write(act(), create(rows))
        _same_state(storage, rows[-1:], 1, "a unit whose only write was refused")
        with storage.unit(write=True) as work:
            work.write(act(), create([_unit("before")]))
            with suppress(ConflictError):
                work.write(act(), create(rows))
        _same_state(storage, [rows[-1], _unit("before")], 2, "a unit of which one write was refused")


# ---- acts --------------------------------------------------------------------------------------------------------


def _acts(storage: Storage, behind: int = 0) -> list[Act]:
    with storage.unit(write=False) as work:
        return list(work.acts(behind))


def _one_act(make: Make) -> None:
    """However often a unit writes, it is one act, which names every record that it changed, each once."""
    rows, writes, _ = _steps()
    with fresh(make) as storage:
        write(storage, create(rows))
        with storage.unit(write=True) as work:
            for changes in writes:
                work.write(act(), changes)
        first, second, *more = _acts(storage)
        assert not more, f"two units made {2 + len(more)} acts"
        _names(first, [(type(row).__name__, row.key) for row in rows])
        _names(second, list(dict.fromkeys((one.kind, one.id) for changes in writes for one in changes)))


def _names(one: Act, expected: Sequence[tuple[str, str]]) -> None:
    found = sorted(one.changed)
    assert found == sorted(expected), (
        f"an act names {len(found)} records: {found[:5]} instead of {sorted(expected)[:5]}"
    )


def _order_in_act(make: Make) -> None:
    """An act names its records in the order in which they were first written."""
    rows = [_unit("u1"), Organisation("o", name="O"), _unit("u0"), Contact("c", name="C")]
    with fresh(make) as storage:
        write(storage, create(rows))
        found = [id for _, id in _acts(storage)[0].changed]
        assert found == [row.key for row in rows], f"an act names its records as {found}"


def _told_acts(make: Make) -> None:
    """When, by whom, why, the key and the request come back exactly; a unit's last write may complete the act."""
    given = [
        Act(NOW, "anna", None),
        Act(NOW + timedelta(microseconds=1), "x'); --", "O'Brien\n\u00e9 \U0001f600", "key", "digest"),
        Act(NOW, "e\u0301", "", "Key "),
    ]
    with fresh(make) as storage:
        for number, one in enumerate(given):
            with storage.unit(write=True) as work:
                work.write(attrs.evolve(one, request=None), create([_unit(f"u{number}")]))
                if one.request is not None:
                    work.write(one, ())
        found = [attrs.evolve(one, seq=0, changed=()) for one in _acts(storage)]
        assert found == given, f"acts came back as {found} instead of {given}"


def _act_order(make: Make) -> None:
    """Acts come in the order of their units, whatever the clock said, and go on behind any of them."""
    with fresh(make) as storage:
        for number in range(6):
            with storage.unit(write=True) as work:
                at = NOW - timedelta(days=number % 3)
                work.write(Act(at, f"user {number}"), create([_unit(f"u{9 - number}")]))
        found = _acts(storage)
        assert [one.by for one in found] == [f"user {n}" for n in range(6)], "acts are not in the order of their units"
        numbers = [one.seq for one in found]
        assert sorted(set(numbers)) == numbers, f"sequence numbers do not grow: {numbers}"
        for place, seq in enumerate(numbers):
            assert _acts(storage, seq) == found[place + 1 :], f"acts after {seq} are others"


def _by_key(make: Make) -> None:
    """An act is found under its key, byte by byte, and no other is."""
    with fresh(make) as storage:
        for key in ("k", "K", "k ", "\u00e9", None):
            write(storage, create([_unit(f"u{key}")]), key=key)
        found = {one.key: one for one in _acts(storage)}
        with storage.unit(write=False) as work:
            for key in ("k", "K", "k ", "\u00e9"):
                assert work.act_of(key) == found[key], f"under {key!a} stands {work.act_of(key)}"
            for key in ("e\u0301", "kk", "", " k"):
                assert work.act_of(key) is None, f"under {key!a} stands {work.act_of(key)}"


def _one_for_each_key(make: Make) -> None:
    """A second act under a key is refused, and nothing of its write is kept; one unit writes under its key again."""
    with fresh(make) as storage:
        with storage.unit(write=True) as work:
            work.write(act(key="k"), create([_unit("u")]))
            work.write(act(key="k"), create([_unit("v")]))
        for changes in (create([_unit("w")]), ()):
            try:
                write(storage, changes, key="k")
            except ConflictError as error:
                said = (error.kind, error.id)
                assert said == ("Act", "k"), f"a second act under a key is refused as {said}"
            else:
                raise AssertionError("a second act was written under the same key")
        with storage.unit(write=True) as work:
            with suppress(ConflictError):
                work.write(act(key="k"), create([_unit("w")]))
            work.write(act(key="other"), create([_unit("x")]))
        _same_state(storage, [_unit("u"), _unit("v"), _unit("x")], 2, "after acts under the same key")


def _own_act(make: Make) -> None:
    """Inside a unit that has written, the acts are those from before it."""
    with fresh(make) as storage:
        write(storage, create([_unit("u")]), key="before")
        with storage.unit(write=True) as work:
            before = list(work.acts())
            work.write(act(key="own"), create([_unit("v")]))
            assert list(work.acts()) == before, "a unit that is still open tells of its own act"
            assert work.act_of("own") is None, "a unit that is still open finds its own act"
            assert work.act_of("before") == before[0], "a unit does not find the act from before it"
        assert [one.key for one in _acts(storage)] == ["before", "own"], "the unit's act is lost"


def _first_write(make: Make) -> None:
    """When, by whom, why and under which key is said by a unit's first write; later ones complete the request."""
    with fresh(make) as storage:
        with storage.unit(write=True) as work:
            work.write(act("first", key="k"), create([_unit("u")]))
            work.write(Act(NOW + timedelta(days=1), "somebody", "second", "other", "r"), create([_unit("v")]))
            (image,) = work.images("Unit", "v")
            assert image.act.why == "first", f"inside the unit its act tells {image.act.why!r}"
        (found,) = _acts(storage)
        told_by = (found.at, found.by, found.why, found.key, found.request)
        assert told_by == (NOW, "the kit", "first", "k", "r"), f"an act tells {told_by}"
        assert image.act.seq == found.seq, "inside the unit its act had another number"


def _no_act(make: Make) -> None:
    """A unit that wrote nothing is no act; one that wrote that nothing changed is."""
    with fresh(make) as storage:
        with storage.unit(write=True):
            pass
        assert not _acts(storage), "a unit that wrote nothing left an act"
        with storage.unit(write=True) as work:
            work.write(act(key="k"), ())
        found = [(one.key, one.changed) for one in _acts(storage)]
        assert found == [("k", ())], f"an act without changes came back as {found}"


# ---- images ------------------------------------------------------------------------------------------------------


def _same_images(storage: Storage, id: str, expected: Sequence[tuple[str, Entity | None]], kind: str = "Unit") -> None:
    with storage.unit(write=False) as work:
        _compare_images(list(work.images(kind, id)), expected, f"images of {kind} {id!a}")


def _compare_images(found: Sequence[Image], expected: Sequence[tuple[str, Entity | None]], of: str) -> None:
    told_by = [(image.act.why, image.record is None) for image in found]
    wanted = [(why, row is None) for why, row in expected]
    assert told_by == wanted, f"{of} (why, whether removed) are {told_by} instead of {wanted}"
    for image, (_, row) in zip(found, expected, strict=True):
        same_record(image.record, row, of)


def _images(make: Make) -> None:
    """Of every kind, each image is the record exactly as its act wrote it; the last one says that it was removed."""
    for kind in KINDS.values():
        with fresh(make) as storage:
            first, other = numbered(kind, [bases(kind)[-1], bases(kind)[0]])
            second = change(first, extra=FrozenMap({"n": (1, True, None, "\u00e9")}))
            write(storage, create([first, other]), "made")
            write(storage, [second], "changed")
            write(storage, [removal(after(second))], "removed")
            _same_images(storage, first.key, [("made", first), ("changed", second.after), ("removed", None)], kind.name)
            _same_images(storage, other.key, [("made", other)], kind.name)
            _same_images(storage, "nobody", [], kind.name)
            with storage.unit(write=False) as work:
                acts = {one.seq: one for one in work.acts()}
                for image in work.images(kind.name, first.key):
                    assert acts.get(image.act.seq) == image.act, "an image names an act that is none of the acts"


def _one_image(make: Make) -> None:
    """Of what one act wrote several times only the last is an image; of what it made and removed none is."""
    with fresh(make) as storage:
        with storage.unit(write=True) as work:
            work.write(act("made"), create([_unit("u"), _unit("gone")]))
            second = change(_unit("u"), name="V")
            work.write(act("made"), [second, removal(_unit("gone"))])
        with storage.unit(write=True) as work:
            third = change(after(second), name="W")
            work.write(act("removed"), [third])
            work.write(act("removed"), [removal(after(third))])
        _same_images(storage, "u", [("made", second.after), ("removed", None)])
        _same_images(storage, "gone", [])


def _made_again(make: Make) -> None:
    """A record that was removed and made again, in one act or two, keeps the images from before."""
    with fresh(make) as storage:
        write(storage, create([_unit("u"), _unit("v")]), "made")
        write(storage, [removal(_unit("u"))], "removed")
        write(storage, create([_unit("u", name="Again")]), "again")
        with storage.unit(write=True) as work:
            work.write(act("both"), [removal(_unit("v"))])
            work.write(act("both"), create([_unit("v", name="Again")]))
        again = [_unit("u", name="Again"), _unit("v", name="Again")]
        _same_images(storage, "u", [("made", _unit("u")), ("removed", None), ("again", again[0])])
        _same_images(storage, "v", [("made", _unit("v")), ("both", again[1])])


def _own_images(make: Make) -> None:
    """A unit sees the images that it is about to leave; after an exception they are gone."""
    with fresh(make) as storage:
        write(storage, create([_unit("u"), _unit("v")]), "made")
        second = change(_unit("u"), name="V")
        with suppress(Interrupted), storage.unit(write=True) as work:
            work.write(act("own"), [second, removal(_unit("v"))])
            found = {id: list(work.images("Unit", id)) for id in ("u", "v")}
            _compare_images(found["u"], [("made", _unit("u")), ("own", second.after)], "images inside a unit")
            _compare_images(found["v"], [("made", _unit("v")), ("own", None)], "images inside a unit")
            raise Interrupted
        _same_images(storage, "u", [("made", _unit("u"))])


# ---- the whole of it ---------------------------------------------------------------------------------------------


def _apart(make: Make) -> None:
    """Two storages that were made are two."""
    with fresh(make) as one, fresh(make) as other:
        write(one, create([_unit("u")]))
        _same_state(other, [], 0, "a second storage")
        with suppress(Interrupted), one.unit(write=True) as work:
            work.write(act(), create([_unit("w")]))
            write(other, create([_unit("v")]))
            raise Interrupted
        _same_state(one, [_unit("u")], 1, "the first storage")
        _same_state(other, [_unit("v")], 1, "a second storage")


def _history(storage: Storage, count: int) -> None:
    rows, writes, _ = _steps()
    for changes in [create(rows), *writes][:count]:
        write(storage, changes)


def _intact(make: Make) -> None:
    """A storage in which nothing is wrong has no findings, whatever was written, changed and removed."""
    with fresh(make) as storage:
        for count in (0, 4):
            _history(storage, count)
            found = list(storage.check())
            assert not found, f"an intact storage has {len(found)} findings: {found[0]}"


def _sealed(make: Make) -> None:
    """A seal stands for the history up to then, and goes on standing for it while more is written."""
    with fresh(make) as storage:
        seals = [storage.seal()]
        _history(storage, 4)
        seals.append(storage.seal())
        write(storage, create([_unit("later")]))
        for seal in (*seals, storage.seal()):
            found = list(storage.check(seal))
            assert not found, f"seal {seal!r} is not kept: {found[0]}"


def _cut_off(make: Make) -> None:
    """A seal of a longer history is missed in a shorter one."""
    with fresh(make) as longer, fresh(make) as shorter:
        _history(longer, 4)
        _history(shorter, 2)
        assert list(shorter.check(longer.seal())), "a history that was cut off is not found by its seal"


def _close(make: Make) -> None:
    """A storage that was read and written can be closed, also one that was not."""
    make().close()
    storage = make()
    _history(storage, 2)
    with storage.unit(write=False) as work:
        assert list(work.find(query(Organisation))), f"nothing is there: {told(query(Organisation))}"
    storage.close()
