"""Two worlds: what a user may not read changes nothing that this user's desk can do.

From one seed two books are built that differ only in what one user may not read. The same random calls are made at that
user's desk in both, and everything that can be observed is compared: values, order, counts, pages, exceptions, warnings
and log lines. `python -m worlds.two_worlds --seed 17` runs one world again.

To add a call: write a function of a `Chooser` that returns its arguments, `@asks("desk.area.call")`. To add a kind: a
row in `KINDS_MADE`; its fields are filled from its shapes.
"""

from __future__ import annotations

import argparse
import base64
import importlib
import inspect
import json
import logging
import os
import pkgutil
import re
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from operator import attrgetter
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, TypeAlias, TypeVar, cast

import attrs

import keyaccount as ka
from keyaccount import found as founds
from keyaccount import shapes, values
from keyaccount.catalogue import KINDS
from keyaccount.model.aliases import Alias
from keyaccount.model.entity import Entity
from keyaccount.model.renewals import Renewal, RenewalStep
from keyaccount.model.rights import BreakGlass, Substitution
from keyaccount.model.sales import Opportunity
from keyaccount.providers import Sight
from keyaccount.queries import above
from keyaccount.results import Result
from keyaccount.storage.memory import MemoryStorage
from keyaccount.visibility import Subject

T = TypeVar("T")
E = TypeVar("E", bound=Entity)
Name: TypeAlias = tuple[str, str]
"""A record by its kind and id."""

MOMENT = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
TODAY = MOMENT.date()
WORLDS = int(os.environ.get("KEYACCOUNT_WORLDS", "200"))
CALLS = 50
SMALL_PAGE = 3

EXCEPTIONS = {
    "creating a record whose id exists unseen": "access.md: hosts choose ids; it fails with one fixed text",
    "writing an external reference that exists unseen": "access.md: hosts choose references; it fails with that text",
}
"""The one exception that access.md names. No call made here runs into it: new ids and references begin with n."""


# ---- choosing --------------------------------------------------------------------------------------------------------

NAMES = (
    "ACME AG",
    "Acme Österreich",
    "Globex",
    "Nimbus Straße",
    "Initech",
    "Mara Nimbus",
    "Ingo Prospect",
    "Dana Globex",
)
WORDS = {
    "phones": ("+49 89 1234-0", "089 1234 567", "+49 40 555 0100", "01 58858-0", "0170 1234567", "reception"),
    "emails": ("info@acme.example", "Mara@nimbus.example", "office@globex.example"),
    "tax_id": ("DE123", "DE456"),
    "town": ("München", "Hamburg", "Wien"),
    "sector": ("chemicals", "pharma"),
    "category": ("payment", "promise", "unheard"),
    "country": ("DE", "AT"),
    "currency": ("EUR", "USD"),
    "role": ("managing director", "sales manager", "invoices", "data protection officer", "godfather"),
    "kind": ("call", "meeting", "visit", "e-mail", "note"),
    "text": ("pays late", "call before ten", "never on Fridays", "address to Ms Schulz"),
    "says": ("a fingerprint",),
    "url": ("https://x.example/1",),
}
CONTEXTS = ("crm", "phone", "documents", "documents.invoice", "service")
DAYS = (None, *(TODAY + timedelta(days) for days in (-900, -400, -90, -1, 0, 1, 60, 500)))
STEPS = ("me", "kam", "other")
CAREFUL = {"deputy_id": ("kam", "other")}
"""Values of fields that could give the user a right by way of something hidden: standing in for its manager."""
ROLES = (ka.KEY_ACCOUNT_MANAGER, ka.DEPUTY, ka.TEAM_MEMBER)


class NoRecord(AssertionError):
    """The shapes of a kind, left to chance, break its rules every time."""


@attrs.define
class Chooser:
    """Random choices from a seed: ids that are seen, hidden or missing, and values from shapes.

    `seen` and `unseen` are ids by kind. `covering` is off where a right on subsidiaries would flow through a hidden
    organisation: that is a right of the user's own, which must not differ. `taken` are ids and external references
    that hidden organisations have in both worlds. `moved` are records with a past that may differ, `private`
    are organisations that are seen though they are private; between the two of a `sandwich` stands a hidden one.
    """

    random: Random
    seen: dict[str, list[str]]
    unseen: dict[str, list[str]]
    covering: bool = True
    taken: list[dict[str, Any]] = attrs.field(factory=list)
    moved: list[Name] = attrs.field(factory=list)
    private: list[str] = attrs.field(factory=list)
    sandwich: tuple[str, str] | None = None
    made: int = 0
    mark: str = "n"

    def one(self, options: Sequence[T]) -> T:
        """Choose one."""
        return self.random.choice(options)

    def some(self, options: Sequence[T], most: int) -> list[T]:
        """Choose a few, each once."""
        return self.random.sample(options, min(len(options), self.random.randint(0, most)))

    def chance(self, share: float) -> bool:
        """Say yes in a share of the cases."""
        return self.random.random() < share

    def maybe(self, value: T, share: float = 0.5) -> T | None:
        """Return the value or nothing."""
        return value if self.chance(share) else None

    def id(self, kind: str) -> str:
        """Choose an id: mostly of something seen, sometimes hidden in one world or both, seldom missing."""
        unseen = self.unseen.get(kind)
        if unseen and self.chance(0.15):
            return self.one(unseen)
        seen = self.seen.get(kind)
        return self.one(seen) if seen and self.chance(0.96) else "missing"

    def new(self, kind: str) -> str:
        """Make an id that no world holds; later calls may choose it."""
        self.made += 1
        id = f"n-{kind.lower()}-{self.made}"
        self.seen.setdefault(kind, []).append(id)
        return id

    def day(self, share: float = 0.5) -> date | None:
        """Choose a day, past or future, or none."""
        return self.maybe(self.one(DAYS), share)

    def context(self) -> str:
        """Choose a context, seldom one with a slip in it."""
        return self.one(CONTEXTS) if self.chance(0.95) else "documnets"

    def shaped(self, cls: type[E], **fixed: Any) -> E:
        """Make a record of a kind: the fields not fixed are filled from their shapes, until its rules hold."""
        for _ in range(30):
            given = {
                name: shape for name, shape in shapes.shapes_of(cls).items() if name not in {"version", "id", *fixed}
            }
            filled = {name: of_shape(self, name, shape) for name, shape in given.items() if self.chance(0.5)}
            if not self.covering and "covers_subsidiaries" in given:
                filled["covers_subsidiaries"] = False
            try:
                return cls(**filled, **fixed)
            except ka.ValidationError:
                continue
        raise NoRecord(f"no {cls.__name__} can be made from its shapes; fix more fields in KINDS_MADE")


def of_shape(c: Chooser, name: str, shape: shapes.Shape) -> Any:
    """Choose a value that a field may hold."""
    if name in CAREFUL:
        return c.one(CAREFUL[name])
    maker = next((MADE[cls] for cls in type(shape).__mro__ if cls in MADE), None)
    if maker is None:
        raise AssertionError(f"the runner makes no value of shape {type(shape).__name__}; add it to MADE")
    return maker(c, name, shape)


def _many(c: Chooser, name: str, shape: Any) -> Any:
    return tuple(dict.fromkeys(of_shape(c, name, shape.item) for _ in range(c.random.randint(0, 2))))


def _text(c: Chooser, name: str, shape: Any) -> Any:
    words = [word for word in WORDS.get(name, NAMES) if shape.reason(word) is None]
    return c.one(words or ["AB"])


def _pairs(c: Chooser, name: str, shape: Any) -> Any:
    c.made += 1
    if not shape.texts:
        return {"colour": 1}
    return {c.one(("erp", "dms")): f"{c.mark}{c.made}"} if c.chance(0.4) else {}


def _principal(c: Chooser) -> ka.Principal:
    return c.one([ka.EVERYONE, ka.user(c.id("User")), ka.unit(c.id("Unit"))])


def _about(c: Chooser) -> ka.Reference:
    kind = c.one(("Activity", "Organisation", "Contact", "Position"))
    return ka.Reference(kind, c.id(kind))


def _address(c: Chooser) -> ka.Address:
    return ka.Address(lines=("Street 1",), town=c.one(WORDS["town"]), country=c.one(WORDS["country"]))


def _amount(c: Chooser) -> ka.Money:
    """Choose an amount, seldom in another currency."""
    return ka.Money(c.random.randint(0, 900), "USD" if c.chance(0.05) else "EUR")


def _a_day(c: Chooser) -> date:
    """Choose a day around today."""
    return TODAY + timedelta(c.random.randint(-500, 200))


VALUES: dict[type, Callable[[Chooser], Any]] = {
    ka.Line: lambda c: ka.Line(c.one(("pump", "seal")), Decimal(c.random.randint(1, 9)), ka.Money(5, "EUR")),
    ka.Payment: lambda c: ka.Payment(_a_day(c), ka.Money(c.random.randint(1, 300), "EUR")),
    ka.Term: lambda c: ka.months(c.one((1, 3, 12))),
    RenewalStep: lambda c: RenewalStep(at=MOMENT, by_id=c.one(STEPS), before="alerted", to="analysing"),
    ka.Address: _address,
    ka.Location: lambda c: ka.Location(latitude=Decimal(48), longitude=Decimal(c.random.randint(0, 90))),
    ka.Principal: _principal,
    ka.Reference: _about,
}
"""How a value object inside a record is made."""

MADE: dict[type, Callable[[Chooser, str, Any], Any]] = {
    shapes.Refer: lambda c, _, shape: c.id(shape.kind),
    shapes.Ident: lambda c, name, _: c.one(CONTEXTS) if name == "contexts" else f"n-{c.random.randint(0, 10**9)}",
    shapes.Text: _text,
    shapes.Flag: lambda c, _, __: c.chance(0.3),
    shapes.Number: lambda c, _, __: c.random.randint(0, 9),
    shapes.Day: lambda c, _, shape: c.one(DAYS[1:] if shape.required else DAYS),
    shapes.Whole: lambda c, _, __: c.random.randint(-9, 9) * 10**4,
    shapes.Exact: lambda c, _, __: Decimal(c.random.randint(0, 9)),
    shapes.Amount: lambda c, _, __: _amount(c),
    shapes.Moment: lambda c, _, __: MOMENT + timedelta(hours=c.random.randint(-9000, 9000)),
    shapes.Choice: lambda c, _, shape: c.one(shape.words),
    shapes.Rank: lambda c, _, shape: c.one(list(shape.of)),
    shapes.One: lambda c, _, shape: VALUES[shape.of](c),
    shapes.Many: _many,
    shapes.Pairs: _pairs,
}
"""How a value of each shape is made; a shape not named is made as its base is."""


def _hung(c: Chooser) -> dict[str, Any]:
    """Hang a note on an organisation, a contact, or both."""
    where = c.one(("organisation", "organisation", "contact", "both"))
    return {
        "organisation_id": None if where == "contact" else c.id("Organisation"),
        "contact_id": None if where == "organisation" else c.id("Contact"),
        "about": c.maybe(_about(c), 0.2),
        "text": c.one(WORDS["text"]),
    }


