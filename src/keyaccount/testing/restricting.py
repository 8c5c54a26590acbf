"""Checks of what bound desks read: restriction and masking in finds, counts, pages, conditions, orders and searches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeAlias

import attrs

from keyaccount.access import Reader
from keyaccount.catalogue import KINDS
from keyaccount.model.activities import Activity
from keyaccount.model.contacts import Contact, Position
from keyaccount.model.entity import Entity, evolved
from keyaccount.model.organisations import Organisation
from keyaccount.model.organogram import User
from keyaccount.model.rights import EVERYONE, Assignment, Grant, Right
from keyaccount.queries import Window, above, below, is_none, one_of, place
from keyaccount.shapes import Day, Moment
from keyaccount.testing.bench import Bench, Make, filled, query
from keyaccount.testing.records import NOW, TODAY
from keyaccount.testing.worlds import POLICIES, World, world

_SEEDS = (1, 2)
_READERS = 3
_DEEP = 300
_FEW = 50
Compare: TypeAlias = Callable[[Bench, Reader], None]


def checks() -> Iterator[tuple[str, Any]]:
    """Yield the checks by name: each for every policy."""
    compared: dict[str, Compare] = {
        "finds": _finds,
        "look-ups": _look_ups,
        "latest": _latest,
        "totals": _totals,
        "totals in windows": _windows,
        "pages": _pages,
        "masked references": _masked,
        "search": _search,
        "gather": _gather,
    }
    for policy in POLICIES:
        for name, compare in compared.items():
            yield f"restricted {name}: {policy}", partial(_in_worlds, compare=compare, policy=policy)
    yield "restricted finds: a deep covering claim", _deep
    yield "restricted finds: an open end is in force", _open_end


def _in_worlds(make: Make, compare: Compare, policy: str) -> None:
    """Compare what several readers of some worlds are answered."""
    for seed in _SEEDS if compare not in (_pages, _masked) else _SEEDS[:1]:  # they ask a hundred times as much
        company = world(policy, seed)
        with filled(make, company.records) as bench:
            for reader in _chosen(company, seed):
                compare(bench, reader)


def _chosen(company: World, seed: int) -> tuple[Reader, ...]:
    """Return some readers, whoever may do more than others among them."""
    ranked = sorted(company.readers, key=lambda one: (not one.steward, -len(one.acts_for), -len(one.oversees)))
    return (*ranked[: _READERS - 1], ranked[-1 - seed % 2])


def _finds(bench: Bench, reader: Reader) -> None:
    """Every kind, for every right: what is readable, what may be changed, what may be administered."""
    for kind in KINDS.values():
        for right in Right:
            bench.finds(query(kind, reader=reader, right=right))


def _latest(bench: Bench, reader: Reader) -> None:
    """The latest is that of what is readable alone."""
    for kind in KINDS.values():
        homes = [link.field for link in kind.links if not kind.shapes[link.field].many]
        days = [field for field, shape in kind.shapes.items() if isinstance(shape, (Day, Moment))]
        for latest in ((home, day) for home in homes for day in days[:2]):
            bench.finds(attrs.evolve(query(kind, reader=reader), latest=latest))


def _look_ups(bench: Bench, reader: Reader) -> None:
    """What is asked for by id, or by what it hangs on, alone and together: few rows may be found in another way."""
    around = []
    for kind in KINDS.values():
        named = query(kind, reader=reader, id=one_of([row.key for row in bench.index.all(kind.name)][:_FEW]))
        for right in Right:
            bench.finds(attrs.evolve(named, right=right))
        for link in kind.links:
            targets = [row.key for row in bench.index.all(link.kind)][:_FEW]
            around.append(query(kind, reader=reader, **{link.field: one_of(targets)}))
            bench.finds(around[-1])
            bench.finds(query(kind, reader=reader, **{link.field: targets[-1] if targets else "nowhere"}))
    bench.gathers(around)


def _totals(bench: Bench, reader: Reader) -> None:
    """Counts are of what is readable alone, and grouped by what is shown."""
    for kind in KINDS.values():
        for right in Right:
            bench.totals(query(kind, reader=reader, right=right))
        for link in kind.links:
            bench.totals(query(kind, reader=reader), (link.field,))
            bench.totals(query(kind, reader=reader, **{link.field: is_none}))
            if not link.many:
                bench.totals(query(kind, reader=reader), extremes=(link.field,))


def _windows(bench: Bench, reader: Reader) -> None:
    """Counts, sums and extremes in windows are of what is readable alone, in each window and in each group."""
    for kind in KINDS.values():
        for field, shape in kind.shapes.items():
            if isinstance(shape, (Day, Moment)):
                border = TODAY if isinstance(shape, Day) else NOW
                windows = (Window(field, end=border), Window(field, border), Window(field))
                for by in ((), *((link.field,) for link in kind.links)):
                    asked = query(kind, reader=reader)
                    bench.totals(asked, by, windows, sums=("version",), extremes=("id", field))


def _pages(bench: Bench, reader: Reader) -> None:
    """Every page of every length is cut from what is readable, the second and the last too."""
    for kind in (kind for kind in KINDS.values() if kind.reach != "free"):
        for order in (None, f"-{kind.title}"):
            whole = query(kind, order, reader=reader)
            rows = bench.finds(attrs.evolve(whole, limit=2))
            for row in rows:
                bench.finds(attrs.evolve(whole, after=place(whole, row), limit=2))
                bench.finds(attrs.evolve(whole, after=place(whole, row)))
        bench.finds(query(kind, reader=reader, right=Right.CHANGE, limit=1))


def _masked(bench: Bench, reader: Reader) -> None:
    """A reference to what cannot be read is nothing: in the record, in conditions and in orders."""
    for kind in KINDS.values():
        for link in kind.links:
            targets = [row.key for row in bench.index.all(link.kind)]
            for asked in (is_none, one_of(targets[::2])):
                bench.finds(query(kind, reader=reader, **{link.field: asked}))
            if not link.many:
                for sign in ("", "-"):
                    _follows(bench, query(kind, sign + link.field, reader=reader))
        if kind.up:
            ids = [row.key for row in bench.index.all(kind.name)]
            for start in (ids[:1], ids[-1:]):
                bench.finds(query(kind, reader=reader, id=above(start)))
                bench.finds(query(kind, reader=reader, id=below(start)))


def _follows(bench: Bench, whole: Any) -> None:
    rows = bench.finds(whole)
    for row in rows[1::4]:
        bench.finds(attrs.evolve(whole, after=place(whole, row), limit=2))


def _search(bench: Bench, reader: Reader) -> None:
    """A search finds only what is readable, and its limit counts that alone."""
    for kind in (kind for kind in KINDS.values() if kind.searched):
        for needle in ("a", "ACME", "stra", "555 77", "ada@", "o1", "be"):
            bench.finds(query(kind, reader=reader, text=needle))
            bench.finds(query(kind, reader=reader, text=needle, limit=1))


def _gather(bench: Bench, reader: Reader) -> None:
    """Many questions at once are restricted each by its own reader."""
    kinds = (kind for kind in KINDS.values() if kind.reach != "free")
    asked = [query(kind, reader=one, limit=5) for kind in kinds for one in (reader, None)]
    bench.gathers(asked)
    bench.gathers([query(kind, f"-{kind.title}", reader=reader) for kind in KINDS.values()])
    bench.gathers([query(kind, reader=reader, text="a") for kind in KINDS.values() if kind.searched])


def _deep(make: Make) -> None:
    """A covering claim reaches down a chain deeper than any stack, and stops at nothing but private accounts."""
    chain = [Organisation(f"o{n:04}", name="O", parent_id=f"o{n - 1:04}" if n else None) for n in range(_DEEP)]
    rows: list[Entity] = [
        *chain,
        User("x0", name="Anna"),
        Contact("c", name="C"),
        Position("p", contact_id="c", organisation_id=chain[-1].id),
    ]
    rows[_DEEP // 2] = evolved(chain[_DEEP // 2], {"private": True})
    rows.append(Assignment("a", "x0", "o0000", covers_subsidiaries=True))
    reader = attrs.evolve(_reader("a closed book"), user=User("x0", name="Anna", version=1))
    with filled(make, rows) as bench:
        for right in Right:
            bench.finds(query(Organisation, reader=reader, right=right))
            ends = [row.id for row in (*chain[:3], *chain[_DEEP // 2 - 1 : _DEEP // 2 + 2], *chain[-3:])]
            bench.finds(query(Organisation, reader=reader, right=right, id=one_of(ends)))
        bench.finds(query(Position, reader=reader))
        bench.finds(query(Position, reader=reader, organisation_id=chain[-1].id))
        bench.totals(query(Organisation, reader=reader))


def _open_end(make: Make) -> None:
    """A claim without an end is in force, as is one on its first and its last day."""
    reader = _reader("a closed book")
    for first in (None, TODAY):
        for last in (None, TODAY):
            span = {"valid_from": first, "valid_until": last}
            rows: list[Entity] = [
                *(Organisation(id, name="O") for id in ("o1", "o2", "o3")),
                Assignment("a", reader.user.id, "o1", **span),  # type: ignore[arg-type]
                Grant("g", "o2", EVERYONE, **span),  # type: ignore[arg-type]
                Activity("y", "o1"),
            ]
            with filled(make, rows) as bench:
                found = bench.finds(query(Organisation, reader=reader))
                assert [row.key for row in found] == ["o1", "o2"], "the evaluator lost a claim that is in force"
                bench.finds(query(Activity, reader=reader))
                bench.finds(query(Organisation, reader=reader, right=Right.ADMINISTER))


def _reader(policy: str) -> Reader:
    return world(policy, 1).readers[0]
