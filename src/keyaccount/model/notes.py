"""Service notes, where they appear, and who has seen them."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from datetime import date, datetime

import attrs

from keyaccount.model.entity import SPAN, Entity, first_day, identity, last_day
from keyaccount.model.organisations import line
from keyaccount.shapes import (
    Checked,
    Flag,
    Ident,
    Many,
    Moment,
    One,
    Rank,
    Refer,
    Rule,
    Text,
    field,
)
from keyaccount.values import new_id

_PATH = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")


def _path(value: str) -> str | None:
    return None if _PATH.fullmatch(value) else "is no context: dotted, lower-case words such as 'documents.invoice'"


class Severity(enum.IntEnum):
    """How much a note matters: `STOP` lets a host refuse to go on."""

    INFO = 1
    WARNING = 2
    STOP = 3


@attrs.frozen(repr=False)
class Context(Entity):
    """A moment in the host's work, as a dotted path (the id): `documents.invoice`.

    A note that appears in a context appears in every context below it, never above or beside it.
    """

    id: str = field(Ident(_path), factory=new_id)


SHIPPED_CONTEXTS = tuple(
    Context(path)
    for path in (
        "crm",
        "phone",
        "ticketing",
        "documents",
        "documents.quote",
        "documents.order",
        "documents.invoice",
        "documents.reminder",
        "projects",
        "operations",
        "delivery",
        "purchasing",
        "service",
    )
)


@attrs.frozen(repr=False)
class NoteCategory(Entity):
    """A sort of note (the id: "payment", "address", "promise") and the contexts its notes appear in.

    No contexts: everywhere, as for a category nobody has configured.
    """

    id: str = identity()
    contexts: tuple[str, ...] = field(Many(Ident(_path)), ())


@attrs.frozen(repr=False)
class ExpectedProvider(Entity):
    """The name of a provider of computed notes that this data was used with.

    A book opened without it says so on every card, instead of silently showing less. Remove the record to retire the
    provider.
    """

    id: str = identity()


@attrs.frozen(repr=False)
class Reference(Checked):
    """A pointer to a record of any kind: the kind's name and the id."""

    kind: str = field(Text(limit=100, line=True, required=True), "")
    id: str = field(Text(limit=200, line=True, required=True), "")


def _reference(value: object) -> object:
    if isinstance(value, tuple) and len(value) == 2:  # noqa: PLR2004 - a pair
        return Reference(value[0], value[1])
    return value


@attrs.frozen(repr=False)
class ServiceNote(Entity):
    """The remark a colleague must see at the moment it matters.

    On an organisation, on a contact, or on both: then only while that contact acts for that organisation. `text` is
    the remark; a note `about` another record takes its text from there and is gone when that closes. `contexts`
    replace those of the category; with neither it appears everywhere. `audience_unit_ids` limits it to units.

    >>> ServiceNote("n1", organisation_id="acme", text="Only pays after dunning level 2")
    ServiceNote(id='n1', organisation_id='acme', text='Only pays after dunning level 2', severity=<Severity.INFO: 1>)
    """

    id: str = identity()
    organisation_id: str | None = field(Refer("Organisation", gone="remove"))
    contact_id: str | None = field(Refer("Contact", gone="remove"))
    text: str = field(Text(), "")
    about: Reference | None = field(One(Reference, convert=_reference))
    category: str | None = field(line(200))
    contexts: tuple[str, ...] = field(Many(Ident(_path)), ())
    severity: Severity = field(Rank(Severity), Severity.INFO)
    for_subsidiaries: bool = field(Flag(), False)
    audience_unit_ids: tuple[str, ...] = field(Many(Refer("Unit", gone="keep")), ())
    must_acknowledge: bool = field(Flag(), False)
    dismissible: bool = field(Flag(), False)
    created_by: str | None = field(Refer("User"))
    created_at: datetime | None = field(Moment())
    valid_from: date | None = first_day()
    valid_until: date | None = last_day()

    rules = (
        SPAN,
        Rule(
            ("organisation_id", "contact_id"),
            lambda organisation, contact: organisation is not None or contact is not None,
            "give an organisation, a contact, or both",
        ),
        Rule(
            ("text", "about"),
            lambda text, about: bool((text or "").strip()) or about is not None,
            "give a text, or what it is about",
        ),
        Rule(
            ("dismissible", "severity"),
            lambda can, severity: not (can and severity is Severity.STOP),
            "a STOP cannot be dismissed",
        ),
        Rule(
            ("for_subsidiaries", "organisation_id", "contact_id"),
            lambda holds, organisation, contact: not holds or (organisation is not None and contact is None),
            "only a note on an organisation alone holds for its subsidiaries",
        ),
    )


@attrs.frozen(repr=False)
class Acknowledgement(Entity):
    """A user has seen a note; `dismissed` hides it from them until what it says changes.

    `says` is a fingerprint of the text, severity and validity that were seen.
    """

    id: str = identity()
    note_id: str = field(Refer("ServiceNote", gone="remove", required=True))
    user_id: str = field(Refer("User", gone="remove", required=True))
    at: datetime | None = field(Moment())
    dismissed: bool = field(Flag(), False)
    says: str | None = field(line())


def lineage(path: str) -> Iterable[str]:
    """Yield a context and the contexts above it, nearest first.

    >>> list(lineage("documents.invoice"))
    ['documents.invoice', 'documents']
    """
    while path:
        yield path
        path = path.rpartition(".")[0]