def _assigned(c: Chooser) -> dict[str, Any]:
    """Assign somebody to an organisation, or to a contact."""
    if c.chance(0.2):
        return {"user_id": c.id("User"), "contact_id": c.id("Contact"), "role": ka.KEY_ACCOUNT_MANAGER}
    return {"user_id": c.id("User"), "organisation_id": c.id("Organisation"), "contact_id": None, "role": c.one(ROLES)}


def moments(c: Chooser) -> dict[str, Any]:
    """Open a glass around now, before, or after."""
    opens = MOMENT + timedelta(minutes=c.random.randint(-200, 100))
    return {"opens_at": opens, "closes_at": opens + timedelta(minutes=60)}


def _agreed(c: Chooser) -> dict[str, Any]:
    """Agree on something, mostly signed, ended or about to end, with predecessors or without."""
    return {
        "organisation_id": c.id("Organisation"),
        "kind": c.one(CONTRACTS),
        "signed_on": c.maybe(TODAY - timedelta(c.random.randint(0, 600)), 0.8),
        "starts_on": TODAY + timedelta(c.random.randint(-700, 40)),
        "ends_on": c.maybe(TODAY + timedelta(c.random.randint(41, 200)), 0.8),
        "predecessor_ids": tuple(dict.fromkeys(c.id("Contract") for _ in range(c.one((0, 0, 1, 2))))),
        "value": c.maybe(ka.Money(c.random.randint(1, 9) * 100, "EUR"), 0.8),
    }


def _ordered(c: Chooser) -> dict[str, Any]:
    return {
        "organisation_id": c.id("Organisation"),
        "ordered_on": _a_day(c),
        "state": c.one(("open", "open", "closed")),
    }


def _billed(c: Chooser) -> dict[str, Any]:
    euros, late = ka.Money(c.random.randint(100, 500), "EUR"), TODAY - timedelta(c.random.randint(0, 90))
    days = {"issued_on": late - timedelta(30), "due_on": c.maybe(late, 0.8)}
    return {"organisation_id": c.id("Organisation"), "net": euros, "gross": None, **days}


def _worked_on(c: Chooser) -> dict[str, Any]:
    days = {"raised_on": TODAY - timedelta(9), "due_on": TODAY + timedelta(50)}
    return {"organisation_id": c.id("Organisation"), "contract_id": c.id("Contract"), "reason": "price", **days}


def _hoped_for(c: Chooser) -> dict[str, Any]:
    state = c.one(("open", "open", "won", "lost"))
    closed = None if state == "open" else _a_day(c)
    guests = tuple(dict.fromkeys(c.id("Contact") for _ in range(c.random.randint(0, 2))))
    return {"organisation_id": c.id("Organisation"), "state": state, "closed_on": closed, "contact_ids": guests}


CONTRACTS = ("maintenance", "hosting")
POINTERS = ("project", "project", "task", "ticket", "warranty")
Fixed = Callable[[Chooser], dict[str, Any]]
KINDS_MADE: dict[str, Fixed] = {
    "Unit": lambda c: {"name": c.one(NAMES), "parent_id": c.maybe(c.id("Unit"))},
    "User": lambda c: {"name": c.one(NAMES), "active": True},
    "Organisation": lambda c: {
        "name": c.one(NAMES),
        "private": c.chance(0.2),
        "parent_id": c.maybe(c.id("Organisation"), 0.3),
    },
    "Contact": lambda c: {"name": c.one(NAMES)},
    "Position": lambda c: {
        "contact_id": c.id("Contact"),
        "organisation_id": c.id("Organisation"),
        "reports_to_id": c.maybe(c.id("Position"), 0.2),
    },
    "ContactRole": lambda c: {"name": c.one(NAMES)},
    "Assignment": _assigned,
    "Grant": lambda c: {"organisation_id": c.id("Organisation"), "principal": _principal(c)},
    "Substitution": lambda c: {"user_id": c.one(("me", "kam")), "deputy_id": "other"},
    "BreakGlass": lambda c: {"organisation_id": c.id("Organisation"), "reason": "an audit", **moments(c)},
    "Alias": lambda c: {"old_id": f"n-old-{c.made}", "organisation_id": c.id("Organisation"), "contact_id": None},
    "ServiceNote": _hung,
    "NoteCategory": lambda c: {"contexts": tuple(c.some(CONTEXTS, 2))},
    "Context": lambda _: {},
    "ExpectedProvider": lambda _: {},
    "Acknowledgement": lambda c: {"note_id": c.id("ServiceNote"), "user_id": c.one(STEPS)},
    "Activity": lambda c: {"organisation_id": c.maybe(c.id("Organisation"), 0.8), "kind": c.one(WORDS["kind"])},
    "ClientGroup": lambda c: {"name": c.one(NAMES)},
    "GroupMembership": lambda c: {"organisation_id": c.id("Organisation"), "group_id": c.id("ClientGroup")},
    "KeyAccountStatus": lambda c: {"organisation_id": c.id("Organisation")},
    "Contract": _agreed,
    "Renewal": _worked_on,
    "Product": lambda c: {"name": c.one(NAMES)},
    "Order": _ordered,
    "Invoice": _billed,
    "Opportunity": _hoped_for,
    "Link": lambda c: {"organisation_id": c.id("Organisation"), "kind": c.one(POINTERS)},
}
"""The fields of each kind that are not left to its shapes alone."""
WRITTEN: tuple[str, ...] = (
    *("Organisation", "Contact", "Position", "Assignment", "Grant", "ServiceNote", "Activity", "Acknowledgement"),
    *("Contract", "Order", "Invoice", "Link", "Opportunity", "GroupMembership", "KeyAccountStatus"),
)


def made(c: Chooser, kind: str, **fixed: Any) -> Entity:
    """Make a record of a kind, mostly under a new id of the caller's, else of the library's."""
    if kind == "Context":
        fixed["id"] = c.one(("crm.sales", "service.hotline", "phone"))
    elif "id" not in fixed and c.chance(0.8):
        fixed["id"] = c.new(kind)
    for _ in range(10):
        try:
            return c.shaped(KINDS[kind].cls, **(KINDS_MADE[kind](c) | fixed))
        except NoRecord:
            continue
    raise NoRecord(f"no {kind} can be made; see KINDS_MADE")


# ---- building --------------------------------------------------------------------------------------------------------


@attrs.frozen
class Variant:
    """Whose desk under which policy: `lead` is how often the user is key account manager of what is seen.

    `stands_in`: the user is deputy of a colleague and heads the colleague's unit.
    """

    name: str
    policy: ka.AccessPolicy
    lead: float
    stands_in: bool = False

    @property
    def steward(self) -> bool:
        """Whether the user is a steward, who reads all that is not private."""
        return "me" in self.policy.stewards

    @property
    def closed(self) -> bool:
        """Whether the user reads only what a claim gives."""
        return self.policy.default is None and not self.steward


VARIANTS = (
    Variant("open, a manager", ka.AccessPolicy(), 0.7),
    Variant("closed, a manager", ka.AccessPolicy(default=None), 0.7),
    Variant("open, a plain member", ka.AccessPolicy(may_create=False), 0.15),
    Variant("closed, a plain member", ka.AccessPolicy(default=None), 0.2),
    Variant("open, a steward", ka.AccessPolicy(stewards=frozenset({"me"})), 0.3),
    Variant("closed, a steward", ka.AccessPolicy(default=None, stewards=frozenset({"me"})), 0.1),
    Variant("open, a head and deputy", ka.AccessPolicy(oversight=ka.Right.CHANGE), 0.3, stands_in=True),
)

US = (
    ka.Unit("sales", name="Sales", head_id="kam"),
    ka.Unit("team", name="Team", parent_id="sales"),
    ka.Unit("elsewhere", name="Elsewhere"),
    ka.User("me", name="Me", unit_ids=("team",)),
    ka.User("kam", name="Volker Vorstand", unit_ids=("sales",)),
    ka.User("other", name="Carla Castell", unit_ids=("elsewhere",)),
    ka.User("leaver", name="Leo Leaver"),
    Substitution("v-absent", "other", "kam"),
    ka.NoteCategory("payment", contexts=("documents", "phone")),
    ka.NoteCategory("promise", contexts=("crm",)),
    ka.ClientGroup("group-a", name="A customers"),
    ka.ClientGroup("group-b", name="B customers"),
)
HIDDEN_REFS = tuple(f"href-{number}" for number in range(4))
MINE = (ka.user("me"), ka.unit("team"), ka.unit("sales"), ka.EVERYONE)
THEIRS = (ka.user("kam"), ka.unit("elsewhere"))
SPARE_ROLES = (None, None, "managing director", "sales manager")


@attrs.define
class Scene:
    """The rows of one side, by kind and id, on their way into a book.

    `pasts` are the states that records had before (None: removed), the first one first. `moved` were put where they
    hang now, `joined` came there by the merge of `FORMER` into the organisation `winner`; `passed` has been and is not.
    """

    rows: dict[Name, Entity] = attrs.field(factory=dict)
    pasts: dict[Name, list[Entity | None]] = attrs.field(factory=dict)
    passed: list[Entity] = attrs.field(factory=list)
    moved: list[Name] = attrs.field(factory=list)
    joined: list[Name] = attrs.field(factory=list)
    winner: str | None = None

    def add(self, *rows: Entity) -> None:
        """Take rows, in place of those with their ids."""
        for row in rows:
            self.rows[type(row).__name__, row.key] = row

    def of(self, cls: type[E]) -> list[E]:
        """Return the rows of a kind."""
        return [row for row in self.rows.values() if isinstance(row, cls)]

    def ids(self) -> dict[str, list[str]]:
        """Return the ids by kind."""
        found: dict[str, list[str]] = {}
        for kind, id in self.rows:
            found.setdefault(kind, []).append(id)
        return found

    def root(self, id: str) -> str:
        """Return the top of an organisation's tree."""
        parents = {row.id: row.parent_id for row in self.of(ka.Organisation)}
        while (parent := parents.get(id)) is not None:
            id = parent
        return id


def visible(c: Chooser, variant: Variant) -> Scene:
    """Make what both worlds hold and the user may read."""
    scene = Scene()
    scene.add(*US)
    if variant.stands_in:
        scene.add(ka.Unit("sales", name="Sales", head_id="me"), Substitution("v-acting", "kam", "me"))
    c.seen.update(scene.ids())
    for number in range(c.random.randint(4, 7)):
        _seen_organisation(c, scene, variant, f"v-org-{number}")
    for number in range(c.random.randint(4, 8)):
        _seen_contact(c, scene, variant, f"v-contact-{number}")
    c.seen.update(scene.ids())
    for number in range(c.random.randint(3, 8)):
        scene.add(c.shaped(ka.Activity, id=f"v-activity-{number}", **_happened(c)))
    c.seen.update(scene.ids())
    for number in range(c.random.randint(4, 9)):
        scene.add(c.shaped(ka.ServiceNote, id=f"v-note-{number}", **_seen_note(c)))
    for number, note in enumerate(c.some(scene.of(ka.ServiceNote), 4)):
        scene.add(c.shaped(ka.Acknowledgement, id=f"v-seen-{number}", note_id=note.id, user_id=c.one(STEPS)))
    _business(c, scene, "v", c.seen["Organisation"])
    _choose_moved(c, scene)
    return scene


