"""Which notes are seen at this moment: a pure rule over notes, a subject, a context and a day."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import attrs

from keyaccount.errors import UnknownContext, ValidationError, unknown_context
from keyaccount.model.notes import ServiceNote, Severity, lineage
from keyaccount.pages import rows_page
from keyaccount.results import Backend, Result, Rows, frame
from keyaccount.spans import in_force
from keyaccount.values import FrozenMap, unwritable


@attrs.frozen(repr=False)
class Subject(Result):
    """Whom a question is about: an organisation, a contact acting for organisations, or a contact alone.

    `organisation_ids` are the organisation asked about, or the contact's current employers; `above` has one chain of
    ancestors for each of them, nearest first.
    """

    contact_id: str | None = None
    organisation_ids: tuple[str, ...] = ()
    above: tuple[tuple[str, ...], ...] = ()

    @property
    def organisation_id(self) -> str | None:
        """The organisation asked about, or the first employer; None for a contact without one."""
        return self.organisation_ids[0] if self.organisation_ids else None

    @property
    def key(self) -> str:
        """The id of whom it is about: the contact, else the organisation."""
        return self.contact_id or self.organisation_id or ""

    def steps_up(self, organisation_id: str) -> int | None:
        """Return how far above the subject an ancestor stands (1: its parent); None for no ancestor."""
        steps = (chain.index(organisation_id) + 1 for chain in self.above if organisation_id in chain)
        return min(steps, default=None)


@attrs.frozen(repr=False)
class Rules(Result):
    """What a book has configured, and who is asking.

    `contexts` are the registered ones; `categories` map a category to its contexts. `audience` are the units the user
    belongs to, with those above (None: every audience). `dismissed` and `acknowledged` map notes to fingerprints of
    what they said when this user saw them. `about` maps notes to the text of the open record they are about.
    """

    contexts: frozenset[str]
    categories: FrozenMap[str, tuple[str, ...]] = FrozenMap()
    audience: frozenset[str] | None = None
    dismissed: FrozenMap[str, str] = FrozenMap()
    acknowledged: FrozenMap[str, str] = FrozenMap()
    about: FrozenMap[str, str] = FrozenMap()


def _params(given: Mapping[str, Any]) -> FrozenMap[str, Any]:
    return FrozenMap(given) if isinstance(given, Mapping) else given


@attrs.frozen(repr=False)
class ComputedNote(Result):
    """A note that a provider makes from data each time it is asked.

    `code` and `params` let a host translate it. It is on the contact named, else on the organisation named, else on the
    whole subject.
    """

    text: str
    severity: Severity = Severity.INFO
    code: str | None = None
    params: FrozenMap[str, Any] = attrs.field(default=FrozenMap(), converter=_params)
    organisation_id: str | None = None
    contact_id: str | None = None
    provider: str = ""
    id: str = ""

    def __attrs_post_init__(self) -> None:
        """Refuse what could not be shown."""
        wrong = {
            "text": not isinstance(self.text, str) or not self.text or unwritable(self.text),
            "severity": not isinstance(self.severity, Severity),
            "code": self.code is not None and not isinstance(self.code, str),
            "params": not isinstance(self.params, FrozenMap),
        }
        for name, is_wrong in wrong.items():
            if is_wrong:
                raise ValidationError.of("ComputedNote", name, getattr(self, name), "cannot be shown as a note")


@attrs.frozen(repr=False)
class VisibleNote(Result):
    """A note as it is shown, with the reason why it is here."""

    id: str
    text: str
    severity: Severity
    why: str
    category: str | None = None
    organisation_id: str | None = None
    contact_id: str | None = None
    must_acknowledge: bool = False
    dismissible: bool = False
    acknowledged: bool = False
    created_by: str | None = None
    created_at: datetime | None = None
    code: str | None = None
    params: FrozenMap[str, Any] = FrozenMap()

    @property
    def computed(self) -> bool:
        """Whether a provider made it."""
        return self.code is not None


@attrs.frozen(repr=False)
class Notes(Rows[VisibleNote]):
    """The notes seen for one subject in one context, the most important first."""

    context: str
    rows: tuple[VisibleNote, ...] = ()

    also = ("must_stop",)

    @property
    def must_stop(self) -> bool:
        """Whether a host should refuse to go on: any of them is a `STOP`."""
        return any(note.severity is Severity.STOP for note in self.rows)

    @property
    def to_acknowledge(self) -> tuple[VisibleNote, ...]:
        """The notes that ask to be acknowledged, and have not been by this user."""
        return tuple(note for note in self.rows if note.must_acknowledge and not note.acknowledged)


class NotesFor(FrozenMap[str, Notes], Result):
    """The notes of many organisations in one context, by organisation; a mapping that does not change."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Show the notes of each."""
        return f"NotesFor({dict(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the items."""
        return (NotesFor, (tuple(self.items()),))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types: the notes of each organisation under its id."""
        return {id: notes.to_dict() for id, notes in self.items()}

    def to_frame(self, backend: Backend = "pandas") -> Any:
        """Return a data frame of the named package: a row for each note, the organisation asked about in `asked`.

        Raises MissingExtra where that package is not installed, ValidationError for another name.
        """
        return frame(self._told(), backend)

    def _repr_html_(self) -> str:
        """Show the same rows in a notebook."""
        return rows_page(self._told())

    def _told(self) -> list[dict[str, Any]]:
        return [{"asked": id, **note.to_dict()} for id, notes in self.items() for note in notes]


def resolve(
    notes: Iterable[ServiceNote | ComputedNote], *, subject: Subject, context: str, rules: Rules, on: date
) -> Notes:
    """Return the notes that are visible for a subject in a context on a day, in their order.

    Order: severity, nearest subject (contact, organisation, parent), written before computed, newest, id. Notes must be
    readable to whoever asks; nothing visible gives an empty answer.

    Raises UnknownContext for a context that is not registered.

    >>> rules = Rules(contexts=frozenset({"documents", "documents.invoice", "phone"}))
    >>> note = ServiceNote("n1", organisation_id="acme", text="Address to Ms Schulz", contexts=("documents",))
    >>> about = Subject(organisation_ids=("acme",), above=((),))
    >>> monday = date(2026, 11, 23)
    >>> [n.text for n in resolve([note], subject=about, context="documents.invoice", rules=rules, on=monday)]
    ['Address to Ms Schulz']
    >>> len(resolve([note], subject=about, context="phone", rules=rules, on=monday))
    0
    """
    if not isinstance(context, str) or context not in rules.contexts:
        raise UnknownContext([unknown_context("Context", "id", context, rules.contexts)])
    found: dict[str, tuple[tuple[Any, ...], VisibleNote]] = {}
    for note in notes:
        entry = (
            _written(note, subject, context, rules, on)
            if isinstance(note, ServiceNote)
            else _computed(note, context, rules)
        )
        if entry is not None:
            found[note.id] = entry
    return Notes(context, tuple(note for _, note in sorted(found.values(), key=lambda pair: pair[0])))


def says(note: ServiceNote) -> str:
    """Return a fingerprint of what a note says: a dismissal lasts while this stays the same."""
    told = repr((note.text, note.about, int(note.severity), note.valid_from, note.valid_until))
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def _written(
    note: ServiceNote, subject: Subject, context: str, rules: Rules, on: date
) -> tuple[tuple[Any, ...], VisibleNote] | None:
    near = _nearness(note, subject)
    where = _where(note.contexts, note.category, context, rules)
    text = note.text or rules.about.get(note.id)
    if near is None or where is None or not in_force(note, on) or not text:
        return None
    if note.about is not None and note.id not in rules.about:
        return None
    if not _addressed(note, rules) or rules.dismissed.get(note.id) == says(note):
        return None
    distance, on_what = near
    shown = VisibleNote(
        id=note.id,
        text=text,
        severity=note.severity,
        why=f"{on_what}; {where}",
        category=note.category,
        organisation_id=note.organisation_id,
        contact_id=note.contact_id,
        must_acknowledge=note.must_acknowledge,
        dismissible=note.dismissible,
        acknowledged=rules.acknowledged.get(note.id) == says(note),
        created_by=note.created_by,
        created_at=note.created_at,
    )
    return (-note.severity, distance, 0, _age(note.created_at), note.id), shown


def _computed(note: ComputedNote, context: str, rules: Rules) -> tuple[tuple[Any, ...], VisibleNote] | None:
    where = _where((), note.provider, context, rules)
    if where is None:
        return None
    distance = 0 if note.contact_id is not None else 1
    shown = VisibleNote(
        id=note.id,
        text=note.text,
        severity=note.severity,
        why=f"computed by {note.provider}; {where}",
        category=note.provider,
        organisation_id=note.organisation_id,
        contact_id=note.contact_id,
        code=note.code or note.provider,
        params=note.params,
    )
    return (-note.severity, distance, 1, timedelta(0), note.id), shown


def _nearness(note: ServiceNote, subject: Subject) -> tuple[int, str] | None:
    """Return how near a note is to the subject, and on what it was written; None where it is on something else."""
    contact, organisation = note.contact_id, note.organisation_id
    if contact is not None:
        if contact != subject.contact_id:
            return None
        if organisation is None:
            return 0, "on the contact"
        return (0, "on the contact at this organisation") if organisation in subject.organisation_ids else None
    if organisation in subject.organisation_ids:
        return 1, "on the organisation"
    steps = subject.steps_up(organisation) if organisation is not None and note.for_subsidiaries else None
    return None if steps is None else (1 + steps, "on a parent, for its subsidiaries")


def _where(contexts: tuple[str, ...], category: str | None, context: str, rules: Rules) -> str | None:
    """Say by what a note appears in a context: its own contexts, else its category's, else everywhere; None: not."""
    own = bool(contexts)
    wanted = contexts or rules.categories.get(category or "", ())
    if not wanted:
        return "appears everywhere"
    reached = next((path for path in lineage(context) if path in wanted), None)
    if reached is None:
        return None
    return f"appears in {reached}" if own else f"category {category} appears in {reached}"


def _addressed(note: ServiceNote, rules: Rules) -> bool:
    return not note.audience_unit_ids or rules.audience is None or not rules.audience.isdisjoint(note.audience_unit_ids)


def _age(at: datetime | None) -> timedelta:
    """Order newest first; a note without a moment comes last."""
    return timedelta.max if at is None else _FAR - at


_FAR = datetime(9999, 12, 31, tzinfo=UTC)