def _seen_organisation(c: Chooser, scene: Scene, variant: Variant, id: str) -> None:
    above_it = c.maybe(c.one(scene.of(ka.Organisation)).id, 0.4) if scene.of(ka.Organisation) else None
    leads = c.chance(variant.lead)
    refs = {"erp": f"v{id}"} if c.chance(0.5) else {}
    row = c.shaped(
        ka.Organisation, id=id, name=c.one(NAMES), parent_id=above_it, private=leads and c.chance(0.2), refs=refs
    )
    scene.add(row)
    if leads:
        covers = c.covering and c.chance(0.3)
        scene.add(ka.Assignment(f"v-lead-{id}", "me", id, valid_from=date(2024, 1, 1), covers_subsidiaries=covers))
    elif variant.closed or c.chance(0.4):
        right = c.one(list(ka.Right)[:2])
        scene.add(ka.Grant(f"v-grant-{id}", id, c.one(MINE), right, covers_subsidiaries=c.covering and c.chance(0.3)))
    if c.chance(0.6):
        at = {"organisation_id": id, "contact_id": None}
        scene.add(c.shaped(ka.Assignment, id=f"v-kam-{id}", user_id="kam", role=c.one(ROLES), **at))


def _seen_contact(c: Chooser, scene: Scene, variant: Variant, id: str) -> None:
    """Add a contact at one or two organisations; or one of the user's own, without a position."""
    homes = c.random.sample(c_ids := [row.id for row in scene.of(ka.Organisation)], min(len(c_ids), c.one((1, 1, 2))))
    unplaced = c.chance(0.2)
    looked_after = unplaced and not variant.steward and c.chance(0.6)
    by = "me" if unplaced and not looked_after else "kam"
    scene.add(c.shaped(ka.Contact, id=id, name=c.one(NAMES), refs={}, created_by=by))
    if looked_after:
        scene.add(ka.Assignment(f"v-care-{id}", "me", contact_id=id))
    for home in () if unplaced else homes:
        scene.add(_position(c, f"v-at-{id}-{home}", id, home))


def _position(c: Chooser, id: str, contact: str, organisation: str) -> ka.Position:
    return c.shaped(
        ka.Position,
        id=id,
        contact_id=contact,
        organisation_id=organisation,
        role=c.one(SPARE_ROLES),
        reports_to_id=None,
    )


def _happened(c: Chooser) -> dict[str, Any]:
    contacts = tuple(c.some(c.seen["Contact"], 2))
    home = None if contacts and c.chance(0.2) else c.one(c.seen["Organisation"])
    return {"organisation_id": home, "contact_ids": contacts, "by_id": c.one(STEPS), "kind": c.one(WORDS["kind"])}


def _seen_note(c: Chooser) -> dict[str, Any]:
    organisation, contact = c.one(c.seen["Organisation"]), c.one(c.seen["Contact"])
    about = ka.Reference("Activity", c.one(c.seen["Activity"])) if c.chance(0.2) else None
    where = c.one([(organisation, None), (organisation, None), (None, contact), (organisation, contact)])
    audience = tuple(c.some(("team", "sales", "elsewhere"), 1))
    return {
        "organisation_id": where[0],
        "contact_id": where[1],
        "about": about,
        "text": c.one(WORDS["text"]),
        "audience_unit_ids": audience,
        "created_by": c.one(STEPS),
    }


def _business(c: Chooser, scene: Scene, mark: str, homes: Sequence[str]) -> None:
    """Add contracts, renewals, orders, invoices, pointers, groups and statuses at some organisations, and notes.

    The references in them are to what hangs on the same organisations.
    """
    for kind, most in (("Contract", 8), ("Renewal", 3), ("Order", 4), ("Invoice", 5), ("Opportunity", 4), ("Link", 6)):
        own = [row.key for row in scene.of(KINDS["Contract"].cls) if row.key.startswith(f"{mark}-")]
        for number in range(1 if kind == "Contract" else 0, c.random.randint(2, most)):
            fixed = KINDS_MADE[kind](c) | {"organisation_id": c.one(homes)}
            if kind == "Contract":
                fixed["predecessor_ids"] = tuple(c.some(own, 1)) if c.chance(0.3) else ()
            else:
                fixed |= {"contract_id": c.one(own)} if kind in ("Renewal", "Link") else {}
            if kind == "Opportunity":
                fixed |= {"contact_ids": tuple(c.some([row.id for row in scene.of(ka.Contact)], 2))}
            if kind == "Renewal":
                fixed |= {"successor_id": None, "state": c.one(("alerted", "alerted", "analysing", "lost"))}
            row = c.shaped(KINDS[kind].cls, id=f"{mark}-{kind.lower()}-{number}", **fixed)
            scene.add(row)
            own += [row.key] if kind == "Contract" else []
    for number, home in enumerate(c.some(homes, 3)):
        member = {"organisation_id": home, "group_id": c.one(("group-a", "group-b"))}
        scene.add(c.shaped(ka.GroupMembership, id=f"{mark}-member-{number}", **member))
        scene.add(c.shaped(ka.KeyAccountStatus, id=f"{mark}-status-{number}", organisation_id=home))
    c.seen.update(scene.ids())
    for number, kind in enumerate(("Contract", "Order", "Invoice", "Link")):
        about = c.one([row.key for row in scene.of(KINDS[kind].cls) if row.key.startswith(f"{mark}-")])
        note = {"organisation_id": c.one(homes), "contact_id": None, "about": ka.Reference(kind, about)}
        scene.add(c.shaped(ka.ServiceNote, id=f"{mark}-about-{number}", **note, audience_unit_ids=()))


def _entangle(c: Chooser, both: Scene, scene: Scene) -> None:
    """Let hidden business and what is seen refer to each other.

    Hidden contracts renew what is seen and are renewed by it; pointers and renewals that are seen name hidden
    contracts; notes at organisations that are seen are about hidden business, and renewals there work on it.
    """
    hidden = _hidden(both, ka.Contract)
    for row in scene.of(ka.Contract):
        if c.chance(0.3):
            earlier = tuple(dict.fromkeys((*row.predecessor_ids, *c.some(hidden, 1))))
            both.add(attrs.evolve(row, predecessor_ids=earlier))
        if c.chance(0.3):
            later: Any = both.rows["Contract", c.one(hidden)]
            both.add(attrs.evolve(later, predecessor_ids=(*later.predecessor_ids, row.id)))
    for link in scene.of(ka.Link):
        if link.contract_id is None and c.chance(0.4):
            both.add(attrs.evolve(link, contract_id=c.one(hidden)))
    for hope in scene.of(Opportunity):
        if c.chance(0.5):
            both.add(attrs.evolve(hope, contact_ids=(*hope.contact_ids, c.one(_hidden(both, ka.Contact)))))
    for renewal in scene.of(Renewal):
        if c.chance(0.4):
            both.add(attrs.evolve(renewal, successor_id=c.one(hidden)))
    for number, home in enumerate(c.some([row.id for row in scene.of(ka.Organisation)], 2)):
        work = _worked_on(c) | {"organisation_id": home, "contract_id": c.one(hidden), "successor_id": None}
        both.add(c.shaped(Renewal, id=f"h-worked-on-{number}", **work))
    for number, kind in enumerate(("Contract", "Invoice")):
        about = ka.Reference(kind, c.one(_hidden(both, KINDS[kind].cls)))
        home = c.one([row.id for row in scene.of(ka.Organisation)])
        given = {"organisation_id": home, "contact_id": None, "about": about, "audience_unit_ids": ()}
        both.add(c.shaped(ka.ServiceNote, id=f"h-about-seen-{number}", **given))


def with_hidden(c: Chooser, scene: Scene, variant: Variant, sandwich: tuple[str, str] | None) -> Scene:
    """Return the scene with records around it that the user may not read, and what refers to them."""
    both = Scene(dict(scene.rows), moved=scene.moved, joined=scene.joined, winner=scene.winner)
    _hidden_organisations(c, both, variant, sandwich)
    _hidden_people(c, both, scene, variant)
    for number in range(c.random.randint(2, 6)):
        both.add(c.shaped(ka.Activity, id=f"h-activity-{number}", **_hidden_act(c, both)))
    _join(c, both, scene)
    for number in range(c.random.randint(3, 8)):
        both.add(c.shaped(ka.ServiceNote, id=f"h-note-{number}", **_hidden_note(c, both)))
    for number in range(c.random.randint(1, 4)):
        note = c.one(_hidden(both, ka.ServiceNote))
        both.add(c.shaped(ka.Acknowledgement, id=f"h-seen-{number}", note_id=note, user_id=c.one(STEPS)))
    _business(c, both, "h", _hidden(both, ka.Organisation))
    _entangle(c, both, scene)
    return both


def _hidden(scene: Scene, cls: type[Entity]) -> list[str]:
    return [row.key for row in scene.of(cls) if row.key.startswith("h-")]


def _hidden_organisations(c: Chooser, both: Scene, variant: Variant, sandwich: tuple[str, str] | None) -> None:
    """Add hidden organisations: alone, below what is seen, above it, or (a sandwich) between."""
    seen = both.of(ka.Organisation)
    roots: list[str] = []
    for number in range(c.random.randint(2, 5)):
        id, below = f"h-org-{number}", c.maybe(c.one(seen).id, 0.4)
        deeper = c.one(roots) if roots and below is None and c.chance(0.3) else None
        roots += [id] if below is None and deeper is None else []
        private = below is not None or not variant.closed or c.chance(0.4)
        _hide_organisation(c, both, id, below or deeper, variant, private=private)
    for row in seen:
        if row.parent_id is None and roots and c.chance(0.4) and row.id not in (sandwich or ()):
            both.add(attrs.evolve(row, parent_id=c.one(roots)))
    if sandwich is not None:
        top, bottom = sandwich
        _hide_organisation(c, both, "h-org-between", top, variant, private=True)
        both.add(attrs.evolve(cast("Any", both.rows["Organisation", bottom]), parent_id="h-org-between"))


def _hide_organisation(
    c: Chooser, both: Scene, id: str, parent: str | None, variant: Variant, *, private: bool
) -> None:
    """Add an organisation that others manage, with claims of the user's own that do not count."""
    free = [ref for ref in HIDDEN_REFS if all(row.refs.get("erp") != ref for row in both.of(ka.Organisation))]
    refs = {"erp": c.one(free)} if free and c.chance(0.7) else {}
    both.add(c.shaped(ka.Organisation, id=id, name=c.one(NAMES), parent_id=parent, private=private, refs=refs))
    covers = c.chance(0.7) and not variant.stands_in
    both.add(ka.Assignment(f"h-lead-{id}", c.one(("kam", "other", "leaver")), id, covers_subsidiaries=covers))
    both.add(ka.Assignment(f"h-deputy-{id}", "other", id, role=ka.DEPUTY, covers_subsidiaries=c.chance(0.5)))
    both.add(ka.Grant(f"h-grant-{id}", id, c.one(THEIRS), c.one(list(ka.Right)), covers_subsidiaries=c.chance(0.5)))
    ended, begins = TODAY - timedelta(c.random.randint(1, 500)), TODAY + timedelta(c.random.randint(1, 300))
    span: dict[str, Any] = c.one([{"valid_until": ended}, {"valid_from": begins}])
    if c.chance(0.7):
        both.add(ka.Assignment(f"h-mine-{id}", "me", id, **span, covers_subsidiaries=c.chance(0.5)))
    if c.chance(0.5):
        span_of_it: dict[str, Any] = {"opens_at": MOMENT - timedelta(hours=1), "closes_at": MOMENT}
        both.add(BreakGlass(f"h-glass-{id}", id, c.one(STEPS), "an audit", **span_of_it))
    if c.chance(0.3):
        both.add(Alias(f"h-alias-{id}", f"h-old-{id}", id))
    if private and c.chance(0.7):
        both.add(ka.Grant(f"h-given-{id}", id, c.one(MINE), c.one(list(ka.Right))))
        both.add(ka.Assignment(f"h-team-{id}", "me", id, role=c.one(ROLES[1:])))


def _hidden_people(c: Chooser, both: Scene, scene: Scene, variant: Variant) -> None:
    """Add contacts known only at hidden organisations, and hidden positions of those who are seen elsewhere."""
    homes = _hidden(both, ka.Organisation)
    for number in range(c.random.randint(1, 4)):
        id = f"h-contact-{number}"
        both.add(c.shaped(ka.Contact, id=id, name=c.one(NAMES), refs={}, created_by=c.one(("kam", "me"))))
        both.add(_position(c, f"h-at-{id}", id, c.one(homes)))
        both.add(ka.Assignment(f"h-care-{id}", "other" if variant.stands_in else "kam", contact_id=id))
    if not variant.steward:
        both.add(c.shaped(ka.Contact, id="h-contact-loose", name=c.one(NAMES), refs={}, created_by="kam"))
    placed = {row.contact_id for row in scene.of(ka.Position)} | {row.contact_id for row in scene.of(ka.Assignment)}
    for contact in scene.of(ka.Contact):
        if contact.id in placed and c.chance(0.6):
            both.add(_position(c, f"h-at-{contact.id}", contact.id, c.one(homes)))


def _hidden_act(c: Chooser, both: Scene) -> dict[str, Any]:
    """Choose what happened: at a hidden organisation, with anybody; or with hidden contacts alone."""
    everybody, hidden = [row.id for row in both.of(ka.Contact)], _hidden(both, ka.Contact)
    alone = c.chance(0.2)
    contacts = (c.one(hidden),) if alone else tuple(c.some(everybody, 3))
    home = None if alone else c.one(_hidden(both, ka.Organisation))
    return {"organisation_id": home, "contact_ids": contacts, "by_id": c.one(STEPS), "kind": c.one(WORDS["kind"])}


def _join(c: Chooser, both: Scene, scene: Scene) -> None:
    """Let hidden contacts take part in activities that are seen."""
    for act in scene.of(ka.Activity):
        if c.chance(0.5):
            guests = c.some(_hidden(both, ka.Contact), 2)
            others = [*act.contact_ids, *guests]
            c.random.shuffle(others)
            kept = iter(act.contact_ids)
            ordered = tuple(next(kept) if id in act.contact_ids else id for id in others)
            both.add(attrs.evolve(act, contact_ids=ordered))


def _hidden_note(c: Chooser, both: Scene) -> dict[str, Any]:
    """Choose what makes a note unreadable: its organisation, its contact, or what it is about."""
    away, home = c.one(_hidden(both, ka.Organisation)), c.one([r.id for r in both.of(ka.Organisation)])
    person, anybody = c.one(_hidden(both, ka.Contact)), c.one([r.id for r in both.of(ka.Contact)])
    act = ka.Reference("Activity", c.one(_hidden(both, ka.Activity)))
    organisation, contact, about = c.one(
        [(away, None, None), (away, anybody, None), (home, person, None), (None, person, None), (home, None, act)]
    )
    chosen = {"organisation_id": organisation, "contact_id": contact, "about": about, "text": c.one(WORDS["text"])}
    return chosen | {"audience_unit_ids": tuple(c.some(("team", "elsewhere"), 1)), "created_by": c.one(STEPS)}


def _sandwich(c: Chooser, scene: Scene) -> tuple[str, str] | None:
    """Choose a hidden organisation's readable parent, and a readable subsidiary of it."""
    for bottom in scene.of(ka.Organisation):
        tops = [row.id for row in scene.of(ka.Organisation) if scene.root(row.id) != bottom.id]
        if bottom.parent_id is None and tops:
            return c.one(tops), bottom.id
    return None


# ---- what has been ---------------------------------------------------------------------------------------------------

FORMER = "v-org-former"
"""The id of an organisation that was merged into one that is seen: the same in both worlds, as its alias is."""


def _choose_moved(c: Chooser, scene: Scene) -> None:
    """Choose what once hung on something else; both worlds choose the same, for a move is a version more."""
    open_ones = [row.id for row in scene.of(ka.Organisation) if not row.private]
    movable: list[Entity] = [*scene.of(ka.ServiceNote), *scene.of(ka.Activity)]
    movable += [row for row in scene.of(ka.Assignment) if row.organisation_id in (None, *open_ones)]
    scene.moved = [name_of(row) for row in c.some(movable, 6)]
    if open_ones and c.chance(0.4):
        scene.winner = c.one(open_ones)
        kinds: tuple[type[Any], ...] = (ka.Position, ka.Grant, ka.ServiceNote, ka.Activity)
        there = [row for kind in kinds for row in scene.of(kind) if row.organisation_id == scene.winner]
        scene.joined = [name_of(row) for row in c.some(there, 4) if name_of(row) not in scene.moved]


def name_of(row: Entity) -> Name:
    """Return a record's kind and id."""
    return type(row).__name__, row.key


def with_past(c: Chooser, scene: Scene) -> Scene:
    """Give records a past: on something that cannot be read for what is seen, on what is seen for what is hidden."""
    _passed(c, scene)
    for name in scene.moved:
        row = scene.rows[name]
        scene.pasts[name] = [earlier(c, row, **_was_away(c, scene, row))]
    for name in scene.joined:
        there = attrs.evolve(cast("Any", scene.rows[name]), organisation_id=FORMER)
        scene.pasts[name] = [earlier(c, there), there]
    _born_again(c, scene)
    _was_seen(c, scene)
    return scene


def _passed(c: Chooser, scene: Scene) -> None:
    """Make records that are removed when the calls begin: an organisation with all that hung on it, a merged one."""
    scene.passed = [
        c.shaped(ka.Organisation, id="h-passed", name=c.one(NAMES), parent_id=None, private=False, refs={}),
        c.shaped(ka.Contact, id="h-passed-contact", name=c.one(NAMES), refs={}, created_by="kam"),
        _position(c, "h-passed-at", "h-passed-contact", "h-passed"),
        c.shaped(ka.Activity, id="h-passed-act", organisation_id="h-passed", contact_ids=(), by_id="kam", kind="call"),
    ]
    if scene.winner is not None:
        handed_on: dict[str, Any] = {"phones": (), "emails": (), "addresses": (), "refs": {}}
        kept: dict[str, Any] = {"name": c.one(NAMES), "parent_id": None, "private": False, **handed_on}
        scene.passed.append(c.shaped(ka.Organisation, id=FORMER, **kept))


def _was_away(c: Chooser, scene: Scene, row: Entity) -> dict[str, Any]:
    """Choose what made a record unreadable once: what it hung on, or what it was about."""
    away = c.one([*_hidden(scene, ka.Organisation), "h-passed"])
    person = c.one([*_hidden(scene, ka.Contact), "h-passed-contact"])
    act = ka.Reference("Activity", c.one([*_hidden(scene, ka.Activity), "h-passed-act"]))
    ways: list[dict[str, Any]] = [{"organisation_id": away}]
    if isinstance(row, ka.ServiceNote):
        with_person = {"contact_id": person, "for_subsidiaries": False}
        ways += [with_person, with_person | {"organisation_id": None}, {"about": act}]
    if isinstance(row, ka.Activity):
        ways += [{"organisation_id": None, "contact_ids": (person,)}]
    if isinstance(row, ka.Assignment):
        ways = [{"organisation_id": away, "contact_id": None}]
    return c.one(ways)


def _born_again(c: Chooser, scene: Scene) -> None:
    """Let notes that are seen have been others before, on something that cannot be read, and removed there."""
    acknowledged = {row.note_id for row in scene.of(ka.Acknowledgement)}
    fresh = [row for row in scene.of(ka.ServiceNote) if row.id.startswith("v-") and row.id not in acknowledged]
    for row in c.some([row for row in fresh if name_of(row) not in scene.pasts], 2):
        scene.pasts[name_of(row)] = [earlier(c, row, **_was_away(c, scene, row)), None]


def _was_seen(c: Chooser, scene: Scene) -> None:
    """Let hidden records have hung on what is seen."""
    kinds: tuple[type[Any], ...] = (ka.ServiceNote, ka.Activity, ka.Assignment)
    rows = [row for kind in kinds for row in scene.of(kind) if row.id.startswith(("h-note", "h-activity", "h-deputy"))]
    for row in c.some(rows, 4):
        home: dict[str, Any] = {"organisation_id": c.one([id for id in scene.ids()["Organisation"] if id[0] == "v"])}
        home |= {"contact_id": None, "about": None} if isinstance(row, ka.ServiceNote) else {}
        scene.pasts[name_of(row)] = [earlier(c, row, **home)]


def earlier(c: Chooser, row: E, **was: Any) -> E:
    """Return what a record may have been before: hung elsewhere, and with other contents in any case."""
    kind = KINDS[type(row).__name__]
    links = (link.field for link in kind.links)
    kept = {"id", "version", "about", "role", "principal", *kind.fixed, *dict(kind.stamped), *links, *was}
    fields = [name for name in shapes.shapes_of(type(row)) if name not in kept]
    there = attrs.evolve(row, **was)
    for _ in range(30):
        names = c.random.sample(fields, c.random.randint(1, min(4, len(fields))))
        other = {name: of_shape(c, name, kind.shapes[name]) for name in names}
        try:
            found = attrs.evolve(there, **other)
        except ka.ValidationError:
            continue
        if found != there:
            return found
    raise NoRecord(f"no earlier {kind.name} can be made of {row!r}")


def come_about(office: ka.Desk, scene: Scene) -> None:
    """Write a scene into a book: each record as it was, state by state, and then as it is."""
    begun = [scene.pasts[name][0] if name in scene.pasts else row for name, row in scene.rows.items()]
    office.put(*scene.passed, *(row for row in begun if row is not None))
    for name, past in scene.pasts.items():
        now = [] if name in scene.joined else [scene.rows[name]]
        for state in (*past[1:], *now):
            _becomes(office, name, state)
    if scene.winner is not None:
        office.merging.merge(ka.Organisation, scene.winner, FORMER)
    for row in reversed(scene.passed):
        if row.key != FORMER:
            office.remove(type(row), row.key)


def _becomes(office: ka.Desk, name: Name, state: Entity | None) -> None:
    kind, id = KINDS[name[0]].cls, name[1]
    if state is None:
        office.remove(kind, id)
    else:
        stored = office.find(kind, id=id)
        office.put(attrs.evolve(state, version=stored[0].version if stored else 0))


# ---- a provider of the host's ----------------------------------------------------------------------------------------

SIGHT_USED = frozenset({"get", "find", "count", "on"})


def look_around(sight: Sight, subject: Subject) -> Iterator[ka.ComputedNote]:
    """Tell all that can be seen through a sight, in a note; a note on somebody else is dropped and logged."""
    told = [f"{kind} {sight.count(KINDS[kind].cls)}" for kind in WRITTEN]
    told += [row.key for cls in (ka.Organisation, ka.Contact, ka.ServiceNote) for row in sight.find(cls)]
    told += [f"{row.id} below {row.parent_id}" for row in sight.find(ka.Organisation)]
    yield ka.ComputedNote(f"{subject} on {sight.on}: {', '.join(told)}", code="look", params={"seen": tuple(told)})
    yield ka.ComputedNote("about another", organisation_id="h-org-0")


def stumble(sight: Sight, subject: Subject) -> Iterator[ka.ComputedNote]:
    """Ask for a hidden record: fails as for one that never was."""
    if sight.on != TODAY:
        sight.get(ka.Organisation, "h-org-0")
    yield ka.ComputedNote("fine", code="fine")


# ---- two books -------------------------------------------------------------------------------------------------------


@attrs.define
class Mint:
    """Where the library's ids come from: in order, so that neither milliseconds nor chance decide the order of rows."""

    at: int

    def tick(self) -> int:
        """Let a millisecond pass."""
        self.at += 1
        return self.at * 1_000_000


@attrs.define
class Side:
    """One of the two worlds: its book, the user's desk, and the library's ids in their order of appearance."""

    book: ka.Book
    desk: ka.Desk
    office: ka.Desk
    mint: Mint = attrs.field(factory=lambda: Mint(1_800_000_000_000))
    numbers: dict[str, int] = attrs.field(factory=dict)


@attrs.define
class Pair:
    """Two worlds from one seed, and the choices that go on from there."""

    seed: int
    variant: Variant
    sides: tuple[Side, Side]
    c: Chooser
    mint: Mint = attrs.field(factory=lambda: Mint(1_700_000_000_000))

    def next_call(self) -> Call:
        """Choose the next call, the same for both sides."""
        with steady(self.mint, page=founds.PAGE):
            return chosen(self.c)


def build(seed: int) -> Pair:
    """Build the two worlds of a seed: hidden records absent and present, or present with other contents."""
    variant = VARIANTS[seed % len(VARIANTS)]
    c = Chooser(Random(seed), {}, {})  # noqa: S311 - reproducible, not secret
    between = c.chance(0.25)
    c.covering = not between
    scene = visible(c, variant)
    sandwich = _sandwich(c, scene) if between else None
    absent = c.chance(0.6)
    left = _alone(c, seed, scene) if absent else _other(c, seed * 2 + 1, scene, variant, sandwich)
    right = _other(c, seed * 2, scene, variant, sandwich)
    c.seen = scene.ids()
    c.sandwich = sandwich
    c.private = [row.id for row in scene.of(ka.Organisation) if row.private]
    c.moved = sorted({name for side in (left, right) for name in (*side.pasts, *map(name_of, side.passed))})
    for side in (left, right):
        for kind, ids in side.ids().items():
            c.unseen.setdefault(kind, []).extend(id for id in ids if id.startswith("h-"))
        c.unseen.setdefault("Organisation", []).extend(row.old_id for row in side.of(Alias))
    c.taken = [] if absent else _taken(left, right)
    return Pair(seed, variant, (_side(left, variant), _side(right, variant)), c)


def _taken(left: Scene, right: Scene) -> list[dict[str, Any]]:
    """Return the ids and references of hidden organisations that are there in both worlds."""
    hidden = [[row for row in side.of(ka.Organisation) if row.id.startswith("h-")] for side in (left, right)]
    ids = [{row.id for row in rows} for rows in hidden]
    refs = [{row.refs["erp"] for row in rows if row.refs} for rows in hidden]
    clashes: list[dict[str, Any]] = [{"id": id} for id in sorted(ids[0] & ids[1])]
    return clashes + [{"refs": {"erp": ref}} for ref in sorted(refs[0] & refs[1])]


def _alone(c: Chooser, seed: int, scene: Scene) -> Scene:
    """Leave hidden records out: what could not be read has passed."""
    own = Chooser(Random(f"alone {seed}"), dict(c.seen), {}, mark="h")  # noqa: S311 - reproducible, not secret
    return with_past(own, Scene(scene.rows, moved=scene.moved, joined=scene.joined, winner=scene.winner))


def _other(c: Chooser, seed: int, scene: Scene, variant: Variant, sandwich: tuple[str, str] | None) -> Scene:
    """Add hidden records by choices of their own, so that the calls that follow stay the same."""
    own = Chooser(Random(f"hidden {seed}"), dict(c.seen), {}, mark="h")  # noqa: S311 - reproducible, not secret
    return with_past(own, with_hidden(own, scene, variant, sandwich))


def _side(scene: Scene, variant: Variant) -> Side:
    providers = [ka.Provider("look", look_around), ka.Provider("stumble", stumble)]
    book = ka.Book(MemoryStorage(), policy=variant.policy, region="DE", clock=lambda: MOMENT, providers=providers)
    office = book.trusted("setup")
    with steady(Mint(1_600_000_000_000), page=founds.PAGE):
        come_about(office, scene)
    office.put(attrs.evolve(office.get(ka.User, "leaver"), active=False))
    for row in office.find(ka.Organisation, category="payment"):
        if row.id.startswith("h-"):
            office.put(attrs.evolve(row, sector="worked on"))
    return Side(book, book.desk("me"), office)


# ---- calls -----------------------------------------------------------------------------------------------------------


@attrs.frozen
class Call:
    """A call made alike on both sides: its name, what it is given, and how it is made."""

    name: str
    text: str
    make: Callable[[Side], Any]


@attrs.frozen
class Given:
    """Arguments for a call."""

    args: tuple[Any, ...]
    named: Mapping[str, Any]


@attrs.frozen
class Script:
    """Several steps around a call, with words for them."""

    text: str
    make: Callable[[Side], Any]


def given(*args: Any, **named: Any) -> Given:
    """Say what a call is given; what is None by name is left out."""
    return Given(args, {name: value for name, value in named.items() if value is not None})


Generator = Callable[[Chooser], Given | Script]
GENERATORS: dict[str, list[Generator]] = {}
"""The calls of a desk by name, each with one way, or several, to choose its arguments."""
WEIGHTS = {"desk.put": 10, "desk.find": 6, "desk.put_many": 2, "desk.remove": 2, "desk.card": 2, "desk.user_id": 0.2}
WEIGHTS |= {"desk.history": 3, "desk.transaction": 2, "desk.service_notes.dismiss": 2, "desk.people.break_glass": 3}
WEIGHTS |= {f"desk.people.{name}": 0.3 for name in ("who_may_read", "orphaned", "hand_over")}
WEIGHTS |= dict.fromkeys(("desk.read_csv", "desk.from_frame", "desk.load", "desk.dump"), 0.1)
TRUSTED_ONLY = frozenset({"desk.people.who_may_read", "desk.people.orphaned", "desk.renewals.raise_alerts"})
TRUSTED_ONLY |= {"desk.read_csv", "desk.from_frame", "desk.load", "desk.dump"}
"""Calls that a bound desk is always refused."""
PAGED = frozenset({"desk.find", "desk.activities.history"})
EVENTS: list[Generator] = []
"""What the host does meanwhile, at a trusted desk; its answers are not compared."""


def asks(name: str) -> Callable[[Generator], Generator]:
    """Register a generator for a public call."""

    def keep(generator: Generator) -> Generator:
        GENERATORS.setdefault(name, []).append(generator)
        return generator

    return keep


def event(generator: Generator) -> Generator:
    """Register something the host does."""
    EVENTS.append(generator)
    return generator


def chosen(c: Chooser) -> Call:
    """Choose the next call."""
    if c.chance(0.05):
        script = cast("Script", c.one(EVENTS)(c))
        return Call("the host", script.text, script.make)
    names = list(GENERATORS)
    name = c.random.choices(names, [WEIGHTS.get(name, 1) for name in names])[0]
    return call(name, c.one(GENERATORS[name])(c))


def call(name: str, asked: Given | Script) -> Call:
    """Bind what was chosen to the public member it is for."""
    if isinstance(asked, Script):
        return Call(name, asked.text, asked.make)
    reach = attrgetter(name.removeprefix("desk."))
    said = ", ".join([*map(repr, asked.args), *(f"{key}={value!r}" for key, value in asked.named.items())])
    return Call(name, said, lambda side: reach(side.desk)(*asked.args, **asked.named))


def a_kind(c: Chooser) -> type[Entity]:
    """Choose a kind, mostly one that hangs on accounts."""
    return KINDS[c.one(WRITTEN) if c.chance(0.9) else c.one(list(KINDS))].cls


@asks("desk.user_id")
def _user_id(_: Chooser) -> Script:
    return Script("", lambda side: (side.desk.user_id, repr(side.desk)))


@asks("desk.get")
def _get(c: Chooser) -> Given:
    kind = a_kind(c)
    system = ("erp", c.one(("vv-org-0", "vv-org-1", "vv-org-2", "href-0", "href-1", "none")))
    return given(kind, c.id(kind.__name__)) if c.chance(0.8) else given(ka.Organisation, ref=system)


def condition(c: Chooser, kind: type[Entity], name: str) -> Any:
    """Choose what to ask of a field."""
    shape = KINDS[kind.__name__].shapes[name]
    item = getattr(shape, "item", shape)
    one, other = (of_shape(c, name, item) if name != "id" else c.id(kind.__name__) for _ in range(2))
    tests = [one, None, ka.is_none, ka.one_of([item for item in (one, other) if item is not None])]
    tests += [ka.between(one, other), ka.at_least(one), ka.at_most(other)] if isinstance(one, (str, date, int)) else []
    return above([one]) if name == "id" and c.chance(0.3) else c.one(tests)


def asked_of(c: Chooser, kind: type[Entity], most: int = 2) -> dict[str, Any]:
    """Choose conditions by field, references more often than others."""
    row = KINDS[kind.__name__]
    names = [*row.shapes, *(link.field for link in row.links), *(link.field for link in row.links)]
    return {name: condition(c, kind, name) for name in c.some(names, most)}


def an_order(c: Chooser, kind: type[Entity]) -> str | tuple[str, ...] | None:
    """Choose an order, references more often than others."""
    row = KINDS[kind.__name__]
    names = [*row.shapes, *(link.field for link in row.links)]
    return c.one([None, c.one(names), f"-{c.one(names)}", (c.one(names), f"-{c.one(names)}")])


@asks("desk.find")
def _find(c: Chooser) -> Given:
    kind = a_kind(c)
    return given(kind, order=an_order(c, kind), limit=c.maybe(c.random.randint(0, 7)), **asked_of(c, kind))


@asks("desk.find")
def _pages(c: Chooser) -> Script:
    """Go through all pages of a question, by their cursors."""
    kind, size = a_kind(c), c.random.randint(1, 5)
    order, asked = an_order(c, kind), asked_of(c, kind, 1)

    def pages(side: Side) -> list[Any]:
        found: list[Any] = []
        cursor = None
        while not found or cursor is not None:
            page = side.desk.find(kind, order=order, limit=size, after=cursor, **asked)
            found.append(page)
            cursor = page.cursor
        return found

    return Script(f"all pages of {size} of {kind.__name__} by {order}, {asked}", pages)


@asks("desk.find")
@asks("desk.count")
def _by_reference(c: Chooser) -> Script:
    """Ask by references that may be masked, in their order and on conditions."""
    kind = c.one((ka.Organisation, ka.Organisation, ka.Activity, ka.ServiceNote, ka.Position))
    links = [link.field for link in KINDS[kind.__name__].links]
    order = tuple(f"{c.one(('', '-'))}{link}" for link in links if not KINDS[kind.__name__].shapes[link].many)
    asked = {name: condition(c, kind, name) for name in c.some(links, 1)}

    def ask(side: Side) -> list[Any]:
        return [side.desk.find(kind, order=order[:1]), side.desk.find(kind, **asked), side.desk.count(kind, **asked)]

    return Script(f"{kind.__name__} by {order[:1]}, and where {asked}", ask)


@asks("desk.find")
def _lineage(c: Chooser) -> Given:
    """Ask for what stands above: a hidden organisation between is not there."""
    return given(ka.Organisation, id=above([c.id("Organisation")]))


@asks("desk.find")
def _half_read(c: Chooser) -> Script:
    """Begin to read, let the host take rights away, and go on."""
    kind, steps, meanwhile = a_kind(c), c.random.randint(1, 4), cast("Script", c.one(EVENTS)(c))

    def read(side: Side) -> list[Any]:
        found = side.desk.find(kind)
        rows = iter(found)
        begun = list(islice(rows, steps))
        outcome(lambda: meanwhile.make(side))
        return [*begun, "meanwhile", *rows, found]

    return Script(f"{kind.__name__}, {steps} rows, then {meanwhile.text}, then the rest", read)


@asks("desk.count")
def _count(c: Chooser) -> Given:
    kind = a_kind(c)
    return given(kind, **asked_of(c, kind))


@asks("desk.search")
def _search(c: Chooser) -> Given:
    if c.chance(0.3):
        return given(c.one(("a", "e", "i", "m", "v", "g")), limit=c.random.randint(1, 3))
    words = [
        *NAMES,
        *WORDS["phones"],
        *WORDS["emails"],
        *WORDS["town"],
        c.id("Organisation"),
        c.id("Contact"),
        "v",
        "h",
    ]
    word = c.one(words)
    return given(word[: c.random.randint(1, len(word))], limit=c.maybe(c.random.randint(0, 6)))


@asks("desk.put")
def _create(c: Chooser) -> Given:
    return given(made(c, c.one(WRITTEN) if c.chance(0.9) else c.one(list(KINDS))))


@asks("desk.put")
def _create_unseen(c: Chooser) -> Given:
    """Create what has the name, phone, e-mail and tax id of something hidden."""
    told: dict[str, Any] = {"phones": WORDS["phones"][:3], "emails": WORDS["emails"]}
    if c.chance(0.5):
        return given(made(c, "Contact", **told))
    return given(made(c, "Organisation", **told, tax_id="DE123", parent_id=None, private=False))


@asks("desk.put")
@asks("desk.put")
def _create_taken(c: Chooser) -> Given:
    """Create what clashes with something hidden in both worlds: alike, whatever that is; see EXCEPTIONS."""
    return given(made(c, "Organisation", **(c.one(c.taken) if c.taken else {}), parent_id=None, private=False))


@asks("desk.put")
def _create_together(c: Chooser) -> Given:
    contact = made(c, "Contact")
    position = made(c, "Position", contact_id=contact.key, reports_to_id=None)
    return given(contact, position, *([made(c, "ServiceNote", contact_id=contact.key)] if c.chance(0.3) else []))


@asks("desk.put")
@asks("desk.put")
@asks("desk.put")
def _patch(c: Chooser) -> Script:
    """Change a few fields of what was got, references among them."""
    kind = a_kind(c)
    id, row = c.id(kind.__name__), KINDS[kind.__name__]
    links = [link.field for link in row.links if link.field not in row.fixed]
    fields = [name for name in shapes.shapes_of(kind) if name not in {"id", "version", *row.fixed}]
    names = dict.fromkeys([*c.some(fields, 1), *c.some(links, 1)])
    changes = {name: of_shape(c, name, row.shapes[name]) for name in names}
    if not c.covering:
        changes.pop("covers_subsidiaries", None)
    return Script(
        f"{kind.__name__} {id!r} with {changes}",
        lambda side: side.desk.put(attrs.evolve(side.desk.get(kind, id), **changes)),
    )


@asks("desk.put")
def _patch_hidden_reference(c: Chooser) -> Script:
    """Guess what a masked reference holds, and hand it back."""
    parent, id, guest = c.one(c.unseen["Organisation"]), c.one(c.seen["Organisation"]), c.one(c.unseen["Contact"])
    act = c.one(c.seen["Activity"])

    def place(side: Side) -> Any:
        return side.desk.put(attrs.evolve(side.desk.get(ka.Organisation, id), parent_id=parent))

    def invite(side: Side) -> Any:
        row = side.desk.get(ka.Activity, act)
        return side.desk.put(attrs.evolve(row, contact_ids=(*row.contact_ids, guest)))

    return Script(f"{id} below {parent}", place) if c.chance(0.5) else Script(f"{act} with {guest}", invite)


@asks("desk.put")
def _move(c: Chooser) -> Script:
    """Place a readable organisation below another."""
    id, parent = c.one(c.seen["Organisation"]), c.one([*c.seen["Organisation"], None])
    return Script(
        f"{id} below {parent}",
        lambda side: side.desk.put(attrs.evolve(side.desk.get(ka.Organisation, id), parent_id=parent)),
    )


@asks("desk.put")
def _forge(c: Chooser) -> Given:
    """Claim to have read a record: of one that cannot be read nothing is told, nor changed."""
    kind = c.one(WRITTEN)
    return given(made(c, kind, id=c.one(c.unseen[kind]) if c.unseen.get(kind) else "missing", version=c.one((1, 2))))


@asks("desk.put_many")
def _put_many(c: Chooser) -> Given:
    notes = [made(c, "ServiceNote") for _ in range(c.random.randint(0, 2))]
    contact = made(c, "Contact")
    later = made(
        c, "Position", contact_id=contact.key, organisation_id=c.one(c.seen["Organisation"]), reports_to_id=None
    )
    rows = [later, contact, *notes]
    return given(rows if c.chance(0.7) else rows[:1])


@asks("desk.transaction")
def _transaction(c: Chooser) -> Script:
    """Make several writes one act; sometimes the host's own error ends it."""
    rows = [made(c, c.one(WRITTEN)) for _ in range(c.random.randint(1, 3))]
    breaks, reads = c.chance(0.2), a_kind(c)

    def work(side: Side) -> list[Any]:
        with side.desk.transaction(why="a reason"):
            found = [side.desk.put(row) for row in rows]
            seen = list(side.desk.find(reads))
            if breaks:
                raise ZeroDivisionError
        return [*found, *seen]

    return Script(f"puts {rows}{', then breaks' if breaks else ''}", work)


@asks("desk.remove")
def _remove(c: Chooser) -> Given:
    kind = a_kind(c)
    return given(kind, c.id(kind.__name__) if kind is not ka.User else "other")


@asks("desk.may")
def _may(c: Chooser) -> Given:
    return given(c.id("Organisation"), c.one(list(ka.Right)))


def whom(c: Chooser) -> dict[str, Any]:
    """Choose an organisation, a contact, or both."""
    named = {"contact": c.id("Contact"), "organisation": c.id("Organisation")}
    return {name: named[name] for name in c.one((("contact",), ("organisation",), ("contact", "organisation")))}


@asks("desk.notes")
def _notes(c: Chooser) -> Given:
    return given(**whom(c), context=c.context(), on=c.day())


@asks("desk.notes_for")
def _notes_for(c: Chooser) -> Given:
    ids = [c.id("Organisation") for _ in range(c.random.randint(0, 5))]
    return given(organisations=ids, context=c.context(), on=c.day())


@asks("desk.card")
def _card(c: Chooser) -> Given:
    return given(**whom(c), context=c.context(), on=c.day())


@asks("desk.panel")
def _panel(c: Chooser) -> Given:
    return given(c.id("Organisation"), on=c.day())


@asks("desk.data_quality")
def _data_quality(c: Chooser) -> Given:
    return given(on=c.day(0.2))


@asks("desk.contracts.state")
def _contract_state(c: Chooser) -> Given:
    return given(c.id("Contract"), on=c.day())


@asks("desk.contracts.cover")
def _contract_cover(c: Chooser) -> Given:
    return given(c.id("Organisation"), kind=c.maybe(c.one(CONTRACTS)), on=c.day())


def dimension(c: Chooser) -> dict[str, Any]:
    """Choose by what a list or a metric is split, and for which group; seldom by what there is not."""
    by = c.one(("manager", "unit", "group", "sector", "country", "account", "mangaer"))
    return {"by": c.maybe(by, 0.4), "group": c.maybe(c.one(("group-a", "group-b", "key accounts")), 0.3)}


@asks("desk.contracts.due")
@asks("desk.contracts.notice_deadlines")
def _contracts_due(c: Chooser) -> Given:
    return given(within_days=c.one((0, 60, 300)), on=c.day(), **dimension(c))


@asks("desk.contracts.expired_unrenewed")
def _contracts_expired(c: Chooser) -> Given:
    return given(on=c.day(), **dimension(c))


@asks("desk.portfolio.expired_unrenewed")
@asks("desk.portfolio.recurring")
def _portfolio_on(c: Chooser) -> Given:
    return given(on=c.day(), **dimension(c))


@asks("desk.portfolio.renewal_rate")
@asks("desk.portfolio.account_retention")
@asks("desk.portfolio.gross_retention")
@asks("desk.portfolio.net_retention")
@asks("desk.portfolio.movements")
@asks("desk.portfolio.days_to_first_action")
def _portfolio_in(c: Chooser) -> Given:
    period = c.one(
        (ka.Period.year(2026), ka.Period.year(2025), ka.Period.months_to(TODAY, 12), ka.Period.month(2026, 12))
    )
    return given(period, on=c.day(), level=c.maybe(c.one(("account", "contract", "parent")), 0.3), **dimension(c))


@asks("desk.portfolio.win_ratio")
@asks("desk.portfolio.call_to_meeting")
def _portfolio_ratios(c: Chooser) -> Given:
    return given(c.one((ka.Period.year(2026), ka.Period.months_to(TODAY, 12))), on=c.day(), **dimension(c))


@asks("desk.portfolio.growth")
@asks("desk.portfolio.average_value")
@asks("desk.portfolio.concentration")
@asks("desk.portfolio.order_decline")
@asks("desk.portfolio.contribution_margin")
@asks("desk.portfolio.discount_depth")
def _portfolio_turnover(c: Chooser) -> Given:
    return given(basis=c.one(("invoices", "orders")), on=c.day(), **dimension(c))


@asks("desk.portfolio.days_since_contact")
@asks("desk.portfolio.pipeline")
@asks("desk.billing.overdue")
@asks("desk.billing.ageing")
@asks("desk.health_check")
def _lists(c: Chooser) -> Given:
    return given(on=c.day(), **dimension(c))


@asks("desk.daily")
def _daily(c: Chooser) -> Given:
    return given(on=c.day(), group=c.maybe(c.one(("group-a", "key accounts")), 0.3))


@asks("desk.renewals.open_renewals")
def _open_renewals(_: Chooser) -> Given:
    return given()


@asks("desk.renewals.analysis")
def _renewal_analysis(c: Chooser) -> Given:
    return given(c.id("Renewal"), on=c.day())


@asks("desk.renewals.advance")
def _advance(c: Chooser) -> Given:
    return given(c.id("Renewal"), to=c.one(("alerted", "analysing", "proposing", "agreed", "signed")), note="a note")


@asks("desk.renewals.lose")
def _lose(c: Chooser) -> Given:
    return given(c.id("Renewal"), reason="price")


@asks("desk.renewals.sign")
def _sign(c: Chooser) -> Script:
    """Sign a contract of the same organisation that follows; or of any."""
    renewal, after = c.id("Renewal"), made(c, "Contract", predecessor_ids=())
    strays = c.chance(0.2)

    def sign(side: Side) -> Any:
        row = side.desk.get(Renewal, renewal)
        given: Any = after if strays else attrs.evolve(cast("Any", after), organisation_id=row.organisation_id)
        return side.desk.renewals.sign(renewal, contract=given)

    return Script(f"{renewal} with {after}{', anywhere' if strays else ''}", sign)


@asks("desk.renewals.raise_alerts")
def _raise_alerts(c: Chooser) -> Given:
    return given(on=c.day())


@asks("desk.read_csv")
@asks("desk.from_frame")
def _bring_in(_: Chooser) -> Given:
    return given(ka.Organisation, "nowhere.csv", columns={"Nr": "id"})


@asks("desk.load")
@asks("desk.dump")
def _carry(_: Chooser) -> Given:
    return given("nowhere")


@asks("desk.caller")
def _caller(c: Chooser) -> Given:
    number = c.one((*WORDS["phones"], "+49 89 1234-99", "+43 1 58858-12", "+49 89 1234567"))
    return given(number, region=c.maybe(c.one(("DE", "AT")), 0.3))


@asks("desk.people.responsible")
def _responsible(c: Chooser) -> Given:
    return given(**whom(c), on=c.day())


@asks("desk.people.special_contact")
def _special_contact(c: Chooser) -> Given:
    return given(c.id("Organisation"), c.one(WORDS["role"]), on=c.day())


@asks("desk.people.special_contacts")
def _special_contacts(c: Chooser) -> Given:
    return given(c.id("Organisation"), on=c.day())


@asks("desk.people.vips")
def _vips(c: Chooser) -> Given:
    return given(on=c.day())


@asks("desk.people.vacant_roles")
def _vacant_roles(c: Chooser) -> Given:
    return given(on=c.day())


@asks("desk.people.org_chart")
def _org_chart(c: Chooser) -> Given:
    return given(c.id("Organisation"), on=c.day())


@asks("desk.people.who_may_read")
def _who_may_read(c: Chooser) -> Given:
    return given(c.id("Organisation"))


@asks("desk.people.orphaned")
def _orphaned(_: Chooser) -> Given:
    return given()


def span(c: Chooser) -> dict[str, Any]:
    """Choose from when until when, mostly without saying so."""
    return {"from_": c.day(0.3), "until": c.day(0.3)}


@asks("desk.people.assign")
def _assign(c: Chooser) -> Given:
    covers = c.covering and c.chance(0.3)
    where = {"contact": c.id("Contact")} if c.chance(0.3) else {"organisation": c.id("Organisation")}
    role = c.one(ROLES) if "organisation" in where else None
    return given(c.id("User"), **where, role=role, covers_subsidiaries=covers, **span(c))


@asks("desk.people.end_assignment")
def _end_assignment(c: Chooser) -> Given:
    return given(c.id("Assignment"), on=c.day(0.3))


@asks("desk.people.deputise")
def _deputise(c: Chooser) -> Given:
    """Name a deputy: never the user, who would gain rights on what differs."""
    return given("other", for_user=c.one(("me", "me", "kam", "missing")), reason="on leave", **span(c))


@asks("desk.people.hand_over")
def _hand_over(c: Chooser) -> Given:
    return given(c.one(STEPS), c.one(STEPS), on=c.day(0.3))


@asks("desk.people.make_private")
def _make_private(c: Chooser) -> Given:
    return given(c.id("Organisation"))


@asks("desk.people.open_up")
def _open_up(c: Chooser) -> Given:
    return given(c.id("Organisation"))


@asks("desk.people.grant")
def _grant(c: Chooser) -> Given:
    covers, right = c.covering and c.chance(0.3), c.one(list(ka.Right))
    return given(c.id("Organisation"), principal=_principal(c), right=right, covers_subsidiaries=covers, **span(c))


@asks("desk.people.revoke")
def _revoke(c: Chooser) -> Given:
    return given(c.id("Grant"))


@asks("desk.people.break_glass")
def _break_glass(c: Chooser) -> Given:
    """Break the glass of what is seen or missing: for something hidden it is the right to read it, which differs."""
    seen = [id for id in c.seen["Organisation"] if id.startswith("v-")]
    chosen = c.private if c.private and c.chance(0.7) else seen
    return given(c.one([*chosen, "missing"]), reason="an audit", minutes=c.maybe(5))


@asks("desk.history")
def _versions(c: Chooser) -> Given:
    kind = a_kind(c)
    return given(kind, c.id(kind.__name__))


@asks("desk.history")
def _versions_of_moved(c: Chooser) -> Given:
    """Ask for the past of what was moved, or of what is no more."""
    kind, id = c.one(c.moved)
    return given(KINDS[kind].cls, id)


@asks("desk.merging.merge")
def _merge(c: Chooser) -> Given:
    kind = c.one((ka.Organisation, ka.Contact))
    return given(kind, c.id(kind.__name__), c.id(kind.__name__))


@asks("desk.merging.merge")
def _merge_around(c: Chooser) -> Given:
    """Merge what a hidden organisation stands between, either way."""
    ends = c.sandwich or (c.id("Organisation"), c.id("Organisation"))
    return given(ka.Organisation, *(ends if c.chance(0.3) else reversed(ends)))


@asks("desk.merging.undo")
def _undo(c: Chooser) -> Script:
    """Merge, and undo it at once; or undo what never was."""
    kind: Any = c.one((ka.Organisation, ka.Contact))
    winner, loser = c.id(kind.__name__), c.id(kind.__name__)
    if c.chance(0.2):
        return Script("'missing'", lambda side: side.desk.merging.undo("missing"))

    def back(side: Side) -> list[Any]:
        merged = side.desk.merging.merge(kind, winner, loser)
        return [merged, side.desk.merging.undo(merged.act or "nothing was merged")]

    return Script(f"{loser} merged into {winner}, and back", back)


@asks("desk.mine")
def _mine(_: Chooser) -> Given:
    return given()


@asks("desk.readable_ids")
def _readable_ids(c: Chooser) -> Given:
    return given([c.id("Organisation") for _ in range(c.random.randint(0, 9))])


@asks("desk.activities.log")
def _log(c: Chooser) -> Given:
    return given(
        c.id("Organisation"),
        kind=c.one(WORDS["kind"]),
        contacts=[c.id("Contact") for _ in range(c.random.randint(0, 2))],
        follow_up_on=c.day(),
        id=c.new("Activity") if c.chance(0.5) else None,
    )


@asks("desk.activities.history")
def _history(c: Chooser) -> Given:
    return given(c.id("Organisation"), limit=c.maybe(c.random.randint(1, 4)))


@asks("desk.activities.last_contact")
def _last_contact(c: Chooser) -> Given:
    return given(c.id("Organisation"))


@asks("desk.activities.follow_ups")
def _follow_ups(c: Chooser) -> Given:
    return given(due=c.day())


@asks("desk.activities.done")
def _done(c: Chooser) -> Given:
    return given(c.id("Activity"))


@asks("desk.service_notes.acknowledge")
def _acknowledge(c: Chooser) -> Given:
    return given(c.id("ServiceNote"))


@asks("desk.service_notes.dismiss")
def _dismiss(c: Chooser) -> Given:
    return given(c.id("ServiceNote"))


@asks("desk.service_notes.set_category")
def _set_category(c: Chooser) -> Given:
    return given(c.one(WORDS["category"]), contexts=c.some(CONTEXTS, 2))


@asks("desk.service_notes.add_context")
def _add_context(c: Chooser) -> Given:
    return given(c.one(("service.hotline", "crm", "a.b", "No Path")))


@event
def _takes_a_right(c: Chooser) -> Script:
    """Remove a claim that the user may have read by."""
    kind: Any = c.one((ka.Assignment, ka.Grant))
    id = c.one([id for id in c.seen.get(kind.__name__, ()) if id.startswith("v-")] or ["missing"])
    return Script(f"the host removes {id}", lambda side: side.office.remove(kind, id))


@event
def _ends_a_right(c: Chooser) -> Script:
    """End a claim yesterday."""
    kind: Any = c.one((ka.Assignment, ka.Grant))
    id = c.one([id for id in c.seen.get(kind.__name__, ()) if id.startswith("v-")] or ["missing"])
    ended = TODAY - timedelta(1)
    return Script(
        f"the host ends {id}",
        lambda side: side.office.put(attrs.evolve(side.office.get(kind, id), valid_until=ended)),
    )


@event
def _hides(c: Chooser) -> Script:
    """Make an organisation private, with another's key account manager."""
    id = c.one([id for id in c.seen["Organisation"] if id.startswith("v-")])
    lead = ka.Assignment(f"{c.new('Assignment')}-lead", "kam", id)

    def hide(side: Side) -> None:
        side.office.put(attrs.evolve(side.office.get(ka.Organisation, id), private=True), lead)

    return Script(f"the host hides {id}", hide)


@event
def _closes(c: Chooser) -> Script:
    """Deactivate the user for a moment: every call is refused, and the next one is not."""

    def close(side: Side) -> None:
        for active in (False, True):
            side.office.put(attrs.evolve(side.office.get(ka.User, "me"), active=active))

    return Script("the host deactivates the user for a moment", close)


# ---- observing -------------------------------------------------------------------------------------------------------

NOT_ASKED = {
    "to_frame": "needs optional packages; it shows what to_dict shows",
    "Reader.is_me": "a reader stays inside the library",
    "Subject.steps_up": "a subject is handed to providers only",
}
"""Members of answers that are not looked at, by name or `Class.name`, with the reason."""


def _list_of(vips: Any) -> list[Any]:
    """Write a mailing list, and return what was said and what is in it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list.csv"
        told = vips.to_csv(path)
        return [attrs.evolve(told, path="list.csv"), path.read_text(encoding="utf-8-sig")]


MEMBERS: dict[str, Callable[[Any], Any]] = {
    "Vips.to_csv": _list_of,
    "HealthCheck.row": lambda check: check.row("h-org-0"),
    "Invoice.open_amount_on": lambda invoice: invoice.open_amount_on(TODAY),
    "Invoice.left_on": lambda invoice: invoice.open_amount_on(TODAY),
    "Opportunity.open_on": lambda opportunity: opportunity.open_on(TODAY),
    "Mapping.get": lambda notes_for: notes_for.get("h-org-0"),
}
"""How a member that needs arguments is asked, by `Class.name` of its owner: a function of the answer."""
_known_members: dict[type, tuple[str, ...]] = {}


def members(cls: type) -> Iterator[tuple[str, str, bool]]:
    """Yield the public properties and methods of a class of answers: its name, the owner, and whether it needs more."""
    for owner in cls.__mro__:
        for name, member in vars(owner).items():
            if name.startswith("_") or name in NOT_ASKED or f"{owner.__name__}.{name}" in NOT_ASKED:
                continue
            if isinstance(member, property):
                yield name, owner.__name__, False
            elif inspect.isfunction(member):
                rest = list(inspect.signature(member).parameters.values())[1:]
                yield name, owner.__name__, any(item.default is item.empty for item in rest)


def answers() -> set[type]:
    """Return every class of answers in the library."""
    for module in pkgutil.walk_packages(ka.__path__, "keyaccount."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found: set[type] = set()
    waiting: list[type] = [Result]
    while waiting:
        cls = waiting.pop()
        found.add(cls)
        waiting += cls.__subclasses__()
    return found


def surface(desk: ka.Desk) -> set[str]:
    """Return the name of every public call of a desk and of its areas."""
    found: set[str] = set()
    for name in (name for name in dir(type(desk)) if not name.startswith("_")):
        part = inspect.getattr_static(type(desk), name)
        if isinstance(part, property) or callable(part) or isinstance(part, (staticmethod, classmethod)):
            found.add(f"desk.{name}")
        else:
            area = type(getattr(desk, name))
            found |= {f"desk.{name}.{call}" for call in dir(area) if not call.startswith("_")}
    return found


def told(value: Any) -> Any:
    """Turn an answer into plain data that holds all that can be observed of it."""
    if value is None or isinstance(value, (str, int, float, date)):
        return repr(value)
    if isinstance(value, Entity):
        return [repr(value), json.dumps(value.to_dict(), sort_keys=True)]
    if isinstance(value, Result):
        return _told_result(value)
    if isinstance(value, Mapping):
        return {"type": type(value).__name__, "items": [[told(key), told(item)] for key, item in value.items()]}
    if isinstance(value, (list, tuple, Iterator)):
        return [type(value).__name__, *map(told, value)]
    return [type(value).__name__, repr(value)]


def _told_result(value: Result) -> dict[str, Any]:
    """Look at an answer in every way: each part that raises tells its error."""
    found: dict[str, Any] = {"type": type(value).__name__}
    looks: dict[str, Callable[[], Any]] = {"repr": lambda: repr(value), "str": lambda: str(value)}
    looks["html"] = value._repr_html_
    if hasattr(type(value), "__bool__"):
        looks["bool"] = lambda: bool(value)
    if isinstance(value, Iterable):
        looks["rows"] = lambda: [told(row) for row in value]
        looks["len"] = lambda: len(cast("Any", value))
        looks["first"] = lambda: repr(cast("Any", value)[:2])
    for name in _member_names(type(value)):
        looks[name] = lambda name=name: _member(value, name)  # type: ignore[misc]
    for name in _asked_members(type(value)):
        looks[name] = lambda name=name: told(MEMBERS[name](value))  # type: ignore[misc]
    for name, look in looks.items():
        try:
            found[name] = look()
        except Exception as error:  # noqa: BLE001 - an error is an observation like any other
            found[name] = told_error(error)
    return found


def _member_names(cls: type) -> tuple[str, ...]:
    if cls not in _known_members:
        _known_members[cls] = tuple(dict.fromkeys(name for name, _, more in members(cls) if not more))
    return _known_members[cls]


def _asked_members(cls: type) -> list[str]:
    return [full for full in MEMBERS if full.partition(".")[0] in {owner.__name__ for owner in cls.__mro__}]


def _member(value: Any, name: str) -> Any:
    member = getattr(value, name)
    shown = member() if callable(member) else member
    if name == "cursor" and isinstance(shown, str):
        return base64.urlsafe_b64decode(shown).decode()
    return shown if name == "to_dict" else told(shown)


def told_error(error: BaseException | None) -> Any:
    """Tell all of an exception but its traceback."""
    if error is None:
        return None
    return {
        "error": type(error).__qualname__,
        "str": str(error),
        "args": repr(error.args),
        "fields": repr({key: item for key, item in vars(error).items() if key != "__notes__"}),
        "notes": getattr(error, "__notes__", None),
        "cause": told_error(error.__cause__),
        "context": told_error(error.__context__),
        "suppressed": error.__suppress_context__,
    }


class Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        """Start empty."""
        super().__init__(0)
        self.lines: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line, with its exception."""
        error = record.exc_info[1] if record.exc_info else None
        self.lines.append([record.name, record.levelname, record.getMessage(), told_error(error)])


@attrs.frozen
class Outcome:
    """What a call did: its answer or error as text, and the class of the error."""

    text: str
    error: type[BaseException] | None


def outcome(make: Callable[[], Any]) -> Outcome:
    """Make a call and observe everything."""
    handler, logger = Lines(), logging.getLogger()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(1)
    error: BaseException | None = None
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                seen = told(make())
            except Exception as raised:  # noqa: BLE001 - an error is an observation like any other
                error, seen = raised, told_error(raised)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    shown = {"seen": seen, "logged": handler.lines, "warned": [str(item.message) for item in warned]}
    return Outcome(
        json.dumps(shown, indent=1, ensure_ascii=False, default=repr), None if error is None else type(error)
    )


_MADE_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def normal(side: Side, text: str) -> str:
    """Replace the library's own ids by numbers in order of appearance; nothing else is touched."""
    return _MADE_ID.sub(lambda found: f"id{side.numbers.setdefault(found[0], len(side.numbers))}", text)


@contextmanager
def steady(mint: Mint, *, page: int) -> Iterator[None]:
    """Let ids be made in their order, and pages be of a size."""
    homes = ((values, "time"), (values, "os"), (founds, "PAGE"))
    kept = [getattr(module, name) for module, name in homes]
    stubs = (SimpleNamespace(time_ns=mint.tick), SimpleNamespace(urandom=bytes), page)
    try:
        for (module, name), stub in zip(homes, stubs, strict=True):
            setattr(module, name, stub)
        yield
    finally:
        for (module, name), was in zip(homes, kept, strict=True):
            setattr(module, name, was)


def observed(side: Side, call: Call) -> Outcome:
    """Make a call on one side."""
    with steady(side.mint, page=SMALL_PAGE if call.name in PAGED else founds.PAGE):
        found = outcome(lambda: call.make(side))
    if call.name == "the host":
        return Outcome("", found.error)
    return Outcome(normal(side, found.text), found.error)


# ---- running ---------------------------------------------------------------------------------------------------------


@attrs.frozen
class Difference:
    """Where two worlds came apart."""

    seed: int
    variant: str
    number: int
    call: Call
    texts: tuple[str, str]

    def __str__(self) -> str:
        """Show the call and both outcomes, from shortly before they differ."""
        left, right = self.texts
        same = next((at for at, pair in enumerate(zip(left, right, strict=False)) if pair[0] != pair[1]), 0)
        around = slice(max(0, same - 300), same + 600)
        head = f"seed {self.seed} ({self.variant}), call {self.number}: {self.call.name}: {self.call.text}"
        worlds = zip("AB", self.texts, strict=True)
        parts = (f"--- world {name}: {text[:200]!r}…\n…{text[around]}" for name, text in worlds)
        again = f"again: PYTHONPATH=src:tests python -m worlds.two_worlds --seed {self.seed}"
        return "\n".join([f"the two worlds differ at {head}", *parts, again])


@attrs.define
class Tally:
    """What was asked over a run, what succeeded, and errors that are none of the library's own."""

    asked: Counter[str] = attrs.field(factory=Counter)
    succeeded: Counter[str] = attrs.field(factory=Counter)
    foreign: list[str] = attrs.field(factory=list)
    worlds: int = 0

    def note(self, seed: int, call: Call, error: type[BaseException] | None) -> None:
        """Count one call."""
        self.asked[call.name] += 1
        self.succeeded[call.name] += error is None
        if error is not None and not issubclass(error, (ka.KeyAccountError, ZeroDivisionError)):
            self.foreign.append(f"seed {seed}: {call.name}: {call.text} raised {error.__name__}")


def run(seed: int, tally: Tally | None = None, *, calls: int = CALLS) -> Difference | None:
    """Run one seed; return the first difference, or None where the worlds stay alike."""
    counts = tally or Tally()
    pair = build(seed)
    counts.worlds += 1
    for number in range(calls):
        call = pair.next_call()
        left, right = (observed(side, call) for side in pair.sides)
        counts.note(seed, call, left.error)
        if (left.text, left.error) != (right.text, right.error):
            return Difference(seed, pair.variant.name, number, call, (left.text, right.text))
    return None


def run_all(seeds: Iterable[int], tally: Tally, *, seconds: float = float("inf"), most: int = 1) -> list[Difference]:
    """Run seeds until some differences are found, or time is up."""
    ends, found = time.monotonic() + seconds, []
    for seed in seeds:
        difference = run(seed, tally)
        if difference is not None:
            found.append(difference)
        if len(found) >= most or time.monotonic() > ends:
            break
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run worlds from the command line; 1 where two of them differ."""
    parser = argparse.ArgumentParser(prog="worlds.two_worlds", description="Compare pairs of worlds, seed by seed.")
    parser.add_argument("--seed", type=int, help="run this seed alone")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--worlds", type=int, default=WORLDS, help="how many seeds")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so many seconds")
    parser.add_argument("--most", type=int, default=1, help="stop after so many differences")
    asked = parser.parse_args(arguments)
    seeds = range(asked.start, asked.start + asked.worlds) if asked.seed is None else [asked.seed]
    tally, began = Tally(), time.monotonic()
    found = run_all(seeds, tally, seconds=asked.seconds, most=asked.most)
    for text in (*map(str, found), *tally.foreign):
        sys.stdout.write(f"{text}\n")
    asked_of_them, good, took = tally.asked.total(), tally.succeeded.total(), time.monotonic() - began
    summary = f"{tally.worlds} worlds, {asked_of_them} calls, {good} succeeded, {len(found)} differ, {took:.1f} s"
    sys.stdout.write(f"{summary}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
